//! Generic netlink as the kernel answers it: the controller family, and devlink.

use super::{
    ethtool,
    fault::Op,
    functions::{Leaf, leaves},
    model::{Host, Nic, PortView, RepId},
    wire::{
        EINVAL, ENODEV, ENOENT, EOPNOTSUPP, Refusal, Reply, Request, attrs, find, message, put, put_nested, put_str,
        put_u16, put_u32, refuse, text, u8_of, u16_of, u32_of, u64_of,
    },
};

const CTRL_ID: u16 = 0x10;
/// What the NICs of this kernel run.
const FIRMWARE: &str = "1.2.3";
/// What this kernel gave devlink; differs from boot to boot in a real one.
const DEVLINK_ID: u16 = 0x1b;
pub(super) const GROUP_CONFIG: u32 = 6;

const CTRL_GETFAMILY: u8 = 3;
const CTRL_NEWFAMILY: u8 = 1;

// linux/devlink.h, taken from the compiler.
const GET: u8 = 1;
const NEW: u8 = 3;
const PORT_GET: u8 = 5;
const PORT_SET: u8 = 6;
const PORT_NEW: u8 = 7;
const PORT_DEL: u8 = 8;
const RATE_GET: u8 = 74;
const RATE_SET: u8 = 75;
const RATE_NEW: u8 = 76;
const RATE_DEL: u8 = 77;
const ESWITCH_GET: u8 = 29;
const ESWITCH_SET: u8 = 30;
const INFO_GET: u8 = 51;
const BUS_NAME: u16 = 1;
const DEV_NAME: u16 = 2;
const PORT_INDEX: u16 = 3;
const PORT_TYPE: u16 = 4;
const PORT_NETDEV_IFINDEX: u16 = 6;
const PORT_NETDEV_NAME: u16 = 7;
const ESWITCH_MODE: u16 = 25;
const ESWITCH_INLINE_MODE: u16 = 26;
const INFO_DRIVER_NAME: u16 = 98;
const INFO_VERSION_RUNNING: u16 = 101;
const INFO_VERSION_NAME: u16 = 103;
const INFO_VERSION_VALUE: u16 = 104;
const ESWITCH_ENCAP_MODE: u16 = 62;
const PORT_FLAVOUR: u16 = 77;
const PORT_NUMBER: u16 = 78;
const PORT_PCI_PF_NUMBER: u16 = 127;
const PORT_PCI_VF_NUMBER: u16 = 128;
const RELOAD_FAILED: u16 = 136;
const PORT_FUNCTION: u16 = 145;
const PORT_SPLITTABLE: u16 = 148;
const PORT_EXTERNAL: u16 = 149;
const PORT_CONTROLLER_NUMBER: u16 = 150;
const PORT_PCI_SF_NUMBER: u16 = 164;
const RATE_TYPE: u16 = 165;
const RATE_TX_SHARE: u16 = 166;
const RATE_TX_MAX: u16 = 167;
const RATE_NODE_NAME: u16 = 168;
const RATE_PARENT_NODE_NAME: u16 = 169;
const TYPE_ETH: u16 = 2;
const FLAVOUR_PHYSICAL: u16 = 0;
const FLAVOUR_PCI_VF: u16 = 4;
const FLAVOUR_VIRTUAL: u16 = 5;
const FLAVOUR_PCI_SF: u16 = 7;

pub(super) fn op(request: &Request<'_>) -> Option<Op> {
    match (request.kind, request.payload.first()?) {
        (CTRL_ID, _) => Some(Op::Family),
        (DEVLINK_ID, &ESWITCH_GET) => Some(Op::EswitchGet),
        (DEVLINK_ID, &ESWITCH_SET) => Some(Op::EswitchSet),
        (DEVLINK_ID, &PORT_GET) => Some(Op::PortGet),
        (DEVLINK_ID, &PORT_SET) => Some(Op::PortSet),
        (DEVLINK_ID, &PORT_NEW) => Some(Op::PortNew),
        (DEVLINK_ID, &PORT_DEL) => Some(Op::PortDel),
        (DEVLINK_ID, &RATE_GET) => Some(Op::RateGet),
        (DEVLINK_ID, &(RATE_SET | RATE_NEW | RATE_DEL)) => Some(Op::RateSet),
        (ethtool::ETHTOOL_ID, _) if ethtool::is_set(request.payload) => Some(Op::FeatureSet),
        (ethtool::ETHTOOL_ID, _) => Some(Op::FeatureGet),
        (DEVLINK_ID, _) => Some(Op::DeviceGet),
        _ => None,
    }
}

