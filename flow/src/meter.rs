//! Meters of OpenFlow 1.3: rate limits that rules share (ovs-ofctl(8), "Meter Syntax").

/// Highest number of a meter (OFPM_MAX).
pub const MAX_METER: u32 = 0xffff_0000;

/// A meter to add, or as a dump shows it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct MeterSpec {
    /// 1 to [`MAX_METER`].
    pub id: u32,
    pub unit: MeterUnit,
    /// `burst`: the bands' burst sizes count.
    pub burst: bool,
    /// `stats`: the meter counts. (Ours always do.)
    pub stats: bool,
    pub bands: Vec<Band>,
}

/// What rates count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MeterUnit {
    /// Kilobits a second; burst sizes in kilobits.
    Kbps,
    /// Packets a second; burst sizes in packets.
    Pktps,
}

/// What happens above a rate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Band {
    pub kind: BandKind,
    /// In the meter's unit.
    pub rate: u32,
    /// In the unit of the meter times one second; 0: the default.
    pub burst_size: u32,
}

/// Sorts of bands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum BandKind {
    Drop,
    /// Raise the drop precedence of an assured-forwarding DSCP (RFC 2597) by so much.
    DscpRemark {
        prec_level: u8,
    },
}
