//! What drivers see: bytes of the lowered structures, and the order of calls.

use super::{RteFlowBackend, ask, lower, validate};
use crate::backend::{Backend, Completion, Counters, DeviceError, DeviceErrorKind, Done, Op, OpId, RuleKey};
use crate::caps::{Asked, Capabilities};
use crate::rule::{HwAction, HwRule, Plan, Table};
use crate::testing::{FlowMaker, from, world};
use crate::world::EthdevId;
use flow::dp::{DpAction, Mark, MeterId};
use flow::{FieldId, Value, VlanTag};
use rte_flow_rs::layout::{self, item_type};
use rte_flow_rs::*;
use std::sync::{Arc, Mutex};

fn rules(flow: FlowMaker) -> Vec<HwRule> {
    match crate::plan(&flow.build(1), &world("connectx")) {
        Plan::Full(program) | Plan::Partial { program, .. } => {
            program.rules.iter().map(|rule| HwRule::clone(rule)).collect()
        }
        Plan::Software(refused) => panic!("{refused:?}"),
    }
}

fn lowered(rule: &HwRule) -> LoweredFlow {
    LoweredFlow::new(lower::attributes(rule), &lower::pattern(rule), &lower::actions(rule, None))
}

#[test]
fn a_match_becomes_the_bytes_that_drivers_read() {
    let flow = from(2)
        .tcp()
        .field(FieldId::VlanTci, 0u16)
        .masked(FieldId::Ipv4Dst, 0x0a01_0200, 0xffff_ff00)
        .masked(FieldId::TcpFlags, 0x112, 0xfff)
        .field(FieldId::TcpDst, 443u16)
        .output(3);
    let flow = lowered(&rules(flow)[0]);
    assert_eq!(flow.attr(), Attr { priority: 1, transfer: true, ..Attr::default() });
    let items: Vec<_> = flow.items().collect();
    let types: Vec<u32> = items.iter().map(|item| item.ty).collect();
    let want = [item_type::REPRESENTED_PORT, item_type::ETH, item_type::IPV4, item_type::TCP];
    assert_eq!(types, want);
    let both = |i: usize, at: usize, len: usize| {
        (items[i].spec.unwrap()[at..at + len].to_vec(), items[i].mask.unwrap()[at..at + len].to_vec())
    };
    assert_eq!(both(0, layout::ETHDEV_PORT_ID, 2), (11u16.to_ne_bytes().to_vec(), vec![0xff; 2]));
    assert_eq!(both(1, layout::ITEM_ETH_DST, 6).1, [1, 0, 0, 0, 0, 0]);
    assert_eq!(both(1, layout::ITEM_ETH_TYPE, 2), (vec![8, 0], vec![0xff; 2]));
    let (at, bit) = layout::ITEM_ETH_HAS_VLAN;
    assert_eq!((items[1].spec.unwrap()[at] & bit, items[1].mask.unwrap()[at] & bit), (0, bit));
    assert_eq!(both(2, layout::ITEM_IPV4_DST, 4), (vec![10, 1, 2, 0], vec![255, 255, 255, 0]));
    assert_eq!(both(2, layout::ITEM_IPV4_PROTO, 1), (vec![6], vec![255]));
    assert_eq!(both(2, layout::ITEM_IPV4_FRAGMENT_OFFSET, 2), (vec![0, 0], vec![0x3f, 0xff]));
    assert_eq!(both(3, layout::ITEM_TCP_DST_PORT, 2), (vec![1, 187], vec![0xff; 2]));
    assert_eq!(both(3, layout::ITEM_TCP_SRC_PORT, 2).1, [0, 0]);
    assert_eq!(both(3, layout::ITEM_TCP_DATA_OFF, 2), (vec![1, 0x12], vec![0x0f, 0xff]));
}

