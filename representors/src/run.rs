//! Running steps: each is asked for, and seen to be done before anything that builds on it.

use std::{
    thread,
    time::{Duration, Instant},
};

use devlink_rs::DeviceId;

use crate::{error::Cause, inventory::Nic, kernel::Kernel, step::Step};

/// A step that was done and seen to be done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepReport {
    /// The step.
    pub step: Step,
    /// From the request until it was seen.
    pub took: Duration,
    /// What was odd about it: an answer that got lost, for example.
    pub note: Option<String>,
}

/// Where in a step converging is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Phase {
    /// Nothing of the step has been done.
    Before,
    /// The kernel has answered the step's request.
    Requested,
    /// The step was seen to be done.
    Verified,
}

/// A point between or within steps: wherever a process may end, a later [`converge`] goes on to the desired state.
#[derive(Debug)]
pub struct Boundary<'a> {
    /// The NIC.
    pub device: &'a DeviceId,
    /// The step.
    pub step: &'a Step,
    /// Where in the step.
    pub phase: Phase,
}

/// Runs `steps` in order. Steps that do not build on each other (settings of single functions) are asked for one
/// after the other and then seen together: a reading of a NIC with 128 VFs costs more than any of them. On failure:
/// which step, and why; the steps before it are in `done`.
pub(crate) fn run(
    steps: &[Step],
    kernel: &mut Kernel,
    mut nic: Nic,
    done: &mut Vec<StepReport>,
) -> Result<Nic, (usize, Cause)> {
    let mut at = 0;
    while let Some(first) = steps.get(at) {
        let more = steps[at + 1..].iter().take_while(|step| step.goes_with(first)).count();
        let group = &steps[at..=at + more];
        nic = run_group(group, kernel, nic, done).map_err(|(n, cause)| (at + n, cause))?;
        at += group.len();
    }
    Ok(nic)
}

fn run_group(
    steps: &[Step],
    kernel: &mut Kernel,
    mut nic: Nic,
    done: &mut Vec<StepReport>,
) -> Result<Nic, (usize, Cause)> {
    let device = nic.device.clone();
    let mut asked: Vec<(Instant, Option<Cause>)> = Vec::with_capacity(steps.len());
    let report = |n: usize, (start, note): (Instant, Option<Cause>)| StepReport {
        step: steps[n].clone(),
        took: start.elapsed(),
        note: note.map(|cause| format!("{cause}; but it was done")),
    };
    for (n, step) in steps.iter().enumerate() {
        let start = Instant::now();
        reach(kernel, &device, step, Phase::Before);
        let result = execute(step, kernel, &mut nic);
        reach(kernel, &device, step, Phase::Requested);
        match result {
            Ok(()) => asked.push((start, None)),
            // The request may have been carried out: what shows decides.
            Err(cause) if cause.outcome_unknown() => asked.push((start, Some(cause))),
            Err(cause) => {
                done.extend(asked.into_iter().enumerate().map(|(n, a)| report(n, a)));
                return Err((n, cause));
            }
        }
    }
    match wait_for(kernel, &device, |nic| steps.iter().try_for_each(|step| step.check(nic))) {
        Ok(nic) => {
            for (n, asked) in asked.into_iter().enumerate() {
                reach(kernel, &device, &steps[n], Phase::Verified);
                done.push(report(n, asked));
            }
            Ok(nic)
        }
        Err(cause) => {
            // Which of them it is; where the NIC cannot be read any more, the first whose answer got lost.
            let unseen = |nic: Nic| steps.iter().position(|step| step.check(&nic).is_err());
            let unanswered = asked.iter().position(|(_, note)| note.is_some());
            let n = kernel.nic(&device).ok().and_then(unseen).or(unanswered).unwrap_or(0);
            let mut rest = asked.split_off(n);
            done.extend(asked.into_iter().enumerate().map(|(n, a)| report(n, a)));
            Err((n, rest.swap_remove(0).1.unwrap_or(cause)))
        }
    }
}

/// Executes a step; what a driver refuses only while it comes up is tried again until the deadline.
fn execute(step: &Step, kernel: &mut Kernel, nic: &mut Nic) -> Result<(), Cause> {
    let deadline = Instant::now() + kernel.pace.deadline;
    loop {
        match step.execute(kernel, nic) {
            Err(Cause::Netlink(e)) if step.may_pass_later(&e, nic) && Instant::now() < deadline => {
                thread::sleep(kernel.pace.poll);
                *nic = kernel.nic(&nic.device).map_err(Cause::Observe)?;
            }
            result => return result,
        }
    }
}

fn reach(kernel: &mut Kernel, device: &DeviceId, step: &Step, phase: Phase) {
    if let Some(hook) = &mut kernel.hook {
        hook(&Boundary { device, step, phase });
    }
}

/// Reads the NIC until `check` is content, or the deadline has come. Failing to read is tried again, too.
pub(crate) fn wait_for(
    kernel: &mut Kernel,
    device: &DeviceId,
    check: impl Fn(&Nic) -> Result<(), String>,
) -> Result<Nic, Cause> {
    let deadline = Instant::now() + kernel.pace.deadline;
    loop {
        let cause = match kernel.nic(device) {
            Ok(nic) => match check(&nic) {
                Ok(()) => return Ok(nic),
                Err(got) => Cause::NotVerified { after: kernel.pace.deadline, got },
            },
            Err(e) => Cause::Observe(e),
        };
        if Instant::now() >= deadline {
            return Err(cause);
        }
        thread::sleep(kernel.pace.poll);
    }
}
