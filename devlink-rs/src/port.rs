//! Ports and the functions behind them (`devlink port`).

use std::{fmt, str::FromStr};

use netlink::{AttrBuf, Attrs, Bitfield32, Mac, RawAttr, Result};

use crate::{
    device::DeviceId,
    names::{Flavour, FunctionState, PortType, UnknownName},
    request::{Request, keep, malformed, need, same},
    uapi,
    words::Words,
};

/// A port's identity: device and index.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PortId {
    /// Its device.
    pub device: DeviceId,
    /// Index in the device.
    pub index: u32,
}

impl PortId {
    pub(crate) fn attrs(&self) -> AttrBuf {
        let mut attrs = self.device.attrs();
        attrs.put_u32(uapi::ATTR_PORT_INDEX, self.index);
        attrs
    }
}

impl fmt::Display for PortId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.device, self.index)
    }
}

impl FromStr for PortId {
    type Err = UnknownName;

    fn from_str(s: &str) -> std::result::Result<Self, UnknownName> {
        let id = s
            .rsplit_once('/')
            .and_then(|(device, index)| Some(PortId { device: device.parse().ok()?, index: index.parse().ok()? }));
        id.ok_or_else(|| UnknownName {
            given: s.to_owned(),
            wanted: "a devlink port; write BUS/NAME/INDEX, like pci/0000:03:00.0/65535",
        })
    }
}

/// The function behind a port (`DEVLINK_ATTR_PORT_FUNCTION`). Drivers leave out what they do not have.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PortFunction {
    /// Hardware address that the function's driver will see.
    pub hw_addr: Option<[u8; 6]>,
    /// State.
    pub state: Option<FunctionState>,
    /// Whether a driver is attached to the function.
    pub attached: Option<bool>,
    /// May the function use RDMA over Ethernet?
    pub roce: Option<bool>,
    /// Can the function be migrated live?
    pub migratable: Option<bool>,
    /// May the function offload IPsec cryptography?
    pub ipsec_crypto: Option<bool>,
    /// May the function offload IPsec packet processing?
    pub ipsec_packet: Option<bool>,
    /// How many IO event queues the function may have.
    pub max_io_eqs: Option<u32>,
    /// The devlink device that the function itself is, where it is one on this host.
    pub device: Option<DeviceId>,
    /// Everything else, as it came; capabilities too when there are bits among them without a name here.
    pub other: Vec<RawAttr>,
}

const CAPS: u32 = uapi::PORT_FN_CAP_ROCE
    | uapi::PORT_FN_CAP_MIGRATABLE
    | uapi::PORT_FN_CAP_IPSEC_CRYPTO
    | uapi::PORT_FN_CAP_IPSEC_PACKET;

impl PortFunction {
    fn parse(attrs: Attrs<'_>) -> Result<PortFunction> {
        let mut function = PortFunction::default();
        for attr in attrs {
            let attr = attr?;
            match attr.kind {
                // InfiniBand functions have longer addresses.
                uapi::PORT_FUNCTION_ATTR_HW_ADDR => match attr.mac() {
                    Ok(mac) => function.hw_addr = Some(mac),
                    Err(_) => keep(&mut function.other, &attr),
                },
                uapi::PORT_FN_ATTR_STATE => function.state = Some(FunctionState::from_number(attr.u8()?)),
                uapi::PORT_FN_ATTR_OPSTATE => function.attached = Some(attr.u8()? != 0),
                uapi::PORT_FN_ATTR_CAPS => {
                    let caps = attr.bitfield32()?;
                    let cap = |bit: u32| (caps.selector & bit != 0).then_some(caps.value & bit != 0);
                    function.roce = cap(uapi::PORT_FN_CAP_ROCE);
                    function.migratable = cap(uapi::PORT_FN_CAP_MIGRATABLE);
                    function.ipsec_crypto = cap(uapi::PORT_FN_CAP_IPSEC_CRYPTO);
                    function.ipsec_packet = cap(uapi::PORT_FN_CAP_IPSEC_PACKET);
                    if caps.selector & !CAPS != 0 {
                        keep(&mut function.other, &attr);
                    }
                }
                uapi::PORT_FN_ATTR_DEVLINK => function.device = Some(DeviceId::parse(&attr.nested())?),
                uapi::PORT_FN_ATTR_MAX_IO_EQS => function.max_io_eqs = Some(attr.u32()?),
                _ => keep(&mut function.other, &attr),
            }
        }
        Ok(function)
    }
}

