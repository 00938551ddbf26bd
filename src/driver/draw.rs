//! Draws the inputs that the user left out: equal seeds give equal inputs, on every machine.

use crate::base::philox;
use crate::types::{DType, Tensor};

/// Integers are drawn from `0..MAX_INT`: small enough to be an index or a class of most models.
const MAX_INT: u32 = 4;

/// A tensor of random values: normal for floats, small non-negative integers, booleans.
/// `stream` tells the inputs of one call apart.
pub fn draw(dtype: DType, shape: &[usize], seed: u64, stream: u32) -> Tensor {
    let count: usize = shape.iter().product();
    let seed = stream_seed(seed, stream);
    let values: Vec<f64> = if dtype.is_float() {
        philox::normals(seed).take(count).collect()
    } else {
        let (low, range) = match dtype {
            DType::Bool => (0.0, 2),
            DType::Trit => (-1.0, 3),
            _ => (0.0, MAX_INT),
        };
        philox::words(seed).map(|word| low + f64::from(word % range)).take(count).collect()
    };
    Tensor::from_f64(dtype, shape.to_vec(), values)
}

/// A seed for one input, far from the program's own.
fn stream_seed(seed: u64, stream: u32) -> i64 {
    let [low, high, ..] = philox::philox4x32([stream, 0, 0, INPUTS], [seed as u32, (seed >> 32) as u32]);
    (u64::from(high) << 32 | u64::from(low)) as i64
}

/// Tells this use of the generator from others under the same seed: "inpt".
const INPUTS: u32 = 0x696e_7074;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_have_the_right_spread_and_differ_by_stream() {
        let values = draw(DType::Float64, &[10_000], 7, 0).to_f64();
        let mean = values.iter().sum::<f64>() / 1e4;
        let variance = values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / 1e4;
        assert!(mean.abs() < 0.05 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
        assert_eq!(draw(DType::Float32, &[3], 7, 1), draw(DType::Float32, &[3], 7, 1));
        assert_ne!(draw(DType::Float32, &[3], 7, 1), draw(DType::Float32, &[3], 7, 2));
        assert!(draw(DType::Int64, &[100], 1, 0).as_i64().unwrap().iter().all(|v| (0..4).contains(v)));
        assert!(draw(DType::Trit, &[100], 1, 0).as_i64().unwrap().contains(&-1));
    }
}
