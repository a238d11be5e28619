//! Private keys and secrets as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Numbers, SigningKey, unsound};
use crate::{
    config::ConfigError,
    crypto::{Curve, RsaNumbers},
    jwt::{self, Algorithm},
};

pub(super) fn read(json: &[u8]) -> Result<SigningKey, ConfigError> {
    let Some(Value::Object(members)) = jwt::read_json(json) else {
        let expected = "must be a JSON object without duplicate members";
        return Err(unsound("malformed", expected));
    };
    let mut members = Members(members);
    let result = members.key();
    members.wipe();
    result
}

struct Members(Map<String, Value>);

impl Members {
    fn key(&self) -> Result<SigningKey, ConfigError> {
        self.check_purpose()?;
        let named = match self.text("alg")? {
            None => None,
            Some(name) => Some(
                Algorithm::from_name(name)
                    .ok_or_else(|| unsound(name, "must have an alg that this crate signs with"))?,
            ),
        };
        let curve_name = self.text("crv")?;
        let other = || {
            let expected = "must be an RSA, EC or Ed25519 private key or a secret";
            unsound("another kind of key", expected)
        };
        let key = match (self.text("kty")?, curve_name) {
            (Some("oct"), None) => {
                let secret = self.bytes("k")?;
                match named.unwrap_or(Algorithm::Hs256) {
                    Algorithm::Hs256 => SigningKey::hs256(secret.as_slice()),
                    Algorithm::Hs384 => SigningKey::hs384(secret.as_slice()),
                    Algorithm::Hs512 => SigningKey::hs512(secret.as_slice()),
                    other => Err(unsound("a secret", format!("must be a key for {other}"))),
                }
            }
            (Some("RSA"), None) => {
                let mut numbers = Vec::new();
                for name in ["n", "e", "d", "p", "q", "dp", "dq", "qi"] {
                    numbers.push(self.bytes(name)?);
                }
                let number = |at: usize| {
                    let bytes: &[u8] = &numbers[at];
                    let zeros = bytes.iter().take_while(|byte| **byte == 0).count();
                    &bytes[zeros..]
                };
                let numbers = RsaNumbers {
                    n: number(0),
                    e: number(1),
                    d: number(2),
                    p: number(3),
                    q: number(4),
                    dp: number(5),
                    dq: number(6),
                    qi: number(7),
                };
                let algorithm = named.unwrap_or(Algorithm::Rs256);
                SigningKey::of_numbers(algorithm, Numbers::Rsa(numbers))
            }
            (Some("EC"), Some(name)) => {
                let (curve, algorithm) = curve(name).ok_or_else(other)?;
                let coordinate = |name| self.coordinate(name, curve.length());
                let point = [&[4], &**coordinate("x")?, &**coordinate("y")?].concat();
                let numbers = Numbers::Ec {
                    curve,
                    scalar: &coordinate("d")?,
                    public: Some(point),
                };
                SigningKey::of_numbers(named.unwrap_or(algorithm), numbers)
            }
            (Some("OKP"), Some("Ed25519")) => {
                let number = |name| {
                    let bytes = self.coordinate(name, 32)?;
                    bytes.as_slice().try_into().map_err(|_| other())
                };
                let numbers = Numbers::Ed25519 {
                    seed: number("d")?,
                    public: Some(number("x")?),
                };
                SigningKey::of_numbers(named.unwrap_or(Algorithm::Ed25519), numbers)
            }
            _ => Err(other()),
        }?;
        Ok(match self.text("kid")? {
            Some(kid) => key.kid(kid),
            None => key,
        })
    }

    /// RFC 7517 sections 4.2 and 4.3.
    fn check_purpose(&self) -> Result<(), ConfigError> {
        let signs = match self.0.get("key_ops") {
            None => true,
            Some(Value::Array(operations)) => operations.iter().any(|one| one == "sign"),
            Some(_) => false,
        };
        match self.text("use")?.is_none_or(|purpose| purpose == "sig") && signs {
            true => Ok(()),
            false => Err(unsound(
                "not for signing",
                "must be for signing (use, key_ops)",
            )),
        }
    }

    fn text(&self, name: &'static str) -> Result<Option<&str>, ConfigError> {
        match self.0.get(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(unsound(name, "must be a string")),
        }
    }

    fn bytes(&self, name: &'static str) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let text = self.text(name)?.unwrap_or_default();
        match URL_SAFE_NO_PAD.decode(text) {
            Ok(bytes) if !bytes.is_empty() => Ok(Zeroizing::new(bytes)),
            _ => Err(unsound(name, "must be base64url without padding")),
        }
    }

    /// RFC 7518 sections 6.2.1.2 and 6.2.2.1: as long as the curve's numbers are, whatever its value.
    fn coordinate(
        &self,
        name: &'static str,
        length: usize,
    ) -> Result<Zeroizing<Vec<u8>>, ConfigError> {
        let bytes = self.bytes(name)?;
        match bytes.len() == length {
            true => Ok(bytes),
            false => Err(unsound(name, format!("must have {length} bytes"))),
        }
    }

    /// What was read of the key is not left in memory.
    fn wipe(&mut self) {
        for value in self.0.values_mut() {
            if let Value::String(text) = value {
                zeroize::Zeroize::zeroize(text);
            }
        }
    }
}

/// The curve of that name, and what is signed with on it.
fn curve(name: &str) -> Option<(Curve, Algorithm)> {
    Some(match name {
        "P-256" => (Curve::P256, Algorithm::Es256),
        "P-384" => (Curve::P384, Algorithm::Es384),
        "P-521" => (Curve::P521, Algorithm::Es512),
        "secp256k1" => (Curve::Secp256k1, Algorithm::Es256k),
        _ => return None,
    })
}

/// The curve's name (RFC 7518 section 6.2.1.1, RFC 8812 section 3.1).
pub(super) fn name(curve: Curve) -> &'static str {
    match curve {
        Curve::P256 => "P-256",
        Curve::P384 => "P-384",
        Curve::P521 => "P-521",
        Curve::Secp256k1 => "secp256k1",
    }
}
