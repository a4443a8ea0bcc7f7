// SPDX-License-Identifier: GPL-2.0
/* The devlink calls of a SmartNIC's eswitch: inline and encapsulation mode, port functions; and what makes a change of
 * mode fail, so that the failure can be tried.
 */
#include <linux/debugfs.h>
#include <linux/delay.h>
#include <net/devlink.h>
#include "netdevsim.h"

void nsim_lab_init(struct nsim_dev *nsim_dev)
{
	struct nsim_lab *lab = &nsim_dev->lab;

	nsim_profile_init(lab);
	lab->rules_max = 4096;
	lab->inline_mode = DEVLINK_ESWITCH_INLINE_MODE_NONE;
	lab->encap_mode = DEVLINK_ESWITCH_ENCAP_MODE_BASIC;
}

void nsim_lab_debugfs_init(struct nsim_dev *nsim_dev)
{
	struct nsim_lab *lab = &nsim_dev->lab;

	lab->ddir = debugfs_create_dir("lab", nsim_dev->ddir);
	nsim_profile_debugfs_init(lab);
	debugfs_create_u32("rules_max", 0600, lab->ddir, &lab->rules_max);
	debugfs_create_atomic_t("rules", 0400, lab->ddir, &lab->rules);
	debugfs_create_u32("flower_error", 0600, lab->ddir, &lab->flower_error);
	debugfs_create_u32("mode_error", 0600, lab->ddir, &lab->mode_error);
	debugfs_create_u32("mode_delay_ms", 0600, lab->ddir, &lab->mode_delay_ms);
}

/* mlx5 answers the same to these: rules that are in hardware were translated for the modes that they found. */
static int nsim_no_rules(struct nsim_dev *nsim_dev, struct netlink_ext_ack *extack)
{
	if (!atomic_read(&nsim_dev->lab.rules))
		return 0;
	NL_SET_ERR_MSG_MOD(extack, "the eswitch is busy: rules are offloaded");
	return -EBUSY;
}

int nsim_lab_mode_check(struct nsim_dev *nsim_dev, struct netlink_ext_ack *extack)
{
	struct nsim_lab *lab = &nsim_dev->lab;
	int err = nsim_no_rules(nsim_dev, extack);

	if (err)
		return err;
	if (lab->mode_delay_ms)
		msleep(lab->mode_delay_ms);
	if (lab->mode_error) {
		NL_SET_ERR_MSG_MOD(extack, "the lab refuses this change of mode");
		err = -(int)lab->mode_error;
		lab->mode_error = 0;
	}
	return err;
}

int nsim_inline_mode_get(struct devlink *devlink, u8 *mode)
{
	struct nsim_dev *nsim_dev = devlink_priv(devlink);

	*mode = nsim_dev->lab.inline_mode;
	return 0;
}

int nsim_inline_mode_set(struct devlink *devlink, u8 mode, struct netlink_ext_ack *extack)
{
	struct nsim_dev *nsim_dev = devlink_priv(devlink);
	int err = nsim_no_rules(nsim_dev, extack);

	if (err)
		return err;
	if (!nsim_esw_mode_is_switchdev(nsim_dev)) {
		NL_SET_ERR_MSG_MOD(extack, "inline-mode can be set in mode switchdev only");
		return -EOPNOTSUPP;
	}
	nsim_dev->lab.inline_mode = mode;
	return 0;
}

int nsim_encap_mode_get(struct devlink *devlink, enum devlink_eswitch_encap_mode *mode)
{
	struct nsim_dev *nsim_dev = devlink_priv(devlink);

	*mode = nsim_dev->lab.encap_mode;
	return 0;
}

int nsim_encap_mode_set(struct devlink *devlink, enum devlink_eswitch_encap_mode mode,
			struct netlink_ext_ack *extack)
{
	struct nsim_dev *nsim_dev = devlink_priv(devlink);
	int err = nsim_no_rules(nsim_dev, extack);

	if (err)
		return err;
	nsim_dev->lab.encap_mode = mode;
	return 0;
}

/* A VF's settings are with the device, since they outlive its port; an SF's are with the port. */
static struct nsim_vf_config *nsim_vf(struct devlink_port *port)
{
	struct nsim_dev *nsim_dev = devlink_priv(port->devlink);

	return &nsim_dev->vfconfigs[port->attrs.pci_vf.vf];
}

static struct nsim_lab_function *nsim_function(struct devlink_port *port)
{
	struct nsim_dev_port *nsim_port = container_of(port, struct nsim_dev_port, devlink_port);

	return nsim_dev_port_is_sf(nsim_port) ? &nsim_port->function : &nsim_vf(port)->function;
}

