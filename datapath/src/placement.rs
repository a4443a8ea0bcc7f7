//! PMDs that come and go, and queues that move between them, while packets flow.
//!
//! A receive queue is an object with one owner: a PMD, a mail on its way to one, or the parking place. To move it, control asks
//! the PMD that polls it to hand it on; the PMD does so between two polls, when all packets that it received from the queue have
//! been handled and sent. So order within a queue stays, and control is not needed in between. Until the new PMD has said that
//! it polls the queue, control gives no other order for it.
//!
//! A port has a transmit queue for each PMD if its device has enough. If not, PMDs share queues under locks; PMDs that do not
//! share pay nothing for that.

use crate::cycles::Load;
use crate::datapath::Datapath;
use crate::pmd::{Mail, Pmd, PmdShared, PmdView, PortSetup, Retirement};
use crate::ports::{PortError, PortRecord, RxqRecord};
use crate::rxq::shared::{GONE, NOBODY};
use crate::rxq::{Affinity, Plan, PmdPlace, Policy, RxqUse, plan};
use crate::table::PortTableView;
use crate::tx::{SharedTx, TxHandle};
use crate::worker::Worker;
use flow::DpPort;
use std::collections::BTreeMap;
use std::sync::atomic::Ordering;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

/// How long a PMD may take to read a mail before control goes on without it.
const PATIENCE: Duration = Duration::from_millis(500);

/// Where a PMD runs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PmdSpot {
    /// The CPU that its thread is pinned to.
    pub cpu: Option<usize>,
    /// The NUMA node of that.
    pub numa: u32,
}

/// What is to be shown of a receive queue.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RxqView {
    pub port: DpPort,
    /// The port's name.
    pub name: String,
    pub queue: u16,
    /// The PMD that polls it, or is about to; `None`: nobody does, since all PMDs are isolated.
    pub pmd: Option<u32>,
    /// The CPU that it is pinned to.
    pub pin: Option<usize>,
    /// No PMD runs on that CPU.
    pub pin_failed: bool,
    /// It is polled from another NUMA node than its device is on.
    pub crosses_numa: bool,
    /// It is on its way to its PMD.
    pub moving: bool,
    /// Packets received since the port was added.
    pub packets: u64,
    /// Its cycles in the last minute, among all of its PMD.
    pub load: Load,
}

impl Datapath {
    /// Add a PMD on this spot, with a transmit queue of each port. It gets receive queues with the next assignment
    /// ([`Datapath::assign`]): let it be polled first.
    ///
    /// # Errors
    /// None at present: where a port has no transmit queue left, one is shared.
    pub fn add_pmd_at(&self, spot: PmdSpot) -> Result<Pmd, PortError> {
        let mut ports = self.ports.lock();
        let mut pmds = self.pmds.lock();
        let number = (0..).find(|n| pmds.iter().all(|p| p.id() != *n)).unwrap_or(u32::MAX - 2);
        let me = Arc::new(PmdShared::new(number, spot, self.shared.config.punt_queue));
        let worker = Worker::new(Arc::clone(&self.shared), Arc::clone(&me));
        let pmd = Pmd::new(Arc::clone(&self.shared), Arc::clone(&me), worker);
        self.shared.pmds.write().push(me);
        for record in ports.iter_mut().filter(|r| r.left.is_none()) {
            give_port(record, &pmd, &pmds);
        }
        pmds.push(pmd.clone());
        pmds.sort_by_key(Pmd::id);
        Ok(pmd)
    }

