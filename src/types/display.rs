//! Tensors as text, exactly as NumPy prints arrays with its default options: eight digits after the
//! point, lines of 75 characters, and only the ends of what has more than 1000 elements.
//!
//! `float16`, `float32` and `float64` follow NumPy's rules for each. NumPy has no `bfloat16`; it is shown
//! as the `float32` of the same value, `trit` and `int4` as ints.

use crate::types::tensor::Data;
use crate::types::{DType, Tensor};

const PRECISION: usize = 8;
const THRESHOLD: usize = 1000;
const EDGE_ITEMS: usize = 3;
const LINE_WIDTH: usize = 75;

/// The text of `print(array)`.
pub fn show(tensor: &Tensor) -> String {
    if tensor.rank() == 0 {
        return show_scalar(tensor);
    }
    if tensor.is_empty() {
        return "[]".to_string();
    }
    let summary = tensor.len() > THRESHOLD;
    let mut shown = vec![];
    collect_shown(tensor, summary, 0, 0, &mut shown);
    let format = Format::new(tensor, &shown);
    let layout = Layout { tensor, summary, format };
    layout.axis(0, 0, 1, LINE_WIDTH)
}

/// The indices along an axis of which NumPy shows the elements; `None` stands for those left out.
fn shown_indices(size: usize, summary: bool) -> Vec<Option<usize>> {
    if summary && size > 2 * EDGE_ITEMS {
        return (0..EDGE_ITEMS).map(Some).chain([None]).chain((size - EDGE_ITEMS..size).map(Some)).collect();
    }
    (0..size).map(Some).collect()
}

/// Flat indices of all elements that are shown.
fn collect_shown(tensor: &Tensor, summary: bool, axis: usize, offset: usize, shown: &mut Vec<usize>) {
    let Some(size) = tensor.shape().get(axis) else {
        shown.push(offset);
        return;
    };
    let stride: usize = tensor.shape()[axis + 1..].iter().product();
    for index in shown_indices(*size, summary).into_iter().flatten() {
        collect_shown(tensor, summary, axis + 1, offset + index * stride, shown);
    }
}

struct Layout<'a> {
    tensor: &'a Tensor,
    summary: bool,
    format: Format,
}

impl Layout<'_> {
    /// One axis in brackets. `indent` is the depth of its lines after the first, `width` what is left of
    /// the line, less the brackets that close around it.
    fn axis(&self, axis: usize, offset: usize, indent: usize, width: usize) -> String {
        let shape = self.tensor.shape();
        let stride: usize = shape[axis + 1..].iter().product();
        let indices = shown_indices(shape[axis], self.summary);
        if axis + 1 == shape.len() {
            let words = indices.into_iter().map(|index| match index {
                Some(index) => self.format.element(self.tensor, offset + index),
                None => "...".to_string(),
            });
            return format!("[{}]", wrap(words, indent, width - 1));
        }
        let rows = indices.into_iter().map(|index| match index {
            Some(index) => self.axis(axis + 1, offset + index * stride, indent + 1, width - 1),
            None => "...".to_string(),
        });
        let separator = "\n".repeat(shape.len() - axis - 1) + &" ".repeat(indent);
        format!("[{}]", rows.collect::<Vec<_>>().join(&separator))
    }
}

/// Words joined by spaces, in lines of at most `width` characters with the first indented virtually.
fn wrap(words: impl Iterator<Item = String>, indent: usize, width: usize) -> String {
    let mut text = String::new();
    let mut column = indent;
    for word in words {
        let starts_line = column == indent;
        let room = column + usize::from(!starts_line) + word.chars().count();
        if !starts_line && room > width {
            // Numbers may end in spaces that align them with longer ones.
            text.truncate(text.trim_end().len());
            text.push('\n');
            text += &" ".repeat(indent);
            column = indent;
        } else if !starts_line {
            text.push(' ');
            column += 1;
        }
        column += word.chars().count();
        text += &word;
    }
    text
}

/// How the elements of one array are written, so that columns align.
enum Format {
    Bool,
    Int { width: usize },
    Float { kind: FloatKind, left: usize, right: usize, exponent: Option<ExponentFormat> },
}

/// Digits after the point and of the exponent.
#[derive(Clone, Copy)]
struct ExponentFormat {
    precision: usize,
    digits: usize,
}

