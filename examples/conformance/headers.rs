//! Areas `headers` and `csp`.

use std::{
    collections::BTreeSet,
    convert::Infallible,
    future::ready,
    pin::pin,
    str::FromStr,
    task::{Context, Poll, Waker},
    time::Duration,
};

use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use portcullis::{
    config::ConfigError,
    headers::{
        ContentSecurityPolicy, CrossOriginEmbedderPolicy, CrossOriginOpenerPolicy,
        CrossOriginResourcePolicy, OriginAgentCluster, Referrer, ReferrerPolicy,
        SecurityHeadersLayer, StrictTransportSecurity, XContentTypeOptions, XDnsPrefetchControl,
        XDownloadOptions, XFrameOptions, XPermittedCrossDomainPolicies, XXssProtection,
    },
};
use serde_json::{Map, Value, json};
use tower::{Layer, ServiceExt, service_fn};

use crate::question::{Answer, Trouble, field, malformed, optional_text, texts};

const YEAR: f64 = 31_536_000.0;

/// Why there is no layer: the question, or the configuration that it asks for.
enum Fault {
    Trouble(Trouble),
    Config(ConfigError),
}

impl From<Trouble> for Fault {
    fn from(trouble: Trouble) -> Self {
        Self::Trouble(trouble)
    }
}

impl From<ConfigError> for Fault {
    fn from(error: ConfigError) -> Self {
        Self::Config(error)
    }
}

pub(crate) fn answer(area: &str, question: &Value) -> Answer {
    let answer = match area {
        "csp" => policy(question).map(|policy| json!({"ok": true, "value": policy.to_string()})),
        _ => layer(question).map(|layer| served(&layer)),
    };
    match answer {
        Ok(answer) => Ok(answer),
        Err(Fault::Trouble(trouble)) => Err(trouble),
        Err(Fault::Config(error)) => {
            Ok(json!({"ok": false, "code": "config", "why": error.to_string()}))
        }
    }
}

fn policy(question: &Value) -> Result<ContentSecurityPolicy, Fault> {
    let mut builder = match flag(question, "use_defaults", true)? {
        true => ContentSecurityPolicy::helmet().into_builder(),
        false => ContentSecurityPolicy::builder(),
    };
    let none = Map::new();
    let directives = match field(question, "directives") {
        None => &none,
        Some(Value::Object(directives)) => directives,
        Some(_) => return Err(malformed("directives", "an object").into()),
    };
    for (name, value) in directives {
        builder = match value {
            Value::Null if name == "default-src" => builder.without(name),
            Value::Null => builder.dangerous_without(name),
            _ => builder.directive(name.clone(), texts(&json!({ "values": value }), "values")?),
        };
    }
    Ok(builder.build()?)
}

fn layer(question: &Value) -> Result<SecurityHeadersLayer, Fault> {
    let mut layer = match optional_text(question, "preset")? {
        None => SecurityHeadersLayer::empty(),
        Some("helmet") => SecurityHeadersLayer::new(),
        Some("strict") => SecurityHeadersLayer::strict(),
        Some("api") => SecurityHeadersLayer::api(),
        Some(_) => return Err(malformed("preset", "helmet, strict or api").into()),
    };
    let none = Map::new();
    let set = match field(question, "set") {
        None => &none,
        Some(Value::Object(set)) => set,
        Some(_) => return Err(malformed("set", "an object").into()),
    };
    for (name, options) in set {
        layer = match options {
            Value::Bool(false) => without(layer, name)?,
            Value::String(text) => {
                let wrong = || malformed("set", "header names and values");
                let name = HeaderName::from_str(name).map_err(|_| wrong())?;
                layer.header(name, HeaderValue::from_str(text).map_err(|_| wrong())?)
            }
            Value::Object(_) => with(layer, name, options)?,
            _ => return Err(malformed("set", "options, strings or false").into()),
        };
    }
    Ok(layer)
}

fn without(layer: SecurityHeadersLayer, name: &str) -> Result<SecurityHeadersLayer, Trouble> {
    if name == "x-powered-by" {
        return Ok(layer.removed_headers([http::header::SERVER]));
    }
    let name = HeaderName::from_str(name).map_err(|_| malformed("set", "header names"))?;
    Ok(layer.dangerous_without(name))
}

