//! GPTQ: codes that make a product's result, not its weights, come out closest.
//!
//! E. Frantar, S. Ashkboos, T. Hoefler, D. Alistarh, "GPTQ: Accurate Post-Training Quantization for Generative Pre-trained
//! Transformers", ICLR 2023 (arXiv:2210.17323), algorithm 1 without its blocking, which changes nothing but speed.
//!
//! A weight is a matrix whose rows are contracted with inputs x: `y = sum_k x_k w_k`. For squared errors of y the
//! Hessian is `H = 2 X^T X` over all inputs, the same for each column. Rows are rounded in turn; what rounding row k
//! changes in y is made up for by the rows that are still to come: with U the upper Cholesky factor of the inverse
//! of H (`H^-1 = U^T U`),
//!
//! ```text
//! e = (w_k - rounded(w_k)) / U[k, k]          w_j -= e U[k, j]  for j > k
//! ```
//!
//! H is damped: a share of its mean diagonal is added to the diagonal. Scales and zero points are those of the scheme,
//! of the weights as they are when the first row of their slice comes up. With `descending` rows come up in the order
//! of falling diagonals of H. An input that is always 0 says nothing of its row, which is rounded as it is.
//!
//! Everything is in `float64`; codes are made by the formulas of the scheme in `float32`.

use crate::quant::codes::{Slices, integer_code, restored};
use crate::quant::{QuantError, Quantized, Scheme, SchemeKind, quantize};
use crate::types::{DType, Tensor};

/// Inputs of a matrix, summed up.
#[derive(Clone, Debug)]
pub struct Hessian {
    size: usize,
    /// `X^T X`, row after row; only what is on and below the diagonal.
    sums: Vec<f64>,
}

impl Hessian {
    pub fn new(size: usize) -> Hessian {
        Hessian { size, sums: vec![0.0; size * size] }
    }

    /// Adds one input.
    pub fn add(&mut self, input: &[f32]) {
        for (row, &left) in input.iter().enumerate() {
            if left != 0.0 {
                let sums = &mut self.sums[row * self.size..][..=row];
                sums.iter_mut().zip(input).for_each(|(sum, &right)| *sum += f64::from(left) * f64::from(right));
            }
        }
    }

    fn diagonal(&self, row: usize) -> f64 {
        2.0 * self.sums[row * self.size + row]
    }

    /// With rows and columns in this order, damped; the lower triangle.
    fn damped(&self, order: &[usize], damping: f64) -> Vec<f64> {
        let size = self.size;
        let mut matrix = vec![0.0; size * size];
        for (i, &row) in order.iter().enumerate() {
            for (j, &column) in order[..=i].iter().enumerate() {
                let (high, low) = (row.max(column), row.min(column));
                matrix[i * size + j] = 2.0 * self.sums[high * size + low];
            }
            // Inputs that are always 0.
            if self.diagonal(row) == 0.0 {
                matrix[i * size + i] = 1.0;
            }
            matrix[i * size + i] += damping;
        }
        matrix
    }

    /// U of `H^-1 = U^T U` with rows in this order, upper triangle. With P the reversal of rows and `P H P = L L^T`,
    /// U is `P L^-1 P`: one factor and the inverse of a triangle, and H itself is never inverted.
    fn factor(&self, order: &[usize], damping: f64) -> Option<Vec<f64>> {
        let size = self.size;
        let mean = (0..size).map(|row| self.diagonal(row)).sum::<f64>() / size.max(1) as f64;
        let reversed: Vec<usize> = order.iter().rev().copied().collect();
        let mut share = damping;
        for _ in 0..ATTEMPTS {
            let mut matrix = self.damped(&reversed, share * mean);
            if cholesky(&mut matrix, size) {
                invert_lower(&mut matrix, size);
                let at = |i: usize, j: usize| matrix[(size - 1 - i) * size + (size - 1 - j)];
                return Some((0..size * size).map(|place| at(place / size, place % size)).collect());
            }
            share *= 10.0;
        }
        None
    }
}

