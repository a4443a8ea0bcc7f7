//! What a worker's tables hold, to be shown.

use super::{Depth, FlowTable, PortTable};
use flow::DpPort;

/// The flows that a PMD knows of one input port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortTableView {
    /// `None`: packets of all ports that come again (recirculation).
    pub port: Option<DpPort>,
    pub flows: usize,
    /// Different masks: so many tables a search looks into at most.
    pub masks: usize,
    /// Some flow looks deeper than at Ethernet addresses, ethertype and fragment bits.
    pub deep: bool,
    /// There is one flow only and it is not deep: bursts are compared with it, without the cache.
    pub sole: bool,
    /// How often what the cache is asked by changed, because flows began or ended to look at other fields. Entries from
    /// before are not found again.
    pub rehashed: u32,
}

impl FlowTable {
    /// What there is of each port that has flows.
    pub(crate) fn view(&self) -> Vec<PortTableView> {
        let of = |port: Option<DpPort>, table: &PortTable| PortTableView {
            port,
            flows: table.flows(),
            masks: table.subtables.len(),
            deep: table.depth() > Depth::Link,
            sole: table.sole().is_some(),
            rehashed: table.generation(),
        };
        let ports = self.ports.iter().enumerate();
        let ports = ports.map(|(at, table)| of(u32::try_from(at).ok().map(DpPort), table));
        ports.chain([of(None, &self.again)]).filter(|view| view.flows > 0).collect()
    }
}