fn with(
    layer: SecurityHeadersLayer,
    name: &str,
    options: &Value,
) -> Result<SecurityHeadersLayer, Fault> {
    Ok(match name {
        "strict-transport-security" => layer.strict_transport_security(hsts(options)?),
        "content-security-policy" if flag(options, "report_only", false)? => layer
            .dangerous_without(ContentSecurityPolicy::NAME)
            .content_security_policy_report_only(policy(options)?),
        "content-security-policy" => layer.content_security_policy(policy(options)?),
        "referrer-policy" => match field(options, "policy") {
            None => layer.referrer_policy(Referrer::NoReferrer),
            Some(_) => {
                let tokens = texts(options, "policy")?;
                let tokens: Result<Vec<Referrer>, _> =
                    tokens.iter().map(|token| token.parse()).collect();
                layer.referrer_policy(ReferrerPolicy::list(tokens?)?)
            }
        },
        "x-frame-options" => {
            layer.x_frame_options(word(options, "action", XFrameOptions::SameOrigin)?)
        }
        "cross-origin-embedder-policy" => layer.cross_origin_embedder_policy(word(
            options,
            "policy",
            CrossOriginEmbedderPolicy::RequireCorp,
        )?),
        "cross-origin-opener-policy" => layer.cross_origin_opener_policy(word(
            options,
            "policy",
            CrossOriginOpenerPolicy::SameOrigin,
        )?),
        "cross-origin-resource-policy" => layer.cross_origin_resource_policy(word(
            options,
            "policy",
            CrossOriginResourcePolicy::SameOrigin,
        )?),
        "x-permitted-cross-domain-policies" => layer.x_permitted_cross_domain_policies(word(
            options,
            "policy",
            XPermittedCrossDomainPolicies::None,
        )?),
        "x-dns-prefetch-control" => {
            let allow = flag(options, "allow", false)?;
            layer.x_dns_prefetch_control(match allow {
                true => XDnsPrefetchControl::On,
                false => XDnsPrefetchControl::Off,
            })
        }
        "origin-agent-cluster" => layer.origin_agent_cluster(OriginAgentCluster::Keyed),
        "x-content-type-options" => layer.x_content_type_options(XContentTypeOptions::NoSniff),
        "x-download-options" => layer.x_download_options(XDownloadOptions::NoOpen),
        "x-xss-protection" => layer.x_xss_protection(XXssProtection::Off),
        "x-powered-by" => layer.add_removed_header(HeaderName::from_static("x-powered-by")),
        other => return Err(Trouble::Unsupported(format!("options of {other}")).into()),
    })
}

fn hsts(options: &Value) -> Result<StrictTransportSecurity, Fault> {
    let max_age = crate::question::optional_number(options, "max_age")?.unwrap_or(YEAR);
    let max_age = Duration::try_from_secs_f64(max_age)
        .map_err(|_| malformed("max_age", "seconds of 0 or more"))?;
    let hsts = match flag(options, "include_subdomains", true)? {
        true => StrictTransportSecurity::including_subdomains(max_age),
        false => StrictTransportSecurity::excluding_subdomains(max_age),
    };
    Ok(match flag(options, "preload", false)? {
        true => hsts.preload()?,
        false => hsts,
    })
}

fn word<T: FromStr<Err = ConfigError>>(
    options: &Value,
    name: &str,
    default: T,
) -> Result<T, Fault> {
    Ok(match optional_text(options, name)? {
        None => default,
        Some(text) => text.parse()?,
    })
}

fn flag(question: &Value, name: &str, default: bool) -> Result<bool, Trouble> {
    field(question, name).map_or(Ok(default), |value| {
        value.as_bool().ok_or_else(|| malformed(name, "a boolean"))
    })
}

/// What the layer makes of a response with the fields that it is known to take out, and one that stays.
fn served(layer: &SecurityHeadersLayer) -> Value {
    let inner = [("server", "s"), ("x-powered-by", "p"), ("x-kept", "k")];
    let handler = service_fn(|_: Request<()>| {
        let mut response = Response::new(());
        for (name, value) in inner {
            let name = HeaderName::from_static(name);
            response
                .headers_mut()
                .insert(name, HeaderValue::from_static(value));
        }
        ready(Ok::<_, Infallible>(response))
    });
    let call = pin!(layer.layer(handler).oneshot(Request::new(())));
    let headers = match call.poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(Ok(response)) => response.into_parts().0.headers,
        Poll::Ready(Err(_)) | Poll::Pending => HeaderMap::new(),
    };
    let set: Vec<Value> = headers
        .iter()
        .filter(|(name, _)| !inner.iter().any(|(known, _)| known == name))
        .map(|(name, value)| json!([name.as_str(), String::from_utf8_lossy(value.as_bytes())]))
        .collect();
    let removed: BTreeSet<&str> = inner
        .iter()
        .map(|(name, _)| *name)
        .filter(|name| !headers.contains_key(*name))
        .collect();
    json!({"ok": true, "headers": set, "removed": removed})
}
