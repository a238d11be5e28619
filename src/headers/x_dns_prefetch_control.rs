//! `X-DNS-Prefetch-Control`: whether the browser looks up the hosts of links before they are followed.

token_header! {
    /// The `X-DNS-Prefetch-Control` header field.
    XDnsPrefetchControl = "x-dns-prefetch-control" {
        /// Nothing is looked up ahead, so no name server learns what a page links to.
        Off = "off",
        /// Hosts of links are looked up ahead: faster, and told to the name server.
        On = "on",
    }
}
