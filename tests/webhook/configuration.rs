//! What cannot be configured.

use portcullis::{
    secret::Secret,
    webhook::{
        SecretFormat, TimestampUnit, WebhookAlgorithm, WebhookScheme, WebhookSigner,
        WebhookVerifier,
    },
};

use crate::schemes::all;

#[test]
fn an_empty_secret_cannot_be_configured_for_any_scheme() {
    for sender in all() {
        for empty in ["", " ", " \t\r\n", "whsec_", "whpk_"] {
            if empty.starts_with("wh") && sender.scheme.name() != "standard-webhooks" {
                continue;
            }
            let scheme = sender.scheme.clone();
            let error = WebhookVerifier::new(scheme.clone(), empty).unwrap_err();
            assert_eq!(error.setting(), "secret", "{}", scheme.name());
            assert!(sender.verifier().add_secret(empty).is_err());
            assert!(WebhookSigner::new(scheme, empty).is_err());
        }
    }
}

#[test]
fn a_secret_that_was_copied_with_its_line_end_is_refused_and_not_shown() {
    for secret in ["whsec_test \n", " whsec_test"] {
        let error = WebhookVerifier::new(WebhookScheme::stripe(), secret).unwrap_err();
        assert!(!error.to_string().contains("whsec_test"), "{error}");
    }
    let scheme = WebhookScheme::generic("x-signature").unwrap();
    let scheme = scheme.secret_format(SecretFormat::Bytes);
    assert!(WebhookVerifier::new(scheme, Secret::from(b"\x00\n")).is_ok());
}

#[test]
fn a_key_of_another_form_is_refused() {
    for (scheme, secret) in [
        (WebhookScheme::standard_webhooks(), "whsec_not!base64"),
        (WebhookScheme::standard_webhooks(), "whpk_AAAA"),
        // A private key has no business with who only verifies.
        (
            WebhookScheme::standard_webhooks(),
            "whsk_CxwtPk9QYXKDlKW2x9jp+gscLT5PUGFyg5Sltsfx6Pk=",
        ),
        (WebhookScheme::adyen(), "not hexadecimal"),
        (WebhookScheme::adyen(), "abc"),
        (WebhookScheme::discord(), "ab"),
        (WebhookScheme::discord(), &"00".repeat(32)),
        (WebhookScheme::sendgrid(), "MFkwEwYHKoZIzj0CAQ=="),
        (WebhookScheme::sendgrid(), "a secret"),
    ] {
        assert!(WebhookVerifier::new(scheme, secret).is_err(), "{secret}");
    }
}

#[test]
fn a_secret_of_standard_webhooks_has_the_length_of_the_specification() {
    use base64::{Engine, engine::general_purpose::STANDARD};
    let secret = |length| format!("whsec_{}", STANDARD.encode(vec![7; length]));
    for (scheme, most) in [
        (WebhookScheme::standard_webhooks as fn() -> _, 64),
        (WebhookScheme::svix as fn() -> _, 75),
    ] {
        for length in [24, 32, most] {
            assert!(WebhookVerifier::new(scheme(), secret(length)).is_ok());
            assert!(WebhookSigner::new(scheme(), secret(length)).is_ok());
        }
        for length in [1, 23, most + 1] {
            let error = WebhookVerifier::new(scheme(), secret(length)).unwrap_err();
            let expected =
                format!("secret: must stand for 24 to {most} bytes (given: {length} bytes)");
            assert_eq!(error.to_string(), expected);
            assert!(WebhookSigner::new(scheme(), secret(length)).is_err());
            let any = scheme().dangerous_any_secret_length();
            assert!(WebhookVerifier::new(any, secret(length)).is_ok());
        }
        // A key that is handed out as it is.
        let raw = || scheme().secret_format(SecretFormat::Bytes);
        assert!(WebhookVerifier::new(raw(), vec![7; 24]).is_ok());
        assert!(WebhookVerifier::new(raw(), vec![7; 23]).is_err());
    }
    let error = WebhookSigner::new(
        WebhookScheme::standard_webhooks(),
        "whpk_1SiA4o9hyqTCpIqC5V9HUakiiaeACeqfZTInDBbOir4=",
    );
    assert!(error.unwrap_err().to_string().contains("whsk_"));
}

#[test]
fn pairs_are_parted_by_what_stands_in_no_signature() {
    let scheme = |separator| {
        let scheme = WebhookScheme::generic("x-signature").unwrap();
        scheme
            .pairs(separator, "t", "v1")
            .template("{timestamp}.{body}")
            .unwrap()
    };
    for separator in [',', ';', ' ', '|'] {
        assert!(WebhookVerifier::new(scheme(separator), "a secret").is_ok());
    }
    for separator in ['=', 'a', '0', '+', '/', '\n', '\0', 'é', '→'] {
        let error = WebhookVerifier::new(scheme(separator), "a secret").unwrap_err();
        assert_eq!(error.setting(), "scheme", "{separator:?}");
        assert!(WebhookSigner::new(scheme(separator), "a secret").is_err());
    }
}

#[test]
fn a_scheme_that_lacks_what_it_signs_cannot_be_used() {
    let generic = || WebhookScheme::generic("x-signature").unwrap();
    for scheme in [
        generic().template("{timestamp}.{body}").unwrap(),
        generic().template("{id}.{body}").unwrap(),
        generic().template("{url}{body}").unwrap(),
        // Nobody vouches for it.
        generic().timestamp_header("x-time").unwrap(),
        generic().pairs(',', "t", "v1"),
    ] {
        let error = WebhookVerifier::new(scheme, "a secret").unwrap_err();
        assert_eq!(error.setting(), "scheme");
    }
    assert!(generic().template("{timestamp}").is_err());
    assert!(WebhookScheme::generic("not a header").is_err());
    for url in ["", "/hooks", "ftp://example.com", "https://", "example.com"] {
        assert!(WebhookScheme::twilio(url).is_err(), "{url}");
        assert!(WebhookScheme::square(url).is_err(), "{url}");
    }
}

#[test]
fn a_scheme_of_ones_own_is_a_few_lines() {
    let scheme = WebhookScheme::generic("x-signature")
        .unwrap()
        .algorithm(WebhookAlgorithm::Ed25519)
        .pairs(';', "at", "sig")
        .timestamp_unit(TimestampUnit::Milliseconds)
        .template("{timestamp}#{body}")
        .unwrap();
    let seed = "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60";
    let signer = WebhookSigner::new(scheme.clone(), seed).unwrap();
    // RFC 8032 section 7.1, test 1.
    let public = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a";
    assert_eq!(signer.public_key().as_deref(), Some(public));
    let verifier = WebhookVerifier::new(scheme, public).unwrap();
    let now = crate::schemes::now();
    let headers = signer.sign("", b"body", now).unwrap();
    assert!(verifier.verify(&headers, b"body", now).is_ok());
}

#[test]
fn no_secret_is_in_a_debug() {
    for sender in all() {
        let shown = format!("{:?} {:?}", sender.verifier(), sender.signer());
        assert!(!shown.contains(&sender.secret), "{shown}");
    }
}
