//! What a port's device can match and do, as a table.

use super::super::Control;
use ::offload::{Capabilities, CounterKind, DecTtl, MaskCap, PartialCaps, PortInfo, TransferCaps};
use api::{CapabilityGroup, CapabilityRow, Error, ErrorKind, OffloadCapabilities};
use flow::FieldId;
use flow::dp::DpActionKind;
use flow::field::datapath_fields;

/// Actions that set no field.
const KINDS: [DpActionKind; 17] = [
    DpActionKind::Output,
    DpActionKind::Drop,
    DpActionKind::DecTtl,
    DpActionKind::PushVlan,
    DpActionKind::PopVlan,
    DpActionKind::Meter,
    DpActionKind::Hash,
    DpActionKind::Ct,
    DpActionKind::CtClear,
    DpActionKind::TunnelPush,
    DpActionKind::TunnelPop,
    DpActionKind::Recirc,
    DpActionKind::Clone,
    DpActionKind::Sample,
    DpActionKind::CheckLen,
    DpActionKind::Truncate,
    DpActionKind::Punt,
];

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
        let why = self.hardware.as_deref().zip(attached.ethdev).and_then(|(hardware, id)| hardware.why_not(id));
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
        Ok(view(info))
    }
}

fn view(info: &PortInfo) -> OffloadCapabilities {
    let caps: &Capabilities = &info.caps;
    let (transfer, partial) = (caps.transfer.as_ref().filter(|_| info.domain.is_some()), caps.partial.as_ref());
    let mut groups = Vec::new();
    if let Some(t) = transfer {
        let name = if t.groups > 1 { format!("transfer 0-{}", t.groups - 1) } else { "transfer 0".to_owned() };
        groups.push(CapabilityGroup { name, handles: "hardware".to_owned() });
    }
    if partial.is_some() {
        groups.push(CapabilityGroup { name: "ingress 0".to_owned(), handles: "partial".to_owned() });
    }
    let row = |name: String, of_transfer: Option<String>, of_partial: Option<String>| {
        let groups = transfer.map(|_| of_transfer.unwrap_or_else(none)).into_iter();
        let groups = groups.chain(partial.map(|_| of_partial.unwrap_or_else(none))).collect();
        CapabilityRow { name, groups }
    };
    let fields = datapath_fields().filter(|def| !def.is_metadata() || def.id == FieldId::InPort).map(|def| {
        let cap = |cap: MaskCap| Some(mask(cap).to_owned());
        let of_transfer = transfer.and_then(|t| cap(t.fields.get(def.id)));
        row(def.name.to_owned(), of_transfer, partial.and_then(|p| cap(p.fields.get(def.id))))
    });
    let fields = fields.collect();
    let sets = datapath_fields().filter(|def| !def.is_metadata()).map(|def| DpActionKind::Set(def.id));
    let actions = KINDS.into_iter().chain(sets).map(|kind| {
        let of_transfer = transfer.filter(|t| t.supports(kind)).map(|t| how(t, kind));
        row(kind.to_string(), of_transfer, None)
    });
    let mut actions: Vec<_> = actions.collect();
    actions.push(row("mark".to_owned(), None, partial.map(|p| spread(p).to_owned())));
    let limits = vec![
        row("outputs of a rule".to_owned(), transfer.map(|t| t.max_outputs.to_string()), Some("0".to_owned())),
        row("priorities".to_owned(), transfer.map(|t| t.priorities.to_string()), Some("1".to_owned())),
        row("counters".to_owned(), transfer.map(|t| counter(t.counter).to_owned()), None),
        row("rules".to_owned(), Some(rules(caps)), Some(rules(caps))),
    ];
    OffloadCapabilities {
        port: info.name.clone(),
        device: info.device().to_string(),
        profile: caps.name.clone(),
        groups,
        fields,
        actions,
        limits,
    }
}

fn none() -> String {
    "-".to_owned()
}

fn rules(caps: &Capabilities) -> String {
    caps.max_rules.map_or_else(|| "not known".to_owned(), |n| n.to_string())
}

fn mask(cap: MaskCap) -> &'static str {
    match cap {
        MaskCap::No => "-",
        MaskCap::Exact => "exact",
        MaskCap::Prefix => "prefix",
        MaskCap::Any => "any",
    }
}

fn how(caps: &TransferCaps, kind: DpActionKind) -> String {
    match kind {
        DpActionKind::DecTtl if caps.dec_ttl == DecTtl::Unchecked => "with a guard rule".to_owned(),
        DpActionKind::Output if !caps.hairpin => "not to the input port".to_owned(),
        _ => "yes".to_owned(),
    }
}

fn spread(caps: &PartialCaps) -> &'static str {
    if caps.rss { "any queues" } else { "one queue" }
}

fn counter(kind: CounterKind) -> &'static str {
    match kind {
        CounterKind::None => "-",
        CounterKind::PerRule => "of the rule",
        CounterKind::Indirect => "outlive the rule",
    }
}
