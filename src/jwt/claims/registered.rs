//! The claims that have a meaning in RFC 7519 and RFC 8693, and the reader of whatever payload there is.

use std::{borrow::Cow, fmt, num::NonZeroU32, time::Duration};

use serde::de::{Deserialize, Deserializer, Error, MapAccess, Visitor};
use serde_json::{Map, Number, Value};

use crate::jwt::json::{self, Strict, Text};

/// The last second that a claim may name, 9999-12-31T23:59:59Z: the last that RFC 3339 can write. What lies
/// beyond it is no time but a mistake (milliseconds, mostly), and would make a token that never expires.
const LAST_SECOND: u64 = 253_402_300_799;

/// Where a string stands in the text that is kept of a payload.
#[derive(Clone, Copy)]
pub(super) struct Span {
    start: u32,
    /// One more than where it ends, so that an optional one takes no more room.
    after: NonZeroU32,
}

impl Span {
    /// None, if it lies where nobody writes that long.
    pub(super) fn new(start: usize, end: usize) -> Option<Self> {
        Some(Self {
            start: start.try_into().ok()?,
            after: NonZeroU32::new(u32::try_from(end).ok()?.checked_add(1)?)?,
        })
    }

    pub(super) fn of(self, text: &str) -> &str {
        let end = self.after.get() as usize - 1;
        text.get(self.start as usize..end).unwrap_or_default()
    }
}

/// A moment: RFC 7519 section 2, NumericDate.
#[derive(Clone)]
pub(in crate::jwt) struct NumericDate {
    pub(in crate::jwt) since_epoch: Duration,
    /// How it was written, where that is not as a whole number.
    pub(super) written: Option<Box<Number>>,
}

impl NumericDate {
    pub(super) fn from_seconds(seconds: u64) -> Option<Self> {
        Self::new(Duration::from_secs(seconds), None)
    }

    fn new(since_epoch: Duration, written: Option<Number>) -> Option<Self> {
        let is_a_time = since_epoch <= Duration::from_secs(LAST_SECOND);
        is_a_time.then(|| Self {
            since_epoch,
            written: written.map(Box::new),
        })
    }

    /// Seconds since the epoch, with or without a fraction.
    fn read(value: &Value) -> Option<Self> {
        let Value::Number(written) = value else {
            return None;
        };
        match written.as_u64() {
            Some(seconds) => Self::from_seconds(seconds),
            None => {
                let since_epoch = Duration::try_from_secs_f64(written.as_f64()?).ok()?;
                Self::new(since_epoch, Some(written.clone()))
            }
        }
    }
}

#[derive(Clone)]
pub(super) enum Audience {
    One(Span),
    Many(Vec<Span>),
}

impl Audience {
    pub(super) fn as_slice(&self) -> &[Span] {
        match self {
            Self::One(one) => std::slice::from_ref(one),
            Self::Many(many) => many,
        }
    }
}

/// The claims that are checked or have an accessor; strings lie in the text they were read from.
#[derive(Clone, Default)]
pub(in crate::jwt) struct Registered {
    pub(super) iss: Option<Span>,
    pub(super) sub: Option<Span>,
    pub(super) aud: Option<Audience>,
    pub(in crate::jwt) exp: Option<NumericDate>,
    pub(in crate::jwt) nbf: Option<NumericDate>,
    pub(in crate::jwt) iat: Option<NumericDate>,
    pub(super) jti: Option<Span>,
    pub(super) scope: Option<Span>,
}

/// A payload that was read.
#[derive(Default)]
pub(super) struct Payload {
    pub(super) registered: Registered,
    /// The strings of `registered`.
    pub(super) text: String,
    pub(super) other: Map<String, Value>,
    /// A claim that is not of its type; it is malformed and never taken for absent.
    pub(super) fault: Option<&'static str>,
}

/// A member stands twice.
struct Twice;

impl Payload {
    /// Reads whatever is a JSON object without duplicate members.
    pub(super) fn read(text: &str) -> Option<Self> {
        json::read_as(text.as_bytes())
    }

    /// Puts a claim where it belongs.
    fn add(&mut self, name: Cow<'_, str>, value: Value) -> Result<(), Twice> {
        let (claims, text) = (&mut self.registered, &mut self.text);
        let (name, placed) = match &*name {
            "iss" => ("iss", place(&mut claims.iss, string(text, &value))),
            "sub" => ("sub", place(&mut claims.sub, string(text, &value))),
            "aud" => ("aud", place(&mut claims.aud, audience(text, &value))),
            "exp" => ("exp", place(&mut claims.exp, NumericDate::read(&value))),
            "nbf" => ("nbf", place(&mut claims.nbf, NumericDate::read(&value))),
            "iat" => ("iat", place(&mut claims.iat, NumericDate::read(&value))),
            "jti" => ("jti", place(&mut claims.jti, string(text, &value))),
            "scope" if value.is_string() => {
                ("scope", place(&mut claims.scope, string(text, &value)))
            }
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
    fn finish(self) -> Option<Self> {
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

fn string(text: &mut String, value: &Value) -> Option<Span> {
    let start = text.len();
    text.push_str(value.as_str()?);
    Span::new(start, text.len())
}

fn audience(text: &mut String, value: &Value) -> Option<Audience> {
    match value {
        Value::Array(items) => items
            .iter()
            .map(|item| string(text, item))
            .collect::<Option<_>>()
            .map(Audience::Many),
        one => string(text, one).map(Audience::One),
    }
}
