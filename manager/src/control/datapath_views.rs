//! What the datapath holds and why packets missed.

use super::Control;
use ::datapath::{Counters, PortTableView};
use api::{DpCaches, DpMisses, DpPortView, DpShow, DpTable, Revalidation};
use flow::dp::DropReason;
use std::collections::{BTreeMap, HashMap};

impl Control {
    /// The datapath at a glance.
    pub fn dp_show(&self) -> DpShow {
        let datapath = self.switch.datapath();
        let (limit, counters, done) = (datapath.flow_limit(), datapath.counters(), datapath.revalidation_totals());
        let mut ports: Vec<_> = datapath.ports().into_iter().map(port).collect();
        ports.sort_by_key(|p| p.port);
        DpShow {
            flows: datapath.flow_count(),
            flow_limit: limit.present,
            flow_limit_configured: limit.configured,
            max_idle_ms: u64::try_from(datapath.idle().as_millis()).unwrap_or(u64::MAX),
            masks: datapath.pmd_views().iter().map(|p| usize::try_from(p.subtables).unwrap_or(usize::MAX)).sum(),
            hit: counters.mark_hit + counters.cache_hit + counters.megaflow_hit,
            missed: counters.miss,
            not_kept: counters.miss.saturating_sub(counters.installed + counters.adopted),
            lost: counters.drops_by(DropReason::MissBudget),
            revalidation: Revalidation {
                changes: done.changes,
                checked: done.checked,
                removed: done.removed,
                expired: done.expired,
                marks_waiting: datapath.marks_waiting(),
            },
            ports,
        }
    }

    /// The caches and tables of all PMDs.
    pub fn dp_caches(&self) -> Vec<DpCaches> {
        let datapath = self.switch.datapath();
        let mut tables: HashMap<_, _> = datapath.tables().into_iter().collect();
        let names: HashMap<_, _> = datapath.ports().into_iter().map(|p| (p.port, p.name)).collect();
        let table = |t: PortTableView| DpTable {
            port: t.port.map(|port| names.get(&port).cloned().unwrap_or_else(|| port.to_string())),
            flows: t.flows,
            masks: t.masks,
            deep: t.deep,
            sole: t.sole,
            rehashed: t.rehashed,
        };
        let views = datapath.pmd_views().into_iter();
        views
            .map(|v| DpCaches {
                pmd: v.pmd,
                cpu: v.spot.cpu,
                used: v.cache_used,
                capacity: v.cache_capacity,
                hits: v.counters.cache_hit,
                misses: unknown_to_cache(&v.counters),
                filled: v.counters.cache_filled,
                replaced: v.counters.cache_replaced,
                tables: tables.remove(&v.pmd).flatten().map(|all| all.into_iter().map(table).collect()),
            })
            .collect()
    }

    /// Why packets were not known: of each PMD, and of all together.
    pub fn dp_misses(&self) -> Vec<DpMisses> {
        let views = self.switch.datapath().pmd_views();
        let mut all = Counters::default();
        views.iter().for_each(|v| all.add(&v.counters));
        let of_each = views.iter().map(|v| misses(Some(v.pmd), &v.counters));
        of_each.chain([misses(None, &all)]).collect()
    }
}

fn port(p: ::datapath::PortView) -> DpPortView {
    DpPortView {
        port: p.port.0,
        name: p.name,
        mtu: p.mtu,
        numa: p.numa,
        rx_queues: p.rx_queues,
        tx_queues: p.tx_queues,
        tx_shared: p.tx_shared,
        rx_packets: p.counters.rx_packets,
        tx_packets: p.counters.tx_packets,
        tx_dropped: p.counters.tx_dropped,
    }
}

/// Packets that the cache was asked about and did not know: each found room in it afterwards, or pushed another one out, or no
/// flow could be kept for it.
fn unknown_to_cache(c: &Counters) -> u64 {
    let kept = c.cache_filled + c.cache_replaced;
    let refused = c.refused_limit + c.refused_marks + c.refused_masks + c.refused_stale;
    kept + c.uncacheable + refused + c.drops_by(DropReason::MissBudget)
}

fn misses(pmd: Option<u32>, c: &Counters) -> DpMisses {
    let named = |causes: &[(&str, u64)]| -> BTreeMap<String, u64> {
        causes.iter().map(|(name, n)| ((*name).to_owned(), *n)).collect()
    };
    DpMisses {
        pmd,
        cache: named(&[
            ("no_entry", unknown_to_cache(c).saturating_sub(c.cache_replaced)),
            ("pushed_out", c.cache_replaced),
        ]),
        table: named(&[
            ("new_flow", c.installed),
            ("other_pmd", c.adopted),
            ("one_packet", c.uncacheable),
            ("flow_limit", c.refused_limit),
            ("marks", c.refused_marks),
            ("masks", c.refused_masks),
            ("changed", c.refused_stale),
            ("budget", c.drops_by(DropReason::MissBudget)),
        ]),
        untranslatable: c.untranslatable,
    }
}
