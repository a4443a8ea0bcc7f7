//! Numbers that whoever reads lowered bytes needs: types, sizes and offsets, all taken from DPDK's headers by the C compiler.
//!
//! Members are in wire order (big endian) where the header they mirror is, in host order otherwise (`rte_flow.h`).

/// Types of pattern items (`RTE_FLOW_ITEM_TYPE_*`).
pub mod item_type {
    pub use dpdk_sys::{
        RTE_FLOW_ITEM_TYPE_ANY as ANY, RTE_FLOW_ITEM_TYPE_ARP_ETH_IPV4 as ARP_ETH_IPV4, RTE_FLOW_ITEM_TYPE_END as END,
        RTE_FLOW_ITEM_TYPE_ETH as ETH, RTE_FLOW_ITEM_TYPE_ICMP as ICMP, RTE_FLOW_ITEM_TYPE_ICMP6 as ICMP6,
        RTE_FLOW_ITEM_TYPE_IPV4 as IPV4, RTE_FLOW_ITEM_TYPE_IPV6 as IPV6, RTE_FLOW_ITEM_TYPE_MARK as MARK,
        RTE_FLOW_ITEM_TYPE_PORT_REPRESENTOR as PORT_REPRESENTOR,
        RTE_FLOW_ITEM_TYPE_REPRESENTED_PORT as REPRESENTED_PORT, RTE_FLOW_ITEM_TYPE_SCTP as SCTP,
        RTE_FLOW_ITEM_TYPE_TCP as TCP, RTE_FLOW_ITEM_TYPE_UDP as UDP, RTE_FLOW_ITEM_TYPE_VLAN as VLAN,
        RTE_FLOW_ITEM_TYPE_VOID as VOID,
    };
}

/// Types of actions (`RTE_FLOW_ACTION_TYPE_*`).
pub mod action_type {
    pub use dpdk_sys::{
        RTE_FLOW_ACTION_TYPE_COUNT as COUNT, RTE_FLOW_ACTION_TYPE_DEC_TTL as DEC_TTL,
        RTE_FLOW_ACTION_TYPE_DROP as DROP, RTE_FLOW_ACTION_TYPE_END as END, RTE_FLOW_ACTION_TYPE_FLAG as FLAG,
        RTE_FLOW_ACTION_TYPE_INDIRECT as INDIRECT, RTE_FLOW_ACTION_TYPE_JUMP as JUMP,
        RTE_FLOW_ACTION_TYPE_MARK as MARK, RTE_FLOW_ACTION_TYPE_METER as METER,
        RTE_FLOW_ACTION_TYPE_MODIFY_FIELD as MODIFY_FIELD, RTE_FLOW_ACTION_TYPE_OF_POP_VLAN as OF_POP_VLAN,
        RTE_FLOW_ACTION_TYPE_OF_PUSH_VLAN as OF_PUSH_VLAN, RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_PCP as OF_SET_VLAN_PCP,
        RTE_FLOW_ACTION_TYPE_OF_SET_VLAN_VID as OF_SET_VLAN_VID, RTE_FLOW_ACTION_TYPE_PASSTHRU as PASSTHRU,
        RTE_FLOW_ACTION_TYPE_PORT_REPRESENTOR as PORT_REPRESENTOR, RTE_FLOW_ACTION_TYPE_QUEUE as QUEUE,
        RTE_FLOW_ACTION_TYPE_REPRESENTED_PORT as REPRESENTED_PORT, RTE_FLOW_ACTION_TYPE_RSS as RSS,
        RTE_FLOW_ACTION_TYPE_SET_IPV4_DST as SET_IPV4_DST, RTE_FLOW_ACTION_TYPE_SET_IPV4_SRC as SET_IPV4_SRC,
        RTE_FLOW_ACTION_TYPE_SET_IPV6_DST as SET_IPV6_DST, RTE_FLOW_ACTION_TYPE_SET_IPV6_SRC as SET_IPV6_SRC,
        RTE_FLOW_ACTION_TYPE_SET_MAC_DST as SET_MAC_DST, RTE_FLOW_ACTION_TYPE_SET_MAC_SRC as SET_MAC_SRC,
        RTE_FLOW_ACTION_TYPE_SET_TP_DST as SET_TP_DST, RTE_FLOW_ACTION_TYPE_SET_TP_SRC as SET_TP_SRC,
        RTE_FLOW_ACTION_TYPE_SET_TTL as SET_TTL, RTE_FLOW_ACTION_TYPE_VOID as VOID,
    };
}

