//! One worker: polls its receive queues, hands bursts to the fast path, reads its mail. Owned by one thread at a time.

use crate::budget::{Budget, Burst, Costs, Others, Turn, UNLIMITED};
use crate::counters::WorkerCounters;
use crate::cycles::{INTERVAL, Stage};
use crate::egress::TxPort;
use crate::fastpath::FastPath;
use crate::pmd::{Mail, PmdShared, PortSetup, Retirement};
use crate::rxq::shared::NOBODY;
use crate::rxq::source::RxSource;
use crate::shared::Shared;
use crate::tx::TxHandle;
use dpdk::MbufBatch;
use flow::DpPort;
use flow::clock::Time;
use flow::dp::DropReason;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

/// Mails read at each poll. One names up to 256 removed flows, removals come in thousands, and packets must not wait for them.
const MAILS_A_POLL: usize = 4;

/// How often a PMD that is never idle shows how large its tables are.
const NOTE: Duration = Duration::from_millis(100);

/// What a worker owns.
#[derive(Debug)]
pub(crate) struct Worker {
    shared: Arc<Shared>,
    me: Arc<PmdShared>,
    counters: Arc<WorkerCounters>,
    sources: Vec<RxSource>,
    fast: FastPath,
    costs: Costs,
    /// Whether misses have a budget.
    pub(crate) limited: bool,
    /// The time stamp up to which all time is accounted for.
    stamp: u64,
    /// Cycles in polls so far: the time that budgets fill with.
    polled: u64,
    /// When the present interval of the histories began.
    interval: Option<Time>,
    /// When table sizes were last shown.
    noted: Time,
}

/// A round over the queues.
#[derive(Clone, Copy, Debug)]
struct Round {
    now: Time,
    fence: u64,
    /// The time stamp up to which this round's time is accounted for.
    at: u64,
    /// A storming queue was polled.
    stormed: bool,
}

impl Worker {
    pub(crate) fn new(shared: Arc<Shared>, me: Arc<PmdShared>) -> Worker {
        let counters = Arc::clone(&me.counters);
        Worker {
            fast: FastPath::new(Arc::clone(&shared), Arc::clone(&me)),
            sources: Vec::new(),
            costs: Costs::default(),
            limited: false,
            stamp: dpdk::cycles(),
            polled: 0,
            interval: None,
            noted: Time::default(),
            counters,
            shared,
            me,
        }
    }

    /// One round over all queues; returns the number of packets received.
    ///
    /// The caller has announced that this worker is online.
    pub(crate) fn poll(&mut self, now: Time) -> usize {
        let fence = self.shared.fences.current();
        self.me.quiescence.pass(fence);
        if !self.me.changed.is_empty() {
            self.follow_changes();
        }
        if self.serve_mail(MAILS_A_POLL) {
            self.me.quiescence.drain(fence);
        }
        let mut received = 0;
        let mut round = Round { now, fence, at: dpdk::cycles(), stormed: false };
        for i in 0..self.sources.len() {
            let ask = self.limited && self.sources[i].budget.is_missing();
            let turn = if ask { self.turn(i, &round) } else { UNLIMITED };
            if let Turn::Poll { misses } = turn {
                received += self.poll_queue(i, misses, &mut round);
            }
        }
        self.counters.polls.add(1);
        let spent = round.at.wrapping_sub(self.stamp);
        if received == 0 {
            self.counters.idle_polls.add(1);
            self.me.cycles.count_idle(spent);
            self.me.note_table(&self.fast.lookup.table);
            self.me.note_cache(&self.fast.lookup.cache);
        } else {
            self.me.cycles.count_busy(spent);
        }
        self.polled = self.polled.wrapping_add(spent);
        self.stamp = round.at;
        self.roll(now);
        received
    }

    /// Called before polls that others came before: the time since is nobody's work.
    pub(crate) fn resume(&mut self) {
        let now = dpdk::cycles();
        self.me.cycles.count_idle(now.wrapping_sub(self.stamp));
        self.stamp = now;
    }

    /// Show table sizes and end the interval of the histories when it is time to.
    #[inline]
    fn roll(&mut self, now: Time) {
        let began = *self.interval.get_or_insert(now);
        if now.since(self.noted) >= NOTE {
            // A PMD that is never idle shows them too.
            self.noted = now;
            self.me.note_table(&self.fast.lookup.table);
            self.me.note_cache(&self.fast.lookup.cache);
        }
        if now.since(began) >= INTERVAL {
            self.interval = Some(now);
            self.me.cycles.roll();
            for source in &self.sources {
                source.shared().usage.roll();
            }
        }
    }

    /// What a queue with misses may do in this round.
    fn turn(&mut self, i: usize, round: &Round) -> Turn {
        let mut others = Others { stormed: round.stormed, ..Others::default() };
        for (_, source) in self.sources.iter().enumerate().filter(|(at, _)| *at != i) {
            others.add(&source.budget, round.now);
        }
        let cycles = self.polled.wrapping_add(round.at.wrapping_sub(self.stamp));
        self.sources[i].budget.turn(cycles, others, &mut self.costs)
    }

