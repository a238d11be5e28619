//! `X-XSS-Protection`: the XSS filter of old browsers, which is better off.

token_header! {
    /// The `X-XSS-Protection` header field.
    ///
    /// The filter of old browsers could be made to open holes in pages that had none, so it is switched off
    /// and nothing else is offered (OWASP HTTP Headers Cheat Sheet).
    XXssProtection = "x-xss-protection" {
        /// The filter is off.
        Off = "0",
    }
}
