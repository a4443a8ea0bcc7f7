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

/// Why there cannot be such a meter (OpenFlow 1.5.1, section 5.7).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MeterError {
    /// Number 0, or beyond [`MAX_METER`].
    #[error("meter {0} cannot be: numbers go from 1 to {MAX_METER}")]
    BadId(u32),
    /// A meter that limits nothing.
    #[error("meter {0} has no band: add bands=type=drop,rate=RATE")]
    NoBand(u32),
    /// A band without rate. Bands count from 1.
    #[error("band {band} of meter {meter} has no rate: add rate=RATE")]
    NoRate { meter: u32, band: usize },
    /// A burst without size.
    #[error("band {band} of meter {meter} has no burst_size, which the flag `burst` asks for")]
    NoBurstSize { meter: u32, band: usize },
    /// A size without burst.
    #[error("band {band} of meter {meter} has a burst_size, which does not count without the flag `burst`")]
    BurstSize { meter: u32, band: usize },
    /// A remarking band that does not.
    #[error("band {band} of meter {meter} remarks nothing: add prec_level= of 1 or more")]
    NoPrecLevel { meter: u32, band: usize },
}

impl MeterSpec {
    /// Whether there can be such a meter.
    ///
    /// # Errors
    /// What OpenFlow forbids, naming meter and band.
    pub fn check(&self) -> Result<(), MeterError> {
        let meter = self.id;
        if !(1..=MAX_METER).contains(&meter) {
            return Err(MeterError::BadId(meter));
        }
        if self.bands.is_empty() {
            return Err(MeterError::NoBand(meter));
        }
        for (i, band) in self.bands.iter().enumerate() {
            let at = i + 1;
            if band.kind == (BandKind::DscpRemark { prec_level: 0 }) {
                return Err(MeterError::NoPrecLevel { meter, band: at });
            }
            if band.rate == 0 {
                return Err(MeterError::NoRate { meter, band: at });
            }
            match (self.burst, band.burst_size) {
                (true, 0) => return Err(MeterError::NoBurstSize { meter, band: at }),
                (false, 1..) => return Err(MeterError::BurstSize { meter, band: at }),
                _ => {}
            }
        }
        Ok(())
    }
}
