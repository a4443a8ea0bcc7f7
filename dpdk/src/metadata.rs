//! What is known of a packet beside its bytes: what the NIC found out and what it is asked to do.

use crate::batch::MbufBatch;
use crate::mbuf::Mbuf;

/// Flags of a received packet that somebody must look at before its bytes are all that is known of it: a flow rule's mark
/// and flag, tags that are not in the bytes, an L4 checksum that is wrong or not there, and requests to transmitters
/// that whoever had the buffer before left.
const NOT_PLAIN: u64 = dpdk_sys::MBUF_F_RX_FDIR
    | dpdk_sys::MBUF_F_RX_FDIR_ID
    | dpdk_sys::MBUF_F_RX_VLAN_STRIPPED
    | dpdk_sys::MBUF_F_RX_QINQ_STRIPPED
    | dpdk_sys::MBUF_F_RX_L4_CKSUM_BAD
    | dpdk_sys::MBUF_F_TX_OFFLOAD_MASK;

/// What the packets of a batch are together: one look at each does for all who want to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BatchSummary {
    /// Bytes of all packets.
    pub bytes: u64,
    shortest: u32,
    longest: u32,
    oddity: u64,
}

impl BatchSummary {
    /// Whether [`Mbuf::is_plain`] is true of each packet.
    #[inline(always)]
    pub fn is_plain(&self, least: usize) -> bool {
        self.oddity == 0 && self.shortest as usize >= least
    }

    /// Whether [`Mbuf::is_plain_within`] is true of each packet.
    #[inline(always)]
    pub fn is_plain_within(&self, most: usize) -> bool {
        self.oddity == 0 && self.longest as usize <= most
    }
}

impl MbufBatch {
    /// What the packets are together.
    #[inline(always)]
    pub fn summary(&self) -> BatchSummary {
        let mut sum = BatchSummary { bytes: 0, shortest: u32::MAX, longest: 0, oddity: 0 };
        for packet in self.iter() {
            let length = packet.head().pkt_len();
            sum.bytes += u64::from(length);
            sum.shortest = sum.shortest.min(length);
            sum.longest = sum.longest.max(length);
            sum.oddity |= packet.oddity();
        }
        sum
    }
}

/// An L4 checksum that a transmitter may compute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum L4Checksum {
    Tcp,
    Udp,
}

impl Mbuf {
    /// Whether the packet is one segment of at least `least` bytes and nothing but its bytes has to be looked at: no mark or
    /// flag, no stripped tag, no bad or unfinished L4 checksum, no request to a transmitter. One test for the common case.
    #[inline(always)]
    pub fn is_plain(&self, least: usize) -> bool {
        self.oddity() == 0 && self.pkt_len() >= least
    }

    /// The same for a packet that leaves: it has `most` bytes at most.
    #[inline(always)]
    pub fn is_plain_within(&self, most: usize) -> bool {
        self.oddity() == 0 && self.pkt_len() <= most
    }

    #[inline(always)]
    fn oddity(&self) -> u64 {
        let head = self.head();
        head.ol_flags() & NOT_PLAIN | u64::from(head.nb_segs() ^ 1)
    }

    /// The port the driver says the packet came from. net_ring does not set it: trust the queue instead.
    #[inline(always)]
    pub fn port(&self) -> u16 {
        self.head().port()
    }

    /// Sets the input port.
    #[inline(always)]
    pub fn set_port(&mut self, port: u16) {
        // SAFETY: a u16 member of our own header.
        unsafe { self.head().set(dpdk_sys::MBUF_PORT, port) }
    }

    /// All offload flags (`RTE_MBUF_F_*`).
    #[inline(always)]
    pub fn ol_flags(&self) -> u64 {
        self.head().ol_flags()
    }

    /// The hardware's parse result (`RTE_PTYPE_*`), 0 if there is none.
    #[inline(always)]
    pub fn packet_type(&self) -> u32 {
        self.head().packet_type()
    }

