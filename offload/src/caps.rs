//! What a device can match and do. Taken from a profile (mock NIC) or from what is known of a driver.

mod file;
mod probe;
mod sample;
mod table;
#[cfg(test)]
mod tests;

pub use file::{CapabilityError, CapabilityFile};
pub use probe::{Asked, Denied, ProbeCache, Probed, probe};
pub use table::{
    ActionEntry, ActionRow, CapabilityTable, FieldEntry, FieldRow, Stage, action_entry, action_kinds, field_entry,
};

use flow::FieldId;
use flow::dp::DpActionKind;

/// How freely a field can be matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum MaskCap {
    /// Not at all.
    #[default]
    No,
    /// All bits only.
    Exact,
    /// Leading bits.
    Prefix,
    /// Any bits.
    Any,
}

/// For each field, how it can be matched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FieldCaps([MaskCap; flow::field::FIELDS.len()]);

impl Default for FieldCaps {
    fn default() -> Self {
        FieldCaps([MaskCap::No; flow::field::FIELDS.len()])
    }
}

impl FieldCaps {
    /// How `field` can be matched.
    #[must_use]
    pub fn get(&self, field: FieldId) -> MaskCap {
        self.0[field as usize]
    }

    /// Say how `fields` can be matched.
    #[must_use]
    pub fn with(mut self, cap: MaskCap, fields: &[FieldId]) -> FieldCaps {
        for field in fields {
            self.0[*field as usize] = cap;
        }
        self
    }
}

/// A set of fields.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FieldSet(u128);

impl FieldSet {
    /// The set of these.
    #[must_use]
    pub fn of(fields: &[FieldId]) -> FieldSet {
        FieldSet(fields.iter().fold(0, |bits, field| bits | 1u128 << *field as u32))
    }

    /// The set and this field.
    #[must_use]
    pub fn with(self, field: FieldId) -> FieldSet {
        FieldSet(self.0 | 1u128 << field as u32)
    }

    /// Whether `field` is in the set.
    #[must_use]
    pub fn contains(self, field: FieldId) -> bool {
        self.0 & 1u128 << field as u32 != 0
    }
}

/// Whether a field is no part of the packet's bytes: setting it changes nothing that leaves the switch.
pub(crate) fn is_unseen_outside(field: FieldId) -> bool {
    field.def().is_metadata()
}

/// What the device does with TTL 0 or 1 at a decrement.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DecTtl {
    /// It cannot decrement.
    #[default]
    No,
    /// It decrements without looking (mlx5): a guard rule must keep expiring packets out.
    Unchecked,
    /// It drops such packets itself.
    DropsExpired,
}

/// How "no VLAN tag" is matched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum VlanAbsent {
    /// Not at all.
    #[default]
    No,
    /// `has_vlan` of the ETH item and `has_more_vlan` of the VLAN item (mlx5, whose `eth / ipv4` matches tagged
    /// packets too: DPDK mlx5 guide, "VLAN" limitations).
    HasVlanBit,
    /// A pattern without VLAN item and with a type matches untagged packets only (ice).
    ByPattern,
}

/// How the packets of a rule are counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CounterKind {
    /// They are not. Such a device takes no full offload: the rules of its flows would seem idle.
    #[default]
    None,
    /// A COUNT action inside the rule, which ends with it. Where guard rules are possible, one for the same packets is put above it
    /// before it is read and goes, so that nothing is lost; elsewhere what comes between the last query and the destroy is.
    PerRule,
    /// An indirect COUNT handle that outlives the rule: nothing is lost.
    Indirect,
}

