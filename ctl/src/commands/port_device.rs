//! What `shuntctl port show` and `port stats` print.

use super::port;
use crate::output::table;
use api::{DeviceView, PortCounters, PortDetails};

/// A port, and below it its device.
pub fn text(details: &PortDetails) -> String {
    let head = port::list(std::slice::from_ref(&details.port));
    let options: Vec<_> = details.port.port.options.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let options = if options.is_empty() { String::new() } else { format!("\noptions: {}", options.join(" ")) };
    match &details.device {
        Some(d) => format!("{head}{options}\n\n{}", device(d)),
        None => format!("{head}{options}"),
    }
}

fn device(d: &DeviceView) -> String {
    let link = match (d.link_up, d.speed_mbps) {
        (false, _) => "down".to_owned(),
        (true, speed) => {
            let speed = speed.map_or_else(|| "of unknown speed".to_owned(), |s| format!("{s} Mbit/s"));
            format!("up, {speed}, {} duplex", if d.full_duplex { "full" } else { "half" })
        }
    };
    let told = if d.link_interrupt { " (told by interrupt)" } else { "" };
    let list = |names: &[String]| if names.is_empty() { "none".to_owned() } else { names.join(" ") };
    let control = d.flow_control.as_ref().map_or_else(|| "not known to the driver".to_owned(), |on| list(on));
    let rows = [
        ("driver", format!("{}, NUMA node {}", d.driver, d.node)),
        ("mac", d.mac.clone()),
        ("link", format!("{link}{told}")),
        ("mtu", format!("{} (of {} to {})", d.mtu, d.mtu_min, d.mtu_max)),
        ("rx queues", format!("{} of {}, {} descriptors each", d.rx_queues, d.max_rx_queues, d.rx_descriptors)),
        ("tx queues", format!("{} of {}, {} descriptors each", d.tx_queues, d.max_tx_queues, d.tx_descriptors)),
        ("rx offloads", format!("{} (of {})", list(&d.rx_offloads), list(&d.rx_capable))),
        ("tx offloads", format!("{} (of {})", list(&d.tx_offloads), list(&d.tx_capable))),
        ("flow control", control),
        ("mempool", format!("{}, {} bytes of frame a buffer", d.mempool, d.buffer)),
    ];
    rows.map(|(name, value)| format!("{name:<13} {value}")).join("\n")
}

/// Counters by name; those of the driver after a blank line.
pub fn counters(stats: &PortCounters) -> String {
    let rows = |all: Vec<(&String, &u64)>| {
        table(["counter", "value"], all.into_iter().map(|(name, n)| [name.clone(), n.to_string()]))
    };
    let own = rows(stats.counters.iter().collect());
    if stats.xstats.is_empty() {
        return own;
    }
    format!("{own}\n\n{}", rows(stats.xstats.iter().map(|(name, n)| (name, n)).collect()))
}
