//! Asking a device about a rule, and about all that is claimed of it.

use super::lower;
use crate::backend::{DeviceError, DeviceErrorKind};
use crate::caps::{Asked, Capabilities, Denied, Probed, probe};
use crate::rule::{HwRule, Table};
use crate::world::EthdevId;
use rte_flow_rs::{Action, Errno, LoweredFlow, RteFlowApi};

/// Whether the device would take a rule, by `rte_flow_validate`; by making and destroying it where the driver has no
/// such call. For [`crate::caps::probe`], before the port has traffic.
///
/// # Errors
/// What the device says.
pub fn validate(api: &mut dyn RteFlowApi, rule: &HwRule) -> Result<(), DeviceError> {
    let port = match rule.table {
        Table::Ingress { .. } => rule.port.0,
        Table::Transfer { .. } => proxy(api, rule.port),
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

/// A driver without proxies takes transfer rules on any port.
fn proxy(api: &mut dyn RteFlowApi, port: EthdevId) -> u16 {
    api.pick_transfer_proxy(port.0).unwrap_or(port.0)
}

/// Ask a device about all that is claimed of it: rules by [`probe`], meters by `rte_mtr_capabilities_get`. `peer` is another port
/// of the same embedded switch, or the same port.
///
/// # Errors
/// The device is dead.
pub fn ask(
    api: &mut dyn RteFlowApi,
    claims: &Capabilities,
    port: EthdevId,
    peer: EthdevId,
) -> Result<Probed, DeviceError> {
    let mut probed = probe(claims, port, peer, &mut |rule| validate(api, rule))?;
    if probed.caps.transfer.as_ref().is_some_and(|transfer| transfer.meter) {
        let owner = proxy(api, port);
        let info = api.info(owner).map_err(|error| DeviceError::from(&error))?;
        // Flows of a bridge share its meters.
        let most = info.meters.map_or(0, |meters| meters.max_meters.min(meters.max_shared));
        let claimed = probed.caps.limits.meters.unwrap_or(u32::MAX);
        probed.caps.limits.meters = Some(claimed.min(most));
        if most == 0 {
            let message = "rte_mtr_capabilities_get: no meters that rules can share".to_owned();
            let error = DeviceError { kind: DeviceErrorKind::NotSupported, message };
            probed.denied.push(Denied { asked: Asked::Meters, error });
        }
        if probed.caps.limits.meters == Some(0)
            && let Some(transfer) = &mut probed.caps.transfer
        {
            transfer.meter = false;
        }
    }
    Ok(probed)
}
