//! MODIFY_FIELD beyond DSCP and ECN: whole fields set, or added to, from a value or from another field; parts of registers.

use super::edit::{Edit, Editor};
use super::headers::{Headers, L3, L4, ParserLimits, be16};
use super::item::{REGISTERS, Registers};
use super::rule::{Refusal, RefusalKind};
use rte_flow_rs::layout::{self, field_id as f};

/// A field of packets that can be written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    MacDst,
    MacSrc,
    VlanId,
    Ipv4Ttl,
    Ipv4Src,
    Ipv4Dst,
    Ipv6HopLimit,
    Ipv6Src,
    Ipv6Dst,
    TcpSrc,
    TcpDst,
    UdpSrc,
    UdpDst,
    Tag(usize),
    Meta,
    Mark,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Op {
    Set,
    Add,
    Sub,
}

/// Where bits come from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum From {
    Value(u128),
    Field(Field, u32),
}

/// Bits `offset..offset + width` of a field (from its lowest on) are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Modify {
    pub op: Op,
    pub field: Field,
    pub offset: u32,
    pub width: u32,
    pub from: From,
}

impl Field {
    fn of(number: u32, level: u8) -> Option<Field> {
        Some(match number {
            f::MAC_DST => Field::MacDst,
            f::MAC_SRC => Field::MacSrc,
            f::VLAN_ID => Field::VlanId,
            f::IPV4_TTL => Field::Ipv4Ttl,
            f::IPV4_SRC => Field::Ipv4Src,
            f::IPV4_DST => Field::Ipv4Dst,
            f::IPV6_HOPLIMIT => Field::Ipv6HopLimit,
            f::IPV6_SRC => Field::Ipv6Src,
            f::IPV6_DST => Field::Ipv6Dst,
            f::TCP_PORT_SRC => Field::TcpSrc,
            f::TCP_PORT_DST => Field::TcpDst,
            f::UDP_PORT_SRC => Field::UdpSrc,
            f::UDP_PORT_DST => Field::UdpDst,
            f::TAG if usize::from(level) < REGISTERS => Field::Tag(usize::from(level)),
            f::META => Field::Meta,
            f::MARK => Field::Mark,
            _ => return None,
        })
    }

    fn width(self) -> u32 {
        match self {
            Field::MacDst | Field::MacSrc => 48,
            Field::VlanId => 12,
            Field::Ipv4Ttl | Field::Ipv6HopLimit => 8,
            Field::Ipv4Src | Field::Ipv4Dst | Field::Tag(_) | Field::Meta | Field::Mark => 32,
            Field::Ipv6Src | Field::Ipv6Dst => 128,
            Field::TcpSrc | Field::TcpDst | Field::UdpSrc | Field::UdpDst => 16,
        }
    }

    fn is_register(self) -> bool {
        matches!(self, Field::Tag(_) | Field::Meta | Field::Mark)
    }

    /// An immediate: registers in host order, header fields as the item has them.
    fn immediate(self, bytes: &[u8; 16]) -> u128 {
        if self.is_register() {
            let mut word = [0; 4];
            word.copy_from_slice(&bytes[..4]);
            return u128::from(u32::from_ne_bytes(word));
        }
        let len = self.width().div_ceil(8) as usize;
        bytes[..len].iter().fold(0, |value, byte| value << 8 | u128::from(*byte))
    }
}

impl Modify {
    /// Whether it changes no byte of the frame.
    #[must_use]
    pub fn is_register(&self) -> bool {
        self.field.is_register()
    }
}

/// Reads `struct rte_flow_action_modify_field`.
pub fn decode(conf: &[u8]) -> Result<Modify, Refusal> {
    let short = || Refusal::invalid(RefusalKind::ActionConf, "modify_field is cut short");
    let number =
        |at: usize| conf.get(at..).and_then(|b| b.first_chunk()).map(|b| u32::from_ne_bytes(*b)).ok_or_else(short);
    let byte = |at: usize| conf.get(at).copied().ok_or_else(short);
    let no = |what: &str| Refusal::unsupported(RefusalKind::ActionConf, format!("modify_field: {what}"));
    let op = match number(layout::ACTION_MODIFY_FIELD_OPERATION)? {
        f::OP_SET => Op::Set,
        f::OP_ADD => Op::Add,
        f::OP_SUB => Op::Sub,
        _ => return Err(no("no such operation")),
    };
    let level = byte(layout::ACTION_MODIFY_FIELD_DST_LEVEL)?;
    let field = Field::of(number(layout::ACTION_MODIFY_FIELD_DST_FIELD)?, level).ok_or_else(|| no("no such field"))?;
    if level > 1 && !field.is_register() {
        return Err(no("inner headers"));
    }
    let offset = number(layout::ACTION_MODIFY_FIELD_DST_OFFSET)?;
    let width = number(layout::ACTION_MODIFY_FIELD_WIDTH)?;
    if width == 0 || offset.checked_add(width).is_none_or(|end| end > field.width()) {
        return Err(Refusal::invalid(RefusalKind::ActionConf, "modify_field: bits outside of the field"));
    }
    let source = number(layout::ACTION_MODIFY_FIELD_SRC_FIELD)?;
    let from = if source == f::VALUE {
        if !field.is_register() && width != field.width() {
            return Err(no("a value for a part of a header's field"));
        }
        let bytes =
            conf.get(layout::ACTION_MODIFY_FIELD_SRC_VALUE..).and_then(|b| b.first_chunk()).ok_or_else(short)?;
        From::Value(field.immediate(bytes))
    } else {
        let level = byte(layout::ACTION_MODIFY_FIELD_SRC_LEVEL)?;
        let from = Field::of(source, level).ok_or_else(|| no("no such source"))?;
        let skip = number(layout::ACTION_MODIFY_FIELD_SRC_OFFSET)?;
        if skip.checked_add(width).is_none_or(|end| end > from.width()) {
            return Err(Refusal::invalid(RefusalKind::ActionConf, "modify_field: bits outside of the source"));
        }
        From::Field(from, skip)
    };
    Ok(Modify { op, field, offset, width, from })
}