    /// The flags that say where the bytes live are not the caller's to change.
    #[inline(always)]
    fn change_flags(&mut self, clear: u64, set: u64) {
        let keep = dpdk_sys::MBUF_F_INDIRECT | dpdk_sys::MBUF_F_EXTERNAL;
        let flags = self.ol_flags();
        // SAFETY: a u64 member of our own header.
        unsafe { self.head().set(dpdk_sys::MBUF_OL_FLAGS, (flags & keep) | (((flags & !clear) | set) & !keep)) }
    }

    /// The TCI of the VLAN tag that the NIC took out of the bytes.
    #[inline(always)]
    pub fn stripped_vlan(&self) -> Option<u16> {
        (self.ol_flags() & dpdk_sys::MBUF_F_RX_VLAN_STRIPPED != 0).then(|| self.head().vlan_tci())
    }

    /// The TCI of the outer tag, when the NIC took two tags out of the bytes.
    #[inline(always)]
    pub fn stripped_qinq(&self) -> Option<u16> {
        (self.ol_flags() & dpdk_sys::MBUF_F_RX_QINQ_STRIPPED != 0).then(|| self.head().vlan_tci_outer())
    }

    /// Sets or clears the stripped tag, as a NIC (or a model of one) does on receive.
    pub fn set_stripped_vlan(&mut self, tci: Option<u16>) {
        let flags = dpdk_sys::MBUF_F_RX_VLAN | dpdk_sys::MBUF_F_RX_VLAN_STRIPPED;
        match tci {
            Some(tci) => {
                // SAFETY: a u16 member of our own header.
                unsafe { self.head().set(dpdk_sys::MBUF_VLAN_TCI, tci) };
                self.change_flags(0, flags);
            }
            None => self.change_flags(flags, 0),
        }
    }

    /// The mark that a flow rule's MARK action left (`RX_FDIR_ID`).
    #[inline(always)]
    pub fn mark(&self) -> Option<u32> {
        (self.ol_flags() & dpdk_sys::MBUF_F_RX_FDIR_ID != 0).then(|| self.head().fdir_id())
    }

    /// Sets or clears the mark.
    #[inline]
    pub fn set_mark(&mut self, mark: Option<u32>) {
        match mark {
            Some(id) => {
                // SAFETY: a u32 member of our own header.
                unsafe { self.head().set(dpdk_sys::MBUF_FDIR_ID, id) };
                self.change_flags(0, dpdk_sys::MBUF_F_RX_FDIR | dpdk_sys::MBUF_F_RX_FDIR_ID);
            }
            None => self.change_flags(dpdk_sys::MBUF_F_RX_FDIR_ID, 0),
        }
    }

    /// Whether a flow rule's FLAG or MARK action met the packet (`RX_FDIR`).
    #[inline(always)]
    pub fn flag(&self) -> bool {
        self.ol_flags() & dpdk_sys::MBUF_F_RX_FDIR != 0
    }

    /// Sets or clears the flag.
    pub fn set_flag(&mut self, on: bool) {
        self.change_flags(dpdk_sys::MBUF_F_RX_FDIR, if on { dpdk_sys::MBUF_F_RX_FDIR } else { 0 });
    }

    /// The NIC's RSS hash.
    #[inline(always)]
    pub fn rss_hash(&self) -> Option<u32> {
        (self.ol_flags() & dpdk_sys::MBUF_F_RX_RSS_HASH != 0).then(|| self.head().rss())
    }

    /// Sets or clears the RSS hash.
    pub fn set_rss_hash(&mut self, hash: Option<u32>) {
        match hash {
            Some(hash) => {
                // SAFETY: a u32 member of our own header.
                unsafe { self.head().set(dpdk_sys::MBUF_RSS_HASH, hash) };
                self.change_flags(0, dpdk_sys::MBUF_F_RX_RSS_HASH);
            }
            None => self.change_flags(dpdk_sys::MBUF_F_RX_RSS_HASH, 0),
        }
    }

