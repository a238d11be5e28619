//! [`Key`] and [`Expiry`]: what may be written under which name, and for how long.

use std::{fmt::Write, time::Duration};

use redis::{RedisWrite, ToRedisArgs, ToSingleRedisArg};

/// The name of a key: `<prefix><domain>:{<part>,<part>…}<suffix>`.
///
/// The parts are the hash tag: keys with the same parts lie in one slot of a Cluster, whatever their
/// suffixes, so that one script may touch them together. Parts may come from anywhere: every byte but
/// letters, digits and `-._~@:=+/` is written as `%XX`, so no part can end the tag or run into the next, and
/// different parts always give different keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key(String);

impl Key {
    pub(super) fn new(prefix: &str, domain: &str, parts: &[&[u8]]) -> Self {
        let bytes: usize = parts.iter().map(|part| part.len() + 1).sum();
        let mut key = String::with_capacity(prefix.len() + domain.len() + bytes + 24);
        key.push_str(prefix);
        key.push_str(domain);
        key.push_str(":{");
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                key.push(',');
            }
            escape(&mut key, part);
        }
        // Redis takes no tag from `{}`, and then the whole key decides the slot.
        if key.ends_with('{') {
            key.push('%');
        }
        key.push('}');
        Self(key)
    }

    /// Another key in the same slot. The suffix is the crate's own text, never input.
    #[allow(
        dead_code,
        reason = "used by the modules with more than one key a subject"
    )]
    pub(crate) fn with_suffix(&self, suffix: &'static str) -> Self {
        let mut key = String::with_capacity(self.0.len() + suffix.len());
        key.push_str(&self.0);
        key.push_str(suffix);
        Self(key)
    }

    /// The name, for those that append to it.
    #[allow(dead_code, reason = "for those that write arguments themselves")]
    pub(crate) fn into_string(self) -> String {
        self.0
    }

    #[allow(dead_code, reason = "for those that write arguments themselves")]
    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

impl ToRedisArgs for Key {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        out.write_arg(self.0.as_bytes());
    }
}

impl ToSingleRedisArg for Key {}

fn escape(key: &mut String, part: &[u8]) {
    let mut rest = part;
    while let Some(plain) = rest.iter().position(|byte| !is_plain(*byte)) {
        let (run, tail) = rest.split_at(plain);
        key.push_str(plain_text(run));
        // Writing into a string cannot fail.
        let _ = write!(key, "%{:02X}", tail[0]);
        rest = &tail[1..];
    }
    key.push_str(plain_text(rest));
}

/// All of it is ASCII.
fn plain_text(run: &[u8]) -> &str {
    std::str::from_utf8(run).unwrap_or_default()
}

const fn is_plain(byte: u8) -> bool {
    byte.is_ascii_alphanumeric()
        || matches!(
            byte,
            b'-' | b'.' | b'_' | b'~' | b'@' | b':' | b'=' | b'+' | b'/'
        )
}

/// How long a key may stay: at least a millisecond, at most ten years.
///
/// Everything that writes a key takes one, as nothing in this crate is kept for ever.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Expiry(u64);

impl Expiry {
    const MOST: u64 = 10 * 366 * 24 * 60 * 60 * 1_000;

    /// Rounded up to whole milliseconds, so that nothing is forgotten early.
    pub(crate) fn after(lifetime: Duration) -> Self {
        let millis = lifetime.as_nanos().div_ceil(1_000_000);
        Self(
            u64::try_from(millis)
                .unwrap_or(Self::MOST)
                .clamp(1, Self::MOST),
        )
    }

    /// As `PX` and `PEXPIRE` take it.
    #[allow(dead_code, reason = "for those that write arguments themselves")]
    pub(crate) const fn millis(self) -> u64 {
        self.0
    }
}

impl ToRedisArgs for Expiry {
    fn write_redis_args<W: ?Sized + RedisWrite>(&self, out: &mut W) {
        self.0.write_redis_args(out);
    }
}

impl ToSingleRedisArg for Expiry {}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(parts: &[&[u8]]) -> String {
        Key::new("app:", "replay", parts).0
    }

    #[test]
    fn parts_cannot_leave_the_tag_or_run_into_each_other() {
        assert_eq!(text(&[b"stripe", b"evt_1"]), "app:replay:{stripe,evt_1}");
        assert_eq!(text(&[b"a}b{c,d%"]), "app:replay:{a%7Db%7Bc%2Cd%25}");
        assert_eq!(text(&[b"\xff\r\n"]), "app:replay:{%FF%0D%0A}");
        assert_ne!(text(&[b"a", b"b"]), text(&[b"a,b"]));
        assert_ne!(text(&[b"a", b""]), text(&[b"a"]));
        // A tag that is never empty.
        assert_eq!(text(&[b""]), "app:replay:{%}");
        assert_ne!(text(&[b""]), text(&[b"%"]));
        let key = Key::new("", "refresh", &[b"x"]);
        assert_eq!(key.with_suffix(":family").as_str(), "refresh:{x}:family");
    }

    #[test]
    fn an_expiry_is_never_none_and_never_early() {
        assert_eq!(Expiry::after(Duration::ZERO).millis(), 1);
        assert_eq!(Expiry::after(Duration::from_nanos(1)).millis(), 1);
        assert_eq!(Expiry::after(Duration::from_micros(1_500)).millis(), 2);
        assert_eq!(Expiry::after(Duration::from_secs(60)).millis(), 60_000);
        assert_eq!(Expiry::after(Duration::MAX).millis(), Expiry::MOST);
    }
}
