//! What a device is asked for while its port is open: counters, link, addresses, MTU, metadata.

use super::{FlowControl, Link, Phase, Port, PortError, PortStats, RxMetadata};
use crate::errno::Errno;

impl Port {
    /// Counters since the last reset.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn stats(&self) -> Result<PortStats, PortError> {
        // SAFETY: plain data, all-zero is valid.
        let mut s: dpdk_sys::rte_eth_stats = unsafe { std::mem::zeroed() };
        // SAFETY: the port is open, `s` is writable.
        self.check("rte_eth_stats_get", unsafe { dpdk_sys::rte_eth_stats_get(self.0.id, &mut s) })?;
        Ok(PortStats {
            rx_packets: s.ipackets,
            tx_packets: s.opackets,
            rx_bytes: s.ibytes,
            tx_bytes: s.obytes,
            rx_missed: s.imissed,
            rx_errors: s.ierrors,
            tx_errors: s.oerrors,
            rx_no_buffer: s.rx_nombuf,
        })
    }

    /// Sets the counters to zero.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn reset_stats(&self) -> Result<(), PortError> {
        // SAFETY: the port is open.
        self.check("rte_eth_stats_reset", unsafe { dpdk_sys::rte_eth_stats_reset(self.0.id) })
    }

    /// The driver's own counters by name, beside those of [`Port::stats`], in its order.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn xstats(&self) -> Result<Vec<(String, u64)>, PortError> {
        let fail = |operation, errno| self.error(operation, errno);
        // The number may change between the calls: asked again until it does not.
        for _ in 0..4 {
            // SAFETY: the port is open; a null array of 0 asks for the number.
            let count = unsafe { dpdk_sys::rte_eth_xstats_get_names(self.0.id, std::ptr::null_mut(), 0) };
            let count = Errno::check(count).map_err(|e| fail("rte_eth_xstats_get_names", e))?;
            let mut names = vec![dpdk_sys::rte_eth_xstat_name { name: [0; 64] }; count as usize];
            let mut values = vec![dpdk_sys::rte_eth_xstat { id: 0, value: 0 }; count as usize];
            // SAFETY: the arrays have `count` entries.
            let (named, valued) = unsafe {
                (
                    dpdk_sys::rte_eth_xstats_get_names(self.0.id, names.as_mut_ptr(), count),
                    dpdk_sys::rte_eth_xstats_get(self.0.id, values.as_mut_ptr(), count),
                )
            };
            let named = Errno::check(named).map_err(|e| fail("rte_eth_xstats_get_names", e))?;
            let valued = Errno::check(valued).map_err(|e| fail("rte_eth_xstats_get", e))?;
            if named > count || valued > count {
                continue;
            }
            let text = |name: &[std::ffi::c_char; 64]| -> String {
                name.iter().take_while(|c| **c != 0).map(|c| char::from(*c as u8)).collect()
            };
            let of = |v: &dpdk_sys::rte_eth_xstat| names.get(v.id as usize).map(|n| (text(&n.name), v.value));
            return Ok(values[..valued as usize].iter().filter_map(of).collect());
        }
        Err(fail("rte_eth_xstats_get", Errno::EAGAIN))
    }

    /// Pause frames as they are; `None` when the driver has no notion of them.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn flow_control(&self) -> Result<Option<FlowControl>, PortError> {
        Ok(self.raw_flow_control()?.map(|raw| FlowControl {
            rx: matches!(raw.mode, dpdk_sys::RTE_ETH_FC_RX_PAUSE | dpdk_sys::RTE_ETH_FC_FULL),
            tx: matches!(raw.mode, dpdk_sys::RTE_ETH_FC_TX_PAUSE | dpdk_sys::RTE_ETH_FC_FULL),
            autoneg: raw.autoneg != 0,
        }))
    }

    fn raw_flow_control(&self) -> Result<Option<dpdk_sys::rte_eth_fc_conf>, PortError> {
        // SAFETY: plain data, all-zero is valid.
        let mut raw: dpdk_sys::rte_eth_fc_conf = unsafe { std::mem::zeroed() };
        // SAFETY: the port is open, `raw` is writable.
        match Errno::check(unsafe { dpdk_sys::rte_eth_dev_flow_ctrl_get(self.0.id, &mut raw) }) {
            Ok(_) => Ok(Some(raw)),
            Err(Errno::ENOTSUP | Errno::ENOSYS) => Ok(None),
            Err(errno) => Err(self.error("rte_eth_dev_flow_ctrl_get", errno)),
        }
    }

    /// Sets pause frames; thresholds stay the driver's.
    ///
    /// # Errors
    /// [`PortError::Unsupported`], [`PortError::Device`].
    pub fn set_flow_control(&self, wish: FlowControl) -> Result<(), PortError> {
        let _serialised = self.control();
        let Some(mut raw) = self.raw_flow_control()? else {
            return Err(self.unsupported(&self.info()?, "flow control".to_owned()));
        };
        raw.mode = match (wish.rx, wish.tx) {
            (false, false) => dpdk_sys::RTE_ETH_FC_NONE,
            (true, false) => dpdk_sys::RTE_ETH_FC_RX_PAUSE,
            (false, true) => dpdk_sys::RTE_ETH_FC_TX_PAUSE,
            (true, true) => dpdk_sys::RTE_ETH_FC_FULL,
        };
        raw.autoneg = wish.autoneg.into();
        // SAFETY: the port is open, `raw` is only read.
        self.check("rte_eth_dev_flow_ctrl_set", unsafe { dpdk_sys::rte_eth_dev_flow_ctrl_set(self.0.id, &mut raw) })
    }

    /// The link's state, without waiting for it.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn link(&self) -> Result<Link, PortError> {
        let mut link = dpdk_sys::dpdk_shim_link::default();
        // SAFETY: the port is open, `link` is writable.
        self.check("rte_eth_link_get_nowait", unsafe { dpdk_sys::dpdk_shim_link_get(self.0.id, &mut link) })?;
        Ok(Link {
            up: link.up,
            speed_mbps: Some(link.speed_mbps).filter(|s| *s != 0 && *s != u32::MAX),
            full_duplex: link.full_duplex,
            autoneg: link.autoneg,
        })
    }

    /// The NUMA node of the device; `None` when it has none or DPDK does not know it.
    pub fn numa_node(&self) -> Option<u32> {
        // SAFETY: the port is open.
        u32::try_from(unsafe { dpdk_sys::rte_eth_dev_socket_id(self.0.id) }).ok()
    }

    /// The MAC address.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn mac(&self) -> Result<[u8; 6], PortError> {
        let mut mac = dpdk_sys::rte_ether_addr::default();
        // SAFETY: the port is open, `mac` is writable.
        self.check("rte_eth_macaddr_get", unsafe { dpdk_sys::rte_eth_macaddr_get(self.0.id, &mut mac) })?;
        Ok(mac.addr_bytes)
    }

    /// The MTU in bytes.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn mtu(&self) -> Result<u16, PortError> {
        let mut mtu = 0;
        // SAFETY: the port is open, `mtu` is writable.
        self.check("rte_eth_dev_get_mtu", unsafe { dpdk_sys::rte_eth_dev_get_mtu(self.0.id, &mut mtu) })?;
        Ok(mtu)
    }

    /// Sets the MTU; some drivers want the port stopped.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn set_mtu(&self, mtu: u16) -> Result<(), PortError> {
        let mut control = self.control();
        // SAFETY: the port is open.
        self.check("rte_eth_dev_set_mtu", unsafe { dpdk_sys::rte_eth_dev_set_mtu(self.0.id, mtu) })?;
        if let Some(setup) = &mut control.setup {
            setup.mtu = mtu;
        }
        Ok(())
    }

    /// Tells the driver which flow metadata will be read from packets, before [`Port::configure`]; returns what it will deliver.
    /// A driver without negotiation (ENOTSUP) delivers what its rules leave, so the wish comes back unchanged.
    ///
    /// # Errors
    /// [`PortError::State`] when it comes too late, [`PortError::Device`].
    pub fn negotiate_rx_metadata(&self, wish: RxMetadata) -> Result<RxMetadata, PortError> {
        let mut control = self.control();
        if control.phase != Phase::Attached {
            return Err(self.state("configured already", "negotiate metadata before the port is configured"));
        }
        let mut features = wish.bits();
        // SAFETY: the port is open, `features` is writable.
        let granted = match Errno::check(unsafe { dpdk_sys::rte_eth_rx_metadata_negotiate(self.0.id, &mut features) }) {
            Ok(_) => RxMetadata::from_bits_truncate(features),
            Err(Errno::ENOTSUP) => wish,
            Err(errno) => return Err(self.error("rte_eth_rx_metadata_negotiate", errno)),
        };
        control.metadata = Some(granted);
        Ok(granted)
    }

    /// What [`Port::negotiate_rx_metadata`] came to; `None`: nobody asked.
    #[must_use]
    pub fn rx_metadata(&self) -> Option<RxMetadata> {
        self.control().metadata
    }

    /// The port through which transfer rules of this port must go (`rte_flow_pick_transfer_proxy`); itself if the driver has none.
    ///
    /// # Errors
    /// [`PortError::Device`].
    pub fn transfer_proxy(&self) -> Result<u16, PortError> {
        let mut proxy = self.0.id;
        // SAFETY: the port is open, `proxy` is writable, a null error is allowed.
        let ret = unsafe { dpdk_sys::rte_flow_pick_transfer_proxy(self.0.id, &mut proxy, std::ptr::null_mut()) };
        match Errno::check(ret) {
            Ok(_) => Ok(proxy),
            Err(Errno::ENOTSUP | Errno::ENOSYS) => Ok(self.0.id),
            Err(errno) => Err(self.error("rte_flow_pick_transfer_proxy", errno)),
        }
    }
}
