//! Codes stay codes: values are not restored only to be quantised again, and a product of two restored values becomes
//! an integer product.
//!
//! - `quantize(dequantize(q, s))` is `q, s` where these come from a `quantize` of the same scheme, and quantising what
//!   they stand for finds them again ([`Scheme::is_repeatable`]): symmetric int4 and int8 (scales below 2^-126 aside),
//!   ternary with a threshold. Codes that a file holds are left alone: they need not use their whole range. Under scales
//!   that are given (`quantize_with`) codes of every integer scheme are found again.
//! - `dequantize(a, s) @ dequantize(b, t)` is `(a @ b) * t * s`, and likewise for a convolution: a product of small
//!   integers in int32, and one multiplication by each scale. Both schemes must be symmetric, with scales that do not
//!   change along what is summed over: per tensor, per token or sample, per row of the weight. The sum must fit int32
//!   for every instance of the layer. What has a zero point or groups is left alone, and so are transposed convolutions
//!   and `routed_matmul`.
//!
//! Needs: `simplify` before it, which takes transpositions of weights out of the way. Keeps: results up to rounding: the
//! sum is exact, and scales are multiplied in once instead of into each element, which is no less precise than what was
//! written. Codes and scales are the same to the last bit. The integer product has no gradient: for inference only.
//!
//! ```text
//! %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[B, k], float32[B]
//! %a = dequantize %q, %s {..} : float32[B, k]           %0 = matmul %q, %wq {transpose_b = true} : int32[B, n]
//! %wq = param "weight" codes : trit[n, k]               %1 = cast %0 {dtype = float32} : float32[B, n]
//! %ws = param "weight" scale : float32[n]          =>   %2 = mul %1, %ws : float32[B, n]
//! %w = dequantize %wq, %ws {..} : float32[n, k]         %3 = unsqueeze %s {axis = -1} : float32[B, 1]
//! %y = matmul %a, %w {transpose_b = true}               %y = mul %2, %3 : float32[B, n]
//! ```

mod products;
#[cfg(test)]
mod tests;

use crate::ir::{Function, InstId, InstKind, Module, ValueId};
use crate::ops::Attrs;
use crate::ops::traits::Quantisation;
use crate::passes::PassCx;
use crate::passes::copy::compact;
use crate::passes::environments::Environments;
use crate::passes::rewrite::{Rewrite, Seen};
use crate::quant::{Scheme, Ste};
use crate::types::{DType, Facts};

pub(super) fn quantise_fusion(module: &mut Module, cx: &mut PassCx) {
    let environments = Environments::of(module);
    for index in 0..module.functions.len() {
        let facts = module.facts(&module.functions[index]);
        let function = &mut module.functions[index];
        let seen = Seen::default();
        let mut pass = QuantiseFusion { environments: &environments, facts, seen, requantised: 0, products: 0 };
        pass.function(function);
        cx.count("requantisations", pass.requantised);
        cx.count("integer products", pass.products);
        if pass.requantised + pass.products > 0 {
            compact(function);
        }
    }
}

struct QuantiseFusion<'m> {
    environments: &'m Environments,
    facts: Facts,
    seen: Seen,
    requantised: usize,
    products: usize,
}

impl Rewrite for QuantiseFusion<'_> {
    fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    fn inst(&mut self, function: &mut Function, id: InstId, kept: &mut Vec<InstId>) {
        if let Some(parts) = self.codes_before(function, id) {
            for (result, part) in function[id].results.clone().into_iter().zip(parts) {
                self.seen.replaced.put_unnamed(result, part);
            }
            self.requantised += 1;
        } else if let Some((insts, value)) = self.integer_product(function, id) {
            let result = function[id].results[0];
            self.seen.replaced.put(function, result, value);
            for id in &insts {
                self.seen.makers.extend(function[*id].results.iter().map(|result| (*result, *id)));
            }
            kept.extend(insts);
            self.products += 1;
        } else {
            kept.push(id);
        }
    }
}

impl QuantiseFusion<'_> {
    /// The operation that made a value, if it quantises or restores in this way.
    fn made_by<'f>(&self, function: &'f Function, value: ValueId, way: Quantisation) -> Option<(InstId, &'f Attrs)> {
        let id = *self.seen.makers.get(&value)?;
        match &function[id].kind {
            InstKind::Op { op, attrs } if op.quantisation() == Some(way) => Some((id, attrs)),
            _ => None,
        }
    }

    /// The codes, and scales, that a quantisation would only find again.
    fn codes_before(&self, function: &Function, id: InstId) -> Option<Vec<ValueId>> {
        let InstKind::Op { op, attrs } = &function[id].kind else { return None };
        let way = op.quantisation()?;
        let scheme = without_gradient(attrs.scheme("scheme")?);
        let [x, given @ ..] = function[id].operands.as_slice() else { return None };
        let (dequantize, attrs) = self.made_by(function, *x, Quantisation::Dequantise)?;
        let parts = &function[dequantize].operands;
        let (first, first_attrs) = self.made_by(function, *parts.first()?, way)?;
        let is_same = |attrs: &Attrs| attrs.scheme("scheme").is_some_and(|other| without_gradient(other) == scheme);
        if !is_same(attrs) || !is_same(first_attrs) {
            return None;
        }
        let first = &function[first];
        match way {
            // Scales are those of the values; there is no seed.
            Quantisation::Quantise => {
                let repeats = given.is_empty() && first.results == *parts && scheme.is_repeatable(function.dtype(*x));
                repeats.then(|| parts.clone())
            }
            Quantisation::QuantiseWith => {
                let exact = matches!(function.dtype(*x), DType::Float32 | DType::Float64);
                let same_scales = parts.get(1..) == Some(given) && first.operands.get(1..) == Some(given);
                (exact && same_scales).then(|| vec![parts[0]])
            }
            Quantisation::Dequantise | Quantisation::Pack | Quantisation::Unpack => None,
        }
    }
}

/// A scheme, but for what only the gradient asks of it.
fn without_gradient(scheme: &Scheme) -> Scheme {
    Scheme { ste: Ste::default(), ..scheme.clone() }
}
