//! The outside of the mock NIC.

use super::Control;
use super::errors::invalid;
use crate::switch::Lockstep;
use api::{Collected, Error, ErrorKind, Frame, Inject, MockDevice, MockKernel, MockView, Tally, from_hex, to_hex};
use flow::clock::Time;

/// The latest time that a lockstep run can have, since it began: a century, since captures of many years are played one after the
/// other. Timers far behind it would not fit into what clocks count.
const LATEST: Time = Time(100 * 365 * 86_400 * 1_000_000_000);

impl Control {
    /// Put frames into outside ends, in order; how many. In lockstep, the switch is run until it is quiet after each.
    pub fn mock_inject(&self, inject: &Inject) -> Result<usize, Error> {
        let mut inner = self.lock();
        let mut expired = Vec::new();
        let mock = inner.nic.mock().ok_or_else(no_mock)?;
        let ends = mock.ends();
        let lockstep = self.switch.lockstep();
        let mut frames = Vec::with_capacity(inject.frames.len());
        for (i, frame) in inject.frames.iter().enumerate() {
            let object = || format!("frame {} of {}", i + 1, inject.frames.len());
            let end = *ends.get(frame.end).ok_or_else(|| {
                invalid(object(), format!("there is no outside end {}", frame.end))
                    .remedy(format!("use 0 (the wire) to {}", ends.len() - 1))
            })?;
            let data = from_hex(&frame.hex).ok_or_else(|| invalid(object(), "`hex` is not hexadecimal"))?;
            mock.check(end, &data).map_err(|e| invalid(object(), e))?;
            let at = Time(frame.at);
            if lockstep.is_some() && at > LATEST {
                let message = format!(
                    "its time is {} s after the start, and a run lasts a century at most",
                    at.0 / 1_000_000_000
                );
                let remedy = format!("give `at` in nanoseconds since the run began, {} at most", LATEST.0);
                return Err(invalid(object(), message).remedy(remedy));
            }
            frames.push((end, at, data));
        }
        let refused = |e| Error::new(ErrorKind::Full, "mock NIC", e);
        let restless = |e| Error::new(ErrorKind::Failed, "lockstep", e);
        let mut outcome = Ok(frames.len());
        for (end, at, data) in &frames {
            if lockstep.is_some_and(|l| l.advance(*at)) {
                let gone;
                (inner, gone) = self.expire_locked(inner);
                expired.extend(gone);
                // With threads the switch would have followed long before the next frame.
                outcome = lockstep.map_or(Ok(()), Lockstep::settle).map_err(restless).and(outcome);
            }
            let mock = inner.nic.mock().ok_or_else(no_mock)?;
            outcome = mock.inject(*end, data).map_err(refused).and(outcome);
            if let Some(lockstep) = lockstep {
                outcome = lockstep.settle().map_err(restless).and(outcome);
                mock.gather(lockstep.now());
            }
            if outcome.is_err() {
                break;
            }
        }
        // What has expired is gone, whatever became of the frames.
        if !expired.is_empty() {
            let count = expired.len();
            self.commit(inner, expired, count)?;
        }
        outcome
    }

    /// Take what has left the outside ends.
    pub fn mock_collect(&self) -> Result<Collected, Error> {
        let now = self.switch.clock().now();
        let mut inner = self.lock();
        let mock = inner.nic.mock().ok_or_else(no_mock)?;
        mock.gather(now);
        let frame = |(end, at, data): (usize, Time, Vec<u8>)| Frame { end, at: at.0, hex: to_hex(&data) };
        Ok(Collected { frames: mock.take().into_iter().map(frame).collect() })
    }

    /// Something is wrong with the device from now on.
    pub fn mock_device(&self, what: MockDevice) -> Result<(), Error> {
        let mut inner = self.lock();
        inner.nic.mock().ok_or_else(no_mock)?.trouble(what);
        Ok(())
    }

    /// Something happens to the fake kernel.
    pub fn mock_kernel(&self, what: &MockKernel) -> Result<bool, Error> {
        crate::nic::happen(self.nics.host(), what)
    }

    /// How frames were handled, by the NIC and the datapath behind it.
    pub fn mock_view(&self) -> Result<MockView, Error> {
        let mut inner = self.lock();
        let lockstep = self.switch.lockstep().is_some();
        let datapath = self.switch.counters();
        let mock = inner.nic.mock().ok_or_else(no_mock)?;
        let nic = mock.stats();
        // Packets for controllers leave by no end.
        let software_drops =
            datapath.drops.values().sum::<u64>() + datapath.events.get("punted").copied().unwrap_or_default();
        let tally = Tally {
            frames_in: nic.frames_in,
            copies: nic.copies + datapath.copies,
            frames_out: nic.frames_out,
            frames_dropped: nic.hardware_dropped + nic.drops.values().sum::<u64>() + software_drops,
            hardware: nic.hardware,
            partial: nic.partial,
            software: nic.software,
        };
        Ok(MockView {
            profile: mock.profile().to_owned(),
            ends: mock.ends().iter().map(ToString::to_string).collect(),
            tally,
            rules: mock.rules(),
            rules_peak: nic.rules_peak,
            lockstep,
        })
    }
}

fn no_mock() -> Error {
    Error::new(ErrorKind::Unsupported, "mock NIC", "this daemon has none").remedy("start shuntd with --mock")
}
