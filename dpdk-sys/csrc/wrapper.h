/* SPDX-License-Identifier: Apache-2.0
 *
 * What bindgen reads. Three kinds of things are declared here:
 *  - DPDK's own exported functions and structures (allow-listed in build.rs);
 *  - `enum dpdk_layout`: offsets and sizes, taken by the C compiler. Structures with anonymous unions and markers
 *    (rte_mbuf, flow items) move their members between releases, so Rust never names those members: it uses these numbers;
 *  - `dpdk_shim_*`: static inlines of DPDK, made callable (one call a burst, never one a packet).
 */
#ifndef DPDK_SYS_WRAPPER_H
#define DPDK_SYS_WRAPPER_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <rte_config.h>
#include <rte_version.h>
#include <rte_common.h>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_errno.h>
#include <rte_eth_ring.h>
#include <rte_ethdev.h>
#include <rte_flow.h>
#include <rte_lcore.h>
#include <rte_log.h>
#include <rte_malloc.h>
#include <rte_mbuf.h>
#include <rte_mempool.h>
#include <rte_mtr.h>
#include <rte_ring.h>

#define DPDK_SIZEOF_MEMBER(type, member) sizeof(((type *)0)->member)

enum dpdk_layout {
	/* struct rte_mbuf */
	MBUF_SIZE = sizeof(struct rte_mbuf),
	MBUF_BUF_ADDR = offsetof(struct rte_mbuf, buf_addr),
	MBUF_DATA_OFF = offsetof(struct rte_mbuf, data_off),
	MBUF_REFCNT = offsetof(struct rte_mbuf, refcnt),
	MBUF_NB_SEGS = offsetof(struct rte_mbuf, nb_segs),
	MBUF_PORT = offsetof(struct rte_mbuf, port),
	MBUF_OL_FLAGS = offsetof(struct rte_mbuf, ol_flags),
	MBUF_PACKET_TYPE = offsetof(struct rte_mbuf, packet_type),
	MBUF_PKT_LEN = offsetof(struct rte_mbuf, pkt_len),
	MBUF_DATA_LEN = offsetof(struct rte_mbuf, data_len),
	MBUF_VLAN_TCI = offsetof(struct rte_mbuf, vlan_tci),
	MBUF_RSS_HASH = offsetof(struct rte_mbuf, hash.rss),
	MBUF_FDIR_ID = offsetof(struct rte_mbuf, hash.fdir.hi),
	MBUF_VLAN_TCI_OUTER = offsetof(struct rte_mbuf, vlan_tci_outer),
	MBUF_BUF_LEN = offsetof(struct rte_mbuf, buf_len),
	MBUF_POOL = offsetof(struct rte_mbuf, pool),
	MBUF_NEXT = offsetof(struct rte_mbuf, next),
	MBUF_TX_OFFLOAD = offsetof(struct rte_mbuf, tx_offload),
	MBUF_SHINFO = offsetof(struct rte_mbuf, shinfo),

