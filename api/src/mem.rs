//! Memory for packets: pools in use, pools to be.

use serde::{Deserialize, Serialize};

/// A pool in use.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemPool {
    pub name: String,
    /// Ports that receive into it.
    pub ports: Vec<String>,
    /// MTU that its buffers are sized for.
    pub mtu: u16,
    /// NUMA node.
    pub node: u32,
    /// Buffers in all.
    pub mbufs: u32,
    /// Buffers in queues, rings and packets.
    pub in_use: u32,
    pub free: u32,
    /// Bytes of a buffer that hold headroom and frame.
    pub data_room: u16,
    /// Bytes of memory in all.
    pub bytes: u64,
}

/// Memory as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemView {
    pub pools: Vec<MemPool>,
    /// Pools that no port has any more, whose buffers are not all back yet.
    pub waiting: usize,
    /// Whether DPDK's memory is in huge pages.
    pub huge_pages: bool,
    /// Bytes of DPDK's heap.
    pub heap: u64,
    pub heap_free: u64,
}

/// What a plan is asked for. What is absent is as the configuration says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MemAsk {
    /// One port more for each of these MTUs.
    pub mtus: Vec<u16>,
    /// NUMA node of these ports.
    pub node: u32,
    /// Receive queues of these ports; 1 when absent.
    pub n_rxq: Option<u16>,
    /// Descriptors a receive queue of these ports.
    pub n_rxq_desc: Option<u16>,
    /// Descriptors a transmit queue of these ports.
    pub n_txq_desc: Option<u16>,
    /// Number of PMDs.
    pub pmds: Option<u16>,
    pub per_port_memory: Option<bool>,
    pub shared_mempool_config: Option<String>,
    pub mbufs: Option<u32>,
}

/// A pool to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PlannedPool {
    pub name: String,
    pub ports: Vec<String>,
    /// MTU that its buffers are sized for.
    pub mtu: u16,
    pub node: u32,
    pub mbufs: u32,
    /// What the formula says, when memory is short and it was halved to `mbufs`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wanted: Option<u32>,
    /// Bytes of a buffer as Open vSwitch's manual counts them.
    pub mbuf_size: u32,
    /// Megabytes of all buffers as the manual counts them.
    pub megabytes: u64,
    /// Bytes that a buffer takes here.
    pub buffer_bytes: u32,
    /// Bytes that the pool takes here.
    pub bytes: u64,
}

/// Memory that pools need, and memory that is there.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MemPlan {
    /// `shared` or `per-port`.
    pub model: String,
    pub shared_mempool_config: String,
    pub pools: Vec<PlannedPool>,
    /// Whether there are huge pages enough for DPDK to use them.
    pub huge_pages: bool,
    pub need_mib: u64,
    pub have_mib: u64,
    /// Huge pages: KiB of one, how many are needed, free (those that the daemon has included), there at all.
    pub page_kib: u64,
    pub need_pages: u64,
    pub free_pages: u64,
    pub total_pages: u64,
    /// What makes the plan fit; absent when it does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}
