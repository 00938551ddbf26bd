//! Draws the inputs that the user left out: equal seeds give equal inputs, on every machine.
//!
//! The generator is Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", 2011),
//! as for Tri's own random operations.

use crate::types::{DType, Tensor};

/// Integers are drawn from `0..MAX_INT`: small enough to be an index or a class of most models.
const MAX_INT: u32 = 4;

/// A tensor of random values: normal for floats, small non-negative integers, booleans.
/// `stream` tells the inputs of one call apart.
pub fn draw(dtype: DType, shape: &[usize], seed: u64, stream: u32) -> Tensor {
    let count: usize = shape.iter().product();
    let words = Words::new(seed, stream);
    let values: Vec<f64> = if dtype.is_float() {
        normal(words).take(count).collect()
    } else {
        let (low, range) = match dtype {
            DType::Bool => (0.0, 2),
            DType::Trit => (-1.0, 3),
            _ => (0.0, MAX_INT),
        };
        words.map(|word| low + f64::from(word % range)).take(count).collect()
    };
    Tensor::from_f64(dtype, shape.to_vec(), values)
}

/// Box-Muller on pairs of words, in double precision.
fn normal(mut words: Words) -> impl Iterator<Item = f64> {
    let mut second = None;
    std::iter::from_fn(move || {
        if let Some(value) = second.take() {
            return Some(value);
        }
        let (a, b) = (words.next()?, words.next()?);
        let scale = 2f64.powi(-24);
        let radius = (-2.0 * ((f64::from(a >> 8) + 1.0) * scale).ln()).sqrt();
        let angle = 2.0 * std::f64::consts::PI * (f64::from(b >> 8) * scale);
        second = Some(radius * angle.sin());
        Some(radius * angle.cos())
    })
}

/// An endless stream of random words.
struct Words {
    key: [u32; 2],
    stream: u32,
    block: u64,
    ready: std::vec::IntoIter<u32>,
}

impl Words {
    fn new(seed: u64, stream: u32) -> Words {
        Words { key: [seed as u32, (seed >> 32) as u32], stream, block: 0, ready: vec![].into_iter() }
    }
}

impl Iterator for Words {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        if let Some(word) = self.ready.next() {
            return Some(word);
        }
        let counter = [self.block as u32, (self.block >> 32) as u32, self.stream, 0];
        self.block += 1;
        self.ready = philox(counter, self.key).to_vec().into_iter();
        self.ready.next()
    }
}

fn philox(mut counter: [u32; 4], mut key: [u32; 2]) -> [u32; 4] {
    for _ in 0..10 {
        let left = u64::from(counter[0]) * 0xD251_1F53;
        let right = u64::from(counter[2]) * 0xCD9E_8D57;
        counter = [
            (right >> 32) as u32 ^ counter[1] ^ key[0],
            right as u32,
            (left >> 32) as u32 ^ counter[3] ^ key[1],
            left as u32,
        ];
        key = [key[0].wrapping_add(0x9E37_79B9), key[1].wrapping_add(0xBB67_AE85)];
    }
    counter
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Known answers of the reference implementation (Random123, kat_vectors).
    #[test]
    fn philox_gives_the_published_answers() {
        assert_eq!(philox([0; 4], [0; 2]), [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(philox([u32::MAX; 4], [u32::MAX; 2]), [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
    }

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
