//! Functions that always call themselves, on their own or by way of others: no run of them ends.
//!
//! Only calls that every run makes count. A call under a condition may end, and is judged where the values
//! are known.

use crate::analysis::db::{Item, Place, Report, parse_item};
use crate::analysis::modules::{self, Named};
use crate::base::code;
use crate::syntax::ast::{
    Ast, BinaryOp, Block, ExprId, ExprKind, FnBody, FnDecl, IndexItem, ItemKind, Pattern, StmtKind, TypeKind,
};
use crate::syntax::items::RawKind;
use std::collections::{BTreeSet, HashSet};

/// The functions that every run of a function calls. Without places, so that it stays equal when text moves.
#[salsa::tracked]
pub fn always_called<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Vec<Item<'db>> {
    let ast = &parse_item(db, item).ast;
    let ItemKind::Fn(decl) = &ast.item.kind else { return vec![] };
    let mut called: Vec<Item<'db>> =
        calls(ast, decl).into_iter().filter_map(|call| target(db, item, ast, call)).collect();
    let mut seen = HashSet::new();
    called.retain(|item| seen.insert(*item));
    called
}

/// What is wrong with a function that always comes back to itself.
pub fn endless<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Vec<Report<'db>> {
    let ast = &parse_item(db, item).ast;
    let ItemKind::Fn(decl) = &ast.item.kind else { return vec![] };
    for call in calls(ast, decl) {
        let Some(callee) = target(db, item, ast, call) else { continue };
        if callee != item && !leads_to(db, callee, item) {
            continue;
        }
        let name = &decl.name.name;
        let label = if callee == item { "calls it again each time" } else { "leads back to it each time" };
        let report = Report::new(code::E0213, format!("`{name}` calls itself without end"))
            .at(Place { item, span: ast[call].span }, label)
            .note("put the call under a condition that comes to an end, or write a loop");
        return vec![report];
    }
    vec![]
}

fn leads_to<'db>(db: &'db dyn salsa::Database, from: Item<'db>, to: Item<'db>) -> bool {
    let mut seen = HashSet::from([from]);
    let mut waiting = vec![from];
    while let Some(item) = waiting.pop() {
        for next in always_called(db, item) {
            if *next == to {
                return true;
            }
            if seen.insert(*next) {
                waiting.push(*next);
            }
        }
    }
    false
}

/// The callees of the calls that every run of a function makes: names, and `f` of `x.f()` and `x |> f`.
fn calls(ast: &Ast, decl: &FnDecl) -> Vec<ExprId> {
    let names = decl.params.iter().map(|param| param.name.name.as_str());
    let mut found = Calls { ast, decl, callees: vec![], locals: names.collect() };
    match &decl.body {
        FnBody::Expr(body) => found.expr(*body),
        FnBody::Block(block) => found.block(block),
    }
    let Calls { mut callees, locals, .. } = found;
    callees.retain(|callee| match &ast[*callee].kind {
        ExprKind::Name(name) => !locals.contains(name.as_str()),
        _ => true,
    });
    callees
}

struct Calls<'a> {
    ast: &'a Ast,
    decl: &'a FnDecl,
    callees: Vec<ExprId>,
    locals: BTreeSet<&'a str>,
}

impl<'a> Calls<'a> {
    fn block(&mut self, block: &'a Block) {
        for stmt in &block.stmts {
            match &stmt.kind {
                StmtKind::Let(binding) => {
                    self.pattern(&binding.pattern);
                    self.exprs(binding.init);
                }
                StmtKind::Assign { value, .. } => self.expr(*value),
                StmtKind::Expr(value) | StmtKind::Assert { cond: value, .. } => self.expr(*value),
                StmtKind::While { cond, .. } => self.expr(*cond),
                StmtKind::For { pattern, iter, .. } => {
                    self.pattern(pattern);
                    self.expr(*iter);
                }
                StmtKind::Return(value) => {
                    self.exprs(*value);
                    return;
                }
                // What follows may be left out by a return inside.
                StmtKind::If(branches) => {
                    self.exprs(branches.branches.first().map(|(cond, _)| *cond));
                    return;
                }
                StmtKind::Error => {}
            }
        }
    }

