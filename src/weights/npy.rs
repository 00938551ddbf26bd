//! NumPy's `.npy`: magic, version, a header that is a Python dict, then the elements.
//!
//! The header is read here rather than by a library: the one that is kept allocates what a header claims
//! before it reads, multiplies the shape without checking, and parses any Python literal recursively, so a
//! file of a few bytes could exhaust memory or the stack. The dict has exactly three keys in every file
//! that NumPy writes, and that is what is accepted.

use super::raw::{Raw, element_bytes, element_count, stored_size};
use crate::types::{DType, Tensor};
use std::borrow::Cow;

const MAGIC: &[u8] = b"\x93NUMPY";
/// NumPy refuses longer headers too.
const MAX_HEADER: usize = 10_000;
/// NumPy's own bound on the number of dims.
const MAX_RANK: usize = 64;
/// Data starts at a multiple of this.
const ALIGNMENT: usize = 64;

struct Header {
    dtype: DType,
    big_endian: bool,
    fortran_order: bool,
    shape: Vec<usize>,
}

/// So many bytes from the start hold the header of any file that is read.
pub(super) const HEADER_BYTES: usize = MAGIC.len() + 6 + MAX_HEADER;

/// Element type and shape of an array, from the bytes that it begins with.
pub fn describe(bytes: &[u8]) -> Result<(DType, Vec<usize>), String> {
    let (header, _) = split(bytes)?;
    header.count()?;
    Ok((header.dtype, header.shape))
}

/// Reads one array.
pub fn read(bytes: &[u8]) -> Result<Tensor, String> {
    Ok(raw(bytes)?.decode())
}

/// The elements of one array, as they lie there if they are little-endian and row-major.
pub(super) fn raw(bytes: &[u8]) -> Result<Raw<'_>, String> {
    let (header, data) = split(bytes)?;
    let size = stored_size(header.dtype);
    let count = header.count()?;
    if data.len() != count * size {
        let kind = if data.len() < count * size { "is truncated" } else { "has bytes left over" };
        let shape = &header.shape;
        return Err(format!(
            "{kind}: shape {shape:?} of {} needs {} bytes, found {}",
            header.dtype,
            count * size,
            data.len()
        ));
    }
    let data = if header.big_endian && size > 1 {
        Cow::from(data.chunks(size).flat_map(|element| element.iter().rev().copied()).collect::<Vec<u8>>())
    } else {
        Cow::from(data)
    };
    if !header.fortran_order || header.shape.len() < 2 {
        return Ok(Raw::new(header.dtype, header.shape, data));
    }
    // Column-major order is row-major order of the reversed shape.
    let shape: Vec<usize> = header.shape.iter().rev().copied().collect();
    let axes: Vec<usize> = (0..shape.len()).rev().collect();
    Ok(Raw::new(header.dtype, shape, data).transposed(&axes))
}

impl Header {
    /// The number of elements, if there can be so many.
    fn count(&self) -> Result<usize, String> {
        let count = element_count(&self.shape, stored_size(self.dtype));
        count.ok_or_else(|| format!("shape {:?} is too large", self.shape))
    }
}

/// Writes one array, version 1.0, little-endian, row-major.
pub fn write(tensor: &Tensor) -> Vec<u8> {
    let descr = descr(tensor.dtype());
    let dims: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    let shape = if dims.len() == 1 { format!("({},)", dims[0]) } else { format!("({})", dims.join(", ")) };
    let mut header = format!("{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}");
    let prefix = MAGIC.len() + 4;
    let padding = ALIGNMENT - (prefix + header.len() + 1) % ALIGNMENT;
    header.push_str(&" ".repeat(padding % ALIGNMENT));
    header.push('\n');
    let mut bytes = MAGIC.to_vec();
    bytes.extend([1, 0]);
    bytes.extend((header.len() as u16).to_le_bytes());
    bytes.extend(header.as_bytes());
    // bfloat16 is no NumPy type: it travels as float32.
    if tensor.dtype() == DType::BFloat16 {
        bytes.extend(tensor.as_f32().unwrap_or_default().iter().flat_map(|v| v.to_le_bytes()));
    } else {
        bytes.extend(element_bytes(tensor));
    }
    bytes
}

fn descr(dtype: DType) -> &'static str {
    match dtype {
        DType::Bool => "|b1",
        DType::Int8 | DType::Trit | DType::Int4 => "|i1",
        DType::UInt8 => "|u1",
        DType::Int16 => "<i2",
        DType::UInt16 => "<u2",
        DType::Int32 => "<i4",
        DType::UInt32 => "<u4",
        DType::Int64 => "<i8",
        DType::UInt64 => "<u8",
        DType::Float16 => "<f2",
        DType::Float32 | DType::BFloat16 => "<f4",
        DType::Float64 => "<f8",
    }
}

