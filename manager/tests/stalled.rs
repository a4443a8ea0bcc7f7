//! A PMD thread that stands still for a second: control answers within its bound and names it, and nothing is lost.
#![forbid(unsafe_code)]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use datapath::PmdSpot;
use dpdk::{Mempool, MempoolConfig, PortConfig};
use flow::clock::{Clock, MonotonicClock, Time};
use flow::dp::WorkerFence;
use flow::rule::RuleSpec;
use flow::{Action, DpPort, OfPort};
use manager::control::Control;
use manager::nic::Nic;
use manager::state::Store;
use manager::switch::{Driver, Parts, Switch};
use mocks::nic::{End, MockNic, MockNicConfig, Profile};
use pipeline::{FailMode, PortSpec, RuleChange};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// What control waits for workers, for hardware and for a reading of counters, together, and what a busy machine adds.
const BOUND: Duration = Duration::from_millis(500 + 500 + 200 + 800);

/// A clock that the first PMD's thread cannot read while it is held: it stands there, as under a debugger.
#[derive(Debug, Default)]
struct Held {
    clock: MonotonicClock,
    held: AtomicBool,
    standing: AtomicBool,
}

impl Clock for Held {
    fn now(&self) -> Time {
        let is_pmd = || std::thread::current().name().is_some_and(|name| name == "pmd0");
        while self.held.load(Ordering::SeqCst) && is_pmd() {
            self.standing.store(true, Ordering::SeqCst);
            std::thread::sleep(Duration::from_millis(1));
        }
        self.clock.now()
    }
}

/// Lets it go at the end, also of a test that fails: else nobody could wait for the thread.
struct Release(Arc<Held>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.held.store(false, Ordering::SeqCst);
    }
}

fn wait_for(what: &str, mut done: impl FnMut() -> bool) {
    let start = Instant::now();
    while !done() {
        assert!(start.elapsed() < Duration::from_secs(20), "{what} does not happen");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_pmd_that_stands_still_is_named_within_the_bound() {
    let eal = dpdk::testing::eal();
    let pool = Mempool::new(eal, "packets", MempoolConfig { size: 1023, ..MempoolConfig::default() }).unwrap();
    let config = MockNicConfig { name: "held".into(), ..MockNicConfig::new(Profile::named("none").unwrap()) };
    let (nic, representors) = MockNic::new(eal, config).unwrap();
    let clock = Arc::new(Held::default());
    let switch = Switch::new(Parts {
        eal,
        pool: pool.clone(),
        clock: clock.clone(),
        backend: None,
        datapath: datapath::Config::default(),
        pipeline: pipeline::Config::default(),
        mtu: None,
        cookie: Default::default(),
    })
    .unwrap();
    let (handle, pipeline) = (nic.handle(), switch.pipeline());
    let bridge = pipeline.add_bridge("br0", FailMode::Secure).unwrap();
    for (number, representor) in (1..).zip(&representors) {
        representor.port.configure(&PortConfig::default(), &pool).unwrap();
        representor.port.start().unwrap();
        switch.add_port(DpPort(number), &representor.end.to_string(), representor.port.clone()).unwrap();
        pipeline.add_port(bridge, PortSpec::new(representor.end.to_string(), DpPort(number))).unwrap();
    }
    let to = |port: u16| {
        let rule = RuleSpec { actions: vec![Action::Output(OfPort(port))], ..RuleSpec::default() };
        pipeline.apply(&[RuleChange::Add { bridge, rule }]).unwrap();
    };
    to(2);
    switch.drive(Driver::threads(&switch, Some(nic)).unwrap());
    assert_eq!(switch.fence().workers, WorkerFence::Fenced);
    let frame = [[2u8, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x88, 0xb5].as_slice(), &[0; 46]].concat();
    let send = || (0..20).for_each(|_| handle.inject(End::Wire, &frame).unwrap());
    send();
    wait_for("forwarding", || handle.stats().frames_out == 20);

    let _release = Release(clock.clone());
    clock.held.store(true, Ordering::SeqCst);
    wait_for("the stand", || clock.standing.load(Ordering::SeqCst));
    let still = Instant::now();
    send();
    to(3);
    let start = Instant::now();
    let ack = switch.fence();
    assert_eq!(ack.workers, WorkerFence::TimedOut { pmd: 0 });
    assert!(start.elapsed() < BOUND, "the fence took {:?}", start.elapsed());
    let start = Instant::now();
    switch.fold();
    let _ = (switch.flows(), switch.counters(), switch.port_counters(), pipeline.table_stats(bridge));
    assert!(start.elapsed() < BOUND, "looking took {:?}", start.elapsed());
    // It cannot be replaced either, and whoever asks hears of it.
    let start = Instant::now();
    let error = switch.set_pmds(&[PmdSpot { cpu: Some(0), numa: 0 }]).unwrap_err().to_string();
    assert!(error.starts_with("PMD 0 cannot be removed, since it or another PMD does not answer; "), "{error}");
    assert!(start.elapsed() < 4 * BOUND, "refusing took {:?}", start.elapsed());
    let dir = tempfile::tempdir().unwrap();
    let (store, _) = Store::open(&dir.path().join("state")).unwrap();
    let control = Control::new(switch.clone(), Nic::host(None), store);
    control.watch_pmds();
    std::thread::sleep(Duration::from_millis(2100));
    control.watch_pmds();
    let stalled =
        |control: &Control| control.pmds().iter().filter_map(|p| Some((p.pmd, p.stalled?))).collect::<Vec<_>>();
    assert_eq!(stalled(&control), [(0, 2)]);
    let tables = control.dp_caches();
    assert!(tables.iter().any(|c| c.pmd == 0 && c.tables.is_none()), "{tables:?}");
    std::thread::sleep(Duration::from_secs(1).saturating_sub(still.elapsed()));

    clock.held.store(false, Ordering::SeqCst);
    wait_for("the fence", || switch.fence().workers == WorkerFence::Fenced);
    switch.set_pmds(&[PmdSpot::default()]).unwrap();
    assert_eq!(switch.datapath().pmds().iter().map(|p| p.spot().cpu).collect::<Vec<_>>(), [None]);
    control.watch_pmds();
    assert!(stalled(&control).is_empty());
    wait_for("the rest", || handle.stats().frames_out == 40);
    send();
    wait_for("forwarding again", || handle.stats().frames_out == 60);
    assert_eq!(handle.collect(End::Vf(0)).unwrap().len(), 20);
    assert_eq!(handle.collect(End::Vf(1)).unwrap().len(), 40);
    assert_eq!(switch.counters().drops.values().sum::<u64>(), 0);
}
