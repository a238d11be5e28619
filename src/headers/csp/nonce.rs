//! [`CspNonce`]: the nonce of one response.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

use crate::random::RandomError;

/// Eighteen bytes are 144 bits, over the 128 that CSP 3 (section 2.3.1) and OWASP ASVS 5.0 (11.5.1) ask
/// for, and fill base64 to the last character.
const BYTES: usize = 18;

/// The characters of a nonce in a header field or an attribute.
pub(super) const LENGTH: usize = BYTES / 3 * 4;

/// The nonce of the response being made: 144 fresh bits, written as 24 characters of base64url.
///
/// The layer puts it into the request's extensions before the handler runs, and into the policy of the
/// response. Its characters mean nothing to HTML, so it goes into a template as it is:
///
/// ```
/// use http::{Request, Response};
/// use portcullis::headers::{CspNonce, SecurityHeadersLayer};
/// use tower::{Layer, ServiceExt, service_fn};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let page = service_fn(async |request: Request<()>| {
///     let nonce = request.extensions().get::<CspNonce>().ok_or("no nonce")?;
///     Ok::<_, &str>(Response::new(format!(r#"<script nonce="{nonce}">start()</script>"#)))
/// });
/// let response = SecurityHeadersLayer::strict().layer(page).oneshot(Request::new(())).await?;
/// let policy = response.headers()["content-security-policy"].to_str()?;
/// assert!(policy.contains("script-src 'nonce-"));
/// # Ok(())
/// # }
/// ```
///
/// With the feature `axum` it is an extractor too; where no layer has made a nonce, it answers 500 with the
/// code `headers_nonce_missing`.
///
/// `Debug` does not show it: a nonce that is known before the page is sent protects nothing.
#[derive(Clone, PartialEq, Eq)]
pub struct CspNonce([u8; LENGTH]);

impl CspNonce {
    /// A nonce of the bytes that `fill` gives.
    pub(crate) fn generate(
        fill: impl FnOnce(&mut [u8]) -> Result<(), RandomError>,
    ) -> Result<Self, RandomError> {
        let mut bytes = [0; BYTES];
        fill(&mut bytes)?;
        let mut text = [0; LENGTH];
        match URL_SAFE_NO_PAD.encode_slice(bytes, &mut text) {
            Ok(LENGTH) => Ok(Self(text)),
            // The lengths fit by definition; if they did not, a nonce of zeros must not go out.
            _ => Err(RandomError),
        }
    }

    /// The nonce as it stands in an attribute: without the `nonce-` of the policy.
    #[must_use]
    pub fn as_str(&self) -> &str {
        // Base64url is ASCII, so the default is never seen.
        std::str::from_utf8(&self.0).unwrap_or_default()
    }
}

impl fmt::Display for CspNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for CspNonce {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CspNonce(..)")
    }
}

#[cfg(feature = "axum")]
mod extract {
    use axum::extract::FromRequestParts;
    use http::{StatusCode, request::Parts};

    use super::CspNonce;
    use crate::problem::Rejection;

    /// ```
    /// use axum::{Router, response::Html, routing::get};
    /// use portcullis::headers::{CspNonce, SecurityHeadersLayer};
    ///
    /// async fn page(nonce: CspNonce) -> Html<String> {
    ///     Html(format!(r#"<script nonce="{nonce}">start()</script>"#))
    /// }
    /// let app: Router = Router::new().route("/", get(page)).layer(SecurityHeadersLayer::strict());
    /// ```
    impl<S: Sync> FromRequestParts<S> for CspNonce {
        type Rejection = Rejection;

        async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Rejection> {
            parts.extensions.get::<Self>().cloned().ok_or_else(|| {
                Rejection::new(
                    StatusCode::INTERNAL_SERVER_ERROR,
                    "headers_nonce_missing",
                    "The page cannot be shown.",
                )
            })
        }
    }
}
