//! What the header of a delivery says, before any of it is believed.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

use super::{
    error::WebhookErrorKind,
    format::TimestampUnit,
    scheme::{Fields, Listing, Proof, Signed, WebhookScheme},
    url::is_of_query,
};

/// The most items of a list that are looked at: senders list a signature for each secret that is in use.
const MOST_SIGNATURES: usize = 16;
/// How many of them are kept: one for each secret while one takes the place of another.
const KEPT: usize = 2;
/// The longest id, in bytes.
pub(super) const LONGEST_ID: usize = 256;
/// The most digits of a timestamp: milliseconds have 13 until the year 2286.
const MOST_DIGITS: usize = 16;
/// Up to here a timestamp of either unit is in seconds.
const MOST_SECONDS: u64 = 100_000_000_000;

/// The header of a delivery, read by its scheme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'h> {
    /// None where the signatures stand in the body.
    signatures: Option<Listed<'h>>,
    timestamp: Option<Timestamp<'h>>,
    pub(super) id: Option<&'h str>,
    pub(super) content_type: Option<&'h str>,
    /// The query of the request, where that is known.
    pub(super) query: Option<&'h str>,
}

/// The signatures of known kinds in a field: as many as most senders list are kept, so that the field is
/// gone through once.
#[derive(Clone, Copy, Debug)]
struct Listed<'h> {
    field: &'h str,
    known: usize,
    first: [(bool, &'h str); KEPT],
}

/// A timestamp as it was sent, and the number that it is.
#[derive(Clone, Copy, Debug)]
struct Timestamp<'h> {
    text: &'h str,
    number: u64,
}

