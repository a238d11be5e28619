//! `Referrer-Policy`: what other sites learn about where a visitor came from.

use http::{HeaderName, HeaderValue};

use crate::config::ConfigError;

token_header! {
    /// One policy of the `Referrer-Policy` header field (W3C Referrer Policy, section 3).
    Referrer = "referrer-policy" {
        /// Nothing is sent.
        NoReferrer = "no-referrer",
        /// The whole URL, but nothing from HTTPS to HTTP.
        NoReferrerWhenDowngrade = "no-referrer-when-downgrade",
        /// The whole URL to the same origin, nothing to others.
        SameOrigin = "same-origin",
        /// The origin only.
        Origin = "origin",
        /// The origin only, and nothing from HTTPS to HTTP.
        StrictOrigin = "strict-origin",
        /// The whole URL to the same origin, the origin to others.
        OriginWhenCrossOrigin = "origin-when-cross-origin",
        /// The whole URL to the same origin, the origin to others, nothing from HTTPS to HTTP.
        StrictOriginWhenCrossOrigin = "strict-origin-when-cross-origin",
        /// The whole URL to everybody.
        UnsafeUrl = "unsafe-url",
        /// No policy of its own: what the browser does by default.
        Unset = "",
    }
}

exact_tokens!(Referrer, "Referrer-Policy");

/// The `Referrer-Policy` header field: one policy, or several of which a browser takes the last it knows.
///
/// ```
/// use portcullis::headers::{Referrer, ReferrerPolicy};
///
/// let policy = ReferrerPolicy::list([Referrer::NoReferrer, Referrer::StrictOriginWhenCrossOrigin])?;
/// assert_eq!(policy.to_string(), "no-referrer, strict-origin-when-cross-origin");
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct ReferrerPolicy {
    policies: Vec<Referrer>,
}

impl ReferrerPolicy {
    /// The name of the header field.
    pub const NAME: HeaderName = Referrer::NAME;

    /// Several policies, the preferred one last: a browser takes the last that it knows.
    ///
    /// # Errors
    ///
    /// If the list is empty or names a policy twice.
    pub fn list(policies: impl IntoIterator<Item = Referrer>) -> Result<Self, ConfigError> {
        let policies: Vec<Referrer> = policies.into_iter().collect();
        let error =
            |given: String, expected| Err(ConfigError::new("Referrer-Policy", given, expected));
        if policies.is_empty() {
            return error("[]".to_owned(), "must name at least one policy");
        }
        for (index, policy) in policies.iter().enumerate() {
            if policies[..index].contains(policy) {
                return error(policy.to_string(), "must name each policy once");
            }
        }
        Ok(Self { policies })
    }
}

impl From<Referrer> for ReferrerPolicy {
    fn from(policy: Referrer) -> Self {
        Self {
            policies: vec![policy],
        }
    }
}

impl std::fmt::Display for ReferrerPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        for (index, policy) in self.policies.iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{policy}")?;
        }
        Ok(())
    }
}

impl From<ReferrerPolicy> for HeaderValue {
    fn from(policy: ReferrerPolicy) -> Self {
        match policy.policies.as_slice() {
            [one] => (*one).into(),
            // Fixed words and commas: it always is a header value, and the fallback is never seen.
            _ => Self::try_from(policy.to_string())
                .unwrap_or(Self::from_static(Referrer::NoReferrer.as_str())),
        }
    }
}
