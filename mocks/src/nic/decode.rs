//! From the bytes of a flow rule call to a rule of the model, or a refusal: the driver's part of the mock.
//!
//! Numbers and structures are those of `rte_flow.h`; what they mean is from the DPDK programmer's guide, "Generic flow
//! API (rte_flow)".

use super::edit::Edit;
use super::eswitch::Count;
use super::headers::is_tpid;
use super::item::{IMAGE, Image, ItemKind};
use super::profile::{ActionName, Profile, RuleCaps, Untagged};
use super::rule::{Act, Domain, Item, Pattern, RawAction, RawFlow, RawItem, Refusal, RefusalKind, Rule, Source};
use rte_flow_rs::layout;
use std::collections::HashMap;

/// `enum rte_flow_item_type`.
mod item_type {
    pub const VOID: u32 = 1;
    pub const ETH: u32 = 6;
    pub const VLAN: u32 = 7;
    pub const IPV4: u32 = 8;
    pub const IPV6: u32 = 9;
    pub const ICMP: u32 = 10;
    pub const UDP: u32 = 11;
    pub const TCP: u32 = 12;
    pub const SCTP: u32 = 13;
    pub const ARP_ETH_IPV4: u32 = 26;
    pub const ICMP6: u32 = 28;
    pub const PORT_REPRESENTOR: u32 = 53;
    pub const REPRESENTED_PORT: u32 = 54;
}

/// `enum rte_flow_action_type`.
mod action_type {
    pub const VOID: u32 = 1;
    pub const JUMP: u32 = 3;
    pub const MARK: u32 = 4;
    pub const FLAG: u32 = 5;
    pub const QUEUE: u32 = 6;
    pub const DROP: u32 = 7;
    pub const COUNT: u32 = 8;
    pub const RSS: u32 = 9;
    pub const OF_POP_VLAN: u32 = 16;
    pub const OF_PUSH_VLAN: u32 = 17;
    pub const OF_SET_VLAN_VID: u32 = 18;
    pub const OF_SET_VLAN_PCP: u32 = 19;
    pub const SET_IPV4_SRC: u32 = 28;
    pub const SET_IPV4_DST: u32 = 29;
    pub const SET_IPV6_SRC: u32 = 30;
    pub const SET_IPV6_DST: u32 = 31;
    pub const SET_TP_SRC: u32 = 32;
    pub const SET_TP_DST: u32 = 33;
    pub const DEC_TTL: u32 = 35;
    pub const SET_TTL: u32 = 36;
    pub const SET_MAC_SRC: u32 = 37;
    pub const SET_MAC_DST: u32 = 38;
    pub const SET_IPV4_DSCP: u32 = 45;
    pub const SET_IPV6_DSCP: u32 = 46;
    pub const MODIFY_FIELD: u32 = 50;
    pub const INDIRECT: u32 = 51;
    pub const PORT_REPRESENTOR: u32 = 54;
    pub const REPRESENTED_PORT: u32 = 55;
}

/// `enum rte_flow_field_id`.
mod field_id {
    pub const IPV4_DSCP: u32 = 6;
    pub const IPV6_DSCP: u32 = 10;
    pub const VALUE: u32 = 28;
    pub const IPV4_ECN: u32 = 29;
    pub const IPV6_ECN: u32 = 30;
}

/// Marks that every NIC of the kind can carry.
const MARK_BITS: u32 = 24;

/// What decoding needs to know of the device.
#[derive(Clone, Copy, Debug)]
pub struct Decoder<'a> {
    pub profile: &'a Profile,
    /// Ethdev of each place of the switch: the wire's first.
    pub ethdevs: &'a [u16],
    /// Indirect counters, and how many rules use each.
    pub counters: &'a HashMap<u64, (Count, usize)>,
}

