//! Points at which a test lets the daemon end, as by kill -9.
//!
//! `SHUNT_FAILPOINT=nic-boundary:3` ends it at the third boundary of changes of NICs that it comes to; `nic-boundary:0` never, but all are
//! told on standard error with their numbers: so a test learns how many there are. With `nic-boundary:/PATH` the
//! number is what the file says when a boundary is reached, counted from the first one that found the file: so a
//! daemon that runs can be told. Boundaries are: what is desired is on disk; ports are off; before a step of the
//! kernel, after its request, after it was seen to be done; ports are back. Only builds with debug assertions have
//! them.

use std::fmt::Display;

/// The environment variable.
pub const VARIABLE: &str = "SHUNT_FAILPOINT";

/// A boundary of a change of a NIC.
pub fn nic_boundary(what: impl Display) {
    #[cfg(debug_assertions)]
    armed::reach(&what);
    #[cfg(not(debug_assertions))]
    let _ = what;
}

#[cfg(debug_assertions)]
mod armed {
    use std::fmt::Display;
    use std::path::PathBuf;
    use std::sync::OnceLock;
    use std::sync::atomic::{AtomicU64, Ordering};

    /// Where it says at which boundary to end.
    enum End {
        At(u64),
        AsTold(PathBuf),
    }

    impl End {
        fn parse(value: &str) -> Option<End> {
            let end = value.strip_prefix("nic-boundary:")?;
            if end.starts_with('/') { Some(End::AsTold(end.into())) } else { end.parse().ok().map(End::At) }
        }

        fn number(&self) -> Option<u64> {
            match self {
                End::At(n) => Some(*n),
                End::AsTold(file) => std::fs::read_to_string(file).ok()?.trim().parse().ok(),
            }
        }
    }

    pub(super) fn reach(what: &dyn Display) {
        static END: OnceLock<Option<End>> = OnceLock::new();
        static REACHED: AtomicU64 = AtomicU64::new(0);
        let end = END.get_or_init(|| End::parse(&std::env::var(super::VARIABLE).ok()?));
        let Some(end) = end.as_ref().and_then(End::number) else {
            REACHED.store(0, Ordering::Relaxed);
            return;
        };
        let now = REACHED.fetch_add(1, Ordering::Relaxed) + 1;
        eprintln!("failpoint nic-boundary:{now}: {what}");
        if now == end {
            use rustix::process::{Signal, getpid, kill_process};
            // A signal to ourselves can be sent.
            let _ = kill_process(getpid(), Signal::KILL);
            loop {
                std::thread::park();
            }
        }
    }
}
