//! Whose requests count together.

use bytes::Bytes;
use http::Request;
use http_body_util::Empty;
use portcullis::{
    client_ip::{ClientIp, ForwardedHeader, Ipv6Prefix},
    principal::Principal,
    rate_limit::{Quota, RateLimitKey, RateLimitLayer},
    store::MemoryStore,
};

use crate::support::{Door, from, from_nowhere, hit, start};

const ONCE: Quota = Quota::per_hour(1);

fn by(key: RateLimitKey) -> Door {
    Door::new(RateLimitLayer::new(ONCE).key(key))
}

fn with(name: &'static str, value: &str) -> Request<Empty<Bytes>> {
    let mut request = from_nowhere();
    request.headers_mut().insert(name, value.parse().unwrap());
    request
}

fn as_principal(principal: Principal) -> Request<Empty<Bytes>> {
    let mut request = from_nowhere();
    request.extensions_mut().insert(principal);
    request
}

fn header(name: &'static str) -> RateLimitKey {
    RateLimitKey::custom(move |request| {
        let value = request.headers().get(name)?;
        value.to_str().ok().map(str::to_owned)
    })
}

#[tokio::test]
async fn by_default_each_address_counts_for_itself() {
    let door = Door::new(RateLimitLayer::new(ONCE));
    for (peer, status) in [
        ("192.0.2.1:1000", 200),
        ("192.0.2.1:2000", 429),
        ("[::ffff:192.0.2.1]:3000", 429),
        ("192.0.2.2:1000", 200),
        ("[2001:db8::1]:1000", 200),
        ("[2001:db8::ffff:ffff:ffff:ffff]:1000", 429),
        ("[2001:db8:0:1::1]:1000", 200),
    ] {
        assert_eq!(door.ask(from(peer)).await.status, status, "{peer}");
    }
}

#[tokio::test]
async fn the_network_can_be_of_another_size() {
    let key = RateLimitKey::client_network(ClientIp::peer(), Ipv6Prefix::new(48).unwrap());
    let door = by(key);
    assert_eq!(door.ask(from("2001:db8:1:2::1")).await.status, 200);
    assert_eq!(door.ask(from("2001:db8:1:3::1")).await.status, 429);
    assert_eq!(door.ask(from("2001:db8:2:2::1")).await.status, 200);
}

#[tokio::test]
async fn the_address_is_found_as_the_strategy_says() {
    let door = by(RateLimitKey::client_ip(ClientIp::rightmost(
        ForwardedHeader::XForwardedFor,
    )));
    let ask = |value| door.ask(with("x-forwarded-for", value));
    assert_eq!(ask("10.0.0.1, 192.0.2.1").await.status, 200);
    assert_eq!(ask("10.0.0.2, 192.0.2.1").await.status, 429);
    assert_eq!(ask("10.0.0.1, 192.0.2.2").await.status, 200);
    let answer = ask("10.0.0.1, nobody").await;
    assert_eq!(
        (answer.status, answer.json()["code"].as_str()),
        (400, Some("client_ip_malformed"))
    );
}

#[tokio::test]
async fn a_request_of_an_unknown_peer_is_refused() {
    let door = Door::new(RateLimitLayer::new(ONCE));
    let answer = door.ask(from_nowhere()).await;
    assert_eq!((answer.status, door.calls()), (500, 0));
    assert_eq!(answer.json()["code"], "client_ip_peer_unknown");
}

#[tokio::test]
async fn principals_count_by_tenant_and_subject() {
    let door = by(RateLimitKey::principal());
    let anne = || Principal::new("anne");
    for (principal, status) in [
        (anne(), 200),
        (anne().add_scope("other"), 429),
        (anne().tenant("acme"), 200),
        (anne().tenant("acme"), 429),
        (anne().tenant(""), 200),
        (Principal::new("acme").tenant("anne"), 200),
        (Principal::new(""), 200),
    ] {
        let shown = format!("{principal:?}");
        assert_eq!(
            door.ask(as_principal(principal)).await.status,
            status,
            "{shown}"
        );
    }
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!(answer.status, 403);
    assert_eq!(answer.json()["code"], "rate_limit_key_unknown");
}

