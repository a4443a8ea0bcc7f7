//! One [`RteFlowApi`] for two: who puts rules in, and who knows which ports there are.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::api::{ActionHandle, AgeQuery, Attr, Cookie, CountQuery, FlowInfo, HeldRule, RteFlowApi, RuleHandle};
use crate::error::RteFlowError;
use crate::lower::{LoweredActions, LoweredFlow, LoweredPattern};
use crate::meter::{DscpColours, MeterParams, MeterPolicy, MeterProfile, MeterStats};
use crate::template::{
    ActionsTemplate, AsyncResult, EngineConfig, EngineInfo, PatternTemplate, Queue, TemplateAttr, TemplateTable,
};
use crate::tunnel::{RestoreInfo, Tunnel};
use crate::{TunnelActions, TunnelItems};

/// A handle on a shared [`RteFlowApi`], which is one itself. Each call takes a lock for as long as the device takes: ports are brought
/// and taken by control threads, rules by the offload thread. Nothing on the way of packets is behind it.
#[derive(Debug)]
pub struct SharedRteFlow<A>(Arc<Mutex<A>>);

impl<A> Clone for SharedRteFlow<A> {
    fn clone(&self) -> Self {
        SharedRteFlow(Arc::clone(&self.0))
    }
}

impl<A> SharedRteFlow<A> {
    /// The first handle.
    pub fn new(api: A) -> Self {
        SharedRteFlow(Arc::new(Mutex::new(api)))
    }

    /// The thing itself, for as long as the guard lives.
    pub fn lock(&self) -> MutexGuard<'_, A> {
        // A call that panicked is between two of the device's operations.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<A: RteFlowApi> RteFlowApi for SharedRteFlow<A> {
    fn info(&mut self, port: u16) -> Result<FlowInfo, RteFlowError> {
        self.lock().info(port)
    }

    fn validate(&mut self, port: u16, flow: &LoweredFlow) -> Result<(), RteFlowError> {
        self.lock().validate(port, flow)
    }

    fn create(&mut self, port: u16, flow: &LoweredFlow) -> Result<RuleHandle, RteFlowError> {
        self.lock().create(port, flow)
    }

    fn destroy(&mut self, port: u16, rule: RuleHandle) -> Result<(), RteFlowError> {
        self.lock().destroy(port, rule)
    }

    fn query_count(&mut self, port: u16, rule: RuleHandle, reset: bool) -> Result<CountQuery, RteFlowError> {
        self.lock().query_count(port, rule, reset)
    }

    fn flush(&mut self, port: u16) -> Result<(), RteFlowError> {
        self.lock().flush(port)
    }

    fn action_create(&mut self, port: u16, attr: Attr, actions: &LoweredActions) -> Result<ActionHandle, RteFlowError> {
        self.lock().action_create(port, attr, actions)
    }

    fn action_destroy(&mut self, port: u16, action: ActionHandle) -> Result<(), RteFlowError> {
        self.lock().action_destroy(port, action)
    }

    fn action_query_count(&mut self, port: u16, action: ActionHandle, reset: bool) -> Result<CountQuery, RteFlowError> {
        self.lock().action_query_count(port, action, reset)
    }

    fn query_age(&mut self, port: u16, rule: RuleHandle) -> Result<AgeQuery, RteFlowError> {
        self.lock().query_age(port, rule)
    }

    fn action_query_age(&mut self, port: u16, action: ActionHandle) -> Result<AgeQuery, RteFlowError> {
        self.lock().action_query_age(port, action)
    }

    fn action_update(&mut self, port: u16, action: ActionHandle, actions: &LoweredActions) -> Result<(), RteFlowError> {
        self.lock().action_update(port, action, actions)
    }

    fn aged(&mut self, port: u16, most: usize) -> Result<Vec<u64>, RteFlowError> {
        self.lock().aged(port, most)
    }

    fn isolate(&mut self, port: u16, on: bool) -> Result<(), RteFlowError> {
        self.lock().isolate(port, on)
    }

    fn mark_rules(&mut self, cookie: Cookie) {
        self.lock().mark_rules(cookie);
    }

    fn held(&mut self) -> Vec<HeldRule> {
        self.lock().held()
    }

    fn tunnel_decap(&mut self, port: u16, tunnel: &Tunnel) -> Result<TunnelActions, RteFlowError> {
        self.lock().tunnel_decap(port, tunnel)
    }

    fn tunnel_decap_release(&mut self, port: u16, actions: TunnelActions) -> Result<(), RteFlowError> {
        self.lock().tunnel_decap_release(port, actions)
    }

    fn tunnel_match(&mut self, port: u16, tunnel: &Tunnel) -> Result<TunnelItems, RteFlowError> {
        self.lock().tunnel_match(port, tunnel)
    }

    fn tunnel_match_release(&mut self, port: u16, items: TunnelItems) -> Result<(), RteFlowError> {
        self.lock().tunnel_match_release(port, items)
    }

    fn restore_info(&mut self, port: u16, packet: &mut dpdk::Mbuf) -> Result<RestoreInfo, RteFlowError> {
        self.lock().restore_info(port, packet)
    }

    fn engine_info(&mut self, port: u16) -> Result<EngineInfo, RteFlowError> {
        self.lock().engine_info(port)
    }

    fn engine_configure(&mut self, port: u16, config: &EngineConfig) -> Result<(), RteFlowError> {
        self.lock().engine_configure(port, config)
    }

