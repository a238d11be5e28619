//! One sender of each scheme, for the tests that go through all of them.

use std::time::{Duration, SystemTime};

use http::HeaderMap;
use portcullis::webhook::{
    SignatureEncoding, WebhookAlgorithm, WebhookScheme, WebhookSigner, WebhookVerifier,
};

pub(crate) const BODY: &[u8] = b"{\"id\":\"evt_test\",\"object\":\"event\"}";
pub(crate) const ID: &str = "msg_p5jXN8AQM9LWM0D4loKWxJek";
pub(crate) const URL: &str = "https://example.com/hooks?shop=7";

/// With the SHA-256 of [`BODY`].
pub(crate) const HASH_URL: &str = "https://example.com/hooks?bodySHA256=\
    70f331694dd0fb5dd9931f7fe438b24f670de63b49de7283a68eb02b412c46e3";

/// 15 February 2021.
pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_614_265_330)
}

/// A scheme with what signs for it.
pub(crate) struct Sender {
    pub(crate) scheme: WebhookScheme,
    /// The secret, or the private key.
    pub(crate) secret: String,
    pub(crate) body: &'static [u8],
}

impl Sender {
    pub(crate) fn signer(&self) -> WebhookSigner {
        WebhookSigner::new(self.scheme.clone(), self.secret.as_str()).unwrap()
    }

    /// What a verifier is configured with: the secret itself, or the public key.
    pub(crate) fn key(&self) -> String {
        self.signer()
            .public_key()
            .unwrap_or_else(|| self.secret.clone())
    }

    pub(crate) fn verifier(&self) -> WebhookVerifier {
        WebhookVerifier::new(self.scheme.clone(), self.key()).unwrap()
    }

    pub(crate) fn headers(&self) -> HeaderMap {
        self.signer().sign(ID, self.body, now()).unwrap()
    }

    /// Whether the scheme signs one body only: a hash of it stands in the URL.
    pub(crate) fn has_one_body(&self) -> bool {
        self.scheme.name() == "twilio" && self.body == BODY
    }

    /// Whether anything of the body is left unsigned.
    pub(crate) fn signs_body(&self) -> bool {
        self.scheme.name() != "flutterwave-v3"
    }
}

/// A private key of 32 bytes, in hexadecimal.
const PRIVATE: &str = "0b1c2d3e4f5061728394a5b6c7d8e9fa0b1c2d3e4f5061728394a5b6c7d8e901";

pub(crate) fn all() -> Vec<Sender> {
    let with = |scheme: WebhookScheme, secret: &str| Sender {
        scheme,
        secret: secret.to_owned(),
        body: BODY,
    };
    let form = |scheme: WebhookScheme, secret: &str| Sender {
        body: b"To=%2B18005551212&Digits=1234&From=%2B14158675309",
        ..with(scheme, secret)
    };
    vec![
        with(WebhookScheme::stripe(), "whsec_test_secret"),
        with(WebhookScheme::github(), "It's a Secret to Everybody"),
        with(WebhookScheme::slack(), "8f742231b10e8888abcd99yyyzzz85a5"),
        with(WebhookScheme::shopify(), "hush"),
        form(WebhookScheme::twilio(URL).unwrap(), "12345"),
        form(
            WebhookScheme::twilio("https://example.com:8443/hooks?shop=7").unwrap(),
            "12345",
        ),
        with(WebhookScheme::twilio(HASH_URL).unwrap(), "12345"),
        with(WebhookScheme::sendgrid(), PRIVATE),
        with(
            WebhookScheme::standard_webhooks(),
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        with(
            WebhookScheme::standard_webhooks(),
            "whsk_CxwtPk9QYXKDlKW2x9jp+gscLT5PUGFyg5Sltsfx6Pk=",
        ),
        with(
            WebhookScheme::svix(),
            "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw",
        ),
        with(WebhookScheme::reloadly(), "reloadly_secret"),
        with(WebhookScheme::paddle(), "pdl_ntfset_test"),
        with(WebhookScheme::paystack(), "sk_test_7"),
        with(WebhookScheme::flutterwave(), "flw_secret_hash"),
        with(WebhookScheme::dangerous_flutterwave_v3(), "flw_secret_hash"),
        with(WebhookScheme::square(URL).unwrap(), "asdf1234"),
        with(
            WebhookScheme::adyen(),
            "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056",
        ),
        with(WebhookScheme::razorpay(), "rzp_secret"),
        with(WebhookScheme::coinbase(), "0e4b1c5e-7f2a"),
        with(WebhookScheme::line(), "channel-secret"),
        with(WebhookScheme::discord(), PRIVATE),
        with(
            WebhookScheme::generic("x-acme-signature")
                .unwrap()
                .named("acme")
                .algorithm(WebhookAlgorithm::HmacSha384)
                .encoding(SignatureEncoding::Base64)
                .prefix("s=")
                .timestamp_header("x-acme-time")
                .unwrap()
                .id_header("x-acme-id")
                .unwrap()
                .url(URL)
                .unwrap()
                .template("{url}|{id}|{body}|{timestamp}")
                .unwrap(),
            "a secret",
        ),
        with(
            WebhookScheme::generic("x-keyed")
                .unwrap()
                .named("keyed")
                .algorithm(WebhookAlgorithm::EcdsaP256),
            PRIVATE,
        ),
    ]
}
