//! Variable-length integers: seven bits a byte, least significant first, the high bit says that more follow
//! (`org.apache.kafka.common.utils.ByteUtils`). Signed ones are zigzag-coded.

/// Bytes of the longest 32-bit one.
pub const VARINT_BYTES_MAX: usize = 5;
/// Bytes of the longest 64-bit one.
pub const VARLONG_BYTES_MAX: usize = 10;

/// Reads a signed 64-bit integer from the start of `bytes`: its value and how many bytes it took.
/// `None` when the bytes end inside it or it is longer than 64 bits.
#[inline(always)]
pub fn read_varlong(bytes: &[u8]) -> Option<(i64, usize)> {
    // Nearly all of them take one byte or two.
    match *bytes {
        [first, ..] if first < 0x80 => Some((unzigzag(u64::from(first)), 1)),
        [first, second, ..] if second < 0x80 => Some((unzigzag(u64::from(first & 0x7f) | u64::from(second) << 7), 2)),
        _ => read_long_form(bytes),
    }
}

#[inline(never)]
fn read_long_form(bytes: &[u8]) -> Option<(i64, usize)> {
    let mut value = 0u64;
    for (i, &byte) in bytes.iter().take(VARLONG_BYTES_MAX).enumerate() {
        value |= u64::from(byte & 0x7f) << (7 * i);
        if byte < 0x80 {
            // The tenth byte holds the 64th bit and nothing else.
            return (i + 1 < VARLONG_BYTES_MAX || byte <= 1).then_some((unzigzag(value), i + 1));
        }
    }
    None
}

/// Reads a signed 32-bit integer from the start of `bytes`: its value and how many bytes it took.
/// `None` when the bytes end inside it or it does not fit 32 bits.
#[inline(always)]
pub fn read_varint(bytes: &[u8]) -> Option<(i32, usize)> {
    let (value, taken) = read_varlong(bytes)?;
    Some((i32::try_from(value).ok()?, taken))
}

/// Appends a signed integer; 32-bit ones have the same form.
pub fn write_varlong(out: &mut Vec<u8>, value: i64) {
    let mut rest = zigzag(value);
    while rest >= 0x80 {
        out.push(rest as u8 | 0x80);
        rest >>= 7;
    }
    out.push(rest as u8);
}

/// How many bytes [`write_varlong`] takes for `value`.
pub const fn varlong_bytes(value: i64) -> usize {
    let bits = 64 - (zigzag(value) | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

const fn zigzag(value: i64) -> u64 {
    ((value << 1) ^ (value >> 63)) as u64
}

const fn unzigzag(value: u64) -> i64 {
    (value >> 1) as i64 ^ -((value & 1) as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes() {
        // From org.apache.kafka.common.utils.ByteUtilsTest.
        for (value, bytes) in [
            (0i64, &[0u8][..]),
            (-1, &[1]),
            (1, &[2]),
            (63, &[0x7e]),
            (-64, &[0x7f]),
            (64, &[0x80, 1]),
            (8191, &[0xfe, 0x7f]),
            (i64::from(i32::MAX), &[0xfe, 0xff, 0xff, 0xff, 0x0f]),
            (i64::from(i32::MIN), &[0xff, 0xff, 0xff, 0xff, 0x0f]),
            (i64::MAX, &[0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
            (i64::MIN, &[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1]),
        ] {
            let mut out = Vec::new();
            write_varlong(&mut out, value);
            assert_eq!(out, bytes, "{value}");
            assert_eq!(varlong_bytes(value), bytes.len(), "{value}");
            assert_eq!(read_varlong(&out), Some((value, bytes.len())));
            assert_eq!(read_varlong(&out[..out.len() - 1]), None);
        }
    }

    #[test]
    fn overlong_is_refused() {
        assert_eq!(read_varlong(&[0xff; 11]), None);
        assert_eq!(read_varlong(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2]), None);
        assert_eq!(read_varint(&[0xff, 0xff, 0xff, 0xff, 0x1f]), None);
        assert_eq!(read_varint(&[]), None);
    }
}