#[test]
fn ipv6_and_vlan_fields_go_to_their_bits() {
    let flow = from(1)
        .field(FieldId::EthType, 0x86ddu16)
        .masked(FieldId::VlanTci, 0x7064, 0xffff)
        .field(FieldId::Vlan1Tci, 0u16)
        .field(FieldId::IpTos, 0xb8u8)
        .field(FieldId::Ipv6Label, 0x12345u32)
        .field(FieldId::IpFrag, 0u8)
        .output(3);
    let pattern = lower::pattern(&rules(flow)[0]);
    let Item::Vlan(Match::Masked { spec, mask }) = pattern[2] else { panic!("{pattern:?}") };
    assert_eq!((spec.tci, mask.tci), (0x6064, 0xefff));
    assert_eq!((spec.inner_type, mask.inner_type), (0x86dd, 0xffff));
    assert_eq!((spec.has_more_vlan, mask.has_more_vlan), (false, true));
    let Item::Ipv6(Match::Masked { spec, mask }) = pattern[3] else { panic!("{pattern:?}") };
    assert_eq!((spec.vtc_flow, mask.vtc_flow), (0x0b81_2345, 0x0fff_ffff));
    assert_eq!((spec.has_frag_ext, mask.has_frag_ext), (false, true));
}

#[test]
fn actions_keep_their_order_and_the_guard_goes_to_the_representor() {
    let tag = VlanTag { tpid: 0x88a8.into(), tci: 0xb00a.into() };
    let flow = from(1)
        .tcp()
        .field(FieldId::VlanTci, 0u16)
        .set(FieldId::EthDst, [2, 0, 0, 0, 0, 9])
        .set(FieldId::TcpSrc, 99u16)
        .then(DpAction::DecTtl)
        .then(DpAction::PushVlan(tag))
        .output(3);
    let rules = rules(flow);
    assert_eq!(lower::actions(&rules[0], None), [Action::PortRepresentor(10)]);
    assert_eq!(
        lower::actions(&rules[1], Some(Action::Count(0))),
        [
            Action::Count(0),
            Action::SetMacDst([2, 0, 0, 0, 0, 9]),
            Action::SetTpSrc(99),
            Action::DecTtl,
            Action::OfPushVlan(0x88a8),
            Action::OfSetVlanVid(10),
            Action::OfSetVlanPcp(5),
            Action::RepresentedPort(12),
        ]
    );
}

#[test]
fn a_partial_rule_marks_on_receive() {
    let rules = rules(from(1).ipv4().output(6));
    assert_eq!(lower::attributes(&rules[0]), Attr { ingress: true, ..Attr::default() });
    assert!(matches!(lower::pattern(&rules[0])[0], Item::Eth(_)));
    assert_eq!(lower::actions(&rules[0], None), [Action::Mark(0x10_0001), Action::Queue(0)]);
}

/// Whatever a rule can say has its own words in rte_flow; bits that a field does not have are of no field.
#[test]
fn a_rule_is_lowered_word_for_word() {
    let mut rule = rules(from(1).ipv4().output(3)).pop().unwrap();
    rule.table = Table::Transfer { group: 3, priority: 2 };
    assert_eq!(lower::attributes(&rule), Attr { group: 3, priority: 2, transfer: true, ..Attr::default() });
    rule.table = Table::Ingress { group: 4, priority: 5 };
    assert_eq!(lower::attributes(&rule), Attr { group: 4, priority: 5, ingress: true, ..Attr::default() });
    let set = |field, value| HwAction::Set { field, value: Value(value) };
    let dscp = |field| {
        let mut bytes = [0; 16];
        bytes[0] = 0x2e;
        let source = ModifySource::Value(bytes);
        Action::ModifyField(ModifyField { op: ModifyOp::Set, field, level: 0, offset: 0, width: 6, source })
    };
    let mac = [2, 0, 0, 0, 0, 9];
    rule.encap = Some([5, 6].into());
    let table = [
        (HwAction::Output(EthdevId(7)), Action::RepresentedPort(7)),
        (HwAction::Mirror(EthdevId(8)), Action::Sample { ratio: 1, actions: vec![Action::RepresentedPort(8)] }),
        (HwAction::ToRepresentor(EthdevId(9)), Action::PortRepresentor(9)),
        (HwAction::Drop, Action::Drop),
        (HwAction::DecTtl, Action::DecTtl),
        (HwAction::PopVlan, Action::OfPopVlan),
        (HwAction::Meter(MeterId(6)), Action::Meter(6)),
        (HwAction::Encap, Action::RawEncap(vec![5, 6])),
        (HwAction::Mark(Mark(77)), Action::Mark(77)),
        (HwAction::Queue(4), Action::Queue(4)),
        (HwAction::Rss { queues: 3 }, Action::Rss(Rss { queues: vec![0, 1, 2], ..Rss::default() })),
        (set(FieldId::EthSrc, 0x0200_0000_0009), Action::SetMacSrc(mac)),
        (set(FieldId::EthDst, 0x0200_0000_0009), Action::SetMacDst(mac)),
        (set(FieldId::VlanVid, 0xf005), Action::OfSetVlanVid(5)),
        (set(FieldId::VlanPcp, 0xfb), Action::OfSetVlanPcp(3)),
        (set(FieldId::Ipv4Src, 0x0a00_0001), Action::SetIpv4Src([10, 0, 0, 1])),
        (set(FieldId::Ipv4Dst, 0x0a00_0002), Action::SetIpv4Dst([10, 0, 0, 2])),
        (set(FieldId::Ipv6Src, 1), Action::SetIpv6Src(1u128.to_be_bytes())),
        (set(FieldId::Ipv6Dst, 2), Action::SetIpv6Dst(2u128.to_be_bytes())),
        (set(FieldId::TcpSrc, 80), Action::SetTpSrc(80)),
        (set(FieldId::UdpSrc, 81), Action::SetTpSrc(81)),
        (set(FieldId::TcpDst, 82), Action::SetTpDst(82)),
        (set(FieldId::UdpDst, 83), Action::SetTpDst(83)),
        (set(FieldId::IpTtl, 9), Action::SetTtl(9)),
        (set(FieldId::IpDscp, 0xee), dscp(Field::Ipv4Dscp)),
    ];
    for (action, wanted) in table {
        rule.actions = [action].into_iter().collect();
        assert_eq!(lower::actions(&rule, None), [wanted]);
    }
    let mut six = rules(from(1).field(FieldId::EthType, 0x86ddu16).output(3)).pop().unwrap();
    six.actions = [set(FieldId::IpDscp, 0x2e)].into_iter().collect();
    assert_eq!(lower::actions(&six, Some(Action::Count(0))), [Action::Count(0), dscp(Field::Ipv6Dscp)]);
}

