//! Base64url without padding, strictly (RFC 7515 section 2): one text for each byte string.
//!
//! The decoder is our own: it takes four characters at a step, each from a table of where its bits belong,
//! and decides about the whole text at the end. That is half of what the general one costs, which is a good
//! part of what an HMAC costs. A test compares the two on arbitrary texts.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The bytes that `text` stands for; none if it is padded, holds any other character, or has bits set that
/// no byte gets.
pub(super) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let text = text.as_ref();
    let mut bytes = vec![0; decoded_length(text.len())?];
    decode_whole(text, &mut bytes).then_some(bytes)
}

pub(super) fn encode(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// Room for what a token of common size decodes to; a longer text gets its room from the heap.
pub(super) struct Buffer<const N: usize> {
    stack: [u8; N],
    heap: Vec<u8>,
}

impl<const N: usize> Buffer<N> {
    pub(super) const fn new() -> Self {
        Self {
            stack: [0; N],
            heap: Vec::new(),
        }
    }

    /// As [`decode`], into the buffer.
    pub(super) fn decode(&mut self, text: &[u8]) -> Option<&[u8]> {
        let length = decoded_length(text.len())?;
        let room = if length <= N {
            &mut self.stack[..length]
        } else {
            self.heap.resize(length, 0);
            &mut self.heap[..]
        };
        decode_whole(text, room).then_some(room)
    }
}

/// The bit that a table sets for what is no character of base64url.
const WRONG: u32 = 1;

/// The six bits of each character, at the place they have in the upper 24 when it is the first, second,
/// third or fourth of four.
static PLACED: [[u32; 256]; 4] = [placed(26), placed(20), placed(14), placed(8)];

const fn placed(shift: u32) -> [u32; 256] {
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut table = [WRONG; 256];
    let mut value = 0;
    while value < 64 {
        table[alphabet[value] as usize] = (value as u32) << shift;
        value += 1;
    }
    table
}

/// How many bytes a text of this length stands for; none if no text has it.
fn decoded_length(text: usize) -> Option<usize> {
    let rest = match text % 4 {
        0 => 0,
        1 => return None,
        more => more - 1,
    };
    Some(text / 4 * 3 + rest)
}

/// Fills `bytes`, whose length is the one that the text's stands for, and says whether the text is sound.
fn decode_whole(text: &[u8], bytes: &mut [u8]) -> bool {
    let [first, second, third, fourth] = &PLACED;
    let (fours, rest) = text.as_chunks::<4>();
    let (threes, end) = bytes.as_chunks_mut::<3>();
    let mut seen = 0;
    for (four, three) in fours.iter().zip(threes) {
        let [a, b, c, d] = four.map(usize::from);
        let bits = first[a] | second[b] | third[c] | fourth[d];
        seen |= bits;
        let [x, y, z, _] = bits.to_be_bytes();
        *three = [x, y, z];
    }
    let bits = rest
        .iter()
        .zip(&PLACED)
        .fold(0, |bits, (byte, table)| bits | table[usize::from(*byte)]);
    let kept = end.len();
    end.copy_from_slice(&bits.to_be_bytes()[..kept]);
    // The bits that no byte gets; a wrong character's mark is one of them.
    let unused = bits << (8 * kept);
    seen & WRONG == 0 && unused == 0
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// Says the same as the general decoder, into every kind of room.
    fn assert_agrees(text: &[u8]) {
        let expected = URL_SAFE_NO_PAD.decode(text).ok();
        assert_eq!(decode(text), expected, "{text:?}");
        let mut small = Buffer::<3>::new();
        assert_eq!(small.decode(text).map(<[u8]>::to_vec), expected, "{text:?}");
        let mut large = Buffer::<300>::new();
        assert_eq!(large.decode(text).map(<[u8]>::to_vec), expected, "{text:?}");
    }

    #[test]
    fn every_character_at_every_place_is_judged_as_the_general_decoder_judges_it() {
        for length in 0..10 {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    for other in [b'A', b'Q', b'w', b'_'] {
                        let mut text = vec![other; length];
                        text[at] = byte;
                        assert_agrees(&text);
                    }
                }
            }
        }
    }

    proptest! {
        #[test]
        fn arbitrary_texts_are_judged_as_the_general_decoder_judges_them(
            bytes in vec(any::<u8>(), 0..200),
            text in "[A-Za-z0-9_=+/-]{0,200}",
        ) {
            assert_agrees(&bytes);
            assert_agrees(text.as_bytes());
            prop_assert_eq!(decode(encode(&bytes)), Some(bytes));
        }
    }
}
