//! A switch on a mock NIC in lockstep, and what came of a run.

use crate::chaos;
use crate::learning::{self, Gone, Learned, is_learned};
use crate::meters::Metered;
use dpdk::{Mempool, MempoolConfig, PortConfig};
use flow::clock::{Clock, MonotonicClock, Time, VirtualClock};
use flow::dp::{BridgeId, DpAction, FlowId, HardwareFence, WorkerFence};
use flow::meter::MeterSpec;
use flow::rule::RuleSpec;
use flow::{DpPort, FlowKey, OfPort};
use manager::switch::{Driver, FlowInfo, Lockstep, Parts, Switch};
use mocks::nic::profile::ActionName;
use mocks::nic::{End, Faults, MockNic, MockNicConfig, NicHandle, Profile};
use offload::rte_flow::RteFlowBackend;
use offload::{Admission, DeviceKey, EngineStatus, EthdevId, HwAction, HwRule, Placement, PortInfo, PortKind, World};
use pipeline::testing::{TestPort, dp};
use pipeline::{Change, FailMode, MeterChange, PortSpec, RuleChange, Select};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

/// All profiles that are compared with a switch without offload.
pub const PROFILES: [&str; 7] = ["connectx", MARKING, "e810", "mark-only", "tiny", "none", "full"];
/// `connectx` whose embedded switch marks too (mlx5: `dv_xmeta_en`), so that hardware can do the first actions and software the rest.
pub const MARKING: &str = "connectx-marking";
/// `e810` with room for few rules: one must always be left for what leads packets aside while a rule goes.
pub const TIGHT: &str = "e810-tight";
/// Outside ends: the wire and four VFs.
pub const ENDS: usize = 5;
/// OpenFlow port of each end.
pub const PORTS: [OfPort; ENDS] = [OfPort(1), OfPort(2), OfPort(3), OfPort(4), OfPort(5)];

fn profile_of(name: &str) -> Profile {
    let base = match name {
        MARKING => "connectx",
        TIGHT => "e810",
        own => own,
    };
    let mut profile = Profile::named(base).unwrap();
    match name {
        MARKING => profile.transfer.as_mut().unwrap().actions.insert(ActionName::Mark),
        TIGHT => profile.max_rules = 9,
        _ => {}
    }
    profile
}

/// Ports that carry all VLANs.
pub fn plain_ports() -> Vec<TestPort> {
    let port = |number: &OfPort| TestPort { number: *number, vlan: Default::default(), flood: true, up: true };
    PORTS.iter().map(port).collect()
}

/// A switch to be tested.
pub struct Rig {
    pub profile: String,
    pub switch: Arc<Switch>,
    pub nic: NicHandle,
    pub bridge: BridgeId,
    ends: Vec<End>,
    world: World,
    /// By end.
    left: Vec<Left>,
    step: usize,
    /// The most rules that were in the NIC after a step.
    rules_peak: usize,
    /// Where each flow that ever was has been placed last.
    pub placements: HashMap<FlowId, Placement>,
    /// Flows whose first actions were hardware's, and the rest software's.
    pub split: HashSet<FlowId>,
    /// Packets of flows that were wholly in hardware when they came: those that hardware handled, and all.
    pub promised: (u64, u64),
    /// Last counts of rules that were deleted, in order.
    removed: Vec<Count>,
    /// When the case began.
    pub start: Time,
    /// Rules that packets made: those that went, those that were there at last, and packets that these had from hardware alone.
    pub gone: Vec<Gone>,
    pub learned: Vec<Learned>,
    pub learned_hits: u64,
    troubles: Vec<String>,
    /// What there was when the present case began.
    base: Base,
}

/// Counters that go on from case to case.
#[derive(Clone, Debug, Default)]
struct Base {
    tally: api::Tally,
    misses: Vec<u64>,
    lost: u64,
    resumed: u64,
    metered: u64,
}

/// Readings of counters, of which a misbehaving device answers nearly all.
const READINGS: usize = 8;

/// Tables of which misses are compared.
const TABLES: u8 = 8;

/// Packets and bytes.
pub type Count = (u64, u64);
/// Table, priority and cookie of a rule.
pub type RuleName = (u8, u16, u64);
/// What left an end: the step in which it left, and the bytes.
pub type Left = Vec<(usize, Vec<u8>)>;

