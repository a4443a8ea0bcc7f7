//! Setting a port up: queues, descriptors, MTU, offloads.

use super::{Phase, Port, PortConfig, PortError, PortInfo, PortSetup, RxOffloads, TxOffloads};
use crate::errno::Errno;
use crate::mempool::{DEFAULT_DATA_ROOM, HEADROOM, Mempool};
use std::sync::PoisonError;

/// Descriptors a queue when nothing is asked for.
const DESCRIPTORS: u16 = 1024;
/// MTU of Ethernet (IEEE 802.3), DPDK's `RTE_ETHER_MTU`.
const DEFAULT_MTU: u16 = 1500;
/// Bytes of a frame above its MTU: Ethernet header, two VLAN tags, FCS.
const FRAME_OVERHEAD: usize = 14 + 8 + 4;

impl Port {
    /// Sets queues, MTU and offloads up, with buffers for received packets from `pool`. May be repeated while the port is stopped.
    ///
    /// # Errors
    /// [`PortError::Unsupported`], [`PortError::Descriptors`], [`PortError::Mtu`] and [`PortError::Buffers`] name what the device
    /// lacks, and nothing was changed then; [`PortError::State`] when the port runs; [`PortError::Device`].
    pub fn configure(&self, config: &PortConfig, pool: &Mempool) -> Result<(), PortError> {
        let mut control = self.control();
        if control.phase == Phase::Started {
            return Err(self.state("running", "stop it before it is configured"));
        }
        let raw = self.raw_info()?;
        let info = PortInfo::from_raw(&raw);
        for (asked, most, what) in [
            (config.rx_queues, info.max_rx_queues, "receive queues"),
            (config.tx_queues, info.max_tx_queues, "transmit queues"),
        ] {
            if asked > most {
                return Err(self.unsupported(&info, format!("{asked} {what} (it has {most})")));
            }
        }
        let missing = config.rx_offloads.difference(info.rx_offloads);
        if !missing.is_empty() {
            return Err(self.unsupported(&info, format!("receive offloads {missing:?}")));
        }
        let missing = config.tx_offloads.difference(info.tx_offloads);
        if !missing.is_empty() {
            return Err(self.unsupported(&info, format!("transmit offloads {missing:?}")));
        }

        for (queue, asked, limits) in [
            ("receive", config.rx_descriptors, info.rx_descriptors),
            ("transmit", config.tx_descriptors, info.tx_descriptors),
        ] {
            if let Some(asked) = asked.filter(|n| !limits.allows(*n)) {
                return Err(PortError::Descriptors {
                    name: self.0.name.clone(),
                    driver: info.driver,
                    queue,
                    asked,
                    min: limits.min.max(1),
                    max: if limits.max == 0 { u16::MAX } else { limits.max },
                    align: limits.align.max(1),
                });
            }
        }
        self.check_mtu(&info, config.mtu)?;
        if config.link_interrupt && !info.link_interrupt {
            return Err(self.unsupported(&info, "link interrupts".to_owned()));
        }
        let (rx_offloads, tx_offloads) = self.scatter(&info, config, pool)?;

        // SAFETY: plain data, all-zero is the default configuration.
        let mut conf: dpdk_sys::rte_eth_conf = unsafe { std::mem::zeroed() };
        conf.rxmode.offloads = rx_offloads.bits();
        conf.rxmode.mtu = config.mtu.map_or(0, u32::from);
        conf.txmode.offloads = tx_offloads.bits();
        conf.intr_conf.set_lsc(config.link_interrupt.into());
        conf.intr_conf.set_rmv(info.removal_interrupt.into());
        let spread = dpdk_sys::ETH_RSS_IP | dpdk_sys::ETH_RSS_TCP | dpdk_sys::ETH_RSS_UDP | dpdk_sys::ETH_RSS_SCTP;
        if config.rx_queues > 1 && info.rss_types & spread != 0 {
            conf.rxmode.mq_mode = dpdk_sys::RTE_ETH_MQ_RX_RSS;
            conf.rx_adv_conf.rss_conf.rss_hf = info.rss_types & spread;
        }
        control.phase = Phase::Attached;
        control.setup = None;
        // SAFETY: the port is open and stopped; `conf` is copied.
        self.check("rte_eth_dev_configure", unsafe {
            dpdk_sys::rte_eth_dev_configure(self.0.id, config.rx_queues, config.tx_queues, &conf)
        })?;

        let mut rx_desc = config.rx_descriptors.unwrap_or(DESCRIPTORS);
        let mut tx_desc = config.tx_descriptors.unwrap_or(DESCRIPTORS);
        // SAFETY: the numbers are writable; the driver's limits are applied to them.
        self.check("rte_eth_dev_adjust_nb_rx_tx_desc", unsafe {
            dpdk_sys::rte_eth_dev_adjust_nb_rx_tx_desc(self.0.id, &mut rx_desc, &mut tx_desc)
        })?;
        // SAFETY: the port is open.
        let socket = unsafe { dpdk_sys::rte_eth_dev_socket_id(self.0.id) } as u32;
        // Queues may point into the pool from here on, whatever fails later.
        control.pools.push(pool.clone());
        let mut rxconf = raw.default_rxconf;
        rxconf.offloads = conf.rxmode.offloads;
        for queue in 0..config.rx_queues {
            // SAFETY: the port is configured with this many queues; the pool is kept until the port is closed.
            self.check("rte_eth_rx_queue_setup", unsafe {
                dpdk_sys::rte_eth_rx_queue_setup(self.0.id, queue, rx_desc, socket, &rxconf, pool.as_ptr())
            })?;
        }
        let mut txconf = raw.default_txconf;
        txconf.offloads = conf.txmode.offloads;
        for queue in 0..config.tx_queues {
            // SAFETY: as above.
            self.check("rte_eth_tx_queue_setup", unsafe {
                dpdk_sys::rte_eth_tx_queue_setup(self.0.id, queue, tx_desc, socket, &txconf)
            })?;
        }
        if config.promiscuous {
            // SAFETY: the port is open. Drivers without the notion answer ENOTSUP and receive everything anyway.
            match Errno::check(unsafe { dpdk_sys::rte_eth_promiscuous_enable(self.0.id) }) {
                Ok(_) | Err(Errno::ENOTSUP | Errno::ENOSYS) => {}
                Err(errno) => return Err(self.error("rte_eth_promiscuous_enable", errno)),
            }
        }
        // All queues point into this pool now.
        control.pools = vec![pool.clone()];
        control.setup = Some(PortSetup {
            rx_queues: config.rx_queues,
            tx_queues: config.tx_queues,
            rx_descriptors: rx_desc,
            tx_descriptors: tx_desc,
            mtu: self.mtu()?,
            rx_offloads,
            tx_offloads,
            link_interrupt: config.link_interrupt,
            pool: pool.label().to_owned(),
            buffer: pool.frame_room(),
        });
        control.phase = Phase::Configured;
        Ok(())
    }

