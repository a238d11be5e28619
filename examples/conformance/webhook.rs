//! Areas `webhook` and `webhook_sign`.

use std::time::{Duration, SystemTime};

use http::{HeaderMap, HeaderName, HeaderValue};
use portcullis::{
    config::ConfigError,
    secret::Secret,
    webhook::{
        SecretFormat, SignatureEncoding, WebhookAlgorithm, WebhookScheme, WebhookSigner,
        WebhookVerifier,
    },
};
use serde_json::{Value, json};

use crate::question::{
    Answer, Trouble, field, malformed, optional_bytes, optional_number, optional_text, pairs, text,
    texts,
};

pub(crate) fn answer(area: &str, question: &Value) -> Answer {
    let scheme = match scheme(question)? {
        Ok(scheme) => scheme,
        Err(error) => return Ok(config(&error)),
    };
    let mut secrets: Vec<Secret> = texts(question, "secrets")?
        .into_iter()
        .map(Secret::from)
        .collect();
    secrets.extend(optional_bytes(question, "secret_b64")?.map(Secret::from));
    secrets.extend(optional_text(question, "public_key")?.map(Secret::from));
    let body = optional_bytes(question, "body_b64")?.unwrap_or_default();
    match area {
        "webhook_sign" => sign(question, scheme, secrets, &body),
        _ => verify(question, scheme, secrets, &body),
    }
}

fn verify(question: &Value, scheme: WebhookScheme, secrets: Vec<Secret>, body: &[u8]) -> Answer {
    let mut headers = HeaderMap::new();
    for (name, value) in pairs(question, "headers")? {
        let name = name.parse::<HeaderName>();
        let (Ok(name), Ok(value)) = (name, HeaderValue::from_bytes(value.as_bytes())) else {
            // No server hands such a request to anyone.
            return Ok(json!({"ok": false, "code": "header"}));
        };
        headers.append(name, value);
    }
    let mut verifier: Option<WebhookVerifier> = None;
    for secret in secrets {
        let next = match verifier {
            None => WebhookVerifier::new(scheme.clone(), secret),
            Some(verifier) => verifier.add_secret(secret),
        };
        match next {
            Ok(next) => verifier = Some(next),
            Err(error) => return Ok(config(&error)),
        }
    }
    let Some(verifier) = verifier else {
        return Ok(no_secret());
    };
    Ok(match verifier.verify(&headers, body, now(question)?) {
        Ok(proof) => json!({"ok": true, "secret": proof.secret_index(), "delivery": proof.id()}),
        Err(error) => json!({"ok": false, "code": error.code()}),
    })
}

fn sign(question: &Value, scheme: WebhookScheme, secrets: Vec<Secret>, body: &[u8]) -> Answer {
    let mut signer: Option<WebhookSigner> = None;
    for secret in secrets {
        let next = match signer {
            None => WebhookSigner::new(scheme.clone(), secret),
            Some(signer) => signer.add_secret(secret),
        };
        match next {
            Ok(next) => signer = Some(next),
            Err(error) => return Ok(config(&error)),
        }
    }
    let Some(signer) = signer else {
        return Ok(no_secret());
    };
    let id = optional_text(question, "id")?.unwrap_or_default();
    Ok(match signer.sign(id, body, now(question)?) {
        Ok(headers) => {
            let headers: Vec<Value> = headers
                .iter()
                .map(|(name, value)| json!([name.as_str(), value.to_str().unwrap_or_default()]))
                .collect();
            json!({"ok": true, "headers": headers})
        }
        Err(error) => config(&error),
    })
}

fn no_secret() -> Value {
    config(&ConfigError::new("secrets", "none", "must be there"))
}

fn config(error: &ConfigError) -> Value {
    json!({"ok": false, "code": "config", "why": error.to_string()})
}

fn now(question: &Value) -> Result<SystemTime, Trouble> {
    let now = optional_number(question, "now")?.unwrap_or_default();
    Duration::try_from_secs_f64(now)
        .ok()
        .and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since))
        .ok_or_else(|| malformed("now", "a time since 1970"))
}

