//! The MTUs that shared pools are made for.

use super::formula::{MAX_MTU, MIN_MTU, frame_room};
use std::fmt::{Display, Formatter};
use std::str::FromStr;

/// Highest number of a NUMA node that an entry may name (`RTE_MAX_NUMA_NODES` of common builds is 32).
const MAX_NODE: u32 = 31;

/// MTUs whose buffer sizes ports are to share, each for one NUMA node or all: `9000,1500:1,6000:1`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SharedConfig(Vec<Entry>);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Entry {
    mtu: u16,
    /// `None`: every node.
    node: Option<u32>,
}

/// What is wrong with a text for a [`SharedConfig`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "shared_mempool_config: `{entry}` is no entry; use MTU or MTU:NODE, an MTU from {MIN_MTU} to {MAX_MTU}, a NUMA node from 0 to \
     {MAX_NODE}, such as 9000,1500:1"
)]
pub struct SharedConfigError {
    /// The entry as it was given.
    pub entry: String,
}

impl FromStr for SharedConfig {
    type Err = SharedConfigError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text.trim().is_empty() {
            return Ok(SharedConfig::default());
        }
        let entry = |text: &str| {
            let (mtu, node) = match text.trim().split_once(':') {
                Some((mtu, node)) => (mtu, Some(node.parse().ok().filter(|n| *n <= MAX_NODE)?)),
                None => (text.trim(), None),
            };
            let mtu = mtu.parse().ok().filter(|mtu| (MIN_MTU..=MAX_MTU).contains(mtu))?;
            Some(Entry { mtu, node })
        };
        text.split(',')
            .map(|part| entry(part).ok_or_else(|| SharedConfigError { entry: part.trim().to_owned() }))
            .collect::<Result<_, _>>()
            .map(SharedConfig)
    }
}

impl Display for SharedConfig {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (i, entry) in self.0.iter().enumerate() {
            let comma = if i > 0 { "," } else { "" };
            match entry.node {
                Some(node) => write!(f, "{comma}{}:{node}", entry.mtu)?,
                None => write!(f, "{comma}{}", entry.mtu)?,
            }
        }
        Ok(())
    }
}

impl SharedConfig {
    /// The MTU that the buffers of a port are sized for: of the entries of its node whose buffers hold its frames the one with the
    /// smallest buffers; its own MTU when there is none.
    #[must_use]
    pub fn buffer_mtu(&self, mtu: u16, node: u32) -> u16 {
        self.0
            .iter()
            .filter(|e| e.node.is_none_or(|n| n == node) && frame_room(e.mtu) >= frame_room(mtu))
            .map(|e| e.mtu)
            .min()
            .unwrap_or(mtu)
    }
}
