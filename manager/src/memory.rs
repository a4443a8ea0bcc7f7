//! Memory for packets: from the configuration to pools, and to a plan of them.

use crate::config::DatapathConfig;
use api::{MemAsk, MemPlan, PlannedPool};
use datapath::memory::{self, PortNeed, Settings, SharedConfigError, formula};
use dpdk::Mempool;
use dpdk::hugepages::PageSize;

/// Buffers of a shared pool without huge pages, where DPDK's memory is fixed at the start (`memory_mib`), and beside a mock NIC.
const SMALL: u32 = 32_767;
const MIB: u64 = 1 << 20;

/// How the configuration shares memory out. `large`: there are huge pages, and a real switch to use them.
pub fn settings(config: &DatapathConfig, large: bool) -> Result<Settings, SharedConfigError> {
    Ok(Settings {
        per_port: config.per_port_memory,
        shared: config.shared_mempool_config.parse()?,
        mbufs: config.mbufs,
        most: if large { formula::SHARED_MBUFS } else { SMALL },
    })
}

/// Where pools are to come from.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// Whether DPDK uses huge pages, or would.
    pub huge: bool,
    /// MiB that it takes at its start, and without huge pages ever.
    pub mib: u64,
    /// Bytes of huge pages that this process has already.
    pub held: u64,
}

impl Memory {
    /// As a daemon with this configuration would find it.
    #[must_use]
    pub fn before_start(mib: u64) -> Memory {
        Memory { huge: dpdk::hugepages::free_hugepage_mib() >= mib, mib, held: 0 }
    }
}

/// One port more for each MTU that is asked about.
#[must_use]
pub fn asked_ports(ask: &MemAsk, pmds: u16) -> Vec<PortNeed> {
    let need = |(i, mtu): (usize, &u16)| PortNeed {
        node: ask.node,
        rx_queues: ask.n_rxq.unwrap_or(1),
        rx_descriptors: ask.n_rxq_desc.unwrap_or(formula::DESCRIPTORS),
        tx_queues: pmds.saturating_add(1),
        tx_descriptors: ask.n_txq_desc.unwrap_or(formula::DESCRIPTORS),
        ..PortNeed::new(format!("port{}", i + 1), *mtu)
    };
    ask.mtus.iter().enumerate().map(need).collect()
}

/// What is wrong with a question.
pub fn check_ask(ask: &MemAsk) -> Result<(), api::Error> {
    let refuse = |what: String, remedy: String| {
        Err(api::Error::new(api::ErrorKind::Invalid, "memory plan", what).remedy(remedy))
    };
    let (min, max) = (formula::MIN_MTU, formula::MAX_MTU);
    if let Some(mtu) = ask.mtus.iter().find(|mtu| !(min..=max).contains(*mtu)) {
        return refuse(format!("an MTU of {mtu} is out of range"), format!("use {min} to {max}"));
    }
    if ask.mbufs == Some(0) || ask.n_rxq == Some(0) {
        return refuse("there is a number of 0".to_owned(), "use 1 or more".to_owned());
    }
    Ok(())
}

/// The pools that these ports need, and whether there is memory for them.
#[must_use]
pub fn plan(settings: &Settings, ports: &[PortNeed], memory: Memory, pages: &[PageSize]) -> MemPlan {
    // Pages that this process has are its to use.
    let mut pages = pages.to_vec();
    if let Some(first) = pages.first_mut().filter(|p| p.kib > 0 && memory.huge) {
        first.free = (first.free + memory.held / (first.kib * 1024)).min(first.total);
    }
    let free_mib: u64 = pages.iter().map(|p| p.kib * p.free / 1024).sum();
    let have_mib = if memory.huge { free_mib } else { memory.mib };
    let pools = memory::plan(settings, ports, Some(have_mib * MIB));
    let demand = memory::demand(pools.iter().map(|p| p.bytes).sum(), &pages);
    let command = if memory.huge {
        demand.command
    } else if demand.need_mib > memory.mib {
        let pages = demand.command.map(|c| format!(", or use huge pages: {c}")).unwrap_or_default();
        Some(format!(
            "set memory_mib = {} in the section [datapath] of the configuration (or --memory){pages}",
            demand.need_mib
        ))
    } else {
        None
    };
    let pool = |p: memory::PlannedPool| PlannedPool {
        mbuf_size: formula::mbuf_size(p.mtu),
        megabytes: formula::megabytes(p.mbufs, p.mtu),
        buffer_bytes: Mempool::bytes_a_buffer(p.data_room),
        name: p.name,
        ports: p.ports,
        mtu: p.mtu,
        node: p.node,
        mbufs: p.mbufs,
        wanted: p.wanted,
        bytes: p.bytes,
    };
    MemPlan {
        model: if settings.per_port { "per-port" } else { "shared" }.to_owned(),
        shared_mempool_config: settings.shared.to_string(),
        pools: pools.into_iter().map(pool).collect(),
        huge_pages: memory.huge,
        need_mib: demand.need_mib,
        have_mib,
        page_kib: demand.page_kib,
        need_pages: demand.need_pages,
        free_pages: demand.free_pages,
        total_pages: demand.total_pages,
        command,
    }
}

