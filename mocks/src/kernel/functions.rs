//! What can be set of functions: VFs through their PF, port functions, sub-functions, rates. Refusals are the drivers' own.

use super::{
    model::{Host, Nic, RepId},
    profile::Profile,
    wire::{EBUSY, EEXIST, EINVAL, ENODEV, EOPNOTSUPP, EPROTONOSUPPORT, Refusal, refuse},
};

const DOT1Q: u16 = 0x8100;
/// devlink rates are bytes a second; the devices count in Mbit/s.
const MBIT: u64 = 125_000;
/// What netdevsim and the model's other devices can do at most, Mbit/s.
const RATE_LIMIT: u64 = 5000;

/// Settings of a VF that its PF keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct VfConfig {
    /// Id, priority, Ethertype.
    pub(super) vlan: (u16, u8, u16),
    pub(super) trust: bool,
    pub(super) spoof_check: bool,
    pub(super) link_state: u32,
    /// Guaranteed and greatest rate, bytes a second: devlink's rate leaf and `IFLA_VF_RATE` are two ways to one setting, as in
    /// mlx5 and netdevsim.
    pub(super) share: (u64, u64),
}

impl VfConfig {
    pub(super) fn of(profile: Profile) -> Self {
        VfConfig {
            // netdevsim says protocol 0 where there is no VLAN.
            vlan: (0, 0, if profile == Profile::Netdevsim { 0 } else { DOT1Q }),
            trust: false,
            spoof_check: profile.spoof_check_by_default(),
            link_state: 0,
            share: (0, 0),
        }
    }

    /// No VLAN is no VLAN, whatever protocol is left of it.
    pub(super) fn vlan_shown(&self) -> (u16, u8, u16) {
        match self.vlan {
            (0, 0, _) => (0, 0, DOT1Q),
            vlan => vlan,
        }
    }
}

/// Guaranteed and greatest rate, from bytes a second to Mbit/s.
pub(super) fn rate_mbit(share: (u64, u64)) -> (u32, u32) {
    let mbit = |bytes: u64| u32::try_from(bytes / MBIT).unwrap_or(u32::MAX);
    (mbit(share.0), mbit(share.1))
}

/// A sub-function.
#[derive(Debug, Clone, Default)]
pub(super) struct Sf {
    pub(super) mac: [u8; 6],
    pub(super) active: bool,
    pub(super) share: (u64, u64),
    /// The rate node that it belongs to.
    pub(super) parent: Option<String>,
}

/// A node of the rate tree.
#[derive(Debug, Clone, Default)]
pub(super) struct RateNode {
    pub(super) share: (u64, u64),
}

/// What `RTM_SETLINK` asks of a VF; in the kernel's order.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct VfRequest {
    pub(super) mac: Option<[u8; 6]>,
    pub(super) vlan: Option<(u32, u32, u16)>,
    pub(super) rate: Option<(u32, u32)>,
    pub(super) spoof_check: Option<bool>,
    pub(super) link_state: Option<u32>,
    pub(super) trust: Option<bool>,
}

impl Host {
    /// `ip link set PF vf N ...`, one thing after the other until the driver refuses.
    pub(super) fn set_vf(&mut self, ifindex: u32, vf: u32, request: &VfRequest) -> Result<Vec<String>, Refusal> {
        let nic = self.nics.iter_mut().find(|n| n.uplink == ifindex).ok_or_else(|| refuse(EOPNOTSUPP))?;
        let (profile, switchdev, name) = (nic.profile, nic.switchdev, nic.name.clone());
        let mlx5 = profile.eswitch_extras();
        let only_legacy = |on: bool| if on && switchdev { Err(refuse(EOPNOTSUPP)) } else { Ok(()) };
        let vf_at = usize::try_from(vf).map_err(|_| refuse(EINVAL))?;
        let vf = nic.vfs.get_mut(vf_at).ok_or_else(|| refuse(EINVAL))?;
        let mut done = Vec::new();
        if let Some(mac) = request.mac {
            if mac[0] & 1 != 0 {
                return Err(refuse(EINVAL));
            }
            vf.mac = mac;
            done.push(format!("mac {mac:02x?}"));
        }
        if let Some((id, qos, proto)) = request.vlan {
            let (Ok(id), Ok(qos)) = (u16::try_from(id), u8::try_from(qos)) else { return Err(refuse(EINVAL)) };
            if id > 4094 || qos > 7 {
                return Err(refuse(EINVAL));
            }
            if proto != DOT1Q && profile != Profile::Netdevsim {
                return Err(refuse(EPROTONOSUPPORT));
            }
            only_legacy(mlx5 && id != 0)?;
            vf.config.vlan = (id, qos, proto);
            done.push(format!("vlan {id} qos {qos} proto {proto:#x}"));
        }
        if let Some((min, max)) = request.rate {
            // netdevsim: "Not supported in switchdev mode. Please use devlink API."
            only_legacy(profile == Profile::Netdevsim)?;
            if max != 0 && min > max || min != 0 && profile == Profile::Igb {
                return Err(refuse(EINVAL));
            }
            vf.config.share = (u64::from(min) * MBIT, u64::from(max) * MBIT);
            done.push(format!("rate {min} {max}"));
        }
        if let Some(on) = request.spoof_check {
            only_legacy(mlx5)?;
            vf.config.spoof_check = on;
            done.push(format!("spoofchk {on}"));
        }
        if let Some(state) = request.link_state {
            if profile == Profile::Igb {
                return Err(refuse(EOPNOTSUPP));
            }
            if state > 2 {
                return Err(refuse(EINVAL));
            }
            vf.config.link_state = state;
            done.push(format!("state {state}"));
        }
        if let Some(on) = request.trust {
            only_legacy(mlx5 || profile == Profile::Ice)?;
            vf.config.trust = on;
            done.push(format!("trust {on}"));
        }
        self.touch(ifindex);
        Ok(done.into_iter().map(|d| format!("vf {name} {vf_at} {d}")).collect())
    }

