//! The host's NICs and what the drivers do to them.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    functions::{RateNode, Sf, VfConfig, rate_mbit},
    profile::{ModeRule, Profile},
    wire::{EBUSY, ERANGE, Refusal, refuse},
};

/// `IFNAMSIZ` without the NUL.
const IFNAME_MAX: usize = 15;

/// A NIC (one physical function) to plug in.
#[derive(Debug, Clone)]
pub struct NicSpec {
    profile: Profile,
    name: String,
    uplink: String,
    total_vfs: u16,
    pf_number: u16,
    external_vfs: u16,
    delay: u32,
    lag: Duration,
    stagger: u32,
    hide_vf_ports: bool,
    switch_id: Option<Vec<u8>>,
}

impl NicSpec {
    /// A NIC at `name` on its bus (`0000:03:00.0`, or `netdevsim1`) whose uplink is called `uplink`.
    #[must_use]
    pub fn new(profile: Profile, name: &str, uplink: &str) -> Self {
        NicSpec {
            profile,
            name: name.to_owned(),
            uplink: uplink.to_owned(),
            total_vfs: profile.default_total_vfs(),
            pf_number: 0,
            external_vfs: 0,
            delay: 0,
            lag: Duration::ZERO,
            stagger: 0,
            hide_vf_ports: false,
            switch_id: None,
        }
    }

    /// The identity of its switch; else it has one of its own. The PFs of one mlx5 card share one.
    #[must_use]
    pub fn switch_id(mut self, id: &[u8]) -> Self {
        self.switch_id = Some(id.to_vec());
        self
    }

    /// devlink shows no ports for VFs, as kernels before 5.9.
    #[must_use]
    pub fn hide_vf_ports(mut self) -> Self {
        self.hide_vf_ports = true;
        self
    }

    /// How many VFs it can have.
    #[must_use]
    pub fn total_vfs(mut self, n: u16) -> Self {
        self.total_vfs = n;
        self
    }

    /// Its PF number within the NIC.
    #[must_use]
    pub fn pf_number(mut self, n: u16) -> Self {
        self.pf_number = n;
        self
    }

    /// Representors of another host's VFs (a DPU), there whenever the mode is switchdev.
    #[must_use]
    pub fn external_vfs(mut self, n: u16) -> Self {
        self.external_vfs = n;
        self
    }

    /// VFs appear only after so many operations.
    #[must_use]
    pub fn delay(mut self, operations: u32) -> Self {
        self.delay = operations;
        self
    }

    /// VFs appear only after so long (and the operations of [`NicSpec::delay`]).
    #[must_use]
    pub fn lag(mut self, time: Duration) -> Self {
        self.lag = time;
        self
    }

    /// Representors appear out of order, the last VF's first, one every so many operations.
    #[must_use]
    pub fn stagger(mut self, operations: u32) -> Self {
        self.stagger = operations;
        self
    }
}

/// What a NIC is like, for tests to compare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NicSnapshot {
    /// Bus and name, as `bus/name`.
    pub device: String,
    /// Switchdev (or legacy).
    pub switchdev: bool,
    /// Inline mode number.
    pub inline_mode: u8,
    /// Encapsulation mode number.
    pub encap_mode: u8,
    /// Whether its uplink lets rules into hardware.
    pub tc_offload: bool,
    /// Its VFs.
    pub vfs: Vec<VfSnapshot>,
    /// Its sub-functions, by number.
    pub sfs: Vec<SfSnapshot>,
    /// The nodes of its rate tree, with their rates in Mbit/s.
    pub rate_nodes: Vec<(String, (u32, u32))>,
}

/// What a sub-function is like.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SfSnapshot {
    /// Number.
    pub number: u32,
    /// Hardware address; zeros when none was given.
    pub mac: [u8; 6],
    /// Is it active?
    pub active: bool,
    /// Whether its representor is up.
    pub representor_up: bool,
    /// MTU of its representor.
    pub representor_mtu: u32,
    /// Whether its representor lets rules into hardware.
    pub representor_offload: bool,
    /// Guaranteed and greatest transmit rate, Mbit/s.
    pub rate: (u32, u32),
    /// The rate node that it belongs to.
    pub rate_parent: Option<String>,
}

