//! What a port's device can match and do, as a table.

use super::super::Control;
use crate::nic::Asked;
use ::offload::caps::{ActionEntry, ActionRow, FieldEntry, Stage};
use ::offload::{CapabilityTable, DeviceError, HwRule, PortInfo};
use api::{
    CapabilityDenied, CapabilityGroup, CapabilityLimit, CapabilityNeed, CapabilityRefused, CapabilityRow, Error,
    ErrorKind, OffloadCapabilities, PortType, REFUSED_SHOWN,
};
use flow::FieldId;
use flow::dp::DpActionKind;
use rte_flow_rs::Requirement;

impl Control {
    /// What the device of a port can match and do.
    pub fn offload_capabilities(&self, port: &str) -> Result<OffloadCapabilities, Error> {
        let inner = self.lock();
        let attached = inner.offload_port(port)?;
        let dp = attached.state.clone().map_err(|why| {
            Error::new(ErrorKind::Unsupported, format!("port {port}"), format!("its device is not there: {why}"))
                .remedy("see: shuntctl port list")
        })?;
        let world = inner.world();
        let of = &attached.port;
        let representor = of.devargs.as_deref().filter(|_| of.kind == PortType::Representor);
        let asked = inner.nic.asked(representor, attached.ethdev);
        let device = self.hardware.as_deref().zip(attached.ethdev);
        let why = device.and_then(|(hardware, id)| hardware.why_not(id));
        let needs = device.map_or_else(Vec::new, |(hardware, id)| hardware.needs(port, id));
        drop(inner);
        let info = world.ports.get(&dp).ok_or_else(|| {
            let why = why.map_or_else(String::new, |why| format!(": {why}"));
            Error::new(
                ErrorKind::Unsupported,
                format!("port {port}"),
                format!("its device takes no hardware rules{why}"),
            )
            .remedy("those that take rules are shown by: shuntctl offload status")
        })?;
        let mut refused = self.switch.engine().refused(info.ethdev);
        refused.sort_by_cached_key(|(rule, _)| rule.to_string());
        Ok(OffloadCapabilities {
            refused_shapes: refused.len(),
            refused: refused.iter().take(REFUSED_SHOWN).map(self::refused).collect(),
            ..view(info, asked, &needs)
        })
    }
}

fn view(info: &PortInfo, asked: Option<Asked>, needs: &[Requirement]) -> OffloadCapabilities {
    let table = info.caps.table();
    let group = |(i, stage): (usize, &Stage)| CapabilityGroup {
        name: stage.name.clone(),
        handles: if is_marking(&table, i) { "partial" } else { "hardware" }.to_owned(),
    };
    OffloadCapabilities {
        port: info.name.clone(),
        device: info.device().to_string(),
        profile: table.name.clone(),
        groups: table.stages.iter().enumerate().map(group).collect(),
        fields: fields(&table),
        actions: actions(&table),
        limits: table
            .limits
            .iter()
            .map(|(name, n)| CapabilityLimit { name: name.replace('_', " "), value: *n })
            .collect(),
        file: asked.as_ref().and_then(|asked| asked.file.as_ref()).map(|file| file.display().to_string()),
        asked: asked.as_ref().map_or(0, |asked| asked.probed.rules),
        needs: needs.iter().map(need).collect(),
        denied: asked.iter().flat_map(|asked| &asked.probed.denied).map(denied).collect(),
        ..OffloadCapabilities::default()
    }
}

fn denied(denied: &::offload::caps::Denied) -> CapabilityDenied {
    CapabilityDenied { claim: denied.asked.to_string(), why: denied.error.to_string() }
}

fn need(need: &Requirement) -> CapabilityNeed {
    CapabilityNeed { what: need.what.to_owned(), devargs: need.devarg.to_owned(), advice: need.to_string() }
}

fn refused((rule, error): &(HwRule, DeviceError)) -> CapabilityRefused {
    CapabilityRefused { rule: rule.to_string(), why: error.to_string() }
}

/// Rules that mark do no other action.
fn is_marking(table: &CapabilityTable, stage: usize) -> bool {
    table.stages.get(stage).is_some_and(|stage| stage.actions.is_empty())
}

/// Fields that packets have in their bytes, and where they came in.
fn fields(table: &CapabilityTable) -> Vec<CapabilityRow> {
    let Some(first) = table.stages.first() else { return Vec::new() };
    let said = |i: &usize| {
        let row = &first.fields[*i];
        let in_bytes = !row.field.def().is_metadata() && row.field.def().is_in_key();
        row.field == FieldId::InPort || in_bytes && matches!(row.entry, FieldEntry::Item(_) | FieldEntry::NoItem)
    };
    let row = |i: usize| CapabilityRow {
        name: first.fields[i].field.to_string(),
        groups: table
            .stages
            .iter()
            .map(|stage| match stage.fields.get(i).map(|row| &row.support) {
                Some(Ok(cap)) => cap.to_string(),
                Some(Err(_)) | None => "-".to_owned(),
            })
            .collect(),
    };
    (0..first.fields.len()).filter(said).map(row).collect()
}

/// Actions that packets show outside, and the mark.
fn actions(table: &CapabilityTable) -> Vec<CapabilityRow> {
    let full = table.stages.iter().find(|stage| !stage.actions.is_empty());
    let shown = |row: &&ActionRow| match row.action {
        DpActionKind::Set(field) => !field.def().is_metadata() && field.def().is_in_key(),
        _ => true,
    };
    let row = |row: &ActionRow| CapabilityRow {
        name: row.action.to_string(),
        groups: (0..table.stages.len())
            .map(|i| match (&row.support, row.entry) {
                (Ok(()), ActionEntry::Action(..) | ActionEntry::Unseen) if !is_marking(table, i) => "yes".to_owned(),
                _ => "-".to_owned(),
            })
            .collect(),
    };
    let all = full.into_iter().flat_map(|stage| stage.actions.iter().filter(shown).map(row));
    let mark = (0..table.stages.len()).map(|i| if is_marking(table, i) { "yes" } else { "-" }.to_owned()).collect();
    all.chain([CapabilityRow { name: "mark".to_owned(), groups: mark }]).collect()
}
