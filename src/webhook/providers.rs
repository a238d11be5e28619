//! What each provider sends and signs.

use std::time::Duration;

use http::HeaderName;

use super::{
    encoding::SignatureEncoding,
    format::{SecretFormat, TimestampUnit},
    scheme::{Fields, Listing, Proof, Signed, WebhookScheme},
    template::{Part, Template},
};
use crate::{config::ConfigError, crypto::mac::MacHash};

const fn header(name: &'static str) -> HeaderName {
    HeaderName::from_static(name)
}

/// `{timestamp}`, what parts it from the body, `{body}`.
fn timestamp_then_body(separator: &str) -> Signed {
    let mut before = vec![Part::Timestamp];
    if !separator.is_empty() {
        before.push(Part::Literal(separator.into()));
    }
    Signed::Template(Template {
        before,
        after: Vec::new(),
    })
}

impl WebhookScheme {
    /// Stripe: `Stripe-Signature: t=…,v1=…`, HMAC-SHA256 over `{t}.{body}`. The secret is the whole
    /// `whsec_…` text. Any number of `v1`; `v0` is of test mode and ignored.
    pub fn stripe() -> Self {
        Self {
            signed: timestamp_then_body("."),
            ..Self::of("stripe", header("stripe-signature"))
        }
        .pairs(',', "t", "v1")
    }

    /// GitHub: `X-Hub-Signature-256: sha256=…`, HMAC-SHA256 over the body. The older field with SHA-1 is
    /// ignored. It signs no timestamp: only the replay store stands between a delivery and its copy.
    pub fn github() -> Self {
        Self::of("github", header("x-hub-signature-256"))
            .prefix("sha256=")
            .with_id(header("x-github-delivery"))
    }

    /// Slack: `X-Slack-Signature: v0=…`, HMAC-SHA256 over `v0:{timestamp}:{body}`. The secret is the
    /// signing secret of the app.
    pub fn slack() -> Self {
        let before = vec![
            Part::Literal("v0:".into()),
            Part::Timestamp,
            Part::Literal(":".into()),
        ];
        Self {
            signed: Signed::Template(Template {
                before,
                after: Vec::new(),
            }),
            ..Self::of("slack", header("x-slack-signature"))
        }
        .prefix("v0=")
        .with_timestamp(header("x-slack-request-timestamp"))
    }

    /// Shopify: `X-Shopify-Hmac-SHA256`, or `Shopify-Hmac-Sha256` of its newer events, HMAC-SHA256 over the
    /// body in base64. The secret is the app's client secret. It signs no timestamp.
    pub fn shopify() -> Self {
        let mut scheme = Self::of("shopify", header("x-shopify-hmac-sha256"))
            .encoding(SignatureEncoding::Base64)
            .with_id(header("x-shopify-webhook-id"));
        scheme.fields.push(Fields {
            signature: header("shopify-hmac-sha256"),
            timestamp: None,
            id: Some(header("shopify-webhook-id")),
        });
        scheme
    }

    /// Twilio: `X-Twilio-Signature`, HMAC-SHA1 in base64 over the URL and the sorted parameters of a form,
    /// or over the URL that ends with `bodySHA256`, a hash of a body of any other kind. A body that neither
    /// covers is refused. The secret is the account's auth token.
    ///
    /// `url` is the one that Twilio was told to call; without a query of its own it gets the request's. It
    /// is tried with and without its port. The whole body is needed at once.
    ///
    /// What is signed has no marks between names and values, so whoever can hold a delivery up on its way can cut
    /// the same text into other parameters: take only deliveries that came over TLS. However it is cut, it is
    /// one delivery to the replay store.
    ///
    /// # Errors
    ///
    /// If `url` is not an absolute `http` or `https` URL.
    pub fn twilio(url: &str) -> Result<Self, ConfigError> {
        Self {
            proof: Proof::Mac(MacHash::Sha1),
            encoding: SignatureEncoding::Base64,
            signed: Signed::Twilio,
            ..Self::of("twilio", header("x-twilio-signature"))
        }
        .with_id(header("i-twilio-idempotency-token"))
        .url(url)
    }

