//! PMDs that come and go while packets flow.
//!
//! New PMDs are polled before they get receive queues, and those that go give theirs away before their threads end: every
//! queue is polled all the while, but for the moment in which it is handed on. A port that stays loses no packet.

use super::{Driver, Switch, SwitchError};
use datapath::{Pmd, PmdSpot};

/// What became of PMDs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PmdsMade {
    pub started: usize,
    pub ended: usize,
}

impl Switch {
    /// Have a PMD on each of these spots and no other. PMDs that are there already stay as they are.
    ///
    /// # Errors
    /// A thread could not be started, or a PMD does not answer: the PMDs are those of before then, as far as they answer.
    pub fn set_pmds(&self, spots: &[PmdSpot]) -> Result<PmdsMade, SwitchError> {
        let before: Vec<PmdSpot> = self.datapath.pmds().iter().map(Pmd::spot).collect();
        let made = self.make_pmds(spots);
        if made.is_err() {
            // What cannot be undone either is named by the error.
            let _ = self.make_pmds(&before);
        }
        self.clear_cpus();
        made
    }

    /// Keep other threads off the CPUs of PMDs that have threads: one that polls without end shares its CPU badly.
    pub(super) fn clear_cpus(&self) {
        if let Some(Driver::Threads(_)) = self.driver.get() {
            let cpus: Vec<usize> = self.datapath.pmds().iter().filter_map(|pmd| pmd.spot().cpu).collect();
            crate::cpus::keep_off(&cpus);
        }
    }

    fn make_pmds(&self, spots: &[PmdSpot]) -> Result<PmdsMade, SwitchError> {
        let there = self.datapath.pmds();
        let stays = |pmd: &Pmd| spots.contains(&pmd.spot()) && !pmd.is_leaving();
        let (stay, go): (Vec<_>, Vec<_>) = there.into_iter().partition(stays);
        let mut made = PmdsMade::default();
        for spot in spots.iter().filter(|spot| stay.iter().all(|pmd| pmd.spot() != **spot)) {
            let pmd = self.datapath.add_pmd_at(*spot)?;
            if let Some(driver) = self.driver.get()
                && let Err(e) = driver.start(self, &pmd)
            {
                self.datapath.remove_pmd(pmd.id())?;
                return Err(e);
            }
            made.started += 1;
        }
        for pmd in go {
            self.datapath.remove_pmd(pmd.id())?;
            if let Some(driver) = self.driver.get() {
                driver.end(pmd.id());
            }
            made.ended += 1;
        }
        if made.ended == 0 {
            self.datapath.assign();
        }
        Ok(made)
    }
}
