//! What a port is to be.

use crate::error::KernelPortError;

/// Least MTU of an Ethernet device (`ETH_MIN_MTU`).
pub const MIN_MTU: u16 = 68;
/// Largest MTU of a tap: 64 KiB less an Ethernet header, which is what tun(4) allows.
pub const MAX_MTU: u16 = 65_521;
const DEFAULT_MTU: u16 = 1500;
/// Bytes of a name, without the NUL behind it (`IFNAMSIZ`).
const LONGEST_NAME: usize = 15;

/// What is behind a port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A tap device that we make and remove.
    Tap,
    /// The same, for the host's own use; OVS's internal port.
    Internal,
    /// A network device that is there.
    AfPacket,
}

/// A port to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Spec {
    pub kind: Kind,
    /// Name of the network device.
    pub ifname: String,
    /// Largest L3 packet in bytes. `None`: 1,500, or what the device has that is there already.
    pub mtu: Option<u16>,
    /// Ethernet address of a device that we make; random when absent.
    pub mac: Option<[u8; 6]>,
}

impl Spec {
    /// A port with nothing else said.
    #[must_use]
    pub fn new(kind: Kind, ifname: impl Into<String>) -> Spec {
        Spec { kind, ifname: ifname.into(), mtu: None, mac: None }
    }

    /// Whether such a port can be, as far as can be said without the kernel.
    ///
    /// # Errors
    /// [`KernelPortError::Name`], [`KernelPortError::Mtu`], [`KernelPortError::Mac`].
    pub fn check(&self) -> Result<(), KernelPortError> {
        let bad = |reason| Err(KernelPortError::Name { ifname: self.ifname.clone(), reason });
        let forbidden = |c: char| c == '/' || c == ':' || c.is_whitespace() || c.is_control();
        if self.ifname.is_empty() {
            return bad("it is empty");
        }
        if self.ifname.len() > LONGEST_NAME {
            return bad("it is longer than 15 bytes");
        }
        if self.ifname == "." || self.ifname == ".." || self.ifname.contains(forbidden) {
            return bad("it holds what names cannot");
        }
        // The kernel would put a number in its place.
        if self.ifname.contains('%') {
            return bad("it holds a %");
        }
        if let Some(mtu) = self.mtu {
            check_mtu(mtu)?;
        }
        match self.mac {
            Some(mac) if mac[0] & 1 != 0 || mac == [0; 6] => {
                let hex: Vec<_> = mac.iter().map(|b| format!("{b:02x}")).collect();
                Err(KernelPortError::Mac { mac: hex.join(":") })
            }
            _ => Ok(()),
        }
    }

    /// The MTU of a device that we make.
    pub(crate) fn mtu(&self) -> u16 {
        self.mtu.unwrap_or(DEFAULT_MTU)
    }
}

/// Whether a device can have this MTU.
pub(crate) fn check_mtu(mtu: u16) -> Result<(), KernelPortError> {
    if (MIN_MTU..=MAX_MTU).contains(&mtu) {
        return Ok(());
    }
    Err(KernelPortError::Mtu { mtu, least: MIN_MTU, most: MAX_MTU })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_kernel_would_not_take_is_refused() {
        let spec = |ifname: &str| Spec::new(Kind::Tap, ifname);
        for good in ["tap0", "a", "br-int.100", "fifteen-bytes-x"] {
            spec(good).check().unwrap();
        }
        for bad in ["", "sixteen-bytes-xx", ".", "..", "a/b", "a b", "a:1", "tap%d", "a\nb"] {
            let error = spec(bad).check().unwrap_err();
            assert!(matches!(error, KernelPortError::Name { .. }), "{bad:?}: {error}");
        }
        for (mtu, good) in [(67, false), (68, true), (9000, true), (65_521, true), (65_522, false)] {
            assert_eq!(Spec { mtu: Some(mtu), ..spec("a") }.check().is_ok(), good, "{mtu}");
        }
        for (mac, good) in [([2, 0, 0, 0, 0, 1], true), ([1, 0, 0, 0, 0, 1], false), ([0; 6], false)] {
            assert_eq!(Spec { mac: Some(mac), ..spec("a") }.check().is_ok(), good, "{mac:?}");
        }
    }
}