/// Rules of the embedded switch (rte_flow attribute `transfer`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TransferCaps {
    pub fields: FieldCaps,
    /// Fields that an action can set as a whole.
    pub set: FieldSet,
    pub drop: bool,
    pub push_vlan: bool,
    pub pop_vlan: bool,
    pub dec_ttl: DecTtl,
    pub vlan_absent: VlanAbsent,
    /// Ports that one rule can send to; 0: it cannot send. All but the last are sent by SAMPLE with ratio 1.
    pub max_outputs: usize,
    /// A packet can be changed after a copy of it was sent. Otherwise all copies are equal.
    pub rewrite_after_output: bool,
    /// Rules can go through a meter that they share (rte_mtr).
    pub meter: bool,
    /// Bytes of the longest outer header that a rule can put in front; 0: it cannot.
    pub encap: u16,
    /// Can mark in the embedded switch what goes on to the representor (mlx5: `dv_xmeta_en`), so that hardware may do the
    /// first actions and software the rest.
    pub mark: bool,
    /// Can send back to the port that the packet came from.
    pub hairpin: bool,
    /// Can hand a packet to the port's representor by a rule (action `PORT_REPRESENTOR`).
    pub to_representor: bool,
    /// Number of priorities; with 2 or more, guard rules are possible.
    pub priorities: u32,
    /// Number of groups (tables); 1 without jump.
    pub groups: u32,
    pub counter: CounterKind,
}

impl TransferCaps {
    /// Whether the action can be done at all; its arguments may still be refused.
    #[must_use]
    pub fn supports(&self, kind: DpActionKind) -> bool {
        match kind {
            DpActionKind::Output | DpActionKind::Clone => self.max_outputs > 0,
            // What is not in the packet's bytes is seen by later passes and by controllers, to which hardware sends nothing.
            DpActionKind::Set(field) => self.set.contains(field) || is_unseen_outside(field),
            DpActionKind::CtClear => true,
            DpActionKind::Meter => self.meter,
            DpActionKind::TunnelPush => self.encap > 0,
            DpActionKind::DecTtl => self.dec_ttl != DecTtl::No,
            DpActionKind::PushVlan => self.push_vlan,
            DpActionKind::PopVlan => self.pop_vlan,
            DpActionKind::Drop => self.drop,
            DpActionKind::Hash
            | DpActionKind::Ct
            | DpActionKind::TunnelPop
            | DpActionKind::Recirc
            | DpActionKind::Sample
            | DpActionKind::CheckLen
            | DpActionKind::Truncate
            | DpActionKind::Punt => false,
        }
    }

    /// Whether guard rules are possible.
    #[must_use]
    pub fn can_guard(&self) -> bool {
        self.priorities >= 2 && self.to_representor
    }
}

/// Rules on packets that a port receives (rte_flow attribute `ingress`): MARK, then to the port's queues.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PartialCaps {
    pub fields: FieldCaps,
    pub vlan_absent: VlanAbsent,
    /// Can spread over all queues (action `RSS`); otherwise `QUEUE`, which is only right with one rx queue.
    pub rss: bool,
}

/// How much of something a device has, where that is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Rules in one group.
    pub rules_per_group: Option<u32>,
    /// Rules that count.
    pub counters: Option<u32>,
    /// Different outer headers (bytes of [`crate::HwRule::encap`]) of all rules that are in at a time. 0: none can be put in front. The engine
    /// keeps to it ([`crate::Refusal::EncapTableFull`]).
    pub encap_headers: Option<u32>,
    /// Actions of one rule that change the packet.
    pub rewrites: Option<u32>,
    /// Meters.
    pub meters: Option<u32>,
}

/// All that a device can do.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Capabilities {
    /// Name of the profile or driver.
    pub name: String,
    /// Rules of the embedded switch, `None` without one.
    pub transfer: Option<TransferCaps>,
    /// Marking rules, `None` without them.
    pub partial: Option<PartialCaps>,
    /// Room for rules, where it is known.
    pub max_rules: Option<u32>,
    pub limits: Limits,
}

const ETH: [FieldId; 2] = [FieldId::EthSrc, FieldId::EthDst];
const VLAN: [FieldId; 3] = [FieldId::VlanTci, FieldId::VlanVid, FieldId::VlanPcp];
const IP: [FieldId; 5] = [FieldId::IpTos, FieldId::IpDscp, FieldId::IpEcn, FieldId::IpTtl, FieldId::IpFrag];
const ADDRESSES: [FieldId; 4] = [FieldId::Ipv4Src, FieldId::Ipv4Dst, FieldId::Ipv6Src, FieldId::Ipv6Dst];
const PORTS: [FieldId; 4] = [FieldId::TcpSrc, FieldId::TcpDst, FieldId::UdpSrc, FieldId::UdpDst];
const ICMP: [FieldId; 4] = [FieldId::IcmpType, FieldId::IcmpCode, FieldId::Icmpv6Type, FieldId::Icmpv6Code];