/// What came of a run: all that must not depend on offload, and what must hold for each run by itself.
#[derive(Debug)]
pub struct Run {
    /// By end.
    pub left: Vec<Left>,
    pub rules: Vec<(RuleName, Count)>,
    /// Last counts of rules that were deleted, in order.
    pub removed: Vec<Count>,
    /// Rules that packets made, at the end of the traffic, and all that went.
    pub learned: Vec<Learned>,
    pub gone: Vec<Gone>,
    /// Packets that hit a learned rule in hardware, of the flows that were there at the end of the traffic.
    pub learned_hits: u64,
    pub misses: Vec<u64>,
    pub meters: Vec<(u32, Metered)>,
    /// With when each was last seen.
    pub fdb: Vec<(u16, [u8; 6], DpPort, Time)>,
    pub tally: api::Tally,
    pub engine: EngineStatus,
    pub rules_peak: usize,
    pub placements: HashMap<FlowId, Placement>,
    /// Flows whose first actions were hardware's, and packets that came to software changed.
    pub split: HashSet<FlowId>,
    pub resumed: u64,
    /// Packets that a meter of the device judged.
    pub metered: u64,
    pub promised: (u64, u64),
    /// What was wrong on the way.
    pub troubles: Vec<String>,
}

impl Rig {
    /// A switch on a NIC of this profile.
    pub fn new(profile: &str, faults: Faults, offload: bool, ports: &[TestPort], rules: &[RuleSpec]) -> Rig {
        Rig::with_backend(profile, faults, offload, ports, rules, Box::new(|backend| Box::new(backend)))
    }

    /// The same with something between engine and device.
    pub fn with_backend(
        profile: &str,
        faults: Faults,
        offload: bool,
        ports: &[TestPort],
        rules: &[RuleSpec],
        wrap: chaos::Wrap,
    ) -> Rig {
        Rig::make(profile, faults, offload, ports, rules, wrap, false)
    }

    /// With threads of its own and a real clock, instead of lockstep.
    pub fn with_threads(profile: &str) -> Rig {
        Rig::make(profile, Faults::none(), true, &plain_ports(), &[], Box::new(|backend| Box::new(backend)), true)
    }

    fn make(
        profile: &str,
        faults: Faults,
        offload: bool,
        ports: &[TestPort],
        rules: &[RuleSpec],
        wrap: chaos::Wrap,
        threads: bool,
    ) -> Rig {
        // Names and domains are unique in the process; tests run side by side.
        static SERIAL: AtomicU16 = AtomicU16::new(0);
        let serial = SERIAL.fetch_add(1, Ordering::Relaxed);
        let eal = dpdk::testing::eal();
        let pool_config = MempoolConfig { size: 2047, ..MempoolConfig::default() };
        let pool = Mempool::new(eal, "packets", pool_config).unwrap();
        let (nic, representors) = MockNic::new(
            eal,
            MockNicConfig {
                name: format!("eq{serial}"),
                faults,
                buffers: 2047,
                domain: serial,
                ..MockNicConfig::new(profile_of(profile))
            },
        )
        .unwrap();
        let clock = Arc::new(VirtualClock::default());
        if !threads {
            let clock = clock.clone();
            nic.handle().set_clock(move || clock.now().0);
        }
        let virtual_or_not: Arc<dyn Clock> = if threads { Arc::new(MonotonicClock::default()) } else { clock.clone() };
        let switch = Switch::new(Parts {
            eal,
            pool: pool.clone(),
            clock: virtual_or_not,
            backend: Some(wrap(RteFlowBackend::new(Box::new(nic.rte_flow())))),
            datapath: datapath::Config::default(),
            pipeline: pipeline::Config::default(),
            mtu: Some(u16::MAX),
            cookie: Default::default(),
        })
        .unwrap();
        let handle = nic.handle();
        let caps = Arc::new(handle.capabilities());
        let domain = Some(handle.domain());
        switch.drive(if threads {
            Driver::threads(&switch, Some(nic)).unwrap()
        } else {
            Driver::Lockstep(Lockstep::new(&switch, nic, clock))
        });

        let bridge = switch.pipeline().add_bridge("br0", FailMode::Secure).unwrap();
        let mut world = World { resume: true, ..World::new() };
        for (port, representor) in ports.iter().zip(&representors) {
            representor.port.configure(&PortConfig::default(), &pool).unwrap();
            representor.port.start().unwrap();
            let name = representor.end.to_string();
            switch.add_port(port.dp(), &name, representor.port.clone()).unwrap();
            let spec = PortSpec {
                number: Some(port.number),
                vlan: port.vlan.clone(),
                flood: port.flood,
                up: port.up,
                ..PortSpec::new(&name, port.dp())
            };
            switch.pipeline().add_port(bridge, spec).unwrap();
            let kind = match representor.end {
                End::Wire => PortKind::Uplink,
                End::Vf(vf) => PortKind::VfRepresentor(vf),
            };
            let ethdev = EthdevId(representor.port.id());
            world =
                world.with_port(port.dp(), PortInfo { name, kind, ethdev, domain, rx_queues: 1, caps: caps.clone() });
        }
        let adds: Vec<_> = rules.iter().map(|rule| RuleChange::Add { bridge, rule: rule.clone() }).collect();
        switch.pipeline().apply(&adds).unwrap();
        let ends: Vec<End> = representors.iter().map(|r| r.end).collect();
        let left = vec![Vec::new(); ends.len()];
        let mut rig = Rig {
            profile: profile.to_owned(),
            switch,
            nic: handle,
            bridge,
            ends,
            world,
            left,
            step: 0,
            rules_peak: 0,
            placements: HashMap::new(),
            split: HashSet::new(),
            promised: (0, 0),
            removed: Vec::new(),
            start: Time(0),
            gone: Vec::new(),
            learned: Vec::new(),
            learned_hits: 0,
            troubles: Vec::new(),
            base: Base { misses: vec![0; usize::from(TABLES)], ..Base::default() },
        };
        rig.offload(offload);
        rig
    }

