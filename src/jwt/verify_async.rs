//! Verification that waits for keys to be fetched.

use std::time::SystemTime;

use super::{claims::Claims, error::JwtError, verifier::JwtVerifier, verifiers::JwtVerifiers};

impl JwtVerifier {
    /// Verifies a token as [`JwtVerifier::verify`] does; if it names a key that is not known, or no keys are
    /// there yet, and the keys are fetched, it waits for what a fetch brings and tries once more.
    ///
    /// A token with a known key is verified at the first poll. Dropping the future cancels no fetch.
    ///
    /// # Errors
    ///
    /// As for [`JwtVerifier::verify`].
    pub async fn verify_async(
        &self,
        token: impl AsRef<[u8]> + Send,
        now: SystemTime,
    ) -> Result<Claims, JwtError> {
        let token = token.as_ref();
        let refused = match self.verify(token, now) {
            Ok(claims) => return Ok(claims),
            Err(error) => error,
        };
        let Some(wait) = self.signatures().awaited(refused.kind()) else {
            return Err(refused);
        };
        wait.await;
        self.verify(token, now)
    }
}

impl JwtVerifiers {
    /// Verifies a token, as [`JwtVerifier::verify_async`] of the one that is responsible does.
    ///
    /// # Errors
    ///
    /// As for [`JwtVerifiers::verify`].
    pub async fn verify_async(
        &self,
        token: impl AsRef<[u8]> + Send,
        now: SystemTime,
    ) -> Result<Claims, JwtError> {
        let responsible = self.responsible(token.as_ref())?;
        responsible.verify_async(token, now).await
    }
}
