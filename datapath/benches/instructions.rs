//! The work of `make gate`: one case, for callgrind, which counts the instructions of [`measured`] only.
//!
//! ```text
//! instructions CASE PACKETS       e.g. under valgrind --tool=callgrind --toggle-collect='*measured*'
//! instructions                    every case once, to see that they do what they are named after
//! ```
//! Packets go the whole way through the public interface: from a ring, through `Pmd::poll_once`, into a ring; so the
//! cases hold whatever the datapath is made of. The slow path is fixed: a mask and a list of actions, chosen by the
//! destination.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a benchmark fails by panicking")]

use datapath::{Config, Datapath, NoHardware, Pmd, PortOptions};
use dpdk::{BURST, Mbuf, MbufBatch, Mempool, Port, PortConfig, RingConsumer, RingMode, RingProducer, testing};
use flow::clock::{Clock, VirtualClock};
use flow::dp::{BridgeId, Cacheable, Change, Dep, DpAction, Effect, Hits, Resume, RuleId, Slowpath, Translation};
use flow::extract::{RxMeta, extract_into};
use flow::field::FieldId;
use flow::value::Value;
use flow::{DpPort, FlowKey, Mask};
use std::hint::black_box;
use std::sync::Arc;

/// Flows of the cases that find flows.
const FLOWS: u32 = 256;

/// What is counted. Its name is that of callgrind's switch.
#[inline(never)]
fn measured(work: &mut dyn FnMut()) {
    work();
}

/// A slow path without rules.
struct Fixed {
    /// Masks in use: packets to 11.N.0.0/16 need the first N + 1 bits of their source too, and their whole destination network.
    masks: u32,
    /// Each packet needs a flow of its own.
    exact: bool,
    actions: Vec<DpAction>,
}

impl Slowpath for Fixed {
    fn translate(&self, _: &Resume, key: &FlowKey) -> Translation {
        let mut mask = Mask::ANY;
        let n = key.ipv4_dst.get() >> 16 & 0xff;
        mask.0.eth_type = u16::MAX.into();
        mask.0.ipv4_dst = 0xffff_0000.into();
        mask.0.ipv4_src = (u32::MAX << (31 - n % self.masks.max(1))).into();
        // One of several masks needs the ports: a cache that reads only what some mask needs cannot stand for the table.
        if self.exact || self.masks > 1 && n == self.masks - 1 {
            (mask.0.nw_proto, mask.0.tp_src, mask.0.tp_dst) = (u8::MAX, u16::MAX.into(), u16::MAX.into());
        }
        Translation {
            mask,
            actions: self.actions.iter().cloned().collect(),
            deps: [Dep::Table(BridgeId(1), 0)].into_iter().collect(),
            written: None,
            effects: [Effect::Rule(RuleId(1))].into_iter().collect(),
            cacheable: Cacheable::Yes,
        }
    }

    fn replay(&self, _: &[Effect], _: &Hits) {}

    fn take_changes(&self, _: &mut Vec<Change>) {}
}

/// An Ethernet, IPv4 and UDP frame of 60 bytes.
fn frame(src: u32, dst: u32, sport: u16, dport: u16) -> [u8; 60] {
    let mut f = [0; 60];
    f[..14].copy_from_slice(&[2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]);
    f[14..26].copy_from_slice(&[0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17, 0, 0]);
    f[26..30].copy_from_slice(&src.to_be_bytes());
    f[30..34].copy_from_slice(&dst.to_be_bytes());
    let sum: u32 = f[14..34].chunks(2).map(|c| u32::from(u16::from_be_bytes([c[0], c[1]]))).sum();
    let sum = !((sum & 0xffff) + (sum >> 16)) as u16;
    f[24..26].copy_from_slice(&sum.to_be_bytes());
    f[34..36].copy_from_slice(&sport.to_be_bytes());
    f[36..38].copy_from_slice(&dport.to_be_bytes());
    f[38..40].copy_from_slice(&26u16.to_be_bytes());
    f
}

