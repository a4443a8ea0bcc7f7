//! Receive queues that are pinned to CPUs.

use super::Control;
use super::errors::invalid;
use crate::cpus;
use ::datapath::Affinity;
use api::{Error, ErrorKind, Port, PortSet, PortType};
use flow::DpPort;

/// What a change makes of a port's pinned queues.
pub(super) fn changed(port: &mut Port, set: &PortSet) {
    if let Some(text) = &set.rxq_affinity {
        port.rxq_affinity = Some(text.trim().to_owned()).filter(|text| !text.is_empty());
    }
}

/// The pinned queues of a port.
pub(super) fn check(object: &str, port: &Port) -> Result<Affinity, Error> {
    let text = port.rxq_affinity.as_deref().unwrap_or_default();
    let affinity: Affinity = text.parse().map_err(|e| invalid(object, format!("rxq_affinity: {e}")))?;
    if port.kind == PortType::Patch && !affinity.is_empty() {
        return Err(invalid(object, "a patch port has no receive queues").remedy("pin those of the ports that receive"));
    }
    Ok(affinity)
}

impl Control {
    /// Pin queues of a port, each to a CPU that a PMD runs on.
    pub(super) fn pin(&self, object: &str, dp: DpPort, affinity: Affinity) -> Result<(), Error> {
        let datapath = self.switch.datapath();
        let there: Vec<usize> = datapath.pmds().iter().filter_map(|pmd| pmd.spot().cpu).collect();
        if let Some((queue, cpu)) = affinity.iter().find(|(_, cpu)| !there.contains(cpu)) {
            let pmds = match &there[..] {
                [] => "none is pinned to any CPU".to_owned(),
                cpus => format!("they run on {}", cpus::list(cpus)),
            };
            let message = format!("queue {queue} cannot be polled on CPU {cpu}: no PMD runs there, {pmds}");
            let remedy = "name CPUs of PMDs, or start some first: shuntctl pmd set --cpus";
            return Err(Error::new(ErrorKind::Invalid, object, message).remedy(remedy));
        }
        datapath.set_affinity(dp, affinity).map_err(|e| invalid(object, e))
    }

    /// Pin queues of a port that has come (again). What cannot be pinned any more is told of and polled like others.
    pub(super) fn pin_again(&self, port: &Port, dp: DpPort) {
        let object = format!("port {}", port.name);
        let affinity = check(&object, port).unwrap_or_default();
        if !affinity.is_empty()
            && let Err(e) = self.switch.datapath().set_affinity(dp, affinity)
        {
            tracing::error!("{object}: {e}");
        }
    }
}
