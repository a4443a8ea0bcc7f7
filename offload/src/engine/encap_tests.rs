//! Outer headers: never more different ones in a device than it holds, and whoever waits gets in when one leaves.

use super::fake::{Chaos, Fake};
use super::{Engine, EngineConfig, FlowRate, HitSink, Placement};
use crate::backend::DeviceErrorKind;
use crate::caps::CapabilityFile;
use crate::plan::tests::able;
use crate::refusal::Refusal;
use crate::testing::{from, world_of};
use crate::world::{Admission, World};
use flow::clock::Time;
use flow::dp::{DpAction, DpFlow, Encap, FlowId, FlowListener, HardwareFence, Hits};
use flow::port::DpPort;
use flow::{FieldId, dp::Mark};
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

const SECOND: u64 = 1_000_000_000;

/// Software can go on behind hardware's part of a flow.
struct Sink;

impl HitSink for Sink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}

    fn hardware_gone(&self, _: &Arc<DpFlow>) {}

    fn rest_mark(&self, flow: &Arc<DpFlow>, done: usize) -> Option<Mark> {
        Some(Mark(flow.mark.0 | (done as u32) << 21))
    }
}

/// A world whose devices hold so many headers.
fn world(limit: Option<u32>, partial: bool) -> World {
    let mut caps = able();
    caps.limits.encap_headers = limit;
    let mut world = world_of(caps);
    world.partial = partial;
    world
}

fn outer(header: u8) -> DpAction {
    DpAction::TunnelPush(Encap { header: vec![header; 50].into(), port: DpPort(1) })
}

/// A flow that puts `header` in front, from VF 2 on.
fn tunnel(id: u64, header: u8) -> Arc<DpFlow> {
    from(2).ipv4().field(FieldId::Ipv4Dst, id as u32).then(outer(header)).build(id)
}

/// The same behind a change that hardware can do by itself, with a guard in front.
fn routed(id: u64, header: u8) -> Arc<DpFlow> {
    from(2).ipv4().field(FieldId::Ipv4Dst, id as u32).then(DpAction::DecTtl).then(outer(header)).build(id)
}

fn plain(id: u64) -> Arc<DpFlow> {
    from(2).ipv4().field(FieldId::Ipv4Dst, id as u32).output(3).build(id)
}

struct Rig {
    fake: Fake,
    engine: Arc<Engine>,
    now: u64,
}

impl Rig {
    /// A device that holds `limit` headers, and is known to.
    fn new(limit: u32, partial: bool) -> Rig {
        let rig = Rig::with(Fake::new(1, 1000, Chaos::default()), world(Some(limit), partial));
        rig.fake.with(|state| state.header_room = limit as usize);
        rig
    }

    fn with(fake: Fake, world: World) -> Rig {
        let engine = Engine::new(EngineConfig::default(), world, Box::new(fake.clone()), Arc::new(Sink));
        Rig { fake, engine, now: 0 }
    }

    fn settle(&self) {
        assert!(self.engine.settle(Time(self.now), 1000), "quiet");
        assert_eq!(self.fake.with(|state| std::mem::take(&mut state.violations)), [""; 0]);
    }

    fn later(&mut self, seconds: u64) {
        for _ in 0..seconds * 20 {
            self.now += SECOND / 20;
            self.settle();
        }
    }

    fn add(&self, flow: &Arc<DpFlow>) {
        self.engine.flow_added(flow);
        self.settle();
    }

    fn remove(&self, flow: &Arc<DpFlow>) {
        self.engine.flow_removed(flow);
        self.settle();
    }

    fn placement(&self, id: u64) -> Placement {
        self.engine.explain(FlowId(id)).unwrap().placement
    }

    fn reasons(&self, id: u64) -> Vec<&'static str> {
        self.engine.explain(FlowId(id)).unwrap().refusals.iter().map(Refusal::name).collect()
    }

    /// Headers as the engine counts them, and as they are.
    fn headers(&self) -> (u32, usize) {
        (self.counted(), self.fake.with(|state| state.headers().len()))
    }

    fn counted(&self) -> u32 {
        self.engine.status().tables.iter().map(|table| table.encap_headers).sum()
    }

    fn refused(&self) -> usize {
        self.fake.with(|state| state.headers_refused)
    }

    fn submitted(&self) -> usize {
        self.fake.with(|state| state.submitted)
    }
}

