//! Leaves fake quantisation out: values are what they were before they were quantised and restored.
//!
//! Quantisation-aware training rounds weights and activations so that a model learns to live with it. Who exports such
//! a model to something that quantises by itself, or wants to know what quantisation costs, asks for the float model:
//! `--fold-fake-quant`. No level runs this.
//!
//! Needs: nothing; whoever fuses quantised products comes after it. Keeps: codes that something else than restoring
//! uses, the order of effects, names. Changes: results, that is its purpose; a parameter that is only ever read restored
//! has no scheme any more, so that a weights file holds its floats. What nothing uses afterwards is removed.
//!
//! ```text
//! %q, %s = quantize %x {scheme = int8()} : int8[n], float32
//! %v = dequantize %q, %s {scheme = int8(), ..} : float32[n]    =>    %y = exp %x : float32[n]
//! %y = exp %v : float32[n]
//! ```

use crate::ir::{Function, Inst, InstId, InstKind, LayerId, MemberKind, Module, Part, ValueId};
use crate::ops::traits::Quantisation;
use crate::ops::{Attr, Attrs, builtin};
use crate::passes::PassCx;
use crate::passes::copy::{compact, push};
use crate::passes::dce::dce;
use crate::passes::rewrite::{Rewrite, Seen};
use std::collections::{BTreeSet, HashMap};

pub(super) fn fold_fake_quant(module: &mut Module, cx: &mut PassCx) {
    let restored = restored_members(module);
    let mut values = 0;
    for index in 0..module.functions.len() {
        let mut function = module.functions[index].clone();
        let mut pass = Fold { module, layer: function.layer, restored: &restored, seen: Seen::default(), folded: 0 };
        pass.function(&mut function);
        if pass.folded > 0 {
            values += pass.folded;
            compact(&mut function);
            module.functions[index] = function;
        }
    }
    cx.count("values", values);
    if values > 0 {
        dce(module, &mut PassCx::default());
        cx.count("parameters", forget_schemes(module));
    }
}

/// A storage member, by its layer.
type Member = (LayerId, String);

/// Members whose codes and scales are read, but for nothing else than to restore their values.
fn restored_members(module: &Module) -> BTreeSet<Member> {
    let (mut read, mut otherwise) = (BTreeSet::new(), BTreeSet::new());
    for function in &module.functions {
        let mut parts: HashMap<ValueId, Member> = HashMap::new();
        for inst in &function.insts {
            let InstKind::Param { name, part } = &inst.kind else { continue };
            if let Some(member) = module.member_of(function.layer, name).filter(|_| *part != Part::Value) {
                parts.extend(inst.results.iter().map(|result| (*result, member.clone())));
                read.insert(member);
            }
        }
        for inst in &function.insts {
            let members: Vec<&Member> = inst.operands.iter().filter_map(|operand| parts.get(operand)).collect();
            let all_of_one = members.len() == inst.operands.len() && members.windows(2).all(|pair| pair[0] == pair[1]);
            if !(restores(&inst.kind) && all_of_one) {
                otherwise.extend(members.into_iter().cloned());
            }
        }
    }
    read.difference(&otherwise).cloned().collect()
}

fn quantisation(kind: &InstKind) -> Option<Quantisation> {
    match kind {
        InstKind::Op { op, .. } => op.quantisation(),
        _ => None,
    }
}

fn restores(kind: &InstKind) -> bool {
    quantisation(kind) == Some(Quantisation::Dequantise)
}

struct Fold<'m> {
    module: &'m Module,
    layer: Option<LayerId>,
    restored: &'m BTreeSet<Member>,
    seen: Seen,
    folded: usize,
}

impl Rewrite for Fold<'_> {
    fn seen(&mut self) -> &mut Seen {
        &mut self.seen
    }

    fn inst(&mut self, function: &mut Function, id: InstId, kept: &mut Vec<InstId>) {
        match self.source(function, id) {
            Source::None => kept.push(id),
            // Everything that used it is gone.
            Source::PartRead => {}
            Source::Value(value) => self.take(function, id, value, kept),
            Source::Member(name) => {
                let value = self.read(function, id, name, kept);
                self.take(function, id, value, kept);
            }
        }
    }
}

