//! `struct virtio_net_hdr` (linux/virtio_net.h; VIRTIO 1.2, section 5.1.6), which the kernel puts before each frame of a tap with
//! `IFF_VNET_HDR` and of a packet socket with `PACKET_VNET_HDR`. Numbers are in the host's byte order.

/// Bytes of the header, without the buffer count of merged receive buffers.
pub const LEN: usize = 10;

const F_NEEDS_CSUM: u8 = 1;
const GSO_NONE: u8 = 0;
const GSO_TCPV4: u8 = 1;
const GSO_TCPV6: u8 = 4;
const GSO_UDP_L4: u8 = 5;
/// The sender understands ECN: the first segment alone keeps CWR.
const GSO_ECN: u8 = 0x80;

/// The checksum that the sender left to us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartialChecksum {
    /// First byte that is summed.
    pub start: usize,
    /// Where the sum goes, from `start`. The pseudo-header's sum is there already.
    pub offset: usize,
}

/// What a frame is to be cut into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GsoKind {
    Tcp4,
    Tcp6,
    /// UDP over IPv4 or IPv6, each segment a datagram of its own.
    Udp,
}

/// A kind of segmentation, and the payload bytes of each segment but the last.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GsoRequest {
    pub kind: GsoKind,
    pub size: usize,
}

/// What the kernel says of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VnetHeader {
    pub checksum: Option<PartialChecksum>,
    pub gso: Option<GsoRequest>,
}

/// A frame is to be cut up in a way that was not announced: UFO, tunnels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct UnknownGso(pub u8);

impl VnetHeader {
    /// Read a header.
    ///
    /// # Errors
    /// [`UnknownGso`]; everything else is checked against the frame, where it is used.
    pub fn parse(bytes: &[u8; LEN]) -> Result<VnetHeader, UnknownGso> {
        let [flags, gso, _, _, size_a, size_b, start_a, start_b, offset_a, offset_b] = *bytes;
        let number = |a, b| usize::from(u16::from_ne_bytes([a, b]));
        let checksum = (flags & F_NEEDS_CSUM != 0)
            .then(|| PartialChecksum { start: number(start_a, start_b), offset: number(offset_a, offset_b) });
        let kind = match gso & !GSO_ECN {
            GSO_NONE => None,
            GSO_TCPV4 => Some(GsoKind::Tcp4),
            GSO_TCPV6 => Some(GsoKind::Tcp6),
            GSO_UDP_L4 => Some(GsoKind::Udp),
            _ => return Err(UnknownGso(gso)),
        };
        Ok(VnetHeader { checksum, gso: kind.map(|kind| GsoRequest { kind, size: number(size_a, size_b) }) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A header as the kernel writes it: flags, kind, header length, size, start, offset.
    fn header(flags: u8, gso: u8, numbers: [u16; 4]) -> [u8; LEN] {
        let mut bytes = [flags, gso, 0, 0, 0, 0, 0, 0, 0, 0];
        for (place, n) in bytes[2..].chunks_exact_mut(2).zip(numbers) {
            place.copy_from_slice(&n.to_ne_bytes());
        }
        bytes
    }

    #[test]
    fn kinds_and_numbers_are_read_as_the_kernel_writes_them() {
        assert_eq!(VnetHeader::parse(&[0; LEN]), Ok(VnetHeader::default()));
        let checksum = Some(PartialChecksum { start: 34, offset: 16 });
        let only = VnetHeader::parse(&header(1, 0, [0, 0, 34, 16]));
        assert_eq!(only, Ok(VnetHeader { checksum, gso: None }));
        for (gso, kind) in [(1, GsoKind::Tcp4), (0x81, GsoKind::Tcp4), (4, GsoKind::Tcp6), (5, GsoKind::Udp)] {
            let read = VnetHeader::parse(&header(1, gso, [54, 1448, 34, 16]));
            assert_eq!(read, Ok(VnetHeader { checksum, gso: Some(GsoRequest { kind, size: 1448 }) }));
        }
        // UFO, tunnels, and what nobody knows.
        for gso in [3, 0x21, 0x41, 7, 0x7f] {
            assert_eq!(VnetHeader::parse(&header(1, gso, [0; 4])), Err(UnknownGso(gso)));
        }
        // DATA_VALID asks for nothing.
        assert_eq!(VnetHeader::parse(&header(2, 0, [0, 0, 34, 16])), Ok(VnetHeader::default()));
    }
}
