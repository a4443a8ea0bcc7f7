//! The choke point: every call to rte_flow or rte_mtr is a method of [`RteFlowApi`].

use crate::error::RteFlowError;
use crate::lower::{LoweredActions, LoweredFlow, LoweredPattern};
use crate::meter::{DscpColours, MeterCapabilities, MeterParams, MeterPolicy, MeterProfile, MeterStats};
use crate::record::Record;
use crate::template::{
    ActionsTemplate, AsyncResult, EngineConfig, EngineInfo, PatternTemplate, Queue, TemplateAttr, TemplateTable,
};
use crate::tunnel::{RestoreInfo, Tunnel};
use crate::{Errno, ErrorKind, TunnelActions, TunnelItems};

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

/// An owner's mark on a rule, 128 bits as TC's cookies have. rte_flow has none: its rules die with their process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Cookie(pub u128);

/// A rule that a device held before this process ([`RteFlowApi::held`]).
#[derive(Debug)]
pub struct HeldRule {
    /// The ethdev that it was made on.
    pub port: u16,
    /// Its handle now.
    pub rule: RuleHandle,
    /// Its owner's mark; `None` for rules of others.
    pub cookie: Option<Cookie>,
    /// Direction, group and priority.
    pub attr: Attr,
    /// What it matches and does; the handles in it are good.
    pub record: Record,
    /// Whether it goes by [`RteFlowApi::async_destroy`].
    pub queued: bool,
}