/// What a VF is like.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VfSnapshot {
    /// The driver it is bound to.
    pub driver: Option<String>,
    /// The hardware address that was given to it; zeros when none was.
    pub mac: [u8; 6],
    /// Whether its representor is up; `None` without one.
    pub representor_up: Option<bool>,
    /// MTU of its representor; `None` without one.
    pub representor_mtu: Option<u32>,
    /// Whether its representor lets rules into hardware; `None` without one.
    pub representor_offload: Option<bool>,
    /// VLAN id, priority and Ethertype that its packets are tagged with.
    pub vlan: (u16, u8, u16),
    /// Trusted?
    pub trust: bool,
    /// Spoof check on?
    pub spoof_check: bool,
    /// `IFLA_VF_LINK_STATE_*`.
    pub link_state: u32,
    /// Guaranteed and greatest transmit rate, Mbit/s, whichever way they were set.
    pub rate: (u32, u32),
    /// The rate node that it belongs to.
    pub rate_parent: Option<String>,
}

#[derive(Debug, Clone)]
pub(super) struct Netdev {
    pub(super) ifindex: u32,
    pub(super) name: String,
    pub(super) mac: [u8; 6],
    pub(super) mtu: u32,
    pub(super) up: bool,
    pub(super) port_name: Option<String>,
    pub(super) switch_id: Option<Vec<u8>>,
    pub(super) parent: (String, String),
    pub(super) master: Option<u32>,
    /// Mode of a bond; other devices are none.
    pub(super) bond_mode: Option<u8>,
    pub(super) tc_offload: bool,
    /// The driver has the feature hw-tc-offload.
    pub(super) can_tc_offload: bool,
    /// Packets and bytes received, sent.
    pub(super) counters: [u64; 4],
    pub(super) qdiscs: Vec<&'static str>,
}

#[derive(Debug, Clone)]
pub(super) struct Vf {
    pub(super) address: String,
    pub(super) driver: Option<String>,
    pub(super) driver_override: Option<String>,
    pub(super) mac: [u8; 6],
    pub(super) netdev: Option<u32>,
    pub(super) config: VfConfig,
    /// The rate node that it belongs to.
    pub(super) parent: Option<String>,
    /// Packets and bytes received, sent.
    pub(super) counters: [u64; 4],
}

/// Key of a representor.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum RepId {
    /// Controller and VF.
    Vf(u32, u16),
    /// Sub-function number.
    Sf(u32),
}

#[derive(Debug)]
pub(super) struct Nic {
    pub(super) profile: Profile,
    pub(super) name: String,
    pub(super) pf_number: u16,
    pub(super) total_vfs: u16,
    pub(super) switchdev: bool,
    pub(super) inline_mode: u8,
    pub(super) encap_mode: u8,
    pub(super) autoprobe: bool,
    pub(super) uplink: u32,
    pub(super) vfs: Vec<Vf>,
    pub(super) reps: BTreeMap<RepId, u32>,
    pub(super) sfs: BTreeMap<u32, Sf>,
    pub(super) rate_nodes: BTreeMap<String, RateNode>,
    external_vfs: u16,
    /// VFs asked for (`sriov_numvfs`) and, while some are under way, operations until they appear.
    pub(super) num_vfs: u16,
    delay: u32,
    pending: u32,
    lag: Duration,
    ready_at: Option<Instant>,
    stagger: u32,
    stagger_left: u32,
    /// Only so many representors come, although more should: a mode change that was not finished.
    pub(super) reps_stuck_at: Option<usize>,
    pub(super) hide_vf_ports: bool,
    switch_id: Vec<u8>,
}

/// A devlink port of the model.
#[derive(Debug, Clone)]
pub(super) struct PortView {
    pub(super) index: u32,
    pub(super) rep: Option<RepId>,
    pub(super) netdev: Option<u32>,
    pub(super) netdev_name: Option<String>,
}

