//! The mock SmartNIC: see the crate's essay.

mod actions;
pub mod checksum;
pub mod decode;
pub mod edit;
pub mod encap;
pub mod eswitch;
pub mod faults;
mod forward;
pub mod headers;
pub mod item;
pub mod meter;
pub mod modify;
mod ports;
pub mod profile;
mod rte_flow;
pub mod rule;
pub mod table;
mod template;

pub use eswitch::{Count, Delivery, Eswitch, Held, NicStats};
pub use faults::{Fault, Faults, UnknownFault};
pub use ports::{End, InjectError, MAX_FRAME, MockNic, MockNicConfig, NicError, NicHandle, NicThread, Representor};
pub use profile::{Profile, ProfileError};
pub use rte_flow::MockRteFlow;
pub use rule::{Queues, RawAction, RawFlow, RawItem, Refusal, RefusalKind, Source};

#[cfg(test)]
mod tests;
