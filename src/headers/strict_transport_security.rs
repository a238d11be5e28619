//! `Strict-Transport-Security`: browsers come back by HTTPS only.

use std::time::Duration;

use http::{HeaderName, HeaderValue};

use crate::config::ConfigError;

const YEAR: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// The `Strict-Transport-Security` header field (RFC 6797).
///
/// Whether subdomains are included must be said: leaving them out lets whoever can answer for one subdomain
/// by plain HTTP set cookies for the whole site (RFC 6797 section 14.4).
///
/// Browsers ignore the field on an answer that came by plain HTTP (RFC 6797 section 8.1).
///
/// ```
/// use std::time::Duration;
/// use portcullis::headers::StrictTransportSecurity;
///
/// let two_years = Duration::from_secs(2 * 365 * 24 * 60 * 60);
/// let hsts = StrictTransportSecurity::including_subdomains(two_years).preload()?;
/// assert_eq!(hsts.to_string(), "max-age=63072000; includeSubDomains; preload");
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct StrictTransportSecurity {
    max_age: Duration,
    subdomains: bool,
    preload: bool,
}

impl StrictTransportSecurity {
    /// The name of the header field.
    pub const NAME: HeaderName = HeaderName::from_static("strict-transport-security");

    /// helmet's default: a year, with subdomains.
    pub(super) const HELMET: Self = Self::including_subdomains(YEAR);

    /// Two years, with subdomains, as OWASP and the preload list recommend.
    pub(super) const TWO_YEARS: Self =
        Self::including_subdomains(Duration::from_secs(2 * YEAR.as_secs()));

    /// The host and all its subdomains, for `max_age` (whole seconds; a fraction is cut off).
    ///
    /// A `max_age` of zero tells browsers to forget what they were told before.
    pub const fn including_subdomains(max_age: Duration) -> Self {
        Self {
            max_age,
            subdomains: true,
            preload: false,
        }
    }

    /// This host alone, for `max_age` (whole seconds; a fraction is cut off).
    pub const fn excluding_subdomains(max_age: Duration) -> Self {
        Self {
            max_age,
            subdomains: false,
            preload: false,
        }
    }

    /// Asks for a place in the list that browsers are shipped with.
    ///
    /// It is hard to take back: leaving the list takes months to reach every browser.
    ///
    /// # Errors
    ///
    /// If the list would not take it: it asks for a year at least, and for subdomains.
    pub fn preload(mut self) -> Result<Self, ConfigError> {
        if self.max_age < YEAR || !self.subdomains {
            return Err(ConfigError::new(
                "Strict-Transport-Security",
                format!("{self}; preload"),
                "the preload list asks for a max_age of a year (31536000 s) or more, including subdomains",
            ));
        }
        self.preload = true;
        Ok(self)
    }
}

impl std::fmt::Display for StrictTransportSecurity {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "max-age={}", self.max_age.as_secs())?;
        if self.subdomains {
            f.write_str("; includeSubDomains")?;
        }
        if self.preload {
            f.write_str("; preload")?;
        }
        Ok(())
    }
}

impl From<StrictTransportSecurity> for HeaderValue {
    fn from(hsts: StrictTransportSecurity) -> Self {
        match hsts {
            // A static value is cloned without touching a counter that all cores share.
            StrictTransportSecurity::HELMET => {
                Self::from_static("max-age=31536000; includeSubDomains")
            }
            StrictTransportSecurity::TWO_YEARS => {
                Self::from_static("max-age=63072000; includeSubDomains")
            }
            // Digits and fixed words: it always is a header value, and the fallback is never seen.
            _ => Self::try_from(hsts.to_string())
                .unwrap_or(Self::from_static("max-age=31536000; includeSubDomains")),
        }
    }
}