#[derive(Debug)]
pub(super) enum Event {
    Link { gone: bool, dev: Netdev },
    Port { gone: bool, attrs: Vec<u8> },
    Qdisc { gone: bool, ifindex: u32, kind: &'static str },
}

#[derive(Debug, Default)]
pub(super) struct Host {
    pub(super) nics: Vec<Nic>,
    pub(super) netdevs: BTreeMap<u32, Netdev>,
    last_ifindex: u32,
    events: Vec<Event>,
    /// A renamer like udev: operations until it renames a new representor, and those that wait.
    pub(super) renamer: Option<u32>,
    to_rename: Vec<(u32, u32)>,
    /// Devices that vanish after so many operations.
    pub(super) vanishing: Vec<(String, u32)>,
    pub(super) holders: Vec<netlink::OpenFile>,
}

impl Nic {
    pub(super) fn bus(&self) -> &'static str {
        self.profile.bus()
    }

    pub(super) fn uplink_port(&self, netdevs: &BTreeMap<u32, Netdev>) -> PortView {
        let netdev_name = netdevs.get(&self.uplink).map(|n| n.name.clone());
        PortView { index: self.profile.uplink_port_index(), rep: None, netdev: Some(self.uplink), netdev_name }
    }

    pub(super) fn rep_port(&self, id: RepId, netdevs: &BTreeMap<u32, Netdev>) -> PortView {
        let index = match id {
            // External functions follow the local ones.
            RepId::Vf(controller, vf) => self.profile.vf_port_index(vf) + controller * 256,
            RepId::Sf(number) => 32768 + number,
        };
        let netdev = self.reps.get(&id).copied();
        let netdev_name = netdev.and_then(|i| netdevs.get(&i)).map(|n| n.name.clone());
        PortView { index, rep: Some(id), netdev, netdev_name }
    }

    pub(super) fn rep_at(&self, index: u32, netdevs: &BTreeMap<u32, Netdev>) -> Option<RepId> {
        self.reps.keys().copied().find(|&id| self.rep_port(id, netdevs).index == index)
    }
}

fn switch_id_of(name: &str) -> Vec<u8> {
    let seed = name.bytes().fold(7u8, |a, b| a.wrapping_mul(31).wrapping_add(b));
    vec![seed, 0x0a, 0x42, 0, 3, 0x5c, 0x72, seed ^ 0x55]
}

impl Host {
    pub(super) fn take_events(&mut self) -> Vec<Event> {
        std::mem::take(&mut self.events)
    }

    pub(super) fn add_nic(&mut self, spec: NicSpec) {
        let nic = Nic {
            profile: spec.profile,
            switch_id: spec.switch_id.unwrap_or_else(|| switch_id_of(&spec.name)),
            name: spec.name,
            pf_number: spec.pf_number,
            total_vfs: spec.total_vfs,
            switchdev: false,
            inline_mode: 0,
            encap_mode: u8::from(spec.profile.eswitch_extras()),
            autoprobe: true,
            uplink: 0,
            vfs: Vec::new(),
            reps: BTreeMap::new(),
            external_vfs: spec.external_vfs,
            num_vfs: 0,
            delay: spec.delay,
            pending: 0,
            sfs: BTreeMap::new(),
            rate_nodes: BTreeMap::new(),
            lag: spec.lag,
            ready_at: None,
            stagger: spec.stagger,
            stagger_left: 0,
            reps_stuck_at: None,
            hide_vf_ports: spec.hide_vf_ports,
        };
        let parent = (nic.bus().to_owned(), nic.name.clone());
        let port_name = nic.profile.devlink().then(|| format!("p{}", nic.pf_number));
        let uplink = self.add_netdev(Some(spec.uplink), port_name, None, parent);
        if let Some(dev) = self.netdevs.get_mut(&uplink) {
            dev.can_tc_offload = nic.profile.devlink();
        }
        let at = self.nics.len();
        self.nics.push(Nic { uplink, ..nic });
        if self.nics[at].profile.devlink() {
            let port = self.nics[at].uplink_port(&self.netdevs);
            self.port_event(at, false, port);
        }
    }

