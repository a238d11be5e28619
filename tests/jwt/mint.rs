//! Tokens of every kind, signed by another implementation than the one that verifies them, with the keys of
//! the RFCs' examples.

#![allow(dead_code, reason = "each suite uses the part it needs")]

use std::time::{Duration, SystemTime};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use jsonwebtoken::EncodingKey;
use k256::ecdsa::signature::Signer;
use portcullis::jwt::{Algorithm, JwtVerifier, VerifyingKey};
use serde_json::{Value, json};

/// Halfway through the life of [`claims`].
pub(crate) const NOW: u64 = 1_800_000_000;
pub(crate) const ISSUER: &str = "https://login.example.com";
pub(crate) const AUDIENCE: &str = "https://api.example.com";
pub(crate) const SECRET: &[u8; 64] =
    b"sixty-four bytes of a secret that stands in a test's source code";

/// RFC 7515 appendix A.2.1.
pub(crate) const RSA_N: &str = "ofgWCuLjybRlzo0tZWJjNiuSfb4p4fAkd_wWJcyQoTbji9k0l8W26mPddxHmfHQp-Vaw-4qPCJrcS2mJPMEzP1Pt0Bm4d4QlL-yRT-SFd2lZS-pCgNMsD1W_YpRPEwOWvG6b32690r2jZ47soMZo9wGzjb_7OMg0LOL-bSf63kpaSHSXndS5z5rexMdbBYUsLA9e-KXBdQOS-UTo7WTBEMa2R2CapHg665xsmtdVMTBQY4uDZlxvb3qCo5ZwKh9kG4LT6_I5IhlJH7aGhyxXFvUK-DWNmoudF8NAco9_h9iaGNj8q2ethFkMLs91kzk2PAcDTW9gb54h4FRWyuXpoQ";
const RSA_PRIVATE: [&str; 6] = [
    "Eq5xpGnNCivDflJsRQBXHx1hdR1k6Ulwe2JZD50LpXyWPEAeP88vLNO97IjlA7_GQ5sLKMgvfTeXZx9SE-7YwVol2NXOoAJe46sui395IW_GO-pWJ1O0BkTGoVEn2bKVRUCgu-GjBVaYLU6f3l9kJfFNS3E0QbVdxzubSu3Mkqzjkn439X0M_V51gfpRLI9JYanrC4D4qAdGcopV_0ZHHzQlBjudU2QvXt4ehNYTCBr6XCLQUShb1juUO1ZdiYoFaFQT5Tw8bGUl_x_jTj3ccPDVZFD9pIuhLhBOneufuBiB4cS98l2SR_RQyGWSeWjnczT0QU91p1DhOVRuOopznQ",
    "4BzEEOtIpmVdVEZNCqS7baC4crd0pqnRH_5IB3jw3bcxGn6QLvnEtfdUdiYrqBdss1l58BQ3KhooKeQTa9AB0Hw_Py5PJdTJNPY8cQn7ouZ2KKDcmnPGBY5t7yLc1QlQ5xHdwW1VhvKn-nXqhJTBgIPgtldC-KDV5z-y2XDwGUc",
    "uQPEfgmVtjL0Uyyx88GZFF1fOunH3-7cepKmtH4pxhtCoHqpWmT8YAmZxaewHgHAjLYsp1ZSe7zFYHj7C6ul7TjeLQeZD_YwD66t62wDmpe_HlB-TnBA-njbglfIsRLtXlnDzQkv5dTltRJ11BKBBypeeF6689rjcJIDEz9RWdc",
    "BwKfV3Akq5_MFZDFZCnW-wzl-CCo83WoZvnLQwCTeDv8uzluRSnm71I3QCLdhrqE2e9YkxvuxdBfpT_PI7Yz-FOKnu1R6HsJeDCjn12Sk3vmAktV2zb34MCdy7cpdTh_YVr7tss2u6vneTwrA86rZtu5Mbr1C1XsmvkxHQAdYo0",
    "h_96-mK1R_7glhsum81dZxjTnYynPbZpHziZjeeHcXYsXaaMwkOlODsWa7I9xXDoRwbKgB719rrmI2oKr6N3Do9U0ajaHF-NKJnwgjMd2w9cjz3_-kyNlxAr2v4IKhGNpmM5iIgOS1VZnOZ68m6_pbLBSp3nssTdlqvd0tIiTHU",
    "IYd7DHOhrWvxkwPQsRM2tOgrjbcrfvtQJipd-DlcxyVuuM9sQLdgjVk2oy26F0EmpScGLq2MowX7fhd_QJQ3ydy5cY7YIBi87w93IKLEdfnbJtoOPLUW0ITrJReOgo1cq9SbsxYawBgfp_gh6A5603k2-ZQwVK0JKSHuLFkuQ3U",
];
/// RFC 7515 appendix A.3.1.
pub(crate) const EC_X: &str = "f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU";
pub(crate) const EC_Y: &str = "x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0";
const EC_D: &str = "jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI";
pub(crate) const P384_X: &str = "DvbAZdLpkcHJ_8JB4OaPSvea35swP4TEtTJejAcJa7L2sMbi6zGWKSq3XQzwkQg1";
pub(crate) const P384_Y: &str = "OJjzcXMjXHGd8wN52ACUeOsWK9ZUiaGuckksbECG63ipPoxayLcgYBeK54t0Y11u";
pub(crate) const P384_D: &str = "tZNkJR82n9tZRci3dmK1XpSzJl9_JSnzKtuo_mO9f8CuGTPHxP9YDLZqhzNV6inp";
/// RFC 7515 appendix A.4.1.
pub(crate) const P521_X: &str =
    "AekpBQ8ST8a8VcfVOTNl353vSrDCLLJXmPk06wTjxrrjcBpXp5EOnYG_NjFZ6OvLFV1jSfS9tsz4qUxcWceqwQGk";
