//! Patch ports, mirrors, bonds, static addresses, fail modes.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use flow::clock::{Clock, VirtualClock};
use flow::dp::{BridgeId, Dep, DropReason, Hits, Resume, Slowpath, Translation};
use flow::rule::RuleSpec;
use flow::{Action, DpPort, FlowKey, Mask, OfPort, VlanTag};
use pipeline::{
    Admission, BondRef, Bonds, Config, FailMode, FdbFilter, FlowError, MirrorOutput, MirrorSpec, Pipeline, PortSpec,
    PortUpdate, RuleChange, Select, VlanMode,
};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

struct Rig {
    clock: Arc<VirtualClock>,
    p: Pipeline,
    br: BridgeId,
}

const A: [u8; 6] = [2, 0, 0, 0, 0, 0xa];
const B: [u8; 6] = [2, 0, 0, 0, 0, 0xb];

fn packet(src: [u8; 6], dst: [u8; 6], vid: Option<u16>) -> FlowKey {
    let mut key = FlowKey::ZERO;
    (key.eth_src, key.eth_dst, key.eth_type) = (src, dst, 0x88b5.into());
    if let Some(vid) = vid {
        key.vlans[0] = VlanTag { tpid: 0x8100.into(), tci: (VlanTag::PRESENT | vid).into() };
    }
    key
}

impl Rig {
    /// A standalone bridge with ports 1 to `n`, which are those of the datapath too.
    fn new(n: u32) -> Rig {
        let clock = Arc::new(VirtualClock::default());
        clock.advance(Duration::from_secs(1));
        let p = Pipeline::new(clock.clone(), Config::default());
        let br = p.add_bridge("br0", FailMode::Standalone).unwrap();
        for i in 1..=n {
            p.add_port(br, PortSpec::new(format!("p{i}"), DpPort(i))).unwrap();
        }
        Rig { clock, p, br }
    }

    fn translate(&self, port: u32, key: &FlowKey) -> Translation {
        self.p.translate(&Resume::default(), &FlowKey { in_port: port.into(), ..*key })
    }

    /// Send a packet: where its copies go, and in which VLAN.
    fn send(&self, port: u32, key: &FlowKey) -> Vec<(u32, u16)> {
        let t = self.translate(port, key);
        self.p.replay(&t.effects, &Hits { packets: 1, bytes: 60, used: self.clock.now() });
        let key = FlowKey { in_port: port.into(), ..*key };
        let mut out: Vec<_> = common::execute(&t.actions, &key).iter().map(|(p, k)| (p.0, k.vlans[0].vid())).collect();
        out.sort_unstable();
        out
    }

    fn rule(&self, actions: Vec<Action>) {
        let change = RuleChange::Delete { bridge: self.br, select: Select::default() };
        let add = RuleChange::Add { bridge: self.br, rule: RuleSpec { actions, ..RuleSpec::default() } };
        self.p.apply(&[change, add]).unwrap();
    }
}

fn mirror(name: &str, output: MirrorOutput) -> MirrorSpec {
    MirrorSpec {
        name: name.into(),
        select_all: false,
        select_src: BTreeSet::new(),
        select_dst: BTreeSet::new(),
        select_vlan: None,
        output,
        snaplen: 0,
    }
}

