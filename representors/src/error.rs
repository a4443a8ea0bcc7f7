//! What can go wrong, with all that is known about it.

use std::{fmt, time::Duration};

use devlink_rs::DeviceId;
use netlink::{Error, SysfsError};

use crate::{plan::PlanError, step::Step};

/// The state could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ObserveError {
    /// netlink failed.
    #[error(transparent)]
    Netlink(#[from] Error),
    /// sysfs failed.
    #[error(transparent)]
    Sysfs(#[from] SysfsError),
    /// sysfs said something that makes no sense.
    #[error("sysfs: {path} reads '{text}', which is no number; check the driver")]
    NoNumber {
        /// File.
        path: String,
        /// What it said.
        text: String,
    },
    /// The device is not there.
    #[error("{0}: no such NIC; list them with `shuntctl nic list`")]
    NoSuchNic(DeviceId),
}

/// Why a step failed.
#[derive(Debug, thiserror::Error)]
pub enum Cause {
    /// The kernel refused over netlink, with its words.
    #[error(transparent)]
    Netlink(Error),
    /// The kernel refused over sysfs.
    #[error(transparent)]
    Sysfs(SysfsError),
    /// The state could not be read.
    #[error(transparent)]
    Observe(ObserveError),
    /// The kernel said yes, but what is read back is something else.
    #[error("accepted, but after {after:?} {got}")]
    NotVerified {
        /// How long was waited.
        after: Duration,
        /// What is read instead.
        got: String,
    },
    /// What the step needs is not there: nothing was asked of the kernel.
    #[error("{0}")]
    Missing(String),
    /// No steps lead there: nothing was asked of the kernel.
    #[error(transparent)]
    Plan(PlanError),
}

impl Cause {
    /// The kernel said no (rather than nothing, or something unreadable).
    #[must_use]
    pub fn is_refusal(&self) -> bool {
        matches!(self, Cause::Netlink(Error::Kernel(_)) | Cause::Sysfs(_))
    }

    pub(crate) fn outcome_unknown(&self) -> bool {
        matches!(self, Cause::Netlink(e) if e.outcome_unknown())
    }
}

/// What became of the steps that had been done.
#[derive(Debug)]
pub enum Rollback {
    /// Nothing had been changed.
    NothingToDo,
    /// The NIC is as it was; these steps were needed.
    Complete(Vec<Step>),
    /// All was undone that can be, but not everything is as it was.
    Incomplete {
        /// The steps of the rollback.
        done: Vec<Step>,
        /// What was not restored, in words.
        lost: Vec<String>,
    },
    /// The NIC is not as it was.
    Failed {
        /// Steps of the rollback that were done.
        done: Vec<Step>,
        /// What stopped it.
        cause: Box<Cause>,
        /// How the NIC is now, in words, if it could be read.
        state: Option<String>,
    },
}

impl fmt::Display for Rollback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |steps: &[Step]| steps.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ");
        match self {
            Rollback::NothingToDo => f.write_str("nothing was changed"),
            Rollback::Complete(steps) => write!(f, "rolled back ({})", list(steps)),
            Rollback::Incomplete { done, lost } => {
                write!(f, "rolled back ({}); not restored: {}", list(done), lost.join(", "))
            }
            Rollback::Failed { done, cause, state } => {
                write!(f, "NOT rolled back: {cause}; done of the rollback: [{}]", list(done))?;
                match state {
                    Some(state) => write!(f, "; now: {state}"),
                    None => f.write_str("; its state cannot be read"),
                }
            }
        }
    }
}

/// A step that failed.
#[derive(Debug)]
pub struct StepFailure {
    /// The NIC.
    pub device: DeviceId,
    /// The step.
    pub step: Step,
    /// Its place in the plan, from 1.
    pub number: usize,
    /// Length of the plan.
    pub of: usize,
    /// Why.
    pub cause: Cause,
    /// What was done about the steps before it.
    pub rollback: Rollback,
}

impl fmt::Display for StepFailure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let StepFailure { device, step, number, of, cause, rollback } = self;
        write!(f, "{device}: step {number} of {of} ({step}) failed: {cause}; {rollback}")
    }
}

/// A NIC could not be made as desired.
#[derive(Debug, thiserror::Error)]
pub enum ConvergeError {
    /// There is no plan that could work.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// The state could not be read; nothing was changed.
    #[error(transparent)]
    Observe(#[from] ObserveError),
    /// The NIC is not any more as it was when the plan was made; nothing was changed.
    #[error("{device}: changed since the plan was made (then: {then}; now: {now}); plan again")]
    Stale {
        /// The NIC.
        device: DeviceId,
        /// As the plan saw it.
        then: String,
        /// As it is.
        now: String,
    },
    /// There is nothing to do, but the NIC does not settle.
    #[error("{device}: nothing to change, but after {after:?} {got}")]
    Unsettled {
        /// The NIC.
        device: DeviceId,
        /// How long was waited.
        after: Duration,
        /// What is missing.
        got: String,
    },
    /// A step failed.
    #[error("{0}")]
    Step(Box<StepFailure>),
}
