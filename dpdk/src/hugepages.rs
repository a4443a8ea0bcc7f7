//! How much memory the machine offers, read before DPDK is asked for it: DPDK's own answer to a lack of memory is a dead process.

use std::fs;

const MIB: u64 = 1 << 20;

/// Free huge page memory in MiB, over all page sizes.
pub(crate) fn free_hugepage_mib() -> u64 {
    let Ok(sizes) = fs::read_dir("/sys/kernel/mm/hugepages") else { return 0 };
    sizes
        .flatten()
        .filter_map(|size| {
            let name = size.file_name().into_string().ok()?;
            let kib: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
            let free: u64 = fs::read_to_string(size.path().join("free_hugepages")).ok()?.trim().parse().ok()?;
            Some(kib * free / 1024)
        })
        .sum()
}

/// Ordinary memory that can still be used, in MiB: the kernel's estimate, within the limit of the control group.
pub(crate) fn available_mib() -> Option<u64> {
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
    fn this_machine_has_memory() {
        assert!(available_mib().unwrap() > 0);
    }
}
