//! [`JwtAuthLayer`]: lets in who brings a good token.

use std::{fmt, sync::Arc, time::SystemTime};

use bytes::Bytes;
use http::{HeaderValue, Request, Response, StatusCode, header};
use tower_layer::Layer;

use super::{
    challenge::Challenges,
    claims::Claims,
    error::{JwtError, JwtErrorKind},
    mapping::ClaimMapping,
    revocation::{RevocationStore, TokenRef},
    token_source::TokenSource,
    verifiers::JwtVerifiers,
};
use crate::{
    audit::AuditKind,
    clock::Clock,
    config::ConfigError,
    guard::{Check, Guard, Guarded, Refusals, Verdict},
    head::RequestHead,
    principal::{AnswerNobody, Nobody, Principal},
    problem::Rejection,
    store::{Reply, StoreError},
};

/// Lets a request in when the token in its `Authorization: Bearer`, or in [another place](TokenSource),
/// verifies, and puts [`Claims`] and [`Principal`] into its extensions; beside them `Claims<T>`, where the
/// verifier makes a [`T`](super::JwtVerifier::typed) of the claims.
///
/// Everything else is answered 401 with the code of a [`JwtErrorKind`] and a `WWW-Authenticate` that says so
/// (RFC 6750 section 3); the handler does not see it. Where keys are fetched and there are none to verify
/// with, it is answered 503, with the seconds until the next attempt in `Retry-After`. A token whose key is there is decided about at once; only one whose key is not
/// known waits for a fetch. See the [module docs](crate::jwt) for an example.
#[derive(Clone, Debug)]
#[must_use]
pub struct JwtAuthLayer(Arc<Shared>);

#[derive(Clone)]
struct Shared {
    verifiers: JwtVerifiers,
    sources: Vec<TokenSource>,
    optional: bool,
    mapping: Option<ClaimMapping>,
    revocation: Option<Arc<dyn RevocationStore>>,
    challenges: Challenges,
    refusals: Refusals,
}

impl JwtAuthLayer {
    /// Demands a token that the verifier accepts, or the one of several that is responsible.
    #[allow(
        clippy::missing_panics_doc,
        reason = "challenges without a realm are constant text"
    )]
    pub fn new(verifier: impl Into<JwtVerifiers>) -> Self {
        let challenges = Challenges::new().expect("constant text makes header values");
        Self(Arc::new(Shared {
            verifiers: verifier.into(),
            sources: vec![TokenSource::authorization()],
            optional: false,
            mapping: None,
            revocation: None,
            challenges,
            refusals: Refusals::new(),
        }))
    }

    /// Lets requests without a token in as well, with no claims in their extensions. A token that is there
    /// must verify: an invalid one is refused as ever. Credentials of another scheme are no token.
    pub fn optional(mut self) -> Self {
        self.shared().optional = true;
        self
    }

    /// Replaces the place that the token is taken from; the default is
    /// [`TokenSource::authorization`].
    pub fn token_source(mut self, source: TokenSource) -> Self {
        self.shared().sources = vec![source];
        self
    }

    /// Appends a place to take the token from, where those before it hold none. The first that holds one
    /// decides, good or bad.
    pub fn add_token_source(mut self, source: TokenSource) -> Self {
        self.shared().sources.push(source);
        self
    }

    /// Replaces where the claims say what somebody is and may do; the default is
    /// [`ClaimMapping::standard`].
    pub fn claim_mapping(mut self, mapping: ClaimMapping) -> Self {
        self.shared().mapping = Some(mapping);
        self
    }

    /// Plugs in the store that knows which tokens were taken back; the default is to ask none.
    ///
    /// It is asked about every token that verifies, whether or not it was verified before. A revoked token
    /// is refused as `jwt_revoked`. A store that does not answer lets nobody in: 503,
    /// `jwt_revocation_unavailable`.
    pub fn with_revocation(mut self, store: impl RevocationStore) -> Self {
        self.shared().revocation = Some(Arc::new(store));
        self
    }

    /// Replaces the `realm` of the challenges (RFC 9110 section 11.5); the default is to name none.
    ///
    /// # Errors
    ///
    /// If it holds a quote, a backslash or a control character.
    pub fn realm(mut self, realm: impl AsRef<str>) -> Result<Self, ConfigError> {
        let challenges = self.0.challenges.with_realm(realm.as_ref())?;
        self.shared().challenges = challenges;
        Ok(self)
    }

    /// Replaces the `scope` of the challenges: what a client should ask a token for, with a space between
    /// scopes (RFC 6750 section 3). It tells, and demands nothing. The default is to name none.
    ///
    /// # Errors
    ///
    /// If these are no scopes (RFC 6749 section 3.3).
    pub fn challenge_scope(mut self, scope: impl AsRef<str>) -> Result<Self, ConfigError> {
        let challenges = self.0.challenges.with_scope(scope.as_ref())?;
        self.shared().challenges = challenges;
        Ok(self)
    }

    /// Replaces the `resource_metadata` of the challenges: the address at which a client learns which
    /// issuers this service trusts (RFC 9728 section 5.1). The default is to name none.
    ///
    /// # Errors
    ///
    /// If it is no absolute URL, or has a fragment.
    pub fn resource_metadata(mut self, uri: impl AsRef<str>) -> Result<Self, ConfigError> {
        let challenges = self.0.challenges.with_resource_metadata(uri.as_ref())?;
        self.shared().challenges = challenges;
        Ok(self)
    }

    /// Plugs in the clock that tokens are judged by; the default is the system's.
    pub fn with_clock(mut self, clock: impl Clock) -> Self {
        self.shared().refusals.set_clock(clock);
        self
    }

    refusal_setters!(self => self.shared().refusals);

    fn shared(&mut self) -> &mut Shared {
        Arc::make_mut(&mut self.0)
    }
}

