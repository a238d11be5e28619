use http::{HeaderName, HeaderValue, Request, Response, header};
use portcullis::headers::{
    ContentSecurityPolicy, CrossOriginEmbedderPolicy, SecurityHeadersLayer, XFrameOptions,
};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{all, empty, now, serve, serve_request};

#[test]
fn status_body_and_fields_of_the_handler_stay() {
    let fields = [("content-type", "text/plain"), ("etag", "\"1\"")];
    let response = serve_request(&SecurityHeadersLayer::new(), Request::new(()), &fields);
    assert_eq!(response.status(), 202);
    assert_eq!(response.headers().len(), 12 + 2);
    assert_eq!(response.headers()["content-type"], "text/plain");
    assert_eq!(now(crate::support::text(response.into_body())), "body");
}

#[test]
fn what_a_handler_sets_stands_once() {
    let own = [
        ("content-security-policy", "default-src *"),
        ("x-frame-options", "DENY"),
        ("strict-transport-security", "max-age=1"),
    ];
    for layer in [SecurityHeadersLayer::new(), SecurityHeadersLayer::strict()] {
        let headers = serve(&layer, &own);
        for (name, value) in own {
            assert_eq!(all(&headers, name), [value]);
        }
        assert_eq!(headers["x-content-type-options"], "nosniff");
    }
}

#[test]
fn every_value_of_the_handler_survives_in_its_order() {
    let own = [
        ("set-cookie", "a=1"),
        ("set-cookie", "b=2"),
        ("x-own", "x"),
        ("set-cookie", "c=3"),
        // Two policies are both enforced; the layer must not put a third.
        ("content-security-policy", "default-src 'self'"),
        ("content-security-policy", "img-src 'none'"),
    ];
    let headers = serve(&SecurityHeadersLayer::strict(), &own);
    assert_eq!(all(&headers, "set-cookie"), ["a=1", "b=2", "c=3"]);
    assert_eq!(all(&headers, "x-own"), ["x"]);
    assert_eq!(
        all(&headers, "content-security-policy"),
        ["default-src 'self'", "img-src 'none'"]
    );
}

/// Few fields are moved into a copy of the layer's; to many the layer's are added. Both do the same.
#[test]
fn few_fields_and_many_are_treated_alike() {
    for count in 0..40 {
        let names: Vec<String> = (0..count).map(|index| format!("x-own-{index}")).collect();
        let layer = SecurityHeadersLayer::new().add_removed_header(HeaderName::from_static("via"));
        let handler = service_fn(async |_: Request<()>| {
            let mut response = Response::new(());
            let headers = response.headers_mut();
            for name in &names {
                let name = HeaderName::from_bytes(name.as_bytes()).unwrap();
                headers.append(name.clone(), HeaderValue::from_static("1"));
                headers.append(name, HeaderValue::from_static("2"));
            }
            for (name, value) in [("via", "a"), ("via", "b"), ("server", "s"), ("vary", "v")] {
                headers.append(name, HeaderValue::from_static(value));
            }
            headers.insert(header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY"));
            Ok::<_, std::convert::Infallible>(response)
        });
        let response = now(layer.layer(handler).oneshot(Request::new(()))).unwrap();
        let headers = response.headers();
        for name in &names {
            assert_eq!(all(headers, name), ["1", "2"], "with {count} fields");
        }
        assert_eq!(all(headers, "x-frame-options"), ["DENY"]);
        assert_eq!(all(headers, "vary"), ["v"]);
        assert!(!headers.contains_key("server") && !headers.contains_key("via"));
        assert_eq!(headers["referrer-policy"], "no-referrer");
        assert_eq!(headers.len(), 12 + 1 + 2 * count);
    }
}

#[test]
fn server_and_powered_by_are_taken_out_and_the_list_is_yours() {
    let own = [
        ("server", "a"),
        ("x-powered-by", "b"),
        ("x-powered-by", "c"),
        ("x-debug", "d"),
        ("date", "e"),
    ];
    let left = |layer: SecurityHeadersLayer| {
        let headers = serve(&layer, &own);
        let mut left: Vec<_> = own.iter().map(|(name, _)| *name).collect();
        left.dedup();
        left.retain(|name| headers.contains_key(*name));
        left
    };
    let debug = HeaderName::from_static("x-debug");
    assert_eq!(left(SecurityHeadersLayer::new()), ["x-debug", "date"]);
    assert_eq!(left(SecurityHeadersLayer::strict()), ["x-debug", "date"]);
    assert_eq!(left(SecurityHeadersLayer::api()), ["x-debug", "date"]);
    let more = SecurityHeadersLayer::new().add_removed_header(debug.clone());
    assert_eq!(left(more), ["date"]);
    let other = SecurityHeadersLayer::new().removed_headers([debug]);
    assert_eq!(left(other), ["server", "x-powered-by", "date"]);
    assert_eq!(left(empty()), ["server", "x-powered-by", "x-debug", "date"]);
}

#[test]
fn a_custom_header_is_set_as_given_and_the_last_word_counts() {
    let name = HeaderName::from_static("x-robots-tag");
    let layer = empty()
        .header(name.clone(), HeaderValue::from_static("none"))
        .header(name, HeaderValue::from_static("noindex"));
    assert_eq!(all(&serve(&layer, &[]), "x-robots-tag"), ["noindex"]);
}

#[test]
fn a_policy_given_as_a_plain_header_takes_the_place_of_one_with_a_nonce() {
    let plain = HeaderValue::from_static("default-src 'self'");
    let layer = SecurityHeadersLayer::strict().header(ContentSecurityPolicy::NAME, plain);
    let headers = serve(&layer, &[]);
    assert_eq!(
        all(&headers, "content-security-policy"),
        ["default-src 'self'"]
    );
    let layer = layer.content_security_policy(ContentSecurityPolicy::strict());
    let headers = serve(&layer, &[]);
    assert!(
        headers["content-security-policy"]
            .to_str()
            .unwrap()
            .contains("'nonce-")
    );
}

#[test]
fn any_header_can_be_left_out_and_set_again() {
    let names = serve(&SecurityHeadersLayer::strict(), &[]);
    for name in names.keys() {
        let without = SecurityHeadersLayer::strict().dangerous_without(name.clone());
        let headers = serve(&without, &[]);
        assert!(!headers.contains_key(name), "{name}");
        assert_eq!(headers.len(), names.len() - 1);
    }
    let again = SecurityHeadersLayer::new()
        .dangerous_without(XFrameOptions::NAME)
        .x_frame_options(XFrameOptions::Deny);
    let both = SecurityHeadersLayer::new().layer(service_fn(async |_: Request<()>| {
        Ok::<_, std::convert::Infallible>(serve_request(&again, Request::new(()), &[]))
    }));
    let response = now(both.oneshot(Request::new(()))).unwrap();
    assert_eq!(all(response.headers(), "x-frame-options"), ["DENY"]);
}

#[test]
fn changing_a_clone_leaves_the_original_alone() {
    let layer = SecurityHeadersLayer::new();
    let other = layer
        .clone()
        .cross_origin_embedder_policy(CrossOriginEmbedderPolicy::RequireCorp);
    assert_eq!(serve(&layer, &[]).len(), 12);
    assert_eq!(serve(&other, &[]).len(), 13);
}

#[test]
fn an_error_of_the_inner_service_passes_through() {
    let failing = service_fn(async |_: Request<()>| Err::<Response<()>, _>("down"));
    let service = SecurityHeadersLayer::new().layer(failing);
    assert_eq!(now(service.oneshot(Request::new(()))).unwrap_err(), "down");
}
