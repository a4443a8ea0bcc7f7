//! Whole-datapath tests on ring ports, with a slow path that is a list of rules.

mod actions;
mod arena;
mod caches;
mod changes;
mod fence;
mod flows;
mod model;
mod models;
mod odd;
mod oracle;
mod pmds;
mod ports;
mod race;
mod rebalance;
mod rests;
mod tables;
mod trouble;

use crate::{Config, Datapath, Pmd, PortOptions, Revalidator};
use dpdk::{Mbuf, MbufBatch, Mempool, Port, RingConsumer, RingMode, RingProducer, testing};
use flow::clock::{Clock, Time, VirtualClock};
use flow::dp::*;
use flow::{DpPort, FlowKey, Mask};
use parking_lot::Mutex;
use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

pub(super) const TABLE: Dep = Dep::Table(BridgeId(1), 0);

#[derive(Clone, Debug)]
pub(super) struct Rule {
    pub id: u64,
    pub mask: Mask,
    pub key: FlowKey,
    pub actions: Vec<DpAction>,
}

/// First matching rule wins; the mask of a translation is that of all rules looked at.
#[derive(Debug, Default)]
pub(super) struct FakeSlowpath {
    pub rules: Mutex<Vec<Rule>>,
    pub changes: Mutex<Vec<Dep>>,
    pub replayed: Mutex<HashMap<Effect, Hits>>,
    pub uncacheable: std::sync::atomic::AtomicBool,
}

impl FakeSlowpath {
    pub fn set_rules(&self, rules: Vec<Rule>) {
        *self.rules.lock() = rules;
        self.changes.lock().push(TABLE);
    }

    pub fn all(actions: Vec<DpAction>) -> Vec<Rule> {
        vec![Rule { id: 1, mask: Mask::ANY, key: FlowKey::ZERO, actions }]
    }

    pub fn packets(&self, effect: Effect) -> u64 {
        self.replayed.lock().get(&effect).map_or(0, |h| h.packets)
    }
}

impl Slowpath for FakeSlowpath {
    fn translate(&self, _: &Resume, key: &FlowKey) -> Translation {
        let mut mask = Mask::ANY;
        let cacheable = if self.uncacheable.load(Ordering::Relaxed) { Cacheable::No } else { Cacheable::Yes };
        let mut made = Translation {
            mask,
            actions: [DpAction::Drop(DropReason::NoMatch)].into_iter().collect(),
            deps: [TABLE].into_iter().collect(),
            written: None,
            effects: [Effect::TableMiss(BridgeId(1), 0)].into_iter().collect(),
            cacheable,
        };
        for rule in self.rules.lock().iter() {
            mask.unite(&rule.mask);
            if rule.mask.matches(key, &rule.key) {
                made.actions = rule.actions.iter().cloned().collect();
                made.effects = [Effect::Rule(RuleId(rule.id))].into_iter().collect();
                break;
            }
        }
        made.mask = mask;
        made
    }

    fn replay(&self, effects: &[Effect], hits: &Hits) {
        for effect in effects {
            self.replayed.lock().entry(effect.clone()).or_default().add(hits);
        }
    }

    fn take_changes(&self, changes: &mut Vec<Change>) {
        changes.extend(self.changes.lock().drain(..).map(Change::from));
    }
}

#[derive(Debug, Default)]
pub(super) struct Heard {
    pub added: Mutex<Vec<Arc<DpFlow>>>,
    pub removed: Mutex<Vec<Arc<DpFlow>>>,
}

impl FlowListener for Heard {
    fn flow_added(&self, flow: &Arc<DpFlow>) {
        self.added.lock().push(Arc::clone(flow));
    }
    fn flow_removed(&self, flow: &Arc<DpFlow>) {
        self.removed.lock().push(Arc::clone(flow));
    }
}

/// Meters whose verdict is their number.
#[derive(Debug, Default)]
pub(super) struct FakeMeters {
    /// Packets and bytes.
    pub metered: Mutex<(u64, u64)>,
}

impl FakeMeters {
    pub fn verdict(meter: MeterId) -> Verdict {
        match meter.0 {
            1 => Verdict::Drop,
            by @ 2..=4 => Verdict::Remark { by: by as u8 - 2 },
            _ => Verdict::Pass,
        }
    }
}

impl Meters for FakeMeters {
    fn police(&self, meter: MeterId, _: Time, bytes: u32) -> Verdict {
        let mut metered = self.metered.lock();
        *metered = (metered.0 + 1, metered.1 + u64::from(bytes));
        Self::verdict(meter)
    }
}

/// A datapath with ring ports 1 to n.
pub(super) struct Rig {
    pub slowpath: Arc<FakeSlowpath>,
    pub meters: Arc<FakeMeters>,
    pub heard: Arc<Heard>,
    pub clock: Arc<VirtualClock>,
    pub dp: Datapath,
    pub pmd: Pmd,
    pub revalidator: Revalidator,
    pub ends: Vec<(RingProducer, RingConsumer)>,
    pub pool: Arc<Mempool>,
}

impl Rig {
    pub fn new(ports: u32, config: Config) -> Rig {
        let slowpath = Arc::new(FakeSlowpath::default());
        Rig::with(ports, config, Arc::clone(&slowpath) as _, slowpath)
    }

