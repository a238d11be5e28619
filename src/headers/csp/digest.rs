//! Sources for inline scripts and styles, from their text.

use super::Source;

/// A constructor for each digest.
macro_rules! of_text {
    ($($(#[$docs:meta])* $method:ident = $name:literal, $aws_lc:ident, $rust_crypto:ident;)+) => {
        impl Source {
            $(
                $(#[$docs])*
                #[must_use]
                pub fn $method(text: &[u8]) -> Self {
                    #[cfg(feature = "aws-lc")]
                    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::$aws_lc, text);
                    #[cfg(not(feature = "aws-lc"))]
                    let digest = <sha2::$rust_crypto as sha2::Digest>::digest(text);
                    Self::hash($name, digest.as_ref())
                }
            )+
        }
    };
}

of_text! {
    /// The inline script or style with this text, by its SHA-256.
    ///
    /// The text is everything between the tags, spaces and line ends included. It needs a crypto backend
    /// (feature `aws-lc` or `rust-crypto`); a digest that is known already goes to [`Source::sha256`].
    sha256_of = "sha256", SHA256, Sha256;
    /// The inline script or style with this text, by its SHA-384; see [`sha256_of`](Self::sha256_of).
    sha384_of = "sha384", SHA384, Sha384;
    /// The inline script or style with this text, by its SHA-512; see [`sha256_of`](Self::sha256_of).
    sha512_of = "sha512", SHA512, Sha512;
}
