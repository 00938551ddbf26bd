//! Quantises what quantised weights are multiplied with: `@quantize(weights=..., activations=...)` as instructions.
//!
//! The other factor of each product of such a weight is quantised and restored. With `dynamic=true` the scales are the
//! call's own: one for each token, or for each sample of a convolution. Else there is one scale, a buffer of the layer
//! beside the weight (`weight_activation_scale`, for asymmetric schemes also `weight_activation_zero_point`), which
//! calibration finds and weights files hold.
//!
//! Needs: schemes on parameters. Keeps: everything else. It runs once, before gradients are derived, whose products are
//! not those of the program. Free functions that get such a weight are put in the place of their calls first. Refuses: a
//! weight whose product it does not find, behind control flow or in a method of another layer.
//!
//! ```text
//! param weight : float32[m, k] quantize int8(axis=0) activations int8(dynamic=true)
//!
//! %t = permute %w {axes = (1, 0)}          %q, %s = quantize %x {scheme = int8(dynamic=true)}
//! %y = matmul %x, %t                  =>   %a = dequantize %q, %s {scheme = int8(dynamic=true), ..}
//!                                          %t = permute %w {axes = (1, 0)}
//!                                          %y = matmul %a, %t
//! ```

use crate::base::Loc;
use crate::ir::{
    Function, Init, Inst, InstId, InstKind, LayerId, Member, MemberKind, Module, Part, Region, Role, Storage, Value,
    ValueId, Verified, verify,
};
use crate::ops::factors::meets_rows;
use crate::ops::{Attr, Attrs, OpId, RuleCx, Stop, builtin};
use crate::passes::copy::compact;
use crate::passes::inliner::inline_calls;
use crate::passes::products::{Use, takers, uses};
use crate::passes::quantise::AssignError;
use crate::quant::Scheme;
use crate::types::saved::{SavedName, SavedPiece};
use crate::types::{Dim, Elem, Facts, HostExpr, Shape, TensorType};
use std::collections::{BTreeSet, HashMap};

/// What stands behind a weight's name in that of the scale of its activations.
pub const SCALE: &str = "_activation_scale";
/// The same of the zero point.
pub const ZERO_POINT: &str = "_activation_zero_point";

/// The module with quantised activations in its functions.
pub fn insert(module: Verified) -> Result<Verified, AssignError> {
    if !module.layers.iter().any(|layer| layer.members.iter().any(|member| activations(member).is_some())) {
        return Ok(module);
    }
    let mut module = module.into_inner();
    inline_takers(&mut module, &|module, function, name| weight_of(module, function, name).is_some());
    let mut found = BTreeSet::new();
    for index in 0..module.functions.len() {
        let mut function = module.functions[index].clone();
        let wanted = wanted(&module, &function);
        if wanted.is_empty() {
            continue;
        }
        for (_, weight) in &wanted {
            found.insert((weight.layer, weight.member.clone()));
            add_parts(&mut module, weight)?;
        }
        let mut pass = Insert { facts: module.facts(&function), wanted: wanted.into_iter().collect() };
        let body = std::mem::take(&mut function.body);
        let rewritten = pass.region(&mut function, body, &mut HashMap::new());
        function.body = rewritten.map_err(|message| AssignError::new("", message))?;
        compact(&mut function);
        module.functions[index] = function;
    }
    for (index, layer) in module.layers.iter().enumerate() {
        let own = layer.members.iter().filter(|member| activations(member).is_some());
        let missed = |member: &&Member| !found.contains(&(LayerId(index as u32), member.name.clone()));
        if let Some(member) = own.into_iter().find(missed) {
            let message = format!(
                "the product that `{}` of `{}` goes into is not found, so its activations cannot be quantised",
                member.name, layer.source_name
            );
            return Err(AssignError::new("", message));
        }
    }
    verify(module).map_err(|errors| AssignError::broken(&errors))
}

/// How a weight's activations are quantised, if they are.
fn activations(member: &Member) -> Option<&Scheme> {
    match &member.kind {
        MemberKind::Storage(Storage { scheme: Some(_), activations, .. }) => activations.as_ref(),
        MemberKind::Storage(_) | MemberKind::Sub(_) | MemberKind::Constant { .. } => None,
    }
}