    /// A VLAN that no request could set.
    pub(super) fn tell_vlan(&mut self, nic: &str, vf: u16, id: u16, qos: u8) -> bool {
        let nic = self.nics.iter_mut().find(|n| n.name == nic);
        let Some(vf) = nic.and_then(|n| n.vfs.get_mut(usize::from(vf))) else { return false };
        vf.config.vlan = (id, qos, DOT1Q);
        true
    }

    /// `devlink port function set`.
    pub(super) fn set_function(
        &mut self,
        at: usize,
        index: u32,
        mac: Option<[u8; 6]>,
        active: Option<bool>,
    ) -> Result<(), Refusal> {
        let lacks = || (EOPNOTSUPP, "Port doesn't support function attributes".to_owned());
        let nic = &self.nics[at];
        let Some(id) = nic.rep_at(index, &self.netdevs) else {
            let uplink = nic.uplink_port(&self.netdevs).index == index;
            return Err(if uplink { lacks() } else { refuse(ENODEV) });
        };
        if !nic.profile.port_functions() {
            return Err(lacks());
        }
        if mac.is_some_and(|m| m[0] & 1 != 0) {
            return Err((EINVAL, "Provided mac is multicast".to_owned()));
        }
        let nic = &mut self.nics[at];
        match id {
            RepId::Vf(0, _) if active.is_some() => {
                return Err((EOPNOTSUPP, "Function does not support state setting".to_owned()));
            }
            RepId::Vf(0, vf) => {
                let vf = nic.vfs.get_mut(usize::from(vf)).ok_or_else(|| refuse(ENODEV))?;
                vf.mac = mac.unwrap_or(vf.mac);
            }
            RepId::Vf(..) => return Err(refuse(EOPNOTSUPP)),
            RepId::Sf(number) => {
                let sf = nic.sfs.get_mut(&number).ok_or_else(|| refuse(ENODEV))?;
                if mac.is_some() && sf.active {
                    return Err((EBUSY, "Function is active".to_owned()));
                }
                sf.mac = mac.unwrap_or(sf.mac);
                sf.active = active.unwrap_or(sf.active);
            }
        }
        let port = self.nics[at].rep_port(id, &self.netdevs);
        self.port_event(at, false, port);
        Ok(())
    }

    /// `devlink port add ... flavour pcisf`: the new port's key.
    pub(super) fn add_sf(&mut self, at: usize, pf: u16, number: Option<u32>) -> Result<RepId, Refusal> {
        let nic = &mut self.nics[at];
        if !nic.profile.sfs() {
            return Err(refuse(EOPNOTSUPP));
        }
        if !nic.switchdev {
            return Err((EOPNOTSUPP, "SF ports are only supported in eswitch switchdev mode".to_owned()));
        }
        if pf != nic.pf_number {
            return Err((EINVAL, "Invalid pfnum supplied".to_owned()));
        }
        let free = || (0u32..).find(|n| !nic.sfs.contains_key(n)).unwrap_or(0);
        let number = number.unwrap_or_else(free);
        if nic.sfs.contains_key(&number) {
            return Err((EEXIST, "SF already exist. Choose different sfnum".to_owned()));
        }
        nic.sfs.insert(number, Sf::default());
        self.update_reps(at);
        Ok(RepId::Sf(number))
    }

    /// `devlink port del`.
    pub(super) fn delete_port(&mut self, at: usize, index: u32) -> Result<(), Refusal> {
        match self.nics[at].rep_at(index, &self.netdevs) {
            Some(RepId::Sf(number)) => {
                self.nics[at].sfs.remove(&number);
                self.update_reps(at);
                Ok(())
            }
            Some(_) => Err((EOPNOTSUPP, "Port deletion is not supported".to_owned())),
            None => Err(refuse(ENODEV)),
        }
    }

