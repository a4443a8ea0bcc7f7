//! NORMAL: learning, ageing, VLANs, reserved addresses. Ports: 1 trunk of all, 2 access 10, 3 trunk of 10 and 20, 4 native 20
//! untagged with 30 and not flooding, 7 access 20.

mod common;

use common::{Bench, bench, dp, drop_reason, ports};
use flow::clock::{Clock, MonotonicClock, Time, VirtualClock};
use flow::dp::{Cacheable, Dep, DpAction, DropReason, Effect, Hits, Resume, Slowpath, Translation};
use flow::rule::RuleSpec;
use flow::{Action, DpPort, FieldId, FlowKey, Mask, OfPort, Value, VlanTag};
use pipeline::{Config, FailMode, FlowError, Pipeline, PortSpec, PortUpdate, RuleChange, Select, VlanMode};
use std::sync::Arc;
use std::time::Duration;

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

fn normal() -> Bench {
    let rule = RuleSpec { actions: vec![Action::Output(OfPort::NORMAL)], ..RuleSpec::default() };
    bench(vec![rule], ports())
}

fn packet(src: [u8; 6], dst: [u8; 6], vid: Option<u16>) -> FlowKey {
    let mut key = FlowKey::ZERO;
    (key.eth_src, key.eth_dst, key.eth_type) = (src, dst, 0x88b5.into());
    if let Some(vid) = vid {
        key.vlans[0] = VlanTag { tpid: 0x8100.into(), tci: (VlanTag::PRESENT | vid).into() };
    }
    key
}

/// Where copies go and in which VLAN: 0 without a tag.
fn copies(t: &Translation, key: &FlowKey) -> Vec<(u32, u16)> {
    common::execute(&t.actions, key).iter().map(|(p, k)| (p.0 - 100, k.vlans[0].vid())).collect()
}

impl Bench {
    /// Send a packet through and let it have its effects.
    fn send(&self, port: u16, key: &FlowKey) -> Vec<(u32, u16)> {
        let t = self.translate(OfPort(port), key);
        self.pipeline.replay(&t.effects, &Hits { packets: 1, bytes: 60, used: self.clock.now() });
        copies(&t, key)
    }

    fn changes(&self) -> Vec<Dep> {
        let mut changes = Vec::new();
        self.pipeline.take_changes(&mut changes);
        changes.into_iter().map(|c| c.dep).collect()
    }
}

#[test]
fn floods_then_learns_then_follows_a_move() {
    let b = normal();
    b.changes();
    assert_eq!(b.send(2, &packet(A, B, None)), [(1, 10), (3, 10)]);
    assert_eq!(b.changes(), [Dep::Fdb(b.bridge, 10, A)]);
    let back = packet(B, A, Some(10));
    let t = b.translate(OfPort(3), &back);
    assert!(t.deps.contains(&Dep::Fdb(b.bridge, 10, A)));
    assert_eq!(b.send(3, &back), [(2, 0)]);
    assert_eq!(b.changes(), [Dep::Fdb(b.bridge, 10, B)]);
    assert_eq!(b.send(2, &packet(A, B, None)), [(3, 10)]);
    assert_eq!(b.changes(), [], "a refresh is no change");
    // Learned in VLAN 10 only.
    assert_eq!(b.send(7, &packet([2, 0, 0, 0, 0, 9], A, None)), [(1, 20), (3, 20)]);
    b.changes();
    b.clock.advance(Duration::from_secs(1));
    b.send(1, &packet(A, B, Some(10)));
    assert_eq!(b.changes(), [Dep::Fdb(b.bridge, 10, A)]);
    assert_eq!(b.send(3, &back), [(1, 10)]);
    // A report from before the move comes late.
    let late = Effect::FdbRefresh { bridge: b.bridge, vlan: 10, mac: A, port: dp(OfPort(2)) };
    b.pipeline.replay(&[late], &Hits { packets: 1, bytes: 1, used: Time(5) });
    assert_eq!(b.send(3, &back), [(1, 10)]);
}

#[test]
fn drops_say_why() {
    let b = normal();
    let why = |port: u16, key: FlowKey| drop_reason(&b.translate(OfPort(port), &key));
    b.send(2, &packet(A, B, None));
    assert_eq!(why(2, packet(B, A, None)), Some(DropReason::SamePort));
    assert_eq!(why(2, packet(B, A, Some(10))), Some(DropReason::VlanViolation));
    assert_eq!(why(2, packet(B, A, Some(0))), Some(DropReason::SamePort), "priority tags belong to the access VLAN");
    assert_eq!(why(3, packet(B, A, None)), Some(DropReason::VlanViolation));
    assert_eq!(why(1, packet(B, A, Some(77))), Some(DropReason::NoFloodPort));
    assert_eq!(why(5, packet(B, A, None)), Some(DropReason::NoBridge));
    b.pipeline.update_port(b.bridge, OfPort(2), PortUpdate { up: Some(false), ..PortUpdate::default() }).unwrap();
    assert_eq!(why(1, packet(B, A, Some(10))), Some(DropReason::PortDown));
}