fn ones(width: u32) -> u128 {
    if width >= 128 { u128::MAX } else { (1 << width) - 1 }
}

/// What rules can change beside the frame.
#[derive(Debug)]
pub struct State<'a> {
    pub registers: &'a mut Registers,
    pub mark: &'a mut Option<u32>,
}

/// Does it. `None`: the packet lacks a field, and stays as it is.
pub fn apply(modify: Modify, frame: &mut Vec<u8>, state: &mut State<'_>, editor: &Editor) -> Option<()> {
    let source = match modify.from {
        From::Value(value) => value,
        From::Field(field, skip) => read(field, frame, state, editor.limits)? >> skip,
    } & ones(modify.width);
    let old = read(modify.field, frame, state, editor.limits)?;
    let part = old >> modify.offset & ones(modify.width);
    let new = match modify.op {
        Op::Set => source,
        Op::Add => part.wrapping_add(source) & ones(modify.width),
        Op::Sub => part.wrapping_sub(source) & ones(modify.width),
    };
    let value = old & !(ones(modify.width) << modify.offset) | new << modify.offset;
    write(modify.field, value, frame, state, editor)
}

fn number(bytes: Option<&[u8]>) -> Option<u128> {
    Some(bytes?.iter().fold(0, |value, byte| value << 8 | u128::from(*byte)))
}

fn read(field: Field, frame: &[u8], state: &State<'_>, limits: ParserLimits) -> Option<u128> {
    let headers = Headers::parse(frame, limits)?;
    let l3 = |want: fn(L3) -> bool, at: usize, len: usize| {
        let (_, start) = headers.l3.filter(|(l3, _)| want(*l3))?;
        number(frame.get(start + at..start + at + len))
    };
    let l4 = |want: L4, at: usize| {
        let (_, start) = headers.l4.filter(|(l4, _)| *l4 == want)?;
        number(frame.get(start + at..start + at + 2))
    };
    let v4 = |l3| l3 == L3::Ipv4;
    let v6 = |l3| matches!(l3, L3::Ipv6 { .. });
    match field {
        Field::MacDst => number(frame.get(..6)),
        Field::MacSrc => number(frame.get(6..12)),
        Field::VlanId => be16(frame, *headers.tags().first()?).map(|tci| u128::from(tci & 0xfff)),
        Field::Ipv4Ttl => l3(v4, 8, 1),
        Field::Ipv4Src => l3(v4, 12, 4),
        Field::Ipv4Dst => l3(v4, 16, 4),
        Field::Ipv6HopLimit => l3(v6, 7, 1),
        Field::Ipv6Src => l3(v6, 8, 16),
        Field::Ipv6Dst => l3(v6, 24, 16),
        Field::TcpSrc => l4(L4::Tcp, 0),
        Field::TcpDst => l4(L4::Tcp, 2),
        Field::UdpSrc => l4(L4::Udp, 0),
        Field::UdpDst => l4(L4::Udp, 2),
        Field::Tag(index) => state.registers.tags.get(index).map(|tag| u128::from(*tag)),
        Field::Meta => Some(state.registers.meta.into()),
        Field::Mark => Some(state.mark.unwrap_or(0).into()),
    }
}

fn write(field: Field, value: u128, frame: &mut Vec<u8>, state: &mut State<'_>, editor: &Editor) -> Option<()> {
    let word = value as u32;
    let mac = || {
        let [.., a, b, c, d, e, f] = value.to_be_bytes();
        [a, b, c, d, e, f]
    };
    let port = (value as u16).to_be_bytes();
    let edit = match field {
        Field::MacDst => Edit::SetEthDst(mac()),
        Field::MacSrc => Edit::SetEthSrc(mac()),
        Field::VlanId => Edit::SetVid(value as u16 & 0xfff),
        Field::Ipv4Ttl | Field::Ipv6HopLimit => Edit::SetTtl(value as u8),
        Field::Ipv4Src => Edit::SetIpv4Src(word.to_be_bytes()),
        Field::Ipv4Dst => Edit::SetIpv4Dst(word.to_be_bytes()),
        Field::Ipv6Src => Edit::SetIpv6Src(value.to_be_bytes()),
        Field::Ipv6Dst => Edit::SetIpv6Dst(value.to_be_bytes()),
        Field::TcpSrc | Field::UdpSrc => Edit::SetTpSrc(port),
        Field::TcpDst | Field::UdpDst => Edit::SetTpDst(port),
        Field::Tag(index) => {
            *state.registers.tags.get_mut(index)? = word;
            return Some(());
        }
        Field::Meta => {
            state.registers.meta = word;
            return Some(());
        }
        Field::Mark => {
            *state.mark = Some(word);
            return Some(());
        }
    };
    editor.apply(frame, edit)
}
