//! DPDK's log, in the hands of the program instead of on its standard error.
//!
//! Drivers say why they refuse a device in DPDK's log only: with [`redirect`] those lines can be put beside the errno.

use crate::Errno;
use std::io::{PipeReader, Read};
use std::os::fd::IntoRawFd;
use std::sync::{Mutex, PoisonError};

struct Lines {
    pipe: PipeReader,
    /// The start of a line whose end has not come yet.
    rest: Vec<u8>,
}

static LINES: Mutex<Option<Lines>> = Mutex::new(None);

/// From now on, DPDK's log waits for [`take`]. To be called before [`crate::Eal::init`], so that nothing of it is printed.
/// What is not taken is kept up to a pipe's capacity (64 KiB); then further lines are lost, and DPDK is never held up.
///
/// # Errors
/// The errno of making a pipe or handing it to DPDK.
pub fn redirect() -> Result<(), Errno> {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    if lines.is_some() {
        return Ok(());
    }
    let os = |e: std::io::Error| Errno(e.raw_os_error().unwrap_or_default());
    let (pipe, writer) = std::io::pipe().map_err(os)?;
    for end in [rustix::io::ioctl_fionbio(&pipe, true), rustix::io::ioctl_fionbio(&writer, true)] {
        end.map_err(|e| Errno(e.raw_os_error()))?;
    }
    // A stream that DPDK refused after it was made keeps the descriptor: it is open until the process ends.
    let fd = writer.into_raw_fd();
    // SAFETY: the descriptor is open and nobody else's; the stream made of it is DPDK's for the life of the process.
    Errno::check(unsafe { dpdk_sys::dpdk_shim_log_to_fd(fd) })?;
    *lines = Some(Lines { pipe, rest: Vec::new() });
    Ok(())
}

/// The lines that DPDK has logged since the last time. Empty without [`redirect`].
pub fn take() -> Vec<String> {
    let mut lines = LINES.lock().unwrap_or_else(PoisonError::into_inner);
    let Some(Lines { pipe, rest }) = lines.as_mut() else { return Vec::new() };
    let mut block = [0; 4096];
    // Ends with "would block" when all is read.
    while let Ok(n @ 1..) = pipe.read(&mut block) {
        rest.extend_from_slice(&block[..n]);
    }
    let Some(end) = rest.iter().rposition(|b| *b == b'\n') else { return Vec::new() };
    let whole: Vec<u8> = rest.drain(..=end).collect();
    let text = String::from_utf8_lossy(&whole);
    text.lines().map(|line| line.trim().to_owned()).filter(|line| !line.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    fn what_a_driver_says_can_be_read() {
        super::redirect().unwrap();
        super::redirect().unwrap();
        let eal = crate::testing::eal();
        assert!(crate::Port::attach(eal, "net_pcap_log,rx_pcap=/nosuch/x.pcap").is_err());
        let said = super::take();
        assert!(said.iter().any(|line| line.contains("/nosuch/x.pcap")), "{said:?}");
    }
}
