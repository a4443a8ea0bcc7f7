//! The template engine on DPDK.

use std::collections::HashMap;
use std::ffi::c_void;
use std::ptr::{NonNull, without_provenance_mut};

use dpdk::Errno;
use dpdk_sys::{
    rte_flow_actions_template, rte_flow_op_attr, rte_flow_op_result, rte_flow_pattern_template, rte_flow_template_table,
};

use crate::api::{ActionHandle, Attr, CountQuery, RuleHandle};
use crate::error::{Class, ErrorKind, RteFlowError};
use crate::lower::{LoweredActions, LoweredPattern, no_error};
use crate::real::{
    Foreign, Lists, NO_LISTS, RealRteFlow, Rule, Shared, count_answer, count_query, done, errno_of, error, own_counter,
};
use crate::template::{
    ActionsTemplate, AsyncResult, EngineConfig, EngineInfo, PatternTemplate, Queue, TemplateAttr, TemplateTable,
};

/// Ends that one call of `rte_flow_pull` is asked for.
const PULL: usize = 64;

/// Rounds of push and pull that a port gets to give up its rules before it is let go.
const LAST_ROUNDS: usize = 10_000;

/// A template or table of a port, and what its rules must look like: drivers read what a rule brings as the template said, unchecked.
#[derive(Debug)]
struct Of<T, S> {
    port: u16,
    raw: Foreign<T>,
    shape: S,
}

/// Types of a pattern template's items, and whether a mask is there, so that rules must bring a spec.
type Items = Vec<(u32, bool)>;
/// Types of an actions template's actions, and whether rules must bring a configuration.
type Actions = Vec<(u32, bool)>;

#[derive(Debug)]
struct TableShape {
    patterns: Vec<Items>,
    actions: Vec<Actions>,
}

/// What an operation in a queue is about.
#[derive(Clone, Copy, Debug)]
enum What {
    Create(RuleHandle),
    Destroy(RuleHandle),
    CreateAction(ActionHandle),
    DestroyAction(ActionHandle),
    QueryAction(Answer),
}

/// Where the device writes a counter's value until the operation is pulled. One that is never pulled is never freed: nobody knows
/// then whether the device still writes.
#[derive(Clone, Copy, Debug)]
struct Answer(NonNull<dpdk_sys::rte_flow_query_count>);

// SAFETY: memory of the operation's own; nobody but the device writes it, until the pull, which takes it back once.
unsafe impl Send for Answer {}

impl Answer {
    fn new(reset: bool) -> Answer {
        Answer(NonNull::from(Box::leak(Box::new(count_query(reset)))))
    }

    /// What is in it; the memory is freed.
    ///
    /// # Safety
    /// The device is done with it, and this is the only call.
    unsafe fn take(self) -> CountQuery {
        // SAFETY: from Box::leak in `new`; taken back once, as the caller says.
        let query = unsafe { Box::from_raw(self.0.as_ptr()) };
        count_answer(&query)
    }
}

/// An operation whose end has not been pulled.
#[derive(Clone, Copy, Debug)]
struct Pending {
    port: u16,
    user: u64,
    what: What,
}

/// Templates, tables and operations under way.
#[derive(Debug, Default)]
pub(crate) struct Templates {
    patterns: HashMap<PatternTemplate, Of<rte_flow_pattern_template, Items>>,
    actions: HashMap<ActionsTemplate, Of<rte_flow_actions_template, Actions>>,
    tables: HashMap<TemplateTable, Of<rte_flow_template_table, TableShape>>,
    /// Queues that a port was set up with.
    queues: HashMap<u16, u16>,
    /// By our own number, which the device gives back: callers' numbers may repeat.
    pending: HashMap<u64, Pending>,
}

impl Templates {
    pub(crate) fn forget(&mut self, port: u16) {
        self.patterns.retain(|_, of| of.port != port);
        self.actions.retain(|_, of| of.port != port);
        self.tables.retain(|_, of| of.port != port);
        self.pending.retain(|_, pending| pending.port != port);
        self.queues.remove(&port);
    }