/// Puts the bodies of functions that multiply with such members in the place of their calls.
pub fn inline_takers(module: &mut Module, wanted: &dyn Fn(&Module, &Function, &str) -> bool) {
    // Each round takes off one level of calls, and calls do not recur.
    for _ in 0..module.functions.len() {
        let found = takers(module, &|function, name| wanted(module, function, name));
        let names: BTreeSet<String> = found.iter().map(|id| module[*id].name.clone()).collect();
        if inline_calls(module, &|site| site.path.is_none() && names.contains(&site.callee.name)) == 0 {
            return;
        }
    }
}

/// A weight that asks for quantised activations.
#[derive(Clone)]
struct Weight {
    layer: LayerId,
    member: String,
    scheme: Scheme,
    /// As the function reads it.
    read: String,
    /// Which operand of the product is quantised.
    operand: usize,
}

fn weight_of(module: &Module, function: &Function, read: &str) -> Option<Weight> {
    let (layer, member) = module.member_of(function.layer, read)?;
    let scheme = activations(module[layer].member(&member)?)?.clone();
    Some(Weight { layer, member, scheme, read: read.to_string(), operand: 0 })
}

/// The products of a function whose activations are to be quantised.
fn wanted(module: &Module, function: &Function) -> Vec<(InstId, Weight)> {
    let weight = |found: Use| {
        let weight = weight_of(module, function, &found.member)?;
        let other = function[found.product].operands.get(found.other())?;
        // Integers are exact as they are.
        let float = function.dtype(*other).is_float();
        float.then(|| (found.product, Weight { operand: found.other(), ..weight }))
    };
    uses(function).into_iter().filter_map(weight).collect()
}

/// Adds the buffers of a static scheme beside the weight.
fn add_parts(module: &mut Module, weight: &Weight) -> Result<(), AssignError> {
    if weight.scheme.dynamic {
        return Ok(());
    }
    let layer = &mut module.layers[weight.layer.0 as usize];
    let Some(position) = layer.members.iter().position(|member| member.name == weight.member) else { return Ok(()) };
    let beside = layer.members[position].clone();
    let scale = (SCALE, TensorType::scalar(weight.scheme.scale_dtype), Init::Constant(HostExpr::float(f64::NAN)));
    let zero = (ZERO_POINT, TensorType::scalar(weight.scheme.code_dtype()), Init::Zeros);
    let parts = [Some(scale), weight.scheme.has_zero_point().then_some(zero)];
    for ((suffix, ty, init), after) in parts.into_iter().flatten().zip(1..) {
        let name = format!("{}{suffix}", weight.member);
        let kind = MemberKind::Storage(Storage { role: Role::Buffer, ty, scheme: None, activations: None, init });
        match layer.member(&name) {
            // Another product of the same weight has added it.
            Some(member) if member.kind == kind => continue,
            Some(_) => {
                let message = format!(
                    "`{name}` is the name of what quantises the activations of `{}`, and of a member of `{}` already",
                    weight.member, layer.source_name
                );
                return Err(AssignError::new("", message));
            }
            None => {}
        }
        let saved = beside.saved.as_ref().map(|saved| {
            let pieces = saved.pieces.iter().cloned().chain([SavedPiece::Text(suffix.to_string())]).collect();
            SavedName { pieces }
        });
        let member = Member { name, doc: None, saved, checkpoint: false, quantize: None, kind, ..beside.clone() };
        layer.members.insert(position + after, member);
    }
    Ok(())
}

/// Which of the activations share a scale.
fn shared(op: OpId, attrs: &Attrs, operand: usize, ty: &TensorType, scheme: &Scheme) -> Scheme {
    let rank = ty.shape.rank();
    match scheme.dynamic {
        // One for each sample.
        true if op.is_convolution() => Scheme { dynamic: false, axis: Some(0), ..scheme.clone() },
        // Columns are the tokens of a right factor.
        true if rank != Some(1) && !meets_rows(op, attrs, 1 - operand) => {
            Scheme { dynamic: false, axis: Some(-1), ..scheme.clone() }
        }
        true | false => scheme.clone(),
    }
}

/// Quantised values of a region, by what they are of.
type Known = HashMap<(ValueId, Scheme, Option<String>), ValueId>;

struct Insert {
    facts: Facts,
    wanted: HashMap<InstId, Weight>,
}

