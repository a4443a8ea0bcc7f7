// SPDX-License-Identifier: GPL-2.0
/* cls_flower in "hardware": each port keeps the rules of its ingress, by priority, and executes them on what it
 * receives before the kernel's stack sees the packet. What the capability profile lacks is refused with the reason.
 *
 * Rules change under the RTNL (the block's callback is not registered as unlocked) and are read under RCU. A rule has
 * its own copy of the match: cls_flower may free the mask and the dissector before it calls DESTROY.
 */
#include <linux/debugfs.h>
#include <linux/icmp.h>
#include <linux/if_vlan.h>
#include <linux/tc_act/tc_csum.h>
#include <net/flow_dissector.h>
#include <net/flow_offload.h>
#include <net/ip6_checksum.h>
#include <net/pkt_cls.h>
#include "netdevsim.h"

#define NSIM_KEY_BYTES	1024	/* more than cls_flower's key */
#define NSIM_ACTIONS	16	/* of one rule; each 32-bit word that pedit changes is one */
#define NSIM_HOPS	8	/* goto chain, for one packet */

/* Dissector keys that can be compared byte by byte, and the bytes of each. */
#define KEY(id, type) [FLOW_DISSECTOR_KEY_##id] = sizeof(struct flow_dissector_key_##type)
static const u8 nsim_key_bytes[FLOW_DISSECTOR_KEY_MAX] = {
	KEY(META, meta), KEY(CONTROL, control), KEY(BASIC, basic), KEY(ETH_ADDRS, eth_addrs),
	KEY(VLAN, vlan), KEY(CVLAN, vlan), KEY(IPV4_ADDRS, ipv4_addrs), KEY(IPV6_ADDRS, ipv6_addrs),
	KEY(PORTS, ports), KEY(IP, ip), KEY(TCP, tcp), KEY(ICMP, icmp), KEY(ARP, arp),
};

/* The names that the profile's files use. */
static const char *const nsim_key_name[FLOW_DISSECTOR_KEY_MAX] = {
	[FLOW_DISSECTOR_KEY_META] = "meta", [FLOW_DISSECTOR_KEY_CONTROL] = "control",
	[FLOW_DISSECTOR_KEY_BASIC] = "basic", [FLOW_DISSECTOR_KEY_ETH_ADDRS] = "eth",
	[FLOW_DISSECTOR_KEY_VLAN] = "vlan", [FLOW_DISSECTOR_KEY_CVLAN] = "cvlan",
	[FLOW_DISSECTOR_KEY_IPV4_ADDRS] = "ipv4", [FLOW_DISSECTOR_KEY_IPV6_ADDRS] = "ipv6",
	[FLOW_DISSECTOR_KEY_PORTS] = "ports", [FLOW_DISSECTOR_KEY_IP] = "ip",
	[FLOW_DISSECTOR_KEY_TCP] = "tcp", [FLOW_DISSECTOR_KEY_ICMP] = "icmp",
	[FLOW_DISSECTOR_KEY_ARP] = "arp",
};

static const char *const nsim_action_name[NUM_FLOW_ACTIONS] = {
	[FLOW_ACTION_ACCEPT] = "accept", [FLOW_ACTION_DROP] = "drop", [FLOW_ACTION_TRAP] = "trap",
	[FLOW_ACTION_GOTO] = "goto", [FLOW_ACTION_REDIRECT] = "redirect", [FLOW_ACTION_MIRRED] = "mirror",
	[FLOW_ACTION_VLAN_PUSH] = "vlan_push", [FLOW_ACTION_VLAN_POP] = "vlan_pop",
	[FLOW_ACTION_VLAN_MANGLE] = "vlan_mangle", [FLOW_ACTION_MANGLE] = "mangle",
	[FLOW_ACTION_CSUM] = "csum", [FLOW_ACTION_POLICE] = "police",
};

struct nsim_rule_action {
	enum flow_action_id id;
	union {
		u32 chain;
		u32 csum_flags;
		struct netdevsim *out;
		struct nsim_policer *policer;
		struct {
			u16 tci;
			__be16 proto;
		} vlan;
		struct {
			enum flow_action_mangle_base base;
			u32 offset, mask, val;
		} mangle;
	};
};

