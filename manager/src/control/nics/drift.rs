//! What others change of NICs: noticed, told, and repaired when the configuration says so.
//!
//! A thread listens to the kernel (`representors::DriftWatch`). What it hears while a change of our own is under way
//! is our own; after that it looks afresh, and what is not as desired is told, whoever made it so. A repair is a
//! change like any other, with its ports; it waits longer each time that it fails, or that what it repaired is
//! changed again soon.

use super::super::{Attached, Control};
use super::Nics;
use crate::config::DriftPolicy;
use crate::nic::{plan_error, wish};
use api::{DriftView, Error, NicConverge, NicView, PortType};
use representors::{DeviceId, Drift, DriftWatch, Kernel};
use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

/// How long the thread waits for events at a time.
const LISTEN: Duration = Duration::from_millis(200);
/// The same where nothing can be waited for, or nothing is to be watched.
const REST: Duration = Duration::from_millis(100);
/// How long the end of the daemon waits for the thread.
const AT_THE_END: Duration = Duration::from_secs(2);
/// How many changes of others are kept to be shown.
const KEPT: usize = 16;
/// The first and the longest wait before another repair.
const BACK_OFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What is known of one NIC.
#[derive(Debug, Default)]
pub(super) struct Watched {
    /// The latest changes.
    seen: VecDeque<(Instant, String)>,
    /// All of them so far.
    count: u64,
    repaired: u64,
    failed: u64,
    /// Whether it is as desired; `None`: nobody has looked yet.
    as_desired: Option<bool>,
    wait: Duration,
    /// When the last repair ended.
    tried: Option<Instant>,
    error: Option<String>,
}

impl Watched {
    fn see(&mut self, what: String) {
        self.count += 1;
        if self.seen.len() == KEPT {
            self.seen.pop_front();
        }
        self.seen.push_back((Instant::now(), what));
    }

    /// How long until a repair may be tried.
    fn due_in(&self) -> Duration {
        self.tried.map_or(Duration::ZERO, |at| self.wait.saturating_sub(at.elapsed()))
    }

    /// A repair has ended.
    fn ended(&mut self, error: Option<&Error>) {
        // Whoever changes it again and again is not fought at full speed, even where each repair works.
        let peace = self.tried.is_none_or(|at| at.elapsed() > BACK_OFF.1);
        self.wait = if peace { BACK_OFF.0 } else { (self.wait * 2).min(BACK_OFF.1) };
        self.tried = Some(Instant::now());
        self.error = error.map(ToString::to_string);
        match error {
            None => self.repaired += 1,
            Some(_) => self.failed += 1,
        }
    }
}

impl Nics {
    pub(super) fn watched(&self) -> MutexGuard<'_, std::collections::BTreeMap<String, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A change of ours has brought a NIC to what is desired: whatever is found afterwards came after it.
    pub(super) fn is_as_desired(&self, pf: &str) {
        if let Some(watched) = self.watched().get_mut(pf) {
            watched.as_desired = Some(true);
            watched.error = None;
        }
    }

    /// Put what is known of changes into a view.
    pub(super) fn show_drift(&self, view: &mut NicView) {
        let all = self.watched();
        let Some(watched) = all.get(&view.pf) else { return };
        let seen = |(at, what): &(Instant, String)| DriftView { ago: at.elapsed().as_secs(), what: what.clone() };
        view.drift = watched.seen.iter().map(seen).collect();
        if view.to_do.is_empty() {
            return;
        }
        view.repair = match (self.policy, &watched.error) {
            (DriftPolicy::Report, _) => format!("not by itself; run: shuntctl nic converge {}", view.pf),
            (DriftPolicy::Repair, None) => "under way".to_owned(),
            (DriftPolicy::Repair, Some(e)) => format!("again in {} s; {e}", watched.due_in().as_secs()),
        };
    }
}

/// The thread that watches NICs; ends when this is dropped.
#[derive(Debug)]
pub struct NicWatch {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl NicWatch {
    /// Start it.
    ///
    /// # Errors
    /// There can be no thread.
    pub fn start(control: Arc<Control>) -> std::io::Result<NicWatch> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = stop.clone();
        let run = move || Watcher { control: &control, open: None }.run(&stopped);
        let thread = std::thread::Builder::new().name("nic-watch".to_owned()).spawn(run)?;
        Ok(NicWatch { stop, thread: Some(thread) })
    }
}