    pub(super) fn add_netdev(
        &mut self,
        name: Option<String>,
        port_name: Option<String>,
        switch_id: Option<Vec<u8>>,
        parent: (String, String),
    ) -> u32 {
        self.last_ifindex += 1;
        let ifindex = self.last_ifindex + 1;
        let taken = |n: &str| self.netdevs.values().any(|d| d.name == n);
        let name = name
            .filter(|n| n.len() <= IFNAME_MAX && !taken(n))
            .or_else(|| (0..).map(|i| format!("eth{i}")).find(|n| !taken(n)))
            .unwrap_or_default();
        let [a, b, c, d] = ifindex.to_be_bytes();
        let dev = Netdev {
            ifindex,
            name,
            mac: [2, 0x5e, a, b, c, d],
            mtu: 1500,
            up: false,
            can_tc_offload: switch_id.is_some(),
            port_name,
            switch_id,
            parent,
            master: None,
            bond_mode: None,
            tc_offload: false,
            counters: [0; 4],
            qdiscs: Vec::new(),
        };
        self.events.push(Event::Link { gone: false, dev: dev.clone() });
        self.netdevs.insert(ifindex, dev);
        ifindex
    }

    pub(super) fn remove_netdev(&mut self, ifindex: u32) {
        if let Some(dev) = self.netdevs.remove(&ifindex) {
            self.events.push(Event::Link { gone: true, dev });
        }
    }

    pub(super) fn touch(&mut self, ifindex: u32) {
        if let Some(dev) = self.netdevs.get(&ifindex) {
            self.events.push(Event::Link { gone: false, dev: dev.clone() });
        }
    }

    pub(super) fn rename(&mut self, from: &str, to: &str) -> bool {
        if to.is_empty() || to.len() > IFNAME_MAX || self.netdevs.values().any(|d| d.name == to) {
            return false;
        }
        let Some(dev) = self.netdevs.values_mut().find(|d| d.name == from) else { return false };
        dev.name = to.to_owned();
        let ifindex = dev.ifindex;
        self.touch(ifindex);
        true
    }

    pub(super) fn port_event(&mut self, at: usize, gone: bool, port: PortView) {
        // As it is at this moment: it may be gone when the event is sent.
        let attrs = super::devlink::port_attrs(&self.nics[at], &port);
        self.events.push(Event::Port { gone, attrs });
    }

    pub(super) fn qdisc(&mut self, name: &str, kind: &'static str, present: bool) -> bool {
        let Some(dev) = self.netdevs.values_mut().find(|d| d.name == name) else { return false };
        let had = dev.qdiscs.contains(&kind);
        dev.qdiscs.retain(|k| *k != kind);
        if present {
            dev.qdiscs.push(kind);
        }
        let ifindex = dev.ifindex;
        if had != present {
            self.events.push(Event::Qdisc { gone: had, ifindex, kind });
        }
        had != present
    }

    /// The device is pulled out: no orderly way down.
    pub(super) fn remove_nic(&mut self, name: &str) -> bool {
        let Some(at) = self.nics.iter().position(|n| n.name == name) else { return false };
        let keys: Vec<RepId> = self.nics[at].reps.keys().copied().collect();
        for key in keys {
            self.remove_rep(at, key);
        }
        for vf in 0..self.nics[at].vfs.len() {
            self.unbind(at, vf);
        }
        if self.nics[at].profile.devlink() {
            let port = self.nics[at].uplink_port(&self.netdevs);
            self.port_event(at, true, port);
        }
        let nic = self.nics.remove(at);
        self.remove_netdev(nic.uplink);
        true
    }

    pub(super) fn find(&self, bus: &str, name: &str) -> Option<usize> {
        self.nics.iter().position(|n| n.bus() == bus && n.name == name)
    }

    /// The VF at PCI address `address`: (NIC, VF).
    pub(super) fn find_vf(&self, address: &str) -> Option<(usize, usize)> {
        self.nics.iter().enumerate().find_map(|(at, nic)| {
            let vf = nic.vfs.iter().position(|vf| vf.address == address)?;
            nic.profile.pci_vfs().then_some((at, vf))
        })
    }

