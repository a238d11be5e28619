//! [`JwksEvent`]: what becomes of the fetching of keys.

use std::{fmt, time::SystemTime};

use bytes::Bytes;

use super::{super::KeySet, JwksError};

/// Something happened to keys that are fetched. `Display` writes it as one line of `name=value` pairs.
///
/// Handed to what [`on_event`](super::RemoteJwksBuilder::on_event) was given.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum JwksEvent<'a> {
    /// Other keys than before are gone by from now on.
    #[non_exhaustive]
    Loaded {
        /// The address of the keys, or the issuer they were discovered by.
        from: &'a str,
        /// Counts up with every event of this kind.
        generation: u64,
        /// The keys, and which entries of the set were left out.
        keys: &'a KeySet,
        /// The set as it was fetched: stored, it may [`seed`](super::RemoteJwksBuilder::seed) the next
        /// process.
        document: &'a Bytes,
    },
    /// The endpoint has confirmed the keys that are gone by.
    #[non_exhaustive]
    Confirmed {
        /// The address of the keys, or the issuer they were discovered by.
        from: &'a str,
    },
    /// The keys could not be fetched.
    #[non_exhaustive]
    Failed {
        /// The address of the keys, or the issuer they were discovered by.
        from: &'a str,
        /// Why.
        error: &'a JwksError,
        /// How many times in a row.
        failures: u32,
        /// Until when the last good keys are gone by; none, if there are none left and every token is
        /// refused.
        usable_until: Option<SystemTime>,
    },
}

impl JwksEvent<'_> {
    /// The name of the kind of event, which never changes.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Loaded { .. } => "jwks_loaded",
            Self::Confirmed { .. } => "jwks_confirmed",
            Self::Failed {
                usable_until: Some(_),
                ..
            } => "jwks_stale",
            Self::Failed { .. } => "jwks_unavailable",
        }
    }

    /// Writes the event to `tracing`, under the target `portcullis::jwks`: failures at level `WARN`, and at
    /// `ERROR` once no keys are left; the rest at `INFO` and `DEBUG`. To be handed to
    /// [`on_event`](super::RemoteJwksBuilder::on_event) as it is.
    #[cfg(feature = "tracing")]
    pub fn trace(event: &JwksEvent<'_>) {
        const TARGET: &str = "portcullis::jwks";
        match event {
            JwksEvent::Loaded { .. } => tracing::info!(target: TARGET, "{event}"),
            JwksEvent::Confirmed { .. } => tracing::debug!(target: TARGET, "{event}"),
            JwksEvent::Failed {
                usable_until: Some(_),
                ..
            } => tracing::warn!(target: TARGET, "{event}"),
            JwksEvent::Failed { .. } => tracing::error!(target: TARGET, "{event}"),
        }
    }
}

impl fmt::Display for JwksEvent<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "event={}", self.name())?;
        match self {
            Self::Loaded {
                from,
                generation,
                keys,
                ..
            } => write!(
                f,
                " from={from:?} generation={generation} keys={} left_out={}",
                keys.keys().len(),
                keys.left_out().len()
            ),
            Self::Confirmed { from } => write!(f, " from={from:?}"),
            Self::Failed {
                from,
                error,
                failures,
                ..
            } => write!(
                f,
                " from={from:?} code={} failures={failures} error={:?}",
                error.code(),
                error.to_string()
            ),
        }
    }
}