pub(crate) const P521_Y: &str =
    "ADSmRA43Z1DSNx_RvcLI87cdL07l6jQyyBXMoxVg_l2Th-x3S1WDhjDly79ajL4Kkd0AZMaZmh9ubmf63e3kyMj2";
pub(crate) const P521_D: &str =
    "AY5pb7A0UFiB3RELSD64fTLOSV_jazdF7fLYyuTw8lOfRhWg6Y6rUrPAxerEzgdRhajnu0ferB0d53vM9mE15j2C";
pub(crate) const K256_X: &str = "YYZPEf5ILzlQC1P1I8wxGXohguY5mWNfvbVq6MMic5E";
pub(crate) const K256_Y: &str = "1Nnk9M3utLRTJyk3pDExRXQ7EdBKtfhcHuLU_XwQTYU";
pub(crate) const K256_D: &str = "DHDZjfmstbEqa9yvveVldxx28-YNUXABUGqJ_tIoM24";
/// RFC 8037 appendix A.1.
pub(crate) const ED_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";
const ED_D: &str = "nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A";

/// Every algorithm that tokens are verified with.
pub(crate) const ALGORITHMS: [Algorithm; 14] = [
    Algorithm::Hs256,
    Algorithm::Hs384,
    Algorithm::Hs512,
    Algorithm::Rs256,
    Algorithm::Rs384,
    Algorithm::Rs512,
    Algorithm::Ps256,
    Algorithm::Ps384,
    Algorithm::Ps512,
    Algorithm::Es256,
    Algorithm::Es384,
    Algorithm::Es512,
    Algorithm::Es256k,
    Algorithm::Ed25519,
];

pub(crate) fn now() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(NOW)
}

pub(crate) fn decode(text: &str) -> Vec<u8> {
    URL_SAFE_NO_PAD.decode(text).expect("base64url")
}

pub(crate) fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The public JWK, or the secret, that goes with the algorithm; without `alg`.
pub(crate) fn jwk(algorithm: Algorithm) -> Value {
    match algorithm {
        Algorithm::Es256 => json!({"kty": "EC", "crv": "P-256", "x": EC_X, "y": EC_Y}),
        Algorithm::Es384 => json!({"kty": "EC", "crv": "P-384", "x": P384_X, "y": P384_Y}),
        Algorithm::Es512 => json!({"kty": "EC", "crv": "P-521", "x": P521_X, "y": P521_Y}),
        Algorithm::Es256k => json!({"kty": "EC", "crv": "secp256k1", "x": K256_X, "y": K256_Y}),
        Algorithm::Ed25519 => json!({"kty": "OKP", "crv": "Ed25519", "x": ED_X}),
        other if other.is_symmetric() => json!({"kty": "oct", "k": encode(SECRET)}),
        _ => json!({"kty": "RSA", "n": RSA_N, "e": "AQAB"}),
    }
}

