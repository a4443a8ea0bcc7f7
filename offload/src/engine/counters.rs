//! From a counter's readings to hits.

use crate::backend::Counters;
use flow::clock::Time;
use flow::dp::Hits;

/// No frame is longer, not even one that a NIC has put together.
const LONGEST_FRAME: u64 = 1 << 20;

/// What came since the last reading. `None`: the counter went backwards or tells nonsense.
pub(super) fn delta(last: Counters, now: Counters, at: Time) -> Option<Hits> {
    let packets = now.packets.checked_sub(last.packets)?;
    let bytes = now.bytes.checked_sub(last.bytes)?;
    let plausible = match bytes.checked_div(packets) {
        None => bytes == 0,
        Some(mean) => bytes > 0 && mean <= LONGEST_FRAME,
    };
    plausible.then_some(Hits { packets, bytes, used: at })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(packets: u64, bytes: u64) -> Counters {
        Counters { packets, bytes }
    }

    #[test]
    fn a_delta_is_what_came_since_and_nonsense_is_none() {
        let at = Time(7);
        assert_eq!(delta(count(1, 64), count(3, 192), at), Some(Hits { packets: 2, bytes: 128, used: at }));
        assert_eq!(delta(count(1, 64), count(1, 64), at), Some(Hits { packets: 0, bytes: 0, used: at }));
        assert_eq!(delta(count(3, 192), count(1, 64), at), None, "backwards");
        assert_eq!(delta(count(1, 64), count(2, 64), at), None, "packets without bytes");
        assert_eq!(delta(count(1, 64), count(1, 65), at), None, "bytes without packets");
        assert_eq!(delta(count(0, 0), count(1, u64::MAX), at), None, "a frame of exabytes");
    }
}
