//! NICs as their drivers describe themselves (`mocks/fixtures/nics`), read as an inventory.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use mocks::kernel::Recorded;
use netlink::{VfInfo, VfLinkState, VfRate, VfVlan, VlanProto};
use representors::{EncapMode, EswitchMode, FunctionState, InlineMode, Inventory, Kernel, Nic, Representor};

fn inventory(name: &str) -> Inventory {
    let mut kernel = Kernel::new(Box::new(Recorded::open_nic(name).unwrap())).unwrap();
    kernel.inventory().unwrap()
}

/// The only NIC: VFs that are devlink devices, too, are none.
fn nic(name: &str) -> Nic {
    let mut inventory = inventory(name);
    assert_eq!(inventory.nics.len(), 1, "{name}");
    inventory.nics.remove(0)
}

fn names(nic: &Nic) -> Vec<String> {
    nic.representors.iter().map(|r| r.key.name.to_string()).collect()
}

fn netdev(rep: &Representor) -> (&str, u32) {
    let dev = rep.netdev.as_ref().unwrap();
    (&dev.name, dev.ifindex)
}

fn drivers(nic: &Nic) -> Vec<(&str, Option<&str>)> {
    nic.vfs.iter().map(|v| (v.address.as_deref().unwrap(), v.driver.as_deref())).collect()
}

#[test]
fn every_file_is_a_nic() {
    let all = Recorded::names().unwrap();
    assert!(all.len() >= 7);
    for name in all {
        let nic = nic(&name);
        assert_eq!(nic.unsettled(), None, "{name}");
        assert!(nic.uplink.is_some(), "{name}");
    }
}

#[test]
fn mlx5_in_switchdev() {
    let nic = nic("mlx5");
    assert_eq!(nic.device.to_string(), "pci/0000:08:00.0");
    assert_eq!((nic.driver.as_deref(), nic.mode), (Some("mlx5_core"), Some(EswitchMode::Switchdev)));
    assert_eq!((nic.inline_mode, nic.encap_mode), (Some(InlineMode::None), Some(EncapMode::Basic)));
    let uplink = nic.uplink.as_ref().unwrap();
    assert_eq!((uplink.number, uplink.port.as_ref().unwrap().index), (Some(0), 65535));
    assert_eq!(names(&nic), ["pf0vf0", "pf0vf1", "pf0sf88"]);
    assert!(
        nic.representors.iter().all(|r| !r.external && r.attached.is_some() == (r.key.name.to_string() == "pf0sf88"))
    );
    assert_eq!(nic.representors.iter().map(netdev).collect::<Vec<_>>(), [("eth4", 6), ("eth5", 7), ("eth6", 8)]);
    assert_eq!(nic.representors[2].function_state, Some(FunctionState::Active));
    assert_eq!(drivers(&nic), [("0000:08:00.2", Some("mlx5_core")), ("0000:08:00.3", Some("vfio-pci"))]);
    assert_eq!(nic.vfs[0].netdev.as_ref().unwrap().name, "eth7");
    assert_eq!(nic.vfs.iter().map(|v| v.iommu_group).collect::<Vec<_>>(), [Some(41), Some(42)]);
    // devlink's word goes before that of the PF's network device; rates are bytes there.
    assert_eq!(nic.vf_mac(0), Some([0x02, 0x25, 0xf2, 0x8d, 0xa2, 0x4c]));
    assert_eq!(nic.vf_rate(0), Some(VfRate { min: 0, max: 100 }));
    assert_eq!(nic.vf_rate(1), Some(VfRate { min: 10, max: 1000 }));
    let dev = |n: u16| nic.vf_representor(n).unwrap().netdev.clone().unwrap();
    assert_eq!((dev(0).up, dev(1).up, dev(1).mtu), (true, false, Some(9000)));
    let switch = uplink.netdev.as_ref().unwrap().switch_id.clone();
    assert_eq!(switch.as_deref(), Some(&[0xe4, 0xc3, 0xa2, 0, 3, 0xa1, 0x42, 0x0c][..]));
    assert!(nic.representors.iter().all(|r| r.netdev.as_ref().unwrap().switch_id == switch));
}

