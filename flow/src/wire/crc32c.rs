//! CRC-32C (Castagnoli) of SCTP (RFC 9260, appendix A), and its incremental update.
//!
//! A CRC is linear: the CRCs of two messages of equal length differ by what the difference of the messages alone
//! gives, without initial value and final complement. So a change of header bytes needs no look at the payload,
//! only its length: the remainder of the difference, multiplied by x^8 for each byte that follows, modulo the
//! polynomial.

/// The polynomial, bits reversed.
const POLYNOMIAL: u32 = 0x82f6_3b78;

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 != 0 { crc >> 1 ^ POLYNOMIAL } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// `POWERS[k]` is x^(8 * 2^k) modulo the polynomial: multiplying by it appends 2^k zero bytes.
const POWERS: [u32; 17] = {
    // Bit 31 is x^0, so x^8 is bit 23.
    let mut powers = [1 << 23; 17];
    let mut k = 1;
    while k < 17 {
        powers[k] = multiply(powers[k - 1], powers[k - 1]);
        k += 1;
    }
    powers
};

/// The product of two polynomials, reversed bits, modulo the polynomial.
const fn multiply(a: u32, mut b: u32) -> u32 {
    let mut product = 0;
    let mut bit = 1 << 31;
    while bit != 0 {
        if a & bit != 0 {
            product ^= b;
        }
        b = if b & 1 != 0 { b >> 1 ^ POLYNOMIAL } else { b >> 1 };
        bit >>= 1;
    }
    product
}

fn update(crc: u32, bytes: &[u8]) -> u32 {
    bytes.iter().fold(crc, |crc, b| crc >> 8 ^ TABLE[usize::from(crc as u8 ^ *b)])
}

/// The CRC of `bytes`. SCTP carries it in little-endian order, over the packet with a CRC field of zero.
#[must_use]
pub fn of(bytes: &[u8]) -> u32 {
    !update(!0, bytes)
}

/// By what the CRC changes (exclusive or) when bytes become others that differ by `difference` (exclusive or) and
/// `behind` bytes (below 2^17) follow them.
#[must_use]
pub fn delta(difference: &[u8], behind: u32) -> u32 {
    let remainder = update(0, difference);
    let bits = POWERS.iter().enumerate().filter(|(k, _)| behind >> k & 1 != 0);
    bits.fold(remainder, |crc, (_, power)| multiply(crc, *power))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn check_value() {
        // RFC 9260 names no test vector; this is the catalogue's check value of CRC-32/ISCSI and RFC 3720, B.4.
        assert_eq!(of(b"123456789"), 0xe306_9283);
        assert_eq!(of(&[0; 32]), 0x8a91_36aa);
        assert_eq!(of(&[0xff; 32]), 0x62a8_ab43);
    }

    proptest! {
        #[test]
        fn delta_is_the_difference_of_two_crcs(mut bytes in prop::collection::vec(any::<u8>(), 4..3000), new: [u8; 4]) {
            let old = of(&bytes);
            let difference: Vec<u8> = bytes.iter().zip(new).map(|(a, b)| a ^ b).collect();
            bytes[..4].copy_from_slice(&new);
            prop_assert_eq!(old ^ delta(&difference, bytes.len() as u32 - 4), of(&bytes));
        }
    }
}
