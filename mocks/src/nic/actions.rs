//! From the bytes of actions to what the model does, or a refusal: the other half of the driver's part of the mock.

use super::decode::{Decoder, first, native16, native32};
use super::edit::Edit;
use super::encap::{LONGEST, header_of};
use super::headers::is_tpid;
use super::item::{ItemKind, REGISTERS};
use super::profile::{ActionName, RuleCaps};
use super::rule::{Act, Domain, Pattern, Queues, RawAction, RawItem, Refusal, RefusalKind, Source, Spot};
use rte_flow_rs::{ActionRef, LoweredActions, LoweredPattern, layout};
use smallvec::SmallVec;
use std::sync::Arc;

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
    pub const PASSTHRU: u32 = 2;
    pub const METER: u32 = 13;
    pub const PORT_ID: u32 = 12;
    pub const VXLAN_ENCAP: u32 = 22;
    pub const VXLAN_DECAP: u32 = 23;
    pub const RAW_ENCAP: u32 = 26;
    pub const RAW_DECAP: u32 = 27;
    pub const SET_TAG: u32 = 43;
    pub const SET_META: u32 = 44;
    pub const AGE: u32 = 47;
    pub const SAMPLE: u32 = 48;
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

/// One action, from wherever its bytes are.
#[derive(Clone, Copy, Debug)]
pub(super) struct ActionView<'a> {
    pub kind: u32,
    pub conf: Option<&'a [u8]>,
    pub handle: Option<u64>,
    pub data: Option<&'a [u8]>,
    pub queues: Option<&'a [u16]>,
    nested: Nested<'a>,
}

#[derive(Clone, Copy, Debug)]
enum Nested<'a> {
    Raw(&'a RawAction),
    Lowered { items: Option<&'a LoweredPattern>, actions: Option<&'a LoweredActions> },
}

impl<'a> From<&'a RawAction> for ActionView<'a> {
    fn from(raw: &'a RawAction) -> Self {
        ActionView {
            kind: raw.kind,
            conf: raw.conf.as_deref(),
            handle: raw.handle,
            data: raw.data.as_deref(),
            queues: raw.queues.as_deref(),
            nested: Nested::Raw(raw),
        }
    }
}

impl<'a> From<ActionRef<'a>> for ActionView<'a> {
    fn from(action: ActionRef<'a>) -> Self {
        ActionView {
            kind: action.ty,
            conf: action.conf,
            handle: action.handle.map(|handle| handle.0),
            data: action.data,
            queues: action.queues,
            nested: Nested::Lowered { items: action.items, actions: action.actions },
        }
    }
}

impl ActionView<'_> {
    fn items(&self) -> Vec<RawItem> {
        match self.nested {
            Nested::Raw(raw) => raw.items.clone(),
            Nested::Lowered { items, .. } => items.into_iter().flat_map(super::rte_flow::raw_items).collect(),
        }
    }

    fn actions(&self) -> Vec<RawAction> {
        match self.nested {
            Nested::Raw(raw) => raw.actions.clone(),
            Nested::Lowered { actions, .. } => {
                actions.iter().flat_map(|list| list.iter()).map(|a| super::rte_flow::raw_action(&a)).collect()
            }
        }
    }
}

