//! The fast path against a linear reading: random rules and frames in bursts, changes between and in the middle of bursts, and each
//! frame's outputs and each rule's counters held against a reading of the rules one by one.
//!
//! Frames come with tags, as fragments, cut short anywhere, in segments of any size, with marks of flows that are
//! right for them and with marks of no flow. There are more masks than a cache line of anything holds, and caches
//! small enough to collide.

use super::*;
use dpdk::MempoolConfig;
use flow::extract::{RxMeta, extract};
use flow::rewrite::{FrameBuf, Outcome, apply};
use flow::{FieldId, Value};
use proptest::prelude::*;
use std::collections::HashSet;

const PORTS: u32 = 3;

/// Numbers that follow from a seed: SplitMix64.
struct Dice(u64);

impl Dice {
    fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ z >> 31
    }
    fn below(&mut self, n: usize) -> usize {
        (self.number() % n as u64) as usize
    }
    fn percent(&mut self, n: usize) -> bool {
        self.below(100) < n
    }
    fn of<T: Copy>(&mut self, choice: &[T]) -> T {
        choice[self.below(choice.len())]
    }
}

/// Any frame of few values, without its serial number.
fn headers(d: &mut Dice) -> Vec<u8> {
    let mut f = vec![2, 0, 0, 0, 0, d.of(&[1, 2, 3]), 2, 0, 0, 0, 0, d.of(&[1, 2, 3])];
    for tag in 0..d.of(&[0, 0, 0, 1, 1, 2]) {
        f.extend(if tag == 0 && d.percent(30) { [0x88, 0xa8] } else { [0x81, 0] });
        f.extend([d.of(&[0, 0x20, 0xa0]), d.of(&[10, 20])]);
    }
    let (proto, hops) = (d.of(&[6u8, 17, 17, 1, 132, 47]), d.of(&[64u8, 64, 2, 1]));
    let (src, dst) = (d.of(&[1u8, 2, 129]), d.of(&[1u8, 2, 129]));
    let fragment = d.of(&[0u16, 0, 0, 0, 0x2000, 0x2010, 0x0010]);
    let l4 =
        [[0, 7, 0, d.of(&[80, 81, 53])].as_slice(), &[0, 20, 0, 0, 0, 0, 0, 1, 0x50, 2, 1, 1, 0, 0, 0, 0]].concat();
    match d.below(10) {
        0 => {
            f.extend([8, 6, 0, 1, 8, 0, 6, 4, 0, d.of(&[1, 2]), 2, 0, 0, 0, 0, 1, 10, 0, 0, src, 0, 0, 0, 0, 0, 0]);
            f.extend([10, 0, 0, dst]);
        }
        1 => f.extend([0x88, 0xb5, 1, 2, 3]),
        2..4 => {
            f.extend([0x86, 0xdd, 0x60, 0, 0, 0]);
            let extension = [proto, 0, (fragment >> 5) as u8, (fragment & 0xf8) as u8, 0, 0, 0, 9];
            let cut = fragment != 0;
            f.extend(((l4.len() + if cut { 8 } else { 0 }) as u16).to_be_bytes());
            f.extend([if cut { 44 } else { proto }, hops]);
            for end in [src, dst] {
                f.extend([0x20, 1, 0xd, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, end]);
            }
            if cut {
                f.extend(extension);
            }
            f.extend(l4);
        }
        _ => {
            let options = d.of(&[0u8, 0, 0, 4]);
            let at = f.len() + 2;
            f.extend([8, 0, 0x45 + options / 4, d.of(&[0, 0xb8]), 0, 20 + options + l4.len() as u8, 0, 1]);
            f.extend(fragment.to_be_bytes());
            f.extend([hops, proto, 0, 0, 10, 0, 0, src, 10, 0, 0, dst]);
            f.extend(vec![1; usize::from(options)]);
            let sum: u32 = f[at..].chunks(2).map(|c| u32::from(c[0]) << 8 | u32::from(c[1])).sum();
            f[at + 10..at + 12].copy_from_slice(&(!((sum & 0xffff) + (sum >> 16)) as u16).to_be_bytes());
            f.extend(l4);
        }
    }
    f
}

/// A frame with its serial number at the end, perhaps cut short: then the number is where headers should be.
fn numbered(d: &mut Dice, headers: &[u8], serial: u32, cut: bool) -> Vec<u8> {
    let mut bytes = headers.to_vec();
    if cut && d.percent(30) {
        bytes.truncate(d.below(headers.len() + 1));
    } else {
        bytes.extend(vec![0xee; d.below(60)]);
    }
    bytes.extend(serial.to_be_bytes());
    bytes
}

fn key_at(port: u32, bytes: &[u8]) -> FlowKey {
    extract(bytes, bytes.len(), &RxMeta::from_port(DpPort(port)))
}

