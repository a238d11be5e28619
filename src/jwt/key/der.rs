//! Public keys in PEM (RFC 7468) and DER: SubjectPublicKeyInfo (RFC 5280 section 4.1) and, for RSA,
//! RSAPublicKey (RFC 8017 appendix A.1.1).

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD};
use pem_rfc7468::Decoder;
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{self, Decode, Reader, SliceReader, asn1::UintRef},
};
use zeroize::Zeroizing;

use super::{KeyError, KeyErrorKind, error::shown, numbers::Numbers};
use crate::jwt::json;

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// The DER within the first PEM block of the text, and whether it is an `RSA PUBLIC KEY`.
pub(super) fn unarmour(pem: &[u8]) -> Result<(Vec<u8>, bool), KeyError> {
    let broken = |_| KeyError::malformed("not a PEM block (RFC 7468)");
    let mut decoder = Decoder::new_detect_wrap(pem).map_err(broken)?;
    let pkcs1 = match decoder.type_label() {
        "PUBLIC KEY" => false,
        "RSA PUBLIC KEY" => true,
        label if label.ends_with("PRIVATE KEY") => return Err(private()),
        label => {
            let label = shown(label);
            return Err(KeyError::new(
                KeyErrorKind::Unsupported,
                format!("expected PUBLIC KEY or RSA PUBLIC KEY, found {label}"),
            ));
        }
    };
    let mut der = Vec::new();
    decoder.decode_to_end(&mut der).map_err(broken)?;
    Ok((der, pkcs1))
}

/// Whether the bytes are a public key in a form that others hand out: as a secret they would be known to
/// everyone.
pub(super) fn is_public_key(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
        || is_der(bytes)
        || is_der_in_base64(bytes)
        || is_public_jwk(bytes)
}

fn is_der(bytes: &[u8]) -> bool {
    SubjectPublicKeyInfoRef::from_der(bytes).is_ok() || rsa_public_key(bytes).is_ok()
}

/// What is between the lines of a PEM, as some identity providers show their keys.
fn is_der_in_base64(text: &[u8]) -> bool {
    let characters = text.iter().copied().filter(|c| !c.is_ascii_whitespace());
    let characters = Zeroizing::new(characters.collect::<Vec<u8>>());
    let bytes = STANDARD.decode(&*characters).map(Zeroizing::new);
    bytes.is_ok_and(|bytes| is_der(&bytes))
}

/// A JWK of no secret, or a set of JWKs: sets are published.
fn is_public_jwk(text: &[u8]) -> bool {
    json::read(text).is_some_and(|jwk| {
        jwk.get("keys").is_some() || jwk.get("kty").is_some_and(|kty| kty != "oct")
    })
}

/// Reads a SubjectPublicKeyInfo.
pub(super) fn subject_public_key_info(der: &[u8]) -> Result<Numbers<'_>, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(der)
        .map_err(|_| KeyError::malformed("not a SubjectPublicKeyInfo in DER (RFC 5280)"))?;
    let bits = info.subject_public_key.as_bytes();
    let bits = bits.ok_or_else(|| KeyError::malformed("the key is not whole bytes"))?;
    let parameters = info.algorithm.parameters;
    match info.algorithm.oid {
        RSA_ENCRYPTION if parameters.is_none_or(|any| any.is_null()) => rsa_public_key(bits),
        EC_PUBLIC_KEY => {
            let curve = parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok());
            if curve != Some(PRIME256V1) {
                return Err(unsupported("an elliptic curve other than P-256"));
            }
            p256_point(bits)
        }
        ED25519 if parameters.is_none() => bits
            .try_into()
            .map(Numbers::Ed25519)
            .map_err(|_| KeyError::malformed("an Ed25519 key has 32 bytes")),
        RSA_ENCRYPTION | ED25519 => Err(KeyError::malformed("the algorithm has wrong parameters")),
        _ => Err(unsupported(
            "a kind of key other than RSA, P-256 and Ed25519",
        )),
    }
}

/// Reads an RSAPublicKey.
pub(super) fn rsa_public_key(der: &[u8]) -> Result<Numbers<'_>, KeyError> {
    fn read(der: &[u8]) -> der::Result<(UintRef<'_>, UintRef<'_>)> {
        let mut reader = SliceReader::new(der)?;
        let numbers =
            reader.sequence(|inner| Ok::<_, der::Error>((inner.decode()?, inner.decode()?)))?;
        reader.finish()?;
        Ok(numbers)
    }
    let (n, e) =
        read(der).map_err(|_| KeyError::malformed("not an RSAPublicKey in DER (RFC 8017)"))?;
    Ok(Numbers::Rsa {
        n: Cow::Borrowed(n.as_bytes()),
        e: Cow::Borrowed(e.as_bytes()),
    })
}

fn p256_point(bits: &[u8]) -> Result<Numbers<'_>, KeyError> {
    match bits {
        [4, x @ ..] if x.len() == 64 => {
            let (mut first, mut second) = ([0; 32], [0; 32]);
            first.copy_from_slice(&x[..32]);
            second.copy_from_slice(&x[32..]);
            Ok(Numbers::P256 {
                x: first,
                y: second,
            })
        }
        [2 | 3, x @ ..] if x.len() == 32 => Err(unsupported("a compressed point")),
        _ => Err(KeyError::malformed("not a point of P-256 (SEC 1)")),
    }
}

pub(super) fn private() -> KeyError {
    KeyError::new(
        KeyErrorKind::Private,
        "a private key: give the public key to those who only verify",
    )
}

fn unsupported(what: &str) -> KeyError {
    KeyError::new(
        KeyErrorKind::Unsupported,
        format!("{what} is not supported"),
    )
}
