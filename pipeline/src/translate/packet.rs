//! The packet as the actions so far have made it, and what of it was looked at.
//!
//! There are three of it: as it came (`came`), as it is for the actions (`now`), and as the datapath has it, which
//! is changed only before an output (`sent`). Each bit of the latter two is either the packet's own, whose value
//! another packet of the flow may not share unless the mask requires it, or a constant that an action wrote.

use super::tags::{MAX_TAGS, Tag, Tags};
use flow::dp::{Actions, DpAction};
use flow::field::Prereq;
use flow::key::frag;
use flow::{FieldId, FlowKey, Mask, Registers, Value, VlanTag};
use smallvec::SmallVec;

/// One state of the packet.
#[derive(Clone, Debug)]
struct Layer {
    key: FlowKey,
    /// Bits that are the packet's own. VLAN tags keep theirs in `tags`.
    own: Mask,
    tags: Tags,
}

#[derive(Clone, Debug)]
pub(super) struct Packet<'k> {
    came: &'k FlowKey,
    mask: Mask,
    now: Layer,
    sent: Layer,
    pub(super) regs: Registers,
    /// Decrements of a TTL that is the packet's own: it is then a function of all its bits.
    decrements: u32,
    /// Fields that an action has set, apart from VLAN tags.
    touched: SmallVec<[FieldId; 4]>,
    next_tag: u32,
}

