//! What reaches logs, errors and `Debug`.

use std::sync::{Arc, Mutex};

use http::{Request, StatusCode};
use portcullis::{
    audit::{AuditEvent, AuditKind},
    head::RequestHead,
    random::OpaqueToken,
    secret::Secret,
};

#[test]
fn rule_91_secrets_show_nothing_of_themselves() {
    let secret = Secret::from("correct horse battery staple");
    for shown in [format!("{secret:?}"), format!("{:#?}", Some(&secret))] {
        assert!(
            !shown.contains("horse") && shown.contains("28 bytes"),
            "{shown}"
        );
    }
    let token = OpaqueToken::generate().unwrap();
    assert!(!format!("{token:?}").contains(token.expose()));

    let error = Secret::from_base64("not*base64: hunter2").unwrap_err();
    assert!(!format!("{error} {error:?}").contains("hunter2"));
}

#[test]
fn rule_92_secrets_differ_if_one_bit_does_and_if_one_is_longer() {
    let bytes = [0x55; 33];
    let secret = Secret::new(bytes);
    assert!(secret == Secret::new(bytes));
    for bit in 0..bytes.len() * 8 {
        let mut other = bytes;
        other[bit / 8] ^= 1 << (bit % 8);
        assert!(secret != Secret::new(other), "{bit}");
    }
    for other in [&bytes[..32], &bytes[1..], &[]] {
        assert!(secret != Secret::from(other));
    }
    // However much room the bytes came with.
    let mut roomy = Vec::with_capacity(100);
    roomy.extend_from_slice(&bytes);
    assert!(secret == Secret::new(roomy) && secret.expose() == bytes);
}

#[test]
fn rule_91_a_request_head_shows_neither_the_values_of_its_fields_nor_its_query() {
    let request = Request::get("https://me:hunter2@api.example/path?access_token=hunter2")
        .header("authorization", "Bearer hunter2")
        .header("cookie", "session=hunter2")
        .body(())
        .unwrap();
    let shown = format!("{:?}", RequestHead::from(&request));
    assert!(!shown.contains("hunter2"), "{shown}");
    for kept in ["GET", "/path", "authorization", "cookie"] {
        assert!(shown.contains(kept), "{shown}");
    }
}

#[test]
fn rule_91_an_event_is_one_line_whatever_the_client_sends() {
    let subject = "eve\r\nevent=authn_login_success \u{1b}[2K\u{202e}";
    let told = Arc::new(Mutex::new(String::new()));
    let sink = Arc::clone(&told);
    refuse_once(
        // A target may hold bytes beyond ASCII: a line end of C1, and a mark that turns the text round.
        "/orders\"\u{85}\u{202e}?access_token=hidden",
        subject,
        move |event: &AuditEvent<'_>| {
            sink.lock().unwrap().push_str(&event.to_string());
        },
    );
    let line = told.lock().unwrap();
    assert!(
        line.starts_with(&format!("event={}", AuditKind::AuthzFail)),
        "{line}"
    );
    assert!(
        line.chars().all(|c| !c.is_control() && c != '\u{202e}'),
        "{line:?}"
    );
    assert!(
        line.contains(r#"path="/orders\"\u{85}\u{202e}""#) && !line.contains("hidden"),
        "{line}"
    );
}

/// Sends one request through a guard that refuses everything and tells `audit`.
fn refuse_once(
    path: &str,
    subject: &str,
    audit: impl portcullis::audit::AuditSink,
) -> http::Response<portcullis::body::ResponseBody<String>> {
    let mut guard = closed::Closed::default();
    guard.refusals.set_audit(audit);
    let inner = tower::service_fn(
        async |_: Request<()>| -> Result<_, std::convert::Infallible> {
            unreachable!("everything is refused")
        },
    );
    let mut request = Request::builder().uri(path).body(()).unwrap();
    request
        .extensions_mut()
        .insert(portcullis::principal::Principal::new(subject));
    let service = portcullis::guard::Guarded::new(inner, guard);
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    let response = runtime
        .block_on(tower::ServiceExt::oneshot(service, request))
        .unwrap();
    assert_eq!(response.status(), StatusCode::FORBIDDEN);
    response
}

mod closed {
    use http::StatusCode;
    use portcullis::{
        audit::AuditKind,
        guard::{Check, Guard, Refusals},
        head::RequestHead,
        problem::Rejection,
    };

    /// Refuses everything.
    #[derive(Clone, Default)]
    pub(super) struct Closed {
        pub(super) refusals: Refusals,
    }

    impl Guard for Closed {
        const NAME: &'static str = "closed";
        type Pass = ();

        fn check(&self, _request: RequestHead<'_>) -> Check<()> {
            Check::refuse(Rejection::new(StatusCode::FORBIDDEN, "closed", "Closed."))
        }

        fn audit_kind(&self, _rejection: &Rejection) -> AuditKind {
            AuditKind::AuthzFail
        }

        fn refusals(&self) -> &Refusals {
            &self.refusals
        }
    }
}

