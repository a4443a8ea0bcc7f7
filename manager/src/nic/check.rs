//! The checks of one NIC: what was found, and the command that mends it.

use api::{Check, CheckResult};
use netlink::Sysfs;
use representors::{DpdkRepresentors, EswitchMode, Nic, is_known, is_userspace};

/// What the NIC itself does not say.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The switch has its packets in huge pages.
    pub huge_pages: bool,
    /// Network device of the default route.
    pub default_route: Option<&'a str>,
    /// The configuration lets DPDK have it.
    pub dpdk_may: bool,
    /// What it runs.
    pub firmware: Option<&'a str>,
    /// Number of VFs that is desired.
    pub vfs_wanted: Option<u32>,
}

/// Network device of this host's default route for IPv4 (proc(5), `/proc/net/route`).
#[must_use]
pub fn default_route() -> Option<String> {
    let table = std::fs::read_to_string("/proc/net/route").ok()?;
    of_default_route(&table)
}

fn of_default_route(table: &str) -> Option<String> {
    let mut routes = table.lines().skip(1).map(|line| line.split_whitespace());
    routes.find_map(|mut words| match (words.next(), words.next(), words.nth(5)) {
        (Some(device), Some("00000000"), Some("00000000")) => Some(device.to_owned()),
        _ => None,
    })
}

/// All checks, in the order in which they are to be mended.
#[must_use]
pub fn checks(nic: &Nic, sysfs: &dyn Sysfs, around: &Surroundings<'_>) -> Vec<Check> {
    let pci = nic.device.bus == "pci";
    let mut all = vec![driver(nic, around), sr_iov(nic, around), eswitch(nic)];
    if pci {
        all.extend([iommu(nic, sysfs), vfio(nic, sysfs)]);
    }
    all.push(huge_pages(around));
    all.extend(dpdk(nic, around));
    all.push(offload(nic));
    all.extend(users(nic));
    all.extend(traffic(nic, around));
    all
}

fn check(name: &str, result: CheckResult, found: impl Into<String>, fix: impl Into<Option<String>>) -> Check {
    Check { name: name.to_owned(), result, found: found.into(), fix: fix.into() }
}

fn driver(nic: &Nic, around: &Surroundings<'_>) -> Check {
    let address = &nic.device.name;
    let with_firmware = |driver: &str| match around.firmware {
        Some(version) => format!("{driver}, firmware {version}"),
        None => driver.to_owned(),
    };
    match nic.driver.as_deref() {
        None => {
            let fix = format!("echo {address} > /sys/bus/{}/drivers_probe", nic.device.bus);
            check("driver", CheckResult::Fail, "the PF has no kernel driver", fix)
        }
        Some(driver) if is_userspace(driver) => {
            let fix = format!("driverctl unset-override {address}, or dpdk-devbind.py -b KERNEL-DRIVER {address}");
            check("driver", CheckResult::Fail, format!("{driver} keeps the PF from the kernel"), fix)
        }
        Some(driver) if is_known(driver) => check("driver", CheckResult::Ok, with_firmware(driver), None),
        Some(driver) => {
            let found = format!(
                "{}: its order is not known; the safe one is used, in which VFs are made anew",
                with_firmware(driver)
            );
            check("driver", CheckResult::Note, found, None)
        }
    }
}

fn sr_iov(nic: &Nic, around: &Surroundings<'_>) -> Check {
    let fail = |found: String| {
        let want = around.vfs_wanted.filter(|n| *n > 0).unwrap_or(8);
        check("sr-iov", CheckResult::Fail, found, firmware(nic, want))
    };
    let Some(sriov) = nic.sriov else {
        return fail("it shows no SR-IOV: switched off in its firmware or in the BIOS, or it has none".to_owned());
    };
    match (sriov.total, around.vfs_wanted) {
        (Some(0), _) => fail("its firmware allows no VFs".to_owned()),
        (Some(total), Some(wanted)) if wanted > u32::from(total) => {
            fail(format!("{wanted} VFs are desired, and its firmware allows {total}"))
        }
        (Some(total), _) => check("sr-iov", CheckResult::Ok, format!("{} VFs of {total}", sriov.vfs), None),
        (None, _) => {
            check("sr-iov", CheckResult::Ok, format!("{} VFs; it does not say how many it can have", sriov.vfs), None)
        }
    }
}

/// How a NIC's firmware is told to allow VFs.
fn firmware(nic: &Nic, vfs: u32) -> String {
    let address = &nic.device.name;
    match nic.driver.as_deref() {
        Some("mlx5_core") => format!("mlxconfig -d {address} set SRIOV_EN=1 NUM_OF_VFS={vfs}, then a cold reboot"),
        Some("bnxt_en") => format!("bnxtnvm -dev={address} setoption=enable_sriov:1, then a reboot"),
        Some("netdevsim") => format!("echo {vfs} > /sys/kernel/debug/netdevsim/{address}/max_vfs"),
        _ => "switch SR-IOV on in the BIOS and in the NIC's setup, then reboot".to_owned(),
    }
}

