//! Every scheme: what was signed verifies, and with any byte changed it does not.

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::webhook::{WebhookScheme, WebhookSigner, WebhookVerifier};
use proptest::prelude::*;

use crate::schemes::{BODY, ID, Sender, all, now};

/// Fields that no scheme signs.
fn is_unsigned(sender: &Sender, name: &HeaderName) -> bool {
    let is_id = name.as_str().ends_with("id") || name.as_str().contains("idempotency");
    let signs_id = ["standard-webhooks", "svix", "acme"].contains(&sender.scheme.name());
    // GitHub's and others' ids are not signed: what stands for a delivery is what is.
    (is_id || name == "x-github-delivery") && !signs_id
}

/// Every header in which one bit of one byte is another, as far as it is a header still.
fn flipped(sender: &Sender, headers: &HeaderMap, bit: usize) -> Vec<(HeaderName, HeaderMap)> {
    let mut all = Vec::new();
    for (name, value) in headers {
        for at in (0..value.len()).filter(|at| bits(sender, *at).contains(&bit)) {
            let mut bytes = value.as_bytes().to_vec();
            bytes[at] ^= 1 << bit;
            if let Ok(value) = HeaderValue::from_bytes(&bytes) {
                let mut headers = headers.clone();
                headers.insert(name.clone(), value);
                all.push((name.clone(), headers));
            }
        }
    }
    all
}

/// The bits of a byte that are flipped: one of each, where each takes a signature's time to check.
fn bits(sender: &Sender, at: usize) -> std::ops::Range<usize> {
    match sender.signer().public_key() {
        Some(_) => at % 8..at % 8 + 1,
        None => 0..8,
    }
}

#[test]
fn what_is_signed_verifies_and_says_who_signed_it() {
    for sender in all() {
        let name = sender.scheme.name();
        let headers = sender.headers();
        let verifier = sender.verifier();
        let proof = verifier
            .verify(&headers, sender.body, now())
            .unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(proof.secret_index(), 0);
        // However it is cut.
        for cut in [0, 1, sender.body.len() / 2, sender.body.len()] {
            let mut check = verifier.begin(&headers, now()).unwrap();
            check.update(&sender.body[..cut]);
            check.update(&sender.body[cut..]);
            let cut = check.finish().unwrap();
            assert!(cut.replay_keys().eq(proof.replay_keys()), "{name}");
        }
    }
}

#[test]
fn every_flipped_bit_of_a_header_field_is_refused() {
    for sender in all() {
        let verifier = sender.verifier();
        let headers = sender.headers();
        let whole = verifier.verify(&headers, sender.body, now()).unwrap();
        for bit in 0..8 {
            for (name, headers) in flipped(&sender, &headers, bit) {
                let verdict = verifier.verify(&headers, sender.body, now());
                if is_unsigned(&sender, &name) {
                    // It is the same delivery, whatever it calls itself.
                    let same = |proof: portcullis::webhook::WebhookProof<'_>| {
                        proof.replay_keys().eq(whole.replay_keys())
                    };
                    assert!(verdict.is_err() || verdict.is_ok_and(same));
                } else if name == http::header::CONTENT_TYPE {
                    // Media types are compared without case.
                    let value =
                        String::from_utf8_lossy(headers[&name].as_bytes()).to_ascii_lowercase();
                    let same = value == "application/x-www-form-urlencoded";
                    assert_eq!(verdict.is_ok(), same, "{value}");
                } else {
                    assert!(
                        verdict.is_err(),
                        "{}: {name}: {:?}",
                        sender.scheme.name(),
                        headers[&name]
                    );
                }
            }
        }
    }
}

#[test]
fn a_field_that_is_left_out_is_refused() {
    for sender in all() {
        let headers = sender.headers();
        for name in headers.keys().filter(|name| !is_unsigned(&sender, name)) {
            let mut fewer = headers.clone();
            fewer.remove(name);
            let verdict = sender.verifier().verify(&fewer, sender.body, now());
            assert!(verdict.is_err(), "{}: {name}", sender.scheme.name());
        }
    }
}

#[test]
fn every_flipped_bit_of_a_body_is_refused() {
    for sender in all() {
        let name = sender.scheme.name();
        let verifier = sender.verifier();
        let headers = sender.headers();
        let whole = verifier.verify(&headers, sender.body, now()).unwrap();
        for at in 0..sender.body.len() {
            for bit in bits(&sender, at) {
                let mut body = sender.body.to_vec();
                body[at] ^= 1 << bit;
                // `%2B` and `%2b` are the same form.
                let same = name == "twilio" && body.eq_ignore_ascii_case(sender.body);
                match verifier.verify(&headers, &body, now()) {
                    Ok(proof) if same => assert!(proof.replay_keys().eq(whole.replay_keys())),
                    verdict => assert_eq!(verdict.is_err(), sender.signs_body(), "{name} {at}"),
                }
            }
            let shorter = &sender.body[..at];
            let verdict = verifier.verify(&headers, shorter, now());
            assert_eq!(verdict.is_err(), sender.signs_body(), "{name} {at}");
        }
    }
}

