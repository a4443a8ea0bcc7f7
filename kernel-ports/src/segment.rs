//! Cutting a frame of up to 64 KiB, which the kernel leaves to the device (TSO, USO), into frames that fit the MTU: what
//! `tcp_gso_segment` and `__udp_gso_segment` do in the kernel (net/ipv4/tcp_offload.c, udp_offload.c).

use crate::checksum::finish;
use crate::vnet::{GsoKind, VnetHeader};
use flow::wire::checksum::{fold, of, sum};

const ETHERNET: usize = 14;
const TCP: u8 = 6;
const UDP: u8 = 17;
const TCP_CHECKSUM: usize = 16;
const UDP_CHECKSUM: usize = 6;
const UDP_HEADER: usize = 8;
const FIN_PSH: u8 = 0x09;
const CWR: u8 = 0x80;

/// More segments than any sender makes of a frame: 64 KiB at TCP's least segment size (`TCP_MIN_SND_MSS`, 48).
pub const MAX_SEGMENTS: usize = 2048;

/// Why a frame cannot be cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SegmentError {
    /// The headers are not those that the kernel's header speaks of.
    #[error("headers and the request to segment do not fit together")]
    Inconsistent,
    /// A tunnel, or an IP option that we do not cut behind.
    #[error("such a frame cannot be cut into segments")]
    Unsupported,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum L3 {
    V4,
    V6,
}

/// A frame to be cut, checked: all offsets lie inside it.
#[derive(Clone, Copy, Debug)]
pub struct Plan {
    l3: L3,
    tcp: bool,
    l3_at: usize,
    l4_at: usize,
    /// Where the payload begins: so many bytes precede each segment's.
    payload_at: usize,
    payload: usize,
    size: usize,
    /// Sum of the pseudo-header without its length.
    pseudo: u64,
}

fn word(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.get(at)?, *bytes.get(at + 1)?]))
}

fn put(bytes: &mut [u8], at: usize, value: u16) {
    if let Some(place) = bytes.get_mut(at..at + 2) {
        place.copy_from_slice(&value.to_be_bytes());
    }
}

/// Where the IP header begins, behind up to two VLAN tags.
fn l3(frame: &[u8]) -> Option<(L3, usize)> {
    let mut at = ETHERNET - 2;
    for _ in 0..3 {
        match word(frame, at)? {
            0x8100 | 0x88a8 => at += 4,
            0x0800 => return Some((L3::V4, at + 2)),
            0x86dd => return Some((L3::V6, at + 2)),
            _ => return None,
        }
    }
    None
}

impl Plan {
    /// Look at a frame that is to be cut.
    ///
    /// # Errors
    /// [`SegmentError`].
    pub fn new(frame: &[u8], header: &VnetHeader) -> Result<Plan, SegmentError> {
        use SegmentError::{Inconsistent, Unsupported};
        let (Some(gso), Some(checksum)) = (header.gso, header.checksum) else { return Err(Inconsistent) };
        let tcp = gso.kind != GsoKind::Udp;
        let l4_at = checksum.start;
        let (l3, l3_at) = l3(frame).ok_or(Inconsistent)?;
        if (gso.kind == GsoKind::Tcp4 && l3 != L3::V4) || (gso.kind == GsoKind::Tcp6 && l3 != L3::V6) {
            return Err(Unsupported);
        }
        let first = *frame.get(l3_at).ok_or(Inconsistent)?;
        let protocol = if tcp { TCP } else { UDP };
        let addresses = match l3 {
            L3::V4 => {
                let ihl = usize::from(first & 0xf) * 4;
                if first >> 4 != 4 || ihl < 20 {
                    return Err(Inconsistent);
                }
                // Another header between: a tunnel.
                if l3_at + ihl != l4_at || frame.get(l3_at + 9) != Some(&protocol) {
                    return Err(Unsupported);
                }
                frame.get(l3_at + 12..l3_at + 20)
            }
            L3::V6 => {
                if first >> 4 != 6 || l4_at < l3_at + 40 {
                    return Err(Inconsistent);
                }
                // Extension headers may change the address that the checksum covers: those are the kernel's business.
                if l4_at != l3_at + 40 || frame.get(l3_at + 6) != Some(&protocol) {
                    return Err(Unsupported);
                }
                frame.get(l3_at + 8..l3_at + 40)
            }
        };
        let addresses = addresses.ok_or(Inconsistent)?;
        let (l4_len, at) = if tcp {
            let offset = frame.get(l4_at + 12).ok_or(Inconsistent)?;
            (usize::from(offset >> 4) * 4, TCP_CHECKSUM)
        } else {
            (UDP_HEADER, UDP_CHECKSUM)
        };
        if checksum.offset != at || l4_len < if tcp { 20 } else { UDP_HEADER } {
            return Err(Inconsistent);
        }
        let payload_at = l4_at + l4_len;
        let payload = frame.len().checked_sub(payload_at).filter(|n| *n > 0).ok_or(Inconsistent)?;
        if gso.size == 0 || payload.div_ceil(gso.size) > MAX_SEGMENTS {
            return Err(Inconsistent);
        }
        // The lengths of IPv4 and UDP have 16 bits.
        if gso.size.min(payload) + payload_at - l3_at > usize::from(u16::MAX) {
            return Err(Inconsistent);
        }
        let pseudo = sum(addresses) + u64::from(protocol);
        Ok(Plan { l3, tcp, l3_at, l4_at, payload_at, payload, size: gso.size, pseudo })
    }

