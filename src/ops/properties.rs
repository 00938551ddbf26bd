//! Properties of whole families: entries are well formed, rules take any input without a panic, and an
//! evaluation gives the types that the rule has promised.

use crate::ops::testkit::{random, with_defaults};
use crate::ops::{Attr, Attrs, EvalCx, Op, Param, ParamKind, RuleCx, Stop};
use crate::types::{DType, Dim, Facts, HostExpr, Pack, Shape, Symbol, Tensor, TensorType};

fn ops() -> impl Iterator<Item = &'static Op> {
    let families = [
        super::matmul::OPS,
        super::conv::OPS,
        super::pool::OPS,
        super::shape::OPS,
        super::join::OPS,
        super::slice::OPS,
        super::index::OPS,
        super::repeat::OPS,
    ];
    families.into_iter().flatten()
}

/// Whether an operand holds indices.
fn is_index(op: &Op, param: &Param) -> bool {
    op.name == "one_hot" || matches!(param.name, "index" | "start")
}

/// A reproducible stream of small numbers.
struct Stream(u64);

impl Stream {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) as usize % limit.max(1)
    }

    fn number(&mut self) -> i64 {
        [0, 1, 1, 1, 2, 2, 3, 4, -1, -2, -3, 7][self.below(12)]
    }

    fn dim(&mut self) -> Dim {
        match self.below(8) {
            0 => Dim::symbol("n"),
            1 => Dim::symbol("m").add(&Dim::constant(self.number())),
            2 => Dim::unknown(3),
            _ => Dim::constant(self.number()),
        }
    }

    fn shape(&mut self, symbolic: bool) -> Shape {
        let rank = self.below(6);
        if !symbolic {
            return Shape::of(&(0..rank).map(|_| 1 + self.below(4)).collect::<Vec<_>>());
        }
        let dims: Vec<Dim> = (0..rank).map(|_| self.dim()).collect();
        let pack = match self.below(4) {
            0 => Pack::Unknown,
            1 => Pack::Named(Symbol::new("S")),
            _ => return Shape::new(dims),
        };
        let at = self.below(rank + 1);
        Shape { dims, pack: Some((at, pack)) }
    }

    fn attr(&mut self, param: &Param, symbolic: bool) -> Attr {
        let numbers = |stream: &mut Stream, count: usize| -> Vec<Dim> {
            (0..count).map(|_| if symbolic { stream.dim() } else { Dim::constant(stream.number()) }).collect()
        };
        if symbolic && self.below(8) == 0 {
            return [Attr::Unknown, Attr::None, Attr::Bool(true), Attr::Ints(vec![])][self.below(4)].clone();
        }
        match param.kind {
            ParamKind::Int => Attr::Int(numbers(self, 1).remove(0)),
            ParamKind::Axis => Attr::int(self.number()),
            ParamKind::Ints | ParamKind::Axes if self.below(2) == 0 => Attr::int(self.number()),
            ParamKind::Ints | ParamKind::Axes | ParamKind::Pads => {
                let count = 1 + self.below(4);
                Attr::Ints(numbers(self, count))
            }
            ParamKind::Shape => Attr::Shape(self.shape(symbolic)),
            ParamKind::Bool => Attr::Bool(self.below(2) == 0),
            ParamKind::Str => Attr::Str(["linear", "reflect", "wrap", "add", "max", "no"][self.below(6)].into()),
            ParamKind::Float => Attr::Float(HostExpr::float(0.5)),
            ParamKind::DType | ParamKind::Scheme => Attr::Unknown,
            ParamKind::Tensor | ParamKind::OptionalTensor | ParamKind::Tensors => Attr::None,
        }
    }

    /// Some of the attributes; the others keep their defaults.
    fn attrs(&mut self, op: &Op, symbolic: bool) -> Attrs {
        let mut attrs = Attrs::new();
        for param in op.params.iter().filter(|p| !p.is_operand()) {
            if param.default == crate::ops::Default::Required || self.below(2) == 0 {
                let value = self.attr(param, symbolic);
                attrs.set(param.name, value);
            }
        }
        with_defaults(op, &attrs)
    }

    fn operands(&mut self, op: &Op, symbolic: bool) -> Vec<TensorType> {
        let params: Vec<&Param> = op.params.iter().filter(|p| p.is_operand()).collect();
        let required = op.params.iter().filter(|p| p.is_operand() && p.kind != ParamKind::OptionalTensor).count();
        let optional = op.params.iter().any(|p| p.kind == ParamKind::OptionalTensor) && self.below(2) == 0;
        let list = if op.params[0].kind == ParamKind::Tensors { self.below(3) } else { 0 };
        // Mostly alike, so that rules get past their first checks.
        let first = self.shape(symbolic);
        (0..required + usize::from(optional) + list)
            .map(|index| {
                let integer = params.get(index).is_some_and(|p| is_index(op, p));
                let dtype = if integer { DType::Int64 } else { DType::Float32 };
                let shape = match self.below(3) {
                    0 => self.shape(symbolic),
                    1 => Shape::new(vec![]),
                    _ => first.clone(),
                };
                TensorType::new(dtype, if index == 0 { first.clone() } else { shape })
            })
            .collect()
    }
}

