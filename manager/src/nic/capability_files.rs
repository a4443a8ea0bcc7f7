//! What an administrator says of NICs: capability files.
//!
//! A file speaks of all devices; a folder has a file `NAME.toml` for each kind of device, by the name of its DPDK driver, or of the
//! mock NIC's profile. What a file claims is asked of the device all the same.

use offload::CapabilityFile;
use offload::caps::CapabilityError;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Where files are when nothing else is said; the folder may be absent.
pub const DEFAULT_FOLDER: &str = "/etc/shunt/capabilities.d";

/// Why capability files cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum CapabilitiesError {
    #[error("capability file {}: {source}; name a file or a folder that shuntd can read, or leave the option away", path.display())]
    Read { path: PathBuf, source: std::io::Error },
    #[error("capability file {}:{source}", path.display())]
    Parse { path: PathBuf, source: CapabilityError },
}

/// The files that were read.
#[derive(Clone, Debug, Default)]
pub struct CapabilityFiles {
    /// For devices of any name.
    all: Option<(PathBuf, CapabilityFile)>,
    by_name: BTreeMap<String, (PathBuf, CapabilityFile)>,
}

impl CapabilityFiles {
    /// Read the file or the folder that is named, or the default folder if it is there.
    ///
    /// # Errors
    /// Something cannot be read, or is no such file: nothing is used then.
    pub fn load(named: Option<&Path>) -> Result<CapabilityFiles, CapabilitiesError> {
        let path = named.unwrap_or(Path::new(DEFAULT_FOLDER));
        let unreadable = |path: &Path| {
            let path = path.to_owned();
            move |source| CapabilitiesError::Read { path, source }
        };
        let mut files = CapabilityFiles::default();
        match std::fs::metadata(path) {
            Ok(about) if about.is_dir() => {}
            Ok(_) => {
                files.all = Some((path.to_owned(), read(path)?));
                return Ok(files);
            }
            Err(e) if named.is_none() && e.kind() == std::io::ErrorKind::NotFound => return Ok(files),
            Err(e) => return Err(unreadable(path)(e)),
        }
        for entry in std::fs::read_dir(path).map_err(unreadable(path))? {
            let file = entry.map_err(unreadable(path))?.path();
            let name = file.file_stem().and_then(|name| name.to_str()).map(str::to_owned);
            if let (Some(name), Some("toml")) = (name, file.extension().and_then(|e| e.to_str())) {
                let read = read(&file)?;
                files.by_name.insert(name, (file, read));
            }
        }
        Ok(files)
    }

    /// What is said of devices of this name, and in which file.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<&(PathBuf, CapabilityFile)> {
        self.by_name.get(name).or(self.all.as_ref())
    }
}

fn read(path: &Path) -> Result<CapabilityFile, CapabilitiesError> {
    let text =
        std::fs::read_to_string(path).map_err(|source| CapabilitiesError::Read { path: path.to_owned(), source })?;
    CapabilityFile::parse(&text).map_err(|source| CapabilitiesError::Parse { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_has_a_file_for_each_name_and_a_file_is_for_all() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("mlx5_pci.toml"), "[limits]\nrules = 7\n").unwrap();
        std::fs::write(path("notes.txt"), "not read").unwrap();
        let files = CapabilityFiles::load(Some(folder.path())).unwrap();
        assert_eq!(files.of("mlx5_pci").unwrap().0, path("mlx5_pci.toml"));
        assert!(files.of("net_ice").is_none());
        let files = CapabilityFiles::load(Some(&path("mlx5_pci.toml"))).unwrap();
        assert!(files.of("net_ice").is_some());

        std::fs::write(path("net_ice.toml"), "[limits]\nrule = 7\n").unwrap();
        let error = CapabilityFiles::load(Some(folder.path())).unwrap_err().to_string();
        let at = format!("capability file {}:2:1: unknown field `rule`", path("net_ice.toml").display());
        assert!(error.starts_with(&at), "{error}");
        let error = CapabilityFiles::load(Some(&path("nosuch"))).unwrap_err().to_string();
        assert!(error.contains("nosuch: No such file") && error.contains("or leave the option away"), "{error}");
    }
}
