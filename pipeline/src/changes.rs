//! What has changed since the datapath last asked.

use flow::dp::Dep;
use parking_lot::Mutex;
use std::collections::HashSet;

/// Each changed thing once. Written after the change can be seen, so that whoever takes it sees the change.
#[derive(Debug, Default)]
pub(crate) struct Changes(Mutex<HashSet<Dep>>);

impl Changes {
    pub(crate) fn add(&self, deps: impl IntoIterator<Item = Dep>) {
        self.0.lock().extend(deps);
    }

    pub(crate) fn take(&self, into: &mut Vec<Dep>) {
        let taken = std::mem::take(&mut *self.0.lock());
        into.extend(taken);
    }
}
