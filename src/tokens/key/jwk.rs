//! Private keys and secrets as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037 section 2).

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{Numbers, SigningKey, unsound};
use crate::{
    config::ConfigError,
    crypto::RsaNumbers,
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
        let curve = self.text("crv")?;
        let key = match (self.text("kty")?, curve) {
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
            (Some("EC"), Some("P-256")) => {
                let mut public = [4; 65];
                public[1..33].copy_from_slice(&*self.coordinate("x")?);
                public[33..].copy_from_slice(&*self.coordinate("y")?);
                let numbers = Numbers::P256 {
                    scalar: *self.coordinate("d")?,
                    public: Some(public),
                };
                SigningKey::of_numbers(named.unwrap_or(Algorithm::Es256), numbers)
            }
            (Some("OKP"), Some("Ed25519")) => {
                let numbers = Numbers::Ed25519 {
                    seed: *self.coordinate("d")?,
                    public: Some(*self.coordinate("x")?),
                };
                SigningKey::of_numbers(named.unwrap_or(Algorithm::Ed25519), numbers)
            }
            _ => Err(unsound(
                "another kind of key",
                "must be an RSA, P-256 or Ed25519 private key or a secret",
            )),
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

    fn coordinate(&self, name: &'static str) -> Result<Zeroizing<[u8; 32]>, ConfigError> {
        match self.bytes(name)?.as_slice().try_into() {
            Ok(bytes) => Ok(Zeroizing::new(bytes)),
            Err(_) => Err(unsound(name, "must have 32 bytes")),
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
