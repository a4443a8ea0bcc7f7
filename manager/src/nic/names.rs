//! Names of PFs, VFs and representors, as people write them.
//!
//! A PF is `pci/0000:08:00.0`, `0000:08:00.0`, the network device of its uplink, or `pf0`. A function is `pf0vf3`,
//! `c1pf0vf3`, `pf0sf88` or
//! `uplink`, with its PF before it where several NICs have one (`0000:08:00.0/pf0vf3`); a PCI address; a network device. Where a
//! name fits more than one, all are listed.

use api::{Error, ErrorKind};
use representors::{Function, Inventory, Nic, RepKey, RepName};

/// A function of a NIC, or its uplink.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    Uplink,
    Of(RepName),
}

impl std::fmt::Display for Which {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Which::Uplink => f.write_str("uplink"),
            Which::Of(name) => name.fmt(f),
        }
    }
}

/// Reads `uplink` or a function's name.
#[must_use]
pub fn which(text: &str) -> Option<Which> {
    if text == "uplink" { Some(Which::Uplink) } else { text.parse().ok().map(Which::Of) }
}

/// The PF that `name` means; without a name the only one.
pub fn pf<'a>(all: &'a Inventory, name: Option<&str>) -> Result<&'a Nic, Error> {
    let object = format!("NIC {}", name.unwrap_or("to work on"));
    let found: Vec<&Nic> = match name {
        None => all.nics.iter().collect(),
        Some(name) => match all.find(name) {
            Some(nic) => vec![nic],
            None => all.nics.iter().filter(|nic| is_pf(nic, name)).collect(),
        },
    };
    match found.as_slice() {
        [nic] => Ok(nic),
        [] if name.is_none() => {
            Err(Error::new(ErrorKind::NotFound, "NIC", "this host has no NIC with SR-IOV or an eswitch")
                .remedy("look at: lspci -nn; with --mock, shuntd makes one"))
        }
        [] => {
            Err(Error::new(ErrorKind::NotFound, object, "there is no such NIC")
                .remedy("list them with: shuntctl nic list"))
        }
        several => Err(ambiguous(object, several.iter().map(|nic| nic.device.to_string()))),
    }
}

fn is_pf(nic: &Nic, name: &str) -> bool {
    let parsed = name.parse::<RepName>();
    parsed.is_ok_and(|n| n == RepName { controller: 0, pf: nic.pf_number(), function: Function::Pf })
}

/// The function that `name` means, with its NIC. A VF need not have a representor.
pub fn function<'a>(all: &'a Inventory, name: &str) -> Result<(&'a Nic, Which), Error> {
    let object = format!("representor {name}");
    if let Some((pf_name, rest)) = name.rsplit_once('/') {
        let unknown = || {
            Error::new(ErrorKind::Invalid, &object, "this names no function of a NIC")
                .remedy("write pf0vf3, 0000:08:00.0/pf0vf3 or uplink; list them with: shuntctl rep list")
        };
        let which = which(rest).ok_or_else(unknown)?;
        let nic = pf(all, Some(pf_name))?;
        return if has(nic, which) {
            Ok((nic, which))
        } else {
            Err(missing(&object, &nic.device.to_string(), Some(which)))
        };
    }
    let found: Vec<(&Nic, Which)> = match which(name) {
        Some(which) => all.nics.iter().filter(|nic| has(nic, which)).map(|nic| (nic, which)).collect(),
        None => all.nics.iter().filter_map(|nic| Some((nic, by_device(nic, name)?))).collect(),
    };
    match found.as_slice() {
        [one] => Ok(*one),
        [] => Err(missing(&object, "", which(name))),
        several => Err(ambiguous(object, several.iter().map(|(nic, which)| format!("{}/{which}", nic.device)))),
    }
}

/// The VF that `name` means.
pub fn vf<'a>(all: &'a Inventory, name: &str) -> Result<(&'a Nic, u16), Error> {
    let named_vf = |mut e: Error| {
        e.object = format!("VF {name}");
        e
    };
    match function(all, name).map_err(named_vf)? {
        (nic, Which::Of(RepName { controller: 0, function: Function::Vf(n), .. })) if nic.vf(n).is_some() => {
            Ok((nic, n))
        }
        (_, other) => {
            Err(Error::new(ErrorKind::Invalid, format!("VF {name}"), format!("{other} is no VF of this host"))
                .remedy("list them with: shuntctl vf list"))
        }
    }
}

