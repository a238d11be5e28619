//! [`RateLimitKey`]: whose requests count together.

use std::{fmt, sync::Arc};

use http::{HeaderName, StatusCode};

use super::buffer::Buffer;
use crate::{
    client_ip::{ClientIp, IpKey, Ipv6Prefix},
    head::RequestHead,
    principal::Principal,
    problem::Rejection,
};

/// Enough for an address, or a principal's subject of the usual length, without the heap.
pub(super) type KeyBytes = Buffer<96>;

/// Whose requests count together: what is taken from a request to count it under.
///
/// A request whose key cannot be determined is refused; there is no empty key that all such requests would
/// share, or that would share nothing.
///
/// ```
/// use portcullis::{client_ip::ClientIp, rate_limit::RateLimitKey};
///
/// // Every principal from every address, and reading apart from writing.
/// let key = RateLimitKey::principal()
///     .and(RateLimitKey::client_ip(ClientIp::peer()))
///     .and(RateLimitKey::custom(|request| {
///         let kind = if request.method().is_safe() { "read" } else { "write" };
///         Some(kind.to_owned())
///     }));
/// ```
#[derive(Clone)]
#[must_use]
pub struct RateLimitKey(Kind);

#[derive(Clone)]
enum Kind {
    ClientIp(ClientIp, Ipv6Prefix),
    Principal,
    Tenant,
    Header(HeaderName),
    Named(&'static str),
    Custom(Arc<Custom>),
    Both(Arc<(RateLimitKey, RateLimitKey)>),
}

type Custom = dyn Fn(RequestHead<'_>) -> Option<String> + Send + Sync;

/// Why a request has no key.
pub(super) type NoKey = Rejection;

impl RateLimitKey {
    /// The client's address, found as `strategy` says; of an IPv6 address the network of 64 bits.
    ///
    /// Without an address the request is refused with the code of the
    /// [`ClientIpError`](crate::client_ip::ClientIpError).
    pub fn client_ip(strategy: ClientIp) -> Self {
        Self(Kind::ClientIp(strategy, Ipv6Prefix::default()))
    }

    /// As [`RateLimitKey::client_ip`], with IPv6 networks of another size.
    pub fn client_network(strategy: ClientIp, ipv6: Ipv6Prefix) -> Self {
        Self(Kind::ClientIp(strategy, ipv6))
    }

    /// The subject and the tenant of the [`Principal`] in the request's extensions.
    ///
    /// The layer that proves who is asking must stand outside of this one. Without a principal the request
    /// is refused (403, `rate_limit_key_unknown`).
    pub fn principal() -> Self {
        Self(Kind::Principal)
    }

    /// The tenant of the [`Principal`] in the request's extensions: all its users count together.
    ///
    /// Without a principal, or for one without a tenant, the request is refused (403,
    /// `rate_limit_key_unknown`).
    pub fn tenant() -> Self {
        Self(Kind::Tenant)
    }

    /// The value of a header field: an API key, say. A request that has not exactly one such field, or an
    /// empty one, is refused (403, `rate_limit_key_unknown`).
    ///
    /// Who may send any value has a fresh quota for each: let what verifies the field stand outside, or
    /// count by address too. In memory a key is kept only as a keyed hash.
    pub fn header(name: HeaderName) -> Self {
        Self(Kind::Header(name))
    }

    /// The same for every request: with [`RateLimitKey::and`], what sets routes apart that share a store,
    /// and alone, a limit for all clients together.
    pub fn named(name: &'static str) -> Self {
        Self(Kind::Named(name))
    }

    /// What a closure says. If it says `None`, the request is refused (403, `rate_limit_key_unknown`).
    ///
    /// What a client can choose freely (a header that nobody checks, a query, the case or the encoding of a
    /// path) gives it a fresh quota whenever it chooses anew.
    pub fn custom(key: impl Fn(RequestHead<'_>) -> Option<String> + Send + Sync + 'static) -> Self {
        Self(Kind::Custom(Arc::new(key)))
    }

    /// This key and that one together: requests count together only if both are the same.
    ///
    /// The parts are told apart by their lengths, not by a separator that could stand in one of them.
    pub fn and(self, other: Self) -> Self {
        Self(Kind::Both(Arc::new((self, other))))
    }

    /// The key as [`RateLimitKey::write`] writes it, in words and zeros, if it is an address and nothing else.
    #[inline]
    pub(super) fn address(
        &self,
        request: RequestHead<'_>,
    ) -> Option<Result<[u64; ADDRESS_WORDS], NoKey>> {
        let Kind::ClientIp(strategy, ipv6) = &self.0 else {
            return None;
        };
        Some(match strategy.key(request, *ipv6) {
            Ok(key) => {
                // Put together by shifts, as words that were stored in other parts are slow to load.
                let (bits, prefix) = key.to_bits();
                let bits = bits.swap_bytes();
                #[allow(clippy::cast_possible_truncation, reason = "both halves are taken")]
                let (first, second) = (bits as u64, (bits >> 64) as u64);
                Ok([
                    u64::from(tag::ADDRESS) | first << 8,
                    first >> 56 | second << 8,
                    second >> 56 | u64::from(prefix) << 8,
                ])
            }
            Err(error) => Err(error.rejection()),
        })
    }

    /// Appends the request's key: for each part its kind, its length where that varies, its bytes.
    pub(super) fn write(&self, request: RequestHead<'_>, key: &mut KeyBytes) -> Result<(), NoKey> {
        match &self.0 {
            Kind::ClientIp(strategy, ipv6) => {
                let ip = strategy
                    .resolve(request)
                    .map_err(|error| error.rejection())?;
                key.push(&[tag::ADDRESS]);
                key.push(&IpKey::new(ip, *ipv6).to_bytes());
            }
            Kind::Principal => {
                let principal = request.extensions().get().ok_or_else(unknown)?;
                let tenant = Principal::tenant_id(principal);
                key.push(&[if tenant.is_some() {
                    tag::MEMBER
                } else {
                    tag::PRINCIPAL
                }]);
                write_bytes(key, tenant.unwrap_or_default().as_bytes());
                write_bytes(key, principal.subject().as_bytes());
            }
            Kind::Tenant => {
                let principal: &Principal = request.extensions().get().ok_or_else(unknown)?;
                key.push(&[tag::TENANT]);
                write_bytes(key, principal.tenant_id().ok_or_else(unknown)?.as_bytes());
            }
            Kind::Header(name) => {
                let mut values = request.headers().get_all(name).iter();
                let (Some(value), None) = (values.next(), values.next()) else {
                    return Err(unknown());
                };
                if value.is_empty() {
                    return Err(unknown());
                }
                key.push(&[tag::HEADER]);
                write_bytes(key, name.as_str().as_bytes());
                write_bytes(key, value.as_bytes());
            }
            Kind::Named(name) => {
                key.push(&[tag::NAMED]);
                write_bytes(key, name.as_bytes());
            }
            Kind::Custom(custom) => {
                let text = custom(request).ok_or_else(unknown)?;
                key.push(&[tag::CUSTOM]);
                write_bytes(key, text.as_bytes());
            }
            Kind::Both(both) => {
                both.0.write(request, key)?;
                both.1.write(request, key)?;
            }
        }
        Ok(())
    }
}

impl fmt::Debug for RateLimitKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Kind::ClientIp(strategy, ipv6) => f
                .debug_tuple("ClientIp")
                .field(strategy)
                .field(ipv6)
                .finish(),
            Kind::Principal => f.write_str("Principal"),
            Kind::Tenant => f.write_str("Tenant"),
            Kind::Header(name) => f.debug_tuple("Header").field(name).finish(),
            Kind::Named(name) => f.debug_tuple("Named").field(name).finish(),
            Kind::Custom(_) => f.write_str("Custom(..)"),
            Kind::Both(both) => f.debug_tuple("Both").field(&both.0).field(&both.1).finish(),
        }
    }
}

/// The bytes of a key that is an address.
pub(super) const ADDRESS_LENGTH: usize = 18;

/// The words of it.
pub(super) const ADDRESS_WORDS: usize = 3;

/// What a part of a key begins with, so that parts of different kinds never are the same.
mod tag {
    pub(super) const ADDRESS: u8 = b'i';
    pub(super) const PRINCIPAL: u8 = b'p';
    /// A principal of a tenant.
    pub(super) const MEMBER: u8 = b't';
    pub(super) const TENANT: u8 = b'o';
    pub(super) const HEADER: u8 = b'h';
    pub(super) const NAMED: u8 = b'n';
    pub(super) const CUSTOM: u8 = b'c';
}

fn write_bytes(key: &mut KeyBytes, bytes: &[u8]) {
    key.push(&(bytes.len() as u64).to_be_bytes());
    key.push(bytes);
}

fn unknown() -> NoKey {
    Rejection::new(
        StatusCode::FORBIDDEN,
        "rate_limit_key_unknown",
        "It could not be determined whose rate this request counts towards.",
    )
}
