//! Probing finds out of the model what its profile says.

use super::*;
use flow::FieldId;
use flow::field::datapath_fields;
use offload::caps::{Probed, probe};
use offload::rte_flow::{actions, attributes, pattern};
use offload::{Capabilities, DeviceError, DeviceErrorKind, EthdevId, HwRule, MaskCap};

fn probed(profile: &str, claims: &Capabilities) -> Probed {
    let mut nic = Eswitch::new(Profile::named(profile).unwrap(), ETHDEVS.to_vec(), Faults::default(), 0);
    let mut validate = |rule: &HwRule| {
        let count = rule.count.then_some(Action::Count(0));
        let flow = LoweredFlow::new(attributes(rule), &pattern(rule), &actions(rule, count));
        nic.validate(&raw_flow(rule.port.0, &flow)).map_err(|refusal| DeviceError {
            kind: DeviceErrorKind::from_errno(refusal.errno),
            message: refusal.message.clone(),
        })
    };
    let probed = probe(claims, EthdevId(ETHDEVS[0]), EthdevId(ETHDEVS[1]), &mut validate).unwrap();
    assert_eq!(nic.rule_count(), 0, "nothing is left behind");
    probed
}

/// No plan asks for bits of these.
fn planned_for(mut claims: Capabilities) -> Capabilities {
    let fields = [claims.transfer.as_mut().map(|c| &mut c.fields), claims.partial.as_mut().map(|c| &mut c.fields)];
    for fields in fields.into_iter().flatten() {
        for field in [FieldId::EthType, FieldId::IpProto, FieldId::VlanTpid, FieldId::ArpOp] {
            let cap = fields.get(field).min(MaskCap::Exact);
            *fields = std::mem::take(fields).with(cap, &[field]);
        }
    }
    claims
}

#[test]
fn profiles_keep_what_they_claim() {
    for name in Profile::NAMES {
        let claims = Profile::named(name).unwrap().capabilities();
        let probed = probed(name, &claims);
        assert!(probed.denied.is_empty(), "{name}: {:?}", probed.denied);
        assert_eq!(probed.caps, planned_for(claims), "{name}");
    }
}

#[test]
fn claims_that_the_device_does_not_keep_are_taken_away() {
    let claims = planned_for(Profile::named("full").unwrap().capabilities());
    for name in ["connectx", "e810", "mark-only", "none"] {
        let (probed, real) = (probed(name, &claims).caps, Profile::named(name).unwrap().capabilities());
        assert_eq!(probed.transfer.is_some(), real.transfer.is_some(), "{name}");
        assert_eq!(probed.partial.is_some(), real.partial.is_some(), "{name}");
        let (Some(probed), Some(real)) = (probed.transfer, real.transfer) else { continue };
        for def in datapath_fields().filter(|def| !matches!(def.id, FieldId::IpDscp | FieldId::IpEcn)) {
            let (found, is) = (probed.fields.get(def.id), real.fields.get(def.id));
            let claimed = claims.transfer.as_ref().unwrap().fields.get(def.id);
            assert_eq!(found, is.min(claimed), "{name} {}", def.name);
            assert_eq!(probed.set.contains(def.id), real.set.contains(def.id), "{name} {}", def.name);
        }
        // A tag is pushed on packets without one only: where that cannot be matched, it is not asked for.
        assert_eq!((probed.drop, probed.pop_vlan), (real.drop, real.pop_vlan));
        assert_eq!(
            (probed.dec_ttl, probed.max_outputs, probed.hairpin),
            (real.dec_ttl, real.max_outputs, real.hairpin)
        );
    }
}
