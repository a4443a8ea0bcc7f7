//! The environment abstraction layer: DPDK's once-per-process initialisation.

use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, OnceLock, PoisonError};

use crate::errno::Errno;
use crate::hugepages::{available_mib, free_hugepage_mib};

/// Which memory DPDK lives in.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HugePages {
    /// Huge pages if enough are free, ordinary pages otherwise.
    #[default]
    Auto,
    /// Huge pages, or an error that says how many are missing.
    Require,
    /// Ordinary pages (`--no-huge`): no privileges, no device that does DMA by physical address.
    Never,
}

/// DPDK's log threshold; its log goes to standard error and syslog.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogLevel {
    /// `RTE_LOG_CRIT` and worse.
    Critical = 3,
    /// `RTE_LOG_ERR` and worse.
    #[default]
    Error = 4,
    /// `RTE_LOG_WARNING` and worse.
    Warning = 5,
    /// `RTE_LOG_NOTICE` and worse.
    Notice = 6,
    /// `RTE_LOG_INFO` and worse.
    Info = 7,
    /// Everything.
    Debug = 8,
}

/// How to initialise DPDK.
#[derive(Clone, Debug)]
pub struct EalConfig {
    /// Memory for pools, rings and devices, in MiB. Without huge pages it is fixed here: later ports and pools must fit in.
    pub memory_mib: u64,
    /// Which pages.
    pub huge_pages: HugePages,
    /// PCI devices that may be probed (`0000:03:00.0`, with devargs if needed). Empty: no PCI bus scan at all (`--no-pci`).
    pub pci_allow: Vec<String>,
    /// Log threshold.
    pub log_level: LogLevel,
    /// Further arguments, passed as they are.
    pub extra_args: Vec<String>,
}

impl Default for EalConfig {
    fn default() -> Self {
        EalConfig {
            memory_mib: 512,
            huge_pages: HugePages::Auto,
            pci_allow: Vec::new(),
            log_level: LogLevel::default(),
            extra_args: Vec::new(),
        }
    }
}

/// Why DPDK could not be initialised.
#[derive(Debug, Clone, thiserror::Error, PartialEq, Eq)]
pub enum EalError {
    /// `rte_eal_init` works once per process.
    #[error("DPDK is already initialised in this process; use the Eal that Eal::init returned")]
    AlreadyInitialised,
    /// An earlier attempt failed; DPDK does not support another one.
    #[error("DPDK failed to initialise earlier in this process; restart the process")]
    FailedEarlier,
    /// Huge pages were required and there are too few.
    #[error(
        "DPDK needs {need_mib} MiB of huge pages and {have_mib} MiB are free; \
         reserve more (/proc/sys/vm/nr_hugepages) or lower the memory"
    )]
    NotEnoughHugePages {
        /// Asked for.
        need_mib: u64,
        /// Free now, over all page sizes.
        have_mib: u64,
    },
    /// Ordinary memory is short.
    #[error("DPDK needs {need_mib} MiB of memory and {have_mib} MiB are available; free some or lower the memory")]
    NotEnoughMemory {
        /// Asked for.
        need_mib: u64,
        /// Available now (MemAvailable, within the control group's limit).
        have_mib: u64,
    },
    /// An argument cannot be passed to C.
    #[error("EAL argument {arg:?} holds a NUL byte; remove it")]
    BadArgument {
        /// The argument.
        arg: String,
    },
    /// `rte_eal_init` refused.
    #[error("rte_eal_init({args}) failed: {errno}; DPDK's log has the details")]
    Init {
        /// The arguments, for the operator to try with dpdk-testpmd.
        args: String,
        /// The reason.
        errno: Errno,
    },
    /// The thread for the initialisation could not be started or died.
    #[error("the thread that initialises DPDK failed: {reason}")]
    Thread {
        /// What happened.
        reason: String,
    },
}

/// The initialised environment: proof that DPDK may be called. It lives until the process ends.
#[derive(Debug)]
pub struct Eal {
    huge: bool,
    memory_mib: u64,
    args: Vec<String>,
}