    /// How many segments there are.
    #[must_use]
    pub fn count(&self) -> usize {
        self.payload.div_ceil(self.size)
    }

    /// Bytes of payload in segment `index`.
    fn chunk(&self, index: usize) -> usize {
        self.payload.saturating_sub(index * self.size).min(self.size)
    }

    /// Bytes of segment `index` with its headers.
    #[must_use]
    pub fn len(&self, index: usize) -> usize {
        self.payload_at + self.chunk(index)
    }

    /// Write segment `index` of the frame into `out`, which has [`Plan::len`] bytes. `frame` is the one that was looked at.
    pub fn write(&self, frame: &[u8], index: usize, out: &mut [u8]) {
        let from = self.payload_at + index * self.size;
        let (Some(headers), Some(payload)) = (frame.get(..self.payload_at), frame.get(from..from + self.chunk(index)))
        else {
            return;
        };
        let Some((head, body)) = out.split_at_mut_checked(self.payload_at) else { return };
        if body.len() != payload.len() {
            return;
        }
        head.copy_from_slice(headers);
        body.copy_from_slice(payload);
        self.fix_l3(head, index, payload.len());
        let l4_len = self.payload_at - self.l4_at + payload.len();
        let Some(l4) = head.get_mut(self.l4_at..) else { return };
        let checksum_at = if self.tcp {
            self.fix_tcp(l4, index);
            TCP_CHECKSUM
        } else {
            put(l4, 4, l4_len as u16);
            UDP_CHECKSUM
        };
        put(l4, checksum_at, 0);
        // Headers have an even number of bytes, so the payload's words are the checksum's.
        let all = self.pseudo + l4_len as u64 + sum(l4) + sum(body);
        put(l4, checksum_at, finish(fold(all)));
    }

    fn fix_l3(&self, head: &mut [u8], index: usize, payload: usize) {
        let l4_len = self.payload_at - self.l4_at + payload;
        let Some(ip) = head.get_mut(self.l3_at..self.l4_at) else { return };
        match self.l3 {
            L3::V4 => {
                let id = word(ip, 4).unwrap_or_default().wrapping_add(index as u16);
                let total = ip.len() + l4_len;
                put(ip, 2, total as u16);
                put(ip, 4, id);
                put(ip, 10, 0);
                let checksum = of(ip);
                put(ip, 10, checksum);
            }
            L3::V6 => put(ip, 4, l4_len as u16),
        }
    }

    fn fix_tcp(&self, tcp: &mut [u8], index: usize) {
        let sequence = tcp.get(4..8).and_then(|b| b.try_into().ok()).map_or(0, u32::from_be_bytes);
        let sequence = sequence.wrapping_add((index * self.size) as u32);
        if let Some(place) = tcp.get_mut(4..8) {
            place.copy_from_slice(&sequence.to_be_bytes());
        }
        if let Some(flags) = tcp.get_mut(13) {
            if index + 1 < self.count() {
                *flags &= !FIN_PSH;
            }
            if index > 0 {
                *flags &= !CWR;
            }
        }
    }
}

#[cfg(test)]
#[path = "segment_tests.rs"]
mod tests;
