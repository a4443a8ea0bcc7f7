//! Random rule sets, packets that meet them, and an independent reading of both: material for tests of this and other crates.
//!
//! Everything comes from a seed and nothing else, so a failure can be told by its seed. Rules draw their values from
//! small pools, so that they overlap, and packets are made to satisfy a rule chosen at random: a test whose packets
//! all miss tests nothing.
//!
//! ```
//! use flow::OfPort;
//! use pipeline::testing::{PacketGen, RuleGen};
//! let ports = [OfPort(1), OfPort(2), OfPort(3)];
//! let rules = RuleGen::new(7).rules(50, &ports);
//! let packet = PacketGen::new(7, &rules, &ports).next_packet();
//! assert!(packet.frame.len() >= 60);
//! ```

mod frame;
mod language;
mod model;
mod packets;
mod rng;
mod rules;

pub use frame::{complete, frame};
pub use language::Language;
pub use model::{Model, Outcome, TestPort, dp};
pub use packets::{PacketGen, TestPacket};
pub use rng::Rng;
pub use rules::{RuleGen, RuleOptions};
