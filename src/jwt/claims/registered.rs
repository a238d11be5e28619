//! The claims that have a meaning in RFC 7519 and RFC 8693, read once.

use std::{borrow::Cow, fmt, time::Duration};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Number, Value};

use super::plain;
use crate::jwt::{
    error::{JwtError, JwtErrorKind},
    json::{self, Strict, Text},
};

/// The last second that a claim may name, 9999-12-31T23:59:59Z: the last that RFC 3339 can write. What lies
/// beyond it is no time but a mistake (milliseconds, mostly), and would make a token that never expires.
const LAST_SECOND: u64 = 253_402_300_799;

/// A moment, and the number it was written as.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::jwt) struct NumericDate {
    pub(in crate::jwt) since_epoch: Duration,
    pub(super) written: Number,
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Audience {
    One(String),
    Many(Vec<String>),
}

impl Audience {
    pub(super) fn as_slice(&self) -> &[String] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq)]
pub(in crate::jwt) struct Registered {
    pub(in crate::jwt) iss: Option<String>,
    pub(in crate::jwt) sub: Option<String>,
    pub(super) aud: Option<Audience>,
    pub(in crate::jwt) exp: Option<NumericDate>,
    pub(in crate::jwt) nbf: Option<NumericDate>,
    pub(in crate::jwt) iat: Option<NumericDate>,
    pub(super) jti: Option<String>,
    pub(super) scope: Option<String>,
}

/// A payload that was read.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Payload {
    pub(super) registered: Registered,
    pub(super) other: Map<String, Value>,
    /// A claim that is not of its type.
    fault: Option<&'static str>,
}

/// A member stands twice.
pub(super) struct Twice;

impl Payload {
    /// Reads a payload; a claim of a wrong type is malformed and never taken for absent.
    pub(super) fn read(json: &[u8]) -> Result<Self, JwtError> {
        let text = str::from_utf8(json).map_err(|_| JwtErrorKind::ClaimsMalformed)?;
        let payload = plain::read(text)
            .or_else(|| Self::read_general(text))
            .ok_or(JwtErrorKind::ClaimsMalformed)?;
        match payload.fault {
            Some(claim) => Err(JwtError::of_claim(JwtErrorKind::ClaimsMalformed, claim)),
            None => Ok(payload),
        }
    }

    /// Reads whatever is a JSON object without duplicate members.
    pub(super) fn read_general(text: &str) -> Option<Self> {
        json::read_as(text.as_bytes())
    }

    /// Puts a claim where it belongs.
    pub(super) fn add<'n>(
        &mut self,
        name: impl Into<Cow<'n, str>>,
        value: Value,
    ) -> Result<(), Twice> {
        let claims = &mut self.registered;
        let name = name.into();
        let (name, placed) = match &*name {
            "iss" => ("iss", place(&mut claims.iss, string(value))),
            "sub" => ("sub", place(&mut claims.sub, string(value))),
            "aud" => ("aud", place(&mut claims.aud, audience(value))),
            "exp" => ("exp", place(&mut claims.exp, date(value))),
            "nbf" => ("nbf", place(&mut claims.nbf, date(value))),
            "iat" => ("iat", place(&mut claims.iat, date(value))),
            "jti" => ("jti", place(&mut claims.jti, string(value))),
            "scope" if value.is_string() => ("scope", place(&mut claims.scope, string(value))),
            _ => match self.other.insert(name.into_owned(), value) {
                None => return Ok(()),
                Some(_) => return Err(Twice),
            },
        };
        match placed {
            Placed::Well => Ok(()),
            Placed::Twice => Err(Twice),
            Placed::WrongType => {
                self.fault = Some(name);
                Ok(())
            }
        }
    }

    /// The payload, when all its members were added.
    pub(super) fn finish(self) -> Option<Self> {
        // One of them is a string, the other is not.
        let has_two_scopes = self.registered.scope.is_some() && self.other.contains_key("scope");
        (!has_two_scopes).then_some(self)
    }
}

impl<'de> Deserialize<'de> for Payload {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(Reader)
    }
}

struct Reader;

impl<'de> Visitor<'de> for Reader {
    type Value = Payload;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a set of claims")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Payload, A::Error> {
        let twice = || A::Error::custom("duplicate member");
        let mut payload = Payload::default();
        while let Some(Text(name)) = members.next_key()? {
            let Strict(value) = members.next_value()?;
            payload.add(name, value).map_err(|Twice| twice())?;
        }
        payload.finish().ok_or_else(twice)
    }
}

enum Placed {
    Well,
    Twice,
    WrongType,
}

fn place<T>(slot: &mut Option<T>, value: Option<T>) -> Placed {
    match value {
        None => Placed::WrongType,
        value if slot.is_none() => {
            *slot = value;
            Placed::Well
        }
        Some(_) => Placed::Twice,
    }
}

fn string(value: Value) -> Option<String> {
    match value {
        Value::String(text) => Some(text),
        _ => None,
    }
}

fn audience(value: Value) -> Option<Audience> {
    match value {
        Value::Array(items) => items
            .into_iter()
            .map(string)
            .collect::<Option<_>>()
            .map(Audience::Many),
        one => string(one).map(Audience::One),
    }
}

/// RFC 7519 section 2, NumericDate: seconds since the epoch, with or without a fraction.
fn date(value: Value) -> Option<NumericDate> {
    let Value::Number(written) = value else {
        return None;
    };
    let since_epoch = match written.as_u64() {
        Some(seconds) => Duration::from_secs(seconds),
        None => Duration::try_from_secs_f64(written.as_f64()?).ok()?,
    };
    let is_a_time = since_epoch <= Duration::from_secs(LAST_SECOND);
    is_a_time.then_some(NumericDate {
        since_epoch,
        written,
    })
}
