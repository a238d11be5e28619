//! `X-Frame-Options`: who may put the page into a frame.

use std::str::FromStr;

use crate::config::ConfigError;

token_header! {
    /// The `X-Frame-Options` header field (RFC 7034).
    ///
    /// Browsers that know the CSP directive `frame-ancestors` go by that; this field is for the others.
    /// `ALLOW-FROM` is not offered: no browser honours it any more, so a page that sends it has no protection.
    XFrameOptions = "x-frame-options" {
        /// Nobody, not even pages of the same origin.
        Deny = "DENY",
        /// Pages of the same origin.
        SameOrigin = "SAMEORIGIN",
    }
}

/// Reads `deny`, `sameorigin` or `same-origin`, in any case.
impl FromStr for XFrameOptions {
    type Err = ConfigError;

    fn from_str(text: &str) -> Result<Self, ConfigError> {
        match text.to_ascii_lowercase().as_str() {
            "deny" => Ok(Self::Deny),
            "sameorigin" | "same-origin" => Ok(Self::SameOrigin),
            _ => Err(ConfigError::new(
                "X-Frame-Options",
                text,
                "must be DENY or SAMEORIGIN; to name origins, use the CSP directive frame-ancestors",
            )),
        }
    }
}
