//! The control API of `shuntd`: types only.
//!
//! The API is JSON over HTTP/1.1 on a Unix socket ([`socket_path`]). Every path is below [`PREFIX`]; the constants in
//! [`paths`] name them all. A refused or failed request answers with an [`Error`] as its body, which names the object
//! and the remedy. Text of flows, matches and actions is ovs-ofctl's.
//!
//! The crate holds no I/O and no threads. Invariant: a type may gain optional members within a version of the
//! prefix, never lose or rename one.
#![forbid(unsafe_code)]

mod ack;
mod bridge;
mod capture;
mod datapath;
mod device;
mod diff;
mod error;
mod event;
mod flow;
mod group;
mod mem;
mod meter;
mod mirror;
mod mock;
mod nic;
mod nic_view;
mod offload;
mod pmd;
mod show;
mod table;
mod trace;

pub use ack::*;
pub use bridge::*;
pub use capture::*;
pub use datapath::*;
pub use device::*;
pub use diff::*;
pub use error::*;
pub use event::*;
pub use flow::*;
pub use group::*;
pub use mem::*;
pub use meter::*;
pub use mirror::*;
pub use mock::*;
pub use nic::*;
pub use nic_view::*;
pub use offload::*;
pub use pmd::*;
pub use show::*;
pub use table::*;
pub use trace::*;

use std::path::PathBuf;

/// First part of every path.
pub const PREFIX: &str = "/v1";

/// Largest request body that the daemon takes, in bytes: 32 MiB, some 300,000 rules.
pub const MAX_BODY: usize = 32 << 20;

/// Where the daemon listens when nothing else is said.
pub const DEFAULT_SOCKET: &str = "/run/shunt/shuntd.sock";

/// Environment variable that names another socket.
pub const SOCKET_ENV: &str = "SHUNT_SOCKET";

/// The socket to use: what the command line says, else [`SOCKET_ENV`], else [`DEFAULT_SOCKET`].
#[must_use]
pub fn socket_path(argument: Option<PathBuf>) -> PathBuf {
    argument
        .or_else(|| std::env::var_os(SOCKET_ENV).filter(|v| !v.is_empty()).map(PathBuf::from))
        .unwrap_or_else(|| PathBuf::from(DEFAULT_SOCKET))
}