	/* Flow items: offsets of members inside spec, last and mask. */
	ITEM_ETH_SIZE = sizeof(struct rte_flow_item_eth),
	ITEM_ETH_DST = offsetof(struct rte_flow_item_eth, hdr.dst_addr),
	ITEM_ETH_SRC = offsetof(struct rte_flow_item_eth, hdr.src_addr),
	ITEM_ETH_TYPE = offsetof(struct rte_flow_item_eth, hdr.ether_type),
	ITEM_VLAN_SIZE = sizeof(struct rte_flow_item_vlan),
	ITEM_VLAN_TCI = offsetof(struct rte_flow_item_vlan, hdr.vlan_tci),
	ITEM_VLAN_INNER_TYPE = offsetof(struct rte_flow_item_vlan, hdr.eth_proto),
	ITEM_IPV4_SIZE = sizeof(struct rte_flow_item_ipv4),
	ITEM_IPV4_VERSION_IHL = offsetof(struct rte_flow_item_ipv4, hdr.version_ihl),
	ITEM_IPV4_TOS = offsetof(struct rte_flow_item_ipv4, hdr.type_of_service),
	ITEM_IPV4_FRAGMENT_OFFSET = offsetof(struct rte_flow_item_ipv4, hdr.fragment_offset),
	ITEM_IPV4_TTL = offsetof(struct rte_flow_item_ipv4, hdr.time_to_live),
	ITEM_IPV4_PROTO = offsetof(struct rte_flow_item_ipv4, hdr.next_proto_id),
	ITEM_IPV4_SRC = offsetof(struct rte_flow_item_ipv4, hdr.src_addr),
	ITEM_IPV4_DST = offsetof(struct rte_flow_item_ipv4, hdr.dst_addr),
	ITEM_IPV6_SIZE = sizeof(struct rte_flow_item_ipv6),
	ITEM_IPV6_VTC_FLOW = offsetof(struct rte_flow_item_ipv6, hdr.vtc_flow),
	ITEM_IPV6_PROTO = offsetof(struct rte_flow_item_ipv6, hdr.proto),
	ITEM_IPV6_HOP_LIMITS = offsetof(struct rte_flow_item_ipv6, hdr.hop_limits),
	ITEM_IPV6_SRC = offsetof(struct rte_flow_item_ipv6, hdr.src_addr),
	ITEM_IPV6_DST = offsetof(struct rte_flow_item_ipv6, hdr.dst_addr),
	ITEM_TCP_SIZE = sizeof(struct rte_flow_item_tcp),
	ITEM_TCP_SRC_PORT = offsetof(struct rte_flow_item_tcp, hdr.src_port),
	ITEM_TCP_DST_PORT = offsetof(struct rte_flow_item_tcp, hdr.dst_port),
	ITEM_TCP_DATA_OFF = offsetof(struct rte_flow_item_tcp, hdr.data_off),
	ITEM_TCP_FLAGS = offsetof(struct rte_flow_item_tcp, hdr.tcp_flags),
	ITEM_UDP_SIZE = sizeof(struct rte_flow_item_udp),
	ITEM_UDP_SRC_PORT = offsetof(struct rte_flow_item_udp, hdr.src_port),
	ITEM_UDP_DST_PORT = offsetof(struct rte_flow_item_udp, hdr.dst_port),
	ITEM_SCTP_SIZE = sizeof(struct rte_flow_item_sctp),
	ITEM_SCTP_SRC_PORT = offsetof(struct rte_flow_item_sctp, hdr.src_port),
	ITEM_SCTP_DST_PORT = offsetof(struct rte_flow_item_sctp, hdr.dst_port),
	ITEM_ICMP_SIZE = sizeof(struct rte_flow_item_icmp),
	ITEM_ICMP_TYPE = offsetof(struct rte_flow_item_icmp, hdr.icmp_type),
	ITEM_ICMP_CODE = offsetof(struct rte_flow_item_icmp, hdr.icmp_code),
	ITEM_ICMP6_SIZE = sizeof(struct rte_flow_item_icmp6),
	ITEM_ICMP6_TYPE = offsetof(struct rte_flow_item_icmp6, type),
	ITEM_ICMP6_CODE = offsetof(struct rte_flow_item_icmp6, code),
	ITEM_ARP_SIZE = sizeof(struct rte_flow_item_arp_eth_ipv4),
	ITEM_ARP_OP = offsetof(struct rte_flow_item_arp_eth_ipv4, op),
	ITEM_ARP_SHA = offsetof(struct rte_flow_item_arp_eth_ipv4, sha),
	ITEM_ARP_SPA = offsetof(struct rte_flow_item_arp_eth_ipv4, spa),
	ITEM_ARP_THA = offsetof(struct rte_flow_item_arp_eth_ipv4, tha),
	ITEM_ARP_TPA = offsetof(struct rte_flow_item_arp_eth_ipv4, tpa),
	ITEM_ANY_SIZE = sizeof(struct rte_flow_item_any),
	ITEM_ANY_NUM = offsetof(struct rte_flow_item_any, num),
	ITEM_MARK_SIZE = sizeof(struct rte_flow_item_mark),
	ITEM_MARK_ID = offsetof(struct rte_flow_item_mark, id),
	ITEM_IPV6_FRAG_EXT_SIZE = sizeof(struct rte_flow_item_ipv6_frag_ext),
	ITEM_IPV6_FRAG_EXT_NEXT_HEADER = offsetof(struct rte_flow_item_ipv6_frag_ext, hdr.next_header),
	ITEM_IPV6_FRAG_EXT_FRAG_DATA = offsetof(struct rte_flow_item_ipv6_frag_ext, hdr.frag_data),
	ITEM_IPV6_FRAG_EXT_ID = offsetof(struct rte_flow_item_ipv6_frag_ext, hdr.id),
	ITEM_VXLAN_SIZE = sizeof(struct rte_flow_item_vxlan),
	ITEM_VXLAN_FLAGS = offsetof(struct rte_flow_item_vxlan, hdr.vx_flags),
	ITEM_VXLAN_VNI = offsetof(struct rte_flow_item_vxlan, hdr.vx_vni),
	ITEM_GENEVE_SIZE = sizeof(struct rte_flow_item_geneve),
	ITEM_GENEVE_VER_OPT_LEN = offsetof(struct rte_flow_item_geneve, ver_opt_len_o_c_rsvd0),
	ITEM_GENEVE_PROTOCOL = offsetof(struct rte_flow_item_geneve, protocol),
	ITEM_GENEVE_VNI = offsetof(struct rte_flow_item_geneve, vni),
	ITEM_GENEVE_OPT_SIZE = sizeof(struct rte_flow_item_geneve_opt),
	ITEM_GENEVE_OPT_CLASS = offsetof(struct rte_flow_item_geneve_opt, option_class),
	ITEM_GENEVE_OPT_TYPE = offsetof(struct rte_flow_item_geneve_opt, option_type),
	ITEM_GENEVE_OPT_LEN = offsetof(struct rte_flow_item_geneve_opt, option_len),
	ITEM_GENEVE_OPT_DATA = offsetof(struct rte_flow_item_geneve_opt, data),
	ITEM_GRE_SIZE = sizeof(struct rte_flow_item_gre),
	ITEM_GRE_FLAGS = offsetof(struct rte_flow_item_gre, c_rsvd0_ver),
	ITEM_GRE_PROTOCOL = offsetof(struct rte_flow_item_gre, protocol),
	/* GRE_KEY has no structure: its spec is the key as a big-endian number. */
	ITEM_GRE_KEY_SIZE = sizeof(rte_be32_t),
	ITEM_GRE_KEY_KEY = 0,
	ITEM_TAG_SIZE = sizeof(struct rte_flow_item_tag),
	ITEM_TAG_DATA = offsetof(struct rte_flow_item_tag, data),
	ITEM_TAG_INDEX = offsetof(struct rte_flow_item_tag, index),
	ITEM_META_SIZE = sizeof(struct rte_flow_item_meta),
	ITEM_META_DATA = offsetof(struct rte_flow_item_meta, data),
	ITEM_PORT_ID_SIZE = sizeof(struct rte_flow_item_port_id),
	ITEM_PORT_ID_ID = offsetof(struct rte_flow_item_port_id, id),
	ITEM_RAW_SIZE = sizeof(struct rte_flow_item_raw),
	ITEM_RAW_OFFSET = offsetof(struct rte_flow_item_raw, offset),
	ITEM_RAW_LIMIT = offsetof(struct rte_flow_item_raw, limit),
	ITEM_RAW_LENGTH = offsetof(struct rte_flow_item_raw, length),
	ITEM_RAW_PATTERN = offsetof(struct rte_flow_item_raw, pattern),
	/* Both PORT_REPRESENTOR and REPRESENTED_PORT, item and action. */
	ETHDEV_SIZE = sizeof(struct rte_flow_item_ethdev),
	ETHDEV_PORT_ID = offsetof(struct rte_flow_item_ethdev, port_id),