    /// `devlink dev eswitch set mode`.
    pub(super) fn set_mode(&mut self, at: usize, switchdev: bool) -> Result<(), Refusal> {
        let nic = &self.nics[at];
        if nic.switchdev == switchdev {
            return Ok(());
        }
        match nic.profile.mode_rule() {
            ModeRule::OnlyWithoutVfs { errno, text } if nic.num_vfs > 0 => return Err((errno, text.to_owned())),
            ModeRule::OnlyWithUnboundVfs { errno, text }
                if nic.num_vfs == 0 && switchdev
                    || nic.vfs.iter().any(|vf| vf.driver.is_some())
                    || nic.vfs.len() != usize::from(nic.num_vfs) =>
            {
                return Err((errno, text.to_owned()));
            }
            _ => {}
        }
        if !switchdev && !nic.rate_nodes.is_empty() {
            return Err((EBUSY, "Rate node(s) exists".to_owned()));
        }
        let nic = &mut self.nics[at];
        nic.switchdev = switchdev;
        nic.reps_stuck_at = None;
        if !switchdev {
            // Sub-functions live on the eswitch.
            nic.sfs.clear();
        }
        self.update_reps(at);
        Ok(())
    }

    /// A write to `sriov_numvfs`.
    pub(super) fn set_num_vfs(&mut self, at: usize, n: u16) -> Result<(), Refusal> {
        let nic = &mut self.nics[at];
        if n == nic.num_vfs {
            return Ok(());
        }
        if n > nic.total_vfs {
            return Err(refuse(ERANGE));
        }
        if n == 0 && nic.profile == Profile::Netdevsim {
            // bus.c, dev.c: without VFs it falls back to legacy, and takes all down that lives on the eswitch.
            nic.switchdev = false;
            nic.sfs.clear();
            nic.rate_nodes.clear();
        }
        // pci-sysfs.c: from one number to another only through 0.
        if n > 0 && nic.num_vfs > 0 {
            return Err(refuse(EBUSY));
        }
        nic.num_vfs = n;
        nic.pending = nic.delay;
        nic.ready_at = (nic.lag > Duration::ZERO).then(|| Instant::now() + nic.lag);
        if n == 0 || nic.pending == 0 && nic.ready_at.is_none() {
            self.settle_vfs(at);
        }
        Ok(())
    }

    /// Time passes by one operation.
    pub(super) fn tick(&mut self) {
        for at in 0..self.nics.len() {
            let nic = &mut self.nics[at];
            let waits = nic.pending > 0 || nic.ready_at.is_some();
            nic.pending = nic.pending.saturating_sub(1);
            if waits && nic.pending == 0 && nic.ready_at.is_none_or(|t| t <= Instant::now()) {
                self.settle_vfs(at);
            }
            let nic = &mut self.nics[at];
            if nic.stagger > 0 {
                nic.stagger_left = nic.stagger_left.saturating_sub(1);
                self.update_reps(at);
            }
        }
        for (_, left) in &mut self.to_rename {
            *left = left.saturating_sub(1);
        }
        for ifindex in self.to_rename.extract_if(.., |(_, left)| *left == 0).map(|(i, _)| i).collect::<Vec<_>>() {
            if let Some(name) = self.netdevs.get(&ifindex).map(|d| d.name.clone()) {
                self.rename(&name, &format!("ren{ifindex}"));
            }
        }
        for (_, left) in &mut self.vanishing {
            *left = left.saturating_sub(1);
        }
        for name in self.vanishing.extract_if(.., |(_, left)| *left == 0).map(|(n, _)| n).collect::<Vec<_>>() {
            self.remove_nic(&name);
        }
    }

    pub(super) fn finish_pending(&mut self) {
        for at in 0..self.nics.len() {
            self.nics[at].stagger = 0;
            self.settle_vfs(at);
        }
        self.vanishing.clear();
    }

