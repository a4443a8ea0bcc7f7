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

/// What must be different about a port before a function of it can be used. None of these is ever tried silently: each costs a
/// restart of the port, so an operator decides.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Requirement {
    /// The port must be probed with another devarg.
    #[error(
        "{what} needs port {port} to be probed with {devarg}{excludes}; remove the port and add it again with {devarg} in its \
         --devargs, which interrupts its traffic"
    )]
    Devarg {
        /// The port's name.
        port: String,
        /// What is wanted.
        what: &'static str,
        /// The devarg.
        devarg: &'static str,
        /// What is lost by it, as an end of the sentence; may be empty.
        excludes: &'static str,
    },
    /// The metadata must be negotiated before the port is configured (`rte_eth_rx_metadata_negotiate`).
    #[error(
        "{what} needs the rx metadata of port {port} to be negotiated before it is configured; remove the port and add it again"
    )]
    Metadata {
        /// The port's name.
        port: String,
        /// What is wanted.
        what: &'static str,
    },
}

/// What is known of drivers that the API does not tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DriverFacts {
    /// The devarg that selects the template engine, and what that excludes.
    pub template_devarg: Option<(&'static str, &'static str)>,
    /// Bits of a mark that reach the receiver, with the driver's defaults.
    pub mark_bits: u32,
    /// Whether a transfer rule can mark, with the driver's defaults.
    pub mark_in_transfer: bool,
    /// The devarg that lets transfer rules mark.
    pub transfer_mark_devarg: Option<&'static str>,
}

impl DriverFacts {
    /// By the driver's name (`rte_eth_dev_info.driver_name`).
    ///
    /// mlx5 (DPDK mlx5 guide, `dv_flow_en`, `dv_xmeta_en`): marks have 24 bits with `dv_xmeta_en=0`, 16 bits or as many as the
    /// kernel leaves of the register with 1; plain MARK is for NIC receive rules, not for the FDB, unless `dv_xmeta_en` is set.
    /// ice and iavf keep 32-bit marks (flow director id).
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

    /// What has to be different before the template engine of `port` can be used; `None`: nothing, or nothing that helps.
    #[must_use]
    pub fn for_templates(&self, port: &str) -> Option<Requirement> {
        let (devarg, excludes) = self.template_devarg?;
        Some(Requirement::Devarg { port: port.to_owned(), what: "the template engine", devarg, excludes })
    }

    /// What has to be different before transfer rules of `port` can mark; `None`: nothing, or nothing that helps.
    #[must_use]
    pub fn for_transfer_marks(&self, port: &str) -> Option<Requirement> {
        let devarg = self.transfer_mark_devarg.filter(|_| !self.mark_in_transfer)?;
        Some(Requirement::Devarg {
            port: port.to_owned(),
            what: "marking in the embedded switch",
            devarg,
            excludes: "",
        })
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
}