#[test]
fn tags_change_as_ports_want_them() {
    let b = normal();
    let all = [0xff; 6];
    assert_eq!(b.send(7, &packet(A, all, None)), [(1, 20), (3, 20)], "port 4 does not flood");
    b.send(4, &packet(B, all, None));
    assert_eq!(b.send(7, &packet(A, B, None)), [(4, 0)], "the native VLAN leaves untagged");
    b.send(4, &packet([2, 0, 0, 0, 0, 0xc], all, Some(30)));
    assert_eq!(b.send(1, &packet(A, [2, 0, 0, 0, 0, 0xc], Some(30))), [(4, 30)]);
    // Tagged and untagged copies of one packet: the tag that comes back is the packet's own.
    let mut tagged = packet(A, all, Some(10));
    tagged.vlans[0].tci = (tagged.vlans[0].tci.get() | 5 << 13).into();
    let t = b.translate(OfPort(1), &tagged);
    let expected = [DpAction::Output(dp(OfPort(3))), DpAction::PopVlan, DpAction::Output(dp(OfPort(2)))];
    assert_eq!(t.actions.as_slice(), expected);
    // The priority of a priority tag stays.
    let mut priority = packet(A, all, Some(0));
    priority.vlans[0].tci = (VlanTag::PRESENT | 5 << 13).into();
    let t = b.translate(OfPort(2), &priority);
    let sent = common::execute(&t.actions, &priority);
    assert!(sent.iter().all(|(_, k)| k.vlans[0].tci.get() == VlanTag::PRESENT | 5 << 13 | 10), "{sent:?}");
}

#[test]
fn masks_have_what_was_looked_at_and_no_more() {
    let b = normal();
    let mut key = packet(A, B, None);
    key.eth_type = 0x0800.into();
    let t = b.translate(OfPort(2), &key);
    let mut want = Mask::ANY;
    for field in
        [FieldId::InPort, FieldId::RecircId, FieldId::EthType, FieldId::IpFrag, FieldId::EthSrc, FieldId::EthDst]
    {
        want.require(field);
    }
    want.require_bits(FieldId::VlanTci.def(), Value(0x1fff));
    assert_eq!(t.mask, want);
    // Plain output looks at nothing; the group bit tells the packet from reserved addresses.
    let b = bench(
        vec![RuleSpec { actions: vec![Action::DecTtl, Action::Output(OfPort(2))], ..RuleSpec::default() }],
        ports(),
    );
    let t = b.translate(OfPort(1), &key);
    let mut want = Mask::ANY;
    for field in [FieldId::InPort, FieldId::RecircId, FieldId::EthType, FieldId::IpFrag] {
        want.require(field);
    }
    want.require_bits(FieldId::EthDst.def(), Value(0x0100_0000_0000));
    assert_eq!(t.mask, want);
    assert_eq!(t.actions.as_slice(), [DpAction::DecTtl, DpAction::Output(dp(OfPort(2)))]);
}

#[test]
fn reserved_addresses_are_never_kept_and_never_forwarded_by_normal() {
    let b = normal();
    for low in 0..16 {
        let t = b.translate(OfPort(2), &packet(A, [1, 0x80, 0xc2, 0, 0, low], None));
        assert_eq!((drop_reason(&t), t.cacheable), (Some(DropReason::Reserved), Cacheable::No));
        assert!(!t.effects.iter().any(|e| matches!(e, Effect::FdbRefresh { .. })));
    }
    assert_eq!(b.translate(OfPort(2), &packet(A, [1, 0x80, 0xc2, 0, 0, 16], None)).cacheable, Cacheable::Yes);
    // Another rule forwards them, from the slow path.
    let b = bench(vec![RuleSpec { actions: vec![Action::Output(OfPort(2))], ..RuleSpec::default() }], ports());
    let t = b.translate(OfPort(1), &packet(A, [1, 0x80, 0xc2, 0, 0, 2], None));
    assert_eq!((t.actions.as_slice(), t.cacheable), ([DpAction::Output(dp(OfPort(2)))].as_slice(), Cacheable::No));
}

#[test]
fn silent_addresses_age_and_the_oldest_makes_room() {
    let clock = Arc::new(VirtualClock::default());
    let config = Config { fdb_size: 100, fdb_ageing: Duration::from_secs(300), ..Config::default() };
    let p = Pipeline::new(clock.clone(), config);
    let bridge = p.add_bridge("br0", FailMode::Standalone).unwrap();
    p.add_port(bridge, PortSpec::new("p1", DpPort(1))).unwrap();
    let seen = |n: u8, at: u64| {
        let effect = Effect::FdbRefresh { bridge, vlan: 0, mac: [2, 0, 0, 0, 0, n], port: DpPort(1) };
        p.replay(&[effect], &Hits { packets: 1, bytes: 1, used: Time(at * 1_000_000_000) });
    };
    for n in 0..100 {
        seen(n, u64::from(n));
    }
    seen(0, 150);
    seen(200, 151);
    let macs = |p: &Pipeline| p.fdb(bridge).iter().map(|e| e.mac[5]).collect::<Vec<_>>();
    assert_eq!(macs(&p).len(), 100);
    assert!(macs(&p).contains(&0) && !macs(&p).contains(&1), "1 was the oldest");
    let mut changes = Vec::new();
    p.take_changes(&mut changes);
    assert!(changes.contains(&Dep::Fdb(bridge, 0, [2, 0, 0, 0, 0, 1]).into()));
    changes.clear();
    p.expire(Time(350_000_000_000));
    assert_eq!(macs(&p).iter().filter(|n| **n <= 50).collect::<Vec<_>>(), [&0], "silent for 300 s or more");
    p.take_changes(&mut changes);
    assert_eq!(changes.len(), 49);
    p.expire(Time(451_000_000_000));
    assert_eq!(macs(&p), []);
}