impl Drop for NicWatch {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Release);
        let Some(thread) = self.thread.take() else { return };
        let start = Instant::now();
        // A repair takes the kernel its time; the next start goes on with it.
        while !thread.is_finished() && start.elapsed() < AT_THE_END {
            std::thread::sleep(Duration::from_millis(5));
        }
        if thread.is_finished() {
            // A panic there has been told.
            let _ = thread.join();
        }
    }
}

/// A kernel that is listened to, and for which NICs.
struct Open {
    kernel: Kernel,
    watch: DriftWatch,
    devices: Vec<DeviceId>,
    /// How many turns had been taken when it was opened.
    turns: u64,
}

struct Watcher<'a> {
    control: &'a Control,
    open: Option<Open>,
}

impl Watcher<'_> {
    fn run(&mut self, stop: &AtomicBool) {
        while !stop.load(Ordering::Acquire) {
            if let Err(e) = self.round() {
                tracing::warn!("NICs cannot be watched: {e}");
                self.open = None;
                rest(stop, BACK_OFF.0);
            }
        }
    }

    fn round(&mut self) -> Result<(), Error> {
        let nics = &self.control.nics;
        let devices = self.control.managed();
        if devices.is_empty() || nics.turns.now().is_some() {
            // What is heard during our own change is our own.
            self.open = None;
            std::thread::sleep(REST);
            return Ok(());
        }
        let mut open = match self.open.take() {
            Some(open) if open.devices == devices && open.turns == nics.turns.count() => open,
            _ => {
                let turns = nics.turns.count();
                let mut kernel = nics.host.open()?;
                let watch = DriftWatch::open(&mut kernel, &devices).map_err(failed)?;
                let mut open = Open { kernel, watch, devices, turns };
                self.look(&mut open, true);
                open
            }
        };
        let timeout = if nics.host.waits() { LISTEN } else { Duration::ZERO };
        let drifts = open.watch.next(&mut open.kernel, timeout).map_err(failed)?;
        if nics.turns.count() == open.turns {
            for (device, drift) in &drifts {
                self.control.drifted(&device.to_string(), drift);
            }
            if !drifts.is_empty() {
                self.look(&mut open, false);
            }
            self.open = Some(open);
            self.control.repair_due();
        }
        if timeout.is_zero() {
            std::thread::sleep(REST);
        }
        Ok(())
    }

    /// Whether NICs are as desired. `afresh`: what happened since the last look was not heard.
    fn look(&self, open: &mut Open, afresh: bool) {
        for device in &open.devices {
            let pf = device.to_string();
            let to_do = match self.control.to_do(&pf, &mut open.kernel) {
                Ok(steps) => steps,
                Err(e) => vec![e.to_string()],
            };
            let mut all = self.control.nics.watched();
            let watched = all.entry(pf.clone()).or_default();
            let as_desired = to_do.is_empty();
            if !as_desired && watched.as_desired != Some(false) {
                tracing::warn!("NIC {pf}: not as desired; to do: {}", to_do.join(", "));
                if afresh {
                    watched.see(format!("found not as desired; to do: {}", to_do.join(", ")));
                }
            } else if as_desired && watched.as_desired == Some(false) {
                tracing::warn!("NIC {pf}: as desired again");
            }
            watched.as_desired = Some(as_desired);
            if as_desired {
                watched.error = None;
            }
        }
    }
}

fn failed(e: impl std::fmt::Display) -> Error {
    Error::new(api::ErrorKind::Failed, "kernel", e)
}

fn rest(stop: &AtomicBool, time: Duration) {
    let start = Instant::now();
    while start.elapsed() < time && !stop.load(Ordering::Acquire) {
        std::thread::sleep(REST);
    }
}

/// What was counted of a NIC.
#[derive(Clone, Debug)]
pub(in super::super) struct NicCounts {
    pub(in super::super) pf: String,
    pub(in super::super) drifts: u64,
    pub(in super::super) repaired: u64,
    pub(in super::super) failed: u64,
    pub(in super::super) as_desired: Option<bool>,
}

impl Control {
    /// What was counted of the NICs that are watched.
    pub(in super::super) fn nic_counts(&self) -> Vec<NicCounts> {
        let of = |(pf, watched): (&String, &Watched)| NicCounts {
            pf: pf.clone(),
            drifts: watched.count,
            repaired: watched.repaired,
            failed: watched.failed,
            as_desired: watched.as_desired,
        };
        self.nics.watched().iter().map(of).collect()
    }

    /// The NICs of which something is desired.
    fn managed(&self) -> Vec<DeviceId> {
        self.lock().desired.nics.keys().filter_map(|pf| pf.parse().ok()).collect()
    }