#[test]
fn a_flow_waits_for_a_header_to_leave_and_all_with_the_same_header_come_along() {
    let rig = Rig::new(2, false);
    let flows = [tunnel(1, 1), tunnel(2, 2), tunnel(3, 3), tunnel(4, 3), tunnel(5, 1), plain(6)];
    flows.iter().for_each(|flow| rig.add(flow));
    let full = Refusal::EncapTableFull { used: 2, limit: 2 };
    for (id, is_in) in [(1, true), (2, true), (3, false), (4, false), (5, true), (6, true)] {
        let status = rig.engine.explain(FlowId(id)).unwrap();
        let wanted = if is_in { (Placement::Full, vec![]) } else { (Placement::Software, vec![full.clone()]) };
        assert_eq!((status.placement, status.refusals.into_vec()), wanted, "{id}");
    }
    assert_eq!(rig.headers(), (2, 2));
    let before = rig.submitted();
    rig.remove(&flows[0]);
    assert_eq!((rig.headers(), rig.placement(3)), ((2, 2), Placement::Software), "another rule has it still");
    assert_eq!(rig.submitted(), before + 1, "nobody was tried");
    rig.remove(&flows[4]);
    assert_eq!((rig.placement(3), rig.placement(4), rig.headers()), (Placement::Full, Placement::Full, (2, 2)));
    assert_eq!(rig.engine.status().tables[0].encap_limit, Some(2));

    // The header comes by way of another flow: that costs no room.
    rig.remove(&flows[1]);
    rig.add(&tunnel(7, 7));
    rig.add(&tunnel(8, 8));
    rig.add(&tunnel(9, 8));
    assert_eq!((rig.reasons(8), rig.reasons(9)), (vec!["EncapTableFull"], vec!["EncapTableFull"]));
    rig.remove(&tunnel(9, 8));
    rig.remove(&tunnel(7, 7));
    assert_eq!((rig.placement(8), rig.headers(), rig.refused()), (Placement::Full, (2, 2), 0));
}

#[test]
fn the_flow_that_carries_most_goes_first() {
    let mut rig = Rig::new(1, false);
    (1..=40).for_each(|id| rig.add(&tunnel(id, id as u8)));
    assert_eq!(rig.placement(1), Placement::Full);
    for tick in 1..20 {
        rig.now += SECOND / 20;
        let rates = [(30, 10), (33, 90), (7, 50)].map(|(id, n)| FlowRate { flow: FlowId(id), packets: n * tick });
        rig.engine.rates(Time(rig.now), rates.to_vec());
        rig.settle();
    }
    let (mut order, mut inside) = (Vec::new(), 1);
    for _ in 0..3 {
        rig.remove(&tunnel(inside, inside as u8));
        inside = (1..=40)
            .find(|id| rig.engine.explain(FlowId(*id)).is_some_and(|s| s.placement == Placement::Full))
            .unwrap();
        order.push(inside);
    }
    assert_eq!((order, rig.refused()), (vec![33, 7, 30], 0));
}

#[test]
fn a_flow_without_room_for_its_header_is_marked_and_left_alone_until_there_is_some() {
    for (resume, flow) in [(false, tunnel as fn(u64, u8) -> Arc<DpFlow>), (true, tunnel), (true, routed)] {
        let rig = Rig::new(2, true);
        let mut world = world(Some(2), true);
        world.resume = resume;
        rig.engine.set_world(world.clone());
        (1..=20).for_each(|id| rig.add(&flow(id, id as u8)));
        for id in 3..=20 {
            let names = rig.reasons(id);
            assert_eq!((rig.placement(id), names[0]), (Placement::Partial, "EncapTableFull"), "{names:?}");
        }
        // Worlds that change nothing, wishes of others, flows that come and go.
        let before = rig.submitted();
        rig.engine.set_world(world);
        rig.engine.set_port(DpPort(3), false);
        rig.engine.set_policy(super::Policy::All);
        rig.settle();
        rig.add(&tunnel(50, 1));
        rig.remove(&tunnel(50, 1));
        assert_eq!(rig.submitted(), before + 2, "only the flow that came and went");
        // One leaves: one goes in, and nobody else moves.
        let before = rig.fake.with(|state| state.rules.keys().copied().collect::<BTreeSet<_>>());
        let first = rig.engine.explain(FlowId(1)).unwrap();
        rig.remove(&flow(1, 1));
        let full = (2..=20).filter(|id| rig.placement(*id) == Placement::Full).count();
        assert_eq!((full, rig.headers(), rig.refused()), (2, (2, 2), 0));
        let after = rig.fake.with(|state| state.rules.keys().copied().collect::<BTreeSet<_>>());
        // A rule that only marks is replaced at its place, or by one at another; a guard stays where it is, or comes.
        let rules = first.rules;
        assert_eq!((before.difference(&after).count(), after.difference(&before).count()), (rules + 1, 1));
    }
}

