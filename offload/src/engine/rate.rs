//! How much a flow carries: estimates from counters that are read now and then.

use flow::clock::Time;
use std::time::Duration;

/// Readings that are closer together are taken as one: a burst is no rate.
const SHORTEST: Duration = Duration::from_millis(20);
/// How fast an estimate for `hot` sinks.
const SINK: Duration = Duration::from_millis(500);
/// Over how long the estimate is taken that decides who stays when room is short.
const STEADY: Duration = Duration::from_secs(5);

/// The rate of one counter.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Meter {
    at: Time,
    /// Packets since `at` that are in no estimate yet.
    fresh: u64,
    /// Packets a second, in 1/16: up at once, down slowly.
    quick: u64,
    /// Packets a second, in 1/16, over a longer time.
    steady: u64,
}

impl Meter {
    /// A counter that begins to count now.
    pub fn new(at: Time) -> Meter {
        Meter { at, ..Meter::default() }
    }

    /// So many packets came until `now`.
    pub fn add(&mut self, packets: u64, now: Time) {
        self.fresh = self.fresh.saturating_add(packets);
        let span = now.since(self.at);
        if span < SHORTEST {
            return;
        }
        let span = u64::try_from(span.as_nanos()).unwrap_or(u64::MAX);
        let rate = u128::from(self.fresh) * 16_000_000_000 / u128::from(span);
        let rate = u64::try_from(rate).unwrap_or(u64::MAX);
        self.quick = if rate >= self.quick { rate } else { approach(self.quick, rate, span, SINK) };
        self.steady = approach(self.steady, rate, span, STEADY);
        (self.at, self.fresh) = (now, 0);
    }

    /// Counting begins anew, at rest.
    pub fn restart(&mut self, now: Time) {
        (self.at, self.fresh) = (now, 0);
    }

    /// Packets a second of late.
    pub fn quick(&self) -> u64 {
        self.quick / 16
    }

    /// Packets a second over some seconds, in 1/16.
    pub fn steady(&self) -> u64 {
        self.steady
    }
}

/// `from` on its way to `to`: the share of the way that a filter of first order goes in `span` ns.
fn approach(from: u64, to: u64, span: u64, constant: Duration) -> u64 {
    let constant = constant.as_nanos();
    let (span, from, to) = (u128::from(span), u128::from(from), u128::from(to));
    let mixed = (from * constant + to * span) / (constant + span);
    u64::try_from(mixed).unwrap_or(u64::MAX)
}

/// Where a flow stands among others: its port's priority, then its rate to within an eighth.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Rank {
    pub priority: u8,
    /// 8 steps for each doubling, so that a rate which trembles does not move the flow.
    pub step: u16,
}

impl Rank {
    /// Of a rate in 1/16 packets a second.
    pub fn new(priority: u8, sixteenths: u64) -> Rank {
        let step = match sixteenths.checked_ilog2() {
            None => 0,
            Some(log @ 0..3) => 1 + 8 * log as u16,
            Some(log) => 1 + 8 * log as u16 + ((sixteenths >> (log - 3)) & 7) as u16,
        };
        Rank { priority, step }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(n: u64) -> Time {
        Time(n * 1_000_000)
    }

    #[test]
    fn a_steady_flow_is_seen_at_once_and_a_burst_is_spread_over_a_window() {
        let mut meter = Meter::new(ms(0));
        meter.add(32, ms(1));
        assert_eq!(meter.quick(), 0, "too early to say");
        meter.add(8, ms(20));
        assert_eq!(meter.quick(), 2000);
        meter.add(40, ms(40));
        assert_eq!(meter.quick(), 2000);
    }

    #[test]
    fn it_sinks_by_half_in_half_a_second_and_dies_out() {
        let mut meter = Meter::new(ms(0));
        meter.add(1000, ms(1000));
        assert_eq!(meter.quick(), 1000);
        meter.add(0, ms(1500));
        assert_eq!(meter.quick(), 500);
        for n in 4..40 {
            meter.add(0, ms(n * 500));
        }
        assert_eq!(meter.quick(), 0);
    }

    #[test]
    fn the_steady_estimate_takes_its_time_both_ways() {
        let mut meter = Meter::new(ms(0));
        meter.add(1000, ms(1000));
        let one = meter.steady();
        assert!((2000..3000).contains(&one), "{one}");
        for n in 2..40 {
            meter.add(1000, ms(n * 1000));
        }
        assert!(meter.steady() > 15_900);
    }

    #[test]
    fn ranks_grow_with_the_rate_and_go_by_priority_first() {
        let mut last = Rank::new(0, 0);
        for rate in 1..100_000 {
            let rank = Rank::new(0, rate);
            assert!(rank >= last, "{rate}");
            assert!(rank.step - last.step <= 8);
            last = rank;
        }
        assert!(Rank::new(1, 0) > Rank::new(0, u64::MAX));
        assert_eq!(Rank::new(0, 1000).step, Rank::new(0, 1023).step);
        assert!(Rank::new(0, 1024) > Rank::new(0, 1000));
    }

    #[test]
    fn the_largest_numbers_do_no_harm() {
        let mut meter = Meter::new(ms(0));
        meter.add(u64::MAX, ms(20));
        meter.add(u64::MAX, ms(40));
        meter.add(u64::MAX, Time(u64::MAX));
        let _ = Rank::new(255, u64::MAX);
    }
}
