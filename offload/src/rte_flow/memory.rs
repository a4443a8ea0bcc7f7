//! What a backend knows of its rules, for the backend after it.

use super::backend::Stored;
use super::tables::Engine;
use crate::numbered::Numbered;
use hashbrown::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The rules that a backend put in, by their keys. rte_flow rules carry no cookie, and die with their process; where an engine is
/// started anew in the same process around a device that kept running, the next backend gets this and adopts what the device still
/// holds. Clones are the same memory.
#[derive(Clone, Debug, Default)]
pub struct RteFlowMemory {
    rules: Arc<Mutex<Numbered<Stored>>>,
    /// Template engines and their tables, while no backend has them.
    engines: Arc<Mutex<HashMap<u16, Option<Engine>>>>,
}

impl RteFlowMemory {
    pub(super) fn lock(&self) -> MutexGuard<'_, Numbered<Stored>> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn engines(&self) -> MutexGuard<'_, HashMap<u16, Option<Engine>>> {
        self.engines.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rules in it.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}
