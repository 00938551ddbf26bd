//! Seeds derived from the entry's: one for each parameter, and one for each use of `rng`.
//!
//! Strings are hashed with 64-bit FNV-1a and mixed in with the finaliser of SplitMix64; both are fixed, so
//! that a seed gives the same numbers on every machine and in every version.

/// The seed of a parameter's initial values: of its path.
pub fn of_parameter(seed: u64, path: &str) -> u64 {
    mix(mix(seed, 1), hash(path))
}

/// The seed that `rng` gives: of the site in the program, the instance, and how often it ran there.
pub fn of_site(seed: u64, site: u32, path: &str, turn: u64) -> u64 {
    mix(mix(mix(mix(seed, 2), u64::from(site)), hash(path)), turn)
}

fn hash(text: &str) -> u64 {
    text.bytes().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

fn mix(state: u64, value: u64) -> u64 {
    let mut z = (state ^ value).wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn seeds_differ_by_everything_that_goes_in() {
        let mut seeds = vec![];
        for seed in [0, 1] {
            for path in ["", "a", "b.a"] {
                seeds.push(of_parameter(seed, path));
                for site in [0, 1] {
                    seeds.extend((0..3).map(|turn| of_site(seed, site, path, turn)));
                }
            }
        }
        let count = seeds.len();
        seeds.sort_unstable();
        seeds.dedup();
        assert_eq!(seeds.len(), count);
    }

    #[test]
    fn hashes_are_fnv() {
        assert_eq!(hash(""), 0xcbf2_9ce4_8422_2325);
        assert_eq!(hash("a"), 0xaf63_dc4c_8601_ec8c);
    }
}
