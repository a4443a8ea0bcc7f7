//! A NIC that the test owns, and switches that come and go around it.

use dpdk::{Eal, Mempool, MempoolConfig, PortConfig};
use flow::clock::{Clock, MonotonicClock, Time, VirtualClock};
use flow::dp::{BridgeId, DpAction, DpFlow, DropReason, FlowId, HardwareFence, Mark, WorkerFence};
use flow::text::{parse_flow, parse_group};
use flow::{DpPort, FieldId, FlowKey, Mask, OfPort};
use manager::switch::{Driver, Lockstep, Parts, Switch};
use mocks::nic::{End, MockNic, MockNicConfig, NicHandle, NicThread, Profile, Representor};
use offload::{
    Backend, Capabilities, Cookie, DeviceHealth, Done, EthdevId, Op, OpId, Placement, Plan, PortInfo, PortKind,
    RteFlowBackend, RteFlowMemory, RuleKey, World,
};
use pipeline::{Change, FailMode, GroupChange, PortSpec, RuleChange, Select};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Outside ends: the wire and three VFs. End i has OpenFlow port i + 1, and that datapath port.
pub const ENDS: usize = 4;

/// A NIC, what runs it, and what backends know of its rules.
pub struct Nic {
    eal: &'static Eal,
    pool: Mempool,
    mover: Mover,
    pub handle: NicHandle,
    representors: Vec<Representor>,
    memory: RteFlowMemory,
    /// What the planner is told of it.
    pub caps: Arc<Capabilities>,
}

enum Mover {
    /// The test, on a virtual clock.
    Hand(Arc<Mutex<MockNic>>, Arc<VirtualClock>),
    Thread(#[expect(dead_code, reason = "it runs while it is kept")] NicThread),
}

/// A switch on it.
pub struct Life {
    pub switch: Arc<Switch>,
    pub bridge: BridgeId,
    world: World,
}

/// Of the switches.
const INSTANCE: u64 = 0x5ea1;

impl Nic {
    /// Run by hand.
    pub fn new(profile: &str) -> Nic {
        Nic::make(profile, |nic| Mover::Hand(Arc::new(Mutex::new(nic)), Arc::default()))
    }

    /// With a thread of its own.
    pub fn with_thread(profile: &str) -> Nic {
        Nic::make(profile, |nic| Mover::Thread(nic.spawn().unwrap()))
    }

    fn make(profile: &str, mover: impl FnOnce(MockNic) -> Mover) -> Nic {
        // Names and domains are unique in the process; tests run side by side.
        static SERIAL: AtomicU16 = AtomicU16::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let eal = dpdk::testing::eal();
        let pool = Mempool::new(eal, "packets", MempoolConfig { size: 8191, ..MempoolConfig::default() }).unwrap();
        let config = MockNicConfig {
            name: format!("tr{serial}"),
            vfs: ENDS as u16 - 1,
            buffers: 8191,
            domain: serial,
            ..MockNicConfig::new(Profile::named(profile).unwrap())
        };
        let (nic, representors) = MockNic::new(eal, config).unwrap();
        for representor in &representors {
            representor.port.configure(&PortConfig::default(), &pool).unwrap();
            representor.port.start().unwrap();
        }
        let handle = nic.handle();
        let caps = Arc::new(handle.capabilities());
        Nic { eal, pool, mover: mover(nic), handle, representors, memory: RteFlowMemory::default(), caps }
    }

    /// Start a switch, as the daemon does: rules, ports, then what is there of the run before. The ports of the first `ends` ends.
    pub fn start(&self, generation: u64, ends: usize, rules: &str) -> Life {
        self.start_with(generation, ends, rules, &|backend| Box::new(backend))
    }

