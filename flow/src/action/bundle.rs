//! The `bundle` and `bundle_load` actions: choose one of several ports (ovs-actions(7)).

use super::subfield::SubField;
use crate::port::OfPort;

/// Choose a member and send to it, or store its number.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Bundle {
    pub fields: HashFields,
    /// Start of the hash.
    pub basis: u16,
    pub algorithm: BundleAlgorithm,
    pub members: Vec<OfPort>,
    /// `bundle_load`: where to store the chosen port (65535: none is live). `None`: send to it.
    pub load: Option<SubField>,
}

/// How the member is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BundleAlgorithm {
    /// The first that is live.
    ActiveBackup,
    /// Highest random weight among the live ones.
    Hrw,
}

/// What a hash is taken over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HashFields {
    EthSrc,
    SymmetricL4,
    SymmetricL3L4,
    SymmetricL3L4Udp,
    SymmetricL3,
    NwSrc,
    NwDst,
}
