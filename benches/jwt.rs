//! The JWT layer against the bare signature check of the same backend.
//!
//! A token of 8 claims, five of them strings, goes through the whole layer: `Authorization` to claims and
//! principal in the extensions, inner service included. Beside it runs what cannot be saved: the backend's
//! own check of the same signature, its key made ready once. That layer remembers no tokens. Another, as it
//! comes, sees 1,000 tokens in rotation; a third sees them too and has room for so few that none is ever
//! remembered when it comes again. With the feature `fetch`, two more go by keys that were fetched, with and
//! without remembering tokens.
//!
//! What the layer allocates is counted by a test (`tests/jwt/allocations.rs`): a counting allocator would
//! slow everything down here.

mod support;

#[path = "../tests/jwt/mint.rs"]
mod mint;

use std::{
    cell::Cell,
    convert::Infallible,
    hint::black_box,
    io,
    net::SocketAddr,
    pin::pin,
    task::{Context, Poll, Waker},
};

use http::{HeaderValue, Request, Response, header};
use portcullis::{
    client_ip::PeerAddr,
    jwt::{Algorithm, JwtAuthLayer},
};
use serde_json::json;
use tower::{Layer, Service, service_fn};

use crate::support::{Contender, Figures, Rounds};

/// 1 January 2100.
const FAR: u64 = 4_102_444_800;

/// An algorithm, and what its figures are called.
macro_rules! names {
    ($algorithm:ident, $name:literal) => {
        (
            Algorithm::$algorithm,
            concat!("raw ", $name),
            concat!("layer ", $name),
            concat!("layer ", $name, ", 1,000 tokens in rotation"),
            concat!(
                "layer ",
                $name,
                ", room for 100 of 1,000 tokens in rotation"
            ),
            concat!("added by layer ", $name, ", 1,000 tokens in rotation"),
            concat!("layer ", $name, ", fetched keys"),
            concat!("layer ", $name, ", fetched keys, 1,000 tokens in rotation"),
        )
    };
}

fn main() -> io::Result<()> {
    let mut figures = Figures::new("jwt");
    for (
        algorithm,
        raw_name,
        layer_name,
        again_name,
        in_vain_name,
        added_name,
        live_name,
        live_again_name,
    ) in [
        names!(Hs256, "HS256"),
        names!(Rs256, "RS256"),
        names!(Es256, "ES256"),
        names!(Ed25519, "Ed25519"),
    ] {
        let tokens = tokens(algorithm);
        let (signed, signature) = tokens[0].rsplit_once('.').expect("two dots");
        let signature = mint::decode(signature);
        let raw = raw::verifier(algorithm);
        assert!(
            raw(signed.as_bytes(), &signature),
            "the raw check accepts the token"
        );

        let one = request_with(&tokens[..1]);
        let all = request_with(&tokens);
        let inner =
            || service_fn(async |request: Request<()>| Ok::<_, Infallible>(respond(request)));
        let verifier = mint::verifier(algorithm);
        let mut guarded = JwtAuthLayer::new(verifier.clone().without_cache()).layer(inner());
        let mut in_vain = JwtAuthLayer::new(verifier.clone().cache_capacity(100)).layer(inner());
        let mut remembering = JwtAuthLayer::new(verifier).layer(inner());
        let (mut bare, mut bare_again) = (inner(), inner());
        for _ in 0..2 * tokens.len() {
            assert_eq!(finish(guarded.call(one())).status(), 200);
            assert_eq!(finish(remembering.call(all())).status(), 200);
        }

        let rounds = Rounds::measure(vec![
            Contender::new(raw_name, || {
                raw(black_box(signed.as_bytes()), black_box(&signature))
            }),
            Contender::new(layer_name, || finish(guarded.call(one())).status()),
            Contender::new(BARE, || finish(bare.call(one())).status()),
            Contender::new(again_name, || finish(remembering.call(all())).status()),
            Contender::new(in_vain_name, || finish(in_vain.call(all())).status()),
            Contender::new(BARE_AGAIN, || finish(bare_again.call(all())).status()),
        ]);
        figures.add_median(&rounds, raw_name, None);
        figures.add_median(&rounds, layer_name, Some(raw_name));
        figures.add_median(&rounds, BARE, None);
        figures.add_median(&rounds, again_name, Some(raw_name));
        figures.add_median(&rounds, in_vain_name, Some(layer_name));
        let added = rounds.median(again_name) - rounds.median(BARE_AGAIN);
        figures.add(added_name, added, "ns", None);

        // A set of keys is published, so it has no secrets.
        let live = (!algorithm.is_symmetric()).then(|| live::verifier(algorithm));
        let Some((_running, verifier)) = live.flatten() else {
            continue;
        };
        let mut forgetful = JwtAuthLayer::new(verifier.clone().without_cache()).layer(inner());
        let mut remembering = JwtAuthLayer::new(verifier).layer(inner());
        for _ in 0..tokens.len() {
            assert_eq!(finish(forgetful.call(one())).status(), 200);
            assert_eq!(finish(remembering.call(all())).status(), 200);
        }
        let rounds = Rounds::measure(vec![
            Contender::new(raw_name, || {
                raw(black_box(signed.as_bytes()), black_box(&signature))
            }),
            Contender::new(live_name, || finish(forgetful.call(one())).status()),
            Contender::new(live_again_name, || finish(remembering.call(all())).status()),
        ]);
        figures.add_median(&rounds, live_name, Some(raw_name));
        figures.add_median(&rounds, live_again_name, Some(raw_name));
    }
    figures.write()
}

