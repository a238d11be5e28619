//! `Cross-Origin-Embedder-Policy`: whether the page loads what other origins did not offer to it.

token_header! {
    /// The `Cross-Origin-Embedder-Policy` header field (HTML, "Cross-origin embedder policies").
    ///
    /// helmet does not set it, because it breaks pages that embed what other origins did not opt in to.
    CrossOriginEmbedderPolicy = "cross-origin-embedder-policy" {
        /// Loads from other origins only what says so by CORS or `Cross-Origin-Resource-Policy`.
        RequireCorp = "require-corp",
        /// Loads from other origins without credentials where nothing says otherwise.
        Credentialless = "credentialless",
        /// No isolation: what a browser does without the header.
        UnsafeNone = "unsafe-none",
    }
}

exact_tokens!(CrossOriginEmbedderPolicy, "Cross-Origin-Embedder-Policy");