    /// The same with something between engine and device.
    pub fn start_with(
        &self,
        generation: u64,
        ends: usize,
        rules: &str,
        wrap: &dyn Fn(RteFlowBackend) -> Box<dyn Backend>,
    ) -> Life {
        let clock: Arc<dyn Clock> = match &self.mover {
            Mover::Hand(_, clock) => clock.clone(),
            Mover::Thread(_) => Arc::new(MonotonicClock::default()),
        };
        let backend = RteFlowBackend::with_memory(Box::new(self.handle.rte_flow()), self.memory.clone());
        let switch = Switch::new(Parts {
            eal: self.eal,
            pool: self.pool.clone(),
            clock,
            backend: Some(wrap(backend)),
            datapath: datapath::Config { flow_limit: 60_000, ..datapath::Config::default() },
            pipeline: pipeline::Config::default(),
            mtu: Some(u16::MAX),
            cookie: Cookie { instance: INSTANCE, generation },
        })
        .unwrap();
        switch.drive(match &self.mover {
            Mover::Hand(nic, clock) => Driver::Lockstep(Lockstep::around(&switch, nic.clone(), clock.clone())),
            Mover::Thread(_) => Driver::threads(&switch, None).unwrap(),
        });
        let bridge = switch.pipeline().add_bridge("br0", FailMode::Secure).unwrap();
        let life = Life { switch, bridge, world: self.world(ends) };
        life.change(rules);
        for (place, representor) in self.representors.iter().enumerate().take(ends) {
            let (name, port) = (representor.end.to_string(), DpPort(place as u32 + 1));
            life.switch.add_port(port, &name, representor.port.clone()).unwrap();
            let number = Some(OfPort(place as u16 + 1));
            life.switch.pipeline().add_port(bridge, PortSpec { number, ..PortSpec::new(&name, port) }).unwrap();
        }
        life.switch.set_world(life.world.clone());
        life.switch.take_over();
        life
    }

    /// The ports of the first ends.
    fn world(&self, ends: usize) -> World {
        let mut world = World::new();
        for (place, representor) in self.representors.iter().enumerate().take(ends) {
            let (name, port) = (representor.end.to_string(), DpPort(place as u32 + 1));
            let kind = match representor.end {
                End::Wire => PortKind::Uplink,
                End::Vf(vf) => PortKind::VfRepresentor(vf),
            };
            let (ethdev, domain) = (EthdevId(representor.port.id()), Some(self.handle.domain()));
            world.ports.insert(port, PortInfo { name, kind, ethdev, domain, rx_queues: 1, caps: self.caps.clone() });
        }
        world
    }

    /// Somebody else, whose instance is this, puts a rule in: frames for a station are dropped. Before a switch starts.
    pub fn foreign_rule(&self, instance: u64) {
        let (mut key, mut mask) = (FlowKey::ZERO, Mask::ANY);
        key.in_port = 1.into();
        key.eth_dst = [2, 0, 0, 0, 0, 0x77];
        [FieldId::InPort, FieldId::RecircId, FieldId::EthDst].into_iter().for_each(|field| mask.require(field));
        let actions = std::iter::once(DpAction::Drop(DropReason::RuleDrop)).collect();
        let (deps, effects) = Default::default();
        let flow = DpFlow { id: FlowId(1), key, mask, actions, deps, effects, mark: Mark(1) };
        let Plan::Full(program) = offload::plan(&flow, &self.world(1)) else { panic!("{flow:?} cannot be planned") };
        let mut backend = RteFlowBackend::new(Box::new(self.handle.rte_flow()));
        backend.adopt(Cookie { instance, generation: 1 });
        let rule = program.rules[0].clone();
        backend.submit(&[Op::Insert { id: OpId(1), key: RuleKey(1), rule }]);
        let mut done = Vec::new();
        until("the rule is in", || {
            backend.poll(&mut done);
            !done.is_empty()
        });
        assert_eq!(done[0].result, Ok(Done::Inserted));
    }

    /// Nobody knows any more of rules what they are.
    pub fn forget(&mut self) {
        self.memory = RteFlowMemory::default();
    }

    /// A frame comes in at an end of a NIC that is run by hand; what left, by end.
    pub fn pass(&self, life: Option<&Life>, end: usize, frame: &[u8]) -> Vec<(usize, Vec<u8>)> {
        self.inject(end, frame);
        match (life, &self.mover) {
            (Some(life), _) => life.settle(),
            (None, Mover::Hand(nic, _)) => while nic.lock().unwrap().step() > 0 {},
            (None, Mover::Thread(_)) => panic!("it is not run by hand"),
        }
        self.collect()
    }

    pub fn inject(&self, end: usize, frame: &[u8]) {
        self.handle.inject(self.representors[end].end, frame).unwrap();
    }

    pub fn collect(&self) -> Vec<(usize, Vec<u8>)> {
        let of = |(end, r): (usize, &Representor)| {
            self.handle.collect(r.end).unwrap().into_iter().map(move |frame| (end, frame))
        };
        self.representors.iter().enumerate().flat_map(of).collect()
    }

    pub fn end(&self, end: usize) -> End {
        self.representors[end].end
    }