/// Writes down what is called, and refuses what it is told to.
#[derive(Clone, Default)]
pub(super) struct Api {
    calls: Arc<Mutex<Vec<String>>>,
    refuse: Arc<Mutex<Vec<(&'static str, Errno)>>>,
    /// What `info` says; `None`: there is no such call.
    meters: Arc<Mutex<Option<Option<MeterCapabilities>>>>,
}

impl Api {
    fn call<T>(&self, name: &'static str, value: T) -> Result<T, RteFlowError> {
        self.calls.lock().unwrap().push(name.into());
        match self.refuse.lock().unwrap().iter().find(|(refused, _)| *refused == name) {
            Some((_, errno)) => Err(RteFlowError::new(name, 10, ErrorKind::Unspecified, *errno, "no")),
            None => Ok(value),
        }
    }

    pub fn refuse(&self, what: &[(&'static str, Errno)]) {
        *self.refuse.lock().unwrap() = what.to_vec();
    }

    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.calls.lock().unwrap())
    }
}

/// A rule that leads packets to software.
const ABOVE: RuleHandle = RuleHandle(9);

const COUNT: CountQuery = CountQuery { packets: Some(3), bytes: Some(180) };

impl RteFlowApi for Api {
    fn info(&mut self, port: u16) -> Result<FlowInfo, RteFlowError> {
        let none = RteFlowError::new("info", port, ErrorKind::Unspecified, Errno::ENOTSUP, "");
        let meters = self.meters.lock().unwrap().ok_or(none)?;
        Ok(FlowInfo { driver: "fake".into(), switch_domain: Some(0), keeps_rules: false, meters })
    }
    fn validate(&mut self, _: u16, _: &LoweredFlow) -> Result<(), RteFlowError> {
        self.call("validate", ())
    }
    fn create(&mut self, _: u16, flow: &LoweredFlow) -> Result<RuleHandle, RteFlowError> {
        if flow.attr().transfer && flow.attr().priority == 0 {
            return self.call("create above", ABOVE);
        }
        self.call("create", RuleHandle(7))
    }
    fn destroy(&mut self, _: u16, rule: RuleHandle) -> Result<(), RteFlowError> {
        self.call(if rule == ABOVE { "destroy above" } else { "destroy" }, ())
    }
    fn query_count(&mut self, _: u16, _: RuleHandle, _: bool) -> Result<CountQuery, RteFlowError> {
        self.call("query_count", COUNT)
    }
    fn flush(&mut self, _: u16) -> Result<(), RteFlowError> {
        self.call("flush", ())
    }
    fn action_create(&mut self, _: u16, attr: Attr, _: &LoweredActions) -> Result<ActionHandle, RteFlowError> {
        assert!(attr.transfer);
        self.call("action_create", ActionHandle(8))
    }
    fn action_destroy(&mut self, _: u16, _: ActionHandle) -> Result<(), RteFlowError> {
        self.call("action_destroy", ())
    }
    fn action_query_count(&mut self, _: u16, _: ActionHandle, _: bool) -> Result<CountQuery, RteFlowError> {
        self.call("action_query_count", COUNT)
    }
    fn pick_transfer_proxy(&mut self, _: u16) -> Result<u16, RteFlowError> {
        self.call("pick_transfer_proxy", 10)
    }
    fn meter_profile_add(&mut self, _: u16, _: u32, _: &MeterProfile) -> Result<(), RteFlowError> {
        self.call("meter_profile_add", ())
    }
    fn meter_profile_delete(&mut self, _: u16, _: u32) -> Result<(), RteFlowError> {
        self.call("meter_profile_delete", ())
    }
    fn meter_policy_add(&mut self, _: u16, _: u32, _: &MeterPolicy) -> Result<(), RteFlowError> {
        self.call("meter_policy_add", ())
    }
    fn meter_policy_delete(&mut self, _: u16, _: u32) -> Result<(), RteFlowError> {
        self.call("meter_policy_delete", ())
    }
    fn meter_create(&mut self, _: u16, _: u32, _: &MeterParams) -> Result<(), RteFlowError> {
        self.call("meter_create", ())
    }
    fn meter_destroy(&mut self, _: u16, _: u32) -> Result<(), RteFlowError> {
        self.call("meter_destroy", ())
    }
    fn meter_stats(&mut self, port: u16, _: u32, _: bool) -> Result<MeterStats, RteFlowError> {
        Err(RteFlowError::new("meter_stats", port, ErrorKind::Unspecified, Errno::ENOTSUP, ""))
    }
}

#[test]
fn a_device_is_asked_by_its_own_call_or_by_a_rule_that_goes_at_once() {
    let (mut api, transfer) = (Api::default(), rules(from(2).output(3)).remove(0));
    let marking = rules(from(1).ipv4().output(6)).remove(0);
    let mut ask = |rule, refused: &[(&'static str, Errno)]| {
        api.refuse(refused);
        let answer = validate(&mut api, rule).map_err(|error| error.kind);
        (answer, api.calls())
    };
    let own = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(ask(&transfer, &[]), (Ok(()), own(&["pick_transfer_proxy", "validate"])));
    assert_eq!(ask(&marking, &[]), (Ok(()), own(&["validate"])), "the port's own rules need no proxy");
    for (errno, kind) in [
        (Errno::ENOTSUP, DeviceErrorKind::NotSupported),
        (Errno::EINVAL, DeviceErrorKind::Invalid),
        (Errno::EIO, DeviceErrorKind::Dead),
    ] {
        assert_eq!(ask(&marking, &[("validate", errno)]), (Err(kind), own(&["validate"])));
    }
    let silent = ("validate", Errno::ENOSYS);
    assert_eq!(ask(&marking, &[silent]), (Ok(()), own(&["validate", "create", "destroy"])));
    let refused = ask(&marking, &[silent, ("create", Errno::ENOTSUP)]);
    assert_eq!(refused, (Err(DeviceErrorKind::NotSupported), own(&["validate", "create"])));
    // A driver without proxies takes transfer rules on any port.
    let unproxied = ask(&transfer, &[("pick_transfer_proxy", Errno::ENOTSUP)]);
    assert_eq!(unproxied, (Ok(()), own(&["pick_transfer_proxy", "validate"])));
}

#[test]
fn a_device_has_as_many_meters_as_rules_can_share_and_as_are_claimed() {
    let mut claims = Capabilities::preset("connectx").unwrap();
    claims.transfer.as_mut().unwrap().meter = true;
    let (mut api, port) = (Api::default(), EthdevId(10));
    let mut asked = |claimed: Option<u32>, meters: Option<(u32, u32)>| {
        claims.limits.meters = claimed;
        let caps = |(max_meters, max_shared)| MeterCapabilities { max_meters, max_shared, ..Default::default() };
        *api.meters.lock().unwrap() = Some(meters.map(caps));
        let probed = ask(&mut api, &claims, port, EthdevId(11)).unwrap();
        let denied = probed.denied.iter().any(|denied| denied.asked == Asked::Meters);
        (probed.caps.transfer.unwrap().meter, probed.caps.limits.meters, denied)
    };
    assert_eq!(asked(None, Some((64, 100))), (true, Some(64), false));
    assert_eq!(asked(None, Some((100, 64))), (true, Some(64), false));
    assert_eq!(asked(Some(8), Some((100, 64))), (true, Some(8), false));
    assert_eq!(asked(Some(0), Some((100, 64))), (false, Some(0), false), "nobody was denied anything");
    assert_eq!(asked(None, Some((100, 0))), (false, Some(0), true));
    assert_eq!(asked(Some(8), None), (false, Some(0), true));
    // One that cannot be asked is dead; where no meters are claimed nobody asks.
    *api.meters.lock().unwrap() = None;
    assert!(ask(&mut api, &claims, port, port).is_err());
    claims.transfer.as_mut().unwrap().meter = false;
    assert!(ask(&mut api, &claims, port, port).is_ok());
}

pub(super) struct Bench {
    pub api: Api,
    backend: RteFlowBackend,
    next: u64,
}

impl Bench {
    pub fn new() -> Bench {
        let api = Api::default();
        Bench { backend: RteFlowBackend::new(Box::new(api.clone())), api, next: 0 }
    }

    pub fn run(&mut self, op: impl Fn(OpId) -> Op) -> Result<Done, DeviceErrorKind> {
        self.next += 1;
        assert_eq!(self.backend.submit(&[op(OpId(self.next))]), 1);
        let mut done = Vec::new();
        self.backend.poll(&mut done);
        let [Completion { id: OpId(id), result }] = &done[..] else { panic!("{done:?}") };
        assert_eq!(*id, self.next);
        result.clone().map_err(|error: DeviceError| error.kind)
    }

    /// A rule that counts.
    pub fn rule() -> Arc<HwRule> {
        Arc::new(rules(from(2).output(3)).remove(0))
    }

    pub fn insert(&mut self) -> Result<Done, DeviceErrorKind> {
        let rule = Bench::rule();
        self.run(|id| Op::Insert { id, key: RuleKey(1), rule: Arc::clone(&rule) })
    }

    pub fn remove(&mut self) -> Result<Done, DeviceErrorKind> {
        self.run(|id| Op::Remove { id, key: RuleKey(1) })
    }
}

pub(super) const LAST: Option<Counters> = Some(Counters { packets: 3, bytes: 180 });

#[test]
fn a_counter_outlives_its_rule() {
    let mut bench = Bench::new();
    assert_eq!(bench.insert(), Ok(Done::Inserted));
    assert_eq!(bench.api.calls(), ["pick_transfer_proxy", "action_create", "create"]);
    assert_eq!(bench.remove(), Ok(Done::Removed { last: LAST, exact: true }));
    assert_eq!(bench.api.calls(), ["destroy", "action_query_count", "action_destroy"]);
    assert_eq!(bench.remove(), Err(DeviceErrorKind::NotFound));
}

#[test]
fn a_refused_rule_leaves_no_counter_and_a_busy_counter_is_tried_again() {
    let mut bench = Bench::new();
    bench.api.refuse(&[("create", Errno::ENOSPC), ("action_destroy", Errno::EBUSY)]);
    assert_eq!(bench.insert(), Err(DeviceErrorKind::TableFull));
    bench.api.refuse(&[]);
    bench.api.calls();
    assert_eq!(bench.insert(), Ok(Done::Inserted));
    assert_eq!(bench.api.calls(), ["action_destroy", "action_create", "create"]);
}

#[test]
fn a_rule_that_stays_is_kept_and_a_dead_device_is_forgotten() {
    let mut bench = Bench::new();
    bench.insert().unwrap();
    bench.api.refuse(&[("destroy", Errno::EBUSY)]);
    assert_eq!(bench.remove(), Err(DeviceErrorKind::Busy));
    bench.api.refuse(&[("action_query_count", Errno::EIO)]);
    assert_eq!(bench.run(|id| Op::Query { id, key: RuleKey(1) }), Err(DeviceErrorKind::Dead));
    bench.api.refuse(&[]);
    assert_eq!(bench.remove(), Err(DeviceErrorKind::NotFound));
}
