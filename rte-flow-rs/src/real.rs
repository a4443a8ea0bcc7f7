//! The real thing: [`RteFlowApi`] on DPDK.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::ptr::{NonNull, null, null_mut};

use dpdk::{Errno, Port};
use dpdk_sys::{rte_flow, rte_flow_action, rte_flow_action_handle, rte_flow_error};

use crate::api::{ActionHandle, AgeQuery, Attr, CountQuery, FlowInfo, RteFlowApi, RuleHandle};
use crate::error::{Cause, Class, ErrorKind, RteFlowError};
use crate::layout::action_type;
use crate::lower::{LoweredActions, LoweredFlow, LoweredPattern, no_error};
use crate::meter::{DscpColours, MeterCapabilities, MeterParams, MeterPolicy, MeterProfile, MeterStats};
use crate::real_template::Templates;
use crate::real_tunnel::Tunnels;
use crate::template::{
    ActionsTemplate, AsyncResult, EngineConfig, EngineInfo, PatternTemplate, Queue, TemplateAttr, TemplateTable,
};
use crate::tunnel::{RestoreInfo, Tunnel};
use crate::{TunnelActions, TunnelItems};

/// Flow rules and meters of DPDK ports.
///
/// It holds its ports open, and what it still holds is taken out when it is dropped.
#[derive(Debug, Default)]
pub struct RealRteFlow {
    pub(crate) ports: HashMap<u16, Held>,
    pub(crate) rules: HashMap<RuleHandle, Rule>,
    pub(crate) actions: HashMap<ActionHandle, Shared>,
    pub(crate) templates: Templates,
    pub(crate) tunnels: Tunnels,
    next: u64,
}

#[derive(Debug)]
pub(crate) struct Held {
    pub(crate) port: Port,
    pub(crate) keeps_rules: bool,
    pub(crate) keeps_shared: bool,
}

/// A pointer of the driver's, only passed back to the driver.
#[derive(Debug)]
pub(crate) struct Foreign<T>(pub(crate) NonNull<T>);

impl<T> Clone for Foreign<T> {
    fn clone(&self) -> Self {
        *self
    }
}
impl<T> Copy for Foreign<T> {}
// SAFETY: rte_flow objects belong to their port, not to a thread; calls are serialised by `&mut RealRteFlow`.
unsafe impl<T> Send for Foreign<T> {}

#[derive(Debug)]
pub(crate) struct Rule {
    pub(crate) port: u16,
    pub(crate) raw: Foreign<rte_flow>,
    /// The number of its first own COUNT.
    pub(crate) counter: Option<u32>,
    /// Whether it has an AGE.
    pub(crate) ages: bool,
    /// Whether it is in a template table: such rules go by queues only.
    pub(crate) queued: bool,
    pub(crate) stops: u64,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) port: u16,
    pub(crate) raw: Foreign<rte_flow_action_handle>,
    /// Its action's type.
    pub(crate) ty: u32,
    pub(crate) stops: u64,
}

/// Which lists a device's `cause` pointer may point into.
pub(crate) struct Lists<'a> {
    pub(crate) items: &'a [dpdk_sys::rte_flow_item],
    pub(crate) actions: &'a [rte_flow_action],
}

pub(crate) const NO_LISTS: Lists<'static> = Lists { items: &[], actions: &[] };

fn index_in<T>(list: &[T], cause: *const c_void) -> Option<usize> {
    let offset = cause.addr().checked_sub(list.as_ptr().addr())?;
    let index = offset / size_of::<T>();
    (offset % size_of::<T>() == 0 && index < list.len()).then_some(index)
}

pub(crate) fn error(
    operation: &'static str,
    port: u16,
    errno: Errno,
    raw: &rte_flow_error,
    lists: &Lists<'_>,
) -> RteFlowError {
    // SAFETY: drivers leave null or a string that lives until their next call.
    let mut error =
        unsafe { RteFlowError::from_c(operation, port, ErrorKind::from_raw(raw.type_), errno, raw.message) };
    error.cause = index_in(lists.items, raw.cause)
        .map(Cause::Item)
        .or_else(|| index_in(lists.actions, raw.cause).map(Cause::Action));
    error
}

pub(crate) fn errno_of(ret: i32) -> Errno {
    // Some drivers answer a bare -1 (EPERM).
    Errno(ret.wrapping_abs())
}

