//! The template engine of the model: shapes once, then rules that are only values; operations wait in queues until they are pushed.

use super::actions::ActionView;
use super::decode::{Decoder, ether_type_at, first, native16};
use super::eswitch::Eswitch;
use super::faults::Fault;
use super::headers::is_tpid;
use super::item::ItemKind;
use super::rte_flow::{raw_action, raw_items};
use super::rule::{Act, Pattern, RawAction, RawFlow, RawItem, Refusal, RefusalKind, Source, Spot, errno};
use super::table::{Key, Map, RuleNo, Shape, push_source, with_faults};
use rte_flow_rs::layout::{action_type, item_type};
use rte_flow_rs::{
    AsyncResult, Attr, CountQuery, EngineConfig, EngineInfo, LoweredActions, LoweredPattern, Queue, Record,
    TemplateAttr,
};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

#[derive(Debug)]
struct PatternTemplate {
    ethdev: u16,
    items: Vec<RawItem>,
    tables: usize,
}

#[derive(Debug)]
struct ActionsTemplate {
    ethdev: u16,
    /// Types of the actions.
    types: Vec<u32>,
    tables: usize,
}

/// A pattern template as one table has it, made out once: rules bring values only.
#[derive(Debug)]
struct TablePattern {
    parts: Vec<Part>,
    pattern: Pattern,
    shape: Shape,
    slot: usize,
    /// Whether the items of the rules are the shape's, one by one.
    plain: bool,
}

/// An item of a template.
#[derive(Debug)]
struct Part {
    ty: u32,
    brings: Brings,
}

/// What an item of a rule brings to its key.
#[derive(Clone, Copy, Debug)]
enum Brings {
    Nothing,
    Source,
    Header {
        /// Which one of the shape.
        item: usize,
        /// Bytes that must be there.
        size: usize,
        kind: ItemKind,
        /// Where an ethertype is, and its mask, that makes another shape of the rule when it is that of a tag.
        innermost: Option<(usize, u16)>,
    },
}

#[derive(Debug)]
struct Table {
    ethdev: u16,
    spot: Spot,
    room: usize,
    rules: usize,
    patterns: Vec<TablePattern>,
    actions: Vec<Vec<u32>>,
    /// Templates, to be let go with the table.
    of: (Vec<u64>, Vec<u64>),
}

/// Where a rule that waits will be.
#[derive(Debug)]
enum Prepared {
    At { slot: usize, key: Key },
    Pattern(Box<Pattern>),
}

#[derive(Debug)]
enum What {
    Create { no: RuleNo, table: u64, spot: Spot, prepared: Prepared, acts: Arc<[Act]>, record: Option<Record> },
    Destroy(RuleNo),
    DestroyCounter(u64),
    QueryCounter { no: u64, reset: bool },
    Nothing,
}

#[derive(Debug, Default)]
struct Waiting {
    size: usize,
    posted: Vec<(u64, What)>,
    done: VecDeque<(AsyncResult, Option<Instant>)>,
    /// When the last insertion will be done, on a slow device.
    busy_until: Option<Instant>,
}

/// Templates, tables and queues.
#[derive(Debug, Default)]
pub(super) struct Templates {
    queues: Map<u16, Vec<Waiting>>,
    patterns: Map<u64, PatternTemplate>,
    actions: Map<u64, ActionsTemplate>,
    tables: Map<u64, Table>,
    /// Rules that wait for a push: their room is taken.
    pub(super) posted: usize,
}

impl Templates {
    pub(super) fn rule_gone(&mut self, table: u64) {
        if let Some(table) = self.tables.get_mut(&table) {
            table.rules = table.rules.saturating_sub(1);
        }
    }
}

fn missing(what: &str) -> Refusal {
    Refusal::new(RefusalKind::Handle, errno::ENOENT, format!("no such {what}"))
}

fn busy(what: &str) -> Refusal {
    Refusal::new(RefusalKind::Handle, errno::EBUSY, format!("the {what} is in use"))
}

