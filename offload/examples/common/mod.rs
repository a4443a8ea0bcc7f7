//! Ports and flows that the examples of offload and mocks measure with.

use flow::dp::{DpAction, DpFlow, FlowId, Hits, Mark};
use flow::{DpPort, FieldId, FlowKey, Mask, Value};
use offload::{Capabilities, EswitchDomain, EthdevId, HitSink, PortInfo, PortKind, World};
use std::sync::Arc;

/// Nobody wants to hear of hits.
pub struct NoSink;

impl HitSink for NoSink {
    fn hardware_hits(&self, _: &Arc<DpFlow>, _: Hits) {}
    fn hardware_gone(&self, _: &Arc<DpFlow>) {}
}

/// Ports from 1 on, of one embedded switch: the wire, then VFs.
pub fn world(caps: Capabilities, ethdevs: &[u16]) -> World {
    let caps = Arc::new(caps);
    (1..).zip(ethdevs).fold(World::new(), |world, (port, ethdev)| {
        let info = PortInfo {
            name: format!("p{port}"),
            kind: if port == 1 { PortKind::Uplink } else { PortKind::VfRepresentor(port - 2) },
            ethdev: EthdevId(*ethdev),
            domain: Some(EswitchDomain(0)),
            rx_queues: 1,
            caps: Arc::clone(&caps),
        };
        world.with_port(DpPort(port.into()), info)
    })
}

/// A connection from port 1 to another.
pub fn flow(n: u32, to: u32) -> Arc<DpFlow> {
    let (mut key, mut mask) = (FlowKey::ZERO, Mask::ANY);
    let fields: [(FieldId, u128); 10] = [
        (FieldId::InPort, 1),
        (FieldId::RecircId, 0),
        (FieldId::EthDst, 0x0200_0000_0001),
        (FieldId::EthType, 0x0800),
        (FieldId::IpProto, 6),
        (FieldId::IpFrag, 0),
        (FieldId::Ipv4Src, u128::from(0x0a00_0000 | n >> 4)),
        (FieldId::Ipv4Dst, u128::from(0x0b00_0000 | n)),
        (FieldId::TcpSrc, u128::from(n as u16)),
        (FieldId::TcpDst, 443),
    ];
    for (field, value) in fields {
        key.set(field, Value(value));
        mask.require(field);
    }
    Arc::new(DpFlow {
        id: FlowId(n.into()),
        key,
        mask,
        actions: [DpAction::Output(DpPort(to))].into_iter().collect(),
        deps: Default::default(),
        effects: Default::default(),
        mark: Mark(1 + n),
    })
}
