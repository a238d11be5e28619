//! [`WebhookScheme`]: what a provider sends and what it signs, as data.

use std::{borrow::Cow, time::Duration};

use http::HeaderName;

use super::{
    encoding::SignatureEncoding,
    format::{SecretFormat, TimestampUnit, WebhookAlgorithm},
    template::{Part, Template},
    url::PublicUrl,
};
use crate::{config::ConfigError, crypto::mac::MacHash};

/// The tolerance of a scheme that names none: what Stripe, Slack and Standard Webhooks recommend.
const DEFAULT_TOLERANCE: Duration = Duration::from_secs(300);

/// What a provider sends and what it signs: header names, signed text, algorithm, encoding, how several
/// signatures are listed, the timestamp's unit and tolerance.
///
/// It holds no secret. Each provider that the crate knows has a constructor:
///
/// | provider | signs | with | timestamp | stands for a delivery |
/// |---|---|---|---|---|
/// | [`stripe`](Self::stripe) | timestamp, body | HMAC-SHA256, hex | 300 s | what is signed |
/// | [`github`](Self::github) | body | HMAC-SHA256, hex | none | what is signed |
/// | [`slack`](Self::slack) | timestamp, body | HMAC-SHA256, hex | 300 s | what is signed |
/// | [`shopify`](Self::shopify) | body | HMAC-SHA256, base64 | none | what is signed |
/// | [`twilio`](Self::twilio) | URL; form, or hash of the body in the URL | HMAC-SHA1, base64 | none | what is signed |
/// | [`sendgrid`](Self::sendgrid) | timestamp, body | ECDSA P-256, base64 DER | 300 s | what is signed |
/// | [`standard_webhooks`](Self::standard_webhooks) | id, timestamp, body | HMAC-SHA256 or Ed25519, base64 | 300 s | id |
/// | [`svix`](Self::svix) | id, timestamp, body | HMAC-SHA256 or Ed25519, base64 | 300 s | id |
/// | [`reloadly`](Self::reloadly) | body, timestamp | HMAC-SHA256, hex | 300 s, ms or s | what is signed |
/// | [`paddle`](Self::paddle) | timestamp, body | HMAC-SHA256, hex | 5 s | what is signed |
/// | [`paystack`](Self::paystack) | body | HMAC-SHA512, hex | none | what is signed |
/// | [`flutterwave`](Self::flutterwave) | body | HMAC-SHA256, base64 | none | what is signed |
/// | [`dangerous_flutterwave_v3`](Self::dangerous_flutterwave_v3) | nothing | the secret itself | none | the body |
/// | [`square`](Self::square) | URL, body | HMAC-SHA256, base64 | none | what is signed |
/// | [`adyen`](Self::adyen) | eight members of each item, or the body | HMAC-SHA256, base64 | none | what is signed |
/// | [`razorpay`](Self::razorpay) | body | HMAC-SHA256, hex | none | what is signed |
/// | [`coinbase`](Self::coinbase) | body | HMAC-SHA256, hex | none | what is signed |
/// | [`line`](Self::line) | body | HMAC-SHA256, base64 | none | what is signed |
/// | [`discord`](Self::discord) | timestamp, body | Ed25519, hex | 300 s | what is signed |
///
/// Hexadecimal is taken in lower case and base64 in its standard alphabet with padding, as all of them send
/// it: one text for each signature. A timestamp bounds the past and the future alike. Where nothing but the
/// body is signed, two deliveries of the very same bytes are one.
///
/// [`generic`](WebhookScheme::generic) begins a scheme for any other:
///
/// ```
/// use std::time::{Duration, SystemTime};
/// use http::HeaderMap;
/// use portcullis::webhook::{WebhookScheme, WebhookSigner, WebhookVerifier};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let scheme = WebhookScheme::generic("x-acme-signature")?
///     .timestamp_header("x-acme-time")?
///     .template("{timestamp}.{body}")?
///     .prefix("sha256=")
///     .tolerance(Duration::from_secs(60));
/// let now = SystemTime::now();
/// let headers = WebhookSigner::new(scheme.clone(), "a shared secret")?.sign("", b"{}", now)?;
/// let verifier = WebhookVerifier::new(scheme, "a shared secret")?;
/// assert!(verifier.verify(&headers, b"{}", now).is_ok());
/// assert!(verifier.verify(&headers, b"[]", now).is_err());
/// assert!(verifier.verify(&headers, b"{}", now + Duration::from_secs(61)).is_err());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
#[must_use]
pub struct WebhookScheme {
    pub(super) name: &'static str,
    /// The names that one provider uses, the preferred ones first.
    pub(super) fields: Vec<Fields>,
    pub(super) proof: Proof,
    pub(super) encoding: SignatureEncoding,
    pub(super) listing: Listing,
    pub(super) signed: Signed,
    pub(super) secrets: SecretFormat,
    /// The least and the most bytes of a shared secret, where the scheme's own specification bounds them.
    pub(super) secret_length: Option<(usize, usize)>,
    pub(super) timestamps: TimestampUnit,
    pub(super) tolerance: Option<Duration>,
    pub(super) url: Option<PublicUrl>,
    pub(super) trusts_unsigned_id: bool,
}

