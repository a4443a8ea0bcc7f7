//! Template tables by rule shape: made when the first rule of a shape comes, doubled when they are full.

use super::signature::{Signature, sign};
use crate::rule::HwRule;
use hashbrown::HashMap;
use rte_flow_rs::layout::action_type;
use rte_flow_rs::{
    Action, ActionHandle, ActionMask, ActionsTemplate, Attr, Class, EngineConfig, Item, LoweredActions, LoweredPattern,
    PatternTemplate, Queue, RteFlowApi, RteFlowError, RuleHandle, TemplateAttr, TemplateTable,
};

/// The engine's one queue: there is one offload thread.
pub(super) const QUEUE: u32 = 0;

/// Operations that the queue holds at most.
const QUEUE_SIZE: u32 = 1024;

/// Rules that the first table of a shape has room for, and the largest one.
const FIRST_ROOM: u32 = 1024;
const MOST_ROOM: u32 = 1 << 20;

/// Shapes of which a port has tables; rules of further ones go by single calls.
const MOST_SHAPES: usize = 256;

#[derive(Debug)]
struct Table {
    table: TemplateTable,
    rules: u32,
    room: u32,
}

/// The tables of one shape, and a rule of it, into which others write their values.
#[derive(Debug)]
struct Shape {
    pattern: PatternTemplate,
    actions: ActionsTemplate,
    tables: Vec<Table>,
    /// The table that had room last.
    open: usize,
    items: LoweredPattern,
    list: LoweredActions,
}

/// The template engine of a port.
#[derive(Debug, Default)]
pub(super) struct Engine {
    /// `None`: the device does not take the shape as a template.
    shapes: Vec<(Signature, Option<Shape>)>,
    by_signature: HashMap<Signature, usize>,
    /// The shape of the last rule, whose successor is often like it.
    last: usize,
    signature: Signature,
    /// Which shape, and which of its tables, a table is.
    of: HashMap<TemplateTable, (usize, usize)>,
    /// Operations whose end has not been pulled, and how many there can be.
    pub(super) waiting: usize,
    pub(super) size: usize,
    /// Operations were postponed since the last push.
    pub(super) dirty: bool,
    /// The device does not read counters by its queue.
    pub(super) no_query: bool,
}

/// A rule on its way into a table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Coming<'a> {
    pub rule: &'a HwRule,
    pub attr: Attr,
    pub items: &'a [Item],
    pub list: &'a [Action],
    /// One of the list is an AGE.
    pub ages: bool,
}

/// The device's engine, set up; `None` without one.
///
/// # Errors
/// Of the device, if it is not that it has none.
pub(super) fn set_up(api: &mut dyn RteFlowApi, port: u16) -> Result<Option<Engine>, RteFlowError> {
    let none = |error: RteFlowError| match error.class() {
        Class::DeviceDead => Err(error),
        // Whatever else it is, single calls may do.
        _ => Ok(None),
    };
    let info = match api.engine_info(port) {
        Ok(info) if info.queues > 0 => info,
        Ok(_) => return Ok(None),
        Err(error) => return none(error),
    };
    let config = EngineConfig {
        queues: 1,
        queue_size: info.queue_size.min(QUEUE_SIZE),
        counters: info.counters,
        ages: 0,
        meters: 0,
    };
    match api.engine_configure(port, &config) {
        Ok(()) => Ok(Some(Engine { size: config.queue_size as usize, ..Engine::default() })),
        Err(error) => none(error),
    }
}

/// Actions whose configuration the template has, since drivers make objects of it.
fn mask(action: &Action) -> ActionMask {
    match action {
        Action::Indirect(_) => ActionMask::Indirect(action_type::COUNT),
        Action::Rss(_) | Action::Sample { .. } => ActionMask::Fixed,
        _ => ActionMask::PerRule,
    }
}

impl Engine {
    /// One more operation is under way.
    pub(super) fn posted(&mut self) {
        self.waiting += 1;
        self.dirty = true;
    }

    /// Queues a new counter.
    ///
    /// # Errors
    /// Of the device.
    pub(super) fn counter(
        &mut self,
        api: &mut dyn RteFlowApi,
        port: u16,
        attr: Attr,
        (count, user): (&LoweredActions, u64),
    ) -> Result<ActionHandle, RteFlowError> {
        let queue = Queue { id: QUEUE, postpone: true, user };
        let handle = api.async_action_create(port, queue, attr, count)?;
        self.posted();
        Ok(handle)
    }