impl Insert {
    fn region(&mut self, function: &mut Function, region: Region, known: &mut Known) -> Result<Region, String> {
        let mut insts = vec![];
        for id in region.insts {
            function.try_change_regions(id, |function, nested| self.region(function, nested, &mut known.clone()))?;
            if let (Some(weight), InstKind::Op { op, attrs }) = (self.wanted.get(&id).cloned(), &function[id].kind) {
                let value = function[id].operands[weight.operand];
                let scheme = shared(*op, attrs, weight.operand, &function[value].ty, &weight.scheme);
                let scale = (!weight.scheme.dynamic).then(|| weight.read.clone());
                let key = (value, scheme.clone(), scale);
                let quantised = match known.get(&key) {
                    Some(quantised) => *quantised,
                    None => self.quantise(function, value, &weight, scheme, &mut insts)?,
                };
                known.insert(key, quantised);
                function[id].operands[weight.operand] = quantised;
            }
            insts.push(id);
        }
        Ok(Region { params: region.params, insts })
    }

    /// Appends what quantises and restores a value.
    fn quantise(
        &self,
        function: &mut Function,
        value: ValueId,
        weight: &Weight,
        scheme: Scheme,
        insts: &mut Vec<InstId>,
    ) -> Result<ValueId, String> {
        let loc = self.wanted.iter().find(|(_, other)| other.read == weight.read).map(|(id, _)| function[*id].loc);
        let mut into = Into { function, facts: &self.facts, insts, loc: loc.unwrap_or_default() };
        let elem = into.function[value].ty.elem.clone();
        let zero_point = scheme.has_zero_point();
        let attrs = Attrs::new().with("scheme", Attr::Scheme(scheme.clone()));
        let mut parts = if weight.scheme.dynamic {
            into.op("quantize", vec![value], attrs.clone())?
        } else {
            let scale = into.read(format!("{}{SCALE}", weight.read), scheme.scale_dtype.into());
            let zero =
                zero_point.then(|| into.read(format!("{}{ZERO_POINT}", weight.read), scheme.code_dtype().into()));
            let given: Vec<ValueId> = std::iter::once(scale).chain(zero).collect();
            let mut codes =
                into.op("quantize_with", std::iter::once(value).chain(given.iter().copied()).collect(), attrs.clone())?;
            codes.extend(given);
            codes
        };
        parts = into.op("dequantize", parts, attrs.with("dtype", Attr::DType(elem)))?;
        parts.first().copied().ok_or_else(|| "`dequantize` has no result".to_string())
    }
}

/// Where instructions are appended.
struct Into<'a> {
    function: &'a mut Function,
    facts: &'a Facts,
    insts: &'a mut Vec<InstId>,
    loc: Loc,
}

impl Into<'_> {
    fn inst(&mut self, kind: InstKind, operands: Vec<ValueId>, types: Vec<TensorType>) -> Vec<ValueId> {
        let first = self.function.values.len() as u32;
        let results: Vec<ValueId> = (first..first + types.len() as u32).map(ValueId).collect();
        self.function.values.extend(types.into_iter().map(|ty| Value { ty, name: None }));
        self.function.insts.push(Inst { kind, operands, results: results.clone(), loc: self.loc });
        self.insts.push(InstId(self.function.insts.len() as u32 - 1));
        results
    }

    /// Reads a scalar buffer.
    fn read(&mut self, name: String, elem: Elem) -> ValueId {
        let kind = InstKind::Param { name, part: Part::Value };
        self.inst(kind, vec![], vec![TensorType::new(elem, Shape::scalar())])[0]
    }

    fn op(&mut self, name: &str, operands: Vec<ValueId>, attrs: Attrs) -> Result<Vec<ValueId>, String> {
        let op = builtin(name);
        let types: Vec<TensorType> = operands.iter().map(|operand| self.function[*operand].ty.clone()).collect();
        let mut unknowns = 0;
        let mut fresh = || {
            unknowns += 1;
            Dim::unknown(unknowns)
        };
        let mut cx = RuleCx::new(op.get(), &types, &attrs, self.facts, &mut fresh);
        let results = (op.get().rule)(&mut cx).map_err(|stop| match stop {
            Stop::Error(error) => error.message,
            Stop::Unknown(_) => format!("the shape of what is multiplied is not known: {}", types[0]),
        })?;
        Ok(self.inst(InstKind::Op { op, attrs }, operands, results))
    }
}

#[cfg(test)]
mod tests;
