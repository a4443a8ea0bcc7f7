//! `shuntctl show`.

use crate::client::Client;
use crate::commands::{bridge, offload, port};
use crate::error::Result;
use crate::output::Output;
use api::{Show, paths};

pub fn run(client: &Client, out: Output) -> Result<()> {
    let show: Show = client.get(paths::SHOW)?;
    out.print(&show, |s| {
        let mock = s.mock.as_ref().map(|p| format!(", mock NIC {p}")).unwrap_or_default();
        [
            format!("shuntd {} on {}{mock}, up {} s, epoch {}", s.version, s.dpdk, s.uptime, s.epoch),
            match s.bridges.as_slice() {
                [] => "no bridge yet; make one with: shuntctl bridge add br0".to_owned(),
                some => bridge::list(some),
            },
            match s.ports.as_slice() {
                [] => {
                    "no port yet; add one with: shuntctl port add BRIDGE NAME --type TYPE --devargs DEVARGS".to_owned()
                }
                some => port::list(some),
            },
            offload::summary(&s.offload),
        ]
        .join("\n\n")
    })
}
