//! What a mock NIC can do: read from a TOML profile, turned into what the planner is told.

use super::headers::ParserLimits;
use super::item::{Image, ItemKind};
use flow::FieldId;
use offload::{
    Capabilities, CounterKind, DecTtl, FieldCaps, FieldSet, Limits, MaskCap, PartialCaps, TransferCaps, VlanAbsent,
};
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};

/// Why a profile cannot be used.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ProfileError {
    #[error("no profile {0:?}; use one of {names}", names = Profile::NAMES.join(", "))]
    Unknown(String),
    #[error("profile {name}: {why}")]
    Invalid { name: String, why: String },
}

/// How freely a field of an item can be matched.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Matchable {
    /// All bits or none.
    Exact,
    /// Leading bits.
    Prefix,
    /// Any bits.
    Any,
}

/// Writes the enum and the list of its variants, so that neither can lack one.
macro_rules! action_names {
    ($($name:ident),* $(,)?) => {
        /// Actions as a profile names them.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
        #[serde(rename_all = "kebab-case")]
        pub enum ActionName {
            $($name,)*
        }

        impl ActionName {
            /// All of them.
            pub const ALL: &'static [ActionName] = &[$(ActionName::$name,)*];
        }
    };
}

action_names! {
    Count,
    Drop,
    Jump,
    Mark,
    Flag,
    Queue,
    Rss,
    PortRepresentor,
    RepresentedPort,
    OfPopVlan,
    OfPushVlan,
    OfSetVlanVid,
    OfSetVlanPcp,
    SetMacSrc,
    SetMacDst,
    SetIpv4Src,
    SetIpv4Dst,
    SetIpv6Src,
    SetIpv6Dst,
    SetTpSrc,
    SetTpDst,
    SetTtl,
    DecTtl,
    SetIpv4Dscp,
    SetIpv6Dscp,
    ModifyDscp,
    ModifyEcn,
    ModifyField,
    SetTag,
    SetMeta,
    Meter,
    Age,
    Sample,
    VxlanEncap,
    VxlanDecap,
    RawEncap,
    RawDecap,
    PortId,
    Passthru,
}

/// Actions that a device can do.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(from = "BTreeSet<ActionName>")]
pub struct ActionSet(u64);

impl ActionSet {
    /// One more.
    pub fn insert(&mut self, action: ActionName) {
        self.0 |= 1 << action as u32;
    }

    /// Whether it is one of them.
    #[must_use]
    pub fn contains(&self, action: &ActionName) -> bool {
        self.0 >> *action as u32 & 1 == 1
    }
}

impl From<BTreeSet<ActionName>> for ActionSet {
    fn from(names: BTreeSet<ActionName>) -> ActionSet {
        let mut set = ActionSet::default();
        names.into_iter().for_each(|name| set.insert(name));
        set
    }
}

/// How "no VLAN tag" is matched; see [`VlanAbsent`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Untagged {
    /// A pattern without VLAN item matches tagged packets too.
    #[default]
    Any,
    /// As `any`, and the bits `has_vlan` and `has_more_vlan` tell.
    HasVlan,
    /// A network header must come directly behind the tags that the pattern names.
    ByPattern,
}

/// Where packets are counted; see [`CounterKind`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Counting {
    #[default]
    None,
    PerRule,
    Indirect,
}

/// Rules of one kind (transfer or ingress).
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct RuleCaps {
    pub actions: ActionSet,
    #[serde(default)]
    pub counter: Counting,
    #[serde(default = "one")]
    pub groups: u32,
    #[serde(default = "one")]
    pub priorities: u32,
    /// Ports that a transfer rule can send to.
    #[serde(default)]
    pub max_outputs: usize,
    /// Whether a transfer rule can send back where the packet came from.
    #[serde(default)]
    pub hairpin: bool,
}

fn one() -> u32 {
    1
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ParserCaps {
    vlans: usize,
    ipv4_options: bool,
}

/// The template engine.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct TemplateCaps {
    /// Queues of an ethdev.
    pub queues: u32,
    /// Operations in a queue.
    pub queue_size: u32,
}

