//! Actions: what a rule does.

use crate::api::ActionHandle;
use crate::item::put;
use crate::layout::{self, action_type, field_id};

/// One action of a rule (`rte_flow_action`), executed in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    /// Nothing: a placeholder.
    Void,
    /// Go on with rules of lower priority.
    Passthru,
    /// Drop the packet.
    Drop,
    /// Set the flag in the received packet.
    Flag,
    /// Set the mark (and the flag) in the received packet.
    Mark(u32),
    /// Count packets and bytes of this rule; several counters of a rule differ by number.
    Count(u32),
    /// An action shared by rules, made by [`crate::RteFlowApi::action_create`].
    Indirect(ActionHandle),
    /// Receive on this queue.
    Queue(u16),
    /// Spread over queues.
    Rss(Rss),
    /// Go on in another group.
    Jump(u32),
    /// Send to the application, at this ethdev (transfer rules).
    PortRepresentor(u16),
    /// Send to the port that this ethdev represents: the VF or the wire (transfer rules).
    RepresentedPort(u16),
    /// Police by this rte_mtr object.
    Meter(u32),
    /// Take the outer VLAN tag off.
    OfPopVlan,
    /// Put a VLAN tag with this EtherType on.
    OfPushVlan(u16),
    /// Set the VLAN id.
    OfSetVlanVid(u16),
    /// Set the VLAN priority (3 bits).
    OfSetVlanPcp(u8),
    /// Set the source MAC address.
    SetMacSrc([u8; 6]),
    /// Set the destination MAC address.
    SetMacDst([u8; 6]),
    /// Set the IPv4 source address.
    SetIpv4Src([u8; 4]),
    /// Set the IPv4 destination address.
    SetIpv4Dst([u8; 4]),
    /// Set the IPv6 source address.
    SetIpv6Src([u8; 16]),
    /// Set the IPv6 destination address.
    SetIpv6Dst([u8; 16]),
    /// Set the TCP or UDP source port.
    SetTpSrc(u16),
    /// Set the TCP or UDP destination port.
    SetTpDst(u16),
    /// Decrement TTL or hop limit.
    DecTtl,
    /// Set TTL or hop limit.
    SetTtl(u8),
    /// Write bits of a field.
    ModifyField(ModifyField),
}

/// RSS over some queues (`rte_flow_action_rss`), with the device's hash function and key.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Rss {
    /// Hash types (`RTE_ETH_RSS_*`), 0 for the device's default.
    pub types: u64,
    /// Encapsulation level, 0 for the default.
    pub level: u32,
    /// Queues.
    pub queues: Vec<u16>,
}

/// Fields that MODIFY_FIELD can name (`rte_flow_field_id`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum Field {
    /// Destination MAC address.
    MacDst = field_id::MAC_DST,
    /// Source MAC address.
    MacSrc = field_id::MAC_SRC,
    /// VLAN id.
    VlanId = field_id::VLAN_ID,
    /// EtherType.
    MacType = field_id::MAC_TYPE,
    /// DSCP of IPv4.
    Ipv4Dscp = field_id::IPV4_DSCP,
    /// ECN of IPv4.
    Ipv4Ecn = field_id::IPV4_ECN,
    /// TTL.
    Ipv4Ttl = field_id::IPV4_TTL,
    /// IPv4 source.
    Ipv4Src = field_id::IPV4_SRC,
    /// IPv4 destination.
    Ipv4Dst = field_id::IPV4_DST,
    /// DSCP of IPv6.
    Ipv6Dscp = field_id::IPV6_DSCP,
    /// ECN of IPv6.
    Ipv6Ecn = field_id::IPV6_ECN,
    /// Hop limit.
    Ipv6HopLimit = field_id::IPV6_HOPLIMIT,
    /// IPv6 source.
    Ipv6Src = field_id::IPV6_SRC,
    /// IPv6 destination.
    Ipv6Dst = field_id::IPV6_DST,
    /// TCP source port.
    TcpSrc = field_id::TCP_PORT_SRC,
    /// TCP destination port.
    TcpDst = field_id::TCP_PORT_DST,
    /// UDP source port.
    UdpSrc = field_id::UDP_PORT_SRC,
    /// UDP destination port.
    UdpDst = field_id::UDP_PORT_DST,
    /// A register shared by the rules of a path.
    Tag = field_id::TAG,
    /// The mark.
    Mark = field_id::MARK,
    /// The metadata.
    Meta = field_id::META,
}

