//! Which pools ports need.

use super::formula::{self, DEFAULT_MTU, DESCRIPTORS, MIN_MBUFS};
use super::shared_config::SharedConfig;
use dpdk::{Mempool, MempoolConfig};

/// Name of the pool that is there from the start.
pub const BASE: &str = "packets";

/// How memory is shared out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Each port has a pool of its own; else ports of one buffer size and NUMA node share one.
    pub per_port: bool,
    /// MTUs that shared pools are made for.
    pub shared: SharedConfig,
    /// Buffers of each shared pool, instead of the formula's; never halved.
    pub mbufs: Option<u32>,
    /// Most buffers of a shared pool when the formula counts them: fewer where memory is small from the start.
    pub most: u32,
}

impl Default for Settings {
    fn default() -> Self {
        Settings { per_port: false, shared: SharedConfig::default(), mbufs: None, most: formula::SHARED_MBUFS }
    }
}

/// What the pool of a port depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortNeed {
    pub name: String,
    /// Largest L3 packet in bytes.
    pub mtu: u16,
    /// NUMA node of the device.
    pub node: u32,
    pub rx_queues: u16,
    pub rx_descriptors: u16,
    /// PMDs and one more.
    pub tx_queues: u16,
    pub tx_descriptors: u16,
}

impl PortNeed {
    /// A port with one receive queue, for one PMD, with queues of the usual size.
    #[must_use]
    pub fn new(name: impl Into<String>, mtu: u16) -> PortNeed {
        PortNeed {
            name: name.into(),
            mtu,
            node: 0,
            rx_queues: 1,
            rx_descriptors: DESCRIPTORS,
            tx_queues: 2,
            tx_descriptors: DESCRIPTORS,
        }
    }

    fn mbufs(&self) -> u32 {
        formula::per_port_mbufs(self.rx_queues, self.rx_descriptors, self.tx_queues, self.tx_descriptors)
    }
}

/// Which ports have a pool in common.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct PoolKey {
    /// Bytes of frame that a buffer holds.
    pub(super) room: u32,
    pub(super) node: u32,
    /// The port that has the pool for itself.
    pub(super) port: Option<String>,
}

/// A pool to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlannedPool {
    /// [`BASE`], or the MTU, node and port that it is for.
    pub name: String,
    /// Ports that take buffers of it.
    pub ports: Vec<String>,
    /// MTU that its buffers are sized for.
    pub mtu: u16,
    /// NUMA node.
    pub node: u32,
    /// Number of buffers.
    pub mbufs: u32,
    /// The formula's number, when there was no memory for it: halved down to `mbufs`.
    pub wanted: Option<u32>,
    /// Bytes of a buffer that hold frame and headroom.
    pub data_room: u16,
    /// Bytes of DPDK's memory in all.
    pub bytes: u64,
}

impl Settings {
    /// What a port's pool is, of which size, for which MTU.
    pub(super) fn pool_for(&self, need: &PortNeed) -> (PoolKey, u16, u32) {
        if self.per_port {
            let key = PoolKey { room: formula::frame_room(need.mtu), node: need.node, port: Some(need.name.clone()) };
            return (key, need.mtu, need.mbufs());
        }
        let mtu = self.shared.buffer_mtu(need.mtu, need.node);
        let key = PoolKey { room: formula::frame_room(mtu), node: need.node, port: None };
        (key, mtu, self.shared_mbufs(mtu))
    }

    /// The pool that is there from the start, on the first node, for the common MTU.
    pub(super) fn base(&self) -> (PoolKey, u16, u32) {
        let mtu = if self.per_port { DEFAULT_MTU } else { self.shared.buffer_mtu(DEFAULT_MTU, 0) };
        let mbufs = if self.per_port { self.mbufs.unwrap_or(MIN_MBUFS) } else { self.shared_mbufs(mtu) };
        (PoolKey { room: formula::frame_room(mtu), node: 0, port: None }, mtu, mbufs)
    }

    fn shared_mbufs(&self, mtu: u16) -> u32 {
        self.mbufs.unwrap_or_else(|| formula::shared_mbufs(mtu).min(self.most))
    }

    /// The number of buffers that fits `have` bytes: halved, but not below [`MIN_MBUFS`], where the formula may be.
    pub(super) fn fitting(&self, shared: bool, mut mbufs: u32, data_room: u16, have: u64) -> u32 {
        let halves = shared && self.mbufs.is_none();
        while halves && mbufs > MIN_MBUFS && pool_bytes(mbufs, data_room) > have {
            mbufs = (mbufs / 2).max(MIN_MBUFS);
        }
        mbufs
    }
}

/// Bytes of DPDK's memory that a pool of so many buffers takes.
#[must_use]
pub(super) fn pool_bytes(mbufs: u32, data_room: u16) -> u64 {
    Mempool::bytes_needed(&MempoolConfig { size: mbufs, data_room, ..MempoolConfig::default() })
}

/// The pools for these ports, the base pool first, in the order in which they are to be made. With `have` bytes of memory, shared
/// pools are halved until they fit; the last ones may not fit even so.
#[must_use]
pub fn plan(settings: &Settings, ports: &[PortNeed], have: Option<u64>) -> Vec<PlannedPool> {
    let mut left = have;
    let mut keys: Vec<PoolKey> = Vec::new();
    let mut pools: Vec<PlannedPool> = Vec::new();
    let mut add = |keys: &mut Vec<PoolKey>, key: PoolKey, mtu: u16, mbufs: u32, name: String| {
        let data_room = formula::data_room(mtu).unwrap_or(u16::MAX);
        let fitted = match left {
            Some(left) => settings.fitting(key.port.is_none(), mbufs, data_room, left),
            None => mbufs,
        };
        let bytes = pool_bytes(fitted, data_room);
        left = left.map(|left| left.saturating_sub(bytes));
        let (node, wanted) = (key.node, (fitted != mbufs).then_some(mbufs));
        keys.push(key);
        pools.push(PlannedPool { name, ports: Vec::new(), mtu, node, mbufs: fitted, wanted, data_room, bytes });
        pools.len() - 1
    };
    let (key, mtu, mbufs) = settings.base();
    add(&mut keys, key, mtu, mbufs, BASE.to_owned());
    let mut users: Vec<(usize, String)> = Vec::new();
    for need in ports {
        let (key, mtu, mbufs) = settings.pool_for(need);
        let at = keys.iter().position(|k| *k == key);
        let at = at.unwrap_or_else(|| {
            let name = pool_name(&key, mtu);
            add(&mut keys, key, mtu, mbufs, name)
        });
        users.push((at, need.name.clone()));
    }
    for (at, port) in users {
        pools[at].ports.push(port);
    }
    pools
}

pub(super) fn pool_name(key: &PoolKey, mtu: u16) -> String {
    let node = if key.node == 0 { String::new() } else { format!("-node{}", key.node) };
    match &key.port {
        Some(port) => format!("{port}-mtu{mtu}{node}"),
        None => format!("mtu{mtu}{node}"),
    }
}
