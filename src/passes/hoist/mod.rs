//! Computes once, when weights are loaded, what depends on nothing else; and chooses in which layout products read them.
//!
//! A value that is made of parameters, buffers, states that nothing assigns, constants and hyperparameters only becomes a
//! `derived` member of the layer, with a function of its own. The interpreter computes it when it is first read after
//! weights were loaded; emitted modules, whose weights may change, have a property.
//!
//! What is worth it:
//! - Work that is done: not a parameter itself, nor a view of one (`reshape`, `unsqueeze`, `broadcast_to`, `slice`),
//!   which costs nothing; what stands before such an operation is looked at instead.
//! - Not restored codes: `dequantize` would undo the packing that was asked for. Codes are never read, scales and zero
//!   points are.
//! - Not what is much larger than what it is made of: more elements than the parameters behind it, and than 1 Mi.
//! - Not numbers alone, unless they are sums over tensors.
//!
//! A product reads its factors along the inner axis. Where the right factor is such a value (or a parameter that nothing
//! else reads) with the inner axis not last, it is kept transposed and the product says so; likewise on the left.
//!
//! Needs: `inline`, so that what belongs to several layers is seen together; `simplify`, for flags of products; `dce`
//! afterwards. Keeps: results, to the last bit. Gradients of weights do not pass through derived members: for inference.
//!
//! ```text
//! layer Net(n: int) {                                     layer Net(n: int) {
//!   param w : float32[n, n]                                 param w : float32[n, n]
//! }                                                         derived w_prepared : float32[n, n] = @Net.w_prepared
//!                                                         }
//! %0 = param "w" : float32[n, n]
//! %1 = exp %0 : float32[n, n]                       =>    %1 = param "w_prepared" : float32[n, n]
//! %2 = matmul %x, %1 {transpose_b = true} : ..            %2 = matmul %x, %1 {transpose_b = true} : ..
//! ```

mod closure;
mod layout;
#[cfg(test)]
mod tests;

use crate::ir::{
    FuncId, Function, InstId, InstKind, LayerId, Member, MemberKind, Module, Origin, Part, Region, ValueId,
};
use crate::ops::traits::Quantisation;
use crate::passes::PassCx;
use crate::passes::copy::compact;
use crate::passes::environments::Environments;
use crate::types::{Dim, Symbol};
use closure::Closure;
use std::collections::{BTreeSet, HashMap};

/// Values of so many elements are kept even if nothing behind them is as large.
const SMALL: i64 = 1 << 20;

pub(super) fn hoist(module: &mut Module, cx: &mut PassCx) {
    let environments = Environments::of(module);
    for index in 0..module.functions.len() {
        let Some(layer) = module.functions[index].layer else { continue };
        if is_maker(module, FuncId(index as u32)) {
            continue;
        }
        let mut function = module.functions[index].clone();
        let layouts = layout::choose(module, &mut function, layer);
        let settled = Settled::of(module, &function, layer);
        let roots = settled.roots(&function, &environments, layer);
        cx.count("layouts", layouts);
        cx.count("values", roots.len());
        // What several members are computed of is copied for each.
        let source = function.clone();
        for root in &roots {
            let name = member_for(module, &source, layer, &settled, *root);
            let maker = settled.makers[root];
            function[maker].kind = InstKind::Param { name, part: Part::Value };
            function[maker].operands.clear();
        }
        if layouts + roots.len() > 0 {
            compact(&mut function);
            module.functions[index] = function;
        }
    }
}

/// Whether the function computes a member, at construction or of weights.
fn is_maker(module: &Module, id: FuncId) -> bool {
    module.layers.iter().flat_map(|layer| &layer.members).any(|member| match &member.kind {
        MemberKind::Constant { func, .. } => *func == id,
        MemberKind::Storage(storage) => storage.init == crate::ir::Init::Func(id),
        MemberKind::Sub(_) => false,
    })
}

/// The member that holds a value: one that is there already and is computed alike, or a new one.
fn member_for(module: &mut Module, function: &Function, layer: LayerId, settled: &Settled, root: ValueId) -> String {
    let closure = Closure::of(function, &settled.makers, root);
    let mut maker = closure.function(function, layer, root);
    let alike = |member: &&Member| match &member.kind {
        MemberKind::Constant { func, of: Origin::Weights, .. } => closure::same(&module[*func], &maker),
        _ => false,
    };
    if let Some(member) = module[layer].members.iter().find(alike) {
        return member.name.clone();
    }
    let own = |name: &str| {
        module[layer].member(name).is_some()
            || module[layer].hypers.iter().any(|hyper| hyper.name.as_str() == name)
            || module[layer].methods.iter().any(|method| module[*method].source_name == name)
    };
    let base = closure.name(function, root);
    let name = unique(&base, own);
    maker.source_name.clone_from(&name);
    let full = format!("{}.{name}", module[layer].name);
    maker.name = unique(&full, |name| module.function_named(name).is_some());
    let kind = MemberKind::Constant {
        ty: function[root].ty.clone(),
        func: FuncId(module.functions.len() as u32),
        of: Origin::Weights,
    };
    let member =
        Member { name: name.clone(), doc: None, loc: maker.loc, saved: None, checkpoint: false, quantize: None, kind };
    module.functions.push(maker);
    module.layers[layer.0 as usize].members.push(member);
    name
}

