//! [`Secret`]: bytes that must not be seen.

use std::fmt;

use base64::{Engine, engine::general_purpose::STANDARD};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

use crate::config::ConfigError;

/// Secret bytes: redacted in `Debug`, wiped when dropped, compared in constant time.
///
/// There is no `Display`, no `Deref` and no `Hash`; the one way to the bytes is [`Secret::expose`], which
/// a reviewer can search for. The length of a secret is not secret.
///
/// ```
/// use portcullis::secret::Secret;
///
/// let secret = Secret::new(*b"correct horse battery staple");
/// assert_eq!(format!("{secret:?}"), "Secret(28 bytes)");
/// assert!(secret == Secret::new(*b"correct horse battery staple"));
/// ```
pub struct Secret(Box<[u8]>);

impl Secret {
    /// Takes the bytes over. Copies that the caller made before are the caller's to wipe.
    #[must_use]
    pub fn new(bytes: impl Into<Vec<u8>>) -> Self {
        let mut bytes = bytes.into();
        if bytes.len() == bytes.capacity() {
            return Self(bytes.into_boxed_slice());
        }
        // To give the spare room back may move the bytes, and what they leave behind is not wiped.
        let exact = Self(bytes.as_slice().into());
        bytes.zeroize();
        exact
    }

    /// Reads standard, padded base64 (RFC 4648 section 4).
    ///
    /// # Errors
    ///
    /// If the text is not base64; the error does not hold the text.
    pub fn from_base64(text: &str) -> Result<Self, ConfigError> {
        STANDARD.decode(text).map(Self::new).map_err(|_| {
            ConfigError::new(
                "secret",
                format!("{} characters", text.len()),
                "must be padded base64",
            )
        })
    }

    /// The bytes.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.0
    }

    /// How many bytes it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether it has no bytes at all.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Drop for Secret {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Clone for Secret {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl PartialEq for Secret {
    fn eq(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Eq for Secret {}

impl From<&str> for Secret {
    fn from(text: &str) -> Self {
        Self::new(text.as_bytes())
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self::new(text.into_bytes())
    }
}

impl From<&[u8]> for Secret {
    fn from(bytes: &[u8]) -> Self {
        Self::new(bytes)
    }
}

impl<const N: usize> From<&[u8; N]> for Secret {
    fn from(bytes: &[u8; N]) -> Self {
        Self::new(bytes.as_slice())
    }
}

impl From<Vec<u8>> for Secret {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Secret({} bytes)", self.0.len())
    }
}
