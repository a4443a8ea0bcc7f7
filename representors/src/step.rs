//! Single steps: what they are, and how to see that they are done.

use std::fmt;

use devlink_rs::{EncapMode, EswitchMode, FunctionState, InlineMode};
use netlink::{Error, Mac, VfRate};

use crate::{
    error::Cause,
    inventory::{Netdev, Nic, Vf},
    key::Function,
    setting::VfSetting,
};

const EAGAIN: i32 = 11;
const EBUSY: i32 = 16;
const EINVAL: i32 = 22;

/// Which driver a VF is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum VfDriver {
    /// None.
    Unbound,
    /// This one.
    Named(String),
}

impl VfDriver {
    pub(crate) fn of(vf: &Vf) -> Self {
        vf.driver.clone().map_or(VfDriver::Unbound, VfDriver::Named)
    }
}

/// Which network device of an eswitch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Port {
    /// The uplink's.
    Uplink,
    /// The representor's of a function of this host.
    Representor(Function),
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Port::Uplink => f.write_str("uplink"),
            Port::Representor(Function::Pf) => f.write_str("representor of the PF"),
            Port::Representor(Function::Vf(n)) => write!(f, "representor of VF {n}"),
            Port::Representor(Function::Sf(n)) => write!(f, "representor of SF {n}"),
        }
    }
}

/// One change of a NIC.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Write `sriov_numvfs`.
    SetVfs {
        /// Number before.
        from: u16,
        /// Number after.
        to: u16,
    },
    /// Change the eswitch mode.
    SetMode {
        /// Before.
        from: EswitchMode,
        /// After.
        to: EswitchMode,
    },
    /// Change the inline mode.
    SetInlineMode(InlineMode),
    /// Change the encapsulation mode.
    SetEncapMode(EncapMode),
    /// Take a VF from its driver while the mode changes. Which driver is due afterwards is written into its
    /// `driver_override`, so that it is known even after a crash.
    ReleaseVf {
        /// VF number.
        vf: u16,
        /// The driver that it is to have in the end; `None`: no driver.
        rebind: Option<String>,
    },
    /// Bind a VF to a driver, or unbind it.
    SetVfDriver {
        /// VF number.
        vf: u16,
        /// Driver.
        driver: VfDriver,
    },
    /// Change a setting of a VF.
    SetVf {
        /// VF number.
        vf: u16,
        /// Setting.
        setting: VfSetting,
    },
    /// Add a sub-function (`devlink port add`).
    AddSf {
        /// SF number.
        sf: u32,
    },
    /// Give a sub-function its hardware address.
    SetSfMac {
        /// SF number.
        sf: u32,
        /// Address.
        mac: [u8; 6],
    },
    /// Give a sub-function its transmit rates, Mbit/s.
    SetSfRate {
        /// SF number.
        sf: u32,
        /// Rates.
        rate: VfRate,
    },
    /// Make a function's transmit rate belong to a node of the rate tree.
    SetRateParent {
        /// Whose.
        of: Function,
        /// The node's name; empty: to none.
        node: String,
    },
    /// Make a sub-function active, or inactive.
    SetSfActive {
        /// SF number.
        sf: u32,
        /// Active.
        active: bool,
    },
    /// Remove a sub-function (`devlink port del`).
    RemoveSf {
        /// SF number.
        sf: u32,
    },
    /// Change the MTU of a representor.
    SetRepresentorMtu {
        /// Whose.
        of: Function,
        /// Bytes.
        mtu: u32,
    },
    /// Bring a representor up, or down.
    SetRepresentorUp {
        /// Whose.
        of: Function,
        /// Up.
        up: bool,
    },
    /// Let rules into hardware, or not (`ethtool -K ... hw-tc-offload`).
    SetTcOffload {
        /// On which network device.
        port: Port,
        /// On.
        on: bool,
    },
}