impl Decoder<'_> {
    /// The rule, when the device can do all of it.
    ///
    /// # Errors
    /// ENOTSUP what the profile lacks, EINVAL what makes no sense, ENODEV a port of another device.
    pub fn decode(&self, raw: &RawFlow) -> Result<Rule, Refusal> {
        let port = self.place(raw.port, RefusalKind::Unspecified)?;
        let (domain, caps) = self.domain(raw, port)?;
        let pattern = self.pattern(raw, domain)?;
        let acts = self.actions(raw, domain, caps, &pattern)?;
        Ok(Rule { domain, group: raw.group, priority: raw.priority, pattern, acts })
    }

    fn place(&self, ethdev: u16, kind: RefusalKind) -> Result<usize, Refusal> {
        self.ethdevs.iter().position(|e| *e == ethdev).ok_or_else(|| {
            Refusal::new(kind, super::rule::errno::ENODEV, format!("ethdev {ethdev} is not a port of this device"))
        })
    }

    fn domain(&self, raw: &RawFlow, port: usize) -> Result<(Domain, &RuleCaps), Refusal> {
        let (domain, caps) = match (raw.transfer, raw.ingress, raw.egress) {
            (_, _, true) => {
                return Err(Refusal::unsupported(RefusalKind::AttrEgress, "egress rules are not supported"));
            }
            (true, false, _) => (Domain::Transfer, self.profile.transfer.as_ref()),
            (false, true, _) => (Domain::Ingress(port), self.profile.ingress.as_ref()),
            (true, true, _) => {
                return Err(Refusal::invalid(RefusalKind::AttrTransfer, "transfer excludes ingress and egress"));
            }
            (false, false, _) => return Err(Refusal::invalid(RefusalKind::AttrIngress, "no direction is given")),
        };
        let caps = caps.ok_or_else(|| match domain {
            Domain::Transfer => Refusal::unsupported(RefusalKind::AttrTransfer, "the device has no transfer rules"),
            Domain::Ingress(_) => Refusal::unsupported(RefusalKind::AttrIngress, "the device has no ingress rules"),
        })?;
        if raw.group >= caps.groups {
            let what = format!("group {} of {}", raw.group, caps.groups);
            return Err(Refusal::unsupported(RefusalKind::AttrGroup, what));
        }
        if raw.priority >= caps.priorities {
            let what = format!("priority {} of {}", raw.priority, caps.priorities);
            return Err(Refusal::unsupported(RefusalKind::AttrPriority, what));
        }
        Ok((domain, caps))
    }

    fn pattern(&self, raw: &RawFlow, domain: Domain) -> Result<Pattern, Refusal> {
        let mut pattern = Pattern::default();
        for item in &raw.items {
            match item.kind {
                0 => break,
                item_type::VOID => {}
                item_type::PORT_REPRESENTOR | item_type::REPRESENTED_PORT => {
                    if domain != Domain::Transfer || pattern.source.is_some() {
                        let why = "a source port can be matched once, in transfer rules";
                        return Err(Refusal::invalid(RefusalKind::Item, why));
                    }
                    pattern.source = Some(self.source(item)?);
                }
                _ => {
                    let decoded = self.header(item, &pattern)?;
                    pattern.items.push(decoded);
                }
            }
        }
        self.innermost_types(&mut pattern);
        if self.profile.untagged == Untagged::ByPattern && pattern.items.iter().any(|i| i.kind.layer() == 3) {
            pattern.tags = Some(pattern.items.iter().filter(|i| i.kind == ItemKind::Vlan).count());
        }
        Ok(pattern)
    }

    /// Hardware of the mlx5 kind has one ethertype, that behind the tags it knows; the last L2 item of a pattern matches that
    /// one, unless it asks for a tag.
    fn innermost_types(&self, pattern: &mut Pattern) {
        if self.profile.untagged == Untagged::ByPattern {
            return;
        }
        if let Some(item) = pattern.items.iter_mut().rev().find(|i| i.kind.layer() == 2) {
            let at = if item.kind == ItemKind::Eth { 12 } else { 2 };
            let ether_type = u16::from_be_bytes([item.spec[at], item.spec[at + 1]]);
            item.innermost = !is_tpid(ether_type);
        }
    }

    fn source(&self, item: &RawItem) -> Result<Source, Refusal> {
        let need = || Refusal::invalid(RefusalKind::ItemSpec, "a source port item needs a port");
        let ethdev = native16(item.spec.as_deref().ok_or_else(need)?).ok_or_else(need)?;
        if item.mask.as_deref().is_some_and(|mask| native16(mask) != Some(u16::MAX)) {
            return Err(Refusal::unsupported(RefusalKind::ItemMask, "a source port takes no mask"));
        }
        if item.last.is_some() {
            return Err(Refusal::unsupported(RefusalKind::ItemLast, "ranges of ports are not supported"));
        }
        let place = self.place(ethdev, RefusalKind::ItemSpec)?;
        Ok(if item.kind == item_type::PORT_REPRESENTOR { Source::Representor(place) } else { Source::Outside(place) })
    }

    fn header(&self, item: &RawItem, before: &Pattern) -> Result<Item, Refusal> {
        let kind = item_kind(item.kind).filter(|kind| self.profile.has_item(*kind)).ok_or_else(|| {
            Refusal::unsupported(RefusalKind::Item, format!("item type {} is not supported", item.kind))
        })?;
        let vlan = before.items.iter().filter(|i| i.kind == ItemKind::Vlan).count();
        check_order(kind, vlan, before)?;
        if kind == ItemKind::Vlan && vlan >= self.profile.parser.vlans {
            return Err(Refusal::unsupported(RefusalKind::Item, "more VLAN items than the parser knows tags"));
        }
        let Some(spec) = item.spec.as_deref() else {
            if item.mask.is_some() || item.last.is_some() {
                return Err(Refusal::invalid(RefusalKind::ItemSpec, "mask or last without spec"));
            }
            return Ok(Item { kind, vlan, innermost: false, spec: [0; IMAGE], mask: [0; IMAGE] });
        };
        let spec = whole(kind, spec, RefusalKind::ItemSpec)?;
        let mask = match item.mask.as_deref() {
            Some(mask) => whole(kind, mask, RefusalKind::ItemMask)?,
            None => kind.default_mask(),
        };
        if let Some(last) = item.last.as_deref() {
            let last = whole(kind, last, RefusalKind::ItemLast)?;
            // A last that is zero or the spec itself is no range (guide, "Pattern item").
            if and(&last, &mask) != [0; IMAGE] && and(&last, &mask) != and(&spec, &mask) {
                return Err(Refusal::unsupported(RefusalKind::ItemLast, "ranges are not supported"));
            }
        }
        self.profile.check_mask(kind, &mask).map_err(|why| Refusal::unsupported(RefusalKind::ItemMask, why))?;
        Ok(Item { kind, vlan, innermost: false, spec: and(&spec, &mask), mask })
    }

    fn actions(&self, raw: &RawFlow, domain: Domain, caps: &RuleCaps, pattern: &Pattern) -> Result<Vec<Act>, Refusal> {
        let mut acts: Vec<Act> = Vec::new();
        let mut tags = pattern.items.iter().filter(|i| i.kind == ItemKind::Vlan).count();
        for action in &raw.actions {
            if action.kind == 0 {
                break;
            }
            if action.kind == action_type::VOID {
                continue;
            }
            let (name, act) = self.action(action)?;
            if !caps.actions.contains(&name) {
                let what = format!("action {name:?} is not supported here");
                return Err(Refusal::unsupported(RefusalKind::Action, what));
            }
            if let Act::Edit(edit) = act {
                check_edit(edit, pattern, &mut tags)?;
            }
            if let Act::Jump(group) = act {
                check_jump(raw.group, group, caps.groups)?;
            }
            acts.push(act);
        }
        match domain {
            Domain::Transfer => check_transfer(&acts, caps, pattern)?,
            Domain::Ingress(_) => check_ingress(&acts)?,
        }
        Ok(acts)
    }

    fn action(&self, action: &RawAction) -> Result<(ActionName, Act), Refusal> {
        use action_type as t;
        let conf = action.conf.as_deref().unwrap_or_default();
        let short = || Refusal::invalid(RefusalKind::ActionConf, format!("action type {} has no conf", action.kind));
        let edit = |name, edit| Ok((name, Act::Edit(edit)));
        match action.kind {
            t::JUMP => Ok((ActionName::Jump, Act::Jump(native32(conf).ok_or_else(short)?))),
            t::MARK => {
                let id = native32(conf).ok_or_else(short)?;
                if id >> MARK_BITS != 0 {
                    return Err(Refusal::invalid(RefusalKind::ActionConf, format!("mark {id:#x} needs over 24 bits")));
                }
                Ok((ActionName::Mark, Act::Mark(id)))
            }
            t::FLAG => Ok((ActionName::Flag, Act::Flag)),
            t::QUEUE => native16(conf).ok_or_else(short).map(|_| (ActionName::Queue, Act::Queue)),
            t::RSS => Ok((ActionName::Rss, Act::Queue)),
            t::DROP => Ok((ActionName::Drop, Act::Drop)),
            t::COUNT => Ok((ActionName::Count, Act::Count)),
            t::INDIRECT => {
                let handle = action.handle.filter(|handle| self.counters.contains_key(handle));
                let unknown =
                    || Refusal::new(RefusalKind::ActionConf, super::rule::errno::ENOENT, "no such indirect action");
                Ok((ActionName::Count, Act::CountIndirect(handle.ok_or_else(unknown)?)))
            }
            t::PORT_REPRESENTOR | t::REPRESENTED_PORT => {
                let place = self.place(native16(conf).ok_or_else(short)?, RefusalKind::ActionConf)?;
                Ok(if action.kind == t::PORT_REPRESENTOR {
                    (ActionName::PortRepresentor, Act::ToRepresentor(place))
                } else {
                    (ActionName::RepresentedPort, Act::Output(place))
                })
            }
            t::OF_POP_VLAN => edit(ActionName::OfPopVlan, Edit::PopVlan),
            t::OF_PUSH_VLAN => {
                let tpid = u16::from_be_bytes(first(conf).ok_or_else(short)?);
                if !is_tpid(tpid) {
                    return Err(Refusal::invalid(RefusalKind::ActionConf, format!("push_vlan of type {tpid:#06x}")));
                }
                edit(ActionName::OfPushVlan, Edit::PushVlan(tpid))
            }
            t::OF_SET_VLAN_VID => {
                let vid = u16::from_be_bytes(first(conf).ok_or_else(short)?);
                if vid > 0xfff {
                    return Err(Refusal::invalid(RefusalKind::ActionConf, format!("VLAN id {vid}")));
                }
                edit(ActionName::OfSetVlanVid, Edit::SetVid(vid))
            }
            t::OF_SET_VLAN_PCP => {
                let [pcp] = first(conf).ok_or_else(short)?;
                if pcp > 7 {
                    return Err(Refusal::invalid(RefusalKind::ActionConf, format!("VLAN priority {pcp}")));
                }
                edit(ActionName::OfSetVlanPcp, Edit::SetPcp(pcp))
            }
            t::SET_MAC_SRC => edit(ActionName::SetMacSrc, Edit::SetEthSrc(first(conf).ok_or_else(short)?)),
            t::SET_MAC_DST => edit(ActionName::SetMacDst, Edit::SetEthDst(first(conf).ok_or_else(short)?)),
            t::SET_IPV4_SRC => edit(ActionName::SetIpv4Src, Edit::SetIpv4Src(first(conf).ok_or_else(short)?)),
            t::SET_IPV4_DST => edit(ActionName::SetIpv4Dst, Edit::SetIpv4Dst(first(conf).ok_or_else(short)?)),
            t::SET_IPV6_SRC => edit(ActionName::SetIpv6Src, Edit::SetIpv6Src(first(conf).ok_or_else(short)?)),
            t::SET_IPV6_DST => edit(ActionName::SetIpv6Dst, Edit::SetIpv6Dst(first(conf).ok_or_else(short)?)),
            t::SET_TP_SRC => edit(ActionName::SetTpSrc, Edit::SetTpSrc(first(conf).ok_or_else(short)?)),
            t::SET_TP_DST => edit(ActionName::SetTpDst, Edit::SetTpDst(first(conf).ok_or_else(short)?)),
            t::SET_TTL => {
                let [ttl] = first(conf).ok_or_else(short)?;
                edit(ActionName::SetTtl, Edit::SetTtl(ttl))
            }
            t::DEC_TTL => edit(ActionName::DecTtl, Edit::DecTtl),
            t::SET_IPV4_DSCP | t::SET_IPV6_DSCP => {
                let [dscp] = first(conf).ok_or_else(short)?;
                let v6 = action.kind == t::SET_IPV6_DSCP;
                let name = if v6 { ActionName::SetIpv6Dscp } else { ActionName::SetIpv4Dscp };
                edit(name, Edit::SetTos { v6, value: dscp << 2, mask: 0xfc })
            }
            t::MODIFY_FIELD => modify_field(conf),
            other => Err(Refusal::unsupported(RefusalKind::Action, format!("action type {other} is not supported"))),
        }
    }
}

