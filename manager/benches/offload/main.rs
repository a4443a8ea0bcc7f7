//! What offload costs PMDs, as ratios within one run. `bench/offload.py` makes the traffic and runs this.
//!
//!     offload PCAP RULES
//!
//! PCAP and RULES are a scenario of bench/traffic.py (`acl`). One line of JSON for each part:
//!
//! * `mark`: cycles of a packet that hardware marked, over those of one that the signature cache does not know and the
//!   megaflow table does; both less what receiving and sending alone cost.
//! * `rest`: cycles of a packet that hardware leaves to software while it switches nine others, over those without the others.
//! * `insert`: throughput of a PMD while 100,000 flows of its switch go into hardware, over that of before and after.
//! * `reach`: how long a flow takes into hardware under the policies `all` and `hot`, from its first packet on.
//!
//! The first two run on one thread, and only the PMD's polls are timed: the model of the NIC is not.

#![allow(clippy::unwrap_used, clippy::panic, clippy::print_stdout, reason = "a benchmark fails by panicking")]

mod reach;

use dpdk::{Eal, MbufBatch, Mempool, MempoolConfig, Port, PortConfig};
use flow::clock::{Clock, MonotonicClock, VirtualClock};
use flow::dp::BridgeId;
use flow::rule::RuleSpec;
use flow::{DpPort, OfPort};
use manager::switch::{Driver, Parts, Switch};
use mocks::nic::{End, MockNic, MockNicConfig, NicHandle, Profile, Representor};
use offload::{Admission, EthdevId, PortInfo, PortKind, RteFlowBackend, World};
use pipeline::{FailMode, PortSpec, RuleChange};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Packets of a poll.
const BURST: usize = 32;
/// Rounds over all frames of a measurement; the quietest half counts.
const ROUNDS: usize = 20;
/// Flows that go into hardware while their PMD is watched.
const RULES: u32 = 100_000;

/// A NIC, its representors, and what it can do.
type Mock = (MockNic, Vec<Representor>, Arc<offload::Capabilities>);

fn mock(eal: &'static Eal, profile: &str) -> Mock {
    static SERIAL: AtomicU16 = AtomicU16::new(0);
    let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
    let mut profile = Profile::named(profile).unwrap();
    profile.max_rules = 1 << 20;
    let config =
        MockNicConfig { name: format!("bench{serial}"), buffers: 8191, domain: serial, ..MockNicConfig::new(profile) };
    let (nic, representors) = MockNic::new(eal, MockNicConfig { vfs: 2, ..config }).unwrap();
    let caps = Arc::new(nic.handle().capabilities());
    (nic, representors, caps)
}

fn pool(eal: &'static Eal, name: &str) -> Mempool {
    Mempool::new(eal, name, MempoolConfig { size: 8191, ..MempoolConfig::default() }).unwrap()
}

/// What the planner is to know of a NIC's ports, which have the numbers from 1 on.
fn world_of((nic, representors, caps): &Mock) -> World {
    let domain = Some(nic.handle().domain());
    representors.iter().zip(1..).fold(World::new(), |world, (representor, number)| {
        let kind = match representor.end {
            End::Wire => PortKind::Uplink,
            End::Vf(vf) => PortKind::VfRepresentor(vf),
        };
        let (name, ethdev) = (representor.end.to_string(), EthdevId(representor.port.id()));
        let info = PortInfo { name, kind, ethdev, domain, rx_queues: 1, caps: caps.clone() };
        world.with_port(DpPort(number), info)
    })
}

/// A switch whose bridge has the ports of a NIC, and these rules.
fn switch_on(
    eal: &'static Eal,
    mock: &Mock,
    clock: Arc<dyn Clock>,
    datapath: datapath::Config,
    rules: &[RuleSpec],
) -> Arc<Switch> {
    switch_at(eal, mock, clock, datapath, rules, datapath::PmdSpot::default()).0
}

