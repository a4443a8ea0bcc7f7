//! How much of a PMD's time misses may take: established flows go on while another queue sends only new ones.
//!
//! A miss costs some twenty times what a hit costs, so a queue of new flows would take nearly all time of its PMD and
//! leave the other queues to overflow. So misses are paid from buckets of cycles while another queue of the PMD is
//! *backlogged*: its last burst was full, and not mostly misses. The buckets fill with 1/16 of the time, all
//! together.
//! - A *storming* queue (three in four packets were misses) is not polled until the PMD's bucket holds a burst of misses, and until
//!   no other one has waited longer. What it received stays in the device; the switch loses nothing.
//! - Other queues with misses are polled, each with a bucket of its own. Hits go through; misses that the bucket does not hold are
//!   dropped under [`DropReason::MissBudget`](flow::dp::DropReason).
//!
//! Without a backlog elsewhere new flows get all the time there is. As long as another queue forwards at all, one storming queue
//! is polled a round, so that what waits elsewhere does not overflow meanwhile.
//!
//! Nothing here reads a clock: cycles and time are handed in.

use dpdk::BURST;
use flow::clock::Time;
use std::time::Duration;

/// The part of a PMD's time that misses get under contention.
const SHARE: i64 = 16;

/// A queue is alive so long after it received packets that were not mostly misses.
const ALIVE: Duration = Duration::from_millis(1);

/// First guesses of what a packet costs, in cycles.
const HIT_COST: u64 = 200;
const MISS_COST: u64 = 5_000;

/// What packets cost on a PMD of late, in cycles, and the bucket of its storming queues.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Costs {
    hit: u64,
    miss: u64,
    bucket: Bucket,
}

impl Default for Costs {
    fn default() -> Self {
        Costs { hit: HIT_COST, miss: MISS_COST, bucket: Bucket::default() }
    }
}

/// Cycles that misses may take.
#[derive(Clone, Copy, Debug, Default)]
struct Bucket {
    tokens: i64,
    /// Up to when it was filled.
    filled: u64,
}

impl Bucket {
    /// Fill it with one cycle in `share` up to now.
    fn fill(&mut self, cycles: u64, share: i64, full: i64) {
        let passed = i64::try_from(cycles.wrapping_sub(self.filled)).unwrap_or(i64::MAX);
        self.tokens = self.tokens.saturating_add(passed / share).min(full);
        self.filled = cycles;
    }

    /// It holds so much from now on.
    fn set(&mut self, cycles: u64, tokens: i64) {
        *self = Bucket { tokens, filled: cycles };
    }

    fn pay(&mut self, price: u64) {
        self.tokens = self.tokens.saturating_sub(i64::try_from(price).unwrap_or(i64::MAX));
    }
}

impl Costs {
    fn learn(&mut self, spent: u64, packets: u64, misses: u64) {
        let mean = |old: &mut u64, new: u64| *old = (*old * 7 + new) / 8;
        if misses == 0 {
            mean(&mut self.hit, spent / packets.max(1));
        } else {
            let price = self.of_misses(spent, packets, misses);
            mean(&mut self.miss, price / misses);
        }
    }

    /// What the misses of a burst have cost.
    fn of_misses(&self, spent: u64, packets: u64, misses: u64) -> u64 {
        let hits = packets.saturating_sub(misses);
        if misses == 0 { 0 } else { spent.saturating_sub(hits.saturating_mul(self.hit)) }
    }

    /// The most that a bucket holds: a burst of misses.
    fn full(&self) -> i64 {
        i64::try_from(self.miss.saturating_mul(BURST as u64)).unwrap_or(i64::MAX)
    }
}

/// What a queue may do in this round.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Turn {
    /// It is polled, and so many misses are translated.
    Poll { misses: u32 },
    /// It waits.
    Skip,
}

/// Without any limit.
pub(crate) const UNLIMITED: Turn = Turn::Poll { misses: u32::MAX };

/// What is going on at the other queues of a PMD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Others {
    /// One of them forwards, and more waits in it than a burst.
    pub(crate) backlogged: bool,
    /// One of them forwards.
    pub(crate) alive: bool,
    /// Those that miss now and then.
    pub(crate) mixed: u32,
    /// The most rounds that a storming one of them has waited; `None`: no other one storms.
    pub(crate) waited: Option<u32>,
    /// A storming queue was polled in this round already.
    pub(crate) stormed: bool,
}

impl Others {
    /// Add another queue of the PMD.
    pub(crate) fn add(&mut self, other: &Budget, now: Time) {
        self.backlogged |= other.backlogged;
        self.alive |= other.useful.is_some_and(|then| now.since(then) <= ALIVE);
        if other.storming {
            self.waited = self.waited.max(Some(other.waited));
        } else {
            self.mixed += u32::from(other.missing);
        }
    }
}

/// The budget of one receive queue.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Budget {
    /// For misses between hits.
    bucket: Bucket,
    /// The last burst with packets had misses.
    missing: bool,
    /// Three in four of its packets were misses.
    storming: bool,
    /// It was full and forwarded.
    backlogged: bool,
    /// When packets were last received that were not mostly misses.
    useful: Option<Time>,
    /// Rounds since it was polled.
    waited: u32,
}

