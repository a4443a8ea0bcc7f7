//! What a packet looks like to the datapath, and masks over it.

use crate::field::{FieldDef, FieldId, Place};
use crate::value::Value;
use zerocopy::network_endian::{U16, U32, U64};
use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout};

/// One VLAN tag: its ethertype and its control information. Absent: both zero.
///
/// Bit 12 of a present tag's `tci` (the drop-eligible bit on the wire) is always set in a key, as in OVS, so
/// that "tagged with VLAN 0" and "not tagged" differ.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct VlanTag {
    /// 0x8100, 0x88a8, 0x9100 ... of the tag itself.
    pub tpid: U16,
    /// Priority (3 bits), present (1 bit), VLAN id (12 bits).
    pub tci: U16,
}

impl VlanTag {
    /// The bit of `tci` that says that there is a tag.
    pub const PRESENT: u16 = 0x1000;

    /// Whether there is a tag at all.
    #[must_use]
    pub fn is_present(&self) -> bool {
        self.tci.get() & Self::PRESENT != 0
    }

    /// VLAN id, 0 to 4095.
    #[must_use]
    pub fn vid(&self) -> u16 {
        self.tci.get() & 0xfff
    }
}

/// Bits of [`FlowKey::nw_frag`].
pub mod frag {
    /// The packet is a fragment.
    pub const ANY: u8 = 1;
    /// It is not the first fragment: it has no L4 header.
    pub const LATER: u8 = 2;
}

/// Bits of [`FlowKey::ct_state`] (ovs-fields(7), "Connection Tracking Fields").
pub mod ct_state {
    /// A packet of a connection that is not committed.
    pub const NEW: u32 = 1;
    /// Of a committed connection.
    pub const ESTABLISHED: u32 = 1 << 1;
    /// Related to a committed connection.
    pub const RELATED: u32 = 1 << 2;
    /// In the direction of the reply.
    pub const REPLY: u32 = 1 << 3;
    /// Of no connection that the tracker understands.
    pub const INVALID: u32 = 1 << 4;
    /// The tracker has seen the packet.
    pub const TRACKED: u32 = 1 << 5;
    /// Its source was translated.
    pub const SRC_NAT: u32 = 1 << 6;
    /// Its destination was translated.
    pub const DST_NAT: u32 = 1 << 7;
    /// Bits that only valid connections have.
    pub const OF_VALID: u32 = NEW | ESTABLISHED | RELATED | REPLY | SRC_NAT | DST_NAT;
}

