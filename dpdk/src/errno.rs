//! Error numbers of DPDK calls.

use std::fmt;

/// A positive `errno` value as DPDK reports it, printed with its symbol and its text.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Errno(pub i32);

macro_rules! errnos {
    ($($name:ident = $value:expr),* $(,)?) => {
        impl Errno {
            $(#[doc = concat!("The error number ", stringify!($name), ".")] pub const $name: Errno = Errno($value);)*

            /// The symbol, for example `ENODEV`.
            pub fn symbol(self) -> Option<&'static str> {
                match self.0 {
                    $(v if v == $value => Some(stringify!($name)),)*
                    _ => None,
                }
            }
        }
    };
}

use rustix::io::Errno as Os;
errnos! {
    EPERM = Os::PERM.raw_os_error(), ENOENT = Os::NOENT.raw_os_error(), EIO = Os::IO.raw_os_error(),
    ENXIO = Os::NXIO.raw_os_error(), EAGAIN = Os::AGAIN.raw_os_error(), ENOMEM = Os::NOMEM.raw_os_error(),
    EACCES = Os::ACCESS.raw_os_error(), EFAULT = Os::FAULT.raw_os_error(), EBUSY = Os::BUSY.raw_os_error(),
    EEXIST = Os::EXIST.raw_os_error(), ENODEV = Os::NODEV.raw_os_error(), EINVAL = Os::INVAL.raw_os_error(),
    ENOSPC = Os::NOSPC.raw_os_error(), ERANGE = Os::RANGE.raw_os_error(), ENOSYS = Os::NOSYS.raw_os_error(),
    ENOTSUP = Os::OPNOTSUPP.raw_os_error(), ETIMEDOUT = Os::TIMEDOUT.raw_os_error(),
    ENAMETOOLONG = Os::NAMETOOLONG.raw_os_error(), EOVERFLOW = Os::OVERFLOW.raw_os_error(), ENOBUFS = Os::NOBUFS.raw_os_error(),
}

impl Errno {
    /// The calling thread's `rte_errno`.
    pub(crate) fn last() -> Self {
        // SAFETY: reads a thread-local integer.
        Errno(unsafe { dpdk_sys::dpdk_shim_errno() })
    }

    /// From a negative return value. DPDK's bare `-1` means that `rte_errno` has the reason.
    pub(crate) fn from_ret(ret: i32) -> Self {
        match ret {
            -1 => match Self::last() {
                Errno(0) => Errno::EPERM,
                e => e,
            },
            r => Errno(r.wrapping_abs()),
        }
    }

    /// `Ok` for zero and positive return values.
    pub(crate) fn check(ret: i32) -> Result<u32, Self> {
        u32::try_from(ret).map_err(|_| Self::from_ret(ret))
    }
}

impl fmt::Display for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = std::io::Error::from_raw_os_error(self.0).to_string();
        let text = text.split(" (os error").next().unwrap_or_default();
        match self.symbol() {
            Some(symbol) => write!(f, "{symbol} ({text})"),
            None => write!(f, "errno {} ({text})", self.0),
        }
    }
}

impl fmt::Debug for Errno {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::Errno;

    #[test]
    fn prints_symbol_and_text() {
        assert_eq!(Errno::ENODEV.to_string(), "ENODEV (No such device)");
        assert_eq!(Errno::from_ret(-22), Errno::EINVAL);
        assert_eq!(Errno::check(3), Ok(3));
    }
}
