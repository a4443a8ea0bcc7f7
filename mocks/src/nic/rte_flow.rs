//! The mock NIC behind [`RteFlowApi`]: it reads the lowered bytes of each call, as a driver does.

use super::eswitch::{Count, Eswitch, Held};
use super::meter::{Fate, Meters};
use super::ports::Shared;
use super::rule::{Domain, RawAction, RawFlow, RawItem, Refusal, RefusalKind};
use super::template::raw_actions;
use dpdk::Errno;
use rte_flow_rs::layout::action_type;
use rte_flow_rs::{
    ActionHandle, ActionRef, ActionsTemplate, AgeQuery, AsyncResult, Attr, Cookie, CountQuery, EngineConfig,
    EngineInfo, ErrorKind, FlowInfo, HeldRule, LoweredActions, LoweredFlow, LoweredPattern, MeterCapabilities,
    MeterParams, MeterPolicy, MeterProfile, MeterStats, PatternTemplate, Queue, Record, RteFlowApi, RteFlowError,
    RuleHandle, TemplateAttr, TemplateTable,
};
use std::sync::Arc;

/// Flow rules of a mock NIC. Clones go to the same NIC.
#[derive(Clone, Debug)]
pub struct MockRteFlow {
    shared: Arc<Shared>,
}

impl MockRteFlow {
    pub(super) fn new(shared: Arc<Shared>) -> MockRteFlow {
        MockRteFlow { shared }
    }

    /// The rules of a switch without ports around it: for tests and measurements of what puts rules in.
    #[must_use]
    pub fn of(eswitch: Eswitch) -> MockRteFlow {
        MockRteFlow { shared: Arc::new(Shared::bare(eswitch)) }
    }

    /// The switch, while nobody else uses it.
    pub fn with<T>(&self, look: impl FnOnce(&mut Eswitch) -> T) -> T {
        look(&mut self.shared.eswitch())
    }

    fn call<T>(
        &self,
        operation: &'static str,
        port: u16,
        call: impl FnOnce(&mut Eswitch) -> Result<T, Refusal>,
    ) -> Result<T, RteFlowError> {
        call(&mut self.shared.eswitch()).map_err(|refusal| error(operation, port, refusal))
    }

    /// A call of rte_mtr; the model's time is the second argument.
    fn meters<T>(
        &self,
        operation: &'static str,
        port: u16,
        call: impl FnOnce(&mut Meters, u64) -> Result<T, Refusal>,
    ) -> Result<T, RteFlowError> {
        self.call(operation, port, |nic| {
            nic.operation()?;
            if nic.meters.most == 0 {
                return Err(Refusal::unsupported(RefusalKind::Unspecified, "the device has no meters"));
            }
            let now = nic.now;
            call(&mut nic.meters, now)
        })
    }
}

pub(super) fn raw_flow(port: u16, flow: &LoweredFlow) -> RawFlow {
    let attr = flow.attr();
    RawFlow {
        port,
        group: attr.group,
        priority: attr.priority,
        ingress: attr.ingress,
        egress: attr.egress,
        transfer: attr.transfer,
        items: raw_items(flow.pattern()),
        actions: flow.actions().map(|a| raw_action(&a)).collect(),
    }
}

pub(super) fn raw_items(pattern: &LoweredPattern) -> Vec<RawItem> {
    let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    let item = |i: rte_flow_rs::ItemRef<'_>| RawItem {
        kind: i.ty,
        spec: own(i.spec),
        last: own(i.last),
        mask: own(i.mask),
        spec_data: own(i.spec_data),
        mask_data: own(i.mask_data),
    };
    pattern.iter().map(item).collect()
}

pub(super) fn raw_action(action: &ActionRef<'_>) -> RawAction {
    RawAction {
        kind: action.ty,
        conf: action.conf.map(<[u8]>::to_vec),
        handle: action.handle.map(|h| h.0),
        data: action.data.map(<[u8]>::to_vec),
        queues: action.queues.map(<[u16]>::to_vec),
        items: action.items.map(raw_items).unwrap_or_default(),
        actions: action.actions.map(raw_actions).unwrap_or_default(),
    }
}

