//! What is known about drivers. Sources: the drivers' own checks, and what operators of Kubernetes SR-IOV ran into.

/// The order in which mode and VFs change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Strategy {
    /// No VFs, then the mode, then the VFs: what ice asks for (`Changing eswitch mode is allowed only if there is no VFs created`), what
    /// mlx5 firmware of ConnectX-6 Lx needs, and safe with a driver that we do not know. Existing VFs are destroyed.
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

/// The orders to try, best first.
pub(crate) fn strategies(driver: Option<&str>) -> &'static [Strategy] {
    match driver {
        Some("ice") => &[Strategy::ModeFirst],
        // Any order serves netdevsim: keep the VFs.
        Some("netdevsim") => &[Strategy::VfsFirst, Strategy::ModeFirst],
        _ => &[Strategy::ModeFirst, Strategy::VfsFirst],
    }
}

/// The driver that the kernel gives to new VFs of a PF's driver; `None`: not known.
pub(crate) fn default_vf_driver(pf_driver: Option<&str>) -> Option<&'static str> {
    match pf_driver? {
        "mlx5_core" => Some("mlx5_core"),
        "ice" | "i40e" => Some("iavf"),
        "igb" => Some("igbvf"),
        "ixgbe" => Some("ixgbevf"),
        "nfp" => Some("nfp"),
        "bnxt_en" => Some("bnxt_en"),
        _ => None,
    }
}

/// A driver that hands the function to a process: destroying the VF would pull it from under a virtual machine or DPDK.
pub(crate) fn is_userspace(driver: &str) -> bool {
    driver.contains("vfio") || matches!(driver, "uio_pci_generic" | "igb_uio" | "pci-pf-stub" | "pci-stub")
}
