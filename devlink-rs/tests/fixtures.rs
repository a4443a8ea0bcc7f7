//! devlink as the drivers of SmartNICs answer it (`mocks/fixtures/nics`, made by hand from the kernel's
//! documentation): what netdevsim has not.

#![expect(clippy::unwrap_used, reason = "helpers of tests")]

use devlink_rs::{
    DeviceId, Devlink, EncapMode, EswitchMode, FunctionState, HealthState, InlineMode, Port, PortType, RateId,
    VersionKind,
};
use mocks::kernel::Recorded;
use netlink::{KernelAccess, Protocol};

fn open(name: &str) -> Devlink {
    let recorded = Recorded::open_nic(name).unwrap();
    Devlink::open(recorded.open(Protocol::Generic).unwrap()).unwrap()
}

fn pf(name: &str) -> DeviceId {
    DeviceId::new("pci", name)
}

/// What a port stands for, in words.
fn function(port: &Port) -> String {
    let mut words = port.flavour.unwrap().to_string();
    let numbers =
        [("c", port.controller), ("pf", port.pf.map(u32::from)), ("vf", port.vf.map(u32::from)), ("sf", port.sf)];
    for (name, number) in numbers {
        words += &number.map(|n| format!(" {name}{n}")).unwrap_or_default();
    }
    words + if port.external { " external" } else { "" }
}

#[test]
fn nothing_of_them_is_without_a_name() {
    for name in Recorded::names().unwrap() {
        let mut devlink = open(&name);
        for device in devlink.devices().unwrap() {
            if let Some(eswitch) = devlink.eswitch(&device).unwrap() {
                assert_eq!(eswitch.other, [], "{name}");
            }
        }
        for port in devlink.ports().unwrap() {
            assert_eq!(port.other, [], "{name}: {}", port.id);
            assert_eq!(port.port_type, Some(PortType::Eth), "{name}: {}", port.id);
            assert_eq!(devlink.port(&port.id).unwrap(), port);
            assert_eq!(port.function.map(|f| f.other).unwrap_or_default(), [], "{name}: {}", port.id);
        }
    }
}

#[test]
fn flavours_and_functions_of_mlx5() {
    let ports = open("mlx5").ports().unwrap();
    let at = |index: u32| ports.iter().find(|p| p.id.index == index && p.id.device == pf("0000:08:00.0")).unwrap();
    assert_eq!(function(at(65535)), "physical");
    assert_eq!(at(65535).number, Some(0));
    assert_eq!(function(at(1)), "pcivf c0 pf0 vf0");
    assert_eq!(function(at(32768)), "pcisf c0 pf0 sf88");
    let of = |index: u32| at(index).function.clone().unwrap();
    assert_eq!((of(1).roce, of(1).migratable, of(1).ipsec_crypto), (Some(true), Some(false), None));
    assert_eq!((of(2).roce, of(2).migratable, of(2).max_io_eqs), (Some(false), Some(true), Some(32)));
    assert_eq!(of(1).device, Some(pf("0000:08:00.2")));
    assert_eq!((of(32768).state, of(32768).attached), (Some(FunctionState::Active), Some(true)));
    assert_eq!((of(32768).roce, of(32768).migratable), (Some(true), None));
    // The VF's own driver shows its port as virtual.
    let own = ports.iter().find(|p| p.id.device == pf("0000:08:00.2")).unwrap();
    assert_eq!(function(own), "virtual");
}

#[test]
fn controllers_of_a_dpu() {
    let ports = open("mlx5-dpu").ports().unwrap();
    let functions: Vec<_> = ports.iter().map(function).collect();
    assert_eq!(
        functions,
        [
            "physical",
            "pcipf c1 pf0 external",
            "pcivf c1 pf0 vf0 external",
            "pcivf c1 pf0 vf1 external",
            "pcisf c0 pf0 sf0",
        ]
    );
}

#[test]
fn eswitches() {
    let of = |name: &str, device: &str| open(name).eswitch(&pf(device)).unwrap();
    let mlx5 = of("mlx5", "0000:08:00.0").unwrap();
    assert_eq!((mlx5.mode, mlx5.inline_mode), (EswitchMode::Switchdev, Some(InlineMode::None)));
    assert_eq!(mlx5.encap_mode, Some(EncapMode::Basic));
    // A VF has none: EOPNOTSUPP is an answer.
    assert_eq!(of("mlx5", "0000:08:00.2"), None);
    let legacy = of("mlx5-legacy", "0000:5e:00.1").unwrap();
    assert_eq!((legacy.mode, legacy.inline_mode), (EswitchMode::Legacy, Some(InlineMode::Link)));
    let ice = of("ice", "0000:ca:00.0").unwrap();
    assert_eq!((ice.mode, ice.inline_mode, ice.encap_mode), (EswitchMode::Switchdev, None, None));
    assert_eq!(open("ice").eswitch(&pf("0000:01:00.0")).unwrap_err().errno(), Some(19));
}

#[test]
fn health_reporters_of_device_and_port() {
    let reporters = open("mlx5").health_reporters().unwrap();
    let all: Vec<_> = reporters.iter().map(|r| (r.id.name.as_str(), r.id.port, r.state)).collect();
    assert_eq!(
        all,
        [
            ("fw", None, HealthState::Healthy),
            ("fw_fatal", None, HealthState::Error),
            ("vnic", None, HealthState::Healthy),
            ("tx", Some(65535), HealthState::Healthy),
            ("rx", Some(65535), HealthState::Healthy),
        ]
    );
    let fatal = &reporters[1];
    assert_eq!((fatal.errors, fatal.recoveries, fatal.grace_period_ms), (2, 1, Some(1_200_000)));
    assert_eq!((reporters[0].auto_recover, fatal.auto_recover), (None, Some(true)));
    assert_eq!((reporters[0].auto_dump, reporters[2].auto_dump), (Some(true), Some(false)));
    assert!(open("ice").health_reporters().unwrap_err().is_unsupported());
}

#[test]
fn rates_as_leaves_and_nodes() {
    let rates = open("ice").rates().unwrap();
    let nodes: Vec<_> = rates.iter().filter(|r| matches!(r.id, RateId::Node { .. })).collect();
    assert_eq!(nodes.len(), 2);
    let leaf = rates.iter().find(|r| matches!(&r.id, RateId::Leaf(port) if port.index == 3)).unwrap();
    assert_eq!((leaf.tx_share, leaf.tx_max), (0, 62_500_000));
    assert_eq!((leaf.tx_priority, leaf.tx_weight), (Some(3), Some(8)));
    assert_eq!(leaf.parent.as_deref(), Some("node_25"));
}

#[test]
fn versions() {
    let info = open("ice").info(&pf("0000:ca:00.0")).unwrap().unwrap();
    assert_eq!((info.driver.as_deref(), info.serial.as_deref()), (Some("ice"), Some("00-01-00-ff-ff-00-00-00")));
    let of = |kind| info.versions.iter().filter(|v| v.kind == kind).count();
    assert_eq!([VersionKind::Fixed, VersionKind::Running, VersionKind::Stored].map(of), [1, 11, 6]);
    let psid = open("mlx5").info(&pf("0000:08:00.0")).unwrap().unwrap();
    assert!(
        psid.versions.iter().any(|v| v.kind == VersionKind::Fixed && v.name == "fw.psid" && v.value == "MT_0000000359")
    );
    assert!(psid.board_serial.is_some());
}