impl Budget {
    /// Whether the last burst with packets had misses; otherwise there is nothing to limit.
    #[inline(always)]
    pub(crate) fn is_missing(&self) -> bool {
        self.missing
    }

    #[inline(always)]
    pub(crate) fn is_storming(&self) -> bool {
        self.storming
    }

    /// What this queue may do now. Asked only where [`Budget::is_missing`]; `cycles` are
    /// those that the PMD spent in polls so far.
    pub(crate) fn turn(&mut self, cycles: u64, others: Others, costs: &mut Costs) -> Turn {
        if !self.storming {
            return self.mixed_turn(cycles, others, costs);
        }
        let full = costs.full();
        let (share, bucket) = (SHARE * if others.mixed > 0 { 2 } else { 1 }, &mut costs.bucket);
        bucket.fill(cycles, share, full);
        let its_turn = others.waited.is_none_or(|longest| self.waited >= longest);
        let paid = if others.backlogged {
            bucket.tokens >= full && its_turn
        } else {
            // What others begin to wait for has had its time.
            bucket.set(cycles, 0);
            !others.alive || its_turn
        };
        if !paid || others.alive && others.stormed {
            self.waited = self.waited.saturating_add(1);
            return Turn::Skip;
        }
        UNLIMITED
    }

    fn mixed_turn(&mut self, cycles: u64, others: Others, costs: &Costs) -> Turn {
        if !others.backlogged {
            self.bucket.set(cycles, costs.full());
            return UNLIMITED;
        }
        let sharing = i64::from(others.mixed) + 1 + i64::from(others.waited.is_some());
        self.bucket.fill(cycles, SHARE * sharing, costs.full());
        let misses = self.bucket.tokens.max(0) / i64::try_from(costs.miss.max(1)).unwrap_or(i64::MAX);
        Turn::Poll { misses: u32::try_from(misses).unwrap_or(u32::MAX) }
    }

    /// A burst took `spent` cycles: `misses` of it were translated, `refused` dropped because of the budget.
    #[inline]
    pub(crate) fn account(&mut self, burst: Burst, now: Time, costs: &mut Costs) {
        let Burst { spent, packets, misses, refused } = burst;
        self.waited = 0;
        if packets == 0 {
            self.backlogged = false;
            return;
        }
        let price = costs.of_misses(spent, packets, misses);
        if self.storming {
            costs.bucket.pay(price)
        } else {
            self.bucket.pay(price)
        }
        let missed = misses + refused;
        self.missing = missed > 0;
        self.storming = missed * 4 >= packets * 3;
        self.backlogged = !self.storming && packets + 8 > BURST as u64;
        if !self.storming {
            self.useful = Some(now);
        }
        if refused == 0 {
            costs.learn(spent, packets, misses);
        }
    }
}

