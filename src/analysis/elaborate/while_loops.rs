//! `while`: resolved at compile time where its condition is, a region where that depends on tensors.
//!
//! A list that such a region fills has as many elements as there are turns, which only a run tells: their number is
//! an *open* symbol ([`crate::types::Facts::assume_open`]), a `?` with a name. What types must know of it is checked
//! when the program runs.

use crate::analysis::db::Report;
use crate::analysis::elaborate::control::{Condition, returns};
use crate::analysis::elaborate::loops::same_nesting;
use crate::analysis::elaborate::names::list_length;
use crate::analysis::elaborate::stmt::Flow;
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{List, TensorValue, Value};
use crate::analysis::world::{Structured, Walk};
use crate::base::{Span, code};
use crate::syntax::ast::{BinaryOp, Block, ExprId, ExprKind, UnaryOp};
use crate::types::{Dim, Symbol, TensorType, Verdict};

/// Turns of a `while` that is resolved at compile time.
const MAX_STATIC_TURNS: usize = 10_000;

pub(super) const FILLING: &str = "each turn of a `while` can add one tensor, always of one type, to a list that is then used \
                       as a whole, by `stack`, `concat` or `len`; else write to a tensor of the largest size and \
                       keep the count";

/// What goes from turn to turn of a loop at run time.
struct Carried<'db> {
    /// Variables, their values before the loop, and the tensors in these.
    names: Vec<String>,
    values: Vec<Value<'db>>,
    tensors: Vec<TensorValue>,
    /// Lists that the loop fills, and what they hold before it.
    lists: Vec<String>,
    filled: Vec<Value<'db>>,
    turns: Symbol,
}

