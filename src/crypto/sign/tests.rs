//! The backends sign alike.

use super::{Hash, aws_lc, rust_crypto};
use crate::crypto::{Curve, PublicKey};

const CURVES: [Curve; 4] = [Curve::P256, Curve::P384, Curve::P521, Curve::Secp256k1];

#[test]
fn the_backends_make_the_same_keys_tags_and_signatures() {
    for byte in 1..40 {
        let scalar = [byte; 32];
        let message = vec![byte; usize::from(byte) * 7];
        for hash in [Hash::Sha256, Hash::Sha384, Hash::Sha512] {
            let (one, two) = (
                aws_lc::Signer::hmac(hash, &scalar).sign(&message),
                rust_crypto::Signer::hmac(hash, &scalar).sign(&message),
            );
            assert_eq!(one, two);
            assert_eq!(one.map(|tag| tag.len()), Some(hash.length()));
        }
        let (one, two) = (
            aws_lc::Mac::new(&scalar).tag(&[&message, b"x"]),
            rust_crypto::Mac::new(&scalar).tag(&[&message, b"x"]),
        );
        assert_eq!(one, two);

        let (one, one_point) = aws_lc::Signer::ed25519(&scalar).expect("a key");
        let (two, two_point) = rust_crypto::Signer::ed25519(&scalar).expect("a key");
        assert_eq!(one_point, two_point);
        assert_eq!(one.sign(&message), two.sign(&message));

        for curve in CURVES {
            let mut scalar = vec![byte; curve.length()];
            // P-521 has one bit in its first byte.
            scalar[0] %= 2;
            let (one, one_point) = aws_lc::Signer::ecdsa(curve, &scalar).expect("a key");
            let (two, two_point) = rust_crypto::Signer::ecdsa(curve, &scalar).expect("a key");
            assert_eq!(one_point, two_point);
            let (x, y) = one_point[1..].split_at(curve.length());
            let public = PublicKey::ecdsa(curve, x, y).expect("a point");
            for signature in [one.sign(&message), two.sign(&message)] {
                assert!(public.verify(&message, &signature.expect("a signature")));
            }
        }
    }
}

#[test]
fn scalars_that_are_none_are_refused_by_both() {
    for curve in CURVES {
        for byte in [0, 0xff] {
            let scalar = vec![byte; curve.length()];
            assert!(aws_lc::Signer::ecdsa(curve, &scalar).is_none());
            assert!(rust_crypto::Signer::ecdsa(curve, &scalar).is_none());
        }
    }
}