#[tokio::test]
async fn a_closure_says_or_the_request_is_refused() {
    let door = by(header("x-api-key"));
    assert_eq!(door.ask(with("x-api-key", "a")).await.status, 200);
    assert_eq!(door.ask(with("x-api-key", "a")).await.status, 429);
    assert_eq!(door.ask(with("x-api-key", "b")).await.status, 200);
    assert_eq!(door.ask(with("x-api-key", "")).await.status, 200);
    let calls = door.calls();
    let answer = door.ask(from("192.0.2.1")).await;
    assert_eq!((answer.status, door.calls()), (403, calls));
    assert_eq!(answer.json()["code"], "rate_limit_key_unknown");
}

#[tokio::test]
async fn parts_of_a_key_do_not_run_into_each_other() {
    let door = by(header("x-one").and(header("x-two")));
    let ask = |one: &str, two: &str| {
        let mut request = with("x-one", one);
        request.headers_mut().insert("x-two", two.parse().unwrap());
        door.ask(request)
    };
    for (one, two) in [
        ("ab", "c"),
        ("a", "bc"),
        ("", "abc"),
        ("abc", ""),
        ("c", "ab"),
    ] {
        assert_eq!(ask(one, two).await.status, 200, "{one:?} {two:?}");
        assert_eq!(ask(one, two).await.status, 429, "{one:?} {two:?}");
    }
    let long = "x".repeat(500);
    assert_eq!(ask(&long, "1").await.status, 200);
    assert_eq!(ask(&long, "2").await.status, 200);
    assert_eq!(ask(&long, "1").await.status, 429);
}

#[tokio::test]
async fn a_composed_key_needs_all_its_parts() {
    let door = by(RateLimitKey::principal().and(RateLimitKey::client_ip(ClientIp::peer())));
    assert_eq!(door.ask(from("192.0.2.1")).await.status, 403);
    assert_eq!(
        door.ask(as_principal(Principal::new("anne"))).await.status,
        500
    );
    let both = |peer: &str| {
        let mut request = from(peer);
        request.extensions_mut().insert(Principal::new("anne"));
        request
    };
    assert_eq!(door.ask(both("192.0.2.1")).await.status, 200);
    assert_eq!(door.ask(both("192.0.2.1")).await.status, 429);
    assert_eq!(door.ask(both("192.0.2.2")).await.status, 200);
    assert_eq!(door.calls(), 2);
}

#[tokio::test]
async fn a_quota_may_have_a_key_of_its_own() {
    let layer = RateLimitLayer::new(Quota::per_hour(2).name("address"))
        .add_quota_by(Quota::per_hour(3).name("key"), header("x-api-key"));
    let door = Door::new(layer);
    let ask = |peer: &str, key: &str| {
        let mut request = from(peer);
        request
            .headers_mut()
            .insert("x-api-key", key.parse().unwrap());
        door.ask(request)
    };
    assert_eq!(ask("192.0.2.1", "a").await.status, 200);
    assert_eq!(ask("192.0.2.1", "a").await.status, 200);
    let refused = ask("192.0.2.1", "a").await;
    assert_eq!(
        refused.json()["violated-policies"],
        serde_json::json!(["address"])
    );
    // What the address was refused has cost the key nothing.
    assert_eq!(ask("192.0.2.2", "a").await.status, 200);
    let refused = ask("192.0.2.3", "a").await;
    assert_eq!(
        refused.json()["violated-policies"],
        serde_json::json!(["key"])
    );
    assert_eq!(ask("192.0.2.3", "b").await.status, 200);
    assert_eq!(door.ask(from("192.0.2.9")).await.status, 403);
}

#[tokio::test]
async fn principals_of_two_issuers_are_two_though_they_are_called_the_same() {
    let door = by(RateLimitKey::principal());
    for (principal, status) in [
        (Principal::new("7").issued_by("https://a.example"), 200),
        (Principal::new("7").issued_by("https://b.example"), 200),
        (Principal::new("7").issued_by("https://a.example"), 429),
        (Principal::new("7"), 200),
        (Principal::new("7").issued_by(""), 200),
        // The same texts in other places.
        (Principal::new("7").tenant("https://a.example"), 200),
    ] {
        let shown = format!("{principal:?}");
        let answer = door.ask(as_principal(principal)).await;
        assert_eq!(answer.status, status, "{shown}");
    }
}

