//! [`WebhookSigner`]: the header fields of every scheme, for tests and for services that send.

use std::{borrow::Cow, fmt, time::SystemTime};

use base64::{Engine, engine::general_purpose::STANDARD};
use http::{HeaderMap, HeaderName, HeaderValue, header};

use super::{
    check::twilio_parameters,
    encoding::{key_from_hex, to_hex},
    format::{SecretFormat, TimestampUnit},
    key::{P256_INFO, from_base64, secret_bytes, standard_secret, wrong},
    scheme::{Listing, Proof, Signed, WebhookScheme},
    template::{Part, Template},
    url::shown,
};
use crate::{
    config::ConfigError,
    crypto::{
        Signer, der_signature,
        mac::{MacHash, MacKey},
    },
    secret::Secret,
};

/// Signs deliveries of one scheme.
///
/// Secrets are given as to a [`WebhookVerifier`](super::WebhookVerifier). Where the scheme signs with a
/// private key, that key is given: for Ed25519 its 32 bytes in hexadecimal, or after `whsk_` in base64
/// (32 bytes, or 64 with the public key); for P-256 the 32 bytes of its scalar in hexadecimal.
///
/// ```
/// use std::time::SystemTime;
/// use portcullis::webhook::{WebhookScheme, WebhookSigner, WebhookVerifier};
///
/// let signer = WebhookSigner::new(WebhookScheme::stripe(), "whsec_test")?;
/// let headers = signer.sign("", br#"{"id":"evt_1"}"#, SystemTime::now())?;
/// let verifier = WebhookVerifier::new(WebhookScheme::stripe(), "whsec_test")?;
/// assert!(verifier.verify(&headers, br#"{"id":"evt_1"}"#, SystemTime::now()).is_ok());
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[must_use]
pub struct WebhookSigner {
    scheme: WebhookScheme,
    keys: Vec<SigningKey>,
}

enum SigningKey {
    Mac(Box<MacKey>),
    Ed25519(Signer, [u8; 32]),
    EcdsaP256(Signer, [u8; 65]),
    Bearer(Secret),
}

impl WebhookSigner {
    /// A signer of a scheme with one secret or private key.
    ///
    /// # Errors
    ///
    /// If the secret is empty or not of the scheme's form, or if the scheme lacks something that it signs.
    pub fn new(scheme: WebhookScheme, secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        scheme.check()?;
        let keys = vec![SigningKey::read(&scheme, &secret.into())?];
        Ok(Self { scheme, keys })
    }

    /// Appends another secret: deliveries are then signed with each of them.
    ///
    /// # Errors
    ///
    /// If the secret is not of the scheme's form, or if a delivery of the scheme has only one signature.
    pub fn add_secret(mut self, secret: impl Into<Secret>) -> Result<Self, ConfigError> {
        if matches!(self.scheme.listing, Listing::One { .. }) {
            let expected = "a delivery of this scheme has one signature";
            return Err(ConfigError::new("secret", "another one", expected));
        }
        self.keys
            .push(SigningKey::read(&self.scheme, &secret.into())?);
        Ok(self)
    }

    /// The public key of the first private key, in the form that a verifier of the scheme is given; none
    /// where the scheme has secrets.
    #[must_use]
    pub fn public_key(&self) -> Option<String> {
        match (self.keys.first()?, self.scheme.proof) {
            (SigningKey::Ed25519(_, public), Proof::Standard) => {
                Some(format!("whpk_{}", STANDARD.encode(public)))
            }
            (SigningKey::Ed25519(_, public), _) => Some(to_hex(public)),
            (SigningKey::EcdsaP256(_, point), _) => {
                Some(STANDARD.encode([&P256_INFO[..], &point[1..]].concat()))
            }
            (SigningKey::Mac(_) | SigningKey::Bearer(_), _) => None,
        }
    }

