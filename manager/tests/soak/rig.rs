//! A switch on a mock NIC with two PMDs, driven by hand or by threads of its own.

use crate::changes::Change;
use crate::chaos;
use datapath::{Assign, Policy};
use dpdk::{Mempool, MempoolConfig, PortConfig};
use flow::clock::{Clock, MonotonicClock, Time, VirtualClock};
use flow::dp::{Ack, BridgeId, HardwareFence, WorkerFence};
use flow::group::GroupSpec;
use flow::meter::MeterSpec;
use flow::rule::{RuleFlags, RuleSpec};
use flow::{DpPort, OfPort};
use manager::switch::{Driver, Lockstep, Parts, Switch};
use mocks::nic::{End, Faults, MockNic, MockNicConfig, NicHandle, Profile, Representor};
use offload::rte_flow::RteFlowBackend;
use offload::{Admission, Backend, EthdevId, PortInfo, PortKind, World};
use pipeline::testing::{TestPort, dp};
use pipeline::{FailMode, GroupChange, MeterChange, PortSpec, PortUpdate, RuleChange, Select};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// Outside ends: the wire and four VFs.
pub const ENDS: usize = 5;
/// OpenFlow port of each end.
pub const PORTS: [OfPort; ENDS] = [OfPort(1), OfPort(2), OfPort(3), OfPort(4), OfPort(5)];
/// PMDs of the switch; the NIC spreads packets over as many queues.
const PMDS: u16 = 2;
const BUFFERS: u32 = 4095;
/// Packets for controllers that may wait: all frames under way, each sent to controllers a few times.
const PUNT_QUEUE: usize = 1024;
/// The counter of misses that were refused.
pub const MISS_BUDGET: &str = "miss_budget";

/// Who moves packets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drive {
    /// The test, on a virtual clock.
    Lockstep,
    /// Two PMD threads, the revalidator's, the offload engine's and the NIC's.
    Threads,
}

/// Which switch.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Of all that happens by chance.
    pub seed: u64,
    /// The NIC's.
    pub profile: &'static str,
    /// What is wrong with the NIC.
    pub faults: Faults,
    /// PMD threads refuse misses when other queues have to wait for them. What they refuse depends on how long things take.
    pub miss_budget: bool,
    /// The device misbehaves, by seed.
    pub chaos: bool,
}

/// A switch under test.
pub struct Rig {
    pub control: Control,
    pub outside: Outside,
    /// As planned.
    pub miss_budget: bool,
    /// What the device did of its own.
    pub mischief: chaos::Tally,
    /// The switch's buffers and the NIC's.
    pools: [Mempool; 2],
}

/// The ends of the NIC, and what became of frames.
pub struct Outside {
    switch: Arc<Switch>,
    pub nic: NicHandle,
    ends: Vec<End>,
    /// Frames injected so far.
    pub injected: u64,
}

/// Who changes the switch.
pub struct Control {
    switch: Arc<Switch>,
    pub bridge: BridgeId,
    ends: Vec<End>,
    representors: Vec<Representor>,
    infos: Vec<PortInfo>,
    specs: Vec<TestPort>,
    plugged: [bool; ENDS],
    offload: bool,
    clock: Arc<dyn Clock>,
}

