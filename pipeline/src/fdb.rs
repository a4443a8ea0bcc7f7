//! Which address was last seen on which port, per VLAN.

use flow::DpPort;
use flow::clock::Time;
use parking_lot::RwLock;
use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// VLAN and address.
pub(crate) type Station = (u16, [u8; 6]);

#[derive(Debug)]
struct Entry {
    port: DpPort,
    used: AtomicU64,
}

#[derive(Debug, Default)]
struct Inner {
    map: HashMap<Station, Entry>,
    /// Each entry once, with a time that is at most its `used`: looked at again when it comes up, so that refreshing an
    /// entry needs no more than a shared lock.
    order: BinaryHeap<Reverse<(Time, Station)>>,
}

impl Inner {
    /// Take out the entry that was used least recently, if it was used at `limit` or before.
    fn pop_oldest(&mut self, limit: Time) -> Option<Station> {
        while let Some(&Reverse((recorded, station))) = self.order.peek() {
            if recorded > limit {
                return None;
            }
            self.order.pop();
            let Some(entry) = self.map.get(&station) else { continue };
            let used = Time(entry.used.load(Ordering::Relaxed));
            if used == recorded {
                self.map.remove(&station);
                return Some(station);
            }
            self.order.push(Reverse((used, station)));
        }
        None
    }
}

/// The forwarding database of one bridge.
#[derive(Debug)]
pub(crate) struct Fdb {
    inner: RwLock<Inner>,
    capacity: usize,
    ageing: Duration,
}

/// An entry, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbEntry {
    pub vlan: u16,
    pub mac: [u8; 6],
    pub port: DpPort,
    /// When a packet from it was last seen.
    pub used: Time,
}

impl Fdb {
    pub(crate) fn new(capacity: usize, ageing: Duration) -> Fdb {
        Fdb { inner: RwLock::default(), capacity: capacity.max(1), ageing }
    }

    pub(crate) fn get(&self, station: Station) -> Option<DpPort> {
        self.inner.read().map.get(&station).map(|e| e.port)
    }

    /// A packet from `station` was seen on `port`. Tells stations whose place has changed: this one when it is new or has
    /// moved, and one that had to make room. A report older than what is known changes nothing.
    pub(crate) fn refresh(&self, station: Station, port: DpPort, used: Time, mut changed: impl FnMut(Station)) {
        if let Some(entry) = self.inner.read().map.get(&station)
            && entry.port == port
        {
            entry.used.fetch_max(used.0, Ordering::Relaxed);
            return;
        }
        let mut inner = self.inner.write();
        if let Some(entry) = inner.map.get_mut(&station) {
            let known = entry.used.get_mut();
            if entry.port != port && used.0 >= *known {
                entry.port = port;
                changed(station);
            }
            *known = used.0.max(*known);
            return;
        }
        if inner.map.len() >= self.capacity
            && let Some(gone) = inner.pop_oldest(Time(u64::MAX))
        {
            changed(gone);
        }
        inner.map.insert(station, Entry { port, used: AtomicU64::new(used.0) });
        inner.order.push(Reverse((used, station)));
        changed(station);
    }

    /// Forget stations that were silent for the ageing time.
    pub(crate) fn expire(&self, now: Time, mut changed: impl FnMut(Station)) {
        let age = u64::try_from(self.ageing.as_nanos()).unwrap_or(u64::MAX);
        let Some(limit) = now.0.checked_sub(age) else { return };
        let mut inner = self.inner.write();
        while let Some(gone) = inner.pop_oldest(Time(limit)) {
            changed(gone);
        }
    }

    /// Forget all stations on `port`, or all there are.
    pub(crate) fn flush(&self, port: Option<DpPort>, mut changed: impl FnMut(Station)) {
        let mut inner = self.inner.write();
        inner.map.retain(|station, entry| {
            let gone = port.is_none_or(|p| entry.port == p);
            if gone {
                changed(*station);
            }
            !gone
        });
        let Inner { map, order } = &mut *inner;
        order.retain(|Reverse((_, station))| map.contains_key(station));
    }

    /// All entries, by VLAN and address.
    pub(crate) fn entries(&self) -> Vec<FdbEntry> {
        let inner = self.inner.read();
        let mut all: Vec<_> = inner
            .map
            .iter()
            .map(|(&(vlan, mac), e)| FdbEntry { vlan, mac, port: e.port, used: Time(e.used.load(Ordering::Relaxed)) })
            .collect();
        all.sort_unstable_by_key(|e| (e.vlan, e.mac));
        all
    }
}