	/* Flow actions: offsets of members inside conf. */
	ACTION_COUNT_SIZE = sizeof(struct rte_flow_action_count),
	ACTION_COUNT_ID = offsetof(struct rte_flow_action_count, id),
	ACTION_MARK_SIZE = sizeof(struct rte_flow_action_mark),
	ACTION_MARK_ID = offsetof(struct rte_flow_action_mark, id),
	ACTION_QUEUE_SIZE = sizeof(struct rte_flow_action_queue),
	ACTION_QUEUE_INDEX = offsetof(struct rte_flow_action_queue, index),
	ACTION_RSS_SIZE = sizeof(struct rte_flow_action_rss),
	ACTION_RSS_FUNC = offsetof(struct rte_flow_action_rss, func),
	ACTION_RSS_LEVEL = offsetof(struct rte_flow_action_rss, level),
	ACTION_RSS_TYPES = offsetof(struct rte_flow_action_rss, types),
	ACTION_RSS_KEY_LEN = offsetof(struct rte_flow_action_rss, key_len),
	ACTION_RSS_QUEUE_NUM = offsetof(struct rte_flow_action_rss, queue_num),
	ACTION_RSS_KEY = offsetof(struct rte_flow_action_rss, key),
	ACTION_RSS_QUEUE = offsetof(struct rte_flow_action_rss, queue),
	ACTION_JUMP_SIZE = sizeof(struct rte_flow_action_jump),
	ACTION_JUMP_GROUP = offsetof(struct rte_flow_action_jump, group),
	ACTION_METER_SIZE = sizeof(struct rte_flow_action_meter),
	ACTION_METER_ID = offsetof(struct rte_flow_action_meter, mtr_id),
	ACTION_OF_PUSH_VLAN_SIZE = sizeof(struct rte_flow_action_of_push_vlan),
	ACTION_OF_PUSH_VLAN_ETHERTYPE = offsetof(struct rte_flow_action_of_push_vlan, ethertype),
	ACTION_OF_SET_VLAN_VID_SIZE = sizeof(struct rte_flow_action_of_set_vlan_vid),
	ACTION_OF_SET_VLAN_VID_VID = offsetof(struct rte_flow_action_of_set_vlan_vid, vlan_vid),
	ACTION_OF_SET_VLAN_PCP_SIZE = sizeof(struct rte_flow_action_of_set_vlan_pcp),
	ACTION_OF_SET_VLAN_PCP_PCP = offsetof(struct rte_flow_action_of_set_vlan_pcp, vlan_pcp),
	ACTION_SET_MAC_SIZE = sizeof(struct rte_flow_action_set_mac),
	ACTION_SET_MAC_ADDR = offsetof(struct rte_flow_action_set_mac, mac_addr),
	ACTION_SET_IPV4_SIZE = sizeof(struct rte_flow_action_set_ipv4),
	ACTION_SET_IPV4_ADDR = offsetof(struct rte_flow_action_set_ipv4, ipv4_addr),
	ACTION_SET_IPV6_SIZE = sizeof(struct rte_flow_action_set_ipv6),
	ACTION_SET_IPV6_ADDR = offsetof(struct rte_flow_action_set_ipv6, ipv6_addr),
	ACTION_SET_TP_SIZE = sizeof(struct rte_flow_action_set_tp),
	ACTION_SET_TP_PORT = offsetof(struct rte_flow_action_set_tp, port),
	ACTION_SET_TTL_SIZE = sizeof(struct rte_flow_action_set_ttl),
	ACTION_SET_TTL_VALUE = offsetof(struct rte_flow_action_set_ttl, ttl_value),
	ACTION_MODIFY_FIELD_SIZE = sizeof(struct rte_flow_action_modify_field),
	ACTION_MODIFY_FIELD_OPERATION = offsetof(struct rte_flow_action_modify_field, operation),
	ACTION_MODIFY_FIELD_DST_FIELD = offsetof(struct rte_flow_action_modify_field, dst.field),
	ACTION_MODIFY_FIELD_DST_LEVEL = offsetof(struct rte_flow_action_modify_field, dst.level),
	ACTION_MODIFY_FIELD_DST_LEVEL_SIZE = DPDK_SIZEOF_MEMBER(struct rte_flow_action_modify_field, dst.level),
	ACTION_MODIFY_FIELD_DST_OFFSET = offsetof(struct rte_flow_action_modify_field, dst.offset),
	ACTION_MODIFY_FIELD_SRC_FIELD = offsetof(struct rte_flow_action_modify_field, src.field),
	ACTION_MODIFY_FIELD_SRC_VALUE = offsetof(struct rte_flow_action_modify_field, src.value),
	ACTION_MODIFY_FIELD_SRC_VALUE_SIZE = DPDK_SIZEOF_MEMBER(struct rte_flow_action_modify_field, src.value),
	ACTION_PORT_ID_SIZE = sizeof(struct rte_flow_action_port_id),
	ACTION_PORT_ID_ID = offsetof(struct rte_flow_action_port_id, id),
	ACTION_SET_DSCP_SIZE = sizeof(struct rte_flow_action_set_dscp),
	ACTION_SET_DSCP_DSCP = offsetof(struct rte_flow_action_set_dscp, dscp),
	ACTION_SET_TAG_SIZE = sizeof(struct rte_flow_action_set_tag),
	ACTION_SET_TAG_DATA = offsetof(struct rte_flow_action_set_tag, data),
	ACTION_SET_TAG_MASK = offsetof(struct rte_flow_action_set_tag, mask),
	ACTION_SET_TAG_INDEX = offsetof(struct rte_flow_action_set_tag, index),
	ACTION_SET_META_SIZE = sizeof(struct rte_flow_action_set_meta),
	ACTION_SET_META_DATA = offsetof(struct rte_flow_action_set_meta, data),
	ACTION_SET_META_MASK = offsetof(struct rte_flow_action_set_meta, mask),
	ACTION_VXLAN_ENCAP_SIZE = sizeof(struct rte_flow_action_vxlan_encap),
	ACTION_VXLAN_ENCAP_DEFINITION = offsetof(struct rte_flow_action_vxlan_encap, definition),
	ACTION_RAW_ENCAP_SIZE = sizeof(struct rte_flow_action_raw_encap),
	ACTION_RAW_ENCAP_DATA = offsetof(struct rte_flow_action_raw_encap, data),
	ACTION_RAW_ENCAP_LEN = offsetof(struct rte_flow_action_raw_encap, size),
	ACTION_RAW_DECAP_SIZE = sizeof(struct rte_flow_action_raw_decap),
	ACTION_RAW_DECAP_DATA = offsetof(struct rte_flow_action_raw_decap, data),
	ACTION_RAW_DECAP_LEN = offsetof(struct rte_flow_action_raw_decap, size),
	/* The timeout has the lower 24 bits of the first word. */
	ACTION_AGE_SIZE = sizeof(struct rte_flow_action_age),
	ACTION_AGE_CONTEXT = offsetof(struct rte_flow_action_age, context),
	ACTION_SAMPLE_SIZE = sizeof(struct rte_flow_action_sample),
	ACTION_SAMPLE_RATIO = offsetof(struct rte_flow_action_sample, ratio),
	ACTION_SAMPLE_ACTIONS = offsetof(struct rte_flow_action_sample, actions),
	ACTION_MODIFY_FIELD_SRC_LEVEL = offsetof(struct rte_flow_action_modify_field, src.level),
	ACTION_MODIFY_FIELD_SRC_OFFSET = offsetof(struct rte_flow_action_modify_field, src.offset),
	ACTION_MODIFY_FIELD_WIDTH = offsetof(struct rte_flow_action_modify_field, width),
};