impl Capabilities {
    /// Meters that there is room for, as far as that is known.
    #[must_use]
    pub fn meter_room(&self) -> u32 {
        match &self.transfer {
            Some(transfer) if transfer.meter => self.limits.meters.unwrap_or(u32::MAX),
            _ => 0,
        }
    }

    /// Names of [`Capabilities::preset`].
    pub const PRESETS: [&'static str; 5] = ["connectx", "e810", "mark-only", "tiny", "none"];

    /// What is known of a kind of NIC by name:
    ///
    /// * `connectx`: groups, rewrites, VLAN push and pop, unchecked dec_ttl, indirect counters, a mirror beside the output,
    ///   64k rules;
    /// * `e810`: count, drop, mark, queue and port redirect only;
    /// * `mark-only`: no embedded switch rules, but marks;
    /// * `tiny`: `connectx` with room for 8 rules;
    /// * `none`: nothing.
    #[must_use]
    pub fn preset(name: &str) -> Option<Capabilities> {
        let (transfer, partial, max_rules) = match name {
            "connectx" => {
                (Some(connectx_transfer()), Some(mark(connectx_fields(), VlanAbsent::HasVlanBit)), Some(65_536))
            }
            "tiny" => (Some(connectx_transfer()), Some(mark(connectx_fields(), VlanAbsent::HasVlanBit)), Some(8)),
            "e810" => (Some(e810_transfer()), Some(mark(e810_fields(), VlanAbsent::ByPattern)), Some(32_768)),
            "mark-only" => (None, Some(mark(e810_fields(), VlanAbsent::ByPattern)), Some(8_192)),
            "none" => (None, None, None),
            _ => return None,
        };
        Some(Capabilities { name: name.into(), transfer, partial, max_rules, limits: Limits::default() })
    }
}

fn mark(fields: FieldCaps, vlan_absent: VlanAbsent) -> PartialCaps {
    PartialCaps { fields, vlan_absent, rss: true }
}

fn connectx_fields() -> FieldCaps {
    FieldCaps::default()
        .with(
            MaskCap::Exact,
            &[FieldId::InPort, FieldId::EthType, FieldId::IpProto, FieldId::VlanTpid, FieldId::Vlan1Tci],
        )
        .with(
            MaskCap::Any,
            &[&ETH[..], &VLAN, &IP, &ADDRESSES, &PORTS, &ICMP, &[FieldId::Ipv6Label, FieldId::TcpFlags]].concat(),
        )
}

fn connectx_transfer() -> TransferCaps {
    TransferCaps {
        fields: connectx_fields(),
        set: FieldSet::of(
            &[&ETH[..], &VLAN, &ADDRESSES, &PORTS, &[FieldId::IpTtl, FieldId::IpDscp, FieldId::IpTos]].concat(),
        ),
        drop: true,
        push_vlan: true,
        pop_vlan: true,
        dec_ttl: DecTtl::Unchecked,
        vlan_absent: VlanAbsent::HasVlanBit,
        // A mirror by SAMPLE of ratio 1 and the destination: an array of two (mlx5 guide, "Sample flow"; MLX5_MAX_DEST_NUM in
        // drivers/net/mlx5/mlx5_flow.h). What a ConnectX-5 changes between the two is not sure.
        max_outputs: 2,
        rewrite_after_output: false,
        meter: false,
        encap: 0,
        mark: false,
        hairpin: true,
        to_representor: true,
        priorities: 16,
        groups: 1024,
        counter: CounterKind::Indirect,
    }
}

fn e810_fields() -> FieldCaps {
    FieldCaps::default().with(MaskCap::Exact, &[FieldId::InPort, FieldId::EthType, FieldId::IpProto]).with(
        MaskCap::Any,
        &[&ETH[..], &VLAN, &[FieldId::IpTos, FieldId::IpTtl, FieldId::IpFrag], &ADDRESSES, &PORTS].concat(),
    )
}

fn e810_transfer() -> TransferCaps {
    TransferCaps {
        fields: e810_fields(),
        drop: true,
        vlan_absent: VlanAbsent::ByPattern,
        max_outputs: 1,
        to_representor: true,
        priorities: 2,
        groups: 1,
        counter: CounterKind::PerRule,
        ..TransferCaps::default()
    }
}