fn error(operation: &'static str, port: u16, refusal: Refusal) -> RteFlowError {
    let kind = match refusal.kind {
        RefusalKind::Unspecified => ErrorKind::Unspecified,
        RefusalKind::Handle => ErrorKind::Handle,
        RefusalKind::AttrGroup => ErrorKind::AttrGroup,
        RefusalKind::AttrPriority => ErrorKind::AttrPriority,
        RefusalKind::AttrIngress => ErrorKind::AttrIngress,
        RefusalKind::AttrEgress => ErrorKind::AttrEgress,
        RefusalKind::AttrTransfer => ErrorKind::AttrTransfer,
        RefusalKind::ItemSpec => ErrorKind::ItemSpec,
        RefusalKind::ItemLast => ErrorKind::ItemLast,
        RefusalKind::ItemMask => ErrorKind::ItemMask,
        RefusalKind::Item => ErrorKind::Item,
        RefusalKind::ActionNum => ErrorKind::ActionNum,
        RefusalKind::ActionConf => ErrorKind::ActionConf,
        RefusalKind::Action => ErrorKind::Action,
    };
    RteFlowError::new(operation, port, kind, Errno(refusal.errno), refusal.message)
}

fn count(count: Count) -> CountQuery {
    CountQuery { packets: Some(count.packets), bytes: Some(count.bytes) }
}

impl RteFlowApi for MockRteFlow {
    fn info(&mut self, port: u16) -> Result<FlowInfo, RteFlowError> {
        let eswitch = self.shared.eswitch();
        if !eswitch.has_ethdev(port) {
            let message = "not a port of the mock NIC";
            return Err(RteFlowError::new("rte_flow_info_get", port, ErrorKind::Unspecified, Errno::ENODEV, message));
        }
        Ok(FlowInfo {
            driver: format!("mock_{}", eswitch.profile().name),
            switch_domain: eswitch.profile().transfer.is_some().then_some(self.shared.domain()),
            keeps_rules: true,
            meters: (eswitch.meters.most > 0).then(|| {
                let most = u32::try_from(eswitch.meters.most).unwrap_or(u32::MAX);
                MeterCapabilities {
                    max_meters: most,
                    max_shared: most,
                    max_policies: most.into(),
                    max_rate: u64::MAX >> 3,
                }
            }),
        })
    }

    fn validate(&mut self, port: u16, flow: &LoweredFlow) -> Result<(), RteFlowError> {
        let result = self.shared.eswitch().validate(&raw_flow(port, flow));
        result.map_err(|e| error("rte_flow_validate", port, e))
    }

    fn create(&mut self, port: u16, flow: &LoweredFlow) -> Result<RuleHandle, RteFlowError> {
        let delay = self.shared.eswitch().insert_delay();
        if !delay.is_zero() {
            std::thread::sleep(delay);
        }
        let mut eswitch = self.shared.eswitch();
        let record = eswitch.recording.then(|| Record::of(flow.pattern(), flow.lowered_actions()));
        let result = eswitch.create_recorded(&raw_flow(port, flow), record);
        result.map(RuleHandle).map_err(|e| error("rte_flow_create", port, e))
    }

    fn destroy(&mut self, port: u16, rule: RuleHandle) -> Result<(), RteFlowError> {
        self.shared.eswitch().destroy(rule.0).map_err(|e| error("rte_flow_destroy", port, e))
    }

    fn query_count(&mut self, port: u16, rule: RuleHandle, reset: bool) -> Result<CountQuery, RteFlowError> {
        self.shared.eswitch().query(rule.0, reset).map(count).map_err(|e| error("rte_flow_query", port, e))
    }

    fn flush(&mut self, port: u16) -> Result<(), RteFlowError> {
        self.shared.eswitch().flush(port).map_err(|e| error("rte_flow_flush", port, e))
    }

    fn action_create(
        &mut self,
        port: u16,
        _attr: Attr,
        actions: &LoweredActions,
    ) -> Result<ActionHandle, RteFlowError> {
        const CALL: &str = "rte_flow_action_handle_create";
        only_count(CALL, port, actions)?;
        self.shared.eswitch().create_counter().map(ActionHandle).map_err(|e| error(CALL, port, e))
    }

    fn action_destroy(&mut self, port: u16, action: ActionHandle) -> Result<(), RteFlowError> {
        let result = self.shared.eswitch().destroy_counter(action.0);
        result.map_err(|e| error("rte_flow_action_handle_destroy", port, e))
    }

    fn action_query_count(&mut self, port: u16, action: ActionHandle, reset: bool) -> Result<CountQuery, RteFlowError> {
        let result = self.shared.eswitch().query_counter(action.0, reset);
        result.map(count).map_err(|e| error("rte_flow_action_handle_query", port, e))
    }