impl Eswitch {
    fn engine(&self, ethdev: u16) -> Result<EngineInfo, Refusal> {
        if !self.has_ethdev(ethdev) {
            let what = format!("ethdev {ethdev} is not a port of this device");
            return Err(Refusal::new(RefusalKind::Unspecified, errno::ENODEV, what));
        }
        let caps = self.profile.templates.as_ref().ok_or_else(|| {
            Refusal::unsupported(RefusalKind::Unspecified, "the device has no template engine, or not in this mode")
        })?;
        Ok(EngineInfo {
            queues: caps.queues,
            queue_size: caps.queue_size,
            counters: u32::try_from(self.profile.max_rules).unwrap_or(u32::MAX),
            ages: u32::try_from(self.profile.max_rules).unwrap_or(u32::MAX),
            meters: u32::try_from(self.profile.meters).unwrap_or(u32::MAX),
        })
    }

    /// Limits of the template engine.
    ///
    /// # Errors
    /// ENOTSUP without one, EIO when the device is dead.
    pub fn engine_info(&mut self, ethdev: u16) -> Result<EngineInfo, Refusal> {
        self.operation()?;
        self.engine(ethdev)
    }

    /// Makes the queues of an ethdev.
    ///
    /// # Errors
    /// ENOTSUP without an engine or beyond its limits, EBUSY while tables are there, EIO when the device is dead.
    pub fn engine_configure(&mut self, ethdev: u16, config: &EngineConfig) -> Result<(), Refusal> {
        self.operation()?;
        let info = self.engine(ethdev)?;
        if u32::from(config.queues) > info.queues || config.queue_size > info.queue_size {
            let what = format!("at most {} queues of {} operations", info.queues, info.queue_size);
            return Err(Refusal::unsupported(RefusalKind::Unspecified, what));
        }
        if self.templates.tables.values().any(|t| t.ethdev == ethdev) {
            return Err(busy("template engine"));
        }
        let queue = || Waiting { size: config.queue_size as usize, ..Waiting::default() };
        self.templates.queues.insert(ethdev, (0..config.queues).map(|_| queue()).collect());
        Ok(())
    }

    fn number(&mut self) -> u64 {
        self.next += 1;
        self.next - 1
    }

    /// A shape of patterns.
    ///
    /// # Errors
    /// As [`Eswitch::engine_info`]; what the device cannot match is refused by [`Eswitch::table_create`].
    pub fn pattern_template_create(
        &mut self,
        ethdev: u16,
        _attr: TemplateAttr,
        items: Vec<RawItem>,
    ) -> Result<u64, Refusal> {
        self.operation()?;
        self.engine(ethdev)?;
        // Only masks count; the decoder wants to see values.
        let filled = items.into_iter().map(|item| RawItem {
            spec: item.spec.clone().or_else(|| item.mask.as_ref().map(|mask| vec![0; mask.len()])),
            last: None,
            ..item
        });
        let (no, items) = (self.number(), filled.collect());
        self.templates.patterns.insert(no, PatternTemplate { ethdev, items, tables: 0 });
        Ok(no)
    }

    /// Removes it.
    ///
    /// # Errors
    /// ENOENT, EBUSY while a table has it, EIO when the device is dead.
    pub fn pattern_template_destroy(&mut self, no: u64) -> Result<(), Refusal> {
        self.operation()?;
        match self.templates.patterns.get(&no) {
            None => Err(missing("pattern template")),
            Some(template) if template.tables > 0 => Err(busy("pattern template")),
            Some(_) => {
                self.templates.patterns.remove(&no);
                Ok(())
            }
        }
    }

    /// A shape of actions.
    ///
    /// # Errors
    /// EINVAL: masks of other actions; as [`Eswitch::engine_info`].
    pub fn actions_template_create(
        &mut self,
        ethdev: u16,
        _attr: TemplateAttr,
        actions: &[RawAction],
        masks: &[RawAction],
    ) -> Result<u64, Refusal> {
        self.operation()?;
        self.engine(ethdev)?;
        let same = |(a, m): (&RawAction, &RawAction)| a.kind == m.kind || a.kind == action_type::INDIRECT;
        if actions.len() != masks.len() || !actions.iter().zip(masks).all(same) {
            return Err(Refusal::invalid(RefusalKind::ActionNum, "actions and masks differ"));
        }
        let no = self.number();
        let types = actions.iter().map(|a| a.kind).collect();
        self.templates.actions.insert(no, ActionsTemplate { ethdev, types, tables: 0 });
        Ok(no)
    }