struct nsim_rule {
	struct list_head list;
	unsigned long cookie;
	u32 prio, chain;
	struct flow_dissector dissector;
	u8 mask[NSIM_KEY_BYTES], key[NSIM_KEY_BYTES];	/* where the dissector says; the key is masked */
	bool mangles;
	atomic64_t packets, bytes, dropped;
	u64 told_packets, told_bytes, told_dropped, last_used;
	int count;
	struct nsim_rule_action actions[NSIM_ACTIONS];
};

void nsim_profile_init(struct nsim_lab *lab)
{
	int i;

	for (i = 0; i < FLOW_DISSECTOR_KEY_MAX; i++)
		if (nsim_key_name[i])
			lab->keys |= BIT_ULL(i);
	for (i = 0; i < NUM_FLOW_ACTIONS; i++)
		if (nsim_action_name[i])
			lab->actions |= BIT_ULL(i);
}

/* debugfs: the profile as words; writing them replaces it. */

static ssize_t nsim_words_read(const char *const *names, int count, u64 set, char __user *data, size_t len,
			       loff_t *ppos)
{
	char buf[512];
	int i, n = 0;

	for (i = 0; i < count; i++)
		if (set & BIT_ULL(i))
			n += scnprintf(buf + n, sizeof(buf) - n, "%s%s", n ? " " : "", names[i]);
	n += scnprintf(buf + n, sizeof(buf) - n, "\n");
	return simple_read_from_buffer(data, len, ppos, buf, n);
}

static ssize_t nsim_words_write(const char *const *names, int count, u64 *set, const char __user *data, size_t len)
{
	char *buf, *rest, *word;
	u64 wanted = 0;
	int i, err = 0;

	buf = memdup_user_nul(data, len);
	if (IS_ERR(buf))
		return PTR_ERR(buf);
	rest = buf;
	while (!err && (word = strsep(&rest, " \n"))) {
		if (!*word)
			continue;
		for (i = 0; i < count; i++)
			if (names[i] && !strcmp(names[i], word))
				break;
		if (i < count)
			wanted |= BIT_ULL(i);
		else
			err = -EINVAL;
	}
	kfree(buf);
	if (err)
		return err;
	*set = wanted;
	return len;
}

#define NSIM_WORDS(field, names)									\
static ssize_t nsim_##field##_read(struct file *file, char __user *data, size_t len, loff_t *ppos)	\
{													\
	struct nsim_lab *lab = file->private_data;							\
													\
	return nsim_words_read(names, ARRAY_SIZE(names), lab->field, data, len, ppos);			\
}													\
static ssize_t nsim_##field##_write(struct file *file, const char __user *data, size_t len, loff_t *ppos) \
{													\
	struct nsim_lab *lab = file->private_data;							\
													\
	return nsim_words_write(names, ARRAY_SIZE(names), &lab->field, data, len);			\
}													\
static const struct file_operations nsim_##field##_fops = {						\
	.open = simple_open,										\
	.read = nsim_##field##_read,									\
	.write = nsim_##field##_write,									\
	.owner = THIS_MODULE,										\
}

NSIM_WORDS(keys, nsim_key_name);
NSIM_WORDS(actions, nsim_action_name);

void nsim_profile_debugfs_init(struct nsim_lab *lab)
{
	debugfs_create_file("keys", 0600, lab->ddir, lab, &nsim_keys_fops);
	debugfs_create_file("actions", 0600, lab->ddir, lab, &nsim_actions_fops);
}

/* Translating a rule. */