    /// Makes the VFs that exist as many as were asked for.
    fn settle_vfs(&mut self, at: usize) {
        let (want, have) = (usize::from(self.nics[at].num_vfs), self.nics[at].vfs.len());
        self.nics[at].pending = 0;
        self.nics[at].ready_at = None;
        for n in have..want {
            let address = vf_address(&self.nics[at].name, n);
            let config = VfConfig::of(self.nics[at].profile);
            self.nics[at].vfs.push(Vf {
                address,
                driver: None,
                driver_override: None,
                mac: [0; 6],
                netdev: None,
                config,
                parent: None,
                counters: [0; 4],
            });
            if self.nics[at].autoprobe && self.nics[at].profile.pci_vfs() {
                let driver = self.nics[at].profile.vf_driver().to_owned();
                self.bind(at, n, driver);
            }
        }
        for n in want..have {
            self.unbind(at, n);
        }
        self.nics[at].vfs.truncate(want);
        self.update_reps(at);
    }

    pub(super) fn bind(&mut self, at: usize, vf: usize, driver: String) {
        let nic = &self.nics[at];
        let makes_netdev = driver == nic.profile.vf_driver() && nic.profile.pci_vfs();
        let parent = ("pci".to_owned(), nic.vfs[vf].address.clone());
        let name = self.netdevs.get(&nic.uplink).map(|u| format!("{}v{vf}", u.name));
        let netdev = makes_netdev.then(|| self.add_netdev(name, None, None, parent));
        let vf = &mut self.nics[at].vfs[vf];
        vf.driver = Some(driver);
        vf.netdev = netdev;
    }

    pub(super) fn unbind(&mut self, at: usize, vf: usize) {
        self.nics[at].vfs[vf].driver = None;
        if let Some(ifindex) = self.nics[at].vfs[vf].netdev.take() {
            self.remove_netdev(ifindex);
        }
    }

    /// Makes the representors those that mode and VFs ask for.
    pub(super) fn update_reps(&mut self, at: usize) {
        let nic = &self.nics[at];
        let (switchdev, id) = (nic.switchdev, nic.switch_id.clone());
        if let Some(uplink) = self.netdevs.get_mut(&nic.uplink) {
            uplink.switch_id = switchdev.then(|| id.clone());
        }
        let local = u16::try_from(nic.vfs.len()).unwrap_or(u16::MAX);
        let mut want: Vec<RepId> = if switchdev {
            let sfs = nic.sfs.keys().map(|&n| RepId::Sf(n));
            (0..local)
                .map(|vf| RepId::Vf(0, vf))
                .chain((0..nic.external_vfs).map(|vf| RepId::Vf(1, vf)))
                .chain(sfs)
                .collect()
        } else {
            Vec::new()
        };
        let gone: Vec<RepId> = nic.reps.keys().filter(|k| !want.contains(k)).copied().collect();
        for key in gone {
            self.remove_rep(at, key);
        }
        if self.nics[at].stagger > 0 {
            want.reverse();
        }
        for key in want {
            let nic = &mut self.nics[at];
            if nic.reps.contains_key(&key) || nic.reps_stuck_at.is_some_and(|n| nic.reps.len() >= n) {
                continue;
            }
            if nic.stagger > 0 {
                if nic.stagger_left > 0 {
                    continue;
                }
                nic.stagger_left = nic.stagger;
            }
            let nic = &self.nics[at];
            let port_name = match key {
                RepId::Vf(0, vf) => format!("pf{}vf{vf}", nic.pf_number),
                RepId::Vf(controller, vf) => format!("c{controller}pf{}vf{vf}", nic.pf_number),
                RepId::Sf(number) => format!("pf{}sf{number}", nic.pf_number),
            };
            let name = self
                .netdevs
                .get(&nic.uplink)
                .filter(|_| !nic.profile.kernel_names())
                .map(|u| format!("{}n{port_name}", u.name));
            let parent = (nic.bus().to_owned(), nic.name.clone());
            let ifindex = self.add_netdev(name, Some(port_name), Some(id.clone()), parent);
            self.nics[at].reps.insert(key, ifindex);
            if let Some(after) = self.renamer {
                self.to_rename.push((ifindex, after.max(1)));
            }
            let port = self.nics[at].rep_port(key, &self.netdevs);
            self.port_event(at, false, port);
        }
    }

