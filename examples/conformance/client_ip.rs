//! Areas `client_ip` and `ip_key`.

use std::net::{IpAddr, SocketAddr};

use http::{HeaderName, HeaderValue, Request};
use portcullis::{
    client_ip::{ClientIp, ForwardedHeader, IpKey, Ipv6Prefix, PeerAddr, TrustedProxies},
    config::ConfigError,
    head::RequestHead,
};
use serde_json::{Value, json};

use crate::question::{Answer, Trouble, field, malformed, optional_number, pairs, text, texts};

pub(crate) fn answer(area: &str, question: &Value) -> Answer {
    match area {
        "ip_key" => ip_key(question),
        _ => client_ip(question),
    }
}

fn client_ip(question: &Value) -> Answer {
    let request = request(question)?;
    Ok(match strategy(question)? {
        Err(error) => json!({"ok": false, "code": "config", "why": error.to_string()}),
        Ok(client) => match client.resolve(RequestHead::from(&request)) {
            Ok(ip) => json!({"ok": true, "ip": ip.to_string()}),
            Err(error) => json!({"ok": false, "code": error.code()}),
        },
    })
}

fn request(question: &Value) -> Result<Request<()>, Trouble> {
    let mut request = Request::new(());
    let peer: SocketAddr = text(question, "peer")?
        .parse()
        .map_err(|_| malformed("peer", "a socket address"))?;
    request.extensions_mut().insert(PeerAddr(peer));
    for (name, value) in pairs(question, "headers")? {
        let name: HeaderName = name
            .parse()
            .map_err(|_| malformed("headers", "headers with names"))?;
        let value = HeaderValue::from_bytes(value.as_bytes())
            .map_err(|_| malformed("headers", "headers with values"))?;
        request.headers_mut().append(name, value);
    }
    Ok(request)
}

fn strategy(question: &Value) -> Result<Result<ClientIp, ConfigError>, Trouble> {
    let strategy = field(question, "strategy").ok_or_else(|| malformed("strategy", "an object"))?;
    let kind = text(strategy, "kind")?;
    Ok(match kind {
        "peer" => Ok(ClientIp::peer()),
        "header" => ClientIp::header(text(strategy, "name")?),
        "rightmost" => ForwardedHeader::named(text(strategy, "name")?).map(ClientIp::rightmost),
        "trusted_count" => {
            let count = field(strategy, "count")
                .and_then(Value::as_u64)
                .and_then(|count| usize::try_from(count).ok())
                .ok_or_else(|| malformed("count", "a number of proxies"))?;
            ForwardedHeader::named(text(strategy, "name")?)
                .and_then(|header| ClientIp::trusted_count(header, count))
        }
        "trusted_ranges" => {
            let ranges = texts(strategy, "ranges")?;
            ForwardedHeader::named(text(strategy, "name")?).and_then(|header| {
                TrustedProxies::new(ranges).map(|proxies| ClientIp::trusted_ranges(header, proxies))
            })
        }
        other => return Err(Trouble::Unsupported(format!("strategy {other}"))),
    })
}

fn ip_key(question: &Value) -> Answer {
    let ip: IpAddr = text(question, "ip")?
        .parse()
        .map_err(|_| malformed("ip", "an IP address"))?;
    let prefix = match optional_number(question, "ipv6_prefix")? {
        None => Ok(Ipv6Prefix::default()),
        Some(bits) if bits.fract() == 0.0 && (0.0..=255.0).contains(&bits) => {
            Ipv6Prefix::new(bits as u8)
        }
        Some(_) => return Err(malformed("ipv6_prefix", "a number of bits")),
    };
    Ok(match prefix {
        Ok(prefix) => json!({"ok": true, "key": IpKey::new(ip, prefix).to_string()}),
        Err(error) => json!({"ok": false, "code": "config", "why": error.to_string()}),
    })
}
