//! What the layer allocates for a response, over what the service in it does.

use std::{convert::Infallible, future::Ready, future::ready};

use http::{HeaderName, HeaderValue, Request, Response, header};
use portcullis::headers::{SecurityHeadersLayer, XFrameOptions};
use tower::{Layer, Service, service_fn};

use crate::support::now;

const NAMES: [HeaderName; 4] = [
    header::CONTENT_TYPE,
    header::CONTENT_LENGTH,
    header::ETAG,
    header::VARY,
];

/// How many allocations one call takes; the response is dropped afterwards.
fn count<S>(mut service: S) -> u64
where
    S: Service<Request<()>, Error = Infallible>,
{
    let request = Request::new(());
    let mut kept = None;
    let counted = allocation_counter::measure(|| kept = Some(now(service.call(request))));
    assert!(kept.is_some());
    counted.count_total
}

fn handler(
    fields: usize,
) -> impl Fn(Request<()>) -> Ready<Result<Response<()>, Infallible>> + Clone {
    move |_| {
        let mut response = Response::new(());
        for name in &NAMES[..fields] {
            let value = HeaderValue::from_static("value");
            response.headers_mut().insert(name, value);
        }
        ready(Ok(response))
    }
}

/// What `layer` allocates of its own beside so many fields of the handler.
fn own(layer: &SecurityHeadersLayer, fields: usize) -> u64 {
    let bare = count(service_fn(handler(fields)));
    assert_eq!(bare, if fields == 0 { 0 } else { 2 }, "the handler's table");
    count(layer.layer(service_fn(handler(fields)))) - bare
}

#[test]
fn default_headers_cost_three_allocations_at_most() {
    for layer in [SecurityHeadersLayer::new(), SecurityHeadersLayer::api()] {
        assert_eq!(own(&layer, 0), 2, "the copy of the ready table");
        for fields in 1..=NAMES.len() {
            assert_eq!(own(&layer, fields), 3, "and room for {fields} fields");
        }
    }
}

#[test]
fn a_nonce_costs_its_policy_and_its_place_in_the_extensions() {
    let strict = SecurityHeadersLayer::strict();
    assert_eq!(own(&strict, 1), 3 + 1 + 3);
}

#[test]
fn what_is_left_out_costs_a_note_and_what_is_set_again_does_not() {
    let name = XFrameOptions::NAME;
    let without = SecurityHeadersLayer::new().dangerous_without(name);
    assert!(own(&without, 1) > 3);
    let again = without.x_frame_options(XFrameOptions::Deny);
    assert_eq!(own(&again, 1), 3);
}
