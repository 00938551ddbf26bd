//! Top-level statements, walked in order as one body.

use crate::analysis::db::{SourceFile, items, parse_item};
use crate::analysis::elaborate::Elaborator;
use crate::analysis::world::{Abort, Walk};
use crate::base::Span;
use crate::syntax::ast::ItemKind;
use crate::syntax::items::RawKind;
use std::collections::BTreeMap;

impl<'db> Elaborator<'_, 'db> {
    /// Walks the `let`s and statements of a file, which share one scope.
    pub fn script(&mut self, file: SourceFile) -> Walk<()> {
        let db = self.db;
        let mut scopes = vec![BTreeMap::new()];
        let mut failed = false;
        let statements = items(db, file).iter().filter(|item| matches!(item.kind(db), RawKind::Let | RawKind::Stmt));
        for item in statements {
            let ast = &parse_item(db, *item).ast;
            if !matches!(ast.item.kind, ItemKind::Let(_) | ItemKind::Stmt(_)) {
                continue;
            }
            let result = self.nested(*item, ast, Span::default(), |inner| {
                inner.scopes = std::mem::take(&mut scopes);
                inner.makes_layers = true;
                inner.adopts = true;
                let result = match &ast.item.kind {
                    ItemKind::Let(binding) => inner.let_stmt(binding).inspect_err(|_| {
                        inner.poison_pattern(&binding.pattern);
                    }),
                    ItemKind::Stmt(stmt) => inner.stmts(std::slice::from_ref(stmt), None).map(|_| ()),
                    _ => Ok(()),
                };
                scopes = std::mem::take(&mut inner.scopes);
                result
            });
            match result {
                Ok(()) => {}
                Err(Abort::Reported) => failed = true,
                Err(demand) => return Err(demand),
            }
        }
        if failed { Err(Abort::Reported) } else { Ok(()) }
    }
}
