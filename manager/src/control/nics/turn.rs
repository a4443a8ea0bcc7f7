//! One change of a NIC at a time.

use api::{Error, ErrorKind};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// How long a change waits for another one. A change may take longer than that: whoever waits is told.
const PATIENCE: Duration = Duration::from_secs(20);

/// Who has the turn.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// What is being changed.
    taken: Mutex<Option<String>>,
    given_back: Condvar,
    count: AtomicU64,
}

/// The turn; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Turn<'a>(&'a Turns);

impl Turns {
    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Wait for the turn.
    pub(super) fn take(&self, object: &str) -> Result<Turn<'_>, Error> {
        let waited = self.given_back.wait_timeout_while(self.lock(), PATIENCE, |taken| taken.is_some());
        let (mut taken, _) = waited.unwrap_or_else(PoisonError::into_inner);
        if let Some(other) = &*taken {
            let message = format!("{other} is being changed, which takes the kernel its time");
            return Err(Error::new(ErrorKind::Conflict, object, message).remedy("try again; see: shuntctl nic list"));
        }
        *taken = Some(object.to_owned());
        self.count.fetch_add(1, Ordering::AcqRel);
        Ok(Turn(self))
    }

    /// A change of our own that needs no turn: what is heard of it is not somebody else's.
    pub(super) fn changed(&self) {
        self.count.fetch_add(1, Ordering::AcqRel);
    }

    /// How many turns there were so far, that which is taken included.
    pub(super) fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire)
    }

    /// What is being changed.
    pub(super) fn now(&self) -> Option<String> {
        self.lock().clone()
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        *self.0.lock() = None;
        self.0.given_back.notify_one();
    }
}
