//! Actions: what a rule does.

use crate::api::ActionHandle;
use crate::item::{Item, put};
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
    /// Set the DSCP of IPv4 (6 bits).
    SetIpv4Dscp(u8),
    /// Set the DSCP of IPv6 (6 bits).
    SetIpv6Dscp(u8),
    /// Write bits of a field.
    ModifyField(ModifyField),
    /// Set bits of a register that later rules match.
    SetTag {
        /// Which register.
        index: u8,
        /// Value.
        data: u32,
        /// Bits of the register that are set.
        mask: u32,
    },
    /// Set bits of the metadata, which later rules match and the receiver gets.
    SetMeta {
        /// Value.
        data: u32,
        /// Bits that are set.
        mask: u32,
    },
    /// Send to an ethdev, in the words of older drivers; DPDK has deprecated it in favour of the two port actions.
    PortId(u32),
    /// Put headers on: Ethernet, VLAN, IP, UDP and VXLAN items whose specs are the headers.
    VxlanEncap(Vec<Item>),
    /// Take the outer headers up to VXLAN off.
    VxlanDecap,
    /// Put these bytes in front, where the packet's own L2 header was before a [`Action::RawDecap`], or before the packet.
    RawEncap(Vec<u8>),
    /// Take as many bytes off, up to the end of what these headers describe.
    RawDecap(Vec<u8>),
    /// Report the rule as aged when nothing hit it for so long.
    Age {
        /// Seconds (24 bits).
        timeout: u32,
        /// What [`crate::RteFlowApi::aged`] answers; not 0.
        context: u64,
    },
    /// Do these with one packet of `ratio`, beside what else is done; 1 copies every packet.
    Sample {
        /// One of how many.
        ratio: u32,
        /// What happens to the copy.
        actions: Vec<Action>,
    },
    /// All actions that the driver wants to take a tunnel off that it restores ([`crate::RteFlowApi::tunnel_decap`]); they come
    /// first.
    Tunnel(TunnelActions),
}

/// Actions that a driver gave for a tunnel; a number that its owner checks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TunnelActions(pub u64);

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
    /// TPID of the VLAN tag.
    VlanType = field_id::VLAN_TYPE,
    /// Flags of TCP.
    TcpFlags = field_id::TCP_FLAGS,
    /// Network identifier of VXLAN.
    VxlanVni = field_id::VXLAN_VNI,
    /// Network identifier of GENEVE.
    GeneveVni = field_id::GENEVE_VNI,
    /// The colour that a meter gave.
    MeterColor = field_id::METER_COLOR,
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

/// Where MODIFY_FIELD takes the bits from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ModifySource {
    /// An immediate value, in the byte order and length of the matching item's member.
    Value([u8; 16]),
    /// Another field.
    Field {
        /// Which.
        field: Field,
        /// Encapsulation level, or the register's number for [`Field::Tag`].
        level: u8,
        /// Bits of it to skip.
        offset: u32,
    },
}

/// Writes bits of a field (`rte_flow_action_modify_field`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ModifyField {
    /// What is done.
    pub op: ModifyOp,
    /// Where.
    pub field: Field,
    /// Encapsulation level (0: the device's default, 1: outermost), or the register's number for [`Field::Tag`].
    pub level: u8,
    /// Bits of the field to skip.
    pub offset: u32,
    /// Bits to write.
    pub width: u32,
    /// From where.
    pub source: ModifySource,
}

/// How an action's configuration is lowered.
pub(crate) enum Conf {
    None,
    Bytes(ConfBytes),
    /// With a pointer to queues.
    Rss {
        bytes: Vec<u8>,
        queues: Vec<u16>,
    },
    /// With a pointer, at the given place, to bytes.
    Data {
        bytes: Vec<u8>,
        at: usize,
        data: Vec<u8>,
    },
    /// With a pointer to a pattern.
    Items {
        bytes: Vec<u8>,
        at: usize,
        items: Vec<Item>,
    },
    /// With a pointer to a list of actions.
    Actions {
        bytes: Vec<u8>,
        at: usize,
        actions: Vec<Action>,
    },
    Handle(ActionHandle),
    Tunnel(TunnelActions),
}

/// A configuration without pointers: small, and kept off the heap.
pub(crate) struct ConfBytes {
    bytes: [u8; ConfBytes::MOST],
    len: usize,
}

impl ConfBytes {
    /// The largest is MODIFY_FIELD's.
    const MOST: usize = 64;

    fn new(len: usize) -> Self {
        const { assert!(layout::ACTION_MODIFY_FIELD_SIZE <= Self::MOST && layout::ACTION_SET_TAG_SIZE <= Self::MOST) }
        ConfBytes { bytes: [0; Self::MOST], len: len.min(Self::MOST) }
    }

    pub(crate) fn get(&self) -> &[u8] {
        &self.bytes[..self.len]
    }

    fn put(&mut self, at: usize, value: &[u8]) {
        put(&mut self.bytes[..self.len], at, value);
    }
}

