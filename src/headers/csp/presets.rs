//! The policies of the presets.

/// The policy of helmet 8.3.0, in its order.
pub(super) const HELMET: &str = "default-src 'self';base-uri 'self';font-src 'self' https: data:;\
    form-action 'self';frame-ancestors 'self';img-src 'self' data:;object-src 'none';script-src 'self';\
    script-src-attr 'none';style-src 'self' https: 'unsafe-inline';upgrade-insecure-requests";

/// Scripts and styles by nonce; everything else from the page's own origin or not at all.
pub(super) const STRICT: &str = "default-src 'none';script-src 'nonce' 'strict-dynamic';\
    style-src 'self' 'nonce';img-src 'self';font-src 'self';connect-src 'self';manifest-src 'self';\
    object-src 'none';base-uri 'none';form-action 'self';frame-ancestors 'none';upgrade-insecure-requests";

/// For answers that are no pages: nothing is loaded, and nobody frames them.
pub(super) const API: &str = "default-src 'none';frame-ancestors 'none'";
