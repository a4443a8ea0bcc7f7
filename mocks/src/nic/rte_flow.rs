//! The mock NIC behind [`RteFlowApi`]: it reads the lowered bytes of each call, as a driver does.

use super::eswitch::Count;
use super::ports::Shared;
use super::rule::{RawAction, RawFlow, RawItem, Refusal, RefusalKind};
use dpdk::Errno;
use rte_flow_rs::layout::action_type;
use rte_flow_rs::{
    ActionHandle, ActionRef, Attr, CountQuery, ErrorKind, FlowInfo, LoweredActions, LoweredFlow, MeterParams,
    MeterPolicy, MeterProfile, MeterStats, RteFlowApi, RteFlowError, RuleHandle,
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

    fn no_meters<T>(operation: &'static str, port: u16) -> Result<T, RteFlowError> {
        let message = "the mock NIC has no meters";
        Err(RteFlowError::new(operation, port, ErrorKind::Unspecified, Errno::ENOTSUP, message))
    }
}

pub(super) fn raw_flow(port: u16, flow: &LoweredFlow) -> RawFlow {
    let attr = flow.attr();
    let own = |bytes: Option<&[u8]>| bytes.map(<[u8]>::to_vec);
    RawFlow {
        port,
        group: attr.group,
        priority: attr.priority,
        ingress: attr.ingress,
        egress: attr.egress,
        transfer: attr.transfer,
        items: flow
            .items()
            .map(|i| RawItem { kind: i.ty, spec: own(i.spec), last: own(i.last), mask: own(i.mask) })
            .collect(),
        actions: flow.actions().map(|a| raw_action(&a)).collect(),
    }
}

fn raw_action(action: &ActionRef<'_>) -> RawAction {
    RawAction { kind: action.ty, conf: action.conf.map(<[u8]>::to_vec), handle: action.handle.map(|h| h.0) }
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
            meters: None,
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
        let result = self.shared.eswitch().create(&raw_flow(port, flow));
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
        let mut kinds = actions.iter().map(|a| a.ty).filter(|ty| *ty != action_type::END && *ty != action_type::VOID);
        if (kinds.next(), kinds.next()) != (Some(action_type::COUNT), None) {
            let message = "one COUNT is the only indirect action";
            return Err(RteFlowError::new(CALL, port, ErrorKind::Action, Errno::ENOTSUP, message));
        }
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

    fn meter_profile_add(&mut self, port: u16, _id: u32, _profile: &MeterProfile) -> Result<(), RteFlowError> {
        Self::no_meters("rte_mtr_meter_profile_add", port)
    }

    fn meter_profile_delete(&mut self, port: u16, _id: u32) -> Result<(), RteFlowError> {
        Self::no_meters("rte_mtr_meter_profile_delete", port)
    }

    fn meter_policy_add(&mut self, port: u16, _id: u32, _policy: &MeterPolicy) -> Result<(), RteFlowError> {
        Self::no_meters("rte_mtr_meter_policy_add", port)
    }

    fn meter_policy_delete(&mut self, port: u16, _id: u32) -> Result<(), RteFlowError> {
        Self::no_meters("rte_mtr_meter_policy_delete", port)
    }

    fn meter_create(&mut self, port: u16, _id: u32, _params: &MeterParams) -> Result<(), RteFlowError> {
        Self::no_meters("rte_mtr_create", port)
    }

    fn meter_destroy(&mut self, port: u16, _id: u32) -> Result<(), RteFlowError> {
        Self::no_meters("rte_mtr_destroy", port)
    }

    fn meter_stats(&mut self, port: u16, _id: u32, _reset: bool) -> Result<MeterStats, RteFlowError> {
        Self::no_meters("rte_mtr_stats_read", port)
    }
}
