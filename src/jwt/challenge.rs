//! `WWW-Authenticate` of a refusal (RFC 6750 section 3, RFC 9110 section 11.6.1, RFC 9728 section 5.1).

use http::{HeaderValue, StatusCode, Uri, header};

use super::error::{JwtError, JwtErrorKind};
use crate::{config::ConfigError, problem::Rejection};

/// The challenges of every kind of refusal, written whenever a parameter is set.
#[derive(Clone, Debug)]
pub(super) struct Challenges {
    parameters: Parameters,
    written: Vec<(JwtErrorKind, HeaderValue)>,
}

/// What every challenge says.
#[derive(Clone, Debug, Default)]
struct Parameters {
    realm: Option<String>,
    scope: Option<String>,
    resource_metadata: Option<String>,
}

impl Challenges {
    /// Challenges without parameters.
    pub(super) fn new() -> Result<Self, ConfigError> {
        Self::written(Parameters::default())
    }

    /// Names the realm (RFC 9110 section 11.5).
    pub(super) fn with_realm(&self, realm: &str) -> Result<Self, ConfigError> {
        if realm.contains(|c: char| matches!(c, '"' | '\\') || !(' '..='~').contains(&c)) {
            let expected = "must be printable ASCII without quotes and backslashes";
            return Err(ConfigError::new("realm", realm, expected));
        }
        Self::written(Parameters {
            realm: Some(realm.to_owned()),
            ..self.parameters.clone()
        })
    }

    /// Names the scopes that are needed (RFC 6750 section 3).
    pub(super) fn with_scope(&self, scope: &str) -> Result<Self, ConfigError> {
        let is_scope_char = |byte: u8| matches!(byte, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let is_scope = |token: &str| !token.is_empty() && token.bytes().all(is_scope_char);
        if !scope.split(' ').all(is_scope) {
            let expected = "must be scopes with one space between them (RFC 6749 section 3.3)";
            return Err(ConfigError::new("challenge_scope", scope, expected));
        }
        Self::written(Parameters {
            scope: Some(scope.to_owned()),
            ..self.parameters.clone()
        })
    }

    /// Names the address of the resource's metadata (RFC 9728 section 5.1).
    pub(super) fn with_resource_metadata(&self, uri: &str) -> Result<Self, ConfigError> {
        let read = uri.parse::<Uri>();
        let is_absolute = read.is_ok_and(|uri| {
            let is_http = matches!(uri.scheme_str(), Some("https" | "http"));
            is_http && uri.host().is_some_and(|host| !host.is_empty())
        });
        if !is_absolute || !uri.is_ascii() || uri.contains(['"', '\\', '#']) {
            let expected = "must be an absolute https: URL without a fragment";
            return Err(ConfigError::new("resource_metadata", uri, expected));
        }
        Self::written(Parameters {
            resource_metadata: Some(uri.to_owned()),
            ..self.parameters.clone()
        })
    }

    fn written(parameters: Parameters) -> Result<Self, ConfigError> {
        let write = |kind: &JwtErrorKind| {
            let text = parameters.challenge(*kind);
            let challenge = HeaderValue::from_str(&text);
            let wrong = |_| ConfigError::new("challenge", text, "must be printable");
            Ok::<_, ConfigError>((*kind, challenge.map_err(wrong)?))
        };
        let written = JwtErrorKind::ALL
            .iter()
            .map(write)
            .collect::<Result<_, _>>()?;
        Ok(Self {
            parameters,
            written,
        })
    }

    /// A refusal with its challenge; without one, where it is not the client's fault.
    pub(super) fn rejection(&self, error: impl Into<JwtError>) -> Rejection {
        let error = error.into();
        let kind = error.kind();
        let rejection = |status| Rejection::new(status, error.code(), kind.sentence());
        if kind == JwtErrorKind::KeysUnavailable {
            return rejection(StatusCode::SERVICE_UNAVAILABLE);
        }
        let rejection = rejection(StatusCode::UNAUTHORIZED);
        match self.written.iter().find(|(of, _)| *of == kind) {
            Some((_, challenge)) => {
                rejection.add_header(header::WWW_AUTHENTICATE, challenge.clone())
            }
            None => rejection,
        }
    }
}

/// A refusal of those whom no layer refused, with a challenge that has no parameters.
#[cfg(feature = "axum")]
pub(super) fn rejection(error: &JwtError) -> Rejection {
    let kind = error.kind();
    let rejection = Rejection::new(StatusCode::UNAUTHORIZED, error.code(), kind.sentence());
    match HeaderValue::try_from(Parameters::default().challenge(kind)) {
        Ok(challenge) => rejection.add_header(header::WWW_AUTHENTICATE, challenge),
        Err(_) => rejection,
    }
}

impl Parameters {
    /// A request without credentials is told what to bring, and of no error (RFC 6750 section 3.1).
    fn challenge(&self, kind: JwtErrorKind) -> String {
        let error = (kind != JwtErrorKind::Missing).then_some(("error", "invalid_token"));
        let description = error.map(|_| ("error_description", kind.sentence()));
        let parameters: Vec<_> = [
            self.realm.as_deref().map(|realm| ("realm", realm)),
            self.scope.as_deref().map(|scope| ("scope", scope)),
            self.resource_metadata
                .as_deref()
                .map(|uri| ("resource_metadata", uri)),
            error,
            description,
        ]
        .into_iter()
        .flatten()
        .map(|(name, value)| format!(" {name}=\"{value}\""))
        .collect();
        format!("Bearer{}", parameters.join(","))
    }
}
