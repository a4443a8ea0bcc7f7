//! The packet as the actions so far have made it, and what of it was looked at.
//!
//! There are three of it: as it came (`came`), as it is for the actions (`now`), and as the datapath has it, which
//! is changed only before an output (`sent`). Each bit of the latter two is either the packet's own, whose value
//! another packet of the flow may not share unless the mask requires it, or a constant that an action wrote.
//!
//! Registers are always constants: what is copied into one from the packet is looked at when it is copied.

mod commit;
mod look;
mod set;
mod tags;

use flow::field::{CONNECTION, TUNNEL};
use flow::key::frag;
use flow::{FieldId, FlowKey, Mask, Registers};
use smallvec::SmallVec;
use tags::{MAX_TAGS, Tags};

/// Every bit.
const OWN: Mask = Mask(zerocopy::transmute!([u8::MAX; size_of::<FlowKey>()]));

/// One state of the packet.
#[derive(Clone, Debug)]
struct Layer {
    key: FlowKey,
    /// Bits that are the packet's own. VLAN tags keep theirs in `tags`.
    own: Mask,
    tags: Tags,
    /// Decrements of a TTL that is the packet's own: it is then a function of all its bits.
    decrements: u32,
}

#[derive(Clone, Debug)]
pub(super) struct Packet<'k> {
    came: &'k FlowKey,
    mask: Mask,
    now: Layer,
    /// `None`: as it came. Most packets are sent unchanged, and a layer is half a kilobyte.
    sent: Option<Box<Layer>>,
    pub(super) regs: Registers,
    /// Fields that an action has set and that are part of the packet, apart from VLAN tags. In the order in which they
    /// are committed.
    touched: SmallVec<[FieldId; 4]>,
    next_tag: u32,
    /// An action has changed the packet at some time. It may be again what it was.
    changed: bool,
    /// It has been on another port than the one that it came in on.
    moved: bool,
    /// The OpenFlow number that it came with.
    home: u16,
}

/// What actions see of the packet, to go back to.
#[derive(Debug)]
pub(super) struct Saved {
    now: Layer,
    regs: Registers,
}

/// What the datapath has of the packet, to go back to.
#[derive(Debug)]
pub(super) struct Sent(Option<Box<Layer>>);

impl Layer {
    /// A packet as it came.
    #[inline]
    fn new(came: &FlowKey, in_port: u16) -> Layer {
        let mut layer = Layer { key: *came, own: OWN, tags: Tags::of(&came.vlans), decrements: 0 };
        layer.key.in_port = u32::from(in_port).into();
        layer
    }
}

impl<'k> Packet<'k> {
    /// A packet that came on OpenFlow port `in_port`.
    #[inline]
    pub(super) fn new(came: &'k FlowKey, in_port: u16) -> Packet<'k> {
        let mut packet = Packet {
            came,
            mask: Mask::ANY,
            now: Layer::new(came, in_port),
            sent: None,
            regs: Registers::default(),
            touched: SmallVec::new(),
            next_tag: MAX_TAGS as u32,
            changed: false,
            moved: false,
            home: in_port,
        };
        let mask = &mut packet.mask.0;
        mask.in_port = u32::MAX.into();
        mask.recirc_id = u32::MAX.into();
        mask.eth_type = u16::MAX.into();
        if packet.is_ip() {
            packet.mask.0.nw_frag = frag::ANY | frag::LATER;
        }
        packet
    }

    /// The packet as it is now; what a decision depends on must be looked at first.
    pub(super) fn key(&self) -> &FlowKey {
        &self.now.key
    }

    /// The packet as it came.
    pub(super) fn came(&self) -> &'k FlowKey {
        self.came
    }

    /// What was looked at, in terms of the packet as it came.
    pub(super) fn mask(&self) -> &Mask {
        &self.mask
    }

    pub(super) fn mask_mut(&mut self) -> &mut Mask {
        &mut self.mask
    }

    fn is_ip(&self) -> bool {
        matches!(self.came.eth_type.get(), 0x0800 | 0x86dd)
    }

    /// The packet and the registers as they are now, to go back to with [`Packet::restore`].
    pub(super) fn save(&self) -> Saved {
        Saved { now: self.now.clone(), regs: self.regs }
    }

