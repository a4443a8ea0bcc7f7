//! How many flows there may be: as many as are configured, and no more than can be looked through in good time.

use std::time::Duration;

/// The limit does not fall below this (OVS: `MIN(flow_limit, MAX(.., 1000))` in udpif_revalidator).
const LEAST: usize = 1000;

/// A limit that follows the time that a round over all flows takes, as OVS's (ovs-vswitchd.conf.db(5), `flow-limit`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct AdaptiveLimit {
    configured: usize,
    present: usize,
}

impl AdaptiveLimit {
    pub(crate) fn new(configured: usize) -> AdaptiveLimit {
        AdaptiveLimit { configured, present: configured }
    }

    /// What is configured: the present limit is never above it.
    pub(crate) fn configured(&self) -> usize {
        self.configured
    }

    pub(crate) fn present(&self) -> usize {
        self.present
    }

    /// A round over `flows` flows took this long. Above 2 s the limit is divided by the seconds, above 1.3 s it loses a
    /// quarter; below 1 s it grows by 1,000 if more flows than the limit could be looked through in a second.
    pub(crate) fn note_round(&mut self, took: Duration, flows: usize) {
        let millis = usize::try_from(took.as_millis()).unwrap_or(usize::MAX).max(1);
        let limit = match millis {
            2001.. => self.present / (millis / 1000),
            1301..=2000 => self.present / 4 * 3,
            ..1000 if flows > 2000 && self.present < flows.saturating_mul(1000) / millis => self.present + 1000,
            _ => self.present,
        };
        self.present = limit.max(LEAST).min(self.configured);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slow_rounds_lower_the_limit_and_quick_ones_raise_it_again() {
        let mut limit = AdaptiveLimit::new(200_000);
        let mut after = |millis, flows| {
            limit.note_round(Duration::from_millis(millis), flows);
            limit.present()
        };
        assert_eq!(after(1000, 200_000), 200_000);
        assert_eq!(after(1400, 200_000), 150_000);
        assert_eq!(after(3999, 150_000), 50_000);
        assert_eq!(after(100_000, 50_000), 1000, "not below");
        assert_eq!(after(10, 1000), 1000, "few flows tell nothing");
        assert_eq!(after(10, 3000), 2000);
        for _ in 0..300 {
            after(10, 10_000);
        }
        assert_eq!(limit.present(), 200_000, "not above what is configured");
        let mut small = AdaptiveLimit::new(5);
        small.note_round(Duration::from_secs(60), 5);
        assert_eq!((small.present(), small.configured()), (5, 5));
    }
}