    fn pattern_template_create(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        pattern: &LoweredPattern,
    ) -> Result<PatternTemplate, RteFlowError> {
        self.lock().pattern_template_create(port, attr, pattern)
    }

    fn pattern_template_destroy(&mut self, port: u16, template: PatternTemplate) -> Result<(), RteFlowError> {
        self.lock().pattern_template_destroy(port, template)
    }

    fn actions_template_create(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        actions: &LoweredActions,
        masks: &LoweredActions,
    ) -> Result<ActionsTemplate, RteFlowError> {
        self.lock().actions_template_create(port, attr, actions, masks)
    }

    fn actions_template_destroy(&mut self, port: u16, template: ActionsTemplate) -> Result<(), RteFlowError> {
        self.lock().actions_template_destroy(port, template)
    }

    fn table_create(
        &mut self,
        port: u16,
        attr: Attr,
        rules: u32,
        patterns: &[PatternTemplate],
        actions: &[ActionsTemplate],
    ) -> Result<TemplateTable, RteFlowError> {
        self.lock().table_create(port, attr, rules, patterns, actions)
    }

    fn table_destroy(&mut self, port: u16, table: TemplateTable) -> Result<(), RteFlowError> {
        self.lock().table_destroy(port, table)
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
        self.lock().async_create(port, queue, table, pattern, pattern_index, actions, actions_index)
    }

    fn async_destroy(&mut self, port: u16, queue: Queue, rule: RuleHandle) -> Result<(), RteFlowError> {
        self.lock().async_destroy(port, queue, rule)
    }

    fn async_action_create(
        &mut self,
        port: u16,
        queue: Queue,
        attr: Attr,
        actions: &LoweredActions,
    ) -> Result<ActionHandle, RteFlowError> {
        self.lock().async_action_create(port, queue, attr, actions)
    }

    fn async_action_destroy(&mut self, port: u16, queue: Queue, action: ActionHandle) -> Result<(), RteFlowError> {
        self.lock().async_action_destroy(port, queue, action)
    }

    fn async_action_query_count(
        &mut self,
        port: u16,
        queue: Queue,
        action: ActionHandle,
        reset: bool,
    ) -> Result<(), RteFlowError> {
        self.lock().async_action_query_count(port, queue, action, reset)
    }

    fn push(&mut self, port: u16, queue: u32) -> Result<(), RteFlowError> {
        self.lock().push(port, queue)
    }

    fn pull(&mut self, port: u16, queue: u32, done: &mut Vec<AsyncResult>, most: usize) -> Result<usize, RteFlowError> {
        self.lock().pull(port, queue, done, most)
    }

    fn meter_policy_validate(&mut self, port: u16, policy: &MeterPolicy) -> Result<(), RteFlowError> {
        self.lock().meter_policy_validate(port, policy)
    }

    fn meter_enable(&mut self, port: u16, id: u32, on: bool) -> Result<(), RteFlowError> {
        self.lock().meter_enable(port, id, on)
    }

    fn meter_profile_update(&mut self, port: u16, id: u32, profile: u32) -> Result<(), RteFlowError> {
        self.lock().meter_profile_update(port, id, profile)
    }

    fn meter_policy_update(&mut self, port: u16, id: u32, policy: u32) -> Result<(), RteFlowError> {
        self.lock().meter_policy_update(port, id, policy)
    }

    fn meter_dscp_colours(&mut self, port: u16, id: u32, colours: Option<&DscpColours>) -> Result<(), RteFlowError> {
        self.lock().meter_dscp_colours(port, id, colours)
    }

    fn pick_transfer_proxy(&mut self, port: u16) -> Result<u16, RteFlowError> {
        self.lock().pick_transfer_proxy(port)
    }

    fn meter_profile_add(&mut self, port: u16, id: u32, profile: &MeterProfile) -> Result<(), RteFlowError> {
        self.lock().meter_profile_add(port, id, profile)
    }

    fn meter_profile_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.lock().meter_profile_delete(port, id)
    }

    fn meter_policy_add(&mut self, port: u16, id: u32, policy: &MeterPolicy) -> Result<(), RteFlowError> {
        self.lock().meter_policy_add(port, id, policy)
    }

    fn meter_policy_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.lock().meter_policy_delete(port, id)
    }

    fn meter_create(&mut self, port: u16, id: u32, params: &MeterParams) -> Result<(), RteFlowError> {
        self.lock().meter_create(port, id, params)
    }

    fn meter_destroy(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.lock().meter_destroy(port, id)
    }

    fn meter_stats(&mut self, port: u16, id: u32, reset: bool) -> Result<MeterStats, RteFlowError> {
        self.lock().meter_stats(port, id, reset)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    /// A method with a default that is missing here would answer ENOTSUP for every device.
    #[test]
    fn every_method_goes_through() {
        let methods = |source: &'static str, from: &str| -> BTreeSet<&str> {
            let (_, body) = source.split_once(from).unwrap();
            let body = body.split("\n}\n").next().unwrap();
            body.split("\n    fn ").skip(1).map(|text| text.split('(').next().unwrap()).collect()
        };
        let api = methods(include_str!("api.rs"), "pub trait RteFlowApi: Send {");
        assert!(api.len() > 40, "{api:?}");
        let here = methods(include_str!("shared.rs"), "impl<A: RteFlowApi> RteFlowApi for SharedRteFlow<A> {");
        assert_eq!(api, here);
    }
}