    /// Removes it.
    ///
    /// # Errors
    /// ENOENT, EBUSY while a table has it, EIO when the device is dead.
    pub fn actions_template_destroy(&mut self, no: u64) -> Result<(), Refusal> {
        self.operation()?;
        match self.templates.actions.get(&no) {
            None => Err(missing("actions template")),
            Some(template) if template.tables > 0 => Err(busy("actions template")),
            Some(_) => {
                self.templates.actions.remove(&no);
                Ok(())
            }
        }
    }

    /// A table for rules of these shapes.
    ///
    /// # Errors
    /// What the profile cannot match (ENOTSUP), unknown templates (ENOENT), EIO when the device is dead.
    pub fn table_create(
        &mut self,
        ethdev: u16,
        attr: Attr,
        room: u32,
        patterns: &[u64],
        actions: &[u64],
    ) -> Result<u64, Refusal> {
        self.operation()?;
        self.engine(ethdev)?;
        let decoder = self.decoder();
        let place = decoder.place(ethdev, RefusalKind::Unspecified)?;
        let (domain, _) = decoder.domain(&raw_attr(ethdev, attr), place)?;
        let spot = Spot { domain, group: attr.group, priority: attr.priority };
        let mut shapes = Vec::new();
        for no in patterns {
            let template = self.templates.patterns.get(no).filter(|t| t.ethdev == ethdev);
            let items = &template.ok_or_else(|| missing("pattern template"))?.items;
            // A source port has no mask of its own in the shape: any port of the device will do here.
            let items: Vec<RawItem> = items.iter().map(|item| with_some_port(item, ethdev)).collect();
            let pattern = decoder.pattern(&items, domain)?;
            let special = |kind| matches!(kind, ItemKind::Tag | ItemKind::GeneveOpt);
            let plain = !pattern.items.iter().any(|i| special(i.kind));
            shapes.push((parts(&items, &pattern), Shape::of(&pattern), pattern, plain));
        }
        let mut types = Vec::new();
        for no in actions {
            let template = self.templates.actions.get(no).filter(|t| t.ethdev == ethdev);
            types.push(template.ok_or_else(|| missing("actions template"))?.types.clone());
        }
        for no in patterns {
            self.templates.patterns.entry(*no).and_modify(|t| t.tables += 1);
        }
        for no in actions {
            self.templates.actions.entry(*no).and_modify(|t| t.tables += 1);
        }
        let patterns_of_table = shapes
            .into_iter()
            .map(|(parts, shape, pattern, plain)| {
                let slot = self.tables.pin(spot, &shape);
                TablePattern { parts, pattern, shape, slot, plain }
            })
            .collect();
        let no = self.number();
        let table = Table {
            ethdev,
            spot,
            room: room as usize,
            rules: 0,
            patterns: patterns_of_table,
            actions: types,
            of: (patterns.to_vec(), actions.to_vec()),
        };
        self.templates.tables.insert(no, table);
        Ok(no)
    }

    /// Removes it.
    ///
    /// # Errors
    /// ENOENT, EBUSY while it has rules, EIO when the device is dead.
    pub fn table_destroy(&mut self, no: u64) -> Result<(), Refusal> {
        self.operation()?;
        let table = self.templates.tables.get(&no).ok_or_else(|| missing("template table"))?;
        if table.rules > 0 {
            return Err(busy("template table"));
        }
        if let Some(table) = self.templates.tables.remove(&no) {
            for pattern in &table.patterns {
                self.tables.unpin(pattern.slot);
            }
            for pattern in table.of.0 {
                self.templates.patterns.entry(pattern).and_modify(|t| t.tables -= 1);
            }
            for actions in table.of.1 {
                self.templates.actions.entry(actions).and_modify(|t| t.tables -= 1);
            }
        }
        Ok(())
    }

    fn queue(&mut self, ethdev: u16, queue: u32) -> Result<&mut Waiting, Refusal> {
        let queues = self.templates.queues.get_mut(&ethdev);
        queues.and_then(|queues| queues.get_mut(queue as usize)).ok_or_else(|| {
            Refusal::invalid(RefusalKind::Unspecified, format!("no queue {queue}: configure the engine first"))
        })
    }

    fn room_in_queue(&mut self, ethdev: u16, queue: u32) -> Result<(), Refusal> {
        let waiting = self.queue(ethdev, queue)?;
        if waiting.posted.len() + waiting.done.len() >= waiting.size {
            let what = format!("{} operations wait: push and pull", waiting.size);
            return Err(Refusal::new(RefusalKind::Unspecified, errno::EAGAIN, what));
        }
        Ok(())
    }