/// What stands in the field of the signatures.
enum Piece<'h> {
    Timestamp(&'h str),
    /// Of a known kind; whether it is a public key's.
    Signature(bool, &'h str),
    Unknown,
}

impl<'h> Received<'h> {
    #[inline]
    pub(super) fn read(
        scheme: &WebhookScheme,
        headers: &'h HeaderMap,
        query: Option<&'h str>,
    ) -> Result<Self, WebhookErrorKind> {
        let malformed = WebhookErrorKind::SignatureMalformed;
        // A query could otherwise take a part of what is beside it along: the beginning of a JSON text, an id.
        if scheme.signs_query() && !query.unwrap_or_default().bytes().all(is_of_query) {
            return Err(malformed);
        }
        for fields in &scheme.fields {
            if let Some(field) = one(headers, &fields.signature, malformed)? {
                return Self::read_fields(scheme, fields, field, headers, query);
            }
        }
        if !matches!(scheme.signed, Signed::Adyen) {
            return Err(WebhookErrorKind::SignatureMissing);
        }
        Ok(Self {
            signatures: None,
            timestamp: None,
            id: None,
            content_type: None,
            query,
        })
    }

    fn read_fields(
        scheme: &WebhookScheme,
        fields: &Fields,
        field: &'h str,
        headers: &'h HeaderMap,
        query: Option<&'h str>,
    ) -> Result<Self, WebhookErrorKind> {
        if field.is_empty() {
            return Err(WebhookErrorKind::SignatureMissing);
        }
        let mut listed = Listed {
            field,
            known: 0,
            first: [(false, ""); KEPT],
        };
        let mut stamp = None;
        let mut twice = false;
        walk(scheme, field, |piece| match piece {
            Piece::Timestamp(text) => twice |= stamp.replace(text).is_some(),
            Piece::Signature(is_public, text) => {
                if let Some(place) = listed.first.get_mut(listed.known) {
                    *place = (is_public, text);
                }
                listed.known += 1;
            }
            Piece::Unknown => {}
        })?;
        if twice {
            return Err(WebhookErrorKind::Duplicate);
        }
        if let Some(name) = &fields.timestamp {
            stamp = one(headers, name, WebhookErrorKind::TimestampMalformed)?;
        }
        let has_timestamp =
            fields.timestamp.is_some() || matches!(scheme.listing, Listing::Pairs { .. });
        let timestamp = match stamp {
            Some(text) => Some(timestamp(text)?),
            None if has_timestamp => return Err(WebhookErrorKind::TimestampMissing),
            None => None,
        };
        if listed.known == 0 {
            return Err(WebhookErrorKind::SignatureUnknown);
        }
        let content_type = match scheme.signed {
            Signed::Twilio => one(
                headers,
                &http::header::CONTENT_TYPE,
                WebhookErrorKind::BodyMalformed,
            )?,
            _ => None,
        };
        Ok(Self {
            signatures: Some(listed),
            timestamp,
            id: id(scheme, fields, headers)?,
            content_type,
            query,
        })
    }

    /// Whether there is a field with signatures.
    pub(super) fn has_signatures(&self) -> bool {
        self.signatures.is_some()
    }

    /// The timestamp as it was sent; empty where there is none.
    pub(super) fn timestamp(&self) -> &'h str {
        self.timestamp.map_or("", |timestamp| timestamp.text)
    }

    /// The time that the timestamp names, if it is within the tolerance.
    pub(super) fn time(
        &self,
        scheme: &WebhookScheme,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, WebhookErrorKind> {
        let Some(Timestamp { number, .. }) = self.timestamp else {
            return Ok(None);
        };
        let since = match scheme.timestamps {
            TimestampUnit::Seconds => Duration::from_secs(number),
            TimestampUnit::Milliseconds => Duration::from_millis(number),
            TimestampUnit::SecondsOrMilliseconds if number <= MOST_SECONDS => {
                Duration::from_secs(number)
            }
            TimestampUnit::SecondsOrMilliseconds => Duration::from_millis(number),
        };
        let time = SystemTime::UNIX_EPOCH
            .checked_add(since)
            .ok_or(WebhookErrorKind::TimestampMalformed)?;
        let Some(tolerance) = scheme.tolerance else {
            return Ok(Some(time));
        };
        match now.duration_since(time) {
            Ok(age) if age > tolerance => Err(WebhookErrorKind::TooOld),
            Err(ahead) if ahead.duration() > tolerance => Err(WebhookErrorKind::FromFuture),
            _ => Ok(Some(time)),
        }
    }

    /// Shows each signature of a known kind: whether it is a public key's, and its text.
    #[inline]
    pub(super) fn each_signature(
        &self,
        scheme: &WebhookScheme,
        mut see: impl FnMut(bool, &'h str),
    ) {
        let Some(listed) = &self.signatures else {
            return;
        };
        match listed.first.get(..listed.known) {
            Some(all) => all
                .iter()
                .for_each(|(is_public, text)| see(*is_public, text)),
            None => {
                // It was gone through before, so it has no fault.
                let _ = walk(scheme, listed.field, |piece| {
                    if let Piece::Signature(is_public, text) = piece {
                        see(is_public, text);
                    }
                });
            }
        }
    }
}

/// Goes through the field of the signatures.
#[inline]
fn walk<'h>(
    scheme: &WebhookScheme,
    field: &'h str,
    mut see: impl FnMut(Piece<'h>),
) -> Result<(), WebhookErrorKind> {
    let is_public = matches!(scheme.proof, Proof::Ed25519 | Proof::EcdsaP256);
    match &scheme.listing {
        Listing::One { prefix } => {
            let signature = field
                .strip_prefix(&**prefix)
                .ok_or(WebhookErrorKind::SignatureUnknown)?;
            see(Piece::Signature(is_public, signature));
            Ok(())
        }
        Listing::Pairs {
            separator,
            timestamp,
            signature,
        } => each(field, *separator, b'=', |name, value| {
            see(if name == signature {
                Piece::Signature(is_public, value)
            } else if name == timestamp {
                Piece::Timestamp(value)
            } else {
                Piece::Unknown
            });
        }),
        Listing::Versions { mac, public } => each(field, b' ', b',', |version, signature| {
            see(if version == *mac {
                Piece::Signature(false, signature)
            } else if version == *public {
                Piece::Signature(true, signature)
            } else {
                Piece::Unknown
            });
        }),
    }
}

/// Shows each item of a list, cut in two.
#[inline]
fn each<'h>(
    list: &'h str,
    separator: u8,
    between: u8,
    mut see: impl FnMut(&'h str, &'h str),
) -> Result<(), WebhookErrorKind> {
    let mut rest = Some(list);
    let mut seen = 0;
    while let Some(list) = rest {
        let (item, tail) =
            cut(list, separator).map_or((list, None), |(item, tail)| (item, Some(tail)));
        rest = tail;
        let (name, value) = cut(item, between).ok_or(WebhookErrorKind::SignatureMalformed)?;
        seen += 1;
        if seen > MOST_SIGNATURES {
            return Err(WebhookErrorKind::SignatureMalformed);
        }
        see(name, value);
    }
    Ok(())
}

/// What comes before and after the first `at`, which is ASCII.
#[inline]
fn cut(text: &str, at: u8) -> Option<(&str, &str)> {
    let place = find(text.as_bytes(), at)?;
    Some((text.get(..place)?, text.get(place + 1..)?))
}

/// Where a byte first stands. Eight are looked at together: a signature is long.
#[inline]
fn find(text: &[u8], at: u8) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    let (words, rest) = text.as_chunks::<8>();
    for (index, word) in words.iter().enumerate() {
        // A byte that is the one looked for is now zero, and the lowest zero is the first to borrow.
        let word = u64::from_le_bytes(*word) ^ (ONES * u64::from(at));
        let zeros = word.wrapping_sub(ONES) & !word & (ONES << 7);
        if zeros != 0 {
            return Some(index * 8 + zeros.trailing_zeros() as usize / 8);
        }
    }
    let found = rest.iter().position(|byte| *byte == at)?;
    Some(text.len() - rest.len() + found)
}

