//! The backend for DPDK devices.
//!
//! Everything goes through an [`rte_flow_rs::RteFlowApi`], so a model NIC behind that trait sees the lowered
//! bytes that a driver would see.
//!
//! Where the device has a template engine, rules go into template tables by their shape: operations of a batch are queued,
//! pushed together, and their ends pulled by `poll`. A shape that the device takes as no template, and a device without an engine,
//! get single calls, whose completions are there when `submit` returns. What the queue says failed is asked again by a single
//! call, since queues give no reasons.

mod backend;
mod lower;
mod memory;
pub mod meters;
mod queued;
mod removing;
mod signature;
mod tables;
mod validate;

#[cfg(test)]
mod removing_tests;
#[cfg(test)]
mod tests;

pub use backend::RteFlowBackend;
pub use lower::{actions, attributes, pattern};
pub use memory::RteFlowMemory;
pub use validate::{ask, validate};
