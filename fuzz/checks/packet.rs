//! What must hold for any bytes as a packet. Shared by the fuzz target, the replay of its findings and the
//! capture tests. Panics when something does not hold.

use flow::extract::{RxMeta, extract, extract_into};
use flow::field::datapath_fields;
use flow::key::{FlowKey, VlanTag};
use flow::rewrite::{FrameBuf, Outcome, PacketBuf, TtlOutcome};
use flow::rewrite::{dec_ttl, layout_of, pop_vlan, push_vlan, restore_tags, set_field};
use flow::wire::{L3, L4, Layout, checksum, crc32c};
use flow::{DpPort, FieldId, Value};

/// Check everything on one packet.
pub fn check(packet: &[u8]) {
    // A large packet finds nothing that a small one does not.
    let packet = &packet[..packet.len().min(2048)];
    let mut random = Random::from(packet);
    let key = key_of(packet);
    cuts(packet, &key, &mut random);
    tags(packet, &key, &mut random);
    ttl(packet, &key);
    for def in datapath_fields() {
        field(packet, &key, def.id, random.value(), random.value());
        field(packet, &key, def.id, random.value(), def.ones());
    }
}

/// The key of a packet that is all there.
pub fn key_of(packet: &[u8]) -> FlowKey {
    extract(packet, packet.len(), &RxMeta::from_port(DpPort(1)))
}

/// A short head shows what the whole shows, or says that it is too short.
fn cuts(packet: &[u8], key: &FlowKey, random: &mut Random) {
    let meta = RxMeta::from_port(DpPort(1));
    for at in [random.below(packet.len() + 1), random.below(packet.len().min(100) + 1)] {
        let mut cut = FlowKey::ZERO;
        let layout = extract_into(&mut cut, &packet[..at], packet.len(), &meta);
        if !layout.short_head {
            assert_eq!(cut, *key, "head of {at}");
        }
        for def in datapath_fields() {
            let mut split = FrameBuf::new(packet).split_at(at);
            set_field(&mut split, def.id, random.value(), random.value());
            assert_eq!(split.total_len(), packet.len());
            assert_eq!(split.packet()[at..], packet[at..]);
        }
        let _ = dec_ttl(&mut FrameBuf::new(packet).split_at(at));
        let _ = key_of(&packet[..at]);
    }
}

fn tags(packet: &[u8], key: &FlowKey, random: &mut Random) {
    let tag = random.tag();
    let mut pkt = FrameBuf::new(packet);
    if push_vlan(&mut pkt, tag) == Outcome::Done {
        assert!(packet.len() >= 14);
        let pushed = key_of(pkt.packet());
        assert_eq!(pushed.vlans, [tag, key.vlans[0]]);
        if !key.vlans[1].is_present() {
            let mut want = *key;
            want.vlans = pushed.vlans;
            assert_eq!(pushed, want);
        }
        assert!(pop_vlan(&mut pkt));
    }
    assert_eq!(pkt.packet(), packet);

    let mut pkt = FrameBuf::new(packet);
    assert_eq!(pop_vlan(&mut pkt), key.vlans[0].is_present());
    if key.vlans[0].is_present() {
        assert_eq!(key_of(pkt.packet()).vlans[0], key.vlans[1]);
    }

    let mut meta = RxMeta::from_port(DpPort(1));
    meta.stripped = [random.tag(), random.tag()];
    meta.stripped[random.below(2)] = VlanTag::default();
    if random.below(2) == 0 {
        meta.stripped = [random.tag(), random.tag()];
    }
    let before = extract(packet, packet.len(), &meta);
    let mut pkt = FrameBuf::new(packet);
    if restore_tags(&mut pkt, &mut meta) {
        assert_eq!(meta.tags().count(), 0);
        assert_eq!(key_of(pkt.packet()), before);
    }
}

fn ttl(packet: &[u8], key: &FlowKey) {
    let mut pkt = FrameBuf::new(packet);
    let is_ip = matches!(key.eth_type.get(), 0x0800 | 0x86dd);
    let outcome = dec_ttl(&mut pkt);
    let mut want = *key;
    match outcome {
        TtlOutcome::Done => want.nw_ttl -= 1,
        TtlOutcome::Expired | TtlOutcome::NotIp => assert_eq!(pkt.packet(), packet),
    }
    assert_eq!(outcome == TtlOutcome::NotIp, !is_ip);
    assert_eq!(outcome == TtlOutcome::Expired, is_ip && key.nw_ttl <= 1);
    assert_eq!(key_of(pkt.packet()), want);
    same_errors(packet, pkt.packet());
}

