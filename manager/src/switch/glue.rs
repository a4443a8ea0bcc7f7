//! What passes between engine and datapath.

use datapath::Datapath;
use flow::clock::Time;
use flow::dp::{self, DpFlow, Mark};
use offload::{Backend, Completion, HitSink, MeterCounts, Op};
use pipeline::meter::{BandStats, MeterTable};
use std::sync::{Arc, OnceLock, Weak};

/// The engine's reports, handed to the datapath.
#[derive(Debug, Default)]
pub struct Hits {
    datapath: OnceLock<Weak<Datapath>>,
    meters: Arc<MeterTable>,
}

impl Hits {
    /// Meters count in this table, wherever they are.
    #[must_use]
    pub fn new(meters: Arc<MeterTable>) -> Hits {
        Hits { datapath: OnceLock::new(), meters }
    }

    /// Say where reports go; the engine exists before the datapath does.
    pub fn connect(&self, datapath: &Arc<Datapath>) {
        // Only the first connection counts; there is but one.
        let _ = self.datapath.set(Arc::downgrade(datapath));
    }

    fn datapath(&self) -> Option<Arc<Datapath>> {
        self.datapath.get().and_then(Weak::upgrade)
    }
}

impl HitSink for Hits {
    fn hardware_hits(&self, flow: &Arc<DpFlow>, hits: dp::Hits) {
        if let Some(datapath) = self.datapath() {
            datapath.hardware_hits(flow, &hits);
        }
    }

    fn rest_mark(&self, flow: &Arc<DpFlow>, done: usize) -> Option<Mark> {
        self.datapath()?.rest_mark(flow, done)
    }

    fn hardware_read(&self, flow: &Arc<DpFlow>, until: Option<Time>) {
        if let Some(datapath) = self.datapath() {
            datapath.hardware_read(flow, until);
        }
    }

    fn hardware_gone(&self, flow: &Arc<DpFlow>) {
        if let Some(datapath) = self.datapath() {
            datapath.hardware_gone(flow);
        }
    }

    fn meter_hits(&self, meter: dp::MeterId, hits: MeterCounts) {
        let came = BandStats { packets: hits.packets, bytes: hits.bytes };
        self.meters.add(meter, came, BandStats { packets: hits.dropped_packets, bytes: hits.dropped_bytes });
    }
}

/// The backend of a switch without hardware rules. The planner refuses every flow before it comes here.
#[derive(Debug)]
pub struct NoDevice;

impl Backend for NoDevice {
    fn submit(&mut self, _: &[Op]) -> usize {
        0
    }

    fn poll(&mut self, _: &mut Vec<Completion>) {}

    fn adopt(&mut self, _: offload::Cookie) -> Vec<offload::Adopted> {
        Vec::new()
    }
}