#[test]
fn patch_ports_connect_when_both_ends_name_each_other() {
    let r = Rig::new(1);
    let two = r.p.add_bridge("br1", FailMode::Standalone).unwrap();
    r.p.add_port(two, PortSpec::new("q", DpPort(10))).unwrap();
    let here = r.p.add_port(r.br, PortSpec::patch("to1", "to0")).unwrap();
    let up = |b, n| r.p.ports(b).iter().find(|p| p.number == n).map(|p| (p.up, p.peer));
    assert_eq!(up(r.br, here), Some((false, None)));
    assert_eq!(r.send(1, &packet(A, B, None)), []);
    let wrong = r.p.add_port(two, PortSpec::patch("to0", "elsewhere")).unwrap();
    assert_eq!(up(r.br, here), Some((false, None)), "the other end names another port");
    r.p.remove_port(two, wrong).unwrap();
    let there = r.p.add_port(two, PortSpec::patch("to0", "to1")).unwrap();
    assert_eq!(up(r.br, here), Some((true, Some((two, there)))));
    assert_eq!(up(two, there), Some((true, Some((r.br, here)))));
    assert!(matches!(r.p.add_port(r.br, PortSpec::patch("to0", "x")), Err(FlowError::PortExists { .. })));
    assert_eq!(r.p.add_port(r.br, PortSpec::patch("x", "x")), Err(FlowError::PatchToItself("x".into())));
    // Learned on both sides of the cable.
    assert_eq!(r.send(1, &packet(A, B, None)), [(10, 0)]);
    assert_eq!(r.p.fdb(two).len(), 1);
    assert_eq!(r.send(10, &packet(B, A, None)), [(1, 0)]);
    assert_eq!(r.p.fdb(r.br).iter().map(|e| e.mac).collect::<Vec<_>>(), [A, B]);
    let mut changes = Vec::new();
    r.p.take_changes(&mut changes);
    changes.clear();
    r.p.update_port(two, there, PortUpdate { up: Some(false), ..PortUpdate::default() }).unwrap();
    r.p.update_port(two, there, PortUpdate { up: Some(true), ..PortUpdate::default() }).unwrap();
    assert!(up(two, there).unwrap().0);
    r.p.remove_port(two, there).unwrap();
    assert_eq!(up(r.br, here), Some((false, None)));
    r.p.take_changes(&mut changes);
    assert!(changes.contains(&Dep::Ports(r.br).into()) && changes.contains(&Dep::Ports(two).into()));
    assert_eq!(r.send(1, &packet(A, B, None)), []);
}

#[test]
fn mirrors_copy_what_they_select_once_to_each_destination() {
    let r = Rig::new(4);
    let all = MirrorSpec { select_all: true, ..mirror("all", MirrorOutput::Port(OfPort(4))) };
    r.p.add_mirror(r.br, all.clone()).unwrap();
    assert!(matches!(r.p.add_mirror(r.br, all), Err(FlowError::MirrorExists { .. })));
    // Flooded to two ports, mirrored once, never flooded to the mirror's port.
    assert_eq!(r.send(1, &packet(A, B, None)), [(2, 0), (3, 0), (4, 0)]);
    assert_eq!(r.p.mirrors(r.br)[0].packets, 1);
    // What comes in by the mirror's port goes nowhere.
    assert_eq!(r.send(4, &packet(B, A, None)), []);
    assert_eq!(common::drop_reason(&r.translate(4, &packet(B, A, None))), Some(DropReason::MirrorPort));
    // A changed packet is another one.
    r.rule(vec![Action::Output(OfPort(2)), Action::ModVlanVid(7), Action::Output(OfPort(3))]);
    assert_eq!(r.send(1, &packet(A, B, None)), [(2, 0), (3, 7), (4, 0), (4, 7)]);
    // A packet that is dropped has come in all the same.
    r.rule(vec![]);
    assert_eq!(r.send(1, &packet(A, B, None)), [(4, 0)]);
    r.p.remove_mirror(r.br, "all").unwrap();
    assert_eq!(r.send(1, &packet(A, B, None)), []);
    assert!(matches!(r.p.remove_mirror(r.br, "all"), Err(FlowError::NoMirror { .. })));
    // By source, by destination, two mirrors to one port.
    r.rule(vec![Action::Output(OfPort(3))]);
    let src = MirrorSpec { select_src: [OfPort(1)].into(), ..mirror("src", MirrorOutput::Port(OfPort(4))) };
    let dst = MirrorSpec { select_dst: [OfPort(3)].into(), ..mirror("dst", MirrorOutput::Port(OfPort(4))) };
    r.p.add_mirror(r.br, dst).unwrap();
    assert_eq!(r.send(1, &packet(A, B, None)), [(3, 0), (4, 0)]);
    r.p.add_mirror(r.br, src).unwrap();
    assert_eq!(r.send(1, &packet(A, B, None)), [(3, 0), (4, 0)]);
    assert_eq!(r.send(2, &packet(A, B, None)), [(3, 0), (4, 0)]);
    let counts: Vec<_> = r.p.mirrors(r.br).iter().map(|m| m.packets).collect();
    assert_eq!(counts, [2, 1]);
}

