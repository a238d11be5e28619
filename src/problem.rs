//! What a client is told when it is refused.
//!
//! Every refusal of the crate is a [`Rejection`]: an HTTP status, a stable code, a sentence, and the header
//! fields that the refusal needs (`WWW-Authenticate`, `Retry-After`). It is rendered as
//! `application/problem+json` (RFC 9457):
//!
//! ```json
//! {"type":"about:blank","title":"Unauthorized","status":401,"detail":"The token has expired.","code":"jwt_expired"}
//! ```
//!
//! An application that answers in its own way supplies a [`Responder`]. It decides the body; the header
//! fields of the rejection are put on whatever it answers, so that a challenge is never lost.
//!
//! # Codes
//!
//! A code begins with what refused and never changes its meaning. The kinds of errors list theirs:
//!
//! | code | status | see |
//! |---|---|---|
//! | `client_ip_…` | 400, 500 | [`ClientIpErrorKind`](crate::client_ip::ClientIpErrorKind), `ClientAddr` |
//! | `https_redirect_…` | 400, 421 | `headers::HttpsRedirectErrorKind` |
//! | `headers_nonce_missing`, `headers_nonce_unavailable` | 500 | `headers::CspNonce` |
//! | `rate_limited`, `rate_limit_…` | 429, 403, 503 | module `rate_limit` |
//! | `jwt_…` | 401, 503 | `jwt::JwtErrorKind` |
//! | `authz_…` | 403, 401 | `authz::DenialKind` |
//! | `webhook_…` | 400, 401, 408, 413, 422, 503; 200 for a replay | `webhook::WebhookErrorKind` |
//!
//! Codes that no response bears, of errors that an application handles itself: `key_…` (a key left out of a
//! set: `jwt::KeyErrorKind`), `jwks_…` (`jwt::JwksErrorKind`), `fetch_…` (`fetch::FetchErrorKind`), `refresh_…`
//! (`tokens::RefreshErrorKind`), `token_…` (`tokens::IssueErrorKind`).

use std::{borrow::Cow, fmt::Debug};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use serde_json::{Map, Value};

use crate::head::RequestHead;

/// The media type of RFC 9457 section 3.
const PROBLEM_JSON: HeaderValue = HeaderValue::from_static("application/problem+json");

/// A refusal, before it is rendered.
///
/// A refused response carries its `Rejection` in the response's extensions, so that outer layers (logs,
/// metrics) can read why without parsing a body.
///
/// ```
/// use http::StatusCode;
/// use portcullis::problem::Rejection;
///
/// let rejection = Rejection::new(StatusCode::FORBIDDEN, "plan_too_small", "Your plan has no exports.");
/// assert_eq!(rejection.code(), "plan_too_small");
/// assert_eq!(rejection.to_response().status(), 403);
/// ```
#[derive(Clone, Debug)]
pub struct Rejection(Box<Problem>);

#[derive(Clone, Debug)]
struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: Cow<'static, str>,
    problem_type: &'static str,
    headers: HeaderMap,
    members: Map<String, Value>,
}

impl Rejection {
    /// A rejection of type `about:blank`.
    ///
    /// `code` is lower case with underscores and never changes its meaning: clients, logs and metrics key
    /// on it. `detail` is shown to the client, so it holds nothing secret and nothing of a token.
    #[must_use]
    pub fn new(
        status: StatusCode,
        code: &'static str,
        detail: impl Into<Cow<'static, str>>,
    ) -> Self {
        Self(Box::new(Problem {
            status,
            code,
            detail: detail.into(),
            problem_type: "about:blank",
            headers: HeaderMap::new(),
            members: Map::new(),
        }))
    }

    /// Replaces the problem type, a URI (RFC 9457 section 3.1.1).
    #[must_use]
    pub fn of_type(mut self, uri: &'static str) -> Self {
        self.0.problem_type = uri;
        self
    }

