//! The real thing: [`RteFlowApi`] on DPDK.

use std::collections::HashMap;
use std::ffi::{c_char, c_void};
use std::ptr::{NonNull, null, null_mut};

use dpdk::{Errno, Port};
use dpdk_sys::{rte_flow, rte_flow_action, rte_flow_action_handle, rte_flow_error};

use crate::api::{ActionHandle, Attr, CountQuery, FlowInfo, RteFlowApi, RuleHandle};
use crate::error::{Cause, Class, ErrorKind, RteFlowError};
use crate::layout::action_type;
use crate::lower::{LoweredActions, LoweredFlow, no_error};
use crate::meter::{MeterCapabilities, MeterParams, MeterPolicy, MeterProfile, MeterStats};

/// Flow rules and meters of DPDK ports.
///
/// It holds its ports open, and what it still holds is taken out when it is dropped.
#[derive(Debug, Default)]
pub struct RealRteFlow {
    ports: HashMap<u16, Held>,
    rules: HashMap<RuleHandle, Rule>,
    actions: HashMap<ActionHandle, Shared>,
    next: u64,
}

#[derive(Debug)]
struct Held {
    port: Port,
    keeps_rules: bool,
    keeps_shared: bool,
}

/// A pointer of the driver's, only passed back to the driver.
#[derive(Clone, Copy, Debug)]
struct Foreign<T>(NonNull<T>);
// SAFETY: rte_flow objects belong to their port, not to a thread; calls are serialised by `&mut RealRteFlow`.
unsafe impl<T> Send for Foreign<T> {}

#[derive(Debug)]
struct Rule {
    port: u16,
    raw: Foreign<rte_flow>,
    /// The number of its first own COUNT.
    counter: Option<u32>,
    stops: u64,
}

#[derive(Debug)]
struct Shared {
    port: u16,
    raw: Foreign<rte_flow_action_handle>,
    counts: bool,
    stops: u64,
}

/// Which lists a device's `cause` pointer may point into.
struct Lists<'a> {
    items: &'a [dpdk_sys::rte_flow_item],
    actions: &'a [rte_flow_action],
}

const NO_LISTS: Lists<'static> = Lists { items: &[], actions: &[] };

fn index_in<T>(list: &[T], cause: *const c_void) -> Option<usize> {
    let offset = cause.addr().checked_sub(list.as_ptr().addr())?;
    let index = offset / size_of::<T>();
    (offset % size_of::<T>() == 0 && index < list.len()).then_some(index)
}

fn error(operation: &'static str, port: u16, errno: Errno, raw: &rte_flow_error, lists: &Lists<'_>) -> RteFlowError {
    // SAFETY: drivers leave null or a string that lives until their next call.
    let mut error =
        unsafe { RteFlowError::from_c(operation, port, ErrorKind::from_raw(raw.type_), errno, raw.message) };
    error.cause = index_in(lists.items, raw.cause)
        .map(Cause::Item)
        .or_else(|| index_in(lists.actions, raw.cause).map(Cause::Action));
    error
}

