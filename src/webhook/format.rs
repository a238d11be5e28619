//! How deliveries are signed, and how secrets and timestamps are written.

/// How a delivery is signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum WebhookAlgorithm {
    /// HMAC-SHA1 (RFC 2104). Sound as a MAC; for senders that have nothing else.
    HmacSha1,
    /// HMAC-SHA256.
    HmacSha256,
    /// HMAC-SHA384.
    HmacSha384,
    /// HMAC-SHA512.
    HmacSha512,
    /// Ed25519 (RFC 8032). The whole body is needed at once.
    Ed25519,
    /// ECDSA over P-256 with SHA-256 and signatures in DER (FIPS 186-5). The whole body is needed at once.
    EcdsaP256,
}

/// How a secret is written where it is configured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SecretFormat {
    /// The text is the key, byte for byte. White space at its ends is refused: it was copied along.
    Text,
    /// The bytes are the key, whatever they are.
    Bytes,
    /// The key in hexadecimal.
    Hex,
    /// The key in base64 (RFC 4648 section 4), padded or not.
    Base64,
}

/// What a timestamp counts since 1970.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum TimestampUnit {
    /// Seconds.
    Seconds,
    /// Milliseconds.
    Milliseconds,
    /// Seconds up to 10^11 (the year 5138), milliseconds beyond (after March 1973): some providers send
    /// either.
    SecondsOrMilliseconds,
}
