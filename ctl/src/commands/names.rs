//! Names of ports in text that has their numbers.

use crate::client::Client;
use crate::error::Result;
use api::{PortView, paths};
use std::collections::HashMap;

/// Names of a bridge's ports; without any, text stays as it is.
#[derive(Debug, Default)]
pub struct PortNames(HashMap<u16, String>);

/// What stands before the number of a port in flow, group and trace text.
const BEFORE: [&str; 8] =
    ["in_port=", "output:", "resubmit:", "resubmit(", "enqueue:", "watch_port:", "actset_output=", "(port="];

impl PortNames {
    /// The ports of a bridge.
    pub fn of(client: &Client, bridge: &str) -> Result<PortNames> {
        let all: Vec<PortView> = client.get(paths::PORTS)?;
        let here = all.into_iter().filter(|p| p.bridge == bridge);
        Ok(PortNames(here.filter_map(|p| Some((p.port.ofport?, p.port.name))).collect()))
    }

    /// The text with names instead of numbers.
    pub fn put(&self, text: &str) -> String {
        if self.0.is_empty() {
            return text.to_owned();
        }
        let mut out = String::with_capacity(text.len());
        let mut rest = text;
        // Where the next number of a port begins, if there is one.
        while let Some(at) = BEFORE.iter().filter_map(|b| rest.find(b).map(|at| at + b.len())).min() {
            let (before, from) = rest.split_at(at);
            out.push_str(before);
            let digits = from.len() - from.trim_start_matches(|c: char| c.is_ascii_digit()).len();
            let (number, after) = from.split_at(digits);
            match number.parse().ok().and_then(|n: u16| self.0.get(&n)) {
                Some(name) => out.push_str(&quoted(name)),
                None => out.push_str(number),
            }
            rest = after;
        }
        out.push_str(rest);
        out
    }
}

/// A name as flow text takes it: in quotes unless it is a plain word.
fn quoted(name: &str) -> String {
    let plain = name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_')
        && flow::OfPort::RESERVED.iter().all(|(reserved, _)| !reserved.eq_ignore_ascii_case(name));
    if plain { name.to_owned() } else { format!("\"{name}\"") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_of_ports_become_names_and_other_numbers_stay() {
        let names = PortNames(HashMap::from([(1, "uplink".to_owned()), (2, "vm.2".to_owned())]));
        assert_eq!(
            names.put("priority=1,in_port=1 actions=output:2,resubmit(1,2),output:3,set_field:1->reg1,enqueue:2:1"),
            "priority=1,in_port=uplink actions=output:\"vm.2\",resubmit(uplink,2),output:3,set_field:1->reg1,enqueue:\"vm.2\":1"
        );
        assert_eq!(PortNames::default().put("in_port=1"), "in_port=1");
    }
}
