//! The elements of a list header, from the right, and no further than is asked.

use std::iter::Rev;

use http::{HeaderMap, HeaderName, HeaderValue, header::ValueIter};

use super::error::ClientIpErrorKind;

/// How many elements of a list are looked at, from the right.
pub const MAX_HOPS: usize = 32;

/// How long one element may be, in bytes.
pub(super) const MAX_ELEMENT: usize = 1024;

/// The elements of a list header, last one first, without the space around them.
///
/// Several lines are one list in their order (RFC 9110 section 5.2). Nothing is read to the left of what is
/// asked for, so nothing that a client wrote can change how the elements that proxies appended are read:
/// neither a quotation mark left open nor a hundred kilobytes of commas.
#[derive(Debug)]
pub(super) struct Hops<'a> {
    lines: Rev<ValueIter<'a, HeaderValue>>,
    line: Option<&'a [u8]>,
    quotes: bool,
    left: usize,
}

impl<'a> Hops<'a> {
    /// The elements of every line called `name`. With `quotes`, a comma in a quoted string does not
    /// separate (RFC 9110 section 5.6.4).
    pub(super) fn new(headers: &'a HeaderMap, name: &HeaderName, quotes: bool) -> Self {
        Self {
            lines: headers.get_all(name).iter().rev(),
            line: None,
            quotes,
            left: MAX_HOPS,
        }
    }
}

impl<'a> Iterator for Hops<'a> {
    type Item = Result<&'a [u8], ClientIpErrorKind>;

    fn next(&mut self) -> Option<Self::Item> {
        let line = match self.line.take() {
            Some(line) => line,
            None => self.lines.next()?.as_bytes(),
        };
        if self.left == 0 {
            return Some(Err(ClientIpErrorKind::TooManyHops));
        }
        self.left -= 1;
        let Some((before, element)) = split_last(line, self.quotes) else {
            // Nothing is read to the left of an error either.
            self.left = 0;
            return Some(Err(ClientIpErrorKind::Malformed));
        };
        self.line = before;
        Some(Ok(element.trim_ascii()))
    }
}

/// The last element of a line and what stands before its comma; `None` if the element is too long or opens
/// no quoted string that it closes.
fn split_last(line: &[u8], quotes: bool) -> Option<(Option<&[u8]>, &[u8])> {
    let mut quoted = false;
    for (at, &byte) in line.iter().enumerate().rev().take(MAX_ELEMENT + 1) {
        match byte {
            b',' if !quoted => return Some((Some(&line[..at]), &line[at + 1..])),
            // Read backwards, a quotation mark that a backslash escapes is inside its string.
            b'"' if quotes && !(quoted && is_escaped(&line[..at])) => quoted = !quoted,
            _ => {}
        }
    }
    (!quoted && line.len() <= MAX_ELEMENT).then_some((None, line))
}

/// Does what stands before a character escape it: an odd number of backslashes?
fn is_escaped(before: &[u8]) -> bool {
    before
        .iter()
        .rev()
        .take(MAX_ELEMENT)
        .take_while(|&&byte| byte == b'\\')
        .count()
        % 2
        == 1
}
