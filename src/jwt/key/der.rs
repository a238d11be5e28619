//! Public keys in PEM (RFC 7468) and DER: SubjectPublicKeyInfo (RFC 5280 section 4.1), the one within a
//! certificate (the same section), and, for RSA, RSAPublicKey (RFC 8017 appendix A.1.1).

use std::borrow::Cow;

use base64::{Engine, engine::general_purpose::STANDARD_NO_PAD};
use pem_rfc7468::Decoder;
use serde_json::Value;
use spki::{
    ObjectIdentifier, SubjectPublicKeyInfoRef,
    der::{
        self, Decode, Reader, SliceReader,
        asn1::{AnyRef, UintRef},
    },
};
use zeroize::Zeroizing;

use super::{KeyError, KeyErrorKind, error::shown, numbers::Numbers};
use crate::{crypto::Curve, jwt::json};

const RSA_ENCRYPTION: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.113549.1.1.1");
const EC_PUBLIC_KEY: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
const PRIME256V1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.840.10045.3.1.7");
const SECP384R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.34");
const SECP521R1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.35");
const SECP256K1: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.132.0.10");
const ED25519: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.3.101.112");

/// What a DER text is, by the label of its PEM block.
pub(super) enum Form {
    RsaPublicKey,
    SubjectPublicKeyInfo,
    Certificate,
}

/// The DER within the first PEM block of the text, and what it is.
pub(super) fn unarmour(pem: &[u8]) -> Result<(Vec<u8>, Form), KeyError> {
    let broken = |_| KeyError::malformed("not a PEM block (RFC 7468)");
    let mut decoder = Decoder::new_detect_wrap(first_block(pem)).map_err(broken)?;
    let form = match decoder.type_label() {
        "PUBLIC KEY" => Form::SubjectPublicKeyInfo,
        "RSA PUBLIC KEY" => Form::RsaPublicKey,
        // The second name is OpenSSL's old one.
        "CERTIFICATE" | "X509 CERTIFICATE" => Form::Certificate,
        label if label.ends_with("PRIVATE KEY") => return Err(private()),
        label => {
            let label = shown(label);
            return Err(KeyError::new(
                KeyErrorKind::Unsupported,
                format!("expected PUBLIC KEY, RSA PUBLIC KEY or CERTIFICATE, found {label}"),
            ));
        }
    };
    let mut der = Vec::new();
    decoder.decode_to_end(&mut der).map_err(broken)?;
    Ok((der, form))
}

/// The text up to the end of its first PEM block: what follows, in a chain of certificates say, is not read.
fn first_block(pem: &[u8]) -> &[u8] {
    const END: &[u8] = b"-----END ";
    const DASHES: &[u8] = b"-----";
    let find = |text: &[u8], what: &[u8]| text.windows(what.len()).position(|own| own == what);
    let end = find(pem, END).and_then(|at| {
        let label = at + END.len();
        Some(label + find(&pem[label..], DASHES)? + DASHES.len())
    });
    end.map_or(pem, |end| &pem[..end])
}

/// Whether the bytes are a public key in a form that others hand out: as a secret they would be known to
/// everyone.
pub(super) fn is_public_key(bytes: &[u8]) -> bool {
    // What editors put around a text.
    let text = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let text = text.trim_ascii();
    is_pem(bytes)
        || text.starts_with(b"ssh-")
        || text.starts_with(b"ecdsa-sha2-")
        || is_der(bytes)
        || is_der(text)
        || is_in_base64(bytes)
        || is_public_jwk(text)
}

const BYTE_ORDER_MARK: &[u8] = "\u{feff}".as_bytes();

fn is_pem(bytes: &[u8]) -> bool {
    bytes.windows(11).any(|window| window == b"-----BEGIN ")
}

fn is_der(bytes: &[u8]) -> bool {
    SubjectPublicKeyInfoRef::from_der(bytes).is_ok()
        || info_of_certificate(bytes).is_ok()
        || rsa_public_key(bytes).is_ok()
}

/// What is between the lines of a PEM, as some identity providers show their keys, in either alphabet and
/// padded or not; or a whole PEM made fit for a variable of the environment.
fn is_in_base64(text: &[u8]) -> bool {
    // A secret may be read here: what it is copied to is never moved, and wiped.
    let mut characters = Zeroizing::new(Vec::with_capacity(text.len()));
    characters.extend(text.iter().filter_map(|character| match character {
        b'-' => Some(b'+'),
        b'_' => Some(b'/'),
        b'+' | b'/' => Some(*character),
        other => other.is_ascii_alphanumeric().then_some(*other),
    }));
    let mut bytes = Zeroizing::new(vec![0; base64::decoded_len_estimate(characters.len())]);
    STANDARD_NO_PAD
        .decode_slice(&*characters, &mut bytes)
        .is_ok_and(|length| is_der(&bytes[..length]) || is_pem(&bytes[..length]))
}