/* Macros that bindgen cannot evaluate, as typed constants. */
static const uint64_t MBUF_F_RX_VLAN = RTE_MBUF_F_RX_VLAN;
static const uint64_t MBUF_F_RX_VLAN_STRIPPED = RTE_MBUF_F_RX_VLAN_STRIPPED;
static const uint64_t MBUF_F_RX_QINQ = RTE_MBUF_F_RX_QINQ;
static const uint64_t MBUF_F_RX_QINQ_STRIPPED = RTE_MBUF_F_RX_QINQ_STRIPPED;
static const uint64_t MBUF_F_RX_RSS_HASH = RTE_MBUF_F_RX_RSS_HASH;
static const uint64_t MBUF_F_RX_FDIR = RTE_MBUF_F_RX_FDIR;
static const uint64_t MBUF_F_RX_FDIR_ID = RTE_MBUF_F_RX_FDIR_ID;
static const uint64_t MBUF_F_RX_IP_CKSUM_MASK = RTE_MBUF_F_RX_IP_CKSUM_MASK;
static const uint64_t MBUF_F_RX_IP_CKSUM_BAD = RTE_MBUF_F_RX_IP_CKSUM_BAD;
static const uint64_t MBUF_F_RX_IP_CKSUM_GOOD = RTE_MBUF_F_RX_IP_CKSUM_GOOD;
static const uint64_t MBUF_F_RX_L4_CKSUM_MASK = RTE_MBUF_F_RX_L4_CKSUM_MASK;
static const uint64_t MBUF_F_RX_L4_CKSUM_BAD = RTE_MBUF_F_RX_L4_CKSUM_BAD;
static const uint64_t MBUF_F_RX_L4_CKSUM_NONE = RTE_MBUF_F_RX_L4_CKSUM_NONE;
static const uint64_t MBUF_F_RX_L4_CKSUM_GOOD = RTE_MBUF_F_RX_L4_CKSUM_GOOD;
static const uint64_t MBUF_F_TX_OFFLOAD_MASK = RTE_MBUF_F_TX_OFFLOAD_MASK;
static const uint64_t MBUF_F_TX_L4_MASK = RTE_MBUF_F_TX_L4_MASK;
static const uint64_t MBUF_F_TX_TCP_CKSUM = RTE_MBUF_F_TX_TCP_CKSUM;
static const uint64_t MBUF_F_TX_UDP_CKSUM = RTE_MBUF_F_TX_UDP_CKSUM;
static const uint64_t MBUF_F_TX_IPV4 = RTE_MBUF_F_TX_IPV4;
static const uint64_t MBUF_F_TX_IPV6 = RTE_MBUF_F_TX_IPV6;
static const uint64_t MBUF_F_TX_VLAN = RTE_MBUF_F_TX_VLAN;
static const uint64_t MBUF_F_TX_QINQ = RTE_MBUF_F_TX_QINQ;
static const uint64_t MBUF_F_INDIRECT = RTE_MBUF_F_INDIRECT;
static const uint64_t MBUF_F_EXTERNAL = RTE_MBUF_F_EXTERNAL;

