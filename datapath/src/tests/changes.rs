//! What a change costs: flows that stay what they match go on without a miss, and acknowledgements do not wait for rounds.

use super::*;
use std::sync::atomic::AtomicU64;
use std::time::Instant;

const FLOWS: u8 = 100;

/// By destination address; packets of other ports see other rules.
fn rules(serial: u64, to: u32) -> Vec<Rule> {
    let (mut mask, mut key) = (Mask::ANY, FlowKey::ZERO);
    mask.require(flow::FieldId::Ipv4Dst);
    key.ipv4_dst = 0x0a00_00ff_u32.into();
    vec![
        Rule { id: serial + 1, mask, key, actions: vec![DpAction::Drop(DropReason::NoMatch)] },
        Rule { id: serial, mask: Mask::ANY, key: FlowKey::ZERO, actions: vec![out(to)] },
    ]
}

fn send(rig: &mut Rig, tp_dst: u16) {
    for dst in 0..FLOWS {
        rig.inject(1, &frame(1, dst, tp_dst, 0));
    }
    while rig.poll() > 0 {}
}

#[test]
fn flows_that_do_something_else_cost_no_miss_and_every_packet_counts_for_what_was_done() {
    let mut rig = Rig::new(3, Config::default());
    rig.slowpath.set_rules(rules(10, 2));
    send(&mut rig, 1);
    let before = rig.dp.counters();
    assert_eq!(before.installed, u64::from(FLOWS));
    for round in 1..20u64 {
        let to = 2 + (round % 2) as u32;
        rig.slowpath.set_rules(rules(10 * (round + 1), to));
        let done = rig.revalidator.run_changes();
        // Hits that nobody had replayed count for what was done then.
        assert_eq!(rig.slowpath.packets(Effect::Rule(RuleId(10 * round))), u64::from(FLOWS));
        assert_eq!((done.changed, done.removed), (u64::from(FLOWS), 0));
        (2..=3).for_each(|port| drop(rig.collect(port)));
        send(&mut rig, 1);
        assert_eq!(rig.collect(to).len(), usize::from(FLOWS));
        assert_eq!(rig.collect(5 - to).len(), 0);
    }
    let after = rig.dp.counters();
    assert_eq!((after.miss, after.subtables_probed), (before.miss, before.subtables_probed));
    rig.run();
    for round in 0..20 {
        assert_eq!(rig.slowpath.packets(Effect::Rule(RuleId(10 * (round + 1)))), u64::from(FLOWS), "round {round}");
    }
}

#[test]
fn a_flow_that_goes_before_its_worker_heard_of_its_change_counts_for_what_it_did() {
    let mut rig = Rig::new(3, Config::default());
    rig.slowpath.set_rules(rules(10, 2));
    send(&mut rig, 1);
    send(&mut rig, 1);
    rig.slowpath.set_rules(rules(20, 3));
    assert_eq!(rig.revalidator.run_changes().changed, u64::from(FLOWS));
    rig.slowpath.set_rules(rules(30, 2));
    assert_eq!(rig.revalidator.run_changes().changed, u64::from(FLOWS));
    // Not to be kept in any way.
    rig.slowpath.uncacheable.store(true, Ordering::Relaxed);
    rig.slowpath.set_rules(rules(40, 3));
    assert_eq!(rig.revalidator.run_changes().removed, u64::from(FLOWS));
    let packets = |rig: &Rig, id| rig.slowpath.packets(Effect::Rule(RuleId(id)));
    assert_eq!([10, 20, 30, 40].map(|id| packets(&rig, id)), [2 * u64::from(FLOWS), 0, 0, 0]);
    rig.poll();
    rig.run();
    assert_eq!(rig.dp.marks_waiting(), 0);
}

#[test]
fn hardware_s_flows_are_replaced() {
    let mut rig = Rig::new(3, Config { offload: true, ..Config::default() });
    rig.slowpath.set_rules(rules(10, 2));
    send(&mut rig, 1);
    rig.slowpath.set_rules(rules(20, 3));
    let done = rig.revalidator.run_changes();
    assert_eq!((done.changed, done.removed), (0, u64::from(FLOWS)));
    assert_eq!(rig.heard.removed.lock().len(), usize::from(FLOWS));
}

