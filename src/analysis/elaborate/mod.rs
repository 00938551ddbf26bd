//! The elaborator: walks a body with abstract values.
//!
//! One walk serves checking and lowering (see [`crate::analysis::world`]). Names resolve to [`Value`]s;
//! host arithmetic is done symbolically; tensor operations run the registry's rule and are handed to the
//! world. A condition over hyperparameters that is not settled by facts is *decided*: in a definition the
//! body is walked once for each answer (at most 16), when lowering the hyperparameter is demanded.
//!
//! For `let y = x @ weight.T` with `weight: F[n, k]` and `x: F[B, k]`: `weight` reads a member
//! (`Leaf::Param`), `.T` is `permute`, `@` is `matmul`, whose rule proves `k == k` and gives `F[B, n]`;
//! `y` is bound to that tensor.

pub mod arguments;
pub mod builtins;
pub mod call;
mod claim;
pub mod collect;
mod conditions;
pub mod control;
mod decisions;
pub mod expr;
mod fixed;
pub mod fixes;
pub mod function;
pub mod function_call;
pub mod gradient;
pub mod growth;
pub mod host;
pub mod host_functions;
pub mod index;
pub mod initialiser;
pub mod instance;
pub mod layer;
pub mod loops;
pub mod mismatch;
pub mod names;
mod nesting;
pub mod operation;
mod origins;
pub mod pattern;
mod run_time;
pub mod saved;
pub mod scheme;
pub mod script;
pub mod signature;
mod sized;
pub mod solve;
pub mod stmt;
mod tensors;
pub mod types;
pub mod update;
mod valued;
pub mod while_loops;

pub use decisions::Decisions;
use function_call::FittedCall;
use origins::Origins;

use crate::analysis::db::{Item, Place, Report, SourceFile};
use crate::analysis::value::{Instance, LayerRef, TensorValue, Value};
use crate::analysis::world::{Abort, Walk, World};
use crate::base::{Code, Span, code};
use crate::ops::Obligation;
use crate::syntax::ast::{Ast, ExprId, Member};
use crate::types::{Dim, Elem, Facts, Pack, Shape, Symbol, TensorType};
use std::collections::{BTreeMap, BTreeSet};

/// Walks of one definition for different answers to open conditions.
pub const MAX_CASES: usize = 16;

/// What a name stands for inside a body.
#[derive(Clone, Debug)]
pub enum Binding<'db> {
    Value(Value<'db>),
    /// A stored member of the layer.
    Storage(Box<StorageMember>),
    /// A member that exists only under a condition that does not hold here.
    Absent(AbsentMember<'db>),
}

/// The member of a layer whose condition does not hold.
#[derive(Clone, Debug)]
pub struct AbsentMember<'db> {
    pub layer: LayerRef<'db>,
    pub name: String,
}

impl<'db> AbsentMember<'db> {
    /// Its condition as it is written. Reads the layer's text, so it is for messages.
    pub fn condition(&self, db: &'db dyn salsa::Database) -> String {
        let layer = names::full_layer(db, self.layer);
        let own = |member: &&'db Member| layer::member_name(member) == Some(&self.name);
        let cond = layer.decl.members.iter().find(own).and_then(layer::member_condition);
        instance::source_of(db, layer.item, layer.ast, cond)
    }
}

/// A `param`, `buffer` or `state` as methods see it.
#[derive(Clone, Debug, PartialEq)]
pub struct StorageMember {
    /// Dotted path from the own instance.
    pub path: String,
    pub ty: TensorType,
    pub scheme: Option<crate::quant::Scheme>,
    pub assignable: bool,
    /// What stands in its place.
    pub value: Option<TensorValue>,
}

/// How names that a signature introduces get their meaning.
#[derive(Clone, Debug)]
pub enum DeclareAs {
    /// As symbols of the definition being walked.
    Own,
    /// As unknowns to solve for, unlike any other symbol.
    Fresh,
    /// As these, in the order in which they are introduced.
    Given(std::collections::VecDeque<Shape>),
}

/// Dim variables and packs that a signature introduces, in order.
#[derive(Clone, Debug)]
pub struct Declaring {
    pub mode: DeclareAs,
    pub declared: Vec<Declared>,
}

#[derive(Clone, Debug)]
pub struct Declared {
    /// `None` for an anonymous `...`.
    pub name: Option<String>,
    pub symbol: Symbol,
    pub is_pack: bool,
}

impl Declaring {
    pub fn new(mode: DeclareAs) -> Declaring {
        Declaring { mode, declared: vec![] }
    }
}