/// So often damping is made ten times stronger, where a matrix is not positive in numbers of 64 bits.
const ATTEMPTS: usize = 6;

/// Replaces the lower triangle of a symmetric matrix by L of `A = L L^T`; false where it is not positive definite.
fn cholesky(matrix: &mut [f64], size: usize) -> bool {
    for i in 0..size {
        let (above, rest) = matrix.split_at_mut(i * size);
        let row = &mut rest[..=i];
        for j in 0..i {
            let other = &above[j * size..][..=j];
            let dot: f64 = row[..j].iter().zip(&other[..j]).map(|(a, b)| a * b).sum();
            row[j] = (row[j] - dot) / other[j];
        }
        let left = row[i] - row[..i].iter().map(|value| value * value).sum::<f64>();
        if left.is_nan() || left <= 0.0 {
            return false;
        }
        row[i] = left.sqrt();
    }
    true
}

/// Replaces a lower triangle by its inverse, which is one, too.
fn invert_lower(matrix: &mut [f64], size: usize) {
    for i in 0..size {
        let (above, rest) = matrix.split_at_mut(i * size);
        let row = &mut rest[..=i];
        let own: Vec<f64> = row.to_vec();
        // Row i of the inverse is -(sum over j < i of L[i, j] times row j of it) / L[i, i].
        row[..i].fill(0.0);
        for (j, factor) in own[..i].iter().enumerate() {
            let other = &above[j * size..][..=j];
            row.iter_mut().zip(other).for_each(|(sum, value)| *sum -= factor * value);
        }
        row[..i].iter_mut().for_each(|value| *value /= own[i]);
        row[i] = 1.0 / own[i];
    }
}

/// Matrices within a weight: element `[batch, k, n]` of `places` is the flat index in the weight of what row k and
/// column n of a matrix hold. Each element of the weight occurs once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Layout {
    pub batches: usize,
    pub rows: usize,
    pub columns: usize,
    pub places: Vec<usize>,
}

impl Layout {
    /// Whether each of so many elements occurs once.
    pub fn is_whole(&self, elements: usize) -> bool {
        let mut seen = vec![false; elements];
        let fresh = |&place: &usize| place < elements && !std::mem::replace(&mut seen[place], true);
        self.places.len() == elements && self.places.iter().all(fresh)
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Options {
    /// The share of the mean diagonal that is added to it.
    pub damping: f64,
    /// Rows with the largest inputs first.
    pub descending: bool,
}

impl Default for Options {
    fn default() -> Options {
        Options { damping: 0.01, descending: false }
    }
}

/// Whether GPTQ knows the scheme.
pub fn applies(scheme: &Scheme) -> bool {
    matches!(scheme.kind, SchemeKind::Int { .. })
}

/// Codes of a weight of an integer scheme, with one Hessian for each matrix of the layout. `None` where a Hessian has no
/// factor, however damped.
pub fn gptq(
    weight: &Tensor,
    layout: &Layout,
    hessians: &[Hessian],
    scheme: &Scheme,
    options: Options,
) -> Result<Option<Quantized>, QuantError> {
    // What cannot be quantised at all is told as ever.
    quantize(weight, scheme, None)?;
    let slices = Slices::of(weight.shape(), scheme)?;
    let values = weight.to_f64();
    let mut places = vec![0; values.len()];
    layout.places.iter().enumerate().for_each(|(at, place)| places[*place] = at);
    let matrix = layout.places.iter().map(|place| values[*place]).collect();
    let mut work = Work { scheme, slices, layout, places, matrix, parts: vec![None; 0], codes: vec![0; values.len()] };
    work.parts = vec![None; work.slices.count()];
    for (batch, hessian) in hessians.iter().enumerate() {
        let mut order: Vec<usize> = (0..layout.rows).collect();
        if options.descending {
            order.sort_by(|a, b| hessian.diagonal(*b).total_cmp(&hessian.diagonal(*a)));
        }
        let Some(factor) = hessian.factor(&order, options.damping) else { return Ok(None) };
        work.batch(batch, &order, &factor)?;
    }
    Ok(Some(work.finish(weight.shape())))
}

/// The scale and zero point of a slice.
#[derive(Clone, Copy)]
struct Parts {
    scale: f32,
    zero: Option<f32>,
}

struct Work<'a> {
    scheme: &'a Scheme,
    slices: Slices,
    layout: &'a Layout,
    /// Of each element of the weight, its place in `matrix`.
    places: Vec<usize>,
    /// The weights as they are by now, in the order of the layout.
    matrix: Vec<f64>,
    parts: Vec<Option<Parts>>,
    /// By flat index in the weight.
    codes: Vec<i64>,
}

impl Work<'_> {
    fn batch(&mut self, batch: usize, order: &[usize], factor: &[f64]) -> Result<(), QuantError> {
        let (rows, columns) = (self.layout.rows, self.layout.columns);
        let start = batch * rows * columns;
        let mut errors = vec![0.0; columns];
        for (at, &row) in order.iter().enumerate() {
            let step = &factor[at * rows..][..rows];
            for (column, error) in errors.iter_mut().enumerate() {
                let index = start + row * columns + column;
                let value = self.matrix[index];
                *error = (value - self.round(index)?) / step[at];
            }
            for (share, &later) in step.iter().zip(order).skip(at + 1) {
                let values = &mut self.matrix[start + later * columns..][..columns];
                values.iter_mut().zip(&errors).for_each(|(value, error)| *value -= error * share);
            }
        }
        Ok(())
    }

