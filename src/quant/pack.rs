//! Packed storage of codes, the same in files and on every back end.
//!
//! Packing runs along the last axis and each row starts on a byte; what is left of a row's last byte is
//! padding with code 0.
//!
//! | format | codes a byte | a code `c` is stored as |
//! | --- | --- | --- |
//! | `ternary2` | 4 | `c + 1` in two bits, the first code lowest; 3 is invalid |
//! | `ternary5` | 5 | `c + 1` as a digit of base 3, the first code lowest; above 242 is invalid |
//! | `int4` | 2 | `c + 8` (`int4`) or `c` (`uint8`, 0 to 15), the first code in the low nibble |
//! | `int8` | 1 | its bits |

use crate::quant::QuantError;
use crate::types::{DType, Tensor};

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Format {
    Ternary2,
    Ternary5,
    Int4,
    Int8,
}

impl Format {
    pub const ALL: [Format; 4] = [Format::Ternary2, Format::Ternary5, Format::Int4, Format::Int8];

    pub fn name(self) -> &'static str {
        match self {
            Format::Ternary2 => "ternary2",
            Format::Ternary5 => "ternary5",
            Format::Int4 => "int4",
            Format::Int8 => "int8",
        }
    }

    pub fn parse(name: &str) -> Option<Format> {
        Format::ALL.into_iter().find(|format| format.name() == name)
    }

    /// The format of `NAME.codes` in weights files. `int4` is for symmetric codes; asymmetric ones are
    /// `uint8` and told from 8-bit codes by their scheme, see [`Format::of_scheme`].
    pub fn of_scheme(scheme: &crate::quant::Scheme) -> Format {
        match scheme.kind {
            crate::quant::SchemeKind::Ternary { .. } => Format::Ternary2,
            crate::quant::SchemeKind::Int { bits: 4, .. } => Format::Int4,
            crate::quant::SchemeKind::Int { .. } => Format::Int8,
        }
    }

    pub fn codes_per_byte(self) -> usize {
        match self {
            Format::Ternary2 => 4,
            Format::Ternary5 => 5,
            Format::Int4 => 2,
            Format::Int8 => 1,
        }
    }

    /// Bytes of a row of so many codes.
    pub fn row_bytes(self, codes: usize) -> usize {
        codes.div_ceil(self.codes_per_byte())
    }

    /// Whether codes of this element type can be packed so.
    pub fn holds(self, dtype: DType) -> bool {
        match self {
            Format::Ternary2 | Format::Ternary5 => dtype == DType::Trit,
            Format::Int4 => matches!(dtype, DType::Int4 | DType::UInt8),
            Format::Int8 => dtype == DType::Int8,
        }
    }

    /// What one code counts for more than the one before it.
    fn radix(self) -> i64 {
        match self {
            Format::Ternary2 => 4,
            Format::Ternary5 => 3,
            Format::Int4 => 16,
            Format::Int8 => 256,
        }
    }

    /// Valid digits, from 0, and what was added to a code to get one.
    fn digits(self, dtype: DType) -> (i64, i64) {
        match self {
            Format::Ternary2 | Format::Ternary5 => (3, 1),
            Format::Int4 if dtype == DType::Int4 => (16, 8),
            Format::Int4 => (16, 0),
            Format::Int8 => (256, 0),
        }
    }
}

/// Packs codes along the last axis, into `uint8`.
pub fn pack(codes: &Tensor, format: Format) -> Result<Tensor, QuantError> {
    let dtype = codes.dtype();
    let unheld = QuantError::Format { format: format.name(), dtype };
    let values = codes.as_i64().ok_or(unheld)?;
    let (&size, outer) = codes.shape().split_last().ok_or(QuantError::Scalar)?;
    let mut shape = outer.to_vec();
    shape.push(format.row_bytes(size));
    let mut bytes = Vec::with_capacity(shape.iter().product());
    Packer::new(format, dtype, size)?.push(values, &mut bytes)?;
    Ok(Tensor::from_i64(DType::UInt8, shape, bytes.into_iter().map(i64::from).collect()))
}

/// Restores codes of type `dtype`, `size` of them a row. A byte that no packing gives is an error, wrong
/// padding included.
pub fn unpack(bytes: &Tensor, format: Format, size: usize, dtype: DType) -> Result<Tensor, QuantError> {
    let mut unpacker = Unpacker::new(format, dtype, size)?;
    let values = bytes.as_i64().filter(|_| bytes.dtype() == DType::UInt8);
    let values =
        values.ok_or_else(|| QuantError::Mismatch(format!("packed codes are uint8, not {}", bytes.dtype())))?;
    let (&found, outer) = bytes.shape().split_last().ok_or(QuantError::Scalar)?;
    let wanted = format.row_bytes(size);
    if found != wanted {
        return Err(QuantError::PackedSize { found, wanted, size, format: format.name() });
    }
    let mut shape = outer.to_vec();
    shape.push(size);
    let mut codes = Vec::with_capacity(shape.iter().product());
    unpacker.push(values.iter().map(|byte| *byte as u8), &mut codes)?;
    Ok(Tensor::from_i64(dtype, shape, codes))
}