impl Rig {
    /// A switch with these ports, without rules.
    pub fn new(plan: &Plan, drive: Drive, ports: &[TestPort]) -> Rig {
        // Names and domains are unique in the process; tests run side by side.
        static SERIAL: AtomicU16 = AtomicU16::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let eal = dpdk::testing::eal();
        let pool = Mempool::new(eal, "packets", MempoolConfig { size: BUFFERS, ..MempoolConfig::default() }).unwrap();
        let nic = MockNicConfig {
            name: format!("so{serial}"),
            buffers: BUFFERS,
            domain: serial,
            queues: PMDS,
            faults: plan.faults.clone(),
            ..MockNicConfig::new(Profile::named(plan.profile).unwrap())
        };
        let (nic, representors) = MockNic::new(eal, nic).unwrap();
        let pools = [pool.clone(), nic.pool().clone()];
        let virtual_clock = Arc::new(VirtualClock::default());
        let clock: Arc<dyn Clock> = match drive {
            Drive::Lockstep => virtual_clock.clone(),
            Drive::Threads => Arc::new(MonotonicClock::default()),
        };
        let backend = RteFlowBackend::new(Box::new(nic.rte_flow()));
        let (backend, mischief): (Box<dyn Backend>, _) = if plan.chaos {
            let (wrap, mischief) = chaos::wrap(plan.seed, false);
            (wrap(backend), mischief)
        } else {
            (Box::new(backend), chaos::Tally::default())
        };
        let switch = Switch::new(Parts {
            eal,
            pool: pool.clone(),
            clock: clock.clone(),
            backend: Some(backend),
            datapath: datapath::Config {
                miss_budget: plan.miss_budget,
                punt_queue: PUNT_QUEUE,
                ..datapath::Config::default()
            },
            pipeline: pipeline::Config::default(),
            mtu: Some(u16::MAX),
            cookie: Default::default(),
        })
        .unwrap();
        for _ in switch.datapath().pmds().len()..usize::from(PMDS) {
            switch.datapath().add_pmd().unwrap();
        }
        switch.pipeline().notice_all(true);
        let handle = nic.handle();
        let caps = Arc::new(handle.capabilities());
        let domain = Some(handle.domain());
        let bridge = switch.pipeline().add_bridge("br0", FailMode::Secure).unwrap();
        let config = PortConfig { rx_queues: PMDS, tx_queues: PMDS, ..PortConfig::default() };
        let mut infos = Vec::new();
        for representor in &representors {
            representor.port.configure(&config, &pool).unwrap();
            representor.port.start().unwrap();
            let kind = match representor.end {
                End::Wire => PortKind::Uplink,
                End::Vf(vf) => PortKind::VfRepresentor(vf),
            };
            let (name, ethdev) = (representor.end.to_string(), EthdevId(representor.port.id()));
            infos.push(PortInfo { name, kind, ethdev, domain, rx_queues: PMDS, caps: caps.clone() });
        }
        let driver = match drive {
            Drive::Lockstep => Driver::Lockstep(Lockstep::new(&switch, nic, virtual_clock)),
            Drive::Threads => Driver::threads(&switch, Some(nic)).unwrap(),
        };
        switch.drive(driver);
        let mut control = Control {
            switch: Arc::clone(&switch),
            bridge,
            ends: representors.iter().map(|r| r.end).collect(),
            representors,
            infos,
            specs: ports.to_vec(),
            plugged: [false; ENDS],
            offload: true,
            clock,
        };
        (0..ENDS).for_each(|place| control.plug(place));
        let outside = Outside { switch, nic: handle, ends: control.ends.clone(), injected: 0 };
        Rig { control, outside, miss_budget: plan.miss_budget, mischief, pools }
    }

    /// End the switch; the buffers of each pool that did not come back.
    pub fn finish(self) -> [u32; 2] {
        let Rig { control, outside, pools, .. } = self;
        drop((control, outside));
        pools.map(|pool| pool.size() - pool.available())
    }

    /// Buffers that are out now: the switch's and the NIC's.
    pub fn buffers_out(&self) -> [u32; 2] {
        self.pools.each_ref().map(Mempool::in_use)
    }
}

impl Control {
    pub fn switch(&self) -> &Switch {
        &self.switch
    }

    /// What is there from the start: groups, a meter, rules.
    pub fn begin(&mut self, groups: &[GroupSpec], meter: MeterSpec, rules: &[RuleSpec]) {
        self.apply(&Change::Meter { spec: meter, new: true });
        groups.iter().for_each(|group| self.apply(&Change::Group(group.clone())));
        let add = |rule: &RuleSpec| RuleChange::Add { bridge: self.bridge, rule: rule.clone() };
        self.switch().pipeline().apply(&rules.iter().map(add).collect::<Vec<_>>()).unwrap();
        self.fence();
    }

    /// The present of the switch.
    pub fn now(&self) -> Time {
        self.clock.now()
    }

    /// Whether the port of each end is there.
    pub fn plugged(&self) -> [bool; ENDS] {
        self.plugged
    }

