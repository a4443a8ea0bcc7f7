//! `ct` and `nat`.

use super::super::format::Ipv6;
use super::super::print_match::List;
use super::Words;
use super::set::Part;
use crate::action::{Action, Ct, CtAlg, CtZone, Nat, NatRange};
use std::fmt::Write;
use std::net::IpAddr;

/// The action as text; `list` prints the actions of `exec`.
pub(super) fn text(ct: &Ct, words: Words, list: impl Fn(&[Action]) -> String) -> String {
    let mut keys = List::default();
    if ct.commit {
        keys.item("commit");
    }
    if ct.force {
        keys.item("force");
    }
    if let Some(table) = ct.table {
        keys.pair("table", table);
    }
    match &ct.zone {
        CtZone::Fixed(0) => {}
        CtZone::Fixed(zone) => keys.pair("zone", zone),
        CtZone::Field(part) => keys.pair("zone", Part(part)),
    }
    let nat = ct.nat.map(|nat| nat_text(&nat, words));
    let (before, behind) = ct.exec.split_at(ct.nat_at.min(ct.exec.len()));
    match nat {
        // First, it stands beside `exec`, else inside.
        Some(nat) if before.is_empty() => {
            keys.item(nat);
            if !behind.is_empty() {
                keys.item(format_args!("exec({})", list(behind)));
            }
        }
        Some(nat) if behind.is_empty() => keys.item(format_args!("exec({},{nat})", list(before))),
        Some(nat) => keys.item(format_args!("exec({},{nat},{})", list(before), list(behind))),
        None if ct.exec.is_empty() => {}
        None => keys.item(format_args!("exec({})", list(&ct.exec))),
    }
    match ct.alg {
        Some(CtAlg::Ftp) => keys.pair("alg", "ftp"),
        Some(CtAlg::Tftp) => keys.pair("alg", "tftp"),
        None => {}
    }
    format!("ct({})", keys.0)
}

fn nat_text(nat: &Nat, words: Words) -> String {
    let (name, range) = match nat {
        Nat::Existing => return "nat".to_owned(),
        Nat::Source(range) => ("src", range),
        Nat::Destination(range) => ("dst", range),
    };
    let mut keys = List::default();
    match range.addresses {
        Some(_) => keys.pair(name, range_text(range)),
        None => keys.item(name),
    }
    // OVS prints these of a range only.
    if range.addresses.is_some() || words == Words::Own {
        for (flag, name) in [(range.persistent, "persistent"), (range.hash, "hash"), (range.random, "random")] {
            if flag {
                keys.item(name);
            }
        }
    }
    format!("nat({})", keys.0)
}

fn range_text(range: &NatRange) -> String {
    let mut out = String::new();
    // Writing to a string cannot fail.
    if let Some((first, last)) = range.addresses {
        address(&mut out, first, range.ports.is_some());
        if last != first {
            out.push('-');
            address(&mut out, last, range.ports.is_some());
        }
    }
    if let Some((first, last)) = range.ports {
        let _ = write!(out, ":{first}");
        if last != first {
            let _ = write!(out, "-{last}");
        }
    }
    out
}

/// An address; of IPv6 in brackets when a port follows.
fn address(out: &mut String, address: IpAddr, port: bool) {
    let _ = match address {
        IpAddr::V4(v4) => write!(out, "{v4}"),
        IpAddr::V6(v6) if port => write!(out, "[{}]", Ipv6(u128::from(v6))),
        IpAddr::V6(v6) => write!(out, "{}", Ipv6(u128::from(v6))),
    };
}
