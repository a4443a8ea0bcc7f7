//! Who goes out for whom when a table is full, and how often.
//!
//! A flow goes in for another only if it carries clearly more over some seconds. How much is *clearly* is learned: when flows
//! come back that had to go a moment ago, the table is being asked for more than it holds, and every change costs more than it
//! brings, so the margin doubles; it shrinks again while that does not happen. Beside that a flow that came in stays for a
//! while, and a bucket of tokens bounds the changes a second whatever the traffic does.

use flow::clock::Time;
use std::time::Duration;

/// The least margin, in sixteenths: half as much again.
const LEAST: u64 = 24;
/// The largest one.
const MOST: u64 = 64 * 16;
/// A flow that comes back within this time should not have gone.
const REGRET: Duration = Duration::from_secs(30);
/// How fast the margin shrinks by a quarter.
const SHRINK: Duration = Duration::from_secs(10);
/// A rate of less than this many sixteenths of a packet a second is no reason to change anything.
const FLOOR: u64 = 16;
/// A table's share that may change within a second.
const SHARE: u32 = 16;
/// As many may change however small the table is.
const FEW: u32 = 2;

/// How hard it is to have a flow go for another in one device's table.
#[derive(Clone, Copy, Debug)]
pub(super) struct Reluctance {
    margin: u64,
    shrunk: Time,
    tokens: u32,
    filled: Time,
}

impl Default for Reluctance {
    fn default() -> Self {
        Reluctance { margin: LEAST, shrunk: Time(0), tokens: 0, filled: Time(0) }
    }
}

impl Reluctance {
    /// Time passes.
    pub fn pass(&mut self, limit: u32, now: Time) {
        let shrinks = now.since(self.shrunk).as_secs() / SHRINK.as_secs();
        if shrinks > 0 {
            for _ in 0..shrinks.min(32) {
                self.margin = (self.margin - self.margin / 4).max(LEAST);
            }
            self.shrunk = now;
        }
        let most = most_in_a_second(limit);
        let each = Duration::from_secs(1) / most;
        let fill = u32::try_from(now.since(self.filled).as_nanos() / each.as_nanos().max(1)).unwrap_or(u32::MAX);
        if fill > 0 {
            self.tokens = self.tokens.saturating_add(fill).min(most);
            self.filled = now;
        }
    }

    /// Whether any flow may go now.
    pub fn has_token(&self) -> bool {
        self.tokens > 0
    }

    /// Whether a flow of one rate may go for one of another, both in 1/16 packets a second.
    pub fn allows(&self, coming: u64, going: u64) -> bool {
        u128::from(coming) * 16 >= u128::from(going) * u128::from(self.margin) && coming >= going.saturating_add(FLOOR)
    }

    /// A flow goes for another that had to go itself at `evicted`.
    pub fn spend(&mut self, evicted: Option<Time>, now: Time) {
        self.tokens = self.tokens.saturating_sub(1);
        if evicted.is_some_and(|at| now.since(at) < REGRET) {
            self.margin = (self.margin * 2).min(MOST);
            self.shrunk = now;
        }
    }
}

/// Most flows that go for others within a second, and that many more once, when none went for a second.
pub(super) fn most_in_a_second(limit: u32) -> u32 {
    (limit / SHARE).max(FEW)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: u64 = 1_000_000_000;

    #[test]
    fn only_clearly_more_is_enough() {
        let reluctance = Reluctance::default();
        assert!(reluctance.allows(1600, 1000));
        assert!(!reluctance.allows(1400, 1000));
        assert!(!reluctance.allows(15, 0), "less than a packet a second");
        assert!(reluctance.allows(16, 0));
        assert!(!reluctance.allows(u64::MAX, u64::MAX));
    }

    #[test]
    fn regret_makes_it_harder_and_time_easier() {
        let mut reluctance = Reluctance::default();
        reluctance.pass(8, Time(S));
        reluctance.spend(Some(Time(0)), Time(S));
        assert!(!reluctance.allows(2900, 1000) && reluctance.allows(3000, 1000));
        for _ in 0..20 {
            reluctance.spend(Some(Time(0)), Time(S));
        }
        assert!(reluctance.allows(64_000, 1000) && !reluctance.allows(63_000, 1000), "it has a bound");
        reluctance.spend(Some(Time(0)), Time(100 * S));
        reluctance.pass(8, Time(1000 * S));
        assert!(reluctance.allows(1600, 1000));
    }

    #[test]
    fn tokens_bound_the_changes_of_a_second() {
        let mut reluctance = Reluctance::default();
        let mut spent = 0;
        for ms in 0..10_000u64 {
            reluctance.pass(160, Time(S + ms * 1_000_000));
            while reluctance.has_token() {
                reluctance.spend(None, Time(S + ms * 1_000_000));
                spent += 1;
            }
        }
        assert!((100..=110).contains(&spent), "{spent}");
    }
}
