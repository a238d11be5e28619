//! The two backends on the same inputs, good, bad and odd: they must say the same.

use aws_lc_rs::{
    hmac, rand,
    rsa::KeySize,
    signature::{
        self as aws, ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair,
        RsaKeyPair,
    },
};
use proptest::prelude::*;
use spki::der::{Reader, SliceReader, asn1::UintRef};

use super::{Hash, HmacKey, KeyFault, PublicKey, aws_lc, ed25519, rust_crypto};

const HASHES: [Hash; 3] = [Hash::Sha256, Hash::Sha384, Hash::Sha512];
const MESSAGE: &[u8] = b"what was signed";

/// The verdict of both backends about a key, or about its signature.
fn both<K>(ours: Option<bool>, theirs: Option<bool>, what: K) -> Option<bool>
where
    K: std::fmt::Debug,
{
    assert_eq!(ours, theirs, "aws-lc and rust-crypto differ on {what:?}");
    ours
}

fn p256(point: &[u8; 65], message: &[u8], signature: &[u8]) -> Option<bool> {
    both(
        aws_lc::PublicKey::ecdsa_p256(point).map(|key| key.verify(message, signature)),
        rust_crypto::PublicKey::ecdsa_p256(point).map(|key| key.verify(message, signature)),
        ("P-256", point, signature),
    )
}

fn rsa(hash: Hash, n: &[u8], e: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    both(
        aws_lc::PublicKey::rsa_pkcs1(hash, n, e).map(|key| key.verify(message, signature)),
        rust_crypto::PublicKey::rsa_pkcs1(hash, n, e).map(|key| key.verify(message, signature)),
        ("RSA", hash, signature),
    )
}

/// Through the door, which refuses what the backends would not agree on. An encoding of no point at all is
/// no key to one backend, and to the other a key that verifies nothing.
fn ed(point: &[u8; 32], message: &[u8], signature: &[u8]) -> Option<bool> {
    let door = PublicKey::ed25519(point).ok()?.verify(message, signature);
    let small = signature
        .first_chunk()
        .is_some_and(ed25519::is_of_small_order);
    if !small {
        let other = rust_crypto::PublicKey::ed25519(point)
            .is_some_and(|key| key.verify(message, signature));
        both(Some(door), Some(other), ("Ed25519", point, signature));
    }
    Some(door)
}

#[test]
fn hmac_tags_are_those_of_the_other_backend_and_whole() {
    for hash in HASHES {
        let algorithm = match hash {
            Hash::Sha256 => hmac::HMAC_SHA256,
            Hash::Sha384 => hmac::HMAC_SHA384,
            Hash::Sha512 => hmac::HMAC_SHA512,
        };
        for length in [0, 1, 32, 63, 64, 65, 127, 128, 129, 300] {
            let secret = vec![7; length];
            let tag = hmac::sign(&hmac::Key::new(algorithm, &secret), MESSAGE);
            let tag = tag.as_ref();
            assert_eq!(tag.len(), hash.length());
            let key = rust_crypto::HmacKey::new(hash, &secret);
            let own = HmacKey::new(hash, &secret);
            for (tag, good) in [
                (tag, true),
                (&tag[..tag.len() - 1], false),
                (&tag[..0], false),
            ] {
                assert_eq!(key.verify(MESSAGE, tag), good);
                assert_eq!(own.verify(MESSAGE, tag), good);
            }
            assert!(!key.verify(b"another", tag) && !own.verify(b"another", tag));
        }
    }
}

#[test]
fn digests_agree() {
    for length in [0, 1, 55, 56, 63, 64, 65, 1000] {
        let bytes = vec![0x5a; length];
        assert_eq!(aws_lc::sha256(&bytes), rust_crypto::sha256(&bytes));
    }
}

