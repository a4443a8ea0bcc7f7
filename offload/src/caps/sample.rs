//! For each field and each sort of action, a flow that needs it and as little else as possible: for probing and for tests.

use flow::dp::{
    DpAction, DpActionKind, DpFlow, DropReason, Encap, FlowId, HashAlgorithm, HashSpec, LenSpec, Mark, MeterId,
    PuntReason, RecircId, SampleSpec,
};
use flow::field::Prereq;
use flow::{DpPort, FieldId, FlowKey, Mask, Value, VlanTag};

/// A flow in the making: from datapath port 1, for unicast destinations, so that no reserved address is covered.
#[derive(Clone, Debug)]
pub(crate) struct Sample {
    key: FlowKey,
    mask: Mask,
}

impl Sample {
    pub(crate) fn new() -> Sample {
        let mut sample = Sample { key: FlowKey::ZERO, mask: Mask::ANY };
        sample.whole(FieldId::InPort, 1);
        sample.whole(FieldId::RecircId, 0);
        sample.bits(FieldId::EthDst, 0, 1 << 40);
        sample
    }

    pub(crate) fn bits(&mut self, field: FieldId, value: u128, mask: u128) {
        let had = self.key.get(field).unwrap_or_default().0 & !mask;
        self.key.set(field, Value(had | value & mask));
        self.mask.require_bits(field.def(), Value(mask));
    }

    pub(crate) fn whole(&mut self, field: FieldId, value: u128) {
        self.bits(field, value, field.def().ones().0);
    }

    pub(crate) fn forget(&mut self, field: FieldId) {
        self.mask.0.set(field, Value(0));
    }

    /// With what says that packets have the field.
    pub(crate) fn with_prerequisite(field: FieldId) -> Sample {
        let mut sample = Sample::new();
        let (mut eth_type, mut proto) = (None, None);
        match field.def().prereq {
            Prereq::None => {}
            Prereq::VlanVid => sample.bits(FieldId::VlanTci, 0x1000, 0x1000),
            Prereq::Arp => eth_type = Some(0x0806),
            Prereq::Ip | Prereq::Ipv4 => eth_type = Some(0x0800),
            Prereq::Ipv6 => eth_type = Some(0x86dd),
            Prereq::Tcp => (eth_type, proto) = (Some(0x0800), Some(6)),
            Prereq::Udp => (eth_type, proto) = (Some(0x0800), Some(17)),
            Prereq::Sctp => (eth_type, proto) = (Some(0x0800), Some(132)),
            Prereq::Icmp => (eth_type, proto) = (Some(0x0800), Some(1)),
            Prereq::Icmpv6 | Prereq::Nd | Prereq::NdSolicit | Prereq::NdAdvert => {
                (eth_type, proto) = (Some(0x86dd), Some(58));
            }
            Prereq::Mpls => eth_type = Some(0x8847),
            Prereq::CtIp | Prereq::CtIpv4 => eth_type = Some(0x0800),
            Prereq::CtIpv6 => eth_type = Some(0x86dd),
        }
        if let Some(eth_type) = eth_type {
            sample.whole(FieldId::EthType, eth_type);
        }
        if let Some(proto) = proto {
            sample.whole(FieldId::IpProto, proto);
            sample.bits(FieldId::IpFrag, 0, if eth_type == Some(0x0800) { 0xff } else { 0 });
        }
        sample
    }

    pub(crate) fn flow(&self, actions: &[DpAction]) -> DpFlow {
        DpFlow {
            id: FlowId(0),
            key: self.key.masked(&self.mask),
            mask: self.mask,
            actions: actions.into(),
            deps: Default::default(),
            effects: Default::default(),
            mark: Mark(1),
        }
    }
}

