/* SPDX-License-Identifier: Apache-2.0
 * DPDK's static inlines behind symbols that Rust can call. Nothing here decides anything. */
#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "wrapper.h"

uint16_t dpdk_shim_rx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_rx_burst(port, queue, pkts, n);
}

uint16_t dpdk_shim_tx_burst(uint16_t port, uint16_t queue, struct rte_mbuf **pkts, uint16_t n)
{
	return rte_eth_tx_burst(port, queue, pkts, n);
}

unsigned int dpdk_shim_ring_enqueue_burst(struct rte_ring *r, struct rte_mbuf **pkts, unsigned int n)
{
	return rte_ring_enqueue_burst(r, (void **)pkts, n, NULL);
}

unsigned int dpdk_shim_ring_dequeue_burst(struct rte_ring *r, struct rte_mbuf **pkts, unsigned int n)
{
	return rte_ring_dequeue_burst(r, (void **)pkts, n, NULL);
}

unsigned int dpdk_shim_ring_count(const struct rte_ring *r) { return rte_ring_count(r); }
unsigned int dpdk_shim_ring_capacity(const struct rte_ring *r) { return rte_ring_get_capacity(r); }

int dpdk_shim_mbuf_alloc_bulk(struct rte_mempool *mp, struct rte_mbuf **pkts, unsigned int n)
{
	return rte_pktmbuf_alloc_bulk(mp, pkts, n);
}

void dpdk_shim_mbuf_free(struct rte_mbuf *m) { rte_pktmbuf_free(m); }
int dpdk_shim_mbuf_linearize(struct rte_mbuf *m) { return rte_pktmbuf_linearize(m); }

const void *dpdk_shim_mbuf_read(const struct rte_mbuf *m, uint32_t off, uint32_t len, void *buf)
{
	return rte_pktmbuf_read(m, off, len, buf);
}

int dpdk_shim_mbuf_chain(struct rte_mbuf *head, struct rte_mbuf *tail) { return rte_pktmbuf_chain(head, tail); }

uint16_t dpdk_shim_mbuf_data_refs(const struct rte_mbuf *m)
{
	if (RTE_MBUF_HAS_EXTBUF(m))
		return rte_mbuf_ext_refcnt_read(m->shinfo);
	if (RTE_MBUF_CLONED(m)) {
		struct rte_mbuf *direct = rte_mbuf_from_indirect((struct rte_mbuf *)(uintptr_t)m);
		return rte_mbuf_refcnt_read(direct);
	}
	return rte_mbuf_refcnt_read(m);
}

void dpdk_shim_mbuf_tx_lengths(struct rte_mbuf *m, uint64_t l2, uint64_t l3, uint64_t l4)
{
	m->tx_offload = rte_mbuf_tx_offload(l2, l3, l4, 0, 0, 0, 0);
}

uint16_t dpdk_shim_mbuf_data_room(struct rte_mempool *mp) { return rte_pktmbuf_data_room_size(mp); }

static void flush_cache(struct rte_mempool *mp, void *arg)
{
	struct rte_mempool_cache *cache = rte_mempool_default_cache(mp, rte_lcore_id());

	(void)arg;
	if (cache != NULL && cache->len > 0)
		rte_mempool_cache_flush(cache, mp);
}

/* The walk holds the lock under which a pool leaves the list before it is freed. */
void dpdk_shim_mempool_flush_caches(void) { rte_mempool_walk(flush_cache, NULL); }

int dpdk_shim_errno(void) { return rte_errno; }
unsigned int dpdk_shim_lcore_id(void) { return rte_lcore_id(); }
uint64_t dpdk_shim_rdtsc(void) { return rte_rdtsc(); }

int dpdk_shim_link_get(uint16_t port, struct dpdk_shim_link *out)
{
	struct rte_eth_link link;
	int ret;

	memset(&link, 0, sizeof(link));
	ret = rte_eth_link_get_nowait(port, &link);
	if (ret != 0)
		return ret;
	out->speed_mbps = link.link_speed;
	out->full_duplex = link.link_duplex == RTE_ETH_LINK_FULL_DUPLEX;
	out->autoneg = link.link_autoneg == RTE_ETH_LINK_AUTONEG;
	out->up = link.link_status == RTE_ETH_LINK_UP;
	return 0;
}

int dpdk_shim_matching_port(const char *devargs, const bool *owned)
{
	struct rte_dev_iterator it;
	uint16_t port;
	int ret;

	memset(&it, 0, sizeof(it));
	ret = rte_eth_iterator_init(&it, devargs);
	if (ret != 0)
		return ret < 0 ? ret : -ret;
	while ((port = rte_eth_iterator_next(&it)) != RTE_MAX_ETHPORTS) {
		if (!owned[port]) {
			/* The walk has not reached its end, where it would clean up by itself. */
			rte_eth_iterator_cleanup(&it);
			return port;
		}
	}
	return -ENODEV;
}

unsigned int dpdk_shim_sibling_ports(uint16_t port)
{
	uint16_t other;
	unsigned int n = 0;

	RTE_ETH_FOREACH_DEV_SIBLING(other, port)
		n++;
	return n;
}

int dpdk_shim_remove_device_of(const struct rte_device *dev) { return rte_dev_remove((struct rte_device *)(uintptr_t)dev); }

static unsigned int first_bit(const void *p, size_t len)
{
	const unsigned char *b = p;

	for (size_t i = 0; i < len; i++)
		for (unsigned int bit = 0; bit < 8; bit++)
			if (b[i] & (1u << bit))
				return (unsigned int)(i << 8 | bit);
	return ~0u;
}

unsigned int dpdk_shim_bit_eth_has_vlan(void)
{
	struct rte_flow_item_eth item;

	memset(&item, 0, sizeof(item));
	item.has_vlan = 1;
	return first_bit(&item, sizeof(item));
}

unsigned int dpdk_shim_bit_vlan_has_more_vlan(void)
{
	struct rte_flow_item_vlan item;

	memset(&item, 0, sizeof(item));
	item.has_more_vlan = 1;
	return first_bit(&item, sizeof(item));
}

unsigned int dpdk_shim_bit_ipv6_has_frag_ext(void)
{
	struct rte_flow_item_ipv6 item;

	memset(&item, 0, sizeof(item));
	item.has_frag_ext = 1;
	return first_bit(&item, sizeof(item));
}

int dpdk_shim_log_to_fd(int fd)
{
	FILE *stream = fdopen(fd, "w");

	if (stream == NULL)
		return -errno;
	return rte_openlog_stream(stream);
}

/* rte_pktmbuf_copy answers NULL for a packet without bytes, as if the pool were empty. */
struct rte_mbuf *dpdk_shim_pktmbuf_copy(const struct rte_mbuf *m, struct rte_mempool *pool)
{
	struct rte_mbuf *copy;

	if (m->pkt_len > 0)
		return rte_pktmbuf_copy(m, pool, 0, UINT32_MAX);
	copy = rte_pktmbuf_alloc(pool);
	if (copy != NULL) {
		__rte_pktmbuf_copy_hdr(copy, m);
		copy->ol_flags = m->ol_flags & ~(RTE_MBUF_F_INDIRECT | RTE_MBUF_F_EXTERNAL);
	}
	return copy;
}
