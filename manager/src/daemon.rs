//! From the command line to a running daemon and back.

use crate::args::{Args, MockArgs};
use crate::config::{Config, ConfigError};
use crate::control::{Control, NicWatch};
use crate::http::{self, ListenError};
use crate::memory;
use crate::nic::{self, CapabilitiesError, CapabilityFiles, Hardware, MockError, MockSide, Nic};
use crate::pmds::{AtStart, PmdSettingsError};
use crate::state::{Change, Desired, Store, StoreError};
use crate::switch::{Driver, Lockstep, Parts, Switch, SwitchError};
use datapath::memory::Pools;
use dpdk::{Eal, EalConfig, HugePages};
use flow::clock::{Clock, MonotonicClock, VirtualClock};
use offload::{Backend, RteFlowBackend};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// How often rules and addresses are looked at for their age, and devices whether they are there.
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
    #[error("datapath: {0}")]
    Memory(#[from] datapath::memory::MemoryError),
    #[error("configuration: {0}")]
    SharedMempools(#[from] datapath::memory::SharedConfigError),
    #[error(transparent)]
    Capabilities(#[from] CapabilitiesError),
    #[error(transparent)]
    Mock(#[from] MockError),
    #[error(transparent)]
    Switch(#[from] SwitchError),
    #[error(transparent)]
    Api(#[from] api::Error),
    #[error("{what}: {source}")]
    Io { what: &'static str, source: std::io::Error },
}

/// Answer a question for a plan of memory, without becoming a daemon: ports are those of the state file, when it is there and free.
pub fn plan_memory(args: &Args, ask: &str) -> Result<String, DaemonError> {
    let invalid = |e: serde_json::Error| api::Error::new(api::ErrorKind::Invalid, "memory plan", e);
    let ask: api::MemAsk = serde_json::from_str(ask).map_err(invalid)?;
    let config = Config::load(args.config.as_deref())?;
    let socket = api::socket_path(args.socket.clone().or_else(|| config.socket.clone()));
    let state = state_path(args, &config, &socket);
    let ports = if state.exists() {
        let (_store, desired) = Store::open(&state)?;
        desired.ports.into_values().map(|(_, port)| port).collect()
    } else {
        Vec::new()
    };
    let memory_mib = u64::from(args.memory.unwrap_or(config.datapath.memory_mib));
    let plan = memory::plan_offline(&config.datapath, memory_mib, &ports, &ask)?;
    Ok(serde_json::to_string(&plan).map_err(invalid)?)
}

/// Run until SIGINT or SIGTERM.
pub fn run(args: &Args) -> Result<(), DaemonError> {
    let mut config = Config::load(args.config.as_deref())?;
    config.nic.capabilities = args.capabilities.clone().or(config.nic.capabilities);
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
        let watching = tokio::spawn(watch_devices(control.clone()));
        let counting = tokio::spawn(count_punted(control.clone()));
        let balancing = tokio::spawn(balance(control.clone()));
        let nics = NicWatch::start(control.clone()).map_err(io("thread of NICs"))?;
        let stop = async move {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
        };
        http::serve(listener, control.clone(), stop).await;
        ageing.abort();
        watching.abort();
        counting.abort();
        balancing.abort();
        drop(nics);
        if args.flush {
            // It ends with the daemon only.
            let _ = tokio::task::spawn_blocking(move || control.flush_hardware()).await;
        }
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

/// Devices that go and come back. Setting one up may take long: nothing else waits for that.
async fn watch_devices(control: Arc<Control>) {
    let mut tick = tokio::time::interval(AGEING);
    tick.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        let control = control.clone();
        // It ends with the daemon only.
        let _ = tokio::task::spawn_blocking(move || control.watch_devices()).await;
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
            control.end_stale_captures();
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
    let files = CapabilityFiles::load(config.nic.capabilities.as_deref())?;
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
    // Several daemons with mock NICs would take huge pages from each other between counting and taking them.
    let huge_pages = if mock.is_some() { HugePages::Never } else { HugePages::Auto };
    let pci_allow = config.datapath.pci.clone();
    let eal = Eal::init(EalConfig { memory_mib, huge_pages, pci_allow, ..EalConfig::default() })
        .map_err(|source| DaemonError::Eal { source, said: dpdk::log::take().pop() })?;
    let large = eal.uses_huge_pages();
    let pools = Pools::start(eal, memory::settings(&config.datapath, large)?)?;
    let pool = pools.base();
    let virtual_clock = mock.is_some_and(|m| m.lockstep).then(|| Arc::new(VirtualClock::default()));
    let clock: Arc<dyn Clock> = match &virtual_clock {
        Some(clock) => clock.clone(),
        None => Arc::new(MonotonicClock::default()),
    };
    let (nic, mock_nic) = match mock {
        None => (Nic::host(config.datapath.takes_rules().then(|| Arc::new(Hardware::with_files(files)))), None),
        Some(args) => {
            let (side, nic) = MockSide::new(eal, &pool, args, nic::mock_buffers(&config.datapath), &files)?;
            (Nic::mocked(side), Some(nic))
        }
    };
    if let (Some(nic), Some(clock)) = (&mock_nic, &virtual_clock) {
        // Its meters and ages go by the switch's time.
        let clock = clock.clone();
        nic.handle().set_clock(move || clock.now().0);
    }
    let rte_flow: Option<Box<dyn rte_flow_rs::RteFlowApi>> = match (&mock_nic, nic.hardware()) {
        (Some(mock), _) => Some(Box::new(mock.rte_flow())),
        (None, Some(hardware)) => Some(Box::new(hardware.rte_flow())),
        (None, None) => None,
    };
    let idle = Duration::from_millis(config.datapath.max_idle_ms);
    // A rule that is idle for as long as a flow may be is read at once.
    let age = u32::try_from(idle.as_millis().div_ceil(1000)).unwrap_or(u32::MAX);
    let backend = rte_flow.map(|api| Box::new(RteFlowBackend::new(api).with_age(age)) as Box<dyn Backend>);
    // On disk before a rule carries it.
    let run = desired.run.next();
    store.submit(vec![Change::Run(run)]).wait()?;
    let desired = Desired { run, ..desired };
    let parts = Parts {
        eal,
        pool,
        clock,
        backend,
        datapath: datapath::Config {
            flow_limit: config.datapath.flow_limit,
            idle,
            miss_budget: config.datapath.miss_budget,
            ..datapath::Config::default()
        },
        pipeline: pipeline::Config::default(),
        mtu: mock.map(|_| MockSide::mtu()),
        cookie: run.into(),
    };
    let switch = Switch::with_pmds(parts, &pmds.now.spots())?;
    match (virtual_clock, mock_nic) {
        (Some(clock), Some(nic)) => switch.drive(Driver::Lockstep(Lockstep::new(&switch, nic, clock))),
        (_, nic) => switch.drive(Driver::threads(&switch, nic)?),
    }
    let control = Control::new(switch, nic, store).with_pools(pools).with_pmds(pmds).with_nics(config);
    control.converge_mock()?;
    control.restore(desired)?;
    Ok(control)
}
