//! Lowering: typed rules into the arrays of the C interface, owned in one piece, with a safe view for whoever executes them.

use std::ptr::{null, null_mut};

use dpdk_sys::{rte_flow_action, rte_flow_attr, rte_flow_item};

use crate::action::{Action, Conf, TunnelActions};
use crate::api::{ActionHandle, Attr};
use crate::item::{Item, ItemFields, Match, TunnelItems};
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
    /// A zeroed piece, written by `f`.
    fn piece(&mut self, len: usize, f: impl FnOnce(&mut [u8])) -> Piece {
        let piece = Piece { word: self.0.len(), len };
        self.0.resize(piece.word + len.div_ceil(8), 0);
        let words = &mut self.0[piece.word..];
        // SAFETY: u64s are initialised bytes, any bytes are u64s; `words` covers `len` bytes rounded up to whole words.
        f(unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), len) });
        piece
    }

    fn add(&mut self, bytes: &[u8]) -> Piece {
        self.piece(bytes.len(), |out| out.copy_from_slice(bytes))
    }

    /// A piece with the address of `target` at `at`, whose provenance is exposed for the driver, which reads the pointer from
    /// these bytes.
    fn add_with_pointer<T>(&mut self, bytes: &[u8], at: usize, target: *const T) -> Piece {
        let address = target.expose_provenance().to_ne_bytes();
        self.piece(bytes.len(), |out| {
            out.copy_from_slice(bytes);
            out[at..at + address.len()].copy_from_slice(&address);
        })
    }

    fn bytes(&self, piece: Piece) -> &[u8] {
        let words = &self.0[piece.word..piece.word + piece.len.div_ceil(8)];
        // SAFETY: u64s are initialised bytes; `words` covers `len` bytes rounded up to whole words.
        unsafe { std::slice::from_raw_parts(words.as_ptr().cast(), piece.len) }
    }

    fn bytes_mut(&mut self, piece: Piece) -> &mut [u8] {
        let words = &mut self.0[piece.word..piece.word + piece.len.div_ceil(8)];
        // SAFETY: as in `piece`.
        unsafe { std::slice::from_raw_parts_mut(words.as_mut_ptr().cast(), piece.len) }
    }

    fn pointer(&self, piece: Option<Piece>) -> *const std::ffi::c_void {
        // Every piece was made of these words.
        piece.map_or(null(), |p| self.0.as_ptr().wrapping_add(p.word).cast())
    }
}

#[derive(Debug)]
struct ItemPieces {
    ty: u32,
    spec: Option<Piece>,
    last: Option<Piece>,
    mask: Option<Piece>,
    /// What pointers in spec and mask point to. The vectors' heap stays where it is when they move.
    data: Option<Box<[Vec<u8>; 2]>>,
    tunnel: Option<TunnelItems>,
}

/// One lowered item, as a NIC would read it. The bytes are those of the C structure ([`layout`] has the offsets).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ItemRef<'a> {
    /// `RTE_FLOW_ITEM_TYPE_*`.
    pub ty: u32,
    /// Values; `None` (null) matches any. Pointers inside (GENEVE_OPT, RAW) are of no use to a reader: see `spec_data`.
    pub spec: Option<&'a [u8]>,
    /// Upper bounds of ranges.
    pub last: Option<&'a [u8]>,
    /// Bits that count.
    pub mask: Option<&'a [u8]>,
    /// GENEVE_OPT, RAW: what the pointer in `spec` points to. It can be longer than the length in `spec`.
    pub spec_data: Option<&'a [u8]>,
    /// The same of `mask`.
    pub mask_data: Option<&'a [u8]>,
    /// Items of the driver's own, for a tunnel; `ty` is VOID.
    pub tunnel: Option<TunnelItems>,
}

/// What a configuration points to.
#[derive(Debug)]
enum Owned {
    Nothing,
    Queues(Vec<u16>),
    Data(Vec<u8>),
    Items(Box<LoweredPattern>),
    Actions(Box<LoweredActions>),
}

#[derive(Debug)]
struct ActionPieces {
    ty: u32,
    conf: Option<Piece>,
    owned: Owned,
    handle: Option<ActionHandle>,
    tunnel: Option<TunnelActions>,
}