impl RealRteFlow {
    /// No ports yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes a port into care. Until it is removed, the port stays open.
    ///
    /// # Errors
    /// The device cannot say what it is.
    pub fn add_port(&mut self, port: Port) -> Result<(), dpdk::PortError> {
        let info = port.info()?;
        let held = Held { keeps_rules: info.keeps_flow_rules, keeps_shared: info.keeps_shared_actions, port };
        self.ports.insert(held.port.id(), held);
        Ok(())
    }

    /// Lets the port go with its rules in the device, for whoever takes the port over; `None` if it was not here. What the device
    /// keeps over a restart of the port stays, without an owner here.
    pub fn forget(&mut self, port: u16) -> Option<Port> {
        self.rules.retain(|_, rule| rule.port != port);
        self.actions.retain(|_, action| action.port != port);
        self.templates.forget(port);
        self.tunnels.forget(port);
        self.ports.remove(&port).map(|held| held.port)
    }

    /// Takes the port's rules, templates and shared actions out and lets the port go; `None` if it was not here.
    pub fn remove_port(&mut self, port: u16) -> Option<Port> {
        self.clear_tables(port);
        let rules: Vec<_> = self.rules.iter().filter(|(_, r)| r.port == port).map(|(h, _)| *h).collect();
        for rule in rules {
            // What the device refuses to take out goes with the port.
            let _ = self.destroy(port, rule);
            self.rules.remove(&rule);
        }
        let actions: Vec<_> = self.actions.iter().filter(|(_, a)| a.port == port).map(|(h, _)| *h).collect();
        for action in actions {
            let _ = self.action_destroy(port, action);
            self.actions.remove(&action);
        }
        self.clear_tunnels(port);
        self.ports.remove(&port).map(|held| held.port)
    }

    pub(crate) fn port_of(&self, operation: &'static str, port: u16) -> Result<&Held, RteFlowError> {
        self.ports.get(&port).ok_or_else(|| {
            RteFlowError::new(
                operation,
                port,
                ErrorKind::State,
                Errno::ENODEV,
                "the port was not given to this RealRteFlow",
            )
        })
    }