impl fmt::Display for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Step::SetVfs { from, to: 0 } => write!(f, "remove all {from} VFs"),
            Step::SetVfs { to, .. } => write!(f, "create {to} VFs"),
            Step::SetMode { from, to } => write!(f, "change eswitch mode from {from} to {to}"),
            Step::SetInlineMode(mode) => write!(f, "set eswitch inline mode {mode}"),
            Step::SetEncapMode(mode) => write!(f, "set eswitch encapsulation mode {mode}"),
            Step::ReleaseVf { vf, .. } | Step::SetVfDriver { vf, driver: VfDriver::Unbound } => {
                write!(f, "unbind VF {vf} from its driver")
            }
            Step::SetVfDriver { vf, driver: VfDriver::Named(driver) } => write!(f, "bind VF {vf} to {driver}"),
            Step::SetVf { vf, setting: VfSetting::Mac(mac) } => write!(f, "set address of VF {vf} to {}", Mac(*mac)),
            Step::SetVf { vf, setting } => write!(f, "set VF {vf} {setting}"),
            Step::AddSf { sf } => write!(f, "add SF {sf}"),
            Step::SetSfMac { sf, mac } => write!(f, "set SF {sf} address {}", Mac(*mac)),
            Step::SetSfRate { sf, rate } => write!(f, "set SF {sf} {}", VfSetting::Rate(*rate)),
            Step::SetRateParent { of, node } if node.is_empty() => {
                write!(f, "take {} out of its rate node", Port::Representor(*of))
            }
            Step::SetRateParent { of, node } => write!(f, "put {} into rate node {node}", Port::Representor(*of)),
            Step::SetSfActive { sf, active: true } => write!(f, "activate SF {sf}"),
            Step::SetSfActive { sf, active: false } => write!(f, "deactivate SF {sf}"),
            Step::RemoveSf { sf } => write!(f, "remove SF {sf}"),
            Step::SetRepresentorMtu { of, mtu } => write!(f, "set MTU of {} to {mtu}", Port::Representor(*of)),
            Step::SetRepresentorUp { of, up: true } => write!(f, "bring {} up", Port::Representor(*of)),
            Step::SetRepresentorUp { of, up: false } => write!(f, "bring {} down", Port::Representor(*of)),
            Step::SetTcOffload { port, on } => {
                write!(f, "turn hw-tc-offload of {port} {}", if *on { "on" } else { "off" })
            }
        }
    }
}

impl Step {
    /// Changes which VFs there are, or what they hang on: what comes later depends on it.
    pub(crate) fn is_structural(&self) -> bool {
        matches!(self, Step::SetVfs { .. } | Step::SetMode { .. } | Step::ReleaseVf { .. })
    }

    /// May both be asked for before either is seen to be done? Not when one builds on the other: a VF's driver on its settings, and
    /// everything on modes, numbers of VFs and sub-functions.
    pub(crate) fn goes_with(&self, other: &Step) -> bool {
        let kind = |step: &Step| match step {
            Step::ReleaseVf { .. } => Some(0),
            Step::SetVf { .. } => Some(1),
            Step::SetVfDriver { .. } => Some(2),
            Step::SetRateParent { .. } => Some(4),
            Step::SetRepresentorMtu { .. } | Step::SetRepresentorUp { .. } | Step::SetTcOffload { .. } => Some(3),
            _ => None,
        };
        kind(self).is_some() && kind(self) == kind(other)
    }

    /// Is this refusal one of a VF that is being reset, or of a PF whose link is yet to come up? A new number of VFs
    /// resets the PF, and igb takes a rate (`EINVAL`) only with the link up.
    pub(crate) fn may_pass_later(&self, refusal: &Error, nic: &Nic) -> bool {
        let Step::SetVf { setting, .. } = self else { return false };
        let carrier = netdev(nic, Port::Uplink).and_then(|d| d.carrier);
        match refusal.errno() {
            Some(EAGAIN | EBUSY) => true,
            Some(EINVAL) => matches!(setting, VfSetting::Rate(_)) && carrier != Some(true),
            _ => false,
        }
    }

