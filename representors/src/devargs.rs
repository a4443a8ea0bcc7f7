//! DPDK's names for the same functions: device arguments (DPDK Programmer's Guide, "Port Representors").

use std::collections::BTreeMap;

use crate::key::{Function, RepName};

/// Whether DPDK has representors of a NIC beside the kernel's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DpdkRepresentors {
    /// Yes: DPDK and the kernel's driver share the NIC.
    Yes,
    /// Only in DCF mode, in which a trusted VF takes the eswitch over and the kernel has no representors (DPDK's guide of ice).
    DcfOnly,
    /// No, or not known.
    No,
}

impl DpdkRepresentors {
    /// By the kernel driver of the PF. Sources: DPDK's guides of mlx5, bnxt, sfc and ice.
    #[must_use]
    pub fn of(driver: Option<&str>) -> Self {
        match driver {
            Some("mlx5_core" | "bnxt_en" | "sfc") => DpdkRepresentors::Yes,
            Some("ice") => DpdkRepresentors::DcfOnly,
            _ => DpdkRepresentors::No,
        }
    }
}

/// The device arguments for these functions of the device `base` (`0000:08:00.0`, which may have arguments of its
/// own): one string for each controller, PF and sort of function, with ranges
/// (`0000:08:00.0,representor=c1pf0vf[0-3,7]`). A PF's own representor has none in DPDK and is left out.
#[must_use]
pub fn dpdk_devargs(base: &str, names: &[RepName]) -> Vec<String> {
    let mut groups: BTreeMap<(u32, u16, &str), Vec<u32>> = BTreeMap::new();
    for name in names {
        let (sort, number) = match name.function {
            Function::Vf(n) => ("vf", u32::from(n)),
            Function::Sf(n) => ("sf", n),
            Function::Pf => continue,
        };
        groups.entry((name.controller, name.pf, sort)).or_default().push(number);
    }
    let text = |((controller, pf, sort), numbers): ((u32, u16, &str), Vec<u32>)| {
        let controller = if controller == 0 { String::new() } else { format!("c{controller}") };
        format!("{base},representor={controller}pf{pf}{sort}{}", ranges(numbers))
    };
    groups.into_iter().map(text).collect()
}

/// `3`, or `[0-3,7]`.
fn ranges(mut numbers: Vec<u32>) -> String {
    numbers.sort_unstable();
    numbers.dedup();
    if let [one] = numbers.as_slice() {
        return one.to_string();
    }
    let runs = numbers.chunk_by(|a, b| a.checked_add(1) == Some(*b));
    let parts: Vec<_> = runs
        .filter_map(|run| match (run.first()?, run.last()?) {
            (first, last) if first == last => Some(first.to_string()),
            (first, last) => Some(format!("{first}-{last}")),
        })
        .collect();
    format!("[{}]", parts.join(","))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn names(text: &[&str]) -> Vec<RepName> {
        text.iter().map(|t| t.parse().unwrap()).collect()
    }

    #[test]
    fn functions_become_ranges_by_controller_pf_and_sort() {
        let of = |text: &[&str]| dpdk_devargs("0000:08:00.0", &names(text));
        assert_eq!(of(&["pf0vf3"]), ["0000:08:00.0,representor=pf0vf3"]);
        assert_eq!(of(&["pf0vf2", "pf0vf0", "pf0vf1", "pf0vf7"]), ["0000:08:00.0,representor=pf0vf[0-2,7]"]);
        assert_eq!(
            of(&["c1pf0vf0", "pf0sf88", "pf1vf0", "pf0", "c1pf0vf1"]),
            [
                "0000:08:00.0,representor=pf0sf88",
                "0000:08:00.0,representor=pf1vf0",
                "0000:08:00.0,representor=c1pf0vf[0-1]"
            ]
        );
        assert_eq!(
            dpdk_devargs("0000:08:00.0,dv_flow_en=1", &names(&["pf0vf0"])),
            ["0000:08:00.0,dv_flow_en=1,representor=pf0vf0"]
        );
        assert!(of(&["pf0"]).is_empty());
    }

    /// DPDK's reading of a list (`rte_eth_devargs_process_list`), written down anew.
    fn expand(list: &str) -> Vec<u32> {
        let inner = list.strip_prefix('[').map_or(list, |l| l.strip_suffix(']').unwrap());
        let mut all = Vec::new();
        for part in inner.split(',') {
            let (first, last) = part.split_once('-').unwrap_or((part, part));
            all.extend(first.parse::<u32>().unwrap()..=last.parse().unwrap());
        }
        all
    }

    proptest! {
        #[test]
        fn dpdk_reads_the_functions_that_were_meant(numbers in proptest::collection::btree_set(0u16..40, 1..20)) {
            let of = |n: &u16| RepName { controller: 0, pf: 1, function: Function::Vf(*n) };
            let all = dpdk_devargs("x", &numbers.iter().rev().map(of).collect::<Vec<_>>());
            prop_assert_eq!(all.len(), 1);
            let read = expand(all[0].strip_prefix("x,representor=pf1vf").unwrap());
            prop_assert_eq!(read, numbers.iter().map(|n| u32::from(*n)).collect::<Vec<_>>());
        }
    }
}
