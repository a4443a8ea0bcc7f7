//! The pools in use.

use super::formula;
use super::hugepages::demand;
use super::plan::{BASE, PoolKey, PortNeed, Settings, pool_bytes, pool_name};
use dpdk::{Eal, Mempool, MempoolConfig, MempoolError};
use parking_lot::Mutex;

const MIB: u64 = 1 << 20;

/// Why a pool cannot be had.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MemoryError {
    #[error("a pool of {mbufs} packet buffers for MTU {mtu} needs {need} MiB, and have {have} MiB; {remedy}")]
    NoMemory {
        mtu: u16,
        mbufs: u32,
        /// MiB needed.
        need: u64,
        /// MiB free now.
        have: u64,
        /// The command, or the setting, that helps.
        remedy: String,
    },
    #[error("no buffer holds a packet of MTU {mtu}; use {} or less", formula::MAX_MTU)]
    Mtu { mtu: u16 },
    #[error(transparent)]
    Pool(MempoolError),
}

/// A pool as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PoolView {
    pub name: String,
    /// Ports that receive into it.
    pub ports: Vec<String>,
    /// MTU that its buffers are sized for.
    pub mtu: u16,
    pub node: u32,
    pub mbufs: u32,
    /// Buffers in queues, rings and packets.
    pub in_use: u32,
    /// Buffers that are free.
    pub free: u32,
    /// Bytes of a buffer that hold frame and headroom.
    pub data_room: u16,
    /// Bytes of DPDK's memory in all.
    pub bytes: u64,
}

#[derive(Debug)]
struct Entry {
    key: PoolKey,
    mtu: u16,
    pool: Mempool,
    users: Vec<String>,
}

/// All pools that ports receive into. Threads: any.
#[derive(Debug)]
pub struct Pools {
    eal: &'static Eal,
    settings: Settings,
    /// The base pool first.
    entries: Mutex<Vec<Entry>>,
}

impl Pools {
    /// Make the base pool, by the settings.
    ///
    /// # Errors
    /// [`MemoryError`], with what is needed, there, and to be done.
    pub fn start(eal: &'static Eal, settings: Settings) -> Result<Pools, MemoryError> {
        let (key, mtu, mbufs) = settings.base();
        let pool = make(eal, &settings, BASE, &key, mtu, mbufs)?;
        Ok(Pools { eal, settings, entries: Mutex::new(vec![Entry { key, mtu, pool, users: Vec::new() }]) })
    }

    /// Use a pool that is there as the base pool. Ports whose frames fit its buffers share it.
    #[must_use]
    pub fn with_base(eal: &'static Eal, settings: Settings, pool: Mempool) -> Pools {
        let room = u32::from(pool.frame_room());
        let mtu = pool.frame_room().saturating_sub(formula::FRAME_OVERHEAD);
        let key = PoolKey { room, node: 0, port: None };
        Pools { eal, settings, entries: Mutex::new(vec![Entry { key, mtu, pool, users: Vec::new() }]) }
    }

    /// How memory is shared out.
    #[must_use]
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// The pool that is there from the start.
    #[must_use]
    pub fn base(&self) -> Mempool {
        self.entries.lock()[0].pool.clone()
    }

    /// The pool for a port, made when there is none yet. A port that has another one already keeps it beside the new one until
    /// [`Pools::settle`].
    ///
    /// # Errors
    /// [`MemoryError`]; nothing is taken then.
    pub fn take(&self, need: &PortNeed) -> Result<Mempool, MemoryError> {
        let (key, mtu, mbufs) = self.settings.pool_for(need);
        let mut entries = self.entries.lock();
        let at = match entries.iter().position(|e| e.key == key) {
            Some(at) => at,
            None => {
                let pool = make(self.eal, &self.settings, &pool_name(&key, mtu), &key, mtu, mbufs)?;
                entries.push(Entry { key, mtu, pool, users: Vec::new() });
                entries.len() - 1
            }
        };
        let entry = &mut entries[at];
        if !entry.users.contains(&need.name) {
            entry.users.push(need.name.clone());
        }
        Ok(entry.pool.clone())
    }