#[test]
fn mirrors_tell_vlans_and_can_send_into_one() {
    let r = Rig::new(3);
    r.p.update_port(r.br, OfPort(2), PortUpdate { vlan: Some(VlanMode::Access(10)), ..PortUpdate::default() }).unwrap();
    let tap = VlanMode::Trunk([99].into_iter().collect());
    r.p.add_port(r.br, PortSpec { vlan: tap, ..PortSpec::new("tap", DpPort(5)) }).unwrap();
    let only = MirrorSpec {
        select_all: true,
        select_vlan: Some([10].into_iter().collect()),
        ..mirror("rspan", MirrorOutput::Vlan(99))
    };
    r.p.add_mirror(r.br, only).unwrap();
    r.rule(vec![Action::Output(OfPort(2))]);
    // In VLAN 10 when it comes in: to all that carry 99.
    assert_eq!(r.send(1, &packet(A, B, Some(10))), [(1, 99), (2, 10), (3, 99), (5, 99)]);
    // In VLAN 20 when it comes in; what goes out of an access port as it is has a tag that is not allowed there.
    assert_eq!(r.send(1, &packet(A, B, Some(20))), [(2, 20)]);
    // Untagged goes out of the access port in VLAN 10.
    assert_eq!(r.send(1, &packet(A, B, None)), [(1, 99), (2, 0), (3, 99), (5, 99)]);
    assert_eq!(r.send(1, &packet(A, [1, 0x80, 0xc2, 0, 0, 1], Some(10))), [(2, 10)], "not of reserved addresses");
}

#[derive(Debug)]
struct Pair;

impl Bonds for Pair {
    fn bond_of(&self, _: BridgeId, port: OfPort) -> Option<BondRef> {
        (port.0 == 2 || port.0 == 3).then_some(BondRef { id: 7, lead: OfPort(2) })
    }

    fn admits(&self, bond: u32, member: OfPort, to: [u8; 6]) -> Admission {
        assert_eq!(bond, 7);
        match (member.0, to[0] & 1) {
            (3, 1) => Admission::Drop,
            _ => Admission::DropIfMoved,
        }
    }

    fn member(&self, _: u32, vlan: u16, key: &FlowKey, look: &mut dyn FnMut(&Mask)) -> Option<OfPort> {
        let mut bits = Mask::ANY;
        bits.require(flow::FieldId::EthSrc);
        look(&bits);
        Some(OfPort(2 + u16::from(key.eth_src[5] & 1) + vlan / 5000))
    }
}

#[test]
fn a_bond_is_one_port_to_normal() {
    let r = Rig::new(4);
    r.p.set_bonds(Arc::new(Pair));
    // One copy to the bond, by the member that the source chooses.
    assert_eq!(r.send(1, &packet(A, [0xff; 6], None)), [(2, 0), (4, 0)]);
    assert_eq!(r.send(4, &packet(B, [0xff; 6], None)), [(1, 0), (3, 0)]);
    // Not back into the bond, not by a member that must not receive it, and learned on the bond.
    let c = [2, 0, 0, 0, 0, 0xc];
    assert_eq!(r.send(3, &packet(c, A, None)), [(1, 0)]);
    assert_eq!(r.send(2, &packet(c, A, None)), [(1, 0)]);
    assert_eq!(r.p.fdb(r.br).iter().find(|e| e.mac == c).map(|e| e.port), Some(DpPort(2)));
    assert_eq!(r.send(3, &packet(c, [0xff; 6], None)), []);
    assert_eq!(r.send(2, &packet(c, c, None)), []);
    // A packet of a station elsewhere has come back over the bond.
    assert_eq!(r.send(2, &packet(A, B, None)), []);
    assert_eq!(common::drop_reason(&r.translate(2, &packet(A, B, None))), Some(DropReason::BondRefused));
    assert_eq!(r.send(1, &packet(A, c, None)), [(2, 0)]);
}

