//! The daemon in OpenMetrics text.

use super::Control;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

type Labels = Vec<(&'static str, String)>;

impl Control {
    /// All metrics, as `/metrics` answers them.
    pub fn metrics(&self) -> String {
        let (dp, offload, ports) = (self.dp_counters(), self.offload_status(), self.ports());
        let mut registry = Registry::with_prefix("shunt");
        let counter = Family::<Labels, Counter>::default();
        for (name, n) in [("rx", dp.rx_packets), ("tx", dp.tx_packets), ("copies", dp.copies)] {
            counter.get_or_create(&vec![("what", name.to_owned())]).inc_by(n);
        }
        registry.register("datapath_packets", "Packets of the software datapath", counter);
        registry.register("datapath_drops", "Packets not forwarded, by reason", family("reason", &dp.drops));
        registry.register("datapath_lookups", "How packets found their flow", family("how", &dp.lookups));
        let flows = Family::<Labels, Gauge>::default();
        for (place, n) in [
            ("hardware", offload.full),
            ("partial", offload.partial),
            ("software", offload.software),
            ("pending", offload.pending),
        ] {
            flows.get_or_create(&vec![("handled", place.to_owned())]).set(i64::try_from(n).unwrap_or(i64::MAX));
        }
        registry.register("flows", "Datapath flows by where they are handled", flows);
        let reasons = Family::<Labels, Gauge>::default();
        for (reason, n) in &offload.reasons {
            reasons.get_or_create(&vec![("reason", reason.clone())]).set(i64::try_from(*n).unwrap_or(i64::MAX));
        }
        registry.register("flows_refused", "Flows not fully in hardware, by reason", reasons);
        offload_metrics(&offload, &mut registry);
        let port_packets = Family::<Labels, Counter>::default();
        for port in ports {
            for (direction, n) in [("rx", port.rx_packets), ("tx", port.tx_packets)] {
                let labels = vec![("port", port.port.name.clone()), ("direction", direction.to_owned())];
                port_packets.get_or_create(&labels).inc_by(n);
            }
        }
        registry.register("port_packets", "Packets by port", port_packets);
        self.object_metrics(&mut registry);
        self.nic_metrics(&mut registry);
        let mut text = String::new();
        // Writing to a string cannot fail.
        let _ = encode(&mut text, &registry);
        text
    }
}

impl Control {
    /// Meters, groups and packets for controllers, by bridge.
    fn object_metrics(&self, registry: &mut Registry) {
        let [meter_packets, meter_bytes, band_packets, groups, punted] =
            std::array::from_fn(|_| Family::<Labels, Counter>::default());
        for bridge in self.bridges() {
            let name = bridge.bridge.name;
            let labels = |rest: &[(&'static str, String)]| [&[("bridge", name.clone())], rest].concat();
            for (id, n) in &bridge.punted {
                punted.get_or_create(&labels(&[("controller", id.to_string())])).inc_by(*n);
            }
            // A bridge that went meanwhile has none.
            for meter in self.meters(&name, None).unwrap_or_default() {
                let number = ("meter", meter.meter.to_string());
                meter_packets.get_or_create(&labels(std::slice::from_ref(&number))).inc_by(meter.packets);
                meter_bytes.get_or_create(&labels(std::slice::from_ref(&number))).inc_by(meter.bytes);
                for (i, band) in meter.bands.iter().enumerate() {
                    let labels = labels(&[number.clone(), ("band", i.to_string())]);
                    band_packets.get_or_create(&labels).inc_by(band.packets);
                }
            }
            for group in self.groups(&name, None).unwrap_or_default() {
                groups.get_or_create(&labels(&[("group", group.group.to_string())])).inc_by(group.packets);
            }
        }
        registry.register("meter_packets", "Packets that came to a meter", meter_packets);
        registry.register("meter_bytes", "Bytes that came to a meter", meter_bytes);
        registry.register("meter_band_packets", "Packets that a band of a meter acted on", band_packets);
        registry.register("group_packets", "Packets that came to a group", groups);
        registry.register("controller_packets", "Packets for controllers", punted);
    }
}

impl Control {
    /// NICs of which something is desired.
    fn nic_metrics(&self, registry: &mut Registry) {
        let [drifts, repairs] = std::array::from_fn(|_| Family::<Labels, Counter>::default());
        let as_desired = Family::<Labels, Gauge>::default();
        for nic in self.nic_counts() {
            let pf = ("pf", nic.pf.clone());
            drifts.get_or_create(&vec![pf.clone()]).inc_by(nic.drifts);
            for (result, n) in [("done", nic.repaired), ("failed", nic.failed)] {
                repairs.get_or_create(&vec![pf.clone(), ("result", result.to_owned())]).inc_by(n);
            }
            if let Some(yes) = nic.as_desired {
                as_desired.get_or_create(&vec![pf]).set(i64::from(yes));
            }
        }
        registry.register("nic_drifts", "Changes of NICs that others made", drifts);
        registry.register("nic_repairs", "Repairs of NICs", repairs);
        registry.register("nic_as_desired", "Whether a NIC is as desired", as_desired);
    }
}

fn family(label: &'static str, values: &std::collections::BTreeMap<String, u64>) -> Family<Labels, Counter> {
    let family = Family::<Labels, Counter>::default();
    for (name, n) in values {
        family.get_or_create(&vec![(label, name.clone())]).inc_by(*n);
    }
    family
}

/// Offload, by input port and by device.
fn offload_metrics(offload: &api::OffloadStatus, registry: &mut Registry) {
    let [flows, refused, rules, used, room, enabled] = std::array::from_fn(|_| Family::<Labels, Gauge>::default());
    let [hits, evictions, anomalies] = std::array::from_fn(|_| Family::<Labels, Counter>::default());
    let gauge = |family: &Family<Labels, Gauge>, labels: Labels, n: usize| {
        family.get_or_create(&labels).set(i64::try_from(n).unwrap_or(i64::MAX));
    };
    for p in &offload.ports {
        let port = ("port", p.port.clone());
        for (place, n) in
            [("hardware", p.full), ("partial", p.partial), ("software", p.software), ("pending", p.pending)]
        {
            gauge(&flows, vec![port.clone(), ("handled", place.to_owned())], n);
        }
        for (reason, n) in &p.reasons {
            gauge(&refused, vec![port.clone(), ("reason", reason.clone())], *n);
        }
        gauge(&rules, vec![port.clone()], p.rules);
        gauge(&enabled, vec![port], usize::from(p.enabled));
    }
    // Ports of one device say the same of it.
    let devices: std::collections::BTreeMap<_, _> = offload.ports.iter().map(|p| (&p.device, p)).collect();
    for (device, p) in devices {
        let labels = vec![("device", device.clone())];
        gauge(&used, labels.clone(), p.used as usize);
        if let Some(capacity) = p.capacity {
            gauge(&room, labels.clone(), capacity as usize);
        }
        hits.get_or_create(&labels).inc_by(p.device_hits);
        evictions.get_or_create(&labels).inc_by(p.evictions);
    }
    for (name, n) in &offload.anomalies {
        anomalies.get_or_create(&vec![("what", name.clone())]).inc_by(*n);
    }
    registry.register("offload_flows", "Datapath flows by input port and where they are handled", flows);
    registry.register("offload_refused", "Flows not fully in hardware, by input port and reason", refused);
    registry.register("offload_rules", "Hardware rules of flows, by input port", rules);
    registry.register("offload_enabled", "Whether flows of the port may go into hardware", enabled);
    registry.register("offload_device_rules", "Hardware rules, by device", used);
    registry.register("offload_device_room", "Most hardware rules, by device", room);
    registry.register("offload_device_packets", "Packets that hardware switched alone, by device", hits);
    registry.register("offload_device_evictions", "Flows that made room for others, by device", evictions);
    registry.register("offload_anomalies", "Things that devices should not have done", anomalies);
    let hints = Counter::<u64>::default();
    hints.inc_by(offload.idle_hints);
    registry.register("offload_idle_hints", "Idle rules that devices told of by themselves", hints);
}