    pub(crate) fn handle(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Runs `f` on a live rule of this port, while the port can neither stop nor start. Rules that the device forgot when its
    /// port stopped are forgotten here too.
    pub(crate) fn on_rule<R>(
        &mut self,
        operation: &'static str,
        port: u16,
        handle: RuleHandle,
        f: impl FnOnce(*mut rte_flow, &Rule) -> R,
    ) -> Result<R, RteFlowError> {
        let held = self.port_of(operation, port)?;
        let (owner, keeps) = (held.port.clone(), held.keeps_rules);
        owner.serialised(|stops| {
            if self.rules.get(&handle).is_some_and(|r| r.port == port && !keeps && r.stops != stops) {
                self.rules.remove(&handle);
            }
            match self.rules.get(&handle).filter(|r| r.port == port) {
                Some(rule) => Ok(f(rule.raw.0.as_ptr(), rule)),
                None => Err(RteFlowError::new(operation, port, ErrorKind::Handle, Errno::ENOENT, "no such rule")),
            }
        })
    }

    /// A live shared action of this port, as [`RealRteFlow::on_rule`]; `stops` is the port's count, which is held still.
    pub(crate) fn shared(
        &mut self,
        operation: &'static str,
        port: u16,
        handle: ActionHandle,
        stops: u64,
    ) -> Result<&Shared, RteFlowError> {
        let keeps = self.port_of(operation, port)?.keeps_shared;
        if self.actions.get(&handle).is_some_and(|a| a.port == port && !keeps && a.stops != stops) {
            self.actions.remove(&handle);
        }
        self.actions.get(&handle).filter(|a| a.port == port).ok_or_else(|| {
            RteFlowError::new(operation, port, ErrorKind::Handle, Errno::ENOENT, "no such shared action")
        })
    }

    /// The action array with the device's handles in place of ours, and a tunnel's actions in place of their number.
    pub(crate) fn resolve(
        &mut self,
        operation: &'static str,
        port: u16,
        actions: &LoweredActions,
        stops: u64,
    ) -> Result<Vec<rte_flow_action>, RteFlowError> {
        if !actions.has_handles() {
            return Ok(actions.raw().to_vec());
        }
        let mut raw = Vec::with_capacity(actions.raw().len());
        for (i, (action, lowered)) in actions.iter().zip(actions.raw()).enumerate() {
            let refuse = |errno, reason: &str| {
                RteFlowError::new(operation, port, ErrorKind::ActionConf, errno, reason).at(Cause::Action(i))
            };
            if action.actions.is_some_and(LoweredActions::has_handles) {
                return Err(refuse(Errno::ENOTSUP, "a shared action inside of another action"));
            }
            if let Some(tunnel) = action.tunnel {
                let given = self.tunnels.actions(port, tunnel);
                raw.extend_from_slice(given.ok_or_else(|| refuse(Errno::ENOENT, "no such tunnel"))?);
            } else if action.ty == action_type::INDIRECT {
                let missing = || refuse(Errno::ENOENT, "no such shared action");
                let handle = action.handle.ok_or_else(missing)?;
                let shared = self.shared(operation, port, handle, stops).map_err(|_| missing())?;
                raw.push(rte_flow_action { conf: shared.raw.0.as_ptr().cast_const().cast(), ..*lowered });
            } else {
                raw.push(*lowered);
            }
        }
        raw.push(rte_flow_action { type_: action_type::END, conf: null() });
        Ok(raw)
    }

    /// The item array with a tunnel's items in place of their number.
    pub(crate) fn resolve_items(
        &self,
        operation: &'static str,
        port: u16,
        pattern: &LoweredPattern,
    ) -> Result<Vec<dpdk_sys::rte_flow_item>, RteFlowError> {
        if pattern.iter().all(|item| item.tunnel.is_none()) {
            return Ok(pattern.raw().to_vec());
        }
        let mut raw = Vec::with_capacity(pattern.raw().len());
        for (i, (item, lowered)) in pattern.iter().zip(pattern.raw()).enumerate() {
            match item.tunnel {
                None => raw.push(*lowered),
                Some(tunnel) => raw.extend_from_slice(self.tunnels.items(port, tunnel).ok_or_else(|| {
                    RteFlowError::new(operation, port, ErrorKind::ItemSpec, Errno::ENOENT, "no such tunnel")
                        .at(Cause::Item(i))
                })?),
            }
        }
        raw.push(dpdk_sys::rte_flow_item {
            type_: dpdk_sys::RTE_FLOW_ITEM_TYPE_END,
            spec: null(),
            last: null(),
            mask: null(),
        });
        Ok(raw)
    }

    /// One call of rte_mtr on a port of ours.
    pub(crate) fn meter(
        &self,
        operation: &'static str,
        port: u16,
        call: impl FnOnce(*mut dpdk_sys::rte_mtr_error) -> i32,
    ) -> Result<(), RteFlowError> {
        let held = self.port_of(operation, port)?;
        let mut raw = dpdk_sys::rte_mtr_error { type_: 0, cause: null(), message: null() };
        let ret = held.port.serialised(|_| call(&mut raw));
        if ret == 0 {
            return Ok(());
        }
        // SAFETY: drivers leave null or a string that lives until their next call.
        Err(unsafe {
            RteFlowError::from_c(
                operation,
                port,
                ErrorKind::Meter(raw.type_),
                errno_of(ret),
                raw.message.cast::<c_char>(),
            )
        })
    }
}

impl Drop for RealRteFlow {
    fn drop(&mut self) {
        for port in self.ports.keys().copied().collect::<Vec<_>>() {
            self.remove_port(port);
        }
    }
}

pub(crate) fn done(
    operation: &'static str,
    port: u16,
    ret: i32,
    raw: &rte_flow_error,
    lists: &Lists<'_>,
) -> Result<(), RteFlowError> {
    if ret == 0 { Ok(()) } else { Err(error(operation, port, errno_of(ret), raw, lists)) }
}

/// The number of a list's first COUNT, and whether it has an AGE.
pub(crate) fn own_counter(actions: &LoweredActions) -> (Option<u32>, bool) {
    let counter = actions.iter().find(|a| a.ty == action_type::COUNT).map(|a| {
        let conf = a.conf.and_then(|c| c.first_chunk::<4>());
        conf.map_or(0, |c| u32::from_ne_bytes(*c))
    });
    (counter, actions.iter().any(|a| a.ty == action_type::AGE))
}

fn age_answer(query: &dpdk_sys::rte_flow_query_age) -> AgeQuery {
    AgeQuery {
        aged: query.aged() != 0,
        idle_seconds: (query.sec_since_last_hit_valid() != 0).then(|| query.sec_since_last_hit()),
    }
}

/// Whether an object is no more in the device after this answer to its removal.
pub(crate) fn gone(answer: &Result<(), RteFlowError>) -> bool {
    answer.as_ref().err().is_none_or(|e| e.class() == Class::DeviceDead)
}

pub(crate) fn count_query(reset: bool) -> dpdk_sys::rte_flow_query_count {
    let mut query = dpdk_sys::rte_flow_query_count::default();
    query.set_reset(reset.into());
    query
}

pub(crate) fn count_answer(query: &dpdk_sys::rte_flow_query_count) -> CountQuery {
    CountQuery {
        packets: (query.hits_set() != 0).then_some(query.hits),
        bytes: (query.bytes_set() != 0).then_some(query.bytes),
    }
}

impl RteFlowApi for RealRteFlow {
    fn info(&mut self, port: u16) -> Result<FlowInfo, RteFlowError> {
        let operation = "rte_eth_dev_info_get";
        let held = self.port_of(operation, port)?;
        let info = held
            .port
            .info()
            .map_err(|e| RteFlowError::new(operation, port, ErrorKind::State, Errno::EIO, e.to_string()))?;
        // SAFETY: plain data, all-zero is valid.
        let mut caps: dpdk_sys::rte_mtr_capabilities = unsafe { std::mem::zeroed() };
        let meters = self
            .meter("rte_mtr_capabilities_get", port, |e| {
                // SAFETY: the port is open; both are writable.
                unsafe { dpdk_sys::rte_mtr_capabilities_get(port, &mut caps, e) }
            })
            .ok()
            .map(|()| MeterCapabilities {
                max_meters: caps.n_max,
                max_shared: caps.n_shared_max,
                max_policies: caps.meter_policy_n_max,
                max_rate: caps.meter_rate_max,
            });
        Ok(FlowInfo {
            driver: info.driver,
            switch_domain: info.switch.map(|s| s.domain_id),
            keeps_rules: info.keeps_flow_rules,
            meters,
        })
    }