/* cls_flower keeps IPv4 and IPv6 addresses in one place, and then names both keys: the address type tells which. */
static bool nsim_key_is_meant(const struct flow_match *match, int key)
{
	const struct flow_dissector_key_control *control;

	if (!dissector_uses_key(match->dissector, key))
		return false;
	if (!dissector_uses_key(match->dissector, FLOW_DISSECTOR_KEY_CONTROL))
		return true;
	control = skb_flow_dissector_target(match->dissector, FLOW_DISSECTOR_KEY_CONTROL, match->key);
	if (key == FLOW_DISSECTOR_KEY_IPV6_ADDRS)
		return control->addr_type != FLOW_DISSECTOR_KEY_IPV4_ADDRS;
	if (key == FLOW_DISSECTOR_KEY_IPV4_ADDRS)
		return control->addr_type != FLOW_DISSECTOR_KEY_IPV6_ADDRS;
	return true;
}

static int nsim_check_keys(struct nsim_lab *lab, const struct flow_match *match, struct netlink_ext_ack *extack)
{
	int i;

	for (i = 0; i < FLOW_DISSECTOR_KEY_MAX; i++) {
		if (!nsim_key_is_meant(match, i))
			continue;
		if (!(lab->keys & BIT_ULL(i)) ||
		    match->dissector->offset[i] + nsim_key_bytes[i] > NSIM_KEY_BYTES) {
			if (nsim_key_name[i])
				NL_SET_ERR_MSG_FMT_MOD(extack, "unsupported match key %s", nsim_key_name[i]);
			else
				NL_SET_ERR_MSG_FMT_MOD(extack, "unsupported match key %d", i);
			return -EOPNOTSUPP;
		}
	}
	return 0;
}

static void nsim_copy_match(struct nsim_rule *rule, const struct flow_match *match)
{
	const u8 *mask = match->mask, *key = match->key;
	int i, j;

	rule->dissector = *match->dissector;
	for (i = 0; i < FLOW_DISSECTOR_KEY_MAX; i++) {
		if (!dissector_uses_key(match->dissector, i))
			continue;
		for (j = match->dissector->offset[i]; j < match->dissector->offset[i] + nsim_key_bytes[i]; j++) {
			rule->mask[j] = mask[j];
			rule->key[j] = key[j] & mask[j];
		}
	}
}

static int nsim_parse_output(struct netdevsim *ns, struct net_device *dev, struct nsim_rule_action *to,
			     struct netlink_ext_ack *extack)
{
	if (!netdev_is_nsim(dev) || !netdev_port_same_parent_id(dev, ns->netdev)) {
		NL_SET_ERR_MSG_MOD(extack, "output device is not on the same switch");
		return -EOPNOTSUPP;
	}
	to->out = netdev_priv(dev);
	return 0;
}

static int nsim_parse_action(struct netdevsim *ns, const struct flow_action_entry *from,
			     struct nsim_rule_action *to, bool last, struct netlink_ext_ack *extack)
{
	if (from->id >= NUM_FLOW_ACTIONS || !(ns->nsim_dev->lab.actions & BIT_ULL(from->id))) {
		if (from->id < NUM_FLOW_ACTIONS && nsim_action_name[from->id])
			NL_SET_ERR_MSG_FMT_MOD(extack, "unsupported action %s", nsim_action_name[from->id]);
		else
			NL_SET_ERR_MSG_FMT_MOD(extack, "unsupported action %d", from->id);
		return -EOPNOTSUPP;
	}
	switch (from->id) {
	case FLOW_ACTION_VLAN_PUSH:
	case FLOW_ACTION_VLAN_MANGLE:
		to->vlan.tci = from->vlan.vid | (from->vlan.prio << VLAN_PRIO_SHIFT);
		to->vlan.proto = from->vlan.proto;
		break;
	case FLOW_ACTION_GOTO:
		to->chain = from->chain_index;
		break;
	case FLOW_ACTION_REDIRECT:
	case FLOW_ACTION_MIRRED:
		return nsim_parse_output(ns, from->dev, to, extack);
	case FLOW_ACTION_MANGLE:
		to->mangle.base = from->mangle.htype;
		to->mangle.offset = from->mangle.offset;
		to->mangle.mask = from->mangle.mask;
		to->mangle.val = from->mangle.val;
		break;
	case FLOW_ACTION_CSUM:
		if (from->csum_flags & ~(TCA_CSUM_UPDATE_FLAG_IPV4HDR | TCA_CSUM_UPDATE_FLAG_TCP |
					 TCA_CSUM_UPDATE_FLAG_UDP | TCA_CSUM_UPDATE_FLAG_ICMP)) {
			NL_SET_ERR_MSG_MOD(extack, "csum knows iph, tcp, udp and icmp");
			return -EOPNOTSUPP;
		}
		to->csum_flags = from->csum_flags;
		break;
	case FLOW_ACTION_POLICE:
		if (!last && from->police.notexceed.act_id == FLOW_ACTION_ACCEPT) {
			NL_SET_ERR_MSG_MOD(extack, "police must pipe what conforms to the next action");
			return -EOPNOTSUPP;
		}
		to->policer = nsim_policer_get(from, extack);
		if (IS_ERR(to->policer))
			return PTR_ERR(to->policer);
		break;
	default:
		break;
	}
	to->id = from->id;
	return 0;
}

