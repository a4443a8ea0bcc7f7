//! One file a noun.

pub mod bridge;
pub mod dp;
pub mod eswitch;
pub mod fdb;
pub mod flow;
pub mod group;
pub mod mem;
pub mod meter;
pub mod mirror;
mod names;
pub mod nic;
pub mod offload;
pub mod pmd;
pub mod port;
pub mod port_device;
pub mod rep;
pub mod sf;
pub mod show;
pub mod table;
pub mod vf;