    /// SendGrid's event webhook: ECDSA over P-256 with SHA-256, in base64 DER, over `{timestamp}{body}`.
    /// Configured with the public key that SendGrid shows, a SubjectPublicKeyInfo in base64. The whole body
    /// is needed at once.
    pub fn sendgrid() -> Self {
        Self {
            proof: Proof::EcdsaP256,
            encoding: SignatureEncoding::Base64,
            signed: timestamp_then_body(""),
            ..Self::of("sendgrid", header("x-twilio-email-event-webhook-signature"))
        }
        .with_timestamp(header("x-twilio-email-event-webhook-timestamp"))
    }

    /// Standard Webhooks: `webhook-id`, `webhook-timestamp` and `webhook-signature`, a list parted by
    /// spaces, over `{id}.{timestamp}.{body}`.
    ///
    /// The key decides what is accepted: `whsec_` and base64 (or base64 alone) is a secret for `v1`,
    /// HMAC-SHA256, of 24 to 64 bytes as the specification has it; `whpk_` and base64 is a public key for
    /// `v1a`, Ed25519. Both may be configured. With a public key the whole body is needed at once. The id is
    /// signed and has no dot.
    pub fn standard_webhooks() -> Self {
        let before = vec![
            Part::Id,
            Part::Literal(".".into()),
            Part::Timestamp,
            Part::Literal(".".into()),
        ];
        Self {
            fields: vec![Fields {
                signature: header("webhook-signature"),
                timestamp: Some(header("webhook-timestamp")),
                id: Some(header("webhook-id")),
            }],
            proof: Proof::Standard,
            encoding: SignatureEncoding::Base64,
            listing: Listing::Versions {
                mac: "v1",
                public: "v1a",
            },
            signed: Signed::Template(Template {
                before,
                after: Vec::new(),
            }),
            secrets: SecretFormat::Base64,
            secret_length: Some((24, 64)),
            ..Self::of("standard-webhooks", header("webhook-signature"))
        }
    }

    /// Svix: as [`standard_webhooks`](Self::standard_webhooks), with the fields `svix-id`, `svix-timestamp`
    /// and `svix-signature`, or those of Standard Webhooks where there is no `svix-signature`. Its secrets are of
    /// 24 to 75 bytes.
    pub fn svix() -> Self {
        let mut scheme = Self::standard_webhooks().named("svix");
        scheme.secret_length = Some((24, 75));
        scheme.fields.insert(
            0,
            Fields {
                signature: header("svix-signature"),
                timestamp: Some(header("svix-timestamp")),
                id: Some(header("svix-id")),
            },
        );
        scheme
    }

    /// Reloadly: `X-Reloadly-Signature`, HMAC-SHA256 over `{body}:{timestamp}`. The timestamp is in
    /// milliseconds in production and in seconds in Reloadly's own sample, and taken as either. The secret
    /// is the webhook's, not the client's.
    pub fn reloadly() -> Self {
        Self {
            signed: Signed::Template(Template {
                before: Vec::new(),
                after: vec![Part::Literal(":".into()), Part::Timestamp],
            }),
            timestamps: TimestampUnit::SecondsOrMilliseconds,
            ..Self::of("reloadly", header("x-reloadly-signature"))
        }
        .with_timestamp(header("x-reloadly-request-timestamp"))
    }

    /// Paddle Billing: `Paddle-Signature: ts=…;h1=…`, HMAC-SHA256 over `{ts}:{body}`, any number of `h1`.
    /// The tolerance is Paddle's own 5 seconds; a clock that is not kept in step needs more.
    pub fn paddle() -> Self {
        Self {
            signed: timestamp_then_body(":"),
            ..Self::of("paddle", header("paddle-signature"))
        }
        .pairs(';', "ts", "h1")
        .tolerance(Duration::from_secs(5))
    }