    /// Half of the representors of a mode change stay away, until it is made anew.
    pub(super) fn stop_half_way(&mut self) {
        for at in 0..self.nics.len() {
            let count = self.nics[at].reps.len();
            if count > 1 {
                self.nics[at].reps_stuck_at = Some(count / 2);
                let keys: Vec<RepId> = self.nics[at].reps.keys().copied().skip(count / 2).collect();
                for key in keys {
                    self.remove_rep(at, key);
                }
            }
        }
    }

    pub(super) fn add_bond(&mut self, name: &str, mode: u8, ports: &[&str]) {
        let bond = self.add_netdev(Some(name.to_owned()), None, None, (String::new(), String::new()));
        for dev in self.netdevs.values_mut() {
            if dev.ifindex == bond {
                dev.bond_mode = Some(mode);
            } else if ports.contains(&dev.name.as_str()) {
                dev.master = Some(bond);
            }
        }
        let members: Vec<u32> = self.netdevs.values().filter(|d| d.master == Some(bond)).map(|d| d.ifindex).collect();
        members.into_iter().chain([bond]).for_each(|i| self.touch(i));
    }

    fn remove_rep(&mut self, at: usize, key: RepId) {
        let port = self.nics[at].rep_port(key, &self.netdevs);
        self.port_event(at, true, port);
        if let Some(ifindex) = self.nics[at].reps.remove(&key) {
            self.remove_netdev(ifindex);
        }
    }

    pub(super) fn snapshot(&self) -> Vec<NicSnapshot> {
        self.nics
            .iter()
            .map(|nic| {
                let dev = |id: RepId| nic.reps.get(&id).and_then(|i| self.netdevs.get(i));
                let vf = |(n, vf): (u16, &Vf)| VfSnapshot {
                    driver: vf.driver.clone(),
                    mac: vf.mac,
                    representor_up: dev(RepId::Vf(0, n)).map(|d| d.up),
                    representor_mtu: dev(RepId::Vf(0, n)).map(|d| d.mtu),
                    representor_offload: dev(RepId::Vf(0, n)).map(|d| d.tc_offload),
                    vlan: vf.config.vlan_shown(),
                    trust: vf.config.trust,
                    spoof_check: vf.config.spoof_check,
                    link_state: vf.config.link_state,
                    rate: rate_mbit(vf.config.share),
                    rate_parent: vf.parent.clone(),
                };
                let sf = |(&number, sf): (&u32, &Sf)| SfSnapshot {
                    number,
                    mac: sf.mac,
                    active: sf.active,
                    representor_up: dev(RepId::Sf(number)).is_some_and(|d| d.up),
                    representor_mtu: dev(RepId::Sf(number)).map_or(0, |d| d.mtu),
                    representor_offload: dev(RepId::Sf(number)).is_some_and(|d| d.tc_offload),
                    rate: rate_mbit(sf.share),
                    rate_parent: sf.parent.clone(),
                };
                NicSnapshot {
                    device: format!("{}/{}", nic.bus(), nic.name),
                    switchdev: nic.switchdev,
                    inline_mode: nic.inline_mode,
                    encap_mode: nic.encap_mode,
                    tc_offload: self.netdevs.get(&nic.uplink).is_some_and(|d| d.tc_offload),
                    vfs: (0u16..).zip(&nic.vfs).map(vf).collect(),
                    sfs: nic.sfs.iter().map(sf).collect(),
                    rate_nodes: nic
                        .rate_nodes
                        .iter()
                        .map(|(name, node)| (name.clone(), rate_mbit(node.share)))
                        .collect(),
                }
            })
            .collect()
    }
}

/// PCI address of VF `n`: functions behind the PFs' own, 64 set aside for each PF (in hardware: routing by offset and stride).
fn vf_address(pf: &str, n: usize) -> String {
    let Some((base, function)) = pf.rsplit_once(':') else { return format!("{pf}-vf{n}") };
    let function: usize = function.rsplit_once('.').and_then(|(_, f)| f.parse().ok()).unwrap_or(0);
    let at = 2 + function * 64 + n;
    format!("{base}:{:02x}.{}", at / 8, at % 8)
}
