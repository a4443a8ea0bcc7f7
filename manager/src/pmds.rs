//! Settings of PMDs: from the configuration file, changed through the API.

use crate::config::DatapathConfig;
use crate::cpus::{self, CpuError, CpuList, numa_of};
use api::{PmdSet, PmdSettings, RxqAssign};
use datapath::{Assign, AutoLoadBalance, PmdSpot, Policy};
use std::time::Duration;

/// Longest time between two dry runs of automatic load balancing, in minutes (ovs-vswitchd.conf.db(5)).
const MOST_MINUTES: u16 = 20_000;

/// What says that there is one PMD, on any CPU.
const ANY: &str = "any";

/// Why settings cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PmdSettingsError {
    #[error(transparent)]
    Cpus(#[from] CpuError),
    #[error("{name}: {value} is no percentage; use a number from 0 to 100")]
    Percent { name: &'static str, value: u8 },
    #[error("interval: {0} minutes; use a number from 1 to {MOST_MINUTES}")]
    Interval(u16),
}

/// All that is set of PMDs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// Empty: one PMD on any CPU.
    pub cpus: Vec<usize>,
    /// CPUs may be polled on by other programs.
    pub share_cpus: bool,
    pub policy: Policy,
    pub balance: AutoLoadBalance,
}

impl Settings {
    /// As the configuration file says.
    ///
    /// # Errors
    /// [`PmdSettingsError`]. Whether CPUs can be had is not looked at.
    pub fn from_config(config: &DatapathConfig) -> Result<Settings, PmdSettingsError> {
        let lb = &config.pmd_auto_lb;
        let settings = Settings { cpus: config.cpus()?, share_cpus: config.share_cpus, ..Settings::default() };
        settings.with(&PmdSet {
            assign: Some(config.rxq_assign),
            isolate: Some(config.rxq_isolate),
            auto_lb: Some(lb.on),
            load_threshold: Some(lb.load_threshold),
            improvement_threshold: Some(lb.improvement_threshold),
            interval: Some(lb.interval),
            ..PmdSet::default()
        })
    }

    /// These, with a change. [`PmdSet::reset`] is the caller's.
    ///
    /// # Errors
    /// As [`Settings::from_config`].
    pub fn with(&self, set: &PmdSet) -> Result<Settings, PmdSettingsError> {
        let percent = |name, value: u8| {
            let fits = value <= 100;
            if fits { Ok(value) } else { Err(PmdSettingsError::Percent { name, value }) }
        };
        let mut settings = self.clone();
        match (&set.cpus, &set.cpu_mask) {
            (Some(_), Some(_)) => return Err(CpuError::Many { names: vec!["cpus", "cpu_mask"] }.into()),
            (Some(text), None) if text.trim() == ANY => settings.cpus.clear(),
            (Some(text), None) => settings.cpus = CpuList::Text(text.clone()).cpus("cpus")?,
            (None, Some(mask)) => settings.cpus = cpus::of_mask("cpu_mask", mask)?,
            (None, None) => {}
        }
        if let Some(assign) = set.assign {
            settings.policy.assign = match assign {
                RxqAssign::Cycles => Assign::Cycles,
                RxqAssign::Group => Assign::Group,
                RxqAssign::RoundRobin => Assign::RoundRobin,
            };
        }
        settings.policy.isolate = set.isolate.unwrap_or(settings.policy.isolate);
        let balance = &mut settings.balance;
        balance.on = set.auto_lb.unwrap_or(balance.on);
        if let Some(load) = set.load_threshold {
            balance.load = percent("load_threshold", load)?;
        }
        if let Some(improvement) = set.improvement_threshold {
            balance.improvement = percent("improvement_threshold", improvement)?;
        }
        if let Some(minutes) = set.interval {
            if !(1..=MOST_MINUTES).contains(&minutes) {
                return Err(PmdSettingsError::Interval(minutes));
            }
            balance.interval = Duration::from_secs(u64::from(minutes) * 60);
        }
        Ok(settings)
    }

    /// Where PMDs run.
    #[must_use]
    pub fn spots(&self) -> Vec<PmdSpot> {
        if self.cpus.is_empty() {
            return vec![PmdSpot::default()];
        }
        self.cpus.iter().map(|cpu| PmdSpot { cpu: Some(*cpu), numa: numa_of(*cpu) }).collect()
    }

    /// For the API. `set`: what was set through it.
    #[must_use]
    pub fn view(&self, set: &PmdSet, trouble: Option<String>) -> PmdSettings {
        PmdSettings {
            cpus: self.cpus.clone(),
            assign: assign_view(self.policy.assign),
            isolate: self.policy.isolate,
            auto_lb: self.balance.on,
            load_threshold: self.balance.load,
            improvement_threshold: self.balance.improvement,
            interval: u16::try_from(self.balance.interval.as_secs() / 60).unwrap_or(u16::MAX),
            set: names(set),
            trouble,
        }
    }
}

/// For the API.
fn assign_view(assign: Assign) -> RxqAssign {
    match assign {
        Assign::Cycles => RxqAssign::Cycles,
        Assign::Group => RxqAssign::Group,
        Assign::RoundRobin => RxqAssign::RoundRobin,
    }
}

/// The policy that only differs in this.
#[must_use]
pub fn policy_with(policy: Policy, assign: RxqAssign) -> Policy {
    let set = PmdSet { assign: Some(assign), ..PmdSet::default() };
    Settings { policy, ..Settings::default() }.with(&set).map_or(policy, |s| s.policy)
}