/// What to change of a port's function; `None` is left as it is.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct FunctionChange {
    /// Hardware address.
    pub hw_addr: Option<[u8; 6]>,
    /// State.
    pub state: Option<FunctionState>,
    /// RDMA over Ethernet.
    pub roce: Option<bool>,
    /// Live migration.
    pub migratable: Option<bool>,
    /// IPsec cryptography offload.
    pub ipsec_crypto: Option<bool>,
    /// IPsec packet offload.
    pub ipsec_packet: Option<bool>,
    /// IO event queues.
    pub max_io_eqs: Option<u32>,
}

impl FunctionChange {
    fn caps(&self) -> Bitfield32 {
        let mut caps = Bitfield32::default();
        for (bit, on) in [
            (uapi::PORT_FN_CAP_ROCE, self.roce),
            (uapi::PORT_FN_CAP_MIGRATABLE, self.migratable),
            (uapi::PORT_FN_CAP_IPSEC_CRYPTO, self.ipsec_crypto),
            (uapi::PORT_FN_CAP_IPSEC_PACKET, self.ipsec_packet),
        ] {
            if let Some(on) = on {
                caps.selector |= bit;
                caps.value |= if on { bit } else { 0 };
            }
        }
        caps
    }

    fn attrs(&self) -> AttrBuf {
        let mut attrs = AttrBuf::new();
        if let Some(mac) = self.hw_addr {
            attrs.put(uapi::PORT_FUNCTION_ATTR_HW_ADDR, &mac);
        }
        if let Some(state) = self.state {
            attrs.put_u8(uapi::PORT_FN_ATTR_STATE, state.number());
        }
        let caps = self.caps();
        if caps.selector != 0 {
            attrs.put_bitfield32(uapi::PORT_FN_ATTR_CAPS, caps);
        }
        if let Some(queues) = self.max_io_eqs {
            attrs.put_u32(uapi::PORT_FN_ATTR_MAX_IO_EQS, queues);
        }
        attrs
    }
}

impl fmt::Display for FunctionChange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut words = Words::default();
        words.put("hw_addr", self.hw_addr.map(Mac)).put("state", self.state).put_switch("roce", self.roce);
        words.put_switch("migratable", self.migratable).put_switch("ipsec_crypto", self.ipsec_crypto);
        words.put_switch("ipsec_packet", self.ipsec_packet).put("max_io_eqs", self.max_io_eqs);
        words.fmt(f)
    }
}

/// A devlink port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Port {
    /// Identity.
    pub id: PortId,
    /// What it is; `None` when the driver does not say.
    pub flavour: Option<Flavour>,
    /// What it carries.
    pub port_type: Option<PortType>,
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
    /// The RDMA device's name.
    pub ibdev: Option<String>,
    /// Lanes of a physical port.
    pub lanes: Option<u32>,
    /// Whether the port can be split.
    pub splittable: Option<bool>,
    /// The function behind the port.
    pub function: Option<PortFunction>,
    /// Everything else, as it came.
    pub other: Vec<RawAttr>,
}

impl Port {
    fn empty(device: DeviceId) -> Self {
        Port {
            id: PortId { device, index: 0 },
            flavour: None,
            port_type: None,
            number: None,
            controller: None,
            pf: None,
            vf: None,
            sf: None,
            external: false,
            ifindex: None,
            netdev: None,
            ibdev: None,
            lanes: None,
            splittable: None,
            function: None,
            other: Vec::new(),
        }
    }