    /// Make one change and wait until it is in force.
    ///
    /// Within a bound: an Ack that names a PMD is a failure, hardware that is slow is asked again.
    pub fn apply(&mut self, change: &Change) {
        let bridge = self.bridge;
        let pipeline = self.switch().pipeline();
        match change.clone() {
            Change::Add(rule) => drop(pipeline.apply(&[RuleChange::Add { bridge, rule }]).unwrap()),
            Change::Delete(rule) => {
                drop(pipeline.apply(&[RuleChange::Delete { bridge, select: Select::exactly(&rule) }]).unwrap());
            }
            Change::Modify(rule, actions) => {
                let (select, flags) = (Select::exactly(&rule), RuleFlags::empty());
                let modify = RuleChange::Modify { bridge, select, actions, cookie: None, flags };
                drop(pipeline.apply(&[modify]).unwrap());
            }
            Change::Group(group) => {
                let modify = GroupChange::Modify { bridge, group, may_create: true };
                drop(pipeline.change(&[modify.into()]).unwrap());
            }
            Change::Meter { spec, new: true } => {
                drop(pipeline.change(&[MeterChange::Add { bridge, meter: spec }.into()]).unwrap());
            }
            Change::Meter { spec, new: false } => {
                drop(pipeline.change(&[MeterChange::Modify { bridge, meter: spec }.into()]).unwrap());
            }
            Change::Up(place, up) => {
                let update = PortUpdate { up: Some(up), ..PortUpdate::default() };
                pipeline.update_port(bridge, PORTS[place], update).unwrap();
                self.specs[place].up = up;
            }
            Change::Vlan(place, mode) => {
                let update = PortUpdate { vlan: Some(mode.clone()), ..PortUpdate::default() };
                pipeline.update_port(bridge, PORTS[place], update).unwrap();
                self.specs[place].vlan = mode;
            }
            Change::Forget => pipeline.fdb_flush(bridge, None),
            Change::Unplug(place) => self.unplug(place),
            Change::Plug(place) => self.plug(place),
            Change::Offload(on) => {
                self.offload = on;
                self.tell_world();
            }
            Change::Rebalance => self.rebalance(),
        }
        self.fence();
    }

    /// Give receive queues to other PMDs: each policy has another place for most.
    fn rebalance(&self) {
        let datapath = self.switch().datapath();
        let before = datapath.policy().assign;
        let at = Assign::ALL.iter().position(|assign| *assign == before).unwrap();
        datapath.set_policy(Policy { assign: Assign::ALL[(at + 1) % Assign::ALL.len()], isolate: at % 2 == 0 });
    }

    /// Wait until all changes are in force everywhere.
    fn fence(&self) {
        let start = Instant::now();
        loop {
            let Ack { workers, hardware, .. } = self.switch().fence();
            assert_eq!(workers, WorkerFence::Fenced);
            match hardware {
                HardwareFence::Fenced => return,
                HardwareFence::Pending(_) if start.elapsed() < Duration::from_secs(10) => {}
                other => panic!("the hardware is not fenced after {:?}: {other:?}", start.elapsed()),
            }
        }
    }

    fn tell_world(&self) {
        let mut world = World { resume: true, ..World::new() };
        world.admission = Admission { off: !self.offload, ..Admission::default() };
        for place in (0..ENDS).filter(|place| self.plugged[*place]) {
            world = world.with_port(dp(PORTS[place]), self.infos[place].clone());
        }
        self.switch().set_world(world);
    }

    fn plug(&mut self, place: usize) {
        let (port, name) = (&self.specs[place], self.ends[place].to_string());
        let (dp, device) = (port.dp(), self.representors[place].port.clone());
        let spec = PortSpec {
            number: Some(port.number),
            vlan: port.vlan.clone(),
            flood: port.flood,
            up: port.up,
            ..PortSpec::new(&name, port.dp())
        };
        // As the daemon adds a port: PMDs poll it at once.
        self.switch().pipeline().add_port(self.bridge, spec).unwrap();
        self.switch().add_port(dp, &name, device).unwrap();
        self.plugged[place] = true;
        self.tell_world();
    }

    /// As the daemon removes a port.
    fn unplug(&mut self, place: usize) {
        self.plugged[place] = false;
        self.switch().pipeline().remove_port(self.bridge, PORTS[place]).unwrap();
        self.tell_world();
        assert!(self.switch().remove_port(dp(PORTS[place])), "a PMD holds a port's queues");
    }

