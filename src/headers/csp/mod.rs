//! `Content-Security-Policy`: what a page may load and run, and who may frame it.

mod builder;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
mod digest;
mod nonce;
mod presets;
mod source;
mod template;

use std::{borrow::Cow, fmt, str::FromStr};

use http::{HeaderName, HeaderValue};

pub(in crate::headers) use self::template::Template;
pub use self::{builder::ContentSecurityPolicyBuilder, nonce::CspNonce, source::Source};
use crate::config::ConfigError;

/// The `Content-Security-Policy` header field (CSP Level 3), checked and written out.
///
/// A policy is built from nothing, from a preset, or from text:
///
/// ```
/// use portcullis::headers::{ContentSecurityPolicy, Source};
///
/// let policy = ContentSecurityPolicy::helmet().into_builder()
///     .script_src([Source::SELF])
///     .add_nonce("script-src")
///     .img_src(["'self'", "https://images.example"])
///     .build()?;
/// assert!(policy.to_string().contains("img-src 'self' https://images.example"));
///
/// let unquoted = ContentSecurityPolicy::builder().default_src(["self"]).build();
/// assert!(unquoted.is_err(), "self without quotes would be a host");
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
///
/// Written as text, `'nonce'` stands for the nonce that every response gets of its own.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct ContentSecurityPolicy {
    text: Cow<'static, str>,
}

impl ContentSecurityPolicy {
    /// The name of the header field.
    pub const NAME: HeaderName = HeaderName::from_static("content-security-policy");

    /// The name of the header field of a policy that is reported and not enforced.
    pub const REPORT_ONLY_NAME: HeaderName =
        HeaderName::from_static("content-security-policy-report-only");

    /// The strictest policy there is, for where no other can be written.
    const NOTHING: &'static str = presets::API;

    /// A builder without a directive.
    pub fn builder() -> ContentSecurityPolicyBuilder {
        ContentSecurityPolicyBuilder::empty()
    }

    /// The default policy of helmet 8.
    pub const fn helmet() -> Self {
        Self::fixed(presets::HELMET)
    }

    /// A policy for pages: scripts run by nonce only, nothing is loaded from elsewhere, nobody frames the
    /// page, and `<base>` and plugins are off (OWASP ASVS 5.0, 3.4.3 and 3.4.6).
    pub const fn strict() -> Self {
        Self::fixed(presets::STRICT)
    }

    /// A policy for answers that are no pages: nothing is loaded, nobody frames them (OWASP REST Security
    /// Cheat Sheet).
    pub const fn api() -> Self {
        Self::fixed(presets::API)
    }

    /// A builder that begins with this policy, to change it.
    pub fn into_builder(self) -> ContentSecurityPolicyBuilder {
        ContentSecurityPolicyBuilder::of(&self.text)
    }

    const fn fixed(text: &'static str) -> Self {
        Self {
            text: Cow::Borrowed(text),
        }
    }

    fn written(text: String) -> Self {
        if text == presets::HELMET {
            return Self::helmet();
        }
        Self {
            text: Cow::Owned(text),
        }
    }

    /// The policy as text, with `'nonce'` where each response gets its own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether each response needs a nonce of its own.
    #[must_use]
    pub fn needs_nonce(&self) -> bool {
        self.text.contains(source::NONCE_MARK)
    }

    /// The value of a policy without a nonce.
    fn fixed_value(&self) -> HeaderValue {
        // A static value is cloned without touching a counter that all cores share.
        match &self.text {
            Cow::Borrowed(text) => HeaderValue::from_static(text),
            // Checked by the builder: printable ASCII and spaces. The fallback is the strictest there is.
            Cow::Owned(text) => HeaderValue::try_from(text.as_str())
                .unwrap_or(HeaderValue::from_static(Self::NOTHING)),
        }
    }
}

/// Reads a policy as a header field has it: directives between `;`, each once. `'nonce'` asks for a fresh
/// nonce.
impl FromStr for ContentSecurityPolicy {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        let mut builder = Self::builder();
        let mut seen: Vec<&str> = Vec::new();
        for directive in text.split(';') {
            let mut words = directive.split_ascii_whitespace();
            let Some(name) = words.next() else {
                continue;
            };
            if seen.contains(&name) {
                let expected = "a directive must come once: browsers ignore the second";
                return Err(ConfigError::new(builder::SETTING, name, expected));
            }
            seen.push(name);
            builder = builder.directive(name.to_owned(), words);
        }
        builder.build()
    }
}

impl fmt::Display for ContentSecurityPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}