/// When a rule was hit last (`rte_flow_query_age`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AgeQuery {
    /// Whether its timeout has passed.
    pub aged: bool,
    /// Seconds since the last hit; `None` where the device does not say.
    pub idle_seconds: Option<u32>,
}

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
/// Ports are DPDK's ids. An error says what the device said; nothing is left behind by a call that failed, unless noted. Methods
/// with a body answer ENOTSUP (`held`: nothing) unless implemented, as drivers without the function do.
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

    /// Reads the rule's AGE action (`rte_flow_query`).
    fn query_age(&mut self, port: u16, rule: RuleHandle) -> Result<AgeQuery, RteFlowError> {
        let _ = rule;
        no("rte_flow_query", port)
    }

    /// Reads a shared AGE (`rte_flow_action_handle_query`).
    fn action_query_age(&mut self, port: u16, action: ActionHandle) -> Result<AgeQuery, RteFlowError> {
        let _ = action;
        no("rte_flow_action_handle_query", port)
    }

    /// Gives a shared action another configuration (`rte_flow_action_handle_update`); `actions` holds exactly one, of its type.
    fn action_update(&mut self, port: u16, action: ActionHandle, actions: &LoweredActions) -> Result<(), RteFlowError> {
        let _ = (action, actions);
        no("rte_flow_action_handle_update", port)
    }

    /// Contexts of the rules whose AGE has run out since the last call (`rte_flow_get_aged_flows`), at most `most`.
    fn aged(&mut self, port: u16, most: usize) -> Result<Vec<u64>, RteFlowError> {
        let _ = most;
        no("rte_flow_get_aged_flows", port)
    }

    /// Lets only packets that rules give to the port reach it (`rte_flow_isolate`); before the port is configured.
    fn isolate(&mut self, port: u16, on: bool) -> Result<(), RteFlowError> {
        let _ = on;
        no("rte_flow_isolate", port)
    }

    /// From now on rules carry this mark, where the device keeps one.
    fn mark_rules(&mut self, cookie: Cookie) {
        let _ = cookie;
    }

    /// All rules in the device, for devices whose rules outlive their owner. DPDK's do not: none.
    fn held(&mut self) -> Vec<HeldRule> {
        Vec::new()
    }

    /// The actions that the driver wants for taking this tunnel off (`rte_flow_tunnel_decap_set`), for
    /// [`crate::Action::Tunnel`].
    fn tunnel_decap(&mut self, port: u16, tunnel: &Tunnel) -> Result<TunnelActions, RteFlowError> {
        let _ = tunnel;
        no("rte_flow_tunnel_decap_set", port)
    }

    /// Gives them back (`rte_flow_tunnel_action_decap_release`), when no rule has them.
    fn tunnel_decap_release(&mut self, port: u16, actions: TunnelActions) -> Result<(), RteFlowError> {
        let _ = actions;
        no("rte_flow_tunnel_action_decap_release", port)
    }

    /// The items that the driver wants for matching packets of this tunnel (`rte_flow_tunnel_match`), for
    /// [`crate::Item::Tunnel`].
    fn tunnel_match(&mut self, port: u16, tunnel: &Tunnel) -> Result<TunnelItems, RteFlowError> {
        let _ = tunnel;
        no("rte_flow_tunnel_match", port)
    }

    /// Gives them back (`rte_flow_tunnel_item_release`), when no rule has them.
    fn tunnel_match_release(&mut self, port: u16, items: TunnelItems) -> Result<(), RteFlowError> {
        let _ = items;
        no("rte_flow_tunnel_item_release", port)
    }

    /// What hardware did with a received packet before it missed (`rte_flow_get_restore_info`).
    fn restore_info(&mut self, port: u16, packet: &mut dpdk::Mbuf) -> Result<RestoreInfo, RteFlowError> {
        let _ = packet;
        no("rte_flow_get_restore_info", port)
    }

    /// Limits of the template engine (`rte_flow_info_get`); ENOTSUP where the device has none.
    fn engine_info(&mut self, port: u16) -> Result<EngineInfo, RteFlowError> {
        no("rte_flow_info_get", port)
    }

    /// Sets the template engine up (`rte_flow_configure`): before anything below, with the port configured and stopped.
    /// EBUSY while objects of an earlier configuration exist.
    fn engine_configure(&mut self, port: u16, config: &EngineConfig) -> Result<(), RteFlowError> {
        let _ = config;
        no("rte_flow_configure", port)
    }

    /// A shape of patterns (`rte_flow_pattern_template_create`): only the masks of `pattern` count.
    fn pattern_template_create(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        pattern: &LoweredPattern,
    ) -> Result<PatternTemplate, RteFlowError> {
        let _ = (attr, pattern);
        no("rte_flow_pattern_template_create", port)
    }

    /// Removes it; EBUSY while a table has it.
    fn pattern_template_destroy(&mut self, port: u16, template: PatternTemplate) -> Result<(), RteFlowError> {
        let _ = template;
        no("rte_flow_pattern_template_destroy", port)
    }

    /// A shape of actions (`rte_flow_actions_template_create`); `masks` from [`LoweredActions::masks`].
    fn actions_template_create(
        &mut self,
        port: u16,
        attr: TemplateAttr,
        actions: &LoweredActions,
        masks: &LoweredActions,
    ) -> Result<ActionsTemplate, RteFlowError> {
        let _ = (attr, actions, masks);
        no("rte_flow_actions_template_create", port)
    }

    /// Removes it; EBUSY while a table has it.
    fn actions_template_destroy(&mut self, port: u16, template: ActionsTemplate) -> Result<(), RteFlowError> {
        let _ = template;
        no("rte_flow_actions_template_destroy", port)
    }

    /// A table with room for `rules` rules of these shapes (`rte_flow_template_table_create`).
    fn table_create(
        &mut self,
        port: u16,
        attr: Attr,
        rules: u32,
        patterns: &[PatternTemplate],
        actions: &[ActionsTemplate],
    ) -> Result<TemplateTable, RteFlowError> {
        let _ = (attr, rules, patterns, actions);
        no("rte_flow_template_table_create", port)
    }

    /// Removes it; EBUSY while it has rules.
    fn table_destroy(&mut self, port: u16, table: TemplateTable) -> Result<(), RteFlowError> {
        let _ = table;
        no("rte_flow_template_table_destroy", port)
    }

    /// Puts a rule in (`rte_flow_async_create`). It is there when [`RteFlowApi::pull`] has said so of `queue.user`; the handle is
    /// good before, for [`RteFlowApi::async_destroy`] on the same queue only. EAGAIN when the queue is full: push and pull first.
    #[expect(clippy::too_many_arguments, reason = "those of the C function")]
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
        let _ = (queue, table, pattern, pattern_index, actions, actions_index);
        no("rte_flow_async_create", port)
    }

    /// Takes a rule of a table out (`rte_flow_async_destroy`). After a failure that is pulled the rule is still there.
    fn async_destroy(&mut self, port: u16, queue: Queue, rule: RuleHandle) -> Result<(), RteFlowError> {
        let _ = (queue, rule);
        no("rte_flow_async_destroy", port)
    }

    /// Makes a shared action (`rte_flow_async_action_handle_create`); the handle can be used in later operations of the queue.
    fn async_action_create(
        &mut self,
        port: u16,
        queue: Queue,
        attr: Attr,
        actions: &LoweredActions,
    ) -> Result<ActionHandle, RteFlowError> {
        let _ = (queue, attr, actions);
        no("rte_flow_async_action_handle_create", port)
    }

    /// Removes a shared action (`rte_flow_async_action_handle_destroy`).
    fn async_action_destroy(&mut self, port: u16, queue: Queue, action: ActionHandle) -> Result<(), RteFlowError> {
        let _ = (queue, action);
        no("rte_flow_async_action_handle_destroy", port)
    }

    /// Asks what a shared COUNT has counted (`rte_flow_async_action_handle_query`), and sets it to zero if `reset`. The answer comes
    /// with the pull of `queue.user`: [`AsyncResult::count`].
    fn async_action_query_count(
        &mut self,
        port: u16,
        queue: Queue,
        action: ActionHandle,
        reset: bool,
    ) -> Result<(), RteFlowError> {
        let _ = (queue, action, reset);
        no("rte_flow_async_action_handle_query", port)
    }

    /// Gives postponed operations of a queue to the device (`rte_flow_push`).
    fn push(&mut self, port: u16, queue: u32) -> Result<(), RteFlowError> {
        let _ = queue;
        no("rte_flow_push", port)
    }

    /// Appends what has come to its end on a queue (`rte_flow_pull`), at most `most`; how many those were.
    fn pull(&mut self, port: u16, queue: u32, done: &mut Vec<AsyncResult>, most: usize) -> Result<usize, RteFlowError> {
        let _ = (queue, done, most);
        no("rte_flow_pull", port)
    }

    /// Whether the device would take the policy (`rte_mtr_meter_policy_validate`).
    fn meter_policy_validate(&mut self, port: u16, policy: &MeterPolicy) -> Result<(), RteFlowError> {
        let _ = policy;
        no("rte_mtr_meter_policy_validate", port)
    }

    /// Switches a meter on or off (`rte_mtr_meter_enable`, `rte_mtr_meter_disable`): off, all packets are green.
    fn meter_enable(&mut self, port: u16, id: u32, on: bool) -> Result<(), RteFlowError> {
        let _ = (id, on);
        no("rte_mtr_meter_enable", port)
    }

    /// Gives a meter another profile (`rte_mtr_meter_profile_update`).
    fn meter_profile_update(&mut self, port: u16, id: u32, profile: u32) -> Result<(), RteFlowError> {
        let _ = (id, profile);
        no("rte_mtr_meter_profile_update", port)
    }

    /// Gives a meter another policy (`rte_mtr_meter_policy_update`).
    fn meter_policy_update(&mut self, port: u16, id: u32, policy: u32) -> Result<(), RteFlowError> {
        let _ = (id, policy);
        no("rte_mtr_meter_policy_update", port)
    }

    /// Colours that packets come in with, by DSCP (`rte_mtr_meter_dscp_table_update`); `None`: all green.
    fn meter_dscp_colours(&mut self, port: u16, id: u32, colours: Option<&DscpColours>) -> Result<(), RteFlowError> {
        let _ = (id, colours);
        no("rte_mtr_meter_dscp_table_update", port)
    }

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

/// The answer of a device that has no such function.
fn no<T>(operation: &'static str, port: u16) -> Result<T, RteFlowError> {
    Err(RteFlowError::new(operation, port, ErrorKind::Unspecified, Errno::ENOTSUP, "the device has no such function"))
}
