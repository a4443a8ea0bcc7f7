/* SPDX-License-Identifier: GPL-2.0 */
/* What the lab adds to netdevsim: an eswitch with flower and police offload, and the devlink calls of a SmartNIC. */
#ifndef NSIM_LAB_H
#define NSIM_LAB_H

#include <linux/atomic.h>
#include <linux/types.h>
#include <net/devlink.h>

struct dentry;
struct flow_action_entry;
struct flow_cls_offload;
struct netdevsim;
struct netlink_ext_ack;
struct nsim_dev;
struct nsim_dev_port;
struct nsim_policer;
struct sk_buff;

/* One for each eswitch. The files of debugfs below netdevsimN/lab set most of it. */
struct nsim_lab {
	u64 keys;		/* match keys of the capability profile: bits of enum flow_dissector_key_id */
	u64 actions;		/* actions of it: bits of enum flow_action_id */
	u32 rules_max;		/* size of the table */
	atomic_t rules;		/* rules in it, of all ports */
	u32 flower_error;	/* when set: the errno that each new rule is refused with */
	u32 mode_error;		/* when set: the errno that the next change of mode fails with */
	u32 mode_delay_ms;	/* how long a change of mode takes */
	u8 inline_mode;
	u8 encap_mode;
	struct dentry *ddir;
};

/* What devlink knows of a VF or SF, beside what `ip link set PF vf N` keeps for VFs. */
struct nsim_lab_function {
	u8 hw_addr[6];		/* an SF's; a VF's is with the rest of its settings */
	bool inactive;
	bool roce_off;
	bool migratable;
};

/* flower.c */
int nsim_flower(struct netdevsim *ns, struct flow_cls_offload *f);
struct sk_buff *nsim_flower_rx(struct netdevsim *ns, struct sk_buff *skb);
void nsim_flower_forget(struct netdevsim *gone);
void nsim_profile_init(struct nsim_lab *lab);
void nsim_profile_debugfs_init(struct nsim_lab *lab);

/* police.c */
struct nsim_policer *nsim_policer_get(const struct flow_action_entry *entry, struct netlink_ext_ack *extack);
void nsim_policer_put(struct nsim_policer *policer);
bool nsim_policer_admits(struct nsim_policer *policer, unsigned int len);
int nsim_police_init(void);
void nsim_police_exit(void);

/* eswitch.c */
const struct devlink_port_ops *nsim_lab_port_ops(struct nsim_dev_port *port);
int nsim_lab_sf_check(struct nsim_dev *nsim_dev, const struct devlink_port_new_attrs *attrs,
		      struct netlink_ext_ack *extack);
void nsim_lab_init(struct nsim_dev *nsim_dev);
void nsim_lab_debugfs_init(struct nsim_dev *nsim_dev);
int nsim_lab_mode_check(struct nsim_dev *nsim_dev, struct netlink_ext_ack *extack);
int nsim_inline_mode_get(struct devlink *devlink, u8 *mode);
int nsim_inline_mode_set(struct devlink *devlink, u8 mode, struct netlink_ext_ack *extack);
int nsim_encap_mode_get(struct devlink *devlink, enum devlink_eswitch_encap_mode *mode);
int nsim_encap_mode_set(struct devlink *devlink, enum devlink_eswitch_encap_mode mode,
			struct netlink_ext_ack *extack);

/* dev.c */
int nsim_lab_sf_del(struct devlink *devlink, struct devlink_port *port, struct netlink_ext_ack *extack);

#endif
