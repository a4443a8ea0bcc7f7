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

/// Each entry once, with a time that is at most its `used`: looked at again when it comes up, so that refreshing an entry
/// needs no more than a shared lock. Entries that are gone, or elsewhere, are passed over.
type Order = BinaryHeap<Reverse<(Time, Station)>>;

#[derive(Debug)]
struct Entry {
    port: DpPort,
    used: AtomicU64,
    is_static: bool,
}

/// The learned entries of one port.
#[derive(Debug, Default)]
struct OnPort {
    entries: usize,
    order: Order,
}

#[derive(Debug, Default)]
struct Inner {
    map: HashMap<Station, Entry>,
    /// Learned entries only.
    order: Order,
    ports: HashMap<DpPort, OnPort>,
    capacity: usize,
    ageing: Duration,
    stats: FdbStats,
}

/// What a forwarding database has counted (`ovs-appctl fdb/stats-show`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdbStats {
    /// Entries now, static ones included.
    pub current: usize,
    /// Static entries now.
    pub fixed: usize,
    /// Most entries.
    pub capacity: usize,
    /// Addresses learned that were not known.
    pub learned: u64,
    /// Entries that were silent too long.
    pub expired: u64,
    /// Entries that had to make room.
    pub evicted: u64,
    /// Addresses that came up on another port.
    pub moved: u64,
}

/// The entry of an order that was used least recently, if it was used at `limit` or before. Those that `is_here` does not know are
/// taken out.
fn oldest(order: &mut Order, limit: Time, is_here: impl Fn(&Station) -> Option<Time>) -> Option<Station> {
    while let Some(&Reverse((recorded, station))) = order.peek() {
        if recorded > limit {
            return None;
        }
        order.pop();
        match is_here(&station) {
            Some(used) if used == recorded => return Some(station),
            Some(used) => order.push(Reverse((used, station))),
            None => {}
        }
    }
    None
}

impl Inner {
    fn used(&self, station: &Station) -> Option<Time> {
        self.map.get(station).filter(|e| !e.is_static).map(|e| Time(e.used.load(Ordering::Relaxed)))
    }

    /// The entry that was silent for longest, if it was used at `limit` or before.
    fn pop_oldest(&mut self, limit: Time) -> Option<Station> {
        let mut order = std::mem::take(&mut self.order);
        let found = oldest(&mut order, limit, |s| self.used(s));
        self.order = order;
        if let Some(station) = found {
            self.remove(&station);
        }
        found
    }

    /// Make room fairly, as OVS does: the port with the most entries loses the one that was silent for longest.
    fn evict(&mut self) -> Option<Station> {
        let port = *self.ports.iter().max_by_key(|(p, on)| (on.entries, Reverse(**p)))?.0;
        let mut on = self.ports.remove(&port)?;
        let here = |s: &Station| self.used(s).filter(|_| self.map.get(s).is_some_and(|e| e.port == port));
        let found = oldest(&mut on.order, Time(u64::MAX), here);
        self.ports.insert(port, on);
        if let Some(station) = found {
            self.remove(&station);
            self.stats.evicted += 1;
        }
        found
    }

    fn remove(&mut self, station: &Station) -> Option<Entry> {
        let entry = self.map.remove(station)?;
        self.leave(&entry);
        Some(entry)
    }

    /// An entry is no longer where it was.
    fn leave(&mut self, entry: &Entry) {
        if entry.is_static {
            self.stats.fixed -= 1;
        } else if let Some(on) = self.ports.get_mut(&entry.port) {
            on.entries -= 1;
            if on.entries == 0 {
                self.ports.remove(&entry.port);
            }
        }
    }

    fn insert(&mut self, station: Station, entry: Entry) {
        if entry.is_static {
            self.stats.fixed += 1;
        } else {
            let at = Reverse((Time(entry.used.load(Ordering::Relaxed)), station));
            self.order.push(at);
            let on = self.ports.entry(entry.port).or_default();
            on.entries += 1;
            on.order.push(at);
        }
        self.map.insert(station, entry);
        // Moves leave what they were behind.
        if self.order.len() > 2 * self.map.len() + 64 {
            self.sort_out();
        }
    }

    fn sort_out(&mut self) {
        let learned = self.map.iter().filter(|(_, e)| !e.is_static);
        let orders = learned.map(|(s, e)| (e.port, Reverse((Time(e.used.load(Ordering::Relaxed)), *s))));
        let orders: Vec<_> = orders.collect();
        self.order = orders.iter().map(|(_, at)| *at).collect();
        self.ports.values_mut().for_each(|on| on.order.clear());
        for (port, at) in orders {
            self.ports.entry(port).or_default().order.push(at);
        }
    }
}

/// The forwarding database of one bridge.
#[derive(Debug)]
pub(crate) struct Fdb(RwLock<Inner>);

/// An entry, for display.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FdbEntry {
    pub vlan: u16,
    pub mac: [u8; 6],
    pub port: DpPort,
    /// When a packet from it was last seen; of a static entry, when it was added.
    pub used: Time,
    /// Added by command: it neither ages nor moves.
    pub is_static: bool,
}