/// The header fields of one delivery.
#[derive(Clone, Debug)]
pub(super) struct Fields {
    pub(super) signature: HeaderName,
    pub(super) timestamp: Option<HeaderName>,
    pub(super) id: Option<HeaderName>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Proof {
    Mac(MacHash),
    Ed25519,
    EcdsaP256,
    /// HMAC-SHA256 as `v1` or Ed25519 as `v1a`, by the key that is configured.
    Standard,
    /// The field is the secret.
    Bearer,
}

/// How signatures stand in their field.
#[derive(Clone, Debug)]
pub(super) enum Listing {
    /// One, after a prefix.
    One { prefix: Cow<'static, str> },
    /// `t=1,v1=aa,v1=bb`: pairs, the timestamp among them.
    Pairs {
        separator: u8,
        timestamp: Cow<'static, str>,
        signature: Cow<'static, str>,
    },
    /// `v1,aa v1,bb`: parted by spaces, each after its version.
    Versions {
        mac: &'static str,
        public: &'static str,
    },
}

/// What is signed.
#[derive(Clone, Debug)]
pub(super) enum Signed {
    Template(Template),
    /// The URL, then the parameters of a form, or a hash of the body within the URL.
    Twilio,
    /// Some members of every item of a JSON text, or the raw body where there is a signature field.
    Adyen,
}

impl WebhookScheme {
    /// Begins a scheme for a provider that the crate does not know: HMAC-SHA256 of the body in lower-case
    /// hexadecimal, one signature in the field `signature`, without a timestamp.
    ///
    /// # Errors
    ///
    /// If `signature` is not the name of a header field.
    pub fn generic(signature: &str) -> Result<Self, ConfigError> {
        let signature = header_name("signature header", signature)?;
        Ok(Self::of("generic", signature))
    }

    /// HMAC-SHA256 of the body in hex.
    pub(super) fn of(name: &'static str, signature: HeaderName) -> Self {
        Self {
            name,
            fields: vec![Fields {
                signature,
                timestamp: None,
                id: None,
            }],
            proof: Proof::Mac(MacHash::Sha256),
            encoding: SignatureEncoding::Hex,
            listing: Listing::One {
                prefix: Cow::Borrowed(""),
            },
            signed: Signed::Template(Template {
                before: Vec::new(),
                after: Vec::new(),
            }),
            secrets: SecretFormat::Text,
            secret_length: None,
            timestamps: TimestampUnit::Seconds,
            tolerance: Some(DEFAULT_TOLERANCE),
            url: None,
            trusts_unsigned_id: false,
        }
    }

    /// The provider's name: `stripe`, `github`; `generic` unless [`named`](Self::named).
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.name
    }

    /// Replaces the name, which keeps the deliveries of one scheme apart from those of others in a store, and is
    /// the [provider](super::VerifiedWebhook::provider) that a handler sees.
    pub fn named(mut self, name: &'static str) -> Self {
        self.name = name;
        self
    }

