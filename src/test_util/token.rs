//! [`TestToken`]: a token that is good until something is done to it.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde_json::{Map, Value, json};

use super::TestIssuer;

/// A token in the making. Every method makes it worse, or other; what none of them touches stays good.
#[derive(Clone, Debug)]
#[must_use]
pub struct TestToken<'i> {
    issuer: &'i TestIssuer,
    header: Map<String, Value>,
    claims: Map<String, Value>,
    /// Members that stand in the text once more.
    twice: Vec<(String, Value)>,
    payload: Option<Vec<u8>>,
    signature: Signature,
}

#[derive(Clone, Copy, Debug)]
enum Signature {
    Good,
    Strangers,
    Tampered,
    Empty,
}

impl<'i> TestToken<'i> {
    pub(super) fn new(issuer: &'i TestIssuer) -> Self {
        let now = issuer.now();
        let mut token = Self {
            issuer,
            header: Map::new(),
            claims: Map::new(),
            twice: Vec::new(),
            payload: None,
            signature: Signature::Good,
        };
        token = token
            .header("alg", issuer.key.algorithm().as_str())
            .header("typ", "at+jwt");
        if let Some(kid) = issuer.key.key_id() {
            token = token.header("kid", kid);
        }
        token
            .claim("iss", issuer.issuer.as_str())
            .claim("aud", issuer.audience.as_str())
            .claim("client_id", "test")
            .claim("jti", format!("test-{now}"))
            .claim("iat", now)
            .claim("exp", now + 300)
            .subject("user-1")
    }

    /// Replaces `sub`.
    pub fn subject(self, subject: &str) -> Self {
        self.claim("sub", subject)
    }

    /// Replaces a claim, whatever it is.
    pub fn claim(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.claims.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a claim out.
    pub fn without(mut self, name: &str) -> Self {
        self.claims.remove(name);
        self
    }

    /// Replaces a member of the header, whatever it is (`typ`, `kid`, `crit`).
    pub fn header(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.header.insert(name.to_owned(), value.into());
        self
    }

    /// Takes a member of the header out.
    pub fn without_header(mut self, name: &str) -> Self {
        self.header.remove(name);
        self
    }

    /// Lets it have expired a second ago.
    pub fn expired(self) -> Self {
        let now = self.issuer.now();
        self.claim("iat", now.saturating_sub(300))
            .claim("exp", now.saturating_sub(1))
    }

    /// Lets it be good from five minutes from now on.
    pub fn not_yet_valid(self) -> Self {
        let now = self.issuer.now();
        self.claim("nbf", now + 300).claim("exp", now + 600)
    }

    /// Lets it be from another issuer.
    pub fn of_other_issuer(self) -> Self {
        self.claim("iss", "https://other-issuer.test")
    }

    /// Lets it be for another audience.
    pub fn for_other_audience(self) -> Self {
        self.claim("aud", "https://other-api.test")
    }

    /// Lets the claim stand in it twice, the second time with this value.
    pub fn duplicate(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.twice.push((name.to_owned(), value.into()));
        self
    }

    /// Replaces the payload by these bytes, which need not be claims nor JSON.
    pub fn payload(mut self, payload: impl Into<Vec<u8>>) -> Self {
        self.payload = Some(payload.into());
        self
    }

    /// Signs with a key that is in no key set, under the id of the one that is.
    pub fn signed_by_stranger(mut self) -> Self {
        self.signature = Signature::Strangers;
        self
    }

    /// Changes the claims after signing: another subject.
    pub fn tampered(mut self) -> Self {
        self.signature = Signature::Tampered;
        self
    }

    /// Says that it is not signed: `alg` is `none`, and the signature is empty (RFC 8725 section 2.1).
    pub fn unsigned(mut self) -> Self {
        self.signature = Signature::Empty;
        self.header("alg", "none")
    }

    /// The token, in compact serialization.
    ///
    /// # Panics
    ///
    /// If the crypto backend does not sign.
    #[must_use]
    pub fn mint(&self) -> String {
        let header = Value::Object(self.header.clone()).to_string();
        let payload = self.payload.clone().unwrap_or_else(|| self.written());
        let sign = |key: &crate::tokens::SigningKey| {
            key.sign(header.as_bytes(), &payload)
                .expect("a signature for a test")
        };
        match self.signature {
            Signature::Good => sign(&self.issuer.key),
            Signature::Strangers => sign(&self.issuer.stranger),
            Signature::Empty => format!("{}.{}.", encode(header.as_bytes()), encode(&payload)),
            Signature::Tampered => {
                let token = sign(&self.issuer.key);
                let signature = token.rsplit('.').next().unwrap_or_default();
                let other = self.clone().subject("somebody-else").written();
                format!(
                    "{}.{}.{signature}",
                    encode(header.as_bytes()),
                    encode(&other)
                )
            }
        }
    }

    /// The claims as text.
    fn written(&self) -> Vec<u8> {
        let mut text = json!(self.claims).to_string();
        for (name, value) in &self.twice {
            text.pop();
            let comma = if text.len() > 1 { "," } else { "" };
            text.push_str(&format!("{comma}{}:{value}}}", Value::from(name.as_str())));
        }
        text.into_bytes()
    }
}

fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