    /// Begin another case on the same switch: other meters and rules, nothing learned, and counters as if they were new.
    pub fn begin(&mut self, meters: &[MeterSpec], rules: &[RuleSpec]) {
        let bridge = self.bridge;
        let mut changes = vec![RuleChange::Delete { bridge, select: Select::default() }.into()];
        changes.push(MeterChange::Delete { bridge, meter: None }.into());
        changes.extend(meters.iter().map(|meter| MeterChange::Add { bridge, meter: meter.clone() }.into()));
        changes.extend(rules.iter().map(|rule| Change::from(RuleChange::Add { bridge, rule: rule.clone() })));
        self.switch.pipeline().change(&changes).unwrap();
        self.place_meters(self.device());
        self.switch.pipeline().fdb_flush(bridge, None);
        self.fence();
        self.forget_left();
        self.troubles.clear();
        self.removed.clear();
        self.gone.clear();
        self.learned.clear();
        self.placements.clear();
        self.split.clear();
        (self.step, self.promised, self.rules_peak, self.learned_hits) = (0, (0, 0), 0, 0);
        self.start = self.switch.clock().now();
        self.base = Base {
            tally: self.tally(),
            misses: self.misses(),
            lost: self.nic.stats().drops.values().sum(),
            resumed: self.switch.datapath().counters().mark_resumed,
            metered: self.nic.stats().metered,
        };
    }

    fn misses(&self) -> Vec<u64> {
        (0..TABLES).map(|table| self.switch.pipeline().table_misses(self.bridge, table)).collect()
    }

    /// Turn offload on or off.
    pub fn offload(&mut self, on: bool) {
        self.world.admission = Admission { off: !on, ..Admission::default() };
        self.switch.set_world(self.world.clone());
        self.switch.fence();
    }

    /// The device that all ports are in.
    pub fn device(&self) -> Option<DeviceKey> {
        self.world.ports.values().map(PortInfo::device).next()
    }

    fn lockstep(&self) -> &Lockstep {
        self.switch.lockstep().unwrap()
    }

    /// Move the clock, and let go of what is too old.
    pub fn advance(&mut self, to: Time) {
        if self.lockstep().advance(to) {
            let gone = self.switch.pipeline().expire(self.switch.clock().now());
            self.note_gone(gone);
            self.lockstep().settle().unwrap();
        }
    }

    /// A frame comes in at an end; the switch is run until it is quiet.
    pub fn inject(&mut self, end: usize, frame: &[u8]) {
        self.nic.inject(self.ends[end], frame).unwrap();
        self.settle();
    }

