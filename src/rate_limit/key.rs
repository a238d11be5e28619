//! [`RateLimitKey`]: whose requests count together.

use std::{fmt, sync::Arc};

#[cfg(feature = "axum")]
use axum::extract::MatchedPath;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
use http::header::{AUTHORIZATION, PROXY_AUTHORIZATION};
use http::{HeaderName, StatusCode};

use super::buffer::Buffer;
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
use crate::crypto::sha256;
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
    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    ApiKey(HeaderName),
    #[cfg(feature = "axum")]
    Route,
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

    /// The subject, the issuer and the tenant of the [`Principal`] in the request's extensions: a subject is
    /// unique within its issuer only.
    ///
    /// The layer that proves who is asking must stand outside of this one. Without a principal the request
    /// is refused (403, `rate_limit_key_unknown`).
    pub fn principal() -> Self {
        Self(Kind::Principal)
    }

    /// The tenant of the [`Principal`] in the request's extensions, and who issued it: all users of the tenant
    /// count together, and tenants of two issuers apart though they are called the same.
    ///
    /// Without a principal, or for one without a tenant, the request is refused (403,
    /// `rate_limit_key_unknown`).
    pub fn tenant() -> Self {
        Self(Kind::Tenant)
    }

    /// The value of a header field. A request that has not exactly one such field, or an empty one, is refused
    /// (403, `rate_limit_key_unknown`).
    ///
    /// Who may send any value has a fresh quota for each: let what verifies the field stand outside, or
    /// count by address too. For a secret take [`RateLimitKey::api_key`].
    pub fn header(name: HeaderName) -> Self {
        Self(Kind::Header(name))
    }

    /// The API key in a header field, hashed with SHA-256: no store and no name of a key in Redis ever holds the
    /// API key itself. A key that could be guessed could still be guessed from its hash.
    ///
    /// In `Authorization` and `Proxy-Authorization` the key is what stands after the scheme (RFC 9110 section
    /// 11.4), whichever that is and however it is written; a scheme with nothing but white space after it is
    /// refused. A single word is the key itself, so all who send `Bearer` and no more, which is what servers make of
    /// white space at the end, count together.
    ///
    /// Otherwise as [`RateLimitKey::header`]. It needs a crypto backend (feature `aws-lc` or `rust-crypto`).
    #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
    pub fn api_key(name: HeaderName) -> Self {
        Self(Kind::ApiKey(name))
    }

    /// The route that axum matched, as it was written (`/users/{id}`): all paths of a route count together, and
    /// no spelling of a path has a quota of its own.
    ///
    /// The layer must stand inside of the router, as those do that `Router::layer` and `route_layer` add. A
    /// request without a route (a fallback's) is refused (403, `rate_limit_key_unknown`). Elsewhere, give each
    /// route a layer with a [name](RateLimitKey::named).
    #[cfg(feature = "axum")]
    pub fn route() -> Self {
        Self(Kind::Route)
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

    /// The key of a request as stores know it: for an operator who looks up, resets or blocks it.
    ///
    /// ```
    /// use http::Request;
    /// use portcullis::{
    ///     client_ip::{ClientIp, PeerAddr},
    ///     rate_limit::{Quota, RateLimitKey, RateLimitStore},
    ///     store::MemoryStore,
    /// };
    ///
    /// # let store = MemoryStore::new();
    /// // Forget what this address has used.
    /// let request = Request::builder().extension(PeerAddr("192.0.2.1:0".parse().unwrap()));
    /// let request = request.body(()).unwrap();
    /// let key = RateLimitKey::client_ip(ClientIp::peer()).of((&request).into()).unwrap();
    /// store.reset(&key, &Quota::sign_in());
    /// ```
    ///
    /// # Errors
    ///
    /// As for a request: the refusal of one whose key cannot be determined.
    pub fn of(&self, request: RequestHead<'_>) -> Result<Vec<u8>, Rejection> {
        let mut key = KeyBytes::new();
        self.write(request, &mut key)?;
        Ok(key.as_bytes().to_vec())
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
                let principal: &Principal = request.extensions().get().ok_or_else(unknown)?;
                key.push(&[tag::PRINCIPAL]);
                write_optional(key, principal.issuer());
                write_optional(key, principal.tenant_id());
                write_bytes(key, principal.subject().as_bytes());
            }
            Kind::Tenant => {
                let principal: &Principal = request.extensions().get().ok_or_else(unknown)?;
                key.push(&[tag::TENANT]);
                write_optional(key, principal.issuer());
                write_bytes(key, principal.tenant_id().ok_or_else(unknown)?.as_bytes());
            }
            Kind::Header(name) => {
                let value = only(request, name)?;
                key.push(&[tag::HEADER]);
                write_bytes(key, name.as_str().as_bytes());
                write_bytes(key, value);
            }
            #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
            Kind::ApiKey(name) => {
                let hash = sha256(credentials(name, only(request, name)?)?);
                key.push(&[tag::API_KEY]);
                write_bytes(key, name.as_str().as_bytes());
                key.push(&hash);
            }
            #[cfg(feature = "axum")]
            Kind::Route => {
                let route = request.extensions().get().ok_or_else(unknown)?;
                key.push(&[tag::ROUTE]);
                write_bytes(key, MatchedPath::as_str(route).as_bytes());
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
            #[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
            Kind::ApiKey(name) => f.debug_tuple("ApiKey").field(name).finish(),
            #[cfg(feature = "axum")]
            Kind::Route => f.write_str("Route"),
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
    pub(super) const TENANT: u8 = b'o';
    pub(super) const HEADER: u8 = b'h';
    #[cfg(any(test, feature = "aws-lc", feature = "rust-crypto"))]
    pub(super) const API_KEY: u8 = b'a';
    #[cfg(any(test, feature = "axum"))]
    pub(super) const ROUTE: u8 = b'r';
    pub(super) const NAMED: u8 = b'n';
    pub(super) const CUSTOM: u8 = b'c';
    #[cfg(test)]
    pub(super) const ALL: [u8; 8] = [
        ADDRESS, PRINCIPAL, TENANT, HEADER, API_KEY, ROUTE, NAMED, CUSTOM,
    ];
}

/// The value of a header field that came once and says something.
fn only<'r>(request: RequestHead<'r>, name: &HeaderName) -> Result<&'r [u8], NoKey> {
    let mut values = request.headers().get_all(name).iter();
    match (values.next(), values.next()) {
        (Some(value), None) if !value.is_empty() => Ok(value.as_bytes()),
        _ => Err(unknown()),
    }
}

/// What a key is in a field: without the scheme, where the field begins with one.
#[cfg(any(feature = "aws-lc", feature = "rust-crypto"))]
fn credentials<'v>(name: &HeaderName, value: &'v [u8]) -> Result<&'v [u8], NoKey> {
    if *name != AUTHORIZATION && *name != PROXY_AUTHORIZATION {
        return Ok(value);
    }
    let value = value.trim_ascii_start();
    let after = value.iter().position(u8::is_ascii_whitespace);
    let key = after.map_or(value, |at| &value[at..]).trim_ascii();
    if key.is_empty() {
        return Err(unknown());
    }
    Ok(key)
}

/// Whether there is one, and which.
fn write_optional(key: &mut KeyBytes, text: Option<&str>) {
    key.push(&[u8::from(text.is_some())]);
    if let Some(text) = text {
        write_bytes(key, text.as_bytes());
    }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::tag;

    #[test]
    fn no_two_kinds_of_parts_begin_alike() {
        assert_eq!(BTreeSet::from(tag::ALL).len(), tag::ALL.len());
    }
}
