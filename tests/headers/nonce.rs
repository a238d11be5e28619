use std::{collections::HashSet, convert::Infallible, sync::Mutex};

use http::{HeaderMap, Request, Response};
use portcullis::headers::{ContentSecurityPolicy, CspNonce, SecurityHeadersLayer, Source};
use tower::{Layer, ServiceExt, service_fn};

use crate::support::{empty, now};

/// The headers of one response, and the nonce that its handler saw.
fn serve(layer: &SecurityHeadersLayer) -> (HeaderMap, Option<String>) {
    let seen = Mutex::new(None);
    let handler = service_fn(async |request: Request<()>| {
        let nonce = request.extensions().get::<CspNonce>();
        *seen.lock().unwrap() = nonce.map(CspNonce::to_string);
        Ok::<_, Infallible>(Response::new(()))
    });
    let response = now(layer.layer(handler).oneshot(Request::new(()))).unwrap();
    let seen = seen.lock().unwrap().take();
    (response.into_parts().0.headers, seen)
}

fn nonces(policy: &http::HeaderValue) -> Vec<String> {
    let parts = policy.to_str().unwrap().split("'nonce-").skip(1);
    parts
        .map(|part| part.split('\'').next().unwrap().to_owned())
        .collect()
}

#[test]
fn the_handler_sees_the_nonce_of_its_response() {
    let (headers, seen) = serve(&SecurityHeadersLayer::strict());
    let nonces = nonces(&headers["content-security-policy"]);
    assert_eq!(nonces.len(), 2, "one for scripts, one for styles");
    assert!(nonces.iter().all(|nonce| Some(nonce) == seen.as_ref()));
}

#[test]
fn every_response_has_another_nonce_of_144_bits() {
    let layer = SecurityHeadersLayer::strict();
    let mut seen = HashSet::new();
    let mut characters = HashSet::new();
    for _ in 0..2_000 {
        let nonce = serve(&layer).1.unwrap();
        assert_eq!(nonce.len(), 24);
        characters.extend(nonce.chars());
        assert!(seen.insert(nonce));
    }
    // 48,000 characters of base64url: each of the 64 stands 750 times on average.
    assert_eq!(characters.len(), 64);
    assert!(
        characters
            .iter()
            .all(|c| c.is_ascii_alphanumeric() || "-_".contains(*c))
    );
}

#[test]
fn both_policies_of_a_response_have_the_same_nonce() {
    let twin = ContentSecurityPolicy::builder()
        .default_src([Source::NONE])
        .add_nonce("script-src")
        .build()
        .unwrap();
    let layer = SecurityHeadersLayer::strict().content_security_policy_report_only(twin);
    let (headers, seen) = serve(&layer);
    let seen = seen.unwrap();
    assert_eq!(
        headers["content-security-policy-report-only"],
        format!("default-src 'none';script-src 'nonce-{seen}'").as_str()
    );
    assert_eq!(
        nonces(&headers["content-security-policy"]),
        [seen.clone(), seen]
    );
}

#[test]
fn there_is_no_nonce_where_no_policy_asks_for_one() {
    for layer in [
        SecurityHeadersLayer::new(),
        SecurityHeadersLayer::api(),
        empty(),
    ] {
        assert_eq!(serve(&layer).1, None);
    }
}

#[test]
fn a_response_with_a_policy_of_its_own_keeps_it() {
    let handler = service_fn(async |_: Request<()>| {
        let own = Response::builder().header("content-security-policy", "default-src 'self'");
        own.body(())
    });
    let response = now(SecurityHeadersLayer::strict()
        .layer(handler)
        .oneshot(Request::new(())));
    assert_eq!(
        response.unwrap().headers()["content-security-policy"],
        "default-src 'self'"
    );
}

#[test]
fn a_policy_that_is_taken_out_of_responses_gives_way_to_the_layers() {
    let name = ContentSecurityPolicy::NAME;
    let layer = SecurityHeadersLayer::strict().add_removed_header(name);
    let response = crate::support::serve(&layer, &[("content-security-policy", "default-src *")]);
    assert_eq!(
        response.get_all("content-security-policy").iter().count(),
        1
    );
    assert_eq!(nonces(&response["content-security-policy"]).len(), 2);
}

#[test]
fn debug_does_not_show_the_nonce() {
    let handler = service_fn(async |request: Request<()>| {
        let nonce = request.extensions().get::<CspNonce>().unwrap();
        assert_eq!(format!("{nonce:?}"), "CspNonce(..)");
        assert_eq!(nonce.to_string(), nonce.as_str());
        Ok::<_, Infallible>(Response::new(()))
    });
    now(SecurityHeadersLayer::strict()
        .layer(handler)
        .oneshot(Request::new(())))
    .unwrap();
}
