//! Reverse-mode differentiation, function by function.
//!
//! Each function `f` through which a gradient flows gets two companions: the *primal*, which computes what `f`
//! does and also returns what its backward needs, and the *adjoint*, which takes those values and the gradients
//! of the results to the gradients of the parameters. A call becomes a call of the primal; in the caller's
//! adjoint stands a call of the callee's adjoint, on the same instance. So layers stay layers, lists of them
//! stay loops, and shapes stay symbols.
//!
//! Which parameters want gradients is part of the key under which companions are kept, so that no work goes
//! into what nobody asks for. An adjoint also returns the gradients of the `param` members that it reaches,
//! each with the path to it ([`StorageGradient`]); members of a list that a loop walks come stacked.
//!
//! How control flow is reversed:
//! - `if`: another `if` on the same condition; what a branch must hand over is a result of the forward one, with
//!   zeros from the other branch;
//! - `for`: a loop over the turns in reverse; what a turn must hand over is collected by the forward loop;
//! - `while`: likewise, where it stands in the body of a function: the number of its turns is a size that only a run of
//!   the primal tells (`fresh`), and a symbol of the adjoint. In a branch or a turn of another loop nothing could be of
//!   that size outside, so what stands there is made again, if it is a function of its own, or an error.
//!
//! The instruction `gradient`, which `value_and_grad` in the source becomes, is put away by [`expand`]: its region
//! becomes a function, and calls of the companions of that take its place.
//!
//! A call of a sublayer under `@checkpoint`, or of a segment of a loop, stays as it is; its adjoint runs the primal again, from the same operands.
//! Where that would not give the same (random numbers, state, prints), values are kept as ever.
//!
//! Needs: an entry. Keeps: every function as it is; companions are added beside them. State is read and
//! assigned by primals only, and no gradient flows through it.
//!
//! ```text
//! func @f(%x: float32[n]) -> float32[n] {           func @f.primal(%x: float32[n]) -> (float32[n], float32[n]) {
//!   %0 = exp %x : float32[n]                   =>     %0 = exp %x : float32[n]
//!   %1 = sin %0 : float32[n]                          %1 = sin %0 : float32[n]
//!   return %1                                         return %1, %0
//! }                                                 }
//!                                                   func @f.adjoint(%0: float32[n], %grad: float32[n]) -> float32[n] {
//!                                                     %1 = cos %0 : float32[n]
//!                                                     %2 = mul %grad, %1 : float32[n]
//!                                                     %3 = mul %2, %0 : float32[n]
//!                                                     return %3
//!                                                   }
//! ```

mod activity;
mod beside;
mod calls;
mod checkpoint;
mod control;
mod expand;
mod import;
mod joint;
mod regions;
mod reverse;
mod segments;
mod storage;

#[cfg(test)]
mod tests;

pub use beside::{Backward, beside};
pub use expand::expand;
pub use joint::{Differentiated, Source};
pub use storage::{StorageGradient, turn};

use crate::base::Loc;
use crate::ir::{FuncId, Function, InstKind, Module, Verified, verify};
use crate::ops::GradientError;
use crate::passes::unfuse::expand_fused;
use crate::types::{DType, Symbol, TensorType};
use activity::Activity;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::fmt;
use std::rc::Rc;

/// Why there is no gradient, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AutodiffError {
    pub message: String,
    pub loc: Option<Loc>,
    /// A rule of the compiler's own was broken; the program is not to blame.
    pub internal: bool,
}

impl AutodiffError {
    fn new(message: impl Into<String>) -> AutodiffError {
        AutodiffError { message: message.into(), loc: None, internal: false }
    }

    fn internal(message: impl Into<String>) -> AutodiffError {
        AutodiffError { internal: true, ..AutodiffError::new(message) }
    }

    /// Names the place, unless an inner one is named already.
    fn or_at(mut self, loc: Loc) -> AutodiffError {
        if self.loc.is_none() && loc.line > 0 {
            self.loc = Some(loc);
        }
        self
    }
}

impl fmt::Display for AutodiffError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl From<GradientError> for AutodiffError {
    fn from(error: GradientError) -> AutodiffError {
        AutodiffError::new(error.0)
    }
}

type Result<T> = std::result::Result<T, AutodiffError>;

/// Adds to the entry's layer the method that computes the results of `method` and, from their gradients, those
/// of its float inputs and of every float parameter of the model. Each call gives the gradients of the results
/// in `given`, by their positions; those of the others are ones. With `segments`, loops over layers in the method are
/// divided into so many parts, which are computed again instead of being kept.
pub fn differentiate(
    module: Verified,
    method: FuncId,
    given: &[usize],
    segments: Option<u32>,
) -> Result<Differentiated> {
    let mut differentiator = Differentiator::new(module.into_inner(), true);
    let computed = match segments {
        Some(count) => differentiator.segmented(method, count)?,
        None => method,
    };
    let (function, gradients) = differentiator.joint(method, computed, given)?;
    Ok(Differentiated { module: differentiator.finish()?, function, gradients })
}

