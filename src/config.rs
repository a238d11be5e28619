//! [`ConfigError`]: a value that the programmer gave and that cannot be used.

use std::{borrow::Cow, error::Error, fmt};

/// A configuration that cannot be built: which setting, what it was given, and what it takes.
///
/// It is the only construction error of the crate, so a program can build all its layers in one function
/// and use `?`. It is never caused by a request, and it never holds a secret: for a secret, `given` says
/// only what is wrong with its shape (its length, say).
///
/// ```
/// use portcullis::config::ConfigError;
///
/// let error = ConfigError::new("max_age", "-1", "must be a number of seconds of 0 or more");
/// assert_eq!(error.to_string(), "max_age: must be a number of seconds of 0 or more (given: -1)");
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConfigError {
    setting: &'static str,
    given: String,
    expected: Cow<'static, str>,
}

impl ConfigError {
    /// An error about `setting`, which was `given` a value and takes what `expected` says.
    #[must_use]
    pub fn new(
        setting: &'static str,
        given: impl Into<String>,
        expected: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self {
            setting,
            given: given.into(),
            expected: expected.into(),
        }
    }

    /// The setting that cannot be used.
    #[must_use]
    pub fn setting(&self) -> &'static str {
        self.setting
    }

    /// The value that was given; of a secret, only its shape.
    #[must_use]
    pub fn given(&self) -> &str {
        &self.given
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} (given: {})",
            self.setting,
            self.expected,
            self.given.escape_debug()
        )
    }
}

impl Error for ConfigError {}
