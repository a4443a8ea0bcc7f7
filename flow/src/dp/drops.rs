//! Why a packet was not forwarded.

macro_rules! drop_reasons {
    ($($(#[$doc:meta])* $variant:ident = $name:literal,)*) => {
        /// Why a packet was not forwarded. Each is a counter of each worker.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[repr(u8)]
        pub enum DropReason { $($(#[$doc])* $variant,)* }

        impl DropReason {
            /// All of them, in the order of their numbers.
            pub const ALL: &'static [DropReason] = &[$(DropReason::$variant,)*];

            /// The counter's name.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(DropReason::$variant => $name,)* }
            }
        }
    };
}

drop_reasons! {
    /// No rule of the table matched.
    NoMatch = "no_match",
    /// A rule without output matched.
    RuleDrop = "rule_drop",
    /// Output only to the input port, which needs `in_port` to be meant.
    OutputToInput = "output_to_input",
    /// NORMAL: the destination was learned on the input port.
    SamePort = "same_port",
    /// NORMAL or flood found no port to send to.
    NoFloodPort = "no_flood_port",
    /// Came in, or would go out, by a port that carries a mirror's copies only.
    MirrorPort = "mirror_port",
    /// NORMAL: not by this member of a bond, or looped back over it.
    BondRefused = "bond_refused",
    /// VLAN not allowed on the input port.
    VlanViolation = "vlan_violation",
    /// A tag to add, and no place: the frame carries the most tags that are handled already.
    VlanTooDeep = "vlan_too_deep",
    /// Reserved link-local address and nothing that handles it.
    Reserved = "reserved_address",
    /// TTL or hop limit ran out.
    TtlExpired = "ttl_expired",
    /// Output to a port that is not there (any more).
    NoSuchPort = "no_such_port",
    /// The input port belongs to no bridge.
    NoBridge = "no_bridge",
    /// Output port is down.
    PortDown = "port_down",
    /// The output queue took no more.
    TxFull = "tx_full",
    /// Larger than the output port's MTU.
    TooLong = "too_long",
    /// In several buffers, where the output port takes one and no buffer is large enough.
    TooManySegments = "too_many_segments",
    /// Shorter than an Ethernet header.
    TooShort = "too_short",
    /// No buffer for a copy.
    NoBuffer = "no_buffer",
    /// Too many resubmits or too deep.
    ResubmitLimit = "resubmit_limit",
    /// Recirculated too often.
    RecircLimit = "recirc_limit",
    /// An action that this datapath cannot do.
    Unsupported = "unsupported_action",
    /// Sent to a controller that is not there.
    NoController = "no_controller",
    /// The miss budget of the port was used up.
    MissBudget = "miss_budget",
    /// A meter's band dropped it.
    MeterDrop = "meter",
    /// It came back for a rest of its way that is not kept any more.
    StaleRecirc = "stale_recirc",
    /// Hardware has changed it and marked it for a flow that is not known any more.
    StaleMark = "stale_mark",
    /// Sent to a group that is not there.
    NoSuchGroup = "no_such_group",
    /// A group had no bucket that is live.
    NoLiveBucket = "no_live_bucket",
}

/// Number of drop reasons: the length of a counter array.
pub const DROP_REASONS: usize = DropReason::ALL.len();

impl std::fmt::Display for DropReason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}
