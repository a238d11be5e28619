//! Calling a layer around a handler of a line.

use std::convert::Infallible;

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, StatusCode};
use portcullis::headers::SecurityHeadersLayer;
use tower::{Layer, ServiceExt, service_fn};

pub(crate) type Own = Response<portcullis::body::ResponseBody<String>>;

/// The response of a handler that sets `fields`, through `layer`.
pub(crate) fn serve_request(
    layer: &SecurityHeadersLayer,
    request: Request<()>,
    fields: &[(&'static str, &str)],
) -> Own {
    let handler = service_fn(async |_: Request<()>| {
        let mut response = Response::new(String::from("body"));
        *response.status_mut() = StatusCode::ACCEPTED;
        for (name, value) in fields {
            let value = HeaderValue::from_str(value).unwrap();
            let name = HeaderName::from_static(name);
            response.headers_mut().append(name, value);
        }
        Ok::<_, Infallible>(response)
    });
    now(layer.layer(handler).oneshot(request)).unwrap()
}

pub(crate) fn serve(layer: &SecurityHeadersLayer, fields: &[(&'static str, &str)]) -> HeaderMap {
    serve_request(layer, Request::new(()), fields)
        .into_parts()
        .0
        .headers
}

/// What a layer of one header field writes into it.
pub(crate) fn field(layer: SecurityHeadersLayer, name: &str) -> String {
    let headers = serve(&layer, &[]);
    assert_eq!(headers.len(), 1, "{headers:?}");
    headers[name].to_str().unwrap().to_owned()
}

pub(crate) fn empty() -> SecurityHeadersLayer {
    SecurityHeadersLayer::empty()
}

/// All values of a name.
pub(crate) fn all<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a str> {
    let values = headers.get_all(name).iter();
    values.map(|value| value.to_str().unwrap()).collect()
}

/// The output of a future that need not wait.
pub(crate) fn now<F: Future>(future: F) -> F::Output {
    let mut context = std::task::Context::from_waker(std::task::Waker::noop());
    match std::pin::pin!(future).poll(&mut context) {
        std::task::Poll::Ready(output) => output,
        std::task::Poll::Pending => panic!("the call waits for something"),
    }
}

pub(crate) async fn text(body: impl http_body::Body<Data = bytes::Bytes>) -> String {
    let Ok(body) = http_body_util::BodyExt::collect(body).await else {
        panic!("the body failed");
    };
    String::from_utf8(body.to_bytes().to_vec()).unwrap()
}
