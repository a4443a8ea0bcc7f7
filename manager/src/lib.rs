//! `shuntd`: the switch manager.
//!
//! This crate wires the others together and decides nothing about packets itself.
//!
//! * [`control`]: what the API asks for. Checks, changes the switch, keeps desired state ([`state`]), answers with an Ack.
//! * [`switch`]: pipeline, datapath and offload engine as one thing, driven by threads or, in lockstep, by the caller.
//! * [`nic`]: the NIC that the switch works on: kernel (real or fake) and, with `--mock`, the mock SmartNIC.
//! * [`pmds`], [`cpus`]: settings of PMD threads, and the CPUs that they run on.
//! * [`memory`]: pools of packet buffers, from the configuration; a plan of them.
//! * [`http`]: the control API on its Unix socket.
//! * [`failpoint`]: where tests end the daemon as kill -9 does.
//! * [`daemon`]: from the command line to a running daemon and back.
//!
//! # Threads
//! tokio serves the socket; requests run on its blocking threads and take turns on the control lock. A PMD thread for
//! each configured CPU polls ports, the revalidator and the offload engine have a thread each, the state file has a
//! writer,
//! `nic-watch` listens to the kernel for changes of NICs. With `--mock` one thread
//! moves the mock NIC's packets. In lockstep none of the packet threads exist: injecting a frame runs the whole
//! switch until it is quiet.
//!
//! # Invariants
//! * What was acknowledged is on disk, and is there again after a restart.
//! * A request that was refused has changed nothing: what was done before the refusal is undone.
//! * A change of a NIC, which takes the kernel seconds, never has the control lock meanwhile.
//! * Control never waits on a worker, the disk or hardware without a bound but the disk's own.
#![forbid(unsafe_code)]

pub mod args;
pub mod config;
pub mod control;
pub mod cpus;
pub mod daemon;
pub mod failpoint;
pub mod http;
pub mod memory;
pub mod nic;
pub mod pmds;
pub mod state;
pub mod switch;