const BARE: &str = "bare service";
const BARE_AGAIN: &str = "bare service, 1,000 tokens in rotation";

/// 1,000 tokens that differ in their `jti`.
fn tokens(algorithm: Algorithm) -> Vec<String> {
    let tokens = (0..1000).map(|number| {
        let mut claims = claims();
        claims["jti"] = format!("7d3a8d52-55a6-4a0e-9d0b-2f0f6b1f{number:04}").into();
        mint::token(algorithm, &claims)
    });
    tokens.collect()
}

fn claims() -> serde_json::Value {
    json!({
        "iss": mint::ISSUER, "sub": "user-7b4f5b9e-0d1c-4c7e", "aud": mint::AUDIENCE,
        "jti": "7d3a8d52-55a6-4a0e-9d0b-2f0f6b1f4a11", "scope": "orders:read orders:write",
        "iat": mint::NOW - 400_000_000, "nbf": mint::NOW - 400_000_000, "exp": FAR,
    })
}

/// Makes requests, with the tokens in turn, that cost as little as a request can.
fn request_with(tokens: &[String]) -> impl Fn() -> Request<()> + use<> {
    let value = |token| HeaderValue::from_str(&format!("Bearer {token}")).expect("a token is text");
    let values: Vec<_> = tokens.iter().map(value).collect();
    let peer = SocketAddr::from(([192, 0, 2, 7], 40_000));
    let turn = Cell::new(0);
    move || {
        let next = turn.get() + 1;
        turn.set(if next == values.len() { 0 } else { next });
        let mut request = Request::new(());
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, values[turn.get()].clone());
        // A server leaves something of its own with every request.
        request.extensions_mut().insert(PeerAddr(peer));
        request
    }
}

fn respond(request: Request<()>) -> Response<()> {
    black_box(request.extensions().len());
    Response::new(())
}

/// The output of a future that waits for nothing.
fn finish<T>(future: impl Future<Output = Result<T, Infallible>>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(output)) => output,
        Poll::Ready(Err(never)) => match never {},
        Poll::Pending => unreachable!("nothing here waits"),
    }
}

/// Keys that were fetched, and what they are fetched on.
#[cfg(feature = "fetch")]
mod live {
    use bytes::Bytes;
    use http::{Request, Response};
    use portcullis::{
        fetch::{Fetch, FetchLimits, Fetched},
        jwt::{Algorithm, JwtVerifier, RemoteJwks},
    };
    use serde_json::json;
    use tokio::runtime::Runtime;

    use crate::mint;

    /// Publishes one set.
    struct Issuer(Bytes);

    impl Fetch for Issuer {
        fn fetch(&self, _request: Request<Bytes>, _limits: FetchLimits) -> Fetched {
            Box::pin(std::future::ready(Ok(Response::new(self.0.clone()))))
        }
    }

    pub(crate) fn verifier(algorithm: Algorithm) -> Option<(Runtime, JwtVerifier)> {
        let mut jwk = mint::jwk(algorithm);
        jwk["alg"] = algorithm.as_str().into();
        let set = json!({"keys": [jwk]}).to_string();
        let running = Runtime::new().expect("a runtime");
        let keys = RemoteJwks::builder("https://login.example.com/keys")
            .build_over(Issuer(set.into()))
            .expect("an address");
        running.block_on(keys.refresh()).expect("a set of keys");
        let verifier = JwtVerifier::builder(keys);
        let verifier = verifier.issuer(mint::ISSUER).audience(mint::AUDIENCE);
        Some((running, verifier))
    }
}