/// One lowered action, as a NIC would read it.
#[derive(Clone, Copy, Debug)]
pub struct ActionRef<'a> {
    /// `RTE_FLOW_ACTION_TYPE_*`.
    pub ty: u32,
    /// The configuration's bytes. Pointers inside are of no use to a reader: see the other members.
    pub conf: Option<&'a [u8]>,
    /// RSS: what `rte_flow_action_rss.queue` points to.
    pub queues: Option<&'a [u16]>,
    /// RAW_ENCAP, RAW_DECAP: what `data` points to.
    pub data: Option<&'a [u8]>,
    /// VXLAN_ENCAP: what `definition` points to.
    pub items: Option<&'a LoweredPattern>,
    /// SAMPLE: what `actions` points to.
    pub actions: Option<&'a LoweredActions>,
    /// INDIRECT: the shared action.
    pub handle: Option<ActionHandle>,
    /// Actions of the driver's own, for a tunnel; `ty` is VOID.
    pub tunnel: Option<TunnelActions>,
}

impl Default for LoweredActions {
    fn default() -> Self {
        LoweredActions::new(&[])
    }
}

impl Default for LoweredPattern {
    fn default() -> Self {
        LoweredPattern::new(&[])
    }
}

/// How an action of a template is bound ([`LoweredActions::masks`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ActionMask {
    /// Every rule brings its own configuration.
    PerRule,
    /// The template's configuration is that of all rules.
    Fixed,
    /// INDIRECT: every rule brings its own handle, of an action of this type (`RTE_FLOW_ACTION_TYPE_*`).
    Indirect(u32),
}

/// A list of actions in the form of the C interface, ended by END.
#[derive(Debug)]
pub struct LoweredActions {
    arena: Arena,
    pieces: Vec<ActionPieces>,
    raw: Vec<rte_flow_action>,
}

// SAFETY: `raw` points into `arena` and into what `pieces` own, heap memory that this value owns and changes only in `set` and
// `set_values`, which renew the pointers; moving the value does not move it.
unsafe impl Send for LoweredActions {}
// SAFETY: as above; `&self` only reads.
unsafe impl Sync for LoweredActions {}

impl LoweredActions {
    /// Lowers a list of actions.
    pub fn new(actions: &[Action]) -> Self {
        let mut lowered = LoweredActions { arena: Arena::default(), pieces: Vec::new(), raw: Vec::new() };
        lowered.set(actions);
        lowered
    }

    /// Lowers another list into the same memory: without allocations, once it is large enough.
    pub fn set(&mut self, actions: &[Action]) {
        self.arena.0.clear();
        self.pieces.clear();
        for action in actions {
            let piece = lower_action(&mut self.arena, action);
            self.pieces.push(piece);
        }
        self.point();
    }

    /// Lowers a list that differs in values only: those are written where the old ones were. Any other list is lowered as a whole.
    pub fn set_values(&mut self, actions: &[Action]) {
        let arena = &mut self.arena;
        let mut write = |(action, piece): (&Action, &mut ActionPieces)| {
            if action.type_id() != piece.ty || !matches!(piece.owned, Owned::Nothing) || piece.tunnel.is_some() {
                return false;
            }
            match (action.conf(), piece.conf) {
                (Conf::None, None) => true,
                (Conf::Bytes(bytes), Some(place)) if bytes.get().len() == place.len => {
                    arena.bytes_mut(place).copy_from_slice(bytes.get());
                    true
                }
                (Conf::Handle(handle), None) => {
                    piece.handle = Some(handle);
                    true
                }
                _ => false,
            }
        };
        if actions.len() == self.pieces.len() && actions.iter().zip(&mut self.pieces).all(&mut write) {
            self.point();
        } else {
            self.set(actions);
        }
    }

