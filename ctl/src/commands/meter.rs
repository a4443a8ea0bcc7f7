//! `shuntctl meter`.

use crate::client::{Client, path};
use crate::commands::flow::name_flow;
use crate::commands::group::number;
use crate::error::Result;
use crate::output::{self, Output, table};
use api::{Ack, MeterFeatures, MeterText, MeterView, MetersDelete, paths};
use clap::Subcommand;

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Add a meter, in ovs-ofctl's syntax
    Add {
        /// Bridge that gets the meter
        bridge: String,
        /// Such as meter=1,kbps,burst,bands=type=drop,rate=5000,burst_size=5000
        meter: String,
    },
    /// Change a meter; what it has counted stays
    Mod {
        /// Bridge of the meter
        bridge: String,
        /// As for add
        meter: String,
    },
    /// Remove a meter, or all, with the flows that go through them
    Del {
        /// Bridge of the meter
        bridge: String,
        /// Number of the meter, or meter=NUMBER [default: all meters]
        meter: Option<String>,
    },
    /// Print meters as ovs-ofctl dump-meters does
    Dump {
        /// Bridge of the meters
        bridge: String,
        /// Number of the meter, or meter=NUMBER [default: all meters]
        meter: Option<String>,
    },
    /// Print what meters have counted
    Stats {
        /// Bridge of the meters
        bridge: String,
        /// Number of the meter, or meter=NUMBER [default: all meters]
        meter: Option<String>,
    },
    /// Print what meters can do
    Features,
}

pub fn run(verb: Verb, client: &Client, out: Output) -> Result<()> {
    match verb {
        Verb::Add { bridge, meter } => {
            let add = MeterText { meter: meter.clone() };
            let ack: Ack = client.post(&path(paths::METERS, &[&bridge]), &add).map_err(|e| name_flow(e, &meter))?;
            out.print(&ack, output::ack)
        }
        Verb::Mod { bridge, meter } => {
            let modify = MeterText { meter: meter.clone() };
            let ack: Ack = client.patch(&path(paths::METERS, &[&bridge]), &modify).map_err(|e| name_flow(e, &meter))?;
            out.print(&ack, output::ack)
        }
        Verb::Del { bridge, meter } => {
            let delete = MetersDelete { meter: number(meter.as_deref(), "meter", "meter")? };
            let ack: Ack = client.delete(&path(paths::METERS, &[&bridge]), Some(&delete))?;
            out.print(&ack, output::ack)
        }
        Verb::Dump { bridge, meter } => {
            let meters = get(client, &bridge, meter.as_deref())?;
            out.print(&meters, |m| m.iter().map(|m| format!(" {}\n", m.text)).collect())
        }
        Verb::Stats { bridge, meter } => out.print(&get(client, &bridge, meter.as_deref())?, |m| stats(m)),
        Verb::Features => {
            let features: MeterFeatures = client.get(paths::METER_FEATURES)?;
            out.print(&features, |f| {
                format!(
                    "max_meter:{} max_bands:{} max_color:{}\nband_types: {}\ncapabilities: {}",
                    f.max_meter,
                    f.max_bands,
                    f.max_color,
                    f.band_types.join(" "),
                    f.capabilities.join(" ")
                )
            })
        }
    }
}

fn get(client: &Client, bridge: &str, meter: Option<&str>) -> Result<Vec<MeterView>> {
    let at = path(paths::METERS, &[bridge]);
    client.get(&match number(meter, "meter", "meter")? {
        Some(meter) => format!("{at}?meter={meter}"),
        None => at,
    })
}

fn stats(meters: &[MeterView]) -> String {
    let rows = meters.iter().flat_map(|m| {
        let head = [
            m.meter.to_string(),
            "-".to_owned(),
            m.flow_count.to_string(),
            m.packets.to_string(),
            m.bytes.to_string(),
            format!("{:.3}", m.duration),
        ];
        let band = |(i, b): (usize, &api::BandView)| {
            [
                m.meter.to_string(),
                format!("{i} {} above {}", b.kind, b.rate),
                String::new(),
                b.packets.to_string(),
                b.bytes.to_string(),
                String::new(),
            ]
        };
        std::iter::once(head).chain(m.bands.iter().enumerate().map(band).collect::<Vec<_>>())
    });
    table(["meter", "band", "flows", "packets", "bytes", "seconds"], rows)
}