impl<'db> Elaborator<'_, 'db> {
    pub fn while_stmt(&mut self, cond: ExprId, body: &'db Block, span: Span) -> Walk<Flow<'db>> {
        let names = self.carried_names(body);
        let (lists, _) = self.part_lists(&names);
        for _ in 0..MAX_STATIC_TURNS {
            let mark = self.world.mark();
            let asked = self.decisions.asked();
            if !lists.is_empty() && self.tensors_decide(cond, &lists) {
                return self.tensor_while(cond, body, span);
            }
            let condition = self.condition(cond)?;
            if self.decisions.asked() > asked && !self.world.specialises() {
                return self.open_while(body);
            }
            match condition {
                Some(Condition::Static(false)) => return Ok(Flow::Next),
                Some(Condition::Static(true)) => {
                    if let flow @ Flow::Return(..) = self.block(body, None)? {
                        return Ok(flow);
                    }
                }
                Some(Condition::Tensor(_)) => {
                    self.world.rollback(mark);
                    return self.tensor_while(cond, body, span);
                }
                None => return self.unknown_turns(body, |_| Ok(())),
            }
        }
        Err(self.error(code::E0404, "this loop does not end at compile time", span, "too many turns"))
    }

    /// Whether part of a condition depends on tensors, where another part is the length of a list that the loop
    /// may fill: that length is known at compile time only if the loop is resolved then.
    fn tensors_decide(&mut self, cond: ExprId, lists: &[String]) -> bool {
        let ast = self.ast;
        let span = ast[cond].span;
        let mut inside = ast.exprs.iter().filter(|expr| span.start <= expr.span.start && expr.span.end <= span.end);
        let mentions = inside.any(|expr| matches!(&expr.kind, ExprKind::Name(name) if lists.contains(name)));
        match &ast[cond].kind {
            _ if !mentions => {
                let snapshot = self.snapshot();
                let decisions = self.decisions.clone();
                let value = self.expr(cond);
                self.decisions = decisions;
                self.restore(snapshot);
                matches!(value, Ok(Value::Tensor(_)))
            }
            ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, lhs, rhs } => {
                let (lhs, rhs) = (*lhs, *rhs);
                self.tensors_decide(lhs, lists) || self.tensors_decide(rhs, lists)
            }
            ExprKind::Unary { op: UnaryOp::Not, operand } => self.tensors_decide(*operand, lists),
            _ => false,
        }
    }

    /// A loop whose turns hyperparameters decide that are open in this definition: one turn is looked at, and
    /// nothing is known of what it assigns.
    fn open_while(&mut self, body: &'db Block) -> Walk<Flow<'db>> {
        let names = self.carried_names(body);
        let before = self.scopes.clone();
        let outcome = self.block(body, None);
        self.scopes = before;
        self.forget(&names);
        outcome.map(|_| Flow::Next)
    }

    fn tensor_while(&mut self, cond: ExprId, body: &'db Block, span: Span) -> Walk<Flow<'db>> {
        if returns(body) {
            let message = "a `while` over tensors cannot return from inside";
            return Err(self.error(code::E0210, message, span, "returns in here"));
        }
        let (lists, names) = self.part_lists(&self.carried_names(body));
        if let Some(list) = lists.iter().find(|list| !self.is_used_whole(list, body)) {
            return Err(self.refuse_filling(list, span));
        }
        let (values, tensors) = self.carried_leaves(&names, span)?;
        let filled = self.list_values(&lists);
        let turns = self.fresh_index("turns");
        let carried = Carried { names, values, tensors, lists, filled, turns };
        let facts = self.facts.clone();
        self.open(&carried.turns);
        let place = self.place(span);
        self.begin_turn(&carried);
        match self.condition(cond)? {
            Some(Condition::Tensor(cond)) => self.world.close(&[cond.value], place),
            _ => {
                let message = "the condition must depend on what the loop changes";
                return Err(self.error(code::E0401, message, span, ""));
            }
        }
        self.begin_turn(&carried);
        self.block(body, None)?;
        let after = self.end_turn(&carried, span)?;
        self.leave(facts);
        let collected = self.collected_in_turn(&carried, span)?;
        let known: Vec<TensorValue> = collected.iter().flatten().cloned().collect();
        let yields: Vec<_> = after.iter().chain(&known).map(|t| t.value).collect();
        self.world.close(&yields, place);
        self.end_while(carried, &collected, span)?;
        Ok(Flow::Next)
    }

    /// Opens a region of the loop, with what is carried as its parameters.
    fn begin_turn(&mut self, carried: &Carried<'db>) {
        let types: Vec<TensorType> = carried.tensors.iter().map(|tensor| tensor.ty.clone()).collect();
        let refs = self.world.open(&types);
        let tensors = types.into_iter().zip(refs).map(|(ty, value)| TensorValue { ty, value });
        self.assign_leaves(&carried.names, &carried.values, tensors);
        for (list, filled) in carried.lists.iter().zip(&carried.filled) {
            let before = list_length(filled).map(|before| before.add(&Dim::symbol(carried.turns.as_str())));
            self.assign_local(list, Value::List(List::Growing { before, added: vec![] }));
        }
    }

    /// The tensors that a turn hands on, which must be of the types that it was given.
    fn end_turn(&mut self, carried: &Carried<'db>, span: Span) -> Walk<Vec<TensorValue>> {
        let (shapes, after) = self.carried_leaves(&carried.names, span)?;
        for ((name, a), b) in carried.names.iter().zip(&carried.values).zip(&shapes) {
            if !same_nesting(a, b) {
                let message =
                    format!("`{name}` is {} before a turn of this loop and {} after it", a.describe(), b.describe());
                return Err(self.error(code::E0308, message, span, "its type must stay the same"));
            }
        }
        for (a, b) in carried.tensors.iter().zip(&after) {
            let named = carried.names.iter().zip(&carried.values);
            let name =
                named.filter(|(_, value)| holds(value, a)).map(|(name, _)| name.as_str()).next().unwrap_or("a value");
            let is_kept = a.ty.elem == b.ty.elem && self.agree(&b.ty, &a.ty, span)? != Verdict::Differ;
            if !is_kept {
                let message = format!("`{name}` is {} before a turn of this loop and {} after it", a.ty, b.ty);
                return Err(self.error(code::E0308, message, span, "its type must stay the same"));
            }
        }
        Ok(after)
    }

    /// What a turn adds to each list; `None` for one of which nothing is known in this definition.
    fn collected_in_turn(&mut self, carried: &Carried<'db>, span: Span) -> Walk<Vec<Option<TensorValue>>> {
        let mut collected = vec![];
        for (list, filled) in carried.lists.iter().zip(&carried.filled) {
            let added = match self.local(list) {
                Some(Binding::Value(Value::List(List::Growing { added, .. }))) => added.clone(),
                _ => vec![],
            };
            collected.push(match added.as_slice() {
                [Value::Tensor(tensor)] if !self.escapes(&tensor.ty) && self.extends(filled, &tensor.ty) => {
                    Some(tensor.clone())
                }
                [Value::Error] if !self.world.specialises() => None,
                _ => return Err(self.refuse_filling(list, span)),
            });
        }
        Ok(collected)
    }

    /// The loop as one instruction, and the names with their values after it.
    fn end_while(&mut self, carried: Carried<'db>, collected: &[Option<TensorValue>], span: Span) -> Walk<()> {
        let Carried { names, values, tensors, lists, filled, turns } = carried;
        let place = self.place(span);
        let operands: Vec<_> = tensors.iter().map(|tensor| tensor.value).collect();
        let mut types: Vec<TensorType> = tensors.into_iter().map(|tensor| tensor.ty).collect();
        let count = Dim::symbol(turns.as_str());
        let stacks = collected.iter().flatten();
        types.extend(stacks.map(|tensor| tensor.ty.with_shape(tensor.ty.shape.insert_dim(0, count.clone()))));
        let collects = types.len() > operands.len();
        if collects {
            self.open(&turns);
        }
        let kind = Structured::While { turns: collects.then_some(turns) };
        let results = self.world.structured(kind, &operands, &types, place);
        let mut results = types.into_iter().zip(results).map(|(ty, value)| TensorValue { ty, value });
        let handed_on: Vec<TensorValue> = results.by_ref().take(operands.len()).collect();
        self.assign_leaves(&names, &values, handed_on.into_iter());
        for ((name, before), added) in lists.iter().zip(&filled).zip(collected) {
            let list = match added.as_ref().and_then(|_| results.next()) {
                Some(stack) => {
                    self.world.name(stack.value, name);
                    self.extended(before, stack, span)?
                }
                None => Value::Error,
            };
            self.assign_local(name, list);
        }
        Ok(())
    }

    fn refuse_filling(&mut self, list: &str, span: Span) -> crate::analysis::world::Abort {
        let place = self.place(span);
        let message = format!("`{list}` is a list that this `while` cannot fill");
        self.fail(Report::new(code::E0401, message).at(place, "assigned in here").note(FILLING))
    }
}

fn holds(value: &Value<'_>, tensor: &TensorValue) -> bool {
    let mut found = false;
    crate::analysis::world::visit_tensors(value, &mut |own| found |= own == tensor);
    found
}
