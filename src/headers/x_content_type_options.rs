//! `X-Content-Type-Options`: whether the browser may guess another media type than the one it was told.

token_header! {
    /// The `X-Content-Type-Options` header field (Fetch, section 3.6).
    XContentTypeOptions = "x-content-type-options" {
        /// The browser goes by `Content-Type` and guesses nothing.
        NoSniff = "nosniff",
    }
}
