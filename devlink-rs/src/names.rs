//! Enums of the devlink header: known values by name, unknown ones kept.

use std::{fmt, str::FromStr};

/// A text that names none of the values wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not {wanted}")]
pub struct UnknownName {
    pub(crate) given: String,
    pub(crate) wanted: &'static str,
}

macro_rules! named_numbers {
    ($(#[$doc:meta])* $name:ident: $int:ty, $wanted:literal { $($(#[$vdoc:meta])* $variant:ident = $number:literal $text:literal),+ $(,)? }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
        pub enum $name {
            $($(#[$vdoc])* $variant,)+
            /// A value that this version does not know.
            Other($int),
        }

        impl $name {
            /// From the number of the header.
            #[must_use]
            pub fn from_number(number: $int) -> Self {
                match number {
                    $($number => $name::$variant,)+
                    other => $name::Other(other),
                }
            }

            /// The number of the header.
            #[must_use]
            pub fn number(self) -> $int {
                match self {
                    $($name::$variant => $number,)+
                    $name::Other(other) => other,
                }
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self {
                    $($name::$variant => f.write_str($text),)+
                    $name::Other(other) => write!(f, "unknown({other})"),
                }
            }
        }

        impl FromStr for $name {
            type Err = UnknownName;

            fn from_str(s: &str) -> Result<Self, UnknownName> {
                match s {
                    $($text => Ok($name::$variant),)+
                    _ => Err(UnknownName { given: s.to_owned(), wanted: $wanted }),
                }
            }
        }
    };
}

named_numbers! {
    /// What the eswitch is (`enum devlink_eswitch_mode`).
    EswitchMode: u16, "an eswitch mode (legacy, switchdev)" {
        /// The NIC switches by destination address; no representors.
        Legacy = 0 "legacy",
        /// A switch under software's control, with a representor for each VF.
        Switchdev = 1 "switchdev",
    }
}

named_numbers! {
    /// How much of a packet the driver has to copy inline for the eswitch (`enum devlink_eswitch_inline_mode`).
    InlineMode: u8, "an inline mode (none, link, network, transport)" {
        /// Nothing.
        None = 0 "none",
        /// L2 headers.
        Link = 1 "link",
        /// L3 headers.
        Network = 2 "network",
        /// L4 headers.
        Transport = 3 "transport",
    }
}

named_numbers! {
    /// Whether the eswitch can encapsulate (`enum devlink_eswitch_encap_mode`).
    EncapMode: u8, "an encapsulation mode (none, basic)" {
        /// No.
        None = 0 "none",
        /// Yes.
        Basic = 1 "basic",
    }
}

named_numbers! {
    /// What a port is (`enum devlink_port_flavour`).
    Flavour: u16, "a port flavour (physical, cpu, dsa, pcipf, pcivf, virtual, unused, pcisf)" {
        /// Faces the wire: an uplink.
        Physical = 0 "physical",
        /// Faces the CPU.
        Cpu = 1 "cpu",
        /// Links two switches.
        Dsa = 2 "dsa",
        /// Represents a PCI physical function.
        PciPf = 3 "pcipf",
        /// Represents a PCI virtual function.
        PciVf = 4 "pcivf",
        /// Any virtual port.
        Virtual = 5 "virtual",
        /// Not in use.
        Unused = 6 "unused",
        /// Represents a PCI sub-function.
        PciSf = 7 "pcisf",
    }
}

named_numbers! {
    /// What a port carries (`enum devlink_port_type`).
    PortType: u16, "a port type (notset, auto, eth, ib)" {
        /// Not decided.
        NotSet = 0 "notset",
        /// Found out by the device.
        Auto = 1 "auto",
        /// Ethernet.
        Eth = 2 "eth",
        /// InfiniBand.
        Ib = 3 "ib",
    }
}

named_numbers! {
    /// Whether a port's function is given to its driver (`enum devlink_port_fn_state`).
    FunctionState: u8, "a function state (inactive, active)" {
        /// Not given.
        Inactive = 0 "inactive",
        /// Given.
        Active = 1 "active",
    }
}

named_numbers! {
    /// What a reload does (`enum devlink_reload_action`).
    ReloadAction: u8, "a reload action (driver_reinit, fw_activate)" {
        /// The driver's objects are made anew: parameters of mode `driverinit` and resource sizes take effect.
        DriverReinit = 1 "driver_reinit",
        /// New firmware is activated.
        FwActivate = 2 "fw_activate",
    }
}

named_numbers! {
    /// What a reload may not do (`enum devlink_reload_limit`).
    ReloadLimit: u8, "a reload limit (unspecified, no_reset)" {
        /// No limit.
        Unspecified = 0 "unspecified",
        /// No reset, no down time, no link flap, no lost configuration.
        NoReset = 1 "no_reset",
    }
}

named_numbers! {
    /// When a parameter takes effect (`enum devlink_param_cmode`).
    ParamMode: u8, "a parameter's configuration mode (runtime, driverinit, permanent)" {
        /// At once.
        Runtime = 0 "runtime",
        /// At the next reload.
        DriverInit = 1 "driverinit",
        /// At the next hard reset; it survives that.
        Permanent = 2 "permanent",
    }
}

named_numbers! {
    /// What a health reporter says (`enum devlink_health_reporter_state` of net/devlink.h).
    HealthState: u8, "a health state (healthy, error)" {
        /// Nothing wrong.
        Healthy = 0 "healthy",
        /// Something is wrong and was not recovered.
        Error = 1 "error",
    }
}

named_numbers! {
    /// What becomes of a trapped packet (`enum devlink_trap_action`).
    TrapAction: u8, "a trap action (drop, trap, mirror)" {
        /// Dropped by the device; the CPU does not see it.
        Drop = 0 "drop",
        /// The only copy goes to the CPU.
        Trap = 1 "trap",
        /// Forwarded, and a copy to the CPU.
        Mirror = 2 "mirror",
    }
}

named_numbers! {
    /// Why a packet is trapped (`enum devlink_trap_type`).
    TrapType: u8, "a trap type (drop, exception, control)" {
        /// It was to be dropped.
        Drop = 0 "drop",
        /// It could not be forwarded as meant.
        Exception = 1 "exception",
        /// The control plane needs it.
        Control = 2 "control",
    }
}

named_numbers! {
    /// What a resource is counted in (`enum devlink_resource_unit`).
    ResourceUnit: u8, "a resource unit (entry)" {
        /// Entries of a table.
        Entry = 0 "entry",
    }
}