fn item_kind(kind: u32) -> Option<ItemKind> {
    Some(match kind {
        item_type::ETH => ItemKind::Eth,
        item_type::VLAN => ItemKind::Vlan,
        item_type::IPV4 => ItemKind::Ipv4,
        item_type::IPV6 => ItemKind::Ipv6,
        item_type::ICMP => ItemKind::Icmp,
        item_type::UDP => ItemKind::Udp,
        item_type::TCP => ItemKind::Tcp,
        item_type::SCTP => ItemKind::Sctp,
        item_type::ARP_ETH_IPV4 => ItemKind::Arp,
        item_type::ICMP6 => ItemKind::Icmp6,
        _ => return None,
    })
}

/// Headers are stacked as in a packet.
fn check_order(kind: ItemKind, vlans: usize, before: &Pattern) -> Result<(), Refusal> {
    let last = before.items.last().map(|i| i.kind);
    let l3 = before.items.iter().map(|i| i.kind).find(|k| k.layer() == 3);
    let ok = match kind {
        ItemKind::Eth => last.is_none(),
        ItemKind::Vlan => last == Some(ItemKind::Eth) || vlans > 0 && last == Some(ItemKind::Vlan),
        ItemKind::Ipv4 | ItemKind::Ipv6 | ItemKind::Arp => last.is_none_or(|k| k.layer() == 2),
        ItemKind::Tcp | ItemKind::Udp | ItemKind::Sctp => matches!(last, Some(ItemKind::Ipv4 | ItemKind::Ipv6)),
        ItemKind::Icmp => last == Some(ItemKind::Ipv4),
        ItemKind::Icmp6 => last == Some(ItemKind::Ipv6),
    };
    let why = || format!("item {} cannot follow {:?} (network layer {l3:?})", kind.name(), last);
    if ok { Ok(()) } else { Err(Refusal::invalid(RefusalKind::Item, why())) }
}