fn field(packet: &[u8], key: &FlowKey, field: FieldId, value: Value, mask: Value) {
    let old = key.get(field).expect("datapath fields are in the key");
    let mut pkt = FrameBuf::new(packet);
    let there = set_field(&mut pkt, field, value, mask);
    if !there {
        assert_eq!(pkt.packet(), packet, "{field}");
        return;
    }
    assert!(field.def().writable, "{field}");
    let new = key_of(pkt.packet());
    let present = if matches!(field, FieldId::VlanTci | FieldId::VlanVid) { u128::from(VlanTag::PRESENT) } else { 0 };
    let mask = mask.0 & field.def().ones().0 & !present;
    assert_eq!(new.get(field), Some(Value(old.0 & !mask | value.0 & mask)), "{field}");

    // Nothing else changes in the key, except where the field says what else there is.
    if !matches!(field, FieldId::Icmpv6Type | FieldId::Icmpv6Code | FieldId::NdSll | FieldId::NdTll) {
        let mut want = *key;
        want.set(field, Value(old.0 & !mask | value.0 & mask));
        assert_eq!(new, want, "{field}");
    }
    same_errors(packet, pkt.packet());

    if let Some(now) = new.get(field).filter(|_| field != FieldId::ArpOp) {
        let bytes = pkt.packet().to_vec();
        if set_field(&mut pkt, field, now, field.def().ones()) {
            assert_eq!(pkt.packet(), bytes, "{field} set to itself");
        }
    }
}

/// Every checksum is as right or wrong as it was.
fn same_errors(before: &[u8], after: &[u8]) {
    assert_eq!(before.len(), after.len());
    let (a, b) = (layout_of(&FrameBuf::new(before)), layout_of(&FrameBuf::new(after)));
    assert_eq!(a, b, "a change moved a header");
    assert_eq!(header_error(before, &a), header_error(after, &a), "IPv4 header checksum");
    assert_eq!(transport_error(before, &a), transport_error(after, &a), "L4 checksum");
}

/// By how much the IPv4 header checksum is wrong, modulo 0xffff.
fn header_error(packet: &[u8], layout: &Layout) -> u64 {
    match layout.l3 {
        L3::Ipv4 => checksum::sum(&packet[layout.l3_at()..layout.l4_at()]) % 0xffff,
        _ => 0,
    }
}

/// By how much the L4 checksum is wrong, over the whole packet; `None` when there is none.
fn transport_error(packet: &[u8], layout: &Layout) -> Option<u64> {
    let (l3, l4) = (&packet[layout.l3_at()..], layout.l4_at());
    let segment = &packet[l4.min(packet.len())..(l4 + layout.l4_len as usize).min(packet.len())];
    let pseudo = match layout.l3 {
        L3::Ipv4 => checksum::sum(&l3[12..20]),
        L3::Ipv6 if layout.routed => checksum::sum(&l3[8..24]),
        L3::Ipv6 => checksum::sum(&l3[8..40]),
        _ => return None,
    };
    match layout.l4 {
        L4::Tcp | L4::Icmpv6 => Some((pseudo + checksum::sum(segment)) % 0xffff),
        L4::Udp if segment[6..8] == [0, 0] => None,
        L4::Udp => Some((pseudo + checksum::sum(segment)) % 0xffff),
        L4::Icmp => Some(checksum::sum(segment) % 0xffff),
        L4::Sctp => {
            let mut covered = segment.to_vec();
            covered[8..12].fill(0);
            let carried = u32::from_le_bytes([segment[8], segment[9], segment[10], segment[11]]);
            Some(u64::from(crc32c::of(&covered) ^ carried))
        }
        L4::None => None,
    }
}

/// Values that depend on nothing but the packet, so that a finding can be replayed.
struct Random(u64);

impl Random {
    fn from(packet: &[u8]) -> Random {
        Random(packet.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x100_0000_01b3)))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }

    fn below(&mut self, n: usize) -> usize {
        (self.next() % n as u64) as usize
    }

    /// Often an extreme one.
    fn value(&mut self) -> Value {
        match self.below(8) {
            0 => Value(0),
            1 => Value(u128::MAX),
            2 => Value(1 << self.below(128)),
            _ => Value(u128::from(self.next()) << 64 | u128::from(self.next())),
        }
    }

    fn tag(&mut self) -> VlanTag {
        let tpid: u16 = if self.below(2) == 0 { 0x8100 } else { 0x88a8 };
        VlanTag { tpid: tpid.into(), tci: (self.next() as u16 | VlanTag::PRESENT).into() }
    }
}