    /// Rules of an instance in the NIC: number, and the run that made it.
    pub fn held(&self, instance: u64) -> BTreeMap<u64, u64> {
        let held = self.handle.held().into_iter();
        let cookies = held.filter_map(|rule| Some((rule.no, rule.cookie?.0)));
        let some = cookies.filter(|(_, cookie)| (cookie >> 64) as u64 == instance);
        some.map(|(no, cookie)| (no, cookie as u64)).collect()
    }

    /// Those of the switches.
    pub fn ours(&self) -> BTreeMap<u64, u64> {
        self.held(INSTANCE)
    }

    /// Frames that no port had room for.
    pub fn lost(&self) -> u64 {
        self.handle.stats().drops.values().sum()
    }
}

impl Life {
    /// Run until nothing moves. By hand only.
    pub fn settle(&self) {
        self.switch.lockstep().unwrap().settle().unwrap();
    }

    /// So much later. By hand only.
    pub fn later(&self, time: Duration) {
        let lockstep = self.switch.lockstep().unwrap();
        lockstep.advance(Time(lockstep.now().0 + time.as_nanos() as u64));
        lockstep.settle().unwrap();
    }

    /// These groups, before all rules, and rules instead of all that are there.
    pub fn change(&self, lines: &str) {
        let (bridge, names) = (self.bridge, |_: &str| None);
        let mut changes: Vec<Change> = vec![RuleChange::Delete { bridge, select: Select::default() }.into()];
        changes.extend(lines.lines().map(|line| match line.starts_with("group_id") {
            true => {
                let group = parse_group(line, &names).unwrap();
                Change::Group(GroupChange::Modify { bridge, group, may_create: true })
            }
            false => RuleChange::Add { bridge, rule: parse_flow(line, &names).unwrap() }.into(),
        }));
        self.switch.pipeline().change(&changes).unwrap();
        self.fence();
    }

    /// Wait until all changes are in force.
    pub fn fence(&self) {
        until("all is in force", || {
            let ack = self.switch.fence();
            (ack.workers, ack.hardware) == (WorkerFence::Fenced, HardwareFence::Fenced)
        });
    }

    /// From now on the planner is told that of each port.
    pub fn claim(&mut self, caps: &Arc<Capabilities>) {
        self.world.ports.values_mut().for_each(|info| info.caps = caps.clone());
        self.switch.set_world(self.world.clone());
    }

    /// Flows by where they are.
    pub fn placed(&self, placement: Placement) -> usize {
        let flows = self.switch.flows();
        flows.iter().filter(|f| self.switch.placement(&f.flow).0 == placement).count()
    }

    /// Names of all reasons that flows have.
    pub fn reasons(&self) -> Vec<&'static str> {
        self.switch.engine().status().by_reason.keys().copied().collect()
    }

    pub fn health(&self) -> DeviceHealth {
        self.switch.engine().status().tables[0].health.clone()
    }

    /// Packets of each rule, by its cookie.
    pub fn counted(&self) -> BTreeMap<u64, u64> {
        self.switch.fold();
        let all = self.switch.pipeline().dump(self.bridge, &Select::default()).unwrap();
        all.iter().map(|rule| (rule.spec.cookie, rule.stats.packets)).collect()
    }

    /// Take all rules out.
    pub fn flush(&self) {
        let ticket = self.switch.engine().flush();
        until("all rules are out", || {
            if let Some(lockstep) = self.switch.lockstep() {
                lockstep.settle().unwrap();
            }
            self.switch.engine().pending(&ticket) == HardwareFence::Fenced
        });
    }
}

pub fn until(what: &str, mut is: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is() {
        assert!(start.elapsed() < Duration::from_secs(30), "not within 30 s: {what}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

/// A UDP packet to this port.
pub fn udp(port: u16) -> Vec<u8> {
    let mut frame = vec![2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0];
    let mut ip = vec![0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0, 10, 0, 0, 1, 10, 0, 0, 2];
    let sum: u32 = ip.chunks(2).map(|w| u32::from(w[0]) << 8 | u32::from(w[1])).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    ip[10..12].copy_from_slice(&sum.to_be_bytes());
    frame.extend(ip);
    frame.extend([0, 99]);
    frame.extend(port.to_be_bytes());
    frame.extend([0, 26, 0, 0]);
    frame.extend([0; 18]);
    frame
}

/// A rule for each of these ports: frames that come in at an end leave at another.
pub fn rules(ports: std::ops::Range<u16>, from: usize, to: usize) -> String {
    let (from, to) = (from + 1, to + 1);
    ports.map(|port| format!("cookie={port},in_port={from},udp,tp_dst={port},actions=output:{to}\n")).collect()
}