/// What an action changes must be in the pattern, else its effect is undefined (guide, "Actions").
fn check_edit(edit: Edit, pattern: &Pattern, tags: &mut usize) -> Result<(), Refusal> {
    let has = |kinds: &[ItemKind]| pattern.items.iter().any(|i| kinds.contains(&i.kind));
    let ok = match edit {
        Edit::PushVlan(_) => {
            *tags += 1;
            true
        }
        Edit::PopVlan => {
            let had = *tags > 0;
            *tags = tags.saturating_sub(1);
            had
        }
        Edit::SetVid(_) | Edit::SetPcp(_) => *tags > 0,
        Edit::SetEthDst(_) | Edit::SetEthSrc(_) => true,
        Edit::SetIpv4Src(_) | Edit::SetIpv4Dst(_) | Edit::SetTos { v6: false, .. } => has(&[ItemKind::Ipv4]),
        Edit::SetIpv6Src(_) | Edit::SetIpv6Dst(_) | Edit::SetTos { v6: true, .. } => has(&[ItemKind::Ipv6]),
        Edit::SetTpSrc(_) | Edit::SetTpDst(_) => has(&[ItemKind::Tcp, ItemKind::Udp]),
        Edit::SetTtl(_) | Edit::DecTtl => has(&[ItemKind::Ipv4, ItemKind::Ipv6]),
    };
    let why = || format!("no item of the pattern says that there is what {edit:?} changes");
    if ok { Ok(()) } else { Err(Refusal::invalid(RefusalKind::Action, why())) }
}