fn errno_of(ret: i32) -> Errno {
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

    /// Takes the port's rules and shared actions out and lets the port go; `None` if it was not here.
    pub fn remove_port(&mut self, port: u16) -> Option<Port> {
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
        self.ports.remove(&port).map(|held| held.port)
    }

    fn held(&self, operation: &'static str, port: u16) -> Result<&Held, RteFlowError> {
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

    fn handle(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    /// Runs `f` on a live rule of this port, while the port can neither stop nor start. Rules that the device forgot when its
    /// port stopped are forgotten here too.
    fn on_rule<R>(
        &mut self,
        operation: &'static str,
        port: u16,
        handle: RuleHandle,
        f: impl FnOnce(*mut rte_flow, Option<u32>) -> R,
    ) -> Result<R, RteFlowError> {
        let held = self.held(operation, port)?;
        let (owner, keeps) = (held.port.clone(), held.keeps_rules);
        owner.serialised(|stops| {
            if self.rules.get(&handle).is_some_and(|r| r.port == port && !keeps && r.stops != stops) {
                self.rules.remove(&handle);
            }
            match self.rules.get(&handle).filter(|r| r.port == port) {
                Some(rule) => Ok(f(rule.raw.0.as_ptr(), rule.counter)),
                None => Err(RteFlowError::new(operation, port, ErrorKind::Handle, Errno::ENOENT, "no such rule")),
            }
        })
    }

    /// A live shared action of this port, as [`RealRteFlow::on_rule`]; `stops` is the port's count, which is held still.
    fn shared(
        &mut self,
        operation: &'static str,
        port: u16,
        handle: ActionHandle,
        stops: u64,
    ) -> Result<&Shared, RteFlowError> {
        let keeps = self.held(operation, port)?.keeps_shared;
        if self.actions.get(&handle).is_some_and(|a| a.port == port && !keeps && a.stops != stops) {
            self.actions.remove(&handle);
        }
        self.actions.get(&handle).filter(|a| a.port == port).ok_or_else(|| {
            RteFlowError::new(operation, port, ErrorKind::Handle, Errno::ENOENT, "no such shared action")
        })
    }

    /// The action array with the device's handles in place of ours.
    fn resolve(
        &mut self,
        operation: &'static str,
        port: u16,
        actions: &LoweredActions,
        stops: u64,
    ) -> Result<Vec<rte_flow_action>, RteFlowError> {
        let mut raw = actions.raw().to_vec();
        for (i, action) in actions.iter().enumerate() {
            if action.ty == action_type::INDIRECT {
                let missing = || {
                    let reason = "no such shared action";
                    RteFlowError::new(operation, port, ErrorKind::ActionConf, Errno::ENOENT, reason)
                        .at(Cause::Action(i))
                };
                let handle = action.handle.ok_or_else(missing)?;
                let shared = self.shared(operation, port, handle, stops).map_err(|_| missing())?;
                raw[i].conf = shared.raw.0.as_ptr().cast_const().cast();
            }
        }
        Ok(raw)
    }

    /// One call of rte_mtr on a port of ours.
    fn meter(
        &self,
        operation: &'static str,
        port: u16,
        call: impl FnOnce(*mut dpdk_sys::rte_mtr_error) -> i32,
    ) -> Result<(), RteFlowError> {
        let held = self.held(operation, port)?;
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

fn done(
    operation: &'static str,
    port: u16,
    ret: i32,
    raw: &rte_flow_error,
    lists: &Lists<'_>,
) -> Result<(), RteFlowError> {
    if ret == 0 { Ok(()) } else { Err(error(operation, port, errno_of(ret), raw, lists)) }
}

/// Whether an object is no more in the device after this answer to its removal.
fn gone(answer: &Result<(), RteFlowError>) -> bool {
    answer.as_ref().err().is_none_or(|e| e.class() == Class::DeviceDead)
}

fn count_query(reset: bool) -> dpdk_sys::rte_flow_query_count {
    let mut query = dpdk_sys::rte_flow_query_count::default();
    query.set_reset(reset.into());
    query
}

fn count_answer(query: &dpdk_sys::rte_flow_query_count) -> CountQuery {
    CountQuery {
        packets: (query.hits_set() != 0).then_some(query.hits),
        bytes: (query.bytes_set() != 0).then_some(query.bytes),
    }
}

impl RteFlowApi for RealRteFlow {
    fn info(&mut self, port: u16) -> Result<FlowInfo, RteFlowError> {
        let operation = "rte_eth_dev_info_get";
        let held = self.held(operation, port)?;
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
        let owner = self.held(operation, port)?.port.clone();
        owner.serialised(|stops| {
            let actions = self.resolve(operation, port, flow.lowered_actions(), stops)?;
            let mut raw = no_error();
            let (attr, items) = (flow.raw_attr(), flow.raw_items());
            // SAFETY: the port is open and serialised; the arrays end with END and live through the call.
            let ret = unsafe { dpdk_sys::rte_flow_validate(port, attr, items.as_ptr(), actions.as_ptr(), &mut raw) };
            done(operation, port, ret, &raw, &Lists { items, actions: &actions })
        })
    }

    fn create(&mut self, port: u16, flow: &LoweredFlow) -> Result<RuleHandle, RteFlowError> {
        let operation = "rte_flow_create";
        let owner = self.held(operation, port)?.port.clone();
        let counter = flow.actions().find(|a| a.ty == action_type::COUNT).map(|a| {
            let conf = a.conf.and_then(|c| c.first_chunk::<4>());
            conf.map_or(0, |c| u32::from_ne_bytes(*c))
        });
        owner.serialised(|stops| {
            let actions = self.resolve(operation, port, flow.lowered_actions(), stops)?;
            let mut raw = no_error();
            let (attr, items) = (flow.raw_attr(), flow.raw_items());
            // SAFETY: as in validate; the device copies what it keeps.
            let (rule, errno) = unsafe {
                let rule = dpdk_sys::rte_flow_create(port, attr, items.as_ptr(), actions.as_ptr(), &mut raw);
                (NonNull::new(rule), Errno(dpdk_sys::dpdk_shim_errno()))
            };
            let Some(rule) = rule else {
                return Err(error(operation, port, errno, &raw, &Lists { items, actions: &actions }));
            };
            let handle = RuleHandle(self.handle());
            self.rules.insert(handle, Rule { port, raw: Foreign(rule), counter, stops });
            Ok(handle)
        })
    }

    fn destroy(&mut self, port: u16, rule: RuleHandle) -> Result<(), RteFlowError> {
        let operation = "rte_flow_destroy";
        let result = self.on_rule(operation, port, rule, |pointer, _| {
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
        self.on_rule(operation, port, rule, |pointer, counter| {
            let Some(id) = counter else {
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
        let owner = self.held(operation, port)?.port.clone();
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
        let owner = self.held(operation, port)?.port.clone();
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
            let counts = list[0].type_ == action_type::COUNT;
            let handle = ActionHandle(self.handle());
            self.actions.insert(handle, Shared { port, raw: Foreign(pointer), counts, stops });
            Ok(handle)
        })
    }

    fn action_destroy(&mut self, port: u16, action: ActionHandle) -> Result<(), RteFlowError> {
        let operation = "rte_flow_action_handle_destroy";
        let owner = self.held(operation, port)?.port.clone();
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
        let owner = self.held(operation, port)?.port.clone();
        owner.serialised(|stops| {
            let live = self.shared(operation, port, action, stops)?;
            if !live.counts {
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
        let held = self.held(operation, port)?;
        let (mut proxy, mut raw) = (port, no_error());
        // SAFETY: the port is open and serialised; `proxy` is writable.
        let ret =
            held.port.serialised(|_| unsafe { dpdk_sys::rte_flow_pick_transfer_proxy(port, &mut proxy, &mut raw) });
        if ret == 0 { Ok(proxy) } else { Err(error(operation, port, errno_of(ret), &raw, &NO_LISTS)) }
    }

    fn meter_profile_add(&mut self, port: u16, id: u32, profile: &MeterProfile) -> Result<(), RteFlowError> {
        // SAFETY: plain data, all-zero is valid.
        let mut raw: dpdk_sys::rte_mtr_meter_profile = unsafe { std::mem::zeroed() };
        let rates = &mut raw.__bindgen_anon_1;
        let packets = match *profile {
            MeterProfile::SrTcm2697 { cir, cbs, ebs, packet_mode } => {
                rates.srtcm_rfc2697 = dpdk_sys::rte_mtr_meter_profile__bindgen_ty_1__bindgen_ty_1 { cir, cbs, ebs };
                raw.alg = dpdk_sys::RTE_MTR_SRTCM_RFC2697;
                packet_mode
            }
            MeterProfile::TrTcm2698 { cir, pir, cbs, pbs, packet_mode } => {
                rates.trtcm_rfc2698 =
                    dpdk_sys::rte_mtr_meter_profile__bindgen_ty_1__bindgen_ty_2 { cir, pir, cbs, pbs };
                raw.alg = dpdk_sys::RTE_MTR_TRTCM_RFC2698;
                packet_mode
            }
            MeterProfile::TrTcm4115 { cir, eir, cbs, ebs, packet_mode } => {
                rates.trtcm_rfc4115 =
                    dpdk_sys::rte_mtr_meter_profile__bindgen_ty_1__bindgen_ty_3 { cir, eir, cbs, ebs };
                raw.alg = dpdk_sys::RTE_MTR_TRTCM_RFC4115;
                packet_mode
            }
        };
        raw.packet_mode = packets.into();
        self.meter("rte_mtr_meter_profile_add", port, |e| {
            // SAFETY: the port is open; the profile is copied.
            unsafe { dpdk_sys::rte_mtr_meter_profile_add(port, id, &mut raw, e) }
        })
    }

    fn meter_profile_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meter("rte_mtr_meter_profile_delete", port, |e| {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_mtr_meter_profile_delete(port, id, e) }
        })
    }

    fn meter_policy_add(&mut self, port: u16, id: u32, policy: &MeterPolicy) -> Result<(), RteFlowError> {
        let operation = "rte_mtr_meter_policy_add";
        let colours = [&policy.green, &policy.yellow, &policy.red];
        // Shared actions in a policy would have to be kept from going away under it.
        if colours.iter().copied().flatten().flat_map(LoweredActions::iter).any(|a| a.ty == action_type::INDIRECT) {
            let reason = "a meter policy takes no shared action";
            return Err(RteFlowError::new(operation, port, ErrorKind::Action, Errno::ENOTSUP, reason));
        }
        // SAFETY: plain data, all-zero is valid.
        let mut raw: dpdk_sys::rte_mtr_meter_policy_params = unsafe { std::mem::zeroed() };
        for (slot, list) in raw.actions.iter_mut().zip(colours) {
            *slot = list.as_ref().map_or(null(), |l| l.raw().as_ptr());
        }
        self.meter(operation, port, |e| {
            // SAFETY: the port is open; the lists end with END and live through the call.
            unsafe { dpdk_sys::rte_mtr_meter_policy_add(port, id, &mut raw, e) }
        })
    }

    fn meter_policy_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meter("rte_mtr_meter_policy_delete", port, |e| {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_mtr_meter_policy_delete(port, id, e) }
        })
    }

    fn meter_create(&mut self, port: u16, id: u32, params: &MeterParams) -> Result<(), RteFlowError> {
        let mut raw = dpdk_sys::rte_mtr_params {
            meter_profile_id: params.profile,
            use_prev_mtr_color: 0,
            dscp_table: null_mut(),
            vlan_table: null_mut(),
            meter_enable: 1,
            stats_mask: dpdk_sys::MTR_STATS_ALL,
            meter_policy_id: params.policy,
            default_input_color: dpdk_sys::RTE_COLOR_GREEN,
        };
        let create = |raw: &mut dpdk_sys::rte_mtr_params| {
            self.meter("rte_mtr_create", port, |e| {
                // SAFETY: the port is open; null tables mean that input colours are not read.
                unsafe { dpdk_sys::rte_mtr_create(port, id, raw, params.shared.into(), e) }
            })
        };
        // Few devices count by colour; most count drops.
        create(&mut raw).or_else(|first| {
            raw.stats_mask = dpdk_sys::MTR_STATS_DROPPED;
            if matches!(first.class(), Class::Unsupported | Class::Invalid) {
                create(&mut raw).map_err(|_| first)
            } else {
                Err(first)
            }
        })
    }

    fn meter_destroy(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meter("rte_mtr_destroy", port, |e| {
            // SAFETY: the port is open.
            unsafe { dpdk_sys::rte_mtr_destroy(port, id, e) }
        })
    }

    fn meter_stats(&mut self, port: u16, id: u32, reset: bool) -> Result<MeterStats, RteFlowError> {
        let (mut raw, mut mask) = (dpdk_sys::rte_mtr_stats::default(), 0u64);
        self.meter("rte_mtr_stats_read", port, |e| {
            // SAFETY: the port is open; both are writable.
            unsafe { dpdk_sys::rte_mtr_stats_read(port, id, &mut raw, &mut mask, reset.into(), e) }
        })?;
        // Bits of rte_mtr_stats_type: packets green, yellow, red, dropped, then bytes in the same order.
        let value = |bit: u32, value: u64| (mask & (1 << bit) != 0).then_some(value);
        Ok(MeterStats {
            packets: [value(0, raw.n_pkts[0]), value(1, raw.n_pkts[1]), value(2, raw.n_pkts[2])],
            dropped_packets: value(3, raw.n_pkts_dropped),
            bytes: [value(4, raw.n_bytes[0]), value(5, raw.n_bytes[1]), value(6, raw.n_bytes[2])],
            dropped_bytes: value(7, raw.n_bytes_dropped),
        })
    }
}

#[cfg(test)]
#[path = "real_tests.rs"]
mod tests;