    /// Take a PMD away: its receive queues go to the others, its transmit queues to those that share. It must be polled until
    /// this returns (or by nobody at all); its thread can be ended then.
    ///
    /// # Errors
    /// [`PortError::NoSuchPmd`]; [`PortError::LastPmd`] while there are ports; [`PortError::PmdLate`] when it, or one that its
    /// queues go to, does not read its mail: it stays without queues, and can be removed later.
    pub fn remove_pmd(&self, pmd: u32) -> Result<(), PortError> {
        let mut ports = self.ports.lock();
        let mut pmds = self.pmds.lock();
        let there: Vec<u32> = pmds.iter().map(Pmd::id).collect();
        let at = there.iter().position(|id| *id == pmd).ok_or(PortError::NoSuchPmd { pmd, there })?;
        if pmds.len() == 1 && !ports.is_empty() {
            return Err(PortError::LastPmd { pmd });
        }
        let leaving = pmds[at].clone();
        self.place(&mut ports, &pmds, Some(pmd));
        let holds =
            |r: &PortRecord| r.left.is_none() && r.rx.iter().any(|q| q.shared.holder() == pmd || q.target == pmd);
        if ports.iter().any(holds) {
            return Err(PortError::PmdLate { pmd });
        }
        // Asked once, however often it is late.
        let retirement = Arc::clone(leaving.shared_part().retirement.get_or_init(|| {
            let retirement = Arc::<Retirement>::default();
            leaving.shared_part().mailbox.push(Mail::Retire(Arc::clone(&retirement)));
            retirement
        }));
        if !wait(&pmds, || retirement.done.load(Ordering::Acquire)) {
            return Err(PortError::PmdLate { pmd });
        }
        pmds.remove(at);
        self.shared.pmds.write().retain(|p| p.id != pmd);
        self.shared.retired.lock().add(&leaving.shared_part().counters.read());
        while let Some(punt) = leaving.shared_part().punts.pop() {
            if let Some(other) = pmds.first() {
                // A full queue drops it; it was counted when it was punted.
                let _ = other.shared_part().punts.push(punt);
            }
        }
        for record in ports.iter_mut() {
            if let Some(counters) = record.counters.remove(&pmd) {
                counters.add_to(&mut record.retired);
            }
            let had = record.tx_by.remove(&pmd).flatten();
            if let Some(shared) = had.filter(|had| record.sharers(had) == 0) {
                record.spare_tx.extend(shared.take());
            }
        }
        while let Some((port, tx)) = retirement.tx.pop() {
            if let (Some(record), TxHandle::Own(queue)) = (ports.iter_mut().find(|r| r.port == port), tx) {
                record.spare_tx.push(queue);
            }
        }
        for record in ports.iter_mut().filter(|r| r.left.is_none()) {
            end_sharing(record, &pmds);
        }
        Ok(())
    }

    /// Assign all receive queues anew, by their load of the last minute; returns how many move.
    pub fn assign(&self) -> usize {
        let mut ports = self.ports.lock();
        let pmds = self.pmds.lock();
        self.place(&mut ports, &pmds, None)
    }

    /// How queues are assigned from now on.
    pub fn set_policy(&self, policy: Policy) -> usize {
        self.placing.lock().policy = policy;
        self.assign()
    }

    /// How queues are assigned.
    #[must_use]
    pub fn policy(&self) -> Policy {
        self.placing.lock().policy
    }

    /// Pin queues of a port to CPUs.
    ///
    /// # Errors
    /// [`PortError::Unknown`]; [`PortError::NoQueue`] when the list names a queue that the port has not.
    pub fn set_affinity(&self, port: DpPort, affinity: Affinity) -> Result<(), PortError> {
        let mut ports = self.ports.lock();
        let record = ports.iter_mut().find(|p| p.port == port).ok_or(PortError::Unknown { port })?;
        if let Some((queue, _)) = affinity.iter().find(|(queue, _)| usize::from(*queue) >= record.rx.len()) {
            return Err(PortError::NoQueue { name: record.name.clone(), queue, have: record.rx.len() });
        }
        record.affinity = affinity;
        let pmds = self.pmds.lock();
        self.place(&mut ports, &pmds, None);
        Ok(())
    }

    /// All receive queues, in the order of ports and queues.
    #[must_use]
    pub fn rxqs(&self) -> Vec<RxqView> {
        let ports = self.ports.lock();
        let all: BTreeMap<u32, u64> =
            self.shared.pmds.read().iter().map(|p| (p.id, p.cycles.history.last_minute())).collect();
        let placing = self.placing.lock();
        let mut views = Vec::new();
        for record in ports.iter() {
            for rxq in &record.rx {
                let (port, queue) = (record.port, rxq.shared.queue);
                let placed = placing.plan.placements.iter().find(|p| (p.port, p.queue) == (port, queue));
                let pmd = Some(rxq.target).filter(|pmd| *pmd != NOBODY);
                let all = pmd.and_then(|pmd| all.get(&pmd).copied()).unwrap_or_default();
                views.push(RxqView {
                    port,
                    name: record.name.clone(),
                    queue,
                    pmd,
                    pin: record.affinity.of(queue),
                    pin_failed: placed.is_some_and(|p| p.pin_failed),
                    crosses_numa: placed.is_some_and(|p| p.crosses_numa),
                    moving: [rxq.want, rxq.target].iter().any(|pmd| *pmd != rxq.shared.holder()),
                    packets: rxq.shared.packets.get(),
                    load: Load { busy: rxq.shared.usage.last_minute(), all },
                });
            }
        }
        views.sort_by_key(|v| (v.port, v.queue));
        views
    }

