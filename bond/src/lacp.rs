//! States of the Link Aggregation Control Protocol (IEEE 802.1AX-2014, 6.4).

/// What LACP is for the bond as a whole.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum LacpStatus {
    /// Not in use.
    #[default]
    Off,
    /// In use, but no partner has answered.
    Configured,
    /// A partner has answered.
    Negotiated,
}

/// The receive machine of one member (IEEE 802.1AX-2014, 6.4.12), as far as it decides about use.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub enum RxState {
    /// The partner's information is current.
    Current,
    /// It has just run out: the partner is asked for a short timeout.
    Expired,
    /// There is none: the partner is assumed not to speak LACP.
    #[default]
    Defaulted,
}

impl RxState {
    /// What a member may do by LACP: with a partner only while its information lives and both ends are in sync.
    #[must_use]
    pub fn may_carry(self, status: LacpStatus, in_sync: bool) -> bool {
        match status {
            LacpStatus::Off => true,
            LacpStatus::Configured => false,
            LacpStatus::Negotiated => in_sync && self != RxState::Defaulted,
        }
    }
}