/// What a burst was.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Burst {
    pub(crate) spent: u64,
    pub(crate) packets: u64,
    /// Translations, those of later passes included.
    pub(crate) misses: u64,
    pub(crate) refused: u64,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A PMD on a virtual cycle counter: hits cost 100 cycles, misses 5,000.
    struct Pmd {
        queues: Vec<Queue>,
        costs: Costs,
        cycles: u64,
    }

    #[derive(Default)]
    struct Queue {
        budget: Budget,
        /// Misses in a burst of 32, packets in each burst at most, and packets that arrive in a million cycles.
        misses: u64,
        rate: Option<u64>,
        waiting: u64,
        most: u64,
        spent: u64,
        packets: u64,
        dropped: u64,
        skipped: u64,
    }

    fn queue(misses: u64, rate: Option<u64>) -> Queue {
        Queue { misses, rate, ..Queue::default() }
    }

    impl Pmd {
        fn new(queues: Vec<Queue>) -> Pmd {
            Pmd { queues, costs: Costs::default(), cycles: 1_000_000 }
        }

        fn now(&self) -> Time {
            Time(self.cycles / 2)
        }

        fn others(&self, at: usize, stormed: bool) -> Others {
            let mut others = Others { stormed, ..Others::default() };
            for (_, queue) in self.queues.iter().enumerate().filter(|(i, _)| *i != at) {
                others.add(&queue.budget, self.now());
            }
            others
        }

        fn run(&mut self, cycles: u64) {
            let end = self.cycles + cycles;
            while self.cycles < end {
                let elapsed = self.cycles - 1_000_000;
                for queue in &mut self.queues {
                    let so_far = queue.rate.map(|rate| rate * elapsed / 1_000_000);
                    queue.waiting = so_far.map_or(32, |n| n - queue.packets);
                    queue.most = queue.most.max(queue.waiting);
                }
                let mut stormed = false;
                self.cycles += 100;
                for i in 0..self.queues.len() {
                    let others = self.others(i, stormed);
                    let (now, cycles) = (self.now(), self.cycles);
                    let queue = &mut self.queues[i];
                    let turn = if queue.budget.is_missing() {
                        queue.budget.turn(cycles, others, &mut self.costs)
                    } else {
                        UNLIMITED
                    };
                    let Turn::Poll { misses: allowed } = turn else {
                        queue.skipped += 1;
                        continue;
                    };
                    stormed |= queue.budget.is_storming();
                    let packets = queue.waiting.min(32);
                    let wanted = queue.misses * packets / 32;
                    let misses = wanted.min(u64::from(allowed));
                    let spent = (packets - wanted) * 100 + misses * 5_000 + (wanted - misses) * 150 + 60;
                    queue.dropped += wanted - misses;
                    queue.packets += packets;
                    queue.spent += spent;
                    let burst = Burst { spent, packets, misses, refused: wanted - misses };
                    queue.budget.account(burst, now, &mut self.costs);
                    self.cycles += spent;
                }
            }
        }
    }

    const RUN: u64 = 1_000_000_000;

    #[test]
    fn established_flows_keep_nine_tenths_beside_storms_of_new_ones() {
        for storms in 1..=8 {
            let mut alone = Pmd::new(vec![queue(0, None)]);
            alone.run(RUN);
            let mut beside = Pmd::new(vec![queue(0, None)]);
            beside.queues.extend((0..storms).map(|_| queue(32, None)));
            beside.run(RUN);
            let (alone, kept) = (alone.queues[0].packets, beside.queues[0].packets);
            assert!(kept * 100 >= alone * 90, "{storms} storms: {kept} of {alone}");
            let least = beside.queues[1..].iter().map(|q| q.packets).min();
            for storm in &beside.queues[1..] {
                assert!(storm.packets > 0 && Some(storm.packets) <= least.map(|n| n + 64), "in turn");
                assert!(storm.packets > 0 && storm.dropped == 0, "they wait, but do not starve, and lose nothing");
            }
            let stormed: u64 = beside.queues[1..].iter().map(|q| q.spent).sum();
            assert!(stormed * 100 >= RUN * 4, "{storms} storms got {stormed} of {RUN}");
        }
    }

    #[test]
    fn misses_among_hits_are_dropped_beyond_the_budget_and_hits_are_not() {
        let mut pmd = Pmd::new(vec![queue(0, None), queue(16, None)]);
        pmd.run(RUN);
        let [established, mixed] = &pmd.queues[..] else { panic!() };
        assert!(mixed.dropped > 0 && mixed.skipped == 0);
        // Both are polled in turn, with 32 packets each.
        assert!(mixed.packets.abs_diff(established.packets) <= 64);
        let translated = mixed.packets / 2 - mixed.dropped;
        assert!((RUN / 25..RUN / 12).contains(&(translated * 5_000)), "{translated} translated");
    }

    #[test]
    fn without_a_backlog_elsewhere_nothing_is_limited() {
        let mut storm = Pmd::new(vec![queue(32, None)]);
        storm.run(RUN);
        assert_eq!((storm.queues[0].skipped, storm.queues[0].dropped), (0, 0));
        assert!(storm.queues[0].spent * 100 >= RUN * 99);
        // 1,000 packets in a million cycles need a tenth of the time: the storm gets nearly all the rest.
        let mut shared = Pmd::new(vec![queue(0, Some(1_000)), queue(32, None)]);
        shared.run(RUN);
        let [light, storm] = &shared.queues[..] else { panic!() };
        assert!(light.packets >= RUN / 1_000 - 1_000, "{}", light.packets);
        assert!(storm.spent * 100 >= RUN * 75, "{} of {RUN}", storm.spent);
    }

    #[test]
    fn what_waits_beside_many_storms_stays_bounded() {
        let mut pmd = Pmd::new(vec![queue(0, Some(3_000))]);
        pmd.queues.extend((0..8).map(|_| queue(32, None)));
        pmd.run(RUN);
        // One storming burst takes 160,000 cycles, in which 480 packets arrive; the first round knows no storm yet.
        pmd.queues[0].most = 0;
        pmd.run(RUN);
        assert!(pmd.queues[0].most <= 1024, "{}", pmd.queues[0].most);
        assert!(pmd.queues[0].packets >= 2 * 3_000 * 990, "{}", pmd.queues[0].packets);
        let storms = || pmd.queues[1..].iter().map(|q| q.packets);
        assert!(storms().max() <= storms().min().map(|least| least + 64), "{:?}", storms().collect::<Vec<_>>());
    }

    #[test]
    fn two_storms_do_not_limit_each_other() {
        let mut pmd = Pmd::new(vec![queue(32, None), queue(32, None)]);
        pmd.run(RUN);
        assert_eq!(pmd.queues.iter().map(|q| q.skipped).sum::<u64>(), 0);
        assert!(pmd.queues[0].packets.abs_diff(pmd.queues[1].packets) <= 32);
    }

    #[test]
    fn a_new_flow_now_and_then_is_never_refused() {
        // One miss in 3,200 packets.
        let mut pmd = Pmd::new(vec![queue(0, None), queue(0, None)]);
        for _ in 0..200 {
            pmd.run(600_000);
            pmd.queues[1].misses = 1;
            pmd.run(1);
            pmd.queues[1].misses = 0;
        }
        assert_eq!((pmd.queues[1].skipped, pmd.queues[1].dropped), (0, 0));
    }
}
