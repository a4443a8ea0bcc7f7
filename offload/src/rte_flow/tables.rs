//! Template tables by rule shape: made when the first rule of a shape comes, doubled when they are full.

use hashbrown::HashMap;
use rte_flow_rs::layout::action_type;
use rte_flow_rs::{
    Action, ActionMask, ActionsTemplate, Attr, Class, EngineConfig, LoweredActions, LoweredPattern, PatternTemplate,
    RteFlowApi, RteFlowError, TemplateAttr, TemplateTable,
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

/// The tables of one shape.
#[derive(Debug)]
struct Shape {
    pattern: PatternTemplate,
    actions: ActionsTemplate,
    tables: Vec<Table>,
}

/// The template engine of a port.
#[derive(Debug, Default)]
pub(super) struct Engine {
    /// `None`: the device does not take the shape as a template.
    shapes: HashMap<Vec<u8>, Option<Shape>>,
    /// Which shape a table is of.
    of: HashMap<TemplateTable, Vec<u8>>,
    key: Vec<u8>,
    /// Operations whose end has not been pulled, and how many there can be.
    pub(super) waiting: usize,
    pub(super) size: usize,
    /// Operations were postponed since the last push.
    pub(super) dirty: bool,
    /// The device does not read counters by its queue.
    pub(super) no_query: bool,
}

/// The lists of a rule.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lists<'a> {
    pub attr: Attr,
    pub pattern: &'a LoweredPattern,
    pub actions: &'a [Action],
    pub lowered: &'a LoweredActions,
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
    /// What tells shapes apart: attributes, items with their masks, actions, and the configuration of fixed ones.
    fn write_key(&mut self, lists: &Lists<'_>) {
        let key = &mut self.key;
        key.clear();
        let Attr { group, priority, ingress, egress, transfer } = lists.attr;
        key.extend(group.to_ne_bytes());
        key.extend(priority.to_ne_bytes());
        key.extend([ingress, egress, transfer].map(u8::from));
        for item in lists.pattern.iter() {
            key.extend((item.ty as u16).to_ne_bytes());
            key.extend(item.mask.unwrap_or_default());
            key.extend(item.mask_data.unwrap_or_default());
        }
        key.push(0xff);
        for action in lists.actions {
            key.extend((action.type_id() as u16).to_ne_bytes());
            if mask(action) == ActionMask::Fixed {
                // Their order of members is the derive's, which is as good as any.
                key.extend(format!("{action:?}").as_bytes());
            }
        }
    }

    /// A table with room for a rule; `None` when rules of this shape go by single calls.
    ///
    /// # Errors
    /// Of the device: full, busy or dead.
    pub(super) fn table(
        &mut self,
        api: &mut dyn RteFlowApi,
        port: u16,
        lists: &Lists<'_>,
    ) -> Result<Option<TemplateTable>, RteFlowError> {
        self.write_key(lists);
        if !self.shapes.contains_key(&self.key) {
            if self.shapes.len() >= MOST_SHAPES {
                return Ok(None);
            }
            let shape = match new_shape(api, port, lists) {
                Ok(shape) => Some(shape),
                Err(error) if matches!(error.class(), Class::DeviceDead | Class::Busy) => return Err(error),
                Err(_) => None,
            };
            self.shapes.insert(self.key.clone(), shape);
        }
        let Some(Some(shape)) = self.shapes.get_mut(&self.key) else { return Ok(None) };
        if let Some(table) = shape.tables.iter().find(|t| t.rules < t.room) {
            return Ok(Some(table.table));
        }
        let room = shape.tables.last().map_or(FIRST_ROOM, |t| t.room.saturating_mul(2).min(MOST_ROOM));
        match api.table_create(port, lists.attr, room, &[shape.pattern], &[shape.actions]) {
            Ok(table) => {
                shape.tables.push(Table { table, rules: 0, room });
                self.of.insert(table, self.key.clone());
                Ok(Some(table))
            }
            Err(error) if shape.tables.is_empty() && !matches!(error.class(), Class::DeviceDead | Class::Busy) => {
                // Templates that no table can be made of are of no use.
                let _ = api.actions_template_destroy(port, shape.actions);
                let _ = api.pattern_template_destroy(port, shape.pattern);
                self.shapes.insert(self.key.clone(), None);
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// A rule was queued into a table, or is gone from it.
    pub(super) fn count(&mut self, table: TemplateTable, more: bool) {
        let shape = self.of.get(&table).and_then(|key| self.shapes.get_mut(key)).and_then(Option::as_mut);
        if let Some(table) = shape.and_then(|shape| shape.tables.iter_mut().find(|t| t.table == table)) {
            table.rules = if more { table.rules + 1 } else { table.rules.saturating_sub(1) };
        }
    }
}

fn new_shape(api: &mut dyn RteFlowApi, port: u16, lists: &Lists<'_>) -> Result<Shape, RteFlowError> {
    let Attr { ingress, egress, transfer, .. } = lists.attr;
    let attr = TemplateAttr { relaxed_matching: false, ingress, egress, transfer };
    let pattern = api.pattern_template_create(port, attr, lists.pattern)?;
    let masks = LoweredActions::masks(lists.actions, |_, action| mask(action));
    match api.actions_template_create(port, attr, lists.lowered, &masks) {
        Ok(actions) => Ok(Shape { pattern, actions, tables: Vec::new() }),
        Err(error) => {
            let _ = api.pattern_template_destroy(port, pattern);
            Err(error)
        }
    }
}
