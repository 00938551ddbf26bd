//! Literals that read back as the same number.

use super::expr::C;
use crate::types::DType;

/// A number in the type that values of an element type are computed in.
pub fn number(dtype: DType, value: f64) -> C {
    match dtype {
        DType::Bool => C::truth(value != 0.0),
        _ if dtype.is_float() => float(dtype, value),
        _ => integer(dtype, value as i128),
    }
}

/// The shortest decimal that is this number, which has been rounded to the type.
pub fn float(dtype: DType, value: f64) -> C {
    if value.is_nan() {
        return C::atom("NAN");
    }
    let text = match (value.is_infinite(), dtype) {
        (true, _) => "INFINITY".to_string(),
        (false, DType::Float64) => format!("{:?}", value.abs()),
        (false, _) => format!("{:?}f", value.abs() as f32),
    };
    signed(value.is_sign_negative(), text)
}

/// An integer, which is in the range of the type.
pub fn integer(dtype: DType, value: i128) -> C {
    match value {
        _ if value == i128::from(i64::MIN) => C::atom("INT64_MIN"),
        _ if value == i128::from(i32::MIN) => C::atom("INT32_MIN"),
        _ => {
            let suffix = if dtype.is_unsigned() && value > i128::from(i32::MAX) { "u" } else { "" };
            signed(value < 0, format!("{}{suffix}", value.unsigned_abs()))
        }
    }
}

fn signed(negative: bool, text: String) -> C {
    if negative { C::unary("-", C::Atom(text)) } else { C::Atom(text) }
}

/// A string literal: what is no printable ASCII is written in octal, three digits, so that nothing after it belongs to it.
pub fn string(text: &str) -> String {
    let mut out = String::from("\"");
    for byte in text.bytes() {
        match byte {
            b'"' | b'\\' => out.extend(['\\', byte as char]),
            b'\n' => out.push_str("\\n"),
            // Two of them and a third character would be a trigraph.
            b'?' => out.push_str("\\?"),
            b' '..=b'~' => out.push(byte as char),
            _ => out.push_str(&format!("\\{byte:03o}")),
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_read_back() {
        for (dtype, value, text) in [
            (DType::Float32, 0.1, "0.1f"),
            (DType::Float32, 1.0, "1.0f"),
            (DType::Float32, 1e-45, "1e-45f"),
            (DType::Float64, 0.1, "0.1"),
            (DType::Float64, -1e300, "-1e300"),
            (DType::Float32, f64::NEG_INFINITY, "-INFINITY"),
            (DType::Float32, f64::NAN, "NAN"),
            (DType::Float32, -0.0, "-0.0f"),
            (DType::Int8, -128.0, "-128"),
            (DType::UInt32, 4e9, "4000000000u"),
            (DType::Bool, 1.0, "true"),
        ] {
            assert_eq!(number(dtype, value).text(), text);
        }
        assert_eq!(integer(DType::UInt64, (1 << 64) - 1).text(), "18446744073709551615u");
        assert_eq!(integer(DType::Int64, i128::from(i64::MIN)).text(), "INT64_MIN");
    }

    #[test]
    fn strings_hold_any_text() {
        assert_eq!(string("a\"b\\n??/\n\u{e4}1"), r#""a\"b\\n\?\?/\n\303\2441""#);
    }
}