    /// Replaces the algorithm.
    pub fn algorithm(mut self, algorithm: WebhookAlgorithm) -> Self {
        self.proof = match algorithm {
            WebhookAlgorithm::HmacSha1 => Proof::Mac(MacHash::Sha1),
            WebhookAlgorithm::HmacSha256 => Proof::Mac(MacHash::Sha256),
            WebhookAlgorithm::HmacSha384 => Proof::Mac(MacHash::Sha384),
            WebhookAlgorithm::HmacSha512 => Proof::Mac(MacHash::Sha512),
            WebhookAlgorithm::Ed25519 => Proof::Ed25519,
            WebhookAlgorithm::EcdsaP256 => Proof::EcdsaP256,
        };
        self
    }

    /// Replaces how signatures are written.
    pub fn encoding(mut self, encoding: SignatureEncoding) -> Self {
        self.encoding = encoding;
        self
    }

    /// Replaces what stands before the one signature in its field (`sha256=`).
    pub fn prefix(mut self, prefix: impl Into<Cow<'static, str>>) -> Self {
        self.listing = Listing::One {
            prefix: prefix.into(),
        };
        self
    }

    /// Takes the timestamp and any number of signatures from pairs in the one field, as in `t=1,v1=aa`.
    /// Pairs of other names are ignored. `separator` is a mark of ASCII that no signature has: `,`, `;`, a
    /// space; with any other, no verifier can be made.
    pub fn pairs(
        mut self,
        separator: char,
        timestamp: impl Into<Cow<'static, str>>,
        signature: impl Into<Cow<'static, str>>,
    ) -> Self {
        self.listing = Listing::Pairs {
            // What is no ASCII becomes what cannot be in a field, and is refused by `check`.
            separator: u8::try_from(separator).unwrap_or_default(),
            timestamp: timestamp.into(),
            signature: signature.into(),
        };
        self
    }

    /// Replaces the signed text: `{body}` once, and `{timestamp}`, `{id}`, `{url}` and literal text at will.
    /// The timestamp and the id are signed as they were sent.
    ///
    /// A mark parts the id from what is beside it, as in `{id}.{timestamp}.{body}`, and no id has that mark in
    /// it: whoever sends a delivery again could otherwise cut the same text into another id and another body. So
    /// does a mark that stands in no query, a line break or `|`, part a [URL](Self::url) without a query from
    /// what is beside it; but for the body, which should begin and end as JSON does where it is beside a URL.
    ///
    /// # Errors
    ///
    /// If it has no `{body}`, more than one, or a place of another name.
    pub fn template(mut self, template: &str) -> Result<Self, ConfigError> {
        self.signed = Signed::Template(Template::parse(template)?);
        Ok(self)
    }

    /// Replaces the field that the timestamp is in.
    ///
    /// # Errors
    ///
    /// If it is not the name of a header field.
    pub fn timestamp_header(mut self, name: &str) -> Result<Self, ConfigError> {
        let name = header_name("timestamp header", name)?;
        for fields in &mut self.fields {
            fields.timestamp = Some(name.clone());
        }
        Ok(self)
    }

    /// Replaces the field that the delivery's id is in.
    ///
    /// # Errors
    ///
    /// If it is not the name of a header field.
    pub fn id_header(mut self, name: &str) -> Result<Self, ConfigError> {
        let name = header_name("id header", name)?;
        for fields in &mut self.fields {
            fields.id = Some(name.clone());
        }
        Ok(self)
    }

    /// Replaces what timestamps count. Where it may be
    /// [either](TimestampUnit::SecondsOrMilliseconds), something that is no digit parts the timestamp from what is
    /// beside it in the [template](Self::template): digits could otherwise pass from one to the other.
    pub fn timestamp_unit(mut self, unit: TimestampUnit) -> Self {
        self.timestamps = unit;
        self
    }

    /// Replaces how far a timestamp may lie in the past, and as far in the future. It has no meaning for a
    /// scheme without a timestamp.
    pub fn tolerance(mut self, tolerance: Duration) -> Self {
        self.tolerance = Some(tolerance);
        self
    }

    /// Accepts deliveries however old: whoever got hold of one can send it again, for ever, as far as the
    /// replay store does not remember it.
    pub fn dangerous_without_tolerance(mut self) -> Self {
        self.tolerance = None;
        self
    }