    /// The table, if these lists are what its templates say.
    fn table(
        &self,
        port: u16,
        table: TemplateTable,
        (pattern, pattern_index): (&LoweredPattern, u8),
        (actions, actions_index): (&LoweredActions, u8),
    ) -> Result<*mut rte_flow_template_table, RteFlowError> {
        let of = self.tables.get(&table).filter(|of| of.port == port);
        let of = of.ok_or_else(|| missing(CREATE, port, "template table"))?;
        let differs = |kind, what: &str| RteFlowError::new(CREATE, port, kind, Errno::EINVAL, what);
        let items = of.shape.patterns.get(usize::from(pattern_index));
        let items = items.ok_or_else(|| differs(ErrorKind::ItemNum, "the table has no such pattern template"))?;
        let same = |((ty, masked), item): (&(u32, bool), crate::ItemRef<'_>)| {
            item.tunnel.is_none() && *ty == item.ty && (!masked || item.spec.is_some())
        };
        if items.len() != pattern.iter().len() || !items.iter().zip(pattern.iter()).all(same) {
            return Err(differs(ErrorKind::Item, "the pattern is not of its template"));
        }
        let list = of.shape.actions.get(usize::from(actions_index));
        let list = list.ok_or_else(|| differs(ErrorKind::ActionNum, "the table has no such actions template"))?;
        let same = |((ty, brings), action): (&(u32, bool), crate::ActionRef<'_>)| {
            *ty == action.ty && (!brings || action.conf.is_some() || action.handle.is_some())
        };
        if list.len() != actions.iter().len() || !list.iter().zip(actions.iter()).all(same) {
            return Err(differs(ErrorKind::Action, "the actions are not of their template"));
        }
        Ok(of.raw.0.as_ptr())
    }
}

const CREATE: &str = "rte_flow_async_create";

fn missing(operation: &'static str, port: u16, what: &str) -> RteFlowError {
    RteFlowError::new(operation, port, ErrorKind::Handle, Errno::ENOENT, format!("no such {what}"))
}

fn op_attr(queue: Queue) -> rte_flow_op_attr {
    let mut attr = rte_flow_op_attr::default();
    attr.set_postpone(queue.postpone.into());
    attr
}

/// A number in place of a pointer, which the device only gives back.
fn number(token: u64) -> *mut c_void {
    without_provenance_mut(token as usize)
}

/// The answer to a call that gives a pointer.
fn made<T>(
    operation: &'static str,
    port: u16,
    pointer: *mut T,
    raw: &dpdk_sys::rte_flow_error,
    lists: &Lists<'_>,
) -> Result<Foreign<T>, RteFlowError> {
    // SAFETY: reads this thread's errno, which the call before left.
    let errno = Errno(unsafe { dpdk_sys::dpdk_shim_errno() });
    NonNull::new(pointer).map(Foreign).ok_or_else(|| error(operation, port, errno, raw, lists))
}

impl RealRteFlow {
    pub(crate) fn template_info(&self, port: u16) -> Result<EngineInfo, RteFlowError> {
        let operation = "rte_flow_info_get";
        let held = self.port_of(operation, port)?;
        let mut info = dpdk_sys::rte_flow_port_info::default();
        let (mut queue, mut raw) = (dpdk_sys::rte_flow_queue_info::default(), no_error());
        // SAFETY: the port is open and serialised; the answers are writable.
        let ret =
            held.port.serialised(|_| unsafe { dpdk_sys::rte_flow_info_get(port, &mut info, &mut queue, &mut raw) });
        done(operation, port, ret, &raw, &NO_LISTS)?;
        Ok(EngineInfo {
            queues: info.max_nb_queues,
            queue_size: queue.max_size,
            counters: info.max_nb_counters,
            ages: info.max_nb_aging_objects,
            meters: info.max_nb_meters,
        })
    }

