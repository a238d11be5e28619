//! What the check allocates: nothing.

use allocation_counter::measure;
use http::HeaderMap;
use portcullis::webhook::{WebhookScheme, WebhookSigner, WebhookVerifier};

use crate::schemes::{all, now};

#[test]
fn the_check_of_a_streamed_delivery_allocates_nothing() {
    let mut streamed = 0;
    for sender in all() {
        let verifier = sender.verifier();
        if verifier.needs_whole_body() {
            continue;
        }
        streamed += 1;
        let headers: HeaderMap = sender.headers();
        let counted = measure(|| {
            let mut check = verifier.begin(&headers, now()).unwrap();
            for piece in sender.body.chunks(7) {
                check.update(piece);
            }
            assert!(check.finish().is_ok());
            assert!(verifier.verify(&headers, b"another", now()).is_err());
        });
        assert_eq!(counted.count_total, 0, "{}", sender.scheme.name());
    }
    assert!(streamed > 10);
}

#[test]
fn a_second_secret_costs_no_allocation_either() {
    let scheme = WebhookScheme::stripe();
    let sender = all().remove(0);
    let verifier = WebhookVerifier::new(scheme, "another").unwrap();
    let verifier = verifier.add_secret(sender.secret.as_str()).unwrap();
    let headers = sender.headers();
    let counted = measure(|| {
        let proof = verifier.verify(&headers, sender.body, now()).unwrap();
        assert_eq!(proof.secret_index(), 1);
    });
    assert_eq!(counted.count_total, 0);
}

#[test]
fn a_form_that_nobody_signed_costs_twilio_no_more_than_a_few_times_its_size() {
    let scheme = WebhookScheme::twilio(crate::schemes::URL).unwrap();
    let verifier = WebhookVerifier::new(scheme.clone(), "12345").unwrap();
    let signer = WebhookSigner::new(scheme, "12345").unwrap();
    let headers = signer.sign("", b"a=1", now()).unwrap();
    let form: String = (0..150_000).map(|number| format!("{number:x}&")).collect();
    let counted = measure(|| {
        assert!(verifier.verify(&headers, form.as_bytes(), now()).is_err());
    });
    let (used, most) = (counted.bytes_max, 4 * form.len() as u64);
    assert!(used < most, "{used}");
}

#[test]
fn a_body_that_nobody_signed_costs_adyen_no_more_than_a_few_times_its_size() {
    let sender = all()
        .into_iter()
        .find(|sender| sender.scheme.name() == "adyen")
        .unwrap();
    let verifier = sender.verifier();
    let million = |piece: &str| piece.repeat((1 << 20) / piece.len());
    let item = r#"{"NotificationRequestItem":{}},"#;
    for body in [
        format!("[{}0]", million(r#"{"":0},"#)),
        format!(r#"{{"notificationItems":[{}0]}}"#, million(r#"{"":0},"#)),
        format!(r#"{{"notificationItems":[{}0]}}"#, million(item)),
        format!(
            r#"{{"notificationItems":[{}0]}}"#,
            million(r#"{"amount":0},"#)
        ),
        format!(r#"{{"a":[{}0]}}"#, million("[[]],")),
        format!(r#"{{"a":[{}0]}}"#, million("0,")),
    ] {
        let headers = HeaderMap::new();
        let counted = measure(|| {
            assert!(verifier.verify(&headers, body.as_bytes(), now()).is_err());
        });
        let (used, most) = (counted.bytes_max, 4 * body.len() as u64);
        assert!(used < most, "{used} for {}", &body[..40]);
    }
}