/// The header, and the bytes after it.
fn split(bytes: &[u8]) -> Result<(Header, &[u8]), String> {
    let rest = bytes.strip_prefix(MAGIC).ok_or("is not a .npy file")?;
    let truncated = || "is truncated within its header".to_string();
    let (version, rest) = rest.split_first_chunk::<2>().ok_or_else(truncated)?;
    let (length, rest) = match version[0] {
        1 => rest.split_first_chunk().map(|(n, rest)| (u16::from_le_bytes(*n) as usize, rest)),
        2 | 3 => rest.split_first_chunk().map(|(n, rest)| (u32::from_le_bytes(*n) as usize, rest)),
        other => return Err(format!("has version {other}, which is unknown")),
    }
    .ok_or_else(truncated)?;
    if length > MAX_HEADER {
        return Err(format!("has a header of {length} bytes; at most {MAX_HEADER} are read"));
    }
    let (header, data) = rest.split_at_checked(length).ok_or_else(truncated)?;
    let text = std::str::from_utf8(header).map_err(|_| "has a header that is not text".to_string())?;
    Ok((parse_header(text)?, data))
}

fn parse_header(text: &str) -> Result<Header, String> {
    let mut parser = Parser { rest: text };
    let (mut kind, mut fortran_order, mut shape) = (None, None, None);
    parser.expect('{')?;
    while !parser.accept('}') {
        let key = parser.string()?;
        parser.expect(':')?;
        match key {
            "descr" => kind = Some(parser.element_type()?),
            "fortran_order" => fortran_order = Some(parser.boolean()?),
            "shape" => shape = Some(parser.tuple()?),
            other => return Err(format!("has an unknown header entry {other:?}")),
        }
        if !parser.accept(',') {
            parser.expect('}')?;
            break;
        }
    }
    if !parser.rest.trim().is_empty() {
        return Err("has text after its header".to_string());
    }
    let missing = |what: &str| format!("has a header without {what:?}");
    let (dtype, big_endian) = kind.ok_or_else(|| missing("descr"))?;
    Ok(Header {
        dtype,
        big_endian,
        fortran_order: fortran_order.ok_or_else(|| missing("fortran_order"))?,
        shape: shape.ok_or_else(|| missing("shape"))?,
    })
}

/// Reads the few Python literals that occur in headers.
struct Parser<'a> {
    rest: &'a str,
}

impl<'a> Parser<'a> {
    fn accept(&mut self, wanted: char) -> bool {
        self.rest = self.rest.trim_start();
        let found = self.rest.strip_prefix(wanted);
        self.rest = found.unwrap_or(self.rest);
        found.is_some()
    }

    fn expect(&mut self, wanted: char) -> Result<(), String> {
        if self.accept(wanted) { Ok(()) } else { Err(format!("has a malformed header (expected `{wanted}`)")) }
    }

    fn string(&mut self) -> Result<&'a str, String> {
        self.rest = self.rest.trim_start();
        let quote = self.rest.chars().next().filter(|c| matches!(c, '\'' | '"'));
        let body = quote.and_then(|quote| self.rest[1..].split_once(quote));
        let (body, rest) = body.ok_or("has a malformed header (expected a string)")?;
        self.rest = rest;
        Ok(body)
    }

    fn boolean(&mut self) -> Result<bool, String> {
        self.rest = self.rest.trim_start();
        for (word, value) in [("True", true), ("False", false)] {
            if let Some(rest) = self.rest.strip_prefix(word) {
                self.rest = rest;
                return Ok(value);
            }
        }
        Err("has a malformed header (expected True or False)".to_string())
    }

    fn tuple(&mut self) -> Result<Vec<usize>, String> {
        let mut sizes = vec![];
        self.expect('(')?;
        while !self.accept(')') {
            self.rest = self.rest.trim_start();
            let digits = self.rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(self.rest.len());
            let size = self.rest[..digits].parse().map_err(|_| "has a shape that is not made of sizes".to_string())?;
            // Python 2 wrote long integers with an L.
            self.rest = self.rest[digits..].trim_start_matches('L');
            sizes.push(size);
            if sizes.len() > MAX_RANK {
                return Err(format!("has more than {MAX_RANK} dims"));
            }
            if !self.accept(',') {
                self.expect(')')?;
                break;
            }
        }
        Ok(sizes)
    }

    fn element_type(&mut self) -> Result<(DType, bool), String> {
        if self.accept('[') {
            return Err("holds records; only plain arrays can be read".to_string());
        }
        let text = self.string()?;
        let (order, kind) = text.split_at_checked(1).unwrap_or(("", text));
        let dtype = match kind {
            "b1" => DType::Bool,
            "i1" => DType::Int8,
            "i2" => DType::Int16,
            "i4" => DType::Int32,
            "i8" => DType::Int64,
            "u1" => DType::UInt8,
            "u2" => DType::UInt16,
            "u4" => DType::UInt32,
            "u8" => DType::UInt64,
            "f2" => DType::Float16,
            "f4" => DType::Float32,
            "f8" => DType::Float64,
            _ if kind.starts_with('O') => return Err("holds Python objects; only numbers can be read".to_string()),
            _ => return Err(format!("has element type {text:?}, which Tri has not")),
        };
        match order {
            "<" | "|" | "=" => Ok((dtype, false)),
            ">" => Ok((dtype, true)),
            _ => Err(format!("has element type {text:?}, which Tri has not")),
        }
    }
}