    /// Undo changes; those that were committed are undone by the next commit.
    pub(super) fn restore(&mut self, saved: Saved) {
        self.now = saved.now;
        self.regs = saved.regs;
    }

    /// The packet as the datapath has it, to go back to with [`Packet::restore_sent`].
    pub(super) fn save_sent(&self) -> Sent {
        Sent(self.sent.clone())
    }

    /// The datapath went on with a copy: it has the packet as it had it then.
    pub(super) fn restore_sent(&mut self, sent: &Sent) {
        self.sent.clone_from(&sent.0);
    }

    /// The packet as the datapath has it.
    fn sent(&mut self) -> &mut Layer {
        let (came, home) = (self.came, self.home);
        self.sent.get_or_insert_with(|| Box::new(Layer::new(came, home)))
    }

    /// The datapath port that it came in on.
    pub(super) fn came_on(&self) -> flow::DpPort {
        flow::DpPort(self.came.in_port.get())
    }

    /// Whether it has other tags than it came with, or has had.
    pub(super) fn is_retagged(&self) -> bool {
        let came = Tags::of(&self.came.vlans);
        self.now.tags.popped != 0 || self.now.tags.stack.len() != came.stack.len()
    }

    /// It has this hash now, which is no bits of its own.
    pub(super) fn set_hash(&mut self, hash: u32) {
        self.changed = true;
        self.now.key.dp_hash = hash.into();
        self.now.own.0.dp_hash = 0.into();
    }

    /// Whether it has a hash of [`Packet::set_hash`].
    pub(super) fn has_written_hash(&self) -> bool {
        self.now.own.0.dp_hash.get() == 0
    }

    // ---- Connection tracking

    /// Tracking tells nothing about the packet.
    pub(super) fn clear_tracking(&mut self) {
        self.changed = true;
        for field in CONNECTION {
            field.def().write_key(&mut self.now.key, flow::Value(0));
            field.def().write_key(&mut self.now.own.0, flow::Value(0));
        }
    }
}

impl Packet<'_> {
    /// What actions wrote into the fields of the tunnel: value and the bits written.
    pub(super) fn tunnel_writes(&self) -> SmallVec<[(FieldId, flow::Value, flow::Value); 2]> {
        let written = |field: FieldId| {
            let def = field.def();
            let own = def.read_key(&self.now.own.0)?.0;
            let mask = def.ones().0 & !own;
            let value = def.read_key(&self.now.key)?.0 & mask;
            (mask != 0).then_some((field, flow::Value(value), flow::Value(mask)))
        };
        TUNNEL.into_iter().filter_map(written).collect()
    }

    /// Nothing is known of a tunnel: the packet enters another bridge.
    pub(super) fn clear_tunnel(&mut self) {
        self.changed = true;
        for field in TUNNEL {
            field.def().write_key(&mut self.now.key, flow::Value(0));
            field.def().write_key(&mut self.now.own.0, flow::Value(0));
        }
    }

    /// The packet is on another OpenFlow port.
    pub(super) fn set_in_port(&mut self, port: u16) {
        self.move_port();
        self.now.key.in_port = u32::from(port).into();
    }

    // ---- What lookups find

    /// OpenFlow numbers of its port are no longer those of the port that it came in on.
    pub(super) fn move_port(&mut self) {
        (self.moved, self.changed) = (true, true);
    }

    /// Whether the packet may not be what it came as.
    #[inline]
    pub(super) fn is_written(&self) -> bool {
        self.changed
    }

    /// Add the bits in which the packet may not be what it came as.
    pub(super) fn add_written(&self, to: &mut Mask) {
        let mut written = Mask::ANY;
        for (to, own) in written.0.words_mut().iter_mut().zip(self.now.own.0.words()) {
            *to = (!u64::from_ne_bytes(*own)).to_ne_bytes();
        }
        if self.now.decrements != 0 {
            written.require(FieldId::IpTtl);
        }
        if self.moved || self.now.key.in_port.get() != u32::from(self.home) {
            written.require(FieldId::InPort);
        }
        if !self.now.tags.is_as_came() {
            for tag in &mut written.0.vlans {
                (tag.tpid, tag.tci) = (u16::MAX.into(), u16::MAX.into());
            }
        }
        to.unite(&written);
    }
}
