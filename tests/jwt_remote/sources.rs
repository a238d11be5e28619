//! Where in a request the token is.

use http::{HeaderName, HeaderValue, Request, StatusCode, header};
use portcullis::{
    clock::ManualClock,
    jwt::{Algorithm::Hs256, JwtAuthLayer, TokenSource},
};
use proptest::prelude::*;

use crate::{layer::answer, mint};

fn layer(source: TokenSource) -> JwtAuthLayer {
    JwtAuthLayer::new(mint::verifier(Hs256))
        .with_clock(ManualClock::new(mint::now()))
        .token_source(source)
}

fn good() -> String {
    mint::token(Hs256, &mint::claims())
}

fn cookie() -> TokenSource {
    TokenSource::cookie("__Host-token").expect("a name")
}

fn field() -> TokenSource {
    TokenSource::header("x-token").expect("a name")
}

fn request(fields: &[(HeaderName, &[u8])]) -> Request<()> {
    let mut request = Request::new(());
    for (name, value) in fields {
        let value = HeaderValue::from_bytes(value).expect("a value");
        request.headers_mut().append(name, value);
    }
    request
}

fn blocking(layer: &JwtAuthLayer, request: Request<()>) -> (StatusCode, Option<&'static str>) {
    let runtime = tokio::runtime::Builder::new_current_thread().build();
    let (status, code, _) = runtime.expect("a runtime").block_on(answer(layer, request));
    (status, code)
}

const IN: (StatusCode, Option<&str>) = (StatusCode::OK, None);

fn out(code: &'static str) -> (StatusCode, Option<&'static str>) {
    (StatusCode::UNAUTHORIZED, Some(code))
}

#[test]
fn a_cookie_is_found_among_others() {
    let good = good();
    for cookies in [
        format!("__Host-token={good}"),
        format!("a=b; __Host-token={good}; c=d"),
        format!("a=b;__Host-token={good}"),
        format!(" \t__Host-token={good} \t; a=b"),
        format!("junk; =; ;;; a==b; __Host-token={good}"),
        format!("__host-token=other; __Host-token2=x; x__Host-token=y; __Host-token={good}"),
    ] {
        let request = request(&[(header::COOKIE, cookies.as_bytes())]);
        assert_eq!(blocking(&layer(cookie()), request), IN, "{cookies}");
    }
    let own = format!("__Host-token={good}");
    let several = request(&[(header::COOKIE, b"a=b"), (header::COOKIE, own.as_bytes())]);
    assert_eq!(blocking(&layer(cookie()), several), IN);
    let not_text = [b"a=\xff\xfe; ", own.as_bytes()].concat();
    assert_eq!(
        blocking(&layer(cookie()), request(&[(header::COOKIE, &not_text)])),
        IN
    );
}

#[test]
fn a_cookie_that_is_not_there_is_missing_and_a_bad_one_is_refused() {
    let good = good();
    for missing in [
        String::new(),
        "a=b".to_owned(),
        "__Host-token".to_owned(),
        "__Host-token=".to_owned(),
        "__Host-token =x".to_owned(),
        format!("__host-token={good}"),
        format!("a=__Host-token={good}"),
    ] {
        let head = || request(&[(header::COOKIE, missing.as_bytes())]);
        assert_eq!(
            blocking(&layer(cookie()), head()),
            out("jwt_missing"),
            "{missing}"
        );
        assert_eq!(
            blocking(&layer(cookie()).optional(), head()),
            IN,
            "{missing}"
        );
    }
    for (bad, code) in [
        (format!("__Host-token=\"{good}\""), "jwt_malformed"),
        (format!("__Host-token={good}="), "jwt_malformed"),
        (format!("__Host-token={good} x"), "jwt_malformed"),
        (format!("__Host-token=Bearer {good}"), "jwt_malformed"),
        ("__Host-token=x".to_owned(), "jwt_malformed"),
        (
            format!("__Host-token={good}; __Host-token={good}"),
            "jwt_ambiguous",
        ),
        (
            format!("__Host-token=; __Host-token={good}"),
            "jwt_ambiguous",
        ),
    ] {
        for layer in [layer(cookie()), layer(cookie()).optional()] {
            let request = request(&[(header::COOKIE, bad.as_bytes())]);
            assert_eq!(blocking(&layer, request).1, Some(code), "{bad}");
        }
    }
    // In the place that was asked for and in no other.
    let bearer = format!("Bearer {good}");
    let elsewhere = request(&[(header::AUTHORIZATION, bearer.as_bytes())]);
    assert_eq!(blocking(&layer(cookie()), elsewhere), out("jwt_missing"));
}