    /// `Ok` when `nic` shows the step done, else what it shows.
    pub(crate) fn check(&self, nic: &Nic) -> Result<(), String> {
        let same =
            |ok: bool, what: &str, got: &dyn fmt::Debug| if ok { Ok(()) } else { Err(format!("{what} is {got:?}")) };
        let vf_of = |vf: u16| nic.vf(vf).ok_or_else(|| format!("VF {vf} is not there"));
        match self {
            Step::SetVfs { to, .. } => {
                same(nic.num_vfs() == *to, "the number of VFs", &nic.num_vfs())?;
                nic.unsettled().map_or(Ok(()), Err)
            }
            Step::SetMode { to, .. } => {
                same(nic.mode == Some(*to), "the mode", &nic.mode)?;
                nic.unsettled().map_or(Ok(()), Err)
            }
            Step::SetInlineMode(mode) => same(nic.inline_mode == Some(*mode), "the inline mode", &nic.inline_mode),
            Step::SetEncapMode(mode) => same(nic.encap_mode == Some(*mode), "the encapsulation mode", &nic.encap_mode),
            Step::ReleaseVf { vf, .. } => {
                let vf = vf_of(*vf)?;
                same(vf.driver.is_none(), "its driver", &vf.driver)
            }
            Step::SetVfDriver { vf, driver } => {
                let vf = vf_of(*vf)?;
                same(VfDriver::of(vf) == *driver, "its driver", &vf.driver)
            }
            Step::SetVf { vf, setting } => match setting.now(nic, *vf) {
                Some(got) if got == *setting => Ok(()),
                Some(got) => Err(format!("it has {got}")),
                None => Err(format!("the {} cannot be read back", setting.name())),
            },
            Step::AddSf { sf } => match nic.representor_of(Function::Sf(*sf)) {
                Some(rep) => same(rep.netdev.is_some(), "its representor", &rep.netdev),
                None => Err(format!("SF {sf} is not there")),
            },
            Step::SetSfMac { sf, mac } => {
                let got = nic.representor_of(Function::Sf(*sf)).and_then(|r| r.function_mac);
                same(got == Some(*mac), "its address", &got)
            }
            Step::SetSfRate { sf, rate } => {
                let got = nic.representor_of(Function::Sf(*sf)).and_then(|r| r.rate);
                same(got == Some(*rate), "its rate", &got)
            }
            Step::SetRateParent { of, node } => {
                let got = nic.representor_of(*of).and_then(|r| r.rate_parent.as_deref()).unwrap_or_default();
                same(got == node, "its rate node", &got)
            }
            Step::SetSfActive { sf, active } => {
                let got = nic.representor_of(Function::Sf(*sf)).and_then(|r| r.function_state);
                let wanted = if *active { FunctionState::Active } else { FunctionState::Inactive };
                same(got == Some(wanted), "its state", &got)
            }
            Step::RemoveSf { sf } => match nic.representor_of(Function::Sf(*sf)) {
                None => Ok(()),
                Some(_) => Err(format!("SF {sf} is still there")),
            },
            Step::SetRepresentorMtu { of, mtu } => {
                let got = netdev(nic, Port::Representor(*of)).and_then(|d| d.mtu);
                same(got == Some(*mtu), "the MTU", &got)
            }
            Step::SetRepresentorUp { of, up } => {
                let got = netdev(nic, Port::Representor(*of)).map(|d| d.up);
                same(got == Some(*up), "up", &got)
            }
            Step::SetTcOffload { port, on } => {
                let got = netdev(nic, *port).and_then(|d| d.tc_offload);
                same(got == Some(*on), "hw-tc-offload", &got)
            }
        }
    }
}

pub(crate) fn netdev(nic: &Nic, port: Port) -> Option<&Netdev> {
    match port {
        Port::Uplink => nic.uplink.as_ref()?.netdev.as_ref(),
        Port::Representor(of) => nic.representor_of(of)?.netdev.as_ref(),
    }
}

pub(crate) fn missing(what: &str) -> Cause {
    Cause::Missing(format!("{what} is not there; look at the NIC, and converge again"))
}
