//! Where a PMD's cycles go: busy and idle time, the last minute of each receive queue, and the stages of a burst.
//!
//! Time is read from the CPU's time stamp counter ([`dpdk::cycles`]). The time of each poll is measured always. Its stages are
//! measured for one burst in 16 on average; the shares found so are applied to the busy time, which is exact.

use crate::counters::Counter;
use std::sync::Arc;
use std::time::Duration;

macro_rules! stages {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// A part of the work on a burst.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum Stage { $($(#[$doc])* $variant,)* }

        impl Stage {
            /// All of them, in the order of a packet's way.
            pub const ALL: &'static [Stage] = &[$(Stage::$variant,)*];

            /// The stage's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Stage::$variant => $name,)* }
            }
        }
    };
}

stages! {
    /// Receiving the burst from the device.
    Rx = "rx",
    /// Parsing headers into keys, and hashing these.
    Extract = "extract",
    /// Looking flows up in the cache, and by mark.
    Cache = "cache",
    /// Looking flows up in the megaflow table.
    Megaflow = "megaflow",
    /// Translating by the slow path, and installing what comes of it.
    Translate = "translate",
    /// Running the actions of flows.
    Actions = "actions",
    /// Handing packets to devices.
    Tx = "tx",
}

/// Number of stages.
pub const STAGES: usize = Stage::ALL.len();

/// What a worker's clock has measured; read by others.
#[derive(Debug)]
pub(crate) struct StageTotals {
    cycles: [Counter; STAGES],
    bursts: Counter,
    packets: Counter,
}

impl Default for StageTotals {
    fn default() -> Self {
        StageTotals {
            cycles: std::array::from_fn(|_| Counter::default()),
            bursts: Counter::default(),
            packets: Counter::default(),
        }
    }
}

impl StageTotals {
    pub(crate) fn read(&self) -> StageCycles {
        StageCycles {
            cycles: std::array::from_fn(|i| self.cycles[i].get()),
            bursts: self.bursts.get(),
            packets: self.packets.get(),
        }
    }
}

/// Cycles by stage of the bursts that were measured so.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct StageCycles {
    /// By [`Stage`] number.
    pub cycles: [u64; STAGES],
    /// Bursts that were measured stage by stage, and packets in them.
    pub bursts: u64,
    pub packets: u64,
}

impl StageCycles {
    /// What was measured since `before`.
    #[must_use]
    pub fn since(&self, before: &StageCycles) -> StageCycles {
        StageCycles {
            cycles: std::array::from_fn(|i| self.cycles[i].wrapping_sub(before.cycles[i])),
            bursts: self.bursts.wrapping_sub(before.bursts),
            packets: self.packets.wrapping_sub(before.packets),
        }
    }

    /// `busy` cycles spread over the stages as those that were measured are.
    #[must_use]
    pub fn scaled_to(&self, busy: u64) -> [u64; STAGES] {
        let all: u128 = self.cycles.iter().map(|c| u128::from(*c)).sum();
        // A share of a number fits where the number did.
        self.cycles.map(|c| (u128::from(c) * u128::from(busy)).checked_div(all).unwrap_or(0) as u64)
    }
}

/// Measures stages of a burst. [`StageClock::mark`] costs one predicted branch in bursts that are not measured.
///
/// The poll loop begins and ends bursts. Between, whoever ends a stage says so: the time since the last mark is that stage's. A
/// stage may be marked many times in a burst.
#[derive(Debug)]
pub(crate) struct StageClock {
    /// Whether this burst is measured.
    sampled: bool,
    last: u64,
    /// Bursts with packets until the next that is measured.
    wait: u32,
    random: u32,
    cycles: [u64; STAGES],
    totals: Arc<StageTotals>,
}

impl StageClock {
    pub(crate) fn new(totals: Arc<StageTotals>) -> StageClock {
        StageClock { sampled: false, last: 0, wait: 0, random: 0x9e37_79b9, cycles: [0; STAGES], totals }
    }

