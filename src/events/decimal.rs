//! Decimal numbers as they are written, without the rounding of floating point.

/// A number: digits and a power of ten.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Decimal {
    /// The digits without zeros at the end, with the number's sign.
    digits: i128,
    /// The power of ten to multiply the digits by.
    exponent: i64,
}

impl Decimal {
    /// Parses a number in JSON's form; a plus sign and a bare dot pass as well. Returns `None` for any other
    /// text, and for more digits than 128 bits hold.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (negative, unsigned) = match text.as_bytes() {
            [b'-', ..] => (true, &text[1..]),
            [b'+', ..] => (false, &text[1..]),
            _ => (false, text),
        };
        let (mantissa, exponent) = match unsigned.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse().ok()?),
            None => (unsigned, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        if whole.is_empty() && fraction.is_empty() {
            return None;
        }
        let mut digits = 0_i128;
        let mut zeros = 0_u32;
        for byte in whole.bytes().chain(fraction.bytes()) {
            match byte {
                b'0' => zeros += 1,
                b'1'..=b'9' => {
                    let shift = if digits == 0 { 1 } else { zeros + 1 };
                    digits = digits
                        .checked_mul(10_i128.checked_pow(shift)?)?
                        .checked_add(i128::from(byte - b'0'))?;
                    zeros = 0;
                }
                _ => return None,
            }
        }
        let point = i64::from(zeros) - i64::try_from(fraction.len()).ok()?;
        Some(Self {
            digits: if negative { -digits } else { digits },
            exponent: point.checked_add(exponent)?,
        })
    }

    /// Returns the number if it is an integer.
    pub(super) fn integer(self) -> Option<i64> {
        match self.digits {
            0 => Some(0),
            _ if self.exponent < 0 => None,
            _ => self.scaled(0),
        }
    }

    /// Returns the number times ten to the power of `power`, rounded down, if that fits 64 bits.
    pub(super) fn scaled(self, power: i64) -> Option<i64> {
        let exponent = self.exponent.checked_add(power)?;
        let size = u32::try_from(exponent.unsigned_abs()).unwrap_or(u32::MAX);
        let factor = 10_i128.checked_pow(size);
        let scaled = match (self.digits, factor) {
            (0, _) => 0,
            (digits, Some(factor)) if exponent >= 0 => digits.checked_mul(factor)?,
            (digits, Some(factor)) => digits.div_euclid(factor),
            (digits, None) if exponent < 0 => digits.signum().min(0),
            _ => return None,
        };
        scaled.try_into().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn integer(text: &str) -> Option<i64> {
        Decimal::parse(text)?.integer()
    }

    #[test]
    fn integers_are_exact_in_every_form() {
        for (text, expected) in [
            ("0", 0),
            ("-0.0", 0),
            ("0e999", 0),
            ("5432.0", 5432),
            ("5.432e3", 5432),
            ("5.432E+3", 5432),
            ("543200e-2", 5432),
            ("-1000.000", -1000),
            ("1e18", 1_000_000_000_000_000_000),
            ("9007199254740993.0", 9_007_199_254_740_993),
            ("9223372036854775807.0", i64::MAX),
            ("-9.223372036854775808e18", i64::MIN),
            ("+7.", 7),
        ] {
            assert_eq!(integer(text), Some(expected), "{text}");
        }
        for text in [
            "",
            "-",
            ".",
            "e3",
            "1e",
            "1.5",
            "1e-1",
            "5.4321e3",
            "9223372036854775808.0",
            "1e19",
            "1e400",
            "1e99999999999999999999",
            "1.0.0",
            "--1",
            "0x10",
            "1_000",
            " 1",
            "NaN",
            "inf",
            "١",
        ] {
            assert_eq!(integer(text), None, "{text}");
        }
    }

    #[test]
    fn scaled_numbers_are_rounded_down() {
        let scaled = |text, power| Decimal::parse(text).unwrap().scaled(power);
        assert_eq!(scaled("1784016930.25", 6), Some(1_784_016_930_250_000));
        assert_eq!(
            scaled("1784016930123456789", -3),
            Some(1_784_016_930_123_456)
        );
        assert_eq!(scaled("-1.5", 0), Some(-2));
        assert_eq!(scaled("1e-400", 6), Some(0));
        assert_eq!(scaled("-1e-400", 6), Some(-1));
        assert_eq!(scaled("1e400", 6), None);
        assert_eq!(scaled("0e400", 6), Some(0));
    }

    proptest::proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[0-9eE.+-]{0,50}|\\PC{0,20}", power in -9_i64..9) {
            if let Some(decimal) = Decimal::parse(&text) {
                let _ = (decimal.integer(), decimal.scaled(power));
            }
        }
    }
}
