//! What is counted of a port, by name.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[doc = $doc:literal])* $name:ident,)*) => {
        /// One counter. `rx` is from the kernel to the switch, `tx` from the switch to the kernel.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        #[allow(non_camel_case_types, reason = "the names are those that people see")]
        pub enum Counter { $($(#[doc = $doc])* $name,)* }

        impl Counter {
            /// All of them.
            pub const ALL: &[Counter] = &[$(Counter::$name,)*];

            /// The name that people see.
            #[must_use]
            pub fn name(self) -> &'static str {
                match self { $(Counter::$name => stringify!($name),)* }
            }
        }
    };
}

counters! {
    /// Frames that the kernel handed over, before they were cut into segments.
    kernel_rx_frames,
    /// Frames that the kernel took.
    kernel_tx_frames,
    /// Checksums that the kernel had left unfinished, completed.
    kernel_rx_checksums_completed,
    /// Frames of up to 64 KiB, cut into segments.
    kernel_rx_gso_frames,
    /// Segments made of them.
    kernel_rx_gso_segments,
    /// VLAN tags that the kernel had taken out, put back.
    kernel_rx_tags_restored,
    /// Dropped: the kernel's header and the frame do not fit together.
    kernel_rx_drop_bad_header,
    /// Dropped: to be cut up in a way that is not known here (tunnels, UDP fragments).
    kernel_rx_drop_gso_unsupported,
    /// Dropped: longer than the MTU.
    kernel_rx_drop_too_long,
    /// Dropped: no packet buffer was free.
    kernel_rx_drop_no_buffer,
    /// Dropped: the switch did not take frames fast enough.
    kernel_rx_drop_ring_full,
    /// The kernel could not hand a frame over.
    kernel_rx_errors,
    /// Frames that the kernel dropped before it handed them over: they came faster than they were taken.
    kernel_rx_missed,
    /// Dropped: longer than the MTU.
    kernel_tx_drop_too_long,
    /// Dropped: the kernel's queue was full.
    kernel_tx_drop_full,
    /// Dropped: the device is down.
    kernel_tx_drop_down,
    /// Dropped: the device is gone.
    kernel_tx_drop_no_device,
    /// Dropped: refused by the kernel for another reason.
    kernel_tx_drop_error,
    /// How often the device has gone.
    kernel_device_lost,
    /// How often it has come back.
    kernel_device_back,
}

/// All counters of a port: written by one thread, read by any.
#[derive(Debug, Default)]
pub struct Counters([AtomicU64; Counter::ALL.len()]);

impl Counters {
    pub(crate) fn add(&self, counter: Counter, n: u64) {
        if let Some(place) = self.0.get(counter as usize) {
            place.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// The value of one counter.
    #[must_use]
    pub fn get(&self, counter: Counter) -> u64 {
        self.0.get(counter as usize).map_or(0, |n| n.load(Ordering::Relaxed))
    }

    /// All of them by name.
    #[must_use]
    pub fn by_name(&self) -> BTreeMap<String, u64> {
        Counter::ALL.iter().map(|c| (c.name().to_owned(), self.get(*c))).collect()
    }
}
