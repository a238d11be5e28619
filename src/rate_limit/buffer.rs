//! [`Buffer`]: bytes on the stack, and on the heap only when they are many.

/// Up to `N` bytes in place; what is longer moves to the heap.
#[derive(Clone)]
pub(super) struct Buffer<const N: usize> {
    inline: [u8; N],
    length: usize,
    spilled: Vec<u8>,
}

impl<const N: usize> Buffer<N> {
    pub(super) const fn new() -> Self {
        Self {
            inline: [0; N],
            length: 0,
            spilled: Vec::new(),
        }
    }

    #[inline]
    pub(super) fn push(&mut self, bytes: &[u8]) {
        if self.spilled.is_empty() {
            if let Some(free) = self.inline[self.length..].get_mut(..bytes.len()) {
                free.copy_from_slice(bytes);
                self.length += bytes.len();
                return;
            }
            self.spilled.extend_from_slice(&self.inline[..self.length]);
        }
        self.spilled.extend_from_slice(bytes);
    }

    /// Appends a number in decimal digits.
    pub(super) fn push_decimal(&mut self, number: u64) {
        let mut digits = [0; 20];
        let at = decimal(&mut digits, 20, number);
        self.push(&digits[at..]);
    }

    pub(super) fn as_bytes(&self) -> &[u8] {
        if self.spilled.is_empty() {
            &self.inline[..self.length]
        } else {
            &self.spilled
        }
    }
}

/// Writes a number in decimal digits, so that they end before a place, and says where they begin.
#[inline]
pub(super) fn decimal(text: &mut [u8], end: usize, mut number: u64) -> usize {
    let mut at = end;
    loop {
        at -= 1;
        #[allow(clippy::cast_possible_truncation, reason = "a digit fits a byte")]
        let digit = (number % 10) as u8;
        text[at] = b'0' + digit;
        number /= 10;
        if number == 0 {
            return at;
        }
    }
}

/// Only how many there are: they may be an API key.
impl<const N: usize> std::fmt::Debug for Buffer<N> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Buffer({} bytes)", self.as_bytes().len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_the_same_in_place_and_spilled() {
        let (mut small, mut large) = (Buffer::<4>::new(), Buffer::<64>::new());
        for part in [&b"ab"[..], b"", b"cd", b"efg", b"h"] {
            small.push(part);
            large.push(part);
            assert_eq!(small.as_bytes(), large.as_bytes());
        }
        assert_eq!(large.as_bytes(), b"abcdefgh");
    }

    #[test]
    fn numbers_are_decimal() {
        for number in [0, 1, 9, 10, 4_294_967_295, u64::MAX] {
            let mut buffer = Buffer::<24>::new();
            buffer.push_decimal(number);
            assert_eq!(buffer.as_bytes(), number.to_string().as_bytes());
        }
    }
}