static u8 *nsim_hw_addr(struct devlink_port *port)
{
	struct nsim_dev_port *nsim_port = container_of(port, struct nsim_dev_port, devlink_port);

	return nsim_dev_port_is_sf(nsim_port) ? nsim_port->function.hw_addr : nsim_vf(port)->vf_mac;
}

static int nsim_fn_hw_addr_get(struct devlink_port *port, u8 *hw_addr, int *hw_addr_len,
			       struct netlink_ext_ack *extack)
{
	memcpy(hw_addr, nsim_hw_addr(port), ETH_ALEN);
	*hw_addr_len = ETH_ALEN;
	return 0;
}

/* devlink has checked the length, and that it is a unicast address. */
static int nsim_fn_hw_addr_set(struct devlink_port *port, const u8 *hw_addr, int hw_addr_len,
			       struct netlink_ext_ack *extack)
{
	memcpy(nsim_hw_addr(port), hw_addr, ETH_ALEN);
	return 0;
}

static int nsim_fn_state_get(struct devlink_port *port, enum devlink_port_fn_state *state,
			     enum devlink_port_fn_opstate *opstate, struct netlink_ext_ack *extack)
{
	bool inactive = nsim_function(port)->inactive;

	*state = inactive ? DEVLINK_PORT_FN_STATE_INACTIVE : DEVLINK_PORT_FN_STATE_ACTIVE;
	*opstate = inactive ? DEVLINK_PORT_FN_OPSTATE_DETACHED : DEVLINK_PORT_FN_OPSTATE_ATTACHED;
	return 0;
}

static int nsim_fn_state_set(struct devlink_port *port, enum devlink_port_fn_state state,
			     struct netlink_ext_ack *extack)
{
	nsim_function(port)->inactive = state == DEVLINK_PORT_FN_STATE_INACTIVE;
	return 0;
}

static int nsim_fn_roce_get(struct devlink_port *port, bool *is_enable, struct netlink_ext_ack *extack)
{
	*is_enable = !nsim_function(port)->roce_off;
	return 0;
}

static int nsim_fn_roce_set(struct devlink_port *port, bool enable, struct netlink_ext_ack *extack)
{
	nsim_function(port)->roce_off = !enable;
	return 0;
}

static int nsim_fn_migratable_get(struct devlink_port *port, bool *is_enable, struct netlink_ext_ack *extack)
{
	*is_enable = nsim_function(port)->migratable;
	return 0;
}

static int nsim_fn_migratable_set(struct devlink_port *port, bool enable, struct netlink_ext_ack *extack)
{
	nsim_function(port)->migratable = enable;
	return 0;
}

#define NSIM_FUNCTION_OPS					\
	.port_fn_hw_addr_get = nsim_fn_hw_addr_get,           \
	.port_fn_hw_addr_set = nsim_fn_hw_addr_set,           \
	.port_fn_state_get = nsim_fn_state_get,               \
	.port_fn_state_set = nsim_fn_state_set,               \
	.port_fn_roce_get = nsim_fn_roce_get,                 \
	.port_fn_roce_set = nsim_fn_roce_set,                 \
	.port_fn_migratable_get = nsim_fn_migratable_get,     \
	.port_fn_migratable_set = nsim_fn_migratable_set

static const struct devlink_port_ops nsim_vf_port_ops = {
	NSIM_FUNCTION_OPS,
};

static const struct devlink_port_ops nsim_sf_port_ops = {
	NSIM_FUNCTION_OPS,
	.port_del = nsim_lab_sf_del,
};

const struct devlink_port_ops *nsim_lab_port_ops(struct nsim_dev_port *port)
{
	if (nsim_dev_port_is_sf(port))
		return &nsim_sf_port_ops;
	return nsim_dev_port_is_vf(port) ? &nsim_vf_port_ops : NULL;
}

int nsim_lab_sf_check(struct nsim_dev *nsim_dev, const struct devlink_port_new_attrs *attrs,
		      struct netlink_ext_ack *extack)
{
	if (attrs->flavour != DEVLINK_PORT_FLAVOUR_PCI_SF) {
		NL_SET_ERR_MSG_MOD(extack, "only ports of flavour pcisf can be added");
		return -EOPNOTSUPP;
	}
	if (attrs->port_index_valid || attrs->pfnum || (attrs->controller_valid && attrs->controller)) {
		NL_SET_ERR_MSG_MOD(extack, "an SF is of controller 0 and pfnum 0, and its port index is the driver's choice");
		return -EOPNOTSUPP;
	}
	if (!nsim_esw_mode_is_switchdev(nsim_dev)) {
		NL_SET_ERR_MSG_MOD(extack, "SFs need mode switchdev");
		return -EOPNOTSUPP;
	}
	return 0;
}