    pub fn with(ports: u32, config: Config, used: Arc<dyn Slowpath>, slowpath: Arc<FakeSlowpath>) -> Rig {
        let meters = Arc::<FakeMeters>::default();
        let metered = Arc::clone(&meters) as Arc<dyn Meters>;
        Rig::build(ports, slowpath, meters, |heard, clock, pool| {
            Datapath::with_meters(used, heard, metered, clock, pool, config)
        })
    }

    pub fn without_meters(ports: u32) -> Rig {
        let slowpath = Arc::new(FakeSlowpath::default());
        let used = Arc::clone(&slowpath);
        Rig::build(ports, slowpath, Arc::default(), |heard, clock, pool| {
            Datapath::new(used, heard, clock, pool, Config::default())
        })
    }

    fn build(
        ports: u32,
        slowpath: Arc<FakeSlowpath>,
        meters: Arc<FakeMeters>,
        datapath: impl FnOnce(Arc<dyn FlowListener>, Arc<dyn Clock>, Arc<Mempool>) -> Datapath,
    ) -> Rig {
        let clock = Arc::new(VirtualClock::default());
        let pool = Arc::new(testing::mempool(4095));
        let heard = Arc::<Heard>::default();
        let dp = datapath(Arc::clone(&heard) as _, Arc::clone(&clock) as _, Arc::clone(&pool));
        let pmd = dp.add_pmd().unwrap();
        let mut ends = Vec::new();
        for port in 1..=ports {
            let (device, end) = ring_port(&pool, 1);
            let options = PortOptions { name: format!("p{port}"), mtu: Some(1500), down: false };
            dp.add_port(DpPort(port), device, options).unwrap();
            ends.push(end);
        }
        let revalidator = dp.revalidator();
        Rig { slowpath, meters, heard, clock, dp, pmd, revalidator, ends, pool }
    }

    pub fn now(&self) -> Time {
        self.clock.now()
    }

    pub fn poll(&self) -> usize {
        let n = self.pmd.poll_once(self.now());
        let counters = self.dp.counters();
        assert!(counters.is_balanced(), "{counters:?}");
        n
    }

    pub fn run(&self) -> crate::RevalidationReport {
        self.revalidator.run(self.now())
    }

    pub fn inject_mbuf(&mut self, port: u32, packet: Mbuf) {
        let mut batch = MbufBatch::new();
        batch.push(packet).unwrap();
        assert_eq!(self.ends[port as usize - 1].0.enqueue(&mut batch), 1);
    }

    pub fn inject(&mut self, port: u32, frame: &[u8]) {
        let packet = Mbuf::from_bytes(&self.pool, frame).unwrap();
        self.inject_mbuf(port, packet);
    }

    pub fn collect(&mut self, port: u32) -> Vec<Vec<u8>> {
        let mut frames = Vec::new();
        let mut batch = MbufBatch::new();
        while self.ends[port as usize - 1].1.dequeue(&mut batch) > 0 {
            frames.extend(batch.drain().map(|p| p.to_vec()));
        }
        frames
    }
}

/// A started ring port with `tx` transmit queues, and its outside ends (of its first queues).
pub(super) fn ring_port(pool: &Mempool, tx: usize) -> (Port, (RingProducer, RingConsumer)) {
    static SERIAL: AtomicU32 = AtomicU32::new(0);
    let eal = testing::eal();
    let ring = || dpdk::ring(eal, "test", 1023, RingMode::SpSc).unwrap();
    let (in_tx, in_rx) = ring();
    let (mut outs, mut outsides): (Vec<_>, Vec<_>) = (0..tx).map(|_| ring()).unzip();
    let name = format!("dp_test{}", SERIAL.fetch_add(1, Ordering::Relaxed));
    let port = Port::from_rings(eal, &name, vec![in_rx], std::mem::take(&mut outs)).unwrap();
    let config = dpdk::PortConfig { tx_queues: tx as u16, promiscuous: false, ..dpdk::PortConfig::default() };
    port.configure(&config, pool).unwrap();
    port.start().unwrap();
    (port, (in_tx, outsides.swap_remove(0)))
}

/// A pool whose buffers hold 101 bytes each, so that segments begin within words.
pub(crate) fn small_buffers() -> Mempool {
    let config = dpdk::MempoolConfig { size: 255, data_room: 128 + 101, ..dpdk::MempoolConfig::default() };
    Mempool::new(testing::eal(), "small", config).unwrap()
}

/// An IPv4/UDP frame without UDP checksum whose bytes depend on the arguments.
pub(crate) fn frame(src: u8, dst: u8, tp_dst: u16, payload: usize) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, dst, 2, 0, 0, 0, 0, src, 8, 0];
    let len = (28 + payload) as u16;
    f.extend_from_slice(&[
        0x45,
        0,
        (len >> 8) as u8,
        len as u8,
        0,
        1,
        0,
        0,
        64,
        17,
        0,
        0,
        10,
        0,
        0,
        src,
        10,
        0,
        0,
        dst,
    ]);
    let sum: u32 = f[14..34].chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let sum = !(((sum & 0xffff) + (sum >> 16)) as u16);
    f[24..26].copy_from_slice(&sum.to_be_bytes());
    f.extend_from_slice(&7u16.to_be_bytes());
    f.extend_from_slice(&tp_dst.to_be_bytes());
    f.extend_from_slice(&((8 + payload) as u16).to_be_bytes());
    f.extend_from_slice(&[0, 0]);
    f.extend((0..payload).map(|i| i as u8));
    f
}

pub(super) fn out(port: u32) -> DpAction {
    DpAction::Output(DpPort(port))
}

pub(super) const SHORT: Duration = Duration::from_millis(1);
