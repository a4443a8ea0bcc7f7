//! Ports that face the kernel: `tap`, `internal`, `af-packet`.

use super::errors::invalid;
use super::{Control, Inner};
use api::{Error, ErrorKind, Port, PortType};
use dpdk::Port as Device;
use kernel_ports::{Absent, KernelPort, KernelPortError, Kind, Spec, State};
use std::collections::BTreeMap;

/// What is behind a port of this type; `None`: not the kernel.
pub(super) fn kind(port: PortType) -> Option<Kind> {
    match port {
        PortType::Tap => Some(Kind::Tap),
        PortType::Internal => Some(Kind::Internal),
        PortType::AfPacket => Some(Kind::AfPacket),
        _ => None,
    }
}

/// Name of the network device behind such a port.
pub(super) fn ifname(port: &Port) -> Option<&str> {
    kind(port.kind)?;
    Some(port.options.get("ifname").map_or(&port.name, |name| name))
}

/// Whether such a port can be, as far as can be said without the kernel.
pub(super) fn check(object: &str, port: &Port, kind: Kind) -> Result<(), Error> {
    let no =
        |what: &str, instead: &str| Err(invalid(object, format!("a {} port has no {what}", port.kind)).remedy(instead));
    if port.devargs.is_some() {
        return no("devargs", "name its network device with --option ifname=NAME");
    }
    if port.peer.is_some() {
        return no("peer", "leave the peer away, or use type patch");
    }
    let known: &[&str] = if kind == Kind::AfPacket { &["ifname"] } else { &["ifname", "mac"] };
    if let Some(other) = port.options.keys().find(|key| !known.contains(&key.as_str())) {
        return no(&format!("option {other}"), &format!("use: {}", known.join(", ")));
    }
    spec(object, port, kind)?.check().map_err(|e| told(object, &e))
}

fn spec(object: &str, port: &Port, kind: Kind) -> Result<Spec, Error> {
    let mut spec = Spec::new(kind, ifname(port).unwrap_or(&port.name));
    spec.mtu = port.mtu;
    if let Some(text) = port.options.get("mac") {
        let bytes: Option<Vec<u8>> = text.split(':').map(|b| u8::from_str_radix(b, 16).ok()).collect();
        let mac = bytes.and_then(|b| b.try_into().ok()).filter(|_| text.len() == 17);
        let bad =
            || invalid(object, format!("`{text}` is no Ethernet address")).remedy("write it as 02:00:00:00:00:01");
        spec.mac = Some(mac.ok_or_else(bad)?);
    }
    Ok(spec)
}

/// An error of the crate, as the API tells it.
fn told(object: &str, e: &KernelPortError) -> Error {
    let kind = match e {
        KernelPortError::Name { .. } | KernelPortError::Mtu { .. } | KernelPortError::Mac { .. } => ErrorKind::Invalid,
        KernelPortError::DeviceMtu { .. } | KernelPortError::Taken { .. } => ErrorKind::Conflict,
        KernelPortError::NoDevice { .. } => ErrorKind::NotFound,
        KernelPortError::Port(dpdk::PortError::TooManyPorts { .. }) => ErrorKind::Full,
        _ => ErrorKind::Failed,
    };
    Error::new(kind, object, e.to_string()).remedy(e.remedy())
}

impl Control {
    /// Make the device of a port that faces the kernel.
    pub(super) fn kernel_device(&self, port: &Port, kind: Kind, absent: Absent) -> Result<(Device, KernelPort), Error> {
        let object = format!("port {}", port.name);
        if self.switch.lockstep().is_some() {
            let message = "the kernel has no part in a virtual time";
            return Err(Error::new(ErrorKind::Unsupported, object, message).remedy("start shuntd without lockstep"));
        }
        self.kernel.add(spec(&object, port, kind)?, absent).map_err(|e| told(&object, &e))
    }
}

impl Inner {
    /// How the device of a port is, when the kernel is behind it.
    pub(super) fn kernel_state(&self, name: &str) -> Option<String> {
        Some(match self.kernel.get(name)?.state() {
            State::Up => "up".to_owned(),
            State::Down(why) => format!("down: {why}"),
        })
    }

    /// What the device of a port counted.
    pub(super) fn device_counters(&self, name: &str) -> BTreeMap<String, u64> {
        self.kernel.get(name).map(KernelPort::counters).unwrap_or_default()
    }

    /// Change the MTU of a port's device.
    pub(super) fn set_kernel_mtu(&self, name: &str, mtu: u16) -> Result<(), Error> {
        // A port that could not be made has no device: its MTU is used when it can.
        let Some(port) = self.kernel.get(name) else { return Ok(()) };
        port.set_mtu(mtu).map_err(|e| told(&format!("port {name}"), &e))
    }
}
