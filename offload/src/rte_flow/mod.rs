//! The backend for DPDK devices.
//!
//! Everything goes through an [`rte_flow_rs::RteFlowApi`], so a model NIC behind that trait sees the lowered
//! bytes that a driver would see. Operations are synchronous: a completion is there when `submit` returns.

mod backend;
mod lower;
mod validate;

#[cfg(test)]
mod tests;

pub use backend::RteFlowBackend;
pub use lower::{actions, attributes, pattern};
pub use validate::validate;
