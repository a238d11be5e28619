//! The pieces of Structured Fields (RFC 9651) that header fields here are written in.

/// Whether `text` is a key of a dictionary (RFC 9651 section 3.1.2).
pub(super) fn is_key(text: &str) -> bool {
    let mut bytes = text.bytes();
    bytes
        .next()
        .is_some_and(|first| first.is_ascii_lowercase() || first == b'*')
        && bytes.all(|byte| {
            byte.is_ascii_lowercase()
                || byte.is_ascii_digit()
                || matches!(byte, b'_' | b'-' | b'.' | b'*')
        })
}

/// Whether `text` is a serialised origin of the web, `http` or `https`, perhaps with a leading `*.` in the
/// host: no path, no user, nothing that could end the string that it is put into.
pub(super) fn is_web_origin(text: &str) -> bool {
    let Some(rest) = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
    else {
        return false;
    };
    let (host, port) = match rest.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        _ => (rest, None),
    };
    let host = host.strip_prefix("*.").unwrap_or(host);
    super::host::is_host(host) && port.is_none_or(|port| port.parse::<u16>().is_ok_and(|p| p != 0))
}

/// Whether `text` is printable ASCII without the two characters that a string must escape.
pub(super) fn is_plain_string(text: &str) -> bool {
    text.bytes()
        .all(|byte| (0x21..=0x7e).contains(&byte) && byte != b'"' && byte != b'\\')
}
