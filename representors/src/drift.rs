//! Noticing that a NIC is not any more as it was left.
//!
//! Events say that something happened, and a fresh reading says what: lost events, events out of order and bursts all
//! end in one comparison of the state that was accepted with the state that is. What has no event at all
//! (`sriov_numvfs` of VFs without network devices, the mode of an eswitch without functions) is found by a look twice
//! a second.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    time::{Duration, Instant},
};

use devlink_rs::{DeviceId, EswitchMode};
use netlink::{Connection, Error, Mac, Protocol, Qdisc, qdiscs};

use crate::{
    error::ObserveError,
    inventory::{Netdev, Nic},
    kernel::Kernel,
    key::{Function, RepName},
    setting::VfSetting,
    step::Port,
    watch::{Change, LONGEST, Watch},
};

/// A difference between how a NIC was left and how it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Drift {
    /// The NIC is gone.
    Gone,
    /// The NIC is there again, or was reset: its uplink's network device is another one.
    Reset,
    /// The eswitch mode was changed.
    Mode {
        /// As it was left.
        from: Option<EswitchMode>,
        /// As it is.
        to: Option<EswitchMode>,
    },
    /// Another setting of the eswitch was changed.
    Eswitch {
        /// What, with its values.
        what: String,
    },
    /// A sub-function was changed.
    SubFunction {
        /// SF number.
        sf: u32,
        /// What, with its values.
        what: String,
    },
    /// The tree of transmit rates was changed.
    Rate {
        /// What, with its values.
        what: String,
    },
    /// The number of VFs was changed.
    Vfs {
        /// As it was left.
        from: u16,
        /// As it is.
        to: u16,
    },
    /// A representor came.
    RepresentorCame(RepName),
    /// A representor went.
    RepresentorGone(RepName),
    /// A network device has another name. It is the same port: nothing needs repair.
    Renamed {
        /// `uplink` or the representor's name, as in its key.
        port: String,
        /// Name before.
        from: String,
        /// Name now.
        to: String,
    },
    /// A network device was set up or down.
    Up {
        /// `uplink` or the representor's name, as in its key.
        port: String,
        /// Now.
        up: bool,
    },
    /// MTU or `hw-tc-offload` of a network device was changed.
    Netdev {
        /// `uplink` or the representor's name, as in its key.
        port: String,
        /// What, with its values.
        what: String,
    },
    /// A VF has another driver.
    Driver {
        /// VF.
        vf: u16,
        /// As it was left.
        from: Option<String>,
        /// As it is.
        to: Option<String>,
    },
    /// A setting of a VF was changed.
    Setting {
        /// VF.
        vf: u16,
        /// As it was left.
        from: VfSetting,
        /// As it is; `None`: not shown any more.
        to: Option<VfSetting>,
    },
    /// The qdisc that rules hang on was removed, with all its rules.
    QdiscRemoved {
        /// `uplink` or the representor's name, as in its key.
        port: String,
        /// `clsact` or `ingress`.
        kind: String,
    },
}

impl fmt::Display for Drift {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mode = |m: &Option<EswitchMode>| m.map_or_else(|| "none".to_owned(), |m| m.to_string());
        let driver = |d: &Option<String>| d.clone().unwrap_or_else(|| "none".to_owned());
        match self {
            Drift::Gone => f.write_str("the device is gone"),
            Drift::Reset => f.write_str("the device was reset or plugged in again"),
            Drift::Mode { from, to } => write!(f, "eswitch mode changed from {} to {}", mode(from), mode(to)),
            Drift::Eswitch { what } => write!(f, "eswitch {what}"),
            Drift::SubFunction { sf, what } => write!(f, "SF {sf}: {what}"),
            Drift::Rate { what } => write!(f, "transmit rates: {what}"),
            Drift::Vfs { from, to } => write!(f, "number of VFs changed from {from} to {to}"),
            Drift::RepresentorCame(name) => write!(f, "representor {name} came"),
            Drift::RepresentorGone(name) => write!(f, "representor {name} went"),
            Drift::Renamed { port, from, to } => write!(f, "interface of {port} renamed from {from} to {to}"),
            Drift::Up { port, up } => write!(f, "interface of {port} set {}", if *up { "up" } else { "down" }),
            Drift::Netdev { port, what } => write!(f, "interface of {port}: {what}"),
            Drift::Driver { vf, from, to } => {
                write!(f, "driver of VF {vf} changed from {} to {}", driver(from), driver(to))
            }
            Drift::Setting { vf, from, to: Some(to) } => write!(f, "VF {vf} changed from {from} to {to}"),
            Drift::Setting { vf, from, to: None } => write!(f, "VF {vf} shows no {} any more", from.name()),
            Drift::QdiscRemoved { port, kind } => write!(f, "qdisc {kind} of {port} was removed, and its rules"),
        }
    }
}

