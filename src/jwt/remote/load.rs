//! One attempt: what is asked of the endpoint, and what of its answer is believed.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri, header};
use serde_json::Value;

use super::{
    super::{Algorithm, KeyErrorKind, KeySet, json},
    JwksError, JwksErrorKind,
    target::{self, Target},
};
use crate::fetch::{Fetch, FetchLimits};

const ACCEPT: HeaderValue = HeaderValue::from_static("application/jwk-set+json, application/json");
const USER_AGENT: HeaderValue =
    HeaderValue::from_static(concat!("portcullis/", env!("CARGO_PKG_VERSION")));
/// How long a discovered address is believed.
const LOCATED: Duration = Duration::from_secs(24 * 60 * 60);

/// Asks for keys.
pub(super) struct Loader {
    pub(super) target: Target,
    pub(super) fetch: Arc<dyn Fetch>,
    pub(super) limits: FetchLimits,
    pub(super) rules: SetRules,
    pub(super) allow_http: bool,
    /// The address that discovery brought, and when.
    located: Mutex<Option<(Uri, SystemTime)>>,
}

/// What a set must be like.
pub(super) struct SetRules {
    pub(super) algorithms: Vec<Algorithm>,
    pub(super) max_keys: usize,
}

/// What an endpoint answered, and where.
pub(super) struct Answer {
    pub(super) at: Uri,
    pub(super) headers: HeaderMap,
    /// None, if it is still what it was when it had this entity tag.
    pub(super) document: Option<Bytes>,
}

impl Loader {
    pub(super) fn new(
        target: Target,
        fetch: Arc<dyn Fetch>,
        limits: FetchLimits,
        rules: SetRules,
        allow_http: bool,
    ) -> Self {
        Self {
            target,
            fetch,
            limits,
            rules,
            allow_http,
            located: Mutex::new(None),
        }
    }

    /// Fetches the document, unless it is still the one with the tag `known`.
    pub(super) async fn load(
        &self,
        known: Option<(Uri, HeaderValue)>,
        now: SystemTime,
    ) -> Result<Answer, JwksError> {
        let at = self.locate(now).await?;
        let tag = known.filter(|(of, _)| *of == at).map(|(_, tag)| tag);
        let answer = self.get(at.clone(), tag.as_ref()).await;
        let (head, body) = answer
            .and_then(|answer| checked(answer, tag.is_some()))
            .inspect_err(|_| self.set_located(None))?
            .into_parts();
        let document = (head.status == StatusCode::OK).then_some(body);
        Ok(Answer {
            at,
            headers: head.headers,
            document,
        })
    }

    /// The address of the keys. One that was discovered is believed for a day and until a fetch from it
    /// fails.
    async fn locate(&self, now: SystemTime) -> Result<Uri, JwksError> {
        let (issuer, document) = match &self.target {
            Target::Keys(uri) => return Ok(uri.clone()),
            Target::Issuer { issuer, document } => (issuer, document),
        };
        let located = self.located().clone();
        let is_fresh = |since: SystemTime| now.duration_since(since).is_ok_and(|age| age < LOCATED);
        if let Some((uri, _)) = located.filter(|(_, since)| is_fresh(*since)) {
            return Ok(uri);
        }
        let answer = checked(self.get(document.clone(), None).await?, false)?;
        let uri = target::discovered(issuer, answer.body(), self.allow_http)?;
        self.set_located(Some((uri.clone(), now)));
        Ok(uri)
    }

    fn located(&self) -> std::sync::MutexGuard<'_, Option<(Uri, SystemTime)>> {
        self.located.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set_located(&self, located: Option<(Uri, SystemTime)>) {
        *self.located() = located;
    }

    async fn get(&self, uri: Uri, tag: Option<&HeaderValue>) -> Result<Response<Bytes>, JwksError> {
        let mut request = Request::new(Bytes::new());
        *request.uri_mut() = uri;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, ACCEPT);
        headers.insert(header::USER_AGENT, USER_AGENT);
        if let Some(tag) = tag {
            headers.insert(header::IF_NONE_MATCH, tag.clone());
        }
        let answer = self.fetch.fetch(request, self.limits).await?;
        // A client of the application's own may know no cap.
        match answer.body().len() > self.limits.max_bytes {
            true => Err(JwksErrorKind::Malformed.into()),
            false => Ok(answer),
        }
    }
}

/// An answer of status 200; 304 where it was asked for.
fn checked(answer: Response<Bytes>, asked_for_change: bool) -> Result<Response<Bytes>, JwksError> {
    match answer.status() {
        StatusCode::OK => Ok(answer),
        StatusCode::NOT_MODIFIED if asked_for_change => Ok(answer),
        other => Err(JwksError::of_status(other)),
    }
}

impl SetRules {
    /// The keys of a document, if it is one to go by.
    pub(super) fn read(&self, document: &[u8]) -> Result<KeySet, JwksError> {
        let set = json::read(document).ok_or(JwksErrorKind::Malformed)?;
        let entries = set.get("keys").and_then(Value::as_array);
        if entries.ok_or(JwksErrorKind::Malformed)?.len() > self.max_keys {
            return Err(JwksErrorKind::TooManyKeys.into());
        }
        let read = match self.algorithms.as_slice() {
            [] => KeySet::from_jwks(document),
            algorithms => KeySet::from_jwks_for(algorithms, document),
        };
        read.map_err(|error| {
            let kind = match error.kind() {
                KeyErrorKind::NoneUsable => JwksErrorKind::NoKeys,
                _ => JwksErrorKind::Malformed,
            };
            JwksError::caused_by(kind, error)
        })
    }
}
