//! One file a noun.

pub mod bridge;
pub mod dp;
pub mod flow;
pub mod nic;
pub mod offload;
pub mod port;
pub mod show;
