//! Deliveries that are made out of genuine ones, without a secret.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderValue, Request};
use portcullis::{
    store::MemoryStore,
    webhook::{
        TimestampUnit, WebhookErrorKind as Kind, WebhookLayer, WebhookScheme, WebhookSigner,
        WebhookVerifier,
    },
};

use crate::{
    schemes::{BODY, now},
    support::{Frames, Handler, SECRET, clock, delivery},
};

const ADYEN_KEY: &str = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";

fn layer(verifier: WebhookVerifier, store: &MemoryStore) -> WebhookLayer {
    WebhookLayer::new(verifier)
        .with_clock(clock())
        .with_store(store.clone())
}

fn request(uri: &str, headers: HeaderMap, body: &[u8]) -> Request<Frames> {
    let mut request = Request::post(uri).body(Frames::of(body, 4096)).unwrap();
    *request.headers_mut() = headers;
    request
}

#[tokio::test]
async fn a_delivery_is_remembered_in_whichever_order_secrets_come_and_go() {
    let github = WebhookScheme::github();
    for (signs, stages) in [
        ("old", [&["old"][..], &["new", "old"], &["old", "new"]]),
        ("new", [&["old", "new"][..], &["new"], &["new", "old"]]),
    ] {
        let store = MemoryStore::new();
        let handler = Handler::default();
        let signer = WebhookSigner::new(github.clone(), signs).unwrap();
        for secrets in stages {
            let headers = signer.sign("", BODY, now()).unwrap();
            let layer = layer(verifier(&github, secrets), &store);
            handler.ask(&layer, request("/", headers, BODY)).await;
        }
        assert_eq!(handler.calls(), 1, "signed with {signs}");
    }
}

/// A verifier of these secrets, the first ones first.
fn verifier(scheme: &WebhookScheme, secrets: &[&str]) -> WebhookVerifier {
    let first = WebhookVerifier::new(scheme.clone(), secrets[0]).unwrap();
    secrets[1..].iter().fold(first, |verifier, secret| {
        verifier.add_secret(*secret).unwrap()
    })
}

#[tokio::test]
async fn a_delivery_of_several_signatures_is_remembered_under_each_secret_in_use() {
    for (scheme, field, separator) in [
        (WebhookScheme::stripe(), "stripe-signature", ","),
        (WebhookScheme::paddle(), "paddle-signature", ";"),
    ] {
        let signer = WebhookSigner::new(scheme.clone(), "old").unwrap();
        let signer = signer.add_secret("new").unwrap();
        let whole = signer.sign("", BODY, now()).unwrap();
        let parts: Vec<&str> = whole[field].to_str().unwrap().split(separator).collect();
        let [time, old, new] = parts[..] else {
            panic!("{parts:?}");
        };
        let with = |signatures: &[&str]| {
            let mut headers = HeaderMap::new();
            let value = [&[time], signatures].concat().join(separator);
            headers.insert(field, HeaderValue::from_str(&value).unwrap());
            headers
        };
        let headers = [
            with(&[old, new]),
            with(&[new, old]),
            with(&[new]),
            with(&[old]),
        ];
        for first in &headers {
            for first_secrets in [&["old", "new"], &["new", "old"]] {
                let store = MemoryStore::new();
                let handler = Handler::default();
                let known = layer(verifier(&scheme, first_secrets), &store);
                handler.ask(&known, request("/", first.clone(), BODY)).await;
                assert_eq!(handler.calls(), 1);
                // Whichever signature is left, and whichever secret.
                for secrets in [
                    &["new"][..],
                    &["old"],
                    &["old", "new"],
                    &["new", "old"],
                    &["newer", "new"],
                    &["new", "another", "newer"],
                ] {
                    let layer = layer(verifier(&scheme, secrets), &store);
                    for copy in &headers {
                        handler.ask(&layer, request("/", copy.clone(), BODY)).await;
                    }
                    assert_eq!(handler.calls(), 1, "{secrets:?}");
                }
            }
        }
    }
}

#[tokio::test]
async fn what_came_before_a_secret_was_added_is_known_beside_it() {
    let scheme = WebhookScheme::stripe();
    let signer = WebhookSigner::new(scheme.clone(), "old").unwrap();
    let signer = signer.add_secret("new").unwrap();
    let headers = signer.sign("", BODY, now()).unwrap();
    let store = MemoryStore::new();
    let handler = Handler::default();
    for secrets in [&["old"][..], &["old", "new"], &["new", "old"]] {
        let layer = layer(verifier(&scheme, secrets), &store);
        handler
            .ask(&layer, request("/", headers.clone(), BODY))
            .await;
        assert_eq!(handler.calls(), 1, "{secrets:?}");
    }
}

