//! Payloads as most issuers write them, read in one pass.
//!
//! An object without spaces whose values are strings without escapes, whole numbers, `true`, `false`, `null`,
//! and lists of such strings. Whatever else stands in a payload, a mistake included, it is left to the
//! general reader as a whole; so nothing is accepted here that is not accepted there, with the same claims.
//! A test holds the two against each other. It takes a third of the instructions.

use serde_json::Value;

use super::registered::Payload;

/// The claims of a plain payload; none if it is not a plain one.
pub(super) fn read(text: &str) -> Option<Payload> {
    let mut rest = Reader(text);
    let mut payload = Payload::default();
    rest.take(b'{')?;
    loop {
        let name = rest.string()?;
        rest.take(b':')?;
        let value = rest.value()?;
        payload.add(name, value).ok()?;
        match rest.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    let is_whole = rest.0.is_empty();
    is_whole.then(|| payload.finish()).flatten()
}

/// What is left to read.
struct Reader<'t>(&'t str);

impl<'t> Reader<'t> {
    fn next(&mut self) -> Option<u8> {
        let byte = *self.0.as_bytes().first()?;
        self.0 = self.0.get(1..)?;
        Some(byte)
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    fn word(&mut self, word: &str, value: Value) -> Option<Value> {
        self.0 = self.0.strip_prefix(word)?;
        Some(value)
    }

    fn value(&mut self) -> Option<Value> {
        match *self.0.as_bytes().first()? {
            b'"' => self.string().map(Value::from),
            b'0'..=b'9' => self.number().map(Value::from),
            b'[' => self.list(),
            b't' => self.word("true", Value::Bool(true)),
            b'f' => self.word("false", Value::Bool(false)),
            b'n' => self.word("null", Value::Null),
            _ => None,
        }
    }

    fn string(&mut self) -> Option<&'t str> {
        self.take(b'"')?;
        let end = end_of_plain(self.0.as_bytes());
        let (text, rest) = self.0.split_at_checked(end)?;
        self.0 = rest;
        self.take(b'"')?;
        Some(text)
    }

    /// Of so many digits that it is exact, and without a zero in front of others.
    fn number(&mut self) -> Option<u64> {
        let is_digit = |byte: &u8| byte.is_ascii_digit();
        let digits = self.0.bytes().take_while(|byte| is_digit(byte)).count();
        let (text, rest) = self.0.split_at_checked(digits)?;
        if digits > 18 || digits > 1 && text.starts_with('0') {
            return None;
        }
        self.0 = rest;
        let number = text.bytes();
        Some(number.fold(0, |sum, digit| sum * 10 + u64::from(digit - b'0')))
    }

    fn list(&mut self) -> Option<Value> {
        self.take(b'[')?;
        let mut items = Vec::new();
        if self.0.starts_with(']') {
            self.take(b']')?;
            return Some(Value::Array(items));
        }
        loop {
            items.push(Value::from(self.string()?));
            match self.next()? {
                b',' => {}
                b']' => return Some(Value::Array(items)),
                _ => return None,
            }
        }
    }
}

/// Where the first quote, backslash or control character stands, or the end; eight bytes at a step.
fn end_of_plain(bytes: &[u8]) -> usize {
    const ONES: u64 = u64::from_le_bytes([1; 8]);
    const HIGHS: u64 = u64::from_le_bytes([0x80; 8]);
    // Of the bytes that are found, the first is one that was looked for; those after it may not be.
    let below = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGHS;
    let equal = |word: u64, byte: u8| below(word ^ (ONES * u64::from(byte)), 1);
    let (words, rest) = bytes.as_chunks::<8>();
    for (at, word) in words.iter().enumerate() {
        let word = u64::from_le_bytes(*word);
        let found = below(word, b' ') | equal(word, b'"') | equal(word, b'\\');
        if found != 0 {
            return at * 8 + found.trailing_zeros() as usize / 8;
        }
    }
    let is_special = |byte: &u8| *byte < b' ' || matches!(byte, b'"' | b'\\');
    let tail = rest.iter().position(is_special).unwrap_or(rest.len());
    words.len() * 8 + tail
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    #[test]
    fn the_payload_of_a_common_token_is_plain() {
        for text in [
            r#"{"iss":"https://a.example","exp":1800000000,"aud":["a","b"],"email_verified":true,"x":null}"#,
            r#"{"sub":"é","roles":[],"scope":"a b","n":0}"#,
        ] {
            let plain = read(text).expect("plain");
            assert_eq!(Payload::read_general(text), Some(plain));
        }
    }

    #[test]
    fn the_end_of_a_plain_string_is_found_at_every_place_and_of_every_kind() {
        for length in 0..40 {
            for filler in [b'x', b'!', b'#', b'[', b']', b' ', 0x7f, 0x80, 0xff] {
                let mut bytes = vec![filler; length];
                assert_eq!(end_of_plain(&bytes), length);
                for at in 0..length {
                    for special in [b'"', b'\\', 0, 0x1f, b'\n'] {
                        bytes[at] = special;
                        assert_eq!(end_of_plain(&bytes), at);
                    }
                    bytes[at] = filler;
                }
            }
        }
    }

    /// JSON, and what is almost JSON.
    fn piece() -> impl Strategy<Value = String> {
        let value = prop_oneof![
            "\"[ -~é\\\\\n]{0,12}\"",
            "-?[0-9]{1,21}(\\.[0-9])?(e[0-9])?",
            "true|false|null|nul|tru|\\{\\}|\\{\"a\":1\\}",
            "\\[(\"[a-z]{0,9}\",?|[0-9],?){0,3}\\]",
        ];
        let name = "iss|sub|aud|exp|nbf|iat|jti|scope|roles|a|b|\\\\u0061|[a-z\"]{0,3}";
        let space = " {0,1}";
        (name, space, value, ",?")
            .prop_map(|(name, space, value, comma)| format!("\"{name}\":{space}{value}{comma}"))
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4096))]

        #[test]
        fn a_plain_payload_says_what_the_general_reader_reads(
            pieces in vec(piece(), 0..5),
            end in "\\}?[ x}]?",
        ) {
            let text = format!("{{{}{end}", pieces.join(","));
            let fewer = text.replace(",,", ",");
            for text in [text, fewer] {
                if let Some(plain) = read(&text) {
                    prop_assert_eq!(Payload::read_general(&text), Some(plain), "{}", text);
                }
            }
        }

        #[test]
        fn arbitrary_text_is_read_as_the_general_reader_reads_it(text in "\\{?\\PC{0,80}") {
            if let Some(plain) = read(&text) {
                prop_assert_eq!(Payload::read_general(&text), Some(plain), "{}", text);
            }
        }
    }
}