impl Drift {
    /// Is something not as desired any more (rather than only called otherwise)?
    #[must_use]
    pub fn needs_repair(&self) -> bool {
        !matches!(self, Drift::Renamed { .. })
    }
}

/// One NIC with its drift.
pub type NicDrift = (DeviceId, Drift);

/// A NIC as it was seen last, with the qdiscs that rules hang on, by port.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Seen {
    nic: Option<Nic>,
    qdiscs: BTreeSet<(String, String)>,
    /// Interface index of the uplink, or of the last one that there was: a device that comes back has none for a moment.
    uplink: Option<u32>,
}

impl Seen {
    fn new(nic: Option<Nic>, all: &[Qdisc]) -> Self {
        let qdiscs = nic.as_ref().map(|n| rule_qdiscs(n, all)).unwrap_or_default();
        let uplink = nic.as_ref().and_then(|n| n.uplink.as_ref()?.netdev.as_ref()).map(|d| d.ifindex);
        Seen { nic, qdiscs, uplink }
    }

    /// A representor that was read while it was being made, or that went and came, has no network device for a moment. What
    /// it had counts until there is one again: else nobody would be told that it is called otherwise since.
    fn keep_netdevs(&mut self, before: Option<&Nic>) {
        for rep in self.nic.iter_mut().flat_map(|nic| &mut nic.representors).filter(|r| r.netdev.is_none()) {
            rep.netdev = before.and_then(|nic| nic.representors.iter().find(|r| r.key == rep.key)?.netdev.clone());
        }
    }

    /// What differs now; `now` is what was seen last from then on.
    fn turn_into(&mut self, mut now: Seen) -> Vec<Drift> {
        let drifts = compare(self, &now);
        if now.nic.is_some() {
            now.uplink = now.uplink.or(self.uplink);
        }
        now.keep_netdevs(self.nic.as_ref());
        *self = now;
        drifts
    }
}

/// Watches NICs for changes that others make. It blocks and belongs on a control thread.
#[derive(Debug)]
pub struct DriftWatch {
    watch: Watch,
    rtnetlink: Connection,
    seen: BTreeMap<DeviceId, Seen>,
    looked: Instant,
}

impl DriftWatch {
    /// How often it looks without an event.
    pub const LOOK: Duration = Duration::from_millis(500);
    /// How long events are gathered before one look at what they are about: a mode change is hundreds of them.
    pub const GATHER: Duration = Duration::from_millis(50);

    /// Watches `devices`, as they are now.
    ///
    /// # Errors
    /// [`ObserveError`] when sockets cannot be opened or the state cannot be read.
    pub fn open(kernel: &mut Kernel, devices: &[DeviceId]) -> Result<Self, ObserveError> {
        let watch = Watch::open(kernel)?;
        let transport = kernel.access().open(Protocol::Route).map_err(|source| Error::Io { op: "open", source })?;
        let mut drift = DriftWatch {
            watch,
            rtnetlink: Connection::new(transport),
            seen: devices.iter().map(|d| (d.clone(), Seen::default())).collect(),
            looked: Instant::now(),
        };
        drift.accept(kernel)?;
        Ok(drift)
    }

    /// Takes the state as it is now for what it should be: to be called after changes of our own.
    ///
    /// # Errors
    /// As [`DriftWatch::open`].
    pub fn accept(&mut self, kernel: &mut Kernel) -> Result<(), ObserveError> {
        self.look(kernel).map(drop)
    }

    /// What differs from the state that was accepted or told last; empty when nothing did within `timeout`. What is
    /// told is known from then on.
    ///
    /// # Errors
    /// [`ObserveError`] when sockets fail or the state cannot be read.
    pub fn next(&mut self, kernel: &mut Kernel, timeout: Duration) -> Result<Vec<NicDrift>, ObserveError> {
        let deadline = Instant::now() + timeout.min(LONGEST);
        loop {
            let now = Instant::now();
            let due = self.looked + Self::LOOK;
            let event = self.watch.next(due.min(deadline).saturating_duration_since(now))?;
            if event.is_some() {
                self.gather()?;
            }
            if event.is_some() || Instant::now() >= due {
                let drifts = self.look(kernel)?;
                if !drifts.is_empty() {
                    return Ok(drifts);
                }
            }
            if Instant::now() >= deadline {
                return Ok(Vec::new());
            }
        }
    }

