//! `Cache-Control` for answers that hold something about somebody.

token_header! {
    /// The `Cache-Control` header field (RFC 9111 section 5.2.2), as far as secrecy is concerned.
    ///
    /// How long a public answer may be kept is the handler's business, and what a handler sets stands.
    CacheControl = "cache-control" {
        /// No cache keeps the answer, neither the browser's nor one on the way (OWASP ASVS 5.0, 14.3.2).
        NoStore = "no-store",
        /// Only the browser keeps it, and asks each time whether it still holds.
        PrivateNoCache = "private, no-cache",
    }
}