/// Everything about a packet that a datapath flow can match. 272 bytes, 34 words.
///
/// The order is metadata, L2, L3, L4, then what few packets have (tunnel addresses, original direction of a tracked
/// connection), so that shallow masks touch the front only. As in OVS, ARP shares
/// `nw_proto` (opcode), `ipv4_src`/`ipv4_dst` (sender and target protocol address); neighbour discovery shares
/// `arp_sha`/`arp_tha` (link-layer options); ICMP type and code are the low bytes of `tp_src` and `tp_dst`.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct FlowKey {
    /// Datapath port that the packet came in on.
    pub in_port: U32,
    /// Which recirculation the packet is in; 0 on its first pass.
    pub recirc_id: U32,
    /// Tunnel key of the packet's outer header, 0 without tunnel.
    pub tun_id: U64,
    /// Packet mark (Linux skb mark).
    pub pkt_mark: U32,
    /// Connection state bits (OVS `ct_state`).
    pub ct_state: U32,
    /// Connection mark.
    pub ct_mark: U32,
    /// Connection zone.
    pub ct_zone: U16,
    /// Zero.
    pub pad0: U16,
    /// Hash computed by `DpAction::Hash`, 0 before.
    pub dp_hash: U32,
    /// Egress queue that an action chose (Linux skb priority), 0 before. Never matched by rules.
    pub skb_priority: U32,
    /// Destination MAC.
    pub eth_dst: [u8; 6],
    /// Ethertype behind all VLAN tags; 0x05ff for an 802.3 length frame without SNAP (OpenFlow 1.0, section 3.4).
    pub eth_type: U16,
    /// Source MAC.
    pub eth_src: [u8; 6],
    /// Fragment bits, see [`frag`].
    pub nw_frag: u8,
    /// Zero.
    pub pad2: u8,
    /// Outer and inner VLAN tag.
    pub vlans: [VlanTag; 2],
    /// IP protocol or next header behind extension headers; low 8 bits of the ARP opcode.
    pub nw_proto: u8,
    /// Traffic class: DSCP (6 bits) and ECN (2 bits).
    pub nw_tos: u8,
    /// TTL or hop limit.
    pub nw_ttl: u8,
    /// First link-layer address option of a neighbour discovery message: 1 source, 2 target.
    pub nd_options_type: u8,
    /// IPv6 flow label, 20 bits.
    pub ipv6_label: U32,
    /// IPv4 source, or ARP sender protocol address.
    pub ipv4_src: U32,
    /// IPv4 destination, or ARP target protocol address.
    pub ipv4_dst: U32,
    /// IPv6 source.
    pub ipv6_src: [u8; 16],
    /// IPv6 destination.
    pub ipv6_dst: [u8; 16],
    /// TCP, UDP, SCTP source port; ICMP, ICMPv6 type.
    pub tp_src: U16,
    /// TCP, UDP, SCTP destination port; ICMP, ICMPv6 code.
    pub tp_dst: U16,
    /// TCP flags, 12 bits.
    pub tcp_flags: U16,
    /// Zero.
    pub pad4: U16,
    /// ARP sender MAC, or neighbour discovery source link-layer address.
    pub arp_sha: [u8; 6],
    /// ARP target MAC, or neighbour discovery target link-layer address.
    pub arp_tha: [u8; 6],
    /// Outermost MPLS label stack entry: label (20 bits), traffic class (3), bottom of stack (1), TTL (8). RFC 3032.
    pub mpls_lse: U32,
    /// Neighbour discovery target.
    pub nd_target: [u8; 16],
    /// Tunnel's outer IPv4 source, 0 without tunnel.
    pub tun_src: U32,
    /// Tunnel's outer IPv4 destination.
    pub tun_dst: U32,
    /// Tunnel's outer IPv6 source.
    pub tun_ipv6_src: [u8; 16],
    /// Tunnel's outer IPv6 destination.
    pub tun_ipv6_dst: [u8; 16],
    /// Tunnel flags: bit 0 is OAM (OVS `tun_flags`).
    pub tun_flags: U16,
    /// VXLAN group policy id.
    pub tun_gbp_id: U16,
    /// VXLAN group policy flags.
    pub tun_gbp_flags: u8,
    /// Protocol of the original direction of the tracked connection, 0 without.
    pub ct_nw_proto: u8,
    /// Zero.
    pub pad5: U16,
    /// Connection label.
    pub ct_label: [u8; 16],
    /// IPv4 source of the original direction of the tracked connection.
    pub ct_nw_src: U32,
    /// IPv4 destination of the original direction.
    pub ct_nw_dst: U32,
    /// IPv6 source of the original direction.
    pub ct_ipv6_src: [u8; 16],
    /// IPv6 destination of the original direction.
    pub ct_ipv6_dst: [u8; 16],
    /// L4 source port (or ICMP type) of the original direction.
    pub ct_tp_src: U16,
    /// L4 destination port (or ICMP code) of the original direction.
    pub ct_tp_dst: U16,
    /// Flags and reserved bits of a neighbour discovery message.
    pub nd_reserved: U32,
}

/// Number of 64-bit words of a [`FlowKey`].
pub const KEY_WORDS: usize = size_of::<FlowKey>() / 8;

impl FlowKey {
    /// The key of nothing: all zero. As a mask: matches everything.
    pub const ZERO: FlowKey = zerocopy::transmute!([0u8; size_of::<FlowKey>()]);

    /// The key as words in memory order, for hashing, masking and comparing.
    #[must_use]
    #[inline(always)]
    pub fn words(&self) -> &[[u8; 8]; KEY_WORDS] {
        zerocopy::transmute_ref!(self)
    }

    /// As [`FlowKey::words`], to change.
    #[inline(always)]
    pub fn words_mut(&mut self) -> &mut [[u8; 8]; KEY_WORDS] {
        zerocopy::transmute_mut!(self)
    }