/// What MODIFY_FIELD does with the bits.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u32)]
pub enum ModifyOp {
    /// Set.
    Set = field_id::OP_SET,
    /// Add.
    Add = field_id::OP_ADD,
    /// Subtract.
    Sub = field_id::OP_SUB,
}

/// Writes an immediate value into bits of a field (`rte_flow_action_modify_field`, source RTE_FLOW_FIELD_VALUE).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModifyField {
    /// What is done.
    pub op: ModifyOp,
    /// Where.
    pub field: Field,
    /// Bits of the field to skip.
    pub offset: u32,
    /// Bits to write.
    pub width: u32,
    /// The value, in the byte order and length of the matching item's member.
    pub value: [u8; 16],
}

/// How an action's configuration is lowered.
pub(crate) enum Conf {
    None,
    Bytes(Vec<u8>),
    Rss { bytes: Vec<u8>, queues: Vec<u16> },
    Handle(ActionHandle),
}

fn conf<const N: usize>(size: usize, at: usize, value: [u8; N]) -> Conf {
    let mut bytes = vec![0; size];
    put(&mut bytes, at, &value);
    Conf::Bytes(bytes)
}

impl Action {
    /// The action's type in the C interface.
    pub fn type_id(&self) -> u32 {
        use action_type as t;
        match self {
            Action::Void => t::VOID,
            Action::Passthru => t::PASSTHRU,
            Action::Drop => t::DROP,
            Action::Flag => t::FLAG,
            Action::Mark(_) => t::MARK,
            Action::Count(_) => t::COUNT,
            Action::Indirect(_) => t::INDIRECT,
            Action::Queue(_) => t::QUEUE,
            Action::Rss(_) => t::RSS,
            Action::Jump(_) => t::JUMP,
            Action::PortRepresentor(_) => t::PORT_REPRESENTOR,
            Action::RepresentedPort(_) => t::REPRESENTED_PORT,
            Action::Meter(_) => t::METER,
            Action::OfPopVlan => t::OF_POP_VLAN,
            Action::OfPushVlan(_) => t::OF_PUSH_VLAN,
            Action::OfSetVlanVid(_) => t::OF_SET_VLAN_VID,
            Action::OfSetVlanPcp(_) => t::OF_SET_VLAN_PCP,
            Action::SetMacSrc(_) => t::SET_MAC_SRC,
            Action::SetMacDst(_) => t::SET_MAC_DST,
            Action::SetIpv4Src(_) => t::SET_IPV4_SRC,
            Action::SetIpv4Dst(_) => t::SET_IPV4_DST,
            Action::SetIpv6Src(_) => t::SET_IPV6_SRC,
            Action::SetIpv6Dst(_) => t::SET_IPV6_DST,
            Action::SetTpSrc(_) => t::SET_TP_SRC,
            Action::SetTpDst(_) => t::SET_TP_DST,
            Action::DecTtl => t::DEC_TTL,
            Action::SetTtl(_) => t::SET_TTL,
            Action::ModifyField(_) => t::MODIFY_FIELD,
        }
    }