pub(crate) fn key(algorithm: Algorithm) -> VerifyingKey {
    VerifyingKey::from_jwk_for(algorithm, jwk(algorithm).to_string()).expect("a key")
}

/// Claims that [`verifier`] accepts at [`NOW`].
pub(crate) fn claims() -> Value {
    json!({
        "iss": ISSUER, "aud": AUDIENCE, "sub": "user-7", "jti": "token-1",
        "iat": NOW - 60, "nbf": NOW - 60, "exp": NOW + 60,
    })
}

/// [`claims`] with some of them replaced; null takes one out.
pub(crate) fn claims_with(changes: Value) -> Value {
    let mut claims = claims();
    for (name, value) in changes.as_object().expect("an object") {
        match value {
            Value::Null => claims.as_object_mut().expect("an object").remove(name),
            value => claims
                .as_object_mut()
                .expect("an object")
                .insert(name.clone(), value.clone()),
        };
    }
    claims
}

pub(crate) fn verifier(algorithm: Algorithm) -> JwtVerifier {
    JwtVerifier::builder(key(algorithm))
        .issuer(ISSUER)
        .audience(AUDIENCE)
}

/// A token with these claims.
pub(crate) fn token(algorithm: Algorithm, claims: &Value) -> String {
    let header = json!({"alg": algorithm.as_str(), "typ": "JWT"});
    sign(algorithm, header.to_string(), claims.to_string())
}

/// Signs whatever header and payload, well-formed or not.
pub(crate) fn sign(
    algorithm: Algorithm,
    header: impl AsRef<[u8]>,
    payload: impl AsRef<[u8]>,
) -> String {
    sign_text(
        algorithm,
        &format!("{}.{}", encode(header), encode(payload)),
    )
}

/// Signs whatever text stands for header and payload.
pub(crate) fn sign_text(algorithm: Algorithm, text: &str) -> String {
    let text = text.as_bytes();
    let signature = match algorithm {
        // jsonwebtoken signs with neither.
        Algorithm::Es512 => {
            let key = p521::ecdsa::SigningKey::from_slice(&decode(P521_D)).expect("a key");
            let signature: p521::ecdsa::Signature = key.sign(text);
            encode(signature.to_bytes())
        }
        Algorithm::Es256k => {
            let key = k256::ecdsa::SigningKey::from_slice(&decode(K256_D)).expect("a key");
            let signature: k256::ecdsa::Signature = key.sign(text);
            encode(signature.to_bytes())
        }
        other => {
            let (name, key) = signing_key(other);
            jsonwebtoken::crypto::sign(text, &key, name).expect("it signs")
        }
    };
    let text = String::from_utf8_lossy(text);
    format!("{text}.{signature}")
}

fn signing_key(algorithm: Algorithm) -> (jsonwebtoken::Algorithm, EncodingKey) {
    use jsonwebtoken::Algorithm as Name;
    let secret = || EncodingKey::from_secret(SECRET);
    match algorithm {
        Algorithm::Hs256 => (Name::HS256, secret()),
        Algorithm::Hs384 => (Name::HS384, secret()),
        Algorithm::Hs512 => (Name::HS512, secret()),
        Algorithm::Rs256 => (Name::RS256, rsa_key()),
        Algorithm::Rs384 => (Name::RS384, rsa_key()),
        Algorithm::Rs512 => (Name::RS512, rsa_key()),
        Algorithm::Ps256 => (Name::PS256, rsa_key()),
        Algorithm::Ps384 => (Name::PS384, rsa_key()),
        Algorithm::Ps512 => (Name::PS512, rsa_key()),
        Algorithm::Es256 => {
            let key = ec_pkcs8(&PRIME256V1, [EC_X, EC_Y, EC_D]);
            (Name::ES256, EncodingKey::from_ec_der(&key))
        }
        Algorithm::Es384 => {
            let key = ec_pkcs8(&SECP384R1, [P384_X, P384_Y, P384_D]);
            (Name::ES384, EncodingKey::from_ec_der(&key))
        }
        Algorithm::Ed25519 => (Name::EdDSA, EncodingKey::from_ed_der(&ed_pkcs8())),
        other => panic!("no key for {other}"),
    }
}