    /// `self & mask`, word by word.
    #[must_use]
    pub fn masked(&self, mask: &Mask) -> FlowKey {
        let mut out = *self;
        for (w, m) in out.words_mut().iter_mut().zip(mask.0.words()) {
            *w = (u64::from_ne_bytes(*w) & u64::from_ne_bytes(*m)).to_ne_bytes();
        }
        out
    }

    /// The value of a field that lives in the key; `None` for a register.
    #[must_use]
    #[inline(always)]
    pub fn get(&self, field: FieldId) -> Option<Value> {
        field.def().read_key(self)
    }

    /// Set a field that lives in the key; bits of `value` beyond the field's width are dropped. `false` (and no
    /// change) for a register.
    #[inline]
    pub fn set(&mut self, field: FieldId, value: Value) -> bool {
        field.def().write_key(self, value)
    }
}

impl Default for FlowKey {
    fn default() -> Self {
        Self::ZERO
    }
}

impl std::fmt::Debug for FlowKey {
    /// Fields that are not zero, by name.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_map();
        for def in crate::field::datapath_fields() {
            if let Some(v) = def.read_key(self)
                && v.0 != 0
            {
                out.entry(&format_args!("{}", def.name), &format_args!("{:#x}", v.0));
            }
        }
        out.finish()
    }
}

/// A mask over a [`FlowKey`]: a set bit must match.
#[repr(transparent)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Mask(pub FlowKey);

impl Mask {
    /// Matches every key.
    pub const ANY: Mask = Mask(FlowKey::ZERO);

    /// Require all bits of a field. A register adds nothing: it is not part of a datapath flow.
    pub fn require(&mut self, field: FieldId) {
        let def = field.def();
        self.require_bits(def, Value::ones(def.bits));
    }

    /// Require the given bits of a field.
    pub fn require_bits(&mut self, def: &FieldDef, bits: Value) {
        if let Some(had) = def.read_key(&self.0) {
            def.write_key(&mut self.0, Value(had.0 | bits.0));
        }
    }

    /// Require all that `other` requires too.
    pub fn unite(&mut self, other: &Mask) {
        for (w, m) in self.0.words_mut().iter_mut().zip(other.0.words()) {
            *w = (u64::from_ne_bytes(*w) | u64::from_ne_bytes(*m)).to_ne_bytes();
        }
    }

    /// Whether `key` equals `masked` in all required bits. `masked` must be masked by `self` already.
    #[must_use]
    pub fn matches(&self, key: &FlowKey, masked: &FlowKey) -> bool {
        key.words()
            .iter()
            .zip(self.0.words())
            .zip(masked.words())
            .all(|((k, m), want)| u64::from_ne_bytes(*k) & u64::from_ne_bytes(*m) == u64::from_ne_bytes(*want))
    }

    /// Whether every bit that `self` requires is required by `other` too: `other` is at least as narrow.
    #[must_use]
    pub fn is_within(&self, other: &Mask) -> bool {
        // To the end, so that several words are compared at a time.
        let beyond = |(a, b): (&[u8; 8], &[u8; 8])| u64::from_ne_bytes(*a) & !u64::from_ne_bytes(*b);
        self.0.words().iter().zip(other.0.words()).map(beyond).fold(0, |all, word| all | word) == 0
    }

    /// Number of required bits.
    #[must_use]
    pub fn bits(&self) -> u32 {
        self.0.words().iter().map(|w| u64::from_ne_bytes(*w).count_ones()).sum()
    }

    /// The required bits of a field; zero when it is a wildcard or a register.
    #[must_use]
    #[inline(always)]
    pub fn get(&self, field: FieldId) -> Value {
        self.0.get(field).unwrap_or_default()
    }
}

/// What exists only while the pipeline translates a packet: zero when it starts, never in a datapath flow.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, FromBytes, IntoBytes, KnownLayout, Immutable)]
pub struct Registers {
    /// OpenFlow 1.1 metadata.
    pub metadata: U64,
    /// `reg0` to `reg15`. `xreg0` is reg0 (high half) and reg1, `xxreg0` is reg0 (highest) to reg3, and so on.
    pub regs: [U32; 16],
    /// Port that the action set would send to, [`crate::OfPort::UNSET`] when none (OpenFlow 1.5, section 7.2.3.3).
    pub actset_output: U32,
    /// Conjunction that the lookup fulfilled, 0 outside.
    pub conj_id: U32,
}

