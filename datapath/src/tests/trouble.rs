//! What goes wrong around a datapath: a port removed under load, no buffers, a queue that takes nothing, a PMD that stands still.
//! Each is counted by name, survived, and control returns within its bound.

use super::*;
use crate::{PmdConfig, PortError};
use std::sync::atomic::AtomicBool;
use std::time::Instant;

/// Frames to this UDP port are translated only while the gate is open.
const STUCK: u16 = 666;

/// A slow path that stands still, as a thread under a debugger does.
#[derive(Default)]
struct Gated {
    inner: Arc<FakeSlowpath>,
    closed: AtomicBool,
    waiting: AtomicBool,
}

impl Slowpath for Gated {
    fn translate(&self, at: &Resume, key: &FlowKey) -> Translation {
        if key.tp_dst == STUCK {
            self.waiting.store(true, Ordering::SeqCst);
            while self.closed.load(Ordering::SeqCst) {
                std::thread::sleep(SHORT);
            }
        }
        self.inner.translate(at, key)
    }
    fn replay(&self, effects: &[Effect], hits: &Hits) {
        self.inner.replay(effects, hits);
    }
    fn take_changes(&self, changes: &mut Vec<Change>) {
        self.inner.take_changes(changes);
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} does not happen");
        std::thread::sleep(SHORT);
    }
}

#[test]
fn a_pmd_that_stands_still_is_named_and_control_goes_on() {
    const BOUND: Duration = Duration::from_millis(100);
    let gated = Arc::new(Gated::default());
    let mut rig = Rig::with(3, Config::default(), Arc::clone(&gated) as _, Arc::clone(&gated.inner));
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    let thread = rig.pmd.spawn(testing::eal(), PmdConfig::default()).unwrap();
    rig.inject(1, &frame(1, 2, 3, 10));
    wait_for("a packet", || rig.dp.counters().tx == 1);
    assert_eq!(rig.dp.barrier(Duration::from_secs(20)), WorkerFence::Fenced);

    gated.closed.store(true, Ordering::SeqCst);
    rig.inject(1, &frame(1, 2, STUCK, 10));
    // The flow of all packets is there: another one is needed for a miss.
    let mut rules = FakeSlowpath::all(vec![out(2)]);
    rules[0].mask.require(flow::FieldId::UdpDst);
    rules[0].key.set(flow::FieldId::UdpDst, flow::Value::from(3u16));
    rig.slowpath.set_rules(rules);
    rig.revalidator.run_changes();
    rig.inject(1, &frame(1, 2, STUCK, 10));
    wait_for("the stand", || gated.waiting.load(Ordering::SeqCst));

    let (start, slack) = (Instant::now(), Duration::from_millis(900));
    assert_eq!(rig.dp.barrier(BOUND), WorkerFence::TimedOut { pmd: 0 });
    assert!(start.elapsed() >= BOUND && start.elapsed() < BOUND + slack, "{:?}", start.elapsed());
    let start = Instant::now();
    rig.dp.set_port(DpPort(2), true, 1400).unwrap();
    assert!(matches!(rig.dp.remove_port(DpPort(3), BOUND), Err(PortError::Draining { pmds: 1, .. })));
    rig.run();
    let _ = (rig.dp.dump(), rig.dp.ports(), rig.dp.pmd_views(), rig.dp.counters());
    assert!(start.elapsed() < BOUND + slack, "{:?}", start.elapsed());
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(rig.dp.barrier(SHORT), WorkerFence::TimedOut { pmd: 0 });

    gated.closed.store(false, Ordering::SeqCst);
    assert_eq!(rig.dp.barrier(Duration::from_secs(20)), WorkerFence::Fenced);
    let device = rig.dp.remove_port(DpPort(3), Duration::from_secs(20));
    assert!(matches!(device, Ok(_) | Err(PortError::Draining { .. })), "{device:?}");
    rig.inject(1, &frame(1, 2, 3, 10));
    wait_for("the rest", || rig.dp.counters().rx == 4 && rig.dp.counters().is_balanced());
    drop(thread);
    assert!(rig.dp.counters().is_balanced());
}

