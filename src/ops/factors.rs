//! How a product contracts one of its factors: the matrices that stand in a weight, and the vectors that they meet. For
//! who chooses a weight's codes by what becomes of the product.

use crate::ops::matmul::TRANSPOSE;
use crate::ops::traits::Product;
use crate::ops::{Attrs, EvalCx, OpId};
use crate::quant::gptq::Layout;
use crate::types::{DType, Tensor};

/// Why a factor is not described.
pub type Refusal = &'static str;

const TRANSPOSED: Refusal = "transposed convolutions are not described";
const SHAPE: Refusal = "its shape is not that of a factor";

/// What kind of product an operation is.
enum Form {
    /// With the axes of these factors swapped.
    Matrix([bool; 2]),
    /// Each row of the left factor meets the matrix that an index names.
    Routed,
    Convolution,
}

fn form(op: OpId, attrs: &Attrs) -> Result<Form, Refusal> {
    match op.product() {
        Some(Product::Matrix) => Ok(Form::Matrix(TRANSPOSE.map(|flag| attrs.flag(flag)))),
        Some(Product::Routed) => Ok(Form::Routed),
        Some(Product::Convolution) => Ok(Form::Convolution),
        Some(Product::TransposedConvolution) => Err(TRANSPOSED),
        None => Err("it is no factor of a product"),
    }
}

/// The matrices in the factor at a position, which has this shape.
pub fn layout(op: OpId, attrs: &Attrs, position: usize, shape: &[usize]) -> Result<Layout, Refusal> {
    let count: usize = shape.iter().product();
    let (batches, rows, columns, columns_first) = match (form(op, attrs)?, position, shape) {
        (Form::Matrix(_), _, [k]) => (1, *k, 1, false),
        (Form::Matrix(swapped), 0 | 1, [batch @ .., first, second]) => match (position == 0) != swapped[position] {
            true => (batch.iter().product(), *second, *first, true),
            false => (batch.iter().product(), *first, *second, false),
        },
        (Form::Routed, 1, [experts, n, k]) => (*experts, *k, *n, true),
        (Form::Convolution, 1, [outputs, window @ ..]) => {
            let groups = groups(attrs)?;
            (groups, window.iter().product(), outputs / groups, true)
        }
        _ => return Err(SHAPE),
    };
    let size = rows * columns;
    let place = |at: usize| {
        let (batch, inner) = (at / size, at % size);
        let (row, column) = (inner / columns, inner % columns);
        batch * size + if columns_first { column * rows + row } else { inner }
    };
    Ok(Layout { batches, rows, columns, places: (0..count).map(place).collect() })
}

fn groups(attrs: &Attrs) -> Result<usize, Refusal> {
    let groups = attrs.const_int("groups").unwrap_or(1);
    usize::try_from(groups).ok().filter(|groups| *groups > 0).ok_or("the number of groups is not known")
}

/// Gives each vector that the factor at a position is contracted with, and the matrix that it meets.
pub fn inputs(
    op: OpId,
    attrs: &Attrs,
    position: usize,
    operands: &[Tensor],
    each: &mut dyn FnMut(usize, &[f32]),
) -> Result<(), Refusal> {
    let (Some(factor), Some(other)) = (operands.get(position), operands.get(1 - position)) else { return Err(SHAPE) };
    let Layout { batches, rows, .. } = layout(op, attrs, position, factor.shape())?;
    let values = |tensor: &Tensor| (0..tensor.len()).map(|at| tensor.get_f64(at) as f32).collect::<Vec<f32>>();
    if rows == 0 {
        return Ok(());
    }
    match form(op, attrs)? {
        Form::Matrix(swapped) => {
            let upright = has_rows(position, swapped);
            let vectors = match other.shape() {
                [batch @ .., k, n] if !upright && *k == rows => columns(&values(other), batch.iter().product(), *k, *n),
                _ => values(other),
            };
            let count = vectors.len() / rows;
            let leading = |tensor: &Tensor| tensor.shape()[..tensor.rank().saturating_sub(2)].to_vec();
            if batches > 1 && leading(factor) != leading(other) {
                return Err("its batches meet others by broadcasting");
            }
            let share = count.div_ceil(batches.max(1)).max(1);
            vectors.chunks(rows).enumerate().for_each(|(at, vector)| each(at / share, vector));
        }
        Form::Routed => {
            let index = operands.get(2).and_then(Tensor::as_i64).ok_or(SHAPE)?;
            for (vector, expert) in values(other).chunks(rows).zip(index) {
                each(usize::try_from(*expert).ok().filter(|expert| *expert < batches).ok_or(SHAPE)?, vector);
            }
        }
        Form::Convolution => {
            let patches = patches(op, attrs, other, factor.shape(), batches, rows)?;
            let ([samples, channels, space @ ..], values) = (patches.shape(), values(&patches)) else {
                return Err(SHAPE);
            };
            let places: usize = space.iter().product();
            let mut vector = vec![0.0; rows];
            for (sample, place) in (0..samples * places).map(|at| (at / places, at % places)) {
                for group in 0..batches {
                    for (row, value) in vector.iter_mut().enumerate() {
                        *value = values[(sample * channels + group * rows + row) * places + place];
                    }
                    each(group, &vector);
                }
            }
        }
    }
    Ok(())
}

/// Whether rows, not columns, of the other factor are what is contracted.
fn has_rows(position: usize, swapped: [bool; 2]) -> bool {
    (position == 1) != swapped[1 - position]
}

/// Whether the vectors that a factor at a position is contracted with are rows of the other one.
pub fn meets_rows(op: OpId, attrs: &Attrs, position: usize) -> bool {
    match form(op, attrs) {
        Ok(Form::Matrix(swapped)) => has_rows(position, swapped),
        Ok(Form::Routed | Form::Convolution) | Err(_) => true,
    }
}

