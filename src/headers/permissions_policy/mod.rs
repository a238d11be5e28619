//! `Permissions-Policy`: which features of the browser the page and its frames may use.

mod feature;

use std::{borrow::Cow, fmt};

use http::{HeaderName, HeaderValue};

pub use self::feature::PermissionsFeature;
use super::structured::is_web_origin;
use crate::config::ConfigError;

const SETTING: &str = "Permissions-Policy";

/// What OWASP's HTTP Headers Cheat Sheet and its like deny, and what a page rarely asks for.
const DENY_POWERFUL: &str = "accelerometer=(), attribution-reporting=(), bluetooth=(), browsing-topics=(), \
    camera=(), display-capture=(), geolocation=(), gyroscope=(), hid=(), idle-detection=(), \
    local-fonts=(), magnetometer=(), microphone=(), midi=(), payment=(), serial=(), usb=(), \
    xr-spatial-tracking=()";

/// Who may use a feature.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct PermissionsAllow(Cow<'static, str>);

impl PermissionsAllow {
    /// `*`: the page and every frame in it. It stands alone.
    pub const ALL: Self = Self(Cow::Borrowed("*"));
    /// `self`: the page, and frames of its origin.
    pub const SELF: Self = Self(Cow::Borrowed("self"));
    /// `src`: a frame, as long as it shows what its `src` says.
    pub const SRC: Self = Self(Cow::Borrowed("src"));
}

/// An origin such as `https://maps.example`, checked when the policy is built.
impl From<&str> for PermissionsAllow {
    fn from(origin: &str) -> Self {
        Self(Cow::Owned(format!("\"{origin}\"")))
    }
}

/// The `Permissions-Policy` header field (W3C Permissions Policy, section 5.2), a dictionary of RFC 9651.
///
/// ```
/// use portcullis::headers::{PermissionsAllow, PermissionsFeature, PermissionsPolicy};
///
/// let policy = PermissionsPolicy::builder()
///     .deny(PermissionsFeature::CAMERA)
///     .allow(PermissionsFeature::GEOLOCATION, [PermissionsAllow::SELF, "https://maps.example".into()])
///     .build()?;
/// assert_eq!(policy.to_string(), r#"camera=(), geolocation=(self "https://maps.example")"#);
/// # Ok::<(), portcullis::config::ConfigError>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
#[must_use]
pub struct PermissionsPolicy {
    text: Cow<'static, str>,
}

impl PermissionsPolicy {
    /// The name of the header field.
    pub const NAME: HeaderName = HeaderName::from_static("permissions-policy");

    /// A builder without a feature.
    pub const fn builder() -> PermissionsPolicyBuilder {
        PermissionsPolicyBuilder {
            features: Vec::new(),
        }
    }

    /// Denies the features that see, hear, locate, pay or reach devices.
    pub const fn deny_powerful() -> Self {
        Self {
            text: Cow::Borrowed(DENY_POWERFUL),
        }
    }
}

impl fmt::Display for PermissionsPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl From<PermissionsPolicy> for HeaderValue {
    fn from(policy: PermissionsPolicy) -> Self {
        match policy.text {
            Cow::Borrowed(text) => Self::from_static(text),
            // Checked by the builder: printable ASCII and spaces. The fallback denies.
            Cow::Owned(text) => Self::try_from(text).unwrap_or(Self::from_static(DENY_POWERFUL)),
        }
    }
}

/// Builds a [`PermissionsPolicy`]; what is said of a feature replaces what was said of it before.
#[derive(Clone, Debug)]
#[must_use]
pub struct PermissionsPolicyBuilder {
    features: Vec<(PermissionsFeature, Vec<PermissionsAllow>)>,
}

impl PermissionsPolicyBuilder {
    /// Nobody may use the feature.
    pub fn deny(self, feature: PermissionsFeature) -> Self {
        self.allow(feature, [])
    }

    /// Those listed may use the feature, and nobody else.
    pub fn allow(
        mut self,
        feature: PermissionsFeature,
        allowed: impl IntoIterator<Item = PermissionsAllow>,
    ) -> Self {
        let allowed = allowed.into_iter().collect();
        match self
            .features
            .iter_mut()
            .find(|(known, _)| *known == feature)
        {
            Some((_, known)) => *known = allowed,
            None => self.features.push((feature, allowed)),
        }
        self
    }

    /// The policy, written out.
    ///
    /// # Errors
    ///
    /// If it names no feature, if what is allowed is not an origin (`https://maps.example`, no path), or if
    /// `*` does not stand alone.
    pub fn build(self) -> Result<PermissionsPolicy, ConfigError> {
        let mut members = Vec::with_capacity(self.features.len());
        for (feature, allowed) in &self.features {
            members.push(format!("{}={}", feature.as_str(), allow_list(allowed)?));
        }
        if members.is_empty() {
            let expected = "must name a feature; to have no policy, leave the header out";
            return Err(ConfigError::new(SETTING, "", expected));
        }
        Ok(PermissionsPolicy {
            text: Cow::Owned(members.join(", ")),
        })
    }
}

fn allow_list(allowed: &[PermissionsAllow]) -> Result<String, ConfigError> {
    if *allowed == [PermissionsAllow::ALL] {
        return Ok("*".to_owned());
    }
    for allow in allowed {
        if *allow == PermissionsAllow::ALL {
            return Err(ConfigError::new(SETTING, "*", "must stand alone"));
        }
        if let Some(rest) = allow.0.strip_prefix('"') {
            let origin = rest.strip_suffix('"').unwrap_or(rest);
            if !is_web_origin(origin) {
                let expected = "must be an origin, such as https://maps.example; the keywords are \
                    PermissionsAllow::SELF, ALL and SRC";
                return Err(ConfigError::new(SETTING, origin, expected));
            }
        }
    }
    let words: Vec<&str> = allowed.iter().map(|allow| allow.0.as_ref()).collect();
    Ok(format!("({})", words.join(" ")))
}
