//! Folds what scales and shifts the channels of a convolution or matrix product by constants into its weight and offset:
//! batch norms in inference, above all.
//!
//! Needs: `inline`, for the norm is another layer than the convolution. Keeps: signatures, members, effects. Changes
//! rounding: products are rounded after the scale, not before it. So it is for programs whose weights do not change any
//! more, and for targets that compute once what comes of weights only: in inference, and with kernels.
//!
//! A value is constant if it comes of parameters, buffers, literals, and state that nothing assigns in any function of the
//! module, as running statistics are in inference. From the product on, its result is followed through operations that
//! leave elements in their channel (shapes, permutations, conversions of floats) and through sums, differences,
//! products and quotients with one constant for each channel, as long as nothing else uses a value on the way. Then
//! `((x * w + b) * s + t)` is `x * (w * s) + (b * s + t)`, with the small products left as instructions, and the result
//! takes the operations on shapes, in their order.
//!
//! Only what stands after a product is folded. A norm before a convolution with padding cannot be: the padding is not
//! normalised. Of weights in codes the scales are multiplied, and codes stay, if a scale belongs to one channel
//! (`axis=0`, symmetric); others are left alone. So are transposed convolutions with groups.
//!
//! ```text
//! %w = param "conv.weight" : float32[O, I, 3, 3]              %s = rsqrt %running_var : float32[O]
//! %y = conv2d %x, %w : float32[B, O, H, W]                    %0 = reshape %s {shape = [O, 1, 1, 1]} : ..
//! %s = rsqrt %running_var : float32[O]                   =>   %1 = mul %w, %0 : float32[O, I, 3, 3]
//! %t = reshape %s {shape = [O, 1, 1]} : float32[O, 1, 1]      %z = conv2d %x, %1 : float32[B, O, H, W]
//! %z = mul %y, %t : float32[B, O, H, W]
//! ```

mod chain;
mod constants;
mod weight;

use crate::ir::{Function, InstId, Module, Region, ValueId};
use crate::passes::PassCx;
use crate::passes::copy::compact;
use crate::types::Facts;
use chain::Chain;
use constants::{Constants, assigned};
use std::collections::HashMap;

pub(super) fn fold_batch_norm(module: &mut Module, cx: &mut PassCx) {
    let assigned = assigned(module);
    for index in 0..module.functions.len() {
        let function = &module.functions[index];
        let facts = module.facts(function);
        let constants = Constants::of(module, function, &assigned);
        let mut function = function.clone();
        let mut pass = Fold { facts: &facts, constants: &constants, users: users(&function), folded: 0 };
        function.change_body(|function, body| pass.region(function, body));
        if pass.folded > 0 {
            cx.count("folded", pass.folded);
            compact(&mut function);
            module.functions[index] = function;
        }
    }
}

/// Each use of each value: the instruction.
type Users = HashMap<ValueId, Vec<InstId>>;

fn users(function: &Function) -> Users {
    let mut users = Users::new();
    for (index, inst) in function.insts.iter().enumerate() {
        for operand in &inst.operands {
            users.entry(*operand).or_default().push(InstId(index as u32));
        }
    }
    users
}

struct Fold<'p> {
    facts: &'p Facts,
    constants: &'p Constants,
    users: Users,
    folded: usize,
}

impl Fold<'_> {
    fn region(&mut self, function: &mut Function, region: Region) -> Region {
        for id in &region.insts {
            function.change_regions(*id, |function, nested| self.region(function, nested));
        }
        let mut insts = region.insts;
        let mut at = 0;
        while at < insts.len() {
            let chain = Chain::from(function, &insts, at, &self.users, self.constants, self.facts);
            // What was folded stands where the chain ended, behind what it needs.
            if let Some(chain) = chain
                && let Some((end, made)) = chain.fold(function)
            {
                let gone = chain.insts();
                insts.splice(end..=end, made);
                insts.retain(|id| !gone.contains(id));
                self.folded += 1;
            } else {
                at += 1;
            }
        }
        Region { params: region.params, insts }
    }
}

#[cfg(test)]
mod tests;