    fn validate(&mut self, port: u16, flow: &LoweredFlow) -> Result<(), RteFlowError> {
        let operation = "rte_flow_validate";
        let owner = self.port_of(operation, port)?.port.clone();
        owner.serialised(|stops| {
            let actions = self.resolve(operation, port, flow.lowered_actions(), stops)?;
            let mut raw = no_error();
            let (attr, items) = (flow.raw_attr(), &self.resolve_items(operation, port, flow.pattern())?[..]);
            // SAFETY: the port is open and serialised; the arrays end with END and live through the call.
            let ret = unsafe { dpdk_sys::rte_flow_validate(port, attr, items.as_ptr(), actions.as_ptr(), &mut raw) };
            done(operation, port, ret, &raw, &Lists { items, actions: &actions })
        })
    }

    fn create(&mut self, port: u16, flow: &LoweredFlow) -> Result<RuleHandle, RteFlowError> {
        let operation = "rte_flow_create";
        let owner = self.port_of(operation, port)?.port.clone();
        let (counter, ages) = own_counter(flow.lowered_actions());
        owner.serialised(|stops| {
            let actions = self.resolve(operation, port, flow.lowered_actions(), stops)?;
            let mut raw = no_error();
            let (attr, items) = (flow.raw_attr(), &self.resolve_items(operation, port, flow.pattern())?[..]);
            // SAFETY: as in validate; the device copies what it keeps.
            let (rule, errno) = unsafe {
                let rule = dpdk_sys::rte_flow_create(port, attr, items.as_ptr(), actions.as_ptr(), &mut raw);
                (NonNull::new(rule), Errno(dpdk_sys::dpdk_shim_errno()))
            };
            let Some(rule) = rule else {
                return Err(error(operation, port, errno, &raw, &Lists { items, actions: &actions }));
            };
            let handle = RuleHandle(self.handle());
            self.rules.insert(handle, Rule { port, raw: Foreign(rule), counter, ages, queued: false, stops });
            Ok(handle)
        })
    }

