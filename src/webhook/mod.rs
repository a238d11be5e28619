//! Webhooks: genuine, fresh, first-time deliveries get through, and the handler has their exact bytes.
//!
//! 1. A [`WebhookScheme`] is data: what a provider sends and what it signs. Eighteen providers have one;
//!    [`WebhookScheme::generic`] begins one for any other.
//! 2. A [`WebhookVerifier`] checks a delivery's header and body at a time it is given. It needs no server.
//!    Several secrets may be in use at once; each is compared in constant time.
//! 3. A [`WebhookLayer`] does so for every request: it hashes the body while it comes in, under a limit, and
//!    hands on the same bytes. A delivery that was dealt with is not dealt with again.
//! 4. A [`WebhookSigner`] makes the header fields of every scheme, for tests and for services that send.
//!
//! # Deliveries that come again
//!
//! Providers repeat a delivery until it is answered with a success, and whoever got hold of one can repeat
//! it too. So a verified delivery is claimed while the handler runs; committed once that answered 2xx, and
//! released if it answered anything else, failed, panicked or was given up. While it is claimed, its copy is
//! answered 503 with a `Retry-After` (not 409: several providers give up on 4xx); once it is committed, its
//! copy is answered 200. A store that fails makes it 503, so that the provider comes again.
//!
//! What stands for a delivery is its id where that is signed, and a part of the MAC or a digest of what is signed
//! everywhere else: an id that nobody signed could be any. A delivery that lists several signatures is remembered
//! under [each secret in use](WebhookVerifier::add_secret).
//!
//! A claim runs out after its [lease](WebhookLayer::claim_lease). So a process that dies holds a delivery no
//! longer than that, and a handler that takes longer may meet the provider's next attempt: set the lease above
//! the time that handlers are given. A handler that ends after its lease still ends the delivery. A caller that
//! goes away while the handler runs ends the handler, and the claim is given back.
//!
//! What the store could not be told is told to the audit sink, with the handler's status (500 where it gave
//! none):
//!
//! | code | what has happened |
//! |---|---|
//! | `webhook_commit_failed` | dealt with; once the lease is over a copy would be let in |
//! | `webhook_release_failed` | not dealt with; no attempt is let in until the lease is over |
//! | `webhook_claim_lost` | dealt with after the lease, or without a claim: perhaps by another too |
//!
//! # What it does not do
//!
//! What was signed says who sent it, not that every part of it was: Adyen signs eight members of an item,
//! Flutterwave's version 3 nothing at all. Method, path, trailers and all fields
//! but those of the scheme (`X-GitHub-Event`, `Content-Type`) are signed by none of them, so whoever can hold a
//! delivery up on its way can change them: decide by what stands in the body. A layer that changes the body
//! (decompression, say) belongs inside, not outside.
//!
//! # What it costs
//!
//! Beside the bare HMAC of `aws-lc` over the same bytes, on a processor with instructions for SHA-256 (on one
//! without, the HMAC takes longer, and what is added counts for less: 1.06, 1.20 and 1.42 at 1 KB);
//! `cargo bench --bench webhook` measures it:
//!
//! | body | check | layer, nothing remembered | layer, in memory |
//! |---|---|---|---|
//! | 1 KB | 1.18 | 1.64 | 2.3 |
//! | 64 KB | 1.00 | 1.02 | 1.03 |
//! | 1 MB | 1.00 | 1.00 | 1.01 |
//!
//! The check of Standard Webhooks takes 0.27 of what `svix` 2.9 takes at 1 KB, and 0.21 from 64 KB
//! (`benches/peers`). It allocates nothing.
//!
//! A body of one frame is neither copied nor hashed in pieces; of several frames, each is hashed as it
//! comes and handed on as it came, so that no more is held than the body and a frame.
//!
//! # Example
//!
//! ```
//! use bytes::Bytes;
//! use http::{Request, Response};
//! use http_body_util::Full;
//! use portcullis::webhook::{
//!     VerifiedWebhook, WebhookBody, WebhookLayer, WebhookScheme, WebhookSigner, WebhookVerifier,
//! };
//! use std::{convert::Infallible, time::SystemTime};
//! use tower::{ServiceBuilder, ServiceExt, service_fn};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let verifier = WebhookVerifier::new(WebhookScheme::stripe(), "whsec_old")?.add_secret("whsec_new")?;
//! let inner = service_fn(async |request: Request<WebhookBody>| {
//!     let webhook = request.extensions().get::<VerifiedWebhook>().expect("the layer let it in");
//!     Ok::<_, Infallible>(Response::new(format!("secret {}", webhook.secret_index())))
//! });
//! let service = ServiceBuilder::new().layer(WebhookLayer::new(verifier)).service(inner);
//!
//! let body = br#"{"id":"evt_1"}"#;
//! let fields = WebhookSigner::new(WebhookScheme::stripe(), "whsec_new")?.sign("", body, SystemTime::now())?;
//! let delivery = |body: &'static [u8]| {
//!     let mut request = Request::post("/stripe").body(Full::new(Bytes::from_static(body)))?;
//!     request.headers_mut().extend(fields.clone());
//!     Ok::<_, http::Error>(request)
//! };
//! let forged = service.clone().oneshot(delivery(br#"{"id":"evt_2"}"#)?).await?;
//! assert_eq!(forged.status(), 401);
//! let first = service.clone().oneshot(delivery(body)?).await?;
//! assert_eq!(first.status(), 200);
//! # use http_body_util::BodyExt;
//! assert_eq!(first.into_body().collect().await?.to_bytes(), "secret 1");
//! let again = service.oneshot(delivery(body)?).await?;
//! assert_eq!(again.status(), 200);
//! assert_eq!(again.into_body().collect().await?.to_bytes(), "", "the handler has not seen it");
//! # Ok(())
//! # }
//! ```

mod adyen;
mod body;
mod check;
mod claim;
mod encoding;
mod error;
#[cfg(feature = "axum")]
mod extract;
mod form;
mod format;
mod key;
mod layer;
mod providers;
mod reading;
mod received;
mod replayed;
mod scheme;
mod service;
mod sign;
mod template;
mod url;
mod verified;
mod verifier;
mod witness;

pub use self::{
    body::WebhookBody,
    encoding::SignatureEncoding,
    error::{WebhookError, WebhookErrorKind},
    format::{SecretFormat, TimestampUnit, WebhookAlgorithm},
    layer::{StoreFailure, WebhookLayer},
    scheme::WebhookScheme,
    service::{Webhook, WebhookFuture},
    sign::WebhookSigner,
    verified::VerifiedWebhook,
    verifier::{WebhookCheck, WebhookProof, WebhookVerifier},
};
