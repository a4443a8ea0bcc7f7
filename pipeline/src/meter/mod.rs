//! Meters at work: what the datapath asks for each packet, and what control sets and shows.
//!
//! # Which band acts
//! Packets are processed by a single band, that with the highest rate below the measured rate (OpenFlow 1.3, 5.7.1): bands
//! of 5 and 12 Mbit/s let 12 of 15 through, but 5 of 8. So the rate is *measured* (module `rate`), over what reaches the meter,
//! whatever becomes of it; and the band that acts polices with a token bucket (module `bucket`): what exceeds it is dropped or
//! remarked. As long as no rate is exceeded, the lowest band polices, since its bucket is what its burst size promises. The
//! other bands' buckets go along with what passes, as far as they have tokens, so that no band comes into action with
//! a bucket that traffic had used up long ago.
//!
//! (Open vSwitch drops what any band drops: two drop bands act like the lower one there.)
//!
//! # Burst sizes
//! Without the `burst` flag, or with a burst size of 0, a bucket holds what its rate brings in a second, as in
//! OVS. Buckets start full. A packet larger than the bucket never passes.
//!
//! # Threads
//! Any thread may police: one compare-and-swap for each bucket, relaxed additions for the counters. Control takes a lock
//! among its own and replaces the table that readers use.

mod bucket;
mod engine;
mod rate;
mod table;

#[cfg(test)]
mod tests;

pub use engine::{BandStats, MeterStats};
pub use table::MeterTable;

/// Most bands of a meter, as in OVS.
pub const MAX_BANDS: usize = 8;

/// Most meters of a datapath, as in OVS; their numbers are below.
pub const MAX_METERS: usize = 1 << 18;

/// Why there cannot be such a meter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeterError {
    #[error("meter {meter}: band {band} has rate 0; give it a rate of at least 1")]
    ZeroRate { meter: u32, band: usize },
    #[error("meter {meter} has {bands} bands; a meter has {MAX_BANDS} at most")]
    TooManyBands { meter: u32, bands: usize },
    #[error("meter {meter}: there are {MAX_METERS} meters already; delete one first")]
    TooManyMeters { meter: u32 },
}