    /// Puts a rule in: now, or with the next push if the operation is postponed.
    ///
    /// # Errors
    /// What can be said at once: as [`Eswitch::create`], without collisions, which are told by the pull; EAGAIN when the queue is
    /// full; EINVAL when the lists are not those of the templates.
    pub fn async_create(
        &mut self,
        ethdev: u16,
        queue: Queue,
        table: u64,
        (pattern, pattern_index): (&LoweredPattern, u8),
        (actions, actions_index): (&LoweredActions, u8),
        record: bool,
    ) -> Result<RuleNo, Refusal> {
        self.operation()?;
        self.room_in_queue(ethdev, queue.id)?;
        self.room()?;
        self.luck()?;
        let decoder = self.decoder();
        let found = self.templates.tables.get(&table).filter(|t| t.ethdev == ethdev);
        let found = found.ok_or_else(|| missing("template table"))?;
        if found.rules >= found.room {
            let what = format!("the template table is full: {} rules", found.room);
            return Err(Refusal::new(RefusalKind::Unspecified, errno::ENOSPC, what));
        }
        let shape = found.patterns.get(usize::from(pattern_index)).ok_or_else(|| missing("pattern template"))?;
        let types = found.actions.get(usize::from(actions_index)).ok_or_else(|| missing("actions template"))?;
        let spot = found.spot;
        let key = shape.key(&decoder, pattern)?;
        if !types.iter().copied().eq(actions.types()) {
            return Err(Refusal::invalid(RefusalKind::Action, "the actions are not those of the template"));
        }
        let acts =
            decoder.actions(spot, actions.iter().map(ActionView::from), decoder.caps(spot.domain)?, &shape.pattern)?;
        self.header_room(&acts)?;
        let faulty =
            [Fault::MatchFieldIgnored, Fault::MaskWidened, Fault::MaskByteSwapped, Fault::RuleAliveAfterRemoval];
        let prepared = match key {
            Some(key) if !faulty.iter().any(|fault| self.faults.has(*fault)) => Prepared::At { slot: shape.slot, key },
            _ => {
                let items: Vec<RawItem> = raw_items(pattern)
                    .into_iter()
                    .zip(&raw_items_of(&self.templates, found, pattern_index))
                    .map(|(rule, template)| RawItem { mask: template.mask.clone(), ..rule })
                    .collect();
                Prepared::Pattern(Box::new(decoder.pattern(&items, spot.domain)?))
            }
        };
        let record = record.then(|| Record::of(pattern, actions));
        let no = self.number();
        self.post(ethdev, queue, What::Create { no, table, spot, prepared, acts, record })?;
        Ok(no)
    }

    /// Takes a rule of a table out: now, or with the next push.
    ///
    /// # Errors
    /// EAGAIN when the queue is full, EIO when the device is dead. That there is no such rule is told by the pull.
    pub fn async_destroy(&mut self, ethdev: u16, queue: Queue, no: RuleNo) -> Result<(), Refusal> {
        self.operation()?;
        self.room_in_queue(ethdev, queue.id)?;
        self.post(ethdev, queue, What::Destroy(no))
    }

    /// Makes a counter; it can be used in later operations of the queue.
    ///
    /// # Errors
    /// As [`Eswitch::create_counter`]; EAGAIN when the queue is full.
    pub fn async_counter_create(&mut self, ethdev: u16, queue: Queue) -> Result<u64, Refusal> {
        self.operation()?;
        self.room_in_queue(ethdev, queue.id)?;
        let no = self.new_counter()?;
        self.post(ethdev, queue, What::Nothing)?;
        Ok(no)
    }

    /// Takes a counter away.
    ///
    /// # Errors
    /// As [`Eswitch::async_destroy`].
    pub fn async_counter_destroy(&mut self, ethdev: u16, queue: Queue, no: u64) -> Result<(), Refusal> {
        self.operation()?;
        self.room_in_queue(ethdev, queue.id)?;
        self.post(ethdev, queue, What::DestroyCounter(no))
    }

    /// Reads a counter; the answer comes with the pull.
    ///
    /// # Errors
    /// As [`Eswitch::async_destroy`].
    pub fn async_counter_query(&mut self, ethdev: u16, queue: Queue, no: u64, reset: bool) -> Result<(), Refusal> {
        self.operation()?;
        self.room_in_queue(ethdev, queue.id)?;
        self.post(ethdev, queue, What::QueryCounter { no, reset })
    }

