//! The asynchronous template engine (DPDK guide, "Generic flow API", "Asynchronous operations"): shapes are made once, so that a
//! rule is only values; operations are queued, pushed, and their ends pulled.
//!
//! mlx5 has it in one of its two engines only, chosen by a devarg when the port is probed: see [`Requirement`].

use crate::api::CountQuery;

/// A shape of patterns: only a number, checked by its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PatternTemplate(pub u64);

/// A shape of actions; as [`PatternTemplate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionsTemplate(pub u64);

/// A table of rules; as [`PatternTemplate`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TemplateTable(pub u64);

/// Which rules a template is for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct TemplateAttr {
    /// Items' masks alone say what is matched: nothing of what items imply (an Ethernet type before IPv4) is added.
    pub relaxed_matching: bool,
    /// Received traffic.
    pub ingress: bool,
    /// Sent traffic.
    pub egress: bool,
    /// The NIC's switch itself.
    pub transfer: bool,
}

/// Limits of a template engine (`rte_flow_port_info`, `rte_flow_queue_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineInfo {
    /// Most queues.
    pub queues: u32,
    /// Most operations in a queue.
    pub queue_size: u32,
    /// Most counters; 0 is not known.
    pub counters: u32,
    /// Most AGE objects.
    pub ages: u32,
    /// Most meters.
    pub meters: u32,
}

/// How a template engine is set up (`rte_flow_port_attr`, `rte_flow_queue_attr`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct EngineConfig {
    /// Queues; each is one thread's.
    pub queues: u16,
    /// Operations that a queue holds.
    pub queue_size: u32,
    /// Counters to set aside.
    pub counters: u32,
    /// AGE objects to set aside.
    pub ages: u32,
    /// Meters to set aside.
    pub meters: u32,
}

/// Where an operation is queued.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Its number, from 0.
    pub id: u32,
    /// Wait with the device's doorbell for [`crate::RteFlowApi::push`].
    pub postpone: bool,
    /// What [`crate::RteFlowApi::pull`] answers when the operation has come to its end.
    pub user: u64,
}

/// The end of an operation (`rte_flow_op_result`).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct AsyncResult {
    /// The number given in [`Queue::user`].
    pub user: u64,
    /// Whether it was done.
    pub done: bool,
    /// The answer to [`crate::RteFlowApi::async_action_query_count`].
    pub count: Option<CountQuery>,
}

/// What must be different about a port before a function of it can be used. It is never tried silently: it costs a restart of the
/// port, so an operator decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{what} needs port {port} to be probed with {devarg}{excludes}; remove the port and add it again with {devarg} in its \
     --devargs, which interrupts its traffic"
)]
pub struct Requirement {
    /// The port's name.
    pub port: String,
    /// What is wanted.
    pub what: &'static str,
    /// The devarg that the port must be probed with.
    pub devarg: &'static str,
    /// What is lost by it, as an end of the sentence; may be empty.
    pub excludes: &'static str,
}

/// What is known of drivers that the API does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverFacts {
    /// The devarg that selects the template engine, and what that excludes.
    pub template_devarg: Option<(&'static str, &'static str)>,
    /// Bits of a mark that reach the receiver, with the driver's defaults.
    pub mark_bits: u32,
    /// Whether a transfer rule can mark, with the driver's defaults. Where no devarg is known to help, this is not known either: the
    /// device is asked.
    pub mark_in_transfer: bool,
    /// The devarg that lets transfer rules mark.
    pub transfer_mark_devarg: Option<&'static str>,
}

impl DriverFacts {
    /// By the driver's name (`rte_eth_dev_info.driver_name`).
    ///
    /// mlx5 (DPDK mlx5 guide, `dv_flow_en`, `dv_xmeta_en`): plain MARK has 24 bits and is for NIC receive rules, not for the FDB, unless
    /// `dv_xmeta_en` is set. ice and iavf keep 32-bit marks (flow director id).
    #[must_use]
    pub fn of(driver: &str) -> DriverFacts {
        match driver {
            "mlx5_pci" | "mlx5_auxiliary" | "net_mlx5" => DriverFacts {
                template_devarg: Some(("dv_flow_en=2", ", which excludes the classic rte_flow functions")),
                mark_bits: 24,
                mark_in_transfer: false,
                transfer_mark_devarg: Some("dv_xmeta_en=1"),
            },
            "net_ice" | "net_iavf" | "net_ice_dcf" => DriverFacts {
                template_devarg: None,
                mark_bits: 32,
                mark_in_transfer: false,
                transfer_mark_devarg: None,
            },
            _ => DriverFacts {
                template_devarg: None,
                mark_bits: 24,
                mark_in_transfer: false,
                transfer_mark_devarg: None,
            },
        }
    }

