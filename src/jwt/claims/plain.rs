//! Payloads as most issuers write them, read in one pass and left where they are.
//!
//! An object without spaces whose values are strings without escapes, whole numbers, `true`, `false`, `null`,
//! and lists of such strings. Of the claims that are checked, what is found out is where they stand; the
//! others are only named, and made into values when somebody asks for one. Whatever else stands in a
//! payload, a mistake included, it is left to the general reader as a whole; so nothing is accepted here
//! that is not accepted there, with the same claims. A test holds the two against each other.

use super::registered::{Audience, NumericDate, Registered, Span};

/// The most claims that have no meaning of their own: each name is compared with those before it.
const MOST_OTHERS: usize = 32;

/// What a plain payload says, and where.
#[derive(Clone, Default)]
pub(in crate::jwt) struct Plain {
    pub(super) registered: Registered,
    /// The names of the other claims.
    pub(super) others: Vec<Span>,
}

/// Reads the claims of a plain payload, and says whether it is one. Where it is none, what was read until
/// then is good for nothing.
pub(super) fn read(text: &str, plain: &mut Plain) -> bool {
    read_whole(text, plain).is_some()
}

fn read_whole(text: &str, plain: &mut Plain) -> Option<()> {
    let mut reader = Reader { text, at: 0 };
    let claims = &mut plain.registered;
    reader.take(b'{')?;
    loop {
        // All claims that are checked have names of three letters.
        match &reader.short_name() {
            b"iss" => once(&mut claims.iss, reader.past_name().string()?)?,
            b"sub" => once(&mut claims.sub, reader.past_name().string()?)?,
            b"jti" => once(&mut claims.jti, reader.past_name().string()?)?,
            b"aud" => once(&mut claims.aud, reader.past_name().audience()?)?,
            b"exp" => once(&mut claims.exp, reader.past_name().date()?)?,
            b"nbf" => once(&mut claims.nbf, reader.past_name().date()?)?,
            b"iat" => once(&mut claims.iat, reader.past_name().date()?)?,
            _ => {
                let name = reader.string()?;
                reader.take(b':')?;
                match name.of(text) {
                    // A list of scopes is read by the general reader, so that there are not two kinds of
                    // them here.
                    "scope" => once(&mut claims.scope, reader.string()?)?,
                    own => {
                        let is_own = |other: &Span| other.of(text) == own;
                        if plain.others.len() == MOST_OTHERS || plain.others.iter().any(is_own) {
                            return None;
                        }
                        plain.others.push(name);
                        reader.value()?;
                    }
                }
            }
        }
        match reader.next()? {
            b',' => {}
            b'}' => break,
            _ => return None,
        }
    }
    (reader.at == text.len()).then_some(())
}

/// Fills the slot, unless it was filled before.
fn once<T>(slot: &mut Option<T>, value: T) -> Option<()> {
    if slot.is_some() {
        return None;
    }
    *slot = Some(value);
    Some(())
}

/// A text, read up to a place in it.
struct Reader<'t> {
    text: &'t str,
    at: usize,
}

/// The length of a name of three letters, its quotes and its colon.
const SHORT: usize = 6;

impl Reader<'_> {
    /// The name that stands here, if it has three letters; or else zeros, which no name is.
    #[inline(always)]
    fn short_name(&self) -> [u8; 3] {
        match self.text.as_bytes().get(self.at..) {
            Some([b'"', a, b, c, b'"', b':', ..]) => [*a, *b, *c],
            _ => [0; 3],
        }
    }

    /// Goes past a name of three letters.
    #[inline(always)]
    fn past_name(&mut self) -> &mut Self {
        self.at += SHORT;
        self
    }

    fn peek(&self) -> Option<u8> {
        self.text.as_bytes().get(self.at).copied()
    }

    fn next(&mut self) -> Option<u8> {
        let byte = self.peek()?;
        self.at += 1;
        Some(byte)
    }

    fn take(&mut self, expected: u8) -> Option<()> {
        (self.next()? == expected).then_some(())
    }

    fn word(&mut self, word: &str) -> Option<()> {
        let rest = self.text.as_bytes().get(self.at..)?;
        rest.starts_with(word.as_bytes()).then_some(())?;
        self.at += word.len();
        Some(())
    }

    fn value(&mut self) -> Option<()> {
        match self.peek()? {
            b'"' => self.string().map(|_| ()),
            b'0'..=b'9' => self.number().map(|_| ()),
            b'[' => self.list(|_| ()),
            b't' => self.word("true"),
            b'f' => self.word("false"),
            b'n' => self.word("null"),
            _ => None,
        }
    }

    #[inline(always)]
    fn string(&mut self) -> Option<Span> {
        self.take(b'"')?;
        let start = self.at;
        let end = start + end_of_plain(self.text.as_bytes().get(start..)?);
        self.at = end;
        self.take(b'"')?;
        Span::new(start, end)
    }

    /// Of so many digits that it is exact, and without a zero in front of others.
    fn number(&mut self) -> Option<u64> {
        let rest = self.text.as_bytes().get(self.at..)?;
        let (mut number, mut digits) = (0_u64, 0);
        if let Some(eight) = rest.first_chunk().and_then(eight_digits) {
            (number, digits) = (eight, 8);
        }
        for byte in &rest[digits..] {
            let digit = byte.wrapping_sub(b'0');
            if digit > 9 {
                break;
            }
            number = number.wrapping_mul(10).wrapping_add(u64::from(digit));
            digits += 1;
        }
        self.at += digits;
        let has_zero_in_front = digits > 1 && rest.first() == Some(&b'0');
        (matches!(digits, 1..=18) && !has_zero_in_front).then_some(number)
    }

    #[inline]
    fn date(&mut self) -> Option<NumericDate> {
        NumericDate::from_seconds(self.number()?)
    }

    fn audience(&mut self) -> Option<Audience> {
        if self.peek()? == b'"' {
            return self.string().map(Audience::One);
        }
        let mut names = Vec::new();
        self.list(|name| names.push(name))?;
        Some(Audience::Many(names))
    }

    /// A list of strings.
    fn list(&mut self, mut found: impl FnMut(Span)) -> Option<()> {
        self.take(b'[')?;
        if self.peek()? == b']' {
            return self.take(b']');
        }
        loop {
            found(self.string()?);
            match self.next()? {
                b',' => {}
                b']' => return Some(()),
                _ => return None,
            }
        }
    }
}

