//! devlink's objects.

use std::{fmt, str::FromStr};

use netlink::{AttrBuf, Attrs, Error, RawAttr, Result};

use crate::uapi;

/// A text that names none of the values wanted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{given}' is not {wanted}")]
pub struct UnknownName {
    given: String,
    wanted: &'static str,
}

/// A devlink device: bus and name, for example `pci/0000:03:00.0`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct DeviceId {
    /// Bus, for example `pci` or `netdevsim`.
    pub bus: String,
    /// Name on the bus.
    pub name: String,
}

impl DeviceId {
    /// From its two parts.
    #[must_use]
    pub fn new(bus: impl Into<String>, name: impl Into<String>) -> Self {
        DeviceId { bus: bus.into(), name: name.into() }
    }

    pub(crate) fn put(&self, attrs: &mut AttrBuf) {
        attrs.put_str(uapi::ATTR_BUS_NAME, &self.bus).put_str(uapi::ATTR_DEV_NAME, &self.name);
    }

    /// Reads the handle that every devlink message carries.
    pub(crate) fn parse(attrs: Attrs<'_>) -> Result<Self> {
        let (mut bus, mut name) = (None, None);
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME => bus = Some(attr.str()?),
                uapi::ATTR_DEV_NAME => name = Some(attr.str()?),
                _ => {}
            }
        }
        match (bus, name) {
            (Some(bus), Some(name)) if !bus.is_empty() && !name.is_empty() => Ok(DeviceId::new(bus, name)),
            _ => Err(Error::Malformed { what: "devlink message", detail: "no bus and device name".into() }),
        }
    }
}

impl fmt::Display for DeviceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.bus, self.name)
    }
}

impl FromStr for DeviceId {
    type Err = UnknownName;

    fn from_str(s: &str) -> std::result::Result<Self, UnknownName> {
        match s.split_once('/') {
            Some((bus, name)) if !bus.is_empty() && !name.is_empty() && !name.contains('/') => {
                Ok(DeviceId::new(bus, name))
            }
            _ => Err(UnknownName {
                given: s.to_owned(),
                wanted: "a devlink device; write BUS/NAME, like pci/0000:03:00.0",
            }),
        }
    }
}

/// An enum of the devlink header: known values by name, unknown ones kept.
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
            pub(crate) fn from_number(number: $int) -> Self {
                match number {
                    $($number => $name::$variant,)+
                    other => $name::Other(other),
                }
            }

            #[allow(dead_code, reason = "flavours are only read")]
            pub(crate) fn number(self) -> $int {
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

            fn from_str(s: &str) -> std::result::Result<Self, UnknownName> {
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
    /// Whether a port's function is given to its driver (`enum devlink_port_fn_state`).
    FunctionState: u8, "a function state (inactive, active)" {
        /// Not given.
        Inactive = 0 "inactive",
        /// Given.
        Active = 1 "active",
    }
}

/// An eswitch as the kernel describes it. Drivers leave out what they do not have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Eswitch {
    /// Its device.
    pub device: DeviceId,
    /// Mode.
    pub mode: EswitchMode,
    /// Inline mode, where the driver has it.
    pub inline_mode: Option<InlineMode>,
    /// Encapsulation mode, where the driver has it.
    pub encap_mode: Option<EncapMode>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Eswitch {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs.clone())?;
        let (mut mode, mut inline_mode, mut encap_mode, mut other) = (None, None, None, Vec::new());
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_ESWITCH_MODE => mode = Some(EswitchMode::from_number(attr.u16()?)),
                uapi::ATTR_ESWITCH_INLINE_MODE => inline_mode = Some(InlineMode::from_number(attr.u8()?)),
                uapi::ATTR_ESWITCH_ENCAP_MODE => encap_mode = Some(EncapMode::from_number(attr.u8()?)),
                _ => other.push(attr.to_raw()),
            }
        }
        let mode =
            mode.ok_or_else(|| Error::Malformed { what: "devlink eswitch", detail: format!("{device} has no mode") })?;
        Ok(Eswitch { device, mode, inline_mode, encap_mode, other })
    }
}

/// What to change of an eswitch; `None` is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct EswitchChange {
    /// Mode.
    pub mode: Option<EswitchMode>,
    /// Inline mode.
    pub inline_mode: Option<InlineMode>,
    /// Encapsulation mode.
    pub encap_mode: Option<EncapMode>,
}

