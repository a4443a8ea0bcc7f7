//! Names of functions that do not change: device, controller, PF, VF or SF.

use std::{fmt, str::FromStr};

use devlink_rs::DeviceId;

/// Which function of a PF.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Function {
    /// The PF itself.
    Pf,
    /// A VF by number.
    Vf(u16),
    /// A sub-function by number.
    Sf(u32),
}

/// A representor's name within its device, as the kernel writes it in `phys_port_name`: `pf0`, `pf0vf3`, `c1pf0vf3`, `pf0sf88`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepName {
    /// PCI controller; 0 is this host.
    pub controller: u32,
    /// PF number.
    pub pf: u16,
    /// Which function of it.
    pub function: Function,
}

/// A text that is no [`RepName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' names no function; write pf0vf3, c1pf0vf3, pf0sf88 or pf0")]
pub struct BadKey(pub String);

impl fmt::Display for RepName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.controller != 0 {
            write!(f, "c{}", self.controller)?;
        }
        write!(f, "pf{}", self.pf)?;
        match self.function {
            Function::Pf => Ok(()),
            Function::Vf(n) => write!(f, "vf{n}"),
            Function::Sf(n) => write!(f, "sf{n}"),
        }
    }
}

impl FromStr for RepName {
    type Err = BadKey;

    fn from_str(s: &str) -> Result<Self, BadKey> {
        parse(s).ok_or_else(|| BadKey(s.to_owned()))
    }
}

fn parse(s: &str) -> Option<RepName> {
    let (controller, rest) = match s.strip_prefix('c') {
        Some(rest) => {
            let (digits, rest) = split_number(rest);
            (number(digits)?, rest)
        }
        None => (0, s),
    };
    let (digits, rest) = split_number(rest.strip_prefix("pf")?);
    let pf = number(digits)?;
    let function = if rest.is_empty() {
        Function::Pf
    } else if let Some(vf) = rest.strip_prefix("vf") {
        Function::Vf(number(vf)?)
    } else {
        Function::Sf(number(rest.strip_prefix("sf")?)?)
    };
    Some(RepName { controller, pf, function })
}

impl RepName {
    /// A representor's name from what its driver says (`phys_port_name`), where devlink has no port for it. Beside
    /// the kernel's own form there are older ones: mlx5 before kernel 4.18 writes the VF's number alone (of the PF
    /// that it shares a switch with: `own_pf`), ice writes `pf0vfr3`. `None`: no function's (`p0` is an uplink's).
    pub(crate) fn of_port_name(text: &str, own_pf: u16) -> Option<RepName> {
        if let Some(vf) = number(text) {
            return Some(RepName { controller: 0, pf: own_pf, function: Function::Vf(vf) });
        }
        parse(text).or_else(|| {
            let (pf, vf) = text.strip_prefix("pf")?.split_once("vfr")?;
            Some(RepName { controller: 0, pf: number(pf)?, function: Function::Vf(number(vf)?) })
        })
    }
}

fn split_number(s: &str) -> (&str, &str) {
    s.split_at(s.find(|c: char| !c.is_ascii_digit()).unwrap_or(s.len()))
}

/// Only the one way of writing a number: no sign, no leading zero.
fn number<T: FromStr>(s: &str) -> Option<T> {
    let canonical =
        s == "0" || (s.starts_with(|c: char| matches!(c, '1'..='9')) && s.bytes().all(|b| b.is_ascii_digit()));
    canonical.then(|| s.parse().ok())?
}

/// A representor's identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RepKey {
    /// The devlink device whose eswitch it is a port of.
    pub device: DeviceId,
    /// Its name within the device.
    pub name: RepName,
}

impl fmt::Display for RepKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.device, self.name)
    }
}

impl FromStr for RepKey {
    type Err = BadKey;

    fn from_str(s: &str) -> Result<Self, BadKey> {
        let bad = || BadKey(s.to_owned());
        let (device, name) = s.rsplit_once('/').ok_or_else(bad)?;
        Ok(RepKey { device: device.parse().map_err(|_| bad())?, name: name.parse().map_err(|_| bad())? })
    }
}
