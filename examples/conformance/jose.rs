//! JWS, JWT, JWK and JWK Sets.

use std::time::{Duration, SystemTime};

use base64::{
    Engine,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use portcullis::jwt::{
    Algorithm, JwsVerifier, JwtError, JwtErrorKind, JwtVerifier, KeyError, KeyErrorKind, KeySet,
    VerifyingKey,
};
use serde_json::{Value, json};

use crate::question::{self, Answer, Trouble};

pub(crate) fn answer(area: &str, question: &Value) -> Answer {
    match area {
        "jwk" => jwk(question),
        "jwks" => jwks(question),
        "jws" => jws(question),
        _ => jwt(question),
    }
}

fn jwk(question: &Value) -> Answer {
    let jwk = question::field(question, "jwk").unwrap_or(&Value::Null);
    match VerifyingKey::from_jwk_value(jwk) {
        Ok(key) => Ok(json!({"ok": true, "kty": jwk["kty"], "thumbprint": key.thumbprint()})),
        Err(error) => refused_key(&error, question),
    }
}

fn jwks(question: &Value) -> Answer {
    let Some(text) = set(question)? else {
        return Err(Trouble::Malformed("no key set".to_owned()));
    };
    match KeySet::from_jwks(text) {
        Ok(set) => {
            let keys = set.keys();
            let kids: Vec<_> = keys.iter().filter_map(VerifyingKey::key_id).collect();
            Ok(json!({"ok": true, "usable": keys.len(), "kids": kids}))
        }
        Err(error) => Ok(json!({"ok": false, "code": error.code()})),
    }
}

/// The text of the question's key set.
fn set(question: &Value) -> Result<Option<String>, Trouble> {
    Ok(match question::optional_text(question, "jwks_text")? {
        Some(text) => Some(text.to_owned()),
        None => question::field(question, "jwks").map(Value::to_string),
    })
}

fn jws(question: &Value) -> Answer {
    let asked = match asked(&question::texts(question, "alg")?) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let keys = match keys(question, asked.as_deref())? {
        Ok(keys) => keys,
        Err(error) => return refused_key(&error, question),
    };
    let verifier = JwsVerifier::new(keys);
    let token = question::text(question, "token")?;
    let verified = match question::optional_bytes(question, "detached_b64")? {
        Some(payload) => verifier.verify_detached(token, &payload).map(|()| payload),
        None => verifier.verify(token).map(|jws| jws.into_payload()),
    };
    match verified {
        Ok(payload) => Ok(json!({"ok": true, "payload_b64": STANDARD.encode(payload)})),
        Err(error) => refused_token(&error, token),
    }
}

fn jwt(question: &Value) -> Answer {
    let asked = match asked(&question::texts(question, "algorithms")?) {
        Ok(asked) => asked,
        Err(answer) => return answer,
    };
    let keys = match keys(question, asked.as_deref())? {
        Ok(keys) => keys,
        Err(error) => return refused_key(&error, question),
    };
    let verifier = match verifier(question, keys)? {
        Ok(verifier) => verifier,
        Err(_) => return Ok(json!({"ok": false, "code": "config"})),
    };
    let token = question::text(question, "token")?;
    let now = SystemTime::UNIX_EPOCH + seconds(question, "now")?.unwrap_or_default();
    match verifier.verify(token, now) {
        Ok(claims) => Ok(json!({"ok": true, "claims": claims})),
        Err(error) => refused_token(&error, token),
    }
}

fn verifier(
    question: &Value,
    keys: KeySet,
) -> Result<Result<JwtVerifier, portcullis::config::ConfigError>, Trouble> {
    let builder = JwtVerifier::builder(keys);
    let builder = match question::field(question, "issuer") {
        Some(_) => builder.issuer(question::texts(question, "issuer")?),
        None => builder.dangerous_without_issuer(),
    };
    let mut verifier = match question::field(question, "audience") {
        Some(_) => builder.audience(question::texts(question, "audience")?),
        None => builder.dangerous_without_audience(),
    };
    if let Some(subject) = question::optional_text(question, "subject")? {
        verifier = verifier.subject(subject);
    }
    if let Some(typ) = question::optional_text(question, "typ")? {
        verifier = verifier.typ(typ);
    }
    if let Some(age) = seconds(question, "max_age")? {
        verifier = verifier.max_age(age);
    }
    for claim in question::texts(question, "required")? {
        verifier = verifier.add_required_claim(claim);
    }
    if question::field(question, "require_exp") == Some(&Value::Bool(false)) {
        verifier = verifier.dangerous_without_expiry();
    }
    Ok(match seconds(question, "leeway")? {
        Some(leeway) => verifier.leeway(leeway),
        None => Ok(verifier),
    })
}

/// The key material of the question, for the algorithms asked for, or for its own.
fn keys(
    question: &Value,
    asked: Option<&[Algorithm]>,
) -> Result<Result<KeySet, KeyError>, Trouble> {
    if let Some(set) = set(question)? {
        return Ok(KeySet::from_jwks_for(asked.unwrap_or_default(), set));
    }
    // A key that is not asked about as a set was chosen already, whatever the token's `kid` says.
    if let Some(jwk) = question::field(question, "jwk") {
        let Some(asked) = asked else {
            let key = VerifyingKey::from_jwk_value(jwk);
            return Ok(key.map(|key| key.without_kid().into()));
        };
        let text = jwk.to_string();
        return Ok(first_or_all(asked, |algorithm| {
            VerifyingKey::from_jwk_for(algorithm, &text).map(VerifyingKey::without_kid)
        }));
    }
    if let Some(pem) = question::optional_text(question, "pem")? {
        let asked = asked.unwrap_or(&ALL);
        return Ok(first_or_all(asked, |algorithm| {
            VerifyingKey::from_pem(algorithm, pem)
        }));
    }
    if let Some(secret) = question::optional_bytes(question, "secret_b64")? {
        // A JWK of the same bytes takes every algorithm by its name.
        let jwk = json!({"kty": "oct", "k": URL_SAFE_NO_PAD.encode(secret)}).to_string();
        let asked = asked.unwrap_or(&ALL);
        return Ok(first_or_all(asked, |algorithm| {
            VerifyingKey::from_jwk_for(algorithm, &jwk)
        }));
    }
    Err(Trouble::Malformed("no key".to_owned()))
}

const ALL: [Algorithm; 14] = [
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

/// The key for each algorithm that it can be a key of, or why it is one of none.
fn first_or_all(
    algorithms: &[Algorithm],
    key: impl Fn(Algorithm) -> Result<VerifyingKey, KeyError>,
) -> Result<KeySet, KeyError> {
    let (mut keys, mut fault) = (Vec::new(), None);
    for algorithm in algorithms {
        match key(*algorithm) {
            Ok(key) => keys.push(key),
            Err(error) if error.kind() == KeyErrorKind::AlgorithmMismatch => {
                fault = fault.or(Some(error));
            }
            Err(error) => fault = Some(error),
        }
    }
    match fault {
        Some(fault) if keys.is_empty() => Err(fault),
        _ => Ok(keys.into()),
    }
}

fn seconds(question: &Value, name: &str) -> Result<Option<Duration>, Trouble> {
    question::optional_number(question, name)?
        .map(|seconds| {
            Duration::try_from_secs_f64(seconds)
                .map_err(|_| question::malformed(name, "a number of seconds"))
        })
        .transpose()
}

/// The algorithms of these names that the crate has, if any are asked for; an answer if it has none of them.
fn asked(names: &[String]) -> Result<Option<Vec<Algorithm>>, Answer> {
    let known: Vec<_> = names
        .iter()
        .filter_map(|name| Algorithm::from_name(name))
        .collect();
    match (names, &*known) {
        ([], _) => Ok(None),
        (_, []) if names.iter().any(|name| is_lacking(&json!(name))) => {
            Err(Err(Trouble::Unsupported(names.join(", "))))
        }
        (_, []) => Err(Ok(json!({"ok": false, "code": "config"}))),
        _ => Ok(Some(known)),
    }
}

/// What RFC 8037 has and the crate has not.
const LACKING: [&str; 1] = ["Ed448"];

fn is_lacking(name: &Value) -> bool {
    name.as_str().is_some_and(|name| LACKING.contains(&name))
}

fn refused_key(error: &KeyError, question: &Value) -> Answer {
    let jwk = &question["jwk"];
    let lacking =
        is_lacking(&jwk["alg"]) || is_lacking(&jwk["crv"]) || question.get("pem").is_some();
    if lacking && error.kind() == KeyErrorKind::Unsupported {
        return Err(Trouble::Unsupported(error.to_string()));
    }
    Ok(json!({"ok": false, "code": error.code()}))
}

/// A refusal, unless the token's algorithm, or the key it was meant for, is of a kind that the crate lacks.
fn refused_token(error: &JwtError, token: &str) -> Answer {
    let no_key = matches!(
        error.kind(),
        JwtErrorKind::AlgorithmNotAllowed | JwtErrorKind::KeyUnknown
    );
    let header = token.split('.').next().unwrap_or_default();
    let header = URL_SAFE_NO_PAD.decode(header).unwrap_or_default();
    let header: Value = serde_json::from_slice(&header).unwrap_or_default();
    if no_key && is_lacking(&header["alg"]) {
        return Err(Trouble::Unsupported(format!("{}", header["alg"])));
    }
    Ok(json!({"ok": false, "code": error.code()}))
}
