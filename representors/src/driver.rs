//! What is known about drivers. Sources: the drivers' own checks, and what operators of Kubernetes SR-IOV ran into.

use devlink_rs::EswitchMode;

use crate::setting::VfSetting;

/// The order in which mode and VFs change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// No VFs, then the mode, then the VFs: what ice asks for (`Changing eswitch mode is allowed only if there is no
    /// VFs created`), what mlx5 firmware of ConnectX-6 Lx needs, and safe with a driver that we do not know. Existing
    /// VFs are destroyed.
    ModeFirst,
    /// The VFs, unbound, then the mode, then the drivers again: what mlx5 of older kernels asks for (`SRIOV legacy not enabled`).
    /// VFs are kept when their number does not change.
    VfsFirst,
}

impl std::fmt::Display for Strategy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Strategy::ModeFirst => "mode first, then VFs",
            Strategy::VfsFirst => "VFs first, unbound, then mode",
        })
    }
}

/// What is known about one driver.
#[derive(Debug)]
pub(crate) struct Facts {
    names: &'static [&'static str],
    /// The orders to try, best first.
    pub(crate) strategies: &'static [Strategy],
    /// The driver that the kernel gives to new VFs; `None`: not known.
    pub(crate) vf_driver: Option<&'static str>,
    /// Whether new VFs have the spoof check on; `None`: not known.
    pub(crate) spoof_check: Option<bool>,
    /// The eswitch falls back to legacy when the last VF goes.
    pub(crate) legacy_without_vfs: bool,
    /// Settings that the driver refuses in switchdev, where flows do the same.
    legacy_only: LegacyOnly,
}

#[derive(Debug, Clone, Copy)]
enum LegacyOnly {
    Nothing,
    Trust,
    VlanSpoofTrust,
}

impl Facts {
    /// May a VF have this setting in this mode? What a driver refuses it still takes at its neutral value: a VLAN of 0 is none.
    pub(crate) fn takes(&self, setting: VfSetting, mode: Option<EswitchMode>) -> bool {
        if mode != Some(EswitchMode::Switchdev) {
            return true;
        }
        match (self.legacy_only, setting) {
            (LegacyOnly::VlanSpoofTrust, VfSetting::Vlan(vlan)) => vlan.id == 0,
            (LegacyOnly::VlanSpoofTrust, VfSetting::SpoofCheck(on)) => Some(on) == self.spoof_check,
            (LegacyOnly::VlanSpoofTrust | LegacyOnly::Trust, VfSetting::Trust(on)) => !on,
            _ => true,
        }
    }
}

/// Any order with no VFs while the mode changes first: safe with what we do not know.
const SAFE: &[Strategy] = &[Strategy::ModeFirst, Strategy::VfsFirst];

const TABLE: &[Facts] = &[
    // esw/legacy.c: VLAN (but 0), spoof check and trust are EOPNOTSUPP outside of legacy mode; en_main.c: 802.1Q only.
    Facts {
        names: &["mlx5_core"],
        strategies: SAFE,
        vf_driver: Some("mlx5_core"),
        spoof_check: Some(false),
        legacy_without_vfs: false,
        legacy_only: LegacyOnly::VlanSpoofTrust,
    },
    // ice_eswitch.c: mode only without VFs; ice_sriov.c: "Trusted VF is forbidden in switchdev mode".
    Facts {
        names: &["ice"],
        strategies: &[Strategy::ModeFirst],
        vf_driver: Some("iavf"),
        spoof_check: Some(true),
        legacy_without_vfs: false,
        legacy_only: LegacyOnly::Trust,
    },
    // Any order serves netdevsim: keep the VFs. bus.c, dev.c: `sriov_numvfs` 0 puts it into legacy.
    Facts {
        names: &["netdevsim"],
        strategies: &[Strategy::VfsFirst, Strategy::ModeFirst],
        vf_driver: None,
        spoof_check: Some(false),
        legacy_without_vfs: true,
        legacy_only: LegacyOnly::Nothing,
    },
    // No eswitch in these.
    Facts { names: &["i40e"], vf_driver: Some("iavf"), spoof_check: Some(true), ..UNKNOWN },
    Facts { names: &["igb"], vf_driver: Some("igbvf"), spoof_check: Some(true), ..UNKNOWN },
    Facts { names: &["ixgbe"], vf_driver: Some("ixgbevf"), spoof_check: Some(true), ..UNKNOWN },
    Facts { names: &["nfp"], vf_driver: Some("nfp"), ..UNKNOWN },
    Facts { names: &["bnxt_en"], vf_driver: Some("bnxt_en"), ..UNKNOWN },
];

const UNKNOWN: Facts = Facts {
    names: &[],
    strategies: SAFE,
    vf_driver: None,
    spoof_check: None,
    legacy_without_vfs: false,
    legacy_only: LegacyOnly::Nothing,
};

static NOT_KNOWN: Facts = UNKNOWN;

/// What is known about a PF's driver.
pub(crate) fn facts(driver: Option<&str>) -> &'static Facts {
    driver.and_then(|d| TABLE.iter().find(|f| f.names.contains(&d))).unwrap_or(&NOT_KNOWN)
}

/// Whether the order that a PF's driver wants is known.
#[must_use]
pub fn is_known(driver: &str) -> bool {
    TABLE.iter().any(|f| f.names.contains(&driver))
}

/// A driver that hands the function to a process: destroying the VF would pull it from under a virtual machine or DPDK.
#[must_use]
pub fn is_userspace(driver: &str) -> bool {
    driver.contains("vfio") || matches!(driver, "uio_pci_generic" | "igb_uio" | "pci-pf-stub" | "pci-stub")
}
