//! Documents that are published: the same bytes for everyone who asks.

use bytes::Bytes;
use http::{HeaderValue, Method, Response, StatusCode, header};

/// Answers `GET` and `HEAD` with the document, and other methods with 405.
pub(crate) fn published(
    method: &Method,
    media_type: &'static str,
    cache_control: &HeaderValue,
    document: &Bytes,
) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    if !matches!(*method, Method::GET | Method::HEAD) {
        *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
        let allowed = HeaderValue::from_static("GET, HEAD");
        response.headers_mut().insert(header::ALLOW, allowed);
        return response;
    }
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    headers.insert(header::CACHE_CONTROL, cache_control.clone());
    if method == Method::GET {
        *response.body_mut() = document.clone();
    } else {
        headers.insert(header::CONTENT_LENGTH, document.len().into());
    }
    response
}

/// `Cache-Control` for whole seconds.
pub(crate) fn cached_for(time: std::time::Duration) -> HeaderValue {
    let text = format!("public, max-age={}", time.as_secs());
    HeaderValue::try_from(text).unwrap_or(HeaderValue::from_static("no-cache"))
}
