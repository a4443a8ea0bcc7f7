//! The model's own Internet checksum arithmetic.

/// The checksum after 16-bit words of the covered data changed from `old` to `new` (RFC 1624, equation 3):
/// HC' = ~(~HC + ~m + m'). Because the old checksum goes in, a wrong checksum stays wrong by the same amount.
///
/// Both slices have the same length; an odd last byte counts as the high byte of its word. Words that did not change
/// are left out, so that no change leaves the checksum exactly as it was.
pub fn update(checksum: u16, old: &[u8], new: &[u8]) -> u16 {
    let mut sum = u32::from(!checksum);
    let mut changed = false;
    for (m, n) in old.chunks(2).zip(new.chunks(2)) {
        if m != n {
            changed = true;
            sum += u32::from(!word(m)) + u32::from(word(n));
            sum = (sum & 0xffff) + (sum >> 16);
        }
    }
    if !changed {
        return checksum;
    }
    sum = (sum & 0xffff) + (sum >> 16);
    !(((sum & 0xffff) + (sum >> 16)) as u16)
}

/// The one's complement sum of 16-bit words (RFC 1071).
pub fn sum(bytes: &[u8]) -> u16 {
    let sum = bytes.chunks(2).fold(0u64, |sum, pair| sum + u64::from(word(pair)));
    let folded = (sum & 0xffff) + (sum >> 16);
    ((folded & 0xffff) + (folded >> 16)) as u16
}

fn word(bytes: &[u8]) -> u16 {
    let at = |i| bytes.get(i).copied().unwrap_or(0);
    u16::from_be_bytes([at(0), at(1)])
}

/// As [`update`], for the checksum at `at` in a frame. UDP: no checksum stays none, and a sum of 0 is written as 0xffff
/// (RFC 768).
pub fn update_at(frame: &mut [u8], at: usize, zero_is_none: bool, old: &[u8], new: &[u8]) {
    let Some(place) = frame.get_mut(at..at + 2) else { return };
    let had = u16::from_be_bytes([place[0], place[1]]);
    if had == 0 && zero_is_none {
        return;
    }
    let mut now = update(had, old, new);
    if now == 0 && zero_is_none {
        now = 0xffff;
    }
    place.copy_from_slice(&now.to_be_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1624() {
        // Section 4: HC = 0xdd2f, m = 0x5555, m' = 0x3285 gives 0x0000.
        assert_eq!(update(0xdd2f, &[0x55, 0x55], &[0x32, 0x85]), 0x0000);
    }

    #[test]
    fn no_change_keeps_even_odd_representations() {
        for sum in [0, 0xffff, 0x1234] {
            assert_eq!(update(sum, &[0xff, 0xff], &[0xff, 0xff]), sum);
        }
    }

    #[test]
    fn udp_without_checksum_stays_without() {
        let mut frame = [0, 0];
        update_at(&mut frame, 0, true, &[1, 2], &[3, 4]);
        assert_eq!(frame, [0, 0]);
        update_at(&mut frame, 0, false, &[1, 2], &[3, 4]);
        assert_ne!(frame, [0, 0]);
    }
}