    /// The masks of an actions template: what `how` says of each action. A mask has all ones where the template's value counts.
    pub fn masks(actions: &[Action], how: impl Fn(usize, &Action) -> ActionMask) -> Self {
        let mut lowered = LoweredActions::default();
        for (i, action) in actions.iter().enumerate() {
            let mut piece = lower_action(&mut lowered.arena, action);
            match how(i, action) {
                ActionMask::Fixed => {
                    // Drivers only ask whether there is a bit: of what has a pointer, which is one of ours, the value will do.
                    if let (Some(conf), Owned::Nothing) = (piece.conf, &piece.owned) {
                        piece.conf = Some(lowered.arena.piece(conf.len, |bytes| bytes.fill(0xff)));
                    }
                }
                ActionMask::PerRule => (piece.conf, piece.owned) = (None, Owned::Nothing),
                ActionMask::Indirect(ty) => (piece.ty, piece.conf, piece.handle) = (ty, None, None),
            }
            lowered.pieces.push(piece);
        }
        lowered.point();
        lowered
    }

    fn point(&mut self) {
        self.raw.clear();
        let arena = &self.arena;
        self.raw.extend(self.pieces.iter().map(|p| rte_flow_action { type_: p.ty, conf: arena.pointer(p.conf) }));
        self.raw.push(rte_flow_action { type_: action_type::END, conf: null() });
    }

    /// The types of the actions in order, without END.
    pub fn types(&self) -> impl ExactSizeIterator<Item = u32> {
        self.pieces.iter().map(|p| p.ty)
    }

    /// The actions in order, without END.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ActionRef<'_>> {
        self.pieces.iter().map(|p| {
            let none = ActionRef {
                ty: p.ty,
                conf: p.conf.map(|piece| self.arena.bytes(piece)),
                queues: None,
                data: None,
                items: None,
                actions: None,
                handle: p.handle,
                tunnel: p.tunnel,
            };
            match &p.owned {
                Owned::Nothing => none,
                Owned::Queues(queues) => ActionRef { queues: Some(queues), ..none },
                Owned::Data(data) => ActionRef { data: Some(data), ..none },
                Owned::Items(items) => ActionRef { items: Some(items), ..none },
                Owned::Actions(actions) => ActionRef { actions: Some(actions), ..none },
            }
        })
    }

    /// The C array, END included. The `conf` of an INDIRECT action is null here: who executes the list puts its own handle in.
    pub(crate) fn raw(&self) -> &[rte_flow_action] {
        &self.raw
    }

    /// Whether the list, or a list inside, has actions that only their owner can put in place.
    pub(crate) fn has_handles(&self) -> bool {
        self.iter()
            .any(|a| a.handle.is_some() || a.tunnel.is_some() || a.actions.is_some_and(LoweredActions::has_handles))
    }
}

fn lower_action(arena: &mut Arena, action: &Action) -> ActionPieces {
    let none = ActionPieces { ty: action.type_id(), conf: None, owned: Owned::Nothing, handle: None, tunnel: None };
    match action.conf() {
        Conf::None => none,
        Conf::Bytes(bytes) => ActionPieces { conf: Some(arena.add(bytes.get())), ..none },
        Conf::Handle(handle) => ActionPieces { handle: Some(handle), ..none },
        Conf::Tunnel(tunnel) => ActionPieces { tunnel: Some(tunnel), ..none },
        Conf::Rss { bytes, queues } => {
            let conf = arena.add_with_pointer(&bytes, layout::ACTION_RSS_QUEUE, queues.as_ptr());
            ActionPieces { conf: Some(conf), owned: Owned::Queues(queues), ..none }
        }
        Conf::Data { bytes, at, data } => {
            let conf = arena.add_with_pointer(&bytes, at, data.as_ptr());
            ActionPieces { conf: Some(conf), owned: Owned::Data(data), ..none }
        }
        Conf::Items { bytes, at, items } => {
            let items = Box::new(LoweredPattern::new(&items));
            let conf = arena.add_with_pointer(&bytes, at, items.raw.as_ptr());
            ActionPieces { conf: Some(conf), owned: Owned::Items(items), ..none }
        }
        Conf::Actions { bytes, at, actions } => {
            let actions = Box::new(LoweredActions::new(&actions));
            let conf = arena.add_with_pointer(&bytes, at, actions.raw.as_ptr());
            ActionPieces { conf: Some(conf), owned: Owned::Actions(actions), ..none }
        }
    }
}

/// A pattern in the form of the C interface, ended by END.
#[derive(Debug)]
pub struct LoweredPattern {
    arena: Arena,
    pieces: Vec<ItemPieces>,
    raw: Vec<rte_flow_item>,
}