#[test]
fn a_field_of_its_own_holds_the_token_alone() {
    let good = good();
    let name = || HeaderName::from_static("x-token");
    assert_eq!(
        blocking(&layer(field()), request(&[(name(), good.as_bytes())])),
        IN
    );
    let empty = request(&[(name(), b"")]);
    assert_eq!(blocking(&layer(field()), empty), out("jwt_missing"));
    let twice = request(&[(name(), good.as_bytes()), (name(), good.as_bytes())]);
    assert_eq!(blocking(&layer(field()), twice), out("jwt_ambiguous"));
    let scheme = format!("Bearer {good}");
    let scheme = request(&[(name(), scheme.as_bytes())]);
    assert_eq!(blocking(&layer(field()), scheme), out("jwt_malformed"));
}

#[test]
fn a_query_is_read_only_where_that_was_asked_for() {
    let good = good();
    let get = |query: &str| {
        let uri = format!("/events?{query}");
        Request::builder().uri(uri).body(()).expect("a request")
    };
    let from_query = layer(TokenSource::dangerous_query("access_token").expect("a name"));
    for query in [
        format!("access_token={good}"),
        format!("a=b&access_token={good}&c"),
    ] {
        assert_eq!(blocking(&from_query, get(&query)), IN, "{query}");
        let ordinary = layer(TokenSource::authorization());
        assert_eq!(blocking(&ordinary, get(&query)), out("jwt_missing"));
    }
    for (query, code) in [
        (format!("Access_token={good}"), "jwt_missing"),
        (format!("access%5Ftoken={good}"), "jwt_missing"),
        ("access_token=".to_owned(), "jwt_missing"),
        (
            format!("access_token={good}&access_token={good}"),
            "jwt_ambiguous",
        ),
        (format!("access_token=%20{good}"), "jwt_malformed"),
    ] {
        assert_eq!(blocking(&from_query, get(&query)), out(code), "{query}");
    }
}

#[tokio::test]
async fn what_a_token_in_the_address_brought_is_private() {
    use std::convert::Infallible;
    use tower::{Layer, ServiceExt, service_fn};

    let respond = async |source, own: Option<&'static str>| {
        let inner = service_fn(move |_: Request<()>| async move {
            let mut response = http::Response::new(String::new());
            if let Some(own) = own {
                let value = HeaderValue::from_static(own);
                response.headers_mut().insert(header::CACHE_CONTROL, value);
            }
            Ok::<_, Infallible>(response)
        });
        let uri = format!("/?token={}", good());
        let request = Request::builder().uri(uri).header("x-token", good());
        let request = request.body(()).expect("a request");
        let response = layer(source)
            .layer(inner)
            .oneshot(request)
            .await
            .expect("never fails");
        assert_eq!(response.status(), StatusCode::OK);
        let cache = response.headers().get(header::CACHE_CONTROL);
        cache.map(|value| value.to_str().expect("text").to_owned())
    };
    let query = || TokenSource::dangerous_query("token").expect("a name");
    assert_eq!(respond(query(), None).await.as_deref(), Some("private"));
    assert_eq!(
        respond(query(), Some("no-store")).await.as_deref(),
        Some("no-store")
    );
    assert_eq!(respond(field(), None).await, None);
}

#[test]
fn the_first_place_that_holds_a_token_decides() {
    let layer = || layer(TokenSource::authorization()).add_token_source(cookie());
    let (bearer, own) = (
        format!("Bearer {}", good()),
        format!("__Host-token={}", good()),
    );
    let with = |authorization: &[u8], cookie: &[u8]| {
        request(&[
            (header::AUTHORIZATION, authorization),
            (header::COOKIE, cookie),
        ])
    };
    let only_cookie = request(&[(header::COOKIE, own.as_bytes())]);
    assert_eq!(blocking(&layer(), only_cookie), IN);
    // Other credentials are no token; a bad token is one, and so is a malformed field.
    assert_eq!(blocking(&layer(), with(b"Basic eA==", own.as_bytes())), IN);
    assert_eq!(
        blocking(&layer(), with(bearer.as_bytes(), b"__Host-token=bad")),
        IN
    );
    let bad = with(b"Bearer a.b.c", own.as_bytes());
    assert_eq!(blocking(&layer(), bad), out("jwt_malformed"));
    let malformed = with(b"Bearer", own.as_bytes());
    assert_eq!(
        blocking(&layer(), malformed),
        out("jwt_authorization_malformed")
    );
    let neither = with(b"Basic eA==", b"a=b");
    assert_eq!(blocking(&layer(), neither), out("jwt_missing"));
    // And the other way round.
    let layer = layer()
        .token_source(cookie())
        .add_token_source(TokenSource::authorization());
    let bad = with(bearer.as_bytes(), b"__Host-token=bad");
    assert_eq!(blocking(&layer, bad), out("jwt_malformed"));
}