    /// What is in force, offloads among it; `None` before [`Port::configure`].
    #[must_use]
    pub fn setup(&self) -> Option<PortSetup> {
        self.control().setup.clone()
    }

    fn check_mtu(&self, info: &PortInfo, mtu: Option<u16>) -> Result<(), PortError> {
        let (min, max) = info.mtu_range;
        match mtu.filter(|mtu| !(min..=max).contains(mtu)) {
            Some(asked) => {
                Err(PortError::Mtu { name: self.0.name.clone(), driver: info.driver.clone(), asked, min, max })
            }
            None => Ok(()),
        }
    }

    /// The offloads asked for, and those that let a long frame lie in several buffers when one does not hold it.
    fn scatter(
        &self,
        info: &PortInfo,
        config: &PortConfig,
        pool: &Mempool,
    ) -> Result<(RxOffloads, TxOffloads), PortError> {
        let mtu = config.mtu.unwrap_or(DEFAULT_MTU.min(info.mtu_range.1));
        let (need, room) = (usize::from(mtu) + FRAME_OVERHEAD, usize::from(pool.frame_room()));
        let tx = config.tx_offloads | self.segments_needed(config, info, need);
        if need <= room || config.rx_queues == 0 {
            return Ok((config.rx_offloads, tx));
        }
        if info.rx_offloads.contains(RxOffloads::SCATTER) {
            return Ok((config.rx_offloads | RxOffloads::SCATTER, tx));
        }
        // Asked for nothing, the drivers without hardware take buffers of any size, as they always did.
        match config.mtu {
            None => Ok((config.rx_offloads, tx)),
            Some(_) => Err(PortError::Buffers {
                name: self.0.name.clone(),
                driver: info.driver.clone(),
                mtu,
                need,
                room,
                pool: pool.label().to_owned(),
            }),
        }
    }

    /// [`TxOffloads::MULTI_SEGS`] when the device has it and packets for the port may need it: it costs some drivers their vector
    /// code, so not for frames that fit the usual buffer, whichever pool they come from. Rings pass pointers: it
    /// costs them nothing.
    fn segments_needed(&self, config: &PortConfig, info: &PortInfo, frame: usize) -> TxOffloads {
        let rings = self.0.rings.lock().unwrap_or_else(PoisonError::into_inner);
        let long = config.mtu.is_some() && frame > usize::from(DEFAULT_DATA_ROOM - HEADROOM);
        if long || !rings.1.is_empty() { TxOffloads::MULTI_SEGS & info.tx_offloads } else { TxOffloads::empty() }
    }

    /// The transmit offloads that are on, [`TxOffloads::MULTI_SEGS`] among them when frames of its MTU are longer
    /// than the usual buffer and the device has it.
    pub fn tx_offloads(&self) -> TxOffloads {
        self.control().setup.as_ref().map_or(TxOffloads::empty(), |s| s.tx_offloads)
    }
}