static const uint64_t ETH_RX_OFFLOAD_VLAN_STRIP = RTE_ETH_RX_OFFLOAD_VLAN_STRIP;
static const uint64_t ETH_RX_OFFLOAD_IPV4_CKSUM = RTE_ETH_RX_OFFLOAD_IPV4_CKSUM;
static const uint64_t ETH_RX_OFFLOAD_UDP_CKSUM = RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
static const uint64_t ETH_RX_OFFLOAD_TCP_CKSUM = RTE_ETH_RX_OFFLOAD_TCP_CKSUM;
static const uint64_t ETH_RX_OFFLOAD_QINQ_STRIP = RTE_ETH_RX_OFFLOAD_QINQ_STRIP;
static const uint64_t ETH_RX_OFFLOAD_SCATTER = RTE_ETH_RX_OFFLOAD_SCATTER;
static const uint64_t ETH_RX_OFFLOAD_RSS_HASH = RTE_ETH_RX_OFFLOAD_RSS_HASH;
static const uint64_t ETH_TX_OFFLOAD_VLAN_INSERT = RTE_ETH_TX_OFFLOAD_VLAN_INSERT;
static const uint64_t ETH_TX_OFFLOAD_IPV4_CKSUM = RTE_ETH_TX_OFFLOAD_IPV4_CKSUM;
static const uint64_t ETH_TX_OFFLOAD_UDP_CKSUM = RTE_ETH_TX_OFFLOAD_UDP_CKSUM;
static const uint64_t ETH_TX_OFFLOAD_TCP_CKSUM = RTE_ETH_TX_OFFLOAD_TCP_CKSUM;
static const uint64_t ETH_TX_OFFLOAD_MULTI_SEGS = RTE_ETH_TX_OFFLOAD_MULTI_SEGS;
static const uint64_t ETH_RSS_IP = RTE_ETH_RSS_IP;
static const uint64_t ETH_RSS_TCP = RTE_ETH_RSS_TCP;
static const uint64_t ETH_RSS_UDP = RTE_ETH_RSS_UDP;
static const uint64_t ETH_RSS_SCTP = RTE_ETH_RSS_SCTP;
static const uint64_t ETH_RX_METADATA_USER_FLAG = RTE_ETH_RX_METADATA_USER_FLAG;
static const uint64_t ETH_RX_METADATA_USER_MARK = RTE_ETH_RX_METADATA_USER_MARK;
static const uint64_t ETH_RX_METADATA_TUNNEL_ID = RTE_ETH_RX_METADATA_TUNNEL_ID;
static const uint32_t ETH_DEV_INTR_LSC = RTE_ETH_DEV_INTR_LSC;
static const uint32_t ETH_DEV_INTR_RMV = RTE_ETH_DEV_INTR_RMV;
static const uint64_t ETH_DEV_CAPA_FLOW_RULE_KEEP = RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP;
static const uint64_t ETH_DEV_CAPA_FLOW_SHARED_OBJECT_KEEP = RTE_ETH_DEV_CAPA_FLOW_SHARED_OBJECT_KEEP;
static const uint64_t MTR_STATS_ALL = RTE_MTR_STATS_N_PKTS_GREEN | RTE_MTR_STATS_N_PKTS_YELLOW |
	RTE_MTR_STATS_N_PKTS_RED | RTE_MTR_STATS_N_PKTS_DROPPED | RTE_MTR_STATS_N_BYTES_GREEN |
	RTE_MTR_STATS_N_BYTES_YELLOW | RTE_MTR_STATS_N_BYTES_RED | RTE_MTR_STATS_N_BYTES_DROPPED;
