//! Counters with one writer each: a worker adds with plain loads and stores, anybody may read.

use super::sync::atomic::{AtomicU64, Ordering::Relaxed};
use flow::clock::Time;
use flow::dp::{DROP_REASONS, DropReason, Hits};

/// A counter that one thread at a time adds to (no locked instruction) and all may read.
#[derive(Debug, Default)]
pub(crate) struct Counter(AtomicU64);

impl Counter {
    #[inline(always)]
    pub(crate) fn add(&self, n: u64) {
        self.0.store(self.0.load(Relaxed).wrapping_add(n), Relaxed);
    }

    #[inline(always)]
    pub(crate) fn set(&self, value: u64) {
        self.0.store(value, Relaxed);
    }

    #[inline(always)]
    pub(crate) fn get(&self) -> u64 {
        self.0.load(Relaxed)
    }
}

macro_rules! worker_counters {
    ($($(#[$doc:meta])* $name:ident,)*) => {
        /// What one worker counts.
        #[derive(Debug)]
        pub(crate) struct WorkerCounters {
            $(pub(crate) $name: Counter,)*
            pub(crate) drops: [Counter; DROP_REASONS],
        }

        impl Default for WorkerCounters {
            fn default() -> Self {
                WorkerCounters { $($name: Counter::default(),)* drops: std::array::from_fn(|_| Counter::default()) }
            }
        }

        /// What workers counted. `rx + copies == tx + punted + drops` whenever no worker is inside a poll.
        #[derive(Clone, Debug, PartialEq, Eq)]
        pub struct Counters {
            $($(#[$doc])* pub $name: u64,)*
            /// Packets not forwarded, by [`DropReason`] number.
            pub drops: [u64; DROP_REASONS],
        }

        impl Default for Counters {
            fn default() -> Self {
                Counters { $($name: 0,)* drops: [0; DROP_REASONS] }
            }
        }

        impl WorkerCounters {
            pub(crate) fn read(&self) -> Counters {
                Counters {
                    $($name: self.$name.get(),)*
                    drops: std::array::from_fn(|i| self.drops[i].get()),
                }
            }
        }

        impl Counters {
            /// Add another worker's.
            pub fn add(&mut self, other: &Counters) {
                $(self.$name += other.$name;)*
                for (sum, n) in self.drops.iter_mut().zip(other.drops) {
                    *sum += n;
                }
            }

            /// What was counted since `before`.
            #[must_use]
            pub fn since(&self, before: &Counters) -> Counters {
                Counters {
                    $($name: self.$name.wrapping_sub(before.$name),)*
                    drops: std::array::from_fn(|i| self.drops[i].wrapping_sub(before.drops[i])),
                }
            }

            /// The counters other than drops, by name.
            pub fn named(&self) -> impl Iterator<Item = (&'static str, u64)> {
                [$((stringify!($name), self.$name),)*].into_iter()
            }
        }
    };
}

worker_counters! {
    /// Packets received.
    rx,
    /// Outputs, punts and drops beyond the first of each packet.
    copies,
    /// Packets that an output queue took.
    tx,
    /// Packets, or first bytes of them, that wait for a controller or were read.
    punted,
    /// Lookups of packets that came again.
    recirculated,
    /// Packets whose hardware mark named a live flow.
    mark_hit,
    /// Of these, packets that hardware had changed, and software went on behind.
    mark_resumed,
    /// Packets with a mark of no live flow of their port: looked up by their bytes, or dropped (`stale_mark`) if hardware has
    /// changed them.
    mark_unknown,
    /// Packets found in the signature cache.
    cache_hit,
    /// Flows that found room in the signature cache, after a packet that it did not know.
    cache_filled,
    /// Flows that pushed another one's entry out of a full line of it.
    cache_replaced,
    /// Packets found in the megaflow table.
    megaflow_hit,
    /// Subtables probed for these and for misses.
    subtables_probed,
    /// Packets translated by the slow path.
    miss,
    /// Misses that installed a flow.
    installed,
    /// Misses that another worker had installed already.
    adopted,
    /// Misses whose translation holds for one packet only.
    uncacheable,
    /// Flows not installed: the flow limit.
    refused_limit,
    /// Flows not installed: all marks wait for hardware or queues to be done with them.
    refused_marks,
    /// Flows installed, which the worker could not keep: more masks than can be told apart.
    refused_masks,
    /// Flows not installed: something they depended on changed meanwhile.
    refused_stale,
    /// Misses, installed or not, whose translation ended in an error: the packet and those like it are dropped for it.
    untranslatable,
    /// Polls of all queues.
    polls,
    /// Polls that found no packet.
    idle_polls,
}

impl WorkerCounters {
    #[inline]
    pub(crate) fn count_drop(&self, reason: DropReason) {
        self.drops[reason as usize].add(1);
    }
}

impl Counters {
    /// Packets not forwarded for this reason.
    #[must_use]
    pub fn drops_by(&self, reason: DropReason) -> u64 {
        self.drops[reason as usize]
    }

    /// Packets not forwarded.
    #[must_use]
    pub fn dropped(&self) -> u64 {
        self.drops.iter().sum()
    }

    /// Whether every packet and every copy was sent, punted or dropped.
    #[must_use]
    pub fn is_balanced(&self) -> bool {
        self.rx + self.copies == self.tx + self.punted + self.dropped()
    }
}

/// What one worker counts on one port.
#[derive(Debug, Default)]
pub(crate) struct PortWorkerCounters {
    pub(crate) rx_packets: Counter,
    pub(crate) rx_bytes: Counter,
    pub(crate) tx_packets: Counter,
    pub(crate) tx_bytes: Counter,
    pub(crate) tx_dropped: Counter,
}

/// What the datapath counted on a port. Bytes are of frames without FCS.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PortCounters {
    pub rx_packets: u64,
    pub rx_bytes: u64,
    pub tx_packets: u64,
    pub tx_bytes: u64,
    /// Packets meant for the port and dropped: full queue, port down, too long.
    pub tx_dropped: u64,
}

impl PortWorkerCounters {
    pub(crate) fn add_to(&self, sum: &mut PortCounters) {
        sum.rx_packets += self.rx_packets.get();
        sum.rx_bytes += self.rx_bytes.get();
        sum.tx_packets += self.tx_packets.get();
        sum.tx_bytes += self.tx_bytes.get();
        sum.tx_dropped += self.tx_dropped.get();
    }
}

/// Hits of one flow on one worker.
#[derive(Debug, Default)]
pub(crate) struct FlowHits {
    packets: Counter,
    bytes: Counter,
    used: Counter,
}

impl FlowHits {
    pub(crate) fn restart(&self, hits: &Hits) {
        self.packets.set(hits.packets);
        self.bytes.set(hits.bytes);
        self.used.set(hits.used.0);
    }

    #[inline(always)]
    pub(crate) fn add(&self, packets: u64, bytes: u64, now: Time) {
        self.packets.add(packets);
        self.bytes.add(bytes);
        self.used.set(now.0);
    }

    pub(crate) fn read(&self) -> Hits {
        Hits { packets: self.packets.get(), bytes: self.bytes.get(), used: Time(self.used.get()) }
    }
}
