//! Anything at all: it never panics and never passes.

use std::{
    sync::LazyLock,
    time::{Duration, SystemTime},
};

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::webhook::{WebhookScheme, WebhookVerifier};
use proptest::prelude::*;

use crate::schemes::{Sender, all, now};

/// Text that comes near to what a scheme sends.
fn near() -> impl Strategy<Value = Vec<u8>> {
    let piece = prop_oneof![
        Just(b"t=".to_vec()),
        Just(b"ts=1614265330".to_vec()),
        Just(b"v1=".to_vec()),
        Just(b"v1,".to_vec()),
        Just(b"v1a,".to_vec()),
        Just(b"h1=".to_vec()),
        Just(b"sha256=".to_vec()),
        Just(b"v0=".to_vec()),
        Just(b"1614265330".to_vec()),
        Just(b",".to_vec()),
        Just(b";".to_vec()),
        Just(b" ".to_vec()),
        Just(b"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=".to_vec()),
        "[0-9a-f]{64}".prop_map(String::into_bytes),
        prop::collection::vec(any::<u8>(), 0..12),
    ];
    prop::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
}

/// What each scheme looks at, and what looks at it.
static READY: LazyLock<Vec<(Vec<HeaderName>, WebhookVerifier)>> = LazyLock::new(|| {
    let ready = |sender: &Sender| {
        let names = sender.headers().keys().cloned().collect();
        (names, sender.verifier())
    };
    all().iter().map(ready).collect()
});

proptest! {
    #[test]
    fn whatever_comes_is_refused(
        fields in prop::collection::vec(near(), 4),
        body in prop::collection::vec(any::<u8>(), 0..64),
        seconds in any::<u32>(),
        twice in any::<bool>(),
    ) {
        for (names, verifier) in READY.iter() {
            let mut headers = HeaderMap::new();
            for (name, value) in names.iter().zip(&fields) {
                if let Ok(value) = HeaderValue::from_bytes(value) {
                    headers.append(name, value.clone());
                    if twice {
                        headers.append(name, value);
                    }
                }
            }
            let any_time = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds.into());
            for time in [now(), any_time] {
                prop_assert!(verifier.verify(&headers, &body, time).is_err());
            }
        }
    }

    #[test]
    fn no_key_makes_the_reader_panic(key in prop::collection::vec(any::<u8>(), 0..100)) {
        for sender in all() {
            let _ = WebhookVerifier::new(sender.scheme.clone(), key.clone());
        }
    }

    #[test]
    fn no_template_and_no_url_makes_the_reader_panic(text in "\\PC{0,40}", url in "https?://\\PC{0,40}") {
        let scheme = || WebhookScheme::generic("x-signature").unwrap();
        let _ = scheme().template(&text);
        if let Ok(scheme) = WebhookScheme::twilio(&url) {
            let verifier = WebhookVerifier::new(scheme, "12345").unwrap();
            let mut headers = HeaderMap::new();
            headers.insert("x-twilio-signature", HeaderValue::from_static("AAAA"));
            prop_assert!(verifier.verify(&headers, b"", now()).is_err());
        }
    }

    #[test]
    fn no_json_makes_the_reader_of_items_panic(text in r#"[\[\]{}:,"a-z0-9]{0,60}"#) {
        let verifier = WebhookVerifier::new(WebhookScheme::adyen(), "aa").unwrap();
        let nested = format!(r#"{{"notificationItems":[{{"NotificationRequestItem":{text}}}]}}"#);
        for body in [text, nested] {
            prop_assert!(verifier.verify(&HeaderMap::new(), body.as_bytes(), now()).is_err());
        }
    }
}

#[test]
fn a_body_that_nests_without_end_is_refused() {
    let verifier = WebhookVerifier::new(WebhookScheme::adyen(), "aa").unwrap();
    let body = "[".repeat(1 << 20);
    assert!(
        verifier
            .verify(&HeaderMap::new(), body.as_bytes(), now())
            .is_err()
    );
}