impl Format {
    fn new(tensor: &Tensor, shown: &[usize]) -> Format {
        match tensor.dtype() {
            DType::Bool => Format::Bool,
            dtype if dtype.is_float() => Format::float(FloatKind::of(dtype), tensor, shown),
            _ => {
                let width = shown.iter().map(|index| int_text(tensor, *index).len()).max().unwrap_or(0);
                Format::Int { width }
            }
        }
    }

    fn float(kind: FloatKind, tensor: &Tensor, shown: &[usize]) -> Format {
        let all: Vec<f64> = shown.iter().map(|index| tensor.get_f64(*index)).collect();
        let finite: Vec<f64> = all.iter().copied().filter(|value| value.is_finite()).collect();
        let nonzero = || finite.iter().map(|value| value.abs()).filter(|value| *value != 0.0);
        let largest = nonzero().fold(0.0, f64::max);
        let smallest = nonzero().fold(f64::INFINITY, f64::min);
        let scientific = largest > 0.0
            && (largest >= kind.array_limit() || smallest < kind.small() || kind.ratio_exceeds(largest, smallest));
        let (mut left, mut right, mut exponent) = (0, 0, None);
        if scientific {
            let parts: Vec<Scientific> = finite.iter().map(|value| kind.scientific(*value)).collect();
            let precision = parts.iter().map(|part| part.fraction.len()).max().unwrap_or(0);
            let digits = parts.iter().map(|part| part.exponent_digits()).max().unwrap_or(2);
            left = parts.iter().map(|part| part.whole.len()).max().unwrap_or(0);
            right = digits + 2 + precision;
            exponent = Some(ExponentFormat { precision, digits });
        } else {
            for value in &finite {
                let text = kind.positional(*value);
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                left = left.max(whole.len());
                right = right.max(fraction.len());
            }
        }
        for value in all.iter().filter(|value| !value.is_finite()) {
            left = left.max(special(*value).len().saturating_sub(right + 1));
        }
        Format::Float { kind, left, right, exponent }
    }

    fn element(&self, tensor: &Tensor, index: usize) -> String {
        match self {
            Format::Bool => if tensor.get_f64(index) != 0.0 { " True" } else { "False" }.to_string(),
            Format::Int { width } => format!("{:>width$}", int_text(tensor, index)),
            Format::Float { kind, left, right, exponent } => {
                let (value, width) = (tensor.get_f64(index), left + right + 1);
                if !value.is_finite() {
                    return format!("{:>width$}", special(value));
                }
                if let Some(format) = exponent {
                    return format!("{:>width$}", kind.padded(value, *format));
                }
                let text = kind.positional(value);
                let (whole, fraction) = text.split_once('.').unwrap_or((&text, ""));
                format!("{whole:>left$}.{fraction:<right$}")
            }
        }
    }
}

fn special(value: f64) -> &'static str {
    if value.is_nan() {
        "nan"
    } else if value < 0.0 {
        "-inf"
    } else {
        "inf"
    }
}

fn int_text(tensor: &Tensor, index: usize) -> String {
    match tensor.data() {
        Data::I64(values) if tensor.dtype() == DType::UInt64 => (values[index] as u64).to_string(),
        Data::I64(values) => values[index].to_string(),
        Data::F32(_) | Data::F64(_) => String::new(),
    }
}

fn show_scalar(tensor: &Tensor) -> String {
    match tensor.dtype() {
        DType::Bool => if tensor.get_f64(0) != 0.0 { "True" } else { "False" }.to_string(),
        dtype if dtype.is_float() => {
            let (kind, value) = (FloatKind::of(dtype), tensor.get_f64(0));
            if !value.is_finite() {
                return special(value).to_string();
            }
            if value != 0.0 && !(1e-4..kind.scalar_limit()).contains(&value.abs()) {
                let part = kind.digits(value);
                let point = if part.fraction.is_empty() { "" } else { "." };
                return format!("{}{point}{}e{}", part.whole, part.fraction, part.exponent_text(2));
            }
            let text = kind.shortest(value);
            if text.contains('.') { text } else { text + ".0" }
        }
        _ => int_text(tensor, 0),
    }
}

/// The float types that NumPy tells apart.
#[derive(Clone, Copy, PartialEq)]
enum FloatKind {
    Half,
    Single,
    Double,
}

/// A number as `whole.fraction` times ten to the exponent, with one digit before the point.
struct Scientific {
    whole: String,
    fraction: String,
    exponent: i32,
}