    /// What the NIC says of the IPv4 header checksum: `Some(true)` right, `Some(false)` wrong, `None` not checked.
    #[inline(always)]
    pub fn ip_checksum_ok(&self) -> Option<bool> {
        checksum(
            self.ol_flags() & dpdk_sys::MBUF_F_RX_IP_CKSUM_MASK,
            dpdk_sys::MBUF_F_RX_IP_CKSUM_GOOD,
            dpdk_sys::MBUF_F_RX_IP_CKSUM_BAD,
        )
    }

    /// What the NIC says of the TCP or UDP checksum, as [`Mbuf::ip_checksum_ok`].
    #[inline(always)]
    pub fn l4_checksum_ok(&self) -> Option<bool> {
        checksum(
            self.ol_flags() & dpdk_sys::MBUF_F_RX_L4_CKSUM_MASK,
            dpdk_sys::MBUF_F_RX_L4_CKSUM_GOOD,
            dpdk_sys::MBUF_F_RX_L4_CKSUM_BAD,
        )
    }

    /// Whether the bytes lack their L4 checksum: the data is known to be right (it came over memory, not over a wire), and whoever
    /// sends it over a wire computes the checksum. Drivers say so in two ways: `RX_L4_CKSUM_NONE` (virtio), and a request
    /// to a transmitter that the sender left in place (vhost, rings).
    #[inline(always)]
    pub fn is_l4_checksum_unfinished(&self) -> bool {
        let flags = self.ol_flags();
        flags & dpdk_sys::MBUF_F_RX_L4_CKSUM_MASK == dpdk_sys::MBUF_F_RX_L4_CKSUM_NONE
            || flags & dpdk_sys::MBUF_F_TX_L4_MASK != 0
    }

    /// Says that the bytes lack their L4 checksum, or that nothing is known of it.
    pub fn set_l4_checksum_unfinished(&mut self, unfinished: bool) {
        let none = dpdk_sys::MBUF_F_RX_L4_CKSUM_NONE;
        self.change_flags(none | dpdk_sys::MBUF_F_TX_L4_MASK, if unfinished { none } else { 0 });
    }

    /// Asks the transmitter to compute the L4 checksum (`rte_mbuf_core.h`: the checksum in the bytes must be that of the pseudo
    /// header). `l2` and `l3` are the lengths of the headers in bytes.
    pub fn request_l4_checksum(&mut self, l4: L4Checksum, is_ipv6: bool, l2: u16, l3: u16) {
        let l4 = match l4 {
            L4Checksum::Tcp => dpdk_sys::MBUF_F_TX_TCP_CKSUM,
            L4Checksum::Udp => dpdk_sys::MBUF_F_TX_UDP_CKSUM,
        };
        let ip = if is_ipv6 { dpdk_sys::MBUF_F_TX_IPV6 } else { dpdk_sys::MBUF_F_TX_IPV4 };
        self.change_flags(dpdk_sys::MBUF_F_RX_L4_CKSUM_NONE | dpdk_sys::MBUF_F_TX_OFFLOAD_MASK, l4 | ip);
        // SAFETY: the packet is live and borrowed mutably; its own header is written.
        unsafe { dpdk_sys::dpdk_shim_mbuf_tx_lengths(self.0.as_ptr(), l2.into(), l3.into(), 0) };
    }

    /// Whether a transmitter is asked to compute the L4 checksum.
    pub fn requests_l4_checksum(&self) -> bool {
        self.ol_flags() & dpdk_sys::MBUF_F_TX_L4_MASK != 0
    }

    /// Forgets all metadata: marks, tags, hash, checksum states, transmit requests and the packet type. The bytes stay.
    #[inline]
    pub fn clear_metadata(&mut self) {
        self.change_flags(u64::MAX, 0);
        // SAFETY: members of our own header.
        unsafe {
            self.head().set(dpdk_sys::MBUF_PACKET_TYPE, 0u32);
            self.head().set(dpdk_sys::MBUF_TX_OFFLOAD, 0u64);
        }
    }
}

#[inline(always)]
fn checksum(state: u64, good: u64, bad: u64) -> Option<bool> {
    // Both bits mean "none": the packet has no checksum in its bytes but its data is verified (virtio).
    if state == good {
        Some(true)
    } else if state == bad {
        Some(false)
    } else {
        None
    }
}
