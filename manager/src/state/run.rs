//! Who puts hardware rules in: this state, and which start of a daemon on it.

use serde::{Deserialize, Serialize};
use std::hash::{BuildHasher, RandomState};

/// Goes with hardware rules, so that a daemon knows those of the one before it, and leaves those of others alone.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Run {
    /// Drawn when the state was begun; never 0.
    pub instance: u64,
    /// Starts of a daemon on it, this one included.
    pub generation: u64,
}

impl Run {
    /// The run after this one.
    #[must_use]
    pub fn next(self) -> Run {
        let instance = match self.instance {
            // The keys of hash maps come from the system's random numbers.
            0 => RandomState::new().hash_one(std::process::id()).max(1),
            there => there,
        };
        Run { instance, generation: self.generation.saturating_add(1) }
    }
}

impl From<Run> for offload::Cookie {
    fn from(run: Run) -> offload::Cookie {
        offload::Cookie { instance: run.instance, generation: run.generation }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_state_is_another_instance_and_each_start_another_run_of_it() {
        let (one, other) = (Run::default().next(), Run::default().next());
        assert!(one.instance != other.instance && one.instance != 0);
        assert_eq!(one.next(), Run { instance: one.instance, generation: 2 });
    }
}
