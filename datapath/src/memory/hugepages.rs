//! Memory that pools need against memory that there is, and the command that closes the gap.

use dpdk::hugepages::PageSize;

/// Beside pools DPDK needs memory for rings, devices and its own tables: 16 MiB are plenty for tens of ports.
const BESIDE: u64 = 16 << 20;
/// Bytes of a MiB.
const MIB: u64 = 1 << 20;

/// What is needed and there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Demand {
    /// MiB of all pools and what DPDK needs beside them.
    pub need_mib: u64,
    /// Huge pages of the smallest size for that; 0 when the kernel has none.
    pub need_pages: u64,
    /// KiB of such a page.
    pub page_kib: u64,
    /// Such pages there are.
    pub total_pages: u64,
    /// Such pages that nobody has.
    pub free_pages: u64,
    /// The command that makes enough of them; `None` when there are.
    pub command: Option<String>,
}

/// What pools of so many bytes need, of the huge pages there are. Free pages of larger sizes count as well.
#[must_use]
pub fn demand(bytes: u64, pages: &[PageSize]) -> Demand {
    let need = bytes + BESIDE;
    let need_mib = need.div_ceil(MIB);
    let Some(page) = pages.first().filter(|p| p.kib > 0) else {
        let command = Some("use a kernel with huge pages (CONFIG_HUGETLBFS)".to_owned());
        return Demand { need_mib, need_pages: 0, page_kib: 0, total_pages: 0, free_pages: 0, command };
    };
    let need_pages = need.div_ceil(page.kib * 1024);
    let free: u64 = pages.iter().map(|p| p.kib * p.free / page.kib).sum();
    let missing = need_pages.saturating_sub(free);
    let command = (missing > 0).then(|| reserve(page, page.total + missing));
    Demand { need_mib, need_pages, page_kib: page.kib, total_pages: page.total, free_pages: page.free, command }
}

/// The command that makes the number of huge pages of a size `total` (kernel, hugetlbpage.rst).
fn reserve(page: &PageSize, total: u64) -> String {
    // The default size of x86 and of arm64 with pages of 4 KiB.
    const DEFAULT_KIB: u64 = 2048;
    if page.kib == DEFAULT_KIB {
        format!("echo {total} > /proc/sys/vm/nr_hugepages")
    } else {
        format!("echo {total} > /sys/kernel/mm/hugepages/hugepages-{}kB/nr_hugepages", page.kib)
    }
}
