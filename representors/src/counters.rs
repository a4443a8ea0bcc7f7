//! Counters of VFs, from both sides.

use devlink_rs::DeviceId;
use netlink::{Error, LinkDetail, LinkStats, VfStats};

use crate::{error::ObserveError, kernel::Kernel};

const EMSGSIZE: i32 = 90;

/// What was counted for a VF.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct VfCounters {
    /// VF number.
    pub vf: u16,
    /// By the PF's driver: all that the VF received and sent, hardware's forwarding included. `None` when the driver
    /// does not count.
    pub function: Option<VfStats>,
    /// By its representor: what software sent to the VF (`tx`) and got from it (`rx`), so what no rule in hardware
    /// forwarded. With some drivers (mlx5) it has the function's counters, seen from the other side.
    pub representor: Option<LinkStats>,
}

impl Kernel {
    /// The counters of all VFs of a PF.
    ///
    /// # Errors
    /// As [`Kernel::nic`].
    pub fn vf_counters(&mut self, device: &DeviceId) -> Result<Vec<VfCounters>, ObserveError> {
        let nic = self.nic(device)?;
        let uplink = nic.uplink.as_ref().and_then(|u| u.netdev.as_ref());
        let infos = match uplink {
            Some(dev) => match self.links.get_with(dev.ifindex, LinkDetail { vfs: true, vf_stats: true }) {
                Ok(link) => link.vfs,
                // The list of very many VFs does not fit into an attribute (64 KiB): the kernel refuses it, or cuts it.
                Err(e) if e.errno() == Some(EMSGSIZE) || matches!(e, Error::Malformed { .. }) => Vec::new(),
                Err(e) => return Err(e.into()),
            },
            None => Vec::new(),
        };
        let mut all = Vec::new();
        for vf in &nic.vfs {
            let function = infos.iter().find(|i| i.vf == u32::from(vf.index)).and_then(|i| i.stats);
            let representor = match nic.vf_representor(vf.index).and_then(|r| r.netdev.as_ref()) {
                Some(dev) => self.links.get(dev.ifindex)?.stats,
                None => None,
            };
            all.push(VfCounters { vf: vf.index, function, representor });
        }
        Ok(all)
    }
}
