//! Changes of ports, and the pairing of patch ports.

use crate::Hardware;
use crate::apply::Batch;
use crate::bridges::find;
use crate::error::{ChangeError, FlowError};
use crate::fdb::FdbFilter;
use crate::pipeline::Pipeline;
use crate::port::{Bonds, PATCH_PORTS, Port, PortKind, PortSpec, PortUpdate, Ports, VlanMode};
use crate::state::{Bridge, State};
use flow::dp::{BridgeId, Dep};
use flow::{DpPort, OfPort};
use std::sync::Arc;

impl Pipeline {
    /// Add a port; its OpenFlow number is the answer.
    ///
    /// # Errors
    /// No such bridge; the name, the number or the datapath port is taken; a number or VLAN out of range. Names of patch ports
    /// must differ over all bridges.
    pub fn add_port(&self, bridge: BridgeId, spec: PortSpec) -> Result<OfPort, FlowError> {
        self.run(|batch| batch.add_port(bridge, spec)).map(|(number, _)| number)
    }

    /// Remove a port and forget what was learned on it.
    ///
    /// # Errors
    /// There is no such bridge or port.
    pub fn remove_port(&self, bridge: BridgeId, number: OfPort) -> Result<Port, FlowError> {
        let (port, _) = self.run(|batch| batch.remove_port(bridge, number))?;
        Ok(port)
    }

    /// Change a port. A new VLAN mode forgets what was learned on it.
    ///
    /// # Errors
    /// There is no such bridge or port; a VLAN out of range.
    pub fn update_port(&self, bridge: BridgeId, number: OfPort, update: PortUpdate) -> Result<(), FlowError> {
        let name = find(&self.state(), bridge)?.name.to_string();
        let done = self.run(|batch| batch.change_port(bridge, number, &update));
        done.map(drop).map_err(|error| match error {
            ChangeError::NoPort { port } => FlowError::NoPort { bridge: name, port: port.to_string() },
            ChangeError::BadVlan(vlan) => FlowError::BadVlan(vlan),
            error => FlowError::Change { index: 0, error },
        })
    }

    /// The ports of a bridge by number.
    #[must_use]
    pub fn ports(&self, bridge: BridgeId) -> Vec<Port> {
        let state = self.state();
        state.bridges.get(&bridge).map(|b| b.ports.values().map(|p| Port::clone(p)).collect()).unwrap_or_default()
    }

    /// To which bridge a datapath port belongs, and its number there.
    #[must_use]
    pub fn owner(&self, dp: DpPort) -> Option<(BridgeId, OfPort)> {
        self.state().owners.get(&dp).copied()
    }

    /// Who knows about bonds from now on.
    pub fn set_bonds(&self, bonds: Arc<dyn Bonds>) {
        let done: Result<_, std::convert::Infallible> = self.run(|batch| {
            batch.state.bonds = Some(bonds);
            let all: Vec<_> = batch.state.bridges.keys().map(|id| Dep::Ports(*id)).collect();
            batch.deps.extend(all);
            Ok(())
        });
        let _ = done;
    }

    /// What hardware can do from now on.
    pub fn set_hardware(&self, hardware: Arc<dyn Hardware>) {
        self.set_hardware_for_new(hardware);
        self.changes().add([Dep::Hardware]);
    }

    /// The same for flows that are made, or translated again, from now on: nobody is told to do so.
    pub fn set_hardware_for_new(&self, hardware: Arc<dyn Hardware>) {
        let done: Result<_, std::convert::Infallible> = self.run(|batch| {
            batch.state.hardware = Some(hardware);
            Ok(())
        });
        let _ = done;
    }

    /// The members of a bond of this bridge, or what they may do, have changed.
    pub fn bonds_changed(&self, bridge: BridgeId) {
        self.changes().add([Dep::Ports(bridge)]);
    }
}

impl Batch {
    fn add_port(&mut self, bridge: BridgeId, spec: PortSpec) -> Result<OfPort, FlowError> {
        check_vlan(&spec.vlan).map_err(|_| FlowError::BadVlan(spec.vlan.vlan()))?;
        let state = &mut self.state;
        let owner = find(state, bridge)?;
        let number = choose_number(owner, &spec)?;
        let dp = match &spec.kind {
            PortKind::Patch { peer } => {
                if *peer == spec.name {
                    return Err(FlowError::PatchToItself(spec.name));
                }
                if let Some((other, _)) = state.patches.get(&spec.name) {
                    let bridge = state.bridges.get(other).map(|b| b.name.to_string()).unwrap_or_default();
                    return Err(FlowError::PortExists { bridge, name: spec.name });
                }
                state.next_patch += 1;
                DpPort(PATCH_PORTS + state.next_patch)
            }
            _ if spec.dp.0 >= PATCH_PORTS => return Err(FlowError::BadDpPort(spec.dp)),
            _ => spec.dp,
        };
        if let Some((owner, _)) = state.owners.get(&dp) {
            let bridge = state.bridges.get(owner).map(|b| b.name.to_string()).unwrap_or_default();
            return Err(FlowError::PortOwned { dp, bridge });
        }
        let PortSpec { name, kind, vlan, priority_tags, flood, up, .. } = spec;
        let is_patch = matches!(kind, PortKind::Patch { .. });
        let port = Port {
            name: name.clone(),
            number,
            dp,
            kind,
            peer: None,
            vlan,
            priority_tags,
            flood,
            up: up && !is_patch,
            enabled: up,
        };
        Arc::make_mut(&mut state.known(bridge)?.ports).insert(number, Arc::new(port));
        Arc::make_mut(&mut state.owners).insert(dp, (bridge, number));
        if is_patch {
            Arc::make_mut(&mut state.patches).insert(name, (bridge, number));
            self.connect(bridge, number);
        }
        self.deps.extend([Dep::Ports(bridge), Dep::PortOwner(dp)]);
        Ok(number)
    }

