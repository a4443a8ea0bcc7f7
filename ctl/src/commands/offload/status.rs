//! `shuntctl offload status`.

use super::policy;
use crate::output::table;
use api::{OffloadPort, OffloadStatus};
use std::collections::BTreeMap;

/// All of it: at a glance, by port, and reasons.
pub fn text(s: &OffloadStatus) -> String {
    let mut parts = vec![summary(s)];
    if !s.ports.is_empty() {
        parts.push(ports(&s.ports));
    }
    if !s.reasons.is_empty() {
        parts.push(reasons(s));
    }
    parts.join("\n\n")
}

/// At a glance.
pub fn summary(s: &OffloadStatus) -> String {
    let mut rows = vec![
        ["offload".to_owned(), if s.enabled { "on" } else { "off" }.to_owned()],
        ["policy".to_owned(), policy::words(&s.policy)],
        ["device".to_owned(), s.device.clone()],
    ];
    for (name, n) in [
        ("full", s.full),
        ("partial", s.partial),
        ("software", s.software),
        ("pending", s.pending),
        ("rules", s.rules),
        ("queued", s.queued),
        ("in flight", s.in_flight),
    ] {
        rows.push([name.to_owned(), n.to_string()]);
    }
    rows.push(["run".to_owned(), s.run.generation.to_string()]);
    if s.run.adopted > 0 || s.run.left_over > 0 {
        rows.push(["of earlier runs".to_owned(), format!("{} adopted, {} waiting", s.run.adopted, s.run.left_over)]);
    }
    if s.refused_shapes > 0 {
        rows.push(["refused rule shapes".to_owned(), s.refused_shapes.to_string()]);
    }
    if s.inexact_counts > 0 {
        rows.push(["inexact counts".to_owned(), s.inexact_counts.to_string()]);
    }
    rows.extend(s.anomalies.iter().map(|(name, n)| [format!("anomaly {name}"), n.to_string()]));
    table(["what", "value"], rows)
}

fn ports(ports: &[OffloadPort]) -> String {
    table(
        ["port", "device", "offload", "full", "part", "soft", "pend", "rules", "room", "hw-pkts", "ins/s", "wait"],
        ports.iter().map(|p| {
            let room = p.capacity.map_or_else(|| "-".to_owned(), |c| format!("{}/{c}", p.used));
            [
                p.port.clone(),
                if p.health == "works" { p.device.clone() } else { format!("{}: {}", p.device, p.health) },
                if p.enabled { "on" } else { "off" }.to_owned(),
                p.full.to_string(),
                p.partial.to_string(),
                p.software.to_string(),
                p.pending.to_string(),
                p.rules.to_string(),
                room,
                p.hits.to_string(),
                p.insert_rate.to_string(),
                p.queued.to_string(),
            ]
        }),
    )
}

/// Flows by reason: of all ports, and of each that takes rules.
fn reasons(s: &OffloadStatus) -> String {
    let by_port = |reason: &str| {
        let with = s.ports.iter().filter_map(|p| Some(format!("{} {}", p.port, p.reasons.get(reason)?)));
        with.collect::<Vec<_>>().join(", ")
    };
    let all: BTreeMap<_, _> = s.reasons.iter().collect();
    table(["reason", "flows", "by port"], all.into_iter().map(|(r, n)| [r.clone(), n.to_string(), by_port(r)]))
}
