//! Meters on a virtual clock: what passes is what the documents say, whatever the packets are like.

use super::*;
use flow::clock::Time;
use flow::dp::{MeterId, Meters, Verdict};
use flow::meter::{Band, BandKind, MeterSpec, MeterUnit};
use proptest::prelude::*;
use std::sync::atomic::AtomicU64;
use std::sync::atomic::Ordering::SeqCst;

const MS: u64 = 1_000_000;

/// A table with one meter, of that number.
fn one(unit: MeterUnit, bands: &[Band]) -> (MeterTable, MeterId) {
    let (table, id) = (MeterTable::default(), MeterId(0));
    table.put(id, spec(unit, bands), Time(0)).unwrap();
    (table, id)
}

fn band(rate: u32, burst_size: u32) -> Band {
    Band { kind: BandKind::Drop, rate, burst_size }
}

fn spec(unit: MeterUnit, bands: &[Band]) -> MeterSpec {
    let burst = bands.iter().any(|b| b.burst_size != 0);
    MeterSpec { id: 1, unit, burst, stats: true, bands: bands.to_vec() }
}

/// How packets come.
#[derive(Clone, Copy, Debug)]
enum Arrival {
    /// Evenly.
    Constant,
    /// So many at once.
    Bursts(u32),
    /// With exponential gaps.
    Random,
    /// Evenly at twice the rate for so many milliseconds, then as long nothing.
    OnOff(u64),
}

/// Packets of `size` bytes at `kbps` on average.
struct Source {
    at: u64,
    size: u32,
    kbps: u64,
    arrival: Arrival,
    /// Packets of the present burst that are left.
    left: u32,
    seed: u64,
}

impl Source {
    fn new(kbps: u64, size: u32, arrival: Arrival) -> Source {
        Source { at: 0, size, kbps, arrival, left: 0, seed: 1 }
    }

    /// When the next packet comes.
    fn next(&mut self) -> Time {
        let gap = u64::from(self.size) * 8 * MS / self.kbps;
        match self.arrival {
            Arrival::Constant => self.at += gap,
            Arrival::Bursts(n) => {
                if self.left == 0 {
                    self.left = n;
                    self.at += gap * u64::from(n);
                }
                self.left -= 1;
            }
            Arrival::Random => {
                self.seed = self.seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                let uniform = ((self.seed >> 11) as f64 + 1.0) / (1u64 << 53) as f64;
                self.at += (-uniform.ln() * gap as f64) as u64;
            }
            Arrival::OnOff(ms) => {
                self.at += gap / 2;
                if self.at / (ms * MS) % 2 == 1 {
                    self.at += ms * MS;
                }
            }
        }
        Time(self.at)
    }
}

/// Kilobits a second that pass in each of the next `seconds` seconds.
fn drive(table: &MeterTable, id: MeterId, source: &mut Source, seconds: u64) -> Vec<u64> {
    let start = source.at;
    let mut passed = vec![0u64; seconds as usize];
    loop {
        let now = source.next();
        let Some(bits) = passed.get_mut(((now.0 - start) / 1_000_000_000) as usize) else { break };
        if table.police(id, now, source.size) == Verdict::Pass {
            *bits += u64::from(source.size) * 8;
        }
    }
    passed.into_iter().map(|bits| bits / 1000).collect()
}

fn mean(seconds: &[u64]) -> u64 {
    seconds.iter().sum::<u64>() / seconds.len() as u64
}

#[track_caller]
fn assert_near(got: u64, want: u64, percent: u64, what: impl std::fmt::Debug) {
    assert!(got.abs_diff(want) * 100 <= want * percent, "{got} kbit/s instead of {want}: {what:?}");
}

const SIZES: [u32; 4] = [64, 300, 594, 1514];
const ARRIVALS: [Arrival; 6] = [
    Arrival::Constant,
    Arrival::Bursts(32),
    Arrival::Bursts(7),
    Arrival::Random,
    Arrival::OnOff(10),
    Arrival::OnOff(37),
];

