//! What a device can do, as a table for people: match field by action by group.
//!
//! Every field and every sort of action has an entry here. A new one does not compile until it has.

use super::{Capabilities, DecTtl, FieldCaps, MaskCap, TransferCaps, VlanAbsent};
use crate::refusal::Refusal;
use flow::FieldId;
use flow::dp::DpActionKind;
use flow::field::FIELDS;

/// What hardware says a field by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FieldEntry {
    /// An item of rte_flow, and its member.
    Item(&'static str),
    /// Zero in every packet that comes from outside: matched by saying nothing.
    ZeroAtFirst,
    /// No item of rte_flow says it.
    NoItem,
    /// Rules look at it, flows do not: it is decided before there is a flow.
    Decided,
}

/// How a field gets into hardware, whatever the device.
#[must_use]
pub fn field_entry(field: FieldId) -> FieldEntry {
    use FieldEntry::{Decided, Item, NoItem, ZeroAtFirst};
    use FieldId as F;
    match field {
        F::InPort | F::InPortOxm => Item("represented_port, or the port whose ingress rule it is"),
        F::EthSrc => Item("eth src"),
        F::EthDst => Item("eth dst"),
        F::EthType => Item("eth type, or vlan inner_type"),
        F::VlanTpid => Item("eth type before a vlan item"),
        F::VlanTci => Item("vlan tci; no tag: eth has_vlan, or a pattern without vlan"),
        F::VlanVid => Item("vlan vid"),
        F::VlanPcp => Item("vlan pcp"),
        F::Vlan1Tci => Item("no second tag: vlan has_more_vlan, or a pattern with one vlan"),
        F::IpProto => Item("ipv4 proto, ipv6 proto"),
        F::IpTos => Item("ipv4 tos, ipv6 tc"),
        F::IpDscp => Item("bits of ipv4 tos, ipv6 tc"),
        F::IpEcn => Item("bits of ipv4 tos, ipv6 tc"),
        F::IpTtl => Item("ipv4 ttl, ipv6 hop"),
        F::IpFrag => Item("ipv4 fragment_offset, ipv6 has_frag_ext"),
        F::Ipv4Src => Item("ipv4 src"),
        F::Ipv4Dst => Item("ipv4 dst"),
        F::Ipv6Src => Item("ipv6 src"),
        F::Ipv6Dst => Item("ipv6 dst"),
        F::Ipv6Label => Item("ipv6 flow"),
        F::ArpOp => Item("arp_eth_ipv4 opcode"),
        F::ArpSpa => Item("arp_eth_ipv4 spa"),
        F::ArpTpa => Item("arp_eth_ipv4 tpa"),
        F::ArpSha => Item("arp_eth_ipv4 sha"),
        F::ArpTha => Item("arp_eth_ipv4 tha"),
        F::TcpSrc => Item("tcp src"),
        F::TcpDst => Item("tcp dst"),
        F::TcpFlags => Item("tcp flags"),
        F::UdpSrc => Item("udp src"),
        F::UdpDst => Item("udp dst"),
        F::SctpSrc => Item("sctp src"),
        F::SctpDst => Item("sctp dst"),
        F::IcmpType => Item("icmp type"),
        F::IcmpCode => Item("icmp code"),
        F::Icmpv6Type => Item("icmp6 type"),
        F::Icmpv6Code => Item("icmp6 code"),
        F::RecircId | F::DpHash | F::PktMark | F::SkbPriority => ZeroAtFirst,
        F::TunId
        | F::TunSrc
        | F::TunDst
        | F::TunIpv6Src
        | F::TunIpv6Dst
        | F::TunFlags
        | F::TunGbpId
        | F::TunGbpFlags => ZeroAtFirst,
        F::CtState
        | F::CtMark
        | F::CtZone
        | F::CtLabel
        | F::CtNwProto
        | F::CtNwSrc
        | F::CtNwDst
        | F::CtIpv6Src
        | F::CtIpv6Dst
        | F::CtTpSrc
        | F::CtTpDst => ZeroAtFirst,
        F::Vlan1Tpid | F::NdTarget | F::NdSll | F::NdTll | F::NdReserved | F::NdOptionsType => NoItem,
        F::MplsLabel | F::MplsTc | F::MplsBos | F::MplsTtl => NoItem,
        F::Metadata | F::ConjId | F::ActsetOutput => Decided,
        F::Reg0
        | F::Reg1
        | F::Reg2
        | F::Reg3
        | F::Reg4
        | F::Reg5
        | F::Reg6
        | F::Reg7
        | F::Reg8
        | F::Reg9
        | F::Reg10
        | F::Reg11
        | F::Reg12
        | F::Reg13
        | F::Reg14
        | F::Reg15 => Decided,
        F::Xreg0 | F::Xreg1 | F::Xreg2 | F::Xreg3 | F::Xreg4 | F::Xreg5 | F::Xreg6 | F::Xreg7 => Decided,
        F::Xxreg0 | F::Xxreg1 | F::Xxreg2 | F::Xxreg3 => Decided,
    }
}