/// Fields of MODIFY_FIELD (`RTE_FLOW_FIELD_*`) and its operations.
pub mod field_id {
    pub use dpdk_sys::{
        RTE_FLOW_FIELD_IPV4_DSCP as IPV4_DSCP, RTE_FLOW_FIELD_IPV4_DST as IPV4_DST,
        RTE_FLOW_FIELD_IPV4_ECN as IPV4_ECN, RTE_FLOW_FIELD_IPV4_SRC as IPV4_SRC, RTE_FLOW_FIELD_IPV4_TTL as IPV4_TTL,
        RTE_FLOW_FIELD_IPV6_DSCP as IPV6_DSCP, RTE_FLOW_FIELD_IPV6_DST as IPV6_DST,
        RTE_FLOW_FIELD_IPV6_ECN as IPV6_ECN, RTE_FLOW_FIELD_IPV6_HOPLIMIT as IPV6_HOPLIMIT,
        RTE_FLOW_FIELD_IPV6_SRC as IPV6_SRC, RTE_FLOW_FIELD_MAC_DST as MAC_DST, RTE_FLOW_FIELD_MAC_SRC as MAC_SRC,
        RTE_FLOW_FIELD_MAC_TYPE as MAC_TYPE, RTE_FLOW_FIELD_MARK as MARK, RTE_FLOW_FIELD_META as META,
        RTE_FLOW_FIELD_TAG as TAG, RTE_FLOW_FIELD_TCP_PORT_DST as TCP_PORT_DST,
        RTE_FLOW_FIELD_TCP_PORT_SRC as TCP_PORT_SRC, RTE_FLOW_FIELD_UDP_PORT_DST as UDP_PORT_DST,
        RTE_FLOW_FIELD_UDP_PORT_SRC as UDP_PORT_SRC, RTE_FLOW_FIELD_VALUE as VALUE, RTE_FLOW_FIELD_VLAN_ID as VLAN_ID,
        RTE_FLOW_MODIFY_ADD as OP_ADD, RTE_FLOW_MODIFY_SET as OP_SET, RTE_FLOW_MODIFY_SUB as OP_SUB,
    };
}

macro_rules! numbers {
    ($($name:ident)*) => {
        $(#[doc = concat!("`", stringify!($name), "` of DPDK's headers, in bytes.")]
        pub const $name: usize = dpdk_sys::$name as usize;)*
    };
}