    /// A frame comes in at an end of a switch with threads. What has left so far is taken, so that no ring is full.
    pub fn send(&mut self, end: usize, frame: &[u8]) {
        self.nic.inject(self.ends[end], frame).unwrap();
        self.step += 1;
        self.gather();
    }

    /// Read all counters, again and again: a device that misbehaves does not answer each time.
    pub fn read_counters(&mut self) {
        for _ in 0..READINGS {
            self.switch.engine().refresh();
            self.lockstep().settle().unwrap();
        }
    }

    /// Wait until nothing is under way on a switch with threads: frames, flows, hardware.
    pub fn rest(&mut self) {
        let (start, mut last, mut same) = (Instant::now(), self.tally(), 0);
        while same < 5 {
            std::thread::sleep(Duration::from_millis(2));
            self.gather();
            self.switch.drain_punted();
            let (tally, now) = (since(&self.tally(), &self.base.tally), self.tally());
            // On a machine with much else to do the NIC's thread may not have seen all of them yet.
            let came = tally.frames_in == self.step as u64;
            let whole = came && tally.frames_in + tally.copies == tally.frames_out + tally.frames_dropped;
            same = if whole && now == last && self.switch.engine().is_quiet() { same + 1 } else { 0 };
            last = now;
            assert!(start.elapsed() < Duration::from_secs(10), "{}: no rest: {tally:?}", self.profile);
        }
        // A machine with much else to do takes longer for a reading than a fold waits for it.
        self.switch.engine().refresh();
        while !self.switch.engine().is_quiet() {
            std::thread::sleep(Duration::from_millis(1));
            assert!(start.elapsed() < Duration::from_secs(20), "{}: counters are not read", self.profile);
        }
        self.gather();
    }

    fn gather(&mut self) {
        for (end, left) in self.ends.iter().zip(&mut self.left) {
            left.extend(self.nic.collect(*end).unwrap().into_iter().map(|frame| (self.step, frame)));
        }
    }