/// What a layer that counts on the shortest way, one that does not, and an operator call the same key.
#[tokio::test]
async fn a_key_is_the_same_on_every_way() {
    let quota = Quota::per_hour(3);
    for (key, peer) in [
        (RateLimitKey::client_ip(ClientIp::peer()), "192.0.2.1"),
        (
            RateLimitKey::client_ip(ClientIp::peer()),
            "2001:db8:1:2:3::4",
        ),
        (
            RateLimitKey::client_network(ClientIp::peer(), Ipv6Prefix::new(48).unwrap()),
            "2001:db8:1:2:3::4",
        ),
        (RateLimitKey::named("all"), "192.0.2.1"),
    ] {
        let store = MemoryStore::new();
        let layer = RateLimitLayer::new(quota)
            .key(key.clone())
            .with_store(store.clone());
        let short = Door::new(layer.clone());
        let long = Door::new(layer.on_event(|_| ()));
        assert_eq!(short.ask(from(peer)).await.status, 200);
        assert_eq!(long.ask(from(peer)).await.status, 200);
        let request = from(peer);
        let bytes = key.of((&request).into()).unwrap();
        assert_eq!(hit(&store, &bytes, quota, 1, start()).remaining, 0);
        assert_eq!(short.ask(from(peer)).await.status, 429);
        assert_eq!(long.ask(from(peer)).await.status, 429);
    }
}

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#[tokio::test]
async fn an_api_key_counts_and_is_nowhere_kept() {
    let header: http::HeaderName = "x-api-key".parse().unwrap();
    let layer =
        RateLimitLayer::api_key(
            header.clone(),
            |request| match request.headers()["x-api-key"].as_bytes() {
                b"paid-3f8a" => Quota::per_hour(2).name("paid"),
                _ => Quota::per_hour(1).name("free"),
            },
        );
    let door = Door::new(layer);
    for (value, status) in [
        ("paid-3f8a", 200),
        ("paid-3f8a", 200),
        ("paid-3f8a", 429),
        ("free-11c0", 200),
        ("free-11c0", 429),
        ("free-52d7", 200),
    ] {
        let answer = door.ask(with("x-api-key", value)).await;
        assert_eq!(answer.status, status, "{value}");
    }
    assert_eq!(door.ask(from("192.0.2.1")).await.status, 403);
    assert_eq!(door.ask(with("x-api-key", "")).await.status, 403);

    let key = RateLimitKey::api_key(header.clone());
    let request = with("x-api-key", "paid-3f8a");
    let bytes = key.of((&request).into()).unwrap();
    assert!(!bytes.windows(9).any(|part| part == b"paid-3f8a"));
    // The first and last bytes of its SHA-256, which is the same in every process.
    assert_eq!(bytes[bytes.len() - 32..][..4], [0xb3, 0x1c, 0x62, 0x8e]);
    assert!(bytes.ends_with(&[0x34, 0xe8, 0x17]));
    let plain = RateLimitKey::header(header).of((&request).into()).unwrap();
    assert!(plain.ends_with(b"paid-3f8a") && plain != bytes);
}

#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
#[tokio::test]
async fn an_api_key_is_the_same_under_any_spelling_of_its_scheme() {
    for name in ["authorization", "proxy-authorization"] {
        let key = RateLimitKey::api_key(name.parse().unwrap());
        let of = |value: &str| {
            let mut request = from_nowhere();
            request.headers_mut().insert(
                name,
                http::HeaderValue::from_bytes(value.as_bytes()).unwrap(),
            );
            key.of((&request).into())
        };
        let plain = of("Bearer 3f8a").unwrap();
        for same in [
            "bearer 3f8a",
            "BEARER   3f8a ",
            "ApiKey\t3f8a",
            "3f8a",
            " 3f8a",
        ] {
            assert_eq!(of(same).unwrap(), plain, "{same}");
        }
        for other in ["Bearer 3F8A", "Bearer", "Bearer 3f8a 3f8a", "Bearer3f8a"] {
            assert_ne!(of(other).unwrap(), plain, "{other}");
        }
        for none in ["Bearer ", " ", ""] {
            assert_eq!(of(none).unwrap_err().code(), "rate_limit_key_unknown");
        }
    }
    // Elsewhere the whole value is the key.
    let header: http::HeaderName = "x-api-key".parse().unwrap();
    let of = |value: &str| {
        let request = with("x-api-key", value);
        RateLimitKey::api_key(header.clone())
            .of((&request).into())
            .unwrap()
    };
    assert_ne!(of("Bearer 3f8a"), of("bearer 3f8a"));
}