#[cfg(not(feature = "fetch"))]
mod live {
    use portcullis::jwt::{Algorithm, JwtVerifier};

    pub(crate) fn verifier(_algorithm: Algorithm) -> Option<((), JwtVerifier)> {
        None
    }
}

/// Whether a signature is the key's for a message.
type Check = Box<dyn Fn(&[u8], &[u8]) -> bool>;

/// The backend's own checks.
#[cfg(feature = "aws-lc")]
mod raw {
    use aws_lc_rs::{
        hmac,
        signature::{
            ECDSA_P256_SHA256_FIXED, ED25519, ParsedPublicKey, RSA_PKCS1_2048_8192_SHA256,
            VerificationAlgorithm,
        },
    };
    use portcullis::jwt::Algorithm;

    use crate::mint;

    pub(crate) fn verifier(algorithm: Algorithm) -> super::Check {
        let (kind, key): (&'static dyn VerificationAlgorithm, _) = match algorithm {
            Algorithm::Hs256 => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, mint::SECRET);
                return Box::new(move |message, tag| hmac::verify(&key, message, tag).is_ok());
            }
            Algorithm::Rs256 => (
                &RSA_PKCS1_2048_8192_SHA256,
                mint::rsa_public_key(&mint::decode(mint::RSA_N), &[1, 0, 1]),
            ),
            Algorithm::Es256 => (
                &ECDSA_P256_SHA256_FIXED,
                [&[4], &*mint::decode(mint::EC_X), &*mint::decode(mint::EC_Y)].concat(),
            ),
            _ => (&ED25519, mint::decode(mint::ED_X)),
        };
        let key = ParsedPublicKey::new(kind, key).expect("a key");
        Box::new(move |message, signature| key.verify_sig(message, signature).is_ok())
    }
}

#[cfg(not(feature = "aws-lc"))]
mod raw {
    use ed25519_dalek as dalek;
    use hmac::{Hmac, KeyInit, Mac};
    use p256::ecdsa::{self, signature::Verifier};
    use portcullis::jwt::Algorithm;
    use rsa::{BigUint, Pkcs1v15Sign, RsaPublicKey, traits::SignatureScheme};
    use sha2::{Digest, Sha256};

    use crate::mint;

    /// RFC 8017 section 9.2, note 1.
    const SHA256_INFO: [u8; 19] = [
        0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01,
        0x05, 0x00, 0x04, 0x20,
    ];

    pub(crate) fn verifier(algorithm: Algorithm) -> super::Check {
        match algorithm {
            Algorithm::Hs256 => {
                let key = Hmac::<Sha256>::new_from_slice(mint::SECRET).expect("a secret");
                Box::new(move |message, tag| {
                    key.clone().chain_update(message).verify_slice(tag).is_ok()
                })
            }
            Algorithm::Rs256 => {
                let n = BigUint::from_bytes_be(&mint::decode(mint::RSA_N));
                let key = RsaPublicKey::new(n, 65_537_u32.into()).expect("a key");
                Box::new(move |message, signature| {
                    let info = [&SHA256_INFO[..], &Sha256::digest(message)].concat();
                    Pkcs1v15Sign::new_unprefixed()
                        .verify(&key, &info, signature)
                        .is_ok()
                })
            }
            Algorithm::Es256 => {
                let point = [&[4], &*mint::decode(mint::EC_X), &*mint::decode(mint::EC_Y)].concat();
                let key = ecdsa::VerifyingKey::from_sec1_bytes(&point).expect("a key");
                Box::new(move |message, signature| {
                    let signature = ecdsa::Signature::from_slice(signature);
                    signature.is_ok_and(|signature| key.verify(message, &signature).is_ok())
                })
            }
            _ => {
                let point = mint::decode(mint::ED_X).try_into().expect("32 bytes");
                let key = dalek::VerifyingKey::from_bytes(&point).expect("a key");
                Box::new(move |message, signature| {
                    let signature = dalek::Signature::from_slice(signature);
                    signature.is_ok_and(|signature| key.verify_strict(message, &signature).is_ok())
                })
            }
        }
    }
}