fn conf<const N: usize>(size: usize, at: usize, value: [u8; N]) -> Conf {
    let mut bytes = ConfBytes::new(size);
    bytes.put(at, &value);
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
            Action::SetIpv4Dscp(_) => t::SET_IPV4_DSCP,
            Action::SetIpv6Dscp(_) => t::SET_IPV6_DSCP,
            Action::SetTag { .. } => t::SET_TAG,
            Action::SetMeta { .. } => t::SET_META,
            Action::PortId(_) => t::PORT_ID,
            Action::VxlanEncap(_) => t::VXLAN_ENCAP,
            Action::VxlanDecap => t::VXLAN_DECAP,
            Action::RawEncap(_) => t::RAW_ENCAP,
            Action::RawDecap(_) => t::RAW_DECAP,
            Action::Age { .. } => t::AGE,
            Action::Sample { .. } => t::SAMPLE,
            // Stands for whatever the driver gave; without the driver it is nothing.
            Action::Tunnel(_) => t::VOID,
        }
    }

    pub(crate) fn conf(&self) -> Conf {
        use layout as l;
        match self {
            Action::Void
            | Action::Passthru
            | Action::Drop
            | Action::Flag
            | Action::OfPopVlan
            | Action::DecTtl
            | Action::VxlanDecap => Conf::None,
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
            Action::SetIpv4Dscp(dscp) | Action::SetIpv6Dscp(dscp) => {
                conf(l::ACTION_SET_DSCP_SIZE, l::ACTION_SET_DSCP_DSCP, [*dscp])
            }
            Action::ModifyField(m) => Conf::Bytes(m.conf()),
            Action::SetTag { index, data, mask } => {
                let mut bytes = ConfBytes::new(l::ACTION_SET_TAG_SIZE);
                bytes.put(l::ACTION_SET_TAG_DATA, &data.to_ne_bytes());
                bytes.put(l::ACTION_SET_TAG_MASK, &mask.to_ne_bytes());
                bytes.put(l::ACTION_SET_TAG_INDEX, &[*index]);
                Conf::Bytes(bytes)
            }
            Action::SetMeta { data, mask } => {
                let mut bytes = ConfBytes::new(l::ACTION_SET_META_SIZE);
                bytes.put(l::ACTION_SET_META_DATA, &data.to_ne_bytes());
                bytes.put(l::ACTION_SET_META_MASK, &mask.to_ne_bytes());
                Conf::Bytes(bytes)
            }
            Action::PortId(id) => conf(l::ACTION_PORT_ID_SIZE, l::ACTION_PORT_ID_ID, id.to_ne_bytes()),
            Action::VxlanEncap(items) => Conf::Items {
                bytes: vec![0; l::ACTION_VXLAN_ENCAP_SIZE],
                at: l::ACTION_VXLAN_ENCAP_DEFINITION,
                items: items.clone(),
            },
            Action::RawEncap(data) => {
                let mut bytes = vec![0; l::ACTION_RAW_ENCAP_SIZE];
                put(&mut bytes, l::ACTION_RAW_ENCAP_LEN, &data.len().to_ne_bytes());
                Conf::Data { bytes, at: l::ACTION_RAW_ENCAP_DATA, data: data.clone() }
            }
            Action::RawDecap(data) => {
                let mut bytes = vec![0; l::ACTION_RAW_DECAP_SIZE];
                put(&mut bytes, l::ACTION_RAW_DECAP_LEN, &data.len().to_ne_bytes());
                Conf::Data { bytes, at: l::ACTION_RAW_DECAP_DATA, data: data.clone() }
            }
            Action::Age { timeout, context } => {
                let mut bytes = ConfBytes::new(l::ACTION_AGE_SIZE);
                bytes.put(0, &(timeout & 0x00ff_ffff).to_ne_bytes());
                bytes.put(l::ACTION_AGE_CONTEXT, &(*context as usize).to_ne_bytes());
                Conf::Bytes(bytes)
            }
            Action::Sample { ratio, actions } => {
                let mut bytes = vec![0; l::ACTION_SAMPLE_SIZE];
                put(&mut bytes, l::ACTION_SAMPLE_RATIO, &ratio.to_ne_bytes());
                Conf::Actions { bytes, at: l::ACTION_SAMPLE_ACTIONS, actions: actions.clone() }
            }
            Action::Tunnel(tunnel) => Conf::Tunnel(*tunnel),
        }
    }
}

impl ModifyField {
    fn conf(&self) -> ConfBytes {
        use layout as l;
        let mut bytes = ConfBytes::new(l::ACTION_MODIFY_FIELD_SIZE);
        bytes.put(l::ACTION_MODIFY_FIELD_OPERATION, &(self.op as u32).to_ne_bytes());
        bytes.put(l::ACTION_MODIFY_FIELD_DST_FIELD, &(self.field as u32).to_ne_bytes());
        // One byte is enough on every release: the others of a wider level are zero (little endian).
        bytes.put(l::ACTION_MODIFY_FIELD_DST_LEVEL, &[self.level]);
        bytes.put(l::ACTION_MODIFY_FIELD_DST_OFFSET, &self.offset.to_ne_bytes());
        match self.source {
            ModifySource::Value(value) => {
                bytes.put(l::ACTION_MODIFY_FIELD_SRC_FIELD, &field_id::VALUE.to_ne_bytes());
                bytes.put(l::ACTION_MODIFY_FIELD_SRC_VALUE, &value);
            }
            ModifySource::Field { field, level, offset } => {
                bytes.put(l::ACTION_MODIFY_FIELD_SRC_FIELD, &(field as u32).to_ne_bytes());
                bytes.put(l::ACTION_MODIFY_FIELD_SRC_LEVEL, &[level]);
                bytes.put(l::ACTION_MODIFY_FIELD_SRC_OFFSET, &offset.to_ne_bytes());
            }
        }
        bytes.put(l::ACTION_MODIFY_FIELD_WIDTH, &self.width.to_ne_bytes());
        bytes
    }
}
