//! The table is what the planner does; probing takes away what a device does not do; files add, and lies end in reasons.

use super::sample::{Sample, doing, value};
use super::*;
use crate::backend::{DeviceError, DeviceErrorKind};
use crate::plan::plan;
use crate::refusal::Refusal;
use crate::rule::{HwAction, HwRule, L3Match, L4Match, Plan, Table, VlanMatch};
use crate::testing::{world, world_of};
use crate::world::EthdevId;
use flow::DpPort;
use flow::dp::DpAction;
use flow::field::{FIELDS, datapath_fields};
use std::fmt::Write;

const OUT: DpAction = DpAction::Output(DpPort(2));

#[test]
fn every_field_and_every_action_has_an_entry_for_every_device() {
    let mut out = String::new();
    for profile in Capabilities::PRESETS {
        let table = Capabilities::preset(profile).unwrap().table();
        let _ = writeln!(out, "{profile}: {:?}", table.limits);
        for stage in &table.stages {
            assert_eq!(stage.fields.len(), FIELDS.len());
            for row in &stage.fields {
                let support = match &row.support {
                    Ok(cap) => cap.to_string(),
                    Err(refusal) => refusal.name().to_owned(),
                };
                let _ = writeln!(out, "{profile}, {}: {} {support} ({:?})", stage.name, row.field, row.entry);
            }
            for row in &stage.actions {
                let support = row.support.as_ref().map_or_else(Refusal::name, |()| "yes");
                let _ = writeln!(out, "{profile}, {}: {} {support} ({:?})", stage.name, row.action, row.entry);
            }
        }
    }
    insta::assert_snapshot!("table", out);
}

#[test]
fn all_actions_are_in_the_list_once() {
    let kinds = action_kinds();
    let unique: std::collections::BTreeSet<_> = kinds.iter().collect();
    assert_eq!(unique.len(), kinds.len());
    for kind in kinds.iter().copied() {
        let flow = doing(kind);
        assert!(flow.actions.iter().any(|action| action.kind() == kind), "{kind}");
    }
    for action in crate::plan::tests::every_action() {
        assert!(unique.contains(&action.kind()), "{}", action.kind());
    }
}

/// What the table says of a field or an action is what the planner does with a flow that needs it.
#[test]
fn the_table_says_what_the_planner_does() {
    for profile in ["connectx", "e810"] {
        let table = Capabilities::preset(profile).unwrap().table();
        let world = world(profile);
        for row in &table.stages[0].fields {
            let field = row.field;
            if !field.def().is_in_key() || matches!(row.entry, FieldEntry::Decided) {
                continue;
            }
            let mut sample = Sample::with_prerequisite(field);
            let value = if row.entry == FieldEntry::ZeroAtFirst { 0 } else { value(field) };
            // A tag with a type has a tag.
            if field == FieldId::Vlan1Tci {
                sample.bits(FieldId::VlanTci, 0x1000, 0x1000);
            }
            sample.whole(field, value);
            let plan = plan(&sample.flow(&[OUT]), &world);
            let refused = plan.refused();
            let own = |refusal: &Refusal| matches!(refusal, Refusal::MatchField { field: f } if *f == field);
            match &row.support {
                // What it depends on may be refused.
                Ok(_) => assert!(!refused.iter().any(own), "{profile} {field}: {refused:?}"),
                Err(_) => assert!(!refused.is_empty(), "{profile} {field}"),
            }
        }
        for row in &table.stages[0].actions {
            let plan = plan(&doing(row.action), &world);
            match &row.support {
                Ok(()) => assert!(!plan.refused().contains(&Refusal::Action(row.action)), "{profile} {}", row.action),
                Err(refusal) => {
                    let there = plan.refused().iter().any(|r| r == refusal || matches!(r, Refusal::MatchField { .. }));
                    assert!(there, "{profile} {}: {plan:?}", row.action);
                }
            }
        }
    }
}

fn no(kind: DeviceErrorKind) -> DeviceError {
    DeviceError { kind, message: "no".into() }
}

/// A device in which not all that `connectx` claims is true.
fn poor(rule: &HwRule) -> Result<(), DeviceError> {
    let transfer = matches!(rule.table, Table::Transfer { .. });
    let m = &rule.matches;
    let prefix = |mask: u32| (!mask).wrapping_add(1) & !mask == 0;
    let bad = match m.l3 {
        L3Match::Ipv4 { src, dst, tos, .. } => {
            tos.mask != 0 && transfer || !prefix(src.mask) || !matches!(dst.mask, 0 | u32::MAX)
        }
        _ => false,
    };
    let bad = bad || matches!(m.l4, L4Match::Tcp { flags, .. } if flags.mask != 0);
    let bad = bad || matches!(m.vlan, VlanMatch::Absent { .. }) && !transfer;
    let bad = bad
        || rule
            .actions
            .iter()
            .any(|action| matches!(action, HwAction::Set { field: FieldId::EthSrc, .. } | HwAction::PopVlan));
    let bad = bad || rule.actions.iter().filter(|action| matches!(action, HwAction::Mirror(_))).count() > 1;
    if bad { Err(no(DeviceErrorKind::NotSupported)) } else { Ok(()) }
}