    fn destroy(&mut self, port: u16, rule: RuleHandle) -> Result<(), RteFlowError> {
        let operation = "rte_flow_destroy";
        let result = self.on_rule(operation, port, rule, |pointer, rule| {
            if rule.queued {
                let reason = "the rule is in a template table: it goes by its queue";
                return Err(RteFlowError::new(operation, port, ErrorKind::Handle, Errno::EINVAL, reason));
            }
            let mut raw = no_error();
            // SAFETY: the rule is live: in our table, and not forgotten by a stop.
            let ret = unsafe { dpdk_sys::rte_flow_destroy(port, pointer, &mut raw) };
            done(operation, port, ret, &raw, &NO_LISTS)
        })?;
        if gone(&result) {
            self.rules.remove(&rule);
        }
        result
    }

    fn query_count(&mut self, port: u16, rule: RuleHandle, reset: bool) -> Result<CountQuery, RteFlowError> {
        let operation = "rte_flow_query";
        self.on_rule(operation, port, rule, |pointer, rule| {
            let Some(id) = rule.counter else {
                let reason = "the rule has no COUNT of its own";
                return Err(RteFlowError::new(operation, port, ErrorKind::Action, Errno::EINVAL, reason));
            };
            let conf = dpdk_sys::rte_flow_action_count { id };
            let actions = [
                rte_flow_action { type_: action_type::COUNT, conf: std::ptr::from_ref(&conf).cast() },
                rte_flow_action { type_: action_type::END, conf: null() },
            ];
            let (mut query, mut raw) = (count_query(reset), no_error());
            // SAFETY: the rule is live (as in destroy); `query` is what COUNT answers into.
            let ret =
                unsafe { dpdk_sys::rte_flow_query(port, pointer, actions.as_ptr(), (&raw mut query).cast(), &mut raw) };
            done(operation, port, ret, &raw, &NO_LISTS).map(|()| count_answer(&query))
        })?
    }

    fn flush(&mut self, port: u16) -> Result<(), RteFlowError> {
        let operation = "rte_flow_flush";
        let owner = self.port_of(operation, port)?.port.clone();
        let mut raw = no_error();
        // SAFETY: the port is open and serialised.
        let ret = owner.serialised(|_| unsafe { dpdk_sys::rte_flow_flush(port, &mut raw) });
        let result = done(operation, port, ret, &raw, &NO_LISTS);
        // After a failed flush as many rules as possible are gone and no handle is good (rte_flow.h), unless nothing was tried.
        if result.as_ref().err().is_none_or(|e| e.class() != Class::Unsupported) {
            self.rules.retain(|_, rule| rule.port != port);
        }
        result
    }

    fn action_create(&mut self, port: u16, attr: Attr, actions: &LoweredActions) -> Result<ActionHandle, RteFlowError> {
        let operation = "rte_flow_action_handle_create";
        if actions.iter().len() != 1 {
            let reason = "a shared action is exactly one action";
            return Err(RteFlowError::new(operation, port, ErrorKind::ActionNum, Errno::EINVAL, reason));
        }
        let owner = self.port_of(operation, port)?.port.clone();
        let mut conf = dpdk_sys::rte_flow_indir_action_conf::default();
        conf.set_ingress(attr.ingress.into());
        conf.set_egress(attr.egress.into());
        conf.set_transfer(attr.transfer.into());
        owner.serialised(|stops| {
            let list = self.resolve(operation, port, actions, stops)?;
            let mut raw = no_error();
            // SAFETY: the port is open and serialised; conf and action live through the call.
            let (handle, errno) = unsafe {
                let handle = dpdk_sys::rte_flow_action_handle_create(port, &conf, list.as_ptr(), &mut raw);
                (NonNull::new(handle), Errno(dpdk_sys::dpdk_shim_errno()))
            };
            let Some(pointer) = handle else {
                return Err(error(operation, port, errno, &raw, &Lists { items: &[], actions: &list }));
            };
            let handle = ActionHandle(self.handle());
            self.actions.insert(handle, Shared { port, raw: Foreign(pointer), ty: list[0].type_, stops });
            Ok(handle)
        })
    }

