//! Groups.

use super::super::scene::{Bucket, Group};
use super::{Generator, Promise};

impl Generator {
    /// Groups 1 to n; buckets may send to groups with a lower number.
    pub(super) fn groups(&mut self) -> Vec<Group> {
        (1..=1 + self.rng.below(4) as u32).map(|id| self.group(id)).collect()
    }

    fn group(&mut self, id: u32) -> Group {
        self.groups = id - 1;
        let kind = self.rng.pick(&["all", "all", "indirect", "ff", "ff", "select", "select"]);
        let selection = match kind {
            "select" if self.recirculates => self.rng.pick(&["hash,fields(eth_src)", "dp_hash", ""]),
            "select" => self.rng.pick(&["hash,fields(ip_src,ip_dst)", "hash,fields(eth_src)"]),
            _ => "",
        };
        let buckets = if kind == "indirect" { 1 } else { 1 + self.rng.below(3) };
        let buckets = (0..buckets).map(|_| self.bucket(kind)).collect();
        Group { id, kind, selection, buckets }
    }

    fn bucket(&mut self, kind: &str) -> Bucket {
        let mut bucket = Bucket::default();
        match kind {
            "select" => bucket.weight = Some(self.rng.pick(&[1, 1, 2, 0])),
            // Port 999 is not there, so not live.
            "ff" if self.rng.percent(75) || self.groups == 0 => {
                bucket.watch_port = Some(if self.rng.percent(40) { 999 } else { self.port() });
            }
            "ff" => bucket.watch_group = Some(1 + self.rng.below(self.groups as usize) as u32),
            _ => {}
        }
        let mut promise = Promise { nested: true, ..Promise::default() };
        bucket.actions = self.set(&mut promise);
        bucket
    }
}
