//! Lists of tensors that grow in loops which stay loops.
//!
//! `outs += [y]` once a turn makes a list with one element for each turn. Where all that happens to it is
//! `stack`, `concat` or `len`, nothing must know how many turns there are: the loop collects, and the list is
//! its [`List::Stacked`] tensor. Any other use needs the elements one by one, so the loop is expanded then.

use crate::analysis::db::Report;
use crate::analysis::elaborate::loops::Counted;
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{List, TensorValue, Value};
use crate::analysis::world::{Abort, Structured, Walk};
use crate::base::{Span, code};
use crate::ops::{self, Attr, Attrs, Obligation, ObligationKind};
use crate::syntax::ast::{BinaryOp, Block, ExprId, ExprKind, FnBody, FnDecl, ItemKind, MemberKind, Pattern, StmtKind};
use crate::types::{DType, Dim, Shape, Symbol, TensorType};

/// Whether a function of this name takes a list as a whole.
fn takes_whole(name: &str) -> bool {
    name == "len" || ops::find(name).is_some_and(|op| op.traits().joining.is_some())
}

impl<'db> Elaborator<'_, 'db> {
    /// Names that hold lists to which a loop may add, and the others.
    pub fn part_lists(&self, names: &[String]) -> (Vec<String>, Vec<String>) {
        names.iter().cloned().partition(|name| self.is_growable(name))
    }

    pub fn list_values(&self, lists: &[String]) -> Vec<Value<'db>> {
        let value = |name: &String| match self.local(name) {
            Some(Binding::Value(value)) => value.clone(),
            _ => Value::Error,
        };
        lists.iter().map(value).collect()
    }

    /// A list of tensors, or an empty one.
    fn is_growable(&self, name: &str) -> bool {
        match self.local(name) {
            Some(Binding::Value(Value::List(List::Items(items)))) => {
                items.iter().all(|item| item.as_tensor().is_some())
            }
            Some(Binding::Value(Value::List(List::Stacked(_)))) => true,
            _ => false,
        }
    }

    /// Whether the list of this name is used whole, wherever the function that has the loop mentions it.
    pub fn is_used_whole(&self, name: &str, body: &Block) -> bool {
        let ast = self.ast;
        let is_name = |expr: ExprId| matches!(&ast[expr].kind, ExprKind::Name(own) if own == name);
        let is_whole = |expr: ExprId| matches!(&ast[expr].kind, ExprKind::Name(f) if takes_whole(f));
        let function = function_around(&ast.item.kind, body.span).unwrap_or(body);
        let inside = |span: Span| function.span.start <= span.start && span.end <= function.span.end;
        let here = || ast.exprs.iter().filter(|expr| inside(expr.span));
        let mentions = here().filter(|expr| matches!(&expr.kind, ExprKind::Name(own) if own == name)).count();
        let uses = here().filter(|expr| match &expr.kind {
            ExprKind::Call { callee, args } => {
                let method = matches!(&ast[*callee].kind, ExprKind::Field { base, name: f }
                    if is_name(*base) && takes_whole(&f.name));
                method || is_whole(*callee) && args.first().is_some_and(|arg| is_name(arg.value))
            }
            ExprKind::Pipe { value, function } => is_name(*value) && is_whole(*function),
            ExprKind::Binary { op: BinaryOp::Add, lhs, rhs } => {
                is_name(*lhs) && matches!(ast[*rhs].kind, ExprKind::List(_))
            }
            _ => false,
        });
        let mut targets = 0;
        super::control::visit_statements(function, &mut |stmt| {
            if let StmtKind::Assign { target, .. } = &stmt.kind {
                targets += usize::from(is_name(*target));
            }
        });
        mentions == uses.count() + targets
    }

    /// What a turn added to the lists; `None` if that is not one tensor each, of a type that no turn changes.
    pub fn added(&self, lists: &[String], index: &Symbol) -> Option<Vec<TensorValue>> {
        let added = lists.iter().map(|name| match self.local(name) {
            Some(Binding::Value(Value::List(List::Growing { added, .. }))) => match added.as_slice() {
                [Value::Tensor(tensor)] if !mentions(&tensor.ty, index) && !self.escapes(&tensor.ty) => {
                    Some(tensor.clone())
                }
                _ => None,
            },
            _ => None,
        });
        added.collect()
    }

    /// The type of a stack of as many as there are turns, and the condition that there are not fewer than none.
    pub fn stacked_type(&mut self, counted: &Counted<'db>, element: &TensorType, span: Span) -> Walk<TensorType> {
        let turns = self.facts.normal(&counted.stop.sub(&counted.start));
        let message = format!("the loop would have {turns} turns");
        let kind = ObligationKind::AtLeast(turns.clone(), Dim::zero());
        self.require(Obligation { kind, code: code::E0310, message }, span)?;
        Ok(element.with_shape(element.shape.insert_dim(0, turns)))
    }

    /// The list after a loop: what was there before it, then what it collected.
    pub fn extended(&mut self, before: &Value<'db>, stacked: TensorValue, span: Span) -> Walk<Value<'db>> {
        let first = match before {
            Value::List(List::Items(items)) if items.is_empty() => None,
            Value::List(List::Stacked(first)) => Some((**first).clone()),
            other => Some(self.to_tensor(other.clone(), None, span)?),
        };
        let Some(first) = first else { return Ok(Value::List(List::Stacked(Box::new(stacked)))) };
        let attrs = Attrs::new().with("axis", Attr::int(0));
        let joined = self.one("concat", vec![first, stacked], attrs, &[span, span], span)?;
        Ok(Value::List(List::Stacked(Box::new(joined))))
    }

    /// Whether what is in a list before a loop is of the type that the loop adds.
    pub fn extends(&self, before: &Value<'db>, element: &TensorType) -> bool {
        let fits = |ty: &TensorType| {
            let same = ty.shape.compare(&element.shape, &self.facts) == crate::types::Verdict::Equal;
            ty.elem == element.elem && same
        };
        match before {
            Value::List(List::Items(items)) => items.iter().filter_map(Value::as_tensor).all(|tensor| fits(&tensor.ty)),
            Value::List(List::Stacked(first)) => fits(&first.ty.with_shape(first.ty.shape.without_dim(0))),
            _ => false,
        }
    }

    /// A comprehension over tensors as a loop that collects; `None` if something must know the index.
    pub fn collected(
        &mut self,
        (index, count, item): (Symbol, Dim, Value<'db>),
        pattern: &'db Pattern,
        elem: ExprId,
    ) -> Walk<Option<Value<'db>>> {
        let span = self.span(elem);
        let place = self.place(span);
        let snapshot = self.snapshot();
        let counted = Counted { index, start: Dim::zero(), stop: count, item };
        let int = Some(DType::Int64.into());
        let start = self.to_tensor(Value::int(0), int.as_ref(), span)?;
        let stop = self.to_tensor(Value::dim(counted.stop.clone()), int.as_ref(), span)?;
        self.world.open(&[TensorType::scalar(DType::Int64)]);
        let turn = self.in_range((&counted.index, &counted.start, &counted.stop), true, |walk| {
            walk.scoped(|walk| {
                walk.bind_pattern(pattern, counted.item.clone())?;
                walk.expr(elem)
            })
        });
        let element = match turn {
            Ok(Value::Tensor(tensor)) if !mentions(&tensor.ty, &counted.index) && !self.escapes(&tensor.ty) => tensor,
            Err(Abort::Demand(symbols)) if !symbols.contains(&counted.index) => return Err(Abort::Demand(symbols)),
            _ => {
                self.restore(snapshot);
                return Ok(None);
            }
        };
        self.world.close(&[element.value], place);
        let ty = self.stacked_type(&counted, &element.ty, span)?;
        let kind = Structured::For { index: counted.index.clone() };
        let refs = self.world.structured(kind, &[start.value, stop.value], std::slice::from_ref(&ty), place);
        let stacked = TensorValue { ty, value: refs[0] };
        Ok(Some(Value::List(List::Stacked(Box::new(stacked)))))
    }

    /// The stack of a list whose elements are not known one by one.
    pub fn as_stack(&mut self, value: &Value<'db>) -> Option<TensorValue> {
        match value {
            Value::List(List::Stacked(tensor)) => Some((**tensor).clone()),
            // In a definition on its own, elements that are alike are one for all.
            Value::List(List::Repeat { index, count, element }) if !self.world.specialises() => match &**element {
                Value::Tensor(tensor) if !mentions(&tensor.ty, index) && self.as_items(value).is_none() => {
                    let ty = tensor.ty.with_shape(tensor.ty.shape.insert_dim(0, count.clone()));
                    Some(TensorValue { ty, value: tensor.value })
                }
                _ => None,
            },
            _ => None,
        }
    }

    /// `stack(list, axis)` of a list that is a stack already: its first axis goes where it should be.
    pub fn restacked(&mut self, stack: TensorValue, axis: i64, span: Span) -> Walk<Option<TensorValue>> {
        let Some(rank) = stack.ty.shape.rank().map(|rank| rank as i64) else { return Ok(None) };
        let to = if axis < 0 { axis + rank } else { axis };
        if !(0..rank).contains(&to) {
            return Err(self.no_such_axis(axis, &stack.ty.shape, span));
        }
        if to == 0 {
            return Ok(Some(stack));
        }
        let axes: Vec<i64> = (1..=to).chain([0]).chain(to + 1..rank).collect();
        let attrs = Attrs::new().with("axes", Attr::ints(&axes));
        self.one("permute", vec![stack], attrs, &[span], span).map(Some)
    }

    fn no_such_axis(&mut self, axis: i64, shape: &Shape, span: Span) -> Abort {
        let rank = shape.dims.len();
        let message = format!("axis {axis} is out of range for shape [{shape}] of rank {rank}");
        let report = Report::new(code::E0305, message).at(self.place(span), "");
        self.fail(match rank {
            0 => report,
            _ => report.note(format!("use -{rank} to {}", rank - 1)),
        })
    }

    /// `concat(list, axis)` of a stack: the first axis becomes the slower part of the one it is put before.
    pub fn reconcatenated(&mut self, stack: TensorValue, axis: i64, span: Span) -> Walk<Option<TensorValue>> {
        let Some(rank) = stack.ty.shape.rank().map(|rank| rank as i64 - 1) else { return Ok(None) };
        let written = axis;
        let axis = if axis < 0 { axis + rank } else { axis };
        if !(0..rank).contains(&axis) {
            return Err(self.no_such_axis(written, &stack.ty.shape.without_dim(0), span));
        }
        let Some(moved) = self.restacked(stack, axis, span)? else { return Ok(None) };
        let at = axis as usize;
        let dims = &moved.ty.shape.dims;
        let joined = dims[at].mul(&dims[at + 1]);
        let shape = moved.ty.shape.without_dim(at).with_dim(at, joined);
        let attrs = Attrs::new().with("shape", Attr::Shape(shape));
        self.one("reshape", vec![moved], attrs, &[span], span).map(Some)
    }
}

fn mentions(ty: &TensorType, index: &Symbol) -> bool {
    ty.shape.dims.iter().any(|dim| dim.symbols().contains(index))
}

/// The body of the function or test in which a block stands.
fn function_around(item: &ItemKind, block: Span) -> Option<&Block> {
    let holds = |body: &Block| body.span.start <= block.start && block.end <= body.span.end;
    match item {
        ItemKind::Fn(decl) => body_of(decl).filter(|body| holds(body)),
        ItemKind::Test { body, .. } => Some(body).filter(|body| holds(body)),
        ItemKind::Layer(decl) => method_around(&decl.members, &holds),
        _ => None,
    }
}

fn method_around<'a>(members: &'a [crate::syntax::ast::Member], holds: &dyn Fn(&Block) -> bool) -> Option<&'a Block> {
    members.iter().find_map(|member| match &member.kind {
        MemberKind::Fn(decl) => body_of(decl).filter(|body| holds(body)),
        MemberKind::Layer(inner) => method_around(&inner.members, holds),
        _ => None,
    })
}

fn body_of(decl: &FnDecl) -> Option<&Block> {
    match &decl.body {
        FnBody::Block(body) => Some(body),
        FnBody::Expr(_) => None,
    }
}
