//! Ports that are down, full, too small, missing or removed.

use super::*;
use crate::{PortError, PortState};

#[test]
fn what_a_port_cannot_take_is_dropped_under_its_reason() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2), out(9), out(2)]));
    rig.dp.set_port(DpPort(2), true, 100).unwrap();
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.inject(1, &frame(1, 2, 3, 100));
    rig.poll();
    assert_eq!(rig.collect(2).len(), 2);
    rig.dp.set_port(DpPort(2), false, 1500).unwrap();
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.poll();
    let counters = rig.dp.counters();
    assert_eq!((counters.rx, counters.copies, counters.tx), (3, 6, 2));
    assert_eq!(counters.drops_by(DropReason::TooLong), 2);
    assert_eq!(counters.drops_by(DropReason::NoSuchPort), 3);
    assert_eq!(counters.drops_by(DropReason::PortDown), 2);
    assert_eq!(rig.dp.ports()[1].counters.tx_dropped, 4);

    rig.dp.set_port(DpPort(2), true, 1500).unwrap();
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    rig.run();
    for _ in 0..3 {
        for _ in 0..400 {
            rig.inject(1, &frame(1, 2, 3, 10));
        }
        while rig.poll() > 0 {}
    }
    let full = rig.dp.counters().drops_by(DropReason::TxFull);
    assert_eq!((full, rig.collect(2).len()), (1200 - 1023, 1023));
}

#[test]
fn a_port_is_removed_when_its_queues_are_back_and_its_flows_go_with_it() {
    let mut rig = Rig::new(2, Config { offload: true, ..Config::default() });
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.poll();
    assert!(matches!(rig.dp.finish_removal(DpPort(1)), Err(PortError::Draining { pmds: 1, .. })));
    let device = rig.dp.remove_port(DpPort(1), SHORT).unwrap();
    device.close().unwrap();
    assert_eq!(rig.dp.flow_count(), 0);
    assert_eq!(rig.heard.removed.lock().len(), 1);
    assert!(matches!(rig.dp.begin_removal(DpPort(1)), Err(PortError::Unknown { .. })));
    assert_eq!(rig.poll(), 0);
    let (device, end) = ring_port(&rig.pool, 1);
    rig.ends[0] = end;
    let options = PortOptions { name: "again".into(), mtu: None, down: false };
    assert!(matches!(
        rig.dp.add_port(DpPort(2), ring_port(&rig.pool, 1).0, options.clone()),
        Err(PortError::Exists { .. })
    ));
    rig.dp.add_port(DpPort(1), device, options).unwrap();
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.poll();
    assert_eq!(rig.collect(2).len(), 2);
    assert!(rig.dp.ports().iter().all(|p| p.state == PortState::Active));
}

#[test]
fn a_running_thread_gives_queues_back_and_stops() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    let config = crate::PmdConfig { cpu: None, rest: Some(Duration::from_micros(50)) };
    let thread = rig.pmd.spawn(testing::eal(), config).unwrap();
    rig.inject(1, &frame(1, 2, 3, 10));
    let start = std::time::Instant::now();
    while rig.dp.counters().tx == 0 {
        assert!(start.elapsed() < Duration::from_secs(10));
        std::thread::yield_now();
    }
    assert_eq!(rig.dp.barrier(Duration::from_secs(10)), WorkerFence::Fenced);
    rig.dp.remove_port(DpPort(1), Duration::from_secs(10)).unwrap().close().unwrap();
    drop(thread);
    assert_eq!(rig.poll(), 0);
    assert_eq!(rig.collect(2).len(), 1);
}
