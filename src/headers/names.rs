//! Names of header fields that the `http` crate has no constant for.

use http::HeaderName;

pub(super) const X_POWERED_BY: HeaderName = HeaderName::from_static("x-powered-by");
