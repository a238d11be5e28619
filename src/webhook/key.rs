//! What deliveries are verified with, read from the text that the provider shows.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use super::{
    encoding::key_from_hex,
    format::SecretFormat,
    scheme::{Proof, WebhookScheme},
};
use crate::{
    config::ConfigError,
    crypto::{
        Curve, PublicKey,
        mac::{MacHash, MacKey},
    },
    secret::Secret,
};

/// How a public key of P-256 begins as a SubjectPublicKeyInfo in DER (RFC 5480): all but its coordinates.
pub(super) const P256_INFO: [u8; 27] = [
    0x30, 0x59, 0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01, 0x06, 0x08, 0x2a,
    0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07, 0x03, 0x42, 0x00, 0x04,
];

/// One key of a verifier.
pub(super) enum Key {
    Mac(Box<MacKey>),
    Ed25519(PublicKey),
    EcdsaP256(PublicKey),
    /// The field itself.
    Bearer(Secret),
}

impl Key {
    pub(super) fn read(scheme: &WebhookScheme, secret: &Secret) -> Result<Self, ConfigError> {
        let text = secret.expose();
        if text.trim_ascii().is_empty() {
            return Err(wrong(secret, "must not be empty"));
        }
        match scheme.proof {
            Proof::Mac(hash) => {
                let bytes = secret_bytes(scheme.secrets, secret)?;
                Ok(Self::Mac(Box::new(MacKey::new(hash, &bytes))))
            }
            Proof::Standard => match text.strip_prefix(b"whpk_") {
                Some(public) => ed25519(public, secret).map(Self::Ed25519),
                None if text.starts_with(b"whsk_") => {
                    let expected = "is a private key: a verifier needs the public key (whpk_)";
                    Err(wrong(secret, expected))
                }
                None => standard_secret(scheme, secret)
                    .map(|bytes| Self::Mac(Box::new(MacKey::new(MacHash::Sha256, &bytes)))),
            },
            Proof::Ed25519 => ed25519(text, secret).map(Self::Ed25519),
            Proof::EcdsaP256 => p256(text, secret).map(Self::EcdsaP256),
            Proof::Bearer => secret_bytes(SecretFormat::Text, secret)
                .map(|bytes| Self::Bearer(Secret::new(bytes.as_slice()))),
        }
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Mac(_) => "Mac(..)",
            Self::Ed25519(_) => "Ed25519(..)",
            Self::EcdsaP256(_) => "EcdsaP256(..)",
            Self::Bearer(_) => "Bearer(..)",
        })
    }
}

/// The error about a secret, which tells its length and no more.
pub(super) fn wrong(secret: &Secret, expected: &'static str) -> ConfigError {
    ConfigError::new("secret", format!("{} bytes", secret.len()), expected)
}

/// The key that a secret of the format stands for.
pub(super) fn secret_bytes(
    format: SecretFormat,
    secret: &Secret,
) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let text = secret.expose();
    let (bytes, expected) = match format {
        SecretFormat::Bytes => (Some(text.to_vec()), ""),
        SecretFormat::Text => (
            (text.trim_ascii().len() == text.len()).then(|| text.to_vec()),
            "must not begin or end with white space: it was copied along",
        ),
        SecretFormat::Hex => (key_from_hex(text), "must be hexadecimal"),
        SecretFormat::Base64 => (from_base64(text), "must be base64"),
    };
    let bytes = bytes.map(Zeroizing::new);
    match bytes {
        Some(bytes) if !bytes.is_empty() => Ok(bytes),
        Some(_) => Err(wrong(secret, "must not be empty")),
        None => Err(wrong(secret, expected)),
    }
}

/// The key behind `whsec_`, which may be left out; of a length that the scheme allows.
pub(super) fn standard_secret(
    scheme: &WebhookScheme,
    secret: &Secret,
) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
    let bytes = match scheme.secrets {
        SecretFormat::Base64 => {
            let text = secret.expose();
            let bytes = from_base64(text.strip_prefix(b"whsec_").unwrap_or(text));
            let expected = "must be base64, after `whsec_`";
            Zeroizing::new(bytes.ok_or_else(|| wrong(secret, expected))?)
        }
        format => secret_bytes(format, secret)?,
    };
    match (bytes.len(), scheme.secret_length) {
        (0, _) => Err(wrong(secret, "must not be empty")),
        (length, Some((least, most))) if !(least..=most).contains(&length) => {
            let expected = format!("must stand for {least} to {most} bytes");
            Err(ConfigError::new(
                "secret",
                format!("{length} bytes"),
                expected,
            ))
        }
        _ => Ok(bytes),
    }
}

/// Base64 with or without its padding.
pub(super) fn from_base64(text: &[u8]) -> Option<Vec<u8>> {
    let mut padded = Zeroizing::new(text.to_vec());
    while !padded.len().is_multiple_of(4) && padded.len() < text.len() + 3 {
        padded.push(b'=');
    }
    STANDARD.decode(&*padded).ok()
}

/// A public key of 32 bytes, in hexadecimal or base64.
fn ed25519(text: &[u8], secret: &Secret) -> Result<PublicKey, ConfigError> {
    let expected =
        "must be an Ed25519 public key: 32 bytes in hexadecimal, or in base64 after `whpk_`";
    let text = text.strip_prefix(b"whpk_").unwrap_or(text);
    let bytes = match text.len() {
        64 => key_from_hex(text),
        _ => from_base64(text),
    };
    let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    bytes
        .and_then(|bytes| PublicKey::ed25519(&bytes).ok())
        .ok_or_else(|| wrong(secret, expected))
}

/// A SubjectPublicKeyInfo, in base64 or in PEM.
fn p256(text: &[u8], secret: &Secret) -> Result<PublicKey, ConfigError> {
    let expected = "must be a P-256 public key: a SubjectPublicKeyInfo in base64 or PEM";
    let unarmoured: Vec<u8> = text
        .split(|byte| *byte == b'\n')
        .filter(|line| !line.starts_with(b"-----"))
        .flat_map(|line| {
            line.iter()
                .copied()
                .filter(|byte| !byte.is_ascii_whitespace())
        })
        .collect();
    let der = from_base64(&unarmoured);
    let point = der.as_deref().and_then(|der| der.strip_prefix(&P256_INFO));
    point
        .filter(|point| point.len() == 64)
        .and_then(|point| PublicKey::ecdsa(Curve::P256, &point[..32], &point[32..]).ok())
        .ok_or_else(|| wrong(secret, expected))
}