    /// Reads events until they pause, for a bounded time.
    fn gather(&mut self) -> Result<(), Error> {
        let end = Instant::now() + Self::GATHER;
        while let Some(left) = end.checked_duration_since(Instant::now()) {
            // After a loss there is nothing to wait for: what was lost is in the state.
            match self.watch.next(left.min(Duration::from_millis(5)))? {
                Some(Change::Resync { .. }) | None => break,
                Some(_) => {}
            }
        }
        Ok(())
    }

    fn look(&mut self, kernel: &mut Kernel) -> Result<Vec<NicDrift>, ObserveError> {
        self.looked = Instant::now();
        let all = match qdiscs(&mut self.rtnetlink) {
            Ok(all) => all,
            Err(e) if e.is_unsupported() => Vec::new(),
            Err(e) => return Err(e.into()),
        };
        // All or nothing: what was seen of one NIC must be told, also when the next one cannot be read.
        let mut found = Vec::with_capacity(self.seen.len());
        for device in self.seen.keys() {
            let nic = match kernel.nic(device) {
                Ok(nic) => Some(nic),
                Err(ObserveError::NoSuchNic(_)) => None,
                Err(e) => return Err(e),
            };
            found.push(Seen::new(nic, &all));
        }
        let mut drifts = Vec::new();
        for ((device, seen), now) in self.seen.iter_mut().zip(found) {
            drifts.extend(seen.turn_into(now).into_iter().map(|drift| (device.clone(), drift)));
        }
        Ok(drifts)
    }
}

/// The network devices of a NIC's eswitch, with what they are called in drifts.
fn ports(nic: &Nic) -> BTreeMap<String, &Netdev> {
    let uplink = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref()).map(|d| (Port::Uplink.to_string(), d));
    let reps = nic.representors.iter().filter_map(|r| Some((r.key.name.to_string(), r.netdev.as_ref()?)));
    uplink.into_iter().chain(reps).collect()
}

fn rule_qdiscs(nic: &Nic, all: &[Qdisc]) -> BTreeSet<(String, String)> {
    let ports = ports(nic);
    let of = |(name, dev): (&String, &&Netdev)| {
        let mine = all.iter().filter(|q| q.ifindex == dev.ifindex && q.holds_rules());
        mine.map(|q| (name.clone(), q.kind.clone())).collect::<Vec<_>>()
    };
    ports.iter().flat_map(of).collect()
}

fn compare(was: &Seen, now: &Seen) -> Vec<Drift> {
    let (old, new) = match (&was.nic, &now.nic) {
        (None, None) => return Vec::new(),
        (Some(_), None) => return vec![Drift::Gone],
        (None, Some(_)) => return vec![Drift::Reset],
        (Some(old), Some(new)) => (old, new),
    };
    let mut drifts = Vec::new();
    if was.uplink.zip(now.uplink).is_some_and(|(old, new)| old != new) {
        drifts.push(Drift::Reset);
    }
    drifts.extend(nic_drifts(old, new));
    let after = ports(new);
    for (port, kind) in was.qdiscs.difference(&now.qdiscs).filter(|(port, _)| after.contains_key(port)) {
        drifts.push(Drift::QdiscRemoved { port: port.clone(), kind: kind.clone() });
    }
    drifts
}

/// What differs between two states of one NIC.
pub(crate) fn nic_drifts(old: &Nic, new: &Nic) -> Vec<Drift> {
    let mut drifts = Vec::new();
    if old.mode != new.mode {
        drifts.push(Drift::Mode { from: old.mode, to: new.mode });
    }
    let eswitch = [
        changed("inline mode", old.inline_mode, new.inline_mode),
        changed("encapsulation mode", old.encap_mode, new.encap_mode),
    ];
    drifts.extend(eswitch.into_iter().flatten().map(|what| Drift::Eswitch { what }));
    if old.num_vfs() != new.num_vfs() {
        drifts.push(Drift::Vfs { from: old.num_vfs(), to: new.num_vfs() });
    }
    let names = |nic: &Nic| nic.representors.iter().map(|r| r.key.name).collect::<BTreeSet<_>>();
    let (before, after) = (names(old), names(new));
    drifts.extend(before.difference(&after).map(|n| Drift::RepresentorGone(*n)));
    drifts.extend(after.difference(&before).map(|n| Drift::RepresentorCame(*n)));
    let (before, after) = (ports(old), ports(new));
    for (port, (old, new)) in before.iter().filter_map(|(port, dev)| Some((port, (dev, after.get(port)?)))) {
        netdev_drifts(port, old, new, &mut drifts);
    }
    for (sf, was) in old.sfs() {
        let Some(now) = new.representor_of(Function::Sf(sf)) else { continue };
        let differences = [
            changed("state", was.function_state, now.function_state),
            changed("address", was.function_mac.map(Mac), now.function_mac.map(Mac)),
            changed("rate", was.rate.map(VfSetting::Rate), now.rate.map(VfSetting::Rate)),
        ];
        drifts.extend(differences.into_iter().flatten().map(|what| Drift::SubFunction { sf, what }));
    }
    rate_drifts(old, new, &mut drifts);
    for vf in new.vfs.iter().filter(|vf| old.vf(vf.index).is_some()) {
        let before = old.vf(vf.index).and_then(|v| v.driver.clone());
        if before != vf.driver {
            drifts.push(Drift::Driver { vf: vf.index, from: before, to: vf.driver.clone() });
        }
        for from in VfSetting::all_of(old, vf.index) {
            let to = from.now(new, vf.index);
            if to != Some(from) {
                drifts.push(Drift::Setting { vf: vf.index, from, to });
            }
        }
    }
    drifts
}

