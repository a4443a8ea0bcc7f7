//! Packets to change.

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

/// A packet in a plain buffer with headroom, as an mbuf has it: for tests, models and packets made by the switch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameBuf {
    bytes: Vec<u8>,
    /// Where the packet starts in `bytes`.
    start: usize,
    /// How many of its bytes are contiguous at most.
    contiguous: usize,
}

impl FrameBuf {
    /// Bytes of headroom: what `RTE_PKTMBUF_HEADROOM` is by default.
    pub const HEADROOM: usize = 128;

    /// A packet, all of it contiguous.
    #[must_use]
    pub fn new(packet: &[u8]) -> FrameBuf {
        FrameBuf::with_headroom(packet, Self::HEADROOM)
    }

    /// A packet with so many bytes of headroom.
    #[must_use]
    pub fn with_headroom(packet: &[u8], headroom: usize) -> FrameBuf {
        let mut bytes = vec![0; headroom];
        bytes.extend_from_slice(packet);
        FrameBuf { bytes, start: headroom, contiguous: usize::MAX }
    }

    /// The same packet, only the first `head` bytes of it contiguous.
    #[must_use]
    pub fn split_at(mut self, head: usize) -> FrameBuf {
        self.contiguous = head;
        self
    }

    /// The whole packet.
    #[must_use]
    pub fn packet(&self) -> &[u8] {
        &self.bytes[self.start..]
    }

    /// The whole packet.
    #[must_use]
    pub fn into_packet(mut self) -> Vec<u8> {
        self.bytes.drain(..self.start);
        self.bytes
    }

    fn head_len(&self) -> usize {
        self.total_len().min(self.contiguous)
    }
}

impl PacketBuf for FrameBuf {
    fn head(&self) -> &[u8] {
        &self.packet()[..self.head_len()]
    }

    fn head_mut(&mut self) -> &mut [u8] {
        let len = self.head_len();
        &mut self.bytes[self.start..][..len]
    }

    fn total_len(&self) -> usize {
        self.bytes.len() - self.start
    }

    fn push_front(&mut self, n: usize) -> bool {
        let Some(start) = self.start.checked_sub(n) else { return false };
        self.start = start;
        self.contiguous = self.contiguous.saturating_add(n);
        true
    }

    fn pull_front(&mut self, n: usize) -> bool {
        if n > self.head_len() {
            return false;
        }
        self.start += n;
        if self.contiguous != usize::MAX {
            self.contiguous -= n;
        }
        true
    }
}