/// One band of 5 Mbit/s lets 5 of 10 through; a burst size of 5000 kbit lets 10 of 15 through in the first second.
#[test]
fn one_band_polices_to_its_rate_after_its_burst() {
    for size in SIZES {
        for arrival in ARRIVALS {
            for (bands, offered) in [([band(5000, 0)], 10_000), ([band(5000, 5000)], 15_000)] {
                let (table, id) = one(MeterUnit::Kbps, &bands);
                let seconds = drive(&table, id, &mut Source::new(offered, size, arrival), 20);
                // As fine as a burst of packets is.
                assert_near(seconds[0], offered.min(10_000), 5, (size, arrival));
                assert_near(mean(&seconds[2..]), 5000, 1, (size, arrival));
                // iperf's mean over all of its time.
                assert_near(mean(&seconds), 5250, 1, (size, arrival));
            }
        }
    }
}

/// Of 15 Mbit/s 12 pass, of 8 pass 5, and of 3 all: the band with the highest rate below the measured one acts.
#[test]
fn the_highest_band_below_the_measured_rate_acts() {
    for size in SIZES {
        for arrival in ARRIVALS {
            for bands in [
                [band(5000, 0), band(12_000, 0)],
                [band(12_000, 0), band(5000, 0)],
                [band(5000, 500), band(12_000, 1200)],
            ] {
                for (offered, want) in [(15_000, 12_000), (8000, 5000), (3000, 3000), (40_000, 12_000)] {
                    let (table, id) = one(MeterUnit::Kbps, &bands);
                    let seconds = drive(&table, id, &mut Source::new(offered, size, arrival), 12);
                    assert_near(mean(&seconds[5..]), want, 3, (size, arrival, &bands, offered, &seconds));
                }
            }
        }
    }
}

/// When the offered rate changes, the other band takes over within a fraction of a second.
#[test]
fn bands_take_over_as_the_rate_changes() {
    for size in SIZES {
        for arrival in ARRIVALS {
            let (table, id) = one(MeterUnit::Kbps, &[band(5000, 0), band(12_000, 0)]);
            let mut source = Source::new(15_000, size, arrival);
            drive(&table, id, &mut source, 6);
            for (offered, want) in [(8000, 5000), (15_000, 12_000), (8000, 5000)] {
                source.kbps = offered;
                let seconds = drive(&table, id, &mut source, 8);
                // The 12 Mbit/s band had tokens left while the other acted.
                let settled = if want == 5000 { 1 } else { 5 };
                assert_near(mean(&seconds[settled..]), want, 3, (size, arrival, offered, &seconds));
            }
        }
    }
}

#[test]
fn packets_a_second_count_packets_of_any_size() {
    for size in SIZES {
        let (table, id) = one(MeterUnit::Pktps, &[band(100, 20)]);
        let pass = |ms: u64| table.police(id, Time(ms * MS), size) == Verdict::Pass;
        assert_eq!((0..50).filter(|_| pass(0)).count(), 20);
        assert_eq!((1..=1000).filter(|ms| pass(*ms)).count(), 100);
        // Slow rates too: two packets of twelve, over 3.2 seconds at one a second.
        let (table, slow) = one(MeterUnit::Pktps, &[band(1, 0)]);
        let passed = (0..12).filter(|i| table.police(slow, Time(i * 100 * MS), size) == Verdict::Pass).count();
        assert_eq!(passed, 2);
        let stats = table.stats(slow, Time(3200 * MS)).unwrap();
        assert_eq!((stats.packets_in, stats.bytes_in), (12, 12 * u64::from(size)));
        assert_eq!(stats.bands, [BandStats { packets: 10, bytes: 10 * u64::from(size) }]);
        assert_eq!(stats.duration.as_millis(), 3200);
    }
}

