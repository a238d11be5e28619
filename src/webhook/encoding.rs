//! Signatures as text: one text for each byte string, so that no byte of it can be another.

use base64::{Engine, engine::general_purpose::STANDARD};

/// How a signature is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum SignatureEncoding {
    /// Lower-case hexadecimal.
    Hex,
    /// Padded base64 of the standard alphabet (RFC 4648 section 4).
    Base64,
}

/// The longest signature that is read, in bytes: more than an ECDSA signature in DER, and than any HMAC.
const LONGEST: usize = 72;

/// The bytes of a signature, without the heap.
pub(super) struct Decoded {
    bytes: [u8; LONGEST + 3],
    length: usize,
}

impl Decoded {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes[..self.length]
    }
}

impl SignatureEncoding {
    /// The bytes that the text stands for; none if it stands for none, or for too many.
    pub(super) fn decode(self, text: &str) -> Option<Decoded> {
        let mut bytes = [0; LONGEST + 3];
        let length = match self {
            Self::Hex => hex(text, &mut bytes)?,
            Self::Base64 if text.len() <= LONGEST.div_ceil(3) * 4 => {
                STANDARD.decode_slice(text, &mut bytes).ok()?
            }
            Self::Base64 => return None,
        };
        Some(Decoded { bytes, length })
    }

    pub(super) fn encode(self, bytes: &[u8]) -> String {
        match self {
            Self::Hex => to_hex(bytes),
            Self::Base64 => STANDARD.encode(bytes),
        }
    }
}

pub(super) fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: [u8; 16] = *b"0123456789abcdef";
    let digit = |four: u8| char::from(DIGITS[usize::from(four)]);
    bytes
        .iter()
        .flat_map(|byte| [digit(byte >> 4), digit(byte & 15)])
        .collect()
}

fn hex(text: &str, room: &mut [u8]) -> Option<usize> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() || pairs.len() > LONGEST {
        return None;
    }
    let mut seen = 0;
    for (byte, [high, low]) in room.iter_mut().zip(pairs) {
        let (high, low) = (lower_digit(*high), lower_digit(*low));
        seen |= high | low;
        *byte = high << 4 | low & 15;
    }
    (seen <= 15).then_some(pairs.len())
}

/// The digit's value; more than 15 if it is none. Without a branch, so that many are read at once.
fn lower_digit(digit: u8) -> u8 {
    let decimal = digit.wrapping_sub(b'0');
    let letter = digit.wrapping_sub(b'a');
    if decimal < 10 {
        decimal
    } else if letter < 6 {
        letter + 10
    } else {
        u8::MAX
    }
}

/// The bytes of a key in hexadecimal, in either case: whoever configures one writes it as they like.
pub(super) fn key_from_hex(text: &[u8]) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| {
        let digit = |digit: &u8| match lower_digit(digit.to_ascii_lowercase()) {
            digit @ 0..=15 => Some(digit),
            _ => None,
        };
        Some(digit(high)? << 4 | digit(low)?)
    };
    rest.is_empty()
        .then(|| pairs.iter().map(byte).collect())
        .flatten()
}