#[tokio::test]
async fn a_delivery_is_remembered_until_the_slowest_body_of_it_has_come() {
    let hour = Duration::from_secs(3600);
    let clock = clock();
    let verifier = WebhookVerifier::new(WebhookScheme::stripe(), SECRET).unwrap();
    let layer = WebhookLayer::new(verifier)
        .with_clock(clock.clone())
        .replay_retention(Duration::ZERO)
        .body_time(hour);
    let handler = Handler::default();
    let tolerance = Duration::from_secs(300);
    clock.set(now() - tolerance);
    assert_eq!(handler.ask(&layer, delivery(BODY, 9)).await.code, None);
    // Begun while it is fresh, and ended an hour later.
    clock.set(now() + tolerance);
    let mut slow = delivery(BODY, BODY.len());
    let mut late = Some(hour);
    slow.body_mut().before_each = Some(Box::new(move || {
        if let Some(late) = late.take() {
            clock.advance(late);
        }
    }));
    let answer = handler.ask(&layer, slow).await;
    assert_eq!(
        (answer.code, handler.calls()),
        (Some("webhook_replayed"), 1)
    );
}

fn adyen_item(psp: &str, signature: &str) -> String {
    format!(
        r#"{{"NotificationRequestItem":{{"pspReference":"{psp}","merchantAccountCode":"M",
        "merchantReference":"1","amount":{{"value":1,"currency":"EUR"}},"eventCode":"AUTHORISATION",
        "success":"true","additionalData":{{"hmacSignature":"{signature}"}}}}}}"#
    )
}