    pub(crate) fn template_configure(&mut self, port: u16, config: &EngineConfig) -> Result<(), RteFlowError> {
        let operation = "rte_flow_configure";
        let held = self.port_of(operation, port)?;
        if self.templates.tables.values().any(|of| of.port == port) {
            let reason = "template tables of the port are in use";
            return Err(RteFlowError::new(operation, port, ErrorKind::State, Errno::EBUSY, reason));
        }
        let attr = dpdk_sys::rte_flow_port_attr {
            nb_counters: config.counters,
            nb_aging_objects: config.ages,
            nb_meters: config.meters,
            ..Default::default()
        };
        let queue = dpdk_sys::rte_flow_queue_attr { size: config.queue_size };
        let mut queues = vec![std::ptr::from_ref(&queue); usize::from(config.queues)];
        let mut raw = no_error();
        // SAFETY: the port is open and serialised; as many queue attributes as are named live through the call.
        let ret = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_configure(port, &attr, config.queues, queues.as_mut_ptr(), &mut raw)
        });
        done(operation, port, ret, &raw, &NO_LISTS)?;
        self.templates.queues.insert(port, config.queues);
        Ok(())
    }

    pub(crate) fn new_pattern_template(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        pattern: &LoweredPattern,
    ) -> Result<PatternTemplate, RteFlowError> {
        let operation = "rte_flow_pattern_template_create";
        let held = self.port_of(operation, port)?;
        let mut raw_attr = dpdk_sys::rte_flow_pattern_template_attr::default();
        raw_attr.set_relaxed_matching(attr.relaxed_matching.into());
        raw_attr.set_ingress(attr.ingress.into());
        raw_attr.set_egress(attr.egress.into());
        raw_attr.set_transfer(attr.transfer.into());
        let (items, mut raw) = (self.resolve_items(operation, port, pattern)?, no_error());
        // SAFETY: the port is open and serialised; attributes and items, ended by END, live through the call.
        let pointer = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_pattern_template_create(port, &raw_attr, items.as_ptr(), &mut raw)
        });
        let template = made(operation, port, pointer, &raw, &Lists { items: &items, actions: &[] })?;
        let shape = pattern.iter().map(|item| (item.ty, item.mask.is_some())).collect();
        let handle = PatternTemplate(self.handle());
        self.templates.patterns.insert(handle, Of { port, raw: template, shape });
        Ok(handle)
    }

    pub(crate) fn drop_pattern_template(&mut self, port: u16, handle: PatternTemplate) -> Result<(), RteFlowError> {
        let operation = "rte_flow_pattern_template_destroy";
        let held = self.port_of(operation, port)?;
        let of = self.templates.patterns.get(&handle).filter(|of| of.port == port);
        let pointer = of.ok_or_else(|| missing(operation, port, "pattern template"))?.raw.0.as_ptr();
        let mut raw = no_error();
        // SAFETY: the template is live: in our table, whose entries go when the device let go of them.
        let ret =
            held.port.serialised(|_| unsafe { dpdk_sys::rte_flow_pattern_template_destroy(port, pointer, &mut raw) });
        done(operation, port, ret, &raw, &NO_LISTS)?;
        self.templates.patterns.remove(&handle);
        Ok(())
    }

    pub(crate) fn new_actions_template(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        actions: &LoweredActions,
        masks: &LoweredActions,
    ) -> Result<ActionsTemplate, RteFlowError> {
        let operation = "rte_flow_actions_template_create";
        let owner = self.port_of(operation, port)?.port.clone();
        if actions.iter().len() != masks.iter().len() {
            let reason = "an actions template has a mask for each action";
            return Err(RteFlowError::new(operation, port, ErrorKind::ActionNum, Errno::EINVAL, reason));
        }
        let mut raw_attr = dpdk_sys::rte_flow_actions_template_attr::default();
        raw_attr.set_ingress(attr.ingress.into());
        raw_attr.set_egress(attr.egress.into());
        raw_attr.set_transfer(attr.transfer.into());
        let template = owner.serialised(|stops| {
            // An INDIRECT without a handle is one that the rules bring.
            let mut list = Vec::with_capacity(actions.raw().len());
            for (action, lowered) in actions.iter().zip(actions.raw()) {
                let conf = match action.handle {
                    Some(handle) => self
                        .shared(operation, port, handle, stops)
                        .map_or(lowered.conf, |shared| shared.raw.0.as_ptr().cast_const().cast()),
                    None => lowered.conf,
                };
                list.push(dpdk_sys::rte_flow_action { conf, ..*lowered });
            }
            list.push(dpdk_sys::rte_flow_action { type_: dpdk_sys::RTE_FLOW_ACTION_TYPE_END, conf: std::ptr::null() });
            let mut raw = no_error();
            // SAFETY: the port is open and serialised; the lists, of one length and ended by END, live through the call.
            let pointer = unsafe {
                dpdk_sys::rte_flow_actions_template_create(
                    port,
                    &raw_attr,
                    list.as_ptr(),
                    masks.raw().as_ptr(),
                    &mut raw,
                )
            };
            made(operation, port, pointer, &raw, &Lists { items: &[], actions: &list })
        })?;
        let brings = |(action, mask): (crate::ActionRef<'_>, crate::ActionRef<'_>)| {
            (action.ty, mask.conf.is_none() && (action.conf.is_some() || action.handle.is_some()))
        };
        let shape = actions.iter().zip(masks.iter()).map(brings).collect();
        let handle = ActionsTemplate(self.handle());
        self.templates.actions.insert(handle, Of { port, raw: template, shape });
        Ok(handle)
    }

    pub(crate) fn drop_actions_template(&mut self, port: u16, handle: ActionsTemplate) -> Result<(), RteFlowError> {
        let operation = "rte_flow_actions_template_destroy";
        let held = self.port_of(operation, port)?;
        let of = self.templates.actions.get(&handle).filter(|of| of.port == port);
        let pointer = of.ok_or_else(|| missing(operation, port, "actions template"))?.raw.0.as_ptr();
        let mut raw = no_error();
        // SAFETY: as for pattern templates.
        let ret =
            held.port.serialised(|_| unsafe { dpdk_sys::rte_flow_actions_template_destroy(port, pointer, &mut raw) });
        done(operation, port, ret, &raw, &NO_LISTS)?;
        self.templates.actions.remove(&handle);
        Ok(())
    }

    pub(crate) fn new_table(
        &mut self,
        port: u16,
        attr: Attr,
        rules: u32,
        patterns: &[PatternTemplate],
        actions: &[ActionsTemplate],
    ) -> Result<TemplateTable, RteFlowError> {
        let operation = "rte_flow_template_table_create";
        let held = self.port_of(operation, port)?;
        let mut shape = TableShape { patterns: Vec::new(), actions: Vec::new() };
        let (mut raw_patterns, mut raw_actions) = (Vec::new(), Vec::new());
        for handle in patterns {
            let of = self.templates.patterns.get(handle).filter(|of| of.port == port);
            let of = of.ok_or_else(|| missing(operation, port, "pattern template"))?;
            raw_patterns.push(of.raw.0.as_ptr());
            shape.patterns.push(of.shape.clone());
        }
        for handle in actions {
            let of = self.templates.actions.get(handle).filter(|of| of.port == port);
            let of = of.ok_or_else(|| missing(operation, port, "actions template"))?;
            raw_actions.push(of.raw.0.as_ptr());
            shape.actions.push(of.shape.clone());
        }
        let (Ok(n_patterns), Ok(n_actions)) = (u8::try_from(patterns.len()), u8::try_from(actions.len())) else {
            let reason = "a table has at most 255 templates of a kind";
            return Err(RteFlowError::new(operation, port, ErrorKind::Unspecified, Errno::EINVAL, reason));
        };
        // SAFETY: plain data, all-zero is valid: later releases have more members, whose zero is the default.
        let mut table_attr: dpdk_sys::rte_flow_template_table_attr = unsafe { std::mem::zeroed() };
        table_attr.flow_attr = attr.raw();
        table_attr.nb_flows = rules;
        let mut raw = no_error();
        // SAFETY: the port is open and serialised; the templates are live; the arrays have the lengths given.
        let pointer = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_template_table_create(
                port,
                &table_attr,
                raw_patterns.as_mut_ptr(),
                n_patterns,
                raw_actions.as_mut_ptr(),
                n_actions,
                &mut raw,
            )
        });
        let table = made(operation, port, pointer, &raw, &NO_LISTS)?;
        let handle = TemplateTable(self.handle());
        self.templates.tables.insert(handle, Of { port, raw: table, shape });
        Ok(handle)
    }

    pub(crate) fn drop_table(&mut self, port: u16, handle: TemplateTable) -> Result<(), RteFlowError> {
        let operation = "rte_flow_template_table_destroy";
        let held = self.port_of(operation, port)?;
        let of = self.templates.tables.get(&handle).filter(|of| of.port == port);
        let pointer = of.ok_or_else(|| missing(operation, port, "template table"))?.raw.0.as_ptr();
        let mut raw = no_error();
        // SAFETY: as for pattern templates.
        let ret =
            held.port.serialised(|_| unsafe { dpdk_sys::rte_flow_template_table_destroy(port, pointer, &mut raw) });
        done(operation, port, ret, &raw, &NO_LISTS)?;
        self.templates.tables.remove(&handle);
        Ok(())
    }

    /// Drivers index their queues by what they are given.
    fn checked_queue(&self, operation: &'static str, port: u16, queue: u32) -> Result<(), RteFlowError> {
        let queues = self.templates.queues.get(&port).copied().unwrap_or(0);
        if queue < u32::from(queues) {
            return Ok(());
        }
        let reason = format!("queue {queue} of {queues}; configure the engine with more");
        Err(RteFlowError::new(operation, port, ErrorKind::State, Errno::EINVAL, reason))
    }

    fn expect_end(&mut self, port: u16, user: u64, token: u64, what: What) {
        self.templates.pending.insert(token, Pending { port, user, what });
    }

    pub(crate) fn queue_create(
        &mut self,
        port: u16,
        queue: Queue,
        table: TemplateTable,
        pattern: (&LoweredPattern, u8),
        actions: (&LoweredActions, u8),
    ) -> Result<RuleHandle, RteFlowError> {
        let owner = self.port_of(CREATE, port)?.port.clone();
        self.checked_queue(CREATE, port, queue.id)?;
        let table = self.templates.table(port, table, pattern, actions)?;
        let token = self.handle();
        let (counter, ages) = own_counter(actions.0);
        owner.serialised(|stops| {
            let list = self.resolve(CREATE, port, actions.0, stops)?;
            let (attr, mut raw) = (op_attr(queue), no_error());
            let items = pattern.0.raw();
            // SAFETY: the port is open and serialised, the queue exists, the table is live, its templates have these indexes, and
            // both lists are what those say; the driver copies what it keeps.
            let pointer = unsafe {
                dpdk_sys::rte_flow_async_create(
                    port,
                    queue.id,
                    &attr,
                    table,
                    items.as_ptr(),
                    pattern.1,
                    list.as_ptr(),
                    actions.1,
                    number(token),
                    &mut raw,
                )
            };
            let rule = made(CREATE, port, pointer, &raw, &Lists { items, actions: &list })?;
            let handle = RuleHandle(self.handle());
            self.rules.insert(handle, Rule { port, raw: rule, counter, ages, queued: true, stops });
            self.expect_end(port, queue.user, token, What::Create(handle));
            Ok(handle)
        })
    }

    pub(crate) fn queue_destroy(&mut self, port: u16, queue: Queue, rule: RuleHandle) -> Result<(), RteFlowError> {
        let operation = "rte_flow_async_destroy";
        self.checked_queue(operation, port, queue.id)?;
        let token = self.handle();
        self.on_rule(operation, port, rule, |pointer, rule| {
            if !rule.queued {
                let reason = "the rule is in no template table: it goes by rte_flow_destroy";
                return Err(RteFlowError::new(operation, port, ErrorKind::Handle, Errno::EINVAL, reason));
            }
            let (attr, mut raw) = (op_attr(queue), no_error());
            // SAFETY: the rule is live: in our table, and not forgotten by a stop; the queue exists.
            let ret =
                unsafe { dpdk_sys::rte_flow_async_destroy(port, queue.id, &attr, pointer, number(token), &mut raw) };
            done(operation, port, ret, &raw, &NO_LISTS)
        })??;
        self.expect_end(port, queue.user, token, What::Destroy(rule));
        Ok(())
    }

    pub(crate) fn queue_action_create(
        &mut self,
        port: u16,
        queue: Queue,
        attr: Attr,
        actions: &LoweredActions,
    ) -> Result<ActionHandle, RteFlowError> {
        let operation = "rte_flow_async_action_handle_create";
        if actions.iter().len() != 1 {
            let reason = "a shared action is exactly one action";
            return Err(RteFlowError::new(operation, port, ErrorKind::ActionNum, Errno::EINVAL, reason));
        }
        let owner = self.port_of(operation, port)?.port.clone();
        self.checked_queue(operation, port, queue.id)?;
        let mut conf = dpdk_sys::rte_flow_indir_action_conf::default();
        conf.set_ingress(attr.ingress.into());
        conf.set_egress(attr.egress.into());
        conf.set_transfer(attr.transfer.into());
        let token = self.handle();
        owner.serialised(|stops| {
            let list = self.resolve(operation, port, actions, stops)?;
            let (op, mut raw) = (op_attr(queue), no_error());
            // SAFETY: the port is open and serialised, the queue exists; conf and action live through the call.
            let pointer = unsafe {
                dpdk_sys::rte_flow_async_action_handle_create(
                    port,
                    queue.id,
                    &op,
                    &conf,
                    list.as_ptr(),
                    number(token),
                    &mut raw,
                )
            };
            let action = made(operation, port, pointer, &raw, &Lists { items: &[], actions: &list })?;
            let handle = ActionHandle(self.handle());
            self.actions.insert(handle, Shared { port, raw: action, ty: list[0].type_, stops });
            self.expect_end(port, queue.user, token, What::CreateAction(handle));
            Ok(handle)
        })
    }

    pub(crate) fn queue_action_destroy(
        &mut self,
        port: u16,
        queue: Queue,
        action: ActionHandle,
    ) -> Result<(), RteFlowError> {
        let operation = "rte_flow_async_action_handle_destroy";
        let owner = self.port_of(operation, port)?.port.clone();
        self.checked_queue(operation, port, queue.id)?;
        let token = self.handle();
        owner.serialised(|stops| {
            let pointer = self.shared(operation, port, action, stops)?.raw.0.as_ptr();
            let (attr, mut raw) = (op_attr(queue), no_error());
            // SAFETY: the handle is live: in our table, and not forgotten by a stop; the queue exists.
            let ret = unsafe {
                dpdk_sys::rte_flow_async_action_handle_destroy(port, queue.id, &attr, pointer, number(token), &mut raw)
            };
            done(operation, port, ret, &raw, &NO_LISTS)
        })?;
        self.expect_end(port, queue.user, token, What::DestroyAction(action));
        Ok(())
    }

    pub(crate) fn queue_action_query(
        &mut self,
        port: u16,
        queue: Queue,
        action: ActionHandle,
        reset: bool,
    ) -> Result<(), RteFlowError> {
        let operation = "rte_flow_async_action_handle_query";
        let owner = self.port_of(operation, port)?.port.clone();
        self.checked_queue(operation, port, queue.id)?;
        let token = self.handle();
        let answer = owner.serialised(|stops| {
            let live = self.shared(operation, port, action, stops)?;
            if live.ty != dpdk_sys::RTE_FLOW_ACTION_TYPE_COUNT {
                let reason = "the shared action is no COUNT";
                return Err(RteFlowError::new(operation, port, ErrorKind::Action, Errno::EINVAL, reason));
            }
            let (attr, mut raw, answer) = (op_attr(queue), no_error(), Answer::new(reset));
            // SAFETY: the handle is live and counts, so the answer is an rte_flow_query_count, which stays where it is until the
            // operation is pulled; the queue exists.
            let ret = unsafe {
                dpdk_sys::rte_flow_async_action_handle_query(
                    port,
                    queue.id,
                    &attr,
                    live.raw.0.as_ptr(),
                    answer.0.as_ptr().cast(),
                    number(token),
                    &mut raw,
                )
            };
            if let Err(error) = done(operation, port, ret, &raw, &NO_LISTS) {
                // SAFETY: an operation that was refused is none: the device has nothing to answer.
                unsafe { answer.take() };
                return Err(error);
            }
            Ok(answer)
        })?;
        self.expect_end(port, queue.user, token, What::QueryAction(answer));
        Ok(())
    }

    pub(crate) fn queue_push(&self, port: u16, queue: u32) -> Result<(), RteFlowError> {
        let operation = "rte_flow_push";
        let held = self.port_of(operation, port)?;
        self.checked_queue(operation, port, queue)?;
        let mut raw = no_error();
        // SAFETY: the port is open and serialised, the queue exists.
        let ret = held.port.serialised(|_| unsafe { dpdk_sys::rte_flow_push(port, queue, &mut raw) });
        done(operation, port, ret, &raw, &NO_LISTS)
    }

    pub(crate) fn queue_pull(
        &mut self,
        port: u16,
        queue: u32,
        ends: &mut Vec<AsyncResult>,
        most: usize,
    ) -> Result<usize, RteFlowError> {
        let operation = "rte_flow_pull";
        let held = self.port_of(operation, port)?;
        self.checked_queue(operation, port, queue)?;
        let mut results = [const { rte_flow_op_result { status: 0, user_data: std::ptr::null_mut() } }; PULL];
        let most = most.min(PULL);
        let mut raw = no_error();
        // SAFETY: the port is open and serialised, the queue exists; there is room for `most` results.
        let ret = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_pull(port, queue, results.as_mut_ptr(), most as u16, &mut raw)
        });
        let Ok(found) = usize::try_from(ret) else {
            return Err(error(operation, port, errno_of(ret), &raw, &NO_LISTS));
        };
        let mut told = 0;
        for result in results.iter().take(found) {
            let Some(pending) = self.templates.pending.remove(&(result.user_data.addr() as u64)) else { continue };
            let success = result.status == dpdk_sys::RTE_FLOW_OP_SUCCESS;
            match (pending.what, success) {
                (What::Create(rule), false) | (What::Destroy(rule), true) => {
                    self.rules.remove(&rule);
                }
                (What::CreateAction(action), false) | (What::DestroyAction(action), true) => {
                    self.actions.remove(&action);
                }
                _ => {}
            }
            let count = match pending.what {
                // SAFETY: the operation has come to its end, and its entry is gone.
                What::QueryAction(answer) => Some(unsafe { answer.take() }).filter(|_| success),
                _ => None,
            };
            ends.push(AsyncResult { user: pending.user, done: success, count });
            told += 1;
        }
        Ok(told)
    }

    /// Rules in tables, tables and templates of a port go, as far as the device lets them.
    pub(crate) fn clear_tables(&mut self, port: u16) {
        let mine = |rule: &Rule| rule.port == port && rule.queued;
        let rules: Vec<_> = self.rules.iter().filter(|(_, r)| mine(r)).map(|(h, _)| *h).collect();
        if !rules.is_empty() {
            self.drain(port, rules);
        }
        let tables: Vec<_> = self.templates.tables.iter().filter(|(_, of)| of.port == port).map(|(h, _)| *h).collect();
        let actions: Vec<_> =
            self.templates.actions.iter().filter(|(_, of)| of.port == port).map(|(h, _)| *h).collect();
        let patterns: Vec<_> =
            self.templates.patterns.iter().filter(|(_, of)| of.port == port).map(|(h, _)| *h).collect();
        // What the device does not let go of goes with the port.
        for handle in tables {
            let _ = self.drop_table(port, handle);
        }
        for handle in actions {
            let _ = self.drop_actions_template(port, handle);
        }
        for handle in patterns {
            let _ = self.drop_pattern_template(port, handle);
        }
        self.templates.forget(port);
    }

    fn drain(&mut self, port: u16, rules: Vec<RuleHandle>) {
        let (mut rules, mut ends) = (rules.into_iter().peekable(), Vec::new());
        for _ in 0..LAST_ROUNDS {
            while let Some(rule) = rules.peek() {
                match self.queue_destroy(port, Queue { id: 0, postpone: true, user: 0 }, *rule) {
                    Err(error) if error.class() == Class::Busy => break,
                    _ => rules.next(),
                };
            }
            let pushed = self.queue_push(port, 0).and_then(|()| self.queue_pull(port, 0, &mut ends, PULL));
            let idle = !self.templates.pending.values().any(|p| p.port == port);
            if pushed.is_err() || rules.peek().is_none() && idle {
                break;
            }
        }
        self.rules.retain(|_, rule| rule.port != port || !rule.queued);
    }
}
