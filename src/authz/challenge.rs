//! What a refused request is answered (RFC 6750 section 3, RFC 9470 section 3).

use std::fmt::Write;

use http::{HeaderValue, StatusCode, header};

use super::{Denial, DenialKind};
use crate::{config::ConfigError, problem::Rejection};

/// The code of a refusal for want of a principal.
pub(super) const UNAUTHENTICATED: &str = "authz_unauthenticated";

/// What stands in every challenge.
#[derive(Clone, Debug, Default)]
pub(super) struct Challenge {
    realm: Option<String>,
    resource_metadata: Option<String>,
}

impl Challenge {
    pub(super) fn set_realm(&mut self, realm: String) -> Result<(), ConfigError> {
        self.realm = Some(quotable("realm", realm)?);
        Ok(())
    }

    pub(super) fn set_resource_metadata(&mut self, url: String) -> Result<(), ConfigError> {
        self.resource_metadata = Some(quotable("resource_metadata", url)?);
        Ok(())
    }

    /// Nobody was found: what to bring, and of no error (RFC 6750 section 3.1).
    pub(super) fn unauthenticated(&self) -> Rejection {
        let detail = "Sign in first.";
        let rejection = Rejection::new(StatusCode::UNAUTHORIZED, UNAUTHENTICATED, detail);
        self.put(rejection, &[])
    }

    /// Somebody was found who may not.
    pub(super) fn denied(&self, denial: &Denial) -> Rejection {
        let (status, error) = match denial.kind() {
            DenialKind::AuthenticationInsufficient => {
                (StatusCode::UNAUTHORIZED, "insufficient_user_authentication")
            }
            _ => (StatusCode::FORBIDDEN, "insufficient_scope"),
        };
        let age = denial.max_age().map(|age| age.as_secs());
        let written_age = age.map(|age| age.to_string()).unwrap_or_default();
        let sentence = denial.kind().sentence();
        let mut rejection = Rejection::new(status, denial.code(), sentence);
        for (name, text) in [
            ("scope", denial.scope()),
            ("acr_values", denial.acr_values()),
        ] {
            if !text.is_empty() {
                rejection = rejection.add_member(name, text);
            }
        }
        if let Some(age) = age {
            rejection = rejection.add_member("max_age", age);
        }
        let parameters = [
            ("error", error),
            ("error_description", sentence),
            ("scope", denial.scope()),
            ("acr_values", denial.acr_values()),
            ("max_age", &written_age),
        ];
        self.put(rejection, &parameters)
    }

    /// Appends the challenge; parameters without a value are left out.
    fn put(&self, rejection: Rejection, parameters: &[(&str, &str)]) -> Rejection {
        let realm = self.realm.as_deref().unwrap_or_default();
        let metadata = self.resource_metadata.as_deref().unwrap_or_default();
        let own = [("realm", realm), ("resource_metadata", metadata)];
        let mut text = String::from("Bearer");
        let written = own
            .iter()
            .chain(parameters)
            .filter(|(_, value)| !value.is_empty());
        for (at, (name, value)) in written.enumerate() {
            let comma = if at == 0 { "" } else { "," };
            // Writing to a string does not fail.
            let _ = write!(text, "{comma} {name}=\"{value}\"");
        }
        // Every value was checked when the policy or the layer was made.
        match HeaderValue::try_from(text) {
            Ok(challenge) => rejection.add_header(header::WWW_AUTHENTICATE, challenge),
            Err(_) => {
                rejection.add_header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
            }
        }
    }
}

/// Text that stands between quotes as it is (RFC 9110 section 5.6.4).
fn quotable(setting: &'static str, text: String) -> Result<String, ConfigError> {
    match text
        .bytes()
        .all(|byte| matches!(byte, b' ' | 0x21 | 0x23..=0x5b | 0x5d..=0x7e))
    {
        true => Ok(text),
        false => {
            let expected = "must be printable ASCII without quotes and backslashes";
            Err(ConfigError::new(setting, text, expected))
        }
    }
}
