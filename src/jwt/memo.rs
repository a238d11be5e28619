//! Headers that were seen on tokens with a good signature.
//!
//! An issuer writes the same header on every token it signs with a key. [`Memo`] keeps what was concluded
//! from such a header, so that it need not be decoded and parsed again. It is safe because:
//!
//! - what is concluded depends on the header's text, the keys and the verifier's settings alone, and a memo
//!   belongs to one set of keys and settings, which never change under it;
//! - only a header under a signature that held is kept, so a stranger cannot fill it;
//! - a header is compared as a whole, byte by byte; there is no hash to collide;
//! - the signature is still verified for every token.
//!
//! It holds at most [`SLOTS`] headers of at most [`LONGEST`] bytes, is never locked, and forgets nothing: an
//! issuer that writes a new header on every token fills it and is read as if it were not there.

use std::sync::OnceLock;

const SLOTS: usize = 8;
const LONGEST: usize = 1024;

#[derive(Default)]
pub(super) struct Memo {
    slots: [OnceLock<Known>; SLOTS],
}

struct Known {
    /// As it stands in the token.
    header: Box<[u8]>,
    /// The position of the only key that a token with this header may be signed with.
    key: usize,
}

impl Memo {
    /// The position of the key for tokens with this header, if it is remembered.
    pub(super) fn key(&self, header: &[u8]) -> Option<usize> {
        self.slots
            .iter()
            .map_while(OnceLock::get)
            .find(|known| *known.header == *header)
            .map(|known| known.key)
    }

    /// Remembers a header whose signature held.
    pub(super) fn keep(&self, header: &[u8], key: usize) {
        if header.len() > LONGEST {
            return;
        }
        for slot in &self.slots {
            let known = slot.get_or_init(|| Known {
                header: header.into(),
                key,
            });
            if *known.header == *header {
                return;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_keeps_each_header_once_and_no_more_than_it_has_room_for() {
        let memo = Memo::default();
        memo.keep(&[b'x'; LONGEST + 1], 9);
        for round in 0..2 {
            for key in 0..SLOTS + 2 {
                memo.keep(format!("header {key}").as_bytes(), key + round);
            }
        }
        assert_eq!(memo.key(&[b'x'; LONGEST + 1]), None);
        for key in 0..SLOTS + 2 {
            let kept = memo.key(format!("header {key}").as_bytes());
            assert_eq!(kept, (key < SLOTS).then_some(key));
        }
    }
}