    /// The header fields of a delivery.
    ///
    /// `id` is the delivery's; empty for none, and ignored by schemes that have no field for it. Twilio's
    /// fields hold the `Content-Type` of a form unless the URL ends with a `bodySHA256`; Adyen's are those of a
    /// notification that is signed as a whole.
    ///
    /// # Errors
    ///
    /// If the scheme signs an id and this is none, if `id` has other characters than a header field, if the
    /// time lies before 1970, or if the backend cannot sign.
    pub fn sign(&self, id: &str, body: &[u8], now: SystemTime) -> Result<HeaderMap, ConfigError> {
        let since = now.duration_since(SystemTime::UNIX_EPOCH);
        let since =
            since.map_err(|_| ConfigError::new("now", "earlier", "must not be before 1970"))?;
        let timestamp = match self.scheme.timestamps {
            TimestampUnit::Seconds => since.as_secs().to_string(),
            TimestampUnit::Milliseconds | TimestampUnit::SecondsOrMilliseconds => {
                since.as_millis().to_string()
            }
        };
        if self.scheme.template_has(&Part::Id) && (id.is_empty() || !self.scheme.can_hold(id)) {
            let expected =
                "must be text without the mark that parts it from what is signed beside it";
            return Err(ConfigError::new("id", id, expected));
        }
        let text = self.signed_text(id, &timestamp, body)?;
        let signatures = self.keys.iter().map(|key| self.signature(key, &text));
        let field = self.field(&timestamp, signatures.collect::<Result<_, _>>()?);

        let mut headers = HeaderMap::new();
        let mut put = |name: &HeaderName, value: &str| {
            let value = HeaderValue::from_str(value)
                .map_err(|_| ConfigError::new("id", value, "must be text of a header field"))?;
            headers.insert(name.clone(), value);
            Ok::<(), ConfigError>(())
        };
        if let Some(fields) = self.scheme.fields.first() {
            put(&fields.signature, &field)?;
            if let Some(name) = &fields.timestamp {
                put(name, &timestamp)?;
            }
            if let Some(name) = fields.id.as_ref().filter(|_| !id.is_empty()) {
                put(name, id)?;
            }
        }
        if matches!(self.scheme.signed, Signed::Twilio) && !body.is_empty() && !text.ends_with_url {
            put(&header::CONTENT_TYPE, "application/x-www-form-urlencoded")?;
        }
        Ok(headers)
    }

    fn signed_text(&self, id: &str, timestamp: &str, body: &[u8]) -> Result<Text, ConfigError> {
        let url = self.scheme.url.as_ref().map(|url| url.with_query(None));
        let url = url.as_deref().unwrap_or_default();
        let mut bytes = Vec::with_capacity(body.len() + 128);
        let mut ends_with_url = false;
        match &self.scheme.signed {
            Signed::Template(Template { before, after }) => {
                let put = |bytes: &mut Vec<u8>, parts: &[Part]| {
                    for part in parts {
                        bytes.extend_from_slice(match part {
                            Part::Literal(text) => text.as_bytes(),
                            Part::Timestamp => timestamp.as_bytes(),
                            Part::Id => id.as_bytes(),
                            Part::Url => url.as_bytes(),
                        });
                    }
                };
                put(&mut bytes, before);
                bytes.extend_from_slice(body);
                put(&mut bytes, after);
            }
            Signed::Twilio => {
                let parameters = twilio_parameters(url, true, body).map_err(|_| {
                    let expected =
                        "must end with the bodySHA256 of the body, or the body be a form";
                    ConfigError::new("url", shown(url), expected)
                })?;
                ends_with_url = parameters.is_empty();
                bytes.extend_from_slice(url.as_bytes());
                bytes.extend(parameters);
            }
            Signed::Adyen => bytes.extend_from_slice(body),
        }
        Ok(Text {
            bytes,
            ends_with_url,
        })
    }

    fn signature(&self, key: &SigningKey, text: &Text) -> Result<(bool, String), ConfigError> {
        let failed =
            || ConfigError::new("secret", "a private key", "the backend cannot sign with it");
        let encoding = self.scheme.encoding;
        Ok(match key {
            SigningKey::Mac(key) => {
                let mut mac = key.begin();
                mac.update(&text.bytes);
                (false, encoding.encode(mac.finish().expose()))
            }
            SigningKey::Ed25519(signer, _) => {
                let signature = signer.sign(&text.bytes).ok_or_else(failed)?;
                (true, encoding.encode(&signature))
            }
            SigningKey::EcdsaP256(signer, _) => {
                let signature = signer.sign(&text.bytes).ok_or_else(failed)?;
                let fixed: [u8; 64] = signature.try_into().map_err(|_| failed())?;
                (true, encoding.encode(&der_signature::write_p256(&fixed)))
            }
            SigningKey::Bearer(secret) => {
                let text = String::from_utf8_lossy(secret.expose()).into_owned();
                (false, text)
            }
        })
    }

