//! What the header of a delivery says, before any of it is believed.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName};

use super::{
    error::WebhookErrorKind,
    scheme::{Fields, Listing, Proof, Signed, TimestampUnit, WebhookScheme},
};

/// The most signatures that are looked at: senders list one for each secret that is in use.
const MOST_SIGNATURES: usize = 16;
/// The longest id, in bytes.
const LONGEST_ID: usize = 256;
/// The most digits of a timestamp: milliseconds have 13 until the year 2286.
const MOST_DIGITS: usize = 16;
/// Up to here a timestamp of either unit is in seconds.
const MOST_SECONDS: u64 = 100_000_000_000;

/// The header of a delivery, read by its scheme.
#[derive(Clone, Copy, Debug)]
pub(super) struct Received<'h> {
    /// The field with the signatures; none where they stand in the body.
    pub(super) signatures: Option<&'h str>,
    /// As it was sent.
    pub(super) timestamp: Option<&'h str>,
    pub(super) id: Option<&'h str>,
    pub(super) content_type: Option<&'h str>,
    /// The query of the request, where that is known.
    pub(super) query: Option<&'h str>,
}

impl<'h> Received<'h> {
    pub(super) fn read(
        scheme: &WebhookScheme,
        headers: &'h HeaderMap,
        query: Option<&'h str>,
    ) -> Result<Self, WebhookErrorKind> {
        let fields = scheme
            .fields
            .iter()
            .find(|fields| headers.contains_key(&fields.signature));
        let Some(fields) = fields else {
            if matches!(scheme.signed, Signed::Adyen) {
                return Ok(Self {
                    signatures: None,
                    timestamp: None,
                    id: None,
                    content_type: None,
                    query,
                });
            }
            return Err(WebhookErrorKind::SignatureMissing);
        };
        let signatures = one(
            headers,
            &fields.signature,
            WebhookErrorKind::SignatureMalformed,
        )?
        .filter(|text| !text.is_empty())
        .ok_or(WebhookErrorKind::SignatureMissing)?;
        let content_type = match scheme.signed {
            Signed::Twilio => one(
                headers,
                &http::header::CONTENT_TYPE,
                WebhookErrorKind::BodyMalformed,
            )?,
            _ => None,
        };
        Ok(Self {
            signatures: Some(signatures),
            timestamp: timestamp(scheme, fields, headers, signatures)?,
            id: id(scheme, fields, headers)?,
            content_type,
            query,
        })
    }

    /// The time that the timestamp names, if it is within the tolerance.
    pub(super) fn time(
        &self,
        scheme: &WebhookScheme,
        now: SystemTime,
    ) -> Result<Option<SystemTime>, WebhookErrorKind> {
        let Some(text) = self.timestamp else {
            return Ok(None);
        };
        let number: u64 = text
            .parse()
            .map_err(|_| WebhookErrorKind::TimestampMalformed)?;
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
    pub(super) fn each_signature(
        &self,
        scheme: &WebhookScheme,
        mut see: impl FnMut(bool, &'h str),
    ) -> Result<(), WebhookErrorKind> {
        let Some(text) = self.signatures else {
            return Err(WebhookErrorKind::SignatureMissing);
        };
        let is_public = matches!(scheme.proof, Proof::Ed25519 | Proof::EcdsaP256);
        let mut seen = 0;
        let mut known = 0;
        let mut next = |kind: Option<bool>, signature: &'h str| {
            seen += 1;
            if seen > MOST_SIGNATURES {
                return Err(WebhookErrorKind::SignatureMalformed);
            }
            if let Some(is_public) = kind {
                known += 1;
                see(is_public, signature);
            }
            Ok(())
        };
        match &scheme.listing {
            Listing::One { prefix } => {
                let signature = text
                    .strip_prefix(&**prefix)
                    .ok_or(WebhookErrorKind::SignatureUnknown)?;
                next(Some(is_public), signature)?;
            }
            Listing::Pairs {
                separator,
                signature,
                ..
            } => {
                for pair in text.split(*separator) {
                    let (name, value) = pair
                        .split_once('=')
                        .ok_or(WebhookErrorKind::SignatureMalformed)?;
                    next((name == signature).then_some(is_public), value)?;
                }
            }
            Listing::Versions { mac, public } => {
                for item in text.split(' ') {
                    let (version, signature) = item
                        .split_once(',')
                        .ok_or(WebhookErrorKind::SignatureMalformed)?;
                    let kind = match version {
                        version if version == *mac => Some(false),
                        version if version == *public => Some(true),
                        _ => None,
                    };
                    next(kind, signature)?;
                }
            }
        }
        match known {
            0 => Err(WebhookErrorKind::SignatureUnknown),
            _ => Ok(()),
        }
    }
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
    value.to_str().map(Some).map_err(|_| no_text)
}

fn timestamp<'h>(
    scheme: &WebhookScheme,
    fields: &Fields,
    headers: &'h HeaderMap,
    signatures: &'h str,
) -> Result<Option<&'h str>, WebhookErrorKind> {
    let text = match (&fields.timestamp, &scheme.listing) {
        (Some(name), _) => one(headers, name, WebhookErrorKind::TimestampMalformed)?,
        (
            None,
            Listing::Pairs {
                separator,
                timestamp,
                ..
            },
        ) => {
            let mut named = signatures
                .split(*separator)
                .filter_map(|pair| pair.split_once('='))
                .filter(|(name, _)| name == timestamp)
                .map(|(_, value)| value);
            let first = named.next();
            if named.next().is_some() {
                return Err(WebhookErrorKind::Duplicate);
            }
            first
        }
        _ => return Ok(None),
    };
    let text = text.ok_or(WebhookErrorKind::TimestampMissing)?;
    let digits =
        (1..=MOST_DIGITS).contains(&text.len()) && text.bytes().all(|byte| byte.is_ascii_digit());
    digits
        .then_some(Some(text))
        .ok_or(WebhookErrorKind::TimestampMalformed)
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
            // A dot parts the id from the timestamp where it is signed.
            let sound = id.len() <= LONGEST_ID
                && id.bytes().all(|byte| byte.is_ascii_graphic())
                && !(id.contains('.') && scheme.template_has(&super::template::Part::Id));
            sound
                .then_some(Some(id))
                .ok_or(WebhookErrorKind::IdMalformed)
        }
    }
}