/// A JWK of no secret, or several: sets are published.
fn is_public_jwk(text: &[u8]) -> bool {
    fn is_public(jwk: &Value) -> bool {
        match jwk {
            Value::Array(several) => several.iter().any(is_public),
            one => one.get("keys").is_some() || one.get("kty").is_some_and(|kty| kty != "oct"),
        }
    }
    json::read(text).is_some_and(|jwk| is_public(&jwk))
}

/// Reads a key in whichever of the three forms it is.
pub(super) fn read(der: &[u8]) -> Result<Numbers<'_>, KeyError> {
    if let Ok(numbers) = rsa_public_key(der) {
        return Ok(numbers);
    }
    match info_of_certificate(der) {
        Ok(info) => numbers_of(info),
        Err(_) => subject_public_key_info(der),
    }
}

/// Reads a SubjectPublicKeyInfo.
pub(super) fn subject_public_key_info(der: &[u8]) -> Result<Numbers<'_>, KeyError> {
    let info = SubjectPublicKeyInfoRef::from_der(der)
        .map_err(|_| KeyError::malformed("not a SubjectPublicKeyInfo in DER (RFC 5280)"))?;
    numbers_of(info)
}

/// Reads the key within a certificate.
pub(super) fn certificate(der: &[u8]) -> Result<Numbers<'_>, KeyError> {
    let info = info_of_certificate(der)
        .map_err(|_| KeyError::malformed("not a certificate in DER (RFC 5280)"))?;
    numbers_of(info)
}

/// The SubjectPublicKeyInfo of a certificate. What else stands in it is passed over, its signature too.
fn info_of_certificate(der: &[u8]) -> der::Result<SubjectPublicKeyInfoRef<'_>> {
    let mut reader = SliceReader::new(der)?;
    let info = reader.sequence(|certificate| {
        let info = certificate.sequence(|body| {
            let first: AnyRef<'_> = body.decode()?;
            // Before the key: a version that may be missing, serial, signature, issuer, validity, subject.
            let rest = match der::Tagged::tag(&first).is_context_specific() {
                true => 5,
                false => 4,
            };
            for _ in 0..rest {
                body.decode::<AnyRef<'_>>()?;
            }
            let info = body.decode()?;
            while !body.is_finished() {
                body.decode::<AnyRef<'_>>()?;
            }
            Ok::<_, der::Error>(info)
        })?;
        let (_algorithm, _signature): (AnyRef<'_>, AnyRef<'_>) =
            (certificate.decode()?, certificate.decode()?);
        Ok::<_, der::Error>(info)
    })?;
    reader.finish()?;
    Ok(info)
}

fn numbers_of(info: SubjectPublicKeyInfoRef<'_>) -> Result<Numbers<'_>, KeyError> {
    let bits = info.subject_public_key.as_bytes();
    let bits = bits.ok_or_else(|| KeyError::malformed("the key is not whole bytes"))?;
    let parameters = info.algorithm.parameters;
    match info.algorithm.oid {
        RSA_ENCRYPTION if parameters.is_none_or(|any| any.is_null()) => rsa_public_key(bits),
        EC_PUBLIC_KEY => {
            match parameters.and_then(|any| any.decode_as::<ObjectIdentifier>().ok()) {
                Some(PRIME256V1) => point(Curve::P256, bits),
                Some(SECP384R1) => point(Curve::P384, bits),
                Some(SECP521R1) => point(Curve::P521, bits),
                Some(SECP256K1) => point(Curve::Secp256k1, bits),
                _ => Err(unsupported(
                    "an elliptic curve other than P-256, P-384, P-521 and secp256k1",
                )),
            }
        }
        ED25519 if parameters.is_none() => bits
            .try_into()
            .map(Numbers::Ed25519)
            .map_err(|_| KeyError::malformed("an Ed25519 key has 32 bytes")),
        RSA_ENCRYPTION | ED25519 => Err(KeyError::malformed("the algorithm has wrong parameters")),
        _ => Err(unsupported(
            "a kind of key other than RSA, ECDSA and Ed25519",
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

fn point(curve: Curve, bits: &[u8]) -> Result<Numbers<'_>, KeyError> {
    let length = curve.length();
    match bits {
        [4, coordinates @ ..] if coordinates.len() == 2 * length => {
            let (x, y) = coordinates.split_at(length);
            let (x, y) = (Cow::Borrowed(x), Cow::Borrowed(y));
            Ok(Numbers::Ec { curve, x, y })
        }
        [2 | 3, x @ ..] if x.len() == length => Err(unsupported("a compressed point")),
        _ => Err(KeyError::malformed("not a point of its curve (SEC 1)")),
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
