//! `Reporting-Endpoints`: where browsers send the reports that policies ask for.

use http::{HeaderName, HeaderValue, Uri};

use super::structured::{is_key, is_plain_string};
use crate::config::ConfigError;

const SETTING: &str = "Reporting-Endpoints";

/// The `Reporting-Endpoints` header field (W3C Reporting API, section 3.3): names for the places that
/// `report-to` directives speak of.
///
/// ```
/// use portcullis::headers::ReportingEndpoints;
///
/// let endpoints = ReportingEndpoints::new([("csp", "https://reports.example/csp")])?;
/// assert_eq!(endpoints.to_string(), r#"csp="https://reports.example/csp""#);
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct ReportingEndpoints {
    text: String,
}

impl ReportingEndpoints {
    /// The name of the header field.
    pub const NAME: HeaderName = HeaderName::from_static("reporting-endpoints");

    /// Endpoints as pairs of a name and a URL: `https`, or a path on this origin.
    ///
    /// # Errors
    ///
    /// If there is none, a name is not a lower-case key (RFC 9651 section 3.1.2) or comes twice, or a URL is
    /// neither `https` nor a path.
    pub fn new<'a>(
        endpoints: impl IntoIterator<Item = (&'a str, &'a str)>,
    ) -> Result<Self, ConfigError> {
        let mut names: Vec<&str> = Vec::new();
        let mut text = String::new();
        for (name, url) in endpoints {
            if !is_key(name) {
                let expected = "a name must be lower case: letters, digits, '_', '-', '.', '*'";
                return Err(ConfigError::new(SETTING, name, expected));
            }
            if names.contains(&name) {
                let expected = "a name must come once";
                return Err(ConfigError::new(SETTING, name, expected));
            }
            if !is_endpoint(url) {
                let expected = "a URL must be https://… or a path that begins with a single '/'";
                return Err(ConfigError::new(SETTING, url, expected));
            }
            let comma = if names.is_empty() { "" } else { ", " };
            text.push_str(&format!("{comma}{name}=\"{url}\""));
            names.push(name);
        }
        if names.is_empty() {
            return Err(ConfigError::new(SETTING, "[]", "must name at least one"));
        }
        Ok(Self { text })
    }
}

fn is_endpoint(url: &str) -> bool {
    let path = url.starts_with('/') && !url.starts_with("//");
    let absolute = url.starts_with("https://");
    is_plain_string(url) && (path || absolute) && url.parse::<Uri>().is_ok()
}

impl std::fmt::Display for ReportingEndpoints {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<ReportingEndpoints> for HeaderValue {
    fn from(endpoints: ReportingEndpoints) -> Self {
        // Printable ASCII throughout: it always is a header value, and the fallback is never seen.
        Self::try_from(endpoints.text).unwrap_or(Self::from_static(""))
    }
}