fn rule(d: &mut Dice, id: u64, headers: &[Vec<u8>]) -> Rule {
    const FIELDS: [FieldId; 14] = [
        FieldId::InPort,
        FieldId::EthSrc,
        FieldId::EthDst,
        FieldId::EthType,
        FieldId::VlanVid,
        FieldId::VlanPcp,
        FieldId::IpProto,
        FieldId::IpFrag,
        FieldId::IpDscp,
        FieldId::Ipv4Src,
        FieldId::Ipv6Dst,
        FieldId::UdpDst,
        FieldId::TcpFlags,
        FieldId::ArpOp,
    ];
    let mut mask = Mask::ANY;
    for _ in 0..1 + d.below(3) {
        let field = d.of(&FIELDS);
        match field {
            FieldId::Ipv4Src => mask.require_bits(field.def(), Value::from(u32::MAX << d.below(25))),
            FieldId::UdpDst => mask.require_bits(field.def(), Value::from(u16::MAX << d.below(4))),
            field => mask.require(field),
        }
    }
    let like = key_at(1 + d.below(PORTS as usize) as u32, &headers[d.below(headers.len())]);
    let mut actions = Vec::new();
    for _ in 0..d.below(4) {
        let set =
            |field: FieldId, value: u64| DpAction::Set { field, value: Value::from(value), mask: field.def().ones() };
        actions.push(match d.below(9) {
            0 => set(FieldId::EthSrc, 0x0200_0000_0007),
            1 => set(FieldId::IpDscp, 10),
            2 => set(FieldId::Ipv4Dst, 0x0a00_0009),
            3 => set(FieldId::UdpDst, 99),
            4 => DpAction::PopVlan,
            5 => DpAction::DecTtl,
            _ => out(1 + d.below(PORTS as usize) as u32),
        });
    }
    if d.percent(85) {
        actions.push(out(1 + d.below(PORTS as usize) as u32));
    }
    Rule { id, mask, key: like.masked(&mask), actions }
}

/// What comes of a frame by these rules: what counts it, and what is sent, in order of ports.
fn read(rules: &[Rule], port: u32, bytes: &[u8]) -> (Option<Effect>, Vec<(u32, Vec<u8>)>) {
    if bytes.len() < 14 {
        return (None, Vec::new());
    }
    let key = key_at(port, bytes);
    let Some(rule) = rules.iter().find(|rule| rule.key == key.masked(&rule.mask)) else {
        return (Some(Effect::TableMiss(BridgeId(1), 0)), Vec::new());
    };
    let (mut frame, mut sent) = (FrameBuf::new(bytes), Vec::new());
    for action in &rule.actions {
        match action {
            DpAction::Output(port) => sent.push((port.0, frame.packet().to_vec())),
            change if apply(&mut frame, change) == Outcome::Expired => break,
            _ => {}
        }
    }
    sent.sort();
    (Some(Effect::Rule(RuleId(rule.id))), sent)
}

/// A slow path whose state changes when it was asked: the translation that it gives is old already.
#[derive(Default)]
struct Restless {
    inner: Arc<FakeSlowpath>,
    next: Mutex<Option<Vec<Rule>>>,
}

impl Slowpath for Restless {
    fn translate(&self, at: &Resume, key: &FlowKey) -> Translation {
        let made = self.inner.translate(at, key);
        if let Some(rules) = self.next.lock().take() {
            self.inner.set_rules(rules);
        }
        made
    }
    fn replay(&self, effects: &[Effect], hits: &Hits) {
        self.inner.replay(effects, hits);
    }
    fn take_changes(&self, changes: &mut Vec<Change>) {
        self.inner.take_changes(changes);
    }
}