/// Whatever makes a flow's header another one.
#[test]
fn a_header_that_is_replaced_leaves_before_the_next_one_comes_if_both_do_not_fit() {
    for (limit, partial, resume) in
        [1, 2].into_iter().flat_map(|n| [(n, false, false), (n, true, false), (n, true, true)])
    {
        let rig = Rig::new(limit, partial);
        let mut world = world(Some(limit), partial);
        world.resume = resume;
        rig.engine.set_world(world);
        rig.add(&tunnel(1, 1));
        for header in 2..10 {
            rig.engine.lock().change_flow(&tunnel(1, header));
            rig.settle();
            assert_eq!((rig.placement(1), rig.headers()), (Placement::Full, (1, 1)));
            assert!(rig.fake.with(|state| state.headers().contains(&[header; 50][..])));
        }
        let (updates, refused) = (rig.fake.with(|state| state.updates), rig.refused());
        // Software has the flow for a moment, or its mark, unless both headers fit.
        let wanted = match (limit, resume) {
            (1, false) => 0,
            (1, true) => 16,
            _ => 8,
        };
        assert_eq!((updates, refused), (wanted, 0), "{limit} {partial} {resume}");
    }
}

/// The datapath's way of changing a flow: another one with the same match comes, and the old one goes.
#[test]
fn a_successor_gets_the_room_of_its_predecessor() {
    for partial in [false, true] {
        let mut rig = Rig::new(1, partial);
        let header = |n: u64| n as u8;
        let flow = |n: u64| from(2).ipv4().field(FieldId::Ipv4Dst, 9u32).then(outer(header(n))).build(n);
        rig.add(&flow(1));
        for n in 2..20 {
            if n % 2 == 0 {
                rig.engine.flow_added(&flow(n));
                rig.engine.flow_removed(&flow(n - 1));
            } else {
                rig.engine.flow_removed(&flow(n - 1));
                rig.engine.flow_added(&flow(n));
            }
            rig.settle();
            rig.later(1);
            assert_eq!((rig.placement(n), rig.headers(), rig.refused()), (Placement::Full, (1, 1), 0), "{n}");
        }
    }
}

#[test]
fn a_header_is_given_back_when_the_device_refuses_the_rule_and_when_a_waiting_flow_goes() {
    let rig = Rig::new(1, false);
    for kind in [DeviceErrorKind::Busy, DeviceErrorKind::NotSupported, DeviceErrorKind::Other(71)] {
        rig.fake.with(|state| state.refuses = Some(kind));
        rig.add(&routed(1, 1));
        assert_eq!((rig.placement(1), rig.counted()), (Placement::Software, 0), "{kind:?}");
        rig.remove(&routed(1, 1));
        rig.fake.with(|state| state.refuses = None);
        rig.engine.set_world(world(Some(1), false));
        rig.settle();
    }
    rig.add(&tunnel(1, 1));
    rig.add(&tunnel(2, 2));
    rig.remove(&tunnel(2, 2));
    rig.remove(&tunnel(1, 1));
    assert_eq!(rig.headers(), (0, 0));
    rig.add(&tunnel(3, 3));
    assert_eq!((rig.placement(3), rig.refused()), (Placement::Full, 0), "one that went does not have its place");

    // What the device does not let go of is there, and counts.
    rig.fake.with(|state| state.chaos.resist = 100);
    rig.add(&tunnel(4, 4));
    rig.remove(&tunnel(3, 3));
    let ticket = rig.engine.fence();
    rig.settle();
    assert!(matches!(rig.engine.pending(&ticket), HardwareFence::Failed(_)));
    assert_eq!((rig.reasons(4), rig.headers()), (vec!["EncapTableFull"], (1, 1)));
    rig.fake.with(|state| state.chaos.resist = 0);
    let mut rig = rig;
    rig.later(2);
    assert_eq!(rig.engine.pending(&ticket), HardwareFence::Fenced);
    assert_eq!((rig.placement(4), rig.headers(), rig.refused()), (Placement::Full, (1, 1), 0));
}