    /// `devlink port function rate set` of a leaf.
    pub(super) fn set_leaf(
        &mut self,
        at: usize,
        index: u32,
        share: Option<u64>,
        max: Option<u64>,
        parent: Option<&str>,
    ) -> Result<(), Refusal> {
        let nic = &mut self.nics[at];
        if parent.is_some_and(|name| !name.is_empty() && !nic.rate_nodes.contains_key(name)) {
            return Err(refuse(ENODEV));
        }
        let id = nic.rep_at(index, &self.netdevs).filter(|_| nic.profile.rates()).ok_or_else(|| refuse(ENODEV))?;
        let slot = match id {
            RepId::Vf(0, vf) => nic.vfs.get_mut(usize::from(vf)).map(|vf| (&mut vf.config.share, &mut vf.parent)),
            RepId::Vf(..) => None,
            RepId::Sf(number) => nic.sfs.get_mut(&number).map(|sf| (&mut sf.share, &mut sf.parent)),
        };
        let (slot, node) = slot.ok_or_else(|| refuse(ENODEV))?;
        *slot = rate(*slot, share, max)?;
        if let Some(name) = parent {
            *node = (!name.is_empty()).then(|| name.to_owned());
        }
        Ok(())
    }

    /// `devlink port function rate add`, or `set` when there is one.
    pub(super) fn set_node(
        &mut self,
        at: usize,
        name: &str,
        new: bool,
        share: Option<u64>,
        max: Option<u64>,
    ) -> Result<(), Refusal> {
        let nic = &mut self.nics[at];
        if !nic.profile.rates() || !nic.switchdev {
            return Err(refuse(EOPNOTSUPP));
        }
        match (nic.rate_nodes.contains_key(name), new) {
            (true, true) => return Err(refuse(EEXIST)),
            (false, false) => return Err(refuse(ENODEV)),
            _ => {}
        }
        let node = nic.rate_nodes.entry(name.to_owned()).or_default();
        node.share = rate(node.share, share, max)?;
        Ok(())
    }

    /// `devlink port function rate del`.
    pub(super) fn delete_node(&mut self, at: usize, name: &str) -> Result<(), Refusal> {
        let nic = &mut self.nics[at];
        match nic.rate_nodes.get(name) {
            None => Err(refuse(ENODEV)),
            Some(_) if has_children(nic, name) => Err((EBUSY, "Node has children. Cannot delete node.".to_owned())),
            Some(_) => {
                nic.rate_nodes.remove(name);
                Ok(())
            }
        }
    }

    /// Packets from the wire to a VF through software (`to_vf`), or from it.
    pub(super) fn count(&mut self, nic: &str, vf: u16, to_vf: bool, packets: u64, bytes: u64) -> bool {
        let Some(nic) = self.nics.iter_mut().find(|n| n.name == nic) else { return false };
        let Some(function) = nic.vfs.get_mut(usize::from(vf)) else { return false };
        let add = |counters: &mut [u64; 4], received: bool| {
            let at = if received { 0 } else { 2 };
            counters[at] += packets;
            counters[at + 1] += bytes;
        };
        add(&mut function.counters, to_vf);
        if let Some(rep) = nic.reps.get(&RepId::Vf(0, vf)).and_then(|i| self.netdevs.get_mut(i)) {
            add(&mut rep.counters, !to_vf);
        }
        true
    }
}

/// New rates in bytes a second; the devices take whole Mbit/s only.
fn rate(was: (u64, u64), share: Option<u64>, max: Option<u64>) -> Result<(u64, u64), Refusal> {
    for rate in [share, max].into_iter().flatten() {
        if rate % MBIT != 0 {
            return Err((EINVAL, "rate not in link speed units of 1Mbps.".to_owned()));
        }
        if rate / MBIT > RATE_LIMIT {
            return Err((EINVAL, "rate exceeds link maximum speed".to_owned()));
        }
    }
    Ok((share.unwrap_or(was.0), max.unwrap_or(was.1)))
}

fn has_children(nic: &Nic, node: &str) -> bool {
    let mut parents = nic.vfs.iter().map(|vf| &vf.parent).chain(nic.sfs.values().map(|sf| &sf.parent));
    parents.any(|parent| parent.as_deref() == Some(node))
}

/// A rate leaf: port, rates, and the node that it belongs to.
pub(super) type Leaf = (RepId, (u64, u64), Option<String>);

/// The rate leaves of a NIC.
pub(super) fn leaves(nic: &Nic) -> Vec<Leaf> {
    if !nic.profile.rates() {
        return Vec::new();
    }
    let share = |&id: &RepId| match id {
        RepId::Vf(0, vf) => nic.vfs.get(usize::from(vf)).map(|vf| (vf.config.share, vf.parent.clone())),
        RepId::Vf(..) => None,
        RepId::Sf(number) => nic.sfs.get(&number).map(|sf| (sf.share, sf.parent.clone())),
    };
    let leaf = |id: &RepId| share(id).map(|(share, parent)| (*id, share, parent));
    nic.reps.keys().filter_map(leaf).collect()
}
