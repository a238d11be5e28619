//! A bearer token through the whole layer: tower-oauth2-resource-server and jwt-authorizer.

use std::{
    convert::Infallible,
    time::{Duration, SystemTime},
};

use aws_lc_rs::{
    hmac,
    rand::SystemRandom,
    rsa,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _,
        RSA_PKCS1_SHA256,
    },
};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{Request, Response, header};
use portcullis::jwt::{JwtAuthLayer, JwtVerifier, VerifyingKey};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use tower::{Layer, service_fn};

use crate::{Step, Table, call_now};

const ISSUER: &str = "https://login.example.com";
const AUDIENCE: &str = "https://api.example.com";

/// What a peer is asked to make of the payload.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Payload {
    iss: String,
    sub: String,
    aud: String,
    exp: u64,
    nbf: u64,
    iat: u64,
    jti: String,
    scope: String,
}

/// A key pair: how it signs, and its public half as a JWK.
struct Issuer {
    alg: &'static str,
    jwk: Value,
    sign: Box<dyn Fn(&[u8]) -> Vec<u8>>,
}

fn b64(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

fn hs256() -> Issuer {
    let secret = *b"an HMAC secret of 32 bytes, yes!";
    let key = hmac::Key::new(hmac::HMAC_SHA256, &secret);
    Issuer {
        alg: "HS256",
        jwk: json!({"kty": "oct", "kid": "1", "alg": "HS256", "k": b64(secret)}),
        sign: Box::new(move |text| hmac::sign(&key, text).as_ref().to_vec()),
    }
}

fn rs256() -> Issuer {
    let pair = rsa::KeyPair::generate(rsa::KeySize::Rsa2048).expect("a key pair");
    let public = pair.public_key();
    let n = public.modulus().big_endian_without_leading_zero().to_vec();
    let e = public.exponent().big_endian_without_leading_zero().to_vec();
    Issuer {
        alg: "RS256",
        jwk: json!({"kty": "RSA", "kid": "1", "alg": "RS256", "use": "sig", "n": b64(n), "e": b64(e)}),
        sign: Box::new(move |text| {
            let mut signature = vec![0; pair.public_modulus_len()];
            let random = SystemRandom::new();
            pair.sign(&RSA_PKCS1_SHA256, &random, text, &mut signature)
                .expect("a signature");
            signature
        }),
    }
}

fn es256() -> Issuer {
    let pair = EcdsaKeyPair::generate(&ECDSA_P256_SHA256_FIXED_SIGNING).expect("a key pair");
    let point = pair.public_key().as_ref().to_vec();
    let (x, y) = point[1..].split_at(32);
    Issuer {
        alg: "ES256",
        jwk: json!({"kty": "EC", "kid": "1", "alg": "ES256", "use": "sig", "crv": "P-256",
            "x": b64(x), "y": b64(y)}),
        sign: Box::new(move |text| {
            pair.sign(&SystemRandom::new(), text)
                .expect("a signature")
                .as_ref()
                .to_vec()
        }),
    }
}

fn eddsa() -> Issuer {
    let pair = Ed25519KeyPair::generate().expect("a key pair");
    let x = pair.public_key().as_ref().to_vec();
    Issuer {
        alg: "EdDSA",
        jwk: json!({"kty": "OKP", "kid": "1", "alg": "EdDSA", "use": "sig", "crv": "Ed25519", "x": b64(x)}),
        sign: Box::new(move |text| pair.sign(text).as_ref().to_vec()),
    }
}

impl Issuer {
    fn token(&self) -> String {
        let now = SystemTime::now()
            .duration_since(SystemTime::UNIX_EPOCH)
            .expect("a clock past 1970");
        let iat = now.as_secs();
        let payload = Payload {
            iss: ISSUER.into(),
            sub: "user-4711".into(),
            aud: AUDIENCE.into(),
            exp: iat + Duration::from_secs(86_400).as_secs(),
            nbf: iat - 60,
            iat: iat - 60,
            jti: "0b5bb9e6-7a2c-4a55-a1a6-0c3d1a5f3c1e".into(),
            scope: "orders:read orders:write".into(),
        };
        let header = json!({"alg": self.alg, "typ": "JWT", "kid": "1"});
        let payload = serde_json::to_string(&payload).expect("JSON");
        let text = format!("{}.{}", b64(header.to_string()), b64(payload));
        let signature = (self.sign)(text.as_bytes());
        format!("{text}.{}", b64(signature))
    }
}

/// One request with the token through one stack.
fn step<S, R>(mut service: S, token: &str) -> Step
where
    S: tower::Service<Request<()>, Response = Response<R>, Error = Infallible> + 'static,
{
    let bearer = header::HeaderValue::try_from(format!("Bearer {token}")).expect("a header value");
    Box::new(move || {
        let mut request = Request::new(());
        request
            .headers_mut()
            .insert(header::AUTHORIZATION, bearer.clone());
        let response = call_now(&mut service, request);
        assert_eq!(response.status(), 200);
        std::hint::black_box(response);
    })
}

fn table(title: &'static str, issuer: Issuer) -> Table {
    let token = issuer.token();
    let jwks = json!({"keys": [issuer.jwk]}).to_string();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");

    let key = VerifyingKey::from_jwk(&issuer.jwk.to_string()).expect("a usable key");
    let verifier = JwtVerifier::builder(key).issuer(ISSUER).audience(AUDIENCE);
    let forgetful = JwtAuthLayer::new(verifier.clone().without_cache());
    let ours = JwtAuthLayer::new(verifier);

    let resource_server = {
        use tower_oauth2_resource_server::{
            server::OAuth2ResourceServer, tenant::TenantConfiguration,
            validation::ClaimsValidationSpec,
        };
        let audiences = vec![AUDIENCE.to_owned()];
        let algorithm: jsonwebtoken::Algorithm = issuer.alg.parse().expect("a known algorithm");
        let tenant = TenantConfiguration::static_builder(&jwks)
            .claims_validation(ClaimsValidationSpec::recommended(ISSUER, &audiences))
            .allowed_algorithms(&[algorithm])
            .build()
            .expect("a valid tenant");
        let server = OAuth2ResourceServer::<Payload>::builder()
            .add_tenant(tenant)
            .build();
        runtime
            .block_on(server)
            .expect("a resource server")
            .into_layer()
    };

    let authorizer = {
        use jwt_authorizer::{IntoLayer, JwtAuthorizer, Validation};
        let validation = Validation::new().iss(&[ISSUER]).aud(&[AUDIENCE]).nbf(true);
        let builder = JwtAuthorizer::<Payload>::from_jwks_text(&jwks).validation(validation);
        runtime
            .block_on(builder.build())
            .expect("an authorizer")
            .into_layer()
    };

    let unit =
        || service_fn(|_: Request<()>| std::future::ready(Ok::<_, Infallible>(Response::new(()))));
    let axum_07 = service_fn(|_: Request<()>| {
        std::future::ready(Ok::<_, Infallible>(Response::new(
            axum_07::body::Body::empty(),
        )))
    });
    Table {
        title,
        contenders: vec![
            ("bare service", step(unit(), &token)),
            ("portcullis", step(ours.layer(unit()), &token)),
            (
                "portcullis, without its cache",
                step(forgetful.layer(unit()), &token),
            ),
            (
                "tower-oauth2-resource-server",
                step(resource_server.layer(unit()), &token),
            ),
            ("jwt-authorizer", step(authorizer.layer(axum_07), &token)),
        ],
    }
}

pub(crate) fn tables() -> Vec<Table> {
    vec![
        table("JWT, HS256", hs256()),
        table("JWT, RS256", rs256()),
        table("JWT, ES256", es256()),
        table("JWT, EdDSA", eddsa()),
    ]
}
