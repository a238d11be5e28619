//! RSASSA-PSS (RFC 8017 section 8.1.2) over the raw public operation of the `rsa` crate.
//!
//! That crate's own PSS takes digests of an older generation than this one's; the operation on numbers is
//! taken from it, the encoding is checked here. MGF1 is over the same digest and the salt as long as it
//! (RFC 7518 section 3.5); a signature with any other salt is invalid. All of it is public.

use rsa::{BigUint, RsaPublicKey, hazmat::rsa_encrypt, traits::PublicKeyParts};
use sha2::{Digest, Sha256, Sha384, Sha512};

use super::Hash;

/// Whether a signature of the modulus' length is the key's for `message`.
pub(super) fn verify(hash: Hash, key: &RsaPublicKey, message: &[u8], signature: &[u8]) -> bool {
    let signature = BigUint::from_bytes_be(signature);
    if signature >= *key.n() {
        return false;
    }
    let Ok(number) = rsa_encrypt(key, &signature) else {
        return false;
    };
    let bits = key.n().bits() - 1;
    let number = number.to_bytes_be();
    let mut encoded = vec![0; bits.div_ceil(8)];
    let Some(start) = encoded.len().checked_sub(number.len()) else {
        return false;
    };
    encoded[start..].copy_from_slice(&number);
    match hash {
        Hash::Sha256 => is_encoding::<Sha256>(&mut encoded, bits, message),
        Hash::Sha384 => is_encoding::<Sha384>(&mut encoded, bits, message),
        Hash::Sha512 => is_encoding::<Sha512>(&mut encoded, bits, message),
    }
}

/// RFC 8017 section 9.1.2: whether the bytes, of which the lowest `bits` count, encode `message`.
fn is_encoding<D: Digest>(encoded: &mut [u8], bits: usize, message: &[u8]) -> bool {
    let length = <D as Digest>::output_size();
    let used = 0xff_u8 >> (8 * encoded.len() - bits);
    let [front @ .., 0xbc] = encoded else {
        return false;
    };
    let Some((block, digest)) = front
        .len()
        .checked_sub(length)
        .map(|at| front.split_at_mut(at))
    else {
        return false;
    };
    if block.first().is_none_or(|first| first & !used != 0) {
        return false;
    }
    for (counter, part) in (0_u32..).zip(block.chunks_mut(length)) {
        let mask = D::new()
            .chain_update(&*digest)
            .chain_update(counter.to_be_bytes())
            .finalize();
        for (byte, mask) in part.iter_mut().zip(mask) {
            *byte ^= mask;
        }
    }
    block[0] &= used;
    let Some((padding, salt)) = block.len().checked_sub(length).map(|at| block.split_at(at)) else {
        return false;
    };
    let [zeros @ .., 1] = padding else {
        return false;
    };
    let own = D::new()
        .chain_update([0; 8])
        .chain_update(D::digest(message))
        .chain_update(salt)
        .finalize();
    zeros.iter().all(|byte| *byte == 0) && own[..] == *digest
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 8017 section 9.1.1, with the zeros, the mark and the salt that are given.
    fn encoding<D: Digest>(bits: usize, message: &[u8], mark: u8, salt: &[u8]) -> Vec<u8> {
        let length = bits.div_ceil(8);
        let digest = D::new()
            .chain_update([0; 8])
            .chain_update(D::digest(message))
            .chain_update(salt)
            .finalize();
        let mut block = vec![0; length - digest.len() - 1 - salt.len() - 1];
        block.push(mark);
        block.extend(salt);
        for (counter, part) in (0_u32..).zip(block.chunks_mut(digest.len())) {
            let mask = D::new()
                .chain_update(&digest)
                .chain_update(counter.to_be_bytes());
            for (byte, mask) in part.iter_mut().zip(mask.finalize()) {
                *byte ^= mask;
            }
        }
        block[0] &= 0xff >> (8 * length - bits);
        [&*block, &digest, &[0xbc]].concat()
    }

    fn check<D: Digest>(bits: usize) {
        let good = |salt: usize, mark: u8| {
            let mut encoded = encoding::<D>(bits, b"message", mark, &vec![7; salt]);
            is_encoding::<D>(&mut encoded, bits, b"message")
        };
        let length = <D as Digest>::output_size();
        assert!(good(length, 1), "{bits} bits");
        // Another salt length, of which nothing and the most there is room for; another mark.
        let most = bits.div_ceil(8) - length - 2;
        for salt in [0, 1, length - 1, length + 1, most] {
            assert!(!good(salt, 1), "{bits} bits, a salt of {salt}");
        }
        assert!(!good(length, 0) && !good(length, 2), "{bits} bits");

        let whole = encoding::<D>(bits, b"message", 1, &vec![7; length]);
        assert!(!is_encoding::<D>(&mut whole.clone(), bits, b"another"));
        for at in 0..whole.len() {
            let mut changed = whole.clone();
            changed[at] ^= 0x80 >> (at % 8);
            let seen = !is_encoding::<D>(&mut changed, bits, b"message");
            assert!(seen, "{bits} bits, byte {at}");
        }
        let mut raised = whole.clone();
        raised[0] |= !(0xff >> (8 * whole.len() - bits));
        let same = raised == whole;
        assert_eq!(is_encoding::<D>(&mut raised, bits, b"message"), same);
        for short in [0, 1, length, length + 1, 2 * length + 1] {
            let mut cut = vec![0xbc; short];
            assert!(!is_encoding::<D>(&mut cut, 8 * short, b"message"));
        }
    }

    #[test]
    fn only_the_whole_encoding_with_a_salt_as_long_as_the_digest_is_taken() {
        // One bit less than moduli of 2,048 to 2,056 bits have.
        for bits in 2047..=2055 {
            check::<Sha256>(bits);
            check::<Sha384>(bits);
            check::<Sha512>(bits);
        }
    }
}