static EAL: OnceLock<Eal> = OnceLock::new();
/// Holds whether an attempt was made: `rte_eal_init` refuses a second one, even after a failure.
static ATTEMPTED: Mutex<bool> = Mutex::new(false);

impl Eal {
    /// Initialises DPDK, once per process.
    ///
    /// Known causes of `rte_panic` (a lack of memory) are checked first. The work is done on a short-lived thread, because EAL pins
    /// the thread that calls it to one CPU and makes it lcore 0.
    ///
    /// # Errors
    /// [`EalError`]; after [`EalError::Init`] only a new process can try again.
    pub fn init(config: EalConfig) -> Result<&'static Eal, EalError> {
        let mut attempted = ATTEMPTED.lock().unwrap_or_else(PoisonError::into_inner);
        if EAL.get().is_some() {
            return Err(EalError::AlreadyInitialised);
        }
        if *attempted {
            return Err(EalError::FailedEarlier);
        }
        let need_mib = config.memory_mib;
        let have_huge = free_hugepage_mib();
        let huge = match config.huge_pages {
            HugePages::Never => false,
            HugePages::Auto => have_huge >= need_mib,
            HugePages::Require if have_huge < need_mib => {
                return Err(EalError::NotEnoughHugePages { need_mib, have_mib: have_huge });
            }
            HugePages::Require => true,
        };
        if !huge && let Some(have_mib) = available_mib().filter(|have| *have < need_mib) {
            return Err(EalError::NotEnoughMemory { need_mib, have_mib });
        }

        let args = arguments(&config, huge);
        let c_args = args
            .iter()
            .map(|a| CString::new(a.as_str()).map_err(|_| EalError::BadArgument { arg: a.clone() }))
            .collect::<Result<Vec<_>, _>>()?;
        *attempted = true;
        let result = std::thread::Builder::new()
            .name("dpdk-init".into())
            .spawn(move || call_init(c_args))
            .map_err(|e| EalError::Thread { reason: e.to_string() })?
            .join()
            .map_err(|_| EalError::Thread { reason: "it panicked".into() })?;
        result.map_err(|errno| EalError::Init { args: args.join(" "), errno })?;
        Ok(EAL.get_or_init(|| Eal { huge, memory_mib: need_mib, args }))
    }

    /// The environment, if [`Eal::init`] succeeded in this process.
    pub fn get() -> Option<&'static Eal> {
        EAL.get()
    }

    /// Whether DPDK's memory is in huge pages.
    pub fn uses_huge_pages(&self) -> bool {
        self.huge
    }

    /// The memory asked for, in MiB.
    pub fn memory_mib(&self) -> u64 {
        self.memory_mib
    }

    /// The arguments `rte_eal_init` was given.
    pub fn args(&self) -> &[String] {
        &self.args
    }

    /// Free and total bytes of DPDK's heap, over all NUMA nodes.
    pub fn heap(&self) -> (u64, u64) {
        heap_bytes()
    }
}

pub(crate) fn heap_bytes() -> (u64, u64) {
    let (mut free, mut total) = (0, 0);
    for socket in 0..8 {
        let mut stats = dpdk_sys::rte_malloc_socket_stats::default();
        // SAFETY: `stats` is writable; an unknown socket is answered with an error.
        if unsafe { dpdk_sys::rte_malloc_get_socket_stats(socket, &mut stats) } == 0 {
            free += stats.heap_freesz_bytes as u64;
            total += stats.heap_totalsz_bytes as u64;
        }
    }
    (free, total)
}

