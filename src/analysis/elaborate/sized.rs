//! Calls all of whose sizes are known.
//!
//! A signature does not tell all that a body requires: `x[:3]` of `x: float32[N]` needs `N >= 3`. Within the
//! definition that is left open, and where `f(ones([2]))` is called the declared result would do. Such a call is
//! walked with its sizes for what they make wrong; the result is still the declared one. Where sizes are open
//! nothing is walked, so that an edit of a body does not reach every caller.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::function_call::FittedCall;
use crate::analysis::value::{Cond, List, Value, ValueRef};
use crate::analysis::world::{Walk, renumber};
use crate::base::Span;
use crate::types::Shape;

/// Statements and calls that are walked for one such call.
const FUEL: u32 = 20_000;

impl FittedCall<'_> {
    /// Whether nothing about its sizes is open.
    pub fn is_sized(&self) -> bool {
        self.sizes.iter().all(|(_, size)| is_constant(size))
            && self.values.iter().all(|(value, _)| is_known(value))
            && self.values.iter().any(|(value, _)| value.has_tensor())
            && self.instance.iter().all(|instance| instance.hypers.iter().all(|(_, value)| is_known(value)))
    }

    fn is_same(&self, other: &Self) -> bool {
        let values = |call: &Self| call.values.iter().map(|(value, _)| unnumbered(value)).collect::<Vec<_>>();
        self.function.item == other.function.item
            && std::ptr::eq(self.function.decl, other.function.decl)
            && self.instance.as_ref().map(|instance| (&instance.hypers, &instance.elems))
                == other.instance.as_ref().map(|instance| (&instance.hypers, &instance.elems))
            && self.sizes == other.sizes
            && values(self) == values(other)
    }
}

/// The value without what tells its tensors from others of their types.
fn unnumbered<'db>(value: &Value<'db>) -> Value<'db> {
    renumber(value.clone(), &mut std::iter::repeat(ValueRef(0)))
}

impl<'db> Elaborator<'_, 'db> {
    /// Walks a call for what is wrong with its sizes.
    pub(super) fn check_sized(&mut self, call: FittedCall<'db>, span: Span) -> Walk<()> {
        if self.sized.iter().any(|known| known.is_same(&call)) {
            return Ok(());
        }
        self.sized.push(call.clone());
        let (fuel, decisions, facts) = (self.fuel, self.decisions.clone(), self.facts.clone());
        let obligations = self.obligations.len();
        // Of a walk that takes too long nothing is told: the program may be right.
        self.fuel = fuel.min(FUEL);
        let result = self.call_in_place(call, true, span);
        self.fuel = fuel.saturating_sub(fuel.min(FUEL) - self.fuel).max(1 + u32::from(fuel > 1));
        self.decisions = decisions;
        self.facts = facts;
        self.obligations.truncate(obligations);
        result.map(|_| ())
    }
}

fn is_constant(shape: &Shape) -> bool {
    shape.pack.is_none() && shape.dims.iter().all(|dim| dim.as_const().is_some())
}

fn is_known(value: &Value<'_>) -> bool {
    match value {
        Value::Error | Value::Opaque(_) => false,
        Value::Tensor(tensor) => is_constant(&tensor.ty.shape),
        Value::Bool(cond) => matches!(cond, Cond::Known(_)),
        Value::Tuple(items) | Value::List(List::Items(items)) => items.iter().all(is_known),
        Value::List(List::Stacked(stack)) => is_constant(&stack.ty.shape),
        value => value.symbols().is_empty(),
    }
}
