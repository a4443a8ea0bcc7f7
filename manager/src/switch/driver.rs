//! Who moves packets: threads, or the caller frame by frame.

use super::rates::{Rates, RatesThread};
use super::unroll::Unrolling;
use super::{Switch, SwitchError};
use datapath::{Datapath, Pmd, PmdConfig, PmdThread, Revalidator, RevalidatorThread};
use flow::clock::{Time, VirtualClock};
use mocks::nic::{MockNic, NicThread};
use offload::{Engine, EngineThread};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What moves a switch.
#[derive(Debug)]
pub enum Driver {
    Threads(Threads),
    Lockstep(Lockstep),
}

/// The threads of a running switch. Dropped in this order: packets stop first.
#[derive(Debug)]
pub struct Threads {
    _nic: Option<NicThread>,
    /// By the PMDs' numbers.
    pmds: Mutex<BTreeMap<u32, PmdThread>>,
    _revalidator: RevalidatorThread,
    _rates: Option<RatesThread>,
    _engine: EngineThread,
}

impl Driver {
    /// Start all threads, each PMD's on the CPU that the PMD is meant for.
    pub fn threads(switch: &Switch, nic: Option<MockNic>) -> Result<Driver, SwitchError> {
        let spawned = |pmd: &Pmd| Ok((pmd.id(), spawn(switch, pmd)?));
        let pmds = switch.datapath.pmds().iter().map(spawned).collect::<Result<_, SwitchError>>()?;
        let rates = || RatesThread::start(switch);
        Ok(Driver::Threads(Threads {
            _nic: nic.map(MockNic::spawn).transpose()?,
            pmds: Mutex::new(pmds),
            _revalidator: switch.datapath.revalidator().spawn()?,
            // Without a device nobody asks for rates.
            _rates: switch.offload.then(rates).transpose()?,
            _engine: switch.engine.spawn(switch.clock_handle())?,
        }))
    }
}

fn spawn(switch: &Switch, pmd: &Pmd) -> Result<PmdThread, SwitchError> {
    let cpu = pmd.spot().cpu;
    // Without a CPU of its own a PMD that never rests takes the CPU from everybody else.
    let rest = cpu.is_none().then_some(Duration::from_micros(50));
    Ok(pmd.spawn(switch.eal, PmdConfig { cpu, rest })?)
}

impl Driver {
    /// Let a new PMD be polled.
    pub(super) fn start(&self, switch: &Switch, pmd: &Pmd) -> Result<(), SwitchError> {
        match self {
            Driver::Threads(threads) => {
                let thread = spawn(switch, pmd)?;
                threads.pmds.lock().unwrap_or_else(PoisonError::into_inner).insert(pmd.id(), thread);
            }
            Driver::Lockstep(lockstep) => lockstep.moving().pmds.push(pmd.clone()),
        }
        Ok(())
    }

    /// A PMD that was removed is polled no longer.
    pub(super) fn end(&self, pmd: u32) {
        match self {
            Driver::Threads(threads) => {
                let thread = threads.pmds.lock().unwrap_or_else(PoisonError::into_inner).remove(&pmd);
                // Waits for its end.
                drop(thread);
            }
            Driver::Lockstep(lockstep) => lockstep.moving().pmds.retain(|p| p.id() != pmd),
        }
    }
}

/// The switch did not become quiet.
#[derive(Debug, thiserror::Error)]
#[error("not quiet after {0} rounds: packets or flows go in circles")]
pub struct LockstepError(usize);

/// Runs the whole switch on the caller's thread, on a virtual clock.
#[derive(Debug)]
pub struct Lockstep {
    clock: Arc<VirtualClock>,
    engine: Arc<Engine>,
    moving: Mutex<Moving>,
}

#[derive(Debug)]
struct Moving {
    nic: Arc<Mutex<MockNic>>,
    pmds: Vec<Pmd>,
    revalidator: Revalidator,
    datapath: Arc<Datapath>,
    rates: Rates,
    unrolling: Arc<Unrolling>,
    /// Frames that hardware handled alone, when counters were last read.
    hardware: u64,
    /// When rules and addresses were last looked at for their age.
    aged: Time,
}

/// How often rules and addresses are looked at for their age.
const AGEING: Duration = Duration::from_secs(1);
/// Rounds after which the switch must be quiet.
const ROUNDS: usize = 10_000;

impl Lockstep {
    /// A driver for a switch on this clock.
    #[must_use]
    pub fn new(switch: &Switch, nic: MockNic, clock: Arc<VirtualClock>) -> Lockstep {
        Lockstep::around(switch, Arc::new(Mutex::new(nic)), clock)
    }

    /// The same with a NIC that is there before the switch and after it.
    #[must_use]
    pub fn around(switch: &Switch, nic: Arc<Mutex<MockNic>>, clock: Arc<VirtualClock>) -> Lockstep {
        let moving = Moving {
            nic,
            pmds: switch.datapath.pmds(),
            revalidator: switch.datapath.revalidator(),
            datapath: switch.datapath.clone(),
            rates: Rates::default(),
            unrolling: switch.unrolling.clone(),
            hardware: 0,
            aged: Time(0),
        };
        Lockstep { clock, engine: switch.engine.clone(), moving: Mutex::new(moving) }
    }

    fn moving(&self) -> MutexGuard<'_, Moving> {
        self.moving.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The virtual present.
    #[must_use]
    pub fn now(&self) -> Time {
        use flow::clock::Clock;
        self.clock.now()
    }

    /// Move the clock. Whether it is time to look for what is too old, which is once a second.
    pub fn advance(&self, to: Time) -> bool {
        self.clock.advance_to(to);
        let mut moving = self.moving();
        let due = self.now().since(moving.aged) >= AGEING;
        if due {
            moving.aged = self.now();
        }
        due
    }

    /// Run until nothing moves any more: no packet, no change, no operation of hardware.
    pub fn settle(&self) -> Result<(), LockstepError> {
        let mut moving = self.moving();
        let now = self.now();
        for _ in 0..ROUNDS {
            if !moving.round(&self.engine, now) {
                return Ok(());
            }
        }
        Err(LockstepError(ROUNDS))
    }
}

impl Moving {
    /// One round of everything; whether anything moved.
    fn round(&mut self, engine: &Engine, now: Time) -> bool {
        let mut nic = self.nic.lock().unwrap_or_else(PoisonError::into_inner);
        let mut packets = nic.step();
        for pmd in &self.pmds {
            packets += pmd.poll_once(now);
        }
        packets += nic.step();
        let hardware = nic.handle().stats().hardware;
        drop(nic);
        if hardware != self.hardware {
            self.hardware = hardware;
            engine.refresh();
        }
        self.rates.run(&self.datapath, engine, &self.unrolling, now);
        let done = self.revalidator.run(now);
        let engine_moved = engine.step(now);
        let again = self.revalidator.run_changes();
        packets > 0
            || engine_moved
            || !engine.is_quiet()
            || done.removed > 0
            || again.removed + again.changed > 0
            || done.changes > 0
    }
}