/// Packs codes as they come: rows may be begun in one call and ended in another.
#[derive(Clone, Debug)]
pub struct Packer {
    format: Format,
    valid: i64,
    offset: i64,
    /// Codes of a row.
    size: usize,
    /// Codes of this row that were packed.
    place: usize,
    /// The byte that is being filled, and what the next digit counts in it.
    byte: i64,
    weight: i64,
    /// Codes so far, for messages.
    index: usize,
}

impl Packer {
    pub fn new(format: Format, dtype: DType, size: usize) -> Result<Packer, QuantError> {
        if !format.holds(dtype) {
            return Err(QuantError::Format { format: format.name(), dtype });
        }
        let (valid, offset) = format.digits(dtype);
        Ok(Packer { format, valid, offset, size, place: 0, byte: 0, weight: 1, index: 0 })
    }

    /// Appends the bytes that these codes fill.
    pub fn push(&mut self, codes: &[i64], bytes: &mut Vec<u8>) -> Result<(), QuantError> {
        let (radix, per_byte) = (self.format.radix(), self.format.codes_per_byte());
        for &code in codes {
            let digit = if self.format == Format::Int8 { code & 0xff } else { code + self.offset };
            if !(0..self.valid).contains(&digit) {
                return Err(QuantError::Code { index: self.index, code });
            }
            self.byte += digit * self.weight;
            self.weight *= radix;
            self.index += 1;
            self.place += 1;
            let in_byte = self.place % per_byte;
            if self.place == self.size && in_byte != 0 {
                for _ in in_byte..per_byte {
                    self.byte += self.offset * self.weight;
                    self.weight *= radix;
                }
            }
            if self.place == self.size || in_byte == 0 {
                bytes.push(self.byte as u8);
                (self.byte, self.weight) = (0, 1);
            }
            if self.place == self.size {
                self.place = 0;
            }
        }
        Ok(())
    }
}

/// Unpacks bytes as they come.
#[derive(Clone, Debug)]
pub struct Unpacker {
    format: Format,
    valid: i64,
    offset: i64,
    /// Codes of a row.
    size: usize,
    /// Codes of this row that were unpacked.
    place: usize,
    /// Bytes so far, for messages.
    index: usize,
}

impl Unpacker {
    pub fn new(format: Format, dtype: DType, size: usize) -> Result<Unpacker, QuantError> {
        if !format.holds(dtype) {
            return Err(QuantError::Format { format: format.name(), dtype });
        }
        let (valid, offset) = format.digits(dtype);
        Ok(Unpacker { format, valid, offset, size, place: 0, index: 0 })
    }