fn unique(base: &str, taken: impl Fn(&str) -> bool) -> String {
    let names = std::iter::once(base.to_string()).chain((2..).map(|number| format!("{base}_{number}")));
    names.into_iter().find(|name| !taken(name)).unwrap_or_else(|| base.to_string())
}

/// The values of a function that are the same for every call, once weights were loaded.
struct Settled {
    /// With the instruction of each.
    makers: HashMap<ValueId, InstId>,
    /// Those that other instructions use, in the order of their uses.
    used: Vec<ValueId>,
}

impl Settled {
    fn of(module: &Module, function: &Function, layer: LayerId) -> Settled {
        let mut settled = Settled { makers: HashMap::new(), used: vec![] };
        let hypers: BTreeSet<Symbol> = module[layer].hypers.iter().map(|hyper| hyper.name.clone()).collect();
        settled.region(module, function, layer, &hypers, &function.body);
        settled
    }

    fn region(
        &mut self,
        module: &Module,
        function: &Function,
        layer: LayerId,
        hypers: &BTreeSet<Symbol>,
        region: &Region,
    ) {
        for id in &region.insts {
            let inst = &function[*id];
            let computes = match &inst.kind {
                InstKind::Op { op, .. } => {
                    op.quantisation() != Some(Quantisation::Dequantise) && !op.is_random(inst.operands.len())
                }
                InstKind::Param { name, part } => *part != Part::Codes && module.is_settled(layer, name),
                InstKind::Const(_) | InstKind::Host(_) => true,
                _ => false,
            };
            let types = inst.results.iter().flat_map(|result| &function[*result].ty.shape.dims).flat_map(Dim::symbols);
            let is_settled = computes
                && inst.operands.iter().all(|operand| self.makers.contains_key(operand))
                && inst.kind.symbols().into_iter().chain(types).all(|symbol| hypers.contains(&symbol));
            if is_settled {
                self.makers.extend(inst.results.iter().map(|result| (*result, *id)));
                continue;
            }
            for operand in &inst.operands {
                if self.makers.contains_key(operand) && !self.used.contains(operand) {
                    self.used.push(*operand);
                }
            }
            for nested in Function::regions(&inst.kind) {
                self.region(module, function, layer, hypers, nested);
            }
        }
    }

    /// The values that are worth a member.
    fn roots(&self, function: &Function, environments: &Environments, layer: LayerId) -> Vec<ValueId> {
        let (mut roots, mut seen) = (vec![], BTreeSet::new());
        // Of a value that is not worth it, what it is made of may be.
        let mut open: Vec<ValueId> = self.used.iter().rev().copied().collect();
        while let Some(value) = open.pop() {
            let root = self.before_views(function, value);
            if !seen.insert(root) {
                continue;
            }
            let maker = &function[self.makers[&root]];
            if maker.results.len() == 1 && self.is_worth(function, environments, layer, root) {
                roots.push(root);
            } else {
                open.extend(maker.operands.iter().rev());
            }
        }
        roots
    }

    /// A value, or what it was before operations that cost nothing.
    fn before_views(&self, function: &Function, value: ValueId) -> ValueId {
        let mut value = value;
        while let Some(inst) = self.makers.get(&value).map(|id| &function[*id]) {
            match &inst.kind {
                InstKind::Op { op, .. } if op.movement().is_free() => match inst.operands.first() {
                    Some(source) => value = *source,
                    None => break,
                },
                _ => break,
            }
        }
        value
    }

    fn is_worth(&self, function: &Function, environments: &Environments, layer: LayerId, root: ValueId) -> bool {
        if function[self.makers[&root]].operands.is_empty() {
            return false;
        }
        let closure = Closure::of(function, &self.makers, root);
        let most = |value: ValueId| {
            let elements = function[value].ty.shape.elements()?;
            environments.most(Some(layer), &elements)
        };
        let read: Option<i64> = closure.params(function).map(most).sum();
        let (Some(size), Some(read)) = (most(root), read) else { return false };
        let of_tensors = closure.values(function).any(|value| !function[value].ty.shape.dims.is_empty());
        of_tensors && size <= read.max(SMALL)
    }
}
