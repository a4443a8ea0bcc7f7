//! Changes of packet bytes, with checksums kept right.

/// A packet whose headers can be changed: an mbuf, or a plain buffer in tests.
pub trait PacketBuf {
    /// The first contiguous bytes: all headers that can be changed.
    fn head(&self) -> &[u8];
    /// The same, to change.
    fn head_mut(&mut self) -> &mut [u8];
    /// Length of the whole packet in bytes.
    fn total_len(&self) -> usize;
    /// Make `n` bytes of room in front; `false` when there is none, and nothing changed.
    fn push_front(&mut self, n: usize) -> bool;
    /// Take `n` bytes off the front; `false` when the head is shorter, and nothing changed.
    fn pull_front(&mut self, n: usize) -> bool;
}
