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
            bridge::list(&s.bridges),
            port::list(&s.ports),
            offload::text(&s.offload),
        ]
        .join("\n\n")
    })
}