    /// Receive and handle one burst, of which so many misses are translated.
    fn poll_queue(&mut self, i: usize, misses: u32, round: &mut Round) -> usize {
        let mut batch = MbufBatch::new();
        let source = &mut self.sources[i];
        self.fast.clock.start_burst(round.at);
        let n = source.burst(&mut batch);
        if n > 0 {
            self.fast.clock.mark(Stage::Rx);
            self.counters.rx.add(n as u64);
            source.counters.rx_packets.add(n as u64);
            let summary = batch.summary();
            source.counters.rx_bytes.add(summary.bytes);
            let refused = &self.counters.drops[DropReason::MissBudget as usize];
            let before = (self.counters.miss.get(), refused.get());
            self.fast.lookup.misses_left = misses;
            self.fast.process(source.port(), &mut batch, &summary, round.now);
            self.fast.clock.mark(Stage::Actions);
            self.fast.executor.egress.flush();
            let end = dpdk::cycles();
            self.fast.clock.end_burst(end, n);
            let burst = Burst {
                spent: end.wrapping_sub(round.at),
                packets: n as u64,
                misses: self.counters.miss.get() - before.0,
                refused: refused.get() - before.1,
            };
            round.stormed |= source.budget.is_storming();
            source.budget.account(burst, round.now, &mut self.costs);
            source.shared().usage.add(burst.spent);
            source.shared().packets.add(n as u64);
            round.at = end;
        } else {
            source.budget.account(Burst::default(), round.now, &mut self.costs);
            round.at = dpdk::cycles();
        }
        source.handled(n, round.fence);
        n
    }

    /// Let flows that changed do what they are to do.
    #[cold]
    fn follow_changes(&mut self) {
        while let Some(marks) = self.me.changed.pop() {
            self.fast.lookup.catch_up(&marks);
        }
    }

    /// Do what others asked for; `false` when some is left.
    pub(crate) fn serve_mail(&mut self, most: usize) -> bool {
        for _ in 0..most {
            let Some(mail) = self.me.mailbox.pop() else { return true };
            match mail {
                Mail::FlowsRemoved(marks) => self.fast.lookup.table.remove_all(&marks),
                Mail::AddPort(port) => self.add_port(*port),
                Mail::TakeRx(source) => self.take_rx(*source),
                Mail::GiveRx { port, queue, to } => self.give_rx(port, queue, to.as_deref()),
                Mail::ShareTx { port, shared } => {
                    if let Some(tx) = self.fast.executor.egress.port_mut(port) {
                        tx.queue_mut().share(&shared);
                    }
                }
                Mail::OwnTx { port, queue } => {
                    if let Some(tx) = self.fast.executor.egress.port_mut(port) {
                        *tx.queue_mut() = TxHandle::Own(queue);
                    }
                }
                Mail::RemovePort { port, left } => {
                    self.sources.retain(|s| s.port() != port);
                    self.fast.executor.egress.remove(port);
                    left.fetch_sub(1, Ordering::Release);
                }
                Mail::PortChanged { port, up, max_frame } => {
                    if let Some(tx) = self.fast.executor.egress.port_mut(port) {
                        tx.set(up, max_frame);
                    }
                }
                Mail::Retire(retirement) => self.retire(&retirement),
                Mail::Report(report) => {
                    let _ = report.set(self.fast.lookup.table.view());
                }
            }
        }
        self.me.mailbox.is_empty()
    }

    fn add_port(&mut self, setup: PortSetup) {
        let PortSetup { port, tx, up, max_frame, counters } = setup;
        self.fast.executor.egress.add(port, TxPort::new(tx, up, max_frame, counters));
    }

    /// Poll a queue from now on. One of a port that is gone goes back to its device.
    fn take_rx(&mut self, mut source: RxSource) {
        let Some(tx) = self.fast.executor.egress.port_mut(source.port()) else { return };
        source.counters = Arc::clone(tx.counters());
        // Its flows are new to this PMD, not to the switch: it has no debt here.
        source.budget = Budget::default();
        source.shared().set_holder(self.me.id);
        self.sources.push(source);
        self.sources.sort_by_key(|s| (s.port(), s.shared().queue));
    }

    /// Poll a queue no longer. All packets that were received from it have been handled and sent.
    fn give_rx(&mut self, port: DpPort, queue: u16, to: Option<&PmdShared>) {
        let Some(at) = self.sources.iter().position(|s| s.is(port, queue)) else { return };
        let source = self.sources.remove(at);
        match to {
            Some(pmd) => pmd.mailbox.push(Mail::TakeRx(Box::new(source))),
            None => {
                source.shared().set_holder(NOBODY);
                self.shared.parked.lock().push(source);
            }
        }
    }

    /// Give everything back. The receive queues went before.
    fn retire(&mut self, retirement: &Retirement) {
        for (port, tx) in self.fast.executor.egress.remove_all() {
            retirement.tx.push((port, tx.into_queue()));
        }
        self.sources.clear();
        retirement.done.store(true, Ordering::Release);
    }
}