    /// The same of a port that was probed with these devargs.
    ///
    /// DPDK mlx5 guide, `dv_xmeta_en`: with 1, and 3, which implies it, marks of 24 bits pass from the FDB to the receiver; with 2 they
    /// have as many bits as the kernel leaves of the register, of which 16 are counted on here; with 4 they stay in the NIC.
    #[must_use]
    pub fn with(mut self, devargs: &str) -> DriverFacts {
        for devarg in devargs.split(',') {
            if self.template_devarg.is_some_and(|(has, _)| has == devarg) {
                self.template_devarg = None;
            }
            let Some(value) = devarg.strip_prefix("dv_xmeta_en=").filter(|_| self.transfer_mark_devarg.is_some())
            else {
                continue;
            };
            self.mark_in_transfer = matches!(value, "1" | "2" | "3");
            self.mark_bits = if value == "2" { 16 } else { 24 };
        }
        self
    }

    /// What has to be different before the template engine of `port` can be used; `None`: nothing, or nothing that helps.
    #[must_use]
    pub fn for_templates(&self, port: &str) -> Option<Requirement> {
        let (devarg, excludes) = self.template_devarg?;
        Some(Requirement { port: port.to_owned(), what: "the template engine", devarg, excludes })
    }

    /// What has to be different before transfer rules of `port` can mark; `None`: nothing, or nothing that helps.
    #[must_use]
    pub fn for_transfer_marks(&self, port: &str) -> Option<Requirement> {
        let devarg = self.transfer_mark_devarg.filter(|_| !self.mark_in_transfer)?;
        Some(Requirement { port: port.to_owned(), what: "marking in the embedded switch", devarg, excludes: "" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mlx5_needs_a_restart_for_templates_and_others_have_no_such_switch() {
        let need = DriverFacts::of("mlx5_pci").for_templates("p0").unwrap();
        assert_eq!(
            need.to_string(),
            "the template engine needs port p0 to be probed with dv_flow_en=2, which excludes the classic rte_flow functions; \
             remove the port and add it again with dv_flow_en=2 in its --devargs, which interrupts its traffic"
        );
        let mark = DriverFacts::of("mlx5_pci").for_transfer_marks("p0").unwrap();
        assert!(mark.to_string().contains("dv_xmeta_en=1"));
        assert_eq!(DriverFacts::of("net_ice").for_templates("p0"), None);
        assert_eq!(DriverFacts::of("net_tap").for_transfer_marks("p0"), None);
    }
    #[test]
    fn devargs_that_were_given_are_not_asked_for() {
        let mlx5 = DriverFacts::of("mlx5_pci");
        let both = mlx5.with("0000:03:00.0,representor=vf[0],dv_flow_en=2,dv_xmeta_en=1");
        assert_eq!((both.for_templates("p0"), both.for_transfer_marks("p0")), (None, None));
        assert_eq!((both.mark_bits, both.mark_in_transfer), (24, true));
        let narrow = mlx5.with("0000:03:00.0,dv_xmeta_en=2");
        assert_eq!((narrow.mark_bits, narrow.mark_in_transfer), (16, true));
        for off in ["0000:03:00.0,dv_flow_en=1,dv_xmeta_en=0", "0000:03:00.0,dv_xmeta_en=4", "0000:03:00.0"] {
            assert_eq!(mlx5.with(off), mlx5, "{off}");
        }
        let tap = DriverFacts::of("net_tap");
        assert_eq!(tap.with("net_tap0,dv_xmeta_en=2"), tap, "another driver's devarg");
    }
}