    /// What is missing to what is desired.
    pub(super) fn to_do(&self, pf: &str, kernel: &mut Kernel) -> Result<Vec<String>, Error> {
        let Some(wish) = self.lock().desired.nics.get(pf).cloned() else { return Ok(Vec::new()) };
        let desired = wish::desired(&wish, true)?;
        let nic = kernel.nic(&desired.device).map_err(|e| crate::nic::observe_error(&desired.device, &e))?;
        let plan = representors::plan(&desired, &nic).map_err(|e| plan_error(&desired.device, &e))?;
        Ok(plan.steps.iter().map(ToString::to_string).collect())
    }

    /// Somebody else has changed a NIC.
    fn drifted(&self, pf: &str, drift: &Drift) {
        tracing::warn!("NIC {pf}: {drift}");
        {
            let mut all = self.nics.watched();
            let watched = all.entry(pf.to_owned()).or_default();
            watched.see(drift.to_string());
            if *drift == Drift::Reset {
                // What could not be repaired while it was away can be now.
                watched.tried = None;
            }
        }
        match drift {
            Drift::Gone => self.ports_lost(pf, None, "its NIC is gone"),
            Drift::RepresentorGone(name) => self.ports_lost(pf, Some(&name.to_string()), "its representor is gone"),
            Drift::RepresentorCame(_) => self.representors_came(pf),
            Drift::Reset => {
                self.ports_lost(pf, None, "its NIC was reset");
                self.representors_came(pf);
            }
            // A packet socket is found again by the device's name, which is another now.
            Drift::Renamed { port, .. } if self.nics.host.waits() => {
                self.ports_lost(pf, Some(port), "its network device has another name");
                self.representors_came(pf);
            }
            _ => {}
        }
    }

    /// Ports of a NIC, or the one of a function, have lost their device.
    fn ports_lost(&self, pf: &str, function: Option<&str>, why: &str) {
        let mut inner = self.lock();
        let lost = |p: &&Attached| {
            let here = p.port.kind == PortType::Representor && p.port.nic.as_deref() == Some(pf);
            here && p.work.is_none() && p.state.is_ok() && function.is_none_or(|f| p.port.devargs.as_deref() == Some(f))
        };
        let ports: Vec<String> = inner.ports.values().filter(lost).map(|p| p.port.name.clone()).collect();
        let drains: Vec<_> = ports.iter().filter_map(|name| self.device_gone(&mut inner, name, why)).collect();
        drop(inner);
        self.drain(drains);
    }

    /// Repair what is not as desired, where the policy says so and it is time.
    fn repair_due(&self) {
        if self.nics.policy != DriftPolicy::Repair {
            return;
        }
        let due = |(pf, watched): (&String, &Watched)| {
            (watched.as_desired == Some(false) && watched.due_in().is_zero()).then(|| pf.clone())
        };
        let due: Vec<String> = self.nics.watched().iter().filter_map(due).collect();
        let managed = self.managed();
        for pf in due.into_iter().filter(|pf| managed.iter().any(|d| d.to_string() == *pf)) {
            let done = self.nic_converge(&NicConverge { pf: Some(pf.clone()), ..NicConverge::default() });
            match &done {
                Ok(plans) => {
                    let steps: Vec<_> = plans.iter().flat_map(|p| p.steps.iter().cloned()).collect();
                    tracing::warn!("NIC {pf}: repaired: {}", steps.join(", "));
                }
                Err(e) => tracing::warn!("NIC {pf}: not repaired: {e}"),
            }
            if let Some(watched) = self.nics.watched().get_mut(&pf) {
                watched.ended(done.as_ref().err());
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_repair_waits_longer_while_it_fails_or_is_undone() {
        let mut watched = Watched::default();
        assert_eq!(watched.due_in(), Duration::ZERO);
        let failed = Error::new(api::ErrorKind::Failed, "x", "no");
        let waits: Vec<u64> = (0..8)
            .map(|n| {
                watched.ended((n % 2 == 0).then_some(&failed));
                watched.wait.as_secs()
            })
            .collect();
        assert_eq!(waits, [1, 2, 4, 8, 16, 32, 60, 60]);
        assert_eq!((watched.repaired, watched.failed), (4, 4));
        assert!(watched.due_in() > Duration::from_secs(55));
    }

    #[test]
    fn only_the_latest_changes_are_kept_and_all_are_counted() {
        let mut watched = Watched::default();
        (0..40).for_each(|n| watched.see(n.to_string()));
        assert_eq!((watched.seen.len(), watched.count), (KEPT, 40));
        assert_eq!(watched.seen.back().map(|(_, what)| what.as_str()), Some("39"));
    }
}
