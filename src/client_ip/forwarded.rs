//! RFC 7239 section 4: one element of a `Forwarded` list.

use std::borrow::Cow;

use super::error::ClientIpErrorKind;

/// What a parameter says; owned only if it had escapes.
type Value<'a> = Cow<'a, [u8]>;

/// The parameters of one element that are of use here.
#[derive(Debug, Default)]
pub(super) struct Element<'a> {
    /// `for`: whom the proxy that wrote this element was asked by.
    pub(super) client: Option<Value<'a>>,
    /// `proto`: how that one had asked.
    pub(super) proto: Option<Value<'a>>,
}

impl<'a> Element<'a> {
    /// Reads an element strictly, but for two habits of proxies in which nothing is ambiguous: space around
    /// `;`, and `:`, `[`, `]` in a value without quotes.
    pub(super) fn parse(text: &'a [u8]) -> Result<Self, ClientIpErrorKind> {
        if text.is_empty() {
            return Err(ClientIpErrorKind::Malformed);
        }
        let mut element = Self::default();
        let (mut by, mut host) = (None, None);
        let mut rest = text;
        loop {
            rest = rest.trim_ascii_start();
            // Between two semicolons there may be nothing.
            if !matches!(rest.first(), None | Some(b';')) {
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
                rest = after.trim_ascii_start();
            }
            rest = match rest.split_first() {
                None => return Ok(element),
                Some((b';', rest)) => rest,
                Some(_) => return Err(ClientIpErrorKind::Malformed),
            };
        }
    }
}

/// One `token=value`, and what stands after it.
fn pair(text: &[u8]) -> Option<(&[u8], Value<'_>, &[u8])> {
    let (name, rest) = split_while(text, is_token);
    let rest = rest.strip_prefix(b"=").filter(|_| !name.is_empty())?;
    if let Some(quoted) = rest.strip_prefix(b"\"") {
        let (value, rest) = unquote(quoted)?;
        return Some((name, value, rest));
    }
    let is_value = |byte| is_token(byte) || matches!(byte, b':' | b'[' | b']');
    let (value, rest) = split_while(rest, is_value);
    (!value.is_empty()).then_some((name, Cow::Borrowed(value), rest))
}

/// What a quoted string says (RFC 9110 section 5.6.4), and what stands after it.
fn unquote(text: &[u8]) -> Option<(Value<'_>, &[u8])> {
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
