//! What is put into hardware, in words of no particular backend.
//!
//! An [`HwMatch`] is in layers, as NICs parse: each layer that is there says what packets must have. Bits of the
//! flow's mask that a layer implies (no VLAN tag behind an untagged header, no TCP flags in UDP) are gone.

use crate::refusal::{Refusal, Refusals};
use crate::world::EthdevId;
use flow::dp::{Mark, MeterId, Resume};
use flow::{FieldId, Value};
use smallvec::SmallVec;
use std::sync::Arc;

/// What is to be done with a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Plan {
    /// All of it in hardware.
    Full(HwProgram),
    /// Hardware matches and marks; software goes on at `resume` without looking the flow up.
    Partial {
        program: HwProgram,
        /// Under which number software looks up, if it does.
        resume: Resume,
        /// Actions of the flow that hardware has done: software goes on at the next, which it knows by another mark than the
        /// flow's ([`crate::HitSink::rest_mark`]). 0 for a plain mark.
        done: usize,
        /// Why not all of it.
        refused: Refusals,
    },
    /// Nothing in hardware.
    Software(Refusals),
}

impl Plan {
    /// Why not all of the flow is in hardware; empty when all of it is.
    #[must_use]
    pub fn refused(&self) -> &[Refusal] {
        match self {
            Plan::Full(_) => &[],
            Plan::Partial { refused, .. } | Plan::Software(refused) => refused,
        }
    }
}

/// Rules that belong together. They are put in in this order, guards first, and taken out in the opposite one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HwProgram {
    /// Shared with whoever carries them out.
    pub rules: SmallVec<[Arc<HwRule>; 2]>,
    /// Objects that rules of several flows share.
    pub shared: Vec<SharedObject>,
}

impl HwProgram {
    /// Whether it changes packets and leaves the rest to software.
    #[must_use]
    pub fn is_prefix(&self) -> bool {
        self.rules.last().is_some_and(|main| {
            main.actions.iter().any(HwAction::is_rewrite)
                && main.actions.iter().any(|action| matches!(action, HwAction::Mark(_)))
        })
    }

    /// Have it put this mark on packets.
    pub fn mark_with(&mut self, mark: Mark) {
        for rule in &mut self.rules {
            if let Some(at) = rule.actions.iter().position(|action| matches!(action, HwAction::Mark(_))) {
                Arc::make_mut(rule).actions[at] = HwAction::Mark(mark);
            }
        }
    }
}

/// An object that rules of several flows share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SharedObject {
    /// A meter.
    Meter(MeterId),
}

/// What a rule is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum RuleRole {
    /// Does the flow's work; its hits are the flow's hits.
    Main,
    /// Leaves packets whose TTL runs out to software. Its hits are not hardware hits.
    TtlGuard,
    /// Leaves reserved link-local addresses to software. Its hits are not hardware hits.
    ReservedGuard,
}

/// Where a rule lives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Table {
    /// In the embedded switch: packets that enter it at the place that the input ethdev stands for.
    Transfer { group: u32, priority: u32 },
    /// Behind it: packets that the input ethdev receives.
    Ingress { group: u32, priority: u32 },
}

/// One rule of one device.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct HwRule {
    pub role: RuleRole,
    pub table: Table,
    /// The ethdev of the input port.
    pub port: EthdevId,
    pub matches: HwMatch,
    pub actions: SmallVec<[HwAction; 4]>,
    /// The outer header of [`HwAction::Encap`].
    pub encap: Option<Arc<[u8]>>,
    /// Whether its packets and bytes are counted.
    pub count: bool,
}

/// A value and the bits of it that must match. The value has no other bits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Bits<T> {
    pub value: T,
    pub mask: T,
}

/// VLAN tags that packets must have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum VlanMatch {
    /// Any or none.
    #[default]
    Any,
    /// No tag. With `by_pattern` nothing but the absence of a VLAN item says so.
    Absent { by_pattern: bool },
    /// An outer tag; `tci` as on the wire (bit 12 is the drop-eligible bit).
    Tagged { tpid: Option<u16>, tci: Bits<u16>, inner: InnerTag },
}

/// What is behind an outer tag.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum InnerTag {
    /// Anything.
    #[default]
    Any,
    /// No second tag. With `by_pattern` the ethertype behind the tag says so, and nothing else.
    Absent { by_pattern: bool },
}

/// Network layer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum L3Match {
    /// Nothing is looked at.
    #[default]
    None,
    /// IPv4. `fragment` is over the header's flags and offset, host order.
    Ipv4 { src: Bits<u32>, dst: Bits<u32>, proto: Option<u8>, tos: Bits<u8>, ttl: Bits<u8>, fragment: Bits<u16> },
    /// IPv6. `proto` is the base header's next header; `no_fragment`: no fragment header.
    Ipv6 {
        src: Bits<u128>,
        dst: Bits<u128>,
        proto: Option<u8>,
        tos: Bits<u8>,
        ttl: Bits<u8>,
        label: Bits<u32>,
        no_fragment: bool,
    },
    /// ARP for IPv4 over Ethernet.
    Arp { op: Option<u16>, spa: Bits<u32>, tpa: Bits<u32>, sha: Bits<[u8; 6]>, tha: Bits<[u8; 6]> },
}

