//! A receiver for Stripe, GitHub and Slack: what gets to a handler is genuine, fresh, and there for the first
//! time.
//!
//! Run it with `cargo run --example webhooks --features webhook,axum` and try the lines it prints. Secrets come
//! from the environment: STRIPE_WEBHOOK_SECRET, GITHUB_WEBHOOK_SECRET, SLACK_SIGNING_SECRET.

use std::{env, error::Error, net::SocketAddr, time::SystemTime};

use axum::{Router, routing::post};
use portcullis::{
    random::OpaqueToken,
    webhook::{
        VerifiedWebhook, WebhookError, WebhookLayer, WebhookScheme, WebhookSigner, WebhookVerifier,
    },
};
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let providers = [
        ("stripe", WebhookScheme::stripe(), "STRIPE_WEBHOOK_SECRET"),
        ("github", WebhookScheme::github(), "GITHUB_WEBHOOK_SECRET"),
        ("slack", WebhookScheme::slack(), "SLACK_SIGNING_SECRET"),
    ];
    let port = env::var("PORT").map_or(Ok(3000), |port| port.parse())?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;

    let mut app = Router::new();
    for (name, scheme, variable) in providers {
        // Without the variable, a secret that lasts as long as the process.
        let random = OpaqueToken::generate()?;
        let secret = env::var(variable).unwrap_or_else(|_| random.expose().to_owned());
        let verifier = WebhookVerifier::new(scheme.clone(), secret.as_str())?;
        let route = post(receive).layer(WebhookLayer::new(verifier));
        app = app.route(&format!("/{name}"), route);
        if env::var(variable).is_err() {
            let signer = WebhookSigner::new(scheme, secret)?;
            print(&signer, name, listener.local_addr()?)?;
        }
    }
    println!("Listening.");
    axum::serve(listener, app).await?;
    Ok(())
}

/// Only a delivery that verified gets here, and no delivery twice.
async fn receive(webhook: VerifiedWebhook) -> Result<String, WebhookError> {
    let event: serde_json::Value = webhook.json()?;
    Ok(format!("{}: {event}\n", webhook.provider()))
}

/// A line that passes (once: a copy of it is answered 200, and not received), and one that fails.
fn print(signer: &WebhookSigner, name: &str, address: SocketAddr) -> Result<(), Box<dyn Error>> {
    let body = r#"{"id":"evt_1"}"#;
    let headers = signer.sign("delivery-1", body.as_bytes(), SystemTime::now())?;
    let mut fields = String::new();
    for (name, value) in &headers {
        fields += &format!(" -H '{name}: {}'", value.to_str()?);
    }
    println!("200: curl -i http://{address}/{name}{fields} --data-raw '{body}'");
    println!("401: curl -i http://{address}/{name}{fields} --data-raw '{{\"id\":\"evt_2\"}}'");
    Ok(())
}
