// SPDX-License-Identifier: GPL-2.0
/* Policers in "hardware": a token bucket each, by the index of the tc action, so that rules which name one index share
 * one bucket. An index belongs to a network namespace, which the calls for actions do not tell: the lab configures tc
 * in one namespace only.
 */
#include <linux/list.h>
#include <linux/math64.h>
#include <linux/mutex.h>
#include <linux/slab.h>
#include <net/flow_offload.h>
#include <net/pkt_cls.h>
#include "netdevsim.h"

/* Bytes or packets: act_police's own way, where tokens are nanoseconds at the rate. */
struct nsim_bucket {
	u64 rate;		/* each second; 0: no limit */
	s64 depth_ns;
	s64 tokens_ns;
};

struct nsim_policer {
	struct list_head list;
	struct rcu_head rcu;
	u32 index;
	unsigned int users;	/* rules, and 1 when the action was offloaded by itself */
	bool standalone;
	spinlock_t lock;	/* the buckets and counters */
	struct nsim_bucket bytes, packets;
	u64 last_ns, last_used;
	u64 seen_packets, seen_bytes, dropped;
	u64 told_packets, told_bytes, told_dropped;
};

static LIST_HEAD(nsim_policers);
static DEFINE_MUTEX(nsim_policers_lock);	/* the list, and users */

static int nsim_police_check(const struct flow_action_entry *entry, struct netlink_ext_ack *extack)
{
	if (entry->police.exceed.act_id != FLOW_ACTION_DROP) {
		NL_SET_ERR_MSG_MOD(extack, "police can only drop what exceeds");
		return -EOPNOTSUPP;
	}
	if (entry->police.notexceed.act_id != FLOW_ACTION_PIPE &&
	    entry->police.notexceed.act_id != FLOW_ACTION_ACCEPT) {
		NL_SET_ERR_MSG_MOD(extack, "police can only pass what conforms");
		return -EOPNOTSUPP;
	}
	if (entry->police.peakrate_bytes_ps || entry->police.avrate || entry->police.overhead) {
		NL_SET_ERR_MSG_MOD(extack, "police has no peak rate, average rate or overhead");
		return -EOPNOTSUPP;
	}
	return 0;
}

static void nsim_bucket_set(struct nsim_bucket *bucket, u64 rate, u64 depth)
{
	bucket->rate = rate;
	bucket->depth_ns = rate ? mul_u64_u64_div_u64(depth, NSEC_PER_SEC, rate) : 0;
	bucket->tokens_ns = bucket->depth_ns;
}

static void nsim_policer_set(struct nsim_policer *policer, const struct flow_action_entry *entry)
{
	spin_lock_bh(&policer->lock);
	nsim_bucket_set(&policer->bytes, entry->police.rate_bytes_ps, entry->police.burst);
	nsim_bucket_set(&policer->packets, entry->police.rate_pkt_ps, entry->police.burst_pkt);
	policer->last_ns = ktime_get_ns();
	spin_unlock_bh(&policer->lock);
}

static struct nsim_policer *nsim_policer_find(u32 index)
{
	struct nsim_policer *policer;

	list_for_each_entry(policer, &nsim_policers, list)
		if (policer->index == index)
			return policer;
	return NULL;
}

static struct nsim_policer *nsim_policer_new(u32 index)
{
	struct nsim_policer *policer = kzalloc(sizeof(*policer), GFP_KERNEL);

	if (!policer)
		return NULL;
	policer->index = index;
	spin_lock_init(&policer->lock);
	list_add(&policer->list, &nsim_policers);
	return policer;
}

static void nsim_policer_drop_user(struct nsim_policer *policer)
{
	if (--policer->users)
		return;
	list_del(&policer->list);
	kfree_rcu(policer, rcu);
}

/* The policer of a rule's action; it may be one that other rules use. */
struct nsim_policer *nsim_policer_get(const struct flow_action_entry *entry, struct netlink_ext_ack *extack)
{
	struct nsim_policer *policer;
	int err = nsim_police_check(entry, extack);

	if (err)
		return ERR_PTR(err);
	mutex_lock(&nsim_policers_lock);
	policer = nsim_policer_find(entry->hw_index);
	if (!policer) {
		policer = nsim_policer_new(entry->hw_index);
		if (policer)
			nsim_policer_set(policer, entry);
	}
	if (policer)
		policer->users++;
	mutex_unlock(&nsim_policers_lock);
	return policer ?: ERR_PTR(-ENOMEM);
}