fn mark_bits() -> u32 {
    24
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
struct ProfileFile {
    #[serde(default)]
    max_rules: usize,
    #[serde(default)]
    meters: usize,
    encap_headers: Option<usize>,
    #[serde(default = "mark_bits")]
    mark_bits: u32,
    templates: Option<TemplateCaps>,
    #[serde(default)]
    untagged: Untagged,
    #[serde(default)]
    parser: ParserCaps,
    #[serde(default)]
    items: BTreeMap<String, BTreeMap<String, Matchable>>,
    transfer: Option<RuleCaps>,
    ingress: Option<RuleCaps>,
}

/// What a mock NIC can do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    pub name: String,
    /// Room for rules of both kinds together.
    pub max_rules: usize,
    /// Room for meters (rte_mtr); 0: it has none.
    pub meters: usize,
    /// Room for different outer headers of the rules that are in; `None`: for as many as there are rules.
    pub encap_headers: Option<usize>,
    /// Bits of a mark that reach the receiver.
    pub mark_bits: u32,
    /// The template engine, `None` without one.
    pub templates: Option<TemplateCaps>,
    pub untagged: Untagged,
    pub parser: ParserLimits,
    /// Rules of the embedded switch.
    pub transfer: Option<RuleCaps>,
    /// Rules on what a representor receives.
    pub ingress: Option<RuleCaps>,
    items: BTreeMap<ItemKind, BTreeMap<&'static str, Matchable>>,
}