fn scheme(question: &Value) -> Result<Result<WebhookScheme, ConfigError>, Trouble> {
    let url = optional_text(question, "url")?.unwrap_or_default();
    let scheme = match text(question, "provider")? {
        "standard-webhooks" => Ok(WebhookScheme::standard_webhooks()),
        "svix" => Ok(WebhookScheme::svix()),
        "stripe" => Ok(WebhookScheme::stripe()),
        "github" => Ok(WebhookScheme::github()),
        "slack" => Ok(WebhookScheme::slack()),
        "shopify" => Ok(WebhookScheme::shopify()),
        "twilio" => WebhookScheme::twilio(url),
        "sendgrid" => Ok(WebhookScheme::sendgrid()),
        "paddle" => Ok(WebhookScheme::paddle()),
        "paystack" => Ok(WebhookScheme::paystack()),
        "flutterwave" => Ok(WebhookScheme::flutterwave()),
        "flutterwave-v3" => Ok(WebhookScheme::dangerous_flutterwave_v3()),
        "reloadly" => Ok(WebhookScheme::reloadly()),
        "square" => WebhookScheme::square(url),
        "adyen" => Ok(WebhookScheme::adyen()),
        "razorpay" => Ok(WebhookScheme::razorpay()),
        "coinbase" => Ok(WebhookScheme::coinbase()),
        "line" => Ok(WebhookScheme::line()),
        "discord" => Ok(WebhookScheme::discord()),
        "generic" => generic(question)?,
        other => return Err(Trouble::Unsupported(format!("provider {other}"))),
    };
    // A secret in bytes is the key itself, however the provider writes its keys.
    let is_raw = field(question, "secret_b64").is_some();
    let scheme = scheme.map(|scheme| match is_raw {
        true => scheme.secret_format(SecretFormat::Bytes),
        false => scheme,
    });
    let tolerance = match question.get("tolerance") {
        None => return Ok(scheme),
        Some(Value::Null) => None,
        Some(_) => optional_number(question, "tolerance")?
            .and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            .map(Some)
            .ok_or_else(|| malformed("tolerance", "a number of seconds, or null"))?,
    };
    Ok(scheme.map(|scheme| match tolerance {
        Some(tolerance) => scheme.tolerance(tolerance),
        None => scheme.dangerous_without_tolerance(),
    }))
}

fn generic(question: &Value) -> Result<Result<WebhookScheme, ConfigError>, Trouble> {
    let given = field(question, "scheme").ok_or_else(|| malformed("scheme", "an object"))?;
    let algorithm = match optional_text(given, "hash")?.unwrap_or("sha256") {
        "sha1" => WebhookAlgorithm::HmacSha1,
        "sha256" => WebhookAlgorithm::HmacSha256,
        "sha384" => WebhookAlgorithm::HmacSha384,
        "sha512" => WebhookAlgorithm::HmacSha512,
        other => return Err(Trouble::Unsupported(format!("hash {other}"))),
    };
    let encoding = match optional_text(given, "encoding")?.unwrap_or("hex") {
        "hex" => SignatureEncoding::Hex,
        "base64" => SignatureEncoding::Base64,
        other => return Err(Trouble::Unsupported(format!("encoding {other}"))),
    };
    let template = optional_text(given, "template")?.unwrap_or("{body}");
    let prefix = optional_text(given, "prefix")?
        .unwrap_or_default()
        .to_owned();
    let timestamp = optional_text(given, "timestamp_header")?;
    let header = text(given, "header")?;
    let build = || {
        let mut scheme = WebhookScheme::generic(header)?
            .algorithm(algorithm)
            .encoding(encoding)
            .prefix(prefix)
            .template(template)?;
        if let Some(timestamp) = timestamp {
            scheme = scheme.timestamp_header(timestamp)?;
        }
        Ok(scheme)
    };
    Ok(build())
}
