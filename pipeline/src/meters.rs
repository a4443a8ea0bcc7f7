//! Which meters a bridge has. How they limit is the datapath's: see [`flow::dp`].

use flow::clock::Time;
use flow::dp::MeterId;
use flow::meter::MeterSpec;
use rpds::HashTrieMapSync;
use std::sync::Arc;

/// The meters of a bridge by OpenFlow number.
pub(crate) type Meters = HashTrieMapSync<u32, Arc<Meter>>;

/// A meter. Changed by replacing it.
#[derive(Clone, Debug)]
pub(crate) struct Meter {
    pub(crate) spec: MeterSpec,
    /// Its number in the datapath: kept when the meter is changed, never that of two meters at a time.
    pub(crate) id: MeterId,
    /// When it was added.
    pub(crate) created: Time,
}