    /// Frames come in at ends, together.
    pub fn inject_all<'f>(&mut self, frames: impl Iterator<Item = (usize, &'f [u8])>) {
        for (end, frame) in frames {
            self.nic.inject(self.ends[end], frame).unwrap();
        }
        self.settle();
    }

    /// Do not keep what has left so far.
    pub fn forget_left(&mut self) {
        self.left.iter_mut().for_each(Vec::clear);
    }

    fn settle(&mut self) {
        self.lockstep().settle().unwrap();
        for (end, left) in self.ends.iter().zip(&mut self.left) {
            left.extend(self.nic.collect(*end).unwrap().into_iter().map(|frame| (self.step, frame)));
        }
        self.step += 1;
        self.rules_peak = self.rules_peak.max(self.nic.rule_count());
    }

    /// As [`Rig::inject`], and look whether a flow that is in hardware is handled there.
    pub fn inject_watched(&mut self, end: usize, key: &FlowKey, frame: &[u8]) {
        let mut key = *key;
        key.in_port = dp(PORTS[end]).0.into();
        let engine = self.switch.engine().clone();
        let flows = self.switch.flows();
        // Of two flows that match (both right, one made before a change of rules) one may be too much for hardware.
        let full = |f: &&FlowInfo| engine.explain(f.flow.id).is_some_and(|s| s.placement == Placement::Full);
        let meant = flows.iter().filter(|f| key.masked(&f.flow.mask) == f.flow.key).find(full);
        // Hardware has a guard for packets whose TTL runs out: they are software's.
        let expires = |f: &FlowInfo| key.nw_ttl <= 1 && decrements(&f.flow.actions);
        let before = self.nic.stats().hardware;
        self.inject(end, frame);
        let kept = self.nic.stats().hardware - before;
        match meant {
            Some(flow) if expires(flow) => {}
            Some(_) => self.promised = (self.promised.0 + kept, self.promised.1 + 1),
            None if kept > 0 => self.troubles.push("hardware handled a packet of no flow that it has".to_owned()),
            None => {}
        }
        self.note_placements();
    }

    pub fn note_placements(&mut self) {
        if self.world.admission != Admission::all() {
            return;
        }
        for info in self.switch.flows() {
            let placement = self.switch.engine().explain(info.flow.id).map(|s| s.placement);
            self.placements.insert(info.flow.id, placement.unwrap_or(Placement::Moving));
            let changes = |rule: &HwRule| rule.actions.iter().any(HwAction::is_rewrite);
            let rules = self.switch.engine().rules(info.flow.id);
            if placement == Some(Placement::Partial) && rules.iter().any(|status| changes(&status.rule)) {
                self.split.insert(info.flow.id);
            }
        }
    }

    /// What left in the last step, by end.
    pub fn last_left(&self) -> Vec<Vec<&[u8]>> {
        let last = self.step - 1;
        let of = |left: &'_ [(usize, Vec<u8>)]| left.iter().rev().take_while(|(step, _)| *step == last).count();
        self.left.iter().map(|l| l[l.len() - of(l)..].iter().map(|(_, frame)| &frame[..]).collect()).collect()
    }

    /// Change rules and wait for the fence, as the control API does.
    pub fn change(&mut self, change: RuleChange) {
        let applied = self.switch.pipeline().apply(&[change]).unwrap();
        let removed = self.note_gone(applied.removed);
        self.removed.extend(removed.iter().map(|r| (r.entry.stats.packets, r.entry.stats.bytes)));
        self.fence();
    }

    /// Wait until all changes are in force.
    pub fn fence(&mut self) {
        let ack = self.switch.fence();
        if (ack.workers, &ack.hardware) != (WorkerFence::Fenced, &HardwareFence::Fenced) {
            self.troubles.push(format!("a change is not in force: {:?}, {:?}", ack.workers, ack.hardware));
        }
    }

    /// Packets and bytes of each rule that no packet made.
    fn rules(&self) -> Vec<(RuleName, Count)> {
        let mut all = self.switch.pipeline().dump(self.bridge, &Select::default()).unwrap();
        all.retain(|entry| !is_learned(entry.spec.cookie));
        all.iter().map(|r| ((r.spec.table, r.spec.priority, r.spec.cookie), (r.stats.packets, r.stats.bytes))).collect()
    }

    /// Rules that may have counted more than they told.
    pub fn inexact_counts(&self) -> u64 {
        self.switch.engine().status().inexact_counts
    }

    /// What the datapath dropped, by reason.
    pub fn drops(&self) -> Vec<(String, u64)> {
        self.switch.counters().drops.iter().map(|(reason, n)| (reason.to_string(), *n)).collect()
    }

    /// As `shuntctl demo` reports it.
    pub fn tally(&self) -> api::Tally {
        let (nic, datapath) = (self.nic.stats(), self.switch.counters());
        api::Tally {
            frames_in: nic.frames_in,
            copies: nic.copies + datapath.copies,
            frames_out: nic.frames_out,
            frames_dropped: nic.hardware_dropped
                + nic.drops.values().sum::<u64>()
                + datapath.drops.values().sum::<u64>()
                // Packets for controllers leave by no end.
                + datapath.events.get("punted").copied().unwrap_or_default(),
            hardware: nic.hardware,
            partial: nic.partial,
            software: nic.software,
        }
    }

    /// The end of the run.
    pub fn finish(mut self) -> Run {
        self.end()
    }

    /// The end of a case; another one can begin.
    pub fn end(&mut self) -> Run {
        self.switch.fold();
        let engine = self.switch.engine().status();
        let tally = since(&self.tally(), &self.base.tally);
        let mut troubles = std::mem::take(&mut self.troubles);
        if tally.frames_in + tally.copies != tally.frames_out + tally.frames_dropped {
            troubles.push(format!("frames do not add up: {tally:?}"));
        }
        if tally.hardware + tally.partial + tally.software != tally.frames_in {
            troubles.push(format!("handlings do not add up: {tally:?}"));
        }
        let lost = self.nic.stats().drops;
        if lost.values().sum::<u64>() > self.base.lost {
            troubles.push(format!("the NIC lost frames: {lost:?}"));
        }
        let anomalies = [
            ("counter anomalies", engine.counter_anomalies),
            ("unknown completions", engine.unknown_completions),
            ("lost rules", engine.lost_rules),
            ("stuck rules", engine.stuck_rules as u64),
            ("dead devices", engine.dead.len() as u64),
        ];
        troubles.extend(anomalies.iter().filter(|(_, n)| *n > 0).map(|(what, n)| format!("{n} {what}")));
        // Others, such as e810, take tagged packets only by rules that name tags: their rules may match less than their flows do.
        let (kept, promised) = self.promised;
        if ["connectx", MARKING].contains(&&*self.profile) && kept != promised {
            troubles.push(format!("hardware handled {kept} of {promised} packets of flows that it has"));
        }
        let pipeline = self.switch.pipeline();
        Run {
            rules: self.rules(),
            removed: std::mem::take(&mut self.removed),
            learned: std::mem::take(&mut self.learned),
            gone: std::mem::take(&mut self.gone),
            learned_hits: self.learned_hits,
            misses: self.misses().iter().zip(&self.base.misses).map(|(now, then)| now - then).collect(),
            fdb: pipeline.fdb(self.bridge).iter().map(|e| (e.vlan, e.mac, e.port, e.used)).collect(),
            meters: self.meters(),
            left: std::mem::replace(&mut self.left, vec![Vec::new(); ENDS]),
            rules_peak: self.rules_peak,
            tally,
            engine,
            placements: std::mem::take(&mut self.placements),
            split: std::mem::take(&mut self.split),
            resumed: self.switch.datapath().counters().mark_resumed - self.base.resumed,
            metered: self.nic.stats().metered - self.base.metered,
            promised: self.promised,
            troubles,
        }
    }
}