    /// Replaces how secrets are written where they are configured.
    pub fn secret_format(mut self, format: SecretFormat) -> Self {
        self.secrets = format;
        self
    }

    /// Accepts shared secrets shorter or longer than the scheme's specification allows: of Standard Webhooks
    /// 24 to 64 bytes, of Svix 24 to 75. A short secret can be guessed from one delivery.
    pub fn dangerous_any_secret_length(mut self) -> Self {
        self.secret_length = None;
        self
    }

    /// Replaces the URL that the provider was told to call, byte for byte, for schemes that sign it.
    ///
    /// If it has no query, that of the request is signed with it.
    ///
    /// # Errors
    ///
    /// If it is not an absolute `http` or `https` URL.
    pub fn url(mut self, url: &str) -> Result<Self, ConfigError> {
        self.url = Some(PublicUrl::new(url)?);
        Ok(self)
    }

    /// Tells deliveries apart by their id even though it is not signed: whoever got hold of one delivery can
    /// send it again under another id.
    ///
    /// Without this, deliveries without a signed id are told apart by what is signed, so that two genuine
    /// ones of the very same content pass for one.
    pub fn dangerous_trust_unsigned_id(mut self) -> Self {
        self.trusts_unsigned_id = true;
        self
    }

    /// Whether an id of a delivery can be told from what is signed beside it.
    pub(super) fn can_hold(&self, id: &str) -> bool {
        !matches!(&self.signed, Signed::Template(template) if !template.can_hold(id))
    }

    /// Whether the query of the request may be signed, so that it must be seen where it ends.
    pub(super) fn signs_query(&self) -> bool {
        self.template_has(&Part::Url)
    }

    pub(super) fn template_has(&self, part: &Part) -> bool {
        matches!(&self.signed, Signed::Template(template) if template.has(part))
    }

    /// Whether a timestamp comes with every delivery.
    pub(super) fn has_timestamp(&self) -> bool {
        matches!(self.listing, Listing::Pairs { .. })
            || self.fields.iter().any(|fields| fields.timestamp.is_some())
    }

    /// Whether a delivery's id can be trusted to be the sender's.
    pub(super) fn trusts_id(&self) -> bool {
        self.trusts_unsigned_id || self.template_has(&Part::Id)
    }

    /// Finds what the parts do not say of themselves.
    pub(super) fn check(&self) -> Result<(), ConfigError> {
        let names_id = self.fields.iter().all(|fields| fields.id.is_some());
        let missing = if self.template_has(&Part::Timestamp) && !self.has_timestamp() {
            Some("the template signs a timestamp: name the header that it is in")
        } else if self.template_has(&Part::Id) && !names_id {
            Some("the template signs an id: name the header that it is in")
        } else if self.url.is_none()
            && (self.template_has(&Part::Url) || matches!(self.signed, Signed::Twilio))
        {
            Some("the scheme signs the URL: configure it")
        } else if matches!(self.listing, Listing::Pairs { separator, .. } if !parts(separator)) {
            Some("the separator of pairs must be one of ASCII that stands in no signature")
        } else if self.has_timestamp() && !self.template_has(&Part::Timestamp) {
            Some("a timestamp that is not signed says nothing: add it to the template")
        } else if let Signed::Template(template) = &self.signed {
            let any_query = self.url.as_ref().is_some_and(|url| !url.has_query());
            template.fault(
                any_query,
                self.timestamps == TimestampUnit::SecondsOrMilliseconds,
            )
        } else {
            None
        };
        missing.map_or(Ok(()), |why| {
            Err(ConfigError::new("scheme", self.name, why))
        })
    }
}

/// Whether a mark can part one signature from the next: it stands neither in hexadecimal nor in base64.
fn parts(mark: u8) -> bool {
    matches!(mark, b' ' | b'!'..=b'~') && !mark.is_ascii_alphanumeric() && !b"+/=".contains(&mark)
}

fn header_name(setting: &'static str, name: &str) -> Result<HeaderName, ConfigError> {
    name.parse()
        .map_err(|_| ConfigError::new(setting, name, "must be the name of a header field"))
}