numbers! {
    ITEM_ETH_SIZE
    ITEM_ETH_DST
    ITEM_ETH_SRC
    ITEM_ETH_TYPE
    ITEM_VLAN_SIZE
    ITEM_VLAN_TCI
    ITEM_VLAN_INNER_TYPE
    ITEM_IPV4_SIZE
    ITEM_IPV4_VERSION_IHL
    ITEM_IPV4_TOS
    ITEM_IPV4_FRAGMENT_OFFSET
    ITEM_IPV4_TTL
    ITEM_IPV4_PROTO
    ITEM_IPV4_SRC
    ITEM_IPV4_DST
    ITEM_IPV6_SIZE
    ITEM_IPV6_VTC_FLOW
    ITEM_IPV6_PROTO
    ITEM_IPV6_HOP_LIMITS
    ITEM_IPV6_SRC
    ITEM_IPV6_DST
    ITEM_TCP_SIZE
    ITEM_TCP_SRC_PORT
    ITEM_TCP_DST_PORT
    ITEM_TCP_DATA_OFF
    ITEM_TCP_FLAGS
    ITEM_UDP_SIZE
    ITEM_UDP_SRC_PORT
    ITEM_UDP_DST_PORT
    ITEM_SCTP_SIZE
    ITEM_SCTP_SRC_PORT
    ITEM_SCTP_DST_PORT
    ITEM_ICMP_SIZE
    ITEM_ICMP_TYPE
    ITEM_ICMP_CODE
    ITEM_ICMP6_SIZE
    ITEM_ICMP6_TYPE
    ITEM_ICMP6_CODE
    ITEM_ARP_SIZE
    ITEM_ARP_OP
    ITEM_ARP_SHA
    ITEM_ARP_SPA
    ITEM_ARP_THA
    ITEM_ARP_TPA
    ITEM_ANY_SIZE
    ITEM_ANY_NUM
    ITEM_MARK_SIZE
    ITEM_MARK_ID
    ETHDEV_SIZE
    ETHDEV_PORT_ID
    ACTION_COUNT_SIZE
    ACTION_COUNT_ID
    ACTION_MARK_SIZE
    ACTION_MARK_ID
    ACTION_QUEUE_SIZE
    ACTION_QUEUE_INDEX
    ACTION_RSS_SIZE
    ACTION_RSS_FUNC
    ACTION_RSS_LEVEL
    ACTION_RSS_TYPES
    ACTION_RSS_KEY_LEN
    ACTION_RSS_QUEUE_NUM
    ACTION_RSS_KEY
    ACTION_RSS_QUEUE
    ACTION_JUMP_SIZE
    ACTION_JUMP_GROUP
    ACTION_METER_SIZE
    ACTION_METER_ID
    ACTION_OF_PUSH_VLAN_SIZE
    ACTION_OF_PUSH_VLAN_ETHERTYPE
    ACTION_OF_SET_VLAN_VID_SIZE
    ACTION_OF_SET_VLAN_VID_VID
    ACTION_OF_SET_VLAN_PCP_SIZE
    ACTION_OF_SET_VLAN_PCP_PCP
    ACTION_SET_MAC_SIZE
    ACTION_SET_MAC_ADDR
    ACTION_SET_IPV4_SIZE
    ACTION_SET_IPV4_ADDR
    ACTION_SET_IPV6_SIZE
    ACTION_SET_IPV6_ADDR
    ACTION_SET_TP_SIZE
    ACTION_SET_TP_PORT
    ACTION_SET_TTL_SIZE
    ACTION_SET_TTL_VALUE
    ACTION_MODIFY_FIELD_SIZE
    ACTION_MODIFY_FIELD_OPERATION
    ACTION_MODIFY_FIELD_DST_FIELD
    ACTION_MODIFY_FIELD_DST_LEVEL
    ACTION_MODIFY_FIELD_DST_LEVEL_SIZE
    ACTION_MODIFY_FIELD_DST_OFFSET
    ACTION_MODIFY_FIELD_SRC_FIELD
    ACTION_MODIFY_FIELD_SRC_VALUE
    ACTION_MODIFY_FIELD_SRC_VALUE_SIZE
    ACTION_MODIFY_FIELD_WIDTH
}

/// Byte and bit mask of `has_vlan` in an ETH item.
pub const ITEM_ETH_HAS_VLAN: (usize, u8) = (std::mem::offset_of!(dpdk_sys::rte_flow_item_eth, _bitfield_1), 1);
/// Byte and bit mask of `has_more_vlan` in a VLAN item.
pub const ITEM_VLAN_HAS_MORE_VLAN: (usize, u8) = (std::mem::offset_of!(dpdk_sys::rte_flow_item_vlan, _bitfield_1), 1);
/// Byte and bit mask of `has_frag_ext` in an IPV6 item.
pub const ITEM_IPV6_HAS_FRAG_EXT: (usize, u8) =
    (std::mem::offset_of!(dpdk_sys::rte_flow_item_ipv6, _bitfield_1), 1 << 2);

// The bit positions above are those of little-endian ABIs; nothing else is supported by DPDK's NIC drivers we use.
#[cfg(target_endian = "big")]
compile_error!("bit-field positions of flow items are known for little-endian targets only");

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bit_fields_are_where_the_c_compiler_puts_them() {
        let found = |n: u32| ((n >> 8) as usize, 1u8 << (n & 7));
        // SAFETY: pure functions.
        unsafe {
            assert_eq!(ITEM_ETH_HAS_VLAN, found(dpdk_sys::dpdk_shim_bit_eth_has_vlan()));
            assert_eq!(ITEM_VLAN_HAS_MORE_VLAN, found(dpdk_sys::dpdk_shim_bit_vlan_has_more_vlan()));
            assert_eq!(ITEM_IPV6_HAS_FRAG_EXT, found(dpdk_sys::dpdk_shim_bit_ipv6_has_frag_ext()));
        }
    }
}