    fn post(&mut self, ethdev: u16, queue: Queue, what: What) -> Result<(), Refusal> {
        if queue.postpone {
            self.templates.posted += usize::from(matches!(what, What::Create { .. }));
            self.queue(ethdev, queue.id)?.posted.push((queue.user, what));
        } else {
            let (done, delay) = self.finish(ethdev, queue.user, what);
            self.queue(ethdev, queue.id)?.ended(done, delay);
        }
        Ok(())
    }

    /// Does what an operation says: its end, and how long that takes.
    fn finish(&mut self, ethdev: u16, user: u64, what: What) -> (AsyncResult, Duration) {
        let mut delay = Duration::ZERO;
        let mut count = None;
        let done = match what {
            What::Create { no, table, spot, prepared, acts, record } => {
                delay = self.faults.insert_delay;
                self.put_in(ethdev, no, (table, spot), prepared, acts, record)
            }
            What::Destroy(no) => self.rules.get(no).is_some_and(|r| r.table.is_some()) && self.forget(no),
            What::DestroyCounter(no) => {
                let free = self.counters.get(no).is_some_and(|(_, users)| *users == 0);
                free && self.counters.remove(no).is_some()
            }
            What::QueryCounter { no, reset } => {
                count = self.read_counter(no, reset);
                count.is_some()
            }
            What::Nothing => true,
        };
        let count = count.map(|c| CountQuery { packets: Some(c.packets), bytes: Some(c.bytes) });
        (AsyncResult { user, done, count }, delay)
    }

    fn put_in(
        &mut self,
        ethdev: u16,
        no: RuleNo,
        (table, spot): (u64, Spot),
        prepared: Prepared,
        acts: Arc<[Act]>,
        record: Option<Record>,
    ) -> bool {
        let loses = self.loses();
        // Others that were posted with it may have taken the room since.
        if self.header_room(&acts).is_err() {
            return false;
        }
        let Some(of) = self.templates.tables.get_mut(&table) else { return false };
        let place = if loses {
            None
        } else {
            let placed = match prepared {
                Prepared::At { slot, key } => self.tables.insert_at(no, slot, key, false),
                Prepared::Pattern(right) => {
                    let pattern = with_faults(&right, &self.faults);
                    let overlap = pattern != *right || self.faults.has(Fault::RuleAliveAfterRemoval);
                    self.tables.insert(no, spot, &pattern, overlap)
                }
            };
            match placed {
                Ok(place) => Some(place),
                Err(_) => return false,
            }
        };
        of.rules += 1;
        self.install(no, ethdev, spot, place, acts, Some(table), record);
        true
    }

    /// Does what is postponed.
    ///
    /// # Errors
    /// EINVAL without the queue, EIO when the device is dead.
    pub fn push(&mut self, ethdev: u16, queue: u32) -> Result<(), Refusal> {
        self.alive()?;
        let mut waiting = std::mem::take(self.queue(ethdev, queue)?);
        let mut posted = std::mem::take(&mut waiting.posted);
        for (user, what) in posted.drain(..) {
            self.templates.posted -= usize::from(matches!(what, What::Create { .. }));
            let (done, delay) = self.finish(ethdev, user, what);
            waiting.ended(done, delay);
        }
        waiting.posted = posted;
        *self.queue(ethdev, queue)? = waiting;
        Ok(())
    }

    /// Appends what has come to its end, at most `most`; how many those were.
    ///
    /// # Errors
    /// As [`Eswitch::push`].
    pub fn pull(
        &mut self,
        ethdev: u16,
        queue: u32,
        ends: &mut Vec<AsyncResult>,
        most: usize,
    ) -> Result<usize, Refusal> {
        self.alive()?;
        let waiting = self.queue(ethdev, queue)?;
        let mut pulled = 0;
        while pulled < most && waiting.done.front().is_some_and(|(_, ready)| ready.is_none_or(|r| r <= Instant::now()))
        {
            ends.extend(waiting.done.pop_front().map(|(end, _)| end));
            pulled += 1;
        }
        Ok(pulled)
    }
}