    fn action_destroy(&mut self, port: u16, action: ActionHandle) -> Result<(), RteFlowError> {
        let operation = "rte_flow_action_handle_destroy";
        let owner = self.port_of(operation, port)?.port.clone();
        let result = owner.serialised(|stops| {
            let pointer = self.shared(operation, port, action, stops)?.raw.0.as_ptr();
            let mut raw = no_error();
            // SAFETY: the handle is live: in our table, and not forgotten by a stop.
            let ret = unsafe { dpdk_sys::rte_flow_action_handle_destroy(port, pointer, &mut raw) };
            done(operation, port, ret, &raw, &NO_LISTS)
        });
        if gone(&result) {
            self.actions.remove(&action);
        }
        result
    }

    fn action_query_count(&mut self, port: u16, action: ActionHandle, reset: bool) -> Result<CountQuery, RteFlowError> {
        let operation = "rte_flow_action_handle_query";
        let owner = self.port_of(operation, port)?.port.clone();
        owner.serialised(|stops| {
            let live = self.shared(operation, port, action, stops)?;
            if live.ty != action_type::COUNT {
                let reason = "the shared action is no COUNT";
                return Err(RteFlowError::new(operation, port, ErrorKind::Action, Errno::EINVAL, reason));
            }
            let (mut query, mut raw) = (count_query(reset), no_error());
            // SAFETY: the handle is live and counts, so the answer is an rte_flow_query_count.
            let ret = unsafe {
                dpdk_sys::rte_flow_action_handle_query(port, live.raw.0.as_ptr(), (&raw mut query).cast(), &mut raw)
            };
            done(operation, port, ret, &raw, &NO_LISTS).map(|()| count_answer(&query))
        })
    }

    fn pick_transfer_proxy(&mut self, port: u16) -> Result<u16, RteFlowError> {
        let operation = "rte_flow_pick_transfer_proxy";
        let held = self.port_of(operation, port)?;
        let (mut proxy, mut raw) = (port, no_error());
        // SAFETY: the port is open and serialised; `proxy` is writable.
        let ret =
            held.port.serialised(|_| unsafe { dpdk_sys::rte_flow_pick_transfer_proxy(port, &mut proxy, &mut raw) });
        if ret == 0 { Ok(proxy) } else { Err(error(operation, port, errno_of(ret), &raw, &NO_LISTS)) }
    }

    fn query_age(&mut self, port: u16, rule: RuleHandle) -> Result<AgeQuery, RteFlowError> {
        let operation = "rte_flow_query";
        self.on_rule(operation, port, rule, |pointer, rule| {
            if !rule.ages {
                let reason = "the rule has no AGE";
                return Err(RteFlowError::new(operation, port, ErrorKind::Action, Errno::EINVAL, reason));
            }
            // SAFETY: plain data, all-zero is valid.
            let conf: dpdk_sys::rte_flow_action_age = unsafe { std::mem::zeroed() };
            let actions = [
                rte_flow_action { type_: action_type::AGE, conf: std::ptr::from_ref(&conf).cast() },
                rte_flow_action { type_: action_type::END, conf: null() },
            ];
            let (mut query, mut raw) = (dpdk_sys::rte_flow_query_age::default(), no_error());
            // SAFETY: the rule is live (as in destroy); `query` is what AGE answers into.
            let ret =
                unsafe { dpdk_sys::rte_flow_query(port, pointer, actions.as_ptr(), (&raw mut query).cast(), &mut raw) };
            done(operation, port, ret, &raw, &NO_LISTS).map(|()| age_answer(&query))
        })?
    }

    fn action_query_age(&mut self, port: u16, action: ActionHandle) -> Result<AgeQuery, RteFlowError> {
        let operation = "rte_flow_action_handle_query";
        let owner = self.port_of(operation, port)?.port.clone();
        owner.serialised(|stops| {
            let live = self.shared(operation, port, action, stops)?;
            if live.ty != action_type::AGE {
                let reason = "the shared action is no AGE";
                return Err(RteFlowError::new(operation, port, ErrorKind::Action, Errno::EINVAL, reason));
            }
            let (mut query, mut raw) = (dpdk_sys::rte_flow_query_age::default(), no_error());
            // SAFETY: the handle is live and ages, so the answer is an rte_flow_query_age.
            let ret = unsafe {
                dpdk_sys::rte_flow_action_handle_query(port, live.raw.0.as_ptr(), (&raw mut query).cast(), &mut raw)
            };
            done(operation, port, ret, &raw, &NO_LISTS).map(|()| age_answer(&query))
        })
    }

