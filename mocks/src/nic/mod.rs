//! The mock SmartNIC: see the crate's essay.

pub mod checksum;
pub mod decode;
pub mod edit;
pub mod eswitch;
pub mod faults;
pub mod headers;
pub mod item;
mod ports;
pub mod profile;
mod rte_flow;
pub mod rule;
pub mod table;

pub use eswitch::{Count, Delivery, Eswitch, NicStats};
pub use faults::{Fault, Faults, UnknownFault};
pub use ports::{End, InjectError, MAX_FRAME, MockNic, MockNicConfig, NicError, NicHandle, NicThread, Representor};
pub use profile::{Profile, ProfileError};
pub use rte_flow::MockRteFlow;
pub use rule::{RawAction, RawFlow, RawItem, Refusal, RefusalKind, Source};

#[cfg(test)]
mod tests;
