//! The token in `Authorization` (RFC 6750 section 2.1, RFC 9110 section 11.6.2).

use http::{HeaderMap, header};

use super::error::JwtErrorKind;

/// The token of the one `Bearer` credential; none if there is no credential, or one of another scheme.
///
/// What is left unclear is refused: two fields, two credentials in one, a scheme without its token.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, JwtErrorKind> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(JwtErrorKind::AuthorizationMalformed);
    }
    let field = field.as_bytes();
    let end = field
        .iter()
        .position(|byte| !is_tchar(*byte))
        .unwrap_or(field.len());
    let (scheme, rest) = field.split_at(end);
    if scheme.is_empty() || !matches!(rest, [] | [b' ', ..]) {
        return Err(JwtErrorKind::AuthorizationMalformed);
    }
    if !scheme.eq_ignore_ascii_case(b"Bearer") {
        return Ok(None);
    }
    let start = rest
        .iter()
        .position(|byte| *byte != b' ')
        .unwrap_or(rest.len());
    let token = &rest[start..];
    match is_token68(token) {
        true => Ok(Some(token)),
        false => Err(JwtErrorKind::AuthorizationMalformed),
    }
}

/// RFC 9110 section 5.6.2.
fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 section 11.2, which is the `b64token` of RFC 6750.
fn is_token68(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let text = &text[..text.len() - padding];
    let is_allowed = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._~+/".contains(byte);
    !text.is_empty() && text.iter().all(is_allowed)
}
