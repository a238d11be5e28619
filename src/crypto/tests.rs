//! The two backends on the same inputs, good, bad and odd: they must say the same.

use aws_lc_rs::{
    hmac, rand,
    rsa::KeySize,
    signature::{
        self as aws, ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P256K1_SHA256_FIXED_SIGNING,
        ECDSA_P384_SHA384_FIXED_SIGNING, ECDSA_P521_SHA512_FIXED_SIGNING, EcdsaKeyPair,
        Ed25519KeyPair, KeyPair, RsaKeyPair,
    },
};
use proptest::prelude::*;
use spki::der::{Reader, SliceReader, asn1::UintRef};

use super::{Curve, Hash, HmacKey, KeyFault, Padding, PublicKey, aws_lc, ed25519, rust_crypto};

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

fn ecdsa(curve: Curve, point: &[u8], message: &[u8], signature: &[u8]) -> Option<bool> {
    both(
        aws_lc::PublicKey::ecdsa(curve, point).map(|key| key.verify(message, signature)),
        rust_crypto::PublicKey::ecdsa(curve, point).map(|key| key.verify(message, signature)),
        (curve, point, signature),
    )
}

fn rsa(
    padding: Padding,
    hash: Hash,
    (n, e): (&[u8], &[u8]),
    message: &[u8],
    signature: &[u8],
) -> Option<bool> {
    both(
        aws_lc::PublicKey::rsa(padding, hash, n, e).map(|key| key.verify(message, signature)),
        rust_crypto::PublicKey::rsa(padding, hash, n, e).map(|key| key.verify(message, signature)),
        ("RSA", padding, hash, signature),
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
    let key = (&*n, &*e);
    let all: [(_, _, &dyn aws::RsaEncoding); 6] = [
        (Padding::Pkcs1, Hash::Sha256, &aws::RSA_PKCS1_SHA256),
        (Padding::Pkcs1, Hash::Sha384, &aws::RSA_PKCS1_SHA384),
        (Padding::Pkcs1, Hash::Sha512, &aws::RSA_PKCS1_SHA512),
        (Padding::Pss, Hash::Sha256, &aws::RSA_PSS_SHA256),
        (Padding::Pss, Hash::Sha384, &aws::RSA_PSS_SHA384),
        (Padding::Pss, Hash::Sha512, &aws::RSA_PSS_SHA512),
    ];
    for (padding, hash, encoding) in all {
        let mut signature = vec![0; 256];
        pair.sign(
            encoding,
            &rand::SystemRandom::new(),
            MESSAGE,
            &mut signature,
        )
        .unwrap();
        for (other, digest, _) in all {
            let good = other == padding && digest == hash;
            assert_eq!(rsa(other, digest, key, MESSAGE, &signature), Some(good));
        }
        assert_eq!(rsa(padding, hash, key, b"another", &signature), Some(false));
        for at in (0..256).step_by(51) {
            let mut flipped = signature.clone();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(rsa(padding, hash, key, MESSAGE, &flipped), Some(false));
        }
        // Out of range, as the modulus itself and above it, and of another length.
        assert_eq!(rsa(padding, hash, key, MESSAGE, &n), Some(false));
        assert_eq!(rsa(padding, hash, key, MESSAGE, &[0xff; 256]), Some(false));
        assert_eq!(rsa(padding, hash, key, MESSAGE, &[0; 256]), Some(false));
        let longer = [&[0], &*signature].concat();
        let key = PublicKey::rsa(padding, hash, &n, &e).unwrap();
        assert!(key.verify(MESSAGE, &signature));
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
    let fault = |n: &[u8], e: &[u8]| PublicKey::rsa(Padding::Pss, Hash::Sha256, n, e).err();
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
fn ecdsa_signatures_agree_at_the_edges() {
    let random = rand::SystemRandom::new();
    for (curve, signing) in [
        (Curve::P256, &ECDSA_P256_SHA256_FIXED_SIGNING),
        (Curve::P384, &ECDSA_P384_SHA384_FIXED_SIGNING),
        (Curve::P521, &ECDSA_P521_SHA512_FIXED_SIGNING),
        (Curve::Secp256k1, &ECDSA_P256K1_SHA256_FIXED_SIGNING),
    ] {
        let half = curve.length();
        let pair = EcdsaKeyPair::generate(signing).unwrap();
        let point = pair.public_key().as_ref();
        let signature = pair.sign(&random, MESSAGE).unwrap();
        let signature = signature.as_ref();
        let verify = |signature: &[u8]| ecdsa(curve, point, MESSAGE, signature);
        assert_eq!(verify(signature), Some(true), "{curve:?}");
        assert_eq!(ecdsa(curve, point, b"another", signature), Some(false));
        for at in (0..2 * half).step_by(7) {
            let mut flipped = signature.to_vec();
            flipped[at] ^= 1 << (at % 8);
            assert_eq!(verify(&flipped), Some(false), "{curve:?} byte {at}");
        }

        // s and n - s are both signatures: ECDSA has two, and JWS forbids neither.
        let (r, s) = signature.split_at(half);
        let order = order(curve);
        let other = subtract(&order, s);
        assert_eq!(verify(&[r, &other].concat()), Some(true), "{curve:?}");

        let zero = vec![0; half];
        let most = vec![0xff; half];
        for (r, s) in [
            (&*zero, &*zero),
            (&zero, s),
            (r, &zero),
            (&order, &order),
            (r, &order),
            (&most, &most),
        ] {
            assert_eq!(verify(&[r, s].concat()), Some(false), "{curve:?}");
        }
        let mut off = point.to_vec();
        off[2 * half] ^= 1;
        for off in [&*off, &vec![4; 1 + 2 * half], &vec![0; 1 + 2 * half]] {
            assert_eq!(ecdsa(curve, off, MESSAGE, signature), None, "{curve:?}");
        }
        let (x, y) = point[1..].split_at(half);
        let key = PublicKey::ecdsa(curve, x, y).unwrap();
        assert!(key.verify(MESSAGE, signature));
        assert!(!key.verify(MESSAGE, &signature[..2 * half - 1]));
        assert!(!key.verify(MESSAGE, &[signature, &[0]].concat()));
        for (x, y) in [(&x[1..], y), (x, &y[1..])] {
            assert_eq!(
                PublicKey::ecdsa(curve, x, y).err(),
                Some(KeyFault::Invalid),
                "{curve:?}"
            );
        }
    }
}

/// The order of the base point: SEC 2 version 2, sections 2.4.1, 2.4.2, 2.5.1 and 2.6.1.
fn order(curve: Curve) -> Vec<u8> {
    let digits = match curve {
        Curve::P256 => "ffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551",
        Curve::Secp256k1 => "fffffffffffffffffffffffffffffffebaaedce6af48a03bbfd25e8cd0364141",
        Curve::P384 => {
            "ffffffffffffffffffffffffffffffffffffffffffffffffc7634d81f4372ddf\
             581a0db248b0a77aecec196accc52973"
        }
        Curve::P521 => {
            "01fffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffa\
             51868783bf2f966b7fcc0148f709a5d03bb5c9b8899c47aebb6fb71e91386409"
        }
    };
    (0..digits.len())
        .step_by(2)
        .map(|at| u8::from_str_radix(&digits[at..at + 2], 16).expect("hexadecimal"))
        .collect()
}

fn subtract(from: &[u8], what: &[u8]) -> Vec<u8> {
    let mut difference = vec![0; from.len()];
    let mut borrow = false;
    for at in (0..from.len()).rev() {
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
        let sec1 = [&[4], &point[..], &start].concat();
        for curve in [Curve::P256, Curve::Secp256k1] {
            prop_assert_ne!(ecdsa(curve, &sec1, &message, &signature), Some(true));
        }
    }
}