static void nsim_rule_free(struct nsim_rule *rule)
{
	while (rule->count--)
		if (rule->actions[rule->count].id == FLOW_ACTION_POLICE)
			nsim_policer_put(rule->actions[rule->count].policer);
	kvfree(rule);
}

static int nsim_rule_parse(struct netdevsim *ns, struct flow_cls_offload *f, struct nsim_rule *rule)
{
	struct netlink_ext_ack *extack = f->common.extack;
	struct flow_action *action = &f->rule->action;
	struct flow_action_entry *entry;
	int i, err;

	err = nsim_check_keys(&ns->nsim_dev->lab, &f->rule->match, extack);
	if (err)
		return err;
	nsim_copy_match(rule, &f->rule->match);
	if (!flow_action_basic_hw_stats_check(action, extack))
		return -EOPNOTSUPP;
	if (action->num_entries > NSIM_ACTIONS) {
		NL_SET_ERR_MSG_FMT_MOD(extack, "more than %d actions", NSIM_ACTIONS);
		return -EOPNOTSUPP;
	}
	flow_action_for_each(i, entry, action) {
		struct nsim_rule_action *to = &rule->actions[i];

		err = nsim_parse_action(ns, entry, to, i + 1 == action->num_entries, extack);
		if (err)
			return err;
		to->id = entry->id;
		rule->count = i + 1;
		if (to->id == FLOW_ACTION_MANGLE || to->id == FLOW_ACTION_CSUM)
			rule->mangles = true;
	}
	return 0;
}

static int nsim_rule_add(struct netdevsim *ns, struct flow_cls_offload *f)
{
	struct netlink_ext_ack *extack = f->common.extack;
	struct nsim_lab *lab = &ns->nsim_dev->lab;
	struct nsim_rule *rule, *other;
	struct list_head *after;
	int err;

	if (!tc_can_offload_extack(ns->netdev, extack))
		return -EOPNOTSUPP;
	if (!nsim_esw_mode_is_switchdev(ns->nsim_dev)) {
		NL_SET_ERR_MSG_MOD(extack, "the eswitch is not in mode switchdev");
		return -EOPNOTSUPP;
	}
	if (lab->flower_error) {
		NL_SET_ERR_MSG_MOD(extack, "the lab refuses new rules");
		return -(int)lab->flower_error;
	}
	if (atomic_read(&lab->rules) >= lab->rules_max) {
		NL_SET_ERR_MSG_MOD(extack, "the table is full");
		return -ENOSPC;
	}
	rule = kvzalloc(sizeof(*rule), GFP_KERNEL);
	if (!rule)
		return -ENOMEM;
	rule->cookie = f->cookie;
	rule->prio = f->common.prio;
	rule->chain = f->common.chain_index;
	err = nsim_rule_parse(ns, f, rule);
	if (err) {
		nsim_rule_free(rule);
		return err;
	}
	after = &ns->rules;
	list_for_each_entry(other, &ns->rules, list) {
		if (other->prio > rule->prio)
			break;
		after = &other->list;
	}
	list_add_rcu(&rule->list, after);
	atomic_inc(&lab->rules);
	return 0;
}

