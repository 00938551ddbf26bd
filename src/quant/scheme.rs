//! What a quantisation scheme is: `ternary(axis=0)`, `int4(group=64, symmetric=false)`, ...

use crate::base::F64;
use crate::types::DType;
use std::fmt;

/// How a ternary threshold is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TernaryRule {
    /// BitNet b1.58: round(W / mean abs W).
    AbsMean,
    /// Nonzero where abs W > ratio * max abs W.
    Max { ratio: F64 },
    /// Nonzero where abs W > threshold.
    Fixed { threshold: F64 },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum SchemeKind {
    Ternary {
        rule: TernaryRule,
        /// `scale="kept"`: the mean of abs W over the nonzero entries (rules `max` and `fixed`).
        kept_scale: bool,
        /// Random rounding, for training.
        stochastic: bool,
    },
    /// 4 or 8 bits.
    Int { bits: u32, symmetric: bool },
}

/// Straight-through gradient.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Ste {
    #[default]
    Identity,
    /// Zero where the value was clamped.
    Clipped,
}

/// A scheme and its options. With neither `axis` nor `group` there is one scale for the whole tensor.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Scheme {
    pub kind: SchemeKind,
    /// One scale for each index of this axis (negative from the end).
    pub axis: Option<i64>,
    /// One scale for each run of so many elements of the last axis.
    pub group: Option<i64>,
    pub scale_dtype: DType,
    /// Activations: scales computed from each call's values, one per token (last axis reduced).
    pub dynamic: bool,
    pub ste: Ste,
}

impl Scheme {
    pub fn ternary() -> Scheme {
        let kind = SchemeKind::Ternary { rule: TernaryRule::AbsMean, kept_scale: false, stochastic: false };
        Scheme::of(kind)
    }

    pub fn int(bits: u32) -> Scheme {
        Scheme::of(SchemeKind::Int { bits, symmetric: true })
    }

    fn of(kind: SchemeKind) -> Scheme {
        Scheme { kind, axis: None, group: None, scale_dtype: DType::Float32, dynamic: false, ste: Ste::Identity }
    }

    /// The scheme as it is where nothing is trained: rounding is to nearest.
    pub fn without_chance(self) -> Scheme {
        match self.kind {
            SchemeKind::Ternary { rule, kept_scale, .. } => {
                Scheme { kind: SchemeKind::Ternary { rule, kept_scale, stochastic: false }, ..self }
            }
            SchemeKind::Int { .. } => self,
        }
    }

    /// The element type of the codes. Asymmetric int4 codes are 0 to 15 and travel as `uint8`.
    pub fn code_dtype(&self) -> DType {
        match self.kind {
            SchemeKind::Ternary { .. } => DType::Trit,
            SchemeKind::Int { bits: 4, symmetric: true } => DType::Int4,
            SchemeKind::Int { bits: 4, symmetric: false } => DType::UInt8,
            SchemeKind::Int { .. } => DType::Int8,
        }
    }

    /// Why the options do not go together, if they do not.
    pub fn problem(&self) -> Option<String> {
        let scheme = match self.kind {
            SchemeKind::Ternary { rule: TernaryRule::AbsMean, kept_scale: true, .. } => {
                Some("`scale=\"kept\"` goes with `rule=\"max\"` or `rule=\"fixed\"`")
            }
            SchemeKind::Ternary {
                rule: TernaryRule::Max { .. } | TernaryRule::Fixed { .. }, stochastic: true, ..
            } => Some("stochastic rounding goes with the rule `absmean` only"),
            SchemeKind::Int { bits, .. } if bits != 4 && bits != 8 => Some("integer codes have 4 or 8 bits"),
            SchemeKind::Ternary { .. } | SchemeKind::Int { .. } => None,
        };
        let options = match (self.axis, self.group) {
            (Some(_), Some(_)) => Some("a scheme has `axis` or `group`, not both"),
            (_, Some(group)) if group < 1 => Some("a group has at least one element"),
            _ => None,
        };
        let scale = (!self.scale_dtype.is_float()).then_some("`scale_dtype` must be a float type");
        scheme.or(options).or(scale).map(str::to_string)
    }

