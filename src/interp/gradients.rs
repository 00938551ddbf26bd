//! Gradients of members, one by one: what a stack over the turns of loops holds for each element of a list.

use super::instance::Instance;
use super::value::apply_one;
use super::{Env, RunError, eval_dim};
use crate::base::code::E0409;
use crate::ir::PathSegment;
use crate::ops::{Attr, Attrs};
use crate::types::{Dim, HostValue, Symbol, Tensor};

/// A member's gradient; `counts` and the symbols that `turn` names are those of the loops whose turns it stacks,
/// outermost first.
pub struct Stacked<'a> {
    pub path: &'a [PathSegment],
    pub name: &'a str,
    pub counts: &'a [Dim],
    pub turn: fn(usize) -> Symbol,
}

/// The sum of two gradients of one member.
pub fn sum(a: &Tensor, b: &Tensor) -> Result<Tensor, RunError> {
    apply_one("add", &[a.clone(), b.clone()], &Attrs::new())
}

impl Stacked<'_> {
    /// Name in weights files and gradient of each member.
    pub fn apart(&self, instance: &mut Instance, gradient: &Tensor) -> Result<Vec<(String, Tensor)>, RunError> {
        let mut found = vec![];
        let env = instance.hypers.clone();
        self.axis(0, env, instance, gradient, &mut found)?;
        Ok(found)
    }

    fn axis(
        &self,
        axis: usize,
        mut env: Env,
        instance: &mut Instance,
        gradient: &Tensor,
        found: &mut Vec<(String, Tensor)>,
    ) -> Result<(), RunError> {
        let Some(count) = self.counts.get(axis) else {
            let saved = instance.saved_name(self.path, self.name, &env)?;
            found.push((saved, gradient.clone()));
            return Ok(());
        };
        let count = eval_dim(count, &env).ok_or_else(|| RunError::new(E0409, "a loop has no number of turns"))?;
        for turn in 0..count {
            env.insert((self.turn)(axis), HostValue::Int(turn));
            let attrs = Attrs::new().with("axis", Attr::int(0));
            let part = apply_one("take", &[gradient.clone(), Tensor::scalar_i64(turn)], &attrs)?;
            self.axis(axis + 1, env.clone(), instance, &part, found)?;
        }
        Ok(())
    }
}
