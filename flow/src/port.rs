//! Port numbers of the two languages: OpenFlow's and the datapath's.

/// A port of the datapath: dense, given by the switch, the same for all bridges. Fits a [`crate::FlowKey`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct DpPort(pub u32);

impl DpPort {
    /// No port: the `in_port` of a key that came from none.
    pub const NONE: DpPort = DpPort(u32::MAX);
}

/// An OpenFlow port number in the 16-bit form that OpenFlow 1.0 and OVS use internally; later versions
/// widen the reserved numbers to 32 bits on the wire (OpenFlow 1.1 specification, section A.2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct OfPort(pub u16);

impl OfPort {
    /// First number that a real port cannot have.
    pub const MAX: OfPort = OfPort(0xff00);
    /// "Not in the action set": the initial `actset_output`.
    pub const UNSET: OfPort = OfPort(0xfff7);
    /// The port that the packet came in on.
    pub const IN_PORT: OfPort = OfPort(0xfff8);
    /// Submit to the first flow table (packet-out only).
    pub const TABLE: OfPort = OfPort(0xfff9);
    /// Process as a MAC-learning switch.
    pub const NORMAL: OfPort = OfPort(0xfffa);
    /// All ports but the input port and those with flooding off.
    pub const FLOOD: OfPort = OfPort(0xfffb);
    /// All ports but the input port.
    pub const ALL: OfPort = OfPort(0xfffc);
    /// The controller.
    pub const CONTROLLER: OfPort = OfPort(0xfffd);
    /// The bridge's own port.
    pub const LOCAL: OfPort = OfPort(0xfffe);
    /// No port, or any port, as the place says.
    pub const NONE: OfPort = OfPort(0xffff);

    /// Reserved numbers by their ovs-ofctl name.
    pub const RESERVED: [(&'static str, OfPort); 10] = [
        ("UNSET", Self::UNSET),
        ("IN_PORT", Self::IN_PORT),
        ("TABLE", Self::TABLE),
        ("NORMAL", Self::NORMAL),
        ("FLOOD", Self::FLOOD),
        ("ALL", Self::ALL),
        ("CONTROLLER", Self::CONTROLLER),
        ("LOCAL", Self::LOCAL),
        ("NONE", Self::NONE),
        ("ANY", Self::NONE),
    ];

    /// Whether a real port can have this number (1 to 0xfeff).
    #[must_use]
    pub fn is_real(self) -> bool {
        self.0 > 0 && self.0 < Self::MAX.0
    }
}

impl std::fmt::Display for OfPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match Self::RESERVED.iter().find(|(_, port)| port == self) {
            Some((name, _)) => f.write_str(name),
            None => write!(f, "{}", self.0),
        }
    }
}

impl std::fmt::Display for DpPort {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}", self.0)
    }
}