impl<'k> Packet<'k> {
    /// A packet that came on OpenFlow port `in_port`.
    pub(super) fn new(came: &'k FlowKey, in_port: u16) -> Packet<'k> {
        let mut key = *came;
        key.in_port = u32::from(in_port).into();
        let mut own = Mask::ANY;
        own.0.words_mut().fill([0xff; 8]);
        let layer = Layer { key, own, tags: Tags::of(&came.vlans) };
        let mut packet = Packet {
            came,
            mask: Mask::ANY,
            now: layer.clone(),
            sent: layer,
            regs: Registers::default(),
            decrements: 0,
            touched: SmallVec::new(),
            next_tag: MAX_TAGS as u32,
        };
        for field in [FieldId::InPort, FieldId::RecircId, FieldId::EthType] {
            packet.mask.require(field);
        }
        if packet.is_ip() {
            packet.mask.require(FieldId::IpFrag);
        }
        packet
    }

    /// The packet as it is now; what a decision depends on must be looked at first.
    pub(super) fn key(&self) -> &FlowKey {
        &self.now.key
    }

    /// What was looked at, in terms of the packet as it came.
    pub(super) fn mask(&self) -> &Mask {
        &self.mask
    }

    pub(super) fn mask_mut(&mut self) -> &mut Mask {
        &mut self.mask
    }

    // ---- Looking

    /// Bits of the packet as it is now are looked at.
    pub(super) fn look(&mut self, bits: &Mask) {
        let mut came = Mask(bits.0.masked(&self.now.own));
        // The input port is an OpenFlow number here; it is exact in every mask.
        came.0.in_port = 0.into();
        came.0.vlans = Default::default();
        if self.decrements != 0 && came.0.nw_ttl != 0 {
            came.0.nw_ttl = 0xff;
        }
        for (i, want) in bits.0.vlans.iter().enumerate() {
            if *want != VlanTag::default() {
                self.look_tag(i, want);
            }
        }
        self.mask.unite(&came);
    }

    pub(super) fn look_at(&mut self, field: FieldId) {
        let mut bits = Mask::ANY;
        bits.require(field);
        self.look(&bits);
    }

    fn look_tag(&mut self, i: usize, want: &VlanTag) {
        let (source, tpid, tci) = match self.now.tags.stack.get(i) {
            Some(t) => (t.source, if t.own_tpid { want.tpid.get() } else { 0 }, want.tci.get() & t.own),
            None => match self.now.tags.absent(i) {
                Some(source) => (source, want.tpid.get(), want.tci.get()),
                None => return,
            },
        };
        self.require_tag(source, tpid, tci);
    }

    fn require_tag(&mut self, source: usize, tpid: u16, tci: u16) {
        if let Some(tag) = self.mask.0.vlans.get_mut(source) {
            tag.tpid = (tag.tpid.get() | tpid).into();
            tag.tci = (tag.tci.get() | tci).into();
        }
    }

    fn is_ip(&self) -> bool {
        matches!(self.came.eth_type.get(), 0x0800 | 0x86dd)
    }

    /// Whether the packet is what a field requires. Looks at what decides it.
    pub(super) fn has(&mut self, prereq: Prereq) -> bool {
        let eth_type = self.came.eth_type.get();
        let l4 = |p: &mut Packet<'_>, proto: u8| {
            p.look_at(FieldId::IpProto);
            p.now.key.nw_proto == proto && p.now.key.nw_frag & frag::LATER == 0
        };
        let nd = |p: &mut Packet<'_>, types: &[u16]| {
            if eth_type != 0x86dd || !l4(p, 58) {
                return false;
            }
            p.look_at(FieldId::TcpSrc);
            p.look_at(FieldId::TcpDst);
            types.contains(&p.now.key.tp_src.get()) && p.now.key.tp_dst.get() == 0
        };
        match prereq {
            Prereq::None => true,
            Prereq::VlanVid => self.has_tag(),
            Prereq::Arp => matches!(eth_type, 0x0806 | 0x8035),
            Prereq::Ip => self.is_ip(),
            Prereq::Ipv4 => eth_type == 0x0800,
            Prereq::Ipv6 => eth_type == 0x86dd,
            Prereq::Tcp => self.is_ip() && l4(self, 6),
            Prereq::Udp => self.is_ip() && l4(self, 17),
            Prereq::Sctp => self.is_ip() && l4(self, 132),
            Prereq::Icmp => eth_type == 0x0800 && l4(self, 1),
            Prereq::Icmpv6 => eth_type == 0x86dd && l4(self, 58),
            Prereq::Nd => nd(self, &[135, 136]),
            Prereq::NdSolicit => nd(self, &[135]),
            Prereq::NdAdvert => nd(self, &[136]),
            Prereq::Mpls => matches!(eth_type, 0x8847 | 0x8848),
            Prereq::CtIp | Prereq::CtIpv4 | Prereq::CtIpv6 => {
                let family = match prereq {
                    Prereq::CtIpv4 => eth_type == 0x0800,
                    Prereq::CtIpv6 => eth_type == 0x86dd,
                    _ => self.is_ip(),
                };
                if family {
                    self.look_at(FieldId::CtState);
                }
                family && self.now.key.ct_state.get() != 0
            }
        }
    }

    // ---- Changing

    /// Change bits of a field, if the packet has it.
    pub(super) fn set(&mut self, field: FieldId, value: Value, mask: Value) {
        let def = field.def();
        let (mut mask, value) = (mask.0 & def.ones().0, value.0 & mask.0);
        match field {
            FieldId::VlanTci => return self.set_tci(value as u16, mask as u16),
            FieldId::VlanVid if self.has_tag() => return self.write_tag(value as u16, mask as u16 & 0xfff),
            FieldId::VlanPcp if self.has_tag() => return self.write_tag((value as u16) << 13, (mask as u16) << 13),
            FieldId::VlanVid | FieldId::VlanPcp => return,
            _ => {}
        }
        if !self.has(def.prereq) {
            return;
        }
        let mut whole = def.get(&self.now.key, &self.regs).0 & !mask | value;
        if !def.is_in_key() || field == FieldId::InPort {
            if field == FieldId::InPort {
                // An OpenFlow number has 16 bits.
                whole &= 0xffff;
            }
            def.set(&mut self.now.key, &mut self.regs, Value(whole));
            return;
        }
        if field == FieldId::IpTtl && mask != def.ones().0 {
            self.look_at(field);
            mask = def.ones().0;
        }
        def.write_key(&mut self.now.key, Value(whole));
        let own = self.now.own.get(field).0 & !mask;
        def.write_key(&mut self.now.own.0, Value(own));
        if !self.touched.contains(&field) {
            self.touched.push(field);
        }
    }

    /// Decrement the TTL, if there is one.
    pub(super) fn dec_ttl(&mut self, actions: &mut Actions) {
        if !self.is_ip() {
            return;
        }
        let ttl = self.now.key.nw_ttl;
        if self.now.own.0.nw_ttl == 0 {
            // A constant: no need to ask the packet.
            if ttl > 1 {
                self.now.key.nw_ttl = ttl - 1;
                return;
            }
            self.commit_field(FieldId::IpTtl, actions);
        } else {
            self.decrements += 1;
        }
        actions.push(DpAction::DecTtl);
        self.now.key.nw_ttl = ttl.saturating_sub(1);
        self.sent.key.nw_ttl = ttl.saturating_sub(1);
    }

    // ---- VLAN tags

    /// The tags as they are now, to go back to with [`Packet::restore_tags`].
    pub(super) fn save_tags(&self) -> Tags {
        self.now.tags.clone()
    }

    pub(super) fn restore_tags(&mut self, tags: Tags) {
        self.now.tags = tags;
        self.now.key.vlans = self.now.tags.view();
    }

    /// Whether there is a tag. Looks.
    pub(super) fn has_tag(&mut self) -> bool {
        self.look_tag(0, &VlanTag { tpid: 0.into(), tci: VlanTag::PRESENT.into() });
        !self.now.tags.stack.is_empty()
    }

    /// Change bits of the outer tag, which is there.
    pub(super) fn write_tag(&mut self, value: u16, mask: u16) {
        if let Some(tag) = self.now.tags.stack.first_mut() {
            tag.write(value, mask);
        }
        self.now.key.vlans = self.now.tags.view();
    }

    pub(super) fn pop_tag(&mut self) {
        if self.has_tag() {
            self.now.tags.pop();
            self.now.key.vlans = self.now.tags.view();
        }
    }

    /// Add an outer tag; id and priority are those of the present one, or 0. `false`: there is no room for one more.
    pub(super) fn push_tag(&mut self, tpid: u16) -> bool {
        // How many tags there are decides: look at the presence of all there may be.
        for source in self.now.tags.popped..MAX_TAGS {
            self.require_tag(source, 0, VlanTag::PRESENT);
            if !self.came.vlans[source].is_present() {
                break;
            }
        }
        if self.now.tags.stack.len() >= MAX_TAGS {
            return false;
        }
        let new = VlanTag { tpid: tpid.into(), tci: VlanTag::PRESENT.into() };
        let mut tag = Tag { id: self.next_tag, tag: new, source: 0, own: 0, own_tpid: false };
        if let Some(top) = self.now.tags.stack.first() {
            tag.tag.tci = top.tag.tci;
            tag.source = top.source;
            tag.own = top.own & !VlanTag::PRESENT;
        }
        self.next_tag += 1;
        self.now.tags.push(tag);
        self.now.key.vlans = self.now.tags.view();
        true
    }

    fn set_tci(&mut self, value: u16, mask: u16) {
        let there = self.has_tag();
        let stays = if mask & VlanTag::PRESENT != 0 { value & VlanTag::PRESENT != 0 } else { there };
        match (there, stays) {
            (_, false) => self.pop_tag(),
            (false, true) => {
                if self.push_tag(0x8100) {
                    self.write_tag(value, !VlanTag::PRESENT);
                }
            }
            (true, true) => self.write_tag(value, mask & !VlanTag::PRESENT),
        }
    }

    // ---- Committing

    /// Make the datapath's packet what the packet is now.
    pub(super) fn commit(&mut self, actions: &mut Actions) {
        for i in 0..self.touched.len() {
            self.commit_field(self.touched[i], actions);
        }
        self.commit_tags(actions);
    }

    fn commit_field(&mut self, field: FieldId, actions: &mut Actions) {
        let def = field.def();
        let read = |key: &FlowKey| def.read_key(key).unwrap_or_default().0;
        let mut seen = read(&self.mask.0);
        if field == FieldId::IpTtl && seen != def.ones().0 {
            seen = 0;
        }
        let bits = Bits { value: read(&self.now.key), own: read(&self.now.own.0), seen };
        let had = Bits { value: read(&self.sent.key), own: read(&self.sent.own.0), seen };
        let need = bits.differ(&had, true) & def.ones().0;
        if need == 0 {
            return;
        }
        let mask = bits.constants(def.ones().0);
        let value = bits.value & mask;
        actions.push(DpAction::Set { field, value: Value(value), mask: Value(mask) });
        def.write_key(&mut self.sent.key, Value(had.value & !mask | value));
        def.write_key(&mut self.sent.own.0, Value(had.own & !mask));
    }

    fn commit_tags(&mut self, actions: &mut Actions) {
        if self.now.tags == self.sent.tags {
            return;
        }
        let (want, have) = (self.now.tags.clone(), self.sent.tags.clone());
        let (mut want_stack, mut have_stack) = (want.stack.to_vec(), have.stack.to_vec());
        want_stack.reverse();
        have_stack.reverse();
        // Tags at the bottom that can stay: the same ones, of which only the outermost can be changed in place.
        let same = want_stack.iter().zip(&have_stack).take_while(|(w, h)| w.id == h.id).count();
        let changed = (0..same).find(|i| self.tag_differs(&want_stack[*i], &have_stack[*i]) != 0);
        let mut keep = changed.map_or(same, |i| i + 1);
        if changed.is_none() && have_stack.len() == same + 1 && want_stack.len() == same + 1 {
            // Another tag in the place of one: the same TPID makes it a change in place.
            let (w, h) = (want_stack[same], have_stack[same]);
            for t in [w, h] {
                if t.own_tpid {
                    self.require_tag(t.source, 0xffff, 0);
                }
            }
            keep += usize::from(w.tag.tpid == h.tag.tpid);
        }
        for _ in keep..have_stack.len() {
            actions.push(DpAction::PopVlan);
        }
        if keep > 0 {
            self.change_tag(&want_stack[keep - 1], &have_stack[keep - 1], actions);
        }
        for tag in &want_stack[keep..] {
            let tpid = if tag.own_tpid { 0xffff } else { 0 };
            self.require_tag(tag.source, tpid, tag.own);
            actions.push(DpAction::PushVlan(tag.tag));
        }
        self.sent.tags = want;
    }

    /// Bits of the TCI that must be written to make `have` into `want`.
    fn tag_differs(&self, want: &Tag, have: &Tag) -> u16 {
        let (w, h) = (self.tag_bits(want), self.tag_bits(have));
        (w.differ(&h, want.id == have.id) & 0xffff) as u16 & !VlanTag::PRESENT
    }

    fn tag_bits(&self, tag: &Tag) -> Bits {
        let seen = self.mask.0.vlans.get(tag.source).map_or(0, |m| m.tci.get());
        Bits { value: tag.tci().into(), own: tag.own.into(), seen: seen.into() }
    }

    fn change_tag(&mut self, want: &Tag, have: &Tag, actions: &mut Actions) {
        let need = self.tag_differs(want, have);
        // Bits that go back to what the packet came with must be known.
        self.require_tag(want.source, 0, need & want.own);
        let bits = self.tag_bits(want);
        for (field, place, shift) in [(FieldId::VlanVid, 0x0fff, 0), (FieldId::VlanPcp, 0xe000, 13)] {
            if need & place != 0 {
                let mask = bits.constants(place.into());
                let value = Value((bits.value & mask) >> shift);
                actions.push(DpAction::Set { field, value, mask: Value(mask >> shift) });
            }
        }
    }
}

/// Some bits of one state of the packet.
struct Bits {
    value: u128,
    /// The packet's own.
    own: u128,
    /// Required by the mask, so their value is that of all packets of the flow.
    seen: u128,
}

impl Bits {
    /// Bits that may differ from `had`; `same_place`: own bits of both are the same bits of the packet.
    fn differ(&self, had: &Bits, same_place: bool) -> u128 {
        let unchanged = if same_place { self.own & had.own } else { 0 };
        let known = (!self.own | self.seen) & (!had.own | had.seen);
        let equal = known & !(self.value ^ had.value);
        !(unchanged | equal)
    }

    /// All bits of `place` whose value is known: writing those that are right already makes a set simpler.
    fn constants(&self, place: u128) -> u128 {
        (!self.own | self.seen) & place
    }
}
