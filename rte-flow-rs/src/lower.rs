//! Lowering: typed rules into the arrays of the C interface, owned in one piece, with a safe view for whoever executes them.

use std::ptr::{null, null_mut};

use dpdk_sys::{rte_flow_action, rte_flow_attr, rte_flow_item};

use crate::action::{Action, Conf};
use crate::api::{ActionHandle, Attr};
use crate::item::{Item, ItemFields, Match};
use crate::layout::{self, action_type, item_type};

/// A piece of an [`Arena`]: first word and bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    word: usize,
    len: usize,
}

/// Buffers in words of 8 bytes, so that each is aligned for any member of a C structure. Written first, pointed into when done.
#[derive(Clone, Debug, Default)]
struct Arena(Vec<u64>);

impl Arena {
    fn add(&mut self, bytes: &[u8]) -> Piece {
        let piece = Piece { word: self.0.len(), len: bytes.len() };
        self.0.extend(bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_ne_bytes(word)
        }));
        piece
    }

    fn bytes(&self, piece: Piece) -> &[u8] {
        let words = &self.0[piece.word..piece.word + piece.len.div_ceil(8)];
        // SAFETY: u64s are initialised bytes; `words` covers `len` bytes rounded up to whole words.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), piece.len) }
    }

    fn pointer(&self, piece: Option<Piece>) -> *const std::ffi::c_void {
        piece.map_or(null(), |p| self.bytes(p).as_ptr().cast())
    }
}

#[derive(Clone, Copy, Debug)]
struct ItemPieces {
    ty: u32,
    spec: Option<Piece>,
    last: Option<Piece>,
    mask: Option<Piece>,
}

/// One lowered item, as a NIC would read it. The bytes are those of the C structure ([`layout`] has the offsets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemRef<'a> {
    /// `RTE_FLOW_ITEM_TYPE_*`.
    pub ty: u32,
    /// Values; `None` (null) matches any.
    pub spec: Option<&'a [u8]>,
    /// Upper bounds of ranges.
    pub last: Option<&'a [u8]>,
    /// Bits that count.
    pub mask: Option<&'a [u8]>,
}

#[derive(Clone, Debug)]
struct ActionPieces {
    ty: u32,
    conf: Option<Piece>,
    queues: Option<Vec<u16>>,
    handle: Option<ActionHandle>,
}

/// One lowered action, as a NIC would read it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ActionRef<'a> {
    /// `RTE_FLOW_ACTION_TYPE_*`.
    pub ty: u32,
    /// The configuration's bytes. Pointers inside (RSS) are of no use to a reader: see `queues`.
    pub conf: Option<&'a [u8]>,
    /// RSS: what `rte_flow_action_rss.queue` points to.
    pub queues: Option<&'a [u16]>,
    /// INDIRECT: the shared action.
    pub handle: Option<ActionHandle>,
}

/// A list of actions in the form of the C interface, ended by END.
#[derive(Debug)]
pub struct LoweredActions {
    arena: Arena,
    pieces: Vec<ActionPieces>,
    raw: Vec<rte_flow_action>,
}

// SAFETY: `raw` points into `arena` and into `pieces[..].queues`, heap memory that this value owns and never changes after
// lowering; moving the value does not move it.
unsafe impl Send for LoweredActions {}
// SAFETY: as above; `&self` only reads.
unsafe impl Sync for LoweredActions {}

impl LoweredActions {
    /// Lowers a list of actions.
    pub fn new(actions: &[Action]) -> Self {
        let mut arena = Arena::default();
        let pieces: Vec<ActionPieces> = actions
            .iter()
            .map(|action| {
                let ty = action.type_id();
                let none = ActionPieces { ty, conf: None, queues: None, handle: None };
                match action.conf() {
                    Conf::None => none,
                    Conf::Bytes(bytes) => ActionPieces { conf: Some(arena.add(&bytes)), ..none },
                    Conf::Handle(handle) => ActionPieces { handle: Some(handle), ..none },
                    Conf::Rss { mut bytes, queues } => {
                        // The vector's heap stays where it is when the vector moves.
                        let queue = queues.as_ptr().addr().to_ne_bytes();
                        bytes[layout::ACTION_RSS_QUEUE..layout::ACTION_RSS_QUEUE + queue.len()].copy_from_slice(&queue);
                        // Its provenance is exposed for the driver, which reads the pointer from these bytes.
                        let _ = queues.as_ptr().expose_provenance();
                        ActionPieces { conf: Some(arena.add(&bytes)), queues: Some(queues), ..none }
                    }
                }
            })
            .collect();
        let end = ActionPieces { ty: action_type::END, conf: None, queues: None, handle: None };
        let raw =
            pieces.iter().chain([&end]).map(|p| rte_flow_action { type_: p.ty, conf: arena.pointer(p.conf) }).collect();
        LoweredActions { arena, pieces, raw }
    }