    /// Appends the codes of these bytes.
    pub fn push(&mut self, bytes: impl Iterator<Item = u8>, codes: &mut Vec<i64>) -> Result<(), QuantError> {
        let radix = self.format.radix();
        for byte in bytes {
            let byte = i64::from(byte);
            let invalid = QuantError::Byte { index: self.index, byte, format: self.format.name() };
            let mut rest = byte;
            for _ in 0..self.format.codes_per_byte() {
                let digit = rest % radix;
                rest /= radix;
                let padding = self.place >= self.size;
                if digit >= self.valid || padding && digit != self.offset {
                    return Err(invalid);
                }
                if !padding {
                    let code =
                        if self.format == Format::Int8 { i64::from(digit as u8 as i8) } else { digit - self.offset };
                    codes.push(code);
                }
                self.place += 1;
            }
            if rest != 0 {
                return Err(invalid);
            }
            if self.place >= self.size {
                self.place = 0;
            }
            self.index += 1;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn codes(dtype: DType, shape: &[usize], values: &[i64]) -> Tensor {
        Tensor::from_i64(dtype, shape.to_vec(), values.to_vec())
    }

    /// Packs, compares the bytes and unpacks again.
    fn check(format: Format, dtype: DType, shape: &[usize], values: &[i64], packed: &[usize], bytes: &[i64]) {
        let tensor = codes(dtype, shape, values);
        let got = pack(&tensor, format).unwrap();
        assert_eq!((got.dtype(), got.shape(), got.as_i64().unwrap()), (DType::UInt8, packed, bytes));
        assert_eq!(unpack(&got, format, *shape.last().unwrap(), dtype).unwrap(), tensor);
    }

    #[test]
    fn ternary_in_two_bits() {
        check(Format::Ternary2, DType::Trit, &[4], &[-1, 0, 1, -1], &[1], &[0b00_10_01_00]);
        // Each row starts on a byte, padded with code 0.
        let bytes = [0b01_10_10_10, 0b01_01_01_01, 0b01_00_00_00, 0b01_01_01_01];
        let rows = [&[1, 1, 1][..], &[0, 0, 0], &[-1, -1, -1], &[0, 0, 0]].concat();
        check(Format::Ternary2, DType::Trit, &[2, 2, 3], &rows, &[2, 2, 1], &bytes);
    }

    #[test]
    fn ternary_in_base_three() {
        check(Format::Ternary5, DType::Trit, &[5], &[1, 1, 1, 1, 1], &[1], &[242]);
        check(Format::Ternary5, DType::Trit, &[5], &[1, 0, -1, -1, -1], &[1], &[5]);
        check(Format::Ternary5, DType::Trit, &[6], &[-1, -1, -1, -1, -1, 1], &[2], &[0, 2 + 3 + 9 + 27 + 81]);
    }

    #[test]
    fn four_and_eight_bits() {
        check(Format::Int4, DType::Int4, &[3], &[-8, 7, 0], &[2], &[0xF0, 0x88]);
        check(Format::Int4, DType::UInt8, &[3], &[1, 15, 2], &[2], &[0xF1, 0x02]);
        check(Format::Int8, DType::Int8, &[2, 2], &[-1, 127, -128, 0], &[2, 2], &[255, 127, 128, 0]);
    }

    #[test]
    fn empty_rows() {
        check(Format::Ternary2, DType::Trit, &[3, 0], &[], &[3, 0], &[]);
        check(Format::Int4, DType::Int4, &[0, 3], &[], &[0, 2], &[]);
    }

    #[test]
    fn what_no_packing_gives_is_refused() {
        let bytes = |values: &[i64]| codes(DType::UInt8, &[values.len()], values);
        let three = unpack(&bytes(&[0b11_01_01_01]), Format::Ternary2, 4, DType::Trit);
        assert_eq!(three, Err(QuantError::Byte { index: 0, byte: 0b11_01_01_01, format: "ternary2" }));
        assert!(unpack(&bytes(&[0b00_01_01_01]), Format::Ternary2, 3, DType::Trit).is_err(), "padding");
        assert!(unpack(&bytes(&[243]), Format::Ternary5, 5, DType::Trit).is_err());
        assert!(unpack(&bytes(&[0x18]), Format::Int4, 1, DType::Int4).is_err(), "padding");
        let short = unpack(&bytes(&[0]), Format::Ternary2, 5, DType::Trit).unwrap_err();
        assert_eq!(short.to_string(), "5 codes in ternary2 take 2 bytes a row, not 1");
        assert!(unpack(&bytes(&[0]), Format::Int4, 2, DType::Trit).is_err());
        assert_eq!(unpack(&codes(DType::UInt8, &[], &[0]), Format::Int8, 1, DType::Int8), Err(QuantError::Scalar));
        assert!(unpack(&codes(DType::Int32, &[1], &[0]), Format::Int8, 1, DType::Int8).is_err());
    }

    #[test]
    fn rows_may_come_in_pieces() {
        let values: Vec<i64> = (0..77).map(|i| i % 3 - 1).collect();
        for (format, size) in [(Format::Ternary2, 11), (Format::Ternary5, 7), (Format::Ternary2, 77)] {
            let whole = pack(&codes(DType::Trit, &[77 / size, size], &values), format).unwrap();
            for piece in [1, 2, 3, 10, 64] {
                let (mut packer, mut bytes) = (Packer::new(format, DType::Trit, size).unwrap(), vec![]);
                values.chunks(piece).for_each(|codes| packer.push(codes, &mut bytes).unwrap());
                assert!(bytes.iter().map(|byte| i64::from(*byte)).eq(whole.as_i64().unwrap().iter().copied()));
                let (mut unpacker, mut back) = (Unpacker::new(format, DType::Trit, size).unwrap(), vec![]);
                bytes.chunks(piece).for_each(|bytes| unpacker.push(bytes.iter().copied(), &mut back).unwrap());
                assert_eq!(back, values);
            }
        }
    }

    #[test]
    fn codes_out_of_range_are_refused() {
        let sixteen = pack(&codes(DType::UInt8, &[2, 2], &[0, 1, 2, 16]), Format::Int4);
        assert_eq!(sixteen, Err(QuantError::Code { index: 3, code: 16 }));
        let wrong = pack(&codes(DType::Int8, &[1], &[0]), Format::Ternary2);
        assert_eq!(wrong, Err(QuantError::Format { format: "ternary2", dtype: DType::Int8 }));
    }
}