/// Rules come and go that look at other fields of other packets.
#[test]
fn the_cache_outlives_masks_that_come_and_go() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(rules(10, 2));
    send(&mut rig, 1);
    for (dst, field) in
        (200..).zip([flow::FieldId::UdpDst, flow::FieldId::UdpSrc, flow::FieldId::IpTtl, flow::FieldId::Ipv4Src])
    {
        let mut deeper = rules(10, 2);
        let (mut mask, mut key) = (Mask::ANY, FlowKey::ZERO);
        mask.require(flow::FieldId::Ipv4Dst);
        key.ipv4_dst = (0x0a00_0000 + u32::from(dst)).into();
        mask.require(field);
        deeper.insert(0, Rule { id: 9, mask, key, actions: vec![out(2)] });
        // Flows that are there stay: only the new one looks deeper.
        *rig.slowpath.rules.lock() = deeper;
        rig.inject(1, &frame(1, dst, 1, 0));
        rig.poll();
        let before = rig.dp.counters();
        send(&mut rig, 1);
        send(&mut rig, 1);
        let after = rig.dp.counters();
        assert_eq!((after.miss, after.subtables_probed), (before.miss, before.subtables_probed), "{field:?}");
        assert_eq!(after.cache_hit, before.cache_hit + 2 * u64::from(FLOWS));
    }
    let rehashed: u32 =
        rig.dp.tables().iter().flat_map(|(_, ports)| ports.iter().flatten()).map(|port| port.rehashed).sum();
    assert!(rehashed >= 4, "the masks were not deeper: {rehashed}");
}

/// Every flow has effects of its own, and replaying takes long.
#[derive(Debug, Default)]
struct Slow {
    replayed: AtomicU64,
    changes: Mutex<Vec<Dep>>,
}

const REPLAY: Duration = Duration::from_micros(100);

impl Slowpath for Slow {
    fn translate(&self, _: &Resume, key: &FlowKey) -> Translation {
        let mut mask = Mask::ANY;
        mask.require(flow::FieldId::Ipv4Dst);
        mask.require(flow::FieldId::UdpDst);
        let id = u64::from(key.ipv4_dst.get()) << 16 | u64::from(key.tp_dst.get());
        Translation {
            mask,
            actions: [out(2)].into_iter().collect(),
            deps: [Dep::Ports(BridgeId(1))].into_iter().collect(),
            written: None,
            effects: [Effect::Rule(RuleId(id))].into_iter().collect(),
            cacheable: Cacheable::Yes,
        }
    }

    fn replay(&self, _: &[Effect], _: &Hits) {
        std::thread::sleep(REPLAY);
        self.replayed.fetch_add(1, Ordering::Relaxed);
    }

    fn take_changes(&self, changes: &mut Vec<Change>) {
        changes.extend(self.changes.lock().drain(..).map(Change::from));
    }
}

#[test]
fn acknowledgements_do_not_wait_for_a_round_over_many_flows() {
    let slowpath = Arc::new(Slow::default());
    let mut rig = Rig::with(2, Config::default(), Arc::clone(&slowpath) as _, Arc::default());
    let ports = 60;
    for _ in 0..2 {
        (0..ports).for_each(|tp_dst| send(&mut rig, tp_dst));
    }
    let flows = u64::from(ports) * u64::from(FLOWS);
    assert_eq!(rig.dp.flow_count() as u64, flows);
    slowpath.replayed.store(0, Ordering::Relaxed);
    let sweeper = std::thread::spawn({
        let (revalidator, now) = (rig.revalidator.clone(), rig.now());
        move || {
            let start = Instant::now();
            revalidator.run(now);
            start.elapsed()
        }
    });
    while slowpath.replayed.load(Ordering::Relaxed) == 0 {
        std::thread::yield_now();
    }
    let (mut acks, mut most) = (0, Duration::ZERO);
    while !sweeper.is_finished() {
        slowpath.changes.lock().push(TABLE);
        let start = Instant::now();
        assert_eq!(rig.revalidator.barrier(Duration::from_secs(20)), WorkerFence::Fenced);
        most = most.max(start.elapsed());
        acks += 1;
    }
    let round = sweeper.join().unwrap();
    assert_eq!(slowpath.replayed.load(Ordering::Relaxed), flows);
    // The round takes half a second at least.
    assert!(acks > 5 && most < round / 3, "{acks} acknowledgements, {most:?} of {round:?}");
}

/// Whenever it is asked, something has changed meanwhile.
#[derive(Debug, Default)]
struct Restless {
    asked: AtomicU64,
}

impl Slowpath for Restless {
    fn translate(&self, at: &Resume, key: &FlowKey) -> Translation {
        Slow::default().translate(at, key)
    }

    fn replay(&self, _: &[Effect], _: &Hits) {}

    fn take_changes(&self, changes: &mut Vec<Change>) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        changes.push(Change::from(TABLE));
    }
}

#[test]
fn acknowledgements_do_not_wait_for_changes_that_come_after_them() {
    let slowpath = Arc::new(Restless::default());
    let rig = Rig::with(2, Config::default(), Arc::clone(&slowpath) as _, Arc::default());
    for acks in 1..10 {
        assert_eq!(rig.revalidator.barrier(Duration::from_secs(20)), WorkerFence::Fenced);
        assert_eq!(slowpath.asked.load(Ordering::Relaxed), acks);
    }
}