    /// Queues a rule, into a table of its shape; `None` when rules of this shape go by single calls.
    ///
    /// # Errors
    /// Of the device: full, busy or dead.
    pub(super) fn insert(
        &mut self,
        api: &mut dyn RteFlowApi,
        port: u16,
        coming: &Coming<'_>,
        user: u64,
    ) -> Result<Option<(RuleHandle, TemplateTable)>, RteFlowError> {
        let Some((shape, place)) = self.table(api, port, coming)? else { return Ok(None) };
        let Some(Some(table)) = self.shapes.get_mut(shape).map(|(_, shape)| shape.as_mut()) else { return Ok(None) };
        let Shape { tables, items, list, .. } = table;
        let Some(table) = tables.get_mut(place) else { return Ok(None) };
        items.set_values(coming.items);
        list.set_values(coming.list);
        let queue = Queue { id: QUEUE, postpone: true, user };
        let handle = api.async_create(port, queue, table.table, items, 0, list, 0)?;
        table.rules += 1;
        let table = table.table;
        self.posted();
        Ok(Some((handle, table)))
    }

    /// The shape of a rule; it is known then, if there is room for one more.
    fn shape(
        &mut self,
        api: &mut dyn RteFlowApi,
        port: u16,
        coming: &Coming<'_>,
    ) -> Result<Option<usize>, RteFlowError> {
        sign(coming.rule, coming.ages, &mut self.signature);
        if self.shapes.get(self.last).is_some_and(|(signature, _)| *signature == self.signature) {
            return Ok(Some(self.last));
        }
        if let Some(shape) = self.by_signature.get(&self.signature) {
            self.last = *shape;
            return Ok(Some(self.last));
        }
        if self.shapes.len() >= MOST_SHAPES {
            return Ok(None);
        }
        let shape = match new_shape(api, port, coming) {
            Ok(shape) => Some(shape),
            Err(error) if matches!(error.class(), Class::DeviceDead | Class::Busy) => return Err(error),
            Err(_) => None,
        };
        self.last = self.shapes.len();
        self.shapes.push((self.signature.clone(), shape));
        self.by_signature.insert(self.signature.clone(), self.last);
        Ok(Some(self.last))
    }

    /// A shape's table with room for a rule; `None` when rules of this shape go by single calls.
    fn table(
        &mut self,
        api: &mut dyn RteFlowApi,
        port: u16,
        coming: &Coming<'_>,
    ) -> Result<Option<(usize, usize)>, RteFlowError> {
        let Some(index) = self.shape(api, port, coming)? else { return Ok(None) };
        let Some((_, known)) = self.shapes.get_mut(index) else { return Ok(None) };
        let Some(shape) = known else { return Ok(None) };
        let has_room = |t: &Table| t.rules < t.room;
        if !shape.tables.get(shape.open).is_some_and(has_room) {
            shape.open = shape.tables.iter().position(has_room).unwrap_or(shape.tables.len());
        }
        if shape.open < shape.tables.len() {
            return Ok(Some((index, shape.open)));
        }
        let room = shape.tables.last().map_or(FIRST_ROOM, |t| t.room.saturating_mul(2).min(MOST_ROOM));
        match api.table_create(port, coming.attr, room, &[shape.pattern], &[shape.actions]) {
            Ok(table) => {
                shape.tables.push(Table { table, rules: 0, room });
                self.of.insert(table, (index, shape.open));
                Ok(Some((index, shape.open)))
            }
            Err(error) if shape.tables.is_empty() && !matches!(error.class(), Class::DeviceDead | Class::Busy) => {
                // Templates that no table can be made of are of no use.
                let _ = api.actions_template_destroy(port, shape.actions);
                let _ = api.pattern_template_destroy(port, shape.pattern);
                *known = None;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A rule is gone from its table.
    pub(super) fn gone(&mut self, table: TemplateTable) {
        let Some((shape, place)) = self.of.get(&table) else { return };
        let shape = self.shapes.get_mut(*shape).and_then(|(_, shape)| shape.as_mut());
        if let Some(table) = shape.and_then(|shape| shape.tables.get_mut(*place)) {
            table.rules = table.rules.saturating_sub(1);
        }
    }
}

fn new_shape(api: &mut dyn RteFlowApi, port: u16, coming: &Coming<'_>) -> Result<Shape, RteFlowError> {
    let Attr { ingress, egress, transfer, .. } = coming.attr;
    let attr = TemplateAttr { relaxed_matching: false, ingress, egress, transfer };
    let (items, list) = (LoweredPattern::new(coming.items), LoweredActions::new(coming.list));
    let pattern = api.pattern_template_create(port, attr, &items)?;
    let masks = LoweredActions::masks(coming.list, |_, action| mask(action));
    match api.actions_template_create(port, attr, &list, &masks) {
        Ok(actions) => Ok(Shape { pattern, actions, tables: Vec::new(), open: 0, items, list }),
        Err(error) => {
            let _ = api.pattern_template_destroy(port, pattern);
            Err(error)
        }
    }
}
