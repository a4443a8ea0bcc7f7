//! Meters of bridges.

use super::errors::invalid;
use super::{Control, Inner};
use crate::state::{Change, ObjectKey};
use ::offload::rte_flow::meters::profile;
use ::offload::{DeviceKey, MeterObstacle, PortInfo, WantedMeter, World};
use ::pipeline::meter::{MAX_BANDS, MAX_METERS};
use ::pipeline::{MeterChange, MeterEntry};
use api::{Ack, BandView, Error, MeterFeatures, MeterText, MeterView, MetersDelete};
use flow::dp::{BridgeId, MeterId};
use flow::meter::{Band, BandKind, MeterSpec};
use flow::text;
use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

impl Control {
    /// The meters of a bridge, or one of them.
    pub fn meters(&self, bridge: &str, meter: Option<u32>) -> Result<Vec<MeterView>, Error> {
        let inner = self.lock();
        let id = inner.bridge(bridge)?;
        drop(inner);
        self.switch.fold();
        let mut meters = self.switch.pipeline().meters(id);
        if let Some(wanted) = meter {
            meters.retain(|m| m.spec.id == wanted);
            if meters.is_empty() {
                return Err(no_meter(bridge, wanted));
            }
        }
        let now = self.switch.clock().now();
        Ok(meters.iter().map(|m| view(m, now)).collect())
    }

    /// What meters can do.
    pub fn meter_features(&self) -> MeterFeatures {
        MeterFeatures {
            max_meter: u32::try_from(MAX_METERS).unwrap_or(u32::MAX),
            max_bands: u32::try_from(MAX_BANDS).unwrap_or(u32::MAX),
            max_color: 0,
            band_types: ["drop", "dscp_remark"].map(str::to_owned).to_vec(),
            capabilities: ["kbps", "pktps", "burst", "stats"].map(str::to_owned).to_vec(),
        }
    }

    /// Add a meter.
    pub fn meter_add(&self, bridge: &str, add: &MeterText) -> Result<Ack, Error> {
        self.meter_put(bridge, add, |bridge, meter| MeterChange::Add { bridge, meter })
    }

    /// Change a meter.
    pub fn meter_modify(&self, bridge: &str, modify: &MeterText) -> Result<Ack, Error> {
        self.meter_put(bridge, modify, |bridge, meter| MeterChange::Modify { bridge, meter })
    }

    fn meter_put(
        &self,
        bridge: &str,
        meter: &MeterText,
        change: impl Fn(BridgeId, MeterSpec) -> MeterChange,
    ) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let object = "meter 1 of 1";
        let spec = text::parse_meter(&meter.meter).map_err(|e| invalid(object, e))?;
        let put = Change::PutObject {
            bridge: bridge.to_owned(),
            key: ObjectKey::Meter(spec.id),
            value: text::format_meter(&spec),
        };
        // What hardware has counted is of the meter as it was.
        self.switch.engine().read_meters();
        let (mut done, rules) = self.meters_change(&mut inner, bridge, change(id, spec), object)?;
        done.push(put);
        self.commit(inner, done, 1 + rules)
    }

    /// Remove a meter or all of them, with the rules that go through them.
    pub fn meters_delete(&self, bridge: &str, delete: &MetersDelete) -> Result<Ack, Error> {
        let mut inner = self.change()?;
        let id = inner.bridge(bridge)?;
        let numbers = || self.switch.pipeline().meters(id).iter().map(|m| m.spec.id).collect::<BTreeSet<_>>();
        let before = numbers();
        if let Some(wanted) = delete.meter
            && !before.contains(&wanted)
        {
            return Err(no_meter(bridge, wanted));
        }
        let change = MeterChange::Delete { bridge: id, meter: delete.meter };
        let (mut done, rules) = self.meters_change(&mut inner, bridge, change, &format!("bridge {bridge}"))?;
        let after = numbers();
        let gone = before.difference(&after);
        let gone = gone.map(|m| Change::DeleteObject { bridge: bridge.to_owned(), key: ObjectKey::Meter(*m) });
        done.extend(gone);
        self.commit(inner, done, before.len() - after.len() + rules)
    }

    fn meters_change(
        &self,
        inner: &mut Inner,
        bridge: &str,
        change: MeterChange,
        object: &str,
    ) -> Result<(Vec<Change>, usize), Error> {
        let changed =
            self.apply_changes(inner, bridge, &[::pipeline::Change::Meter(change)], &|_| object.to_owned())?;
        self.switch.set_meters(self.wanted_meters(inner, &inner.world()));
        Ok(changed)
    }

    /// The meters of bridges with ports in hardware, each with its one place: the device that all of these ports are in.
    pub(super) fn wanted_meters(&self, inner: &Inner, world: &World) -> HashMap<MeterId, WantedMeter> {
        let mut wanted = HashMap::new();
        for (name, id) in &inner.bridges {
            let ports = inner.ports.values().filter(|port| port.bridge == *name);
            let ports = ports.filter_map(|port| world.ports.get(port.state.as_ref().ok()?));
            let devices: BTreeSet<DeviceKey> = ports.map(PortInfo::device).collect();
            let Some(first) = devices.first().copied() else { continue };
            for meter in self.switch.pipeline().meters(*id) {
                let place = match profile(&meter.spec) {
                    Err(_) => Err(MeterObstacle::Bands { bands: meter.spec.bands.len() }),
                    Ok(_) if devices.len() > 1 => Err(MeterObstacle::Ports),
                    Ok(_) => Ok(first),
                };
                wanted.insert(meter.id, WantedMeter { spec: Arc::new(meter.spec), place });
            }
        }
        wanted
    }
}

fn view(meter: &MeterEntry, now: flow::clock::Time) -> MeterView {
    let band = |(i, band): (usize, &Band)| {
        let counted = meter.stats.bands.get(i).copied().unwrap_or_default();
        BandView {
            kind: match band.kind {
                BandKind::Drop => "drop".to_owned(),
                BandKind::DscpRemark { .. } => "dscp_remark".to_owned(),
            },
            rate: band.rate,
            burst_size: band.burst_size,
            packets: counted.packets,
            bytes: counted.bytes,
        }
    };
    MeterView {
        meter: meter.spec.id,
        text: text::format_meter(&meter.spec),
        flow_count: meter.stats.flow_count as usize,
        packets: meter.stats.packets_in,
        bytes: meter.stats.bytes_in,
        duration: super::flows::duration(meter.created, now).as_secs_f64(),
        bands: meter.spec.bands.iter().enumerate().map(band).collect(),
    }
}

fn no_meter(bridge: &str, meter: u32) -> Error {
    Error::new(api::ErrorKind::NotFound, format!("meter {meter}"), format!("bridge {bridge} has no such meter"))
        .remedy(format!("list them with: shuntctl meter dump {bridge}"))
}
