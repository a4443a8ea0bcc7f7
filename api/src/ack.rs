//! How far a change has come.

use serde::{Deserialize, Serialize};

/// The answer to a change: it is persisted, and this is how far it has come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ack {
    /// The state after the change.
    pub epoch: u64,
    pub workers: Workers,
    pub hardware: Hardware,
    /// How many objects (flows, ports ...) the change made, changed or removed.
    #[serde(default)]
    pub changed: usize,
}

/// PMD threads.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Workers {
    /// No packet received from now on meets the old state.
    Fenced,
    /// This thread did not answer in time.
    TimedOut { pmd: u32 },
}

/// The NIC.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Hardware {
    /// No stale rule is left.
    Fenced,
    /// So many operations are under way.
    Pending(usize),
    /// The device did not do it.
    Failed(String),
}

impl From<::flow::dp::Ack> for Ack {
    fn from(ack: ::flow::dp::Ack) -> Ack {
        Ack {
            epoch: ack.epoch,
            workers: match ack.workers {
                ::flow::dp::WorkerFence::Fenced => Workers::Fenced,
                ::flow::dp::WorkerFence::TimedOut { pmd } => Workers::TimedOut { pmd },
            },
            hardware: match ack.hardware {
                ::flow::dp::HardwareFence::Fenced => Hardware::Fenced,
                ::flow::dp::HardwareFence::Pending(n) => Hardware::Pending(n),
                ::flow::dp::HardwareFence::Failed(why) => Hardware::Failed(why),
            },
            changed: 0,
        }
    }
}
