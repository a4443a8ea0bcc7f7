//! Single steps: what they do, and how to see that they are done.

use std::fmt;

use devlink_rs::{DeviceId, EncapMode, EswitchChange, EswitchMode, FunctionChange, InlineMode};

use crate::{
    error::Cause,
    inventory::{Nic, Vf},
    kernel::Kernel,
    observe::device_path,
};

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
    /// Bind a VF to a driver, or unbind it.
    SetVfDriver {
        /// VF number.
        vf: u16,
        /// Driver.
        driver: VfDriver,
    },
    /// Give a VF its hardware address.
    SetVfMac {
        /// VF number.
        vf: u16,
        /// Address.
        mac: [u8; 6],
    },
    /// Bring a VF's representor up, or down.
    SetRepresentorUp {
        /// VF number.
        vf: u16,
        /// Up.
        up: bool,
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
            Step::SetVfDriver { vf, driver: VfDriver::Unbound } => write!(f, "unbind VF {vf} from its driver"),
            Step::SetVfDriver { vf, driver: VfDriver::Named(driver) } => write!(f, "bind VF {vf} to {driver}"),
            Step::SetVfMac { vf, mac: [a, b, c, d, e, g] } => {
                write!(f, "set address of VF {vf} to {a:02x}:{b:02x}:{c:02x}:{d:02x}:{e:02x}:{g:02x}")
            }
            Step::SetRepresentorUp { vf, up: true } => write!(f, "bring representor of VF {vf} up"),
            Step::SetRepresentorUp { vf, up: false } => write!(f, "bring representor of VF {vf} down"),
        }
    }
}

impl Step {
    /// `Ok` when `nic` shows the step done, else what it shows.
    pub(crate) fn check(&self, nic: &Nic) -> Result<(), String> {
        let same =
            |ok: bool, what: &str, got: &dyn fmt::Debug| if ok { Ok(()) } else { Err(format!("{what} is {got:?}")) };
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
            Step::SetVfDriver { vf, driver } => {
                let vf = nic.vfs.iter().find(|v| v.index == *vf).ok_or_else(|| format!("VF {vf} is not there"))?;
                same(VfDriver::of(vf) == *driver, "its driver", &vf.driver)
            }
            Step::SetVfMac { vf, mac } => {
                let got = nic.vf_representor(*vf).and_then(|r| r.function_mac);
                same(got == Some(*mac), "its address", &got)
            }
            Step::SetRepresentorUp { vf, up } => {
                let got = nic.vf_representor(*vf).and_then(|r| r.netdev.as_ref()).map(|d| d.up);
                same(got == Some(*up), "up", &got)
            }
        }
    }

    /// Does it; `nic` is the state just before.
    pub(crate) fn execute(&self, kernel: &mut Kernel, nic: &Nic) -> Result<(), Cause> {
        let device = &nic.device;
        match self {
            Step::SetVfs { to, .. } => {
                let path = format!("{}/sriov_numvfs", device_path(device));
                kernel.sysfs.write(&path, &to.to_string()).map_err(Cause::Sysfs)
            }
            Step::SetMode { to, .. } => {
                change(kernel, device, EswitchChange { mode: Some(*to), ..EswitchChange::default() })
            }
            Step::SetInlineMode(mode) => {
                change(kernel, device, EswitchChange { inline_mode: Some(*mode), ..EswitchChange::default() })
            }
            Step::SetEncapMode(mode) => {
                change(kernel, device, EswitchChange { encap_mode: Some(*mode), ..EswitchChange::default() })
            }
            Step::SetVfDriver { vf, driver } => match nic.vfs.iter().find(|v| v.index == *vf) {
                Some(Vf { address: Some(address), driver: now, .. }) => bind(kernel, address, now.as_deref(), driver),
                _ => Err(missing(format!("VF {vf} has no PCI function"))),
            },
            Step::SetVfMac { vf, mac } => {
                let rep = nic.vf_representor(*vf).ok_or_else(|| missing(format!("VF {vf} has no representor")))?;
                let change = FunctionChange { hw_addr: Some(*mac), ..FunctionChange::default() };
                match kernel.devlink().map_err(Cause::Netlink)? {
                    Some(devlink) => devlink.set_function(&rep.port, &change).map_err(Cause::Netlink),
                    None => Err(missing("there is no devlink".into())),
                }
            }
            Step::SetRepresentorUp { vf, up } => match nic.vf_representor(*vf).and_then(|r| r.netdev.as_ref()) {
                Some(dev) => kernel.links.set_up(dev.ifindex, *up).map_err(Cause::Netlink),
                None => Err(missing(format!("VF {vf} has no representor"))),
            },
        }
    }
}

fn missing(got: String) -> Cause {
    Cause::NotVerified { after: std::time::Duration::ZERO, got }
}

fn change(kernel: &mut Kernel, device: &DeviceId, change: EswitchChange) -> Result<(), Cause> {
    match kernel.devlink().map_err(Cause::Netlink)? {
        Some(devlink) => devlink.set_eswitch(device, &change).map_err(Cause::Netlink),
        None => Err(missing("there is no devlink".into())),
    }
}

/// Moves a PCI function from one driver to another, through `driver_override` (Documentation/ABI/testing/sysfs-bus-pci).
fn bind(kernel: &Kernel, address: &str, now: Option<&str>, driver: &VfDriver) -> Result<(), Cause> {
    let write = |path: String, value: &str| kernel.sysfs.write(&path, value).map_err(Cause::Sysfs);
    if let Some(now) = now {
        write(format!("bus/pci/drivers/{now}/unbind"), address)?;
    }
    let override_file = format!("bus/pci/devices/{address}/driver_override");
    match driver {
        // An empty line ends an override.
        VfDriver::Unbound => write(override_file, "\n"),
        VfDriver::Named(driver) => {
            write(override_file, driver)?;
            write("bus/pci/drivers_probe".to_owned(), address)
        }
    }
}
