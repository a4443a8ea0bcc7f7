//! Meters as rte_mtr objects: an OpenFlow meter is a profile, a policy that drops what exceeds it, and a shared meter.

use crate::backend::MeterCounts;
use flow::dp::MeterId;
use flow::meter::{BandKind, MeterSpec, MeterUnit};
use rte_flow_rs::{
    Action, Class, LoweredActions, MeterParams, MeterPolicy, MeterProfile, MeterStats, RteFlowApi, RteFlowError,
};

/// Why a meter cannot be in hardware.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum MeterRefusal {
    /// Only one drop band becomes a device's profile.
    #[error("meter {0} has {1} bands, or one that does not drop; a device's meter has one band that drops")]
    Bands(u32, usize),
    /// The device refused.
    #[error(transparent)]
    Device(#[from] RteFlowError),
}

/// The policy that all meters share: what is red is dropped.
const POLICY: u32 = 1;

/// The profile of a meter. Rates in bytes a second; a burst of 0 is one second's worth, as in Open vSwitch
/// (ovs-ofctl(8), "Meter Syntax").
///
/// # Errors
/// [`MeterRefusal::Bands`].
pub fn profile(spec: &MeterSpec) -> Result<MeterProfile, MeterRefusal> {
    let [band] = spec.bands[..] else { return Err(MeterRefusal::Bands(spec.id, spec.bands.len())) };
    if band.kind != BandKind::Drop {
        return Err(MeterRefusal::Bands(spec.id, 1));
    }
    let burst = if spec.burst && band.burst_size > 0 { band.burst_size } else { band.rate };
    let packet_mode = spec.unit == MeterUnit::Pktps;
    let units = |n: u32| if packet_mode { u64::from(n) } else { u64::from(n) * 1000 / 8 };
    Ok(MeterProfile::SrTcm2697 { cir: units(band.rate), cbs: units(burst), ebs: 0, packet_mode })
}

/// Puts a meter in, or gives one that is there new rates.
///
/// # Errors
/// [`MeterRefusal`]; nothing is left behind then.
pub fn set(api: &mut dyn RteFlowApi, port: u16, id: MeterId, spec: &MeterSpec) -> Result<(), MeterRefusal> {
    let profile = profile(spec)?;
    // Two numbers of profiles a meter, so that a new one can be in before the old one goes.
    let [first, second] = [id.0 << 1, id.0 << 1 | 1];
    let there = |result: Result<(), RteFlowError>| match result {
        Err(error) if error.class() != Class::Exists => Err(error),
        Err(_) => Ok(false),
        Ok(()) => Ok(true),
    };
    let policy = MeterPolicy { red: Some(LoweredActions::new(&[Action::Drop])), ..MeterPolicy::default() };
    there(api.meter_policy_add(port, POLICY, &policy))?;
    let (new, old) =
        if there(api.meter_profile_add(port, first, &profile))? { (first, second) } else { (second, first) };
    if new == second {
        api.meter_profile_add(port, second, &profile)?;
    }
    let params = MeterParams { profile: new, policy: POLICY, shared: true };
    match api.meter_create(port, id.0, &params) {
        Ok(()) => Ok(()),
        Err(error) if error.class() == Class::Exists => {
            if let Err(error) = api.meter_profile_update(port, id.0, new) {
                let _ = api.meter_profile_delete(port, new);
                return Err(error.into());
            }
            let _ = api.meter_profile_delete(port, old);
            Ok(())
        }
        Err(error) => {
            let _ = api.meter_profile_delete(port, new);
            Err(error.into())
        }
    }
}

/// Takes a meter out.
///
/// # Errors
/// EBUSY while rules go through it.
pub fn remove(api: &mut dyn RteFlowApi, port: u16, id: MeterId) -> Result<(), RteFlowError> {
    api.meter_destroy(port, id.0)?;
    for profile in [id.0 << 1, id.0 << 1 | 1] {
        // Only one of them is there.
        let _ = api.meter_profile_delete(port, profile);
    }
    Ok(())
}

/// What went through a meter.
///
/// # Errors
/// Of the device.
pub fn stats(api: &mut dyn RteFlowApi, port: u16, id: MeterId) -> Result<MeterStats, RteFlowError> {
    api.meter_stats(port, id.0, false)
}

/// The sums over colours. A device that counts only what it drops (mlx5 guide, "Meter") says nothing of the rest.
#[must_use]
pub fn counts(stats: &MeterStats) -> MeterCounts {
    let sum = |of: [Option<u64>; 3], dropped: Option<u64>| {
        let [green, yellow, red] = of;
        [green, yellow, red.or(dropped)].into_iter().flatten().sum()
    };
    MeterCounts {
        packets: sum(stats.packets, stats.dropped_packets),
        bytes: sum(stats.bytes, stats.dropped_bytes),
        dropped_packets: stats.dropped_packets.unwrap_or_default(),
        dropped_bytes: stats.dropped_bytes.unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flow::meter::Band;

    fn spec(unit: MeterUnit, burst: bool, bands: &[(BandKind, u32, u32)]) -> MeterSpec {
        let bands =
            bands.iter().map(|(kind, rate, burst_size)| Band { kind: *kind, rate: *rate, burst_size: *burst_size });
        MeterSpec { id: 5, unit, burst, stats: true, bands: bands.collect() }
    }

    #[test]
    fn what_a_device_does_not_count_is_not_made_up() {
        let (packets, bytes) = ([Some(5), None, Some(2)], [Some(500), None, Some(200)]);
        let all = MeterStats { packets, bytes, dropped_packets: Some(2), dropped_bytes: Some(200) };
        let counted = |packets, bytes| MeterCounts { packets, bytes, dropped_packets: 2, dropped_bytes: 200 };
        assert_eq!(counts(&all), counted(7, 700));
        assert_eq!(counts(&MeterStats { packets: [None; 3], bytes: [None; 3], ..all }), counted(2, 200));
        let back = MeterCounts { packets: 1, ..MeterCounts::default() };
        assert_eq!(back.since(&counted(7, 700)).packets, 1, "a new meter");
    }

    #[test]
    fn kilobits_become_bytes_and_packets_stay_packets() {
        let kbps = profile(&spec(MeterUnit::Kbps, true, &[(BandKind::Drop, 8, 16)])).unwrap();
        assert_eq!(kbps, MeterProfile::SrTcm2697 { cir: 1000, cbs: 2000, ebs: 0, packet_mode: false });
        let packets = profile(&spec(MeterUnit::Pktps, false, &[(BandKind::Drop, 7, 16)])).unwrap();
        assert_eq!(packets, MeterProfile::SrTcm2697 { cir: 7, cbs: 7, ebs: 0, packet_mode: true });
        let remark = spec(MeterUnit::Pktps, false, &[(BandKind::DscpRemark { prec_level: 1 }, 7, 16)]);
        assert_eq!(profile(&remark), Err(MeterRefusal::Bands(5, 1)));
        let two = spec(MeterUnit::Pktps, false, &[(BandKind::Drop, 7, 0), (BandKind::Drop, 9, 0)]);
        assert_eq!(profile(&two), Err(MeterRefusal::Bands(5, 2)));
    }
}
