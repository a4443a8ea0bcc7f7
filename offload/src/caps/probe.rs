//! What a device says that it can do: it is asked by rules that are thrown away.
//!
//! What a profile claims is the upper bound: probing only takes away. For each field and each action that is claimed a flow
//! that needs it is planned as if the claim were true, and the device is asked whether it would take the rule. A device
//! that says yes and later refuses gives typed refusals then ([`crate::Refusal::Device`]), never wrong switching.

use super::sample::{Sample, doing, value};
use super::table::{ActionEntry, action_entry, action_kinds};
use super::{Capabilities, CounterKind, DecTtl, FieldCaps, FieldSet, MaskCap, TransferCaps, VlanAbsent};
use crate::backend::{DeviceError, DeviceErrorKind};
use crate::plan::{fall_back, plan};
use crate::refusal::Refusals;
use crate::rule::{HwProgram, HwRule, Plan};
use crate::world::{EswitchDomain, EthdevId, PortInfo, PortKind, World};
use flow::dp::{DpAction, DpActionKind, DpFlow, DropReason};
use flow::field::datapath_fields;
use flow::{DpPort, FieldId};
use std::sync::Arc;

/// What was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Asked {
    /// Rules of the embedded switch.
    Transfer,
    /// Marking rules.
    Partial,
    /// A field, as freely as this; in transfer rules or in marking ones.
    Field { field: FieldId, cap: MaskCap, transfer: bool },
    /// That there is no VLAN tag.
    NoVlan { transfer: bool },
    /// An action.
    Action(DpActionKind),
    /// So many outputs.
    Outputs(usize),
    /// A change between two outputs.
    RewriteAfterOutput,
    /// Back to the input port.
    Hairpin,
    /// A rule above the others that leaves packets to software.
    Guard,
    /// Rules that count.
    Count,
    /// Meters.
    Meters,
    /// Marks of transfer rules.
    TransferMark,
}

impl std::fmt::Display for Asked {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let table = |transfer: &bool| if *transfer { "transfer" } else { "ingress" };
        match self {
            Asked::Transfer => f.write_str("rules of the embedded switch"),
            Asked::Partial => f.write_str("rules that mark"),
            Asked::Field { field, cap, transfer } => write!(f, "match {field} ({cap}), {}", table(transfer)),
            Asked::NoVlan { transfer } => write!(f, "match no VLAN tag, {}", table(transfer)),
            Asked::Action(kind) => write!(f, "action {kind}"),
            Asked::Outputs(outputs) => write!(f, "{outputs} outputs"),
            Asked::RewriteAfterOutput => f.write_str("a change between outputs"),
            Asked::Hairpin => f.write_str("output to the input port"),
            Asked::Guard => f.write_str("a rule above others"),
            Asked::Count => f.write_str("a counter"),
            Asked::Meters => f.write_str("meters"),
            Asked::TransferMark => f.write_str("marks of transfer rules"),
        }
    }
}

/// A device's no.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Denied {
    pub asked: Asked,
    pub error: DeviceError,
}

/// What came of probing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Probed {
    /// What was claimed and not denied.
    pub caps: Capabilities,
    pub denied: Vec<Denied>,
    /// Rules that the device was asked about.
    pub rules: usize,
}

/// Ask about `port`'s rules what `claims` says; `peer` is another port of the same embedded switch, or the same port where
/// there is none. `validate`: whether the device would take a rule, without taking it.
///
/// # Errors
/// The device is dead. Answers that say nothing of the rule (busy, full) leave the claim as it is.
pub fn probe(
    claims: &Capabilities,
    port: EthdevId,
    peer: EthdevId,
    validate: &mut dyn FnMut(&HwRule) -> Result<(), DeviceError>,
) -> Result<Probed, DeviceError> {
    let mut p = Prober { caps: claims.clone(), port, peer, validate, denied: Vec::new(), rules: 0, resume: false };
    p.transfer()?;
    p.partial()?;
    let Prober { caps, denied, rules, .. } = p;
    Ok(Probed { caps, denied, rules })
}