impl Profile {
    /// The profiles that come with the crate.
    pub const NAMES: [&'static str; 6] = ["connectx", "e810", "mark-only", "tiny", "none", "full"];

    /// A profile by name.
    ///
    /// # Errors
    /// [`ProfileError::Unknown`].
    pub fn named(name: &str) -> Result<Profile, ProfileError> {
        let text = match name {
            "connectx" => include_str!("../../profiles/connectx.toml"),
            "e810" => include_str!("../../profiles/e810.toml"),
            "mark-only" => include_str!("../../profiles/mark-only.toml"),
            "tiny" => include_str!("../../profiles/tiny.toml"),
            "none" => include_str!("../../profiles/none.toml"),
            "full" => include_str!("../../profiles/full.toml"),
            _ => return Err(ProfileError::Unknown(name.to_owned())),
        };
        Profile::parse(name, text)
    }

    /// A profile from its text.
    ///
    /// # Errors
    /// [`ProfileError::Invalid`]: TOML, an item, field or action that the model does not have.
    pub fn parse(name: &str, text: &str) -> Result<Profile, ProfileError> {
        let invalid = |why: String| ProfileError::Invalid { name: name.to_owned(), why };
        let file: ProfileFile = toml::from_str(text).map_err(|e| invalid(e.to_string()))?;
        let mut items = BTreeMap::new();
        for (item, fields) in file.items {
            let kind = ItemKind::ALL.into_iter().find(|k| k.name() == item);
            let kind = kind.ok_or_else(|| invalid(format!("the model has no item {item}")))?;
            let mut known = BTreeMap::new();
            for (field, how) in fields {
                let found = kind.fields().iter().find(|f| f.name == field);
                let found = found.ok_or_else(|| invalid(format!("item {item} has no field {field}")))?;
                known.insert(found.name, how);
            }
            items.insert(kind, known);
        }
        Ok(Profile {
            name: name.to_owned(),
            max_rules: file.max_rules,
            meters: file.meters,
            encap_headers: file.encap_headers,
            mark_bits: file.mark_bits,
            templates: file.templates,
            untagged: file.untagged,
            parser: ParserLimits { vlans: file.parser.vlans, ipv4_options: file.parser.ipv4_options },
            transfer: file.transfer,
            ingress: file.ingress,
            items,
        })
    }

    /// Whether the device knows the item at all.
    #[must_use]
    pub fn has_item(&self, kind: ItemKind) -> bool {
        self.items.contains_key(&kind)
    }

    /// How a field can be matched.
    #[must_use]
    pub fn matchable(&self, kind: ItemKind, field: &str) -> Option<Matchable> {
        self.items.get(&kind)?.get(field).copied()
    }

    /// The field, if any, that cannot be matched with this mask, and why.
    ///
    /// # Errors
    /// A sentence for `rte_flow_error.message`.
    pub fn check_mask(&self, kind: ItemKind, mask: &Image) -> Result<(), String> {
        let mut rest = *mask;
        for field in kind.fields() {
            let bits = field.read(mask);
            field.clear_in(&mut rest);
            if bits == 0 {
                continue;
            }
            let all = u128::MAX >> (128 - field.width());
            let name = format!("{}.{}", kind.name(), field.name);
            match self.matchable(kind, field.name) {
                None => return Err(format!("field {name} cannot be matched")),
                Some(Matchable::Exact) if bits != all => return Err(format!("field {name} takes no mask")),
                Some(Matchable::Prefix) if (!bits & all) & (!bits & all).wrapping_add(1) != 0 => {
                    return Err(format!("field {name} takes a prefix mask only"));
                }
                Some(_) => {}
            }
        }
        if rest != [0; super::item::IMAGE] {
            return Err(format!("mask of {} has bits outside of the fields that can be matched", kind.name()));
        }
        Ok(())
    }

    /// The profile as the planner is told it.
    #[must_use]
    pub fn capabilities(&self) -> Capabilities {
        Capabilities {
            name: self.name.clone(),
            transfer: self.transfer.as_ref().map(|caps| self.transfer_caps(caps)),
            partial: self.ingress.as_ref().filter(|caps| caps.can_mark()).map(|caps| PartialCaps {
                fields: self.field_caps(),
                vlan_absent: self.vlan_absent(),
                rss: caps.actions.contains(&ActionName::Rss),
            }),
            max_rules: (self.max_rules > 0).then(|| u32::try_from(self.max_rules).unwrap_or(u32::MAX)),
            limits: Limits {
                meters: (self.meters > 0).then(|| u32::try_from(self.meters).unwrap_or(u32::MAX)),
                encap_headers: self.encap_headers.map(|most| u32::try_from(most).unwrap_or(u32::MAX)),
                ..Limits::default()
            },
        }
    }

    fn vlan_absent(&self) -> VlanAbsent {
        match self.untagged {
            Untagged::Any => VlanAbsent::No,
            Untagged::HasVlan => VlanAbsent::HasVlanBit,
            Untagged::ByPattern => VlanAbsent::ByPattern,
        }
    }

    fn transfer_caps(&self, caps: &RuleCaps) -> TransferCaps {
        let has = |action| caps.actions.contains(&action);
        TransferCaps {
            fields: self.field_caps(),
            set: caps.settable(),
            drop: has(ActionName::Drop),
            push_vlan: has(ActionName::OfPushVlan),
            pop_vlan: has(ActionName::OfPopVlan),
            dec_ttl: if has(ActionName::DecTtl) { DecTtl::Unchecked } else { DecTtl::No },
            vlan_absent: self.vlan_absent(),
            max_outputs: if has(ActionName::RepresentedPort) { caps.max_outputs } else { 0 },
            hairpin: caps.hairpin,
            to_representor: has(ActionName::PortRepresentor),
            priorities: caps.priorities,
            groups: caps.groups,
            counter: match caps.counter {
                Counting::None => CounterKind::None,
                Counting::PerRule => CounterKind::PerRule,
                Counting::Indirect => CounterKind::Indirect,
            },
            rewrite_after_output: has(ActionName::Sample),
            meter: has(ActionName::Meter) && self.meters > 0,
            encap: if has(ActionName::RawEncap) { super::encap::LONGEST as u16 } else { 0 },
            mark: has(ActionName::Mark),
        }
    }

    fn field_caps(&self) -> FieldCaps {
        let mut caps = FieldCaps::default().with(MaskCap::Exact, &[FieldId::InPort]);
        for (field, needs) in FIELD_NEEDS {
            let cap = needs.iter().map(|(kind, name)| mask_cap(self.matchable(*kind, name), name)).min();
            caps = caps.with(cap.unwrap_or_default(), &[*field]);
        }
        caps
    }
}

/// A bit such as `has_frag_ext` stands for a whole condition: matching it is all that can be asked.
fn mask_cap(how: Option<Matchable>, name: &str) -> MaskCap {
    match how {
        None => MaskCap::No,
        Some(Matchable::Exact) if name == "has_frag_ext" => MaskCap::Any,
        Some(Matchable::Exact) => MaskCap::Exact,
        Some(Matchable::Prefix) => MaskCap::Prefix,
        Some(Matchable::Any) => MaskCap::Any,
    }
}

use ItemKind::{Arp, Eth, Icmp, Icmp6, Ipv4, Ipv6, Sctp, Tcp, Udp, Vlan};

/// For each field of the datapath, all item fields that must be matchable for it.
const FIELD_NEEDS: &[(FieldId, &[(ItemKind, &str)])] = &[
    (FieldId::EthSrc, &[(Eth, "src")]),
    (FieldId::EthDst, &[(Eth, "dst")]),
    (FieldId::EthType, &[(Eth, "type")]),
    (FieldId::VlanTpid, &[(Eth, "type"), (Vlan, "vid")]),
    (FieldId::VlanTci, &[(Vlan, "vid"), (Vlan, "pcp")]),
    (FieldId::VlanVid, &[(Vlan, "vid")]),
    (FieldId::VlanPcp, &[(Vlan, "pcp")]),
    (FieldId::Vlan1Tci, &[(Vlan, "has_more_vlan")]),
    (FieldId::IpProto, &[(Ipv4, "proto"), (Ipv6, "proto")]),
    (FieldId::IpTos, &[(Ipv4, "tos"), (Ipv6, "traffic_class")]),
    (FieldId::IpDscp, &[(Ipv4, "tos"), (Ipv6, "traffic_class")]),
    (FieldId::IpEcn, &[(Ipv4, "tos"), (Ipv6, "traffic_class")]),
    (FieldId::IpTtl, &[(Ipv4, "ttl"), (Ipv6, "hop_limits")]),
    (FieldId::IpFrag, &[(Ipv4, "fragment_offset"), (Ipv6, "has_frag_ext")]),
    (FieldId::Ipv4Src, &[(Ipv4, "src")]),
    (FieldId::Ipv4Dst, &[(Ipv4, "dst")]),
    (FieldId::Ipv6Src, &[(Ipv6, "src")]),
    (FieldId::Ipv6Dst, &[(Ipv6, "dst")]),
    (FieldId::Ipv6Label, &[(Ipv6, "flow_label")]),
    (FieldId::ArpOp, &[(Arp, "op")]),
    (FieldId::ArpSpa, &[(Arp, "spa")]),
    (FieldId::ArpTpa, &[(Arp, "tpa")]),
    (FieldId::ArpSha, &[(Arp, "sha")]),
    (FieldId::ArpTha, &[(Arp, "tha")]),
    (FieldId::TcpSrc, &[(Tcp, "src")]),
    (FieldId::TcpDst, &[(Tcp, "dst")]),
    (FieldId::TcpFlags, &[(Tcp, "flags"), (Tcp, "flags_high")]),
    (FieldId::UdpSrc, &[(Udp, "src")]),
    (FieldId::UdpDst, &[(Udp, "dst")]),
    (FieldId::SctpSrc, &[(Sctp, "src")]),
    (FieldId::SctpDst, &[(Sctp, "dst")]),
    (FieldId::IcmpType, &[(Icmp, "type")]),
    (FieldId::IcmpCode, &[(Icmp, "code")]),
    (FieldId::Icmpv6Type, &[(Icmp6, "type")]),
    (FieldId::Icmpv6Code, &[(Icmp6, "code")]),
];

impl RuleCaps {
    fn can_mark(&self) -> bool {
        let has = |action| self.actions.contains(&action);
        has(ActionName::Mark) && (has(ActionName::Queue) || has(ActionName::Rss))
    }

