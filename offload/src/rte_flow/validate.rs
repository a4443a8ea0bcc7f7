//! Asking a device about a rule.

use super::lower;
use crate::backend::DeviceError;
use crate::rule::{HwRule, Table};
use rte_flow_rs::{Action, Errno, LoweredFlow, RteFlowApi};

/// Whether the device would take a rule, by `rte_flow_validate`; by making and destroying it where the driver has no
/// such call. For [`crate::caps::probe`], before the port has traffic.
///
/// # Errors
/// What the device says.
pub fn validate(api: &mut dyn RteFlowApi, rule: &HwRule) -> Result<(), DeviceError> {
    let port = match rule.table {
        Table::Ingress { .. } => rule.port.0,
        // A driver without proxies takes transfer rules on any port.
        Table::Transfer { .. } => api.pick_transfer_proxy(rule.port.0).unwrap_or(rule.port.0),
    };
    let count = rule.count.then_some(Action::Count(0));
    let flow = LoweredFlow::new(lower::attributes(rule), &lower::pattern(rule), &lower::actions(rule, count));
    let asked = match api.validate(port, &flow) {
        // The driver does not answer such questions.
        Err(error) if error.errno == Errno::ENOSYS => {
            api.create(port, &flow).and_then(|handle| api.destroy(port, handle))
        }
        other => other,
    };
    asked.map_err(|error| DeviceError::from(&error))
}
