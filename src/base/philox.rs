//! Philox4x32-10, the counter-based random generator of every target that we write ourselves.
//!
//! A stream is a function of its seed alone: block `n` is the cipher of the counter `(n low, n high, 0, 0)`
//! under the key `(seed low, seed high)`, and gives four words. Element `i` of a random tensor uses word
//! `i % 4` of block `i / 4`, so any element can be computed without the ones before it.

const MULTIPLIERS: [u32; 2] = [0xD251_1F53, 0xCD9E_8D57];
/// Added to the key after each round: the golden ratio and the square root of 3, less 1, as fractions.
const KEY_STEPS: [u32; 2] = [0x9E37_79B9, 0xBB67_AE85];
const ROUNDS: usize = 10;

/// The cipher: four random words for a counter and a key.
pub fn philox4x32(counter: [u32; 4], key: [u32; 2]) -> [u32; 4] {
    let [mut c0, mut c1, mut c2, mut c3] = counter;
    let [mut k0, mut k1] = key;
    for _ in 0..ROUNDS {
        let left = u64::from(c0) * u64::from(MULTIPLIERS[0]);
        let right = u64::from(c2) * u64::from(MULTIPLIERS[1]);
        (c0, c1, c2, c3) = ((right >> 32) as u32 ^ c1 ^ k0, right as u32, (left >> 32) as u32 ^ c3 ^ k1, left as u32);
        k0 = k0.wrapping_add(KEY_STEPS[0]);
        k1 = k1.wrapping_add(KEY_STEPS[1]);
    }
    [c0, c1, c2, c3]
}

/// The four words of one block of a seed's stream.
pub fn block(seed: i64, index: u64) -> [u32; 4] {
    let seed = seed as u64;
    philox4x32([index as u32, (index >> 32) as u32, 0, 0], [seed as u32, (seed >> 32) as u32])
}

/// The words of a seed's stream, in order.
pub fn words(seed: i64) -> impl Iterator<Item = u32> {
    (0u64..).flat_map(move |index| block(seed, index))
}

/// A number in `0 .. 1` from the upper 24 bits of a word; exact in `float32`.
pub fn uniform(word: u32) -> f64 {
    f64::from(word >> 8) * UNIT
}

const UNIT: f64 = 1.0 / (1 << 24) as f64;

/// Standard normal numbers by the Box-Muller method, two from each pair of words.
pub fn normals(seed: i64) -> impl Iterator<Item = f64> {
    (0u64..).flat_map(move |index| {
        let [a, b, c, d] = block(seed, index);
        let ([x, y], [z, w]) = (normal_pair(a, b), normal_pair(c, d));
        [x, y, z, w]
    })
}

fn normal_pair(a: u32, b: u32) -> [f64; 2] {
    // One unit up, so that the logarithm never sees 0.
    let radius = (-2.0 * (uniform(a) + UNIT).ln()).sqrt();
    let angle = 2.0 * std::f64::consts::PI * uniform(b);
    [radius * angle.cos(), radius * angle.sin()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn agrees_with_the_published_vectors() {
        let zero = philox4x32([0; 4], [0; 2]);
        assert_eq!(zero, [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        let ones = philox4x32([u32::MAX; 4], [u32::MAX; 2]);
        assert_eq!(ones, [0x408f_276d, 0x41c8_3b0e, 0xa20b_c7c6, 0x6d54_51fd]);
        let pi = philox4x32([0x243f_6a88, 0x85a3_08d3, 0x1319_8a2e, 0x0370_7344], [0xa409_3822, 0x299f_31d0]);
        assert_eq!(pi, [0xd16c_fe09, 0x94fd_cceb, 0x5001_e420, 0x2412_6ea1]);
    }

    #[test]
    fn streams_follow_the_counter_and_the_whole_seed() {
        let first: Vec<u32> = words(0).take(5).collect();
        assert_eq!(first[..4], [0x6627_e8d5, 0xe169_c58d, 0xbc57_ac4c, 0x9b00_dbd8]);
        assert_eq!(first[4], philox4x32([1, 0, 0, 0], [0, 0])[0]);
        assert_eq!(block(-1, 3), philox4x32([3, 0, 0, 0], [u32::MAX, u32::MAX]));
        assert_ne!(block(1 << 32, 0), block(0, 0));
    }

    #[test]
    fn numbers_are_in_range_and_spread() {
        assert_eq!((uniform(0), uniform(u32::MAX)), (0.0, 1.0 - UNIT));
        assert_eq!(normal_pair(u32::MAX, 0), [0.0, 0.0]);
        assert!(normal_pair(0, 0)[0] < 6.0);
        let sample: Vec<f64> = normals(7).take(20_000).collect();
        let mean = sample.iter().sum::<f64>() / 20_000.0;
        let variance = sample.iter().map(|x| x * x).sum::<f64>() / 20_000.0;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.05, "{mean} {variance}");
    }
}
