//! ECDSA signatures in DER (RFC 3279 section 2.2.3), read to the one fixed form that the backends take.
//!
//! Strictly: one encoding for each pair of numbers, so that no backend's leniency lets a second one in.

/// The numbers `r` and `s` side by side, 32 bytes each; none if the text is not the DER of two positive
/// numbers of at most 32 bytes.
pub(crate) fn read_p256(der: &[u8]) -> Option<[u8; 64]> {
    // SEQUENCE, with its length in one byte: two numbers of 33 bytes take 70.
    let [0x30, length, numbers @ ..] = der else {
        return None;
    };
    if usize::from(*length) != numbers.len() || *length >= 0x80 {
        return None;
    }
    let mut fixed = [0; 64];
    let (r, s) = fixed.split_at_mut(32);
    let rest = read_number(numbers, r)?;
    let rest = read_number(rest, s)?;
    rest.is_empty().then_some(fixed)
}

/// Reads an INTEGER into `room`, big-endian; gives what comes after it.
fn read_number<'d>(der: &'d [u8], room: &mut [u8]) -> Option<&'d [u8]> {
    let [0x02, length, rest @ ..] = der else {
        return None;
    };
    let (number, rest) = rest.split_at_checked(usize::from(*length))?;
    let digits = match number {
        // A zero in front only keeps a number positive.
        [0, digits @ ..] if digits.first()? & 0x80 != 0 => digits,
        [0, ..] => return None,
        [first, ..] if first & 0x80 == 0 => number,
        _ => return None,
    };
    let start = room.len().checked_sub(digits.len())?;
    room[start..].copy_from_slice(digits);
    Some(rest)
}

/// The DER of `r` and `s`, which stand side by side.
pub(crate) fn write_p256(fixed: &[u8; 64]) -> Vec<u8> {
    let mut der = vec![0x30, 0];
    for number in fixed.chunks(32) {
        let zeros = number.iter().take_while(|byte| **byte == 0).count();
        let digits = &number[zeros.min(31)..];
        let sign = usize::from(digits[0] & 0x80 != 0);
        der.extend([0x02, (digits.len() + sign) as u8]);
        der.extend(&[0][..sign]);
        der.extend(digits);
    }
    der[1] = (der.len() - 2) as u8;
    der
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{read_p256, write_p256};

    proptest! {
        #[test]
        fn what_is_written_is_read(fixed in prop::collection::vec(any::<u8>(), 64), zeros in 0..31_usize) {
            let mut fixed: [u8; 64] = fixed.try_into().expect("64 bytes");
            fixed[..zeros].fill(0);
            fixed[31] |= 1;
            fixed[32] |= 1;
            prop_assert_eq!(read_p256(&write_p256(&fixed)), Some(fixed));
        }

        #[test]
        fn what_is_read_has_one_form(der in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(fixed) = read_p256(&der) {
                prop_assert_eq!(write_p256(&fixed), der);
            }
        }
    }

    #[test]
    fn every_other_form_is_refused() {
        let good = [0x30, 6, 2, 1, 5, 2, 1, 7];
        assert!(read_p256(&good).is_some());
        for bad in [
            &[0x30, 0x81, 6, 2, 1, 5, 2, 1, 7][..],
            &[0x30, 6, 2, 1, 5, 2, 1, 7, 0],
            &[0x30, 7, 2, 1, 5, 2, 1, 7, 0],
            &[0x30, 7, 2, 2, 0, 5, 2, 1, 7],
            &[0x30, 6, 2, 1, 0x85, 2, 1, 7],
            &[0x30, 6, 2, 1, 0, 2, 1, 7],
            &[0x30, 5, 2, 0, 2, 1, 7],
            &[0x31, 6, 2, 1, 5, 2, 1, 7],
            &[0x30, 0],
            &[0x30],
            &[],
        ] {
            assert_eq!(read_p256(bad), None, "{bad:?}");
        }
    }
}