    /// Fields that can be set as a whole, for every kind of packet that has them.
    fn settable(&self) -> FieldSet {
        use ActionName as A;
        let has = |action| self.actions.contains(&action);
        let dscp = has(A::ModifyDscp) || has(A::SetIpv4Dscp) && has(A::SetIpv6Dscp);
        let ecn = has(A::ModifyEcn);
        let rows = [
            (FieldId::EthSrc, has(A::SetMacSrc)),
            (FieldId::EthDst, has(A::SetMacDst)),
            (FieldId::VlanTci, has(A::OfSetVlanVid) && has(A::OfSetVlanPcp)),
            (FieldId::VlanVid, has(A::OfSetVlanVid)),
            (FieldId::VlanPcp, has(A::OfSetVlanPcp)),
            (FieldId::Ipv4Src, has(A::SetIpv4Src)),
            (FieldId::Ipv4Dst, has(A::SetIpv4Dst)),
            (FieldId::Ipv6Src, has(A::SetIpv6Src)),
            (FieldId::Ipv6Dst, has(A::SetIpv6Dst)),
            (FieldId::TcpSrc, has(A::SetTpSrc)),
            (FieldId::TcpDst, has(A::SetTpDst)),
            (FieldId::UdpSrc, has(A::SetTpSrc)),
            (FieldId::UdpDst, has(A::SetTpDst)),
            (FieldId::IpTtl, has(A::SetTtl)),
            (FieldId::IpDscp, dscp),
            (FieldId::IpTos, dscp && ecn),
        ];
        let fields: Vec<FieldId> = rows.into_iter().filter(|(_, can)| *can).map(|(field, _)| field).collect();
        FieldSet::of(&fields)
    }
}