impl FieldDef {
    /// The field's value in a key; `None` for a register.
    #[must_use]
    #[inline(always)]
    pub fn read_key(&self, key: &FlowKey) -> Option<Value> {
        match self.place {
            Place::Key { offset, bytes } => Some(self.read(key.as_bytes(), offset, bytes)),
            Place::Registers { .. } => None,
        }
    }

    /// Set the field in a key; `false` for a register.
    #[inline]
    pub fn write_key(&self, key: &mut FlowKey, value: Value) -> bool {
        match self.place {
            Place::Key { offset, bytes } => {
                self.write(key.as_mut_bytes(), offset, bytes, value);
                true
            }
            Place::Registers { .. } => false,
        }
    }

    /// The value of a field, wherever it lives.
    #[must_use]
    pub fn get(&self, key: &FlowKey, regs: &Registers) -> Value {
        match self.place {
            Place::Key { offset, bytes } => self.read(key.as_bytes(), offset, bytes),
            Place::Registers { offset, bytes } => self.read(regs.as_bytes(), offset, bytes),
        }
    }

    /// Set a field, wherever it lives. Bits beyond its width are dropped.
    pub fn set(&self, key: &mut FlowKey, regs: &mut Registers, value: Value) {
        match self.place {
            Place::Key { offset, bytes } => self.write(key.as_mut_bytes(), offset, bytes, value),
            Place::Registers { offset, bytes } => self.write(regs.as_mut_bytes(), offset, bytes, value),
        }
    }

    /// The bits of the field, right-aligned.
    #[inline]
    fn ones64(&self) -> u64 {
        u64::MAX.checked_shr(64 - u32::from(self.bits.min(64))).unwrap_or(0)
    }

    #[inline(always)]
    fn read(&self, from: &[u8], offset: u16, bytes: u8) -> Value {
        let start = usize::from(offset);
        let place = &from[start..start + usize::from(bytes)];
        match number(place) {
            Some(whole) => Value(u128::from(whole >> self.shift & self.ones64())),
            None => Value(long_number(place) >> self.shift & Value::ones(self.bits).0),
        }
    }

    #[inline(always)]
    fn write(&self, into: &mut [u8], offset: u16, bytes: u8, value: Value) {
        let start = usize::from(offset);
        let place = &mut into[start..start + usize::from(bytes)];
        if let Some(had) = number(place) {
            let field = self.ones64();
            let now = had & !(field << self.shift) | (value.0 as u64 & field) << self.shift;
            let bytes = now.to_be_bytes();
            match place {
                [a] => *a = now as u8,
                [_, _] => place.copy_from_slice(&bytes[6..]),
                [_, _, _, _] => place.copy_from_slice(&bytes[4..]),
                [_, _, _, _, _, _] => place.copy_from_slice(&bytes[2..]),
                _ => place.copy_from_slice(&bytes[8 - place.len()..]),
            }
        } else {
            let field = Value::ones(self.bits).0;
            let now = long_number(place) & !(field << self.shift) | (value.0 & field) << self.shift;
            place.copy_from_slice(&now.to_be_bytes()[16 - place.len()..]);
        }
    }
}

/// Up to 8 bytes as a number, the first one highest. The widths that most fields have need no loop: sets and matches of
/// fields are a good part of a translation.
#[inline]
fn number(bytes: &[u8]) -> Option<u64> {
    Some(match *bytes {
        [a] => a.into(),
        [a, b] => u16::from_be_bytes([a, b]).into(),
        [a, b, c, d] => u32::from_be_bytes([a, b, c, d]).into(),
        [a, b, c, d, e, f] => u64::from_be_bytes([0, 0, a, b, c, d, e, f]),
        [a, b, c, d, e, f, g, h] => u64::from_be_bytes([a, b, c, d, e, f, g, h]),
        _ if bytes.len() < 8 => bytes.iter().fold(0, |v, b| v << 8 | u64::from(*b)),
        _ => return None,
    })
}

fn long_number(bytes: &[u8]) -> u128 {
    bytes.iter().fold(0, |v, b| v << 8 | u128::from(*b))
}
