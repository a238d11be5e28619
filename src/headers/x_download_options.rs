//! `X-Download-Options`: whether Internet Explorer opens a download in the site's own context.

token_header! {
    /// The `X-Download-Options` header field, which only Internet Explorer 8 and later know.
    XDownloadOptions = "x-download-options" {
        /// Downloads are saved, not opened.
        NoOpen = "noopen",
    }
}