/// A case of a seed; flows and marks that were hit.
fn case(seed: u64) -> [u64; 3] {
    let mut d = Dice(seed);
    let slowpath = Arc::new(Restless::default());
    let config = Config { cache_entries: d.of(&[8, 64, 8192]), ..Config::default() };
    let mut rig = Rig::with(PORTS, config, Arc::clone(&slowpath) as _, Arc::clone(&slowpath.inner));
    // A buffer holds so many bytes of a packet: its headers are split wherever that is.
    let room = 128 + d.of(&[1u16, 5, 13, 14, 15, 17, 21, 34, 39, 55]);
    let small = MempoolConfig { size: 8191, data_room: room, ..MempoolConfig::default() };
    let pieces = Mempool::new(testing::eal(), "pieces", small).unwrap();
    let frames: Vec<Vec<u8>> = (0..40).map(|_| headers(&mut d)).collect();
    let mut next_rule = 1;
    let mut rules = |d: &mut Dice| -> Vec<Rule> {
        let made = (0..4 + d.below(26)).map(|_| {
            next_rule += 1;
            rule(d, next_rule, &frames)
        });
        made.collect()
    };
    let mut present = rules(&mut d);
    rig.slowpath.set_rules(present.clone());
    rig.run();
    let (mut serial, mut counted) = (0, 0);
    let mut bounds: HashMap<Effect, (u64, u64)> = HashMap::new();
    for _ in 0..25 {
        let mut states = vec![present.clone()];
        match d.below(4) {
            0 => {
                present = rules(&mut d);
                rig.slowpath.set_rules(present.clone());
                rig.run();
                states = vec![present.clone()];
            }
            1 => {
                let changed = rules(&mut d);
                states.push(changed.clone());
                *slowpath.next.lock() = Some(changed);
            }
            _ => {}
        }
        let flows = rig.dp.dump();
        let mut sent = Vec::new();
        for _ in 0..1 + d.below(32) {
            serial += 1;
            let port = 1 + d.below(PORTS as usize) as u32;
            let at = d.below(frames.len()).min(d.below(frames.len()));
            let bytes = numbered(&mut d, &frames[at], serial, states.len() == 1);
            let pool = if d.percent(30) { &pieces } else { &rig.pool };
            let mut packet = Mbuf::from_bytes(pool, &bytes).unwrap();
            let key = key_at(port, &bytes);
            match d.below(10) {
                0 => packet.set_mark(Some(d.of(&[1, 5, 0x7f_ffff, 1 << 18 | 1]))),
                1..3 => {
                    let right = flows.iter().find(|v| v.flow.key == key.masked(&v.flow.mask));
                    packet.set_mark(right.map(|v| v.flow.mark.0));
                }
                _ => {}
            }
            let wrong = packet
                .mark()
                .is_some_and(|m| flows.iter().any(|v| v.flow.mark.0 == m && v.flow.key != key.masked(&v.flow.mask)));
            if wrong {
                packet.set_mark(None);
            }
            rig.inject_mbuf(port, packet);
            sent.push((serial, port, bytes));
        }
        while rig.poll() > 0 {}
        let mut left: Vec<(u32, Vec<u8>)> = Vec::new();
        for port in 1..=PORTS {
            left.extend(rig.collect(port).into_iter().map(|bytes| (port, bytes)));
        }
        left.sort();
        let changed = slowpath.next.lock().take().is_none();
        if !changed {
            states.truncate(1);
        }
        if let [rules] = &states[..] {
            let mut want: Vec<_> = sent.iter().flat_map(|(_, port, bytes)| read(rules, *port, bytes).1).collect();
            want.sort();
            let wrong: Vec<_> = left.iter().filter(|frame| !want.contains(frame)).collect();
            let missing: Vec<_> = want.iter().filter(|frame| !left.contains(frame)).collect();
            assert!(left == want, "seed {seed}: {wrong:02x?} left, {missing:02x?} did not");
        }
        for (number, port, bytes) in sent {
            let may: Vec<_> = states.iter().map(|rules| read(rules, port, &bytes)).collect();
            if states.len() > 1 {
                // These are not cut: their numbers are where they were.
                let of_it = |frame: &&(u32, Vec<u8>)| frame.1.ends_with(&number.to_be_bytes());
                let got: Vec<_> = left.iter().filter(of_it).cloned().collect();
                let fits = may.iter().any(|(_, want)| *want == got);
                assert!(fits, "seed {seed}: {bytes:02x?} on port {port} left as {got:02x?}, not {may:02x?}");
            }
            counted += u64::from(may[0].0.is_some());
            let effects: HashSet<&Effect> = may.iter().filter_map(|(effect, _)| effect.as_ref()).collect();
            for effect in &effects {
                let bound = bounds.entry((*effect).clone()).or_default();
                bound.0 += u64::from(effects.len() == 1);
                bound.1 += 1;
            }
        }
        present = states.pop().unwrap();
        rig.run();
        let replayed = rig.slowpath.replayed.lock().clone();
        assert_eq!(replayed.values().map(|hits| hits.packets).sum::<u64>(), counted, "seed {seed}");
        for (effect, hits) in &replayed {
            let (least, most) = bounds.get(effect).copied().unwrap_or_default();
            assert!(
                (least..=most).contains(&hits.packets),
                "seed {seed}: {effect:?} counted {hits:?}, not {least} to {most}"
            );
        }
    }
    let counters = rig.dp.counters();
    assert!(rig.pool.is_full() && pieces.is_full(), "seed {seed}: buffers did not come back");
    [counters.installed, counters.mark_hit, counters.rx]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]
    #[test]
    fn bursts_do_what_a_linear_reading_says(seed: u64) {
        case(seed);
    }
}

#[test]
fn the_cases_reach_what_they_are_for() {
    let sums = (0..20).map(case).fold([0; 3], |a: [u64; 3], b| std::array::from_fn(|i| a[i] + b[i]));
    println!("{sums:?} flows, marked packets of them, packets");
    assert!(sums[0] > 500 && sums[1] > 200 && sums[2] > 5000, "{sums:?}");
}