    /// Appends a header field to the answer.
    #[must_use]
    pub fn add_header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.0.headers.append(name, value);
        self
    }

    /// Appends an extension member to the body (RFC 9457 section 3.2).
    ///
    /// `type`, `title`, `status`, `detail` and `code` cannot be replaced this way.
    #[must_use]
    pub fn add_member(mut self, name: &'static str, value: impl Into<Value>) -> Self {
        self.0.members.insert(name.to_owned(), value.into());
        self
    }

    /// The HTTP status.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.0.status
    }

    /// The stable code.
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.0.code
    }

    /// The sentence for the client.
    #[must_use]
    pub fn detail(&self) -> &str {
        &self.0.detail
    }

    /// The header fields that go with the refusal.
    #[must_use]
    pub fn headers(&self) -> &HeaderMap {
        &self.0.headers
    }

    /// The body of RFC 9457 as JSON, for a [`Responder`] that only wants to add to it.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let mut body = self.0.members.clone();
        body.insert("type".into(), self.0.problem_type.into());
        body.insert(
            "title".into(),
            self.0.status.canonical_reason().unwrap_or("Refused").into(),
        );
        body.insert("status".into(), self.0.status.as_u16().into());
        body.insert("detail".into(), self.0.detail.as_ref().into());
        body.insert("code".into(), self.0.code.into());
        Value::Object(body)
    }

    /// The answer as `application/problem+json`, never to be stored by a cache.
    #[must_use]
    pub fn to_response(&self) -> Response<Bytes> {
        let mut response = Response::new(Bytes::from(self.to_json().to_string()));
        *response.status_mut() = self.0.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, PROBLEM_JSON);
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        self.put_headers(headers);
        response
    }

    /// Puts the rejection's header fields into `headers`, leaving alone what is already there.
    pub(crate) fn put_headers(&self, headers: &mut HeaderMap) {
        let own = &self.0.headers;
        let missing: Vec<_> = own
            .keys()
            .filter(|name| !headers.contains_key(*name))
            .collect();
        for name in missing {
            for value in own.get_all(name) {
                headers.append(name.clone(), value.clone());
            }
        }
    }
}

/// Renders refusals.
///
/// Functions and closures are responders too. A closure must name the types of its arguments, or the
/// compiler finds its "implementation of `FnOnce` is not general enough":
///
/// ```
/// use bytes::Bytes;
/// use http::{HeaderValue, Response, header};
/// use portcullis::{guard::RefusalsLayer, head::RequestHead, problem::Rejection};
///
/// fn page(rejection: &Rejection) -> Response<Bytes> {
///     let mut response = Response::new(Bytes::from(format!("<h1>{}</h1>", rejection.status())));
///     *response.status_mut() = rejection.status();
///     let headers = response.headers_mut();
///     headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html"));
///     headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
///     response
/// }
/// let for_all = RefusalsLayer::new()
///     .with_responder(|rejection: &Rejection, _request: RequestHead<'_>| page(rejection));
/// ```
///
/// Everything that [`ProblemJson`] says by itself is the responder's to say: the status, `Content-Type`,
/// and `Cache-Control: no-store`.
pub trait Responder: Send + Sync + 'static {
    /// The answer to a request that was refused.
    ///
    /// The request is there to be read (its `Accept`, say). The status of the answer is the responder's to
    /// choose; header fields of the rejection that the answer lacks are added afterwards.
    fn respond(&self, rejection: &Rejection, request: RequestHead<'_>) -> Response<Bytes>;
}

impl<F> Responder for F
where
    F: Fn(&Rejection, RequestHead<'_>) -> Response<Bytes> + Send + Sync + 'static,
{
    fn respond(&self, rejection: &Rejection, request: RequestHead<'_>) -> Response<Bytes> {
        self(rejection, request)
    }
}

/// The responder of every layer that was given no other: [`Rejection::to_response`].
#[derive(Clone, Copy, Debug, Default)]
pub struct ProblemJson;

impl Responder for ProblemJson {
    fn respond(&self, rejection: &Rejection, _request: RequestHead<'_>) -> Response<Bytes> {
        rejection.to_response()
    }
}

/// As [`Rejection::to_response`], with the rejection in the response's extensions: the answer of an
/// extractor.
#[cfg(feature = "axum")]
impl axum::response::IntoResponse for Rejection {
    fn into_response(self) -> axum::response::Response {
        let mut response = self.to_response().map(axum::body::Body::from);
        response.extensions_mut().insert(self);
        response
    }
}