/// The same with its PMD on this spot, its bridge, and what its ports' packets are in.
fn switch_at(
    eal: &'static Eal,
    mock: &Mock,
    clock: Arc<dyn Clock>,
    datapath: datapath::Config,
    rules: &[RuleSpec],
    spot: datapath::PmdSpot,
) -> (Arc<Switch>, BridgeId, Mempool) {
    let (nic, representors, _) = mock;
    let pool = pool(eal, &format!("p{}", nic.handle().domain().0));
    let parts = Parts {
        eal,
        pool: pool.clone(),
        clock,
        backend: Some(Box::new(RteFlowBackend::new(Box::new(nic.rte_flow())))),
        datapath,
        pipeline: pipeline::Config::default(),
        mtu: None,
        cookie: Default::default(),
    };
    let switch = Switch::with_pmds(parts, &[spot]).unwrap();
    let bridge = switch.pipeline().add_bridge("br0", FailMode::Secure).unwrap();
    for (number, representor) in (1..).zip(representors) {
        start(&representor.port, &pool);
        add(&switch, bridge, &representor.end.to_string(), number, representor.port.clone());
    }
    let adds: Vec<_> = rules.iter().map(|rule| RuleChange::Add { bridge, rule: rule.clone() }).collect();
    switch.pipeline().apply(&adds).unwrap();
    (switch, bridge, pool)
}

/// A switch on a mock NIC, stepped by hand.
struct Bench {
    switch: Arc<Switch>,
    nic: MockNic,
    handle: NicHandle,
    clock: Arc<VirtualClock>,
}

impl Bench {
    fn new(eal: &'static Eal, profile: &str, cache: usize, admitted: &[u32], rules: &[RuleSpec]) -> Bench {
        let mock = mock(eal, profile);
        let clock = Arc::new(VirtualClock::default());
        let datapath = datapath::Config { cache_entries: cache, ..datapath::Config::default() };
        let switch = switch_on(eal, &mock, clock.clone(), datapath, rules);
        let admission = Admission::ports(admitted.iter().map(|n| DpPort(*n)));
        switch.set_world(World { resume: true, admission, ..world_of(&mock) });
        let (nic, ..) = mock;
        Bench { switch, handle: nic.handle(), nic, clock }
    }

    /// Frames come in and are switched; cycles and packets of the PMD's polls.
    fn pass<'f>(&mut self, end: End, frames: impl Iterator<Item = &'f Vec<u8>>) -> (u64, usize) {
        for frame in frames {
            self.handle.inject(end, frame).unwrap();
        }
        let pmd = &self.switch.datapath().pmds()[0];
        let (mut cycles, mut packets) = (0, 0);
        // A step of the NIC moves a burst of each end.
        loop {
            let moved = self.nic.step();
            let start = dpdk::cycles();
            let n = pmd.poll_once(self.clock.now());
            let took = dpdk::cycles() - start;
            if n > 0 {
                cycles += took;
                packets += n;
            } else if moved == 0 {
                break;
            }
        }
        for end in [End::Wire, End::Vf(0), End::Vf(1)] {
            self.handle.collect(end).unwrap();
        }
        (cycles, packets)
    }

    /// Let flows settle: engine and revalidator.
    fn settle(&mut self) {
        self.switch.engine().settle(self.clock.now(), 1 << 20);
        self.switch.datapath().revalidator().run(self.clock.now());
        self.switch.engine().settle(self.clock.now(), 1 << 20);
    }
}

fn start(port: &Port, pool: &Mempool) {
    port.configure(&PortConfig::default(), pool).unwrap();
    port.start().unwrap();
}

/// Give a port that was started to datapath and bridge.
fn add(switch: &Switch, bridge: BridgeId, name: &str, number: u16, port: Port) {
    let dp = DpPort(number.into());
    switch.add_port(dp, name, port).unwrap();
    let spec = PortSpec { number: Some(OfPort(number)), ..PortSpec::new(name, dp) };
    switch.pipeline().add_port(bridge, spec).unwrap();
}

/// Cycles a packet of the quieter half of rounds.
fn quiet(mut rounds: Vec<f64>) -> f64 {
    rounds.sort_by(f64::total_cmp);
    let half = &rounds[..rounds.len().div_ceil(2)];
    half.iter().sum::<f64>() / half.len() as f64
}

fn measure(mut round: impl FnMut() -> (u64, usize)) -> f64 {
    round();
    quiet((0..ROUNDS).map(|_| round()).map(|(cycles, packets)| cycles as f64 / packets.max(1) as f64).collect())
}