    /// Each PMD with its counters and caches, since they were cleared.
    #[must_use]
    pub fn pmd_views(&self) -> Vec<PmdView> {
        let isolated = self.placing.lock().plan.isolated.clone();
        let view = |pmd: &Arc<PmdShared>| PmdView { isolated: isolated.contains(&pmd.id), ..pmd.view() };
        let mut views: Vec<_> = self.shared.pmds.read().iter().map(view).collect();
        views.sort_by_key(|v| v.pmd);
        views
    }

    /// The statistics of all PMDs begin anew. [`Datapath::counters`] goes on.
    pub fn clear_pmd_stats(&self) {
        self.shared.pmds.read().iter().for_each(|pmd| pmd.clear());
    }

    /// What the tables of each PMD hold; `None` for one that does not answer within a moment.
    #[must_use]
    pub fn tables(&self) -> Vec<(u32, Option<Vec<PortTableView>>)> {
        let pmds = self.pmds();
        let ask = |pmd: &Pmd| {
            let report = Arc::<OnceLock<_>>::default();
            pmd.shared_part().mailbox.push(Mail::Report(Arc::clone(&report)));
            (pmd.id(), report)
        };
        let asked: Vec<_> = pmds.iter().map(ask).collect();
        wait(&pmds, || asked.iter().all(|(_, report)| report.get().is_some()));
        asked.into_iter().map(|(pmd, report)| (pmd, report.get().cloned())).collect()
    }

    /// Assign queues to PMDs, without `leaving`, and wait until they are there; returns how many move.
    pub(crate) fn place(&self, ports: &mut [PortRecord], pmds: &[Pmd], leaving: Option<u32>) -> usize {
        let plan = {
            let mut placing = self.placing.lock();
            placing.plan = plan(&queues(ports), &places(pmds, leaving), placing.policy);
            placing.plan.clone()
        };
        let moving = want(ports, &plan);
        self.settle(ports, pmds);
        moving
    }

    /// Bring queues to where they are wanted. `false`: a PMD did not read its mail in time; the next call goes on.
    pub(crate) fn settle(&self, ports: &mut [PortRecord], pmds: &[Pmd]) -> bool {
        wait(pmds, || {
            let mut settled = true;
            for record in ports.iter_mut().filter(|r| r.left.is_none()) {
                let port = record.port;
                for rxq in &mut record.rx {
                    settled &= self.settle_queue(port, rxq, pmds);
                }
            }
            settled
        })
    }

    /// Whether the queue is where it is wanted. If it rests elsewhere, it is sent on.
    fn settle_queue(&self, port: DpPort, rxq: &mut RxqRecord, pmds: &[Pmd]) -> bool {
        let holder = rxq.shared.holder();
        if holder == GONE {
            return true;
        }
        if holder != rxq.target {
            // Under way, or about to be: its PMD has not read the mail yet, and will hand it on even if it is to keep it by now.
            return false;
        }
        if holder == rxq.want {
            return true;
        }
        let find = |id: u32| pmds.iter().find(|p| p.id() == id).map(|p| Arc::clone(p.shared_part()));
        let to = find(rxq.want);
        if holder == NOBODY {
            let mut parked = self.shared.parked.lock();
            if let (Some(to), Some(at)) = (to, parked.iter().position(|s| s.is(port, rxq.shared.queue))) {
                to.mailbox.push(Mail::TakeRx(Box::new(parked.swap_remove(at))));
                rxq.target = rxq.want;
            }
        } else if let Some(from) = find(holder) {
            from.mailbox.push(Mail::GiveRx { port, queue: rxq.shared.queue, to });
            rxq.target = rxq.want;
        }
        false
    }
}

/// Give a PMD its part of a port.
pub(crate) fn give_port(record: &mut PortRecord, pmd: &Pmd, others: &[Pmd]) {
    let Some(tx) = transmit_queue(record, pmd.id(), others) else { return };
    let counters = Arc::clone(record.counters.entry(pmd.id()).or_default());
    let (port, up, max_frame) = (record.port, record.up, record.max_frame());
    pmd.shared_part().mailbox.push(Mail::AddPort(Box::new(PortSetup { port, tx, up, max_frame, counters })));
    pmd.serve_if_idle();
}