    /// The actions in order, without END.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ActionRef<'_>> {
        self.pieces.iter().map(|p| ActionRef {
            ty: p.ty,
            conf: p.conf.map(|piece| self.arena.bytes(piece)),
            queues: p.queues.as_deref(),
            handle: p.handle,
        })
    }

    /// The C array, END included. The `conf` of an INDIRECT action is null here: who executes the list puts its own handle in.
    pub(crate) fn raw(&self) -> &[rte_flow_action] {
        &self.raw
    }
}

/// A rule in the form of the C interface: attributes, pattern and actions.
///
/// It owns everything it points to and can be kept as the record of what was asked for.
#[derive(Debug)]
pub struct LoweredFlow {
    attr: Attr,
    raw_attr: rte_flow_attr,
    arena: Arena,
    pieces: Vec<ItemPieces>,
    raw_items: Vec<rte_flow_item>,
    actions: LoweredActions,
}

// SAFETY: as for LoweredActions: `raw_items` points into `arena`, which is owned and never changes.
unsafe impl Send for LoweredFlow {}
// SAFETY: as above.
unsafe impl Sync for LoweredFlow {}

impl LoweredFlow {
    /// Lowers a rule. Any list can be lowered; whether it makes sense is the device's to say ([`crate::RteFlowApi::validate`]).
    pub fn new(attr: Attr, pattern: &[Item], actions: &[Action]) -> Self {
        let mut arena = Arena::default();
        let pieces: Vec<ItemPieces> = pattern.iter().map(|item| lower_item(&mut arena, item)).collect();
        let end = ItemPieces { ty: item_type::END, spec: None, last: None, mask: None };
        let raw_items = pieces
            .iter()
            .chain([&end])
            .map(|p| rte_flow_item {
                type_: p.ty,
                spec: arena.pointer(p.spec),
                last: arena.pointer(p.last),
                mask: arena.pointer(p.mask),
            })
            .collect();
        LoweredFlow { attr, raw_attr: attr.raw(), arena, pieces, raw_items, actions: LoweredActions::new(actions) }
    }

    /// The attributes.
    pub fn attr(&self) -> Attr {
        self.attr
    }

    /// The pattern's items in order, without END.
    pub fn items(&self) -> impl ExactSizeIterator<Item = ItemRef<'_>> {
        let bytes = |piece: Option<Piece>| piece.map(|p| self.arena.bytes(p));
        self.pieces.iter().map(move |p| ItemRef {
            ty: p.ty,
            spec: bytes(p.spec),
            last: bytes(p.last),
            mask: bytes(p.mask),
        })
    }

    /// The actions in order, without END.
    pub fn actions(&self) -> impl ExactSizeIterator<Item = ActionRef<'_>> {
        self.actions.iter()
    }

    pub(crate) fn raw_attr(&self) -> &rte_flow_attr {
        &self.raw_attr
    }

    pub(crate) fn raw_items(&self) -> &[rte_flow_item] {
        &self.raw_items
    }

    pub(crate) fn lowered_actions(&self) -> &LoweredActions {
        &self.actions
    }
}

fn lower_item(arena: &mut Arena, item: &Item) -> ItemPieces {
    fn fields<T: ItemFields>(arena: &mut Arena, ty: u32, fields: &Match<T>) -> ItemPieces {
        let mut add = |value: &T| {
            let mut bytes = vec![0; T::SIZE];
            value.write(&mut bytes);
            Some(arena.add(&bytes))
        };
        match fields {
            Match::Any => ItemPieces { ty, spec: None, last: None, mask: None },
            Match::Masked { spec, mask } => ItemPieces { ty, spec: add(spec), last: None, mask: add(mask) },
            Match::Range { spec, last, mask } => ItemPieces { ty, spec: add(spec), last: add(last), mask: add(mask) },
        }
    }
    let ty = item.type_id();
    match item {
        Item::Void => ItemPieces { ty, spec: None, last: None, mask: None },
        Item::Any(m) => fields(arena, ty, m),
        Item::Eth(m) => fields(arena, ty, m),
        Item::Vlan(m) => fields(arena, ty, m),
        Item::Ipv4(m) => fields(arena, ty, m),
        Item::Ipv6(m) => fields(arena, ty, m),
        Item::Tcp(m) => fields(arena, ty, m),
        Item::Udp(m) => fields(arena, ty, m),
        Item::Sctp(m) => fields(arena, ty, m),
        Item::Icmp(m) => fields(arena, ty, m),
        Item::Icmp6(m) => fields(arena, ty, m),
        Item::Arp(m) => fields(arena, ty, m),
        Item::Mark(m) => fields(arena, ty, m),
        Item::PortRepresentor(m) | Item::RepresentedPort(m) => fields(arena, ty, m),
    }
}

/// A zeroed error for DPDK to fill.
pub(crate) fn no_error() -> dpdk_sys::rte_flow_error {
    dpdk_sys::rte_flow_error { type_: dpdk_sys::RTE_FLOW_ERROR_TYPE_NONE, cause: null(), message: null_mut() }
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
