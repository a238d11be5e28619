//! A policy's value, with places for a nonce.

use bytes::Bytes;
use http::HeaderValue;

use super::{ContentSecurityPolicy, CspNonce, nonce, source::NONCE_MARK};

/// The value of a policy's header field: ready, or in pieces around the places of the nonce.
#[derive(Clone, Debug)]
pub(in crate::headers) enum Template {
    /// The same in every response.
    Fixed(HeaderValue),
    /// A nonce goes between every two pieces.
    Spliced {
        pieces: Box<[Box<str>]>,
        length: usize,
    },
}

impl Template {
    pub(in crate::headers) fn new(policy: &ContentSecurityPolicy) -> Self {
        let text = policy.as_str();
        let places = text.matches(NONCE_MARK).count();
        if places == 0 {
            return Self::Fixed(policy.fixed_value());
        }
        // The quotes of the mark stay: 'nonce' becomes 'nonce-' and the nonce and '.
        let spliced = text.replace(NONCE_MARK, "'nonce-\0'");
        let pieces: Box<[Box<str>]> = spliced.split('\0').map(Box::from).collect();
        let length = spliced.len() - places + places * nonce::LENGTH;
        Self::Spliced { pieces, length }
    }

    /// The value for a response with this nonce, or nothing if the policy needs one and there is none.
    pub(in crate::headers) fn value(&self, nonce: Option<&CspNonce>) -> Option<HeaderValue> {
        let (pieces, length) = match self {
            Self::Fixed(value) => return Some(value.clone()),
            Self::Spliced { pieces, length } => (pieces, *length),
        };
        let nonce = nonce?.as_str();
        let mut value = Vec::with_capacity(length);
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                value.extend_from_slice(nonce.as_bytes());
            }
            value.extend_from_slice(piece.as_bytes());
        }
        HeaderValue::from_maybe_shared(Bytes::from(value)).ok()
    }

    /// What stands where a nonce is missing: a policy that allows nothing.
    pub(in crate::headers) fn placeholder() -> HeaderValue {
        HeaderValue::from_static(ContentSecurityPolicy::NOTHING)
    }
}