    pub(crate) fn remove_port(&mut self, bridge: BridgeId, number: OfPort) -> Result<Port, FlowError> {
        let owner = self.state.known(bridge)?;
        let Some(port) = Arc::make_mut(&mut owner.ports).remove(&number) else {
            return Err(FlowError::NoPort { bridge: owner.name.to_string(), port: number.to_string() });
        };
        Arc::make_mut(&mut self.state.owners).remove(&port.dp);
        if let PortKind::Patch { .. } = port.kind {
            Arc::make_mut(&mut self.state.patches).remove(&port.name);
        }
        if let Some((other, peer)) = port.peer {
            self.set_peer(other, peer, None);
        }
        self.forget.push((bridge, FdbFilter { port: Some(port.dp), and_static: true, ..FdbFilter::default() }));
        self.deps.extend([Dep::Ports(bridge), Dep::PortOwner(port.dp)]);
        Ok(Port::clone(&port))
    }

    pub(crate) fn change_port(
        &mut self,
        bridge: BridgeId,
        number: OfPort,
        update: &PortUpdate,
    ) -> Result<(), ChangeError> {
        if let Some(vlan) = &update.vlan {
            check_vlan(vlan)?;
        }
        let owner = self.bridge(bridge)?;
        let old = owner.ports.get(&number).cloned().ok_or(ChangeError::NoPort { port: number })?;
        let mut port = Port::clone(&old);
        port.vlan = update.vlan.clone().unwrap_or(port.vlan);
        port.priority_tags = update.priority_tags.unwrap_or(port.priority_tags);
        port.flood = update.flood.unwrap_or(port.flood);
        port.enabled = update.up.unwrap_or(port.enabled);
        port.up = port.enabled && (port.peer.is_some() || !matches!(port.kind, PortKind::Patch { .. }));
        if port == *old {
            return Ok(());
        }
        if port.vlan != old.vlan {
            let filter = FdbFilter { port: Some(old.dp), and_static: true, ..FdbFilter::default() };
            self.forget.push((bridge, filter));
        }
        Arc::make_mut(&mut self.bridge(bridge)?.ports).insert(number, Arc::new(port));
        self.deps.insert(Dep::Ports(bridge));
        Ok(())
    }

    /// Connect a patch port with its peer, when both name each other.
    fn connect(&mut self, bridge: BridgeId, number: OfPort) {
        let ends = |state: &State, (bridge, number): (BridgeId, OfPort)| {
            let port = state.bridges.get(&bridge)?.ports.get(&number)?;
            match &port.kind {
                PortKind::Patch { peer } => Some((port.name.clone(), peer.clone())),
                _ => None,
            }
        };
        let this = (bridge, number);
        let Some((name, peer)) = ends(&self.state, this) else { return };
        let Some(other) = self.state.patches.get(&peer).copied() else { return };
        if ends(&self.state, other).is_some_and(|(_, back)| back == name) {
            self.set_peer(bridge, number, Some(other));
            self.set_peer(other.0, other.1, Some(this));
        }
    }

    fn set_peer(&mut self, bridge: BridgeId, number: OfPort, peer: Option<(BridgeId, OfPort)>) {
        let Some(owner) = self.state.bridge_mut(bridge) else { return };
        if let Some(port) = Arc::make_mut(&mut owner.ports).get_mut(&number) {
            let port = Arc::make_mut(port);
            port.peer = peer;
            port.up = port.enabled && peer.is_some();
        }
        self.deps.insert(Dep::Ports(bridge));
    }
}

fn check_vlan(mode: &VlanMode) -> Result<(), ChangeError> {
    match mode.vlan() {
        vlan if vlan > 0xfff => Err(ChangeError::BadVlan(vlan)),
        _ => Ok(()),
    }
}

impl VlanMode {
    /// The VLAN of packets without a tag.
    pub(crate) fn vlan(&self) -> u16 {
        match self {
            VlanMode::Access(vid)
            | VlanMode::NativeTagged { native: vid, .. }
            | VlanMode::NativeUntagged { native: vid, .. } => *vid,
            VlanMode::Trunk(_) => 0,
        }
    }
}

fn choose_number(bridge: &Bridge, spec: &PortSpec) -> Result<OfPort, FlowError> {
    let ports: &Ports = &bridge.ports;
    let name = || bridge.name.to_string();
    if ports.values().any(|p| p.name == spec.name) {
        return Err(FlowError::PortExists { bridge: name(), name: spec.name.clone() });
    }
    match spec.number {
        Some(number) if !number.is_real() && number != OfPort::LOCAL => Err(FlowError::NumberReserved(number)),
        Some(number) => match ports.get(&number) {
            Some(p) => Err(FlowError::NumberTaken { bridge: name(), number, name: p.name.clone() }),
            None => Ok(number),
        },
        None => (1..OfPort::MAX.0)
            .map(OfPort)
            .find(|n| !ports.contains_key(n))
            .ok_or_else(|| FlowError::NumbersExhausted(name())),
    }
}
