//! Settings of PMDs: on which CPUs, how queues are assigned, automatic load balancing.

use super::{Control, errors::invalid};
use crate::cpus;
use crate::pmds::{AtStart, PmdSettingsError, Settings, joined};
use crate::state::Change;
use ::datapath::{AutoLoadBalance, Verdict, improvement};
use api::{AutoLbView, DryRun, Error, ErrorKind, PmdSet, PmdSettings, PmdsChanged};
use std::collections::BTreeMap;
use std::time::{Duration, Instant};

/// A PMD that has not polled for this long stands still.
const STILL: Duration = Duration::from_secs(2);

/// What control knows of PMDs.
#[derive(Debug, Default)]
pub(super) struct Pmds {
    /// As the configuration file says.
    config: Settings,
    /// In force.
    now: Settings,
    trouble: Option<String>,
    /// A change of CPUs could not be carried out or undone to its end.
    unsettled: bool,
    looks: u64,
    dry_runs: u64,
    rebalances: u64,
    waits: Option<&'static str>,
    last: Option<(Instant, DryRun)>,
    /// By PMD: its polls so far, and since when it has been at these.
    polls: BTreeMap<u32, (u64, Instant)>,
}

impl Pmds {
    /// PMDs that stand still, and for how many seconds.
    pub(super) fn stalled(&self) -> BTreeMap<u32, u64> {
        let stand = self.polls.iter().map(|(pmd, (_, since))| (*pmd, since.elapsed()));
        stand.filter(|(_, time)| *time >= STILL).map(|(pmd, time)| (pmd, time.as_secs())).collect()
    }
}

impl Control {
    /// With the settings of PMDs that the daemon was started with.
    #[must_use]
    pub fn with_pmds(self, start: AtStart) -> Control {
        self.switch.datapath().set_policy(start.now.policy);
        let AtStart { config, now, trouble } = start;
        self.lock().pmds = Pmds { config, now, trouble, ..Pmds::default() };
        self
    }

    /// Settings of PMDs.
    pub fn pmd_settings(&self) -> PmdSettings {
        let inner = self.lock();
        inner.pmds.now.view(&inner.desired.pmds, inner.pmds.trouble.clone())
    }

    /// Change settings of PMDs. PMDs on CPUs that stay go on as they are.
    pub fn pmds_set(&self, set: &PmdSet) -> Result<PmdsChanged, Error> {
        let mut inner = self.change()?;
        let wanted = joined(&inner.desired.pmds, set);
        let settings = inner.pmds.config.with(&wanted).map_err(refused)?;
        let new: Vec<_> = settings.cpus.iter().copied().filter(|cpu| !inner.pmds.now.cpus.contains(cpu)).collect();
        let name = if set.cpu_mask.is_some() { "cpu_mask" } else { "cpus" };
        cpus::check(name, &new, settings.share_cpus).map_err(|e| refused(e.into()))?;
        let made = self.switch.set_pmds(&settings.spots()).map_err(|e| {
            inner.pmds.unsettled = true;
            Error::new(ErrorKind::Failed, "PMDs", format!("{e}; the settings are as before"))
        })?;
        inner.pmds.unsettled = false;
        if settings.policy != inner.pmds.now.policy {
            self.switch.datapath().set_policy(settings.policy);
        }
        inner.pmds.now = settings;
        inner.pmds.trouble = None;
        inner.desired.pmds = wanted.clone();
        let view = inner.pmds.now.view(&wanted, None);
        self.commit(inner, vec![Change::Pmds(wanted)], 1)?;
        Ok(PmdsChanged { started: made.started, ended: made.ended, settings: view })
    }

    /// Automatic load balancing, and what it did.
    pub fn auto_lb(&self) -> AutoLbView {
        let inner = self.lock();
        let pmds = &inner.pmds;
        let settings = pmds.now.view(&inner.desired.pmds, None);
        AutoLbView {
            on: settings.auto_lb,
            load_threshold: settings.load_threshold,
            improvement_threshold: settings.improvement_threshold,
            interval: settings.interval,
            looks: pmds.looks,
            dry_runs: pmds.dry_runs,
            rebalances: pmds.rebalances,
            waits: pmds.waits.map(str::to_owned),
            last: pmds.last.map(|(at, run)| DryRun { ago: at.elapsed().as_secs(), ..run }),
        }
    }

    /// Look at the loads of PMDs, every [`::datapath::LOOK_EVERY`], and assign queues anew when that pays.
    pub fn balance_pmds(&self) {
        let config = self.lock().pmds.now.balance;
        let verdict = self.switch.datapath().balance(config);
        let mut inner = self.lock();
        let pmds = &mut inner.pmds;
        if !config.on {
            pmds.waits = None;
            return;
        }
        pmds.looks += 1;
        pmds.waits = None;
        let (before, after, done) = match verdict {
            Verdict::Dropped(why) => {
                pmds.waits = Some(why.text());
                return;
            }
            Verdict::Stay { before, after } => (before, after, false),
            Verdict::Rebalance { before, after, .. } => (before, after, true),
        };
        pmds.dry_runs += 1;
        pmds.rebalances += u64::from(done);
        let improvement = improvement(before, after);
        let run = DryRun { ago: 0, variance_before: before, variance_after: after, improvement, done };
        pmds.last = Some((Instant::now(), run));
        if done {
            tracing::info!(
                "PMDs: queues are assigned anew; the variance of loads falls from {before} to about {after}"
            );
        }
    }

    /// See which PMDs stand still, and end what a change of CPUs left undone. Called every second.
    pub fn watch_pmds(&self) {
        if self.switch.lockstep().is_some() {
            return;
        }
        let views = self.switch.datapath().pmd_views();
        let mut inner = self.lock();
        let pmds = &mut inner.pmds;
        pmds.polls.retain(|pmd, _| views.iter().any(|v| v.pmd == *pmd));
        for view in views {
            let (polls, now) = (view.counters.polls, Instant::now());
            let known = pmds.polls.entry(view.pmd).or_insert((polls, now));
            let stood = known.1.elapsed();
            let cpu = view.spot.cpu.map_or_else(|| "any CPU".to_owned(), |cpu| format!("CPU {cpu}"));
            if known.0 != polls {
                if stood >= STILL {
                    tracing::warn!("PMD {} on {cpu} polls again after {} s", view.pmd, stood.as_secs());
                }
                *known = (polls, now);
            } else if (STILL..STILL + Duration::from_secs(1)).contains(&stood) {
                tracing::warn!(
                    "PMD {} on {cpu} has not polled for {} s: packets of its queues wait; look whether something else takes \
                     its CPU, or a debugger holds it",
                    view.pmd,
                    stood.as_secs()
                );
            }
        }
        if pmds.unsettled && self.switch.set_pmds(&pmds.now.spots()).is_ok() {
            pmds.unsettled = false;
        }
    }

    /// Automatic load balancing as it is set.
    pub fn auto_lb_settings(&self) -> AutoLoadBalance {
        self.lock().pmds.now.balance
    }
}

fn refused(e: PmdSettingsError) -> Error {
    invalid("PMDs", e)
}
