//! [`PublicUrl`]: the URL that a provider was told to call.

use std::{borrow::Cow, fmt};

use http::Uri;

use crate::config::ConfigError;

/// The URL that a provider was told to call, byte for byte: behind a proxy the service sees another one.
#[derive(Clone)]
pub(super) struct PublicUrl {
    text: Box<str>,
    /// Where the authority begins and ends.
    authority: (usize, usize),
}

impl PublicUrl {
    pub(super) fn new(text: &str) -> Result<Self, ConfigError> {
        let wrong =
            || ConfigError::new("url", shown(text), "must be an absolute http or https URL");
        let lower = text.to_ascii_lowercase();
        let start = ["https://", "http://"]
            .iter()
            .find(|scheme| lower.starts_with(*scheme))
            .ok_or_else(wrong)?
            .len();
        let ends = text[start..].find(['/', '?', '#']);
        let end = ends.map_or(text.len(), |at| start + at);
        let sound = text.split('#').next().is_some_and(|url| {
            url.parse::<Uri>()
                .is_ok_and(|uri| uri.host().is_some_and(|host| !host.is_empty()))
        });
        if !sound {
            return Err(wrong());
        }
        Ok(Self {
            text: text.into(),
            authority: (start, end),
        })
    }

    /// Whether it has a query of its own, so that the request's is not signed.
    pub(super) fn has_query(&self) -> bool {
        self.text.contains('?')
    }

    /// The URL, with the query of the request if it has none of its own.
    pub(super) fn with_query<'u>(&'u self, query: Option<&str>) -> Cow<'u, str> {
        match query {
            Some(query) if !self.has_query() => Cow::Owned(format!("{}?{query}", self.text)),
            _ => Cow::Borrowed(&self.text),
        }
    }

    /// The pieces of the URL in the order in which they are signed, without making one text of them.
    pub(super) fn pieces<'u>(&'u self, query: Option<&'u str>) -> [&'u str; 3] {
        match query {
            Some(query) if !self.has_query() => [&self.text, "?", query],
            _ => [&self.text, "", ""],
        }
    }

    /// The URL as it is, and the other one: without its port, or with that of its scheme. Providers are
    /// not of one mind about which one they sign.
    pub(super) fn with_and_without_port(&self, query: Option<&str>) -> [String; 2] {
        let whole = self.with_query(query);
        let (start, end) = self.authority;
        let authority = &whole[start..end];
        let host_from = authority.rfind('@').map_or(0, |at| at + 1);
        // An address of IPv6 has colons of its own.
        let host_to = authority.rfind(']').unwrap_or(host_from);
        let port = authority[host_to..]
            .find(':')
            .map(|at| start + host_to + at);
        let default = match self.text.as_bytes().get(4) {
            Some(b's' | b'S') => ":443",
            _ => ":80",
        };
        let other = match port {
            Some(at) => format!("{}{}", &whole[..at], &whole[end..]),
            None => format!("{}{default}{}", &whole[..end], &whole[end..]),
        };
        [whole.into_owned(), other]
    }
}

impl fmt::Debug for PublicUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(shown(&self.text), f)
    }
}

/// What may be shown of a URL: not the password that may stand in it.
pub(super) fn shown(url: &str) -> &str {
    url.rsplit_once('@').map_or(url, |(_, rest)| rest)
}

/// Whether a query has such a byte (RFC 3986 section 3.4): a brace, a bracket and a quotation mark are none.
pub(super) fn is_of_query(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=:@/?%".contains(&byte)
}
