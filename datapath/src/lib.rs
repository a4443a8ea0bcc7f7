//! The software datapath: packets in, the flow of each found, its actions executed, packets out.
//!
//! It knows nothing of OpenFlow. A [`Slowpath`](flow::dp::Slowpath) translates what it does not know; a
//! [`FlowListener`](flow::dp::FlowListener) hears of flows, to put them into hardware.
//!
//! # The way of a packet
//! A burst of up to 32 is received and goes through stages. A packet with a hardware *mark* has its flow at once. Of
//! others the key is extracted, no deeper than flows of the port look, and hashed; the *signature cache* proposes a
//! flow, whose record verifies it. What the cache does not know is searched in the megaflow table (tuple space: a
//! hash table for each mask on that input port, without those that a filter tells cannot match). A miss is translated
//! inline, its effects are replayed for this packet before the next packet is looked up (so what it taught is known),
//! and the flow is installed. Flows that only change bytes and send to one port are executed packet by packet;
//! packets of other flows are collected by flow and wait until the burst ends or a packet misses. Either way, packets
//! of a flow leave in the order in which they came.
//!
//! Hardware may have done the first of a flow's actions; its mark says which, and what is left has a record and a program of its
//! own (docs/adr/0005).
//!
//! A packet may be looked up again (`Recirc`): at once, by a key of its bytes as they are by then and of what is known beside
//! them, as the actions left it (`Set` of a metadata field, `Hash`). Each pass is a flow of its own with its own hits. A packet
//! recirculates 8 times in a row at most, as in OVS, and 256 times with all of its copies.
//!
//! # Threads
//! - A [`Pmd`] owns its queues, caches and table: one thread polls it at a time, the caller's ([`Pmd::poll_once`]) or a pinned
//!   one of its own ([`Pmd::spawn`]). Per-packet code takes no lock and allocates nothing; a miss does both, and so does sending
//!   through a transmit queue that PMDs share because the device has fewer queues than there are PMDs.
//! - PMDs come and go ([`Datapath::add_pmd_at`], [`Datapath::remove_pmd`]) while packets flow. A receive queue has one owner at
//!   any time: a PMD, a mail on its way to one, or the place of those that nobody polls. A PMD hands a queue on between two
//!   polls, when all packets that it received from it were sent or dropped, so their order stays. Which PMD polls which queue
//!   is decided as Open vSwitch does ([`plan`]).
//! - On a thread of its own, a PMD translates for misses within a budget, so that new flows on one queue leave most of its time
//!   to the known flows of others (docs/adr/0013).
//! - The [`Revalidator`] follows changes, replays hits and removes flows: inline, or on a thread.
//! - Control (ports, dumps, barriers) calls from any thread; workers get mail, which they read at the start of a poll.
//!
//! # One registry, a table for each worker
//! Each flow exists once, in a registry behind a lock that only misses and revalidation take; so it has one mark and one
//! hardware rule, however many workers use it. Each worker has its own table and cache of the flows that it met: no sharing
//! between workers, no read-modify-write, and safe code. A worker that meets another's flow misses once and joins it. What a
//! worker shares with revalidation is the flow's *record* in its arena: the hits, with one writer, and the mark, which is
//! taken away when the flow is removed.
//!
//! # Changes
//! The slow path publishes its new state first and then tells of the change. For a fence after which no packet meets a stale
//! flow, three things are needed:
//! - Flows that exist: revalidation takes the changes, finds flows by dependency and by the packets that a change can concern
//!   (docs/adr/0009), translates them again, and takes the mark out of the records of those that are wrong. Every lookup checks it;
//!   cache entries need no clean-up. Flows that match as before and do something else stay: their workers are told, and change
//!   them at the start of a poll, before they receive.
//! - Flows that are being made: a miss notes the change *epoch*, then translates, then installs under the registry's lock.
//!   Revalidation raises the epoch under the same lock when it takes up changes, and remembers them. An install whose
//!   dependencies are among the changes since its epoch is refused (the packet itself goes out by the old state: it came before
//!   the fence). So a translation of the old state is either in the registry when the change looks there, or refused.
//! - Packets under way: after that a fence number is raised, and each worker announces it at the start of its next poll
//!   ([`Revalidator::barrier`]).
//!
//! # Invariants
//! - `rx + copies == tx + punted + drops` exactly, in total, whenever no worker is inside a poll ([`Counters`]). A *copy* is
//!   each end of a packet (sent, given to a controller, or dropped) beyond its first, whichever pass it came to it in.
//! - Every packet's effects are replayed exactly once: a miss's at once, others from counter deltas. A removed flow is
//!   settled once more when its workers have passed the fence.
//! - Live flows that match the same packet do the same with it: masks cover all that a translation looked at.
//! - A mark (generation and index) is used again only after its flow was removed, hardware reported
//!   [`Datapath::hardware_gone`], and every receive queue, polled or on its way, was found drained since; then under the next generation. Without
//!   hardware no packet has a mark, and it is enough that every worker has passed the removal. A mark of no
//!   live flow of the port is a hint that failed: the packet is looked up by its bytes, unless hardware has changed them. The marks
//!   of a flow's changed packets live until its own is free, and lead to its own actions all that time.
//! - The bytes of two outputs are shared only if nothing changes them after ([`dpdk::Mbuf`] gives out no shared bytes for
//!   writing, so a mistake would lose a change, not corrupt a packet).
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::duplicate_mod, reason = "models compile some files a second time, with loom"))]

mod alarm;
mod arena;
mod budget;
mod cache;
mod checksum;
mod config;
mod counters;
mod courtesy;
mod cycles;
mod datapath;
mod egress;
mod execute;
mod fastpath;
mod fence;
mod flows;
mod hash;
mod index;
mod lookup;
mod mask;
pub mod memory;
mod packet;
mod placement;
mod pmd;
mod ports;
mod program;
mod punt;
mod random;
mod rebalance;
mod revalidate;
mod rxq;
mod shared;
mod sync;
mod table;
mod tx;
mod window;
mod worker;

#[cfg(test)]
mod tests;

pub use config::Config;
pub use counters::{Counters, PortCounters};
pub use cycles::{CyclesView, Load, STAGES, Stage, StageCycles};
pub use datapath::{Datapath, FlowLimit, FlowView, NoHardware};
pub use flows::MAX_FLOWS;
pub use placement::{PmdSpot, RxqView};
pub use pmd::{Pmd, PmdConfig, PmdError, PmdThread, PmdView};
pub use ports::{MAX_PORT, PortError, PortOptions, PortState, PortView};
pub use punt::{PuntedPacket, Punts};
pub use rebalance::{Estimate, Move};
pub use revalidate::{RevalidationReport, Revalidator, RevalidatorThread};
pub use rxq::{
    Affinity, AffinityError, Assign, AutoBalance, AutoLoadBalance, Dropped, LOOK_EVERY, Placement, Plan, PmdPlace,
    Policy, RxqUse, Verdict, improvement, plan, variance,
};
pub use table::PortTableView;
