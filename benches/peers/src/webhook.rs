//! Deliveries of Standard Webhooks: svix and standardwebhooks, which take the whole body at once.
//!
//! All of them read the same header fields, judge the timestamp by the clock and compare one signature. Beside
//! them runs what cannot be saved: the HMAC of the backend that portcullis uses, its key made ready once.

use std::{
    hint::black_box,
    time::{Duration, SystemTime},
};

use aws_lc_rs::hmac;
use http::HeaderMap;
use portcullis::webhook::{WebhookScheme, WebhookSigner, WebhookVerifier};

use crate::{Step, Table};

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const KEY: &str = "MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

/// The peers know no other time than now, and forgive five minutes: a run is shorter.
fn signed(body: &[u8]) -> HeaderMap {
    let signer = WebhookSigner::new(WebhookScheme::svix(), SECRET).expect("a signer");
    let ahead = SystemTime::now() + Duration::from_secs(120);
    let mut headers = signer.sign("msg_p5jXN8AQM9LWM0D4loKWxJek", body, ahead);
    let headers = headers.as_mut().expect("fields");
    // What comes with every request.
    for (name, value) in [
        ("content-type", "application/json"),
        ("user-agent", "a sender"),
        ("accept", "*/*"),
    ] {
        headers.insert(name, value.parse().expect("a value"));
    }
    headers.clone()
}

fn table(title: &'static str, size: usize) -> Table {
    // The peers take text only.
    let body = vec![b'x'; size];
    let headers = signed(&body);
    let step = |check: Box<dyn Fn(&HeaderMap, &[u8]) -> bool>| -> Step {
        let (headers, body) = (headers.clone(), body.clone());
        Box::new(move || assert!(check(black_box(&headers), black_box(&body))))
    };

    let ours = WebhookVerifier::new(WebhookScheme::svix(), SECRET).expect("a verifier");
    let svix = svix::webhooks::Webhook::new(SECRET).expect("a verifier");
    let standard = standardwebhooks::Webhook::new(SECRET).expect("a verifier");
    let key = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, KEY);
    let raw = hmac::Key::new(hmac::HMAC_SHA256, &key.expect("base64"));
    let renamed = {
        let mut renamed = headers.clone();
        for part in ["id", "timestamp", "signature"] {
            let value = renamed.remove(format!("svix-{part}")).expect("a field");
            let name: http::HeaderName = format!("webhook-{part}").parse().expect("a name");
            renamed.insert(name, value);
        }
        renamed
    };
    Table {
        title,
        contenders: vec![
            ("nothing", step(Box::new(|_, _| true))),
            (
                "portcullis",
                step(Box::new(move |headers, body| {
                    ours.verify(headers, body, SystemTime::now()).is_ok()
                })),
            ),
            (
                "svix",
                step(Box::new(move |headers, body| {
                    svix.verify(body, headers).is_ok()
                })),
            ),
            (
                "standardwebhooks",
                step(Box::new(move |_, body| {
                    standard.verify(body, &renamed).is_ok()
                })),
            ),
            (
                "bare HMAC",
                step(Box::new(move |_, body| {
                    let mut context = hmac::Context::with_key(&raw);
                    context.update(b"msg_p5jXN8AQM9LWM0D4loKWxJek.1614265330.");
                    context.update(body);
                    context.sign().as_ref().len() == 32
                })),
            ),
        ],
    }
}

pub(crate) fn tables() -> Vec<Table> {
    vec![
        table("webhook, 1 KB", 1 << 10),
        table("webhook, 64 KB", 64 << 10),
        table("webhook, 1 MB", 1 << 20),
    ]
}