#[test]
fn without_buffers_copies_are_dropped_by_name_and_come_back() {
    let mut rig = Rig::new(3, Config::default());
    let set =
        DpAction::Set { field: flow::FieldId::EthSrc, value: flow::Value(5), mask: flow::FieldId::EthSrc.def().ones() };
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2), set, out(3)]));
    let packets: Vec<Mbuf> = (0..10).map(|_| Mbuf::from_bytes(&rig.pool, &frame(1, 2, 3, 10)).unwrap()).collect();
    let held: Vec<Mbuf> = std::iter::from_fn(|| rig.pool.alloc().ok()).collect();
    assert!(held.len() > 4000 && rig.pool.available() == 0);
    packets.into_iter().for_each(|packet| rig.inject_mbuf(1, packet));
    rig.poll();
    let counters = rig.dp.counters();
    let dropped = counters.drops_by(DropReason::NoBuffer);
    assert!(dropped >= 9, "{counters:?}");
    assert_eq!((counters.rx, counters.tx + dropped), (10, 20), "{counters:?}");
    drop(held);
    for port in [2, 3] {
        rig.collect(port);
    }
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.poll();
    assert_eq!((rig.collect(2).len(), rig.collect(3).len()), (1, 1));
    assert_eq!(rig.dp.counters().drops_by(DropReason::NoBuffer), dropped);
    assert!(rig.pool.is_full());
}

#[test]
fn a_queue_that_takes_nothing_harms_no_other_port() {
    const RING: u64 = 1023;
    let mut rig = Rig::new(3, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2), out(3)]));
    for round in 1..=20 {
        (0..100).for_each(|_| rig.inject(1, &frame(1, 2, 3, 10)));
        while rig.poll() > 0 {}
        // Nobody takes what port 2 sends.
        assert_eq!(rig.collect(3).len(), 100);
        let (full, port) = (rig.dp.counters().drops_by(DropReason::TxFull), rig.dp.ports()[1].counters);
        let lost = u64::saturating_sub(round * 100, RING);
        assert_eq!((full, port.tx_dropped, port.tx_packets), (lost, lost, round * 100 - lost));
    }
    assert_eq!(rig.collect(2).len() as u64, RING);
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.poll();
    assert_eq!((rig.collect(2).len(), rig.collect(3).len()), (1, 1));
    assert!(rig.pool.is_full());
}

#[test]
fn a_port_is_removed_and_added_under_load() {
    let mut rig = Rig::new(3, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2), out(3)]));
    let thread = rig.pmd.spawn(testing::eal(), PmdConfig::default()).unwrap();
    let (mut sent, mut arrived, mut elsewhere) = (0u64, 0u64, 0u64);
    for round in 0..20 {
        let mut load = |rig: &mut Rig| {
            for n in 0..50 {
                rig.inject(1, &frame(1, 2, n, 10));
            }
            sent += 50;
        };
        load(&mut rig);
        let start = Instant::now();
        let device = rig.dp.remove_port(DpPort(2), Duration::from_secs(20)).unwrap();
        assert!(start.elapsed() < Duration::from_secs(2), "{:?}", start.elapsed());
        load(&mut rig);
        elsewhere += rig.collect(2).len() as u64;
        device.close().unwrap();
        let (device, end) = ring_port(&rig.pool, 1);
        rig.ends[1] = end;
        let options = PortOptions { name: format!("again {round}"), mtu: Some(1500), down: false };
        rig.dp.add_port(DpPort(2), device, options).unwrap();
        load(&mut rig);
        wait_for("the load's end", || rig.dp.counters().rx == sent && rig.dp.counters().is_balanced());
        arrived += rig.collect(3).len() as u64;
        elsewhere += rig.collect(2).len() as u64;
    }
    drop(thread);
    let counters = rig.dp.counters();
    let gone = counters.drops_by(DropReason::NoSuchPort);
    arrived += rig.collect(3).len() as u64;
    elsewhere += rig.collect(2).len() as u64;
    assert_eq!((arrived, elsewhere + gone), (sent, sent), "{counters:?}");
    assert_eq!(counters.dropped(), gone, "{counters:?}");
    assert!(rig.pool.is_full());
}
