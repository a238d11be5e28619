//! `WWW-Authenticate` of a refusal (RFC 6750 section 3, RFC 9110 section 11.6.1).

use http::{HeaderValue, StatusCode, header};

use super::error::JwtErrorKind;
use crate::{config::ConfigError, problem::Rejection};

/// The challenges of every kind of refusal, written once.
#[derive(Clone, Debug)]
pub(super) struct Challenges(Vec<(JwtErrorKind, HeaderValue)>);

impl Challenges {
    /// Challenges that name this realm, if there is one.
    pub(super) fn new(realm: Option<&str>) -> Result<Self, ConfigError> {
        let given = realm.unwrap_or_default();
        let wrong = || {
            ConfigError::new(
                "realm",
                given,
                "must be printable and without quotes and backslashes",
            )
        };
        if given.contains(|c: char| matches!(c, '"' | '\\') || c.is_control()) {
            return Err(wrong());
        }
        let written = |kind: &JwtErrorKind| {
            let challenge = write(realm, *kind).parse();
            Ok((*kind, challenge.map_err(|_| wrong())?))
        };
        JwtErrorKind::ALL
            .iter()
            .map(written)
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// A refusal with its challenge.
    pub(super) fn rejection(&self, kind: JwtErrorKind) -> Rejection {
        let rejection = Rejection::new(StatusCode::UNAUTHORIZED, kind.code(), kind.sentence());
        match self.0.iter().find(|(of, _)| *of == kind) {
            Some((_, challenge)) => {
                rejection.add_header(header::WWW_AUTHENTICATE, challenge.clone())
            }
            None => rejection,
        }
    }
}

/// A request without credentials is told what to bring, and of no error (RFC 6750 section 3.1).
fn write(realm: Option<&str>, kind: JwtErrorKind) -> String {
    let realm = realm.map(|realm| format!(" realm=\"{realm}\""));
    let error = (kind != JwtErrorKind::Missing).then(|| {
        let sentence = kind.sentence();
        format!(" error=\"invalid_token\", error_description=\"{sentence}\"")
    });
    let parameters: Vec<_> = realm.into_iter().chain(error).collect();
    format!("Bearer{}", parameters.join(","))
}