    /// The base pool, for a port whose device spreads long frames over several of its buffers.
    #[must_use]
    pub fn take_base(&self, port: &str) -> Mempool {
        let mut entries = self.entries.lock();
        let entry = &mut entries[0];
        if !entry.users.iter().any(|u| u == port) {
            entry.users.push(port.to_owned());
        }
        entry.pool.clone()
    }

    /// The port uses this pool alone from now on. Others that nobody uses any more are let go; they are freed when their last
    /// buffer is back, never earlier.
    pub fn settle(&self, port: &str, pool: &Mempool) {
        self.leave(port, Some(pool.label()));
    }

    /// The port is gone, or never came.
    pub fn release(&self, port: &str) {
        self.leave(port, None);
    }

    fn leave(&self, port: &str, but: Option<&str>) {
        let mut entries = self.entries.lock();
        for entry in entries.iter_mut().filter(|e| but.is_none_or(|but| e.pool.label() != but)) {
            entry.users.retain(|u| u != port);
        }
        let mut place = 0;
        entries.retain(|e| {
            place += 1;
            place == 1 || !e.users.is_empty()
        });
    }

    /// All pools, the base pool first.
    #[must_use]
    pub fn view(&self) -> Vec<PoolView> {
        let view = |e: &Entry| PoolView {
            name: e.pool.label().to_owned(),
            ports: e.users.clone(),
            mtu: e.mtu,
            node: e.key.node,
            mbufs: e.pool.size(),
            in_use: e.pool.in_use(),
            free: e.pool.available(),
            data_room: e.pool.data_room(),
            bytes: pool_bytes(e.pool.size(), e.pool.data_room()),
        };
        self.entries.lock().iter().map(view).collect()
    }
}

fn make(
    eal: &'static Eal,
    settings: &Settings,
    name: &str,
    key: &PoolKey,
    mtu: u16,
    wanted: u32,
) -> Result<Mempool, MemoryError> {
    let data_room = formula::data_room(mtu).ok_or(MemoryError::Mtu { mtu })?;
    let shared = key.port.is_none();
    // With one node, all memory is its memory, whatever the device says of itself.
    let socket = (dpdk::hugepages::numa_nodes() > 1 && eal.uses_huge_pages()).then_some(key.node);
    let mut mbufs = settings.fitting(shared, wanted, data_room, dpdk::memory_left());
    loop {
        match Mempool::new(eal, name, MempoolConfig { size: mbufs, data_room, socket, ..MempoolConfig::default() }) {
            Ok(pool) => return Ok(pool),
            // Memory can be in pieces too small, or be taken meanwhile.
            Err(MempoolError::NoMemory { need, have, .. }) => {
                let fewer = settings.fitting(shared, mbufs, data_room, have.min(need - 1));
                if fewer == mbufs {
                    return Err(no_memory(eal, mtu, mbufs, need, have));
                }
                mbufs = fewer;
            }
            Err(other) => return Err(MemoryError::Pool(other)),
        }
    }
}

fn no_memory(eal: &Eal, mtu: u16, mbufs: u32, need: u64, have: u64) -> MemoryError {
    let more = need.saturating_sub(have);
    let raise = format!(
        "set memory_mib = {} in the section [datapath] of the configuration (or --memory) and restart, or lower mbufs",
        eal.memory_mib() + more.div_ceil(MIB) + 1
    );
    let remedy = match demand(need, &dpdk::hugepages::page_sizes()).command {
        Some(command) if eal.uses_huge_pages() => command,
        _ => raise,
    };
    MemoryError::NoMemory { mtu, mbufs, need: need.div_ceil(MIB), have: have / MIB, remedy }
}