    fn field(&self, timestamp: &str, signatures: Vec<(bool, String)>) -> String {
        let texts = signatures
            .iter()
            .map(|(is_public, text)| match &self.scheme.listing {
                Listing::One { prefix } => format!("{prefix}{text}"),
                Listing::Pairs { signature, .. } => format!("{signature}={text}"),
                Listing::Versions { mac, public } => {
                    format!("{},{text}", if *is_public { public } else { mac })
                }
            });
        match &self.scheme.listing {
            Listing::One { .. } => texts.collect(),
            Listing::Versions { .. } => texts.collect::<Vec<_>>().join(" "),
            Listing::Pairs {
                separator,
                timestamp: name,
                ..
            } => {
                let named: Cow<'_, str> = format!("{name}={timestamp}").into();
                let all: Vec<_> = [named].into_iter().chain(texts.map(Cow::Owned)).collect();
                all.join(char::from(*separator).encode_utf8(&mut [0; 4]))
            }
        }
    }
}

/// What is signed, and whether that is a URL and nothing else.
struct Text {
    bytes: Vec<u8>,
    ends_with_url: bool,
}

impl SigningKey {
    fn read(scheme: &WebhookScheme, secret: &Secret) -> Result<Self, ConfigError> {
        if secret.expose().trim_ascii().is_empty() {
            return Err(wrong(secret, "must not be empty"));
        }
        match scheme.proof {
            Proof::Mac(hash) => secret_bytes(scheme.secrets, secret)
                .map(|bytes| Self::Mac(Box::new(MacKey::new(hash, &bytes)))),
            Proof::Standard => match secret.expose().strip_prefix(b"whsk_") {
                Some(private) => Self::ed25519(from_base64(private), secret),
                None if secret.expose().starts_with(b"whpk_") => {
                    let expected = "is a public key: a signer needs the private key (whsk_)";
                    Err(wrong(secret, expected))
                }
                None => standard_secret(scheme, secret)
                    .map(|bytes| Self::Mac(Box::new(MacKey::new(MacHash::Sha256, &bytes)))),
            },
            Proof::Ed25519 => Self::ed25519(key_from_hex(secret.expose()), secret),
            Proof::EcdsaP256 => {
                let expected = "must be the scalar of a P-256 key: 32 bytes in hexadecimal";
                let scalar = key_from_hex(secret.expose()).map(Secret::new);
                let key = scalar
                    .as_ref()
                    .and_then(|scalar| scalar.expose().try_into().ok())
                    .and_then(|scalar| Signer::p256(scalar).ok());
                key.map(|(signer, point)| Self::EcdsaP256(signer, point))
                    .ok_or_else(|| wrong(secret, expected))
            }
            Proof::Bearer => secret_bytes(SecretFormat::Text, secret)
                .map(|bytes| Self::Bearer(Secret::new(bytes.as_slice()))),
        }
    }

    fn ed25519(bytes: Option<Vec<u8>>, secret: &Secret) -> Result<Self, ConfigError> {
        let expected =
            "must be an Ed25519 private key: 32 bytes in hexadecimal, or in base64 after `whsk_`";
        let bytes = bytes.map(Secret::new);
        let seed = bytes.as_ref().and_then(|bytes| match bytes.expose() {
            bytes if bytes.len() == 32 || bytes.len() == 64 => bytes.first_chunk(),
            _ => None,
        });
        let key = seed.and_then(|seed| Signer::ed25519(seed).ok());
        key.map(|(signer, public)| Self::Ed25519(signer, public))
            .ok_or_else(|| wrong(secret, expected))
    }
}

impl fmt::Debug for WebhookSigner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WebhookSigner")
            .field("scheme", &self.scheme)
            .field("keys", &self.keys.len())
            .finish()
    }
}