/// What a change sets, by name.
fn names(set: &PmdSet) -> Vec<String> {
    let all = [
        ("cpus", set.cpus.is_some() || set.cpu_mask.is_some()),
        ("assign", set.assign.is_some()),
        ("isolate", set.isolate.is_some()),
        ("auto_lb", set.auto_lb.is_some()),
        ("load_threshold", set.load_threshold.is_some()),
        ("improvement_threshold", set.improvement_threshold.is_some()),
        ("interval", set.interval.is_some()),
    ];
    all.iter().filter(|(_, is)| *is).map(|(name, _)| (*name).to_owned()).collect()
}

/// What was set before and what is set now, together.
#[must_use]
pub fn joined(before: &PmdSet, now: &PmdSet) -> PmdSet {
    let before = if now.reset { PmdSet::default() } else { before.clone() };
    // One of the two names of the same thing.
    let (cpus, cpu_mask) = match (&now.cpus, &now.cpu_mask) {
        (None, None) => (before.cpus, before.cpu_mask),
        (cpus, mask) => (cpus.clone(), mask.clone()),
    };
    PmdSet {
        reset: false,
        cpus,
        cpu_mask,
        assign: now.assign.or(before.assign),
        isolate: now.isolate.or(before.isolate),
        auto_lb: now.auto_lb.or(before.auto_lb),
        load_threshold: now.load_threshold.or(before.load_threshold),
        improvement_threshold: now.improvement_threshold.or(before.improvement_threshold),
        interval: now.interval.or(before.interval),
    }
}

/// Settings as a daemon starts with them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AtStart {
    /// Of the configuration file.
    pub config: Settings,
    /// In force.
    pub now: Settings,
    /// Why CPUs that were set through the API are not.
    pub trouble: Option<String>,
}

impl AtStart {
    /// From the configuration file and what was set before. CPUs that were set and cannot be had give way to those of the
    /// configuration, so that the daemon can be reached.
    ///
    /// # Errors
    /// The configuration's CPUs cannot be had.
    pub fn new(config: &DatapathConfig, set: &PmdSet) -> Result<AtStart, PmdSettingsError> {
        let config = Settings::from_config(config)?;
        let usable = |settings: Settings| {
            cpus::check("cpus", &settings.cpus, settings.share_cpus)?;
            Ok::<_, PmdSettingsError>(settings)
        };
        match config.with(set).and_then(usable) {
            Ok(now) => Ok(AtStart { config, now, trouble: None }),
            Err(why) => {
                cpus::check("pmd_cpus", &config.cpus, config.share_cpus)?;
                let rest = PmdSet { cpus: None, cpu_mask: None, ..set.clone() };
                let now = config.with(&rest).unwrap_or_else(|_| config.clone());
                Ok(AtStart { config, now, trouble: Some(why.to_string()) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_set_later_holds_and_reset_forgets() {
        let set = |cpus: Option<&str>, mask: Option<&str>| PmdSet {
            cpus: cpus.map(str::to_owned),
            cpu_mask: mask.map(str::to_owned),
            ..PmdSet::default()
        };
        let first = PmdSet { load_threshold: Some(70), ..set(Some("1-2"), None) };
        let both = joined(&first, &set(None, Some("0x1")));
        assert_eq!(
            (both.cpus.as_deref(), both.cpu_mask.as_deref(), both.load_threshold),
            (None, Some("0x1"), Some(70))
        );
        let settings = Settings::default().with(&both).unwrap();
        assert_eq!((settings.cpus.as_slice(), settings.balance.load), (&[0][..], 70));
        assert_eq!(settings.view(&both, None).set, ["cpus", "load_threshold"]);
        let none = joined(&both, &PmdSet { reset: true, ..PmdSet::default() });
        assert_eq!(none, PmdSet::default());
        let any = settings.with(&set(Some("any"), None)).unwrap();
        assert_eq!(any.spots(), [PmdSpot::default()]);
    }

    #[test]
    fn what_cannot_be_is_named() {
        let wrong = |set: PmdSet| Settings::default().with(&set).unwrap_err().to_string();
        let set = PmdSet::default;
        for (set, expected) in [
            (
                PmdSet { cpus: Some("1".into()), cpu_mask: Some("2".into()), ..set() },
                "cpus and cpu_mask both name CPUs; ",
            ),
            (PmdSet { cpus: Some(String::new()), ..set() }, "cpus: no CPU; "),
            (PmdSet { cpus: Some("x".into()), ..set() }, "cpus: `x` is no CPU and no range of CPUs; "),
            (PmdSet { cpu_mask: Some("0xz".into()), ..set() }, "cpu_mask: `0xz` is no mask; "),
            (PmdSet { improvement_threshold: Some(200), ..set() }, "improvement_threshold: 200 is no percentage; "),
            (PmdSet { interval: Some(20_001), ..set() }, "interval: 20001 minutes; use a number from 1 to 20000"),
        ] {
            let error = wrong(set);
            assert!(error.starts_with(expected), "{error}");
        }
    }

    #[test]
    fn cpus_that_cannot_be_had_give_way_to_those_of_the_configuration() {
        let set = PmdSet { cpus: Some("1000".into()), assign: Some(RxqAssign::Group), ..PmdSet::default() };
        let start = AtStart::new(&DatapathConfig::default(), &set).unwrap();
        assert!(start.trouble.unwrap().starts_with("cpus: CPU 1000 is not on this machine"));
        assert_eq!((start.now.cpus.as_slice(), start.now.policy.assign), (&[][..], Assign::Group));
        let config = DatapathConfig { pmd_cpu: Some(1000), ..DatapathConfig::default() };
        let error = AtStart::new(&config, &PmdSet::default()).unwrap_err().to_string();
        assert!(error.starts_with("pmd_cpus: CPU 1000 is not on this machine"), "{error}");
    }
}