    pub(crate) fn conf(&self) -> Conf {
        use layout as l;
        match self {
            Action::Void | Action::Passthru | Action::Drop | Action::Flag | Action::OfPopVlan | Action::DecTtl => {
                Conf::None
            }
            Action::Mark(id) => conf(l::ACTION_MARK_SIZE, l::ACTION_MARK_ID, id.to_ne_bytes()),
            Action::Count(id) => conf(l::ACTION_COUNT_SIZE, l::ACTION_COUNT_ID, id.to_ne_bytes()),
            Action::Indirect(handle) => Conf::Handle(*handle),
            Action::Queue(index) => conf(l::ACTION_QUEUE_SIZE, l::ACTION_QUEUE_INDEX, index.to_ne_bytes()),
            Action::Rss(rss) => {
                let mut bytes = vec![0; l::ACTION_RSS_SIZE];
                put(&mut bytes, l::ACTION_RSS_LEVEL, &rss.level.to_ne_bytes());
                put(&mut bytes, l::ACTION_RSS_TYPES, &rss.types.to_ne_bytes());
                put(&mut bytes, l::ACTION_RSS_QUEUE_NUM, &(rss.queues.len() as u32).to_ne_bytes());
                Conf::Rss { bytes, queues: rss.queues.clone() }
            }
            Action::Jump(group) => conf(l::ACTION_JUMP_SIZE, l::ACTION_JUMP_GROUP, group.to_ne_bytes()),
            Action::PortRepresentor(port) | Action::RepresentedPort(port) => {
                conf(l::ETHDEV_SIZE, l::ETHDEV_PORT_ID, port.to_ne_bytes())
            }
            Action::Meter(id) => conf(l::ACTION_METER_SIZE, l::ACTION_METER_ID, id.to_ne_bytes()),
            Action::OfPushVlan(ether_type) => {
                conf(l::ACTION_OF_PUSH_VLAN_SIZE, l::ACTION_OF_PUSH_VLAN_ETHERTYPE, ether_type.to_be_bytes())
            }
            Action::OfSetVlanVid(vid) => {
                conf(l::ACTION_OF_SET_VLAN_VID_SIZE, l::ACTION_OF_SET_VLAN_VID_VID, vid.to_be_bytes())
            }
            Action::OfSetVlanPcp(pcp) => conf(l::ACTION_OF_SET_VLAN_PCP_SIZE, l::ACTION_OF_SET_VLAN_PCP_PCP, [*pcp]),
            Action::SetMacSrc(mac) | Action::SetMacDst(mac) => {
                conf(l::ACTION_SET_MAC_SIZE, l::ACTION_SET_MAC_ADDR, *mac)
            }
            Action::SetIpv4Src(ip) | Action::SetIpv4Dst(ip) => {
                conf(l::ACTION_SET_IPV4_SIZE, l::ACTION_SET_IPV4_ADDR, *ip)
            }
            Action::SetIpv6Src(ip) | Action::SetIpv6Dst(ip) => {
                conf(l::ACTION_SET_IPV6_SIZE, l::ACTION_SET_IPV6_ADDR, *ip)
            }
            Action::SetTpSrc(port) | Action::SetTpDst(port) => {
                conf(l::ACTION_SET_TP_SIZE, l::ACTION_SET_TP_PORT, port.to_be_bytes())
            }
            Action::SetTtl(ttl) => conf(l::ACTION_SET_TTL_SIZE, l::ACTION_SET_TTL_VALUE, [*ttl]),
            Action::ModifyField(m) => {
                let mut bytes = vec![0; l::ACTION_MODIFY_FIELD_SIZE];
                put(&mut bytes, l::ACTION_MODIFY_FIELD_OPERATION, &(m.op as u32).to_ne_bytes());
                put(&mut bytes, l::ACTION_MODIFY_FIELD_DST_FIELD, &(m.field as u32).to_ne_bytes());
                put(&mut bytes, l::ACTION_MODIFY_FIELD_DST_OFFSET, &m.offset.to_ne_bytes());
                put(&mut bytes, l::ACTION_MODIFY_FIELD_SRC_FIELD, &field_id::VALUE.to_ne_bytes());
                put(&mut bytes, l::ACTION_MODIFY_FIELD_SRC_VALUE, &m.value);
                put(&mut bytes, l::ACTION_MODIFY_FIELD_WIDTH, &m.width.to_ne_bytes());
                Conf::Bytes(bytes)
            }
        }
    }
}
