//! RFC 7239 section 4: one element of a `Forwarded` list.

use std::borrow::Cow;

use super::error::ClientIpErrorKind;

/// The parameters of one element that are of use here.
#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    /// `for`: whom the proxy that wrote this element was asked by.
    pub(super) client: Option<Cow<'a, [u8]>>,
    /// `proto`: how that one had asked.
    pub(super) proto: Option<Cow<'a, [u8]>>,
}

impl<'a> Element<'a> {
    /// Reads an element strictly, but for two habits of proxies in which nothing is ambiguous: space around
    /// `;`, and `:`, `[`, `]` in a value without quotes.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, ClientIpErrorKind> {
        let mut element = Self::default();
        let (mut by, mut host) = (None, None);
        let mut rest = text;
        loop {
            let (name, value, after) = pair(rest).ok_or(ClientIpErrorKind::Malformed)?;
            let slot = match name {
                name if name.eq_ignore_ascii_case(b"for") => Some(&mut element.client),
                name if name.eq_ignore_ascii_case(b"proto") => Some(&mut element.proto),
                name if name.eq_ignore_ascii_case(b"by") => Some(&mut by),
                name if name.eq_ignore_ascii_case(b"host") => Some(&mut host),
                _ => None,
            };
            // "Each parameter MUST NOT occur more than once."
            if slot.is_some_and(|slot| slot.replace(value).is_some()) {
                return Err(ClientIpErrorKind::Malformed);
            }
            rest = match after.trim_ascii_start().split_first() {
                None => return Ok(element),
                Some((b';', rest)) => rest,
                Some(_) => return Err(ClientIpErrorKind::Malformed),
            };
        }
    }
}

/// One `token=value`, and what stands after it.
fn pair(text: &[u8]) -> Option<(&[u8], Cow<'_, [u8]>, &[u8])> {
    let text = text.trim_ascii_start();
    let (name, rest) = split_while(text, is_token);
    let rest = rest.strip_prefix(b"=")?;
    let (value, rest) = match rest.strip_prefix(b"\"") {
        Some(quoted) => unquote(quoted)?,
        None => {
            let (value, rest) = split_while(rest, |byte| {
                is_token(byte) || matches!(byte, b':' | b'[' | b']')
            });
            (Cow::Borrowed(value), rest)
        }
    };
    (!name.is_empty() && !value.is_empty()).then_some((name, value, rest))
}

/// What a quoted string says (RFC 9110 section 5.6.4), and what stands after it.
fn unquote(text: &[u8]) -> Option<(Cow<'_, [u8]>, &[u8])> {
    let (plain, rest) = split_while(text, |byte| !matches!(byte, b'"' | b'\\'));
    if let Some(rest) = rest.strip_prefix(b"\"") {
        return Some((Cow::Borrowed(plain), rest));
    }
    let mut value = plain.to_vec();
    let mut bytes = rest.iter();
    loop {
        match bytes.next()? {
            b'"' => return Some((Cow::Owned(value), bytes.as_slice())),
            b'\\' => value.push(*bytes.next()?),
            byte => value.push(*byte),
        }
    }
}

fn split_while(text: &[u8], keep: impl Fn(u8) -> bool) -> (&[u8], &[u8]) {
    let end = text.iter().position(|&byte| !keep(byte));
    text.split_at(end.unwrap_or(text.len()))
}

/// `tchar` of RFC 9110 section 5.6.2.
fn is_token(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte)
}
