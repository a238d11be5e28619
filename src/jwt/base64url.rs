//! Base64url without padding, strictly (RFC 7515 section 2): one text for each byte string.

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};

/// The bytes that `text` stands for; none if it is padded, holds any other character, or has bits set that
/// no byte gets.
pub(super) fn decode(text: impl AsRef<[u8]>) -> Option<Vec<u8>> {
    URL_SAFE_NO_PAD.decode(text).ok()
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
        let room = base64::decoded_len_estimate(text.len());
        let room = if room <= N {
            &mut self.stack[..]
        } else {
            self.heap.resize(room, 0);
            &mut self.heap[..]
        };
        let length = URL_SAFE_NO_PAD.decode_slice(text, room).ok()?;
        Some(&room[..length])
    }
}