impl Fold<'_> {
    /// Where the value of an instruction comes from, if it is a restored one.
    fn source(&self, function: &Function, id: InstId) -> Source {
        let inst = &function[id];
        if let InstKind::Param { name, part } = &inst.kind {
            let member = self.module.member_of(self.layer, name).filter(|_| *part != Part::Value);
            return match member.is_some_and(|member| self.restored.contains(&member)) {
                true => Source::PartRead,
                false => Source::None,
            };
        }
        let Some(maker) = inst.operands.first().and_then(|codes| self.seen.makers.get(codes)) else {
            return Source::None;
        };
        let maker = &function[*maker];
        if !restores(&inst.kind) {
            return Source::None;
        }
        if let InstKind::Param { name, .. } = &maker.kind {
            return match self.module.member_of(self.layer, name) {
                Some(member) if self.restored.contains(&member) => Source::Member(name.clone()),
                _ => Source::None,
            };
        }
        // The scales, and zero points, must be those that the codes were made with.
        let same_scales = match quantisation(&maker.kind) {
            Some(Quantisation::Quantise) => maker.results == inst.operands,
            Some(Quantisation::QuantiseWith) => maker.operands.get(1..) == inst.operands.get(1..),
            Some(Quantisation::Dequantise | Quantisation::Pack | Quantisation::Unpack) | None => false,
        };
        match maker.operands.first() {
            Some(x) if same_scales => Source::Value(*x),
            _ => Source::None,
        }
    }

    /// Reads a member's floats.
    fn read(&self, function: &mut Function, id: InstId, name: String, kept: &mut Vec<InstId>) -> ValueId {
        let loc = function[id].loc;
        let mut value = function[function[id].results[0]].clone();
        if let Some(storage) = self.layer.and_then(|layer| self.module.stored(layer, &name)) {
            value.ty.elem = storage.ty.elem.clone();
        }
        function.values.push(value);
        let result = ValueId(function.values.len() as u32 - 1);
        let kind = InstKind::Param { name, part: Part::Value };
        kept.push(push(function, Inst { kind, operands: vec![], results: vec![result], loc }));
        result
    }

    /// Puts a value in the place of an instruction's result, converted where their types differ.
    fn take(&mut self, function: &mut Function, id: InstId, value: ValueId, kept: &mut Vec<InstId>) {
        let result = function[id].results[0];
        self.folded += 1;
        let (from, to) = (function.dtype(value), function.dtype(result));
        if from != to {
            let attrs = Attrs::new().with("dtype", Attr::DType(to.into()));
            function[id].kind = InstKind::Op { op: builtin("cast"), attrs };
            function[id].operands = vec![value];
            kept.push(id);
            return;
        }
        self.seen.replaced.put(function, result, value);
    }
}

/// What stands for an instruction.
enum Source {
    /// The instruction itself.
    None,
    /// Nothing: it reads a part of a member whose floats are read instead.
    PartRead,
    /// A value that was quantised and is restored by the instruction.
    Value(ValueId),
    /// The floats of a member.
    Member(String),
}

/// Takes the schemes from storage that nothing quantises or reads in parts any more; returns how many.
fn forget_schemes(module: &mut Module) -> usize {
    let mut quantised = BTreeSet::new();
    for function in &module.functions {
        let mut values: HashMap<ValueId, Member> = HashMap::new();
        for inst in &function.insts {
            if let InstKind::Param { name, part } = &inst.kind
                && let Some(member) = module.member_of(function.layer, name)
            {
                if *part == Part::Value {
                    values.extend(inst.results.iter().map(|result| (*result, member.clone())));
                } else {
                    quantised.insert(member);
                }
            } else if quantisation(&inst.kind) == Some(Quantisation::Quantise) {
                quantised.extend(inst.operands.iter().filter_map(|operand| values.get(operand)).cloned());
            }
        }
    }
    let mut forgotten = 0;
    for (index, layer) in module.layers.iter_mut().enumerate() {
        for member in &mut layer.members {
            if let MemberKind::Storage(storage) = &mut member.kind
                && storage.scheme.is_some()
                && !quantised.contains(&(LayerId(index as u32), member.name.clone()))
            {
                storage.scheme = None;
                member.quantize = None;
                forgotten += 1;
            }
        }
    }
    forgotten
}

#[cfg(test)]
mod tests {
    use crate::interp::Instance;
    use crate::ir::printer::print;
    use crate::passes::testkit::{execute, module, optimised};
    use expect_test::expect;

