//! Edits that remedy a mistake, for `tritonc fix` and editors.
//!
//! An edit replaces the very text that it is about: where a walk reads the interface of another item, spans say
//! nothing, and the remedy becomes a note or is left out.

use crate::analysis::db::{Place, Report, items, parse_item};
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::layer::member_name;
use crate::analysis::foreign;
use crate::analysis::modules::{self, Named, std_key};
use crate::analysis::value::{Instance, Step, Value};
use crate::analysis::world::Abort;
use crate::base::{Applicability, Near, Span, code};
use crate::syntax::ast::{
    Ast, Block, ExprId, ExprKind, FnBody, FnDecl, ItemKind, LayerDecl, MemberKind, Param, StmtKind,
};
use crate::syntax::items::RawKind;
use crate::types::{DType, Elem};

impl<'db> Elaborator<'_, 'db> {
    /// The text of a span of the item that is walked.
    pub fn source(&self, span: Span) -> &'db str {
        let text: &'db str = self.item.text(self.db);
        text.get(span.start as usize..span.end as usize).unwrap_or("")
    }

    /// Suggests another name for the misspelt one at `span`.
    pub fn rename(&self, report: Report<'db>, span: Span, wrong: &str, near: Near<'_>) -> Report<'db> {
        match self.source(span) == wrong {
            true => report.rename(self.place(span), near),
            false => report.note(format!("did you mean `{}`?", near.name)),
        }
    }

    /// Suggests to append to an operand, which gets parentheses where it needs them.
    pub fn with_suffix(&self, report: Report<'db>, spans: &[Span], operand: usize, suffix: &str) -> Report<'db> {
        match spans.get(operand) {
            Some(span) => self.append(report, Applicability::Certain, *span, suffix),
            None => report,
        }
    }

    /// Suggests a conversion. One that loses more than precision may not be what is meant.
    pub fn with_cast(&self, report: Report<'db>, span: Span, found: &Elem, wanted: &Elem) -> Report<'db> {
        let report = report.note(format!("convert it with `.to({wanted})`"));
        let keeps = match (found.known(), wanted.known()) {
            (Some(found), Some(wanted)) => {
                wanted.is_float() || found.is_int() && wanted.is_int() && found.bits() <= wanted.bits()
            }
            _ => wanted.is_float(),
        };
        // A type variable of the function that is called means nothing here.
        let known = match wanted {
            Elem::Known(_) => true,
            Elem::Var(..) => self.elems.values().any(|own| own == wanted),
        };
        let applicability = if keeps { Applicability::Certain } else { Applicability::Maybe };
        if known { self.append(report, applicability, span, &format!(".to({wanted})")) } else { report }
    }

    /// Where a float stands beside integers, suggests to convert those, the first of which is at `span`; what was
    /// said of it begins at `from`.
    pub fn convert_integers(&mut self, from: usize, span: Option<Span>) {
        let Some(span) = span else { return };
        let float = Elem::Known(DType::Float32);
        let wanted = self.context.clone().filter(Elem::is_float).unwrap_or(float);
        for index in from..self.reports.len() {
            if self.reports[index].code == code::E0202 && self.reports[index].fixes.is_empty() {
                let report = self.reports[index].clone();
                self.reports[index] = self.with_suffix(report, &[span], 0, &format!(".to({wanted})"));
            }
        }
    }

    /// An argument of another element type than the instance's layer was made with. `wanted` is what the type
    /// variable of the layer stands for, `found` what the argument has.
    pub fn made_with(
        &self,
        report: Report<'db>,
        (instance, variable): (&Instance<'db>, &str),
        wanted: &Elem,
        found: &Elem,
    ) -> Report<'db> {
        let decl = instance.layer.decl;
        let layer = &decl.name.name;
        let given = match wanted.is(DType::Float32) {
            true => ", which it is where nothing else is given",
            false => "",
        };
        let becomes = match (found, self.layer) {
            (Elem::Var(..), Some(own)) => format!("the {found} of `{}`", own.decl.name.name),
            _ => found.to_string(),
        };
        let report = report.note(format!(
            "`{variable}` of this `{layer}` is {wanted}{given}; with `{layer}[{found}](...)` it is {becomes}"
        ));
        match (self.only_call_that_makes(instance), decl.type_params.len()) {
            (Some(callee), 1) => {
                let edit = self.insertion(callee.end, &format!("[{found}]"));
                report.maybe(format!("make it with `{layer}[{found}](...)`"), vec![edit])
            }
            _ => report,
        }
    }

    /// The name of the layer where an instance is made without type arguments, if it can only be made there: in the
    /// lines of its member, or anywhere in the item.
    fn only_call_that_makes(&self, instance: &Instance<'db>) -> Option<Span> {
        let member = instance.path.as_ref().and_then(|path| match path.first() {
            Some(Step::Field(name)) => self.layer?.decl.members.iter().find(|member| member_name(member) == Some(name)),
            _ => None,
        });
        let within = member.map_or(self.ast.item.span, |member| member.span);
        let is_layer = |expr: ExprId| matches!(&self.ast[expr].kind, ExprKind::Name(name) if *name == instance.layer.decl.name.name);
        let mut made = self.ast.exprs.iter().filter_map(|expr| match &expr.kind {
            ExprKind::Call { callee, .. } if within.start <= expr.span.start && expr.span.end <= within.end => {
                match &self.ast[*callee].kind {
                    ExprKind::Index { base, .. } if is_layer(*base) => Some(None),
                    _ => is_layer(*callee).then_some(Some(self.ast[*callee].span)),
                }
            }
            _ => None,
        });
        let first = made.next()?;
        if made.next().is_some() { None } else { first }
    }

    fn append(&self, report: Report<'db>, applicability: Applicability, span: Span, suffix: &str) -> Report<'db> {
        // Of a named argument the value is meant.
        let span = Span::new(span.start + name_length(self.source(span)), span.end);
        let source = self.source(span);
        if source.is_empty() {
            return report;
        }
        let (title, edits) = if is_primary(source) {
            (format!("write `{source}{suffix}`"), vec![self.insertion(span.end, suffix)])
        } else {
            let edits = vec![self.insertion(span.start, "("), self.insertion(span.end, &format!("){suffix}"))];
            (format!("write `({source}){suffix}`"), edits)
        };
        report.remedy(applicability, title, edits)
    }

    fn insertion(&self, at: u32, text: &str) -> (Place<'db>, String) {
        (self.place(Span::new(at, at)), text.to_string())
    }

    /// Suggests `let` before an assignment to the unknown name at `span`. Inside a branch or loop the variable
    /// may be meant to live on after it, so only in the body itself is that certain.
    pub fn declare_it(&self, report: Report<'db>, name: &str, span: Span, sure: bool) -> Report<'db> {
        if self.source(span) != name {
            return report;
        }
        let applicability = match sure && bodies(self.ast).iter().any(|body| assigns(self.ast, body, span)) {
            true => Applicability::Certain,
            false => Applicability::Maybe,
        };
        let title = format!("declare a variable: `let {name} = ...`");
        report.remedy(applicability, title, vec![self.insertion(span.start, "let ")])
    }

    /// What another language's name is here: another word, or nothing at all (`self.`, `torch.`).
    pub fn foreign_name(&self, report: &Report<'db>, name: &str, span: Span) -> Option<Report<'db>> {
        let report = report.clone();
        if let Some(own) = foreign::name(name) {
            return Some(self.rename(report, span, name, Near { name: own, certain: true }));
        }
        let dotted = Span::new(span.start, span.end + 1);
        let is_prefix = self.source(dotted).strip_prefix(name) == Some(".");
        let note = match name {
            "self" => "members and hyperparameters stand by their names alone, without `self.`",
            _ if is_prefix && foreign::is_prefix(name) => "operations stand by their names alone",
            _ => return None,
        };
        let report = report.note(note);
        if !is_prefix {
            return Some(report);
        }
        Some(report.fix(format!("remove `{name}.`"), vec![(self.place(dotted), String::new())]))
    }

    /// A function stands where its result is needed. Whether it can be called without arguments shows when
    /// the fix is tried.
    pub fn uncalled(&mut self, function: &Value<'db>, needed: &str, span: Span) -> Abort {
        let source = self.source(span);
        let message = format!("{needed} is needed here, not {}", function.describe());
        let report = Report::new(code::E0201, message).at(self.place(span), "this is a function");
        let report = match is_primary(source) && !source.is_empty() {
            true => report.fix(format!("call it: `{source}()`"), vec![self.insertion(span.end, "()")]),
            false => report,
        };
        self.fail(report)
    }

    /// A method has no parameter for its instance.
    pub fn refuse_self(&mut self, param: &Param) -> Abort {
        let span = param.name.span;
        let report = Report::new(code::E0208, "a method takes no `self`")
            .at(self.place(span), "not a parameter")
            .note("members and hyperparameters stand by their names alone, without `self.`");
        let rest = self.item.text(self.db).get(span.end as usize..).unwrap_or("");
        let comma = rest.len() - rest.trim_start_matches([',', ' ']).len();
        let place = self.place(Span::new(span.start, span.end + comma as u32));
        self.fail(report.fix("remove it", vec![(place, String::new())]))
    }

    /// Suggests to import a name that a module of the standard library has: into the list of a `use` that is
    /// there, by its module's name where that is imported, else with a `use` before the file's first item.
    pub fn import_it(&self, report: Report<'db>, module: &str, name: &str, span: Span) -> Report<'db> {
        let db = self.db;
        let scope = modules::scope(db, self.file);
        let whole = std_key(module);
        let prefix = scope.iter().find_map(|(prefix, named)| match named {
            Named::Module(file) if *file.module(db) == whole => Some(prefix),
            Named::Module(_) | Named::Item(_) | Named::Missing => None,
        });
        if let Some(prefix) = prefix
            && self.source(span) == name
        {
            return report
                .fix(format!("write `{prefix}.{name}`"), vec![self.insertion(span.start, &format!("{prefix}."))]);
        }
        let title = format!("import it: `use {module}.{{{name}}}`");
        // The entry expression and the standard library are not the user's to edit.
        if self.file.embedded(db) || self.file.module(db).ends_with('\'') {
            return report.note(title);
        }
        let all = items(db, self.file);
        for item in all.iter().filter(|item| item.kind(db) == RawKind::Use) {
            let ItemKind::Use(import) = &parse_item(db, *item).ast.item.kind else { continue };
            let path: Vec<&str> = import.path.iter().map(|part| part.name.as_str()).collect();
            if path.join(".") == module
                && let Some(last) = import.names.as_ref().and_then(|names| names.last())
            {
                let place = Place { item: *item, span: Span::new(last.span.end, last.span.end) };
                return report.fix(format!("import it from `{module}`"), vec![(place, format!(", {name}"))]);
            }
        }
        let Some(first) = all.first() else { return report.note(title) };
        let gap = if first.kind(db) == RawKind::Use { "" } else { "\n" };
        let place = Place { item: *first, span: Span::new(0, 0) };
        report.fix(title, vec![(place, format!("use {module}.{{{name}}}\n{gap}"))])
    }
}

/// How much of an argument is `name=`.
fn name_length(source: &str) -> u32 {
    let name = source.trim_start_matches(|c: char| c.is_alphanumeric() || c == '_');
    match name.trim_start().strip_prefix('=') {
        Some(value) if name.len() < source.len() && !value.starts_with('=') => {
            (source.len() - value.trim_start().len()) as u32
        }
        _ => 0,
    }
}

/// Whether `.name` after an expression belongs to all of it: `x.y`, `f(a + b)[0]`, `(a + b)`, but not `a + b`.
fn is_primary(source: &str) -> bool {
    let mut depth = 0usize;
    for c in source.chars() {
        match c {
            '(' | '[' => depth += 1,
            ')' | ']' => depth = depth.saturating_sub(1),
            _ if depth > 0 || c.is_alphanumeric() || matches!(c, '_' | '.') => {}
            _ => return false,
        }
    }
    !source.starts_with(|c: char| c.is_ascii_digit())
}

/// The outermost blocks of an item: bodies of functions, methods and tests.
fn bodies(ast: &Ast) -> Vec<&Block> {
    let mut found = vec![];
    match &ast.item.kind {
        ItemKind::Fn(decl) => of_function(decl, &mut found),
        ItemKind::Layer(decl) => of_layer(decl, &mut found),
        ItemKind::Test { body, .. } => found.push(body),
        ItemKind::Use(_)
        | ItemKind::Const { .. }
        | ItemKind::Let(_)
        | ItemKind::TypeAlias { .. }
        | ItemKind::Stmt(_)
        | ItemKind::Error => {}
    }
    found
}

fn of_function<'a>(decl: &'a FnDecl, found: &mut Vec<&'a Block>) {
    if let FnBody::Block(block) = &decl.body {
        found.push(block);
    }
}

fn of_layer<'a>(decl: &'a LayerDecl, found: &mut Vec<&'a Block>) {
    for member in &decl.members {
        match &member.kind {
            MemberKind::Fn(decl) => of_function(decl, found),
            MemberKind::Layer(decl) => of_layer(decl, found),
            _ => {}
        }
    }
}

/// Whether a statement of the block itself assigns to the name at `span`.
fn assigns(ast: &Ast, body: &Block, span: Span) -> bool {
    let target = |kind: &StmtKind| match kind {
        StmtKind::Assign { target, op: None, .. } => Some(ast[*target].span),
        _ => None,
    };
    body.stmts.iter().any(|stmt| target(&stmt.kind) == Some(span))
}
