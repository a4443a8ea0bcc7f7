//! Carrying plans out: each step verified, all rolled back when one fails.

use crate::{
    desired::Desired,
    drift::{Drift, nic_drifts},
    driver::{Strategy, facts},
    error::{Cause, ConvergeError, ObserveError, Rollback, StepFailure},
    inventory::Nic,
    kernel::Kernel,
    plan::{Plan, plan_with},
    run::{StepReport, run, wait_for},
    step::{Step, VfDriver},
};

/// How often what is left is planned again, once mode and number of VFs are right.
const ROUNDS: usize = 3;

/// What was done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The steps, in order.
    pub steps: Vec<StepReport>,
    /// The order that worked.
    pub strategy: Strategy,
    /// The NIC as it is now.
    pub nic: Nic,
}

/// Makes a NIC as desired: reads, plans, applies; when the kernel refuses a mode change, tries the driver's other order.
///
/// # Errors
/// [`ConvergeError`]; of several orders tried, the first one's, or that of one which could not be rolled back.
pub fn converge(desired: &Desired, kernel: &mut Kernel) -> Result<Report, ConvergeError> {
    let mut first = None;
    let mut orders: &[Strategy] = &[];
    for attempt in 0.. {
        let nic = match kernel.nic(&desired.device) {
            Ok(nic) => nic,
            Err(e) => return Err(first.unwrap_or(ConvergeError::Observe(e))),
        };
        if attempt == 0 {
            orders = facts(nic.driver.as_deref()).strategies;
        }
        let Some(&strategy) = orders.get(attempt) else { break };
        let result = match kernel.plan_with(desired, &nic, strategy) {
            Ok(plan) => apply(&plan, kernel),
            Err(e) => Err(e.into()),
        };
        match result {
            Ok(report) => return Ok(report),
            Err(e) => {
                let again = other_order_may_help(&e);
                let e = first.filter(|f| left_undone(f) >= left_undone(&e)).unwrap_or(e);
                if !again {
                    return Err(e);
                }
                first = Some(e);
            }
        }
    }
    Err(first.unwrap_or_else(|| ObserveError::NoSuchNic(desired.device.clone()).into()))
}

fn other_order_may_help(error: &ConvergeError) -> bool {
    // An answer that got lost may have been a refusal.
    matches!(error, ConvergeError::Step(f) if (f.cause.is_refusal() || f.cause.outcome_unknown())
        && matches!(f.step, Step::SetMode { .. }))
        && !is_left_in_between(error)
}

fn is_left_in_between(error: &ConvergeError) -> bool {
    left_undone(error) == 2
}

/// How much a failure left behind: nothing, some things, or a NIC in between.
fn left_undone(error: &ConvergeError) -> u8 {
    match error {
        ConvergeError::Step(f) => match f.rollback {
            Rollback::NothingToDo | Rollback::Complete(_) => 0,
            Rollback::Incomplete { .. } => 1,
            Rollback::Failed { .. } => 2,
        },
        _ => 0,
    }
}

/// Carries out `plan`.
///
/// # Errors
/// [`ConvergeError::Stale`] when the NIC is not as the plan saw it; [`ConvergeError::Step`] when a step failed, after rolling back.
pub fn apply(plan: &Plan, kernel: &mut Kernel) -> Result<Report, ConvergeError> {
    let device = &plan.base.device;
    let now = kernel.nic(device)?;
    if Desired::restoring(&now) != Desired::restoring(&plan.base) {
        return Err(ConvergeError::Stale { device: device.clone(), then: plan.base.to_string(), now: now.to_string() });
    }
    if plan.is_empty() {
        return match wait_for(kernel, device, |nic| nic.unsettled().map_or(Ok(()), Err)) {
            Ok(nic) => Ok(Report { steps: Vec::new(), strategy: plan.strategy, nic }),
            Err(Cause::Observe(e)) => Err(e.into()),
            Err(cause) => {
                let got = match cause {
                    Cause::NotVerified { got, .. } => got,
                    other => other.to_string(),
                };
                Err(ConvergeError::Unsettled { device: device.clone(), after: kernel.pace.deadline, got })
            }
        };
    }
    let mut done = Vec::new();
    let nic = match run(&plan.steps, kernel, now, &mut done) {
        Ok(nic) => nic,
        Err((n, cause)) => return Err(failure(plan, n, cause, kernel)),
    };
    finish(plan, kernel, nic, done)
}

