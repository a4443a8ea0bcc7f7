//! The value of one field.

/// A field's value as an integer, right-aligned: `Value(0x0800)` of eth_type, `Value(0xa000001)` of nw_src.
/// Masks of fields have the same form.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Value(pub u128);

impl Value {
    /// All `bits` low bits set: the mask of an exact match on a field of that width (0 to 128).
    #[must_use]
    pub const fn ones(bits: u16) -> Value {
        if bits == 0 { Value(0) } else { Value(u128::MAX >> (128 - bits as u32)) }
    }
}

impl From<u8> for Value {
    fn from(v: u8) -> Self {
        Value(u128::from(v))
    }
}
impl From<u16> for Value {
    fn from(v: u16) -> Self {
        Value(u128::from(v))
    }
}
impl From<u32> for Value {
    fn from(v: u32) -> Self {
        Value(u128::from(v))
    }
}
impl From<u64> for Value {
    fn from(v: u64) -> Self {
        Value(u128::from(v))
    }
}
impl From<[u8; 6]> for Value {
    fn from(mac: [u8; 6]) -> Self {
        Value(mac.iter().fold(0, |v, b| v << 8 | u128::from(*b)))
    }
}
impl From<[u8; 16]> for Value {
    fn from(v: [u8; 16]) -> Self {
        Value(u128::from_be_bytes(v))
    }
}

impl Value {
    /// The low 48 bits as a MAC address.
    #[must_use]
    pub fn mac(self) -> [u8; 6] {
        let b = self.0.to_be_bytes();
        [b[10], b[11], b[12], b[13], b[14], b[15]]
    }
}