impl fmt::Display for EswitchChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut space = "";
        let mut part = |f: &mut fmt::Formatter<'_>, name: &str, value: Option<&dyn fmt::Display>| match value {
            Some(value) => {
                write!(f, "{space}{name} {value}")?;
                space = " ";
                Ok(())
            }
            None => Ok(()),
        };
        part(f, "mode", self.mode.as_ref().map(|v| v as _))?;
        part(f, "inline-mode", self.inline_mode.as_ref().map(|v| v as _))?;
        part(f, "encap-mode", self.encap_mode.as_ref().map(|v| v as _))
    }
}

/// A port's identity: device and index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId {
    /// Its device.
    pub device: DeviceId,
    /// Index in the device.
    pub index: u32,
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.device, self.index)
    }
}

/// The function behind a port (`DEVLINK_ATTR_PORT_FUNCTION`).
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortFunction {
    /// Hardware address that the function's driver will see.
    pub hw_addr: Option<[u8; 6]>,
    /// State.
    pub state: Option<FunctionState>,
    /// Whether a driver is attached to the function.
    pub attached: Option<bool>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

/// What to change of a port's function; `None` is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FunctionChange {
    /// Hardware address.
    pub hw_addr: Option<[u8; 6]>,
    /// State.
    pub state: Option<FunctionState>,
}

/// A devlink port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Identity.
    pub id: PortId,
    /// What it is; `None` when the driver does not say.
    pub flavour: Option<Flavour>,
    /// Number of a physical port, as printed on the NIC (from 0).
    pub number: Option<u32>,
    /// PCI controller; 0 is the host that runs us unless `external`.
    pub controller: Option<u32>,
    /// PF number.
    pub pf: Option<u16>,
    /// VF number.
    pub vf: Option<u16>,
    /// SF number.
    pub sf: Option<u32>,
    /// True when the function belongs to another host (a DPU's view of it).
    pub external: bool,
    /// The network device, where there is one in this network namespace.
    pub ifindex: Option<u32>,
    /// Its name at the time of the message.
    pub netdev: Option<String>,
    /// The function behind the port.
    pub function: Option<PortFunction>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Port {
    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let device = DeviceId::parse(attrs.clone())?;
        let mut index = None;
        let mut port = Port {
            id: PortId { device, index: 0 },
            flavour: None,
            number: None,
            controller: None,
            pf: None,
            vf: None,
            sf: None,
            external: false,
            ifindex: None,
            netdev: None,
            function: None,
            other: Vec::new(),
        };
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_PORT_INDEX => index = Some(attr.u32()?),
                uapi::ATTR_PORT_FLAVOUR => port.flavour = Some(Flavour::from_number(attr.u16()?)),
                uapi::ATTR_PORT_NUMBER => port.number = Some(attr.u32()?),
                uapi::ATTR_PORT_CONTROLLER_NUMBER => port.controller = Some(attr.u32()?),
                uapi::ATTR_PORT_PCI_PF_NUMBER => port.pf = Some(attr.u16()?),
                uapi::ATTR_PORT_PCI_VF_NUMBER => port.vf = Some(attr.u16()?),
                uapi::ATTR_PORT_PCI_SF_NUMBER => port.sf = Some(attr.u32()?),
                uapi::ATTR_PORT_EXTERNAL => port.external = attr.u8()? != 0,
                uapi::ATTR_PORT_NETDEV_IFINDEX => port.ifindex = Some(attr.u32()?).filter(|&i| i != 0),
                uapi::ATTR_PORT_NETDEV_NAME => port.netdev = Some(attr.str()?.to_owned()),
                uapi::ATTR_PORT_FUNCTION => port.function = Some(parse_function(attr.nested())?),
                _ => port.other.push(attr.to_raw()),
            }
        }
        port.id.index = index.ok_or_else(|| Error::Malformed {
            what: "devlink port",
            detail: format!("a port of {} has no index", port.id.device),
        })?;
        Ok(port)
    }
}

fn parse_function(attrs: Attrs<'_>) -> Result<PortFunction> {
    let mut function = PortFunction::default();
    for attr in attrs {
        let attr = attr?;
        match attr.kind {
            // InfiniBand functions have longer addresses.
            uapi::PORT_FUNCTION_ATTR_HW_ADDR => match attr.mac() {
                Ok(mac) => function.hw_addr = Some(mac),
                Err(_) => function.other.push(attr.to_raw()),
            },
            uapi::PORT_FN_ATTR_STATE => function.state = Some(FunctionState::from_number(attr.u8()?)),
            uapi::PORT_FN_ATTR_OPSTATE => function.attached = Some(attr.u8()? != 0),
            _ => function.other.push(attr.to_raw()),
        }
    }
    Ok(function)
}
