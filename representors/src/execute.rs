//! Carrying single steps out.

use devlink_rs::{DeviceId, Devlink, EswitchChange, Flavour, FunctionChange, FunctionState, NewPort};
use netlink::HW_TC_OFFLOAD;

use crate::{
    error::Cause,
    inventory::{Nic, Vf},
    kernel::Kernel,
    key::Function,
    observe::device_path,
    setting::{set_function, set_function_mac, set_parent, set_rate},
    step::{Port, Step, VfDriver, missing, netdev},
};

impl Step {
    /// Does it; `nic` is the state just before.
    pub(crate) fn execute(&self, kernel: &mut Kernel, nic: &Nic) -> Result<(), Cause> {
        let device = &nic.device;
        let none = EswitchChange::default();
        match self {
            Step::SetVfs { to, .. } => {
                let path = format!("{}/sriov_numvfs", device_path(device));
                kernel.sysfs.write(&path, &to.to_string()).map_err(Cause::Sysfs)
            }
            Step::SetMode { to, .. } => change(kernel, device, EswitchChange { mode: Some(*to), ..none }),
            Step::SetInlineMode(mode) => change(kernel, device, EswitchChange { inline_mode: Some(*mode), ..none }),
            Step::SetEncapMode(mode) => change(kernel, device, EswitchChange { encap_mode: Some(*mode), ..none }),
            Step::ReleaseVf { vf, rebind } => {
                let (address, now) = function(nic, *vf)?;
                release(kernel, address, now, rebind.as_deref())
            }
            Step::SetVfDriver { vf, driver } => {
                let (address, now) = function(nic, *vf)?;
                bind(kernel, address, now, driver)
            }
            Step::SetVf { vf, setting } => setting.execute(kernel, nic, *vf),
            Step::AddSf { sf } => add_sf(kernel, nic, *sf),
            Step::SetSfMac { sf, mac } => set_function_mac(kernel, nic.representor_of(Function::Sf(*sf)), *mac),
            Step::SetSfRate { sf, rate } => set_rate(kernel, nic.representor_of(Function::Sf(*sf)), *rate),
            Step::SetRateParent { of, node } => set_parent(kernel, nic.representor_of(*of), node),
            Step::SetSfActive { sf, active } => {
                let state = if *active { FunctionState::Active } else { FunctionState::Inactive };
                let change = FunctionChange { state: Some(state), ..FunctionChange::default() };
                set_function(kernel, nic.representor_of(Function::Sf(*sf)), change)
            }
            Step::RemoveSf { sf } => {
                let rep = nic.representor_of(Function::Sf(*sf)).and_then(|r| r.port.clone());
                let port = rep.ok_or_else(|| missing(&format!("SF {sf}")))?;
                devlink(kernel)?.delete_port(&port).map_err(Cause::Netlink)
            }
            Step::SetRepresentorMtu { of, mtu } => {
                let ifindex = ifindex(nic, Port::Representor(*of))?;
                kernel.links.set_mtu(ifindex, *mtu).map_err(Cause::Netlink)
            }
            Step::SetRepresentorUp { of, up } => {
                let ifindex = ifindex(nic, Port::Representor(*of))?;
                kernel.links.set_up(ifindex, *up).map_err(Cause::Netlink)
            }
            Step::SetTcOffload { port, on } => {
                let ifindex = ifindex(nic, *port)?;
                let features = kernel.features().map_err(Cause::Netlink)?;
                features.ok_or_else(no_features)?.set(ifindex, HW_TC_OFFLOAD, *on).map_err(Cause::Netlink)
            }
        }
    }
}

pub(crate) fn devlink(kernel: &mut Kernel) -> Result<&mut Devlink, Cause> {
    let lacks = || Cause::Missing("the kernel has no devlink; use one with CONFIG_NET_DEVLINK".to_owned());
    kernel.devlink().map_err(Cause::Netlink)?.ok_or_else(lacks)
}

fn no_features() -> Cause {
    Cause::Missing(
        "the kernel has no ethtool over netlink; use one from 5.7 on, with CONFIG_ETHTOOL_NETLINK".to_owned(),
    )
}

fn ifindex(nic: &Nic, port: Port) -> Result<u32, Cause> {
    netdev(nic, port).map(|d| d.ifindex).ok_or_else(|| missing(&format!("the {port}")))
}

/// A VF's PCI address and driver.
fn function(nic: &Nic, vf: u16) -> Result<(&str, Option<&str>), Cause> {
    match nic.vf(vf) {
        Some(Vf { address: Some(address), driver, .. }) => Ok((address, driver.as_deref())),
        _ => Err(missing(&format!("the PCI function of VF {vf}"))),
    }
}

fn change(kernel: &mut Kernel, device: &DeviceId, change: EswitchChange) -> Result<(), Cause> {
    devlink(kernel)?.set_eswitch(device, &change).map_err(Cause::Netlink)
}

fn add_sf(kernel: &mut Kernel, nic: &Nic, sf: u32) -> Result<(), Cause> {
    let new = NewPort {
        device: nic.device.clone(),
        flavour: Flavour::PciSf,
        pf: nic.pf_number(),
        sf: Some(sf),
        controller: None,
        index: None,
    };
    devlink(kernel)?.add_port(&new).map(drop).map_err(Cause::Netlink)
}

/// Unbinds a function and leaves word of the driver that is due in `driver_override`. An empty line ends an override.
fn release(kernel: &Kernel, address: &str, now: Option<&str>, rebind: Option<&str>) -> Result<(), Cause> {
    let write = |path: String, value: &str| kernel.sysfs.write(&path, value).map_err(Cause::Sysfs);
    write(format!("bus/pci/devices/{address}/driver_override"), rebind.unwrap_or("\n"))?;
    match now {
        Some(now) => write(format!("bus/pci/drivers/{now}/unbind"), address),
        None => Ok(()),
    }
}

/// Moves a PCI function from one driver to another, through `driver_override` (Documentation/ABI/testing/sysfs-bus-pci).
fn bind(kernel: &Kernel, address: &str, now: Option<&str>, driver: &VfDriver) -> Result<(), Cause> {
    let driver = match driver {
        VfDriver::Unbound => None,
        VfDriver::Named(driver) => Some(driver.as_str()),
    };
    release(kernel, address, now, driver)?;
    match driver {
        Some(_) => kernel.sysfs.write("bus/pci/drivers_probe", address).map_err(Cause::Sysfs),
        None => Ok(()),
    }
}