/// What hardware does an action by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionEntry {
    /// An action of rte_flow; fields that the flow must match so that it is certain.
    Action(&'static str, &'static [FieldId]),
    /// Nothing: hardware sends to nobody who would see it.
    Unseen,
    /// No plan has it; the reason.
    Never,
}

/// How an action gets into hardware, whatever the device.
#[must_use]
pub fn action_entry(kind: DpActionKind) -> ActionEntry {
    use ActionEntry::{Action, Never, Unseen};
    use FieldId as F;
    match kind {
        DpActionKind::Output => Action("represented_port; all but the last by sample", &[]),
        DpActionKind::Clone => Action("as what is in it, if nothing comes after it or it only sends", &[]),
        DpActionKind::Drop => Action("drop", &[]),
        DpActionKind::DecTtl => Action("dec_ttl, with a rule above it for TTL 0 and 1", &[F::EthType]),
        DpActionKind::PushVlan => Action("of_push_vlan, of_set_vlan_vid, of_set_vlan_pcp", &[F::VlanTci]),
        DpActionKind::PopVlan => Action("of_pop_vlan", &[F::VlanTci]),
        DpActionKind::Meter => Action("meter", &[]),
        DpActionKind::TunnelPush => Action("raw_encap", &[]),
        DpActionKind::CtClear => Unseen,
        DpActionKind::Hash
        | DpActionKind::Ct
        | DpActionKind::TunnelPop
        | DpActionKind::Recirc
        | DpActionKind::Sample
        | DpActionKind::CheckLen
        | DpActionKind::Truncate
        | DpActionKind::Punt => Never,
        DpActionKind::Set(field) if super::is_unseen_outside(field) => Unseen,
        DpActionKind::Set(field) => match field {
            F::EthSrc => Action("set_mac_src", &[]),
            F::EthDst => Action("set_mac_dst", &[]),
            F::VlanVid => Action("of_set_vlan_vid", &[F::VlanTci]),
            F::VlanPcp => Action("of_set_vlan_pcp", &[F::VlanTci]),
            F::VlanTci => Action("of_set_vlan_vid, of_set_vlan_pcp", &[F::VlanTci]),
            F::IpTos | F::IpDscp => Action("modify_field of the DSCP", &[F::EthType]),
            F::IpTtl => Action("set_ttl", &[F::EthType]),
            F::Ipv4Src => Action("set_ipv4_src", &[F::EthType, F::IpFrag]),
            F::Ipv4Dst => Action("set_ipv4_dst", &[F::EthType, F::IpFrag]),
            F::Ipv6Src => Action("set_ipv6_src", &[F::EthType, F::IpProto]),
            F::Ipv6Dst => Action("set_ipv6_dst", &[F::EthType, F::IpProto]),
            F::TcpSrc | F::UdpSrc => Action("set_tp_src", &[F::EthType, F::IpProto, F::IpFrag]),
            F::TcpDst | F::UdpDst => Action("set_tp_dst", &[F::EthType, F::IpProto, F::IpFrag]),
            _ => Never,
        },
    }
}

/// All sorts of actions.
#[must_use]
pub fn action_kinds() -> Vec<DpActionKind> {
    use DpActionKind as K;
    let mut all = vec![K::Output, K::Clone, K::Drop, K::DecTtl, K::PushVlan, K::PopVlan, K::Meter, K::TunnelPush];
    all.extend([K::CtClear, K::Hash, K::Ct, K::TunnelPop, K::Recirc, K::Sample, K::CheckLen, K::Truncate, K::Punt]);
    all.extend(FIELDS.iter().map(|def| K::Set(def.id)));
    all
}

/// One field in one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldRow {
    pub field: FieldId,
    pub entry: FieldEntry,
    /// How freely it can be matched, or why not at all.
    pub support: Result<MaskCap, Refusal>,
}

/// One sort of action in one stage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ActionRow {
    pub action: DpActionKind,
    pub entry: ActionEntry,
    /// Whether the device does it; its arguments may still be refused.
    pub support: Result<(), Refusal>,
}

/// Groups of one kind: the same holds for all of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stage {
    /// As in "transfer group 0".
    pub name: String,
    pub fields: Vec<FieldRow>,
    pub actions: Vec<ActionRow>,
}