/// Paths of the API, with their parameters in braces.
pub mod paths {
    /// GET: everything at a glance.
    pub const SHOW: &str = "/v1/show";
    /// GET, POST, DELETE by name.
    pub const BRIDGES: &str = "/v1/bridges";
    /// PATCH, DELETE.
    pub const BRIDGE: &str = "/v1/bridges/{bridge}";
    /// GET: ports of all bridges.
    pub const PORTS: &str = "/v1/ports";
    /// GET: a port with its device.
    pub const PORT: &str = "/v1/ports/{port}";
    /// GET (query `xstats`): counters of a port and its device.
    pub const PORT_STATS: &str = "/v1/ports/{port}/stats";
    /// GET: mempools in use.
    pub const MEM: &str = "/v1/mem";
    /// POST: mempools that the configuration and further ports need.
    pub const MEM_PLAN: &str = "/v1/mem/plan";
    /// POST.
    pub const BRIDGE_PORTS: &str = "/v1/bridges/{bridge}/ports";
    /// PATCH, DELETE.
    pub const BRIDGE_PORT: &str = "/v1/bridges/{bridge}/ports/{port}";
    /// GET (query `match`), POST, PATCH, PUT, DELETE.
    pub const FLOWS: &str = "/v1/bridges/{bridge}/flows";
    /// POST.
    pub const TRACE: &str = "/v1/bridges/{bridge}/trace";
    /// GET (query `group`), POST, PATCH, DELETE.
    pub const GROUPS: &str = "/v1/bridges/{bridge}/groups";
    /// POST.
    pub const GROUP_BUCKETS: &str = "/v1/bridges/{bridge}/groups/buckets";
    /// GET (query `meter`), POST, PATCH, DELETE.
    pub const METERS: &str = "/v1/bridges/{bridge}/meters";
    /// GET.
    pub const METER_FEATURES: &str = "/v1/meters/features";
    /// GET, POST.
    pub const MIRRORS: &str = "/v1/bridges/{bridge}/mirrors";
    /// DELETE.
    pub const MIRROR: &str = "/v1/bridges/{bridge}/mirrors/{mirror}";
    /// GET.
    pub const TABLES: &str = "/v1/bridges/{bridge}/tables";
    /// PATCH.
    pub const TABLE: &str = "/v1/bridges/{bridge}/tables/{table}";
    /// GET, POST, DELETE.
    pub const FDB: &str = "/v1/bridges/{bridge}/fdb";
    /// GET (query `after`, `wait` in seconds): rules that went by themselves.
    pub const EVENTS: &str = "/v1/events";
    /// GET (query `handled`, `reason`).
    pub const DP_FLOWS: &str = "/v1/dp/flows";
    /// GET.
    pub const DP_COUNTERS: &str = "/v1/dp/counters";
    /// GET.
    pub const DP_SHOW: &str = "/v1/dp/show";
    /// GET: caches and tables of all PMDs.
    pub const DP_CACHES: &str = "/v1/dp/caches";
    /// GET: misses of all PMDs by cause.
    pub const DP_MISSES: &str = "/v1/dp/misses";
    /// GET: PMDs and what they counted. DELETE: statistics begin anew.
    pub const PMDS: &str = "/v1/pmds";
    /// GET: receive queues. POST: assign them anew.
    pub const RXQS: &str = "/v1/pmds/rxqs";
    /// GET (query `assign`): what assigning them anew would bring.
    pub const RXQS_PLAN: &str = "/v1/pmds/rxqs/plan";
    /// GET, PATCH.
    pub const PMD_SETTINGS: &str = "/v1/pmds/settings";
    /// GET.
    pub const AUTO_LB: &str = "/v1/pmds/auto-lb";
    /// GET, PUT.
    pub const OFFLOAD: &str = "/v1/offload";
    /// GET, PUT.
    pub const OFFLOAD_POLICY: &str = "/v1/offload/policy";
    /// GET (query `flow`): flows that there are. POST: a packet that is not there.
    pub const OFFLOAD_EXPLAIN: &str = "/v1/offload/explain";
    /// GET.
    pub const OFFLOAD_CAPABILITIES: &str = "/v1/offload/capabilities/{port}";
    /// POST: begin a capture.
    pub const CAPTURES: &str = "/v1/offload/captures";
    /// GET (query `wait_ms`): take packets. DELETE: end it.
    pub const CAPTURE: &str = "/v1/offload/captures/{capture}";
    /// GET, PUT.
    pub const ESWITCH: &str = "/v1/eswitch";
    /// GET (query `pf`), PATCH.
    pub const VFS: &str = "/v1/vfs";
    /// GET.
    pub const VF: &str = "/v1/vfs/{vf}";
    /// GET (query `pf`), POST, PATCH, DELETE.
    pub const SFS: &str = "/v1/sfs";
    /// GET.
    pub const SF: &str = "/v1/sfs/{sf}";
    /// GET (query `pf`), POST: make one a port of a bridge.
    pub const REPRESENTORS: &str = "/v1/representors";
    /// GET, DELETE: it is a port no longer.
    pub const REPRESENTOR: &str = "/v1/representors/{representor}";
    /// GET (query `pf`).
    pub const NICS: &str = "/v1/nics";
    /// DELETE: nothing is desired of it any more; it stays as it is.
    pub const NIC: &str = "/v1/nics/by-name/{pf}";
    /// GET (query `pf`): what stands in the way of switchdev.
    pub const NICS_CHECK: &str = "/v1/nics/check";
    /// POST.
    pub const NICS_CONVERGE: &str = "/v1/nics/converge";
    /// POST: frames into outside ends of the mock NIC.
    pub const MOCK_INJECT: &str = "/v1/mock/inject";
    /// POST: take what left the outside ends.
    pub const MOCK_COLLECT: &str = "/v1/mock/collect";
    /// POST: what happens to the fake kernel.
    pub const MOCK_KERNEL: &str = "/v1/mock/kernel";
    /// POST: what is wrong with the mock NIC's device from now on.
    pub const MOCK_DEVICE: &str = "/v1/mock/device";
    /// GET.
    pub const MOCK_COUNTERS: &str = "/v1/mock/counters";
    /// GET: OpenMetrics text.
    pub const METRICS: &str = "/metrics";
}