/// A token, and where it was.
struct Found<'s, 'r> {
    token: &'r [u8],
    source: &'s TokenSource,
}

impl Shared {
    /// The token of the first place that holds one.
    fn token<'r>(&self, request: RequestHead<'r>) -> Result<Option<Found<'_, 'r>>, JwtErrorKind> {
        for source in &self.sources {
            if let Some(token) = source.token(request)? {
                return Ok(Some(Found { token, source }));
            }
        }
        Ok(None)
    }

    /// Decides about a token; later, if its key may still be fetched.
    fn judge(self: &Arc<Self>, found: Found<'_, '_>) -> Check<Option<Claims>> {
        let token = found.token;
        let now = self.refusals.now();
        let refused = match self.verifiers.verify(token, now) {
            Ok(claims) => return self.accept(claims, now),
            Err(error) => error,
        };
        if let Some(kind) = found.source.fault(token) {
            return Check::refuse(self.challenges.rejection(kind));
        }
        let Some(wait) = self.verifiers.awaited(token, refused.kind()) else {
            return Check::refuse(self.unverified(refused, token));
        };
        let (shared, token) = (Arc::clone(self), token.to_vec());
        Check::wait(async move {
            wait.await;
            let now = shared.refusals.now();
            match shared.verifiers.verify(&token, now) {
                Ok(claims) => match shared.accept(claims, now) {
                    Check::Ready(verdict) => verdict,
                    Check::Wait(verdict) => verdict.await,
                },
                Err(error) => Verdict::Refuse(shared.unverified(error, &token)),
            }
        })
    }

    /// The refusal of a token; where there are no keys, it says when they are tried for again (RFC 9110
    /// section 10.2.3).
    fn unverified(&self, error: JwtError, token: &[u8]) -> Rejection {
        let unavailable = error.kind() == JwtErrorKind::KeysUnavailable;
        let rejection = self.challenges.rejection(error);
        match unavailable.then(|| self.verifiers.keys_due_in(token)) {
            Some(Some(due_in)) => {
                let seconds = due_in.as_secs() + u64::from(due_in.subsec_nanos() > 0);
                rejection.add_header(header::RETRY_AFTER, seconds.max(1).into())
            }
            _ => rejection,
        }
    }

    /// Lets in who brought a good token, unless it was revoked.
    fn accept(self: &Arc<Self>, claims: Claims, now: SystemTime) -> Check<Option<Claims>> {
        let Some(store) = &self.revocation else {
            return Check::pass(Some(claims));
        };
        match store.is_revoked(&TokenRef::from(&claims), now) {
            Reply::Ready(reply) => Check::Ready(self.unless_revoked(reply, claims)),
            Reply::Wait(reply) => {
                let shared = Arc::clone(self);
                Check::wait(async move { shared.unless_revoked(reply.await, claims) })
            }
        }
    }

    fn unless_revoked(
        &self,
        is_revoked: Result<bool, StoreError>,
        claims: Claims,
    ) -> Verdict<Option<Claims>> {
        match is_revoked {
            Ok(false) => Verdict::Pass(Some(claims)),
            Ok(true) => Verdict::Refuse(self.challenges.rejection(JwtErrorKind::Revoked)),
            Err(_) => Verdict::Refuse(
                Rejection::new(
                    StatusCode::SERVICE_UNAVAILABLE,
                    "jwt_revocation_unavailable",
                    "Whether the token was revoked cannot be told now.",
                )
                .add_header(header::RETRY_AFTER, HeaderValue::from_static("1")),
            ),
        }
    }

    fn refuse(&self, kind: JwtErrorKind, request: RequestHead<'_>) -> Response<Bytes> {
        let rejection = self.challenges.rejection(kind);
        self.refusals.refuse(
            JwtGuard::NAME,
            AuditKind::AuthnTokenFail,
            rejection,
            request,
        )
    }
}