pub(super) fn handle(host: &mut Host, journal: &mut Vec<String>, request: &Request<'_>) -> Result<Vec<Reply>, Refusal> {
    let (Some(&cmd), Some(body)) = (request.payload.first(), request.payload.get(4..)) else {
        return Err(refuse(EINVAL));
    };
    if request.kind == ethtool::ETHTOOL_ID {
        return ethtool::handle(host, journal, request.payload, request.is_dump());
    }
    let attrs = attrs(body)?;
    if request.kind == CTRL_ID {
        return family(cmd, &attrs);
    }
    match cmd {
        GET if request.is_dump() => Ok(host.nics.iter().flat_map(devices).collect()),
        PORT_GET if request.is_dump() => {
            Ok(host.nics.iter().flat_map(|nic| ports(host, nic)).map(|payload| reply(PORT_NEW, payload)).collect())
        }
        GET => {
            let (bus, name) = handle_of(&attrs)?;
            let found = host.nics.iter().flat_map(devices).find(|r| is_about(r, bus, name));
            found.map(|r| vec![r]).ok_or_else(|| refuse(ENODEV))
        }
        INFO_GET => Ok(vec![info(&host.nics[nic_of(host, &attrs)?])]),
        PORT_GET => {
            let nic = &host.nics[nic_of(host, &attrs)?];
            let index = u32_of(find(&attrs, PORT_INDEX).ok_or_else(|| refuse(EINVAL))?)?;
            let port = port_views(host, nic).into_iter().find(|p| p.index == index).ok_or_else(|| refuse(ENODEV))?;
            Ok(vec![reply(PORT_NEW, port_attrs(nic, &port))])
        }
        PORT_SET => {
            let at = nic_of(host, &attrs)?;
            let index = u32_of(find(&attrs, PORT_INDEX).ok_or_else(|| refuse(EINVAL))?)?;
            let function = self::attrs(find(&attrs, PORT_FUNCTION).ok_or_else(|| refuse(EINVAL))?)?;
            let mac = match find(&function, 1) {
                Some(mac) => Some(<[u8; 6]>::try_from(mac).map_err(|_| refuse(EINVAL))?),
                None => None,
            };
            let active = find(&function, 2).map(u8_of).transpose()?.map(|state| state == 1);
            host.set_function(at, index, mac, active)?;
            let name = &host.nics[at].name;
            journal.extend(mac.map(|mac| format!("port {name}/{index} function hw_addr {mac:02x?}")));
            journal.extend(active.map(|active| format!("port {name}/{index} function active {active}")));
            Ok(Vec::new())
        }
        PORT_NEW => {
            let at = nic_of(host, &attrs)?;
            let flavour = find(&attrs, PORT_FLAVOUR).map(u16_of).transpose()?;
            if flavour != Some(FLAVOUR_PCI_SF) {
                return Err((EOPNOTSUPP, "Port flavour is not supported".to_owned()));
            }
            let pf = u16_of(find(&attrs, PORT_PCI_PF_NUMBER).ok_or_else(|| refuse(EINVAL))?)?;
            let number = find(&attrs, PORT_PCI_SF_NUMBER).map(u32_of).transpose()?;
            let id = host.add_sf(at, pf, number)?;
            let nic = &host.nics[at];
            journal.push(format!("port add {} {id:?}", nic.name));
            Ok(vec![reply(PORT_NEW, port_attrs(nic, &nic.rep_port(id, &host.netdevs)))])
        }
        PORT_DEL => {
            let at = nic_of(host, &attrs)?;
            let index = u32_of(find(&attrs, PORT_INDEX).ok_or_else(|| refuse(EINVAL))?)?;
            host.delete_port(at, index)?;
            journal.push(format!("port del {}/{index}", host.nics[at].name));
            Ok(Vec::new())
        }
        RATE_GET if request.is_dump() => Ok(host.nics.iter().flat_map(|nic| rates(host, nic)).collect()),
        RATE_GET => {
            let nic = &host.nics[nic_of(host, &attrs)?];
            let about = |r: &Reply| {
                let mine = self::attrs(r.payload.get(4..).unwrap_or_default()).unwrap_or_default();
                [PORT_INDEX, RATE_NODE_NAME].iter().all(|k| find(&attrs, *k) == find(&mine, *k))
            };
            let found = rates(host, nic).into_iter().find(about);
            found.map(|r| vec![r]).ok_or_else(|| refuse(ENODEV))
        }
        RATE_SET | RATE_NEW | RATE_DEL => {
            let at = nic_of(host, &attrs)?;
            let share = find(&attrs, RATE_TX_SHARE).map(u64_of).transpose()?;
            let max = find(&attrs, RATE_TX_MAX).map(u64_of).transpose()?;
            let node = find(&attrs, RATE_NODE_NAME).map(text).transpose()?;
            let parent = find(&attrs, RATE_PARENT_NODE_NAME).map(text).transpose()?;
            let words = match (cmd, node, find(&attrs, PORT_INDEX)) {
                (RATE_DEL, Some(node), _) => {
                    host.delete_node(at, node)?;
                    format!("node {node} gone")
                }
                (_, Some(_), _) if parent.is_some() => {
                    return Err((EOPNOTSUPP, "the model has no nodes below nodes".to_owned()));
                }
                (_, Some(node), _) => {
                    host.set_node(at, node, cmd == RATE_NEW, share, max)?;
                    format!("node {node}")
                }
                (RATE_SET, None, Some(index)) => {
                    let index = u32_of(index)?;
                    host.set_leaf(at, index, share, max, parent)?;
                    parent.map_or_else(|| index.to_string(), |node| format!("{index} parent '{node}'"))
                }
                _ => return Err(refuse(EINVAL)),
            };
            journal.push(format!("rate {} {words} {share:?} {max:?}", host.nics[at].name));
            Ok(Vec::new())
        }
        ESWITCH_GET => {
            let nic = eswitch_of(host, &attrs)?;
            let mut payload = handle_attrs(nic.bus(), &nic.name);
            put_u16(&mut payload, ESWITCH_MODE, u16::from(nic.switchdev));
            if nic.profile.eswitch_extras() {
                put(&mut payload, ESWITCH_INLINE_MODE, &[nic.inline_mode]);
                put(&mut payload, ESWITCH_ENCAP_MODE, &[nic.encap_mode]);
            }
            Ok(vec![reply(ESWITCH_GET, payload)])
        }
        ESWITCH_SET => set_eswitch(host, journal, &attrs),
        _ => Err(refuse(EOPNOTSUPP)),
    }
}