#[test]
fn a_device_that_dies_has_no_header_and_gets_as_many_back_as_it_holds() {
    for partial in [false, true] {
        let mut rig = Rig::new(2, partial);
        (1..=6).for_each(|id| rig.add(&routed(id, id as u8)));
        rig.fake.with(|state| state.dead = true);
        rig.later(1);
        for id in 1..=6 {
            assert_eq!((rig.placement(id), rig.reasons(id)), (Placement::Software, vec!["DeviceDead"]), "{id}");
        }
        assert_eq!(rig.counted(), 0);
        rig.remove(&routed(1, 1));
        rig.fake.with(|state| state.dead = false);
        rig.later(40);
        let full = (2..=6).filter(|id| rig.placement(*id) == Placement::Full).count();
        assert_eq!((full, rig.headers(), rig.refused()), (2, (2, 2), 0));
        let waiting = (2..=6).filter(|id| rig.reasons(*id).contains(&"EncapTableFull")).count();
        assert_eq!(waiting, 3);
    }
}

#[test]
fn worlds_wishes_and_ports_take_headers_along() {
    let rig = Rig::new(1, false);
    (1..=3).for_each(|id| rig.add(&tunnel(id, id as u8)));
    let mut off = world(Some(1), false);
    off.admission = Admission::off();
    rig.engine.set_world(off);
    rig.settle();
    assert_eq!((rig.headers(), rig.reasons(2)), ((0, 0), vec!["Disabled"]));
    let file = CapabilityFile::parse("[limits]\nencap-headers = 2").unwrap();
    let mut more = world_of(file.apply(able()));
    more.partial = false;
    rig.fake.with(|state| state.header_room = 2);
    rig.engine.set_world(more.clone());
    rig.settle();
    assert_eq!((rig.headers(), rig.reasons(3)), ((2, 2), vec!["EncapTableFull"]));

    // Fewer than there are: what is in stays, and nothing new comes before there is room.
    rig.engine.set_world(world(Some(1), false));
    rig.settle();
    assert_eq!(rig.headers(), (2, 2));
    rig.remove(&tunnel(1, 1));
    assert_eq!((rig.headers(), rig.placement(2), rig.placement(3)), ((1, 1), Placement::Full, Placement::Software));
    rig.remove(&tunnel(2, 2));
    assert_eq!((rig.headers(), rig.placement(3)), ((1, 1), Placement::Full));

    // The port goes, and comes back.
    rig.add(&tunnel(4, 4));
    let mut gone = world(Some(1), false);
    gone.ports.remove(&DpPort(2));
    rig.engine.set_world(gone);
    rig.settle();
    assert_eq!((rig.headers(), rig.reasons(4)), ((0, 0), vec!["NotOffloadCapable"]));
    rig.engine.set_world(world(Some(1), false));
    rig.settle();
    assert_eq!((rig.headers(), rig.refused()), ((1, 1), 0));

    let ticket = rig.engine.flush();
    rig.settle();
    assert_eq!((rig.engine.pending(&ticket), rig.headers()), (HardwareFence::Fenced, (0, 0)));
}