#[test]
fn probing_takes_away_what_the_device_does_not_do() {
    let mut claims = crate::plan::tests::able();
    let field = FieldId::EthSrc;
    claims.transfer.as_mut().unwrap().fields =
        claims.transfer.as_ref().unwrap().fields.clone().with(MaskCap::Exact, &[field]);
    let probed = probe(&claims, EthdevId(10), EthdevId(11), &mut poor).unwrap();
    let (before, after) = (claims.transfer.unwrap(), probed.caps.transfer.clone().unwrap());
    let mut want = before.clone();
    want.fields = want
        .fields
        .with(MaskCap::Prefix, &[FieldId::Ipv4Src])
        .with(MaskCap::Exact, &[FieldId::Ipv4Dst])
        .with(MaskCap::No, &[FieldId::IpTos, FieldId::IpDscp, FieldId::IpEcn, FieldId::TcpFlags]);
    want.set = want.set.without(FieldId::EthSrc);
    (want.pop_vlan, want.max_outputs) = (false, 2);
    assert_eq!(after, want);
    let partial = probed.caps.partial.unwrap();
    assert_eq!(partial.vlan_absent, VlanAbsent::No);
    assert_eq!(partial.fields.get(FieldId::IpTos), MaskCap::Any);
    assert!(probed.denied.iter().any(|d| d.asked == Asked::Action(flow::dp::DpActionKind::PopVlan)));
    assert!(probed.rules > 60 && probed.rules < 400, "{}", probed.rules);
}

#[test]
fn what_was_probed_is_what_the_device_takes() {
    for profile in Capabilities::PRESETS {
        let claims = Capabilities::preset(profile).unwrap();
        let probed = probe(&claims, EthdevId(10), EthdevId(11), &mut |_| Ok(())).unwrap();
        assert_eq!(probed.caps, claims, "a device that takes all keeps all");
        assert!(probed.denied.is_empty());
        let none = probe(&claims, EthdevId(10), EthdevId(11), &mut |_| Err(no(DeviceErrorKind::NotSupported))).unwrap();
        assert_eq!((none.caps.transfer, none.caps.partial), (None, None));
        let busy = probe(&claims, EthdevId(10), EthdevId(11), &mut |_| Err(no(DeviceErrorKind::Busy))).unwrap();
        assert_eq!(busy.caps, claims, "says nothing of the rule");
        let dead = probe(&claims, EthdevId(10), EthdevId(11), &mut |_| Err(no(DeviceErrorKind::Dead)));
        assert_eq!(dead.is_err(), claims.transfer.is_some() || claims.partial.is_some());
    }
    let claims = Capabilities::preset("connectx").unwrap();
    let mut uncounted = |rule: &HwRule| if rule.count { Err(no(DeviceErrorKind::Invalid)) } else { Ok(()) };
    let probed = probe(&claims, EthdevId(10), EthdevId(11), &mut uncounted).unwrap();
    assert_eq!(probed.caps.transfer.unwrap().counter, CounterKind::None);
}

#[test]
fn a_device_is_probed_once() {
    let (mut cache, mut asked) = (ProbeCache::default(), 0);
    let claims = Capabilities::preset("e810").unwrap();
    for device in ["ice 1.3", "ice 1.3", "ice 1.4"] {
        let found = cache.get(device, || {
            asked += 1;
            probe(&claims, EthdevId(10), EthdevId(11), &mut |_| Ok(()))
        });
        assert_eq!(found.unwrap().caps, claims);
    }
    assert_eq!(asked, 2);
    assert!(cache.get("dead", || Err(no(DeviceErrorKind::Dead))).is_err());
    cache.forget("ice 1.3");
    assert!(cache.get("ice 1.3", || Err(no(DeviceErrorKind::Dead))).is_err());
}