/// The sub-function that `name` means. One that is not there is known by the NIC of which it is `wanted`.
pub fn sf<'a>(all: &'a Inventory, name: &str, wanted: impl Fn(&Nic, u32) -> bool) -> Result<(&'a Nic, u32), Error> {
    let object = format!("SF {name}");
    let mut missing = match function(all, name) {
        Ok((nic, Which::Of(RepName { controller: 0, function: Function::Sf(n), .. }))) => return Ok((nic, n)),
        Ok((_, other)) => {
            return Err(Error::new(ErrorKind::Invalid, object, format!("{other} is no sub-function of this host"))
                .remedy("list them with: shuntctl sf list"));
        }
        Err(e) => e,
    };
    missing.object = object;
    let (of, text) = name.rsplit_once('/').map_or((None, name), |(of, text)| (Some(of), text));
    let Some(Which::Of(RepName { controller: 0, pf: number, function: Function::Sf(n) })) = which(text) else {
        return Err(missing);
    };
    let nics = match of {
        Some(of) => vec![pf(all, Some(of))?],
        None => all.nics.iter().collect(),
    };
    let mut here = nics.into_iter().filter(|nic| nic.pf_number() == number && wanted(nic, n));
    match (here.next(), here.next()) {
        (Some(nic), None) => Ok((nic, n)),
        _ => Err(missing),
    }
}

/// Whether the NIC has this function, with or without a representor.
fn has(nic: &Nic, which: Which) -> bool {
    match which {
        Which::Uplink => nic.uplink.is_some(),
        Which::Of(name) => {
            let own_vf = name.controller == 0 && name.pf == nic.pf_number();
            let vf = matches!(name.function, Function::Vf(n) if own_vf && nic.vf(n).is_some());
            vf || nic.representor(name).is_some()
        }
    }
}

/// The function that a PCI address or a network device belongs to.
fn by_device(nic: &Nic, name: &str) -> Option<Which> {
    let is = |dev: Option<&representors::Netdev>| dev.is_some_and(|d| d.name == name);
    if is(nic.uplink.as_ref().and_then(|u| u.netdev.as_ref())) {
        return Some(Which::Uplink);
    }
    if let Some(rep) = nic.representors.iter().find(|r| is(r.netdev.as_ref())) {
        return Some(Which::Of(rep.key.name));
    }
    let vf = nic.vfs.iter().find(|v| v.address.as_deref() == Some(name) || is(v.netdev.as_ref()))?;
    Some(Which::Of(vf_name(nic, vf.index)))
}

/// A VF's name.
#[must_use]
pub fn vf_name(nic: &Nic, vf: u16) -> RepName {
    let own = RepName { controller: 0, pf: nic.pf_number(), function: Function::Vf(vf) };
    nic.vf_representor(vf).map_or(own, |rep| rep.key.name)
}

/// A sub-function's name.
#[must_use]
pub fn sf_name(nic: &Nic, sf: u32) -> RepName {
    RepName { controller: 0, pf: nic.pf_number(), function: Function::Sf(sf) }
}

/// The key of a function; `None` for the uplink.
#[must_use]
pub fn key(nic: &Nic, which: Which) -> Option<RepKey> {
    match which {
        Which::Uplink => None,
        Which::Of(name) => Some(RepKey { device: nic.device.clone(), name }),
    }
}

fn missing(object: &str, nic: &str, what: Option<Which>) -> Error {
    let whose = if nic.is_empty() { "no NIC has it".to_owned() } else { format!("NIC {nic} does not have it") };
    let sf = matches!(what, Some(Which::Of(RepName { function: Function::Sf(_), .. })));
    Error::new(ErrorKind::NotFound, object, whose).remedy(if sf {
        "list them with: shuntctl sf list; make one with: shuntctl sf create PF NUMBER"
    } else {
        "list them with: shuntctl rep list; make VFs with: shuntctl vf create PF NUMBER"
    })
}

fn ambiguous(object: String, candidates: impl Iterator<Item = String>) -> Error {
    let list = candidates.collect::<Vec<_>>().join(", ");
    Error::new(ErrorKind::Conflict, object, format!("several fit: {list}")).remedy("name one of these")
}