/// A transmit queue for a PMD: a spare one, or one shared with the PMD that shares with the fewest.
fn transmit_queue(record: &mut PortRecord, pmd: u32, others: &[Pmd]) -> Option<TxHandle> {
    if let Some(queue) = record.spare_tx.pop() {
        record.tx_by.insert(pmd, None);
        return Some(TxHandle::Own(queue));
    }
    let sharers = |shared: &Option<Arc<SharedTx>>| shared.as_ref().map_or(0, |s| record.sharers(s));
    let partner =
        record.tx_by.iter().min_by_key(|(_, shared)| sharers(shared)).map(|(id, shared)| (*id, shared.clone()));
    let (partner, shared) = partner?;
    let shared = shared.unwrap_or_default();
    if !shared.is_filled() {
        let partner = others.iter().find(|p| p.id() == partner)?;
        partner.shared_part().mailbox.push(Mail::ShareTx { port: record.port, shared: Arc::clone(&shared) });
        record.tx_by.insert(partner.id(), Some(Arc::clone(&shared)));
        // A partner that is late fills it later: what is sent until then is dropped as `tx_full`.
        wait(std::slice::from_ref(partner), || shared.is_filled());
    }
    record.tx_by.insert(pmd, Some(Arc::clone(&shared)));
    Some(TxHandle::Shared(shared))
}

/// Give spare transmit queues to PMDs that share one.
fn end_sharing(record: &mut PortRecord, pmds: &[Pmd]) {
    while let Some(queue) = record.spare_tx.pop() {
        let shares = |shared: &Option<Arc<SharedTx>>| shared.as_ref().is_some_and(|s| record.sharers(s) > 1);
        let sharer = record.tx_by.iter().find(|(_, shared)| shares(shared)).map(|(id, _)| *id);
        let Some(pmd) = sharer.and_then(|id| pmds.iter().find(|p| p.id() == id)) else {
            record.spare_tx.push(queue);
            return;
        };
        record.tx_by.insert(pmd.id(), None);
        pmd.shared_part().mailbox.push(Mail::OwnTx { port: record.port, queue });
        pmd.serve_if_idle();
    }
}

/// Wait until `done`, serving the mail of PMDs that nobody polls. `false`: it took too long.
fn wait(pmds: &[Pmd], mut done: impl FnMut() -> bool) -> bool {
    let start = Instant::now();
    loop {
        if done() {
            return true;
        }
        pmds.iter().for_each(Pmd::serve_if_idle);
        if start.elapsed() > PATIENCE {
            return done();
        }
        std::thread::sleep(Duration::from_micros(20));
    }
}

/// The queues as assignment sees them.
pub(crate) fn queues(ports: &[PortRecord]) -> Vec<RxqUse> {
    let mut queues = Vec::new();
    for record in ports.iter().filter(|r| r.left.is_none()) {
        queues.extend(record.rx.iter().map(|rxq| RxqUse {
            port: record.port,
            queue: rxq.shared.queue,
            numa: record.numa,
            cycles: rxq.shared.usage.last_minute(),
            pinned: record.affinity.of(rxq.shared.queue),
        }));
    }
    queues
}

/// The PMDs as assignment sees them.
pub(crate) fn places(pmds: &[Pmd], leaving: Option<u32>) -> Vec<PmdPlace> {
    // One that was asked to give back its transmit queues can send nothing.
    let stays = |p: &&Pmd| Some(p.id()) != leaving && p.shared_part().retirement.get().is_none();
    let staying = pmds.iter().filter(stays);
    staying.map(|p| PmdPlace { pmd: p.id(), cpu: p.spot().cpu, numa: p.spot().numa }).collect()
}

/// Note where queues go by a plan; returns how many move.
pub(crate) fn want(ports: &mut [PortRecord], plan: &Plan) -> usize {
    let mut moving = 0;
    for record in ports.iter_mut().filter(|r| r.left.is_none()) {
        for rxq in &mut record.rx {
            let want = plan.pmd_of(record.port, rxq.shared.queue).unwrap_or(NOBODY);
            moving += usize::from(rxq.want != want);
            rxq.want = want;
        }
    }
    moving
}