    fn action_update(&mut self, port: u16, action: ActionHandle, actions: &LoweredActions) -> Result<(), RteFlowError> {
        let operation = "rte_flow_action_handle_update";
        let owner = self.port_of(operation, port)?.port.clone();
        owner.serialised(|stops| {
            let live = self.shared(operation, port, action, stops)?;
            let (pointer, ty) = (live.raw.0.as_ptr(), live.ty);
            let list = self.resolve(operation, port, actions, stops)?;
            // The update is read as the action's own type, so it must be of that.
            if actions.iter().len() != 1 || list[0].type_ != ty {
                let reason = "a shared action is updated by one action of its type";
                return Err(RteFlowError::new(operation, port, ErrorKind::Action, Errno::EINVAL, reason));
            }
            let mut raw = no_error();
            // SAFETY: the handle is live; the action lives through the call.
            let ret = unsafe { dpdk_sys::rte_flow_action_handle_update(port, pointer, list.as_ptr().cast(), &mut raw) };
            done(operation, port, ret, &raw, &Lists { items: &[], actions: &list })
        })
    }

    fn aged(&mut self, port: u16, most: usize) -> Result<Vec<u64>, RteFlowError> {
        let operation = "rte_flow_get_aged_flows";
        let held = self.port_of(operation, port)?;
        let most = most.min(u32::MAX as usize).max(1);
        let (mut contexts, mut raw) = (vec![null_mut::<c_void>(); most], no_error());
        // SAFETY: the port is open and serialised; there is room for `most` contexts.
        let ret = held.port.serialised(|_| unsafe {
            dpdk_sys::rte_flow_get_aged_flows(port, contexts.as_mut_ptr(), most as u32, &mut raw)
        });
        let Ok(found) = usize::try_from(ret) else {
            return Err(error(operation, port, errno_of(ret), &raw, &NO_LISTS));
        };
        Ok(contexts.into_iter().take(found).map(|context| context.addr() as u64).collect())
    }

    fn isolate(&mut self, port: u16, on: bool) -> Result<(), RteFlowError> {
        let operation = "rte_flow_isolate";
        let held = self.port_of(operation, port)?;
        let mut raw = no_error();
        // SAFETY: the port is open and serialised.
        let ret = held.port.serialised(|_| unsafe { dpdk_sys::rte_flow_isolate(port, on.into(), &mut raw) });
        done(operation, port, ret, &raw, &NO_LISTS)
    }

    fn tunnel_decap(&mut self, port: u16, tunnel: &Tunnel) -> Result<TunnelActions, RteFlowError> {
        self.decap_set(port, tunnel)
    }

    fn tunnel_decap_release(&mut self, port: u16, actions: TunnelActions) -> Result<(), RteFlowError> {
        self.decap_release(port, actions)
    }

    fn tunnel_match(&mut self, port: u16, tunnel: &Tunnel) -> Result<TunnelItems, RteFlowError> {
        self.match_set(port, tunnel)
    }

    fn tunnel_match_release(&mut self, port: u16, items: TunnelItems) -> Result<(), RteFlowError> {
        self.match_release(port, items)
    }

    fn restore_info(&mut self, port: u16, packet: &mut dpdk::Mbuf) -> Result<RestoreInfo, RteFlowError> {
        self.restore(port, packet)
    }

    fn engine_info(&mut self, port: u16) -> Result<EngineInfo, RteFlowError> {
        self.template_info(port)
    }

    fn engine_configure(&mut self, port: u16, config: &EngineConfig) -> Result<(), RteFlowError> {
        self.template_configure(port, config)
    }

    fn pattern_template_create(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        pattern: &LoweredPattern,
    ) -> Result<PatternTemplate, RteFlowError> {
        self.new_pattern_template(port, attr, pattern)
    }

    fn pattern_template_destroy(&mut self, port: u16, template: PatternTemplate) -> Result<(), RteFlowError> {
        self.drop_pattern_template(port, template)
    }

    fn actions_template_create(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        actions: &LoweredActions,
        masks: &LoweredActions,
    ) -> Result<ActionsTemplate, RteFlowError> {
        self.new_actions_template(port, attr, actions, masks)
    }

