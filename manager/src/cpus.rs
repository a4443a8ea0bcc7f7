//! CPUs that PMD threads run on: as they are said, whether they can be had, who else runs on them, and their NUMA nodes.

use rustix::thread::{CpuSet, Pid};
use serde::Deserialize;
use std::sync::OnceLock;

/// CPU numbers are below this.
const MOST: u32 = 1024;

/// CPUs as a list of numbers, or as text with ranges: `1-3,5`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged, expecting = "expected a list of CPUs such as [1, 2], or text such as \"1-3,5\"")]
pub enum CpuList {
    Numbers(Vec<u32>),
    Text(String),
}

/// Why CPUs cannot be understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CpuError {
    #[error("{} both name CPUs; keep one of them", names.join(" and "))]
    Many { names: Vec<&'static str> },
    #[error("{name}: no CPU; name one at least, or leave it away for one PMD on any CPU")]
    None { name: &'static str },
    #[error("{name}: CPU {cpu} is there twice; name each CPU once")]
    Twice { name: &'static str, cpu: usize },
    #[error("{name}: `{text}` is no CPU and no range of CPUs; write numbers below {MOST}, as in [1, 2] or \"1-3,5\"")]
    Range { name: &'static str, text: String },
    #[error("{name}: `{text}` is no mask; write it in hexadecimal, as in \"0x6\" for CPUs 1 and 2")]
    Mask { name: &'static str, text: String },
    #[error("{name}: CPU {cpu} is not on this machine, which has {}; name others", list(online))]
    Absent { name: &'static str, cpu: usize, online: Vec<usize> },
    #[error("{name}: CPU {cpu} is not for this process ({why}); name others, or widen its cpuset")]
    NotAllowed { name: &'static str, cpu: usize, why: String },
    #[error(
        "{name}: CPU {cpu} is polled by thread {thread} of {program} (process {pid}) already, and neither would get on; end that \
         one, name another CPU, or set share_cpus = true in the section [datapath] of the configuration"
    )]
    Taken { name: &'static str, cpu: usize, thread: String, program: String, pid: u32 },
}

impl CpuList {
    /// The CPUs in their order. `name`: the setting, for errors.
    ///
    /// # Errors
    /// [`CpuError`].
    pub fn cpus(&self, name: &'static str) -> Result<Vec<usize>, CpuError> {
        let mut cpus = Vec::new();
        match self {
            CpuList::Numbers(numbers) => {
                for cpu in numbers {
                    cpus.extend(range(*cpu, *cpu).ok_or_else(|| CpuError::Range { name, text: cpu.to_string() })?);
                }
            }
            CpuList::Text(text) => {
                for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
                    let (from, to) = part.split_once('-').unwrap_or((part, part));
                    let ends = from.trim().parse().ok().zip(to.trim().parse().ok());
                    let there = ends.and_then(|(from, to)| range(from, to));
                    cpus.extend(there.ok_or_else(|| CpuError::Range { name, text: part.to_owned() })?);
                }
            }
        }
        if let Some(cpu) = cpus.iter().enumerate().find(|(i, cpu)| cpus[..*i].contains(cpu)).map(|(_, cpu)| *cpu) {
            return Err(CpuError::Twice { name, cpu });
        }
        if cpus.is_empty() { Err(CpuError::None { name }) } else { Ok(cpus) }
    }
}

fn range(from: u32, to: u32) -> Option<impl Iterator<Item = usize>> {
    (from <= to && to < MOST).then(|| (from..=to).map(|cpu| cpu as usize))
}

/// The CPUs of a mask in hexadecimal, lowest first.
///
/// # Errors
/// [`CpuError`].
pub fn of_mask(name: &'static str, text: &str) -> Result<Vec<usize>, CpuError> {
    let bad = || CpuError::Mask { name, text: text.to_owned() };
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X")).unwrap_or(text);
    if digits.is_empty() || digits.len() > MOST as usize / 4 {
        return Err(bad());
    }
    let mut cpus = Vec::new();
    for (at, digit) in digits.chars().rev().enumerate() {
        let bits = digit.to_digit(16).ok_or_else(bad)?;
        cpus.extend((0..4).filter(|bit| bits >> bit & 1 == 1).map(|bit| at * 4 + bit));
    }
    if cpus.is_empty() { Err(CpuError::None { name }) } else { Ok(cpus) }
}

/// CPUs as a text with ranges: `1-3,5`.
#[must_use]
pub fn list(cpus: &[usize]) -> String {
    let mut cpus = cpus.to_vec();
    cpus.sort_unstable();
    let runs = cpus.chunk_by(|a, b| a + 1 == *b);
    let text = runs.map(|run| match run {
        [from, .., to] => format!("{from}-{to}"),
        [one] => one.to_string(),
        [] => String::new(),
    });
    text.collect::<Vec<_>>().join(",")
}

/// Whether threads can be pinned to these CPUs: they are there, this process may use them, and no thread of another process that
/// polls without end is pinned to one (`shared`: that does not matter). `name`: the setting, for errors.
///
/// # Errors
/// [`CpuError`].
pub fn check(name: &'static str, cpus: &[usize], shared: bool) -> Result<(), CpuError> {
    if cpus.is_empty() {
        return Ok(());
    }
    if let Some(online) = online()
        && let Some(cpu) = cpus.iter().copied().find(|cpu| !online.contains(cpu))
    {
        return Err(CpuError::Absent { name, cpu, online });
    }
    for cpu in cpus.iter().copied() {
        // On a thread of its own, since this one is to stay where it is.
        let pinned = std::thread::spawn(move || dpdk::pin_to_cpu(cpu)).join();
        if let Ok(Err(e)) = pinned {
            return Err(CpuError::NotAllowed { name, cpu, why: e.to_string() });
        }
    }
    match pollers().into_iter().find(|poller| !shared && cpus.contains(&poller.cpu)) {
        Some(Poller { cpu, thread, program, pid }) => Err(CpuError::Taken { name, cpu, thread, program, pid }),
        None => Ok(()),
    }
}

/// The CPUs that are there; `None` when the kernel does not say.
fn online() -> Option<Vec<usize>> {
    let text = std::fs::read_to_string("/sys/devices/system/cpu/online").ok()?;
    CpuList::Text(text.trim().to_owned()).cpus("online").ok()
}

/// A thread that polls without end, pinned to a CPU.
#[derive(Debug)]
struct Poller {
    cpu: usize,
    thread: String,
    program: String,
    pid: u32,
}

/// What names of polling threads begin with: ours and Open vSwitch's, and those of DPDK's own programs.
const POLLERS: [&str; 3] = ["pmd", "lcore-worker", "dpdk-worker"];

/// Such threads of other processes, as far as /proc tells.
fn pollers() -> Vec<Poller> {
    let read = |path: &std::path::Path, file: &str| std::fs::read_to_string(path.join(file)).unwrap_or_default();
    let entries = |path: &std::path::Path| {
        let entries = std::fs::read_dir(path).into_iter().flatten();
        entries.filter_map(|entry| Some(entry.ok()?.path())).collect::<Vec<_>>()
    };
    let mut found = Vec::new();
    for process in entries("/proc".as_ref()) {
        let number = process.file_name().and_then(|name| name.to_str()?.parse::<u32>().ok());
        let Some(pid) = number.filter(|pid| *pid != std::process::id()) else { continue };
        for task in entries(&process.join("task")) {
            let thread = read(&task, "comm").trim().to_owned();
            if !POLLERS.iter().any(|name| thread.starts_with(name)) {
                continue;
            }
            let status = read(&task, "status");
            let allowed = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"));
            if let Some(cpu) = allowed.and_then(|list| list.trim().parse().ok()) {
                found.push(Poller { cpu, thread, program: read(&process, "comm").trim().to_owned(), pid });
            }
        }
    }
    found
}

/// The CPUs that this process had when threads were first kept off some.
static HAD: OnceLock<CpuSet> = OnceLock::new();

/// Let all threads of this process but those that poll run elsewhere than on these CPUs; anywhere else that the process could when
/// it began. When nothing else is left, they run anywhere. Threads that are made later run where their makers do.
pub fn keep_off(cpus: &[usize]) {
    let Some(had) = had().filter(|_| HAD.get().is_some() || !cpus.is_empty()) else { return };
    let mut rest = had;
    cpus.iter().filter(|cpu| **cpu < CpuSet::MAX_CPU).for_each(|cpu| rest.unset(*cpu));
    let set = if rest.count() == 0 { had } else { rest };
    // Once more, for threads that others made meanwhile.
    for _ in 0..2 {
        for thread in other_threads() {
            // One that has ended needs nothing.
            let _ = rustix::thread::sched_setaffinity(Some(thread), &set);
        }
    }
}

fn had() -> Option<CpuSet> {
    if let Some(had) = HAD.get() {
        return Some(*had);
    }
    let now = rustix::thread::sched_getaffinity(None).ok()?;
    Some(*HAD.get_or_init(|| now))
}

/// The threads of this process that do not poll.
fn other_threads() -> Vec<Pid> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let others = tasks.filter_map(|task| {
        let name = std::fs::read_to_string(task.path().join("comm")).ok()?;
        let number: i32 = task.file_name().to_str()?.parse().ok()?;
        Pid::from_raw(number).filter(|_| !POLLERS.iter().any(|poller| name.starts_with(poller)))
    });
    others.collect()
}

/// The NUMA node of a CPU as the kernel says (/sys/devices/system/cpu); 0 where it says nothing.
#[must_use]
pub fn numa_of(cpu: usize) -> u32 {
    let Ok(entries) = std::fs::read_dir(format!("/sys/devices/system/cpu/cpu{cpu}")) else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("node")?.parse().ok()).next().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_short() {
        assert_eq!(list(&[]), "");
        assert_eq!(list(&[5, 3, 1, 2]), "1-3,5");
    }

    #[test]
    fn threads_that_do_not_poll_run_elsewhere() {
        let (ready, is_ready) = std::sync::mpsc::channel();
        let (stop, stopped) = std::sync::mpsc::channel::<()>();
        let poller = std::thread::Builder::new().name("pmd99".into()).spawn(move || {
            ready.send(()).unwrap();
            stopped.recv().unwrap_err();
            rustix::thread::sched_getaffinity(None).unwrap()
        });
        is_ready.recv().unwrap();
        let set = || rustix::thread::sched_getaffinity(None).unwrap();
        let before = set();
        let all: Vec<usize> = (0..CpuSet::MAX_CPU).filter(|cpu| before.is_set(*cpu)).collect();
        let last = *all.last().unwrap();
        keep_off(&[last]);
        assert_eq!(set().is_set(last), all.len() == 1);
        let heir = std::thread::spawn(move || rustix::thread::sched_getaffinity(None).unwrap()).join().unwrap();
        assert_eq!(heir, set());
        // Without any other, everywhere.
        keep_off(&all);
        assert_eq!(set(), before);
        keep_off(&[last]);
        keep_off(&[]);
        assert_eq!(set(), before);
        drop(stop);
        assert_eq!(poller.unwrap().join().unwrap(), before);
    }

    #[test]
    fn a_cpu_that_is_not_there_is_named_with_those_that_are() {
        assert_eq!(check("cpus", &[], false), Ok(()));
        let error = check("cpus", &[1023], false).unwrap_err().to_string();
        assert!(error.starts_with("cpus: CPU 1023 is not on this machine, which has 0"), "{error}");
    }
}