/// A later step can undo an earlier one, and what new functions are like shows only when they are there: only the
/// whole counts. What is still to do beside mode and number of VFs is done, in a few rounds.
fn finish(plan: &Plan, kernel: &mut Kernel, mut nic: Nic, mut done: Vec<StepReport>) -> Result<Report, ConvergeError> {
    let last = plan.steps.len() - 1;
    for _ in 0..ROUNDS {
        let Ok(rest) = plan_with(&plan.kept, &nic, plan.strategy) else { break };
        if rest.is_empty() || rest.steps.iter().any(Step::is_structural) {
            break;
        }
        nic = match run(&rest.steps, kernel, nic, &mut done) {
            Ok(nic) => nic,
            Err((n, cause)) => return Err(failed(plan, &rest.steps[n], (last, last + 1), cause, kernel)),
        };
    }
    let whole = |nic: &Nic| match plan_with(&plan.kept, nic, plan.strategy) {
        Ok(rest) => match rest.steps.first() {
            Some(step) => Err(format!("'{step}' is still to do")),
            None => nic.unsettled().map_or(Ok(()), Err),
        },
        Err(e) => Err(e.to_string()),
    };
    match wait_for(kernel, &plan.base.device, whole) {
        Ok(nic) => Ok(Report { steps: done, strategy: plan.strategy, nic }),
        Err(cause) => Err(failure(plan, last, cause, kernel)),
    }
}

fn failure(plan: &Plan, n: usize, cause: Cause, kernel: &mut Kernel) -> ConvergeError {
    failed(plan, &plan.steps[n], (n, plan.steps.len()), cause, kernel)
}

fn failed(plan: &Plan, step: &Step, (n, of): (usize, usize), cause: Cause, kernel: &mut Kernel) -> ConvergeError {
    let rollback = roll_back(&plan.base, kernel);
    let (device, step) = (plan.base.device.clone(), step.clone());
    ConvergeError::Step(Box::new(StepFailure { device, step, number: n + 1, of, cause, rollback }))
}

/// Makes the NIC as `base` again, by the same steps as anything else. Tries every order that the driver may like.
fn roll_back(base: &Nic, kernel: &mut Kernel) -> Rollback {
    let wish = Desired::restoring(base);
    let mut done: Vec<Step> = Vec::new();
    let mut last = None;
    for &strategy in facts(base.driver.as_deref()).strategies {
        match restore(base, &wish, strategy, kernel, &mut done) {
            Ok(nic) => {
                let lost = lost(base, &nic);
                return match (done.is_empty(), lost.is_empty()) {
                    (_, false) => Rollback::Incomplete { done, lost },
                    (true, true) => Rollback::NothingToDo,
                    (false, true) => Rollback::Complete(done),
                };
            }
            Err(cause) => last = Some(cause),
        }
    }
    let state = kernel.nic(&base.device).ok().map(|n| n.to_string());
    match last {
        Some(cause) => Rollback::Failed { done, cause: Box::new(cause), state },
        None => Rollback::NothingToDo,
    }
}

/// What differs from the state before although all was done that can be: other hosts' representors, for one, are made
/// anew with the mode, and nobody can ask for theirs. Names and numbers of network devices are no part of the state.
fn lost(base: &Nic, now: &Nic) -> Vec<String> {
    let due_again = |drift: &Drift| match drift {
        Drift::Driver { vf, .. } => {
            base.vf(*vf).zip(now.vf(*vf)).is_some_and(|(b, n)| b.due_driver() == VfDriver::of(n))
        }
        other => !other.needs_repair(),
    };
    nic_drifts(base, now).iter().filter(|d| !due_again(d)).map(ToString::to_string).collect()
}

fn restore(
    base: &Nic,
    wish: &Desired,
    strategy: Strategy,
    kernel: &mut Kernel,
    done: &mut Vec<Step>,
) -> Result<Nic, Cause> {
    // What is under way must come to rest first, or the plan would miss it.
    let mut nic = wait_for(kernel, &base.device, |nic| nic.unsettled().map_or(Ok(()), Err))
        .or_else(|_| kernel.nic(&base.device).map_err(Cause::Observe))?;
    // What new VFs are like (which driver they got) shows only when they are there: look again.
    for _ in 0..ROUNDS {
        let plan = plan_with(wish, &nic, strategy).map_err(Cause::Plan)?;
        let mut reports = Vec::new();
        let result = run(&plan.steps, kernel, nic, &mut reports);
        done.extend(reports.into_iter().map(|r| r.step));
        nic = result.map_err(|(_, cause)| cause)?;
    }
    wait_for(kernel, &base.device, |nic| match plan_with(wish, nic, strategy) {
        Ok(rest) if rest.is_empty() => nic.unsettled().map_or(Ok(()), Err),
        Ok(rest) => Err(rest.to_string()),
        Err(e) => Err(e.to_string()),
    })
}