fn set_eswitch(host: &mut Host, journal: &mut Vec<String>, attrs: &[(u16, &[u8])]) -> Result<Vec<Reply>, Refusal> {
    let name = eswitch_of(host, attrs)?.name.clone();
    let at = nic_of(host, attrs)?;
    let extras = host.nics[at].profile.eswitch_extras();
    if let Some(mode) = find(attrs, ESWITCH_MODE) {
        let mode = u16_of(mode)?;
        if mode > 1 {
            return Err(refuse(EINVAL));
        }
        host.set_mode(at, mode == 1)?;
        journal.push(format!("eswitch {name} mode {mode}"));
    }
    if let Some(inline) = find(attrs, ESWITCH_INLINE_MODE) {
        if !extras {
            return Err(refuse(EOPNOTSUPP));
        }
        host.nics[at].inline_mode = u8_of(inline)?;
        journal.push(format!("eswitch {name} inline-mode {}", host.nics[at].inline_mode));
    }
    if let Some(encap) = find(attrs, ESWITCH_ENCAP_MODE) {
        if !extras {
            return Err(refuse(EOPNOTSUPP));
        }
        host.nics[at].encap_mode = u8_of(encap)?;
        journal.push(format!("eswitch {name} encap-mode {}", host.nics[at].encap_mode));
    }
    Ok(Vec::new())
}

fn family(cmd: u8, attrs: &[(u16, &[u8])]) -> Result<Vec<Reply>, Refusal> {
    if cmd != CTRL_GETFAMILY {
        return Err(refuse(EOPNOTSUPP));
    }
    let (name, id) = match text(find(attrs, 2).ok_or_else(|| refuse(EINVAL))?)? {
        "devlink" => ("devlink", DEVLINK_ID),
        "ethtool" => ("ethtool", ethtool::ETHTOOL_ID),
        _ => return Err(refuse(ENOENT)),
    };
    let mut group = Vec::new();
    put_str(&mut group, 1, if id == DEVLINK_ID { "config" } else { "monitor" });
    put_u32(&mut group, 2, if id == DEVLINK_ID { GROUP_CONFIG } else { GROUP_CONFIG + 1 });
    let mut groups = Vec::new();
    put_nested(&mut groups, 1, &group);
    let mut payload = vec![CTRL_NEWFAMILY, 2, 0, 0];
    put_str(&mut payload, 2, name);
    put_u16(&mut payload, 1, id);
    put_u32(&mut payload, 3, 1);
    put_u32(&mut payload, 4, 0);
    put_u32(&mut payload, 5, 178);
    put_nested(&mut payload, 7, &groups);
    Ok(vec![Reply { kind: CTRL_ID, payload }])
}

