//! Numbers of `include/uapi/linux/devlink.h` (stable ABI), under its names without the prefix `DEVLINK_`.

pub(crate) const GENL_NAME: &str = "devlink";
pub(crate) const MCGRP_CONFIG_NAME: &str = "config";

pub(crate) const CMD_GET: u8 = 1;
pub(crate) const CMD_NEW: u8 = 3;
pub(crate) const CMD_DEL: u8 = 4;
pub(crate) const CMD_PORT_GET: u8 = 5;
pub(crate) const CMD_PORT_SET: u8 = 6;
pub(crate) const CMD_PORT_NEW: u8 = 7;
pub(crate) const CMD_PORT_DEL: u8 = 8;
pub(crate) const CMD_ESWITCH_GET: u8 = 29;
pub(crate) const CMD_ESWITCH_SET: u8 = 30;

pub(crate) const ATTR_BUS_NAME: u16 = 1;
pub(crate) const ATTR_DEV_NAME: u16 = 2;
pub(crate) const ATTR_PORT_INDEX: u16 = 3;
pub(crate) const ATTR_PORT_NETDEV_IFINDEX: u16 = 6;
pub(crate) const ATTR_PORT_NETDEV_NAME: u16 = 7;
pub(crate) const ATTR_ESWITCH_MODE: u16 = 25;
pub(crate) const ATTR_ESWITCH_INLINE_MODE: u16 = 26;
pub(crate) const ATTR_ESWITCH_ENCAP_MODE: u16 = 62;
pub(crate) const ATTR_PORT_FLAVOUR: u16 = 77;
pub(crate) const ATTR_PORT_NUMBER: u16 = 78;
pub(crate) const ATTR_PORT_PCI_PF_NUMBER: u16 = 127;
pub(crate) const ATTR_PORT_PCI_VF_NUMBER: u16 = 128;
pub(crate) const ATTR_PORT_FUNCTION: u16 = 145;
pub(crate) const ATTR_PORT_EXTERNAL: u16 = 149;
pub(crate) const ATTR_PORT_CONTROLLER_NUMBER: u16 = 150;
pub(crate) const ATTR_PORT_PCI_SF_NUMBER: u16 = 164;

pub(crate) const PORT_FUNCTION_ATTR_HW_ADDR: u16 = 1;
pub(crate) const PORT_FN_ATTR_STATE: u16 = 2;
pub(crate) const PORT_FN_ATTR_OPSTATE: u16 = 3;