    pub(crate) fn parse(attrs: &Attrs<'_>) -> Result<Self> {
        let mut port = Port::empty(DeviceId::parse(attrs)?);
        let mut index = None;
        for attr in attrs.clone() {
            let attr = attr?;
            match attr.kind {
                uapi::ATTR_BUS_NAME | uapi::ATTR_DEV_NAME => {}
                uapi::ATTR_PORT_INDEX => index = Some(attr.u32()?),
                uapi::ATTR_PORT_FLAVOUR => port.flavour = Some(Flavour::from_number(attr.u16()?)),
                uapi::ATTR_PORT_TYPE => port.port_type = Some(PortType::from_number(attr.u16()?)),
                uapi::ATTR_PORT_NUMBER => port.number = Some(attr.u32()?),
                uapi::ATTR_PORT_CONTROLLER_NUMBER => port.controller = Some(attr.u32()?),
                uapi::ATTR_PORT_PCI_PF_NUMBER => port.pf = Some(attr.u16()?),
                uapi::ATTR_PORT_PCI_VF_NUMBER => port.vf = Some(attr.u16()?),
                uapi::ATTR_PORT_PCI_SF_NUMBER => port.sf = Some(attr.u32()?),
                uapi::ATTR_PORT_EXTERNAL => port.external = attr.u8()? != 0,
                uapi::ATTR_PORT_NETDEV_IFINDEX => port.ifindex = Some(attr.u32()?).filter(|&i| i != 0),
                uapi::ATTR_PORT_NETDEV_NAME => port.netdev = Some(attr.str()?.to_owned()),
                uapi::ATTR_PORT_IBDEV_NAME => port.ibdev = Some(attr.str()?.to_owned()),
                uapi::ATTR_PORT_LANES => port.lanes = Some(attr.u32()?),
                uapi::ATTR_PORT_SPLITTABLE => port.splittable = Some(attr.u8()? != 0),
                uapi::ATTR_PORT_FUNCTION => port.function = Some(PortFunction::parse(attr.nested())?),
                _ => keep(&mut port.other, &attr),
            }
        }
        port.id.index = need(index, &format!("a port of {}", port.id.device), "index")?;
        Ok(port)
    }
}

/// A port to add: a sub-function, with drivers that have them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewPort {
    /// On which device.
    pub device: DeviceId,
    /// What it is to be: [`Flavour::PciSf`] (drivers know no other to add).
    pub flavour: Flavour,
    /// PF number.
    pub pf: u16,
    /// SF number; the driver chooses when there is none.
    pub sf: Option<u32>,
    /// Controller of a DPU's other host.
    pub controller: Option<u32>,
    /// Port index; the driver chooses when there is none.
    pub index: Option<u32>,
}

/// All ports of all devices (`devlink port show`).
#[must_use]
pub fn ports() -> Request<Vec<Port>> {
    Request::dump("list devlink ports", uapi::CMD_PORT_GET, Port::parse)
}

/// One port (`devlink port show PORT`).
#[must_use]
pub fn port(id: &PortId) -> Request<Port> {
    let asked = id.clone();
    Request::get_one(format!("devlink port show {id}"), uapi::CMD_PORT_GET, id.attrs(), move |attrs| {
        let port = Port::parse(attrs)?;
        same(&asked, &port.id)?;
        Ok(port)
    })
}

/// Changes the function behind a port (`devlink port function set`).
#[must_use]
pub fn set_function(id: &PortId, change: &FunctionChange) -> Request<()> {
    let mut attrs = id.attrs();
    attrs.put_nested(uapi::ATTR_PORT_FUNCTION, &change.attrs());
    Request::act(format!("devlink port function set {id} {change}"), uapi::CMD_PORT_SET, attrs)
}

/// Adds a port (`devlink port add`) and returns it as the kernel made it: inactive, until its function's state is set.
#[must_use]
pub fn add_port(new: &NewPort) -> Request<Port> {
    let mut attrs = new.device.attrs();
    let mut words = Words::default();
    words.put("flavour", Some(new.flavour)).put("pfnum", Some(new.pf)).put("sfnum", new.sf);
    words.put("controller", new.controller);
    attrs.put_u16(uapi::ATTR_PORT_FLAVOUR, new.flavour.number()).put_u16(uapi::ATTR_PORT_PCI_PF_NUMBER, new.pf);
    for (kind, value) in [
        (uapi::ATTR_PORT_INDEX, new.index),
        (uapi::ATTR_PORT_PCI_SF_NUMBER, new.sf),
        (uapi::ATTR_PORT_CONTROLLER_NUMBER, new.controller),
    ] {
        if let Some(value) = value {
            attrs.put_u32(kind, value);
        }
    }
    let asked = new.device.clone();
    Request::get_one(format!("devlink port add {} {words}", new.device), uapi::CMD_PORT_NEW, attrs, move |attrs| {
        let port = Port::parse(attrs)?;
        same(&asked, &port.id.device)?;
        if port.flavour.is_none() {
            return Err(malformed(format!("the new port {} has no flavour", port.id)));
        }
        Ok(port)
    })
    .long()
}

/// Deletes a port that was added (`devlink port del`).
#[must_use]
pub fn delete_port(id: &PortId) -> Request<()> {
    Request::act(format!("devlink port del {id}"), uapi::CMD_PORT_DEL, id.attrs()).long()
}