fn adyen_body(items: &[&str]) -> String {
    format!(r#"{{"notificationItems":[{}]}}"#, items.join(","))
}

/// What an item signs, signed: the signer signs whatever it is given.
fn adyen_signature(text: &str) -> String {
    let signer = WebhookSigner::new(WebhookScheme::adyen(), ADYEN_KEY).unwrap();
    let headers = signer.sign("", text.as_bytes(), now()).unwrap();
    headers["hmacsignature"].to_str().unwrap().to_owned()
}

#[tokio::test]
async fn adyen_items_cannot_be_put_together_into_another_delivery() {
    let [one, two] = ["A1", "A2"].map(|psp| {
        let text = format!("{psp}::M:1:1:EUR:AUTHORISATION:true");
        adyen_item(psp, &adyen_signature(&text))
    });
    let verifier = WebhookVerifier::new(WebhookScheme::adyen(), ADYEN_KEY).unwrap();
    let handler = Handler::default();
    let layer = layer(verifier, &MemoryStore::new());
    for items in [
        &[&*one][..],
        &[&two],
        &[&one, &one],
        &[&one, &two],
        &[&two, &one],
        &[&two, &two, &one],
    ] {
        let body = adyen_body(items);
        let request = request("/", HeaderMap::new(), body.as_bytes());
        handler.ask(&layer, request).await;
    }
    assert_eq!(handler.calls(), 2);
}

#[test]
fn what_adyen_signs_of_an_item_is_no_body_and_a_body_no_item() {
    let verifier = WebhookVerifier::new(WebhookScheme::adyen(), ADYEN_KEY).unwrap();
    let ask = |headers: &HeaderMap, body: &str| {
        let proof = verifier.verify(headers, body.as_bytes(), now());
        proof.err().map(|error| error.kind())
    };
    // Seen in an item.
    let text = "A1::M:1:1:EUR:AUTHORISATION:true";
    let mut headers = HeaderMap::new();
    let value = HeaderValue::from_str(&adyen_signature(text)).unwrap();
    headers.insert("hmacsignature", value);
    assert_eq!(ask(&headers, text), Some(Kind::BodyMalformed));
    // Seen in the header of another notification.
    let other = r#"{"a":"b:c:d:e:f:AUTHORISATION:true"}"#;
    let parts: Vec<&str> = other.splitn(8, ':').collect();
    let item = serde_json::json!({"notificationItems": [{"NotificationRequestItem": {
        "pspReference": parts[0],
        "originalReference": parts[1],
        "merchantAccountCode": parts[2],
        "merchantReference": parts[3],
        "amount": {"value": parts[4], "currency": parts[5]},
        "eventCode": parts[6],
        "success": parts[7],
        "additionalData": {"hmacSignature": adyen_signature(other)},
    }}]});
    let forged = item.to_string();
    assert_eq!(ask(&HeaderMap::new(), &forged), Some(Kind::BodyMalformed));
}

#[test]
fn an_id_cannot_take_a_part_of_the_body_with_it() {
    for (template, id, body, other_id, other_body) in [
        ("{timestamp}:{id}:{body}", "x", "a=1:b=2", "x:a=1", "b=2"),
        ("{timestamp}:{body}|{id}", "x", "a=1|b=2", "b=2|x", "a=1"),
        (
            "{id}/{timestamp}/{body}",
            "x",
            "1614265330/b",
            "x/1614265330",
            "b",
        ),
    ] {
        let scheme = WebhookScheme::generic("x-signature")
            .unwrap()
            .timestamp_header("x-time")
            .unwrap()
            .id_header("x-id")
            .unwrap()
            .template(template)
            .unwrap();
        let signer = WebhookSigner::new(scheme.clone(), "secret").unwrap();
        let verifier = WebhookVerifier::new(scheme, "secret").unwrap();
        let mut headers = signer.sign(id, body.as_bytes(), now()).unwrap();
        assert!(verifier.verify(&headers, body.as_bytes(), now()).is_ok());
        headers.insert("x-id", HeaderValue::from_str(other_id).unwrap());
        let error = verifier
            .verify(&headers, other_body.as_bytes(), now())
            .unwrap_err();
        assert_eq!(error.kind(), Kind::IdMalformed, "{template}");
        assert!(signer.sign(other_id, b"", now()).is_err(), "{template}");
    }
    // Nothing parts the id from what is beside it.
    for template in [
        "{id}{timestamp}.{body}",
        "{timestamp}.{id}{body}",
        "{timestamp}.{body}{id}",
        "{id}7{timestamp}.{body}",
    ] {
        let scheme = WebhookScheme::generic("x-signature")
            .unwrap()
            .timestamp_header("x-time")
            .unwrap()
            .id_header("x-id")
            .unwrap()
            .template(template)
            .unwrap();
        assert!(
            WebhookVerifier::new(scheme, "secret").is_err(),
            "{template}"
        );
    }
}

#[tokio::test]
async fn a_query_cannot_take_a_part_of_the_body_with_it() {
    let configured = WebhookScheme::square("https://example.com/hooks").unwrap();
    let told = WebhookScheme::square("https://example.com/hooks?shop=7").unwrap();
    let verifier = WebhookVerifier::new(configured, SECRET).unwrap();
    let signer = WebhookSigner::new(told, SECRET).unwrap();
    let body = br#"{"a":{"b":1}}"#;
    let headers = signer.sign("", body, now()).unwrap();
    let handler = Handler::default();
    let layer = layer(verifier, &MemoryStore::new());
    let forged = request("/hooks?shop=7{", headers.clone(), br#""a":{"b":1}}"#);
    assert_eq!(handler.ask(&layer, forged).await.status, 401);
    let genuine = request("/hooks?shop=7", headers, body);
    assert_eq!(handler.ask(&layer, genuine).await.code, None);
    assert_eq!(handler.calls(), 1);
}

fn signs_url(template: &str, url: &str) -> WebhookScheme {
    WebhookScheme::generic("x-signature")
        .unwrap()
        .timestamp_header("x-time")
        .unwrap()
        .id_header("x-id")
        .unwrap()
        .template(template)
        .unwrap()
        .url(url)
        .unwrap()
}

#[test]
fn a_query_could_take_an_id_with_it_where_nothing_parts_them() {
    let (bare, whole) = (
        "https://example.com/hooks",
        "https://example.com/hooks?shop=7",
    );
    for template in [
        "{url}.{id}.{timestamp}.{body}",
        "{url}/{timestamp}.{body}",
        "{url}{timestamp}{body}",
        "{timestamp}.{url}&{id}.{body}",
        "{timestamp}.{body}.{id}.{url}",
        "{timestamp}{body}{timestamp}{url}",
        "{timestamp}.{url}{url}|{body}",
        "{body}|{url}{timestamp}",
        "{body}|{url}7{timestamp}",
    ] {
        let error = WebhookVerifier::new(signs_url(template, bare), SECRET).unwrap_err();
        assert!(error.to_string().contains("no query has"), "{error}");
        assert!(WebhookSigner::new(signs_url(template, bare), SECRET).is_err());
        // A query that is configured is no longer anybody's.
        assert!(WebhookVerifier::new(signs_url(template, whole), SECRET).is_ok());
    }
    for template in [
        "{url}\n{id}.{timestamp}.{body}",
        "{id}|{url}|{timestamp}|{body}",
        "{timestamp}{url}{body}",
        "{timestamp}:{body}{url}",
        "{body}|{timestamp}|{url}",
    ] {
        assert!(
            WebhookVerifier::new(signs_url(template, bare), SECRET).is_ok(),
            "{template}"
        );
    }
}

#[tokio::test]
async fn a_query_takes_no_id_with_it() {
    let template = "{url}|{id}|{timestamp}|{body}";
    let told = signs_url(template, "https://example.com/hooks?shop=7");
    let signer = WebhookSigner::new(told, SECRET).unwrap();
    let seconds = now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    let body = format!("x|{seconds}|rest");
    let headers = signer.sign("msg", body.as_bytes(), now()).unwrap();
    let configured = signs_url(template, "https://example.com/hooks");
    let verifier = WebhookVerifier::new(configured, SECRET).unwrap();
    let handler = Handler::default();
    let layer = layer(verifier, &MemoryStore::new());
    let mut forged = headers.clone();
    forged.insert("x-id", HeaderValue::from_static("x"));
    // The id, the timestamp and the beginning of the body move into the query.
    let uri = format!("/hooks?shop=7|msg|{seconds}");
    let forged = request(&uri, forged, b"rest");
    assert_eq!(handler.ask(&layer, forged).await.status, 401);
    let genuine = request("/hooks?shop=7", headers, body.as_bytes());
    assert_eq!(handler.ask(&layer, genuine).await.code, None);
    assert_eq!(handler.calls(), 1);
}

/// A timestamp in milliseconds, and the one in seconds that its last ten digits are: some months later.
const SENT: u64 = 1_701_711_700_000;
const LATER: u64 = 1_711_700_000;

fn at(millis: u64) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_millis(millis)
}

#[test]
fn a_query_takes_no_digits_of_a_timestamp_with_it() {
    let scheme = |template, url| {
        let unit = TimestampUnit::SecondsOrMilliseconds;
        signs_url(template, url).timestamp_unit(unit)
    };
    let (bare, whole) = (
        "https://example.com/hooks",
        "https://example.com/hooks?shop=7",
    );
    for (template, is_open) in [
        ("{body}|{url}{timestamp}", true),
        ("{body}|{url}.{timestamp}", false),
    ] {
        // A sender knows where each part ends.
        let told = signs_url(template, whole).timestamp_unit(TimestampUnit::Milliseconds);
        let signer = WebhookSigner::new(told, SECRET).unwrap();
        let mut headers = signer.sign("", b"{}", at(SENT)).unwrap();
        headers.insert("x-time", LATER.into());
        let verifier = WebhookVerifier::new(scheme(template, bare), SECRET);
        assert_eq!(verifier.is_err(), is_open, "{template}");
        let Ok(verifier) = verifier else {
            continue;
        };
        let (mut forged, ()) = Request::post("/hooks?shop=7170")
            .body(())
            .unwrap()
            .into_parts();
        forged.headers = headers;
        let check = verifier.begin_request((&forged).into(), at(LATER * 1000));
        let mut check = check.unwrap();
        check.update(b"{}");
        assert_eq!(check.finish().unwrap_err().kind(), Kind::SignatureInvalid);
    }
}

#[test]
fn a_body_takes_no_digits_of_a_timestamp_of_either_unit_with_it() {
    let scheme = |template: &str, unit| {
        WebhookScheme::generic("x-signature")
            .unwrap()
            .timestamp_header("x-time")
            .unwrap()
            .template(template)
            .unwrap()
            .timestamp_unit(unit)
    };
    let either = TimestampUnit::SecondsOrMilliseconds;
    for open in [
        "{body}{timestamp}",
        "{timestamp}{body}",
        "v0:{timestamp}0{body}",
        "{body}.1{timestamp}",
        "{timestamp}.{body}{timestamp}",
    ] {
        let error = WebhookVerifier::new(scheme(open, either), SECRET).unwrap_err();
        assert!(error.to_string().contains("either unit"), "{error}");
        // Of one unit it has as many digits as it has, while it is fresh.
        assert!(WebhookVerifier::new(scheme(open, TimestampUnit::Seconds), SECRET).is_ok());
    }
    for (template, sent, time, body, later) in [
        (
            "{body}:{timestamp}",
            SENT,
            LATER,
            &b"amount=1170"[..],
            LATER * 1000,
        ),
        (
            "{timestamp}:{body}",
            LATER * 1000,
            LATER * 1000 + 100,
            b"",
            LATER * 1000,
        ),
    ] {
        let verifier = WebhookVerifier::new(scheme(template, either), SECRET).unwrap();
        let signer = WebhookSigner::new(scheme(template, either), SECRET).unwrap();
        let mut headers = signer.sign("", b"amount=1", at(sent)).unwrap();
        assert!(verifier.verify(&headers, b"amount=1", at(sent)).is_ok());
        headers.insert("x-time", time.into());
        let error = verifier.verify(&headers, body, at(later)).unwrap_err();
        assert_eq!(error.kind(), Kind::SignatureInvalid);
    }
}

#[test]
fn a_password_in_a_url_is_not_shown() {
    let url = "https://user:pa55word@example.com/hooks?shop=7";
    let scheme = WebhookScheme::twilio(url).unwrap();
    let signer = WebhookSigner::new(scheme.clone(), "12345").unwrap();
    let verifier = WebhookVerifier::new(scheme, "12345").unwrap();
    let layer = WebhookLayer::new(verifier.clone());
    let mut shown = format!("{signer:?} {verifier:?} {layer:?}");
    assert!(shown.contains("example.com/hooks?shop=7"), "{shown}");
    for wrong in [
        "https://user:pa55word@",
        "https://user:pa55word@exa mple.com/",
        "ftp://user:pa55word@example.com/",
        "user:pa55word@example.com/",
    ] {
        let error = WebhookScheme::square(wrong).unwrap_err();
        shown += &format!("{error} {error:?} {}", error.given());
    }
    assert!(!shown.contains("pa55word"), "{shown}");
}

#[test]
fn a_timestamp_cannot_take_the_end_of_a_body_with_it() {
    let scheme = WebhookScheme::generic("x-signature")
        .unwrap()
        .timestamp_header("x-time")
        .unwrap()
        .template("{body}{timestamp}")
        .unwrap();
    let signer = WebhookSigner::new(scheme.clone(), "secret").unwrap();
    let verifier = WebhookVerifier::new(scheme, "secret").unwrap();
    let mut headers = signer.sign("", b"amount=100", now()).unwrap();
    assert!(verifier.verify(&headers, b"amount=100", now()).is_ok());
    headers.insert("x-time", HeaderValue::from_static("01614265330"));
    let error = verifier.verify(&headers, b"amount=10", now()).unwrap_err();
    assert_eq!(error.kind(), Kind::TimestampMalformed);
}

/// What a form says can look like the hash of another body, once it is taken for a part of the query.
#[test]
fn what_somebody_writes_in_a_message_is_no_hash_of_a_body() {
    let body = br#"{"evil":true}"#;
    let hash = "f94dd6fad2748707c1fd1777873479912e937bec6a6f116a1368b0dddb9f5580";
    let signer = WebhookScheme::twilio("https://example.com/hooks?shop=7").unwrap();
    let signer = WebhookSigner::new(signer, "12345").unwrap();
    let form = format!("AccountSid=AC1&Body=%26bodySHA256%3D{hash}%26&From=%2B1555&To=%2B1800");
    let genuine = signer.sign("", form.as_bytes(), now()).unwrap();
    let scheme = WebhookScheme::twilio("https://example.com/hooks").unwrap();
    let verifier = WebhookVerifier::new(scheme, "12345").unwrap();
    let verify = |uri: &str, kind: &'static str, body: &[u8]| {
        let (mut parts, ()) = Request::post(uri).body(()).unwrap().into_parts();
        parts.headers = genuine.clone();
        { &mut parts.headers }.insert("content-type", HeaderValue::from_static(kind));
        let mut check = verifier.begin_request((&parts).into(), now()).unwrap();
        check.update(body);
        check.finish().map(drop)
    };
    let form_kind = "application/x-www-form-urlencoded";
    assert!(verify("/hooks?shop=7", form_kind, form.as_bytes()).is_ok());
    let cut = format!("/hooks?shop=7AccountSidAC1Body&bodySHA256={hash}&From+1555To+1800");
    for kind in ["application/json", form_kind] {
        assert!(verify(&cut, kind, body).is_err(), "{kind}");
    }
}