#[test]
fn names_are_checked_when_they_are_given() {
    for bad in ["", "a b", "a;b", "a=b", "a\"b", "a\nb", "\u{e9}"] {
        assert!(TokenSource::cookie(bad).is_err(), "{bad:?}");
        assert!(TokenSource::dangerous_query(bad).is_err(), "{bad:?}");
        assert!(TokenSource::header(bad).is_err(), "{bad:?}");
    }
    for taken in ["authorization", "Cookie", "a:b"] {
        assert!(TokenSource::header(taken).is_err(), "{taken}");
    }
    for bad in ["a&b", "a%20b", "a+b"] {
        assert!(TokenSource::dangerous_query(bad).is_err(), "{bad}");
    }
}

#[tokio::test]
async fn challenges_say_what_is_configured() {
    let ask = async |layer: &JwtAuthLayer, token: Option<&str>| {
        let mut request = Request::new(());
        if let Some(token) = token {
            let value = format!("Bearer {token}").parse().expect("a value");
            request.headers_mut().insert(header::AUTHORIZATION, value);
        }
        answer(layer, request).await.2.expect("a challenge")
    };
    let metadata = "https://api.example.com/.well-known/oauth-protected-resource";
    let plain = layer(TokenSource::authorization());
    let with = plain
        .clone()
        .resource_metadata(metadata)
        .expect("an address");
    assert_eq!(
        ask(&with, None).await,
        format!("Bearer resource_metadata=\"{metadata}\"")
    );
    let all = with
        .challenge_scope("orders:read orders:write")
        .expect("scopes");
    let all = all.realm("orders").expect("a realm");
    let common = format!(
        "Bearer realm=\"orders\", scope=\"orders:read orders:write\", resource_metadata=\"{metadata}\""
    );
    assert_eq!(ask(&all, None).await, common);
    assert_eq!(
        ask(&all, Some("a.b.c")).await,
        format!("{common}, error=\"invalid_token\", error_description=\"The token is malformed.\"")
    );
    for bad in [
        "", " ", "a  b", " a", "a ", "a\"b", "a\\b", "a\nb", "\u{e9}",
    ] {
        assert!(plain.clone().challenge_scope(bad).is_err(), "{bad:?}");
    }
    for bad in [
        "",
        "/metadata",
        "api.example.com",
        "ftp://a.example",
        "https://a.example/#b",
        "https://a.example/\"",
        "https://",
    ] {
        assert!(plain.clone().resource_metadata(bad).is_err(), "{bad:?}");
    }
}

fn any_value() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"__Host-token=".to_vec()),
        Just(b"; ".to_vec()),
        Just(b"=".to_vec()),
        Just(b"\"".to_vec()),
        Just(b"Bearer ".to_vec()),
        prop::collection::vec(any::<u8>(), 0..20),
    ];
    let pieces = prop::collection::vec(piece, 0..8);
    pieces.prop_map(|pieces| {
        let bytes = pieces.concat();
        // What no server would hand on as a header field.
        let allowed = |byte: &u8| *byte == b'\t' || (*byte >= 0x20 && *byte != 0x7f);
        bytes.into_iter().filter(allowed).collect()
    })
}

proptest! {
    #[test]
    fn whatever_stands_in_any_place_nobody_gets_in(
        authorization in prop::collection::vec(any_value(), 0..3),
        cookies in prop::collection::vec(any_value(), 0..3),
        fields in prop::collection::vec(any_value(), 0..3),
    ) {
        let layer = layer(TokenSource::authorization())
            .add_token_source(cookie())
            .add_token_source(field());
        let mut request = Request::new(());
        for (name, values) in [
            (header::AUTHORIZATION, authorization),
            (header::COOKIE, cookies),
            (HeaderName::from_static("x-token"), fields),
        ] {
            for value in values {
                let value = HeaderValue::from_bytes(&value).expect("a value");
                request.headers_mut().append(&name, value);
            }
        }
        let (status, code) = blocking(&layer, request);
        prop_assert_eq!(status, StatusCode::UNAUTHORIZED);
        prop_assert!(code.is_some());
    }
}
