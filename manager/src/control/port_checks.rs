//! What can be said about a port without looking at the switch.

use super::bridges::check_name;
use super::dpdk_options::DpdkOptions;
use super::errors::invalid;
use super::kernel_ports;
use ::pipeline::VlanSet;
use api::{Error, ErrorKind, Port, PortType, VlanMode};
use flow::OfPort;

/// Whether such a port can be.
pub(super) fn check(object: &str, port: &Port) -> Result<(), Error> {
    check_name(object, &port.name)?;
    if let Some(kind) = kernel_ports::kind(port.kind) {
        kernel_ports::check(object, port, kind)?;
    } else if port.kind == PortType::Dpdk {
        DpdkOptions::of(port)?;
    } else if let Some(option) = port.options.keys().find(|o| port.kind != PortType::Representor || *o != "path") {
        return Err(invalid(object, format!("a {} port has no option {option}", port.kind)).remedy("leave it away"));
    } else if port.mtu.is_some() {
        let message = format!("the MTU of a {} port cannot be set", port.kind);
        return Err(Error::new(ErrorKind::Unsupported, object, message).remedy("leave --mtu away"));
    }
    match port.kind {
        PortType::Tap | PortType::Internal | PortType::AfPacket => {}
        PortType::Dpdk | PortType::Representor => {
            if port.devargs.as_deref().unwrap_or_default().trim().is_empty() {
                let example = if port.kind == PortType::Dpdk { "net_tap0" } else { "pf0vf0" };
                return Err(invalid(object, format!("a {} port needs devargs", port.kind))
                    .remedy(format!("add --devargs, such as --devargs {example}")));
            }
            if port.peer.is_some() {
                return Err(invalid(object, format!("a {} port has no peer", port.kind))
                    .remedy("leave the peer away, or use type patch"));
            }
        }
        PortType::Patch => check_patch(object, port)?,
        other => {
            return Err(Error::new(
                ErrorKind::Unsupported,
                object,
                format!("ports of type {other} cannot be made yet"),
            )
            .remedy("use type dpdk, representor, tap, internal, af-packet or patch"));
        }
    }
    let local = |n: u16| port.kind == PortType::Internal && OfPort(n) == OfPort::LOCAL;
    if let Some(number) = port.ofport.filter(|n| !OfPort(*n).is_real() && !local(*n)) {
        return Err(invalid(object, format!("port number {number} is out of range"))
            .remedy("use 1 to 65279, for an internal port local too, or none"));
    }
    vlan_mode(object, port).map(|_| ())
}

/// Whether rules can name the port: their text takes numbers and words like `LOCAL` for something else, and knows no quotes.
pub(super) fn check_port_name(object: &str, name: &str) -> Result<(), Error> {
    let reserved = OfPort::RESERVED.iter().any(|(word, _)| word.eq_ignore_ascii_case(name));
    let number = name.strip_prefix("0x").unwrap_or(name).chars().all(|c| c.is_ascii_hexdigit())
        && name.starts_with(|c: char| c.is_ascii_digit());
    if reserved || number {
        return Err(invalid(object, "rules would take the name for a port's number")
            .remedy("choose a name that is no number and none like LOCAL"));
    }
    if let Some(c) = name.chars().find(|c| !c.is_ascii_alphanumeric() && !"._-@+%~".contains(*c)) {
        return Err(invalid(object, format!("rules could not name it with `{c}` in its name"))
            .remedy("use letters, digits and . _ - @ + % ~"));
    }
    Ok(())
}

fn check_patch(object: &str, port: &Port) -> Result<(), Error> {
    if port.devargs.is_some() {
        return Err(invalid(object, "a patch port has no devargs").remedy("leave --devargs away"));
    }
    match port.peer.as_deref() {
        None | Some("") => Err(invalid(object, "a patch port needs the name of the other end")
            .remedy("add --peer, the name of a patch port of another bridge")),
        Some(peer) if peer == port.name => {
            Err(invalid(object, "a patch port cannot be its own peer").remedy("name another patch port with --peer"))
        }
        Some(_) => Ok(()),
    }
}

/// How the pipeline is to treat VLANs on the port.
pub(super) fn vlan_mode(object: &str, port: &Port) -> Result<::pipeline::VlanMode, Error> {
    if let Some(vlan) = port.tag.into_iter().chain(port.trunks.iter().copied()).find(|v| !(1..=4094).contains(v)) {
        return Err(invalid(object, format!("VLAN {vlan} is out of range")).remedy("use 1 to 4094"));
    }
    let mode = match (port.vlan_mode, port.tag) {
        (Some(mode), _) => mode,
        (None, Some(_)) if !port.trunks.is_empty() => {
            return Err(invalid(object, "both a tag and trunks").remedy(
                "say with --vlan-mode whether the tag is the only VLAN (access) or the native one (native-tagged, native-untagged)",
            ));
        }
        (None, Some(_)) => VlanMode::Access,
        (None, None) => VlanMode::Trunk,
    };
    let tag = || {
        port.tag
            .ok_or_else(|| invalid(object, format!("VLAN mode {mode} needs a tag")).remedy("add --tag, from 1 to 4094"))
    };
    let trunks = || if port.trunks.is_empty() { VlanSet::all() } else { port.trunks.iter().copied().collect() };
    Ok(match mode {
        VlanMode::Access => ::pipeline::VlanMode::Access(tag()?),
        VlanMode::Trunk => ::pipeline::VlanMode::Trunk(trunks()),
        VlanMode::NativeTagged => ::pipeline::VlanMode::NativeTagged { native: tag()?, trunks: trunks() },
        VlanMode::NativeUntagged => ::pipeline::VlanMode::NativeUntagged { native: tag()?, trunks: trunks() },
    })
}
