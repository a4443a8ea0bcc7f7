//! Commands that go on until they are interrupted, and have something to put in order then.

use crate::error::{Error, Result};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::runtime::{Builder, Runtime};
use tokio::signal::unix::{SignalKind, signal};

/// What a shell shows for a program that this signal ended.
const ENDED_BY: i32 = 128;

/// Notes SIGINT and SIGTERM, which end nothing by themselves from now on. A second one does: the daemon may not answer.
#[derive(Debug)]
pub struct Interrupt {
    told: Arc<AtomicBool>,
    /// Its thread is told of signals.
    _runtime: Runtime,
}

impl Interrupt {
    /// Note signals from now on.
    pub fn new() -> Result<Interrupt> {
        let failed = |e: std::io::Error| Error::Signal(e.to_string());
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_io().build().map_err(failed)?;
        let told = Arc::new(AtomicBool::new(false));
        let within = runtime.enter();
        for kind in [SignalKind::interrupt(), SignalKind::terminate()] {
            let (mut signals, told) = (signal(kind).map_err(failed)?, Arc::clone(&told));
            runtime.spawn(async move {
                while signals.recv().await.is_some() {
                    if told.swap(true, Ordering::Relaxed) {
                        std::process::exit(ENDED_BY + kind.as_raw_value());
                    }
                }
            });
        }
        drop(within);
        Ok(Interrupt { told, _runtime: runtime })
    }

    /// Whether a signal came.
    pub fn is_told(&self) -> bool {
        self.told.load(Ordering::Relaxed)
    }
}