    /// Move the clock, and let go of what is too old. Lockstep only.
    pub fn advance(&self, to: Time) {
        let lockstep = self.switch().lockstep().unwrap();
        if lockstep.advance(to) {
            self.switch().pipeline().expire(self.now());
            lockstep.settle().unwrap();
        }
    }

    /// Run until nothing moves. Lockstep only.
    pub fn settle(&self) {
        self.switch().lockstep().unwrap().settle().unwrap();
        self.switch().drain_punted();
    }
}

impl Outside {
    /// A frame arrives at an end.
    pub fn inject(&mut self, place: usize, frame: &[u8]) {
        self.nic.inject(self.ends[place], frame).unwrap();
        self.injected += 1;
    }

    /// Frames that left since the last call, with the datapath's number of the port at whose end they did.
    pub fn collect(&self) -> Vec<(DpPort, Vec<u8>)> {
        let of = |place: usize| {
            let frames = self.nic.collect(self.ends[place]).unwrap();
            frames.into_iter().map(move |frame| (dp(PORTS[place]), frame))
        };
        (0..ENDS).flat_map(of).collect()
    }

    /// Frames by what became of them, NIC and datapath together: in, copies, out, for controllers, dropped by reason.
    pub fn balance(&self) -> Balance {
        let (nic, datapath) = (self.nic.stats(), self.switch.counters());
        let mut dropped = datapath.drops;
        let mut add = |name: &str, n: u64| *dropped.entry(name.to_owned()).or_default() += n;
        add("hardware", nic.hardware_dropped);
        nic.drops.iter().for_each(|(name, n)| add(name, *n));
        Balance {
            frames_in: nic.frames_in,
            copies: nic.copies + datapath.copies,
            out: nic.frames_out,
            punted: datapath.events.get("punted").copied().unwrap_or_default(),
            dropped,
        }
    }

    /// Wait until so many frames are under way at most. Threads only.
    pub fn wait(&self, most: u64) {
        let start = Instant::now();
        loop {
            self.switch.drain_punted();
            let balance = self.balance();
            let ended = balance.out + balance.punted + balance.dropped.values().sum::<u64>();
            if (self.injected + balance.copies).saturating_sub(ended) <= most {
                return;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "frames stay under way: {balance:?}");
            std::thread::sleep(Duration::from_micros(100));
        }
    }

    /// Wait until every frame has come to an end. Threads only.
    pub fn quiesce(&self) -> Balance {
        let start = Instant::now();
        let (mut last, mut same) = (self.balance(), 0);
        // Frames that a counter of hardware tells of late are in the equation already: only the NIC counts them.
        while same < 5 {
            std::thread::sleep(Duration::from_millis(1));
            self.switch.drain_punted();
            let now = self.balance();
            let rests = now == last && now.is_even() && now.frames_in == self.injected;
            same = if rests { same + 1 } else { 0 };
            last = now;
            if start.elapsed() > Duration::from_secs(20) {
                panic!("{} frames injected, and {:?} after {:?}", self.injected, last, start.elapsed());
            }
        }
        last
    }
}

/// Frames by what became of them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Balance {
    pub frames_in: u64,
    pub copies: u64,
    pub out: u64,
    pub punted: u64,
    pub dropped: BTreeMap<String, u64>,
}

impl Balance {
    /// Misses that PMDs refused.
    pub fn refused(&self) -> u64 {
        self.dropped.get(MISS_BUDGET).copied().unwrap_or_default()
    }

    /// Whether all that came in, and all copies, came to an end.
    pub fn is_even(&self) -> bool {
        self.frames_in + self.copies == self.out + self.punted + self.dropped.values().sum::<u64>()
    }

    /// Frames that were lost for want of room, not dropped because a rule or the state of a port says so.
    pub fn lost(&self) -> Vec<(&str, u64)> {
        const LOST: [&str; 9] = [
            "tx_full",
            "no_buffer",
            "no_controller",
            MISS_BUDGET,
            "stale_recirc",
            "too_long",
            "representor_full",
            "end_full",
            "no_such_end",
        ];
        let counted = self.dropped.iter().filter(|(name, n)| **n > 0 && LOST.contains(&name.as_str()));
        counted.map(|(name, n)| (name.as_str(), *n)).collect()
    }
}