/// Two bands of packets a second, at rates so low that windows are a second long.
#[test]
fn bands_of_few_packets_a_second_are_told_apart() {
    for (every_ms, want) in [(50, 12), (125, 5), (400, 3)] {
        let (table, id) = one(MeterUnit::Pktps, &[band(5, 0), band(12, 0)]);
        let pass = |i: u64| table.police(id, Time(i * every_ms * MS), 100) == Verdict::Pass;
        let (from, to) = (10_000 / every_ms, 60_000 / every_ms);
        for i in 0..from {
            pass(i);
        }
        let passed = (from..to).filter(|i| pass(*i)).count() as u64;
        assert!(
            passed.abs_diff(want * 50) <= want * 2 || want == 3 && passed == to - from,
            "{passed} at {every_ms} ms"
        );
    }
}

#[test]
fn a_remark_band_marks_what_exceeds_it_and_counts_it() {
    let remark = Band { kind: BandKind::DscpRemark { prec_level: 2 }, rate: 10, burst_size: 0 };
    let (table, id) = one(MeterUnit::Pktps, &[remark]);
    let verdicts: Vec<_> = (0..12).map(|_| table.police(id, Time(0), 100)).collect();
    assert_eq!(verdicts[..10], [Verdict::Pass; 10]);
    assert_eq!(verdicts[10..], [Verdict::Remark { by: 2 }; 2]);
    assert_eq!(table.stats(id, Time(0)).unwrap().bands, [BandStats { packets: 2, bytes: 200 }]);
}

#[test]
fn a_change_keeps_what_was_counted_and_fills_the_buckets() {
    let (table, id) = one(MeterUnit::Pktps, &[band(1, 0), band(3, 0)]);
    table.set_flow_count(id, 7);
    for _ in 0..5 {
        table.police(id, Time(0), 100);
    }
    table.put(id, spec(MeterUnit::Pktps, &[band(1, 0), band(4, 0), band(9, 0)]), Time(MS)).unwrap();
    let stats = table.stats(id, Time(2 * MS)).unwrap();
    assert_eq!((stats.flow_count, stats.packets_in, stats.bytes_in, stats.duration.as_millis()), (7, 5, 500, 2));
    assert_eq!(stats.bands, [BandStats { packets: 4, bytes: 400 }, BandStats::default(), BandStats::default()]);
    assert_eq!(table.police(id, Time(2 * MS), 100), Verdict::Pass);
    assert_eq!(table.spec(id).unwrap().bands.len(), 3);
}

#[test]
fn meters_that_are_not_there_pass_and_impossible_ones_are_refused() {
    let table = MeterTable::default();
    let one = spec(MeterUnit::Kbps, &[band(1, 0)]);
    let ids = [MeterId(3), MeterId(0), MeterId(40)];
    for id in ids {
        table.put(id, one.clone(), Time(0)).unwrap();
    }
    assert!(table.remove(ids[1]) && !table.remove(ids[1]) && !table.remove(MeterId(2)));
    for id in [ids[1], MeterId(2), MeterId(99)] {
        assert_eq!(table.police(id, Time(0), 9000), Verdict::Pass);
        assert!(table.spec(id).is_none() && table.stats(id, Time(0)).is_none());
    }
    assert_eq!(table.police(ids[0], Time(0), 9000), Verdict::Drop);
    table.put(ids[1], one.clone(), Time(5 * MS)).unwrap();
    assert_eq!(
        table.stats(ids[1], Time(5 * MS)).unwrap(),
        MeterStats { bands: vec![BandStats::default()], ..Default::default() }
    );

    let zero = spec(MeterUnit::Kbps, &[band(7, 0), band(0, 0)]);
    assert_eq!(table.put(ids[0], zero, Time(0)), Err(MeterError::ZeroRate { meter: 1, band: 1 }));
    let many = spec(MeterUnit::Kbps, &[band(1, 0); 9]);
    assert_eq!(table.put(ids[0], many, Time(0)), Err(MeterError::TooManyBands { meter: 1, bands: 9 }));
    let beyond = table.put(MeterId(MAX_METERS as u32), one.clone(), Time(0));
    assert_eq!(beyond, Err(MeterError::TooManyMeters { meter: 1 }));
    assert_eq!(table.spec(ids[0]), Some(one));
}

