//! SipHash-2-4 with 128 bits of output: a keyed hash for tables whose keys come from outside.
//!
//! J.-P. Aumasson and D. J. Bernstein, "SipHash: a fast short-input PRF" (2012), and the 128-bit variant of
//! its reference implementation. To whoever does not know the key the output is as good as random, so
//! nobody can make two inputs share an output but by luck, once in 2^128 tries for each pair.

/// A key, fresh from the operating system.
pub(crate) struct SipKey(u64, u64);

impl SipKey {
    /// A key of these 16 bytes.
    pub(crate) fn new(bytes: [u8; 16]) -> Self {
        let key = u128::from_le_bytes(bytes);
        Self(key as u64, (key >> 64) as u64)
    }

    /// The hash of `bytes`.
    #[must_use]
    pub(crate) fn hash(&self, bytes: &[u8]) -> u128 {
        let mut state = State([
            self.0 ^ 0x736f_6d65_7073_6575,
            self.1 ^ 0x646f_7261_6e64_6f6d ^ 0xee,
            self.0 ^ 0x6c79_6765_6e65_7261,
            self.1 ^ 0x7465_6462_7974_6573,
        ]);
        let (words, rest) = bytes.as_chunks::<8>();
        for word in words {
            state.absorb(u64::from_le_bytes(*word));
        }
        let mut last = [0; 8];
        last[..rest.len()].copy_from_slice(rest);
        last[7] = bytes.len() as u8;
        state.absorb(u64::from_le_bytes(last));

        state.0[2] ^= 0xee;
        let low = state.squeeze();
        state.0[1] ^= 0xdd;
        u128::from(low) | u128::from(state.squeeze()) << 64
    }
}

struct State([u64; 4]);

impl State {
    #[inline(always)]
    fn absorb(&mut self, word: u64) {
        self.0[3] ^= word;
        self.round();
        self.round();
        self.0[0] ^= word;
    }

    #[inline(always)]
    fn squeeze(&mut self) -> u64 {
        for _ in 0..4 {
            self.round();
        }
        self.0[0] ^ self.0[1] ^ self.0[2] ^ self.0[3]
    }

    #[inline(always)]
    fn round(&mut self) {
        let [a, b, c, d] = &mut self.0;
        *a = a.wrapping_add(*b);
        *b = b.rotate_left(13) ^ *a;
        *a = a.rotate_left(32);
        *c = c.wrapping_add(*d);
        *d = d.rotate_left(16) ^ *c;
        *a = a.wrapping_add(*d);
        *d = d.rotate_left(21) ^ *a;
        *c = c.wrapping_add(*b);
        *b = b.rotate_left(17) ^ *c;
        *c = c.rotate_left(32);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_the_reference_implementation() {
        // vectors_sip128 of its vectors.h: the key is 00 to 0f, the input 00, 01, 02 and so on.
        let key = SipKey::new(std::array::from_fn(|at| at as u8));
        let input: [u8; 64] = std::array::from_fn(|at| at as u8);
        for (length, expected) in [
            (0, "a3817f04ba25a8e66df67214c7550293"),
            (1, "da87c1d86b99af44347659119b22fc45"),
            (2, "8177228da4a45dc7fca38bdef60affe4"),
            (3, "9c70b60c5267a94e5f33b6b02985ed51"),
            (32, "7c3956ca5eeafc3e363e9d556546eb68"),
            (63, "5150d1772f50834a503e069a973fbd7c"),
        ] {
            let hash = key.hash(&input[..length]).swap_bytes();
            assert_eq!(format!("{hash:032x}"), expected, "{length} bytes");
        }
    }
}