fn reply(cmd: u8, attrs: Vec<u8>) -> Reply {
    let mut payload = vec![cmd, 1, 0, 0];
    payload.extend(attrs);
    Reply { kind: DEVLINK_ID, payload }
}

/// The driver and what it runs (Documentation/networking/devlink/devlink-info.rst).
fn info(nic: &Nic) -> Reply {
    let mut payload = handle_attrs(nic.bus(), &nic.name);
    put_str(&mut payload, INFO_DRIVER_NAME, nic.profile.driver());
    let mut version = Vec::new();
    put_str(&mut version, INFO_VERSION_NAME, "fw.mgmt");
    put_str(&mut version, INFO_VERSION_VALUE, FIRMWARE);
    put_nested(&mut payload, INFO_VERSION_RUNNING, &version);
    reply(INFO_GET, payload)
}

fn handle_attrs(bus: &str, name: &str) -> Vec<u8> {
    let mut payload = Vec::new();
    put_str(&mut payload, BUS_NAME, bus);
    put_str(&mut payload, DEV_NAME, name);
    payload
}

fn handle_of<'a>(attrs: &[(u16, &'a [u8])]) -> Result<(&'a str, &'a str), Refusal> {
    match (find(attrs, BUS_NAME), find(attrs, DEV_NAME)) {
        (Some(bus), Some(name)) => Ok((text(bus)?, text(name)?)),
        _ => Err(refuse(EINVAL)),
    }
}

fn nic_of(host: &Host, attrs: &[(u16, &[u8])]) -> Result<usize, Refusal> {
    let (bus, name) = handle_of(attrs)?;
    host.find(bus, name).filter(|&at| host.nics[at].profile.devlink()).ok_or_else(|| refuse(ENODEV))
}

/// The NIC whose eswitch is meant. VFs are devices without one.
fn eswitch_of<'a>(host: &'a Host, attrs: &[(u16, &[u8])]) -> Result<&'a Nic, Refusal> {
    let (_, name) = handle_of(attrs)?;
    match nic_of(host, attrs) {
        Ok(at) => Ok(&host.nics[at]),
        Err(_) if host.find_vf(name).is_some_and(|(at, _)| host.nics[at].profile.vf_devlink()) => {
            Err(refuse(EOPNOTSUPP))
        }
        Err(e) => Err(e),
    }
}

/// The devices that a NIC shows: itself, and its bound VFs with some drivers.
fn devices(nic: &Nic) -> Vec<Reply> {
    if !nic.profile.devlink() {
        return Vec::new();
    }
    let vfs = nic.vfs.iter().filter(|vf| nic.profile.vf_devlink() && vf.netdev.is_some());
    std::iter::once((nic.bus(), nic.name.as_str()))
        .chain(vfs.map(|vf| ("pci", vf.address.as_str())))
        .map(|(bus, name)| {
            let mut payload = handle_attrs(bus, name);
            put(&mut payload, RELOAD_FAILED, &[0]);
            reply(NEW, payload)
        })
        .collect()
}

fn is_about(reply: &Reply, bus: &str, name: &str) -> bool {
    reply.payload.get(4..).is_some_and(|b| b.starts_with(&handle_attrs(bus, name)))
}

fn port_views(host: &Host, nic: &Nic) -> Vec<PortView> {
    let uplink = nic.uplink_port(&host.netdevs);
    let reps = nic.reps.keys().filter(|_| !nic.hide_vf_ports);
    std::iter::once(uplink).chain(reps.map(|&key| nic.rep_port(key, &host.netdevs))).collect()
}

/// The ports that a NIC shows, its VFs' own included.
fn ports(host: &Host, nic: &Nic) -> Vec<Vec<u8>> {
    if !nic.profile.devlink() {
        return Vec::new();
    }
    let mut all: Vec<Vec<u8>> = port_views(host, nic).iter().map(|p| port_attrs(nic, p)).collect();
    for vf in nic.vfs.iter().filter(|_| nic.profile.vf_devlink()) {
        if let Some(dev) = vf.netdev.and_then(|i| host.netdevs.get(&i)) {
            let mut payload = handle_attrs("pci", &vf.address);
            put_u32(&mut payload, PORT_INDEX, 1);
            put_u16(&mut payload, PORT_TYPE, TYPE_ETH);
            put_u32(&mut payload, PORT_NETDEV_IFINDEX, dev.ifindex);
            put_str(&mut payload, PORT_NETDEV_NAME, &dev.name);
            put_u16(&mut payload, PORT_FLAVOUR, FLAVOUR_VIRTUAL);
            all.push(payload);
        }
    }
    all
}