    fn pattern(&mut self, pattern: &'a Pattern) {
        match pattern {
            Pattern::Name(name) => drop(self.locals.insert(&name.name)),
            Pattern::Ignore(_) => {}
            Pattern::Tuple(parts, _) => parts.iter().for_each(|part| self.pattern(part)),
        }
    }

    fn exprs(&mut self, exprs: impl IntoIterator<Item = ExprId>) {
        exprs.into_iter().for_each(|expr| self.expr(expr));
    }

    fn expr(&mut self, expr: ExprId) {
        match &self.ast[expr].kind {
            ExprKind::Call { callee, args } => {
                // `f(_, k=2)` makes a function and calls nothing.
                let is_partial = args.iter().any(|arg| self.ast[arg.value].kind == ExprKind::Placeholder);
                match self.ast[*callee].kind {
                    ExprKind::Name(_) if !is_partial => self.callees.push(*callee),
                    ExprKind::Field { base, .. } => {
                        if self.is_tensor(base) {
                            self.callees.push(*callee);
                        }
                        self.expr(base);
                    }
                    _ => {}
                }
                self.exprs(args.iter().map(|arg| arg.value));
            }
            ExprKind::Pipe { value, function } => {
                if let ExprKind::Name(_) = self.ast[*function].kind {
                    self.callees.push(*function);
                }
                self.expr(*value);
                self.expr(*function);
            }
            ExprKind::Tuple(items) | ExprKind::List(items) => self.exprs(items.iter().copied()),
            ExprKind::Unary { operand, .. } => self.expr(*operand),
            // The right side may not count.
            ExprKind::Binary { op: BinaryOp::And | BinaryOp::Or, lhs, .. } => self.expr(*lhs),
            ExprKind::Binary { lhs, rhs, .. } => self.exprs([*lhs, *rhs]),
            ExprKind::Range { start, stop } => self.exprs([*start, *stop]),
            ExprKind::Index { base, items } => {
                self.expr(*base);
                for item in items {
                    match item {
                        IndexItem::Expr(index) => self.expr(*index),
                        IndexItem::Slice { start, stop, step, .. } => {
                            self.exprs([start, stop, step].into_iter().flatten().copied());
                        }
                    }
                }
            }
            ExprKind::Field { base, .. } => self.expr(*base),
            // A comprehension may have no turn, an `if` takes one way.
            ExprKind::Comprehension { iter, .. } => self.expr(*iter),
            ExprKind::If(branches) => self.exprs(branches.branches.first().map(|(cond, _)| *cond)),
            _ => {}
        }
    }
}

impl Calls<'_> {
    /// Whether `x.f()` calls the function `f`: it does where x comes from a tensor parameter. Of a layer, `f`
    /// is a method.
    fn is_tensor(&self, expr: ExprId) -> bool {
        match &self.ast[expr].kind {
            ExprKind::Name(name) => self.decl.params.iter().any(|param| {
                let ty = param.ty.map(|ty| &self.ast[ty].kind);
                param.name.name == *name && matches!(ty, Some(TypeKind::Tensor { .. }))
            }),
            ExprKind::Field { base, .. } | ExprKind::Index { base, .. } => self.is_tensor(*base),
            ExprKind::Call { callee, .. } => match &self.ast[*callee].kind {
                ExprKind::Field { base, .. } => self.is_tensor(*base),
                _ => false,
            },
            _ => false,
        }
    }
}

/// The function that a callee names, if it is one of a module.
fn target<'db>(db: &'db dyn salsa::Database, item: Item<'db>, ast: &Ast, callee: ExprId) -> Option<Item<'db>> {
    let name = match &ast[callee].kind {
        ExprKind::Name(name) => name,
        ExprKind::Field { name, .. } => &name.name,
        _ => return None,
    };
    let found = match modules::scope(db, item.file(db)).get(name) {
        Some(Named::Item(found)) => *found,
        Some(Named::Module(_) | Named::Missing) => return None,
        None => modules::implicit(db, name)?,
    };
    (found.kind(db) == RawKind::Fn).then_some(found)
}