fn arguments(config: &EalConfig, huge: bool) -> Vec<String> {
    let cpus = allowed_cpus();
    let mut args = vec![
        "shunt".to_owned(),
        // One lcore, floating over all CPUs: the threads that work are our own, registered later.
        format!("--lcores=0@({cpus})"),
        "--no-telemetry".into(),
        format!("--file-prefix=shunt{}", std::process::id()),
        format!("--log-level={}", config.log_level as u32),
    ];
    // Either way nothing is shared with other processes and no file is left behind (--no-huge excludes --in-memory).
    if huge {
        args.push("--in-memory".into());
    } else {
        args.extend(["--no-shconf", "--no-huge", "--iova-mode=va"].map(str::to_owned));
    }
    args.push("-m".into());
    args.push(config.memory_mib.to_string());
    if config.pci_allow.is_empty() {
        args.push("--no-pci".into());
    }
    for pci in &config.pci_allow {
        args.push("-a".into());
        args.push(pci.clone());
    }
    args.extend(config.extra_args.iter().cloned());
    args
}

/// The CPUs this process may use, in EAL's list syntax; EAL dies on a CPU outside of them.
fn allowed_cpus() -> String {
    let set = rustix::thread::sched_getaffinity(None).unwrap_or_else(|_| {
        let mut only_first = rustix::thread::CpuSet::new();
        only_first.set(0);
        only_first
    });
    let cpus: Vec<String> =
        (0..rustix::thread::CpuSet::MAX_CPU).filter(|cpu| set.is_set(*cpu)).map(|cpu| cpu.to_string()).collect();
    cpus.join(",")
}

fn call_init(args: Vec<CString>) -> Result<(), Errno> {
    // EAL keeps pointers to the strings and getopt permutes the array: both are given away for good.
    let mut argv: Vec<*mut c_char> = args.into_iter().map(CString::into_raw).collect();
    argv.push(std::ptr::null_mut());
    let argv: &'static mut [*mut c_char] = argv.leak();
    let argc = i32::try_from(argv.len() - 1).map_err(|_| Errno::EINVAL)?;
    // SAFETY: argv has argc strings and a null, all live for ever and writable; the once-only rule is kept by the caller.
    let ret = unsafe { dpdk_sys::rte_eal_init(argc, argv.as_mut_ptr()) };
    if ret < 0 {
        return Err(Errno::last());
    }
    // Nothing is kept in it without shared configuration: do not leave one empty folder a process behind.
    // SAFETY: returns EAL's own static string.
    let dir = unsafe { dpdk_sys::rte_eal_get_runtime_dir() };
    if !dir.is_null() {
        // SAFETY: NUL-terminated, set up by rte_eal_init above.
        let dir = unsafe { CStr::from_ptr(dir) }.to_string_lossy().into_owned();
        let _ = std::fs::remove_dir(dir);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing;

    #[test]
    fn init_works_once_and_leaves_the_caller_unpinned() {
        let before = rustix::thread::sched_getaffinity(None).unwrap();
        let eal = testing::eal();
        let after = rustix::thread::sched_getaffinity(None).unwrap();
        assert!(before == after, "EAL changed the caller's affinity");
        assert!(!eal.uses_huge_pages());
        assert_eq!(Eal::init(EalConfig::default()).unwrap_err(), EalError::AlreadyInitialised);
        let (free, total) = eal.heap();
        assert!(free <= total && total >= eal.memory_mib() << 19, "{free} of {total}");
    }

    #[test]
    fn asking_for_more_than_there_is_is_an_error_not_a_panic() {
        // The check comes before the attempt, so this is safe whichever test initialises first.
        let config = EalConfig { memory_mib: 1 << 40, huge_pages: HugePages::Never, ..EalConfig::default() };
        match Eal::init(config) {
            Err(EalError::NotEnoughMemory { need_mib, have_mib }) => assert!(need_mib == 1 << 40 && have_mib > 0),
            Err(EalError::AlreadyInitialised) => {}
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn arguments_name_memory_and_bus() {
        let config = EalConfig { memory_mib: 64, ..EalConfig::default() };
        let args = arguments(&config, false).join(" ");
        assert!(args.contains("--no-huge --iova-mode=va -m 64 --no-pci"), "{args}");
        let config = EalConfig { pci_allow: vec!["0000:03:00.0".into()], ..config };
        let args = arguments(&config, true).join(" ");
        assert!(args.contains("-a 0000:03:00.0") && !args.contains("--no-pci"), "{args}");
        assert!(!args.contains("--no-huge"), "{args}");
    }
}