/// A method that gives results and gradients, and what the latter are of.
pub type Joint = (FuncId, Vec<Source>);

/// The same for several methods, which share what they call: each call gives the gradients of all float results.
pub fn differentiate_each(module: Verified, methods: &[FuncId]) -> Result<(Verified, Vec<Joint>)> {
    let mut differentiator = Differentiator::new(module.into_inner(), true);
    let mut found = vec![];
    for method in methods {
        let results = differentiator.module[*method].results.iter().enumerate();
        let is_float = |ty: &TensorType| ty.dtype().is_some_and(DType::is_float);
        let given: Vec<usize> = results.filter(|(_, ty)| is_float(ty)).map(|(index, _)| index).collect();
        found.push(differentiator.joint(*method, *method, &given)?);
    }
    Ok((differentiator.finish()?, found))
}

/// The companions of a function, for one choice of parameters that want gradients.
#[derive(Clone, Debug)]
struct Derived {
    primal: FuncId,
    adjoint: FuncId,
    /// Parameters of the function whose values the adjoint takes, first.
    inputs: Vec<usize>,
    /// Results of the primal that the adjoint takes next: some of the function's own, and all that were added.
    kept: Vec<usize>,
    /// Results of the function whose gradients the adjoint takes last.
    results: Vec<usize>,
    /// Parameters of the function whose gradients the adjoint gives, first.
    params: Vec<usize>,
    /// The other gradients that it gives.
    storages: Vec<StorageGradient>,
}

/// A function, and which of its parameters want gradients.
type Key = (FuncId, Vec<bool>);

/// Makes companions on demand.
struct Differentiator {
    module: Module,
    /// Whether `param` members want gradients, too.
    members: bool,
    derived: HashMap<Key, Option<Rc<Derived>>>,
    activities: HashMap<Key, Rc<Activity>>,
    /// Whether a function computes the same whenever it runs.
    repeatable: HashMap<FuncId, bool>,
    /// Functions whose calls are computed again.
    segments: HashSet<FuncId>,
}

impl Differentiator {
    fn new(mut module: Module, members: bool) -> Differentiator {
        expand_fused(&mut module);
        Differentiator {
            module,
            members,
            derived: HashMap::new(),
            activities: HashMap::new(),
            repeatable: HashMap::new(),
            segments: HashSet::new(),
        }
    }

    /// The companions of a function; `None` if no result depends on what wants gradients.
    fn derive(&mut self, func: FuncId, wanted: &[bool]) -> Result<Option<Rc<Derived>>> {
        let key = (func, wanted.to_vec());
        if let Some(known) = self.derived.get(&key) {
            return Ok(known.clone());
        }
        let activity = self.activity(func, wanted);
        let derived = if activity.results.contains(&true) {
            Some(Rc::new(reverse::Reverse::new(self, func, activity).run(wanted)?))
        } else {
            None
        };
        self.derived.insert(key, derived.clone());
        Ok(derived)
    }

    /// The names that symbols have in a function: of its layer, its own, and those that its body binds.
    fn symbols_in(&self, function: &Function) -> BTreeSet<Symbol> {
        let hypers = function.layer.iter().flat_map(|layer| &self.module[*layer].hypers);
        let mut symbols: BTreeSet<Symbol> = hypers.map(|hyper| hyper.name.clone()).collect();
        symbols.extend(function.symbols.iter().map(|(symbol, _)| symbol.clone()));
        for inst in &function.insts {
            symbols.extend(inst.kind.binds().iter().cloned());
            if let InstKind::For { index, .. } = &inst.kind {
                symbols.insert(index.clone());
            }
        }
        symbols
    }

    /// The module, if no rule is broken.
    fn finish(self) -> Result<Verified> {
        verify(self.module).map_err(|errors| {
            let messages: Vec<String> = errors.iter().map(ToString::to_string).collect();
            AutodiffError::internal(messages.join("; "))
        })
    }

    /// A name for a companion that no function has yet.
    fn free_name(&self, base: &str) -> String {
        let mut names = std::iter::once(base.to_string()).chain((2..).map(|n| format!("{base}_{n}")));
        names.find(|name| self.module.function_named(name).is_none()).unwrap_or_default()
    }

    /// Adds a function beside the one that it comes from.
    fn add(&mut self, function: Function) -> FuncId {
        let id = FuncId(self.module.functions.len() as u32);
        if let Some(layer) = function.layer {
            self.module.layers[layer.0 as usize].methods.push(id);
        }
        self.module.functions.push(function);
        id
    }
}
