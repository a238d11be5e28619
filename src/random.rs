//! Unpredictable values, straight from the operating system's generator.

use std::fmt;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use subtle::ConstantTimeEq;
use zeroize::Zeroize;

/// The operating system gave no randomness.
///
/// What needed it must refuse: nothing in this crate falls back to a weaker source.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RandomError;

impl fmt::Display for RandomError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the operating system's random generator failed")
    }
}

impl std::error::Error for RandomError {}

/// Fills `bytes` with randomness.
///
/// # Errors
///
/// If the operating system has none to give.
pub fn fill(bytes: &mut [u8]) -> Result<(), RandomError> {
    getrandom::fill(bytes).map_err(|_| RandomError)
}

/// An unguessable value of 256 bits, written as 43 characters of base64url.
///
/// `Debug` shows nothing of it, `==` takes constant time, and it is wiped when dropped. Twice the 128 bits
/// that OWASP ASVS 5.0 (7.2.3, 11.5.1) asks for.
///
/// ```
/// use portcullis::random::OpaqueToken;
///
/// let token = OpaqueToken::generate()?;
/// assert_eq!(token.expose().len(), 43);
/// # Ok::<(), portcullis::random::RandomError>(())
/// ```
#[derive(Clone)]
pub struct OpaqueToken(String);

impl OpaqueToken {
    /// A fresh token.
    ///
    /// # Errors
    ///
    /// If the operating system has no randomness to give.
    pub fn generate() -> Result<Self, RandomError> {
        let mut bytes = [0; 32];
        fill(&mut bytes)?;
        let token = Self(URL_SAFE_NO_PAD.encode(bytes));
        bytes.zeroize();
        Ok(token)
    }

    /// The text to hand to the client.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl PartialEq for OpaqueToken {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_bytes().ct_eq(other.0.as_bytes()).into()
    }
}

impl Eq for OpaqueToken {}

impl Drop for OpaqueToken {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl fmt::Debug for OpaqueToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("OpaqueToken(..)")
    }
}

/// `count` decimal digits, each of the `10^count` texts equally likely.
///
/// # Errors
///
/// If the operating system has no randomness to give.
pub fn digits(count: usize) -> Result<String, RandomError> {
    let mut text = String::with_capacity(count);
    let mut pool = [0; 16];
    while text.len() < count {
        fill(&mut pool)?;
        // 250 is the largest multiple of 10 in a byte: taking more would favour the low digits.
        let fair = pool.iter().filter(|byte| **byte < 250);
        text.extend(
            fair.take(count - text.len())
                .map(|byte| char::from(b'0' + byte % 10)),
        );
    }
    pool.zeroize();
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_have_the_length_asked_for_and_use_every_digit() {
        for count in [0, 1, 6, 100] {
            let text = digits(count).unwrap();
            assert_eq!(text.len(), count);
            assert!(text.bytes().all(|byte| byte.is_ascii_digit()));
        }
        let many = digits(10_000).unwrap();
        for digit in '0'..='9' {
            let seen = many.chars().filter(|c| *c == digit).count();
            // 1,000 expected, standard deviation 30: 10 deviations never happen.
            assert!(
                (700..1_300).contains(&seen),
                "{digit} stood {seen} times in 10,000 digits"
            );
        }
    }

    #[test]
    fn tokens_differ_and_show_nothing() {
        let (one, two) = (
            OpaqueToken::generate().unwrap(),
            OpaqueToken::generate().unwrap(),
        );
        assert!(one != two);
        assert_eq!(one, one.clone());
        assert_eq!(format!("{one:?}"), "OpaqueToken(..)");
    }
}