    /// Paystack: `x-paystack-signature`, HMAC-SHA512 over the body. The secret is the API's secret key. It
    /// signs no timestamp.
    pub fn paystack() -> Self {
        Self {
            proof: Proof::Mac(MacHash::Sha512),
            ..Self::of("paystack", header("x-paystack-signature"))
        }
    }

    /// Flutterwave, version 4: `flutterwave-signature`, HMAC-SHA256 over the body in base64, with the
    /// secret hash as the key. It signs no timestamp.
    pub fn flutterwave() -> Self {
        Self::of("flutterwave", header("flutterwave-signature")).encoding(SignatureEncoding::Base64)
    }

    /// Flutterwave, version 3: `verif-hash` is the secret hash itself. Nothing is signed: whoever saw one
    /// delivery can make any other. Use [`flutterwave`](Self::flutterwave) if you can.
    pub fn dangerous_flutterwave_v3() -> Self {
        Self {
            proof: Proof::Bearer,
            ..Self::of("flutterwave-v3", header("verif-hash"))
        }
    }

    /// Square: `x-square-hmacsha256-signature`, HMAC-SHA256 over the URL and the body in base64.
    ///
    /// `url` is the notification URL of the subscription, byte for byte.
    ///
    /// # Errors
    ///
    /// If `url` is not an absolute `http` or `https` URL.
    pub fn square(url: &str) -> Result<Self, ConfigError> {
        Self {
            signed: Signed::Template(Template {
                before: vec![Part::Url],
                after: Vec::new(),
            }),
            encoding: SignatureEncoding::Base64,
            ..Self::of("square", header("x-square-hmacsha256-signature"))
        }
        .url(url)
    }

    /// Adyen: HMAC-SHA256 in base64, with a key in hexadecimal. Payment notifications carry a signature in
    /// every item, over eight of its members: all items must verify, and what else stands in them is signed
    /// by nobody. Other notifications carry `HmacSignature`, over the body.
    ///
    /// A [`WebhookLayer`](super::WebhookLayer) that checks for replays takes one item at a time, as Adyen sends
    /// them in JSON: items that were seen one by one could be put together into what looks like a new delivery.
    ///
    /// The whole body is needed at once. Items with a repeated member are refused: readers of JSON differ
    /// about which one counts.
    pub fn adyen() -> Self {
        Self {
            signed: Signed::Adyen,
            encoding: SignatureEncoding::Base64,
            secrets: SecretFormat::Hex,
            ..Self::of("adyen", header("hmacsignature"))
        }
    }

    /// Razorpay: `X-Razorpay-Signature`, HMAC-SHA256 over the body. It signs no timestamp.
    pub fn razorpay() -> Self {
        Self::of("razorpay", header("x-razorpay-signature")).with_id(header("x-razorpay-event-id"))
    }

    /// Coinbase Commerce: `X-CC-Webhook-Signature`, HMAC-SHA256 over the body. It signs no timestamp.
    pub fn coinbase() -> Self {
        Self::of("coinbase", header("x-cc-webhook-signature"))
    }

    /// LINE: `x-line-signature`, HMAC-SHA256 over the body in base64. The secret is the channel secret. It
    /// signs no timestamp.
    pub fn line() -> Self {
        Self::of("line", header("x-line-signature")).encoding(SignatureEncoding::Base64)
    }

    /// Discord's interactions and events: `X-Signature-Ed25519`, Ed25519 over `{timestamp}{body}`.
    /// Configured with the application's public key in hexadecimal. The whole body is needed at once.
    pub fn discord() -> Self {
        Self {
            proof: Proof::Ed25519,
            signed: timestamp_then_body(""),
            ..Self::of("discord", header("x-signature-ed25519"))
        }
        .with_timestamp(header("x-signature-timestamp"))
    }

    fn with_timestamp(mut self, name: HeaderName) -> Self {
        self.fields[0].timestamp = Some(name);
        self
    }

    fn with_id(mut self, name: HeaderName) -> Self {
        self.fields[0].id = Some(name);
        self
    }
}