/// Whether the TTL is decremented, be it in a copy.
fn decrements(actions: &[DpAction]) -> bool {
    actions.iter().any(|action| match action {
        DpAction::DecTtl => true,
        DpAction::Clone(copy) => decrements(copy),
        _ => false,
    })
}

fn since(now: &api::Tally, then: &api::Tally) -> api::Tally {
    api::Tally {
        frames_in: now.frames_in - then.frames_in,
        copies: now.copies - then.copies,
        frames_out: now.frames_out - then.frames_out,
        frames_dropped: now.frames_dropped - then.frames_dropped,
        hardware: now.hardware - then.hardware,
        partial: now.partial - then.partial,
        software: now.software - then.software,
    }
}

impl Run {
    /// Forget what was counted, and when addresses were last seen, which counters tell.
    pub fn take_counts_of(&mut self, other: &Run) {
        self.rules.clone_from(&other.rules);
        self.removed.clone_from(&other.removed);
        self.misses.clone_from(&other.misses);
        self.meters.clone_from(&other.meters);
        for (mine, theirs) in self.fdb.iter_mut().zip(&other.fdb) {
            mine.3 = theirs.3;
        }
    }

    /// How this run differs from one without offload, or what is wrong with it; `None`: all is well.
    pub fn fault(&self, off: &Run) -> Option<String> {
        for (end, (got, want)) in self.left.iter().zip(&off.left).enumerate() {
            if got == want {
                continue;
            }
            let at = got.iter().zip(want).take_while(|(g, w)| g == w).count();
            return Some(format!(
                "end {end}, frame {at} of {}: {} instead of {}",
                want.len(),
                show(got.get(at)),
                show(want.get(at))
            ));
        }
        if self.rules != off.rules {
            let differ = self.rules.iter().zip(&off.rules).find(|(g, w)| g != w);
            return Some(format!("rule counters (with, without): {differ:?}"));
        }
        if self.removed != off.removed {
            return Some(format!("counters of removed rules: {:?} instead of {:?}", self.removed, off.removed));
        }
        if let Some(fault) = learning::fault((&self.learned, &self.gone), (&off.learned, &off.gone)) {
            return Some(fault);
        }
        if self.misses != off.misses {
            return Some(format!("table misses: {:?} instead of {:?}", self.misses, off.misses));
        }
        if self.meters != off.meters {
            return Some(format!("meters: {:?} instead of {:?}", self.meters, off.meters));
        }
        if self.fdb != off.fdb {
            return Some(format!("learned addresses: {:?} instead of {:?}", self.fdb, off.fdb));
        }
        let sums = |t: &api::Tally| (t.frames_in, t.copies, t.frames_out, t.frames_dropped);
        if sums(&self.tally) != sums(&off.tally) {
            return Some(format!("tally: {:?} instead of {:?}", self.tally, off.tally));
        }
        self.troubles.first().cloned()
    }
}

fn show(frame: Option<&(usize, Vec<u8>)>) -> String {
    match frame {
        None => "nothing".to_owned(),
        Some((step, bytes)) => format!("[step {step}] {}", api::to_hex(&bytes[..bytes.len().min(160)])),
    }
}
