//! Why a port that faces the kernel cannot be made or changed.

/// See each variant; [`KernelPortError::remedy`] says what helps.
#[derive(Debug, thiserror::Error)]
pub enum KernelPortError {
    /// Not what the kernel takes for a name (`dev_valid_name` in net/core/dev.c).
    #[error("{ifname:?} cannot be the name of a network device: {reason}")]
    Name { ifname: String, reason: &'static str },
    /// A device of this name is there, and not ours.
    #[error("there is a network device {ifname} already")]
    Taken { ifname: String },
    /// The device to bind to is not there.
    #[error("there is no network device {ifname} in shuntd's network namespace")]
    NoDevice { ifname: String },
    /// The kernel does not let us.
    #[error("{ifname}: {what}: the kernel does not permit it")]
    Permission { ifname: String, what: &'static str },
    /// The tun driver is not there.
    #[error("{ifname}: /dev/net/tun is not there")]
    NoTun { ifname: String },
    /// Outside of what a device takes.
    #[error("an MTU of {mtu} bytes is outside of {least} to {most}")]
    Mtu { mtu: u16, least: u16, most: u16 },
    /// Larger than the device's own, which is not ours to change.
    #[error("an MTU of {mtu} bytes is more than {ifname} has ({have})")]
    DeviceMtu { ifname: String, mtu: u16, have: u32 },
    /// Not an address that one station can have.
    #[error("{mac} is not the address of one station")]
    Mac { mac: String },
    /// Anything else that the kernel says.
    #[error("{ifname}: {what}: {source}")]
    Os { ifname: String, what: &'static str, source: std::io::Error },
    /// rtnetlink refused.
    #[error("{ifname}: {source}")]
    Netlink { ifname: String, source: netlink::Error },
    #[error(transparent)]
    Port(#[from] dpdk::PortError),
    #[error(transparent)]
    Ring(#[from] dpdk::RingError),
    #[error("the threads of kernel ports cannot be started: {0}")]
    Thread(std::io::Error),
    #[error("the thread of kernel ports has ended")]
    Ended,
}

impl KernelPortError {
    /// What helps.
    #[must_use]
    pub fn remedy(&self) -> String {
        match self {
            KernelPortError::Name { .. } => {
                "choose a name of 1 to 15 characters without / : and spaces with --option ifname=NAME".into()
            }
            KernelPortError::Taken { ifname } => {
                format!("choose another with --option ifname=NAME, or remove that one: ip link del {ifname}")
            }
            KernelPortError::NoDevice { ifname } => {
                format!("look for it with: ip link show {ifname}; name another with --option ifname=NAME")
            }
            KernelPortError::Permission { .. } => {
                "start shuntd as root, or with the capabilities CAP_NET_ADMIN and CAP_NET_RAW".into()
            }
            KernelPortError::NoTun { .. } => "load the driver: modprobe tun".into(),
            KernelPortError::Mtu { least, most, .. } => format!("choose {least} to {most}"),
            KernelPortError::DeviceMtu { ifname, mtu, .. } => {
                format!("raise the device's first: ip link set {ifname} mtu {mtu}")
            }
            KernelPortError::Mac { .. } => {
                "give six bytes as 02:00:00:00:00:01, of which the first is even, and not all 0".into()
            }
            KernelPortError::Os { ifname, .. } | KernelPortError::Netlink { ifname, .. } => {
                format!("look at the device: ip -d link show {ifname}")
            }
            KernelPortError::Port(_) | KernelPortError::Ring(_) => {
                "remove another port, or give shuntd more memory with --memory".into()
            }
            KernelPortError::Thread(_) => "look at the limit of threads: ulimit -u".into(),
            KernelPortError::Ended => "restart shuntd".into(),
        }
    }

    /// An error of the kernel, told as what it means.
    pub(crate) fn os(ifname: &str, what: &'static str, source: std::io::Error) -> KernelPortError {
        let ifname = ifname.to_owned();
        match source.kind() {
            std::io::ErrorKind::PermissionDenied => KernelPortError::Permission { ifname, what },
            _ => KernelPortError::Os { ifname, what, source },
        }
    }
}