#[test]
fn static_addresses_neither_age_nor_move_and_flushes_take_what_they_say() {
    let r = Rig::new(3);
    r.p.fdb_add(r.br, 0, A, OfPort(1)).unwrap();
    assert!(matches!(r.p.fdb_add(r.br, 0, [3; 6], OfPort(1)), Err(FlowError::GroupAddress(_))));
    assert!(matches!(r.p.fdb_add(r.br, 0, A, OfPort(77)), Err(FlowError::NoPort { .. })));
    r.send(2, &packet(A, B, None));
    r.send(2, &packet(B, A, None));
    r.send(3, &packet(B, A, Some(5)));
    let ports = || r.p.fdb(r.br).iter().map(|e| (e.vlan, e.mac[5], e.port.0)).collect::<Vec<_>>();
    assert_eq!(ports(), [(0, 0xa, 1), (0, 0xb, 2), (5, 0xb, 3)]);
    r.p.fdb_flush_where(r.br, FdbFilter { vlan: Some(5), ..FdbFilter::default() });
    assert_eq!(ports(), [(0, 0xa, 1), (0, 0xb, 2)]);
    r.send(3, &packet(B, A, None));
    let stats = r.p.fdb_stats(r.br).unwrap();
    assert_eq!((stats.current, stats.fixed, stats.learned, stats.moved, stats.expired), (2, 1, 2, 1, 0));
    r.clock.advance(Duration::from_secs(1000));
    r.p.expire(r.clock.now());
    assert_eq!(ports(), [(0, 0xa, 1)]);
    r.p.fdb_flush(r.br, None);
    assert_eq!(ports(), [(0, 0xa, 1)]);
    r.p.fdb_remove(r.br, 0, A).unwrap();
    assert!(matches!(r.p.fdb_remove(r.br, 0, A), Err(FlowError::NoStaticEntry { .. })));
    assert_eq!(ports(), []);
}

#[test]
fn a_full_fdb_takes_from_the_port_that_has_most() {
    let r = Rig::new(2);
    let options = pipeline::BridgeOptions { fdb_size: 10, ..Default::default() };
    r.p.set_bridge_options(r.br, options).unwrap();
    let station = |n: u8| [2, 0, 0, 0, 1, n];
    r.send(2, &packet(station(100), B, None));
    for n in 0..20 {
        r.clock.advance(Duration::from_secs(1));
        r.send(1, &packet(station(n), B, None));
    }
    let macs: Vec<_> = r.p.fdb(r.br).iter().map(|e| e.mac[5]).collect();
    assert_eq!(macs, [11, 12, 13, 14, 15, 16, 17, 18, 19, 100], "the oldest of all is on a port with few");
    assert_eq!(r.p.fdb_stats(r.br).unwrap().evicted, 11);
}

#[test]
fn a_new_fail_mode_starts_from_nothing() {
    let r = Rig::new(2);
    r.rule(vec![Action::Output(OfPort(2))]);
    assert_eq!(r.p.set_fail_mode(r.br, FailMode::Standalone).unwrap().removed.len(), 0, "no change");
    assert_eq!(r.p.set_fail_mode(r.br, FailMode::Secure).unwrap().removed.len(), 1);
    assert_eq!(r.p.dump(r.br, &Select::default()).unwrap().len(), 0);
    r.p.set_fail_mode(r.br, FailMode::Standalone).unwrap();
    let rules = r.p.dump(r.br, &Select::default()).unwrap();
    assert_eq!(rules[0].spec.actions, [Action::Output(OfPort::NORMAL)]);
}