impl AnswerNobody for Shared {
    fn answer(&self, request: RequestHead<'_>) -> Response<Bytes> {
        self.refuse(JwtErrorKind::Missing, request)
    }
}

/// A good token that names no subject.
struct Nameless(Arc<Shared>);

impl AnswerNobody for Nameless {
    fn answer(&self, request: RequestHead<'_>) -> Response<Bytes> {
        self.0.refuse(JwtErrorKind::ClaimMissing, request)
    }
}

impl<S> Layer<S> for JwtAuthLayer {
    type Service = JwtAuth<S>;

    fn layer(&self, inner: S) -> JwtAuth<S> {
        Guarded::new(inner, JwtGuard(Arc::clone(&self.0)))
    }
}

/// The service of [`JwtAuthLayer`].
pub type JwtAuth<S> = Guarded<S, JwtGuard>;

/// The guard of [`JwtAuth`].
#[derive(Clone, Debug)]
pub struct JwtGuard(Arc<Shared>);

impl Guard for JwtGuard {
    const NAME: &'static str = "jwt";

    type Pass = Option<Claims>;

    fn check(&self, request: RequestHead<'_>) -> Check<Option<Claims>> {
        let kind = match self.0.token(request) {
            Ok(Some(found)) => return self.0.judge(found),
            Ok(None) if self.0.optional => return Check::pass(None),
            Ok(None) => JwtErrorKind::Missing,
            Err(kind) => kind,
        };
        Check::refuse(self.0.challenges.rejection(kind))
    }

    fn audit_kind(&self, rejection: &Rejection) -> AuditKind {
        match rejection.status() {
            StatusCode::SERVICE_UNAVAILABLE => AuditKind::SysDependencyFail,
            _ => AuditKind::AuthnTokenFail,
        }
    }

    fn refusals(&self) -> &Refusals {
        &self.0.refusals
    }

    fn admit<B>(&self, pass: &mut Option<Claims>, request: &mut Request<B>) {
        let extensions = request.extensions_mut();
        let Some(claims) = pass.take() else {
            extensions.insert(Nobody(Arc::clone(&self.0) as _));
            return;
        };
        let principal = match &self.0.mapping {
            Some(mapping) => mapping.principal(&claims),
            None => claims.principal(),
        };
        match principal {
            Some(principal) => extensions.insert(principal),
            None => {
                extensions.insert(Nobody(Arc::new(Nameless(Arc::clone(&self.0)))));
                // Whoever an outer layer found is not who brought this token.
                extensions.remove::<Principal>()
            }
        };
        claims.put(extensions);
    }

    fn departs(&self, _pass: &Option<Claims>) -> bool {
        self.0.sources.iter().any(TokenSource::is_query)
    }

    /// What was asked for with a token in the address is nobody else's (RFC 6750 section 2.3).
    fn depart<B>(&self, _pass: Option<Claims>, response: &mut Response<B>) {
        let cache = response.headers_mut().entry(header::CACHE_CONTROL);
        cache.or_insert(HeaderValue::from_static("private"));
    }
}

impl fmt::Debug for Shared {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtAuth")
            .field("verifiers", &self.verifiers)
            .field("sources", &self.sources)
            .field("optional", &self.optional)
            .field("mapping", &self.mapping)
            .field("revocation", &self.revocation.is_some())
            .field("challenges", &self.challenges)
            .field("refusals", &self.refusals)
            .finish()
    }
}
