//! The Internet checksum (RFC 1071) over long runs of bytes, and the end of one that the kernel began.

use crate::vnet::PartialChecksum;

/// The sum of `bytes` as big-endian 16-bit words, folded and not complemented; an odd last byte is a word's upper half.
#[must_use]
pub fn sum(bytes: &[u8]) -> u16 {
    // Four bytes at a time in the host's order: carries come out the same, and the bytes of the folded sum are swapped
    // where the host is little-endian (RFC 1071, section 2 (B)).
    let words = bytes.chunks_exact(4);
    let rest = words.remainder();
    let mut all: u64 = 0;
    for word in words {
        if let Ok(word) = word.try_into() {
            all += u64::from(u32::from_ne_bytes(word));
        }
    }
    let mut last = [0; 4];
    if let Some(place) = last.get_mut(..rest.len()) {
        place.copy_from_slice(rest);
    }
    all += u64::from(u32::from_ne_bytes(last));
    u16::from_be_bytes(fold(all).to_ne_bytes())
}

/// Fold carries into 16 bits.
#[must_use]
pub fn fold(mut sum: u64) -> u16 {
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    sum as u16
}

/// What goes into a TCP or UDP header for this sum: complemented, and 0xffff where that is 0 (UDP, RFC 768: 0 says that there is
/// no checksum; in TCP the two are equal, and the kernel writes 0xffff too).
#[must_use]
pub fn finish(sum: u16) -> u16 {
    match !sum {
        0 => 0xffff,
        sum => sum,
    }
}

/// The checksum lies outside the frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct OutOfFrame;

/// Complete a checksum that the kernel left unfinished (`CHECKSUM_PARTIAL`).
///
/// # Errors
/// [`OutOfFrame`]; the frame is unchanged then.
pub fn complete(frame: &mut [u8], partial: PartialChecksum) -> Result<(), OutOfFrame> {
    let covered = frame.get_mut(partial.start..).ok_or(OutOfFrame)?;
    if partial.offset.checked_add(2).is_none_or(|end| end > covered.len()) {
        return Err(OutOfFrame);
    }
    let sum = finish(sum(covered));
    if let Some(place) = covered.get_mut(partial.offset..partial.offset + 2) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    Ok(())
}
