//! [`TokenSource`]: where in a request the token is.

use http::{HeaderMap, HeaderName, header};

use super::{
    authorization::{self, is_tchar},
    error::JwtErrorKind,
};
use crate::{config::ConfigError, head::RequestHead};

/// Where in a request the token is.
///
/// A browser sends a cookie with every request, whoever had it made: where tokens are taken from cookies, a
/// defence against cross-site request forgery must stand beside this layer. Name such a cookie `__Host-…`,
/// so that no other host of the domain can plant one.
///
/// A source that holds two tokens is refused as `jwt_ambiguous`: who planted the second is not known. One
/// that is empty holds none. What is in it is not decoded in any way, as tokens need none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TokenSource(Place);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    Authorization,
    Header(HeaderName),
    Cookie(String),
    Query(String),
}

impl TokenSource {
    /// `Authorization: Bearer …` (RFC 6750 section 2.1). Credentials of another scheme are no token.
    #[must_use]
    pub fn authorization() -> Self {
        Self(Place::Authorization)
    }

    /// A header field that holds the token and nothing else, as some gateways send it.
    ///
    /// # Errors
    ///
    /// If it is no name of a header field (RFC 9110 section 5.1), or is `Authorization` or `Cookie`, which
    /// have sources of their own.
    pub fn header(name: impl AsRef<str>) -> Result<Self, ConfigError> {
        let name = name.as_ref();
        let wrong = || ConfigError::new("token_source", name, "must be the name of a header field");
        let read: HeaderName = name.parse().map_err(|_| wrong())?;
        match read == header::AUTHORIZATION || read == header::COOKIE {
            true => Err(wrong()),
            false => Ok(Self(Place::Header(read))),
        }
    }

    /// A cookie (RFC 6265 section 5.4). Its name is compared exactly; pairs that are malformed are passed
    /// over, as if the browser had not sent them.
    ///
    /// # Errors
    ///
    /// If it is no name of a cookie (RFC 6265 section 4.1.1).
    pub fn cookie(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        match !name.is_empty() && name.bytes().all(is_tchar) {
            true => Ok(Self(Place::Cookie(name))),
            false => Err(ConfigError::new(
                "token_source",
                name,
                "must be the name of a cookie",
            )),
        }
    }

    /// A parameter of the query (RFC 6750 section 2.3, which says not to): for clients that can set no
    /// header, such as `EventSource` and WebSockets in browsers.
    ///
    /// A token in an address stays in histories, in the logs of every proxy, and in what is sent as
    /// `Referer`. Answers of handlers get `Cache-Control: private` where they have no such field. Keep the
    /// lives of such tokens to seconds.
    ///
    /// # Errors
    ///
    /// If it has other characters than letters, digits, `-`, `.`, `_` and `~`.
    pub fn dangerous_query(name: impl Into<String>) -> Result<Self, ConfigError> {
        let name = name.into();
        let is_unreserved = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
        match !name.is_empty() && name.bytes().all(is_unreserved) {
            true => Ok(Self(Place::Query(name))),
            false => Err(ConfigError::new(
                "token_source",
                name,
                "must be letters, digits, '-', '.', '_' and '~'",
            )),
        }
    }

    pub(super) fn is_query(&self) -> bool {
        matches!(self.0, Place::Query(_))
    }

    /// What is wrong with a token from here, of which nothing is known but that it does not verify.
    pub(super) fn fault(&self, token: &[u8]) -> Option<JwtErrorKind> {
        let is_credential = matches!(self.0, Place::Authorization);
        let is_fault = is_credential && !authorization::is_token68(token);
        is_fault.then_some(JwtErrorKind::AuthorizationMalformed)
    }

    /// The token that is there, if one is.
    pub(super) fn token<'r>(
        &self,
        request: RequestHead<'r>,
    ) -> Result<Option<&'r [u8]>, JwtErrorKind> {
        match &self.0 {
            Place::Authorization => authorization::bearer(request.headers()),
            Place::Header(name) => {
                let fields = request.headers().get_all(name).iter();
                only(fields.map(|field| field.as_bytes()))
            }
            Place::Cookie(name) => only(cookies(request.headers(), name.as_bytes())),
            Place::Query(name) => {
                let pairs = request.uri().query().unwrap_or_default().split('&');
                only(pairs.filter_map(|pair| value_of(pair.as_bytes(), name.as_bytes())))
            }
        }
    }
}

/// The values of the cookies of this name, in however many fields (RFC 9113 section 8.2.3) they came.
fn cookies<'r>(headers: &'r HeaderMap, name: &[u8]) -> impl Iterator<Item = &'r [u8]> {
    let fields = headers.get_all(header::COOKIE).iter();
    let pairs = fields.flat_map(|field| field.as_bytes().split(|byte| *byte == b';'));
    pairs.filter_map(move |pair| value_of(pair.trim_ascii(), name))
}

/// The value of a pair `name=value`, if it has this name.
fn value_of<'r>(pair: &'r [u8], name: &[u8]) -> Option<&'r [u8]> {
    pair.strip_prefix(name)?.strip_prefix(b"=")
}

/// The only value, unless it is empty.
fn only<'r>(mut values: impl Iterator<Item = &'r [u8]>) -> Result<Option<&'r [u8]>, JwtErrorKind> {
    let first = values.next();
    match values.next() {
        Some(_) => Err(JwtErrorKind::Ambiguous),
        None => Ok(first.filter(|value| !value.is_empty())),
    }
}