    /// Whether codes and scales that `quantize` made come out again where the values that they stand for, restored as
    /// `dtype`, are quantised once more. For integer codes this holds where the scale is a normal number (`max abs W`
    /// of at least 127 * 2^-126).
    ///
    /// Not so: absmean, where restored values have another mean; asymmetric codes, which need not reach both ends;
    /// integer codes where the values or a float16 scale are rounded; a fixed threshold that a rounded scale may not pass.
    pub fn is_repeatable(&self, dtype: DType) -> bool {
        let exact = |dtype| matches!(dtype, DType::Float32 | DType::Float64);
        match self.kind {
            SchemeKind::Ternary { stochastic: true, .. }
            | SchemeKind::Ternary { rule: TernaryRule::AbsMean, .. }
            | SchemeKind::Int { symmetric: false, .. } => false,
            // Kept entries are of one size, which is their mean and their maximum.
            SchemeKind::Ternary { rule: TernaryRule::Max { ratio }, kept_scale, .. } => {
                (ratio.0 as f32) < 1.0 && (!kept_scale || exact(dtype))
            }
            // Their mean is above the threshold, as long as it is not rounded.
            SchemeKind::Ternary { rule: TernaryRule::Fixed { .. }, kept_scale: true, .. } => {
                exact(dtype) && exact(self.scale_dtype)
            }
            SchemeKind::Ternary { rule: TernaryRule::Fixed { threshold }, kept_scale: false, .. } => {
                (threshold.0 as f32) < 1.0
            }
            SchemeKind::Int { symmetric: true, .. } => {
                exact(dtype) && (exact(self.scale_dtype) || self.scale_dtype == DType::BFloat16)
            }
        }
    }

    /// Why activations cannot have this scheme, if they cannot. Which of them share a scale is for the product to say: a
    /// token, a sample, or, with a scale from calibration, all.
    pub fn problem_for_activations(&self) -> Option<String> {
        let fault = match self.kind {
            SchemeKind::Ternary { .. } => "activations are quantised as int8 or int4",
            SchemeKind::Int { .. } if self.axis.is_some() || self.group.is_some() => {
                "a scheme of activations has no `axis` and no `group`: with `dynamic=true` there is one scale for each token \
                 or sample, else one for all"
            }
            SchemeKind::Int { .. } => return self.problem(),
        };
        Some(fault.to_string())
    }

    pub fn has_zero_point(&self) -> bool {
        matches!(self.kind, SchemeKind::Int { symmetric: false, .. })
    }
}

/// What `@quantize` says of a weight: how it is quantised and, where that is wanted, how the other factor of the products
/// that it goes into.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Quantization {
    pub weights: Scheme,
    pub activations: Option<Scheme>,
}

impl From<Scheme> for Quantization {
    fn from(weights: Scheme) -> Quantization {
        Quantization { weights, activations: None }
    }
}

/// As the arguments of `@quantize`.
impl fmt::Display for Quantization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.weights)?;
        self.activations.iter().try_for_each(|scheme| write!(f, ", activations={scheme}"))
    }
}

/// Tri syntax, defaults left out.
impl fmt::Display for Scheme {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut options: Vec<String> = vec![];
        let name = match self.kind {
            SchemeKind::Ternary { rule, kept_scale, stochastic } => {
                match rule {
                    TernaryRule::AbsMean => {}
                    TernaryRule::Max { ratio } => options.push(format!("rule=\"max\", ratio={ratio}")),
                    TernaryRule::Fixed { threshold } => {
                        options.push(format!("rule=\"fixed\", threshold={threshold}"));
                    }
                }
                if kept_scale {
                    options.push("scale=\"kept\"".into());
                }
                if stochastic {
                    options.push("stochastic=true".into());
                }
                "ternary"
            }
            SchemeKind::Int { bits, symmetric } => {
                if !symmetric {
                    options.push("symmetric=false".into());
                }
                if bits == 4 { "int4" } else { "int8" }
            }
        };
        options.extend(self.axis.map(|axis| format!("axis={axis}")));
        options.extend(self.group.map(|group| format!("group={group}")));
        if self.scale_dtype != DType::Float32 {
            options.push(format!("scale_dtype={}", self.scale_dtype));
        }
        if self.dynamic {
            options.push("dynamic=true".into());
        }
        if self.ste == Ste::Clipped {
            options.push("ste=\"clipped\"".into());
        }
        write!(f, "{name}({})", options.join(", "))
    }
}