#[test]
fn entries_are_well_formed() {
    let mut names = std::collections::HashSet::new();
    for op in ops() {
        assert!(names.insert(op.name), "{} stands there twice", op.name);
        assert_eq!(crate::ops::find(op.name).map(|id| id.name()), Some(op.name));
        let operands: Vec<&Param> = op.params.iter().filter(|p| p.is_operand()).collect();
        let optional = operands.iter().position(|p| p.kind == ParamKind::OptionalTensor);
        assert!(optional.is_none_or(|i| i + 1 == operands.len()), "{}", op.name);
        let summary = op.doc.lines().next().unwrap_or("");
        assert!(summary.ends_with('.') && summary.len() < 120, "{}: summary `{summary}`", op.name);
    }
}

#[test]
fn rules_never_panic() {
    let mut stream = Stream(1);
    for op in ops() {
        let (mut passed, mut fresh_id) = (0, 100);
        for _ in 0..3000 {
            let (operands, attrs) = (stream.operands(op, true), stream.attrs(op, true));
            let mut fresh = || {
                fresh_id += 1;
                Dim::unknown(fresh_id)
            };
            let facts = Facts::default();
            let mut cx = RuleCx::new(op, &operands, &attrs, &facts, &mut fresh);
            passed += usize::from((op.rule)(&mut cx).is_ok());
        }
        // Random operands of a product with one matrix per row hardly ever fit.
        assert!(passed > 0 || op.params.len() > 2, "{}: nothing passed", op.name);
    }
}

#[test]
fn evaluations_keep_what_rules_promise() {
    let mut stream = Stream(2);
    for op in ops() {
        let mut evaluated = 0;
        for round in 0..4000 {
            let (types, attrs) = (stream.operands(op, false), stream.attrs(op, false));
            let facts = Facts::default();
            let mut fresh = || Dim::unknown(0);
            let mut cx = RuleCx::new(op, &types, &attrs, &facts, &mut fresh);
            let promised = match (op.rule)(&mut cx) {
                Ok(promised) => promised,
                Err(Stop::Error(_)) => continue,
                Err(Stop::Unknown(_)) => panic!("{}: everything is known: {types:?} {attrs:?}", op.name),
            };
            assert!(cx.obligations.is_empty(), "{}: {:?}", op.name, cx.obligations);
            let tensor = |ty: &TensorType| {
                let sizes: Vec<usize> =
                    ty.shape.dims.iter().filter_map(|d| usize::try_from(d.as_const()?).ok()).collect();
                let values = random(round, ty.dtype().unwrap_or(DType::Float32), &sizes);
                match values.as_i64() {
                    Some(indices) => Tensor::from_i64(DType::Int64, sizes, indices.iter().map(|i| i % 2).collect()),
                    None => values,
                }
            };
            let operands: Vec<Tensor> = types.iter().map(tensor).collect();
            // An index or start may be out of range.
            let Ok(results) = (op.eval)(&EvalCx { op, operands: &operands, attrs: &attrs }) else {
                assert!(op.params.iter().any(|p| is_index(op, p)), "{}: {types:?} {attrs:?}", op.name);
                continue;
            };
            let found: Vec<TensorType> =
                results.iter().map(|t| TensorType::new(t.dtype(), Shape::of(t.shape()))).collect();
            assert_eq!(found, promised, "{}: {attrs:?}", op.name);
            evaluated += 1;
        }
        let rarely = op.name.starts_with("conv") || op.name == "routed_matmul";
        assert!(evaluated > 0 || rarely, "{}: nothing was evaluated", op.name);
    }
}