#[test]
fn a_port_that_goes_takes_its_addresses_along() {
    let b = normal();
    b.send(2, &packet(A, B, None));
    b.changes();
    b.pipeline.remove_port(b.bridge, OfPort(2)).unwrap();
    let changes = b.changes();
    for dep in [Dep::Ports(b.bridge), Dep::PortOwner(dp(OfPort(2))), Dep::Fdb(b.bridge, 10, A)] {
        assert!(changes.contains(&dep), "{dep:?}");
    }
    assert_eq!(b.pipeline.fdb(b.bridge), []);
    // Hits that come late teach nothing.
    b.learn_late();
    assert_eq!(b.pipeline.fdb(b.bridge), []);
    assert_eq!(b.pipeline.owner(dp(OfPort(2))), None);
    b.send(1, &packet(A, B, Some(10)));
    b.pipeline
        .update_port(b.bridge, OfPort(1), PortUpdate { vlan: Some(VlanMode::Access(20)), ..Default::default() })
        .unwrap();
    assert_eq!(b.pipeline.fdb(b.bridge), []);
}

impl Bench {
    fn learn_late(&self) {
        let effect = Effect::FdbRefresh { bridge: self.bridge, vlan: 10, mac: A, port: dp(OfPort(2)) };
        self.pipeline.replay(&[effect], &Hits { packets: 1, bytes: 1, used: Time(1) });
    }
}

#[test]
fn bridges_and_ports_are_kept_apart() {
    let p = Pipeline::new(Arc::new(MonotonicClock::default()), Config::default());
    let (one, two) =
        (p.add_bridge("br0", FailMode::Standalone).unwrap(), p.add_bridge("br1", FailMode::Secure).unwrap());
    assert_eq!(p.add_bridge("br0", FailMode::Secure), Err(FlowError::BridgeExists("br0".into())));
    assert_eq!(p.add_port(one, PortSpec::new("a", DpPort(10))), Ok(OfPort(1)));
    let third = PortSpec { number: Some(OfPort(3)), ..PortSpec::new("c", DpPort(11)) };
    assert_eq!(p.add_port(one, third.clone()), Ok(OfPort(3)));
    assert_eq!(p.add_port(one, PortSpec::new("b", DpPort(12))), Ok(OfPort(2)));
    let local = PortSpec { number: Some(OfPort::LOCAL), ..PortSpec::new("br0", DpPort(13)) };
    assert_eq!(p.add_port(one, local), Ok(OfPort::LOCAL));
    assert_eq!(p.add_port(two, PortSpec::new("a", DpPort(14))), Ok(OfPort(1)));
    assert!(matches!(p.add_port(two, third.clone()), Err(FlowError::PortOwned { .. })));
    let taken = PortSpec { dp: DpPort(15), name: "d".into(), ..third.clone() };
    assert!(matches!(p.add_port(one, taken), Err(FlowError::NumberTaken { .. })));
    assert!(matches!(p.add_port(one, PortSpec { dp: DpPort(15), ..third }), Err(FlowError::PortExists { .. })));
    let rules = |id| p.dump(id, &Select::default()).unwrap();
    assert_eq!((rules(one).len(), rules(two).len()), (1, 0));
    assert_eq!(
        (rules(one)[0].spec.priority, &rules(one)[0].spec.actions[..]),
        (0, &[Action::Output(OfPort::NORMAL)][..])
    );
    let mut key = packet(A, B, None);
    key.in_port = 10.into();
    let t = p.translate(&Resume::default(), &key);
    let ports: Vec<_> = t.actions.iter().map(|a| a.to_string()).collect();
    assert_eq!(ports, ["12", "11", "13"]);
    key.in_port = 14.into();
    assert_eq!(drop_reason(&p.translate(&Resume::default(), &key)), Some(DropReason::NoMatch));
    p.apply(&[RuleChange::Add {
        bridge: two,
        rule: RuleSpec { actions: vec![Action::Output(OfPort::IN_PORT)], ..RuleSpec::default() },
    }])
    .unwrap();
    assert_eq!(p.translate(&Resume::default(), &key).actions.as_slice(), [DpAction::Output(DpPort(14))]);
    assert_eq!(p.remove_bridge(one).unwrap().removed.len(), 1);
    assert_eq!(p.owner(DpPort(10)), None);
    assert!(matches!(p.remove_bridge(one), Err(FlowError::NoBridge(_))));
    assert_eq!(p.bridges().len(), 1);
}