#[test]
fn a_table_that_is_full_keeps_no_header_for_those_who_wait_for_it() {
    let mut caps = able();
    (caps.limits.encap_headers, caps.max_rules) = (Some(2), Some(3));
    let mut world = world_of(caps);
    world.partial = false;
    let rig = Rig::with(Fake::new(1, 3, Chaos::default()), world);
    rig.fake.with(|state| state.header_room = 2);
    for flow in [tunnel(1, 1), tunnel(2, 2), plain(3), tunnel(4, 4), tunnel(5, 5), tunnel(6, 4)] {
        rig.add(&flow);
    }
    assert_eq!((rig.reasons(4), rig.headers()), (vec!["EncapTableFull"], (2, 2)));
    // There is room for a header and for a rule, and both are used.
    rig.remove(&tunnel(1, 1));
    assert_eq!((rig.headers(), rig.fake.with(|s| s.rules.len()), rig.refused()), ((2, 2), 3, 0));
    rig.remove(&plain(3));
    assert_eq!((rig.headers(), rig.fake.with(|s| s.rules.len()), rig.refused()), ((2, 2), 3, 0));
    rig.remove(&tunnel(2, 2));
    assert_eq!((rig.placement(5), rig.headers(), rig.refused()), (Placement::Full, (2, 2), 0));
}

#[test]
fn rules_of_an_earlier_run_have_their_headers_until_they_are_out() {
    for late in [false, true] {
        let fake = Fake::new(1, 100, Chaos::default());
        fake.with(|state| state.header_room = 3);
        let first = Rig::with(fake.clone(), world(Some(3), false));
        (1..=3).for_each(|id| first.add(&routed(id, id as u8)));
        drop(first);
        // The ports may come after the engine.
        let mut rig = Rig::with(fake, if late { World::new() } else { world(Some(3), false) });
        rig.settle();
        rig.engine.set_world(world(Some(3), false));
        rig.settle();
        assert_eq!(rig.headers(), (3, 3));
        // One is taken over, one is in the way of a flow with another header, a third one nobody asks for.
        rig.add(&routed(1, 1));
        assert_eq!((rig.placement(1), rig.engine.status().adopted, rig.headers()), (Placement::Full, 1, (3, 3)));
        rig.add(&routed(2, 7));
        rig.add(&tunnel(8, 8));
        assert_eq!((rig.reasons(8), rig.headers()), (vec!["EncapTableFull"], (3, 3)));
        rig.later(3);
        assert_eq!((rig.placement(2), rig.placement(8), rig.headers()), (Placement::Full, Placement::Full, (3, 3)));
        rig.remove(&routed(1, 1));
        assert_eq!((rig.headers(), rig.refused()), ((2, 2), 0));
    }
}

#[test]
fn a_device_without_room_for_a_header_has_room_for_other_rules() {
    for known in [None, Some(100)] {
        let mut rig = Rig::with(Fake::new(1, 100, Chaos::default()), world(known, true));
        rig.fake.with(|state| state.header_room = 2);
        [tunnel(1, 1), tunnel(2, 2), tunnel(3, 3), tunnel(4, 4), tunnel(5, 1), plain(6)]
            .iter()
            .for_each(|f| rig.add(f));
        assert_eq!((rig.placement(3), rig.reasons(3)), (Placement::Partial, vec!["DeviceTableFull"]));
        assert_eq!((rig.placement(4), rig.reasons(4)), (Placement::Partial, vec!["EncapTableFull"]));
        assert_eq!((rig.placement(5), rig.placement(6), rig.refused()), (Placement::Full, Placement::Full, 1));
        // It is asked again from time to time, by one flow, and as soon as a header leaves.
        rig.later(45);
        assert!((2..=6).contains(&rig.refused()), "{}", rig.refused());
        let before = rig.refused();
        rig.remove(&tunnel(2, 2));
        assert_eq!((rig.headers(), rig.refused()), ((2, 2), before));
        rig.fake.with(|state| state.header_room = 10);
        rig.later(11);
        assert_eq!((rig.placement(3), rig.placement(4), rig.headers()), (Placement::Full, Placement::Full, (3, 3)));
    }
    // A rule with a header that the device has says that the table is full.
    let rig = Rig::with(Fake::new(1, 1, Chaos::default()), world(None, false));
    [tunnel(1, 1), tunnel(2, 1), plain(3)].iter().for_each(|f| rig.add(f));
    assert_eq!((rig.reasons(2), rig.reasons(3)), (vec!["DeviceTableFull"], vec!["TableFull"]));
}