    #[test]
    fn values_are_what_they_were() {
        let before = module(
            "func @f(%x: float32[4, n], %h: float16[n], %c: bool) -> (float32[4, n], float16[n], float32[n], float32[4, n], int8[4, n]) {
  symbols n: int
  %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[4, n], float32[4]
  %v = dequantize %q, %s {scheme = int8(dynamic=true), dtype = float32} : float32[4, n]
  %e = exp %v : float32[4, n]
  %hq, %hs, %hz = quantize %h {scheme = int8(symmetric=false)} : int8[n], float32, int8
  %i = dequantize %hq, %hs, %hz {scheme = int8(symmetric=false), dtype = float16} : float16[n]
  %j = dequantize %hq, %hs, %hz {scheme = int8(symmetric=false), dtype = float32} : float32[n]
  %y = if %c {
    %a = dequantize %q, %s {scheme = int8(dynamic=true), dtype = float32} : float32[4, n]
    yield %a
  } else {
    yield %e
  } : float32[4, n]
  return %e, %i, %j, %y, %q
}
",
        );
        let after = optimised(&before, &["fold-fake-quant"]);
        expect![[r#"
            func @f(%x: float32[4, n], %h: float16[n], %c: bool) -> (float32[4, n], float16[n], float32[n], float32[4, n], int8[4, n]) {
              symbols n: int
              %q, %s = quantize %x {scheme = int8(dynamic=true)} : int8[4, n], float32[4]
              %e = exp %x : float32[4, n]
              %j = cast %h {dtype = float32} : float32[n]
              %y = if %c {
                yield %x
              } else {
                yield %e
              } : float32[4, n]
              return %e, %h, %j, %y, %q
            }
        "#]].assert_eq(&print(&after));
        let (results, _, _) = execute(&after);
        assert_eq!(results[3].to_f64(), (0..12).map(|index| f64::from(index) - 2.0).collect::<Vec<_>>());
    }

    #[test]
    fn calibrated_activations_are_left_out() {
        let before = module(
            "func @f(%x: float32[4], %s: float32, %z: int8, %other: float32) -> (float32[4], float32[4]) {
  %q = quantize_with %x, %s, %z {scheme = int8(symmetric=false)} : int8[4]
  %v = dequantize %q, %s, %z {scheme = int8(symmetric=false), dtype = float32} : float32[4]
  %e = exp %v : float32[4]
  %w = dequantize %q, %other, %z {scheme = int8(symmetric=false), dtype = float32} : float32[4]
  return %e, %w
}
",
        );
        expect![[r#"
            func @f(%x: float32[4], %s: float32, %z: int8, %other: float32) -> (float32[4], float32[4]) {
              %q = quantize_with %x, %s, %z {scheme = int8(symmetric=false)} : int8[4]
              %e = exp %x : float32[4]
              %w = dequantize %q, %other, %z {scheme = int8(symmetric=false), dtype = float32} : float32[4]
              return %e, %w
            }
        "#]]
        .assert_eq(&print(&optimised(&before, &["fold-fake-quant"])));
    }

    const NET: &str = r#"entry net = Net(k = 3, n = 4)

layer Net(k: int, n: int) {
  param weight : float32[n, k] quantize ternary(axis=0) = kaiming_uniform()
  param other : float32[n, k] quantize int8() = kaiming_uniform()
  method @Net.forward
}

func @Net.forward(%x: float32[B, k]) -> (float32[B, n], int8[n, k], float32[n, k]) {
  symbols B: int
  %0 = param "weight" codes : trit[n, k]
  %1 = param "weight" scale : float32[n]
  %w = dequantize %0, %1 {scheme = ternary(axis=0), dtype = float32} : float32[n, k]
  %y = matmul %x, %w {transpose_b = true} : float32[B, n]
  %2 = param "other" codes : int8[n, k]
  %3 = param "other" scale : float32
  %v = dequantize %2, %3 {scheme = int8(), dtype = float32} : float32[n, k]
  return %y, %2, %v
}
"#;

    #[test]
    fn parameters_are_floats_again() {
        let after = optimised(&module(NET), &["fold-fake-quant"]);
        expect![[r#"
            entry net = Net(k = 3, n = 4)

            layer Net(k: int, n: int) {
              param weight : float32[n, k] = kaiming_uniform()
              param other : float32[n, k] quantize int8() = kaiming_uniform()
              method @Net.forward
            }

            func @Net.forward(%x: float32[B, k]) -> (float32[B, n], int8[n, k], float32[n, k]) {
              symbols B: int
              %w = param "weight" : float32[n, k]
              %y = matmul %x, %w {transpose_b = true} : float32[B, n]
              %0 = param "other" codes : int8[n, k]
              %1 = param "other" scale : float32
              %v = dequantize %0, %1 {scheme = int8(), dtype = float32} : float32[n, k]
              return %y, %0, %v
            }
        "#]]
        .assert_eq(&print(&after));
        let schemes: Vec<bool> = Instance::entry(&after, 1)
            .unwrap()
            .parameters()
            .iter()
            .map(|parameter| parameter.storage.scheme.is_some())
            .collect();
        assert_eq!(schemes, [false, true]);
    }

    #[test]
    fn masters_are_read_in_training() {
        let before = module(
            r#"entry net = Net(k = 3)

layer Net(k: int) {
  param weight : float32[k, k] quantize int8() = kaiming_uniform()
  method @Net.forward
}

func @Net.forward(%x: float32[B, k]) -> float32[B, k] {
  symbols B: int
  %0 = param "weight" : float32[k, k]
  %1, %2 = quantize %0 {scheme = int8()} : int8[k, k], float32
  %w = dequantize %1, %2 {scheme = int8(), dtype = float32} : float32[k, k]
  %y = matmul %x, %w {transpose_b = true} : float32[B, k]
  return %y
}
"#,
        );
        expect![[r#"
            entry net = Net(k = 3)

            layer Net(k: int) {
              param weight : float32[k, k] = kaiming_uniform()
              method @Net.forward
            }

            func @Net.forward(%x: float32[B, k]) -> float32[B, k] {
              symbols B: int
              %w = param "weight" : float32[k, k]
              %y = matmul %x, %w {transpose_b = true} : float32[B, k]
              return %y
            }
        "#]]
        .assert_eq(&print(&optimised(&before, &["fold-fake-quant"])));
    }
}
