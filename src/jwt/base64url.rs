//! Base64url without padding, strictly (RFC 7515 section 2): one text for each byte string.
//!
//! The decoder is the one of the `base64` crate that takes 32 characters at a step where the processor can:
//! a quarter of what one costs that looks them up, which is a good part of what an HMAC costs. A test holds it
//! against the one that looks them up.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use std::sync::LazyLock;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
use base64::engine::GeneralPurpose;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use base64::engine::{Simd, general_purpose::NO_PAD};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The bytes that `text` stands for; none if it is padded, holds any other character, or has bits set that
/// no byte gets.
#[allow(
    clippy::slow_vector_initialization,
    reason = "memory that the allocator is to clear takes its slower way: glibc keeps none at hand"
)]
pub(super) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    let text = text.as_ref();
    let length = decoded_length(text.len())?;
    let mut bytes = Vec::with_capacity(length);
    bytes.resize(length, 0);
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
    DECODER.decode_slice(text, bytes) == Ok(bytes.len())
}

/// Which instructions this processor has is found out once.
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
static DECODER: LazyLock<Simd> = LazyLock::new(|| Simd::url_safe(NO_PAD));

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
static DECODER: GeneralPurpose = URL_SAFE_NO_PAD;

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
        // Up to two steps, and some of the third.
        for length in (0..10).chain(30..35).chain(62..70) {
            for at in 0..length {
                for byte in 0..=u8::MAX {
                    for other in [b'A', b'w'] {
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
