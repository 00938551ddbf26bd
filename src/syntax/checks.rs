//! What is wrong with a finished tree by its form alone.
//!
//! - An expression whose value is not used must be a call or a pipe (E0006). This also catches a line
//!   that begins with `-` and was meant to continue the one above.
//! - `return` stands in a function (E0012).
//!
//! A *value block* is a branch of an `if` that is an expression; its last statement is its value.

use crate::base::{Span, code};
use crate::syntax::ast::*;
use crate::syntax::error::SyntaxError;
use crate::syntax::message::{foreign_word, misspelt_keyword};

/// Checks one item's tree.
pub fn check(ast: &Ast, text: &str) -> Vec<SyntaxError> {
    let in_test = matches!(ast.item.kind, ItemKind::Test { .. });
    let mut checker = Checker { ast, text, in_test, errors: vec![] };
    checker.item();
    for expr in &ast.exprs {
        if let ExprKind::If(value) = &expr.kind {
            checker.branches(value, true);
        }
    }
    checker.errors
}

struct Checker<'a> {
    ast: &'a Ast,
    text: &'a str,
    in_test: bool,
    errors: Vec<SyntaxError>,
}

impl Checker<'_> {
    fn item(&mut self) {
        match &self.ast.item.kind {
            ItemKind::Fn(decl) => self.function(decl),
            ItemKind::Layer(decl) => self.layer(decl),
            ItemKind::Test { body, .. } => self.block(body, false),
            ItemKind::Stmt(stmt) => {
                self.stmt(stmt, None, false);
                self.no_return(stmt);
            }
            ItemKind::Use(_)
            | ItemKind::Const { .. }
            | ItemKind::Let(_)
            | ItemKind::TypeAlias { .. }
            | ItemKind::Error => {}
        }
    }

    fn function(&mut self, decl: &FnDecl) {
        let FnBody::Block(body) = &decl.body else { return };
        let before = self.errors.len();
        self.block(body, false);
        // The last expression of a function that returns nothing else was meant as its result.
        if let Some(Stmt { kind: StmtKind::Expr(_), span, .. }) = body.stmts.last()
            && let Some(error) = self.errors[before..].last_mut()
            && error.span == *span
            && error.fix.is_none()
        {
            error.notes = vec!["a function gives its result with `return`".into()];
            error.fix = Some(("return it".into(), vec![(Span::new(span.start, span.start), "return ".into())]));
        }
    }

    fn layer(&mut self, decl: &LayerDecl) {
        let mut before = None;
        for member in &decl.members {
            match &member.kind {
                MemberKind::Fn(decl) => self.function(decl),
                MemberKind::Layer(decl) => self.layer(decl),
                MemberKind::Stmt(stmt) => self.stmt(stmt, before, false),
                MemberKind::Storage(_)
                | MemberKind::Let(_)
                | MemberKind::Const { .. }
                | MemberKind::TypeAlias { .. }
                | MemberKind::Error => {}
            }
            before = Some(member.span);
        }
    }

    fn branches(&mut self, value: &If, used: bool) {
        for (_, body) in &value.branches {
            self.block(body, used);
        }
        if let Some(body) = &value.otherwise {
            self.block(body, used);
        }
    }

    fn block(&mut self, block: &Block, used: bool) {
        let mut before = None;
        for (index, stmt) in block.stmts.iter().enumerate() {
            let last = index + 1 == block.stmts.len();
            self.stmt(stmt, before, used && last);
            before = Some(stmt.span);
        }
    }

    /// `used`: the statement's value is the block's.
    fn stmt(&mut self, stmt: &Stmt, before: Option<Span>, used: bool) {
        match &stmt.kind {
            StmtKind::Expr(id) if !used => self.effect(*id, stmt.span, before),
            StmtKind::If(value) => self.branches(value, used),
            StmtKind::For { body, .. } | StmtKind::While { body, .. } => self.block(body, false),
            StmtKind::Expr(_)
            | StmtKind::Let(_)
            | StmtKind::Assign { .. }
            | StmtKind::Return(_)
            | StmtKind::Assert { .. }
            | StmtKind::Error => {}
        }
    }

    fn effect(&mut self, id: ExprId, span: Span, before: Option<Span>) {
        let kind = &self.ast[id].kind;
        if matches!(kind, ExprKind::Call { .. } | ExprKind::Pipe { .. } | ExprKind::If(_) | ExprKind::Error) {
            return;
        }
        let error = SyntaxError::new(code::E0006, "this statement has no effect", span).label("its value is not used");
        let minus = self.text.get(span.start as usize..).is_some_and(|rest| rest.starts_with('-'));
        let text = self.text.get(span.start as usize..).unwrap_or("");
        let word = text.split(|c: char| !c.is_alphanumeric() && c != '_').next().unwrap_or("");
        // `assrt (a - b).max() < 1.0` reads as a call; a name that is only a name is no statement either way.
        if let Some(keyword) = misspelt_keyword(word).filter(|_| !matches!(kind, ExprKind::Name(_))) {
            let place = Span::new(span.start, span.start + word.len() as u32);
            let error = error.note(format!("did you mean `{keyword}`?"));
            self.errors.push(error.fix(format!("write `{keyword}`"), vec![(place, keyword.into())]));
            return;
        }
        let error = match kind {
            _ if minus => self.explain_minus(error, span, before),
            ExprKind::Binary { op: BinaryOp::Eq, .. } if self.in_test => error
                .note("a test says what must hold with `assert`")
                .fix("assert it", vec![(Span::new(span.start, span.start), "assert ".into())]),
            ExprKind::Binary { op: BinaryOp::Eq, .. } => {
                error.note("to assign, write `=` instead of `==`; to demand it, write `assert` before it")
            }
            ExprKind::Str(_) => error.note("comments begin with `#`, documentation with `##`"),
            ExprKind::Name(name) => match foreign_word(name) {
                Some(note) => error.note(note),
                None => error.note(format!("to show a value, write `print({})`", crate::syntax::token::shown(name))),
            },
            _ => error.note("assign it with `let`, `return` it, or remove it"),
        };
        self.errors.push(error);
    }

    fn explain_minus(&self, error: SyntaxError, span: Span, before: Option<Span>) -> SyntaxError {
        let error = error.note("a line that begins with `-` does not continue the line above");
        let Some(before) = before else {
            return error.note("end the line above with the `-`, or put the whole expression in parentheses");
        };
        let rest = &self.text[span.start as usize + 1..];
        let spaces = rest.len() - rest.trim_start_matches([' ', '\t']).len();
        let minus = Span::new(span.start, span.start + 1 + spaces as u32);
        let end = Span::new(before.end, before.end);
        error.fix("move the `-` to the end of the line above", vec![(end, " -".into()), (minus, String::new())])
    }

    fn no_return(&mut self, stmt: &Stmt) {
        match &stmt.kind {
            StmtKind::Return(_) => self.errors.push(
                SyntaxError::new(code::E0012, "`return` cannot stand at the top level of a file", keyword(stmt.span))
                    .label("belongs in a function")
                    .note("to show a value, write `print(...)`"),
            ),
            StmtKind::If(value) => {
                let blocks = value.branches.iter().map(|(_, body)| body).chain(&value.otherwise);
                blocks.for_each(|block| block.stmts.iter().for_each(|stmt| self.no_return(stmt)));
            }
            StmtKind::For { body, .. } | StmtKind::While { body, .. } => {
                body.stmts.iter().for_each(|stmt| self.no_return(stmt));
            }
            StmtKind::Let(_) | StmtKind::Assign { .. } | StmtKind::Expr(_) | StmtKind::Assert { .. } => {}
            StmtKind::Error => {}
        }
    }
}

/// The keyword `return` at the start of its statement.
fn keyword(span: Span) -> Span {
    Span::new(span.start, span.end.min(span.start + "return".len() as u32))
}
