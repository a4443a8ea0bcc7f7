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

/// The sum, not complemented and not folded to 16 bits, of `bytes` as big-endian words; an odd last byte is a word's
/// upper half.
#[must_use]
pub fn sum(bytes: &[u8]) -> u64 {
    let words = bytes.chunks_exact(2);
    let odd = words.remainder().first().map_or(0, |b| u64::from(*b) << 8);
    words.map(|w| u64::from(u16::from_be_bytes([w[0], w[1]]))).sum::<u64>() + odd
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
