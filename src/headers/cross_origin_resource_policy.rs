//! `Cross-Origin-Resource-Policy`: which pages may load the resource without CORS.

token_header! {
    /// The `Cross-Origin-Resource-Policy` header field (Fetch, section 3.7).
    CrossOriginResourcePolicy = "cross-origin-resource-policy" {
        /// Only pages of the same origin.
        SameOrigin = "same-origin",
        /// Only pages of the same site.
        SameSite = "same-site",
        /// Any page: for what is meant to be embedded elsewhere.
        CrossOrigin = "cross-origin",
    }
}

exact_tokens!(CrossOriginResourcePolicy, "Cross-Origin-Resource-Policy");
