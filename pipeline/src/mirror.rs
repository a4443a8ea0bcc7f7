//! Mirrors: copies of chosen packets to a port or a VLAN (ovs-vswitchd.conf.db(5), table Mirror).

use crate::apply::Batch;
use crate::error::FlowError;
use crate::group::Count;
use crate::pipeline::Pipeline;
use crate::port::VlanSet;
use crate::state::Bridge;
use flow::OfPort;
use flow::dp::{BridgeId, Dep};
use std::collections::BTreeSet;
use std::sync::Arc;

/// A mirror to add.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorSpec {
    /// Unique in its bridge.
    pub name: String,
    /// All packets that come in or go out by any port.
    pub select_all: bool,
    /// Packets that come in by these ports.
    pub select_src: BTreeSet<OfPort>,
    /// Packets that go out by these ports.
    pub select_dst: BTreeSet<OfPort>,
    /// Only packets in these VLANs; `None`: in any.
    pub select_vlan: Option<VlanSet>,
    pub output: MirrorOutput,
    /// Most bytes of each copy; 0: all.
    pub snaplen: u16,
}

/// Where a mirror's copies go.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MirrorOutput {
    /// To this port, which then carries nothing but copies.
    Port(OfPort),
    /// To all ports that carry this VLAN, 1 to 4095, with its tag (RSPAN).
    Vlan(u16),
}

/// A mirror of a bridge.
#[derive(Debug)]
pub(crate) struct Mirror {
    /// Its number in [`flow::dp::Effect::Mirror`]: never used twice in a bridge.
    pub(crate) id: u32,
    pub(crate) spec: MirrorSpec,
    pub(crate) count: Count,
}

/// The mirrors of a bridge, in the order in which they were added.
pub(crate) type Mirrors = Arc<[Arc<Mirror>]>;

/// Most mirrors of a bridge, as in OVS.
pub const MAX_MIRRORS: usize = 32;

/// A mirror as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MirrorEntry {
    /// Its number in [`flow::dp::Effect::Mirror`].
    pub id: u32,
    pub spec: MirrorSpec,
    /// Packets mirrored, and their bytes as received.
    pub packets: u64,
    pub bytes: u64,
}

impl Bridge {
    /// Whether a port carries nothing but a mirror's copies.
    pub(crate) fn is_mirror_output(&self, port: OfPort) -> bool {
        self.mirrors.iter().any(|m| m.spec.output == MirrorOutput::Port(port))
    }
}

impl Batch {
    /// Flows that meet no mirror do not depend on mirrors: each port's flows are looked at again.
    fn mirrors_changed(&mut self, bridge: BridgeId) {
        let ports = self.state.bridges.get(&bridge).map(|b| b.ports.values()).into_iter().flatten();
        self.deps.extend(ports.map(|p| Dep::PortOwner(p.dp)));
        self.deps.insert(Dep::Ports(bridge));
    }
}

impl Pipeline {
    /// Add a mirror.
    ///
    /// # Errors
    /// There is no such bridge or output port; the name is taken; the output VLAN is out of range; there are [`MAX_MIRRORS`].
    pub fn add_mirror(&self, bridge: BridgeId, spec: MirrorSpec) -> Result<u32, FlowError> {
        let done = self.run(|batch| {
            let id = batch.state.next_mirror;
            batch.state.next_mirror += 1;
            let owner = batch.state.known(bridge)?;
            let name = owner.name.to_string();
            if owner.mirrors.iter().any(|m| m.spec.name == spec.name) {
                return Err(FlowError::MirrorExists { bridge: name, mirror: spec.name });
            }
            if owner.mirrors.len() >= MAX_MIRRORS {
                return Err(FlowError::TooManyMirrors(name));
            }
            match spec.output {
                MirrorOutput::Port(port) if !owner.ports.contains_key(&port) => {
                    return Err(FlowError::NoPort { bridge: name, port: port.to_string() });
                }
                MirrorOutput::Vlan(vlan) if !(1..4096).contains(&vlan) => return Err(FlowError::BadVlan(vlan)),
                _ => {}
            }
            let new = Arc::new(Mirror { id, spec, count: Count::default() });
            owner.mirrors = owner.mirrors.iter().cloned().chain([new]).collect();
            batch.mirrors_changed(bridge);
            Ok(id)
        });
        done.map(|(id, _)| id)
    }

    /// Remove a mirror.
    ///
    /// # Errors
    /// There is no such bridge or mirror.
    pub fn remove_mirror(&self, bridge: BridgeId, name: &str) -> Result<(), FlowError> {
        let done = self.run(|batch| {
            let owner = batch.state.known(bridge)?;
            let left: Mirrors = owner.mirrors.iter().filter(|m| m.spec.name != name).cloned().collect();
            if left.len() == owner.mirrors.len() {
                return Err(FlowError::NoMirror { bridge: owner.name.to_string(), mirror: name.to_owned() });
            }
            owner.mirrors = left;
            batch.mirrors_changed(bridge);
            Ok(())
        });
        done.map(drop)
    }

    /// The mirrors of a bridge, in the order in which they were added.
    #[must_use]
    pub fn mirrors(&self, bridge: BridgeId) -> Vec<MirrorEntry> {
        let state = self.state();
        let Some(owner) = state.bridges.get(&bridge) else { return Vec::new() };
        let entry = |m: &Arc<Mirror>| {
            let (packets, bytes) = m.count.read();
            MirrorEntry { id: m.id, spec: m.spec.clone(), packets, bytes }
        };
        owner.mirrors.iter().map(entry).collect()
    }
}