/// Jumps go up only, so that no packet goes round.
fn check_jump(from: u32, to: u32, groups: u32) -> Result<(), Refusal> {
    if to >= groups {
        return Err(Refusal::unsupported(RefusalKind::ActionConf, format!("jump to group {to} of {groups}")));
    }
    if to <= from {
        return Err(Refusal::invalid(RefusalKind::ActionConf, format!("jump from group {from} back to group {to}")));
    }
    Ok(())
}

fn is_fate(act: &Act) -> bool {
    matches!(act, Act::Queue | Act::Output(_) | Act::ToRepresentor(_) | Act::Jump(_) | Act::Drop)
}

fn check_transfer(acts: &[Act], caps: &RuleCaps, pattern: &Pattern) -> Result<(), Refusal> {
    let fates: Vec<&Act> = acts.iter().filter(|act| is_fate(act)).collect();
    let outputs: Vec<usize> =
        acts.iter().filter_map(|a| if let Act::Output(p) = a { Some(*p) } else { None }).collect();
    if fates.is_empty() {
        return Err(Refusal::invalid(RefusalKind::ActionNum, "no action says where packets go"));
    }
    if fates.iter().any(|f| matches!(f, Act::Drop | Act::Jump(_))) && fates.len() > 1 {
        return Err(Refusal::invalid(RefusalKind::Action, "drop or jump beside another destination"));
    }
    if fates.len() > caps.max_outputs.max(1) {
        let what = format!("{} destinations, at most {}", fates.len(), caps.max_outputs.max(1));
        return Err(Refusal::unsupported(RefusalKind::Action, what));
    }
    if !acts.last().is_some_and(is_fate) {
        return Err(Refusal::unsupported(RefusalKind::Action, "an action behind the last destination"));
    }
    if !caps.hairpin
        && let Some(Source::Outside(from)) = pattern.source
        && outputs.contains(&from)
    {
        return Err(Refusal::unsupported(RefusalKind::Action, "output to where packets come from"));
    }
    Ok(())
}

