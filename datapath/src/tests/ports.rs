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

#[test]
fn a_port_is_set_up_anew_with_its_flows_counters_and_number() {
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.poll();
    let (pool, flows) = (rig.pool.clone(), rig.dp.flow_count());
    let set_up = |mtu: u16| {
        let pool = pool.clone();
        move |device: &dpdk::Port| {
            device.stop()?;
            let config = dpdk::PortConfig { mtu: Some(mtu), promiscuous: false, ..dpdk::PortConfig::default() };
            device.configure(&config, &pool)?;
            device.start()
        }
    };
    rig.dp.reconfigure_port(DpPort(2), None, SHORT, set_up(500)).unwrap();
    let port = &rig.dp.ports()[1];
    assert_eq!((port.mtu, port.state, port.counters.tx_packets), (500, PortState::Active, 1));
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.inject(1, &frame(1, 2, 3, 600));
    rig.poll();
    assert_eq!((rig.dp.flow_count(), rig.dp.ports()[1].counters.tx_packets), (flows, 2));
    assert_eq!(rig.dp.counters().drops_by(DropReason::TooLong), 1);
    // A wish that the device refuses leaves the port out of use, until it is set up well or removed.
    let err = rig.dp.reconfigure_port(DpPort(2), None, SHORT, set_up(10)).unwrap_err();
    assert!(matches!(err, PortError::Device(dpdk::PortError::Mtu { asked: 10, .. })), "{err}");
    assert!(matches!(rig.dp.ports()[1].state, PortState::Paused { pmds: 0 }));
    rig.inject(1, &frame(1, 2, 3, 10));
    rig.poll();
    assert_eq!(rig.dp.counters().drops_by(DropReason::NoSuchPort), 1);
    rig.dp.reconfigure_port(DpPort(2), None, SHORT, set_up(1500)).unwrap();
    rig.inject(1, &frame(1, 2, 3, 600));
    rig.poll();
    assert_eq!((rig.collect(2).len(), rig.dp.ports()[1].counters.tx_packets), (3, 3));
    let err = rig.dp.reconfigure_port(DpPort(7), None, SHORT, set_up(1500)).unwrap_err();
    assert!(matches!(err, PortError::Unknown { .. }));
    rig.dp.begin_removal(DpPort(2)).unwrap();
    assert!(rig.dp.reconfigure_port(DpPort(2), None, SHORT, set_up(1500)).is_err());
    rig.dp.remove_port(DpPort(2), SHORT).unwrap();
}

#[test]
fn the_mtu_changes_under_traffic_and_no_buffer_is_lost() {
    use std::sync::atomic::{AtomicBool, Ordering};
    let mut rig = Rig::new(2, Config::default());
    rig.slowpath.set_rules(FakeSlowpath::all(vec![out(2)]));
    let stop = AtomicBool::new(false);
    let pool = rig.pool.clone();
    let set_up = |mtu: u16| {
        let pool = pool.clone();
        move |device: &dpdk::Port| {
            device.stop()?;
            let config = dpdk::PortConfig { mtu: Some(mtu), promiscuous: false, ..dpdk::PortConfig::default() };
            device.configure(&config, &pool)?;
            device.start()
        }
    };
    let pmds = rig.dp.pmds();
    let (mut sent, mut got) = (0_u64, 0_u64);
    let done = std::thread::scope(|scope| {
        let stop = &stop;
        scope.spawn(move || {
            while !stop.load(Ordering::Relaxed) {
                for pmd in &pmds {
                    pmd.poll_once(Time::default());
                }
                std::thread::yield_now();
            }
        });
        let mut rounds = || -> Result<(), PortError> {
            for round in 0..20_u16 {
                for port in [1, 2] {
                    rig.dp.reconfigure_port(DpPort(port), None, Duration::from_secs(10), set_up(1000 + round))?;
                    for _ in 0..20 {
                        rig.inject(1, &frame(1, 2, 3, 10));
                        sent += 1;
                    }
                    got += rig.collect(2).len() as u64;
                }
            }
            Ok(())
        };
        let done = rounds();
        // Else the scope would wait for ever.
        stop.store(true, Ordering::Relaxed);
        done
    });
    done.unwrap();
    while rig.poll() > 0 {}
    got += rig.collect(2).len() as u64;
    let counters = rig.dp.counters();
    assert_eq!(counters.rx, sent, "receive queues lose nothing");
    assert_eq!(counters.tx + counters.drops_by(DropReason::NoSuchPort), sent);
    assert_eq!(counters.tx, got);
    drop(rig);
    assert!(pool.is_full(), "{} buffers are missing", pool.in_use());
}