static void nsim_rule_stats(struct nsim_rule *rule, struct flow_stats *stats)
{
	u64 packets = atomic64_read(&rule->packets);
	u64 bytes = atomic64_read(&rule->bytes);
	u64 dropped = atomic64_read(&rule->dropped);

	flow_stats_update(stats, bytes - rule->told_bytes, packets - rule->told_packets,
			  dropped - rule->told_dropped, READ_ONCE(rule->last_used),
			  FLOW_ACTION_HW_STATS_DELAYED);
	rule->told_packets = packets;
	rule->told_bytes = bytes;
	rule->told_dropped = dropped;
}

int nsim_flower(struct netdevsim *ns, struct flow_cls_offload *f)
{
	struct nsim_rule *rule = NULL, *other;

	list_for_each_entry(other, &ns->rules, list)
		if (other->cookie == f->cookie)
			rule = other;

	if (f->command == FLOW_CLS_REPLACE)
		return rule ? -EEXIST : nsim_rule_add(ns, f);
	if (f->command != FLOW_CLS_DESTROY && f->command != FLOW_CLS_STATS)
		return -EOPNOTSUPP;
	if (!rule)
		return -ENOENT;
	if (f->command == FLOW_CLS_STATS) {
		nsim_rule_stats(rule, &f->stats);
		return 0;
	}
	list_del_rcu(&rule->list);
	atomic_dec(&ns->nsim_dev->lab.rules);
	synchronize_net();
	nsim_rule_free(rule);
	return 0;
}

/* A port goes away: rules that send there drop from now on. Under the RTNL and the lock of devlink. */
void nsim_flower_forget(struct netdevsim *gone)
{
	struct nsim_dev_port *port;
	struct nsim_rule *rule;
	int i;

	list_for_each_entry(port, &gone->nsim_dev->port_list, list)
		list_for_each_entry(rule, &port->ns->rules, list)
			for (i = 0; i < rule->count; i++)
				if ((rule->actions[i].id == FLOW_ACTION_REDIRECT ||
				     rule->actions[i].id == FLOW_ACTION_MIRRED) && rule->actions[i].out == gone)
					WRITE_ONCE(rule->actions[i].out, NULL);
}

/* Executing rules, in softirq. */

static bool nsim_rule_matches(struct nsim_rule *rule, struct sk_buff *skb, u8 *key)
{
	struct flow_dissector *dissector = &rule->dissector;
	struct flow_dissector_key_basic *basic;
	int i, j;

	memset(key, 0, NSIM_KEY_BYTES);
	skb_flow_dissect_meta(skb, dissector, key);
	basic = skb_flow_dissector_target(dissector, FLOW_DISSECTOR_KEY_BASIC, key);
	basic->n_proto = skb_protocol(skb, false);
	skb_flow_dissect(skb, dissector, key, FLOW_DISSECTOR_F_STOP_BEFORE_ENCAP);
	for (i = 0; i < FLOW_DISSECTOR_KEY_MAX; i++) {
		if (!dissector_uses_key(dissector, i))
			continue;
		for (j = dissector->offset[i]; j < dissector->offset[i] + nsim_key_bytes[i]; j++)
			if ((key[j] & rule->mask[j]) != rule->key[j])
				return false;
	}
	return true;
}

/* Where the IP and the transport header are, from skb->data at the Ethernet header; 0 when there is none. */
static int nsim_l4_offset(struct sk_buff *skb, u8 *proto, int *l4_len)
{
	int at = skb_network_offset(skb);

	if (skb_protocol(skb, true) == htons(ETH_P_IP) && pskb_may_pull(skb, at + sizeof(struct iphdr))) {
		const struct iphdr *ip = ip_hdr(skb);

		if (ip->ihl < 5 || ip_is_fragment(ip))
			return 0;
		*proto = ip->protocol;
		*l4_len = ntohs(ip->tot_len) - ip->ihl * 4;
		return at + ip->ihl * 4;
	}
	if (skb_protocol(skb, true) == htons(ETH_P_IPV6) && pskb_may_pull(skb, at + sizeof(struct ipv6hdr))) {
		*proto = ipv6_hdr(skb)->nexthdr;
		*l4_len = ntohs(ipv6_hdr(skb)->payload_len);
		return at + sizeof(struct ipv6hdr);
	}
	return 0;
}

