//! Tensors as text, in NumPy's manner: nested brackets, long ones with their ends only.

use crate::types::tensor::Data;
use crate::types::{DType, Tensor};

/// More elements than this are summarised.
const MAX_SHOWN: usize = 1000;
/// So many at each end of an axis, when summarised.
const EDGE: usize = 3;

/// `float32[2, 3]`, or the element type alone for a scalar.
pub fn type_of(tensor: &Tensor) -> String {
    let dims: Vec<String> = tensor.shape().iter().map(usize::to_string).collect();
    if dims.is_empty() { tensor.dtype().to_string() } else { format!("{}[{}]", tensor.dtype(), dims.join(", ")) }
}

/// The values, columns aligned.
pub fn values(tensor: &Tensor) -> String {
    let summary = tensor.len() > MAX_SHOWN;
    let mut cells = vec![];
    collect(tensor, 0, 0, summary, &mut cells);
    let width = cells.iter().map(String::len).max().unwrap_or(0);
    let mut out = String::new();
    write_axis(tensor, 0, 0, summary, width, &mut out);
    out
}

/// The indices of an axis that are shown; `None` stands for what is left out.
fn shown(size: usize, summary: bool) -> Vec<Option<usize>> {
    if !summary || size <= 2 * EDGE {
        return (0..size).map(Some).collect();
    }
    (0..EDGE).map(Some).chain([None]).chain((size - EDGE..size).map(Some)).collect()
}

fn collect(tensor: &Tensor, axis: usize, offset: usize, summary: bool, cells: &mut Vec<String>) {
    if axis == tensor.rank() {
        cells.push(cell(tensor, offset));
        return;
    }
    let step: usize = tensor.shape()[axis + 1..].iter().product();
    for index in shown(tensor.shape()[axis], summary).into_iter().flatten() {
        collect(tensor, axis + 1, offset + index * step, summary, cells);
    }
}

fn write_axis(tensor: &Tensor, axis: usize, offset: usize, summary: bool, width: usize, out: &mut String) {
    if axis == tensor.rank() {
        let cell = cell(tensor, offset);
        *out += &if tensor.rank() == 0 { cell } else { format!("{cell:>width$}") };
        return;
    }
    let step: usize = tensor.shape()[axis + 1..].iter().product();
    // Rows stand under each other, blocks apart by an empty line for each further axis.
    let below = tensor.rank() - axis - 1;
    let separator =
        if below == 0 { ", ".to_string() } else { format!(",{}{}", "\n".repeat(below), " ".repeat(axis + 1)) };
    out.push('[');
    for (position, index) in shown(tensor.shape()[axis], summary).into_iter().enumerate() {
        if position > 0 {
            *out += &separator;
        }
        match index {
            Some(index) => write_axis(tensor, axis + 1, offset + index * step, summary, width, out),
            None => *out += "...",
        }
    }
    out.push(']');
}

fn cell(tensor: &Tensor, index: usize) -> String {
    match (tensor.data(), tensor.dtype()) {
        (Data::F32(values), _) => format!("{:?}", values[index]),
        (Data::F64(values), _) => format!("{:?}", values[index]),
        (Data::I64(values), DType::Bool) => (values[index] != 0).to_string(),
        (Data::I64(values), DType::UInt64) => (values[index] as u64).to_string(),
        (Data::I64(values), _) => values[index].to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn brackets_nest_and_columns_align() {
        let tensor = Tensor::from_f32(vec![2, 2], vec![1.0, -2.5, 10.0, f32::NAN]);
        assert_eq!(values(&tensor), "[[ 1.0, -2.5],\n [10.0,  NaN]]");
        assert_eq!(type_of(&tensor), "float32[2, 2]");
        assert_eq!(values(&Tensor::scalar_i64(-3)), "-3");
        assert_eq!(values(&Tensor::from_i64(DType::Bool, vec![2], vec![1, 0])), "[ true, false]");
        assert_eq!(values(&Tensor::from_f32(vec![0, 2], vec![])), "[]");
        let cube = Tensor::from_i64(DType::Int8, vec![2, 1, 2], vec![1, 2, 3, 4]);
        assert_eq!(values(&cube), "[[[1, 2]],\n\n [[3, 4]]]");
    }

    #[test]
    fn long_tensors_show_their_ends() {
        let tensor = Tensor::from_i64(DType::Int64, vec![2000], (0..2000).collect());
        assert_eq!(values(&tensor), "[   0,    1,    2, ..., 1997, 1998, 1999]");
    }
}