static const uint64_t MTR_STATS_DROPPED = RTE_MTR_STATS_N_PKTS_DROPPED | RTE_MTR_STATS_N_BYTES_DROPPED;

/* Bursts: one call each. Callbacks of the port are honoured, since these are DPDK's own inlines. */
uint16_t dpdk_shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n);
uint16_t dpdk_shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n);
unsigned int dpdk_shim_ring_enqueue_burst(struct rte_ring *r, struct rte_mbuf **pkts, unsigned int n);
struct rte_mbuf *dpdk_shim_pktmbuf_copy(const struct rte_mbuf *m, struct rte_mempool *pool);
unsigned int dpdk_shim_ring_dequeue_burst(struct rte_ring *r, struct rte_mbuf **pkts, unsigned int n);
unsigned int dpdk_shim_ring_count(const struct rte_ring *r);
unsigned int dpdk_shim_ring_capacity(const struct rte_ring *r);

int dpdk_shim_mbuf_alloc_bulk(struct rte_mempool *mp, struct rte_mbuf **pkts, unsigned int n);
void dpdk_shim_mbuf_free(struct rte_mbuf *m);
int dpdk_shim_mbuf_linearize(struct rte_mbuf *m);
const void *dpdk_shim_mbuf_read(const struct rte_mbuf *m, uint32_t off, uint32_t len, void *buf);
/* 0 chained, -EOVERFLOW too many segments. */
int dpdk_shim_mbuf_chain(struct rte_mbuf *head, struct rte_mbuf *tail);
/* The references to the data buffer that `m` points into: 1 means that nobody else can see it. */
uint16_t dpdk_shim_mbuf_data_refs(const struct rte_mbuf *m);
/* Lengths of the headers for a transmitter that computes the L4 checksum. */
void dpdk_shim_mbuf_tx_lengths(struct rte_mbuf *m, uint64_t l2, uint64_t l3, uint64_t l4);
uint16_t dpdk_shim_mbuf_data_room(struct rte_mempool *mp);