/// A value that a packet can have.
pub(crate) fn value(field: FieldId) -> u128 {
    match field {
        FieldId::EthType => 0x88b5,
        FieldId::VlanTpid => 0x8100,
        FieldId::VlanTci => 0x7005,
        FieldId::VlanVid => 0x1005,
        FieldId::IpFrag | FieldId::Vlan1Tci | FieldId::RecircId => 0,
        FieldId::EthDst | FieldId::EthSrc => 0x0200_0000_0007,
        FieldId::IpProto | FieldId::ArpOp | FieldId::IpTtl => 2,
        _ => 1,
    }
}

/// A flow from port 1 that does this and sends to port 2, or drops.
pub(crate) fn doing(kind: DpActionKind) -> DpFlow {
    let mut sample = match kind {
        DpActionKind::Set(field) => Sample::with_prerequisite(field),
        _ => Sample::new(),
    };
    let out = DpAction::Output(DpPort(2));
    let boxed = || -> Box<[DpAction]> { [DpAction::Output(DpPort(2))].into() };
    let action = match kind {
        DpActionKind::Output => return sample.flow(&[out]),
        DpActionKind::Drop => return sample.flow(&[DpAction::Drop(DropReason::RuleDrop)]),
        DpActionKind::Set(field) => {
            match field {
                FieldId::VlanTci | FieldId::VlanVid | FieldId::VlanPcp => {
                    sample.bits(FieldId::VlanTci, 0x1000, 0x1000);
                }
                // Checksums of IPv6 are behind extension headers: a protocol says that there are none.
                FieldId::Ipv6Src | FieldId::Ipv6Dst => sample.whole(FieldId::IpProto, 17),
                _ => {}
            }
            DpAction::Set { field, value: Value(value(field)), mask: field.def().ones() }
        }
        DpActionKind::DecTtl => {
            sample.whole(FieldId::EthType, 0x0800);
            sample.whole(FieldId::IpTtl, 64);
            DpAction::DecTtl
        }
        DpActionKind::PushVlan => {
            sample.whole(FieldId::VlanTci, 0);
            sample.whole(FieldId::EthType, 0x0800);
            DpAction::PushVlan(VlanTag { tpid: 0x8100.into(), tci: 0x1007.into() })
        }
        DpActionKind::PopVlan => {
            sample.bits(FieldId::VlanTci, 0x1000, 0x1000);
            DpAction::PopVlan
        }
        DpActionKind::Meter => DpAction::Meter(MeterId(1)),
        DpActionKind::Hash => DpAction::Hash(HashSpec { algorithm: HashAlgorithm::L4, basis: 0 }),
        DpActionKind::Ct => DpAction::Ct(Box::default()),
        DpActionKind::CtClear => DpAction::CtClear,
        DpActionKind::TunnelPush => {
            // Ethernet, IPv4, UDP and VXLAN: 50 bytes.
            let encap = DpAction::TunnelPush(Encap { header: vxlan_header().into(), port: DpPort(2) });
            return sample.flow(&[encap]);
        }
        DpActionKind::TunnelPop => DpAction::TunnelPop(DpPort(2)),
        DpActionKind::Recirc => DpAction::Recirc(RecircId(1)),
        DpActionKind::Clone => DpAction::Clone(boxed()),
        DpActionKind::Sample => DpAction::Sample(SampleSpec { probability: 1 << 31, actions: boxed() }),
        DpActionKind::CheckLen => DpAction::CheckLen(LenSpec { len: 1500, greater: boxed(), rest: boxed() }),
        DpActionKind::Truncate => DpAction::Truncate(64),
        DpActionKind::Punt => DpAction::Punt(PuntReason::Reserved),
    };
    sample.flow(&[action, out])
}

fn vxlan_header() -> [u8; 50] {
    let mut header = [0; 50];
    header[5] = 2;
    header[11] = 1;
    header[12..16].copy_from_slice(&[0x08, 0x00, 0x45, 0]);
    header[22..24].copy_from_slice(&[64, 17]);
    header[26..34].copy_from_slice(&[192, 0, 2, 1, 192, 0, 2, 2]);
    header[36..38].copy_from_slice(&4789u16.to_be_bytes());
    header[42] = 8;
    header
}
