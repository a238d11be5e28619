//! [`RemoteJwks`]: keys that an issuer publishes, fetched and kept fresh.

mod builder;
mod date;
mod error;
mod event;
mod flight;
mod keeper;
mod load;
mod schedule;
mod shared;
mod target;

use std::{fmt, sync::Arc, time::SystemTime};

use self::{
    builder::From as Origin,
    shared::{Live, Shared, Why},
    target::Discovery,
};
pub use self::{
    builder::RemoteJwksBuilder,
    error::{JwksError, JwksErrorKind},
    event::JwksEvent,
};
use super::{KeySet, source::KeySource};

/// A JWK Set at an address, fetched and kept fresh in the background.
///
/// Handed to [`JwtVerifier::builder`](super::JwtVerifier::builder) in the place of a [`KeySet`]; also of use
/// without. Clones share the keys.
///
/// # When it fetches
///
/// - For the first token, or [`refresh`](Self::refresh) before there is one.
/// - When the last answer's life is over: what `Cache-Control`, `Expires` or `Last-Modified` say of it, less
///   `Age` (RFC 9111 section 4.2), between bounds, less up to a tenth by chance. A task of its own sees to it; so does the next token. Nobody waits. `ETag` is sent
///   back, and a 304 counts as the same answer again.
/// - When a token names a key (`kid`) that the set has not, at most once in a cooldown, however many such
///   tokens come and whatever they name. They wait for it, up to the deadline; other tokens do not.
///
/// There is one attempt at a time, and no lock is held during it. It runs on the
/// [`Background`](crate::fetch::Background): a request that is given up gives up nothing for others.
///
/// # What it believes
///
/// An answer of status 200 within deadline and size, that is a JWK Set of at most so many keys, of which
/// one at least can verify. Anything else changes nothing: the last good keys are gone by for a bounded time
/// ([`serve_stale_for`](RemoteJwksBuilder::serve_stale_for)), attempts go on with growing pauses, and
/// [`on_event`](RemoteJwksBuilder::on_event) is told. Only when that time is over, or when there never were
/// keys, are tokens refused with
/// [`JwtErrorKind::KeysUnavailable`](super::JwtErrorKind::KeysUnavailable), which the layer answers with 503:
/// it is not the client's fault.
///
/// A key that was taken out of the set is gone with the next answer, and so is what was remembered of
/// tokens under it. An issuer that gives its keys no `kid` can rotate them too, but new ones are then only
/// found with the next refresh.
///
/// # Example
///
/// ```
/// use bytes::Bytes;
/// use http::{Request, Response};
/// use portcullis::{
///     fetch::{Fetch, FetchLimits, Fetched},
///     jwt::{JwtVerifier, RemoteJwks},
/// };
///
/// /// Stands for the issuer.
/// struct Issuer;
///
/// impl Fetch for Issuer {
///     fn fetch(&self, request: Request<Bytes>, _limits: FetchLimits) -> Fetched {
///         assert_eq!(request.uri(), "https://login.example.com/keys");
///         // RFC 8037 appendix A.2
///         let set = r#"{"keys":[{"kty":"OKP","crv":"Ed25519","kid":"1",
///             "x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}]}"#;
///         Box::pin(std::future::ready(Ok(Response::new(set.into()))))
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// // `build()` would use a client over TLS, with the feature `http-client`.
/// let keys = RemoteJwks::builder("https://login.example.com/keys")
///     .on_event(|event| println!("{event}"))
///     .build_over(Issuer)?;
/// // So that the first token need not wait. That it fails is no reason not to start.
/// let set = keys.refresh().await?;
/// assert_eq!(set.keys()[0].key_id(), Some("1"));
///
/// let verifier = JwtVerifier::builder(keys)
///     .issuer("https://login.example.com")
///     .audience("https://api.example.com");
/// # let _ = verifier;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct RemoteJwks(Arc<Shared>);

impl RemoteJwks {
    /// The keys at an address.
    pub fn builder(uri: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::new(Origin::Keys(uri.into()))
    }

    /// The keys of an issuer, at the `jwks_uri` of its discovery document (OpenID Connect Discovery 1.0
    /// section 4), which is fetched from `{issuer}/.well-known/openid-configuration`.
    ///
    /// The document's `issuer` must be the one given here, character for character. It is believed for a
    /// day, and until a fetch of the keys fails.
    pub fn discover(issuer: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::new(Origin::Issuer(Discovery::OpenId, issuer.into()))
    }

    /// The keys of an issuer that is no OpenID provider, at the `jwks_uri` of its authorization server
    /// metadata (RFC 8414), which is fetched from `/.well-known/oauth-authorization-server` with the
    /// issuer's path behind it (section 3.1).
    ///
    /// Otherwise as [`RemoteJwks::discover`].
    pub fn discover_oauth(issuer: impl Into<String>) -> RemoteJwksBuilder {
        RemoteJwksBuilder::new(Origin::Issuer(Discovery::OAuth, issuer.into()))
    }

    fn of(shared: Shared) -> Self {
        Self(Arc::new(shared))
    }

    /// The keys to go by now; none before the first were loaded, and when the last are too old.
    #[must_use]
    pub fn keys(&self) -> Option<KeySet> {
        self.0.key_set()
    }

    /// Fetches the keys now, cooldown or not, or waits for the fetch that is under way.
    ///
    /// # Errors
    ///
    /// If they could not be fetched, or there is no runtime to fetch on. What was loaded before is still
    /// gone by.
    pub async fn refresh(&self) -> Result<KeySet, JwksError> {
        let flight = self.0.begin(Why::Asked);
        flight.ok_or(JwksErrorKind::NoRuntime)?.landed().await?;
        self.keys().ok_or_else(|| JwksErrorKind::Late.into())
    }

    /// Counts up whenever other keys than before were loaded; 0 before the first.
    ///
    /// Whatever is concluded from a key and kept is to be kept with this number, and to be forgotten when it
    /// changes.
    #[must_use]
    pub fn generation(&self) -> u64 {
        self.0.generation()
    }

    /// Until when the keys are gone by if they cannot be refreshed; none, if there are none to go by.
    #[must_use]
    pub fn usable_until(&self) -> Option<SystemTime> {
        let loaded = self.0.usable(self.0.clock.now())?;
        Some(loaded.until)
    }

    /// When the keys to go by were fetched, or last confirmed by the endpoint.
    #[must_use]
    pub fn loaded_at(&self) -> Option<SystemTime> {
        let loaded = self.0.usable(self.0.clock.now())?;
        Some(loaded.at)
    }
}

impl From<RemoteJwks> for KeySource {
    fn from(keys: RemoteJwks) -> Self {
        Self::live(Arc::new(Live(keys.0)))
    }
}

impl From<&RemoteJwks> for KeySource {
    fn from(keys: &RemoteJwks) -> Self {
        keys.clone().into()
    }
}

impl fmt::Debug for RemoteJwks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