pub struct Elaborator<'w, 'db> {
    pub db: &'db dyn salsa::Database,
    pub world: &'w mut dyn World<'db>,
    pub item: Item<'db>,
    pub file: SourceFile,
    pub ast: &'db Ast,
    pub scopes: Vec<BTreeMap<String, Binding<'db>>>,
    /// The instance whose method or constructor is walked.
    pub instance: Option<Instance<'db>>,
    pub layer: Option<LayerRef<'db>>,
    /// Type variables in scope.
    pub elems: BTreeMap<String, Elem>,
    pub facts: Facts,
    pub reports: Vec<Report<'db>>,
    pub obligations: Vec<(Obligation, Place<'db>)>,
    /// `where` facts taken for granted.
    pub assumed: Vec<Obligation>,
    pub decisions: Decisions,
    /// Where a symbol was introduced, for messages.
    origins: Origins<'db>,
    /// Inferred types by span, for the editor.
    pub inferred: Vec<(Span, Option<TensorType>)>,
    /// Whether layers may be made here (constructors, tests, scripts).
    pub makes_layers: bool,
    /// Tests and scripts own the instances they make.
    pub adopts: bool,
    /// Where the function that was walked returned.
    pub returned: Option<Span>,
    /// A function on host values is walked: its numbers stay numbers, its loops are expanded.
    pub compile_time: bool,
    /// The declared result of the function being walked.
    pub result: Option<types::TypeSpec<'db>>,
    /// Names of signature types may introduce dim variables; the ones introduced.
    pub declaring: Option<Declaring>,
    /// The element type that the surroundings give to creations and numbers.
    pub context: Option<Elem>,
    /// Indices of loops and lists that can be expanded if something must know them.
    pub expandable: Vec<Symbol>,
    /// A constant turned out to be defined in terms of itself.
    pub cyclic: bool,
    /// Functions that this body calls whatever is known at compile time.
    pub calls: Vec<(Item<'db>, Place<'db>)>,
    /// The function whose definition is checked, by name.
    pub defining: Option<Place<'db>>,
    /// Instances that a test or a script makes.
    pub made: Vec<(Instance<'db>, Span)>,
    /// Within loops and in what is only looked at: a call here need not happen.
    pub tentative: bool,
    /// Lookups of constants in progress, against cycles.
    pub pending: Vec<Item<'db>>,
    /// Functions that are being walked for their results, by name: one that needs its own result has none.
    pub inferring: Vec<Place<'db>>,
    /// Calls with known sizes that were walked.
    sized: Vec<FittedCall<'db>>,
    pub depth: u32,
    /// Instances whose members were read.
    pub read: Vec<layer::ReadMembers<'db>>,
    /// Statements and calls that may still be walked; bounds what a program computes when it is compiled.
    pub fuel: u32,
    /// Sizes that only a run tells and that mean nothing any more, outside of their region.
    closed: BTreeSet<Symbol>,
    /// How much of such sizes has been learnt so far.
    learnt: u32,
    next_unknown: u32,
    next_index: u32,
}

/// Calls, constants and constructors nest this deep at most.
const MAX_DEPTH: u32 = 100;

/// Statements and calls of one walk, those of callees and of every turn of expanded loops among them.
const FUEL: u32 = 300_000;

impl<'w, 'db> Elaborator<'w, 'db> {
    pub fn new(db: &'db dyn salsa::Database, world: &'w mut dyn World<'db>, item: Item<'db>, ast: &'db Ast) -> Self {
        Elaborator {
            db,
            world,
            item,
            file: item.file(db),
            ast,
            scopes: vec![BTreeMap::new()],
            instance: None,
            layer: None,
            elems: BTreeMap::new(),
            facts: Facts::default(),
            reports: vec![],
            obligations: vec![],
            assumed: vec![],
            decisions: Decisions::default(),
            origins: Origins::default(),
            inferred: vec![],
            makes_layers: false,
            adopts: false,
            returned: None,
            compile_time: false,
            result: None,
            declaring: None,
            context: None,
            expandable: vec![],
            cyclic: false,
            calls: vec![],
            tentative: false,
            defining: None,
            made: vec![],
            pending: vec![],
            inferring: vec![],
            sized: vec![],
            depth: 0,
            read: vec![],
            fuel: FUEL,
            closed: BTreeSet::new(),
            learnt: 0,
            next_unknown: 0,
            next_index: 0,
        }
    }

    /// An elaborator for another item (a constant, a constructor, an inlined function) on the same world.
    /// What it learns about symbols is of the same scope, so facts are shared both ways. `span` is what
    /// leads there.
    pub fn nested<T>(
        &mut self,
        item: Item<'db>,
        ast: &'db Ast,
        span: Span,
        walk: impl FnOnce(&mut Elaborator<'_, 'db>) -> Walk<T>,
    ) -> Walk<T> {
        if self.depth >= MAX_DEPTH {
            return Err(self.error(code::E0404, "compile-time evaluation nests too deeply", span, "given up here"));
        }
        self.spend(span)?;
        let mut inner = Elaborator::new(self.db, &mut *self.world, item, ast);
        inner.fuel = self.fuel;
        inner.facts = std::mem::take(&mut self.facts);
        inner.decisions = std::mem::take(&mut self.decisions);
        inner.sized = std::mem::take(&mut self.sized);
        inner.closed = std::mem::take(&mut self.closed);
        inner.learnt = self.learnt;
        inner.pending = self.pending.clone();
        inner.inferring = self.inferring.clone();
        inner.expandable = self.expandable.clone();
        inner.adopts = self.adopts;
        let known = self.origins.len();
        inner.origins = std::mem::take(&mut self.origins);
        inner.depth = self.depth + 1;
        inner.next_unknown = self.next_unknown;
        inner.next_index = self.next_index;
        let result = walk(&mut inner);
        self.cyclic |= inner.cyclic;
        self.origins = inner.origins;
        self.origins.truncate(known);
        let Elaborator { facts, decisions, reports, obligations, next_unknown, next_index, fuel, sized, .. } = inner;
        (self.closed, self.learnt) = (inner.closed, inner.learnt);
        self.fuel = fuel;
        self.sized = sized;
        self.facts = facts;
        self.decisions = decisions;
        self.reports.extend(reports);
        self.obligations.extend(obligations);
        self.next_unknown = next_unknown;
        self.next_index = next_index;
        result
    }

    /// Takes one step of those that are left; reports once when they run out. A long walk ends here when the
    /// text it is about has changed meanwhile.
    pub fn spend(&mut self, span: Span) -> Walk<()> {
        self.db.unwind_if_revision_cancelled();
        match self.fuel {
            0 => Err(Abort::Reported),
            1 => {
                self.fuel = 0;
                Err(self.error(code::E0404, "compile-time evaluation takes too many steps", span, "given up here"))
            }
            _ => {
                self.fuel -= 1;
                Ok(())
            }
        }
    }

    pub fn place(&self, span: Span) -> Place<'db> {
        Place { item: self.item, span }
    }

    pub fn span(&self, expr: ExprId) -> Span {
        self.ast[expr].span
    }

    /// Reports and gives the abort to return.
    pub fn fail(&mut self, mut report: Report<'db>) -> Abort {
        report.message = self.readable(&report.message);
        for label in &mut report.labels {
            label.text = self.readable(&label.text);
        }
        for note in &mut report.notes {
            *note = self.readable(note);
        }
        self.reports.push(report);
        Abort::Reported
    }

    pub fn error(&mut self, code: Code, message: impl Into<String>, span: Span, label: impl Into<String>) -> Abort {
        let place = self.place(span);
        self.fail(Report::new(code, message).at(place, label))
    }

    /// Introduces a dim variable or pack of the signature being read.
    pub fn declare(&mut self, name: Option<&str>, is_pack: bool, span: Span) -> Shape {
        let place = self.place(span);
        let fresh = self.fresh_index(name.unwrap_or("..."));
        let Some(declaring) = &mut self.declaring else { return Shape::unknown() };
        let count = declaring.declared.len();
        let symbol = match (&declaring.mode, name) {
            (DeclareAs::Fresh, _) => fresh,
            (_, Some(name)) => Symbol::new(name),
            (_, None) => crate::types::facts::hidden_symbol("...", count),
        };
        declaring.declared.push(Declared { name: name.map(String::from), symbol: symbol.clone(), is_pack });
        let own = match is_pack {
            true => Shape::with_pack(vec![], Pack::Named(symbol.clone()), vec![]),
            false => Shape::new(vec![Dim::symbol(symbol.as_str())]),
        };
        let meaning = match &mut declaring.mode {
            DeclareAs::Own | DeclareAs::Fresh => own,
            DeclareAs::Given(given) => given.pop_front().unwrap_or(own),
        };
        if !is_pack {
            self.facts.assume_positive(&symbol);
            self.origins.add(symbol, place);
        }
        if let Some(name) = name {
            let value = match (is_pack, meaning.dims.first()) {
                (false, Some(dim)) => Value::dim(dim.clone()),
                _ => Value::Shape(meaning.clone()),
            };
            self.bind(name, value);
        }
        meaning
    }

    /// A new `?`.
    pub fn fresh_dim(&mut self) -> Dim {
        self.next_unknown += 1;
        Dim::unknown(self.next_unknown)
    }

    /// A new loop index or list index.
    pub fn fresh_index(&mut self, hint: &str) -> Symbol {
        self.next_index += 1;
        crate::types::facts::hidden_symbol(hint, self.next_index as usize)
    }

    pub fn bind(&mut self, name: &str, value: Value<'db>) {
        self.bind_as(name, Binding::Value(value));
    }

    pub fn bind_as(&mut self, name: &str, binding: Binding<'db>) {
        if let Some(scope) = self.scopes.last_mut() {
            scope.insert(name.to_string(), binding);
        }
    }

    pub fn local(&self, name: &str) -> Option<&Binding<'db>> {
        self.scopes.iter().rev().find_map(|scope| scope.get(name))
    }

    /// Runs in a scope of its own.
    pub fn scoped<T>(&mut self, walk: impl FnOnce(&mut Self) -> Walk<T>) -> Walk<T> {
        self.scopes.push(BTreeMap::new());
        let result = walk(self);
        self.scopes.pop();
        result
    }
}