    /// Before a burst is received. A burst that was begun and not ended (nothing was received) counts for nothing.
    #[inline(always)]
    pub(crate) fn start_burst(&mut self, now: u64) {
        self.sampled = self.wait == 0;
        if self.sampled {
            self.last = now;
            self.cycles = [0; STAGES];
        }
    }

    /// This stage ends here, for the time being.
    #[inline(always)]
    pub(crate) fn mark(&mut self, stage: Stage) {
        if self.sampled {
            self.mark_at(stage, dpdk::cycles());
        }
    }

    #[inline(always)]
    fn mark_at(&mut self, stage: Stage, now: u64) {
        self.cycles[stage as usize] += now.wrapping_sub(self.last);
        self.last = now;
    }

    /// After a burst of this many packets was sent on; what is left of its time is [`Stage::Tx`].
    #[inline(always)]
    pub(crate) fn end_burst(&mut self, now: u64, packets: usize) {
        if self.sampled {
            self.keep(now, packets);
        } else {
            self.wait = self.wait.saturating_sub(1);
        }
    }

    #[cold]
    fn keep(&mut self, now: u64, packets: usize) {
        self.mark_at(Stage::Tx, now);
        self.sampled = false;
        for (total, n) in self.totals.cycles.iter().zip(self.cycles) {
            total.add(n);
        }
        self.totals.bursts.add(1);
        self.totals.packets.add(packets as u64);
        // Xorshift: a fixed stride would meet the same queue, or the same packets of a loop, each time.
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        self.wait = self.random % 31;
    }
}

/// Intervals that usage is remembered for: a minute, as `dpif-netdev/pmd-rxq-show` of OVS.
const INTERVALS: usize = 12;

/// Length of an interval.
pub(crate) const INTERVAL: Duration = Duration::from_secs(5);

/// Cycles of the last minute, by intervals of five seconds. One writer, any reader.
#[derive(Debug)]
pub(crate) struct History {
    current: Counter,
    past: [Counter; INTERVALS],
    intervals: Counter,
}

impl Default for History {
    fn default() -> Self {
        let zero = |_| Counter::default();
        History { current: Counter::default(), past: std::array::from_fn(zero), intervals: Counter::default() }
    }
}

impl History {
    #[inline(always)]
    pub(crate) fn add(&self, cycles: u64) {
        self.current.add(cycles);
    }

    /// The interval is over.
    pub(crate) fn roll(&self) {
        let done = self.intervals.get();
        self.past[done as usize % INTERVALS].set(self.current.get());
        self.current.set(0);
        self.intervals.set(done + 1);
    }

    /// Cycles of the intervals that are over, a minute of them at most.
    pub(crate) fn last_minute(&self) -> u64 {
        self.past.iter().map(Counter::get).sum()
    }

    /// Cycles of the last `n` intervals that are over; `None` while there are fewer.
    pub(crate) fn last(&self, n: usize) -> Option<u64> {
        let done = self.intervals.get() as usize;
        let n = n.min(INTERVALS);
        (done >= n).then(|| (done - n..done).map(|i| self.past[i % INTERVALS].get()).sum())
    }
}

/// All that is measured of one PMD.
#[derive(Debug, Default)]
pub(crate) struct PmdCycles {
    /// Polls that received something, and those that did not.
    pub(crate) busy: Counter,
    pub(crate) idle: Counter,
    pub(crate) busy_history: History,
    /// Busy and idle.
    pub(crate) history: History,
    pub(crate) stages: Arc<StageTotals>,
}

impl PmdCycles {
    #[inline(always)]
    pub(crate) fn count_busy(&self, cycles: u64) {
        self.busy.add(cycles);
        self.busy_history.add(cycles);
        self.history.add(cycles);
    }

    #[inline(always)]
    pub(crate) fn count_idle(&self, cycles: u64) {
        self.idle.add(cycles);
        self.history.add(cycles);
    }

    pub(crate) fn roll(&self) {
        self.busy_history.roll();
        self.history.roll();
    }

    pub(crate) fn read(&self) -> CyclesView {
        let load = |busy: u64, all: u64| Load { busy, all };
        CyclesView {
            busy: self.busy.get(),
            idle: self.idle.get(),
            stages: self.stages.read(),
            minute: load(self.busy_history.last_minute(), self.history.last_minute()),
            recent: self.busy_history.last(RECENT).zip(self.history.last(RECENT)).map(|(busy, all)| load(busy, all)),
        }
    }
}