    fn actions_template_destroy(&mut self, port: u16, template: ActionsTemplate) -> Result<(), RteFlowError> {
        self.drop_actions_template(port, template)
    }

    fn table_create(
        &mut self,
        port: u16,
        attr: Attr,
        rules: u32,
        patterns: &[PatternTemplate],
        actions: &[ActionsTemplate],
    ) -> Result<TemplateTable, RteFlowError> {
        self.new_table(port, attr, rules, patterns, actions)
    }

    fn table_destroy(&mut self, port: u16, table: TemplateTable) -> Result<(), RteFlowError> {
        self.drop_table(port, table)
    }

    fn async_create(
        &mut self,
        port: u16,
        queue: Queue,
        table: TemplateTable,
        pattern: &LoweredPattern,
        pattern_index: u8,
        actions: &LoweredActions,
        actions_index: u8,
    ) -> Result<RuleHandle, RteFlowError> {
        self.queue_create(port, queue, table, (pattern, pattern_index), (actions, actions_index))
    }

    fn async_destroy(&mut self, port: u16, queue: Queue, rule: RuleHandle) -> Result<(), RteFlowError> {
        self.queue_destroy(port, queue, rule)
    }

    fn async_action_create(
        &mut self,
        port: u16,
        queue: Queue,
        attr: Attr,
        actions: &LoweredActions,
    ) -> Result<ActionHandle, RteFlowError> {
        self.queue_action_create(port, queue, attr, actions)
    }

    fn async_action_destroy(&mut self, port: u16, queue: Queue, action: ActionHandle) -> Result<(), RteFlowError> {
        self.queue_action_destroy(port, queue, action)
    }

    fn async_action_query_count(
        &mut self,
        port: u16,
        queue: Queue,
        action: ActionHandle,
        reset: bool,
    ) -> Result<(), RteFlowError> {
        self.queue_action_query(port, queue, action, reset)
    }

    fn push(&mut self, port: u16, queue: u32) -> Result<(), RteFlowError> {
        self.queue_push(port, queue)
    }

    fn pull(&mut self, port: u16, queue: u32, done: &mut Vec<AsyncResult>, most: usize) -> Result<usize, RteFlowError> {
        self.queue_pull(port, queue, done, most)
    }

    fn meter_profile_add(&mut self, port: u16, id: u32, profile: &MeterProfile) -> Result<(), RteFlowError> {
        self.mtr_profile_add(port, id, profile)
    }

    fn meter_profile_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.mtr_profile_delete(port, id)
    }

    fn meter_policy_validate(&mut self, port: u16, policy: &MeterPolicy) -> Result<(), RteFlowError> {
        self.mtr_policy(port, policy, None)
    }

    fn meter_policy_add(&mut self, port: u16, id: u32, policy: &MeterPolicy) -> Result<(), RteFlowError> {
        self.mtr_policy(port, policy, Some(id))
    }

    fn meter_policy_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.mtr_policy_delete(port, id)
    }

    fn meter_create(&mut self, port: u16, id: u32, params: &MeterParams) -> Result<(), RteFlowError> {
        self.mtr_create(port, id, params)
    }

    fn meter_destroy(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.mtr_destroy(port, id)
    }

    fn meter_stats(&mut self, port: u16, id: u32, reset: bool) -> Result<MeterStats, RteFlowError> {
        self.mtr_stats(port, id, reset)
    }

    fn meter_enable(&mut self, port: u16, id: u32, on: bool) -> Result<(), RteFlowError> {
        self.mtr_enable(port, id, on)
    }

    fn meter_profile_update(&mut self, port: u16, id: u32, profile: u32) -> Result<(), RteFlowError> {
        self.mtr_profile_update(port, id, profile)
    }

    fn meter_policy_update(&mut self, port: u16, id: u32, policy: u32) -> Result<(), RteFlowError> {
        self.mtr_policy_update(port, id, policy)
    }

    fn meter_dscp_colours(&mut self, port: u16, id: u32, colours: Option<&DscpColours>) -> Result<(), RteFlowError> {
        self.mtr_dscp_colours(port, id, colours)
    }
}

#[cfg(test)]
#[path = "real_tests.rs"]
mod tests;
