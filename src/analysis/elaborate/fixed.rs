//! Assignments to names that are not variables: what such a name is, where it is declared, and what to write
//! instead.
//!
//! For `N = 5` under `const N = 4` the report says that `N` is a constant, shows the `const` and offers
//! `let N = ...`; in a script, where a `let` of the file is a variable, it offers to declare `N` so.

use crate::analysis::db::{Item, Place, Report, parse_item};
use crate::analysis::elaborate::layer::{member_name, member_span};
use crate::analysis::elaborate::{Binding, Elaborator, builtins};
use crate::analysis::modules::{self, Named};
use crate::analysis::value::{LayerRef, Value};
use crate::analysis::world::{Abort, Walk};
use crate::base::{Span, code};
use crate::ops;
use crate::syntax::ast::{Ast, ItemKind, Member, MemberKind, Pattern};

/// What a name that cannot be assigned stands for.
struct Fixed<'db> {
    /// With its article.
    what: &'static str,
    declared: Option<Place<'db>>,
    /// A variable is plainly meant: nothing that is assigned elsewhere has this name.
    is_other: bool,
}

impl<'db> Elaborator<'_, 'db> {
    /// Hyperparameters and members keep what the instance was made with.
    pub fn refuse_fixed(&mut self, name: &str, span: Span) -> Walk<()> {
        let Some(Binding::Value(_)) = self.local(name) else { return Ok(()) };
        let Some(layer) = self.layer else { return Ok(()) };
        let (what, declared) = in_layer(layer, name);
        let report = Report::new(code::E0211, format!("`{name}` is {what} and cannot be assigned"))
            .at(self.place(span), "fixed when the instance is made");
        let report = match declared {
            Some(own) if layer.item == self.item => report.also(self.place(own), "declared here"),
            _ => report,
        };
        let report = report
            .note(format!("declare a variable of another name, as in `let new_{name} = ...`, or a `state` member"));
        Err(self.fail(report))
    }

    /// What is wrong with assigning to a name that no variable has, where it stands for something else.
    pub fn refuse_declared(&mut self, name: &str, span: Span) -> Option<Abort> {
        let Fixed { what, declared, is_other } = self.fixed(name)?;
        let mut report = Report::new(code::E0211, format!("`{name}` is {what} and cannot be assigned"))
            .at(self.place(span), "assigned here");
        if let Some(place) = declared {
            report = report.also(place, "declared here");
        }
        let keyword = declared.and_then(|place| self.constant_keyword(place));
        report = match keyword {
            Some(keyword) => {
                let title = format!("make it a variable: `let {name} = ...`");
                report.maybe(title, vec![(keyword, "let".to_string())])
            }
            None => self.declare_it(report, name, span, is_other),
        };
        Some(self.fail(report))
    }

    fn fixed(&self, name: &str) -> Option<Fixed<'db>> {
        let of_language = |what| Some(Fixed { what, declared: None, is_other: true });
        if self.elems.contains_key(name) {
            return of_language("a type variable");
        }
        let db = self.db;
        let named = modules::lookup(db, self.file, name);
        match named.or_else(|| modules::implicit(db, name).map(Named::Item)) {
            Some(Named::Item(item)) => return self.fixed_item(item),
            Some(Named::Module(_)) => return of_language("a module"),
            Some(Named::Missing) => return None,
            None => {}
        }
        if ops::find(name).is_some() {
            return of_language("an operation");
        }
        match builtins::lookup(name, None)? {
            Value::DType(_) => of_language("an element type"),
            Value::Function(_) => of_language("a function of the language"),
            _ => of_language("a constant of the language"),
        }
    }

    fn fixed_item(&self, item: Item<'db>) -> Option<Fixed<'db>> {
        // Where it stands is for the message alone.
        let ast = if item == self.item { self.ast } else { &parse_item(self.db, item).ast };
        let (what, span, is_other) = match &ast.item.kind {
            ItemKind::Const { name, .. } => ("a constant", name.span, false),
            ItemKind::Let(binding) => match &binding.pattern {
                Pattern::Name(name) => ("a `let` of the file", name.span, false),
                Pattern::Tuple(_, span) | Pattern::Ignore(span) => ("a `let` of the file", *span, false),
            },
            ItemKind::TypeAlias { name, .. } => ("a type", name.span, true),
            ItemKind::Fn(decl) => ("a function", decl.name.span, true),
            ItemKind::Layer(decl) => ("a layer", decl.name.span, true),
            ItemKind::Use(_) | ItemKind::Test { .. } | ItemKind::Stmt(_) | ItemKind::Error => return None,
        };
        let declared = (!item.file(self.db).embedded(self.db)).then_some(Place { item, span });
        Some(Fixed { what, declared, is_other })
    }

    /// The `const` before a name of this file, where a statement of the file assigns to it: with `let` it may.
    fn constant_keyword(&self, declared: Place<'db>) -> Option<Place<'db>> {
        let is_script = matches!(self.ast.item.kind, ItemKind::Stmt(_));
        let ast: &Ast = &parse_item(self.db, declared.item).ast;
        if !is_script || declared.item.file(self.db) != self.file || !matches!(ast.item.kind, ItemKind::Const { .. }) {
            return None;
        }
        let before = declared.item.text(self.db).get(..declared.span.start as usize)?;
        let at = before.rfind("const")? as u32;
        Some(Place { item: declared.item, span: Span::new(at, at + "const".len() as u32) })
    }
}

/// What a name of a layer is, and where it is declared.
fn in_layer(layer: LayerRef<'_>, name: &str) -> (&'static str, Option<Span>) {
    if let Some(param) = layer.decl.params.iter().find(|param| param.name.name == name) {
        return ("a hyperparameter", Some(param.name.span));
    }
    let own = |member: &&Member| member_name(member) == Some(name);
    let Some(member) = layer.decl.members.iter().find(own) else { return ("a member", None) };
    let what = match &member.kind {
        MemberKind::Const { .. } => "a constant",
        MemberKind::Fn(_) => "a method",
        MemberKind::Layer(_) => "a layer",
        MemberKind::TypeAlias { .. } => "a type",
        MemberKind::Storage(_) | MemberKind::Let(_) | MemberKind::Stmt(_) | MemberKind::Error => "a member",
    };
    (what, Some(member_span(member)))
}