fn eswitch(nic: &Nic) -> Check {
    match nic.mode {
        None => {
            let driver = nic.driver.as_deref().unwrap_or("none");
            let found = format!("driver {driver} has no eswitch: VFs can be had, representors and switchdev not");
            check("eswitch", CheckResult::Fail, found, "use a NIC of mlx5_core, ice, nfp or bnxt_en".to_owned())
        }
        Some(EswitchMode::Switchdev) => check("eswitch", CheckResult::Ok, "switchdev", None),
        Some(mode) => {
            let vfs = nic.num_vfs();
            let vfs = if vfs == 0 { "NUMBER".to_owned() } else { vfs.to_string() };
            let fix = format!("shuntctl eswitch set {} --mode switchdev --vfs {vfs}", nic.device);
            check("eswitch", CheckResult::Note, mode.to_string(), fix)
        }
    }
}

fn iommu(nic: &Nic, sysfs: &dyn Sysfs) -> Check {
    let of_pf = sysfs.readlink(&format!("bus/pci/devices/{}/iommu_group", nic.device.name)).ok();
    let group = of_pf.and_then(|g| g.parse::<u32>().ok()).or_else(|| nic.vfs.iter().find_map(|v| v.iommu_group));
    match group {
        Some(_) => check("iommu", CheckResult::Ok, "on", None),
        None => check(
            "iommu",
            CheckResult::Warn,
            "off: VFs cannot be given to virtual machines or DPDK",
            "switch VT-d or AMD-Vi on in the BIOS, add intel_iommu=on iommu=pt (AMD: iommu=pt) to the kernel's command line, reboot".to_owned(),
        ),
    }
}

fn vfio(nic: &Nic, sysfs: &dyn Sysfs) -> Check {
    let used = nic.vfs.iter().any(|v| v.driver.as_deref() == Some("vfio-pci"));
    if used || sysfs.list("bus/pci/drivers/vfio-pci").is_ok() {
        return check("vfio", CheckResult::Ok, "vfio-pci is there", None);
    }
    check("vfio", CheckResult::Note, "vfio-pci is not there; virtual machines need it", "modprobe vfio-pci".to_owned())
}

fn huge_pages(around: &Surroundings<'_>) -> Check {
    if around.huge_pages {
        return check("hugepages", CheckResult::Ok, "packets are in huge pages", None);
    }
    check(
        "hugepages",
        CheckResult::Warn,
        "none: packets are in ordinary memory, which is slow, and DPDK's drivers of NICs do not work in it",
        "echo 1024 > /sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages, then start shuntd again".to_owned(),
    )
}

fn dpdk(nic: &Nic, around: &Surroundings<'_>) -> Option<Check> {
    // Without an eswitch there are no representors at all.
    nic.mode?;
    let driver = nic.driver.as_deref().unwrap_or("none");
    let address = &nic.device.name;
    Some(match DpdkRepresentors::of(nic.driver.as_deref()) {
        DpdkRepresentors::Yes if around.dpdk_may => check("dpdk", CheckResult::Ok, "representors are DPDK ports", None),
        DpdkRepresentors::Yes => check(
            "dpdk",
            CheckResult::Note,
            "representors are ports through the kernel: the configuration does not let DPDK have the PF",
            format!("add \"{address}\" to pci of [datapath] in the configuration, then start shuntd again"),
        ),
        DpdkRepresentors::DcfOnly => check(
            "dpdk",
            CheckResult::Note,
            format!(
                "driver {driver} has DPDK representors in DCF mode only, in which the kernel has none: representors are ports through the kernel"
            ),
            None,
        ),
        DpdkRepresentors::No => check(
            "dpdk",
            CheckResult::Note,
            format!("DPDK has no representors of driver {driver}: representors are ports through the kernel"),
            None,
        ),
    })
}

fn offload(nic: &Nic) -> Check {
    let uplink = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref());
    let fix = || format!("shuntctl eswitch set {} --hw-tc-offload on", nic.device);
    match uplink.and_then(|d| d.tc_offload) {
        None => check("offload", CheckResult::Note, "it has no hw-tc-offload: the kernel puts no rules into it", None),
        Some(true) if nic.tc_offload().is_none() => {
            check("offload", CheckResult::Note, "hw-tc-offload is on at the uplink, and not at all representors", fix())
        }
        Some(true) => check("offload", CheckResult::Ok, "hw-tc-offload is on", None),
        Some(false) => {
            check("offload", CheckResult::Note, "hw-tc-offload is off: the kernel puts no rules into it", fix())
        }
    }
}

/// Who has its VFs.
fn users(nic: &Nic) -> Option<Check> {
    let held = nic.vfs.iter().filter(|v| v.driver.as_deref().is_some_and(is_userspace));
    let held: Vec<_> = held
        .map(|v| {
            let who: Vec<_> = v.holders.iter().map(ToString::to_string).collect();
            let who = if who.is_empty() { String::new() } else { format!(", held by {}", who.join(" and ")) };
            let (address, driver) =
                (v.address.as_deref().unwrap_or("no address"), v.driver.as_deref().unwrap_or_default());
            format!("VF {} ({address}) by {driver}{who}", v.index)
        })
        .collect();
    (!held.is_empty()).then(|| {
        check(
            "users",
            CheckResult::Warn,
            held.join("; "),
            "stop these before mode or number of VFs change, or take the VFs from them with --disturb".to_owned(),
        )
    })
}

