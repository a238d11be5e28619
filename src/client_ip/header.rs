//! [`ForwardedHeader`]: the list that proxies append to, and how its elements are read.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, header::FORWARDED};

use super::{error::ClientIpErrorKind, forwarded::Element, hops::Hops, node};
use crate::config::ConfigError;

pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");

/// The list header to which each proxy appends the address it was asked by.
///
/// Choose the one that the nearest proxy writes, and no other: a header that no proxy of yours touches is
/// the client's word.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum ForwardedHeader {
    /// `X-Forwarded-For`: addresses, bare or with a port.
    XForwardedFor,
    /// `Forwarded` (RFC 7239): elements, of which `for` is read.
    Forwarded,
    /// Another header, written as `X-Forwarded-For` is.
    Other(HeaderName),
}

impl ForwardedHeader {
    /// The header of that name.
    ///
    /// ```
    /// use portcullis::client_ip::ForwardedHeader;
    ///
    /// assert_eq!(ForwardedHeader::named("Forwarded")?, ForwardedHeader::Forwarded);
    /// assert!(ForwardedHeader::named("two words").is_err());
    /// # Ok::<(), portcullis::config::ConfigError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The text is no header name.
    pub fn named(name: &str) -> Result<Self, ConfigError> {
        Ok(match header_name("forwarded_header", name)? {
            name if name == FORWARDED => Self::Forwarded,
            name if name == X_FORWARDED_FOR => Self::XForwardedFor,
            name => Self::Other(name),
        })
    }

    /// What the header says, last hop first.
    pub(super) fn hops<'a>(
        &self,
        headers: &'a HeaderMap,
    ) -> impl Iterator<Item = Result<Hop<'a>, ClientIpErrorKind>> + use<'a> {
        let is_forwarded = matches!(self, Self::Forwarded);
        let hops = match self {
            Self::XForwardedFor => Hops::new(headers, &X_FORWARDED_FOR, false),
            Self::Forwarded => Hops::new(headers, &FORWARDED, true),
            Self::Other(name) => Hops::new(headers, name, false),
        };
        hops.map(move |text| text.map(|text| Hop { text, is_forwarded }))
    }
}

/// One element of the list, not read yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Hop<'a> {
    text: &'a [u8],
    is_forwarded: bool,
}

impl Hop<'_> {
    pub(super) fn address(self) -> Result<IpAddr, ClientIpErrorKind> {
        if !self.is_forwarded {
            return node::parse(self.text);
        }
        let client = Element::parse(self.text)?.client;
        node::parse(&client.ok_or(ClientIpErrorKind::Undisclosed)?)
    }
}

/// A header name out of the configuration.
pub(super) fn header_name(setting: &'static str, name: &str) -> Result<HeaderName, ConfigError> {
    name.parse()
        .map_err(|_| ConfigError::new(setting, name, "must be a header name"))
}
