//! Where a request is sent: the same host and path, by HTTPS.

use std::borrow::Cow;

use http::{HeaderValue, header::HOST};

use super::{HttpsRedirectError, HttpsRedirectErrorKind as Kind};
use crate::{head::RequestHead, headers::host::is_host};

/// The host that the request is for: its target's (RFC 9112 section 3.2.2), or else that of its one `Host`
/// field, without the port.
pub(super) fn host<'a>(request: RequestHead<'a>) -> Result<&'a str, HttpsRedirectError> {
    let malformed = HttpsRedirectError::new(Kind::HostMalformed);
    let authority: &'a str = match request.uri().authority() {
        Some(authority) => authority.as_str(),
        None => {
            let mut fields = request.headers().get_all(HOST).iter();
            let Some(field) = fields.next() else {
                return Err(HttpsRedirectError::new(Kind::HostMissing));
            };
            if fields.next().is_some() {
                return Err(malformed);
            }
            field.to_str().map_err(|_| malformed)?
        }
    };
    if authority.is_empty() {
        return Err(HttpsRedirectError::new(Kind::HostMissing));
    }
    let (host, port) = match authority.rsplit_once(':') {
        // A colon inside brackets is the address's own.
        Some((host, port)) if !port.ends_with(']') => (host, port),
        _ => (authority, ""),
    };
    let is_port = port.len() <= 5 && port.bytes().all(|byte| byte.is_ascii_digit());
    if is_port && is_host(host) {
        Ok(host)
    } else {
        Err(malformed)
    }
}

/// `https://host:port` and the request's path and query.
///
/// The host is followed by a port or by the path's own slash, whatever the path is, so nothing in the path
/// can become part of the host.
pub(super) fn location(
    host: &str,
    port: Option<u16>,
    request: RequestHead<'_>,
) -> Option<HeaderValue> {
    let target = request
        .uri()
        .path_and_query()
        .map_or("/", |target| target.as_str());
    // `OPTIONS *`, and what an application may have made of the target.
    let slash = if target.starts_with('/') { "" } else { "/" };
    let port = port.map_or(Cow::Borrowed(""), |port| Cow::Owned(format!(":{port}")));
    let mut location = Vec::with_capacity(8 + host.len() + port.len() + 1 + target.len());
    for part in ["https://", host, &port, slash] {
        location.extend_from_slice(part.as_bytes());
    }
    for byte in target.bytes() {
        match byte {
            // Browsers read a backslash as a slash.
            b'\\' | 0..=0x20 | 0x7f.. => location.extend(escaped(byte)),
            _ => location.push(byte),
        }
    }
    HeaderValue::try_from(location).ok()
}

fn escaped(byte: u8) -> [u8; 3] {
    const HEX: &[u8; 16] = b"0123456789ABCDEF";
    let digit = |nibble: u8| HEX[usize::from(nibble & 0xf)];
    [b'%', digit(byte >> 4), digit(byte)]
}