/// The settings as a question changes them.
pub fn asked_settings(settings: &Settings, ask: &MemAsk) -> Result<Settings, api::Error> {
    check_ask(ask)?;
    let mut settings = settings.clone();
    if let Some(text) = &ask.shared_mempool_config {
        settings.shared =
            text.parse().map_err(|e: SharedConfigError| api::Error::new(api::ErrorKind::Invalid, "memory plan", e))?;
    }
    settings.per_port = ask.per_port_memory.unwrap_or(settings.per_port);
    settings.mbufs = ask.mbufs.or(settings.mbufs);
    Ok(settings)
}

/// A plan by the configuration alone, without a daemon and without DPDK's memory.
pub fn plan_offline(
    config: &DatapathConfig,
    memory_mib: u64,
    ports: &[api::Port],
    ask: &MemAsk,
) -> Result<MemPlan, api::Error> {
    let memory = Memory::before_start(memory_mib);
    let bad = |e: SharedConfigError| api::Error::new(api::ErrorKind::Invalid, "configuration", e);
    let settings = asked_settings(&settings(config, memory.huge).map_err(bad)?, ask)?;
    let pmds = ask.pmds.unwrap_or(1);
    let mut needs: Vec<PortNeed> = ports
        .iter()
        .filter(|p| p.kind == api::PortType::Dpdk)
        .filter_map(|p| crate::control::DpdkOptions::of(p).ok().map(|o| o.need(p, pmds, 0)))
        .collect();
    needs.extend(asked_ports(ask, pmds));
    Ok(plan(&settings, &needs, memory, &dpdk::hugepages::page_sizes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pages(total: u64, free: u64) -> Vec<PageSize> {
        vec![PageSize { kib: 2048, total, free }]
    }

    #[test]
    fn a_plan_says_need_have_and_the_command() {
        let ask = MemAsk { mtus: vec![1500, 9000], ..MemAsk::default() };
        let settings = Settings::default();
        let huge = Memory { huge: true, mib: 256, held: 0 };
        let fits = plan(&settings, &asked_ports(&ask, 1), huge, &pages(4096, 4096));
        assert_eq!((fits.pools.len(), fits.pools[1].mbuf_size, fits.pools[1].megabytes), (2, 10_176, 2667));
        assert_eq!((fits.command, fits.have_mib), (None, 8192));
        // 100 pages are too few even for the smallest pools.
        let short = plan(&settings, &asked_ports(&ask, 1), huge, &pages(100, 100));
        assert_eq!((short.pools[0].mbufs, short.pools[0].wanted), (65_536, Some(262_144)));
        assert_eq!(short.pools[1].mbufs, 16_384);
        assert_eq!(short.command, Some(format!("echo {} > /proc/sys/vm/nr_hugepages", short.need_pages)));
        // What the daemon holds is counted as its own.
        let held = Memory { held: 400 << 20, ..huge };
        assert_eq!(plan(&settings, &[], held, &pages(300, 100)).free_pages, 300);
    }

    #[test]
    fn without_huge_pages_the_memory_of_the_configuration_is_what_there_is() {
        let config = DatapathConfig::default();
        let settings = settings(&config, false).unwrap();
        let ordinary = Memory { huge: false, mib: 256, held: 0 };
        let base = plan(&settings, &[], ordinary, &[]);
        assert_eq!((base.pools[0].mbufs, base.command), (32_767, None));
        let ask = MemAsk { mtus: vec![9000], ..MemAsk::default() };
        let jumbo = plan(&settings, &asked_ports(&ask, 1), ordinary, &[]);
        assert_eq!((jumbo.pools[1].mbufs, jumbo.pools[1].wanted), (16_384, Some(32_767)));
        assert!(jumbo.need_mib < 256, "{}", jumbo.need_mib);
        let tight = plan(&settings, &asked_ports(&ask, 1), Memory { mib: 100, ..ordinary }, &pages(0, 0));
        let command = tight.command.unwrap();
        assert!(command.starts_with("set memory_mib = ") && command.contains("nr_hugepages"), "{command}");
    }

    #[test]
    fn bad_questions_are_refused() {
        for ask in [
            MemAsk { mtus: vec![10], ..MemAsk::default() },
            MemAsk { mtus: vec![1500, 9703], ..MemAsk::default() },
            MemAsk { n_rxq: Some(0), ..MemAsk::default() },
            MemAsk { shared_mempool_config: Some("x".to_owned()), ..MemAsk::default() },
        ] {
            assert!(asked_settings(&Settings::default(), &ask).is_err(), "{ask:?}");
        }
    }
}