struct Prober<'a> {
    caps: Capabilities,
    port: EthdevId,
    peer: EthdevId,
    validate: &'a mut dyn FnMut(&HwRule) -> Result<(), DeviceError>,
    denied: Vec<Denied>,
    rules: usize,
    /// Marking rules are those of the embedded switch.
    resume: bool,
}

const OUT: DpAction = DpAction::Output(DpPort(2));

impl Prober<'_> {
    fn world(&self) -> World {
        let caps = Arc::new(self.caps.clone());
        let info = |ethdev| PortInfo {
            name: String::new(),
            kind: PortKind::Uplink,
            ethdev,
            domain: Some(EswitchDomain(0)),
            rx_queues: 1,
            caps: Arc::clone(&caps),
        };
        let world = World::new().with_port(DpPort(1), info(self.port)).with_port(DpPort(2), info(self.peer));
        World { resume: self.resume, ..world }
    }

    /// Whether the device takes the flow's rules. `None`: it is not planned, for another reason.
    fn ask(&mut self, asked: Asked, flow: &DpFlow, marked: bool) -> Result<Option<bool>, DeviceError> {
        let world = self.world();
        let program = match if marked { fall_back(flow, &world, Refusals::new()) } else { plan(flow, &world) } {
            Plan::Full(program) if !marked => program,
            Plan::Partial { program, done: 0, .. } if marked => program,
            _ => return Ok(None),
        };
        self.answer(asked, &program)
    }

    fn answer(&mut self, asked: Asked, program: &HwProgram) -> Result<Option<bool>, DeviceError> {
        for rule in &program.rules {
            self.rules += 1;
            let Err(error) = (self.validate)(rule) else { continue };
            match error.kind {
                DeviceErrorKind::Dead => return Err(error),
                DeviceErrorKind::Busy | DeviceErrorKind::TableFull | DeviceErrorKind::Exists => {}
                DeviceErrorKind::NotSupported
                | DeviceErrorKind::Invalid
                | DeviceErrorKind::NotFound
                | DeviceErrorKind::Other(_) => {
                    self.denied.push(Denied { asked, error });
                    return Ok(Some(false));
                }
            }
        }
        Ok(Some(true))
    }

    /// Whether the device takes the rules of a flow if they need not count.
    fn without_count(&mut self, flow: &DpFlow) -> Result<bool, DeviceError> {
        let Plan::Full(mut program) = plan(flow, &self.world()) else { return Ok(false) };
        for rule in &mut program.rules {
            Arc::make_mut(rule).count = false;
        }
        Ok(self.answer(Asked::Count, &program)? == Some(true))
    }

    fn denies(&mut self, asked: Asked, flow: &DpFlow, marked: bool) -> Result<bool, DeviceError> {
        Ok(self.ask(asked, flow, marked)? == Some(false))
    }

    fn change(&mut self, change: impl FnOnce(&mut TransferCaps)) {
        if let Some(caps) = &mut self.caps.transfer {
            change(caps);
        }
    }

    fn transfer(&mut self) -> Result<(), DeviceError> {
        let Some(claimed) = self.caps.transfer.clone() else { return Ok(()) };
        let sends = Sample::new().flow(&[OUT]);
        let drops = Sample::new().flow(&[DpAction::Drop(DropReason::RuleDrop)]);
        let base = if claimed.max_outputs > 0 { &sends } else { &drops };
        if self.denies(Asked::Transfer, base, false)? {
            // Perhaps it is only that it does not count: then no rule is of use, and that is the reason to tell.
            let counts = self.without_count(base)?;
            match (counts, &mut self.caps.transfer) {
                (true, Some(caps)) => caps.counter = CounterKind::None,
                _ => self.caps.transfer = None,
            }
            return Ok(());
        }
        self.fields(true)?;
        for kind in action_kinds() {
            if claimed.supports(kind)
                && kind != DpActionKind::Clone
                && matches!(action_entry(kind), ActionEntry::Action(..))
                && self.denies(Asked::Action(kind), &doing(kind), false)?
            {
                self.change(|caps| caps.remove(kind));
            }
        }
        for outputs in 2..=claimed.max_outputs.min(16) {
            if self.denies(Asked::Outputs(outputs), &Sample::new().flow(&vec![OUT; outputs]), false)? {
                self.change(|caps| caps.max_outputs = outputs - 1);
                break;
            }
        }
        if claimed.rewrite_after_output {
            let settable = |field: &FieldId| self.caps.transfer.as_ref().is_some_and(|caps| caps.set.contains(*field));
            let field = [FieldId::EthSrc, FieldId::EthDst].into_iter().find(settable).unwrap_or(FieldId::EthDst);
            let set = DpAction::Set { field, value: flow::Value(value(field)), mask: field.def().ones() };
            if self.denies(Asked::RewriteAfterOutput, &Sample::new().flow(&[OUT, set, OUT]), false)? {
                self.change(|caps| caps.rewrite_after_output = false);
            }
        }
        let back = Sample::new().flow(&[DpAction::Output(DpPort(1))]);
        if claimed.hairpin && self.denies(Asked::Hairpin, &back, false)? {
            self.change(|caps| caps.hairpin = false);
        }
        // A flow for all destinations covers reserved addresses, so it has a guard.
        let mut wide = Sample::new();
        wide.forget(FieldId::EthDst);
        if claimed.can_guard() && self.denies(Asked::Guard, &wide.flow(&[OUT]), false)? {
            self.change(|caps| caps.to_representor = false);
        }
        if claimed.mark && claimed.to_representor {
            self.resume = true;
            let denied = self.denies(Asked::TransferMark, &Sample::new().flow(&[OUT]), true);
            self.resume = false;
            if denied? {
                self.change(|caps| caps.mark = false);
            }
        }
        Ok(())
    }

    fn partial(&mut self) -> Result<(), DeviceError> {
        if self.caps.partial.is_none() {
            return Ok(());
        }
        if self.denies(Asked::Partial, &Sample::new().flow(&[OUT]), true)? {
            self.caps.partial = None;
            return Ok(());
        }
        self.fields(false)
    }

    fn field_caps(&mut self, transfer: bool) -> Option<&mut FieldCaps> {
        if transfer {
            self.caps.transfer.as_mut().map(|caps| &mut caps.fields)
        } else {
            self.caps.partial.as_mut().map(|caps| &mut caps.fields)
        }
    }

    /// Each field from what is claimed downwards.
    fn fields(&mut self, transfer: bool) -> Result<(), DeviceError> {
        let actions: &[DpAction] = match &self.caps.transfer {
            Some(caps) if transfer && caps.max_outputs == 0 => &[DpAction::Drop(DropReason::RuleDrop)],
            _ => &[OUT],
        };
        // DSCP and ECN are bits of the byte that they are in.
        let asked = |id| !matches!(id, FieldId::InPort | FieldId::IpDscp | FieldId::IpEcn);
        for def in datapath_fields().filter(|def| asked(def.id)) {
            let field = def.id;
            let Some(claimed) = self.field_caps(transfer).map(|caps| caps.get(field)) else { return Ok(()) };
            for cap in
                [MaskCap::Any, MaskCap::Prefix, MaskCap::Exact, MaskCap::No].into_iter().filter(|c| *c <= claimed)
            {
                if let Some(caps) = self.field_caps(transfer) {
                    *caps = std::mem::take(caps).with(cap, &[field]);
                }
                if cap == MaskCap::No {
                    break;
                }
                let flow = matching(field, cap).flow(actions);
                match self.ask(Asked::Field { field, cap, transfer }, &flow, !transfer)? {
                    Some(true) => break,
                    Some(false) => {}
                    // No plan asks for so much, or it depends on what is denied.
                    None if cap == MaskCap::Exact => {
                        if let Some(caps) = self.field_caps(transfer) {
                            *caps = std::mem::take(caps).with(claimed, &[field]);
                        }
                        break;
                    }
                    None => {}
                }
            }
        }
        if let Some(caps) = self.field_caps(transfer)
            && caps.get(FieldId::IpTos) != MaskCap::Any
        {
            *caps = std::mem::take(caps).with(MaskCap::No, &[FieldId::IpDscp, FieldId::IpEcn]);
        }
        let mut untagged = Sample::new();
        untagged.whole(FieldId::VlanTci, 0);
        untagged.whole(FieldId::EthType, 0x0800);
        if self.denies(Asked::NoVlan { transfer }, &untagged.flow(actions), !transfer)? {
            match (transfer, &mut self.caps) {
                (true, Capabilities { transfer: Some(caps), .. }) => caps.vlan_absent = VlanAbsent::No,
                (false, Capabilities { partial: Some(caps), .. }) => caps.vlan_absent = VlanAbsent::No,
                _ => {}
            }
        }
        Ok(())
    }
}

