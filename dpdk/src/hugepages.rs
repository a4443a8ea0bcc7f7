//! How much memory the machine offers, read before DPDK is asked for it: DPDK's own answer to a lack of memory is a dead process.

use std::fs;
use std::path::Path;

const MIB: u64 = 1 << 20;

/// Huge pages of one size (kernel, Documentation/admin-guide/mm/hugetlbpage.rst).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageSize {
    /// Size of a page in KiB.
    pub kib: u64,
    /// Pages there are.
    pub total: u64,
    /// Pages that nobody has.
    pub free: u64,
}

/// Huge pages of all NUMA nodes by size, smallest first; empty when the kernel has none.
pub fn page_sizes() -> Vec<PageSize> {
    read_page_sizes(Path::new("/sys/kernel/mm/hugepages"))
}

/// Whole NUMA nodes: how many there are (1 where the kernel does not tell).
pub fn numa_nodes() -> usize {
    let Ok(nodes) = fs::read_dir("/sys/devices/system/node") else { return 1 };
    let number = |name: &str| name.strip_prefix("node").is_some_and(|n| n.parse::<u32>().is_ok());
    nodes.flatten().filter(|n| n.file_name().to_str().is_some_and(number)).count().max(1)
}

fn read_page_sizes(dir: &Path) -> Vec<PageSize> {
    let Ok(sizes) = fs::read_dir(dir) else { return Vec::new() };
    let read = |size: &Path, file: &str| fs::read_to_string(size.join(file)).ok()?.trim().parse().ok();
    let mut sizes: Vec<PageSize> = sizes
        .flatten()
        .filter_map(|size| {
            let name = size.file_name().into_string().ok()?;
            let kib = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            Some(PageSize {
                kib,
                total: read(&size.path(), "nr_hugepages")?,
                free: read(&size.path(), "free_hugepages")?,
            })
        })
        .collect();
    sizes.sort_by_key(|s| s.kib);
    sizes
}

/// Free huge page memory in MiB, over all page sizes.
pub fn free_hugepage_mib() -> u64 {
    page_sizes().iter().map(|s| s.kib * s.free / 1024).sum()
}

/// Ordinary memory that can still be used, in MiB: the kernel's estimate, within the limit of the control group.
pub fn available_mib() -> Option<u64> {
    let meminfo = fs::read_to_string("/proc/meminfo").ok()?;
    let available = parse_meminfo(&meminfo, "MemAvailable:")?;
    Some(cgroup_room_mib().map_or(available, |room| room.min(available)))
}

fn parse_meminfo(text: &str, key: &str) -> Option<u64> {
    let line = text.lines().find_map(|l| l.strip_prefix(key))?;
    let kib: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kib / 1024)
}

/// What cgroup v2 leaves to this process's group (the root of the mounted hierarchy, as seen in a container).
fn cgroup_room_mib() -> Option<u64> {
    let read = |file: &str| fs::read_to_string(format!("/sys/fs/cgroup/{file}")).ok();
    let max: u64 = read("memory.max")?.trim().parse().ok()?;
    let current: u64 = read("memory.current")?.trim().parse().ok()?;
    Some(max.saturating_sub(current) / MIB)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_meminfo() {
        let text = "MemTotal:       24684000 kB\nMemAvailable:   2048000 kB\n";
        assert_eq!(parse_meminfo(text, "MemAvailable:"), Some(2000));
        assert_eq!(parse_meminfo(text, "Nothing:"), None);
    }

    #[test]
    fn reads_page_sizes_smallest_first() {
        let dir = std::env::temp_dir().join(format!("shunt-hugepages-{}", std::process::id()));
        for (name, total, free) in [("hugepages-1048576kB", "2\n", "1\n"), ("hugepages-2048kB", "1024\n", "1000\n")] {
            fs::create_dir_all(dir.join(name)).unwrap();
            fs::write(dir.join(name).join("nr_hugepages"), total).unwrap();
            fs::write(dir.join(name).join("free_hugepages"), free).unwrap();
        }
        fs::create_dir_all(dir.join("else")).unwrap();
        let sizes = read_page_sizes(&dir);
        fs::remove_dir_all(&dir).unwrap();
        assert_eq!(
            sizes,
            [PageSize { kib: 2048, total: 1024, free: 1000 }, PageSize { kib: 1 << 20, total: 2, free: 1 }]
        );
        assert_eq!(read_page_sizes(Path::new("/nosuch")), []);
    }

    #[test]
    fn this_machine_has_memory() {
        assert!(available_mib().unwrap() > 0);
    }
}
