//! [`ClientIpError`]: a client whose address is not known, and why.

use std::{error::Error, fmt};

use http::StatusCode;

use crate::problem::Rejection;

/// Why the client's address could not be determined.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientIpError {
    kind: ClientIpErrorKind,
}

impl ClientIpError {
    pub(super) const fn new(kind: ClientIpErrorKind) -> Self {
        Self { kind }
    }

    /// What went wrong.
    #[must_use]
    pub fn kind(&self) -> ClientIpErrorKind {
        self.kind
    }

    /// The stable code of the [kind](Self::kind).
    #[must_use]
    pub fn code(&self) -> &'static str {
        self.kind.code()
    }

    /// The refusal: a request whose client is unknown cannot be counted, allowed or audited.
    ///
    /// [`ClientIpErrorKind::PeerUnknown`] is the server's fault and answers 500. Everything else can be
    /// provoked by whoever reaches the server past its proxies, so it answers 400: a client that could
    /// raise server errors at will would make a load balancer take healthy instances out of service.
    #[must_use]
    pub fn rejection(&self) -> Rejection {
        let status = match self.kind {
            ClientIpErrorKind::PeerUnknown => StatusCode::INTERNAL_SERVER_ERROR,
            _ => StatusCode::BAD_REQUEST,
        };
        Rejection::new(
            status,
            self.code(),
            "The address of the client could not be determined.",
        )
    }
}

impl fmt::Display for ClientIpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self.kind {
            ClientIpErrorKind::PeerUnknown => {
                "the server has not told the address of the peer (see PeerAddr)"
            }
            ClientIpErrorKind::HeaderMissing => "the request lacks the header of its proxy",
            ClientIpErrorKind::HeaderRepeated => "a header of one address came with more than one",
            ClientIpErrorKind::Malformed => "what a proxy is to have written is no address",
            ClientIpErrorKind::Undisclosed => "a proxy hides the address of its client",
            ClientIpErrorKind::Unspecified => "a proxy names the unspecified address",
            ClientIpErrorKind::TooFewHops => "the request passed fewer proxies than are configured",
            ClientIpErrorKind::TooManyHops => "the list of hops is longer than is looked at",
        })
    }
}

impl Error for ClientIpError {}

/// [`ClientIpError::rejection`], so that a handler that refuses with a [`Rejection`] can use `?`.
impl From<ClientIpError> for Rejection {
    fn from(error: ClientIpError) -> Self {
        error.rejection()
    }
}

/// What kind of thing went wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ClientIpErrorKind {
    /// The request's extensions hold no usable address of the peer. The server is misconfigured: see
    /// [`PeerAddr`](super::PeerAddr). Code `client_ip_peer_unknown`.
    PeerUnknown,
    /// The header that the proxy is to write is not there. Code `client_ip_header_missing`.
    HeaderMissing,
    /// A header of one address came twice, or with a list. Code `client_ip_header_repeated`.
    HeaderRepeated,
    /// The element that had to be read is no address, or its header is not well-formed. Code
    /// `client_ip_malformed`.
    Malformed,
    /// The element that had to be read says `unknown`, is an obfuscated name, or has no `for` (RFC 7239
    /// section 6). Code `client_ip_undisclosed`.
    Undisclosed,
    /// The element that had to be read is `0.0.0.0` or `::`, which is nobody's address. Code
    /// `client_ip_unspecified`.
    Unspecified,
    /// The list has fewer elements than there are trusted proxies. Code `client_ip_too_few_hops`.
    TooFewHops,
    /// No untrusted address stands among the last [`MAX_HOPS`](super::MAX_HOPS) elements. Code
    /// `client_ip_too_many_hops`.
    TooManyHops,
}

impl ClientIpErrorKind {
    /// The code in refusals, logs and metrics, which never changes.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::PeerUnknown => "client_ip_peer_unknown",
            Self::HeaderMissing => "client_ip_header_missing",
            Self::HeaderRepeated => "client_ip_header_repeated",
            Self::Malformed => "client_ip_malformed",
            Self::Undisclosed => "client_ip_undisclosed",
            Self::Unspecified => "client_ip_unspecified",
            Self::TooFewHops => "client_ip_too_few_hops",
            Self::TooManyHops => "client_ip_too_many_hops",
        }
    }
}