/// The rate leaves and nodes that a NIC shows.
fn rates(host: &Host, nic: &Nic) -> Vec<Reply> {
    let object = |kind: u16, (share, max): (u64, u64)| {
        let mut payload = handle_attrs(nic.bus(), &nic.name);
        put_u16(&mut payload, RATE_TYPE, kind);
        put(&mut payload, RATE_TX_SHARE, &share.to_ne_bytes());
        put(&mut payload, RATE_TX_MAX, &max.to_ne_bytes());
        payload
    };
    let leaf = |(id, share, parent): Leaf| {
        let mut payload = object(0, share);
        put_u32(&mut payload, PORT_INDEX, nic.rep_port(id, &host.netdevs).index);
        if let Some(parent) = parent {
            put_str(&mut payload, RATE_PARENT_NODE_NAME, &parent);
        }
        reply(RATE_NEW, payload)
    };
    let node = |(name, node): (&String, &super::functions::RateNode)| {
        let mut payload = object(1, node.share);
        put_str(&mut payload, RATE_NODE_NAME, name);
        reply(RATE_NEW, payload)
    };
    leaves(nic).into_iter().map(leaf).chain(nic.rate_nodes.iter().map(node)).collect()
}

pub(super) fn port_attrs(nic: &Nic, port: &PortView) -> Vec<u8> {
    let mut payload = handle_attrs(nic.bus(), &nic.name);
    put_u32(&mut payload, PORT_INDEX, port.index);
    put_u16(&mut payload, PORT_TYPE, TYPE_ETH);
    if let (Some(ifindex), Some(name)) = (port.netdev, &port.netdev_name) {
        put_u32(&mut payload, PORT_NETDEV_IFINDEX, ifindex);
        put_str(&mut payload, PORT_NETDEV_NAME, name);
    }
    match port.rep {
        None => {
            put_u16(&mut payload, PORT_FLAVOUR, FLAVOUR_PHYSICAL);
            put_u32(&mut payload, PORT_NUMBER, u32::from(nic.pf_number));
        }
        Some(RepId::Vf(controller, vf)) => {
            put_u16(&mut payload, PORT_FLAVOUR, FLAVOUR_PCI_VF);
            put_u32(&mut payload, PORT_CONTROLLER_NUMBER, controller);
            put_u16(&mut payload, PORT_PCI_PF_NUMBER, nic.pf_number);
            put_u16(&mut payload, PORT_PCI_VF_NUMBER, vf);
            put(&mut payload, PORT_EXTERNAL, &[u8::from(controller != 0)]);
            if nic.profile.port_functions() {
                let mac = nic.vfs.get(usize::from(vf)).filter(|_| controller == 0).map_or([0; 6], |vf| vf.mac);
                let mut function = Vec::new();
                put(&mut function, 1, &mac);
                put_nested(&mut payload, PORT_FUNCTION, &function);
            }
        }
        Some(RepId::Sf(number)) => {
            put_u16(&mut payload, PORT_FLAVOUR, FLAVOUR_PCI_SF);
            put_u32(&mut payload, PORT_CONTROLLER_NUMBER, 0);
            put_u16(&mut payload, PORT_PCI_PF_NUMBER, nic.pf_number);
            put_u32(&mut payload, PORT_PCI_SF_NUMBER, number);
            put(&mut payload, PORT_EXTERNAL, &[0]);
            if let Some(sf) = nic.sfs.get(&number) {
                let mut function = Vec::new();
                put(&mut function, 1, &sf.mac);
                put(&mut function, 2, &[u8::from(sf.active)]);
                put(&mut function, 3, &[u8::from(sf.active)]);
                put_nested(&mut payload, PORT_FUNCTION, &function);
            }
        }
    }
    put(&mut payload, PORT_SPLITTABLE, &[0]);
    payload
}

/// The multicast message about a port.
pub(super) fn event(gone: bool, attrs: Vec<u8>) -> Vec<u8> {
    let reply = reply(if gone { PORT_DEL } else { PORT_NEW }, attrs);
    message(reply.kind, 0, 0, &reply.payload)
}
