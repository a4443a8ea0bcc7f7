//! What the planner knows beside the flow: ports, where they are, what their devices can do, and whether offload
//! is wanted.

use crate::backend::DeviceKey;
use crate::caps::Capabilities;
use crate::refusal::{MeterObstacle, Refusal, Refusals};
use flow::dp::MeterId;
use flow::meter::MeterSpec;
use flow::port::DpPort;
use hashbrown::HashMap;
use std::collections::BTreeSet;
use std::sync::Arc;

/// A DPDK ethdev port number.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EthdevId(pub u16);

/// The embedded switch that a port belongs to (`rte_eth_switch_info.domain_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EswitchDomain(pub u16);

/// What a port is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum PortKind {
    /// The wire port of an embedded switch.
    Uplink,
    /// Stands for the VF with this number.
    VfRepresentor(u16),
    /// A NIC port without embedded switch: can mark at most.
    Nic,
    /// Memif, vhost-user, tap and the like.
    Virtual,
}

/// One datapath port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PortInfo {
    /// Name for messages.
    pub name: String,
    pub kind: PortKind,
    /// The ethdev that packets of the port are received from.
    pub ethdev: EthdevId,
    /// `None` unless the port is one of an embedded switch.
    pub domain: Option<EswitchDomain>,
    /// Receive queues of the ethdev.
    pub rx_queues: u16,
    pub caps: Arc<Capabilities>,
}

/// Which flows may go into hardware: those that neither switches nor policy keep out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Admission {
    /// Offload is switched off: rules that are there are taken out.
    pub off: bool,
    /// Flows that come in on these ports are switched off.
    pub ports_off: BTreeSet<DpPort>,
    pub policy: Admitted,
}

/// Which flows a policy lets in.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Admitted {
    /// All that the devices can take.
    #[default]
    All,
    /// None.
    None,
    /// Those that come in on these ports.
    Ports(BTreeSet<DpPort>),
}

impl Admission {
    /// All flows that the devices can take.
    #[must_use]
    pub fn all() -> Admission {
        Admission::default()
    }

    /// None, as offload is switched off.
    #[must_use]
    pub fn off() -> Admission {
        Admission { off: true, ..Admission::default() }
    }

    /// Those that come in on ports that the policy names.
    #[must_use]
    pub fn ports(ports: impl IntoIterator<Item = DpPort>) -> Admission {
        Admission { policy: Admitted::Ports(ports.into_iter().collect()), ..Admission::default() }
    }

    /// Whether no flow may go in, whatever port it comes in on.
    #[must_use]
    pub fn is_off(&self) -> bool {
        self.off || self.policy == Admitted::None
    }
}

/// A meter, and where it is to be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WantedMeter {
    pub spec: Arc<MeterSpec>,
    /// The device, or why it is none.
    pub place: Result<DeviceKey, MeterObstacle>,
}

/// The planner's view. A change of it is a new world: [`crate::Engine::set_world`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct World {
    pub admission: Admission,
    /// Whether a flow that hardware cannot take whole may be marked.
    pub partial: bool,
    pub ports: HashMap<DpPort, PortInfo>,
    /// Meters whose place is in this device. All others are in software. The engine keeps this, and the obstacles.
    pub meters: HashMap<MeterId, DeviceKey>,
    /// Why other meters are in software, with their OpenFlow numbers.
    pub meter_obstacles: HashMap<MeterId, (u32, MeterObstacle)>,
    /// Whether software goes on in the middle of a flow's actions for packets that hardware has changed and marked, by marks that
    /// the engine asks for ([`crate::HitSink::rest_mark`]). Without, a mark leads to the flow's first action.
    pub resume: bool,
}

impl World {
    /// A world that offloads all it can, without ports yet.
    #[must_use]
    pub fn new() -> World {
        World { partial: true, ..World::default() }
    }

    /// Whether flows that come in on `port` may go in.
    ///
    /// # Errors
    /// All that keeps them out: a switch as well as the policy, as one remedy would not do then.
    pub fn admits(&self, port: DpPort) -> Result<(), Refusals> {
        let Admission { off, ports_off, policy } = &self.admission;
        if !off && ports_off.is_empty() && *policy == Admitted::All {
            return Ok(());
        }
        let name = |port: &DpPort| self.ports.get(port).map_or_else(|| port.to_string(), |info| info.name.clone());
        let mut refused = Refusals::new();
        if *off {
            refused.push(Refusal::Disabled);
        }
        if ports_off.contains(&port) {
            refused.push(Refusal::PortDisabled { port, name: name(&port).into() });
        }
        match policy {
            Admitted::All => {}
            Admitted::None => refused.push(Refusal::PolicyOff),
            Admitted::Ports(ports) if ports.contains(&port) => {}
            Admitted::Ports(ports) => {
                let named: Vec<String> = ports.iter().chain([&port]).map(name).collect();
                let ports = named.join(",").into();
                refused.push(Refusal::PolicyPorts { port, name: name(&port).into(), ports });
            }
        }
        if refused.is_empty() { Ok(()) } else { Err(refused) }
    }

    /// Whether rules of a device can go through a meter.
    ///
    /// # Errors
    /// Why not.
    pub fn meter_in(&self, meter: MeterId, device: DeviceKey) -> Result<(), Refusal> {
        match (self.meters.get(&meter), self.meter_obstacles.get(&meter)) {
            (Some(place), _) if *place == device => Ok(()),
            (None, Some((number, why))) => Err(Refusal::Meter { meter, number: *number, why: why.clone() }),
            _ => Err(Refusal::MeterSplit { meter }),
        }
    }

    /// The world with one more port.
    #[must_use]
    pub fn with_port(mut self, port: DpPort, info: PortInfo) -> World {
        self.ports.insert(port, info);
        self
    }
}

impl PortInfo {
    /// Whose table the port's rules are in.
    #[must_use]
    pub fn device(&self) -> DeviceKey {
        match self.domain {
            Some(domain) => DeviceKey::Eswitch(domain),
            None => DeviceKey::Ethdev(self.ethdev),
        }
    }
}
