//! Changes under load: after the fence no packet meets the old state, and no hit is lost or counted twice.

use super::*;
use flow::{FieldId, Value};
use std::sync::atomic::{AtomicBool, AtomicU64};
use std::time::Instant;

/// State is a version number, which it writes into every packet's source address, and when the packet comes again into its
/// destination address. Translating takes a while.
#[derive(Debug, Default)]
struct Versioned {
    version: AtomicU64,
    changes: Mutex<Vec<Dep>>,
    replayed: AtomicU64,
}

impl Slowpath for Versioned {
    fn translate(&self, _: &Resume, key: &FlowKey) -> Translation {
        let version = self.version.load(Ordering::SeqCst);
        // The state may change between reading it and the install.
        for _ in 0..u32::from(key.tp_dst.get()) % 7 * 40 {
            std::hint::spin_loop();
        }
        let mut mask = Mask::ANY;
        mask.require(FieldId::UdpDst);
        let (field, then) = match key.recirc_id.get() {
            0 => (FieldId::EthSrc, DpAction::Recirc(RecircId(1))),
            _ => (FieldId::EthDst, out(2)),
        };
        let set = DpAction::Set { field, value: Value(u128::from(version)), mask: field.def().ones() };
        Translation {
            mask,
            actions: [set, then].into_iter().collect(),
            deps: [TABLE].into_iter().collect(),
            written: None,
            effects: [Effect::Rule(RuleId(1))].into_iter().collect(),
            // Flows change in place mostly, and go now and then.
            cacheable: if version % 4 == 3 { Cacheable::No } else { Cacheable::Yes },
        }
    }

    fn replay(&self, _: &[Effect], hits: &Hits) {
        self.replayed.fetch_add(hits.packets, Ordering::SeqCst);
    }

    fn take_changes(&self, changes: &mut Vec<Change>) {
        changes.extend(self.changes.lock().drain(..).map(Change::from));
    }
}

#[test]
fn after_the_fence_no_packet_meets_a_stale_flow() {
    let slowpath = Arc::new(Versioned::default());
    let mut rig = Rig::with(2, Config::default(), Arc::clone(&slowpath) as _, Arc::default());
    let fenced = Arc::new(AtomicU64::new(0));
    let stop = Arc::new(AtomicBool::new(false));
    let thread = rig.pmd.spawn(testing::eal(), crate::PmdConfig::default()).unwrap();

    // Someone else revalidates and sweeps all the time.
    let sweeper = std::thread::spawn({
        let (revalidator, clock, stop) = (rig.revalidator.clone(), Arc::clone(&rig.clock), Arc::clone(&stop));
        move || {
            while !stop.load(Ordering::Relaxed) {
                revalidator.run(clock.now());
                std::thread::sleep(Duration::from_micros(300));
            }
        }
    });
    let changer = std::thread::spawn({
        let (slowpath, revalidator) = (Arc::clone(&slowpath), rig.revalidator.clone());
        let (fenced, stop) = (Arc::clone(&fenced), Arc::clone(&stop));
        move || {
            let mut changes = 0;
            while !stop.load(Ordering::Relaxed) {
                let version = slowpath.version.fetch_add(1, Ordering::SeqCst) + 1;
                slowpath.changes.lock().push(TABLE);
                assert_eq!(revalidator.barrier(Duration::from_secs(20)), WorkerFence::Fenced);
                fenced.store(version, Ordering::SeqCst);
                changes += 1;
                std::thread::sleep(Duration::from_micros(200));
            }
            changes
        }
    });

    // Each frame carries the version that was fenced before it was sent.
    let (mut sent, mut seen, mut ran_ahead) = (0u64, 0u64, 0u64);
    let start = Instant::now();
    let mut serial = 0u16;
    let mut check = |rig: &mut Rig| {
        for bytes in rig.collect(2) {
            let stamp = u64::from_be_bytes(bytes[42..50].try_into().unwrap());
            let at = |i: usize| bytes[i..i + 6].iter().fold(0, |v, b| v << 8 | u64::from(*b));
            let used = at(6).min(at(0));
            assert!(used >= stamp, "a packet received after fence {stamp} met state {used}");
            ran_ahead += u64::from(used > stamp);
            seen += 1;
        }
        (seen, ran_ahead)
    };
    while start.elapsed() < Duration::from_millis(1500) {
        for _ in 0..20 {
            serial = serial.wrapping_add(1);
            let mut bytes = frame(1, 2, serial % 16, 8);
            bytes[42..50].copy_from_slice(&fenced.load(Ordering::SeqCst).to_be_bytes());
            rig.inject(1, &bytes);
            sent += 1;
        }
        // As many as the rings hold at most, so that none is dropped.
        while rig.dp.counters().tx < sent {
            assert!(start.elapsed() < Duration::from_secs(60), "{:?}", rig.dp.counters());
            std::thread::yield_now();
        }
        check(&mut rig);
    }
    stop.store(true, Ordering::Relaxed);
    let changes: u64 = changer.join().unwrap();
    sweeper.join().unwrap();
    drop(thread);
    let (seen, _) = check(&mut rig);
    assert_eq!(seen, sent);
    rig.run();
    assert_eq!(slowpath.replayed.load(Ordering::SeqCst), 2 * sent, "each packet's effects exactly once a pass");
    let counters = rig.dp.counters();
    assert!(counters.is_balanced());
    let totals = rig.dp.revalidation_totals();
    assert!(
        changes > 20 && totals.changed > 100 && totals.removed > 100 && counters.cache_hit > 0,
        "{changes} {totals:?} {counters:?}"
    );
    assert_eq!(counters.installed, totals.removed + totals.expired + rig.dp.flow_count() as u64);
    // All marks come back.
    for _ in 0..3 {
        rig.poll();
        rig.run();
    }
    assert_eq!(rig.dp.marks_waiting(), 0);
}