/// A datapath with ring ports 1 and 2.
struct Rig {
    datapath: Datapath,
    pmd: Pmd,
    clock: Arc<VirtualClock>,
    pool: Arc<Mempool>,
    input: RingProducer,
    outputs: [RingConsumer; 2],
    /// Packets so far, which number the next ones.
    sent: u32,
}

fn ring_port(pool: &Mempool, name: &str) -> (Port, RingProducer, RingConsumer) {
    let eal = testing::eal();
    let (input, rx) = dpdk::ring(eal, name, 255, RingMode::SpSc).unwrap();
    let (tx, output) = dpdk::ring(eal, name, 255, RingMode::SpSc).unwrap();
    let port = Port::from_rings(eal, name, vec![rx], vec![tx]).unwrap();
    port.configure(&PortConfig { promiscuous: false, ..PortConfig::default() }, pool).unwrap();
    port.start().unwrap();
    (port, input, output)
}

impl Rig {
    fn new(name: &str, slowpath: Fixed) -> Rig {
        let (clock, pool) = (Arc::new(VirtualClock::default()), Arc::new(testing::mempool(2047)));
        let config = Config { flow_limit: 1 << 17, ..Config::default() };
        let datapath =
            Datapath::new(Arc::new(slowpath), Arc::new(NoHardware), Arc::clone(&clock) as _, Arc::clone(&pool), config);
        let pmd = datapath.add_pmd().unwrap();
        let (one, input, back) = ring_port(&pool, &format!("{name}.1"));
        let (two, _, output) = ring_port(&pool, &format!("{name}.2"));
        for (number, device) in [(1, one), (2, two)] {
            let options = PortOptions { name: format!("p{number}"), mtu: Some(1500), down: false };
            datapath.add_port(DpPort(number), device, options).unwrap();
        }
        Rig { datapath, pmd, clock, pool, input, outputs: [back, output], sent: 0 }
    }

    /// One burst: `make` gives the frame with this number.
    fn burst(&mut self, make: &dyn Fn(u32) -> [u8; 60], count: bool) {
        let mut batch = MbufBatch::new();
        for _ in 0..BURST {
            let packet = Mbuf::from_bytes(&self.pool, &make(self.sent)).unwrap();
            batch.push(packet).unwrap();
            self.sent = self.sent.wrapping_add(1);
        }
        assert_eq!(self.input.enqueue(&mut batch), BURST);
        let (pmd, now, mut received) = (&self.pmd, self.clock.now(), 0);
        let mut poll = || received = pmd.poll_once(now);
        if count {
            measured(&mut poll)
        } else {
            poll()
        }
        assert_eq!(received, BURST);
        for output in &mut self.outputs {
            while output.dequeue(&mut batch) > 0 {
                batch.clear();
            }
        }
    }
}

/// What the packets of a case are, and what must have happened to them.
struct Case {
    name: &'static str,
    slowpath: fn() -> Fixed,
    make: fn(u32) -> [u8; 60],
    /// Packets that are sent before, unmeasured.
    warm: u32,
    /// How many of the measured packets were translated, of how many.
    misses: fn(u32) -> u32,
}

fn output() -> Vec<DpAction> {
    vec![DpAction::Output(DpPort(2))]
}

fn rewrite() -> Vec<DpAction> {
    let set = |field, value: [u8; 6]| {
        let mut bytes = [0; 8];
        bytes[2..].copy_from_slice(&value);
        let value = Value::from(u64::from_be_bytes(bytes));
        DpAction::Set { field, value, mask: Value::from((1u64 << 48) - 1) }
    };
    vec![
        set(FieldId::EthSrc, [2, 0, 0, 0, 2, 1]),
        set(FieldId::EthDst, [2, 0, 0, 0, 3, 7]),
        DpAction::DecTtl,
        DpAction::Output(DpPort(2)),
    ]
}