/// Intervals that are recent: ten seconds.
const RECENT: usize = 2;

/// Busy cycles among all of some time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    pub busy: u64,
    pub all: u64,
}

impl Load {
    /// Percent, rounded down; `None` when nothing was measured.
    #[must_use]
    pub fn percent(&self) -> Option<u64> {
        (u128::from(self.busy) * 100).checked_div(u128::from(self.all)).map(|p| p as u64)
    }
}

/// What is to be shown of a PMD's cycles.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct CyclesView {
    /// In polls that received something.
    pub busy: u64,
    /// In polls that did not, and between polls.
    pub idle: u64,
    pub stages: StageCycles,
    /// The last minute, by intervals of 5 s that are over.
    pub minute: Load,
    /// The last ten seconds of it; `None` in the first ten.
    pub recent: Option<Load>,
}

impl CyclesView {
    /// What was counted since `before`. Loads stay.
    #[must_use]
    pub fn since(&self, before: &CyclesView) -> CyclesView {
        CyclesView {
            busy: self.busy.wrapping_sub(before.busy),
            idle: self.idle.wrapping_sub(before.idle),
            stages: self.stages.since(&before.stages),
            ..*self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_of_a_measured_burst_add_up_to_its_time() {
        let totals = Arc::<StageTotals>::default();
        let mut clock = StageClock::new(Arc::clone(&totals));
        clock.start_burst(1000);
        clock.mark_at(Stage::Rx, 1100);
        clock.mark_at(Stage::Extract, 1150);
        clock.mark_at(Stage::Cache, 1170);
        clock.mark_at(Stage::Extract, 1200);
        clock.end_burst(1300, 32);
        let read = totals.read();
        assert_eq!((read.bursts, read.packets), (1, 32));
        assert_eq!(read.cycles.iter().sum::<u64>(), 300);
        assert_eq!(read.cycles[Stage::Extract as usize], 80);
        assert_eq!(read.cycles[Stage::Tx as usize], 100);
        assert_eq!(read.scaled_to(3000)[Stage::Rx as usize], 1000);
        assert_eq!(read.scaled_to(3000).iter().sum::<u64>(), 3000);
        assert_eq!(StageCycles::default().scaled_to(3000), [0; STAGES]);
    }

    #[test]
    fn one_burst_in_sixteen_is_measured_and_empty_ones_never() {
        let totals = Arc::<StageTotals>::default();
        let mut clock = StageClock::new(Arc::clone(&totals));
        for burst in 0..160_000u64 {
            clock.start_burst(burst * 100);
            if burst % 2 == 0 {
                continue;
            }
            clock.mark(Stage::Rx);
            clock.end_burst(burst * 100 + 50, 1);
        }
        let read = totals.read();
        assert!((4_500..5_500).contains(&read.bursts), "{} of 80,000", read.bursts);
        assert_eq!(read.packets, read.bursts);
    }

    #[test]
    fn no_queue_of_a_round_is_missed_by_the_samples() {
        let totals = Arc::<StageTotals>::default();
        let mut clock = StageClock::new(totals);
        let mut by_queue = [0; 16];
        for burst in 0..160_000 {
            clock.start_burst(0);
            by_queue[burst % 16] += u32::from(clock.sampled);
            clock.end_burst(0, 1);
        }
        assert!(by_queue.iter().all(|n| (500..800).contains(n)), "{by_queue:?}");
    }

    #[test]
    fn a_minute_is_remembered() {
        let history = History::default();
        history.add(7);
        assert_eq!((history.last_minute(), history.last(1)), (0, None));
        for i in 1..=12 {
            history.add(i);
            history.roll();
        }
        assert_eq!(history.last_minute(), 7 + 78);
        assert_eq!(history.last(2), Some(23));
        history.roll();
        assert_eq!((history.last_minute(), history.last(2), history.last(12)), (77, Some(12), Some(77)));
    }
}