#[test]
fn rsa_signatures_agree_and_every_flipped_bit_is_seen() {
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let (n, e) = rsa_numbers(pair.public_key().as_ref());
    for (hash, padding) in [
        (Hash::Sha256, &aws::RSA_PKCS1_SHA256),
        (Hash::Sha384, &aws::RSA_PKCS1_SHA384),
        (Hash::Sha512, &aws::RSA_PKCS1_SHA512),
    ] {
        let mut signature = vec![0; 256];
        pair.sign(padding, &rand::SystemRandom::new(), MESSAGE, &mut signature)
            .unwrap();
        assert_eq!(rsa(hash, &n, &e, MESSAGE, &signature), Some(true));
        for other in HASHES.into_iter().filter(|other| *other != hash) {
            assert_eq!(rsa(other, &n, &e, MESSAGE, &signature), Some(false));
        }
        for at in (0..256).step_by(51) {
            let mut flipped = signature.clone();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(rsa(hash, &n, &e, MESSAGE, &flipped), Some(false));
        }
        // Out of range, as the modulus itself and above it, and of another length.
        assert_eq!(rsa(hash, &n, &e, MESSAGE, &n), Some(false));
        assert_eq!(rsa(hash, &n, &e, MESSAGE, &[0xff; 256]), Some(false));
        assert_eq!(rsa(hash, &n, &e, MESSAGE, &[0; 256]), Some(false));
        let longer = [&[0], &*signature].concat();
        let key = PublicKey::rsa_pkcs1(hash, &n, &e).unwrap();
        assert!(!key.verify(MESSAGE, &longer) && !key.verify(MESSAGE, &signature[..255]));
    }
}

/// The numbers of an RSAPublicKey in DER.
fn rsa_numbers(der: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut reader = SliceReader::new(der).expect("DER");
    reader
        .sequence(|inner| {
            let (n, e): (UintRef<'_>, UintRef<'_>) = (inner.decode()?, inner.decode()?);
            Ok::<_, spki::der::Error>((n.as_bytes().to_vec(), e.as_bytes().to_vec()))
        })
        .expect("DER")
}

#[test]
fn rsa_numbers_are_bounded_before_a_backend_sees_them() {
    let odd = |bytes: usize| {
        let mut n = vec![0xc3; bytes];
        n[bytes - 1] |= 1;
        n
    };
    let fault = |n: &[u8], e: &[u8]| PublicKey::rsa_pkcs1(Hash::Sha256, n, e).err();
    for (bytes, expected) in [
        (0, Some(KeyFault::RsaSize)),
        (128, Some(KeyFault::RsaSize)),
        (255, Some(KeyFault::RsaSize)),
        (256, None),
        (512, None),
        (1024, None),
        (1025, Some(KeyFault::RsaSize)),
        (4096, Some(KeyFault::RsaSize)),
    ] {
        let n = if bytes == 0 { Vec::new() } else { odd(bytes) };
        assert_eq!(fault(&n, &[1, 0, 1]), expected, "{bytes} bytes");
        let padded = [&[0, 0], &*n].concat();
        assert_eq!(
            fault(&padded, &[0, 1, 0, 1]),
            expected,
            "{bytes} bytes after zeros"
        );
    }
    let mut even = odd(256);
    even[255] ^= 1;
    assert_eq!(fault(&even, &[3]), Some(KeyFault::Invalid));
    for (e, expected) in [
        (&[][..], Some(KeyFault::Invalid)),
        (&[1], Some(KeyFault::Invalid)),
        (&[2], Some(KeyFault::Invalid)),
        (&[3], None),
        (&[1, 0, 0], Some(KeyFault::Invalid)),
        (&[1, 0xff, 0xff, 0xff, 0xff], None),
        (&[2, 0, 0, 0, 1], Some(KeyFault::Invalid)),
        (&[1, 0, 0, 0, 0, 0, 0, 0, 1], Some(KeyFault::Invalid)),
    ] {
        assert_eq!(fault(&odd(256), e), expected, "{e:?}");
    }
}

#[test]
fn p256_signatures_agree_at_the_edges() {
    let random = rand::SystemRandom::new();
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random).unwrap();
    let pair = EcdsaKeyPair::from_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, pkcs8.as_ref()).unwrap();
    let point: [u8; 65] = pair.public_key().as_ref().try_into().unwrap();
    let signature = pair.sign(&random, MESSAGE).unwrap();
    let signature: [u8; 64] = signature.as_ref().try_into().unwrap();
    assert_eq!(p256(&point, MESSAGE, &signature), Some(true));

    // s and n - s are both signatures: ECDSA has two, and JWS forbids neither.
    let order = p256_order();
    let mut other = signature;
    let s = subtract(&order, signature[32..].try_into().unwrap());
    other[32..].copy_from_slice(&s);
    assert_eq!(p256(&point, MESSAGE, &other), Some(true));

    for (r, s) in [
        ([0; 32], [0; 32]),
        ([0; 32], signature[32..].try_into().unwrap()),
        (signature[..32].try_into().unwrap(), [0; 32]),
        (order, order),
        ([0xff; 32], [0xff; 32]),
    ] {
        let edge = [r, s].concat();
        assert_eq!(p256(&point, MESSAGE, &edge), Some(false));
    }
    for off in [[4; 65], [0; 65], {
        let mut point = point;
        point[64] ^= 1;
        point
    }] {
        assert_eq!(p256(&off, MESSAGE, &signature), None);
    }
    let (x, y) = (
        point[1..33].try_into().unwrap(),
        point[33..].try_into().unwrap(),
    );
    let key = PublicKey::ecdsa_p256(x, y).unwrap();
    assert!(key.verify(MESSAGE, &signature));
    assert!(!key.verify(MESSAGE, &signature[..63]));
    assert!(!key.verify(MESSAGE, &[&signature[..], &[0]].concat()));
}

