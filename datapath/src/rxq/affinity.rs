//! Queues pinned by hand: `pmd-rxq-affinity="0:3,1:7,3:8"`.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// CPUs of pinned queues, by queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Affinity(BTreeMap<u16, usize>);

/// Why a list of pinned queues cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AffinityError {
    #[error("`{0}` is not QUEUE:CPU; write a list such as 0:3,1:7")]
    Pair(String),
    #[error("queue {0} is there twice; name each queue once")]
    Twice(u16),
}

impl Affinity {
    /// The CPU that a queue is pinned to.
    #[must_use]
    pub fn of(&self, queue: u16) -> Option<usize> {
        self.0.get(&queue).copied()
    }

    /// Queues and their CPUs, in the order of queues.
    pub fn iter(&self) -> impl Iterator<Item = (u16, usize)> {
        self.0.iter().map(|(queue, cpu)| (*queue, *cpu))
    }

    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl FromStr for Affinity {
    type Err = AffinityError;

    /// An empty list pins nothing.
    fn from_str(text: &str) -> Result<Affinity, AffinityError> {
        let mut pins = BTreeMap::new();
        for pair in text.split(',').map(str::trim).filter(|p| !p.is_empty()) {
            let bad = || AffinityError::Pair(pair.to_owned());
            let (queue, cpu) = pair.split_once(':').ok_or_else(bad)?;
            let queue = queue.trim().parse().map_err(|_| bad())?;
            let cpu = cpu.trim().parse().map_err(|_| bad())?;
            if pins.insert(queue, cpu).is_some() {
                return Err(AffinityError::Twice(queue));
            }
        }
        Ok(Affinity(pins))
    }
}

impl fmt::Display for Affinity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (queue, cpu)) in self.iter().enumerate() {
            write!(f, "{}{queue}:{cpu}", if i > 0 { "," } else { "" })?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_read_and_shown() {
        let pins: Affinity = "0:3, 1:7,3:8".parse().unwrap();
        assert_eq!([0, 1, 2, 3].map(|q| pins.of(q)), [Some(3), Some(7), None, Some(8)]);
        assert_eq!(pins.to_string(), "0:3,1:7,3:8");
        assert!("".parse::<Affinity>().unwrap().is_empty());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str| text.parse::<Affinity>().unwrap_err().to_string();
        for text in ["0", "a:1", "0:-1", "1:2:3", "70000:1"] {
            assert_eq!(wrong(text), format!("`{text}` is not QUEUE:CPU; write a list such as 0:3,1:7"));
        }
        assert_eq!(wrong("0:1,0:2"), "queue 0 is there twice; name each queue once");
    }
}
