//! How drivers differ.

/// A driver's habits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Profile {
    /// mlx5 with firmware that refuses a mode change while VFs exist (ConnectX-6 Lx).
    Mlx5,
    /// mlx5 of old kernels: switchdev wants VFs that exist and are unbound.
    Mlx5Old,
    /// ice: a mode change only without VFs; no inline mode, no encapsulation mode.
    Ice,
    /// netdevsim: no PCI, any order, no port functions, four VFs at most.
    Netdevsim,
    /// igb: SR-IOV without devlink and without an eswitch.
    Igb,
}

/// When a mode change is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum ModeRule {
    Always,
    OnlyWithoutVfs { errno: i32, text: &'static str },
    OnlyWithUnboundVfs { errno: i32, text: &'static str },
}

impl Profile {
    /// All of them.
    pub const ALL: [Profile; 5] = [Profile::Mlx5, Profile::Mlx5Old, Profile::Ice, Profile::Netdevsim, Profile::Igb];

    pub(super) fn driver(self) -> &'static str {
        match self {
            Profile::Mlx5 | Profile::Mlx5Old => "mlx5_core",
            Profile::Ice => "ice",
            Profile::Netdevsim => "netdevsim",
            Profile::Igb => "igb",
        }
    }

    pub(super) fn vf_driver(self) -> &'static str {
        match self {
            Profile::Ice => "iavf",
            Profile::Igb => "igbvf",
            other => other.driver(),
        }
    }

    pub(super) fn bus(self) -> &'static str {
        if self == Profile::Netdevsim { "netdevsim" } else { "pci" }
    }

    /// VFs are PCI devices with drivers (and `sriov_totalvfs` exists).
    pub(super) fn pci_vfs(self) -> bool {
        self != Profile::Netdevsim
    }

    /// There is a devlink device for the PF, with an eswitch.
    pub(super) fn devlink(self) -> bool {
        self != Profile::Igb
    }

    /// VFs are devlink devices, too.
    pub(super) fn vf_devlink(self) -> bool {
        matches!(self, Profile::Mlx5 | Profile::Mlx5Old)
    }

    /// Inline mode, encapsulation mode and port functions exist.
    pub(super) fn eswitch_extras(self) -> bool {
        matches!(self, Profile::Mlx5 | Profile::Mlx5Old)
    }

    /// `devlink port function` exists. ice has it from kernel 6.10 on: the model's is older.
    pub(super) fn port_functions(self) -> bool {
        self.eswitch_extras()
    }

    /// Sub-functions can be added.
    pub(super) fn sfs(self) -> bool {
        self.eswitch_extras()
    }

    /// Representors have rate leaves.
    pub(super) fn rates(self) -> bool {
        self.devlink()
    }

    pub(super) fn spoof_check_by_default(self) -> bool {
        matches!(self, Profile::Ice | Profile::Igb)
    }

    /// hw-tc-offload stays on while there are rules.
    pub(super) fn refuses_offload_off(self) -> bool {
        self.eswitch_extras()
    }

    /// Representors get `ethN`; otherwise names as udev gives them from the uplink's and the port's name.
    pub(super) fn kernel_names(self) -> bool {
        matches!(self, Profile::Mlx5 | Profile::Mlx5Old)
    }

    pub(super) fn mode_rule(self) -> ModeRule {
        match self {
            Profile::Mlx5 => ModeRule::OnlyWithoutVfs {
                errno: super::wire::EINVAL,
                text: "mlx5_core: Failed setting eswitch to offloads",
            },
            Profile::Mlx5Old => ModeRule::OnlyWithUnboundVfs {
                errno: super::wire::EINVAL,
                text: "mlx5_core: Can't set offloads mode, SRIOV legacy not enabled or VFs bound",
            },
            Profile::Ice => ModeRule::OnlyWithoutVfs {
                errno: super::wire::EOPNOTSUPP,
                text: "ice: Changing eswitch mode is allowed only if there is no VFs created",
            },
            Profile::Netdevsim | Profile::Igb => ModeRule::Always,
        }
    }

    pub(super) fn default_total_vfs(self) -> u16 {
        match self {
            Profile::Netdevsim => 4,
            Profile::Igb => 7,
            _ => 16,
        }
    }

    pub(super) fn uplink_port_index(self) -> u32 {
        if self.eswitch_extras() { 0xffff } else { 0 }
    }

    pub(super) fn vf_port_index(self, vf: u16) -> u32 {
        u32::from(vf) + if self == Profile::Netdevsim { 128 } else { 1 }
    }
}