// SAFETY: as for LoweredActions.
unsafe impl Send for LoweredPattern {}
// SAFETY: as above; `&self` only reads.
unsafe impl Sync for LoweredPattern {}

impl LoweredPattern {
    /// Lowers a pattern.
    pub fn new(pattern: &[Item]) -> Self {
        let mut lowered = LoweredPattern { arena: Arena::default(), pieces: Vec::new(), raw: Vec::new() };
        lowered.set(pattern);
        lowered
    }

    /// Lowers another pattern into the same memory: without allocations, once it is large enough.
    pub fn set(&mut self, pattern: &[Item]) {
        self.arena.0.clear();
        self.pieces.clear();
        for item in pattern {
            let piece = lower_item(&mut self.arena, item);
            self.pieces.push(piece);
        }
        self.point();
    }

    /// Lowers a pattern of the same items with the same masks: values are written where the old ones were, and nothing else. A pattern
    /// of other items is lowered as a whole.
    pub fn set_values(&mut self, pattern: &[Item]) {
        let arena = &mut self.arena;
        let mut write = |(item, piece): (&Item, &ItemPieces)| write_values(arena, item, piece);
        if pattern.len() == self.pieces.len() && pattern.iter().zip(&self.pieces).all(&mut write) {
            self.point();
        } else {
            self.set(pattern);
        }
        debug_assert!(self.iter().eq(LoweredPattern::new(pattern).iter()), "other masks: {pattern:?}");
    }

    fn point(&mut self) {
        self.raw.clear();
        let arena = &self.arena;
        self.raw.extend(self.pieces.iter().map(|p| rte_flow_item {
            type_: p.ty,
            spec: arena.pointer(p.spec),
            last: arena.pointer(p.last),
            mask: arena.pointer(p.mask),
        }));
        self.raw.push(rte_flow_item { type_: item_type::END, spec: null(), last: null(), mask: null() });
    }

    /// Type and values of the pattern's items in order, without END: what a driver looks at where a template says the rest.
    pub fn values(&self) -> impl ExactSizeIterator<Item = (u32, Option<&[u8]>)> {
        self.pieces.iter().map(|p| (p.ty, p.spec.map(|piece| self.arena.bytes(piece))))
    }

    /// The pattern's items in order, without END.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = ItemRef<'_>> {
        let bytes = |piece: Option<Piece>| piece.map(|p| self.arena.bytes(p));
        self.pieces.iter().map(move |p| {
            let data = |i: usize| p.data.as_ref().map(|data| data[i].as_slice());
            ItemRef {
                ty: p.ty,
                spec: bytes(p.spec),
                last: bytes(p.last),
                mask: bytes(p.mask),
                spec_data: data(0),
                mask_data: data(1),
                tunnel: p.tunnel,
            }
        })
    }

    /// The C array, END included.
    pub(crate) fn raw(&self) -> &[rte_flow_item] {
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
    pattern: LoweredPattern,
    actions: LoweredActions,
}

impl LoweredFlow {
    /// Lowers a rule. Any list can be lowered; whether it makes sense is the device's to say ([`crate::RteFlowApi::validate`]).
    pub fn new(attr: Attr, pattern: &[Item], actions: &[Action]) -> Self {
        LoweredFlow {
            attr,
            raw_attr: attr.raw(),
            pattern: LoweredPattern::new(pattern),
            actions: LoweredActions::new(actions),
        }
    }

    /// The attributes.
    pub fn attr(&self) -> Attr {
        self.attr
    }

    /// The pattern.
    pub fn pattern(&self) -> &LoweredPattern {
        &self.pattern
    }

    /// The pattern's items in order, without END.
    pub fn items(&self) -> impl ExactSizeIterator<Item = ItemRef<'_>> {
        self.pattern.iter()
    }

    /// The actions in order, without END.
    pub fn actions(&self) -> impl ExactSizeIterator<Item = ActionRef<'_>> {
        self.actions.iter()
    }

    pub(crate) fn raw_attr(&self) -> &rte_flow_attr {
        &self.raw_attr
    }

    /// The actions as a list.
    pub fn lowered_actions(&self) -> &LoweredActions {
        &self.actions
    }
}

