//! The token in `Authorization` (RFC 6750 section 2.1, RFC 9110 section 11.6.2).

use http::{HeaderMap, header};

use super::error::JwtErrorKind;

/// What stands after the one `Bearer`; none if there is no credential, or one of another scheme.
///
/// What is left unclear is refused: two fields, a scheme without a token. What does not look like a token
/// ([`is_token68`]) is still to be refused; a token that verifies looks like one.
pub(super) fn bearer(headers: &HeaderMap) -> Result<Option<&[u8]>, JwtErrorKind> {
    let mut fields = headers.get_all(header::AUTHORIZATION).iter();
    let Some(field) = fields.next() else {
        return Ok(None);
    };
    if fields.next().is_some() {
        return Err(JwtErrorKind::AuthorizationMalformed);
    }
    let field = field.as_bytes();
    if let Some((b"Bearer ", [first, ..])) = field.split_at_checked(7)
        && *first != b' '
    {
        return Ok(field.get(7..));
    }
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
    match token {
        [] => Err(JwtErrorKind::AuthorizationMalformed),
        token => Ok(Some(token)),
    }
}

/// RFC 9110 section 5.6.2.
pub(super) fn is_tchar(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}

/// RFC 9110 section 11.2, which is the `b64token` of RFC 6750: at least one character, and padding at the
/// end only.
pub(super) fn is_token68(text: &[u8]) -> bool {
    let padding = text.iter().rev().take_while(|byte| **byte == b'=').count();
    let text = &text[..text.len() - padding];
    // Without a branch, so that the compiler looks at many characters at once: tokens are long.
    let all = text
        .iter()
        .fold(true, |all, byte| all & is_token68_char(*byte));
    all && !text.is_empty()
}

fn is_token68_char(byte: u8) -> bool {
    let is_letter = (byte | 0x20).wrapping_sub(b'a') < 26;
    // '-', '.', '/' and the digits stand in a row.
    let is_in_row = byte.wrapping_sub(b'-') <= b'9' - b'-';
    is_letter | is_in_row | (byte == b'_') | (byte == b'~') | (byte == b'+')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn token68_has_the_characters_of_the_rfc_and_no_others() {
        for byte in 0..=u8::MAX {
            let expected = byte.is_ascii_alphanumeric() || b"-._~+/".contains(&byte);
            assert_eq!(is_token68_char(byte), expected, "{byte:#x}");
            assert_eq!(
                is_token68(&[b'x', byte]),
                expected || byte == b'=',
                "{byte:#x}"
            );
        }
        assert!(!is_token68(b"") && !is_token68(b"=") && !is_token68(b"=x") && is_token68(b"x=="));
    }
}