/// A flow that looks at a field as freely as this.
fn matching(field: FieldId, cap: MaskCap) -> Sample {
    let ones = field.def().ones().0;
    let mask = match cap {
        // These are matched by bits of their own meaning.
        _ if matches!(field, FieldId::IpFrag | FieldId::Vlan1Tci) => ones,
        MaskCap::Any => ones & !(ones >> 1) | 1,
        MaskCap::Prefix => ones & !1,
        MaskCap::Exact | MaskCap::No => ones,
    };
    let mut sample = Sample::with_prerequisite(field);
    if matches!(field, FieldId::Vlan1Tci | FieldId::VlanTpid) {
        sample.bits(FieldId::VlanTci, 0x1000, 0x1000);
    }
    sample.bits(field, value(field), if field == FieldId::VlanTci { mask | 0x1000 } else { mask });
    sample
}

impl TransferCaps {
    /// Without this action.
    fn remove(&mut self, kind: DpActionKind) {
        match kind {
            DpActionKind::Output => self.max_outputs = 0,
            // DSCP is written as bits of the byte, too.
            DpActionKind::Set(FieldId::IpDscp) => {
                self.set = self.set.without(FieldId::IpDscp).without(FieldId::IpTos);
            }
            DpActionKind::Set(field) => self.set = self.set.without(field),
            DpActionKind::DecTtl => self.dec_ttl = DecTtl::No,
            DpActionKind::PushVlan => self.push_vlan = false,
            DpActionKind::PopVlan => self.pop_vlan = false,
            DpActionKind::Drop => self.drop = false,
            DpActionKind::Meter => self.meter = false,
            DpActionKind::TunnelPush => self.encap = 0,
            // Copies are asked for by number.
            DpActionKind::Clone
            | DpActionKind::Hash
            | DpActionKind::Ct
            | DpActionKind::CtClear
            | DpActionKind::TunnelPop
            | DpActionKind::Recirc
            | DpActionKind::Sample
            | DpActionKind::CheckLen
            | DpActionKind::Truncate
            | DpActionKind::Punt => {}
        }
    }
}

impl FieldSet {
    /// The set without `field`.
    #[must_use]
    pub fn without(self, field: FieldId) -> FieldSet {
        FieldSet(self.0 & !(1u128 << field as u32))
    }
}

/// What was found out about devices, kept as long as they are the same: by name, driver and firmware.
#[derive(Clone, Debug, Default)]
pub struct ProbeCache {
    known: std::collections::HashMap<String, Arc<Probed>>,
}

impl ProbeCache {
    /// What is known of a device; it is probed if that is nothing. `device`: whatever changes when it may do other things
    /// (name, driver, firmware version, profile).
    ///
    /// # Errors
    /// As [`probe`]; nothing is kept then.
    pub fn get(
        &mut self,
        device: &str,
        probe: impl FnOnce() -> Result<Probed, DeviceError>,
    ) -> Result<Arc<Probed>, DeviceError> {
        if let Some(known) = self.known.get(device) {
            return Ok(Arc::clone(known));
        }
        let probed = Arc::new(probe()?);
        self.known.insert(device.to_owned(), Arc::clone(&probed));
        Ok(probed)
    }

    /// Forget a device: it was reset, or its firmware changed.
    pub fn forget(&mut self, device: &str) {
        self.known.remove(device);
    }
}