/// SEC 2 section 2.4.2.
fn p256_order() -> [u8; 32] {
    let mut order = [0xff; 32];
    order[4..8].fill(0);
    order[16..].copy_from_slice(&[
        0xbc, 0xe6, 0xfa, 0xad, 0xa7, 0x17, 0x9e, 0x84, 0xf3, 0xb9, 0xca, 0xc2, 0xfc, 0x63, 0x25,
        0x51,
    ]);
    order
}

fn subtract(from: &[u8; 32], what: &[u8; 32]) -> [u8; 32] {
    let mut difference = [0; 32];
    let mut borrow = false;
    for at in (0..32).rev() {
        let (byte, first) = from[at].overflowing_sub(what[at]);
        let (byte, second) = byte.overflowing_sub(u8::from(borrow));
        difference[at] = byte;
        borrow = first || second;
    }
    difference
}

#[test]
fn ed25519_signatures_agree_and_small_orders_are_refused() {
    let pair = Ed25519KeyPair::generate().unwrap();
    let point: [u8; 32] = pair.public_key().as_ref().try_into().unwrap();
    let signature: [u8; 64] = pair.sign(MESSAGE).as_ref().try_into().unwrap();
    assert_eq!(ed(&point, MESSAGE, &signature), Some(true));
    for at in 0..64 {
        let mut flipped = signature;
        flipped[at] ^= 0x10;
        assert_eq!(ed(&point, MESSAGE, &flipped), Some(false), "byte {at}");
    }
    // s + L is the same number and another signature (RFC 8032 section 5.1.7).
    let mut order = [0_u8; 32];
    order[..16].copy_from_slice(&[
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde,
        0x14,
    ]);
    order[31] = 0x10;
    let mut malleable = signature;
    let mut carry = 0_u16;
    for at in 0..32 {
        let sum = u16::from(signature[32 + at]) + u16::from(order[at]) + carry;
        malleable[32 + at] = sum.to_le_bytes()[0];
        carry = sum >> 8;
    }
    assert_eq!(ed(&point, MESSAGE, &malleable), Some(false));

    // Every encoding of a point of small order, with both signs, canonical or not.
    let mut weak: Vec<[u8; 32]> = ed25519::SMALL_ORDER.to_vec();
    for (first, rest) in [(0xed, 0xff), (0xee, 0xff)] {
        let mut beyond = [rest; 32];
        (beyond[0], beyond[31]) = (first, 0x7f);
        weak.push(beyond);
    }
    for mut encoded in weak {
        for _ in 0..2 {
            assert_eq!(PublicKey::ed25519(&encoded).err(), Some(KeyFault::Invalid));
            let mut committed = signature;
            committed[..32].copy_from_slice(&encoded);
            assert_eq!(ed(&point, MESSAGE, &committed), Some(false));
            encoded[31] ^= 0x80;
        }
    }
    assert!(
        !PublicKey::ed25519(&point)
            .unwrap()
            .verify(MESSAGE, &signature[..63])
    );
}

proptest! {
    #[test]
    fn arbitrary_points_and_signatures_are_judged_alike(
        point in any::<[u8; 32]>(),
        start in any::<[u8; 32]>(),
        end in any::<[u8; 32]>(),
        message in proptest::collection::vec(any::<u8>(), 0..64),
    ) {
        let signature = [start, end].concat();
        prop_assert_ne!(ed(&point, &message, &signature), Some(true));
        let mut sec1 = [4; 65];
        sec1[1..33].copy_from_slice(&point);
        sec1[33..].copy_from_slice(&start);
        prop_assert_ne!(p256(&sec1, &message, &signature), Some(true));
    }
}
