//! What is kept of a payload: its text, where in it the claims stand, and what was made of them.

use std::sync::{Arc, OnceLock};

use serde_json::{Map, Value};

use super::{
    own::Own,
    plain::{self, Plain},
    registered::{Audience, Payload, Registered, Span},
};
use crate::{
    jwt::error::{JwtError, JwtErrorKind},
    principal::Principal,
};

/// What a token says. Most of it is only looked up in the text when somebody asks.
#[derive(Default)]
pub(super) struct Record {
    plain: Plain,
    /// The whole payload where it is a plain one, or else the strings of the registered claims only.
    text: Box<str>,
    is_payload: bool,
    /// The other claims: of a plain payload not before somebody asks.
    other: OnceLock<Box<Map<String, Value>>>,
    pub(super) principal: OnceLock<Box<Principal>>,
    pub(super) own: Option<Box<Own>>,
}

impl Record {
    /// Reads a payload; a claim of a wrong type is malformed and never taken for absent.
    pub(super) fn read(payload: Vec<u8>) -> Result<Arc<Self>, JwtError> {
        let text = String::from_utf8(payload).map_err(|_| JwtErrorKind::ClaimsMalformed)?;
        let mut plain = Plain::default();
        if !plain::read(&text, &mut plain) {
            return Self::read_general(&text).map(Arc::new);
        }
        Ok(Arc::new(Self {
            plain,
            text: text.into_boxed_str(),
            is_payload: true,
            ..Self::default()
        }))
    }

    pub(super) fn read_general(text: &str) -> Result<Self, JwtError> {
        let payload = Payload::read(text).ok_or(JwtErrorKind::ClaimsMalformed)?;
        if let Some(claim) = payload.fault {
            return Err(JwtError::of_claim(JwtErrorKind::ClaimsMalformed, claim));
        }
        Ok(Self {
            plain: Plain {
                registered: payload.registered,
                others: Vec::new(),
            },
            text: payload.text.into_boxed_str(),
            other: OnceLock::from(Box::new(payload.other)),
            ..Self::default()
        })
    }

    /// The same claims, with nothing made of them yet.
    pub(super) fn anew(&self) -> Self {
        Self {
            plain: self.plain.clone(),
            text: self.text.clone(),
            is_payload: self.is_payload,
            other: self.other.clone(),
            ..Self::default()
        }
    }

    /// The payload, where it was kept as a whole.
    pub(super) fn payload(&self) -> Option<&str> {
        self.is_payload.then_some(&*self.text)
    }

    pub(super) fn registered(&self) -> &Registered {
        &self.plain.registered
    }

    pub(super) fn iss(&self) -> Option<&str> {
        self.string(self.plain.registered.iss)
    }

    pub(super) fn sub(&self) -> Option<&str> {
        self.string(self.plain.registered.sub)
    }

    pub(super) fn jti(&self) -> Option<&str> {
        self.string(self.plain.registered.jti)
    }

    pub(super) fn scope(&self) -> Option<&str> {
        self.string(self.plain.registered.scope)
    }

    pub(super) fn aud(&self) -> impl Iterator<Item = &str> {
        let audience = self.plain.registered.aud.as_ref();
        let spans = audience.map_or(&[][..], Audience::as_slice);
        spans.iter().map(|span| span.of(&self.text))
    }

    fn string(&self, span: Option<Span>) -> Option<&str> {
        span.map(|span| span.of(&self.text))
    }

    /// The claims without a field of their own.
    pub(super) fn other(&self) -> &Map<String, Value> {
        self.other.get_or_init(|| {
            // A plain payload is one that the general reader reads as well.
            let payload = (!self.plain.others.is_empty()).then(|| Payload::read(&self.text));
            Box::new(payload.flatten().unwrap_or_default().other)
        })
    }

    /// Whether the token has a claim of that name. Most are asked for by names that are known when compiled.
    #[inline(always)]
    pub(super) fn has(&self, name: &str) -> bool {
        let claims = &self.plain.registered;
        match name {
            "iss" => claims.iss.is_some(),
            "sub" => claims.sub.is_some(),
            "aud" => claims.aud.is_some(),
            "exp" => claims.exp.is_some(),
            "nbf" => claims.nbf.is_some(),
            "iat" => claims.iat.is_some(),
            "jti" => claims.jti.is_some(),
            "scope" if claims.scope.is_some() => true,
            other => self.has_other(other),
        }
    }

    /// Whether it has one of that name that has no field of its own.
    pub(super) fn has_other(&self, name: &str) -> bool {
        match self.other.get() {
            Some(other) => other.contains_key(name),
            None => self
                .plain
                .others
                .iter()
                .any(|own| own.of(&self.text) == name),
        }
    }
}