impl Decoder<'_> {
    /// The actions of a rule with this pattern, when the device can do all of them.
    ///
    /// # Errors
    /// As [`Decoder::decode`].
    pub(super) fn actions<'a>(
        &self,
        spot: Spot,
        actions: impl Iterator<Item = ActionView<'a>>,
        caps: &RuleCaps,
        pattern: &Pattern,
    ) -> Result<Arc<[Act]>, Refusal> {
        let mut acts: SmallVec<[Act; 4]> = SmallVec::new();
        let mut tags = pattern.items.iter().filter(|i| i.kind == ItemKind::Vlan && i.level == 0).count();
        for action in actions {
            if action.kind == 0 {
                break;
            }
            if action.kind == action_type::VOID {
                continue;
            }
            let (name, act) = self.action(&action)?;
            if !caps.actions.contains(&name) {
                let what = format!("action {name:?} is not supported here");
                return Err(Refusal::unsupported(RefusalKind::Action, what));
            }
            if let Act::Edit(edit) = act {
                check_edit(edit, pattern, &mut tags)?;
            }
            match &act {
                Act::Jump(group) => check_jump(spot.group, *group, caps.groups)?,
                Act::Sample { acts, .. } => check_sample(acts, spot.domain)?,
                Act::Encap(header) if header.len() > LONGEST => {
                    let what = format!("a header of {} bytes, at most {LONGEST}", header.len());
                    return Err(Refusal::unsupported(RefusalKind::ActionConf, what));
                }
                _ => {}
            }
            acts.push(act);
        }
        match spot.domain {
            Domain::Transfer => check_transfer(&acts, caps, pattern)?,
            Domain::Ingress(_) => check_ingress(&acts)?,
        }
        Ok(Arc::from(&acts[..]))
    }

    fn action(&self, action: &ActionView<'_>) -> Result<(ActionName, Act), Refusal> {
        use action_type as t;
        let conf = action.conf.unwrap_or_default();
        let short = || Refusal::invalid(RefusalKind::ActionConf, format!("action type {} has no conf", action.kind));
        let edit = |name, edit| Ok((name, Act::Edit(edit)));
        match action.kind {
            t::JUMP => Ok((ActionName::Jump, Act::Jump(native32(conf).ok_or_else(short)?))),
            t::MARK => {
                let (id, bits) = (native32(conf).ok_or_else(short)?, self.profile.mark_bits);
                if bits < 32 && id >> bits != 0 {
                    let what = format!("mark {id:#x} needs over {bits} bits");
                    return Err(Refusal::invalid(RefusalKind::ActionConf, what));
                }
                Ok((ActionName::Mark, Act::Mark(id)))
            }
            t::FLAG => Ok((ActionName::Flag, Act::Flag)),
            t::QUEUE => {
                let queue = self.queue(native16(conf).ok_or_else(short)?)?;
                Ok((ActionName::Queue, Act::Queue(Queues::One(queue))))
            }
            t::RSS => Ok((ActionName::Rss, Act::Queue(self.rss(conf, action.queues.unwrap_or_default())?))),
            t::DROP => Ok((ActionName::Drop, Act::Drop)),
            t::COUNT => Ok((ActionName::Count, Act::Count)),
            t::INDIRECT => {
                let handle = action.handle.filter(|handle| self.counters.contains(*handle));
                let unknown =
                    || Refusal::new(RefusalKind::ActionConf, super::rule::errno::ENOENT, "no such indirect action");
                Ok((ActionName::Count, Act::CountIndirect(handle.ok_or_else(unknown)?)))
            }
            t::PASSTHRU => Ok((ActionName::Passthru, Act::Passthru)),
            t::METER => {
                let id = native32(conf).ok_or_else(short)?;
                self.meters.usable(id)?;
                Ok((ActionName::Meter, Act::Meter(id)))
            }
            t::AGE => {
                let seconds = native32(conf).ok_or_else(short)? & 0x00ff_ffff;
                let context = conf.get(8..).and_then(first).map_or(0, u64::from_ne_bytes);
                Ok((ActionName::Age, Act::Age { seconds, context }))
            }
            t::SAMPLE => {
                let ratio = native32(conf).ok_or_else(short)?;
                if ratio == 0 {
                    return Err(Refusal::invalid(RefusalKind::ActionConf, "sample of one packet in 0"));
                }
                let mut acts = Vec::new();
                for nested in action.actions() {
                    let (_, act) = self.action(&ActionView::from(&nested))?;
                    acts.push(act);
                }
                Ok((ActionName::Sample, Act::Sample { ratio, acts: acts.into() }))
            }
            t::SET_TAG => {
                let index = usize::from(*conf.get(8).ok_or_else(short)?);
                if index >= REGISTERS {
                    let what = format!("register {index} of {REGISTERS}");
                    return Err(Refusal::unsupported(RefusalKind::ActionConf, what));
                }
                let (data, mask) = (native32(conf).ok_or_else(short)?, native32(&conf[4..]).ok_or_else(short)?);
                Ok((ActionName::SetTag, Act::SetTag { index, data, mask }))
            }
            t::SET_META => {
                let mask = conf.get(4..).and_then(native32).ok_or_else(short)?;
                Ok((ActionName::SetMeta, Act::SetMeta { data: native32(conf).ok_or_else(short)?, mask }))
            }
            t::VXLAN_ENCAP => Ok((ActionName::VxlanEncap, Act::Encap(header_of(&action.items())?.into()))),
            t::VXLAN_DECAP => Ok((ActionName::VxlanDecap, Act::DecapVxlan)),
            t::RAW_ENCAP => Ok((ActionName::RawEncap, Act::Encap(action.data.ok_or_else(short)?.into()))),
            t::RAW_DECAP => Ok((ActionName::RawDecap, Act::DecapBytes(action.data.ok_or_else(short)?.len()))),
            t::PORT_ID => {
                let port = u16::try_from(conf.get(4..).and_then(native32).ok_or_else(short)?).unwrap_or(u16::MAX);
                Ok((ActionName::PortId, Act::Output(self.place(port, RefusalKind::ActionConf)?)))
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

    /// A receive queue that representors have.
    fn queue(&self, queue: u16) -> Result<u16, Refusal> {
        if queue < self.queues {
            return Ok(queue);
        }
        let what = format!("no receive queue {queue}: representors have {} of them, from 0", self.queues);
        Err(Refusal::invalid(RefusalKind::ActionConf, what))
    }

    /// `struct rte_flow_action_rss` with the queues that it points to. The model has one hash, over outer addresses, with a key of its own:
    /// what asks for another one is refused.
    fn rss(&self, conf: &[u8], queues: &[u16]) -> Result<Queues, Refusal> {
        let short = || Refusal::invalid(RefusalKind::ActionConf, "rss is cut short");
        let word = |at: usize| conf.get(at..).and_then(native32).ok_or_else(short);
        let types = conf.get(layout::ACTION_RSS_TYPES..).and_then(first).map(u64::from_ne_bytes).ok_or_else(short)?;
        let (function, level) = (word(layout::ACTION_RSS_FUNC)?, word(layout::ACTION_RSS_LEVEL)?);
        let (key, listed) = (word(layout::ACTION_RSS_KEY_LEN)?, word(layout::ACTION_RSS_QUEUE_NUM)?);
        // Level 1 is the outermost packet, which 0 is here too.
        if function != 0 || types != 0 || key != 0 || level > 1 {
            let what = "rss with a hash function, types, key or level of its own: the hash is over outer addresses";
            return Err(Refusal::unsupported(RefusalKind::ActionConf, what));
        }
        if listed == 0 || usize::try_from(listed) != Ok(queues.len()) {
            let what = format!("rss over {listed} queues with a list of {}", queues.len());
            return Err(Refusal::invalid(RefusalKind::ActionConf, what));
        }
        queues.iter().map(|queue| self.queue(*queue)).collect::<Result<Arc<[u16]>, Refusal>>().map(Queues::Among)
    }
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
        Edit::SetTtl(_) | Edit::DecTtl | Edit::SubTtl(_) => has(&[ItemKind::Ipv4, ItemKind::Ipv6]),
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
    matches!(act, Act::Queue(_) | Act::Output(_) | Act::ToRepresentor(_) | Act::Jump(_) | Act::Passthru | Act::Drop)
}

/// What can be done with a copy: it is changed, and leaves or goes to software.
fn check_sample(acts: &[Act], domain: Domain) -> Result<(), Refusal> {
    let ok = |act: &Act| {
        matches!(act, Act::Output(_) | Act::ToRepresentor(_) | Act::Encap(_) | Act::Mark(_) | Act::Count | Act::Edit(_))
    };
    if domain != Domain::Transfer || !acts.iter().all(ok) {
        return Err(Refusal::unsupported(RefusalKind::Action, "a sample with such actions"));
    }
    if !acts.last().is_some_and(is_fate) {
        return Err(Refusal::invalid(RefusalKind::ActionNum, "a sample that goes nowhere"));
    }
    Ok(())
}

fn check_transfer(acts: &[Act], caps: &RuleCaps, pattern: &Pattern) -> Result<(), Refusal> {
    if acts.iter().any(|act| matches!(act, Act::Queue(_))) {
        return Err(Refusal::unsupported(RefusalKind::Action, "queues are chosen by ingress rules, behind the switch"));
    }
    let fates = acts.iter().filter(|act| is_fate(act)).count();
    if fates == 0 {
        return Err(Refusal::invalid(RefusalKind::ActionNum, "no action says where packets go"));
    }
    if fates > 1 && acts.iter().any(|f| matches!(f, Act::Drop | Act::Jump(_))) {
        return Err(Refusal::invalid(RefusalKind::Action, "drop or jump beside another destination"));
    }
    if fates > caps.max_outputs.max(1) {
        let what = format!("{fates} destinations, at most {}", caps.max_outputs.max(1));
        return Err(Refusal::unsupported(RefusalKind::Action, what));
    }
    if !acts.last().is_some_and(is_fate) {
        return Err(Refusal::unsupported(RefusalKind::Action, "an action behind the last destination"));
    }
    let copies = acts.iter().filter(|a| matches!(a, Act::Sample { .. })).count();
    if copies > 0 && fates + copies > caps.max_outputs.max(1) {
        let what = format!("{copies} copies and {fates} destinations, at most {}", caps.max_outputs.max(1));
        return Err(Refusal::unsupported(RefusalKind::Action, what));
    }
    if !caps.hairpin
        && let Some(Source::Outside(from)) = pattern.source
        && acts.contains(&Act::Output(from))
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
        _ => return Ok((ActionName::ModifyField, Act::Modify(super::modify::decode(conf)?))),
    };
    if operation != 0 || source != field_id::VALUE || level != 0 || offset != 0 || width != bits {
        return Err(Refusal::unsupported(RefusalKind::ActionConf, "modify_field other than set of the whole field"));
    }
    let mask = (0xffu16 >> (8 - bits) << shift) as u8;
    Ok((name, Act::Edit(Edit::SetTos { v6, value: value << shift, mask })))
}