/// Nodes of the rate tree, and who belongs to which.
fn rate_drifts(old: &Nic, new: &Nic, drifts: &mut Vec<Drift>) {
    for (name, was) in &old.rate_nodes {
        let Some(now) = new.rate_nodes.get(name) else {
            drifts.push(Drift::Rate { what: format!("node {name} went") });
            continue;
        };
        let differences = [
            changed("limits", Some(VfSetting::Rate(was.rate)), Some(VfSetting::Rate(now.rate))),
            changed("parent", was.parent.as_ref(), now.parent.as_ref()),
        ];
        drifts
            .extend(differences.into_iter().flatten().map(|what| Drift::Rate { what: format!("node {name} {what}") }));
    }
    let came = new.rate_nodes.keys().filter(|name| !old.rate_nodes.contains_key(*name));
    drifts.extend(came.map(|name| Drift::Rate { what: format!("node {name} came") }));
    for was in &old.representors {
        let now = new.representors.iter().find(|r| r.key == was.key);
        let differs = now.and_then(|now| changed("node", was.rate_parent.as_ref(), now.rate_parent.as_ref()));
        drifts.extend(differs.map(|what| Drift::Rate { what: format!("{} {what}", was.key.name) }));
    }
}

/// What differs, in words.
fn changed<T: PartialEq + fmt::Display>(name: &str, old: Option<T>, new: Option<T>) -> Option<String> {
    let text = |value: Option<T>| value.map_or_else(|| "none".to_owned(), |v| v.to_string());
    (old != new).then(|| format!("{name} changed from {} to {}", text(old), text(new)))
}

fn netdev_drifts(port: &str, old: &Netdev, new: &Netdev, drifts: &mut Vec<Drift>) {
    let port = || port.to_owned();
    if old.name != new.name {
        drifts.push(Drift::Renamed { port: port(), from: old.name.clone(), to: new.name.clone() });
    }
    if old.up != new.up {
        drifts.push(Drift::Up { port: port(), up: new.up });
    }
    let on = |on: bool| if on { "on" } else { "off" };
    let differences =
        [changed("MTU", old.mtu, new.mtu), changed("hw-tc-offload", old.tc_offload.map(on), new.tc_offload.map(on))];
    drifts.extend(differences.into_iter().flatten().map(|what| Drift::Netdev { port: port(), what }));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::Uplink;

    fn seen(uplink: Option<u32>) -> Seen {
        let dev = |ifindex| Netdev {
            ifindex,
            name: format!("eth{ifindex}"),
            mac: None,
            mtu: None,
            up: true,
            carrier: None,
            switch_id: None,
            port_name: None,
            tc_offload: None,
        };
        let uplink = Uplink { port: None, number: None, netdev: uplink.map(dev), lag: None };
        let nic = Nic {
            device: DeviceId::new("netdevsim", "netdevsim1"),
            driver: None,
            mode: None,
            inline_mode: None,
            encap_mode: None,
            sriov: None,
            uplink: Some(uplink),
            vfs: Vec::new(),
            representors: Vec::new(),
            rate_nodes: BTreeMap::new(),
        };
        Seen::new(Some(nic), &[])
    }

    #[test]
    fn a_look_at_a_device_that_has_no_uplink_yet_does_not_hide_that_it_is_another() {
        let mut now = seen(Some(3));
        assert_eq!(now.turn_into(seen(None)), []);
        assert_eq!(now.turn_into(seen(None)), []);
        assert_eq!(now.turn_into(seen(Some(7))), [Drift::Reset]);
        assert_eq!(now.turn_into(seen(Some(7))), []);
        // Seen gone, it is told once.
        assert_eq!(now.turn_into(Seen::default()), [Drift::Gone]);
        assert_eq!(now.turn_into(seen(None)), [Drift::Reset]);
        assert_eq!(now.turn_into(seen(Some(9))), []);
    }
}
