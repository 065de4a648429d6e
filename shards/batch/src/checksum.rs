/// CRC-32C's polynomial, bits reversed, without its highest term (RFC 3720, appendix B.4).
const POLYNOMIAL: u32 = 0x82f6_3b78;
/// 1, as a polynomial with bits reversed.
const ONE: u32 = 1 << 31;

/// `a · b` modulo the polynomial.
const fn product(a: u32, mut b: u32) -> u32 {
    let mut bit = ONE;
    let mut sum = 0;
    while bit != 0 {
        if a & bit != 0 {
            sum ^= b;
        }
        bit >>= 1;
        b = (b >> 1) ^ (POLYNOMIAL * (b & 1));
    }
    sum
}

/// `x` to the power of 8 · 2^n: what 2^n bytes of zeros do to a checksum.
const ZEROS: [u32; 32] = {
    // x to the power of 8.
    let mut power = ONE >> 8;
    let mut powers = [0; 32];
    let mut n = 0;
    while n < powers.len() {
        powers[n] = power;
        power = product(power, power);
        n += 1;
    }
    powers
};

/// What bytes that follow do to the checksum of those before, for one length: a product instead of a look at them.
#[derive(Clone, Copy, Debug)]
pub struct Joint {
    len: u32,
    factor: u32,
}

impl Default for Joint {
    fn default() -> Joint {
        Joint { len: 0, factor: ONE }
    }
}

impl Joint {
    /// The CRC-32C of bytes whose first part has the checksum `first` and whose other part, `len` bytes, has `second`. The
    /// factor for the length is kept: lengths that repeat cost one product.
    pub fn combine(&mut self, first: u32, second: u32, len: u32) -> u32 {
        if len != self.len {
            let factor = ZEROS
                .iter()
                .enumerate()
                .filter(|(n, _)| len >> n & 1 == 1)
                .fold(ONE, |all, (_, zeros)| product(all, *zeros));
            *self = Joint { len, factor };
        }
        product(self.factor, first) ^ second
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_parts_give_the_checksum_of_the_whole() {
        let bytes: Vec<u8> = (0..70_000_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        let mut joint = Joint::default();
        for len in [0, 1, 2, 3, 61, 255, 256, 4095, 65_536, 65_536, 69_999] {
            let (first, second) = bytes.split_at(bytes.len() - len);
            let (first, second) = (crc32c::crc32c(first), crc32c::crc32c(second));
            assert_eq!(joint.combine(first, second, len as u32), crc32c::crc32c(&bytes), "{len} bytes follow");
        }
    }

    #[test]
    fn nothing_before_is_no_exception() {
        let whole = crc32c::crc32c(b"123456789");
        assert_eq!(whole, 0xe306_9283, "RFC 3720's check value");
        assert_eq!(Joint::default().combine(0, whole, 9), whole);
    }
}