/// Which entries to forget. The default: all that were learned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FdbFilter {
    /// Only those on this port.
    pub port: Option<DpPort>,
    /// Only those in this VLAN.
    pub vlan: Option<u16>,
    /// Static ones too.
    pub and_static: bool,
}

impl Fdb {
    pub(crate) fn new(capacity: usize, ageing: Duration) -> Fdb {
        let fdb = Fdb(RwLock::default());
        fdb.configure(capacity, ageing, |_| {});
        fdb
    }

    /// Change the limits. What is too much goes.
    pub(crate) fn configure(&self, capacity: usize, ageing: Duration, mut changed: impl FnMut(Station)) {
        let mut inner = self.0.write();
        (inner.capacity, inner.ageing) = (capacity.max(1), ageing);
        while inner.map.len() > inner.capacity {
            let Some(gone) = inner.evict() else { break };
            changed(gone);
        }
    }

    pub(crate) fn get(&self, station: Station) -> Option<DpPort> {
        self.0.read().map.get(&station).map(|e| e.port)
    }

    /// A packet from `station` was seen on `port`. Tells stations whose place has changed: this one when it is new or has
    /// moved, and one that had to make room. A report older than what is known changes nothing, nor does one about a static
    /// entry.
    pub(crate) fn refresh(&self, station: Station, port: DpPort, used: Time, mut changed: impl FnMut(Station)) {
        if let Some(entry) = self.0.read().map.get(&station)
            && (entry.port == port || entry.is_static)
        {
            if !entry.is_static {
                entry.used.fetch_max(used.0, Ordering::Relaxed);
            }
            return;
        }
        let mut inner = self.0.write();
        let entry = Entry { port, used: AtomicU64::new(used.0), is_static: false };
        match inner.map.get_mut(&station) {
            Some(old) if old.is_static => return,
            Some(old) => {
                let known = *old.used.get_mut();
                if old.port == port || used.0 < known {
                    *old.used.get_mut() = used.0.max(known);
                    return;
                }
                inner.remove(&station);
                inner.stats.moved += 1;
            }
            None => {
                if inner.map.len() >= inner.capacity {
                    let Some(gone) = inner.evict() else { return };
                    changed(gone);
                }
                inner.stats.learned += 1;
            }
        }
        inner.insert(station, entry);
        changed(station);
    }

    /// Fix a station to a port.
    pub(crate) fn fix(&self, station: Station, port: DpPort, now: Time, mut changed: impl FnMut(Station)) {
        let mut inner = self.0.write();
        if inner.remove(&station).is_none()
            && inner.map.len() >= inner.capacity
            && let Some(gone) = inner.evict()
        {
            changed(gone);
        }
        inner.insert(station, Entry { port, used: AtomicU64::new(now.0), is_static: true });
        changed(station);
    }

    /// Forget a static entry; `false` when there is none.
    pub(crate) fn unfix(&self, station: Station) -> bool {
        let mut inner = self.0.write();
        let there = inner.map.get(&station).is_some_and(|e| e.is_static);
        if there {
            inner.remove(&station);
        }
        there
    }

    /// Forget stations that were silent for the ageing time.
    pub(crate) fn expire(&self, now: Time, mut changed: impl FnMut(Station)) {
        let mut inner = self.0.write();
        let age = u64::try_from(inner.ageing.as_nanos()).unwrap_or(u64::MAX);
        let Some(limit) = now.0.checked_sub(age) else { return };
        while let Some(gone) = inner.pop_oldest(Time(limit)) {
            inner.stats.expired += 1;
            changed(gone);
        }
    }

    /// Forget the stations meant.
    pub(crate) fn flush(&self, filter: FdbFilter, mut changed: impl FnMut(Station)) {
        let mut inner = self.0.write();
        let meant = |(station, e): &(&Station, &Entry)| {
            (filter.and_static || !e.is_static)
                && filter.port.is_none_or(|p| e.port == p)
                && filter.vlan.is_none_or(|v| station.0 == v)
        };
        let gone: Vec<Station> = inner.map.iter().filter(meant).map(|(s, _)| *s).collect();
        for station in gone {
            inner.remove(&station);
            changed(station);
        }
        inner.sort_out();
    }

    pub(crate) fn stats(&self) -> FdbStats {
        let inner = self.0.read();
        FdbStats { current: inner.map.len(), capacity: inner.capacity, ..inner.stats }
    }

    /// All entries, by VLAN and address.
    pub(crate) fn entries(&self) -> Vec<FdbEntry> {
        let entry = |(&(vlan, mac), e): (&Station, &Entry)| FdbEntry {
            vlan,
            mac,
            port: e.port,
            used: Time(e.used.load(Ordering::Relaxed)),
            is_static: e.is_static,
        };
        let mut all: Vec<_> = self.0.read().map.iter().map(entry).collect();
        all.sort_unstable_by_key(|e| (e.vlan, e.mac));
        all
    }
}
