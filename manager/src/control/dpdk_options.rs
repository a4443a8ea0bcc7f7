//! Options of `dpdk` ports, by the names of Open vSwitch (ovs-vswitchd.conf.db(5), Interface, PMD and DPDK options).

use super::errors::invalid;
use api::{Error, Port};
use datapath::memory::{PortNeed, formula};
use dpdk::{FlowControl, PortConfig, PortInfo};

const NAMES: [&str; 8] = [
    "n_rxq",
    "n_txq",
    "n_rxq_desc",
    "n_txq_desc",
    "dpdk-lsc-interrupt",
    "rx-flow-ctrl",
    "tx-flow-ctrl",
    "flow-ctrl-autoneg",
];

/// What was asked for; `None`: the default.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct DpdkOptions {
    rx_queues: Option<u16>,
    tx_queues: Option<u16>,
    rx_descriptors: Option<u16>,
    tx_descriptors: Option<u16>,
    link_interrupt: Option<bool>,
    rx_flow_control: Option<bool>,
    tx_flow_control: Option<bool>,
    autoneg: Option<bool>,
}

impl DpdkOptions {
    /// The options of a port.
    ///
    /// # Errors
    /// An unknown name or a value that cannot be, whatever the device.
    pub fn of(port: &Port) -> Result<DpdkOptions, Error> {
        let object = format!("port {}", port.name);
        let mut options = DpdkOptions::default();
        for (name, value) in &port.options {
            let number = || {
                value.parse::<u16>().ok().filter(|n| *n > 0).map(Some).ok_or_else(|| {
                    invalid(&object, format!("{name} is a number, not `{value}`")).remedy("use 1 to 65535")
                })
            };
            let switch = || match value.as_str() {
                "true" | "on" => Ok(Some(true)),
                "false" | "off" => Ok(Some(false)),
                _ => Err(invalid(&object, format!("{name} is true or false, not `{value}`"))),
            };
            match name.as_str() {
                "n_rxq" => options.rx_queues = number()?,
                "n_txq" => options.tx_queues = number()?,
                "n_rxq_desc" => options.rx_descriptors = number()?,
                "n_txq_desc" => options.tx_descriptors = number()?,
                "dpdk-lsc-interrupt" => options.link_interrupt = switch()?,
                "rx-flow-ctrl" => options.rx_flow_control = switch()?,
                "tx-flow-ctrl" => options.tx_flow_control = switch()?,
                "flow-ctrl-autoneg" => options.autoneg = switch()?,
                _ => {
                    return Err(invalid(&object, format!("a {} port has no option {name}", port.kind))
                        .remedy(format!("use {}", NAMES.join(", "))));
                }
            }
        }
        Ok(options)
    }

    /// What the port's pool depends on, before its device is known.
    #[must_use]
    pub fn need(&self, port: &Port, pmds: u16, node: u32) -> PortNeed {
        PortNeed {
            node,
            rx_queues: self.rx_queues.unwrap_or(1),
            rx_descriptors: self.rx_descriptors.unwrap_or(formula::DESCRIPTORS),
            tx_queues: self.tx_queues.unwrap_or(pmds.saturating_add(1)),
            tx_descriptors: self.tx_descriptors.unwrap_or(formula::DESCRIPTORS),
            ..PortNeed::new(&port.name, port.mtu.unwrap_or(formula::DEFAULT_MTU))
        }
    }

    /// How the device is to be set up: what was asked for as it is, the rest within its limits.
    #[must_use]
    pub fn config(&self, port: &Port, pmds: u16, info: &PortInfo) -> PortConfig {
        let usual = formula::DESCRIPTORS;
        // Queues of a memif are those that both ends agree on when they connect: packets on others are lost.
        let most = if info.driver == "net_memif" { 1 } else { info.max_tx_queues.max(1) };
        // One for each PMD, and one for a PMD that comes; PMDs share when there are fewer.
        let mut tx_queues = self.tx_queues.unwrap_or(pmds.saturating_add(1).min(most));
        let mut rx_queues = self.rx_queues.unwrap_or(info.max_rx_queues.min(1));
        // Its driver takes only as many of the one as of the other (DPDK NIC guide, Tun|Tap PMD).
        if info.driver == "net_tap" {
            match (self.rx_queues, self.tx_queues) {
                (None, Some(tx)) => rx_queues = tx,
                (Some(rx), None) => tx_queues = rx,
                (None, None) => (rx_queues, tx_queues) = (pmds.max(1), pmds.max(1)),
                (Some(_), Some(_)) => {}
            }
        }
        let config = PortConfig {
            rx_queues,
            tx_queues,
            rx_descriptors: Some(self.rx_descriptors.unwrap_or_else(|| info.rx_descriptors.nearest(usual))),
            tx_descriptors: Some(self.tx_descriptors.unwrap_or_else(|| info.tx_descriptors.nearest(usual))),
            mtu: port.mtu,
            link_interrupt: self.link_interrupt.unwrap_or(false),
            ..PortConfig::default()
        };
        config.with_useful_offloads(info)
    }

    /// Whether the number of transmit queues may be chosen.
    #[must_use]
    pub fn leaves_tx_queues(&self) -> bool {
        self.tx_queues.is_none()
    }

    /// Pause frames that were asked for, over what the device does now; `None` when nothing was asked for.
    #[must_use]
    pub fn flow_control(&self, now: FlowControl) -> Option<FlowControl> {
        let asked = [self.rx_flow_control, self.tx_flow_control, self.autoneg];
        asked.iter().any(Option::is_some).then(|| FlowControl {
            rx: self.rx_flow_control.unwrap_or(now.rx),
            tx: self.tx_flow_control.unwrap_or(now.tx),
            autoneg: self.autoneg.unwrap_or(now.autoneg),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use api::PortType;

    fn port(options: &[(&str, &str)]) -> Port {
        let options = options.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Port { options, ..Port::new("p0", PortType::Dpdk) }
    }

    #[test]
    fn options_are_read_and_bad_ones_named() {
        let options = DpdkOptions::of(&port(&[("n_rxq", "4"), ("n_txq_desc", "512"), ("dpdk-lsc-interrupt", "true")]));
        let need = options.unwrap().need(&port(&[]), 2, 0);
        assert_eq!((need.rx_queues, need.rx_descriptors, need.tx_queues, need.tx_descriptors), (4, 2048, 3, 512));
        for (name, value, said) in [
            ("n_rxq", "0", "n_rxq is a number"),
            ("n_rxq_desc", "70000", "not `70000`"),
            ("rx-flow-ctrl", "maybe", "true or false"),
            ("frobnicate", "1", "use n_rxq, n_txq"),
        ] {
            let err = DpdkOptions::of(&port(&[(name, value)])).unwrap_err().to_string();
            assert!(err.starts_with("port p0: ") && err.contains(said), "{err}");
        }
    }

    #[test]
    fn flow_control_that_nobody_asked_for_is_left_alone() {
        let now = FlowControl { rx: true, tx: true, autoneg: false };
        assert_eq!(DpdkOptions::default().flow_control(now), None);
        let options = DpdkOptions::of(&port(&[("tx-flow-ctrl", "off")])).unwrap();
        assert_eq!(options.flow_control(now), Some(FlowControl { tx: false, ..now }));
    }
}
