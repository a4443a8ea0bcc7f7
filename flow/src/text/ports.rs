//! Names of ports.

use super::number::whole_int;
use crate::port::OfPort;

/// The ports that text may name.
pub trait PortNames {
    /// The OpenFlow number of the port with this name.
    fn number(&self, name: &str) -> Option<OfPort>;
}

/// Text may give ports by number only.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoPorts;

impl PortNames for NoPorts {
    fn number(&self, _name: &str) -> Option<OfPort> {
        None
    }
}

impl<F: Fn(&str) -> Option<OfPort>> PortNames for F {
    fn number(&self, name: &str) -> Option<OfPort> {
        self(name)
    }
}

/// First of the 32-bit reserved numbers of OpenFlow 1.1 and later, and its distance to the 16-bit ones.
const OFP11_MAX: u32 = 0xffff_ff00;
const OFP11_OFFSET: u32 = 0xffff_0000;

/// A port by number (16-bit, or a reserved 32-bit one), by reserved name in any case, or by name.
pub(super) fn port(s: &str, ports: &dyn PortNames) -> Option<OfPort> {
    if s.starts_with('-') {
        return None;
    }
    if let Some(number) = whole_int(s, 10).and_then(|n| u32::try_from(n).ok()) {
        return match number {
            0..=0xffff => Some(OfPort(number as u16)),
            OFP11_MAX.. => Some(OfPort((number - OFP11_OFFSET) as u16)),
            _ => None,
        };
    }
    let reserved = OfPort::RESERVED.iter().find(|(name, _)| name.eq_ignore_ascii_case(s));
    let unquoted = s.strip_prefix('"').and_then(|s| s.strip_suffix('"')).unwrap_or(s);
    reserved.map(|(_, port)| *port).or_else(|| ports.number(unquoted))
}

/// A port by its 32-bit number; no port when there is none of that number.
pub(super) fn wide_port(number: u32) -> OfPort {
    match number {
        _ if number < u32::from(OfPort::MAX.0) => OfPort(number as u16),
        OFP11_MAX.. => OfPort((number - OFP11_OFFSET) as u16),
        _ => OfPort::NONE,
    }
}

/// Whether packets can be sent to the port.
pub(super) fn can_send(port: OfPort) -> bool {
    let reserved =
        [OfPort::IN_PORT, OfPort::TABLE, OfPort::NORMAL, OfPort::FLOOD, OfPort::ALL, OfPort::CONTROLLER, OfPort::LOCAL];
    port < OfPort::MAX || reserved.contains(&port)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_have_numbers_and_names() {
        let named = |name: &str| (name == "vf0").then_some(OfPort(7));
        assert_eq!(port("5", &NoPorts), Some(OfPort(5)));
        assert_eq!(port("4294967294", &NoPorts), Some(OfPort::LOCAL));
        assert_eq!(port("local", &NoPorts), Some(OfPort::LOCAL));
        assert_eq!(port("65536", &NoPorts), None);
        assert_eq!(port("-1", &NoPorts), None);
        assert_eq!(port("0x5", &NoPorts), None);
        assert_eq!(port("vf0", &named), Some(OfPort(7)));
        assert_eq!(port("\"vf0\"", &named), Some(OfPort(7)));
        assert_eq!(port("vf1", &named), None);
    }
}