/// What a device can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CapabilityTable {
    /// Name of the profile or driver.
    pub name: String,
    pub stages: Vec<Stage>,
    /// What there is of something, where it is known: name and number.
    pub limits: Vec<(&'static str, u64)>,
}

impl Capabilities {
    /// The table of match field by action by group. Only group 0 is planned for, so others are said to be there, no more.
    #[must_use]
    pub fn table(&self) -> CapabilityTable {
        let mut stages = Vec::new();
        if let Some(caps) = &self.transfer {
            stages.push(Stage {
                name: "transfer group 0".into(),
                fields: field_rows(&caps.fields, caps.vlan_absent),
                actions: action_kinds().into_iter().map(|kind| transfer_row(caps, kind)).collect(),
            });
        }
        if let Some(caps) = &self.partial {
            // A mark, and software does the actions: whatever they are.
            stages.push(Stage {
                name: "ingress group 0 (mark)".into(),
                fields: field_rows(&caps.fields, caps.vlan_absent),
                actions: Vec::new(),
            });
        }
        CapabilityTable { name: self.name.clone(), stages, limits: self.limits() }
    }

    fn limits(&self) -> Vec<(&'static str, u64)> {
        let transfer = self.transfer.as_ref();
        let limits = [
            ("rules", self.max_rules),
            ("rules_per_group", self.limits.rules_per_group),
            ("counters", self.limits.counters),
            ("encap_headers", self.limits.encap_headers),
            ("encap_bytes", transfer.map(|caps| caps.encap.into())),
            ("rewrites_per_rule", self.limits.rewrites),
            ("meters", self.limits.meters),
            ("outputs_per_rule", transfer.map(|caps| u32::try_from(caps.max_outputs).unwrap_or(u32::MAX))),
            ("groups", transfer.map(|caps| caps.groups)),
            ("priorities", transfer.map(|caps| caps.priorities)),
        ];
        limits.into_iter().filter_map(|(name, limit)| Some((name, limit?.into()))).collect()
    }
}

fn field_rows(caps: &FieldCaps, vlan_absent: VlanAbsent) -> Vec<FieldRow> {
    let row = |field| {
        let entry = field_entry(field);
        let support = match entry {
            FieldEntry::Item(_) if matches!(field, FieldId::InPort | FieldId::InPortOxm) => Ok(MaskCap::Exact),
            // Bits of the byte that they are in.
            FieldEntry::Item(_) if matches!(field, FieldId::IpDscp | FieldId::IpEcn) => {
                match caps.get(FieldId::IpTos) {
                    MaskCap::Any => Ok(MaskCap::Any),
                    _ => Err(Refusal::PartialMask { field: FieldId::IpTos }),
                }
            }
            FieldEntry::Item(_) => match caps.get(field) {
                // Devices that match no tag can still match that there is none.
                MaskCap::No if field == FieldId::VlanTci && vlan_absent != VlanAbsent::No => Ok(MaskCap::Exact),
                MaskCap::No => Err(Refusal::MatchField { field }),
                cap => Ok(cap),
            },
            FieldEntry::ZeroAtFirst | FieldEntry::Decided => Ok(MaskCap::Any),
            FieldEntry::NoItem => Err(Refusal::MatchField { field }),
        };
        FieldRow { field, entry, support }
    };
    FIELDS.iter().map(|def| row(def.id)).collect()
}

fn transfer_row(caps: &TransferCaps, action: DpActionKind) -> ActionRow {
    let entry = action_entry(action);
    let guarded = caps.can_guard() || caps.dec_ttl == DecTtl::DropsExpired;
    let support = match (action, entry) {
        (DpActionKind::DecTtl, _) if caps.dec_ttl != DecTtl::No && !guarded => Err(Refusal::NoGuard),
        (DpActionKind::Hash, _) => Err(Refusal::HashDiffers),
        (DpActionKind::Recirc | DpActionKind::TunnelPop, _) => Err(Refusal::SecondPass(action)),
        (DpActionKind::Set(FieldId::IpTos), _) if caps.supports(DpActionKind::Set(FieldId::IpDscp)) => Ok(()),
        (DpActionKind::Set(FieldId::VlanTci), _) if caps.supports(DpActionKind::Set(FieldId::VlanVid)) => Ok(()),
        (_, ActionEntry::Never) => Err(Refusal::Action(action)),
        (_, ActionEntry::Unseen) => Ok(()),
        (_, ActionEntry::Action(..)) if caps.supports(action) => Ok(()),
        _ => Err(Refusal::Action(action)),
    };
    ActionRow { action, entry, support }
}

impl std::fmt::Display for MaskCap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            MaskCap::No => "no",
            MaskCap::Exact => "exact",
            MaskCap::Prefix => "prefix",
            MaskCap::Any => "any bits",
        })
    }
}