/// A device that does as it is told, or anything else: never more headers than it holds, and when all is over, as many as there are
/// flows for.
#[test]
fn whatever_comes_and_goes_headers_are_counted_as_they_are() {
    let mut waited = 0;
    for seed in 1..120u64 {
        let calm = seed % 3 == 0;
        let chaos = Chaos { slow: 40, refuse: 10, resist: 15, choke: 30, ..Chaos::default() };
        let chaos = if calm { Chaos::default() } else { chaos };
        let (limit, resume) = (1 + seed as u32 % 3, seed % 2 == 0);
        let world = || {
            let mut world = world(Some(limit), seed % 5 != 0);
            world.resume = resume;
            world
        };
        let mut rig = Rig::with(Fake::new(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15), 1000, chaos), world());
        rig.fake.with(|state| state.header_room = limit as usize);
        let mut alive: BTreeMap<u64, (Arc<DpFlow>, Option<u8>)> = BTreeMap::new();
        let step = |rig: &mut Rig| {
            rig.now += SECOND / 25;
            rig.engine.step(Time(rig.now));
            assert_eq!((rig.refused(), rig.fake.with(|state| state.violations.clone())), (0, vec![]));
            assert!(rig.fake.with(|state| state.headers().len()) as u32 <= rig.counted().min(limit));
        };
        let random = |rig: &Rig, below| rig.fake.with(|state| state.random(below));
        for id in 1..200 {
            let header = random(&rig, 6) as u8;
            match random(&rig, 12) {
                0..=4 => {
                    let makes = [tunnel as fn(u64, u8) -> Arc<DpFlow>, routed][random(&rig, 2) as usize];
                    alive.insert(id, (makes(id, header), Some(header)));
                    rig.engine.flow_added(&alive[&id].0);
                }
                5 => {
                    alive.insert(id, (plain(id), None));
                    rig.engine.flow_added(&alive[&id].0);
                }
                6..=8 if !alive.is_empty() => {
                    let n = random(&rig, alive.len() as u64) as usize;
                    let (flow, _) = alive.remove(&alive.keys().copied().nth(n).unwrap()).unwrap();
                    rig.engine.flow_removed(&flow);
                }
                9 if !alive.is_empty() => {
                    let n = random(&rig, alive.len() as u64) as usize;
                    let (id, (flow, was)) = alive.iter_mut().nth(n).unwrap();
                    *flow = tunnel(*id, header);
                    *was = Some(header);
                    // Events come by the inbox.
                    step(&mut rig);
                    rig.engine.lock().change_flow(flow);
                }
                10 if !calm && random(&rig, 4) == 0 => rig.fake.with(|state| state.dead ^= true),
                11 if random(&rig, 6) == 0 => rig.engine.set_world(world()),
                _ => {}
            }
            (0..random(&rig, 3)).for_each(|_| step(&mut rig));
        }
        rig.fake.with(|state| (state.chaos, state.dead) = (Chaos::default(), false));
        rig.engine.set_world(world());
        (0..2000).for_each(|_| step(&mut rig));
        rig.settle();
        // Counted from the flows and the rules alone.
        let wanted: BTreeSet<u8> = alive.values().filter_map(|(_, header)| *header).collect();
        let there: BTreeSet<u8> = rig.fake.with(|state| state.headers().iter().map(|header| header[0]).collect());
        assert_eq!(there.len(), wanted.len().min(limit as usize), "seed {seed}");
        assert_eq!(rig.counted() as usize, there.len(), "seed {seed}");
        for (id, (_, header)) in &alive {
            let is_in = header.is_none_or(|header| there.contains(&header));
            assert_eq!(rig.placement(*id) == Placement::Full, is_in, "seed {seed}, flow {id}: {:?}", rig.reasons(*id));
            assert_eq!(rig.reasons(*id).contains(&"EncapTableFull"), !is_in);
            waited += usize::from(!is_in);
        }
        alive.values().for_each(|(flow, _)| rig.engine.flow_removed(flow));
        rig.settle();
        assert_eq!((rig.headers(), rig.fake.with(|state| state.rules.len())), ((0, 0), 0));
    }
    assert!(waited > 300, "{waited}");
}