    /// Gives an element its code; the value that it stands for.
    fn round(&mut self, index: usize) -> Result<f64, QuantError> {
        let place = self.layout.places[index];
        let slice = self.slices.of_element(place);
        let parts = match self.parts[slice] {
            Some(parts) => parts,
            None => self.slice(slice)?,
        };
        let code = integer_code(self.scheme, self.matrix[index] as f32, parts.scale, parts.zero);
        self.codes[place] = code as i64;
        Ok(f64::from(restored(code as i64, parts.zero.unwrap_or(0.0) as i64, parts.scale)))
    }

    /// The scale of a slice for its weights as they are now.
    fn slice(&mut self, slice: usize) -> Result<Parts, QuantError> {
        let values = self.slices.elements(slice, self.codes.len()).map(|place| self.matrix[self.places[place]]);
        let values: Vec<f64> = values.collect();
        let whole = Scheme { axis: None, group: None, ..self.scheme.clone() };
        let found = quantize(&Tensor::from_f64(DType::Float32, vec![values.len()], values), &whole, None)?;
        let first = |tensor: &Tensor| tensor.get_f64(0) as f32;
        let parts = Parts { scale: first(&found.scale), zero: found.zero_point.as_ref().map(first) };
        self.parts[slice] = Some(parts);
        Ok(parts)
    }

    fn finish(self, shape: &[usize]) -> Quantized {
        let scheme = self.scheme;
        let part = |value: &dyn Fn(&Parts) -> f32| -> Vec<f64> {
            self.parts.iter().map(|parts| f64::from(parts.as_ref().map_or(1.0, value))).collect()
        };
        let (scales, zeros) = (part(&|parts| parts.scale), part(&|parts| parts.zero.unwrap_or(0.0)));
        let shape_of_parts = self.slices.shape.clone();
        Quantized {
            codes: Tensor::from_i64(scheme.code_dtype(), shape.to_vec(), self.codes),
            scale: Tensor::from_f64(scheme.scale_dtype, shape_of_parts.clone(), scales),
            zero_point: scheme.has_zero_point().then(|| Tensor::from_f64(scheme.code_dtype(), shape_of_parts, zeros)),
        }
    }
}

#[cfg(test)]
mod tests;