void nsim_policer_put(struct nsim_policer *policer)
{
	mutex_lock(&nsim_policers_lock);
	nsim_policer_drop_user(policer);
	mutex_unlock(&nsim_policers_lock);
}

static bool nsim_bucket_has(const struct nsim_bucket *bucket, u64 passed_ns, u64 cost, s64 *left)
{
	if (!bucket->rate)
		return true;
	*left = min_t(s64, bucket->tokens_ns + min_t(u64, passed_ns, bucket->depth_ns), bucket->depth_ns);
	*left -= div64_u64(cost * NSEC_PER_SEC, bucket->rate);
	return *left >= 0;
}

/* Per packet, in softirq: whether it conforms. `len` is that of the frame with its Ethernet header. */
bool nsim_policer_admits(struct nsim_policer *policer, unsigned int len)
{
	s64 bytes_left = 0, packets_left = 0;
	u64 now, passed;
	bool admits;

	spin_lock(&policer->lock);
	now = ktime_get_ns();
	passed = now - policer->last_ns;
	admits = nsim_bucket_has(&policer->bytes, passed, len, &bytes_left) &&
		 nsim_bucket_has(&policer->packets, passed, 1, &packets_left);
	if (admits) {
		policer->bytes.tokens_ns = bytes_left;
		policer->packets.tokens_ns = packets_left;
		policer->last_ns = now;
	} else {
		policer->dropped++;
	}
	policer->seen_packets++;
	policer->seen_bytes += len;
	policer->last_used = jiffies;
	spin_unlock(&policer->lock);
	return admits;
}

static void nsim_police_stats(struct nsim_policer *policer, struct flow_stats *stats)
{
	spin_lock_bh(&policer->lock);
	flow_stats_update(stats, policer->seen_bytes - policer->told_bytes,
			  policer->seen_packets - policer->told_packets,
			  policer->dropped - policer->told_dropped, policer->last_used,
			  FLOW_ACTION_HW_STATS_DELAYED);
	policer->told_bytes = policer->seen_bytes;
	policer->told_packets = policer->seen_packets;
	policer->told_dropped = policer->dropped;
	spin_unlock_bh(&policer->lock);
}

static int nsim_police_replace(struct flow_offload_action *offload)
{
	struct flow_action_entry *entry = &offload->action.entries[0];
	struct nsim_policer *policer;
	int err = nsim_police_check(entry, offload->extack);

	if (err)
		return err;
	policer = nsim_policer_find(offload->index) ?: nsim_policer_new(offload->index);
	if (!policer)
		return -ENOMEM;
	nsim_policer_set(policer, entry);
	if (!policer->standalone) {
		policer->standalone = true;
		policer->users++;
	}
	return 0;
}

/* Actions that stand by themselves: tc actions add action police ... */
static int nsim_act(struct flow_offload_action *offload)
{
	struct nsim_policer *policer;
	int err = 0;

	if (offload->id != FLOW_ACTION_POLICE) {
		NL_SET_ERR_MSG_MOD(offload->extack, "of actions by themselves only police is offloaded");
		return -EOPNOTSUPP;
	}
	mutex_lock(&nsim_policers_lock);
	policer = nsim_policer_find(offload->index);
	switch (offload->command) {
	case FLOW_ACT_REPLACE:
		err = nsim_police_replace(offload);
		break;
	case FLOW_ACT_DESTROY:
		if (policer && policer->standalone) {
			policer->standalone = false;
			nsim_policer_drop_user(policer);
		}
		break;
	case FLOW_ACT_STATS:
		if (policer)
			nsim_police_stats(policer, &offload->stats);
		else
			err = -ENOENT;
		break;
	default:
		err = -EOPNOTSUPP;
	}
	mutex_unlock(&nsim_policers_lock);
	return err;
}

static int nsim_indr_cb(struct net_device *dev, struct Qdisc *sch, void *priv, enum tc_setup_type type,
			void *type_data, void *data, void (*cleanup)(struct flow_block_cb *block_cb))
{
	if (!dev && type == TC_SETUP_ACT)
		return nsim_act(data);
	return -EOPNOTSUPP;
}

static int nsim_indr_key;

static void nsim_indr_release(void *priv)
{
}

int nsim_police_init(void)
{
	return flow_indr_dev_register(nsim_indr_cb, &nsim_indr_key);
}

void nsim_police_exit(void)
{
	flow_indr_dev_unregister(nsim_indr_cb, &nsim_indr_key, nsim_indr_release);
}