#[test]
fn a_file_limits_and_claims() {
    let text = "[limits]\nrules = 1000\ncounters = 100\nrewrites = 2\n[transfer]\nmax-outputs = 4\nencap = 64\nset = [\"ipv6_label\"]\n\
                [match]\narp_op = \"exact\"\ntcp_src = \"no\"\n";
    let file = CapabilityFile::parse(text).unwrap();
    let caps = file.apply(Capabilities::preset("connectx").unwrap());
    assert_eq!((caps.max_rules, caps.limits.counters, caps.limits.rewrites), (Some(1000), Some(100), Some(2)));
    let transfer = caps.transfer.as_ref().unwrap();
    assert_eq!((transfer.max_outputs, transfer.encap), (4, 64));
    assert!(transfer.set.contains(FieldId::Ipv6Label));
    assert_eq!(transfer.fields.get(FieldId::ArpOp), MaskCap::Exact);
    assert_eq!(caps.partial.unwrap().fields.get(FieldId::TcpSrc), MaskCap::No);
    assert_eq!(file.apply(Capabilities::preset("none").unwrap()).transfer, None);
    assert_eq!(CapabilityFile::parse("").unwrap().apply(Capabilities::preset("tiny").unwrap()).max_rules, Some(8));
    let error = |text: &str| CapabilityFile::parse(text).unwrap_err().to_string();
    for (text, part) in [
        ("[limits]\nrule = 1", "2:1: unknown field `rule`, expected one of `rules`, "),
        ("[limits]\n\n  rules = -1", "3:11: invalid value: integer `-1`, expected u32"),
        ("[limits]\nrules = 4294967296", "2:9: invalid value: integer `4294967296`, expected u32"),
        ("[match]\nnw_src = \"some\"", "2:10: unknown variant `some`, expected one of `no`, `exact`, `prefix`, `any`"),
        ("[match]\nnw_src = \"any\"\nnw_colour = \"any\"", "3:1: there is no field \"nw_colour\"; names are "),
        ("[transfer]\nset = [\"eth_src\", \"colour\"]", "2:19: there is no field \"colour\"; names are "),
        ("limits", "1:7: "),
    ] {
        let error = error(text);
        assert!(error.starts_with(part), "{error}");
    }
}

#[test]
fn absurd_limits_leave_nothing_of_what_they_are_about() {
    let limited = |text: &str| CapabilityFile::parse(text).unwrap().apply(Capabilities::preset("connectx").unwrap());
    assert_eq!(limited("[limits]\nrules = 0").max_rules, Some(0));
    let uncounted = limited("[limits]\ncounters = 0");
    assert_eq!(uncounted.transfer.unwrap().counter, CounterKind::None);
    assert_eq!(uncounted.max_rules, Some(65_536), "rules that mark need none");
    let text = "[limits]\nmeters = 0\nencap-headers = 0\n[transfer]\nmeter = true\nencap = 64\nmax-outputs = 0";
    let transfer = limited(text).transfer.unwrap();
    assert_eq!((transfer.meter, transfer.encap, transfer.max_outputs), (false, 0, 0));
}

#[test]
fn a_file_says_how_many_outer_headers_there_are() {
    let said = |text: &str| {
        let caps = CapabilityFile::parse(text).unwrap().apply(Capabilities::preset("connectx").unwrap());
        let shown = caps.table().limits.into_iter().find(|(name, _)| *name == "encap_headers").map(|(_, limit)| limit);
        (caps.limits.encap_headers, shown, caps.transfer.unwrap().encap)
    };
    assert_eq!(said("[limits]\nencap-headers = 500\n[transfer]\nencap = 64"), (Some(500), Some(500), 64));
    assert_eq!(said("[transfer]\nencap = 64"), (None, None, 64), "as many as there are rules");
    // What a profile says holds where the file says nothing.
    let mut caps = Capabilities::preset("connectx").unwrap();
    caps.limits.encap_headers = Some(9);
    assert_eq!(CapabilityFile::parse("").unwrap().apply(caps.clone()).limits.encap_headers, Some(9));
    let file = CapabilityFile::parse("[limits]\nencap-headers = 3").unwrap();
    assert_eq!(file.apply(caps).limits.encap_headers, Some(3));
}

/// Fields and actions that a file claims and that no rule of ours can say stay typed refusals.
#[test]
fn a_file_that_lies_ends_in_reasons() {
    let all: String = datapath_fields().map(|def| format!("{} = \"any\"\n", def.name)).collect();
    let set: Vec<String> = FIELDS.iter().map(|def| format!("{:?}", def.name)).collect();
    let text =
        format!("[transfer]\nset = [{}]\nmeter = true\nencap = 128\nmax-outputs = 9\n[match]\n{all}", set.join(","));
    let world = world_of(CapabilityFile::parse(&text).unwrap().apply(Capabilities::preset("e810").unwrap()));
    for kind in action_kinds() {
        match plan(&doing(kind), &world) {
            Plan::Full(program) => {
                for rule in &program.rules {
                    let said = crate::rte_flow::actions(rule, None);
                    assert!(said.len() >= rule.actions.len(), "{kind}: an action that is not said");
                }
            }
            other => assert!(!other.refused().is_empty(), "{kind}"),
        }
    }
    for def in datapath_fields() {
        let mut sample = Sample::with_prerequisite(def.id);
        sample.whole(def.id, value(def.id));
        let plan = plan(&sample.flow(&[OUT]), &world);
        if matches!(field_entry(def.id), FieldEntry::NoItem) {
            assert!(!matches!(plan, Plan::Full(_)), "{}", def.name);
        }
    }
}