/// Columns of matrices, one after the other.
fn columns(values: &[f32], batches: usize, rows: usize, columns: usize) -> Vec<f32> {
    let size = rows * columns;
    let place = |at: usize| at / size * size + at % rows * columns + at % size / rows;
    (0..batches * size).map(|at| values[place(at)]).collect()
}

/// What each window sees, as channels: the convolution with a kernel for each element of a window, which is 1 there and
/// 0 elsewhere.
fn patches(
    op: OpId,
    attrs: &Attrs,
    x: &Tensor,
    kernel: &[usize],
    groups: usize,
    rows: usize,
) -> Result<Tensor, Refusal> {
    let mut shape = kernel.to_vec();
    shape[0] = groups * rows;
    let ones = (0..groups * rows * rows).map(|at| f64::from(u8::from(at / rows % rows == at % rows)));
    let x = Tensor::from_f64(DType::Float32, x.shape().to_vec(), (0..x.len()).map(|at| x.get_f64(at)));
    let operands = [x, Tensor::from_f64(DType::Float32, shape, ones)];
    let found = (op.get().eval)(&EvalCx { op: op.get(), operands: &operands, attrs });
    found.ok().and_then(|found| found.into_iter().next()).ok_or("its windows cannot be taken apart")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::philox;
    use crate::ops::{Attr, find};

    fn random(seed: i64, shape: &[usize]) -> Tensor {
        Tensor::from_f64(DType::Float32, shape.to_vec(), philox::normals(seed).take(shape.iter().product()))
    }

    /// All products of matrices and vectors, sorted, are the elements of the result.
    fn check(name: &str, attrs: Attrs, position: usize, operands: &[Tensor]) {
        let op = find(name).unwrap();
        let attrs = op.get().with_defaults(&attrs);
        let factor = &operands[position];
        let layout = layout(op, &attrs, position, factor.shape()).unwrap();
        assert!(layout.is_whole(factor.len()), "{name}");
        let mut found = vec![];
        inputs(op, &attrs, position, operands, &mut |batch, vector| {
            for column in 0..layout.columns {
                let element = |row: usize| layout.places[(batch * layout.rows + row) * layout.columns + column];
                let terms = vector.iter().enumerate().map(|(row, x)| f64::from(*x) * factor.get_f64(element(row)));
                found.push(terms.sum::<f64>());
            }
        })
        .unwrap();
        let result = (op.get().eval)(&EvalCx { op: op.get(), operands, attrs: &attrs }).unwrap();
        let mut wanted = result[0].to_f64();
        found.sort_by(f64::total_cmp);
        wanted.sort_by(f64::total_cmp);
        assert_eq!(found.len(), wanted.len(), "{name}");
        assert!(found.iter().zip(&wanted).all(|(a, b)| (a - b).abs() < 1e-5), "{name}: {found:?}\n{wanted:?}");
    }

    #[test]
    fn matrices_and_vectors_make_the_product() {
        for (left, right) in [
            (&[2, 3, 4][..], &[4, 5][..]),
            (&[4], &[4, 5]),
            (&[3, 4], &[4]),
            (&[2, 3, 4], &[2, 4, 5]),
            (&[2, 2, 3, 4], &[2, 2, 4, 5]),
        ] {
            let operands = [random(1, left), random(2, right)];
            check("matmul", Attrs::new(), 1, &operands);
            if left.len() <= 2 || right.len() > 2 {
                check("matmul", Attrs::new(), 0, &operands);
            }
        }
        check("matmul", Attrs::new(), 0, &[random(1, &[3, 4]), random(2, &[2, 4, 5])]);
        let flags = |a: bool, b: bool| Attrs::new().with(TRANSPOSE[0], Attr::Bool(a)).with(TRANSPOSE[1], Attr::Bool(b));
        for position in [0, 1] {
            check("matmul", flags(false, true), position, &[random(1, &[2, 3, 4]), random(2, &[2, 5, 4])]);
            check("matmul", flags(true, false), position, &[random(1, &[4, 3]), random(2, &[4, 5])]);
            check("matmul", flags(true, true), position, &[random(1, &[2, 4, 3]), random(2, &[2, 5, 4])]);
        }
        let index = Tensor::from_i64(DType::Int64, vec![4], vec![1, 0, 1, 1]);
        check("routed_matmul", Attrs::new(), 1, &[random(1, &[4, 3]), random(2, &[2, 5, 3]), index]);
    }

    #[test]
    fn windows_make_the_convolution() {
        check("conv1d", Attrs::new(), 1, &[random(1, &[2, 3, 7]), random(2, &[4, 3, 2])]);
        let attrs = Attrs::new()
            .with("stride", Attr::int(2))
            .with("padding", Attr::int(1))
            .with("dilation", Attr::int(2))
            .with("groups", Attr::int(2));
        check("conv2d", attrs, 1, &[random(1, &[2, 4, 6, 5]), random(2, &[6, 2, 3, 2])]);
    }

    #[test]
    fn other_factors_are_refused() {
        let op = find("conv_transpose1d").unwrap();
        assert_eq!(layout(op, &Attrs::new(), 1, &[3, 4, 2]), Err(TRANSPOSED));
        let matmul = find("matmul").unwrap();
        let refused = inputs(matmul, &Attrs::new(), 1, &[random(1, &[3, 4]), random(2, &[2, 4, 5])], &mut |_, _| {});
        assert_eq!(refused, Err("its batches meet others by broadcasting"));
        assert!(layout(matmul, &Attrs::new(), 1, &[]).is_err());
    }
}
