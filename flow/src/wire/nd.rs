//! Target, flags and link-layer addresses of neighbour discovery (RFC 4861, sections 4.3, 4.4, 4.6.1).

use super::{L4, Layout, chunk};

const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;
const SOURCE_ADDRESS: u8 = 1;
const TARGET_ADDRESS: u8 = 2;

/// Where the fields of a neighbour solicitation or advertisement are. Offsets are in bytes from the packet's start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NeighbourDiscovery {
    pub kind: NdKind,
    /// The target address, 16 bytes.
    pub target: Option<usize>,
    /// The MAC address of the source link-layer address option.
    pub source_mac: Option<usize>,
    /// The MAC address of the target link-layer address option.
    pub target_mac: Option<usize>,
    /// The flags and reserved bits, 4 bytes.
    pub reserved: usize,
    /// Type of the first of the two options that counts; 0 without.
    pub first_option: u8,
}

/// Which message it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NdKind {
    Solicitation,
    Advertisement,
}

/// Which message an ICMPv6 type and code are.
pub(super) fn kind(type_and_code: [u8; 2]) -> Option<NdKind> {
    match type_and_code {
        [SOLICITATION, 0] => Some(NdKind::Solicitation),
        [ADVERTISEMENT, 0] => Some(NdKind::Advertisement),
        _ => None,
    }
}

impl NeighbourDiscovery {
    /// Parse an ICMPv6 message of type 135 or 136 and code 0; `None` for all else.
    ///
    /// The target exists when its 16 bytes lie within the IP payload. Behind it come options, as long as there are
    /// 8 bytes or more and the option's length is neither 0 nor beyond the end. Options 1 and 2 count with length
    /// 1 (8 bytes) only. When an option comes a second time after an address that was not zero, target and both
    /// addresses are absent. Otherwise the last of each counts.
    #[must_use]
    pub fn parse(head: &[u8], layout: &Layout) -> Option<NeighbourDiscovery> {
        if layout.l4 != L4::Icmpv6 {
            return None;
        }
        let start = layout.l4_at();
        let end = head.len().min(start + layout.l4_len as usize);
        let head = &head[..end];
        let kind = kind(*chunk::<2>(head, start)?)?;
        let mut nd = NeighbourDiscovery {
            kind,
            target: None,
            source_mac: None,
            target_mac: None,
            reserved: start + 4,
            first_option: 0,
        };
        let mut at = start + 8;
        if chunk::<16>(head, at).is_none() {
            return Some(nd);
        }
        nd.target = Some(at);
        at += 16;
        while let Some(&[option, units, ..]) = chunk::<8>(head, at) {
            let len = usize::from(units) * 8;
            if len == 0 || at + len > start + layout.l4_len as usize {
                break;
            }
            let place = match option {
                SOURCE_ADDRESS if units == 1 => Some(&mut nd.source_mac),
                TARGET_ADDRESS if units == 1 => Some(&mut nd.target_mac),
                _ => None,
            };
            if let Some(place) = place {
                if let Some(before) = *place
                    && chunk::<6>(head, before).is_some_and(|mac| *mac != [0; 6])
                {
                    return Some(NeighbourDiscovery { target: None, source_mac: None, target_mac: None, ..nd });
                }
                *place = Some(at + 2);
                if nd.first_option == 0 {
                    nd.first_option = option;
                }
            }
            at += len;
        }
        Some(nd)
    }
}