    fn pick_transfer_proxy(&mut self, port: u16) -> Result<u16, RteFlowError> {
        let eswitch = self.shared.eswitch();
        match eswitch.uplink().filter(|_| eswitch.profile().transfer.is_some()) {
            Some(uplink) => Ok(uplink),
            None => {
                let message = "the device has no transfer rules";
                Err(RteFlowError::new(
                    "rte_flow_pick_transfer_proxy",
                    port,
                    ErrorKind::AttrTransfer,
                    Errno::ENOTSUP,
                    message,
                ))
            }
        }
    }

    fn query_age(&mut self, port: u16, rule: RuleHandle) -> Result<AgeQuery, RteFlowError> {
        self.call("rte_flow_query", port, |nic| nic.query_age(rule.0))
    }

    fn aged(&mut self, port: u16, most: usize) -> Result<Vec<u64>, RteFlowError> {
        self.call("rte_flow_get_aged_flows", port, |nic| nic.aged(port, most))
    }

    fn mark_rules(&mut self, cookie: Cookie) {
        self.shared.eswitch().set_cookie(Some(cookie));
    }

    fn held(&mut self) -> Vec<HeldRule> {
        let held = self.shared.eswitch().held();
        let rule = |held: Held| HeldRule {
            port: held.ethdev,
            rule: RuleHandle(held.no),
            cookie: held.cookie,
            attr: Attr {
                group: held.spot.group,
                priority: held.spot.priority,
                ingress: matches!(held.spot.domain, Domain::Ingress(_)),
                egress: false,
                transfer: held.spot.domain == Domain::Transfer,
            },
            record: held.record.unwrap_or_default(),
            queued: held.queued,
        };
        held.into_iter().map(rule).collect()
    }

    fn engine_info(&mut self, port: u16) -> Result<EngineInfo, RteFlowError> {
        self.call("rte_flow_info_get", port, |nic| nic.engine_info(port))
    }

    fn engine_configure(&mut self, port: u16, config: &EngineConfig) -> Result<(), RteFlowError> {
        self.call("rte_flow_configure", port, |nic| nic.engine_configure(port, config))
    }

    fn pattern_template_create(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        pattern: &LoweredPattern,
    ) -> Result<PatternTemplate, RteFlowError> {
        self.call("rte_flow_pattern_template_create", port, |nic| {
            nic.pattern_template_create(port, attr, raw_items(pattern)).map(PatternTemplate)
        })
    }

    fn pattern_template_destroy(&mut self, port: u16, template: PatternTemplate) -> Result<(), RteFlowError> {
        self.call("rte_flow_pattern_template_destroy", port, |nic| nic.pattern_template_destroy(template.0))
    }

    fn actions_template_create(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        actions: &LoweredActions,
        masks: &LoweredActions,
    ) -> Result<ActionsTemplate, RteFlowError> {
        let (actions, masks) = (raw_actions(actions), raw_actions(masks));
        self.call("rte_flow_actions_template_create", port, |nic| {
            nic.actions_template_create(port, attr, &actions, &masks).map(ActionsTemplate)
        })
    }

    fn actions_template_destroy(&mut self, port: u16, template: ActionsTemplate) -> Result<(), RteFlowError> {
        self.call("rte_flow_actions_template_destroy", port, |nic| nic.actions_template_destroy(template.0))
    }

    fn table_create(
        &mut self,
        port: u16,
        attr: Attr,
        rules: u32,
        patterns: &[PatternTemplate],
        actions: &[ActionsTemplate],
    ) -> Result<TemplateTable, RteFlowError> {
        let patterns: Vec<u64> = patterns.iter().map(|t| t.0).collect();
        let actions: Vec<u64> = actions.iter().map(|t| t.0).collect();
        self.call("rte_flow_template_table_create", port, |nic| {
            nic.table_create(port, attr, rules, &patterns, &actions).map(TemplateTable)
        })
    }

    fn table_destroy(&mut self, port: u16, table: TemplateTable) -> Result<(), RteFlowError> {
        self.call("rte_flow_template_table_destroy", port, |nic| nic.table_destroy(table.0))
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
        self.call("rte_flow_async_create", port, |nic| {
            let record = nic.recording;
            let lists = ((pattern, pattern_index), (actions, actions_index));
            nic.async_create(port, queue, table.0, lists.0, lists.1, record).map(RuleHandle)
        })
    }

    fn async_destroy(&mut self, port: u16, queue: Queue, rule: RuleHandle) -> Result<(), RteFlowError> {
        self.call("rte_flow_async_destroy", port, |nic| nic.async_destroy(port, queue, rule.0))
    }

