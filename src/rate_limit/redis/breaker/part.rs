//! The parts of a Cluster: its masters' slots mostly lie in a row, so parts are slots in a row, too.

/// Of 256 slots each. Three masters have two borders, so two slices lie on two masters.
const SLICES: usize = 64;

/// One more for what lies in several.
pub(super) const COUNT: usize = SLICES + 1;

const SLOTS: u16 = 16_384;

/// The part that all these keys lie in.
pub(super) fn of<'k>(keys: impl Iterator<Item = &'k str>) -> usize {
    let mut slices = keys.map(|key| usize::from(slot(key)) * SLICES / usize::from(SLOTS));
    let first = slices.next().unwrap_or(SLICES);
    if slices.all(|slice| slice == first) {
        first
    } else {
        SLICES
    }
}

/// The slot of a key, as Redis Cluster has it: by its hash tag, if it has one.
fn slot(key: &str) -> u16 {
    let tag = key
        .split_once('{')
        .and_then(|(_, rest)| rest.split_once('}'));
    let tag = tag.map_or(key, |(tag, _)| if tag.is_empty() { key } else { tag });
    crc16(tag.as_bytes()) % SLOTS
}

/// CRC-16/XMODEM.
fn crc16(bytes: &[u8]) -> u16 {
    bytes.iter().fold(0, |sum, byte| {
        (0..8).fold(sum ^ u16::from(*byte) << 8, |sum, _| {
            let shifted = sum << 1;
            if sum & 0x8000 == 0 {
                shifted
            } else {
                shifted ^ 0x1021
            }
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_the_specification() {
        assert_eq!(crc16(b"123456789"), 0x31C3);
        assert_eq!(slot("123456789"), 0x31C3);
        assert_eq!(slot("app:{123456789}:block"), 0x31C3);
        assert_eq!(slot("{}{123456789}"), crc16(b"{}{123456789}") % SLOTS);
        assert_eq!(slot("{123456789"), crc16(b"{123456789") % SLOTS);
    }

    #[test]
    fn keys_have_a_part_and_what_lies_in_several_has_its_own() {
        let keys: Vec<_> = (0..1_000).map(|key| format!("rate:{{{key}}}")).collect();
        let mut seen = [false; COUNT];
        for key in &keys {
            let one = of([key.as_str()].into_iter());
            assert_eq!(one, of([key.as_str(), &format!("{key}:1f")].into_iter()));
            seen[one] = true;
        }
        assert_eq!(seen.iter().filter(|seen| **seen).count(), SLICES);
        assert_eq!(of(keys.iter().map(String::as_str)), SLICES);
        assert!(of([].into_iter()) < COUNT);
    }
}
