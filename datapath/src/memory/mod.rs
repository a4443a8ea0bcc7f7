//! Memory for packets: how large buffers are, how many there are, which ports share them.
//!
//! - [`formula`]: the sizes, as Open vSwitch's manual computes them ("DPDK Device Memory Models"); pure;
//! - [`SharedConfig`]: the MTUs that shared pools are made for;
//! - [`plan`]: the pools that ports need, computed before anything is taken; pure;
//! - [`Pools`]: the pools in use, one for all ports of a size and NUMA node, or one a port.
//!
//! # Invariants
//! - A plan and the pools that come of it are computed by the same functions.
//! - A pool lives as long as a port or a packet of it does: [`Pools`] only lets go of its own handle ([`dpdk::Mempool`]).
//! - The base pool is there from the start and stays: copies and packets of control come from it, and ports of the common MTU.

pub mod formula;
mod hugepages;
mod plan;
mod pools;
mod shared_config;

#[cfg(test)]
mod tests;

pub use hugepages::{Demand, demand};
pub use plan::{BASE, PlannedPool, PortNeed, Settings, plan};
pub use pools::{MemoryError, PoolView, Pools};
pub use shared_config::{SharedConfig, SharedConfigError};
