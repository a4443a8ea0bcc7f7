//! Numbers as C reads them: the forms that OVS takes follow strtoull(3) and sscanf(3).

/// Why a number could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberError {
    Syntax,
    Range,
}

fn skip_space(s: &str) -> &str {
    s.trim_start_matches([' ', '\t', '\n', '\x0b', '\x0c', '\r'])
}

fn digits(s: &str, radix: u32) -> (&str, &str) {
    let end = s.bytes().position(|b| !char::from(b).is_digit(radix)).unwrap_or(s.len());
    s.split_at(end)
}

/// strtoull(3) with base 0 (`base` 10: no prefixes): the number and what follows it. A minus sign negates modulo 2^64.
pub(super) fn strtoull(s: &str, base: u32) -> Result<(u64, &str), NumberError> {
    let (negative, magnitude, rest) = strto(s, base)?;
    Ok((if negative { magnitude.wrapping_neg() } else { magnitude }, rest))
}

fn strto(s: &str, base: u32) -> Result<(bool, u64, &str), NumberError> {
    let s = skip_space(s);
    let negative = s.starts_with('-');
    let s = s.strip_prefix(['-', '+']).unwrap_or(s);
    let hex = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X"));
    let (radix, from) = match hex {
        Some(hex) if base == 0 && hex.starts_with(|c: char| c.is_ascii_hexdigit()) => (16, hex),
        _ if base == 0 && s.starts_with('0') => (8, s),
        _ => (10, s),
    };
    let (number, rest) = digits(from, radix);
    if number.is_empty() {
        return Err(NumberError::Syntax);
    }
    let magnitude = u64::from_str_radix(number, radix).map_err(|_| NumberError::Range)?;
    Ok((negative, magnitude, rest))
}

/// A whole text as a signed number (strtoll(3)).
pub(super) fn whole_int(s: &str, base: u32) -> Option<i64> {
    let (negative, magnitude, rest) = strto(s, base).ok()?;
    if !rest.is_empty() {
        return None;
    }
    let value = i128::from(magnitude);
    i64::try_from(if negative { -value } else { value }).ok()
}

/// A whole text as an unsigned number (strtoull(3), base 0).
pub(super) fn whole_u64(s: &str) -> Option<u64> {
    strtoull(s, 0).ok().filter(|(_, rest)| rest.is_empty()).map(|(v, _)| v)
}

/// A number of at most `bytes` bytes and what follows it: hexadecimal of any width, or up to 64 bits.
pub(super) fn int_string(s: &str, bytes: u8) -> Result<(u128, &str), NumberError> {
    if let Some(hex) = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")) {
        let (number, rest) = digits(hex, 16);
        let number = number.trim_start_matches('0');
        if number.len() > usize::from(bytes) * 2 {
            return Err(NumberError::Range);
        }
        let value = if number.is_empty() { 0 } else { u128::from_str_radix(number, 16).unwrap_or_default() };
        return Ok((value, rest));
    }
    let (value, rest) = strtoull(s, 0)?;
    if bytes < 8 && value >> (u32::from(bytes) * 8) != 0 {
        return Err(NumberError::Range);
    }
    Ok((u128::from(value), rest))
}

/// A number as sscanf(3) reads it with `%u`, `%x` (base 16) or `%i` (base 0), modulo 2^64; whether it had a sign
/// or overflowed; and what follows.
pub(super) fn scan(s: &str, base: u32) -> Option<(u64, bool, &str)> {
    let s = skip_space(s);
    let negative = s.starts_with('-');
    let s = s.strip_prefix(['-', '+']).unwrap_or(s);
    let hex = s.strip_prefix("0x").or_else(|| s.strip_prefix("0X")).filter(|_| base == 0 || base == 16);
    let (radix, from) = match hex {
        Some(hex) => (16, hex),
        None if base == 0 => (if s.starts_with('0') { 8 } else { 10 }, s),
        None => (base, s),
    };
    let (number, rest) = digits(from, radix);
    if number.is_empty() {
        return None;
    }
    let (mut value, mut odd) = (0u64, negative);
    for b in number.bytes() {
        let digit = u64::from(char::from(b).to_digit(radix).unwrap_or_default());
        let (v, over) = value.overflowing_mul(u64::from(radix));
        let (v, carry) = v.overflowing_add(digit);
        value = v;
        odd |= over || carry;
    }
    Some((if negative { value.wrapping_neg() } else { value }, odd, rest))
}

/// Bytes as pairs of hexadecimal digits, with or without dots and spaces between them.
pub(super) fn hex_bytes(s: &str) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = s.trim_start_matches([' ', '.', '\t', '\r', '\n']);
    while !rest.is_empty() {
        let (pair, behind) = rest.split_at_checked(2)?;
        if !pair.bytes().all(|b| b.is_ascii_hexdigit()) {
            return None;
        }
        bytes.push(u8::from_str_radix(pair, 16).ok()?);
        rest = behind.trim_start_matches([' ', '.', '\t', '\r', '\n']);
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_as_c_does() {
        assert_eq!(strtoull("0x1f,", 0), Ok((31, ",")));
        assert_eq!(strtoull("010", 0), Ok((8, "")));
        assert_eq!(strtoull("08", 0), Ok((0, "8")));
        assert_eq!(strtoull("0x", 0), Ok((0, "x")));
        assert_eq!(strtoull("-1", 0), Ok((u64::MAX, "")));
        assert_eq!(strtoull("99999999999999999999", 0), Err(NumberError::Range));
        assert_eq!(strtoull("", 0), Err(NumberError::Syntax));
        assert_eq!(whole_int("-5", 0), Some(-5));
        assert_eq!(whole_int("5x", 0), None);
        assert_eq!(int_string("0x", 2), Ok((0, "")));
        assert_eq!(int_string("0x000012345", 2), Err(NumberError::Range));
        assert_eq!(int_string("0x00001234", 2), Ok((0x1234, "")));
        assert_eq!(int_string("65536", 2), Err(NumberError::Range));
        assert_eq!(int_string("-1", 8), Ok((u128::from(u64::MAX), "")));
        assert_eq!(scan("300.", 10), Some((300, false, ".")));
        assert_eq!(scan("0xff:", 16), Some((255, false, ":")));
        assert_eq!(scan("x", 16), None);
    }
}
