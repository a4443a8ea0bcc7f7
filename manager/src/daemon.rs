//! From the command line to a running daemon and back.

use crate::args::{Args, MockArgs};
use crate::config::{Config, ConfigError};
use crate::control::Control;
use crate::http::{self, ListenError};
use crate::nic::{self, MockError, MockSide, Nic};
use crate::pmds::{AtStart, PmdSettingsError};
use crate::state::{Desired, Store, StoreError};
use crate::switch::{Driver, Lockstep, Parts, Switch, SwitchError};
use dpdk::{Eal, EalConfig, Mempool, MempoolConfig};
use flow::clock::{Clock, MonotonicClock, VirtualClock};
use offload::Backend;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often rules and addresses are looked at for their age.
const AGEING: Duration = Duration::from_secs(1);

/// How often packets for controllers are taken from the workers.
const PUNTED: Duration = Duration::from_millis(20);

/// How long requests under way may take at the end.
const SHUTDOWN: Duration = Duration::from_secs(2);

/// Why the daemon ended.
#[derive(Debug, thiserror::Error)]
pub enum DaemonError {
    #[error(transparent)]
    Config(#[from] ConfigError),
    #[error("configuration: {0}")]
    Pmds(PmdSettingsError),
    #[error(transparent)]
    Listen(#[from] ListenError),
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("{source}{}", said.as_ref().map(|s| format!(" ({s})")).unwrap_or_default())]
    Eal { source: dpdk::EalError, said: Option<String> },
    #[error(
        "datapath: {mbufs} packet buffers need {need} MiB, and have {have} MiB of the {memory} MiB of memory; raise memory_mib in \
         the section [datapath] of the configuration (or --memory), or lower mbufs"
    )]
    Memory { mbufs: u32, need: u64, have: u64, memory: u64 },
    #[error(transparent)]
    Mempool(dpdk::MempoolError),
    #[error(transparent)]
    Mock(#[from] MockError),
    #[error(transparent)]
    Switch(#[from] SwitchError),
    #[error(transparent)]
    Api(#[from] api::Error),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: std::io::Error },
}

/// Run until SIGINT or SIGTERM.
pub fn run(args: &Args) -> Result<(), DaemonError> {
    let config = Config::load(args.config.as_deref())?;
    let socket = api::socket_path(args.socket.clone().or_else(|| config.socket.clone()));
    let io = |what| move |source| DaemonError::Io { what, source };
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(io("tokio runtime"))?;
    let entered = runtime.enter();
    // The socket first: a second daemon ends here, before it touches state or devices.
    let listener = http::listen(&socket)?;
    let bound = Bound(socket.clone());
    let (store, desired) = Store::open(&state_path(args, &config, &socket))?;
    let control = Arc::new(build(args.mock.as_ref(), args.memory, &config, store, desired)?);
    runtime.block_on(async {
        let (mut interrupt, mut terminate) = signals().map_err(io("signal handlers"))?;
        let ageing = tokio::spawn(age(control.clone()));
        let counting = tokio::spawn(count_punted(control.clone()));
        let balancing = tokio::spawn(balance(control.clone()));
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        http::serve(listener, control, stop).await;
        ageing.abort();
        counting.abort();
        balancing.abort();
        Ok::<_, DaemonError>(())
    })?;
    // The state file is let go before the socket is: whoever sees the socket gone can start another daemon.
    drop(entered);
    runtime.shutdown_timeout(SHUTDOWN);
    drop(bound);
    Ok(())
}

type Signals = (tokio::signal::unix::Signal, tokio::signal::unix::Signal);

fn signals() -> std::io::Result<Signals> {
    use tokio::signal::unix::{SignalKind, signal};
    Ok((signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?))
}

/// Removes the socket at the end.
#[derive(Debug)]
struct Bound(PathBuf);

impl Drop for Bound {
    fn drop(&mut self) {
        // Whoever removed it before has done what we wanted.
        let _ = std::fs::remove_file(&self.0);
    }
}

fn state_path(args: &Args, config: &Config, socket: &Path) -> PathBuf {
    let chosen = args.state.clone().or_else(|| config.state.clone());
    chosen.unwrap_or_else(|| match args.mock {
        Some(_) => socket.with_extension("redb"),
        None => PathBuf::from("/var/lib/shunt/shuntd.redb"),
    })
}

/// Workers keep few packets for controllers.
async fn count_punted(control: Arc<Control>) {
    let mut tick = tokio::time::interval(PUNTED);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        control.drain_punted();
    }
}

/// Automatic load balancing of PMDs.
async fn balance(control: Arc<Control>) {
    let mut tick = tokio::time::interval(datapath::LOOK_EVERY);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let control = control.clone();
        // It ends with the daemon only.
        let _ = tokio::task::spawn_blocking(move || control.balance_pmds()).await;
    }
}

