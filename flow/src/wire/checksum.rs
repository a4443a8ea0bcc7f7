//! The Internet checksum (RFC 1071) and its incremental update (RFC 1624, equation 3).
//!
//! # Canonical arithmetic
//!
//! Whoever rewrites a packet, in software or in a model of hardware, must give the same bytes, also when the
//! checksum was wrong before. Hence exactly:
//!
//! - The changed field is looked at as the big-endian 16-bit words of its header that it touches (a TOS change is a
//!   change of the word version, IHL, TOS; a TTL change of the word TTL, protocol).
//! - For each word `m` that becomes another word `m'`: `HC' = ~(~HC + ~m + m')`, with end-around carry. Words that
//!   stay the same take no part; when none changes, the checksum stays as it is, bit for bit.
//! - It does not matter in which order words are taken, nor whether carries are folded in after each or at the
//!   end: the folded sum is 0 only if all its terms are 0.
//! - The result 0x0000 is written as it is, but for UDP, where it is written as 0xffff. A UDP checksum of 0x0000 says
//!   that there is none (RFC 768, RFC 6935) and stays 0x0000, with IPv4 and IPv6.
//! - A wrong checksum stays wrong by the same difference. Nothing is verified.

/// The sum, not complemented, of `bytes` as big-endian words; an odd last byte is a word's upper half. It is folded to 16
/// bits already, so that sums can be added to it without thought of carries.
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    // Four bytes at a time in the host's order: carries come out the same, and the bytes of the folded sum are swapped
    // where the host is little-endian (RFC 1071, section 2 (B)).
    let words = bytes.chunks_exact(4);
    let mut last = [0; 4];
    for (place, byte) in last.iter_mut().zip(words.remainder()) {
        *place = *byte;
    }
    let whole = |w: &[u8]| u64::from(u32::from_ne_bytes([w[0], w[1], w[2], w[3]]));
    let all = words.map(whole).sum::<u64>() + u64::from(u32::from_ne_bytes(last));
    u64::from(u16::from_be_bytes(fold(all).to_ne_bytes()))
}

/// Fold carries into 16 bits.
#[must_use]
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// The checksum of `bytes`.
#[must_use]
pub fn of(bytes: &[u8]) -> u16 {
    !fold(sum(bytes))
}

/// What a change adds to checksums that cover it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Delta(u32);

impl Delta {
    /// The change from `old` to `new`: whole words, aligned as the checksum counts them. An odd last byte takes no
    /// part.
    #[must_use]
    pub fn between<const N: usize>(old: &[u8; N], new: &[u8; N]) -> Delta {
        let mut sum = 0;
        for (m, n) in old.chunks_exact(2).zip(new.chunks_exact(2)) {
            let (m, n) = (u16::from_be_bytes([m[0], m[1]]), u16::from_be_bytes([n[0], n[1]]));
            if m != n {
                sum += u32::from(!m) + u32::from(n);
            }
        }
        Delta(sum)
    }

    /// The checksum after the change.
    #[must_use]
    pub fn apply(self, checksum: u16) -> u16 {
        !fold(u64::from(!checksum) + u64::from(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// As RFC 1071 puts it: word by word.
    fn word_by_word(bytes: &[u8]) -> u16 {
        let words = bytes.chunks(2).map(|w| u64::from(w[0]) << 8 | w.get(1).map_or(0, |b| u64::from(*b)));
        fold(words.sum())
    }

    proptest! {
        #[test]
        fn four_bytes_at_a_time_are_two_at_a_time(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert_eq!(sum(&bytes), u64::from(word_by_word(&bytes)));
        }
    }

    #[test]
    fn the_sum_is_0_only_if_all_is() {
        assert_eq!((sum(&[0; 7]), sum(&[0xff; 8]), sum(&[0, 1, 0xff, 0xfe])), (0, 0xffff, 0xffff));
    }
}