/* Empties the calling thread's cache of every mempool, before it gives up its lcore id. */
void dpdk_shim_mempool_flush_caches(void);

int dpdk_shim_errno(void);
/* DPDK's log goes to `fd`, which is DPDK's from now on. 0, or a negative errno and `fd` stays the caller's. */
int dpdk_shim_log_to_fd(int fd);
unsigned int dpdk_shim_lcore_id(void);
uint64_t dpdk_shim_rdtsc(void);

struct dpdk_shim_link {
	uint32_t speed_mbps;
	bool full_duplex;
	bool autoneg;
	bool up;
};
int dpdk_shim_link_get(uint16_t port, struct dpdk_shim_link *out);

/* The first port that `devargs` names and `owned` (RTE_MAX_ETHPORTS flags) does not hold: its id, -ENODEV if there is none,
 * or the error of the parse. */
int dpdk_shim_matching_port(const char *devargs, const bool *owned);
/* Ports of the same device as `port`, itself included. */
unsigned int dpdk_shim_sibling_ports(uint16_t port);
int dpdk_shim_remove_device_of(const struct rte_device *dev);

/* Positions of bit-fields, found by setting them in a zeroed structure: byte << 8 | bit. */
unsigned int dpdk_shim_bit_eth_has_vlan(void);
unsigned int dpdk_shim_bit_vlan_has_more_vlan(void);
unsigned int dpdk_shim_bit_ipv6_has_frag_ext(void);

#endif