fn check_ingress(acts: &[Act]) -> Result<(), Refusal> {
    let fates = acts.iter().filter(|act| is_fate(act)).count();
    let marks = acts.iter().filter(|act| matches!(act, Act::Mark(_) | Act::Flag)).count();
    if fates != 1 {
        return Err(Refusal::invalid(RefusalKind::ActionNum, format!("{fates} destinations, exactly one is needed")));
    }
    if marks > 1 {
        return Err(Refusal::invalid(RefusalKind::Action, "more than one mark or flag"));
    }
    Ok(())
}

/// `struct rte_flow_action_modify_field`. Its members move between DPDK releases, so their offsets are the compiler's. An
/// immediate of a field that lies inside a byte has the field's bits at the low end of its first byte.
fn modify_field(conf: &[u8]) -> Result<(ActionName, Act), Refusal> {
    let number = |at: usize| conf.get(at..).and_then(native32);
    let short = || Refusal::invalid(RefusalKind::ActionConf, "modify_field is cut short");
    let operation = number(layout::ACTION_MODIFY_FIELD_OPERATION).ok_or_else(short)?;
    let field = number(layout::ACTION_MODIFY_FIELD_DST_FIELD).ok_or_else(short)?;
    let level = *conf.get(layout::ACTION_MODIFY_FIELD_DST_LEVEL).ok_or_else(short)?;
    let offset = number(layout::ACTION_MODIFY_FIELD_DST_OFFSET).ok_or_else(short)?;
    let source = number(layout::ACTION_MODIFY_FIELD_SRC_FIELD).ok_or_else(short)?;
    let value = *conf.get(layout::ACTION_MODIFY_FIELD_SRC_VALUE).ok_or_else(short)?;
    let width = number(layout::ACTION_MODIFY_FIELD_WIDTH).ok_or_else(short)?;
    let (name, v6, shift, bits) = match field {
        field_id::IPV4_DSCP => (ActionName::ModifyDscp, false, 2, 6),
        field_id::IPV6_DSCP => (ActionName::ModifyDscp, true, 2, 6),
        field_id::IPV4_ECN => (ActionName::ModifyEcn, false, 0, 2),
        field_id::IPV6_ECN => (ActionName::ModifyEcn, true, 0, 2),
        _ => {
            return Err(Refusal::unsupported(RefusalKind::ActionConf, format!("modify_field of field {field}")));
        }
    };
    if operation != 0 || source != field_id::VALUE || level != 0 || offset != 0 || width != bits {
        return Err(Refusal::unsupported(RefusalKind::ActionConf, "modify_field other than set of the whole field"));
    }
    let mask = (0xffu16 >> (8 - bits) << shift) as u8;
    Ok((name, Act::Edit(Edit::SetTos { v6, value: value << shift, mask })))
}

fn native16(bytes: &[u8]) -> Option<u16> {
    first(bytes).map(u16::from_ne_bytes)
}

fn native32(bytes: &[u8]) -> Option<u32> {
    first(bytes).map(u32::from_ne_bytes)
}

fn first<const N: usize>(bytes: &[u8]) -> Option<[u8; N]> {
    bytes.first_chunk().copied()
}

fn whole(kind: ItemKind, bytes: &[u8], part: RefusalKind) -> Result<Image, Refusal> {
    let mut image = [0; IMAGE];
    let size = kind.size();
    let found = bytes.get(..size).zip(image.get_mut(..size));
    let (from, to) = found
        .ok_or_else(|| Refusal::invalid(part, format!("{} of {} bytes for {}", bytes.len(), size, kind.name())))?;
    to.copy_from_slice(from);
    Ok(image)
}

fn and(a: &Image, b: &Image) -> Image {
    let mut out = *a;
    out.iter_mut().zip(b).for_each(|(x, y)| *x &= y);
    out
}
