//! Packets of chosen flows, captured in software: the flows leave hardware for that, and go back when the capture ends, which
//! it does by itself when nobody reads it any more.

use super::super::Control;
use super::super::errors::invalid;
use super::explain::no_flow;
use crate::switch::{Tapped, Wanted};
use ::offload::{DemotionId, Names, Which};
use api::{
    CAPTURE_LEASE_S, CaptureEnded, CapturePacket, CaptureRequest, CaptureStarted, CaptureTaken, Error, ErrorKind,
};
use flow::text::{self, Note};
use flow::{DpPort, FieldId, OfPort};
use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// Packets that one answer holds at most.
const PACKETS: usize = 4096;
/// Captures at a time.
const CAPTURES: usize = 16;

/// A capture that goes on.
#[derive(Debug)]
pub(in crate::control) struct Capture {
    /// When somebody read it last.
    read: Instant,
    flows: usize,
    demotions: Vec<DemotionId>,
}

/// By number: that of the tap.
pub(in crate::control) type Captures = BTreeMap<u16, Capture>;

impl Control {
    /// Begin a capture: flows go to software, and from the answer on all their packets are kept for the reader.
    pub fn capture_start(&self, request: &CaptureRequest) -> Result<CaptureStarted, Error> {
        self.end_stale_captures();
        let (wanted, matching) = match (request.flow, &request.matching) {
            (Some(id), None) => self.wanted_flow(id)?,
            (None, Some(matching)) => (self.wanted_match(matching, request.bridge.as_deref())?, matching.clone()),
            _ => {
                return Err(invalid("capture", "give a datapath flow's number or a match, one of them")
                    .remedy("list flows with: shuntctl dp flows"));
            }
        };
        let mut captures = self.captures();
        let full = || {
            Error::new(ErrorKind::Full, "capture", format!("{} captures go on already", captures.len()))
                .remedy("end one of them")
        };
        if captures.len() >= CAPTURES {
            return Err(full());
        }
        // The engine says so of flows that it would otherwise find to have an action that hardware cannot do.
        let demotions = wanted.each().map(|(key, mask)| Which::Match { key: Box::new(key), mask: Box::new(mask) });
        let demotions = demotions.map(|which| self.switch.engine().demote(which)).collect();
        let flows = self.switch.flows().iter().filter(|f| wanted.covers(&f.flow)).count();
        let capture = Capture { read: Instant::now(), flows, demotions };
        let Some(id) = self.switch.taps().add(wanted) else {
            let refused = full();
            self.let_go(&capture);
            return Err(refused);
        };
        captures.insert(id, capture);
        drop(captures);
        // From here on packets come to software.
        self.switch.fence();
        Ok(CaptureStarted { id: id.into(), matching, flows })
    }

    /// Take what was captured; waits for so long for the first packet.
    pub fn capture_take(&self, id: u64, wait: Duration) -> Result<CaptureTaken, Error> {
        let (number, start) = (number(id)?, Instant::now());
        loop {
            self.captures().get_mut(&number).ok_or_else(|| no_capture(id))?.read = Instant::now();
            self.switch.drain_punted();
            let (packets, lost) = self.switch.taps().take(number, PACKETS).ok_or_else(|| no_capture(id))?;
            if !packets.is_empty() || start.elapsed() >= wait {
                let names = self.names();
                let packets = packets.into_iter().map(|p| self.captured(p, &names)).collect();
                return Ok(CaptureTaken { packets, lost });
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    /// End a capture; its flows go back to where they would be.
    pub fn capture_end(&self, id: u64) -> Result<CaptureEnded, Error> {
        let capture = self.captures().remove(&number(id)?).ok_or_else(|| no_capture(id))?;
        let lost = self.switch.taps().remove(number(id)?).unwrap_or_default();
        self.let_go(&capture);
        self.switch.fence();
        Ok(CaptureEnded { flows: capture.flows, lost })
    }

    /// End captures whose reader has gone. Called every second or so.
    pub fn end_stale_captures(&self) {
        let lease = Duration::from_secs(CAPTURE_LEASE_S);
        let stale: Vec<u16> =
            self.captures().iter().filter(|(_, c)| c.read.elapsed() > lease).map(|(id, _)| *id).collect();
        for id in stale {
            tracing::warn!("capture {id}: nobody read it for {CAPTURE_LEASE_S} s: it ends");
            // It may have been ended at this moment.
            let _ = self.capture_end(id.into());
        }
    }

    fn let_go(&self, capture: &Capture) {
        for demotion in &capture.demotions {
            self.switch.engine().restore(*demotion);
        }
    }

    fn captures(&self) -> std::sync::MutexGuard<'_, Captures> {
        self.captures.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// With the flow as text.
    fn wanted_flow(&self, id: u64) -> Result<(Wanted, String), Error> {
        let flow = self.switch.flows().into_iter().find(|f| f.flow.id.0 == id).ok_or_else(|| no_flow(id))?.flow;
        if flow.key.recirc_id.get() != 0 {
            return Err(invalid(format!("datapath flow {id}"), "its packets come again from another flow")
                .remedy("capture the flow of their first pass"));
        }
        let text = text::format_dp_flow(&flow.key, &flow.mask);
        Ok((Wanted::new(vec![flow.in_port()], &flow.key, &flow.mask), text))
    }

    fn wanted_match(&self, matching: &str, bridge: Option<&str>) -> Result<Wanted, Error> {
        let object = || format!("match `{matching}`");
        let bridge = self.only_bridge(bridge)?;
        let inner = self.lock();
        let names = inner.names(self, &bridge);
        let wanted = text::parse_match(matching, &names).map_err(|e| invalid(object(), e))?;
        let mut notes = Vec::new();
        text::parse_filter_noting(matching, false, &names, &mut notes).map_err(|e| invalid(object(), e))?;
        if let Some(note) = notes.first() {
            return Err(match note {
                Note::LeftOut { field, needs } => {
                    invalid(object(), format!("only a packet with {needs} has `{field}`"))
                        .remedy(format!("say {needs} too, or leave `{field}` away"))
                }
                other => invalid(object(), other),
            });
        }
        drop(names);
        let id = inner.bridge(&bridge)?;
        drop(inner);
        let (port, said) = wanted.get(FieldId::InPort);
        let all = self.switch.pipeline().ports(id);
        let ports: Vec<DpPort> = all
            .iter()
            .filter(|p| said.0 == 0 || OfPort(u16::try_from(port.0).unwrap_or(u16::MAX)) == p.number)
            .map(|p| p.dp)
            .collect();
        if ports.is_empty() {
            return Err(invalid(object(), format!("bridge {bridge} has no such port"))
                .remedy("list them with: shuntctl port list"));
        }
        Ok(Wanted::new(ports, &wanted.key, &wanted.mask))
    }

    fn captured(&self, packet: Tapped, names: &dyn Names) -> CapturePacket {
        let clock = self.switch.clock();
        let at = if self.switch.lockstep().is_some() {
            Duration::from_nanos(packet.at.0)
        } else {
            let ago = clock.now().since(packet.at);
            SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().saturating_sub(ago)
        };
        CapturePacket {
            at: u64::try_from(at.as_nanos()).unwrap_or(u64::MAX),
            port: names.port(packet.port),
            hex: api::to_hex(&packet.data),
        }
    }
}

fn number(id: u64) -> Result<u16, Error> {
    u16::try_from(id).map_err(|_| no_capture(id))
}

fn no_capture(id: u64) -> Error {
    Error::new(ErrorKind::NotFound, format!("capture {id}"), "it has ended, or never was")
        .remedy("begin one with: shuntctl offload capture")
}
