//! The choke point: every call to rte_flow or rte_mtr is a method of [`RteFlowApi`].

use crate::error::RteFlowError;
use crate::lower::{LoweredActions, LoweredFlow};
use crate::meter::{MeterCapabilities, MeterParams, MeterPolicy, MeterProfile, MeterStats};

/// Where a rule belongs (`rte_flow_attr`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Attr {
    /// Group (table); 0 is where packets start.
    pub group: u32,
    /// Priority in the group; 0 is the highest.
    pub priority: u32,
    /// Received traffic.
    pub ingress: bool,
    /// Sent traffic.
    pub egress: bool,
    /// The NIC's switch itself: traffic between its ports.
    pub transfer: bool,
}

impl Attr {
    pub(crate) fn raw(self) -> dpdk_sys::rte_flow_attr {
        let mut raw = dpdk_sys::rte_flow_attr { group: self.group, priority: self.priority, ..Default::default() };
        raw.set_ingress(self.ingress.into());
        raw.set_egress(self.egress.into());
        raw.set_transfer(self.transfer.into());
        raw
    }
}

/// A rule in a device. Only a number: its owner checks it, and numbers are not used again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RuleHandle(pub u64);

/// An indirect action in a device; as [`RuleHandle`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionHandle(pub u64);

/// A counter's value since it was made or reset; `None` where the device does not count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CountQuery {
    /// Packets.
    pub packets: Option<u64>,
    /// Bytes, of the frame as the device counts it.
    pub bytes: Option<u64>,
}

/// What a device is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FlowInfo {
    /// The driver, for example `net_mlx5` (a fake says its profile).
    pub driver: String,
    /// The eswitch domain; rules between ports need the same one.
    pub switch_domain: Option<u16>,
    /// Whether rules survive a stop of the port.
    pub keeps_rules: bool,
    /// Meters, if the device has any.
    pub meters: Option<MeterCapabilities>,
}

/// Flow rules and meters of a set of ports.
///
/// Ports are DPDK's ids. An error says what the device said; nothing is left behind by a call that failed, unless noted.
pub trait RteFlowApi: Send {
    /// What the device behind a port is and can do.
    fn info(&mut self, port: u16) -> Result<FlowInfo, RteFlowError>;

    /// Whether the device would take the rule now (`rte_flow_validate`). It may still run out of room in between.
    fn validate(&mut self, port: u16, flow: &LoweredFlow) -> Result<(), RteFlowError>;

    /// Puts a rule in (`rte_flow_create`).
    fn create(&mut self, port: u16, flow: &LoweredFlow) -> Result<RuleHandle, RteFlowError>;

    /// Takes a rule out (`rte_flow_destroy`). On an error other than [`crate::Class::NotFound`] and
    /// [`crate::Class::DeviceDead`] the rule is still there.
    fn destroy(&mut self, port: u16, rule: RuleHandle) -> Result<(), RteFlowError>;

    /// Reads the rule's own COUNT action (`rte_flow_query`), setting it to zero if `reset`.
    fn query_count(&mut self, port: u16, rule: RuleHandle, reset: bool) -> Result<CountQuery, RteFlowError>;

    /// Takes all rules of a port out (`rte_flow_flush`).
    fn flush(&mut self, port: u16) -> Result<(), RteFlowError>;

    /// Makes an action that rules share (`rte_flow_action_handle_create`); `attr` says which rules (its directions count).
    /// `actions` holds exactly one. With COUNT, the counter outlives the rules.
    fn action_create(&mut self, port: u16, attr: Attr, actions: &LoweredActions) -> Result<ActionHandle, RteFlowError>;

    /// Removes a shared action (`rte_flow_action_handle_destroy`); EBUSY while rules use it.
    fn action_destroy(&mut self, port: u16, action: ActionHandle) -> Result<(), RteFlowError>;

    /// Reads a shared COUNT (`rte_flow_action_handle_query`).
    fn action_query_count(&mut self, port: u16, action: ActionHandle, reset: bool) -> Result<CountQuery, RteFlowError>;

    /// The port that transfer rules of `port` must go through (`rte_flow_pick_transfer_proxy`).
    fn pick_transfer_proxy(&mut self, port: u16) -> Result<u16, RteFlowError>;

    /// Adds a meter profile under the caller's id (`rte_mtr_meter_profile_add`).
    fn meter_profile_add(&mut self, port: u16, id: u32, profile: &MeterProfile) -> Result<(), RteFlowError>;

    /// Removes a meter profile.
    fn meter_profile_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError>;

    /// Adds a meter policy under the caller's id (`rte_mtr_meter_policy_add`).
    fn meter_policy_add(&mut self, port: u16, id: u32, policy: &MeterPolicy) -> Result<(), RteFlowError>;

    /// Removes a meter policy.
    fn meter_policy_delete(&mut self, port: u16, id: u32) -> Result<(), RteFlowError>;

    /// Makes a meter under the caller's id (`rte_mtr_create`), for [`crate::Action::Meter`].
    fn meter_create(&mut self, port: u16, id: u32, params: &MeterParams) -> Result<(), RteFlowError>;

    /// Removes a meter.
    fn meter_destroy(&mut self, port: u16, id: u32) -> Result<(), RteFlowError>;

    /// Reads a meter's counters, setting them to zero if `reset`.
    fn meter_stats(&mut self, port: u16, id: u32, reset: bool) -> Result<MeterStats, RteFlowError>;
}
