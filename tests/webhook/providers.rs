//! What is peculiar to a provider, and what all share: lists, times, ids, several secrets.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::webhook::{
    WebhookErrorKind as Kind, WebhookScheme, WebhookSigner, WebhookVerifier,
};

use crate::schemes::{BODY, ID, all, now};

fn headers(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn kind(
    verifier: &WebhookVerifier,
    fields: &[(&str, &str)],
    body: &[u8],
    at: SystemTime,
) -> Option<Kind> {
    let headers = headers(fields);
    let verdict = verifier.verify(&headers, body, at);
    verdict.err().map(|error| error.kind())
}

fn sign(scheme: WebhookScheme, secret: &str, at: SystemTime) -> HeaderMap {
    let signer = WebhookSigner::new(scheme, secret).unwrap();
    signer.sign(ID, BODY, at).unwrap()
}

#[test]
fn every_secret_in_use_is_accepted_and_named() {
    for sender in all() {
        if matches!(sender.scheme.name(), "sendgrid" | "discord" | "keyed")
            || sender.secret.starts_with("whsk_")
        {
            continue;
        }
        let others = match sender.scheme.name() {
            "adyen" => ["AA", "BB", "CC"],
            _ => [
                "whsec_QUFBQUFBQUFBQUFBQUFBQUFBQUFBQUFB",
                "whsec_QkJCQkJCQkJCQkJCQkJCQkJCQkJCQkJC",
                "whsec_Q0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0NDQ0ND",
            ],
        };
        let mut verifier = WebhookVerifier::new(sender.scheme.clone(), others[0]).unwrap();
        for secret in [others[1], &sender.secret, others[2]] {
            verifier = verifier.add_secret(secret).unwrap();
        }
        let headers = sender.headers();
        let proof = verifier.verify(&headers, sender.body, now()).unwrap();
        assert_eq!(proof.secret_index(), 2, "{}", sender.scheme.name());
    }
}

#[test]
fn a_delivery_signed_with_both_secrets_is_one_delivery_whichever_signature_is_left() {
    let signer = WebhookSigner::new(WebhookScheme::stripe(), "old").unwrap();
    let both = signer.add_secret("new").unwrap();
    let both = both.sign("", BODY, now()).unwrap();
    let field = both["stripe-signature"].to_str().unwrap();
    let parts: Vec<&str> = field.split(',').collect();
    assert_eq!(parts.len(), 3);
    let verifier = WebhookVerifier::new(WebhookScheme::stripe(), "new").unwrap();
    let verifier = verifier.add_secret("old").unwrap();
    let key = |field: String| {
        let headers = headers(&[("stripe-signature", &field)]);
        let proof = verifier.verify(&headers, BODY, now()).unwrap();
        (
            proof.replay_keys().collect::<Vec<_>>(),
            proof.secret_index(),
        )
    };
    let (whole, first) = key(field.to_owned());
    assert_eq!(first, 0);
    // One of each secret.
    assert_eq!(whole.len(), 2);
    for (field, secret) in [
        (format!("{},{}", parts[0], parts[1]), 1),
        (format!("{},{}", parts[0], parts[2]), 0),
        (format!("{},{},v0=x", parts[2], parts[0]), 0),
    ] {
        assert_eq!(key(field), (whole.clone(), secret));
    }
    // A delivery of one signature cannot be signed with two secrets.
    let github = WebhookSigner::new(WebhookScheme::github(), "old").unwrap();
    assert!(github.add_secret("new").is_err());
}

#[test]
fn the_tolerance_bounds_the_past_and_the_future() {
    let second = Duration::from_secs(1);
    for sender in all() {
        let stamped = sender.headers().iter().any(|(name, value)| {
            name.as_str().contains("time") || value.as_bytes().starts_with(b"t")
        });
        if !stamped {
            continue;
        }
        let name = sender.scheme.name();
        let tolerance = Duration::from_secs(if name == "paddle" { 5 } else { 300 });
        let headers = sender.headers();
        let at = |time| {
            let verdict = sender.verifier().verify(&headers, sender.body, time);
            verdict.err().map(|error| error.kind())
        };
        assert_eq!(at(now() + tolerance), None, "{name}");
        assert_eq!(at(now() - tolerance), None, "{name}");
        assert_eq!(at(now() + tolerance + second), Some(Kind::TooOld), "{name}");
        assert_eq!(
            at(now() - tolerance - second),
            Some(Kind::FromFuture),
            "{name}"
        );
        assert_eq!(at(SystemTime::UNIX_EPOCH), Some(Kind::FromFuture), "{name}");

        let scheme = sender.scheme.clone().dangerous_without_tolerance();
        let verifier = WebhookVerifier::new(scheme, sender.key()).unwrap();
        let ages = now() + Duration::from_secs(1_000_000_000);
        assert!(
            verifier.verify(&headers, sender.body, ages).is_ok(),
            "{name}"
        );
    }
}

#[test]
fn a_timestamp_is_digits_and_nothing_else() {
    let verifier = WebhookVerifier::new(WebhookScheme::slack(), "secret").unwrap();
    let signed = sign(WebhookScheme::slack(), "secret", now());
    let signature = signed["x-slack-signature"].to_str().unwrap();
    for wrong in [
        "",
        "+1614265330",
        "-1",
        "1614265330 ",
        " 1614265330",
        "1614265330.0",
        "0x60",
        "1e9",
        "NaN",
        "16142653301614265330",
        "\u{661}",
        // The same time in another writing.
        "01614265330",
    ] {
        let fields = [
            ("x-slack-signature", signature),
            ("x-slack-request-timestamp", wrong),
        ];
        let verdict = kind(&verifier, &fields, BODY, now());
        assert_eq!(verdict, Some(Kind::TimestampMalformed), "{wrong:?}");
    }
}

#[test]
fn reloadly_counts_in_either_unit() {
    let verifier = WebhookVerifier::new(WebhookScheme::reloadly(), "secret").unwrap();
    for stamp in ["1614265330", "1614265330000", "1614265330999"] {
        // The same text without the scheme's own clock.
        let scheme = WebhookScheme::generic("x-reloadly-signature")
            .unwrap()
            .template(&format!("{{body}}:{stamp}"))
            .unwrap();
        let signed = sign(scheme, "secret", now());
        let fields = [
            (
                "x-reloadly-signature",
                signed["x-reloadly-signature"].to_str().unwrap(),
            ),
            ("x-reloadly-request-timestamp", stamp),
        ];
        assert_eq!(kind(&verifier, &fields, BODY, now()), None, "{stamp}");
        let later = now() + Duration::from_secs(302);
        assert_eq!(
            kind(&verifier, &fields, BODY, later),
            Some(Kind::TooOld),
            "{stamp}"
        );
    }
}

#[test]
fn unknown_kinds_of_signature_are_ignored_and_none_left_is_a_refusal() {
    let stripe = WebhookVerifier::new(WebhookScheme::stripe(), "secret").unwrap();
    let signed = sign(WebhookScheme::stripe(), "secret", now());
    let good = signed["stripe-signature"].to_str().unwrap();
    let hex = good.split("v1=").nth(1).unwrap();
    let ask = |field: &str| kind(&stripe, &[("stripe-signature", field)], BODY, now());
    assert_eq!(ask(&format!("{good},v0=00,v9=zz")), None);
    assert_eq!(
        ask(&format!("t=1614265330,v0={hex}")),
        Some(Kind::SignatureUnknown)
    );
    assert_eq!(ask(&format!("v1={hex}")), Some(Kind::TimestampMissing));
    assert_eq!(ask(&format!("{good},t=1614265330")), Some(Kind::Duplicate));
    assert_eq!(ask(&format!("{good},v1")), Some(Kind::SignatureMalformed));
    assert_eq!(ask("t=1614265330,v1="), Some(Kind::SignatureInvalid));
    let many = ",v1=00".repeat(16);
    assert_eq!(
        ask(&format!("{good}{many}")),
        Some(Kind::SignatureMalformed)
    );
    assert_eq!(
        ask(&format!("t=1614265330,v1={}", hex.to_uppercase())),
        Some(Kind::SignatureInvalid)
    );

    let github = WebhookVerifier::new(WebhookScheme::github(), "secret").unwrap();
    let ask = |field| kind(&github, &[("x-hub-signature-256", field)], BODY, now());
    assert_eq!(ask("sha1=00"), Some(Kind::SignatureUnknown));
    assert_eq!(ask(""), Some(Kind::SignatureMissing));
}

#[test]
fn both_kinds_of_key_may_be_in_use_for_standard_webhooks() {
    let private = "whsk_CxwtPk9QYXKDlKW2x9jp+gscLT5PUGFyg5Sltsfx6Pk=";
    let shared = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let scheme = WebhookScheme::standard_webhooks;
    let signer = WebhookSigner::new(scheme(), private).unwrap();
    let public = signer.public_key().unwrap();
    let verifier = WebhookVerifier::new(scheme(), shared).unwrap();
    assert!(!verifier.needs_whole_body());
    let signed = sign(scheme(), private, now());
    assert!(verifier.verify(&signed, BODY, now()).is_err());
    let verifier = verifier.add_secret(public.as_str()).unwrap();
    assert!(verifier.needs_whole_body());
    for (secret, index) in [(shared, 0), (private, 1)] {
        let signed = sign(scheme(), secret, now());
        let proof = verifier.verify(&signed, BODY, now()).unwrap();
        assert_eq!((proof.secret_index(), proof.id()), (index, Some(ID)));
    }
    let both = signer
        .add_secret(shared)
        .unwrap()
        .sign(ID, BODY, now())
        .unwrap();
    assert_eq!(
        both["webhook-signature"]
            .to_str()
            .unwrap()
            .split(' ')
            .count(),
        2
    );
    assert!(verifier.verify(&both, BODY, now()).is_ok());
    // A signature of one kind is not tried as the other.
    let field = signed["webhook-signature"]
        .to_str()
        .unwrap()
        .replace("v1a,", "v1,");
    let mut swapped = signed.clone();
    swapped.insert("webhook-signature", HeaderValue::from_str(&field).unwrap());
    assert!(verifier.verify(&swapped, BODY, now()).is_err());
}

#[test]
fn an_id_that_is_signed_has_no_dot_and_is_there() {
    let secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let verifier = WebhookVerifier::new(WebhookScheme::standard_webhooks(), secret).unwrap();
    let signer = WebhookSigner::new(WebhookScheme::standard_webhooks(), secret).unwrap();
    assert!(signer.sign("a.1", BODY, now()).is_err());
    assert!(signer.sign("", BODY, now()).is_err());
    assert!(signer.sign("a\nb", BODY, now()).is_err());
    let mut headers = signer.sign("a", BODY, now()).unwrap();
    for wrong in ["a.1", "a b", &"a".repeat(257)] {
        headers.insert("webhook-id", HeaderValue::from_str(wrong).unwrap());
        let error = verifier.verify(&headers, BODY, now()).unwrap_err();
        assert_eq!(error.kind(), Kind::IdMalformed, "{wrong}");
    }
    headers.remove("webhook-id");
    let error = verifier.verify(&headers, BODY, now()).unwrap_err();
    assert_eq!(error.kind(), Kind::IdMissing);
}

#[test]
fn an_id_that_nobody_signed_stands_for_nothing_unless_it_is_trusted() {
    let signed = sign(WebhookScheme::github(), "secret", now());
    let mut renamed = signed.clone();
    renamed.insert("x-github-delivery", HeaderValue::from_static("another"));
    let key = |scheme: WebhookScheme, headers: &HeaderMap| {
        let verifier = WebhookVerifier::new(scheme, "secret").unwrap();
        let proof = verifier.verify(headers, BODY, now()).unwrap();
        let keys: Vec<_> = proof.replay_keys().collect();
        assert_eq!(keys.len(), 1);
        (keys, proof.id().map(str::to_owned))
    };
    let (first, id) = key(WebhookScheme::github(), &signed);
    assert_eq!(id.as_deref(), Some(ID));
    assert_eq!(
        key(WebhookScheme::github(), &renamed),
        (first, Some("another".to_owned()))
    );
    let trusting = || WebhookScheme::github().dangerous_trust_unsigned_id();
    assert_ne!(key(trusting(), &signed).0, key(trusting(), &renamed).0);
}

#[test]
fn twilio_signs_its_url_with_or_without_the_port() {
    let body = b"Digits=1234";
    for (configured, signed) in [
        (
            "https://example.com/hooks?a=1",
            "https://example.com:443/hooks?a=1",
        ),
        (
            "https://example.com:443/hooks?a=1",
            "https://example.com/hooks?a=1",
        ),
        (
            "https://example.com:8443/hooks",
            "https://example.com/hooks",
        ),
        (
            "http://user:pass@example.com/hooks",
            "http://user:pass@example.com:80/hooks",
        ),
        (
            "https://user:pass@example.com:1/x",
            "https://user:pass@example.com/x",
        ),
        (
            "https://[2001:db8::1]/hooks",
            "https://[2001:db8::1]:443/hooks",
        ),
        (
            "https://[2001:db8::1]:99/hooks",
            "https://[2001:db8::1]/hooks",
        ),
    ] {
        let signer = WebhookSigner::new(WebhookScheme::twilio(signed).unwrap(), "12345").unwrap();
        let headers = signer.sign("", body, now()).unwrap();
        let scheme = WebhookScheme::twilio(configured).unwrap();
        let verifier = WebhookVerifier::new(scheme, "12345").unwrap();
        assert!(
            verifier.verify(&headers, body, now()).is_ok(),
            "{configured} {signed}"
        );
        let other = WebhookScheme::twilio("https://example.net/hooks").unwrap();
        let other = WebhookVerifier::new(other, "12345").unwrap();
        assert!(other.verify(&headers, body, now()).is_err());
    }
}

#[test]
fn a_twilio_body_that_nothing_covers_is_refused() {
    let scheme = || WebhookScheme::twilio("https://example.com/hooks").unwrap();
    let signer = WebhookSigner::new(scheme(), "12345").unwrap();
    let headers = signer.sign("", b"", now()).unwrap();
    let verifier = WebhookVerifier::new(scheme(), "12345").unwrap();
    assert!(verifier.verify(&headers, b"", now()).is_ok());
    let error = verifier.verify(&headers, b"{}", now()).unwrap_err();
    assert_eq!(error.kind(), Kind::BodyMalformed);
}

#[test]
fn every_item_of_an_adyen_notification_must_be_signed() {
    let key = "44782DEF547AAA06C910C43932B1EB0C71FC68D9D0C057550C48EC2ACF6BA056";
    let verifier = WebhookVerifier::new(WebhookScheme::adyen(), key).unwrap();
    let item = |psp: &str, extra: &str| {
        format!(
            r#"{{"NotificationRequestItem":{{"pspReference":"{psp}",{extra}
            "merchantAccountCode":"TestMerchant","merchantReference":"TestPayment-1407325143704",
            "amount":{{"value":1130,"currency":"EUR"}},"eventCode":"AUTHORISATION","success":"true",
            "additionalData":{{"hmacSignature":"coqCmt/IZ4E3CzPvMY8zTjQVL5hYJUiBRg8UU+iCWo0="}}}}}}"#
        )
    };
    let good = item("7914073381342284", "");
    let body = |items: &[&str]| format!(r#"{{"notificationItems":[{}]}}"#, items.join(","));
    let ask = |body: String| kind(&verifier, &[], body.as_bytes(), now());
    assert_eq!(ask(body(&[&good])), None);
    assert_eq!(ask(body(&[&good, &good])), None);
    let wrong = item("1", "");
    assert_eq!(ask(body(&[&good, &wrong])), Some(Kind::SignatureInvalid));
    assert_eq!(ask(body(&[&wrong, &good])), Some(Kind::SignatureInvalid));
    assert_eq!(ask(body(&[])), Some(Kind::BodyMalformed));
    assert_eq!(ask(String::new()), Some(Kind::BodyMalformed));
    // Whoever reads it next may take the first of the two.
    let twice = item("7914073381342284", r#""pspReference":"evil","#);
    assert_eq!(ask(body(&[&twice])), Some(Kind::BodyMalformed));
    assert_eq!(
        ask(body(&[r#"{"NotificationRequestItem":{}}"#])),
        Some(Kind::SignatureMissing)
    );
}
