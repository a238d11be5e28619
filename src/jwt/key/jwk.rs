//! Public keys and secrets as JSON Web Keys (RFC 7517, RFC 7518 section 6, RFC 8037, RFC 8812).

use std::borrow::Cow;

use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::{
    KeyError, KeyErrorKind, der,
    error::shown,
    numbers::{self, Numbers},
};
use crate::jwt::{Algorithm, base64url};

/// Of RSA keys, each of the primes is the whole key (RFC 7518 section 6.3.2).
fn is_private(kty: &str, members: &Map<String, Value>) -> bool {
    let has = |name: &&str| members.contains_key(*name);
    let rsa = ["p", "q", "dp", "dq", "qi", "oth"];
    kty != "oct" && has(&"d") || kty == "RSA" && rsa.iter().any(has)
}

/// A JWK that may verify.
pub(super) struct Jwk {
    pub(super) content: Content,
    pub(super) kid: Option<String>,
    /// What its `alg` says.
    pub(super) algorithm: Option<Algorithm>,
}

pub(super) enum Content {
    Secret(Zeroizing<Vec<u8>>),
    Public(Numbers<'static>),
}

/// Reads a JWK; members of no meaning here (`x5c`, `x5t`, and what nobody knows) are passed over.
pub(super) fn read(jwk: &Value) -> Result<Jwk, KeyError> {
    let Value::Object(members) = jwk else {
        return Err(KeyError::malformed("a JWK is a JSON object"));
    };
    let kty = required(members, "kty")?;
    check_purpose(members)?;
    let name = optional(members, "alg")?;
    let algorithm = match name {
        None => None,
        Some(name) => Some(Algorithm::from_name(name).ok_or_else(|| unsupported("alg", name))?),
    };
    if is_private(kty, members) {
        return Err(der::private());
    }
    let content = match kty {
        "oct" => {
            let secret = bytes(members, "k")?;
            Content::Secret(Zeroizing::new(secret))
        }
        "RSA" => Content::Public(Numbers::Rsa {
            n: number(members, "n")?,
            e: number(members, "e")?,
        }),
        "EC" => {
            let name = required(members, "crv")?;
            let curve = numbers::curve(name).ok_or_else(|| unsupported("crv", name))?;
            let coordinate = |name| coordinate(members, name, curve.length()).map(Cow::Owned);
            Content::Public(Numbers::Ec {
                curve,
                x: coordinate("x")?,
                y: coordinate("y")?,
            })
        }
        "OKP" => match required(members, "crv")? {
            "Ed25519" => {
                let point = bytes(members, "x")?.try_into();
                let point = point.map_err(|_| wrong_length("x", 32))?;
                Content::Public(Numbers::Ed25519(point))
            }
            other => return Err(unsupported("crv", other)),
        },
        other => return Err(unsupported("kty", other)),
    };
    Ok(Jwk {
        content,
        // One that is no string is no id that a token could name; the key is none the worse for it.
        kid: members
            .get("kid")
            .and_then(Value::as_str)
            .map(str::to_owned),
        algorithm,
    })
}

/// Refuses a key that its publisher means for something else.
fn check_purpose(members: &Map<String, Value>) -> Result<(), KeyError> {
    let other = |what| Err(KeyError::new(KeyErrorKind::NotForVerification, what));
    if optional(members, "use")?.is_some_and(|purpose| purpose != "sig") {
        return other("its use is not sig (RFC 7517 section 4.2)");
    }
    let Some(operations) = members.get("key_ops") else {
        return Ok(());
    };
    let operations = operations
        .as_array()
        .filter(|list| list.iter().all(Value::is_string));
    let Some(operations) = operations else {
        return Err(KeyError::malformed("key_ops is a list of strings"));
    };
    if (1..operations.len()).any(|at| operations[..at].contains(&operations[at])) {
        return Err(KeyError::malformed("key_ops names an operation twice"));
    }
    if !operations.iter().any(|operation| operation == "verify") {
        return other("its key_ops lack verify (RFC 7517 section 4.3)");
    }
    Ok(())
}

fn optional<'m>(members: &'m Map<String, Value>, name: &str) -> Result<Option<&'m str>, KeyError> {
    match members.get(name) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text)),
        Some(_) => Err(KeyError::malformed(format!("{name} is not a string"))),
    }
}

fn required<'m>(members: &'m Map<String, Value>, name: &str) -> Result<&'m str, KeyError> {
    optional(members, name)?.ok_or_else(|| KeyError::malformed(format!("{name} is missing")))
}

fn bytes(members: &Map<String, Value>, name: &str) -> Result<Vec<u8>, KeyError> {
    base64url::decode(required(members, name)?)
        .ok_or_else(|| KeyError::malformed(format!("{name} is not base64url without padding")))
}

/// A big-endian number. RFC 7518 section 6.3.1.1 knows of writers that put a zero before it; it says nothing.
fn number(members: &Map<String, Value>, name: &str) -> Result<Cow<'static, [u8]>, KeyError> {
    let mut number = bytes(members, name)?;
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    number.drain(..zeros);
    Ok(Cow::Owned(number))
}

/// RFC 7518 section 6.2.1.2: of the curve's length, with the zeros in front.
fn coordinate(
    members: &Map<String, Value>,
    name: &str,
    length: usize,
) -> Result<Vec<u8>, KeyError> {
    let bytes = bytes(members, name)?;
    match bytes.len() == length {
        true => Ok(bytes),
        false => Err(wrong_length(name, length)),
    }
}

fn wrong_length(name: &str, length: usize) -> KeyError {
    KeyError::malformed(format!("{name} does not have {length} bytes"))
}

fn unsupported(member: &str, value: &str) -> KeyError {
    let value = shown(value);
    KeyError::new(
        KeyErrorKind::Unsupported,
        format!("{member} {value} is not supported"),
    )
}