fn rsa_key() -> EncodingKey {
    EncodingKey::from_rsa_der(&rsa_private_der())
}

/// An RSAPrivateKey.
pub(crate) fn rsa_private_der() -> Vec<u8> {
    let public = [decode(RSA_N), vec![1, 0, 1]];
    let private = RSA_PRIVATE.iter().map(|number| decode(number));
    let numbers = [vec![0]].into_iter().chain(public).chain(private);
    let numbers: Vec<u8> = numbers.flat_map(|number| integer(&number)).collect();
    tlv(0x30, &numbers)
}

/// RFC 5958 and RFC 5915.
fn ec_pkcs8(curve: &[u8], [x, y, d]: [&str; 3]) -> Vec<u8> {
    let point = [&[0, 4], &*decode(x), &*decode(y)].concat();
    let key = [
        integer(&[1]),
        tlv(4, &decode(d)),
        tlv(0xa1, &tlv(3, &point)),
    ]
    .concat();
    let algorithm = [&EC_PUBLIC_KEY[..], curve].concat();
    tlv(
        0x30,
        &[
            integer(&[0]),
            tlv(0x30, &algorithm),
            tlv(4, &tlv(0x30, &key)),
        ]
        .concat(),
    )
}

/// RFC 8410.
fn ed_pkcs8() -> Vec<u8> {
    let key = tlv(4, &decode(ED_D));
    tlv(
        0x30,
        &[integer(&[0]), tlv(0x30, &ED25519), tlv(4, &key)].concat(),
    )
}

pub(crate) const RSA_ENCRYPTION: [u8; 13] = [
    0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05, 0x00,
];
pub(crate) const EC_PUBLIC_KEY: [u8; 9] = [0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01];
pub(crate) const PRIME256V1: [u8; 10] =
    [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
pub(crate) const SECP384R1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x22];
pub(crate) const SECP521R1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x23];
pub(crate) const SECP256K1: [u8; 7] = [0x06, 0x05, 0x2b, 0x81, 0x04, 0x00, 0x0a];
pub(crate) const ED25519: [u8; 5] = [0x06, 0x03, 0x2b, 0x65, 0x70];

/// A SubjectPublicKeyInfo.
pub(crate) fn spki(algorithm: &[u8], key: &[u8]) -> Vec<u8> {
    let bits = tlv(3, &[&[0], key].concat());
    tlv(0x30, &[tlv(0x30, algorithm), bits].concat())
}

/// An RSAPublicKey.
pub(crate) fn rsa_public_key(n: &[u8], e: &[u8]) -> Vec<u8> {
    tlv(0x30, &[integer(n), integer(e)].concat())
}

pub(crate) fn integer(number: &[u8]) -> Vec<u8> {
    let zeros = number.iter().take_while(|byte| **byte == 0).count();
    let number = &number[zeros.min(number.len() - 1)..];
    let sign = if number[0] & 0x80 == 0 { &[][..] } else { &[0] };
    tlv(2, &[sign, number].concat())
}

/// DER: a tag, a length, the content.
pub(crate) fn tlv(tag: u8, content: &[u8]) -> Vec<u8> {
    let length = match content.len() {
        short @ 0..128 => vec![short as u8],
        long @ 128..256 => vec![0x81, long as u8],
        long => vec![0x82, (long >> 8) as u8, long as u8],
    };
    [&[tag], &*length, content].concat()
}

/// The DER in a PEM block.
pub(crate) fn pem(label: &str, der: &[u8]) -> String {
    let text = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<_> = text
        .as_bytes()
        .chunks(64)
        .map(String::from_utf8_lossy)
        .collect();
    format!(
        "-----BEGIN {label}-----\n{}\n-----END {label}-----\n",
        lines.join("\n")
    )
}
