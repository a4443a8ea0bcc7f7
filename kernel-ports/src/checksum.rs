//! The end of an Internet checksum (RFC 1071) that the kernel began.

use crate::vnet::PartialChecksum;
use flow::wire::checksum::{fold, sum};

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
    let sum = finish(fold(sum(covered)));
    if let Some(place) = covered.get_mut(partial.offset..partial.offset + 2) {
        place.copy_from_slice(&sum.to_be_bytes());
    }
    Ok(())
}