/// What a change would interrupt.
fn traffic(nic: &Nic, around: &Surroundings<'_>) -> Vec<Check> {
    let mut all = Vec::new();
    let uplink = nic.uplink.as_ref();
    let lag = uplink.and_then(|u| u.lag.as_ref());
    if let Some(lag) = lag {
        let found =
            format!("the uplink is in bond {}: mlx5 changes the mode of a bond's members only out of it", lag.name);
        let dev = uplink.and_then(|u| u.netdev.as_ref()).map(|d| d.name.clone()).unwrap_or_default();
        all.push(check(
            "bond",
            CheckResult::Note,
            found,
            format!("if the change is refused: ip link set {dev} nomaster"),
        ));
    }
    let own = |name: &str| uplink.and_then(|u| u.netdev.as_ref()).is_some_and(|d| d.name == name);
    if around.default_route.is_some_and(|name| own(name) || lag.is_some_and(|l| l.name == name)) {
        all.push(check(
            "traffic",
            CheckResult::Warn,
            "this host's default route goes out here: a change of the mode interrupts it",
            "have another way to this host, such as its console".to_owned(),
        ));
    }
    all
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::nic::Host;
    use mocks::kernel::{FakeKernel, NicSpec, Profile};
    use std::sync::Arc;

    fn of(profile: Profile, name: &str, vfs: u16, around: Surroundings<'_>) -> Vec<Check> {
        let fake = FakeKernel::new();
        fake.add_nic(NicSpec::new(profile, name, "ens1f0").total_vfs(vfs));
        let host = Host::Fake(fake, Arc::default());
        let mut kernel = host.open().unwrap();
        let nic = crate::nic::inventory(&mut kernel).unwrap().nics.remove(0);
        checks(&nic, &*kernel.access().sysfs(), &around)
    }

    fn found<'a>(checks: &'a [Check], name: &str) -> (&'a CheckResult, &'a str, &'a str) {
        let check = checks.iter().find(|c| c.name == name).unwrap_or_else(|| panic!("no {name}: {checks:?}"));
        (&check.result, &check.found, check.fix.as_deref().unwrap_or_default())
    }

    const BARE: Surroundings<'_> =
        Surroundings { huge_pages: false, default_route: None, dpdk_may: false, firmware: None, vfs_wanted: None };

    #[test]
    fn what_is_wrong_comes_with_what_mends_it() {
        let mlx5 = of(Profile::Mlx5, "0000:03:00.0", 0, Surroundings { vfs_wanted: Some(4), ..BARE });
        let (result, _, fix) = found(&mlx5, "sr-iov");
        assert_eq!(
            (*result, fix),
            (CheckResult::Fail, "mlxconfig -d 0000:03:00.0 set SRIOV_EN=1 NUM_OF_VFS=4, then a cold reboot")
        );
        let (result, _, fix) = found(&mlx5, "dpdk");
        assert!(*result == CheckResult::Note && fix.starts_with("add \"0000:03:00.0\" to pci of [datapath]"), "{fix}");
        assert!(found(&mlx5, "hugepages").2.contains("nr_hugepages"));
        assert_eq!(*found(&mlx5, "eswitch").0, CheckResult::Note);

        let ice = of(Profile::Ice, "0000:05:00.0", 8, Surroundings { huge_pages: true, dpdk_may: true, ..BARE });
        let (result, text, _) = found(&ice, "dpdk");
        assert!(*result == CheckResult::Note && text.contains("DCF mode only"), "{text}");
        assert_eq!(*found(&ice, "hugepages").0, CheckResult::Ok);
        assert_eq!(*found(&ice, "sr-iov").0, CheckResult::Ok);

        let igb = of(Profile::Igb, "0000:06:00.0", 7, Surroundings { default_route: Some("ens1f0"), ..BARE });
        let (result, text, _) = found(&igb, "eswitch");
        assert!(*result == CheckResult::Fail && text.contains("driver igb has no eswitch"), "{text}");
        assert!(igb.iter().all(|c| c.name != "dpdk"));
        assert_eq!(*found(&igb, "traffic").0, CheckResult::Warn);
    }

    #[test]
    fn the_default_route_is_the_one_to_everywhere() {
        let table = "Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT\n\
                     eth1\t00000000\t0102A8C0\t0003\t0\t0\t0\t00000080\t0\t0\t0\n\
                     eth0\t00000000\t0101A8C0\t0003\t0\t0\t100\t00000000\t0\t0\t0\n";
        assert_eq!(of_default_route(table).as_deref(), Some("eth0"));
        assert_eq!(of_default_route("Iface\n"), None);
    }
}