/// The number that eight digits write; the first of them is the most significant.
#[inline]
fn eight_digits(text: &[u8; 8]) -> Option<u64> {
    const ZEROS: u64 = u64::from_le_bytes([b'0'; 8]);
    let word = u64::from_le_bytes(*text);
    let digits = word.wrapping_sub(ZEROS);
    // A byte over nine carries into its upper half when six is added; one under zero has it set.
    let over = digits.wrapping_add(u64::from_le_bytes([6; 8])) | digits;
    if over & u64::from_le_bytes([0xf0; 8]) != 0 {
        return None;
    }
    // Pairs, then fours, then all: each step adds ten, a hundred, ten thousand times a half to the other.
    let pairs =
        (digits * 10 + (digits >> 8)) & u64::from_le_bytes([0xff, 0, 0xff, 0, 0xff, 0, 0xff, 0]);
    let fours =
        (pairs * 100 + (pairs >> 16)) & u64::from_le_bytes([0xff, 0xff, 0, 0, 0xff, 0xff, 0, 0]);
    Some((fours * 10_000 + (fours >> 32)) & u64::from(u32::MAX))
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

    use super::{super::Claims, *};

    /// All that claims say: what a reader of them gets, and what they are judged by.
    fn said(claims: &Claims) -> String {
        let dates = [claims.expires_at(), claims.not_before(), claims.issued_at()];
        let payload = serde_json::to_string(claims).expect("JSON");
        let has = ["cnf", "a", "b", "scope", "iss"].map(|name| claims.has(name));
        format!("{payload} {claims:?} {dates:?} {has:?}")
    }

    fn general(text: &str) -> Option<String> {
        Claims::read_general(text).ok().map(|claims| said(&claims))
    }

    fn plain(text: &str) -> Option<String> {
        Claims::read_plain(text).map(|claims| said(&claims))
    }

    #[test]
    fn the_payload_of_a_common_token_is_plain() {
        for text in [
            r#"{"iss":"https://a.example","exp":1800000000,"aud":["a","b"],"email_verified":true,"x":null}"#,
            r#"{"sub":"é","roles":[],"scope":"a b","n":0}"#,
        ] {
            let plain = plain(text).expect("plain");
            assert_eq!(general(text), Some(plain));
        }
    }

    #[test]
    fn eight_digits_are_read_as_a_number_and_nothing_else_is() {
        for number in [0_u64, 1, 9, 12_345_678, 90_000_009, 99_999_999, 10_203_040] {
            let text = format!("{number:08}");
            let mut bytes: [u8; 8] = text.as_bytes().try_into().expect("eight digits");
            assert_eq!(eight_digits(&bytes), Some(number));
            for at in 0..8 {
                let digit = bytes[at];
                for byte in (0..=u8::MAX).filter(|byte| !byte.is_ascii_digit()) {
                    bytes[at] = byte;
                    assert_eq!(eight_digits(&bytes), None, "{bytes:?}");
                }
                bytes[at] = digit;
            }
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
                if let Some(plain) = plain(&text) {
                    prop_assert_eq!(general(&text), Some(plain), "{}", text);
                }
            }
        }

        #[test]
        fn arbitrary_text_is_read_as_the_general_reader_reads_it(text in "\\{?\\PC{0,80}") {
            if let Some(plain) = plain(&text) {
                prop_assert_eq!(general(&text), Some(plain), "{}", text);
            }
        }
    }
}
