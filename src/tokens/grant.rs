//! [`Grant`]: what an access token says.

use std::time::{Duration, SystemTime};

use serde_json::{Map, Value};

use crate::config::ConfigError;

/// The claims that an issuer writes itself, or that have a setter here.
const OWN: [&str; 12] = [
    "iss",
    "sub",
    "aud",
    "exp",
    "nbf",
    "iat",
    "jti",
    "client_id",
    "scope",
    "acr",
    "amr",
    "auth_time",
];

/// Who may do what through which client: the content of an access token (RFC 9068 section 2.2).
///
/// ```
/// use portcullis::tokens::Grant;
///
/// let grant = Grant::new("user-7", "web-app")
///     .scopes(["orders:read", "orders:write"])?
///     .claim("tenant", "acme")?;
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
#[must_use]
pub struct Grant {
    subject: String,
    client: String,
    audience: Vec<String>,
    members: Map<String, Value>,
}

impl Grant {
    /// `sub`, whom the token is about, and `client_id`, who may present it. A client that acts for itself is
    /// both (RFC 9068 section 2.2).
    pub fn new(subject: impl Into<String>, client: impl Into<String>) -> Self {
        Self {
            subject: subject.into(),
            client: client.into(),
            audience: Vec::new(),
            members: Map::new(),
        }
    }

    /// Replaces `aud`, whom the token is for; the default is the issuer's.
    pub fn audience<N: Into<String>>(mut self, audience: impl IntoIterator<Item = N>) -> Self {
        self.audience = audience.into_iter().map(Into::into).collect();
        self
    }

    /// Replaces `scope`, what the token may be used for (RFC 8693 section 4.2); the default is none.
    ///
    /// # Errors
    ///
    /// If one is no `scope-token` of RFC 6749 section 3.3; two in one text, say.
    pub fn scopes<N: AsRef<str>>(
        mut self,
        scopes: impl IntoIterator<Item = N>,
    ) -> Result<Self, ConfigError> {
        let mut text = String::new();
        for scope in scopes {
            let scope = scope.as_ref();
            let sound = |byte| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            if scope.is_empty() || !scope.bytes().all(sound) {
                let expected = "must be printable ASCII without spaces, quotes and backslashes";
                return Err(ConfigError::new("scope", scope, expected));
            }
            if !text.is_empty() {
                text.push(' ');
            }
            text.push_str(scope);
        }
        self.members.insert("scope".into(), text.into());
        Ok(self)
    }

    /// Replaces `acr`, how strong the authentication was.
    pub fn authenticated_as(mut self, class: impl Into<String>) -> Self {
        self.members.insert("acr".into(), class.into().into());
        self
    }

    /// Replaces `auth_time`, when the authentication was.
    pub fn authenticated_at(mut self, at: SystemTime) -> Self {
        let since = at
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        self.members
            .insert("auth_time".into(), since.as_secs().into());
        self
    }

    /// Replaces `amr`, the methods of the authentication (RFC 8176).
    pub fn methods<N: Into<String>>(mut self, methods: impl IntoIterator<Item = N>) -> Self {
        let methods: Vec<String> = methods.into_iter().map(Into::into).collect();
        self.members.insert("amr".into(), methods.into());
        self
    }

    /// Replaces a claim that has no setter here (`roles`, `tenant`).
    ///
    /// # Errors
    ///
    /// If it has one, or is the issuer's to write (`iss`, `exp`, `jti`).
    pub fn claim(
        mut self,
        name: impl Into<String>,
        value: impl Into<Value>,
    ) -> Result<Self, ConfigError> {
        let name = name.into();
        if OWN.contains(&&*name) {
            let expected = "must be a claim that the issuer does not write itself";
            return Err(ConfigError::new("claim", name, expected));
        }
        self.members.insert(name, value.into());
        Ok(self)
    }

    /// The claims of a token issued now, as JSON.
    pub(super) fn claims(
        &self,
        issuer: &str,
        audience: &[String],
        jwt_id: &str,
        issued: Duration,
        lifetime: Duration,
    ) -> String {
        let audience = match self.audience.as_slice() {
            [] => audience,
            own => own,
        };
        let mut claims = self.members.clone();
        let mut put = |name: &str, value: Value| claims.insert(name.to_owned(), value);
        put("iss", issuer.into());
        put("sub", self.subject.as_str().into());
        put("client_id", self.client.as_str().into());
        put("jti", jwt_id.into());
        put("iat", issued.as_secs().into());
        put("exp", (issued.as_secs() + lifetime.as_secs()).into());
        match audience {
            [one] => put("aud", one.as_str().into()),
            several => put("aud", several.to_vec().into()),
        };
        Value::Object(claims).to_string()
    }
}
