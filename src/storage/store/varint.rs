//! Owns numbers of as many bytes as they need: seven bits in each, the lowest first, the highest bit set in all but the
//! last (LEB128).
//! It must not take a number that it would have written otherwise.

/// Bytes that no version of this program writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Damaged;

/// Appends a number.
pub(super) fn write(mut number: u64, into: &mut Vec<u8>) {
    while number >= 0x80 {
        into.push(number as u8 | 0x80);
        number >>= 7;
    }
    into.push(number as u8);
}

/// Takes a number from the beginning.
pub(super) fn read(bytes: &mut &[u8]) -> Result<u64, Damaged> {
    let mut number = 0;
    for shift in (0..64).step_by(7) {
        let (&byte, rest) = bytes.split_first().ok_or(Damaged)?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        // The tenth byte has room for one bit.
        if bits << shift >> shift != bits {
            return Err(Damaged);
        }
        number |= bits << shift;
        if byte < 0x80 {
            return if byte == 0 && shift > 0 { Err(Damaged) } else { Ok(number) };
        }
    }
    Err(Damaged)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_number_reads_back_from_as_few_bytes_as_hold_it() {
        for bit in 0..64 {
            for number in [(1_u64 << bit) - 1, 1 << bit, u64::MAX >> bit] {
                let mut bytes = Vec::new();
                write(number, &mut bytes);
                assert_eq!(bytes.len() as u32, (64 - number.leading_zeros()).div_ceil(7).max(1));
                let mut rest = bytes.as_slice();
                assert_eq!((read(&mut rest), rest.len()), (Ok(number), 0));
            }
        }
    }

    #[test]
    fn what_is_cut_short_too_long_or_too_large_is_refused() {
        for bytes in [&[][..], &[0x80], &[0xff, 0xff], &[0x80, 0], &[0x81, 0x80, 0], &[0xff; 12]] {
            assert_eq!(read(&mut &bytes[..]), Err(Damaged), "{bytes:?}");
        }
        let mut large = [0xff; 10];
        large[9] = 2;
        assert_eq!(read(&mut &large[..]), Err(Damaged), "65 bits");
    }
}