/// Transport layer, directly behind the network header and never in a later fragment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum L4Match {
    /// Nothing is looked at.
    #[default]
    None,
    /// `flags` has 12 bits.
    Tcp {
        src: Bits<u16>,
        dst: Bits<u16>,
        flags: Bits<u16>,
    },
    Udp {
        src: Bits<u16>,
        dst: Bits<u16>,
    },
    Sctp {
        src: Bits<u16>,
        dst: Bits<u16>,
    },
    Icmp {
        kind: Bits<u8>,
        code: Bits<u8>,
    },
    Icmpv6 {
        kind: Bits<u8>,
        code: Bits<u8>,
    },
}

/// What packets must look like, beside the port that they come from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct HwMatch {
    pub eth_dst: Bits<[u8; 6]>,
    pub eth_src: Bits<[u8; 6]>,
    /// Ethertype behind the tags that are matched.
    pub eth_type: Option<u16>,
    pub vlan: VlanMatch,
    pub l3: L3Match,
    pub l4: L4Match,
}

/// One thing that hardware does with a packet, in order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HwAction {
    /// Out of the embedded switch at the place that this ethdev stands for: the wire, or the VF.
    Output(EthdevId),
    /// A copy, as the packet is now, out at the place that this ethdev stands for; the packet goes on.
    Mirror(EthdevId),
    /// To software, by this ethdev.
    ToRepresentor(EthdevId),
    Drop,
    /// Set a whole field. VLAN fields: `VlanVid` (12 bits) and `VlanPcp` only; DSCP: `IpDscp` (6 bits).
    Set {
        field: FieldId,
        value: Value,
    },
    DecTtl,
    /// Add an outer tag.
    PushVlan {
        tpid: u16,
        vid: u16,
        pcp: u8,
    },
    PopVlan,
    /// Through a meter, which may drop.
    Meter(MeterId),
    /// Put the rule's outer header in front.
    Encap,
    /// Put the flow's number on the packet.
    Mark(Mark),
    /// To this queue of the input ethdev.
    Queue(u16),
    /// Spread over so many queues of the input ethdev, from 0 on.
    Rss {
        queues: u16,
    },
}

impl HwAction {
    /// Whether it changes the packet.
    #[must_use]
    pub fn is_rewrite(&self) -> bool {
        matches!(
            self,
            HwAction::Set { .. } | HwAction::DecTtl | HwAction::PushVlan { .. } | HwAction::PopVlan | HwAction::Encap
        )
    }
}

/// What a device judges a rule by: everything but the values. A refusal holds for all rules of a shape.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RuleShape(HwRule);

impl RuleShape {
    /// A rule of the shape, with 0 for each value.
    #[must_use]
    pub fn rule(&self) -> &HwRule {
        &self.0
    }
}

impl HwRule {
    /// The rule's shape.
    #[must_use]
    pub fn shape(&self) -> RuleShape {
        let mut rule = self.clone();
        rule.matches.forget_values();
        for action in &mut rule.actions {
            match action {
                HwAction::Set { value, .. } => *value = Value(0),
                HwAction::PushVlan { vid, pcp, .. } => (*vid, *pcp) = (0, 0),
                HwAction::Mark(mark) => *mark = Mark(0),
                HwAction::Meter(meter) => *meter = MeterId(0),
                HwAction::Output(_)
                | HwAction::Mirror(_)
                | HwAction::Encap
                | HwAction::ToRepresentor(_)
                | HwAction::Drop
                | HwAction::DecTtl
                | HwAction::PopVlan
                | HwAction::Queue(_)
                | HwAction::Rss { .. } => {}
            }
        }
        if let Some(header) = &mut rule.encap {
            *header = vec![0; header.len()].into();
        }
        RuleShape(rule)
    }
}

impl<T: Default> Bits<T> {
    fn forget(&mut self) {
        self.value = T::default();
    }
}

impl HwMatch {
    /// Whether nothing but a missing item says that packets have no tag, so that the rule may match fewer than it should.
    #[must_use]
    pub fn is_by_pattern(&self) -> bool {
        matches!(
            self.vlan,
            VlanMatch::Absent { by_pattern: true }
                | VlanMatch::Tagged { inner: InnerTag::Absent { by_pattern: true }, .. }
        )
    }

    fn forget_values(&mut self) {
        self.eth_dst.forget();
        self.eth_src.forget();
        if let VlanMatch::Tagged { tci, .. } = &mut self.vlan {
            tci.forget();
        }
        match &mut self.l3 {
            L3Match::None => {}
            L3Match::Ipv4 { src, dst, tos, ttl, fragment, .. } => {
                src.forget();
                dst.forget();
                tos.forget();
                ttl.forget();
                fragment.forget();
            }
            L3Match::Ipv6 { src, dst, tos, ttl, label, .. } => {
                src.forget();
                dst.forget();
                tos.forget();
                ttl.forget();
                label.forget();
            }
            L3Match::Arp { op, spa, tpa, sha, tha } => {
                *op = op.map(|_| 0);
                spa.forget();
                tpa.forget();
                sha.forget();
                tha.forget();
            }
        }
        match &mut self.l4 {
            L4Match::None => {}
            L4Match::Tcp { src, dst, flags } => {
                src.forget();
                dst.forget();
                flags.forget();
            }
            L4Match::Udp { src, dst } | L4Match::Sctp { src, dst } => {
                src.forget();
                dst.forget();
            }
            L4Match::Icmp { kind, code } | L4Match::Icmpv6 { kind, code } => {
                kind.forget();
                code.forget();
            }
        }
    }
}