/// The one value of a field; several are refused, and so is one that is no text.
fn one<'h>(
    headers: &'h HeaderMap,
    name: &HeaderName,
    no_text: WebhookErrorKind,
) -> Result<Option<&'h str>, WebhookErrorKind> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else {
        return Ok(None);
    };
    if values.next().is_some() {
        return Err(WebhookErrorKind::Duplicate);
    }
    // A value has no control characters but the tab, so ASCII is all that is asked of it.
    let bytes = value.as_bytes();
    let text = std::str::from_utf8(bytes).ok().filter(|_| bytes.is_ascii());
    text.map(Some).ok_or(no_text)
}

fn timestamp(text: &str) -> Result<Timestamp<'_>, WebhookErrorKind> {
    let malformed = WebhookErrorKind::TimestampMalformed;
    if !(1..=MOST_DIGITS).contains(&text.len()) {
        return Err(malformed);
    }
    let mut number = 0;
    for digit in text.bytes() {
        let digit = digit.wrapping_sub(b'0');
        // A zero in front could have been the last byte of a body before it.
        if digit > 9 || digit == 0 && number == 0 && text.len() > 1 {
            return Err(malformed);
        }
        // At most 16 digits: there is room.
        number = number * 10 + u64::from(digit);
    }
    Ok(Timestamp { text, number })
}

fn id<'h>(
    scheme: &WebhookScheme,
    fields: &Fields,
    headers: &'h HeaderMap,
) -> Result<Option<&'h str>, WebhookErrorKind> {
    let Some(name) = &fields.id else {
        return Ok(None);
    };
    let id = one(headers, name, WebhookErrorKind::IdMalformed)?.filter(|id| !id.is_empty());
    match id {
        None if scheme.template_has(&super::template::Part::Id) => Err(WebhookErrorKind::IdMissing),
        None => Ok(None),
        Some(id) => {
            let sound = id.len() <= LONGEST_ID
                && id.bytes().all(|byte| byte.is_ascii_graphic())
                && scheme.can_hold(id);
            sound
                .then_some(Some(id))
                .ok_or(WebhookErrorKind::IdMalformed)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::find;

    #[test]
    fn a_byte_is_found_where_it_first_stands() {
        for length in 0..40 {
            for first in 0..length {
                for other in [b'-', b'=', b'<', b'\xbd', 0, 255] {
                    let mut text = vec![other; length];
                    text[first] = b'=';
                    let expected = text.iter().position(|byte| *byte == b'=');
                    assert_eq!(find(&text, b'='), expected);
                    text[length - 1] = b'=';
                    assert_eq!(find(&text, b'='), expected);
                }
            }
            assert_eq!(find(&vec![b'<'; length], b'='), None);
        }
    }
}