/// Any number of threads at any time get no more than one would: what passes is within burst + rate * time, and close to it.
#[test]
fn threads_share_a_meter_without_gaining_or_losing() {
    const THREADS: u64 = 3;
    for bands in [vec![band(80_000, 800)], vec![band(20_000, 200), band(80_000, 800)]] {
        let (table, id) = one(MeterUnit::Kbps, &bands);
        // Three times 100 Mbit/s, in steps of a burst; threads run apart by what the scheduler makes of it, but less than 2 ms
        // of virtual time.
        let steps: Vec<_> = (0..THREADS).map(|_| AtomicU64::new(0)).collect();
        let run = |me: usize| {
            let (table, steps) = (&table, &steps);
            move || {
                let (mut all, mut settled) = (0u64, 0u64);
                for step in 0..1500u64 {
                    while steps.iter().any(|s| s.load(SeqCst) + 2 < step) {
                        std::thread::yield_now();
                    }
                    let pass = |_: &u32| table.police(id, Time(step * MS), 500) == Verdict::Pass;
                    let passed = (0..25).filter(pass).count() as u64;
                    all += passed;
                    settled += if step < 500 { 0 } else { passed };
                    steps[me].store(step, SeqCst);
                }
                steps[me].store(u64::MAX / 2, SeqCst);
                (all, settled)
            }
        };
        let (all, settled) = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..THREADS as usize).map(|me| scope.spawn(run(me))).collect();
            threads.into_iter().map(|t| t.join().unwrap()).fold((0, 0), |a, b| (a.0 + b.0, a.1 + b.1))
        });
        // Packets of 4000 bits: 20,000 a second and a burst of 200.
        assert!((19_800..=20_240).contains(&settled), "{settled}");
        assert!(all <= 30_240, "{all}");
        let stats = table.stats(id, Time(0)).unwrap();
        assert_eq!(stats.packets_in, THREADS * 25 * 1500);
        let dropped: u64 = stats.bands.iter().map(|b| b.packets).sum();
        assert_eq!(dropped + all, stats.packets_in);
    }
}

/// A bucket counted in exact integers of 128 bits.
struct Exact {
    tokens: u128,
    full: u128,
    per_ns: u128,
    at: u64,
}

impl Exact {
    fn take(&mut self, now: u64, cost: u128) -> bool {
        self.tokens = (self.tokens + u128::from(now - self.at) * self.per_ns).min(self.full);
        self.at = now;
        let there = self.tokens >= cost;
        self.tokens -= if there { cost } else { 0 };
        there
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// One band is an exact token bucket, but for a packet's worth of rounding.
    #[test]
    fn one_band_is_a_token_bucket(
        rate in prop_oneof![1u32..100, 1u32..10_000_000],
        burst in prop_oneof![Just(0u32), 1u32..1_000_000],
        packets in prop_oneof![Just(false), Just(true)],
        steps in prop::collection::vec((0u64..5_000_000, 60u32..2000), 1..400),
    ) {
        let unit = if packets { MeterUnit::Pktps } else { MeterUnit::Kbps };
        let (table, id) = one(unit, &[band(rate, burst)]);
        // Tokens in 10^-9 packets, or 10^-6 bits.
        let deep = u128::from(if burst == 0 { rate } else { burst }) * 1_000_000_000;
        let mut exact = Exact { tokens: deep, full: deep, per_ns: u128::from(rate), at: 0 };
        let (mut now, mut got, mut want) = (0, 0u64, 0u64);
        for (gap, bytes) in steps {
            now += gap;
            let cost = if packets { 1_000_000_000 } else { u128::from(bytes) * 8 * 1_000_000 };
            let size = if packets { 1 } else { u64::from(bytes) };
            want += size * u64::from(exact.take(now, cost));
            got += size * u64::from(table.police(id, Time(now), bytes) == Verdict::Pass);
            prop_assert!(got.abs_diff(want) <= if packets { 1 } else { 2000 }, "{} instead of {}", got, want);
        }
    }
}
