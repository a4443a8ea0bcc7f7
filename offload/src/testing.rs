//! Flows and worlds for tests.

use crate::caps::Capabilities;
use crate::world::{EswitchDomain, EthdevId, PortInfo, PortKind, World};
use flow::dp::{DpAction, DpFlow, FlowId, Mark};
use flow::port::DpPort;
use flow::{FieldId, FlowKey, Mask, Value};
use std::sync::Arc;

/// Ports 1 (uplink) to 4 (VFs) of eswitch 0 with ethdevs 10 to 13, port 5 of eswitch 1, port 6 a tap.
pub fn world(profile: &str) -> World {
    world_of(Capabilities::preset(profile).unwrap())
}

pub fn world_of(caps: Capabilities) -> World {
    let caps = Arc::new(caps);
    let mut world = World::new();
    for n in 1..=5u16 {
        let kind = if n == 1 { PortKind::Uplink } else { PortKind::VfRepresentor(n - 2) };
        let domain = Some(EswitchDomain(u16::from(n == 5)));
        let info = PortInfo {
            name: format!("p{n}"),
            kind,
            ethdev: EthdevId(9 + n),
            domain,
            rx_queues: 1,
            caps: Arc::clone(&caps),
        };
        world.ports.insert(DpPort(n.into()), info);
    }
    let none = Arc::new(Capabilities::preset("none").unwrap());
    let tap = PortInfo {
        name: "tap0".into(),
        kind: PortKind::Virtual,
        ethdev: EthdevId(20),
        domain: None,
        rx_queues: 1,
        caps: none,
    };
    world.with_port(DpPort(6), tap)
}

/// Builds a flow field by field.
pub struct FlowMaker {
    key: FlowKey,
    mask: Mask,
    actions: Vec<DpAction>,
}

/// A flow that comes in on `port`, for a unicast destination (so that no reserved address is covered).
pub fn from(port: u32) -> FlowMaker {
    FlowMaker::bare(port).masked(FieldId::EthDst, 0, 0x0100_0000_0000)
}

impl FlowMaker {
    /// A flow that matches nothing but its port.
    pub fn bare(port: u32) -> FlowMaker {
        let maker = FlowMaker { key: FlowKey::ZERO, mask: Mask::ANY, actions: Vec::new() };
        maker.field(FieldId::InPort, port).field(FieldId::RecircId, 0u32)
    }

    pub fn field(self, field: FieldId, value: impl Into<Value>) -> FlowMaker {
        self.masked(field, value.into().0, field.def().ones().0)
    }

    pub fn masked(mut self, field: FieldId, value: u128, mask: u128) -> FlowMaker {
        let had = self.key.get(field).unwrap().0 & !mask;
        self.key.set(field, Value(had | value & mask));
        self.mask.require_bits(field.def(), Value(mask));
        self
    }

    pub fn ipv4(self) -> FlowMaker {
        self.field(FieldId::EthType, 0x0800u16)
    }

    pub fn tcp(self) -> FlowMaker {
        self.ipv4().field(FieldId::IpProto, 6u8).field(FieldId::IpFrag, 0u8)
    }

    pub fn then(mut self, action: DpAction) -> FlowMaker {
        self.actions.push(action);
        self
    }

    /// An action before all others.
    pub fn first(mut self, action: DpAction) -> FlowMaker {
        self.actions.insert(0, action);
        self
    }

    /// Ask for bits that no key has.
    pub fn contradict(&mut self) {
        self.mask.0.pad4 = u16::MAX.into();
        self.key.pad4 = 1.into();
    }

    pub fn set(self, field: FieldId, value: impl Into<Value>) -> FlowMaker {
        let (value, mask) = (value.into(), field.def().ones());
        self.then(DpAction::Set { field, value, mask })
    }

    pub fn output(self, port: u32) -> FlowMaker {
        self.then(DpAction::Output(DpPort(port)))
    }

    pub fn build(self, id: u64) -> Arc<DpFlow> {
        Arc::new(DpFlow {
            id: FlowId(id),
            key: self.key.masked(&self.mask),
            mask: self.mask,
            actions: self.actions.into_iter().collect(),
            deps: Default::default(),
            effects: Default::default(),
            mark: Mark(id as u32 & 0xff_ffff | 0x10_0000),
        })
    }
}