const fn masks(n: u32, actions: Vec<DpAction>) -> Fixed {
    Fixed { masks: n, exact: false, actions }
}

/// The same flows again and again.
fn known(i: u32) -> [u8; 60] {
    frame(0x0a00_0000, 0x0b00_0000, 4096 + (i % FLOWS) as u16, 53)
}

/// A 5-tuple that never came before, under one of N flows of N masks (the last of which is met by one 5-tuple only).
fn fresh<const N: u32>(i: u32) -> [u8; 60] {
    let group = i % N;
    let port = if N > 1 && group == N - 1 { 7 } else { i & 0xffff };
    frame(0x0a00_0000, 0x0b00_0000 | group << 16 | i >> 16 & 0xff, port as u16, 53)
}

const CASES: [Case; 6] = [
    Case { name: "cache_hit", slowpath: || masks(1, output()), make: known, warm: 64 * FLOWS, misses: |_| 0 },
    Case { name: "megaflow_hit_1", slowpath: || masks(1, output()), make: fresh::<1>, warm: 4096, misses: |_| 0 },
    Case { name: "megaflow_hit_8", slowpath: || masks(8, output()), make: fresh::<8>, warm: 4096, misses: |_| 0 },
    Case { name: "megaflow_hit_32", slowpath: || masks(32, output()), make: fresh::<32>, warm: 4096, misses: |_| 0 },
    Case { name: "actions", slowpath: || masks(1, rewrite()), make: known, warm: 64 * FLOWS, misses: |_| 0 },
    Case {
        name: "miss",
        slowpath: || Fixed { masks: 1, exact: true, actions: output() },
        make: fresh::<1>,
        warm: 4096,
        misses: |n| n,
    },
];

fn run(case: &Case, packets: u32) {
    let mut rig = Rig::new(case.name, (case.slowpath)());
    let bursts = |packets: u32| packets.div_ceil(BURST as u32);
    for _ in 0..bursts(case.warm) {
        rig.burst(&case.make, false);
    }
    let before = rig.datapath.counters();
    for _ in 0..bursts(packets) {
        rig.burst(&case.make, true);
    }
    let after = rig.datapath.counters();
    let sent = bursts(packets) * BURST as u32;
    let (translated, out) = (after.miss - before.miss, after.tx - before.tx);
    assert_eq!((translated, out), (u64::from((case.misses)(sent)), u64::from(sent)), "{}", case.name);
    println!("{}: {sent} packets", case.name);
}

/// Frames of several kinds, read by the extraction alone.
fn extract(packets: u32) {
    let plain = frame(0x0a00_0001, 0x0b00_0002, 4096, 53);
    let mut tagged = [&plain[..12], &[0x81, 0, 0x20, 100], &plain[12..]].concat();
    tagged.resize(64, 0);
    let mut tcp = plain;
    tcp[23] = 6;
    let mut v6 = plain[..12].to_vec();
    v6.extend([0x86, 0xdd, 0x60, 0, 0, 0, 0, 26, 17, 64]);
    v6.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].repeat(2));
    v6.extend(&plain[34..]);
    let frames = [plain.to_vec(), tagged, tcp.to_vec(), v6];
    let meta = RxMeta::from_port(DpPort(1));
    measured(&mut || {
        for i in 0..packets as usize {
            let (frame, mut key) = (black_box(&frames[i % frames.len()]), FlowKey::ZERO);
            black_box(extract_into(&mut key, frame, frame.len(), &meta));
            black_box(&key);
        }
    });
}

fn main() {
    let mut args = std::env::args().skip(1).filter(|a| !a.starts_with("--"));
    let name = args.next();
    let packets = args.next().map_or(4096, |n| n.parse().unwrap());
    if name.as_deref().is_none_or(|n| n == "extract") {
        extract(packets);
    }
    for case in CASES.iter().filter(|c| name.as_deref().is_none_or(|n| n == c.name)) {
        run(case, packets);
    }
}