fn print(part: &str, ratio: f64, goal: &str, pass: bool, more: &str) {
    println!(r#"{{"bench":"offload {part}","ratio":{ratio:.3},"goal":"{goal}","pass":{pass}{more}}}"#);
}

/// Cycles of receiving and sending alone.
fn io(eal: &'static Eal, frames: &[Vec<u8>]) -> f64 {
    let (mut nic, representors, _) = mock(eal, "none");
    let (handle, pool) = (nic.handle(), pool(eal, "io"));
    representors.iter().for_each(|r| start(&r.port, &pool));
    let (mut rx, _other) = representors[0].port.take_queues().unwrap();
    let (_another, mut tx) = representors[1].port.take_queues().unwrap();
    measure(|| {
        let (mut cycles, mut packets) = (0, 0);
        for chunk in frames.chunks(BURST) {
            chunk.iter().for_each(|frame| handle.inject(End::Wire, frame).unwrap());
            nic.step();
            let mut batch = MbufBatch::default();
            let start = dpdk::cycles();
            packets += rx[0].burst(&mut batch);
            tx[0].burst(&mut batch);
            cycles += dpdk::cycles() - start;
            drop(batch);
            nic.step();
            handle.collect(End::Vf(0)).unwrap();
        }
        (cycles, packets)
    })
}

fn mark(eal: &'static Eal, rules: &[RuleSpec], frames: &[Vec<u8>]) {
    let run = |admitted: &[u32], cache: usize| {
        let mut bench = Bench::new(eal, "mark-only", cache, admitted, rules);
        for _ in 0..2 {
            for chunk in frames.chunks(BURST) {
                bench.pass(End::Wire, chunk.iter());
            }
            bench.settle();
        }
        let before = bench.switch.datapath().counters();
        let cost = measure(|| {
            frames.chunks(BURST).map(|c| bench.pass(End::Wire, c.iter())).fold((0, 0), |s, n| (s.0 + n.0, s.1 + n.1))
        });
        let after = bench.switch.datapath().counters();
        let rx = (after.rx - before.rx) as f64;
        let share = |n: u64| n as f64 / rx;
        (cost, share(after.mark_hit - before.mark_hit), share(after.megaflow_hit - before.megaflow_hit))
    };
    let io = io(eal, frames);
    // So small that nothing is found in it.
    let (megaflow, _, searched) = run(&[], 16);
    let (marked, marks, _) = run(&[1], datapath::Config::default().cache_entries);
    let ratio = (marked - io) / (megaflow - io);
    let more = format!(
        r#","cycles_io":{io:.1},"cycles_megaflow":{megaflow:.1},"cycles_marked":{marked:.1},"megaflow_hits":{searched:.3},"mark_hits":{marks:.3}"#
    );
    print(
        "mark",
        ratio,
        "<= 0.6 of a megaflow hit, io taken off, in acl",
        ratio <= 0.6 && marks > 0.9 && searched > 0.9,
        &more,
    );
}

fn rest(eal: &'static Eal, rules: &[RuleSpec], frames: &[Vec<u8>]) {
    // What comes from a VF is software's.
    let vf = "in_port=3,actions=mod_dl_src:02:00:00:00:00:99,output:1";
    let rules: Vec<_> = rules.iter().cloned().chain([flow::text::parse_flow(vf, &|_: &str| None).unwrap()]).collect();
    let bench = || {
        let mut bench = Bench::new(eal, "connectx", datapath::Config::default().cache_entries, &[1], &rules);
        for chunk in frames.chunks(BURST) {
            bench.pass(End::Wire, chunk.iter());
        }
        bench.settle();
        bench
    };
    // The model of the NIC works on this CPU, as no NIC does: without the others, a second NIC has them.
    let (mut one, mut other) = (bench(), bench());
    let few = &frames[..frames.len().min(BURST)];
    let mut round = |with: bool| {
        let (mut cycles, mut packets) = (0, 0);
        for chunk in frames.chunks(9 * BURST) {
            if with {
                chunk.iter().for_each(|frame| one.handle.inject(End::Wire, frame).unwrap());
            } else {
                other.pass(End::Wire, chunk.iter());
            }
            let (c, p) = one.pass(End::Vf(1), few.iter());
            (cycles, packets) = (cycles + c, packets + p);
        }
        (cycles, packets)
    };
    let alone = measure(|| round(false));
    let among = measure(|| round(true));
    let (hits, all) = (one.handle.stats().hardware, one.handle.stats().frames_in);
    let more = format!(r#","cycles_alone":{alone:.1},"cycles_among":{among:.1},"hardware":{hits},"frames":{all}"#);
    let ratio = among / alone;
    print("rest", ratio, "<= 1.05 of the same packets alone, 90 % of packets in hardware", ratio <= 1.05, &more);
}

/// An IPv4 frame to this address.
fn frame_to(number: u32) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    frame.extend([0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1]);
    frame.extend((0x0a00_0000 + number).to_be_bytes());
    frame.extend([0, 53, 0, 53, 0, 26, 0, 0]);
    frame.resize(60, 0);
    frame
}

/// Flows of the NIC's ports that wait for offload to be turned on: all come at once, while the switch's PMD has other packets.
fn insert(eal: &'static Eal) {
    let mock = mock(eal, "connectx");
    let clock: Arc<dyn Clock> = Arc::new(MonotonicClock::default());
    // No flow is too old before the end.
    let config = datapath::Config { idle: Duration::from_secs(600), miss_budget: false, ..datapath::Config::default() };
    // What is copied from a packet is looked at: one flow for each address.
    let rules = ["in_port=1,ip,actions=move:NXM_OF_IP_DST[]->NXM_NX_REG0[],output:2", "in_port=11,actions=output:12"];
    let rules = rules.map(|rule| flow::text::parse_flow(rule, &|_: &str| None).unwrap());
    let spot = datapath::PmdSpot { cpu: Some(1), numa: 0 };
    let (switch, bridge, pool) = switch_at(eal, &mock, clock, config, &rules, spot);
    for number in [11, 12] {
        let devargs = format!("net_null{number}{}", if number == 12 { ",no-rx=1" } else { "" });
        let port = Port::attach(eal, &devargs).unwrap();
        start(&port, &pool);
        add(&switch, bridge, &format!("n{number}"), number, port);
    }
    let world = World { admission: Admission::off(), ..world_of(&mock) };
    switch.set_world(world.clone());
    let (nic, ..) = mock;
    let handle = nic.handle();
    switch.drive(Driver::threads(&switch, Some(nic)).unwrap());

    let (start, mut next) = (Instant::now(), 0);
    while switch.datapath().flow_count() < RULES as usize && start.elapsed() < Duration::from_secs(60) {
        // Those that find no room come again.
        while next < RULES && handle.inject(End::Wire, &frame_to(next)).is_ok() {
            next += 1;
        }
        for end in [End::Wire, End::Vf(0), End::Vf(1)] {
            handle.collect(end).unwrap();
        }
        std::thread::sleep(Duration::from_millis(1));
        if next == RULES && handle.stats().software >= u64::from(RULES) {
            next = 0;
        }
    }
    let rx = || switch.datapath().counters().rx;
    let rate = |during: &mut dyn FnMut()| {
        let (before, start) = (rx(), Instant::now());
        during();
        (rx() - before) as f64 / start.elapsed().as_secs_f64() / 1e6
    };
    let mut pause = || std::thread::sleep(Duration::from_secs(1));
    pause();
    let before = rate(&mut pause);
    let mut took = Duration::ZERO;
    let during = rate(&mut || {
        let start = Instant::now();
        switch.set_world(World { admission: Admission::all(), ..world.clone() });
        while handle.rule_count() < RULES as usize && start.elapsed() < Duration::from_secs(60) {
            std::thread::sleep(Duration::from_millis(1));
        }
        took = start.elapsed();
    });
    let there = handle.rule_count();
    pause();
    let after = rate(&mut pause);
    let ratio = during / ((before + after) / 2.0);
    let more = format!(
        r#","mpps_before":{before:.2},"mpps_during":{during:.2},"mpps_after":{after:.2},"rules":{there},"seconds":{:.2}"#,
        took.as_secs_f64()
    );
    let pass = ratio >= 0.9 && there >= RULES as usize;
    print("insert", ratio, ">= 0.9 of undisturbed while 100,000 rules go in", pass, &more);
}

fn main() {
    let args: Vec<String> = std::env::args().skip(1).filter(|arg| !arg.starts_with("--")).collect();
    let [pcap, rules] = args.as_slice() else {
        // As `cargo bench` without arguments runs it.
        return eprintln!("usage: offload PCAP RULES; bench/offload.py makes them");
    };
    let frames = api::read_capture(pcap, &std::fs::read(pcap).unwrap()).unwrap();
    let frames: Vec<Vec<u8>> = frames.into_iter().map(|frame| frame.data).collect();
    let text = std::fs::read_to_string(rules).unwrap();
    let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let rules: Vec<_> = lines.map(|line| flow::text::parse_flow(line, &|_: &str| None).unwrap()).collect();
    let eal = dpdk::testing::eal();
    mark(eal, &rules, &frames);
    rest(eal, &rules, &frames);
    insert(eal);
    reach::reach(eal);
}