/// The same for the fields of every item that has some, and arms for those that have none.
macro_rules! by_fields {
    ($item:expr, $m:ident => $fields:expr, $($others:tt)*) => {
        match $item {
            Item::Any($m) => $fields,
            Item::Eth($m) => $fields,
            Item::Vlan($m) => $fields,
            Item::Ipv4($m) => $fields,
            Item::Ipv6($m) => $fields,
            Item::Ipv6FragExt($m) => $fields,
            Item::Tcp($m) => $fields,
            Item::Udp($m) => $fields,
            Item::Sctp($m) => $fields,
            Item::Icmp($m) => $fields,
            Item::Icmp6($m) => $fields,
            Item::Arp($m) => $fields,
            Item::Vxlan($m) => $fields,
            Item::Geneve($m) => $fields,
            Item::Gre($m) => $fields,
            Item::GreKey($m) => $fields,
            Item::Tag($m) => $fields,
            Item::Meta($m) => $fields,
            Item::Mark($m) => $fields,
            Item::PortId($m) => $fields,
            Item::PortRepresentor($m) | Item::RepresentedPort($m) => $fields,
            $($others)*
        }
    };
}

fn lower_item(arena: &mut Arena, item: &Item) -> ItemPieces {
    fn fields<T: ItemFields>(arena: &mut Arena, none: ItemPieces, fields: &Match<T>) -> ItemPieces {
        let mut add = |value: &T| Some(arena.piece(T::SIZE, |out| value.write(out)));
        match fields {
            Match::Any => none,
            Match::Masked { spec, mask } => ItemPieces { spec: add(spec), mask: add(mask), ..none },
            Match::Range { spec, last, mask } => {
                ItemPieces { spec: add(spec), last: add(last), mask: add(mask), ..none }
            }
        }
    }
    fn data(arena: &mut Arena, none: ItemPieces, at: usize, lowered: [(Vec<u8>, Vec<u8>); 2]) -> ItemPieces {
        let [(spec, spec_data), (mask, mask_data)] = lowered;
        let spec = Some(arena.add_with_pointer(&spec, at, spec_data.as_ptr()));
        let mask = Some(arena.add_with_pointer(&mask, at, mask_data.as_ptr()));
        ItemPieces { spec, mask, data: Some(Box::new([spec_data, mask_data])), ..none }
    }
    let none = ItemPieces { ty: item.type_id(), spec: None, last: None, mask: None, data: None, tunnel: None };
    by_fields!(item, m => fields(arena, none, m),
        Item::Void => none,
        Item::GeneveOpt(option) => data(arena, none, layout::ITEM_GENEVE_OPT_DATA, option.lower()),
        Item::Raw(raw) => data(arena, none, layout::ITEM_RAW_PATTERN, raw.lower()),
        Item::Tunnel(tunnel) => ItemPieces { tunnel: Some(*tunnel), ..none },
    )
}

/// Writes an item's values over those of another one of its type; `false` when that is not all that differs.
fn write_values(arena: &mut Arena, item: &Item, piece: &ItemPieces) -> bool {
    fn fields<T: ItemFields>(arena: &mut Arena, piece: &ItemPieces, fields: &Match<T>) -> bool {
        match (fields, piece.spec, piece.last) {
            (Match::Any, None, _) => true,
            (Match::Masked { spec, .. }, Some(place), None) if place.len == T::SIZE => {
                let out = &mut arena.bytes_mut(place)[..T::SIZE];
                out.fill(0);
                spec.write(out);
                true
            }
            _ => false,
        }
    }
    item.type_id() == piece.ty
        && piece.tunnel.is_none()
        && by_fields!(item, m => fields(arena, piece, m),
            Item::Void => true,
            Item::GeneveOpt(_) | Item::Raw(_) | Item::Tunnel(_) => false,
        )
}

/// A zeroed error for DPDK to fill.
pub(crate) fn no_error() -> dpdk_sys::rte_flow_error {
    dpdk_sys::rte_flow_error { type_: dpdk_sys::RTE_FLOW_ERROR_TYPE_NONE, cause: null(), message: null_mut() }
}

#[cfg(test)]
#[path = "lower_tests.rs"]
mod tests;