#[test]
fn a_dpu_has_functions_of_another_host() {
    let nic = nic("mlx5-dpu");
    assert_eq!(names(&nic), ["pf0sf0", "c1pf0", "c1pf0vf0", "c1pf0vf1"]);
    assert_eq!(nic.representors.iter().map(|r| r.external).collect::<Vec<_>>(), [false, true, true, true]);
    assert_eq!((nic.num_vfs(), nic.vfs.len()), (0, 0));
    // VF 0 of this host is none of these.
    assert_eq!(nic.vf_representor(0), None);
    assert_eq!(nic.representor("c1pf0vf1".parse().unwrap()).map(netdev), Some(("pf0vf1", 7)));
    assert_eq!(nic.representors[2].function_mac, Some([0xb8, 0x3f, 0xd2, 0, 0x10, 0x10]));
    for rep in &nic.representors {
        assert_eq!(rep.netdev.as_ref().unwrap().port_name.as_deref(), Some(&*rep.key.name.to_string()));
    }
}

#[test]
fn in_legacy_the_pf_tells_of_its_vfs() {
    let nic = nic("mlx5-legacy");
    assert_eq!((nic.mode, nic.inline_mode), (Some(EswitchMode::Legacy), Some(InlineMode::Link)));
    assert_eq!(names(&nic), [""; 0]);
    assert_eq!(nic.pf_number(), 1);
    let of = |n: u16| nic.vf(n).unwrap().config.clone().unwrap();
    let first = VfInfo {
        vf: 0,
        mac: Some([2, 0, 0, 0, 0, 0x10]),
        vlan: Some(VfVlan { id: 100, qos: 3, proto: VlanProto::Dot1Q }),
        rate: Some(VfRate { min: 100, max: 5000 }),
        spoof_check: Some(true),
        link_state: Some(VfLinkState::Enable),
        trust: Some(true),
        rss_query: None,
        ..VfInfo::default()
    };
    assert_eq!(of(0), first);
    assert_eq!(of(1).vlan, Some(VfVlan::default()));
    assert_eq!(of(2).vlan, Some(VfVlan { id: 4000, qos: 0, proto: VlanProto::Dot1Ad }));
    assert_eq!(of(2).link_state, Some(VfLinkState::Disable));
    // No driver, and none is due: the kernel writes "(null)".
    assert_eq!((nic.vfs[1].driver.as_deref(), nic.vfs[1].driver_override.as_deref()), (None, None));
    assert_eq!(nic.vfs[0].netdev.as_ref().unwrap().name, "ens1f1v0");
}

#[test]
fn old_kernels_name_representors_in_their_own_ways() {
    // A number alone; not what has another switch, nor what is no number as the kernel writes it.
    let old = nic("mlx5-4.17");
    assert_eq!(names(&old), ["pf0vf0", "pf0vf1"]);
    assert_eq!(old.representors.iter().map(netdev).collect::<Vec<_>>(), [("eth0", 10), ("eth1", 11)]);
    assert!(old.representors.iter().all(|r| r.port.is_none()));
    assert_eq!(old.uplink.as_ref().unwrap().netdev.as_ref().unwrap().name, "enp129s0f0");
    // As kernels write it since 4.18.
    let newer = nic("mlx5-5.4");
    assert_eq!(names(&newer), ["pf0vf0", "pf0vf1"]);
    assert_eq!(newer.uplink.as_ref().unwrap().port.as_ref().unwrap().index, 0);
    // ice's own form.
    let ice = nic("ice-5.16");
    assert_eq!(names(&ice), ["pf0vf0", "pf0vf1"]);
    assert_eq!(ice.representors.iter().map(netdev).collect::<Vec<_>>(), [("eth0", 7), ("eth1", 8)]);
}

#[test]
fn ice_in_switchdev() {
    let nic = nic("ice");
    assert_eq!((nic.driver.as_deref(), nic.mode), (Some("ice"), Some(EswitchMode::Switchdev)));
    assert_eq!((nic.inline_mode, nic.encap_mode), (None, None));
    assert_eq!(names(&nic), ["pf0vf0", "pf0vf1"]);
    assert!(nic.representors.iter().all(|r| r.function_mac.is_none() && r.function_state.is_none()));
    assert_eq!(drivers(&nic), [("0000:ca:01.0", Some("iavf")), ("0000:ca:01.1", Some("vfio-pci"))]);
    // Addresses are known to the PF only; rates are devlink's.
    assert_eq!(nic.vf_mac(1), Some([2, 0, 0, 0, 0, 0x21]));
    assert_eq!([0, 1].map(|n| nic.vf_rate(n)), [Some(VfRate { min: 0, max: 0 }), Some(VfRate { min: 0, max: 500 })]);
    let config = nic.vf(1).unwrap().config.as_ref().unwrap();
    assert_eq!((config.trust, config.spoof_check), (Some(true), Some(false)));
    assert_eq!(config.vlan, Some(VfVlan { id: 7, qos: 1, proto: VlanProto::Dot1Q }));
}
