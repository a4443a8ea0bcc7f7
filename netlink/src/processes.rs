//! Which processes have device files open, from `/proc` (proc(5)).

use std::{fs, path::Path};

/// A file that a process has open.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct OpenFile {
    /// The file's path.
    pub path: String,
    /// Process id.
    pub pid: u32,
    /// The process's name (`comm`, at most 15 bytes).
    pub name: String,
}

/// The open files below `proc` (usually `/proc`) whose path begins with `prefix`; each process and path once. A process that ends
/// meanwhile, or that may not be looked into, is passed over.
#[must_use]
pub fn open_files(proc: &Path, prefix: &str) -> Vec<OpenFile> {
    let mut found = Vec::new();
    let entries = fs::read_dir(proc).into_iter().flatten().flatten();
    for (pid, folder) in entries.filter_map(|e| Some((e.file_name().to_str()?.parse().ok()?, e.path()))) {
        for file in fs::read_dir(folder.join("fd")).into_iter().flatten().flatten() {
            let Ok(target) = fs::read_link(file.path()) else { continue };
            if let Some(path) = target.to_str().filter(|t| t.starts_with(prefix)) {
                let name = fs::read_to_string(folder.join("comm")).unwrap_or_default();
                found.push(OpenFile { path: path.to_owned(), pid, name: name.trim_end().to_owned() });
            }
        }
    }
    found.sort();
    found.dedup();
    found
}
