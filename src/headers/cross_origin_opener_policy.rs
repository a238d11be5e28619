//! `Cross-Origin-Opener-Policy`: whether pages of other origins may hold a reference to this one's window.

token_header! {
    /// The `Cross-Origin-Opener-Policy` header field (HTML, "Cross-origin opener policies").
    CrossOriginOpenerPolicy = "cross-origin-opener-policy" {
        /// Only pages of the same origin with the same policy share the browsing context group.
        SameOrigin = "same-origin",
        /// As `SameOrigin`, but popups that the page opens keep their reference to it: for OAuth and payment
        /// popups.
        SameOriginAllowPopups = "same-origin-allow-popups",
        /// The page may open popups and never stays in the group of the page that opened it.
        NoopenerAllowPopups = "noopener-allow-popups",
        /// No isolation: what a browser does without the header.
        UnsafeNone = "unsafe-none",
    }
}

exact_tokens!(CrossOriginOpenerPolicy, "Cross-Origin-Opener-Policy");