    fn async_action_create(
        &mut self,
        port: u16,
        queue: Queue,
        _attr: Attr,
        actions: &LoweredActions,
    ) -> Result<ActionHandle, RteFlowError> {
        const CALL: &str = "rte_flow_async_action_handle_create";
        only_count(CALL, port, actions)?;
        self.call(CALL, port, |nic| nic.async_counter_create(port, queue).map(ActionHandle))
    }

    fn async_action_destroy(&mut self, port: u16, queue: Queue, action: ActionHandle) -> Result<(), RteFlowError> {
        self.call("rte_flow_async_action_handle_destroy", port, |nic| nic.async_counter_destroy(port, queue, action.0))
    }

    fn async_action_query_count(
        &mut self,
        port: u16,
        queue: Queue,
        action: ActionHandle,
        reset: bool,
    ) -> Result<(), RteFlowError> {
        self.call("rte_flow_async_action_handle_query", port, |nic| {
            nic.async_counter_query(port, queue, action.0, reset)
        })
    }

    fn push(&mut self, port: u16, queue: u32) -> Result<(), RteFlowError> {
        self.call("rte_flow_push", port, |nic| nic.push(port, queue))
    }

    fn pull(&mut self, port: u16, queue: u32, done: &mut Vec<AsyncResult>, most: usize) -> Result<usize, RteFlowError> {
        self.call("rte_flow_pull", port, |nic| nic.pull(port, queue, done, most))
    }

    fn meter_profile_add(&mut self, port: u16, id: u32, profile: &MeterProfile) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_meter_profile_add", port, |meters, _| meters.add_profile(id, *profile))
    }

    fn meter_profile_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_meter_profile_delete", port, |meters, _| meters.delete_profile(id))
    }

    fn meter_policy_validate(&mut self, port: u16, policy: &MeterPolicy) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_meter_policy_validate", port, |_, _| fates(policy).map(|_| ()))
    }

    fn meter_policy_add(&mut self, port: u16, id: u32, policy: &MeterPolicy) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_meter_policy_add", port, |meters, _| meters.add_policy(id, fates(policy)?))
    }

    fn meter_policy_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_meter_policy_delete", port, |meters, _| meters.delete_policy(id))
    }

    fn meter_create(&mut self, port: u16, id: u32, params: &MeterParams) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_create", port, |meters, now| meters.create(id, *params, now))
    }

    fn meter_destroy(&mut self, port: u16, id: u32) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_destroy", port, |meters, _| meters.destroy(id))
    }

    fn meter_stats(&mut self, port: u16, id: u32, reset: bool) -> Result<MeterStats, RteFlowError> {
        self.meters("rte_mtr_stats_read", port, |meters, _| meters.stats(id, reset))
    }

    fn meter_enable(&mut self, port: u16, id: u32, on: bool) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_meter_enable", port, |meters, _| meters.enable(id, on))
    }

    fn meter_profile_update(&mut self, port: u16, id: u32, profile: u32) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_meter_profile_update", port, |meters, now| meters.set_profile(id, profile, now))
    }

    fn meter_policy_update(&mut self, port: u16, id: u32, policy: u32) -> Result<(), RteFlowError> {
        self.meters("rte_mtr_meter_policy_update", port, |meters, _| meters.set_policy(id, policy))
    }
}

/// What a policy does with each colour: the model passes or drops.
fn fates(policy: &MeterPolicy) -> Result<[Fate; 3], Refusal> {
    let mut fates = [Fate::Pass; 3];
    for (fate, list) in fates.iter_mut().zip([&policy.green, &policy.yellow, &policy.red]) {
        for action in list.iter().flat_map(|list| list.iter()) {
            *fate = match action.ty {
                action_type::DROP => Fate::Drop,
                action_type::VOID | action_type::PASSTHRU => *fate,
                other => {
                    let what = format!("action type {other} in a meter policy");
                    return Err(Refusal::unsupported(RefusalKind::Action, what));
                }
            };
        }
    }
    Ok(fates)
}

fn only_count(call: &'static str, port: u16, actions: &LoweredActions) -> Result<(), RteFlowError> {
    let mut kinds = actions.iter().map(|a| a.ty).filter(|ty| *ty != action_type::END && *ty != action_type::VOID);
    if (kinds.next(), kinds.next()) != (Some(action_type::COUNT), None) {
        let message = "one COUNT is the only indirect action";
        return Err(RteFlowError::new(call, port, ErrorKind::Action, Errno::ENOTSUP, message));
    }
    Ok(())
}