static void nsim_mangle(struct sk_buff *skb, const struct nsim_rule_action *action)
{
	u8 proto;
	int at, len;
	u32 word;

	switch (action->mangle.base) {
	case FLOW_ACT_MANGLE_HDR_TYPE_ETH:
		at = 0;
		break;
	case FLOW_ACT_MANGLE_HDR_TYPE_IP4:
	case FLOW_ACT_MANGLE_HDR_TYPE_IP6:
		at = skb_network_offset(skb);
		break;
	case FLOW_ACT_MANGLE_HDR_TYPE_TCP:
	case FLOW_ACT_MANGLE_HDR_TYPE_UDP:
		at = nsim_l4_offset(skb, &proto, &len);
		if (!at)
			return;
		break;
	default:
		return;
	}
	at += action->mangle.offset;
	if (skb_ensure_writable(skb, at + sizeof(word)))
		return;
	word = get_unaligned((u32 *)(skb->data + at));
	word = (word & action->mangle.mask) ^ action->mangle.val;
	put_unaligned(word, (u32 *)(skb->data + at));
}

static void nsim_csum_l4(struct sk_buff *skb, u32 flags)
{
	int at, len, field;
	__sum16 *sum;
	__wsum bytes;
	u8 proto;

	at = nsim_l4_offset(skb, &proto, &len);
	if (!at)
		return;
	if (proto == IPPROTO_TCP && (flags & TCA_CSUM_UPDATE_FLAG_TCP))
		field = offsetof(struct tcphdr, check);
	else if (proto == IPPROTO_UDP && (flags & TCA_CSUM_UPDATE_FLAG_UDP))
		field = offsetof(struct udphdr, check);
	else if (proto == IPPROTO_ICMP && (flags & TCA_CSUM_UPDATE_FLAG_ICMP))
		field = offsetof(struct icmphdr, checksum);
	else
		return;
	if (len < field + 2 || at + len > skb->len || skb_ensure_writable(skb, at + field + 2))
		return;
	sum = (__sum16 *)(skb->data + at + field);
	if (proto == IPPROTO_UDP && !*sum && skb_protocol(skb, true) == htons(ETH_P_IP))
		return;		/* a sender without checksum (RFC 768) */
	*sum = 0;
	bytes = skb_checksum(skb, at, len, 0);
	if (proto == IPPROTO_ICMP)
		*sum = csum_fold(bytes);
	else if (skb_protocol(skb, true) == htons(ETH_P_IP))
		*sum = csum_tcpudp_magic(ip_hdr(skb)->saddr, ip_hdr(skb)->daddr, len, proto, bytes);
	else
		*sum = csum_ipv6_magic(&ipv6_hdr(skb)->saddr, &ipv6_hdr(skb)->daddr, len, proto, bytes);
	if (proto == IPPROTO_UDP && !*sum)
		*sum = CSUM_MANGLED_0;
}

static void nsim_csum(struct sk_buff *skb, u32 flags)
{
	int at = skb_network_offset(skb);

	if ((flags & TCA_CSUM_UPDATE_FLAG_IPV4HDR) && skb_protocol(skb, true) == htons(ETH_P_IP) &&
	    !skb_ensure_writable(skb, at + sizeof(struct iphdr)))
		ip_send_check(ip_hdr(skb));
	nsim_csum_l4(skb, flags);
	skb->ip_summed = CHECKSUM_NONE;
}

