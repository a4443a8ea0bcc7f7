//! CPUs that PMD threads run on: as the configuration says them, and their NUMA nodes.

use serde::Deserialize;

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

/// The NUMA node of a CPU as the kernel says (/sys/devices/system/cpu); 0 where it says nothing.
#[must_use]
pub fn numa_of(cpu: usize) -> u32 {
    let Ok(entries) = std::fs::read_dir(format!("/sys/devices/system/cpu/cpu{cpu}")) else { return 0 };
    let names = entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    names.filter_map(|name| name.strip_prefix("node")?.parse().ok()).next().unwrap_or(0)
}