async fn age(control: Arc<Control>) {
    let mut tick = tokio::time::interval(AGEING);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        dpdk::log::take().iter().for_each(|line| tracing::warn!("DPDK: {line}"));
        let control = control.clone();
        let look = move || {
            control.watch_pmds();
            control.expire()
        };
        if let Ok(Err(e)) = tokio::task::spawn_blocking(look).await {
            tracing::error!("{e}");
        }
    }
}

/// A switch on a mock NIC or the host's, as `desired`, with its threads running.
pub fn build(
    mock: Option<&MockArgs>,
    memory: Option<u32>,
    config: &Config,
    store: Store,
    desired: Desired,
) -> Result<Control, DaemonError> {
    // Before memory is taken: who cannot have the CPUs ends here.
    let pmds = AtStart::new(&config.datapath, &desired.pmds).map_err(DaemonError::Pmds)?;
    if let Some(why) = &pmds.trouble {
        tracing::error!(
            "{why}; the CPUs of the configuration are used instead; set others with: shuntctl pmd set --cpus"
        );
    }
    let memory_mib = u64::from(memory.unwrap_or(config.datapath.memory_mib));
    if let Err(e) = dpdk::log::redirect() {
        tracing::warn!("DPDK's log goes to standard error: {e}");
    }
    let eal = Eal::init(EalConfig { memory_mib, pci_allow: config.datapath.pci.clone(), ..EalConfig::default() })
        .map_err(|source| DaemonError::Eal { source, said: dpdk::log::take().pop() })?;
    let pool_config = MempoolConfig { size: config.datapath.mbufs, ..MempoolConfig::default() };
    let pool = Mempool::new(eal, "packets", pool_config).map_err(|e| match e {
        dpdk::MempoolError::NoMemory { size, need, have, .. } => {
            DaemonError::Memory { mbufs: size, need: need.div_ceil(1 << 20), have: have >> 20, memory: memory_mib }
        }
        other => DaemonError::Mempool(other),
    })?;
    let virtual_clock = mock.is_some_and(|m| m.lockstep).then(|| Arc::new(VirtualClock::default()));
    let clock: Arc<dyn Clock> = match &virtual_clock {
        Some(clock) => clock.clone(),
        None => Arc::new(MonotonicClock::default()),
    };
    let (nic, mock_nic) = match mock {
        None => (Nic::host(), None),
        Some(args) => {
            let (side, nic) = MockSide::new(eal, &pool, args, nic::mock_buffers(&config.datapath))?;
            (Nic::mocked(side)?, Some(nic))
        }
    };
    let backend: Option<Box<dyn Backend>> = mock_nic.as_ref().map(|nic| {
        let backend: Box<dyn Backend> = Box::new(offload::rte_flow::RteFlowBackend::new(Box::new(nic.rte_flow())));
        backend
    });
    let parts = Parts {
        eal,
        pool,
        clock,
        backend,
        datapath: datapath::Config {
            flow_limit: config.datapath.flow_limit,
            idle: Duration::from_millis(config.datapath.max_idle_ms),
            miss_budget: config.datapath.miss_budget,
            ..datapath::Config::default()
        },
        pipeline: pipeline::Config::default(),
        mtu: mock.map(|_| MockSide::mtu()),
    };
    let switch = Switch::with_pmds(parts, &pmds.now.spots())?;
    match (virtual_clock, mock_nic) {
        (Some(clock), Some(nic)) => switch.drive(Driver::Lockstep(Lockstep::new(&switch, nic, clock))),
        (_, nic) => switch.drive(Driver::threads(&switch, nic)?),
    }
    let control = Control::new(switch, nic, store).with_pmds(pmds);
    control.converge_mock()?;
    control.restore(desired)?;
    Ok(control)
}