#[test]
fn every_flipped_byte_of_a_url_is_refused_where_the_url_is_signed() {
    let mut signing = 0;
    for sender in all() {
        let (name, headers) = (sender.scheme.name(), sender.headers());
        let url = match (name, sender.has_one_body()) {
            ("twilio", true) => crate::schemes::HASH_URL,
            ("twilio" | "square" | "acme", _) => crate::schemes::URL,
            _ => continue,
        };
        let verifier = |url: &str| {
            let scheme = sender.scheme.clone().url(url).ok()?;
            WebhookVerifier::new(scheme, sender.key()).ok()
        };
        // One sender of Twilio's has a port in its URL.
        let Some(true) = verifier(url).map(|it| it.verify(&headers, sender.body, now()).is_ok())
        else {
            continue;
        };
        signing += 1;
        for at in 0..url.len() {
            for bit in 0..7 {
                let mut other = url.as_bytes().to_vec();
                other[at] ^= 1 << bit;
                let other = String::from_utf8(other).unwrap();
                if let Some(verifier) = verifier(&other) {
                    let verdict = verifier.verify(&headers, sender.body, now());
                    assert!(verdict.is_err(), "{name}: {other}");
                }
            }
        }
    }
    assert_eq!(signing, 4);
}

#[test]
fn every_flipped_bit_of_a_secret_is_refused() {
    for sender in all() {
        let headers = sender.headers();
        let key = sender.key();
        for at in 0..key.len() {
            for bit in bits(&sender, at) {
                let mut other = key.clone().into_bytes();
                other[at] ^= 1 << bit;
                let Ok(verifier) = WebhookVerifier::new(sender.scheme.clone(), other.clone())
                else {
                    continue;
                };
                // Hexadecimal is the same in either case.
                if ["adyen", "discord"].contains(&sender.scheme.name())
                    && other.eq_ignore_ascii_case(key.as_bytes())
                {
                    continue;
                }
                let verdict = verifier.verify(&headers, sender.body, now());
                assert!(
                    verdict.is_err(),
                    "{}: {}",
                    sender.scheme.name(),
                    String::from_utf8_lossy(&other)
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn every_changed_body_is_refused(
        which in 0..24_usize,
        body in prop::collection::vec(any::<u8>(), 1..300),
        at in any::<prop::sample::Index>(),
        mask in 1..=255_u8,
    ) {
        let senders = all();
        prop_assert_eq!(senders.len(), 24);
        let sender = &senders[which];
        prop_assume!(!sender.has_one_body());
        // What Adyen could sign of an item is no body.
        let colons = body.iter().filter(|byte| **byte == b':').count();
        prop_assume!(sender.scheme.name() != "adyen" || colons < 6);
        let headers = sender.signer().sign(ID, &body, now()).unwrap();
        let verifier = sender.verifier();
        prop_assert!(verifier.verify(&headers, &body, now()).is_ok());
        let mut changed = body.clone();
        changed[at.index(body.len())] ^= mask;
        let verdict = verifier.verify(&headers, &changed, now());
        if sender.scheme.name() == "twilio" {
            // A form may be written in several ways: what is signed is what it says.
            let whole = verifier.verify(&headers, &body, now()).unwrap();
            prop_assert!(
                verdict.is_err() || verdict.is_ok_and(|proof| proof.replay_keys().eq(whole.replay_keys()))
            );
        } else {
            prop_assert_eq!(verdict.is_ok(), !sender.signs_body());
        }
        prop_assert_eq!(
            verifier.verify(&headers, &[&body[..], b"&x=1"].concat(), now()).is_ok(),
            !sender.signs_body()
        );
    }

    #[test]
    fn a_signature_over_another_time_is_refused(seconds in 1..300_u64) {
        for sender in all() {
            let later = now() + std::time::Duration::from_secs(seconds);
            let mut headers = sender.headers();
            let others = sender.signer().sign(ID, sender.body, later).unwrap();
            let stamps: Vec<HeaderName> = headers
                .keys()
                .filter(|name| name.as_str().contains("time"))
                .cloned()
                .collect();
            for name in &stamps {
                headers.insert(name.clone(), others[name].clone());
            }
            let verdict = sender.verifier().verify(&headers, sender.body, now());
            prop_assert_eq!(verdict.is_err(), !stamps.is_empty());
        }
    }
}

#[test]
fn a_twilio_body_of_another_kind_is_held_to_its_hash() {
    let hash = "70f331694dd0fb5dd9931f7fe438b24f670de63b49de7283a68eb02b412c46e3";
    let url = format!("https://example.com/hooks?bodySHA256={hash}");
    let scheme = WebhookScheme::twilio(&url).unwrap();
    let signer = WebhookSigner::new(scheme.clone(), "12345").unwrap();
    let headers = signer.sign("", BODY, now()).unwrap();
    let verifier = WebhookVerifier::new(scheme, "12345").unwrap();
    assert!(verifier.verify(&headers, BODY, now()).is_ok());
    assert!(verifier.verify(&headers, b"{}", now()).is_err());
    assert!(
        signer.sign("", b"{}", now()).is_err(),
        "the hash is another body's"
    );
}