impl Waiting {
    /// An operation has come to its end, for the pull.
    fn ended(&mut self, end: AsyncResult, delay: Duration) {
        let ready = (!delay.is_zero()).then(|| {
            let now = Instant::now();
            let ready = self.busy_until.map_or(now, |busy| busy.max(now)) + delay;
            self.busy_until = Some(ready);
            ready
        });
        self.done.push_back((end, ready));
    }
}

/// What the items of a template bring, which decoded to this pattern.
fn parts(items: &[RawItem], pattern: &Pattern) -> Vec<Part> {
    let mut headers = pattern.items.iter().enumerate();
    let mut part = |raw: &RawItem| {
        let brings = match raw.kind {
            item_type::VOID => Brings::Nothing,
            item_type::PORT_REPRESENTOR | item_type::REPRESENTED_PORT => Brings::Source,
            _ => headers.next().map_or(Brings::Nothing, |(item, header)| {
                let matched = header.mask.iter().any(|bits| *bits != 0);
                let at = ether_type_at(header.kind);
                let ether_type = u16::from_be_bytes([header.mask[at], header.mask[at + 1]]);
                Brings::Header {
                    item,
                    size: if matched { header.kind.size() } else { 0 },
                    kind: header.kind,
                    innermost: (header.innermost && matched).then_some((at, ether_type)),
                }
            }),
        };
        Part { ty: raw.kind, brings }
    };
    items.iter().map(&mut part).collect()
}

impl TablePattern {
    /// The key of a rule; `None` for one whose shape is not quite the template's.
    fn key(&self, decoder: &Decoder<'_>, pattern: &LoweredPattern) -> Result<Option<Key>, Refusal> {
        let others = || Refusal::invalid(RefusalKind::Item, "the items are not those of the template");
        let items = pattern.values();
        if items.len() != self.parts.len() {
            return Err(others());
        }
        let (mut key, mut same) = (Key::new(), self.plain);
        for ((ty, spec), part) in items.zip(&self.parts) {
            if ty != part.ty {
                return Err(others());
            }
            match part.brings {
                Brings::Nothing => {}
                Brings::Source => {
                    let need = || Refusal::invalid(RefusalKind::ItemSpec, "a source port item needs a port");
                    let ethdev = spec.and_then(native16).ok_or_else(need)?;
                    let place = decoder.place(ethdev, RefusalKind::ItemSpec)?;
                    let representor = ty == item_type::PORT_REPRESENTOR;
                    let source = if representor { Source::Representor(place) } else { Source::Outside(place) };
                    if key.is_empty() {
                        push_source(Some(source), &mut key);
                    } else {
                        // It is the first of a key.
                        same = false;
                    }
                }
                Brings::Header { item: at, size, kind, innermost } => {
                    let spec = spec.unwrap_or_default();
                    if spec.len() < size {
                        let what = format!("{} bytes of {size} for {}", spec.len(), kind.name());
                        return Err(Refusal::invalid(RefusalKind::ItemSpec, what));
                    }
                    if let Some((at, mask)) = innermost
                        && spec.get(at..).and_then(first).is_some_and(|ty| is_tpid(u16::from_be_bytes(ty) & mask))
                    {
                        same = false;
                    }
                    self.shape.push(at, spec, &mut key);
                }
            }
        }
        Ok(same.then_some(key))
    }
}

fn raw_items_of(templates: &Templates, table: &Table, index: u8) -> Vec<RawItem> {
    let no = table.of.0.get(usize::from(index));
    no.and_then(|no| templates.patterns.get(no)).map(|t| t.items.clone()).unwrap_or_default()
}

fn raw_attr(ethdev: u16, attr: Attr) -> RawFlow {
    RawFlow {
        port: ethdev,
        group: attr.group,
        priority: attr.priority,
        ingress: attr.ingress,
        egress: attr.egress,
        transfer: attr.transfer,
        ..RawFlow::default()
    }
}

fn with_some_port(item: &RawItem, ethdev: u16) -> RawItem {
    match item.kind {
        item_type::PORT_REPRESENTOR | item_type::REPRESENTED_PORT => {
            RawItem { spec: Some(ethdev.to_ne_bytes().to_vec()), ..item.clone() }
        }
        _ => item.clone(),
    }
}

/// The lists of a template in the form of a call.
pub(super) fn raw_actions(actions: &LoweredActions) -> Vec<RawAction> {
    actions.iter().map(|a| raw_action(&a)).collect()
}
