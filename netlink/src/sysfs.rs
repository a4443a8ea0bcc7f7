//! The seam to sysfs.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
};

/// A sysfs access that failed.
#[derive(Debug, thiserror::Error)]
#[error("sysfs: {op} {path}: {source}")]
pub struct SysfsError {
    /// What was tried: `read`, `write VALUE to`, `list`, `read link`.
    pub op: String,
    /// The path below the root.
    pub path: String,
    /// The system's error.
    pub source: io::Error,
}

impl SysfsError {
    /// Names the access that failed.
    #[must_use]
    pub fn new(op: impl Into<String>, path: &str, source: io::Error) -> Self {
        SysfsError { op: op.into(), path: path.to_owned(), source }
    }

    /// True when the file is not there.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        self.source.kind() == io::ErrorKind::NotFound
    }
}

/// Files below `/sys`. Paths are relative to it, without `..`: `bus/pci/devices/0000:03:00.0/sriov_numvfs`.
pub trait Sysfs: Send {
    /// The file's text without trailing white space.
    ///
    /// # Errors
    /// [`SysfsError`], as the system or the driver says.
    fn read(&self, path: &str) -> Result<String, SysfsError>;

    /// Writes `value` in one call, as drivers expect.
    ///
    /// # Errors
    /// [`SysfsError`]; the driver's errno is in its source.
    fn write(&self, path: &str, value: &str) -> Result<(), SysfsError>;

    /// Names in the directory, sorted.
    ///
    /// # Errors
    /// [`SysfsError`].
    fn list(&self, path: &str) -> Result<Vec<String>, SysfsError>;

    /// The last component of the link's target, for example the driver's name at `.../driver`, or a VF's address at `.../virtfn0`.
    ///
    /// # Errors
    /// [`SysfsError`].
    fn readlink(&self, path: &str) -> Result<String, SysfsError>;
}

/// The sysfs of this host, or any directory that looks like one.
#[derive(Debug, Clone)]
pub struct RealSysfs {
    root: PathBuf,
}

impl Default for RealSysfs {
    fn default() -> Self {
        RealSysfs { root: PathBuf::from("/sys") }
    }
}

impl RealSysfs {
    /// A sysfs at another place.
    #[must_use]
    pub fn at(root: impl Into<PathBuf>) -> Self {
        RealSysfs { root: root.into() }
    }

    fn full(&self, op: &str, path: &str) -> Result<PathBuf, SysfsError> {
        // Device names come from the kernel and from users: none may lead out of sysfs.
        if path.is_empty() || Path::new(path).components().any(|c| !matches!(c, Component::Normal(_))) {
            return Err(SysfsError::new(op, path, io::ErrorKind::InvalidInput.into()));
        }
        Ok(self.root.join(path))
    }
}

impl Sysfs for RealSysfs {
    fn read(&self, path: &str) -> Result<String, SysfsError> {
        let text = fs::read_to_string(self.full("read", path)?).map_err(|e| SysfsError::new("read", path, e))?;
        Ok(text.trim_end().to_owned())
    }

    fn write(&self, path: &str, value: &str) -> Result<(), SysfsError> {
        let op = format!("write '{value}' to");
        let full = self.full(&op, path)?;
        // Never create: a missing attribute must be an error.
        let result = fs::OpenOptions::new()
            .write(true)
            .open(full)
            .and_then(|mut f| io::Write::write_all(&mut f, value.as_bytes()));
        result.map_err(|e| SysfsError::new(op, path, e))
    }

    fn list(&self, path: &str) -> Result<Vec<String>, SysfsError> {
        let fail = |e| SysfsError::new("list", path, e);
        let mut names = Vec::new();
        for entry in fs::read_dir(self.full("list", path)?).map_err(fail)? {
            if let Ok(name) = entry.map_err(fail)?.file_name().into_string() {
                names.push(name);
            }
        }
        names.sort_unstable();
        Ok(names)
    }

    fn readlink(&self, path: &str) -> Result<String, SysfsError> {
        let fail = |e| SysfsError::new("read link", path, e);
        let target = fs::read_link(self.full("read link", path)?).map_err(fail)?;
        target
            .file_name()
            .and_then(|n| n.to_str())
            .map(str::to_owned)
            .ok_or_else(|| fail(io::ErrorKind::InvalidData.into()))
    }
}