/* Out of a port as hardware does it: neither tc nor a packet socket of that port's netdev sees the frame. */
static void nsim_output(struct netdevsim *out, struct sk_buff *skb)
{
	if (!out || !netif_running(out->netdev)) {
		kfree_skb(skb);
		return;
	}
	if (skb_vlan_tag_present(skb))
		skb = __vlan_hwaccel_push_inside(skb);
	if (!skb)
		return;
	skb->dev = out->netdev;
	out->netdev->netdev_ops->ndo_start_xmit(skb, out->netdev);
}

/* Returns the packet if the next thing is to happen to it (in `chain`, or in the stack when that is not set). */
static struct sk_buff *nsim_rule_execute(struct nsim_rule *rule, struct sk_buff *skb, s64 *chain)
{
	struct sk_buff *copy;
	int i;

	for (i = 0; i < rule->count; i++) {
		struct nsim_rule_action *action = &rule->actions[i];

		switch (action->id) {
		case FLOW_ACTION_DROP:
			kfree_skb(skb);
			return NULL;
		case FLOW_ACTION_POLICE:
			if (nsim_policer_admits(action->policer, skb->len + (skb_vlan_tag_present(skb) ? VLAN_HLEN : 0)))
				break;
			atomic64_inc(&rule->dropped);
			kfree_skb(skb);
			return NULL;
		case FLOW_ACTION_VLAN_POP:
			skb_vlan_pop(skb);
			break;
		case FLOW_ACTION_VLAN_PUSH:
			skb_vlan_push(skb, action->vlan.proto, action->vlan.tci);
			break;
		case FLOW_ACTION_VLAN_MANGLE:
			if (skb_vlan_tag_present(skb))
				__vlan_hwaccel_put_tag(skb, action->vlan.proto, action->vlan.tci);
			break;
		case FLOW_ACTION_MANGLE:
			nsim_mangle(skb, action);
			break;
		case FLOW_ACTION_CSUM:
			nsim_csum(skb, action->csum_flags);
			break;
		case FLOW_ACTION_MIRRED:
			copy = skb_copy(skb, GFP_ATOMIC);
			if (copy)
				nsim_output(READ_ONCE(action->out), copy);
			break;
		case FLOW_ACTION_REDIRECT:
			nsim_output(READ_ONCE(action->out), skb);
			return NULL;
		case FLOW_ACTION_GOTO:
			*chain = action->chain;
			return skb;
		default:	/* accept, trap: to the stack */
			return skb;
		}
	}
	return skb;
}

/* Called for each packet that a port receives; returns it when the stack is to have it. */
struct sk_buff *nsim_flower_rx(struct netdevsim *ns, struct sk_buff *skb)
{
	u8 key[NSIM_KEY_BYTES] __aligned(8);
	struct nsim_rule *rule;
	s64 chain = 0, next;
	int hops;

	if (list_empty(&ns->rules))
		return skb;
	skb->skb_iif = ns->netdev->ifindex;
	skb_reset_network_header(skb);
	skb_reset_mac_len(skb);
	if (eth_type_vlan(skb->protocol)) {
		skb = skb_vlan_untag(skb);
		if (!skb)
			return NULL;
	}
	rcu_read_lock();
	for (hops = 0; skb && chain >= 0 && hops < NSIM_HOPS; hops++) {
		next = -1;
		list_for_each_entry_rcu(rule, &ns->rules, list) {
			if (rule->chain != chain || !nsim_rule_matches(rule, skb, key))
				continue;
			/* Segments do not exist yet: such a packet cannot be changed as one frame. */
			if (rule->mangles && skb_is_gso(skb))
				break;
			if (rule->mangles && skb->ip_summed == CHECKSUM_PARTIAL && skb_checksum_help(skb))
				break;
			atomic64_inc(&rule->packets);
			atomic64_add(skb->len + ETH_HLEN + (skb_vlan_tag_present(skb) ? VLAN_HLEN : 0), &rule->bytes);
			WRITE_ONCE(rule->last_used, jiffies);
			skb_push(skb, ETH_HLEN);
			skb = nsim_rule_execute(rule, skb, &next);
			if (skb)
				skb_pull(skb, ETH_HLEN);
			break;
		}
		chain = next;
	}
	rcu_read_unlock();
	return skb;
}