impl Scientific {
    fn parse(text: &str) -> Scientific {
        let (mantissa, exponent) = text.split_once('e').unwrap_or((text, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        Scientific {
            whole: whole.to_string(),
            fraction: fraction.trim_end_matches('0').to_string(),
            exponent: exponent.parse().unwrap_or(0),
        }
    }

    fn exponent_digits(&self) -> usize {
        self.exponent.unsigned_abs().to_string().len().max(2)
    }

    fn exponent_text(&self, digits: usize) -> String {
        let sign = if self.exponent < 0 { '-' } else { '+' };
        format!("{sign}{:0digits$}", self.exponent.unsigned_abs())
    }
}

impl FloatKind {
    fn of(dtype: DType) -> FloatKind {
        match dtype {
            DType::Float16 => FloatKind::Half,
            DType::Float64 => FloatKind::Double,
            _ => FloatKind::Single,
        }
    }

    /// From here on arrays are written with exponents: ten to the digits that the type surely holds.
    fn array_limit(self) -> f64 {
        match self {
            FloatKind::Half => 1e3,
            FloatKind::Single => 1e6,
            FloatKind::Double => 1e8,
        }
    }

    fn scalar_limit(self) -> f64 {
        match self {
            FloatKind::Half => 1e3,
            FloatKind::Single => 1e6,
            FloatKind::Double => 1e16,
        }
    }

    /// Below this, arrays are written with exponents: 1e-4 as the type holds it.
    fn small(self) -> f64 {
        match self {
            FloatKind::Half => half::f16::from_f64(1e-4).to_f64(),
            FloatKind::Single => f64::from(1e-4_f32),
            FloatKind::Double => 1e-4,
        }
    }

    /// NumPy divides in the array's own precision.
    fn ratio_exceeds(self, largest: f64, smallest: f64) -> bool {
        match self {
            FloatKind::Half => half::f16::from_f64(largest / smallest).to_f64() > 1000.0,
            FloatKind::Single => largest as f32 / smallest as f32 > 1000.0,
            FloatKind::Double => largest / smallest > 1000.0,
        }
    }

    /// Whether the decimal reads back as `value`.
    fn reads_as(self, decimal: &str, value: f64) -> bool {
        match self {
            FloatKind::Half => decimal.parse().is_ok_and(|back| half::f16::from_f64(back).to_f64() == value),
            FloatKind::Single => decimal.parse::<f32>().is_ok_and(|back| f64::from(back) == value),
            FloatKind::Double => decimal.parse::<f64>().is_ok_and(|back| back == value),
        }
    }

    /// The fewest digits that read back as the same number of the type.
    fn digits(self, value: f64) -> Scientific {
        let shortest = match self {
            FloatKind::Double => format!("{value:e}"),
            FloatKind::Single => format!("{:e}", value as f32),
            FloatKind::Half => {
                let exact = (0..8).map(|digits| format!("{value:.digits$e}"));
                exact.into_iter().find(|text| self.reads_as(text, value)).unwrap_or_else(|| format!("{value:e}"))
            }
        };
        // Of two that are equally short and near, NumPy takes the even one.
        let length = Scientific::parse(&shortest).fraction.len();
        let even = format!("{value:.length$e}");
        Scientific::parse(if self.reads_as(&even, value) { &even } else { &shortest })
    }

    /// The same without an exponent.
    fn shortest(self, value: f64) -> String {
        let part = self.digits(value);
        let decimal: f64 = format!("{}.{}e{}", part.whole, part.fraction, part.exponent).parse().unwrap_or(value);
        format!("{decimal}")
    }

    /// At most eight digits after the point, without zeros at the end.
    fn positional(self, value: f64) -> String {
        let text = self.shortest(value);
        match text.split_once('.') {
            Some((_, fraction)) if fraction.len() > PRECISION => {
                format!("{value:.PRECISION$}").trim_end_matches('0').to_string()
            }
            _ => text,
        }
    }

    /// As many digits after the point as the whole array has; where a number needs fewer, those that
    /// follow are its own, not zeros.
    fn padded(self, value: f64, format: ExponentFormat) -> String {
        let precision = format.precision;
        let mut part = self.scientific(value);
        if part.fraction.len() < precision {
            part = Scientific::parse(&format!("{value:.precision$e}"));
        }
        format!("{}.{:0<precision$}e{}", part.whole, part.fraction, part.exponent_text(format.digits))
    }

    /// At most eight digits after the point.
    fn scientific(self, value: f64) -> Scientific {
        let part = self.digits(value);
        if part.fraction.len() <= PRECISION { part } else { Scientific::parse(&format!("{value:.PRECISION$e}")) }
    }
}

#[cfg(test)]
mod tests;