#[cfg(feature = "tracing")]
#[test]
fn rule_91_tracing_gets_the_same_escaped_line() {
    use std::io;

    #[derive(Clone, Default)]
    struct Lines(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Lines {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    let lines = Lines::default();
    let writer = lines.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .finish();
    tracing::subscriber::with_default(subscriber, || {
        refuse_once(
            "/a\"\u{85}\u{202e}?token=hidden",
            "eve\nforged",
            portcullis::audit::TracingAudit,
        );
    });
    let written = String::from_utf8(lines.0.lock().unwrap().clone()).unwrap();
    assert_eq!(written.lines().count(), 1, "{written}");
    for part in [
        "portcullis::audit",
        "event=\"authz_fail\"",
        "code=\"closed\"",
        "eve\\nforged",
        r#"path="/a\"\u{85}\u{202e}""#,
    ] {
        assert!(written.contains(part), "{part} is not in {written}");
    }
    assert!(!written.contains("hidden"), "{written}");
}

#[cfg(all(feature = "full", any(feature = "aws-lc", feature = "rust-crypto")))]
mod whole_door {
    use std::{convert::Infallible, net::SocketAddr};

    use http::{Response, header};
    use http_body_util::BodyExt;
    use portcullis::{
        client_ip::PeerAddr,
        guard::RefusalsLayer,
        headers::SecurityHeadersLayer,
        jwt::{JwtAuthLayer, JwtVerifier, VerifyingKey},
        problem::Rejection,
        rate_limit::{Quota, RateLimitLayer},
    };
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::{Arc, AuditEvent, Mutex, Request};

    const SECRET: &str = "a very secret key of 32 bytes ok";

    fn token(claims: &serde_json::Value, secret: &str) -> String {
        let key = jsonwebtoken::EncodingKey::from_secret(secret.as_bytes());
        jsonwebtoken::encode(&jsonwebtoken::Header::default(), claims, &key).unwrap()
    }

    /// Everything that a refused request leaves behind: the answer, its rejection, the event.
    #[tokio::test]
    async fn rule_91_a_refused_token_is_nowhere_in_answers_events_and_debug() {
        let told = Arc::new(Mutex::new(String::new()));
        let sink = Arc::clone(&told);
        let verifier = JwtVerifier::builder(VerifyingKey::hs256(SECRET).unwrap())
            .issuer("https://login.example.com")
            .audience("https://api.example.com");
        let jwt = JwtAuthLayer::new(verifier.clone());
        let limit = RateLimitLayer::new(Quota::per_minute(3));
        let mut seen = format!("{verifier:?} {jwt:?} {limit:?}");
        let service = ServiceBuilder::new()
            .layer(
                RefusalsLayer::new().with_audit(move |event: &AuditEvent<'_>| {
                    sink.lock()
                        .unwrap()
                        .push_str(&format!("{event} {event:?}\n"));
                }),
            )
            .layer(SecurityHeadersLayer::new())
            .layer(limit)
            .layer(jwt)
            .service(service_fn(async |_: Request<()>| {
                Ok::<_, Infallible>(Response::new(String::new()))
            }));

        let claims = serde_json::json!({"iss": "https://evil.example", "sub": "SECRETSUBJECT",
            "aud": "https://api.example.com", "exp": 4_000_000_000_u64, "jti": "SECRETJTI"});
        let expired = serde_json::json!({"iss": "https://login.example.com", "sub": "SECRETSUBJECT",
            "aud": "https://api.example.com", "exp": 1});
        let tokens = [
            token(&claims, SECRET),
            token(&expired, SECRET),
            token(&claims, "another secret key of 32 bytes..."),
            token(&claims, SECRET),
        ];
        let mut codes = Vec::new();
        for token in &tokens {
            let mut request = Request::builder()
                .uri(format!("/me?access_token={token}"))
                .header(header::AUTHORIZATION, format!("Bearer {token}"))
                .body(())
                .unwrap();
            request
                .extensions_mut()
                .insert(PeerAddr(SocketAddr::from(([192, 0, 2, 1], 1))));
            let (parts, body) = service.clone().oneshot(request).await.unwrap().into_parts();
            codes.push(parts.extensions.get::<Rejection>().unwrap().code());
            let body = body.collect().await.unwrap().to_bytes();
            seen.push_str(&format!(
                "{parts:?} {:?} {body:?}",
                parts.extensions.get::<Rejection>()
            ));
        }
        assert_eq!(
            codes,
            [
                "jwt_issuer_mismatch",
                "jwt_expired",
                "jwt_signature_invalid",
                "rate_limited"
            ]
        );
        seen.push_str(&told.lock().unwrap());
        assert_eq!(told.lock().unwrap().lines().count(), 4);

        let mut hidden = vec![
            SECRET.to_owned(),
            "SECRETSUBJECT".into(),
            "SECRETJTI".into(),
            "evil".into(),
        ];
        // No part of a token: neither header, nor payload, nor signature.
        hidden.extend(
            tokens
                .iter()
                .flat_map(|token| token.split('.').skip(1).map(str::to_owned)),
        );
        for text in hidden {
            assert!(!seen.contains(&text), "{text} was seen in {seen}");
        }
    }
}
