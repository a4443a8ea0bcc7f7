//! The VLAN tags of a packet that is being translated.

use flow::VlanTag;
use smallvec::SmallVec;

/// Most tags that a key holds.
pub(crate) const MAX_TAGS: usize = 2;

/// One tag, and how much of it is still the packet's own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The same tag in two stacks has the same number; those that the packet came with are 0 and 1.
    pub(crate) id: u32,
    pub(crate) tag: VlanTag,
    /// Which tag of the packet the bits in `own` and the TPID (when `own_tpid`) are from.
    pub(crate) source: usize,
    /// Bits of the TCI that no action has overwritten.
    pub(crate) own: u16,
    pub(crate) own_tpid: bool,
}

impl Tag {
    pub(crate) fn tci(&self) -> u16 {
        self.tag.tci.get()
    }

    /// Overwrite bits of the TCI.
    pub(crate) fn write(&mut self, value: u16, mask: u16) {
        self.tag.tci = (self.tci() & !mask | value & mask).into();
        self.own &= !mask;
    }
}

/// Tags, outermost first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tags {
    pub(crate) stack: SmallVec<[Tag; MAX_TAGS]>,
    /// How many of the packet's own tags were taken off.
    pub(crate) popped: usize,
}

impl Tags {
    /// The tags that a packet came with.
    pub(crate) fn of(vlans: &[VlanTag; MAX_TAGS]) -> Tags {
        let present = vlans.iter().take_while(|t| t.is_present()).enumerate();
        let own = |(source, tag): (usize, &VlanTag)| Tag {
            id: u32::from(source != 0),
            tag: *tag,
            source,
            own: u16::MAX,
            own_tpid: true,
        };
        Tags { stack: present.map(own).collect(), popped: 0 }
    }

    /// Whether they are the tags that the packet came with.
    pub(crate) fn is_as_came(&self) -> bool {
        let own = |t: &Tag| (t.id as usize) < MAX_TAGS && t.own == u16::MAX && t.own_tpid;
        self.popped == 0 && self.stack.iter().all(own)
    }

    /// What a key of the packet as it is now holds.
    pub(crate) fn view(&self) -> [VlanTag; MAX_TAGS] {
        std::array::from_fn(|i| self.stack.get(i).map(|t| t.tag).unwrap_or_default())
    }

    /// The packet's own tag that would be seen in place `i` if there were one.
    pub(crate) fn absent(&self, i: usize) -> Option<usize> {
        let added = self.stack.iter().filter(|t| t.id as usize >= MAX_TAGS).count();
        (self.popped + i).checked_sub(added).filter(|source| *source < MAX_TAGS)
    }

    /// Take off the outer tag; the caller has looked whether there is one.
    pub(crate) fn pop(&mut self) {
        if !self.stack.is_empty() {
            let gone = self.stack.remove(0);
            self.popped += usize::from((gone.id as usize) < MAX_TAGS);
        }
    }

    pub(crate) fn push(&mut self, tag: Tag) {
        self.stack.insert(0, tag);
    }
}
