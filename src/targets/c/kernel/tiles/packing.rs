//! Layouts of weights that tiles take.

use crate::quant::pack::Format;

/// How a weight lies in memory after `NAME_weights_init`. `n` is the number of columns of the product, `k` that of the terms
/// of each sum.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Packing {
    Ternary2 {
        n: i64,
        k: i64,
    },
    Ternary5 {
        n: i64,
        k: i64,
    },
    Int8 {
        n: i64,
        k: i64,
    },
    /// With the scales of its groups, and their zero points if there are any.
    Int4 {
        n: i64,
        k: i64,
        group: i64,
        /// Of a scale: 4 for `float`, 2 for half floats.
        scale_bytes: i64,
        zeros: bool,
    },
    /// As floats, `shared` rows of `k` having one scale.
    Restored {
        format: Format,
        rows: i64,
        k: i64,
        shared: i64,
        zeros: bool,
    },
    /// From `weight[n][k]`.
    Floats {
        n: i64,
        k: i64,
    },
    /// From `weight[k][n]`.
    FloatColumns {
        n: i64,
        k: i64,
    },
}

impl Packing {
    pub fn of_format(format: Format, n: i64, k: i64) -> Option<Packing> {
        Some(match format {
            Format::Ternary2 => Packing::Ternary2 { n, k },
            Format::Ternary5 => Packing::Ternary5 { n, k },
            Format::Int8 => Packing::Int8 { n, k },
            Format::Int4 => return None,
        })
    }

    /// The file of `templates/c/kernels/` that has its functions.
    pub fn family(self) -> &'static str {
        match self {
            Packing::Ternary2 { .. } => "ternary2",
            Packing::Ternary5 { .. } => "ternary5",
            Packing::Int8 { .. } => "int8",
            Packing::Int4 { .. } => "int4",
            Packing::Restored { .. } => "restore",
            Packing::Floats { .. } | Packing::FloatColumns { .. } => "f32",
        }
    }

    /// The same as the macros `..._PACKED_BYTES` say, in every build.
    pub fn bytes(self) -> i64 {
        let strips = |n: i64| (n + 15) / 16;
        match self {
            Packing::Ternary2 { n, k } | Packing::Ternary5 { n, k } => strips(n) * ((k + 15) / 16) * 64,
            Packing::Int8 { n, k } => strips(n) * ((k + 3) / 4) * 64,
            Packing::Int4 { n, k, group, scale_bytes, zeros } => {
                strips(n) * ((k + 7) / 8 * 64 + k / group * 16 * (scale_bytes + i64::from(zeros)))
            }
            Packing::Restored { rows, k, .. } => rows * k * 4,
            Packing::Floats { n, k } | Packing::FloatColumns { n, k } => strips(n) * 16 * k * 4,
        }
    }

    /// The type of its elements.
    pub fn element(self) -> &'static str {
        match self {
            Packing::Restored { .. } | Packing::Floats { .. } | Packing::FloatColumns { .. } => "float",
            _ => "uint8_t",
        }
    }

    /// The field of the weights struct, beside or in that of the weight.
    pub fn field(self, weight: &str) -> String {
        match self {
            Packing::Floats { .. } => format!("{weight}_packed"),
            Packing::FloatColumns { .. } => format!("{weight}_packed_columns"),
            Packing::Restored { .. } => format!("{weight}.restored"),
            _ => format!("{weight}.packed"),
        }
    }

    /// Whether it is of a weight of this shape.
    pub fn fits(self, shape: &[i64]) -> bool {
        match self {
            Packing::Restored { rows, k, .. } => shape.last() == Some(&k) && shape.iter().product::<i64>() == rows * k,
            Packing::FloatColumns { n, k } => shape == [k, n],
            Packing::Ternary2 { n, k }
            | Packing::Ternary5 { n, k }
            | Packing::Int8 { n, k }
            | Packing::Int4 { n, k, .. }
            | Packing::Floats { n, k } => shape == [n, k],
        }
    }

    /// The call that packs a weight, `w->fc1.weight`, into `packed`; and whether it gives false for invalid codes.
    pub fn call(self, weight: &str, packed: &str) -> (String, bool) {
        match self {
            Packing::Ternary2 { n, k } => (format!("ternary2_pack({weight}.codes, {n}, {k}, {packed})"), true),
            Packing::Ternary5 { n, k } => (format!("ternary5_pack({weight}.codes, {n}, {k}, {packed})"), true),
            Packing::Int8 { n, k } => (format!("int8_pack({weight}.codes, {n}, {k}, {packed})"), false),
            Packing::Int4 { n, k, group, scale_bytes, zeros } => {
                let zero = if zeros { format!("(const int8_t *){weight}.zero_point") } else { "NULL".to_string() };
                let call = format!(
                    "int4_pack({weight}.codes, {weight}.scale, {zero}, {n}, {k}, {group}, {scale_bytes}, {packed})"
                );
                (call, false)
            }
            Packing::Restored { format, rows, k, shared, zeros } => {
                let zero = if zeros { format!("{weight}.zero_point") } else { "NULL".to_string() };
                let given = format!("{weight}.codes, {weight}.scale");
                let rest = format!("{rows}, {k}, {shared}, {packed}");
                match format {
                    Format::Ternary2 | Format::Ternary5 => (format!("restore_ternary2({given}, {rest})"), true),
                    Format::Int4 => (format!("restore_int4({given}, {zero}, {rest})"), false),
                    Format::Int8 => (format!("restore_int8({given}, {zero}, {rest})"), false),
                }
            }
            Packing::Floats { n, k } => (format!("f32_pack({weight}, {k}, {n}, {k}, {packed})"), false),
            Packing::FloatColumns { n, k } => (format!("f32_pack_columns({weight}, {n}, {n}, {k}, {packed})"), false),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packed_sizes_are_those_of_the_macros() {
        // By hand, from the definitions in templates/c/kernels/.
        assert_eq!(Packing::Ternary2 { n: 17, k: 33 }.bytes(), 2 * 3 * 64);
        assert_eq!(Packing::Ternary5 { n: 16, k: 16 }.bytes(), 64);
        assert_eq!(Packing::Int8 { n: 1, k: 5 }.bytes(), 2 * 64);
        assert_eq!(
            Packing::Int4 { n: 32, k: 64, group: 32, scale_bytes: 4, zeros: true }.bytes(),
            2 * (8 * 64 + 2 * 16 * 5)
        );
        assert_eq!(Packing::Floats { n: 10, k: 3 }.bytes(), 16 * 3 * 4);
    }
}
