//! Members of layers: what an instance holds.

use crate::analysis::elaborate::names::{nested_layers, with_path};
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{AbsentMember, Binding, Elaborator, StorageMember};
use crate::analysis::value::{Function, Instance, LayerRef, Step, Value};
use crate::analysis::world::{Abort, Discard, Walk};
use crate::base::{Span, code};
use crate::quant::{Quantization, Scheme};
use crate::syntax::ast::{self, Attribute, ExprId, MemberKind, Pattern, StorageKind};
use crate::types::saved::SavedName;
use crate::types::{DType, Dim, Facts, HostExpr, TensorType};
use std::collections::BTreeMap;

/// A member of an instance, as lowering needs it.
#[derive(Clone, Debug)]
pub struct MemberInfo<'db> {
    pub name: String,
    pub member: &'db ast::Member,
    pub kind: MemberInfoKind<'db>,
    /// Its name in weights files, where that is another.
    pub saved: Option<SavedName>,
}

#[derive(Clone, Debug)]
pub enum MemberInfoKind<'db> {
    Storage {
        kind: StorageKind,
        transient: bool,
        ty: TensorType,
        quantization: Option<Quantization>,
        init: Option<ExprId>,
    },
    /// Sublayers, functions, host values.
    Value(Value<'db>),
    /// A tensor computed once.
    Constant {
        ty: TensorType,
        init: ExprId,
    },
    Absent,
}

/// Members of an instance that were evaluated, for the next field that is read. Facts decide which members
/// there are and how their sizes are written, so these hold under the same facts only.
#[derive(Clone, Debug)]
pub struct ReadMembers<'db> {
    instance: Instance<'db>,
    facts: Facts,
    members: BTreeMap<String, Binding<'db>>,
    infos: Vec<MemberInfo<'db>>,
}

/// The declared name of a member.
pub fn member_name(member: &ast::Member) -> Option<&str> {
    match &member.kind {
        MemberKind::Storage(storage) => Some(&storage.name.name),
        MemberKind::Let(binding) => match &binding.pattern {
            Pattern::Name(name) => Some(&name.name),
            _ => None,
        },
        MemberKind::Const { name, .. } | MemberKind::TypeAlias { name, .. } => Some(&name.name),
        MemberKind::Fn(decl) => Some(&decl.name.name),
        MemberKind::Layer(decl) => Some(&decl.name.name),
        MemberKind::Stmt(_) | MemberKind::Error => None,
    }
}

/// Where the name of a member is declared.
pub fn member_span(member: &ast::Member) -> Span {
    match &member.kind {
        MemberKind::Storage(storage) => storage.name.span,
        MemberKind::Let(binding) => match &binding.pattern {
            Pattern::Name(name) => name.span,
            Pattern::Ignore(span) | Pattern::Tuple(_, span) => *span,
        },
        MemberKind::Const { name, .. } | MemberKind::TypeAlias { name, .. } => name.span,
        MemberKind::Fn(decl) => decl.name.span,
        MemberKind::Layer(decl) => decl.name.span,
        MemberKind::Stmt(_) | MemberKind::Error => member.span,
    }
}

/// What stands behind `if` in a member's declaration.
pub fn member_condition(member: &ast::Member) -> Option<ExprId> {
    match &member.kind {
        MemberKind::Storage(storage) => storage.cond,
        MemberKind::Let(binding) => binding.cond,
        _ => None,
    }
}

impl<'db> Elaborator<'_, 'db> {
    /// Evaluates the members in order and binds them. Errors in one leave it unknown.
    pub fn members(&mut self, layer: LayerRef<'db>, path: &[Step]) -> Walk<Vec<MemberInfo<'db>>> {
        let mut infos = vec![];
        let mut failed = false;
        self.makes_layers = true;
        for inner in nested_layers(layer) {
            self.bind(&inner.decl.name.name, Value::Layer(inner, vec![]));
        }
        // Methods by name, for calls between them.
        if let Some(instance) = self.instance.clone() {
            for method in super::names::methods(layer) {
                let bound = Value::Function(Function::Method(Box::new(instance.clone()), method));
                self.bind(&method.decl.name.name, bound);
            }
        }
        for member in &layer.decl.members {
            match self.member(member, path) {
                Ok(info) => infos.extend(info),
                Err(Abort::Reported) => {
                    failed = true;
                    match &member.kind {
                        MemberKind::Let(binding) => self.poison_pattern(&binding.pattern),
                        _ => {
                            if let Some(name) = member_name(member) {
                                self.bind(name, Value::Error);
                            }
                        }
                    }
                }
                Err(demand) => return Err(demand),
            }
        }
        self.makes_layers = false;
        failed |= self.check_saved_names(&infos).is_err();
        if failed { Err(Abort::Reported) } else { Ok(infos) }
    }

    fn member(&mut self, member: &'db ast::Member, path: &[Step]) -> Walk<Option<MemberInfo<'db>>> {
        match &member.kind {
            MemberKind::Storage(storage) => self.storage_member(member, storage, path).map(Some),
            MemberKind::Let(binding) => self.let_member(member, binding, path),
            MemberKind::Const { name, ty, value } => {
                let spec = match ty {
                    Some(ty) => self.resolve_type(*ty)?,
                    None => TypeSpec::Any,
                };
                let value = self.expr_as(*value, &spec)?;
                self.bind(&name.name, value.clone());
                let kind = MemberInfoKind::Value(value);
                Ok(Some(MemberInfo { name: name.name.clone(), member, kind, saved: None }))
            }
            MemberKind::TypeAlias { .. } | MemberKind::Fn(_) | MemberKind::Layer(_) => Ok(None),
            MemberKind::Stmt(stmt) => {
                let message = "a layer holds `param`, `buffer`, `state`, `let`, `fn`, `layer` and `type`";
                Err(self.error(code::E0012, message, stmt.span, "a statement belongs into a `fn`"))
            }
            MemberKind::Error => Err(Abort::Reported),
        }
    }

    fn storage_member(
        &mut self,
        member: &'db ast::Member,
        storage: &'db ast::Storage,
        path: &[Step],
    ) -> Walk<MemberInfo<'db>> {
        let name = storage.name.name.clone();
        if !self.is_present(storage.cond, &name)? {
            return Ok(MemberInfo { name, member, kind: MemberInfoKind::Absent, saved: None });
        }
        let ty = match self.resolve_type(storage.ty)? {
            TypeSpec::Tensor(ty) => ty,
            TypeSpec::Bool => TensorType::scalar(DType::Bool),
            TypeSpec::Int if storage.kind == StorageKind::State => TensorType::scalar(DType::Int64),
            TypeSpec::Float if storage.kind == StorageKind::State => TensorType::scalar(DType::Float32),
            other => {
                let message = format!("`{name}` must be a tensor, not {}", other.describe());
                return Err(self.error(code::E0201, message, self.ast[storage.ty].span, "not a tensor type"));
            }
        };
        let mut quantization = self.quantize_attribute(&member.attributes)?.flatten();
        if let Some(Quantization { weights: scheme, .. }) = &quantization {
            self.check_scheme(scheme, &ty, storage.name.span, &member.attributes)?;
        }
        let assignable = storage.kind == StorageKind::State;
        if self.world.training() == Some(false) {
            quantization = quantization.map(|own| Quantization { weights: own.weights.without_chance(), ..own });
        }
        let scheme = quantization.as_ref().map(|quantization| quantization.weights.clone());
        let value = self.value_of(&name);
        let full = StorageMember { path: dotted(path, &name), ty: ty.clone(), scheme, assignable, value };
        self.bind_as(&name, Binding::Storage(Box::new(full)));
        let transient = member.attributes.iter().any(|a| a.name.name == "transient");
        let init = storage.init;
        let kind = MemberInfoKind::Storage { kind: storage.kind, transient, ty, quantization, init };
        let saved = self.saved_name(member, &kind)?;
        Ok(MemberInfo { name, member, kind, saved })
    }

    /// Reports at the attribute where a scheme does not fit the parameter's type.
    fn check_scheme(&mut self, scheme: &Scheme, ty: &TensorType, name: Span, attributes: &[Attribute]) -> Walk<()> {
        let attribute = attributes.iter().find(|a| a.name.name == "quantize").map_or(name, |a| a.span);
        let attrs = crate::ops::Attrs::new().with("scheme", crate::ops::Attr::Scheme(scheme.clone()));
        // Stochastic rounding draws when it runs; its seed is supplied then.
        let seed = TensorType::scalar(DType::Int64);
        let reports = self.reports.len();
        self.rule(crate::ops::builtin("quantize"), &[ty.clone(), seed], &attrs, &[name], attribute)
            .map(|_| ())
            .inspect_err(|_| {
                for report in &mut self.reports[reports..] {
                    report.code = if report.code == code::E0209 { code::E0502 } else { code::E0501 };
                }
            })
    }

    /// Checks initial values against the types of what they initialise.
    pub fn initial_values(&mut self, infos: &[MemberInfo<'db>]) -> Walk<()> {
        let mut failed = false;
        for info in infos {
            let MemberInfoKind::Storage { ty, init: Some(init), .. } = &info.kind else { continue };
            failed |= self.initial_value(*init, ty).is_err();
        }
        if failed { Err(Abort::Reported) } else { Ok(()) }
    }

    fn initial_value(&mut self, init: ExprId, ty: &TensorType) -> Walk<()> {
        if matches!(self.ast[init].kind, ast::ExprKind::Ellipsis) {
            return Ok(());
        }
        let span = self.span(init);
        let outer = self.context.replace(ty.elem.clone());
        let value = self.expr(init);
        self.context = outer;
        match value? {
            Value::Init(_) | Value::Number(_) | Value::Opaque(_) | Value::Error => Ok(()),
            value @ Value::Function(_) => Err(self.uncalled(&value, "an initialiser", span)),
            value => self.conform_tensor(value, ty, span).map(|_| ()),
        }
    }

    fn is_present(&mut self, cond: Option<ExprId>, name: &str) -> Walk<bool> {
        let Some(cond) = cond else { return Ok(true) };
        if self.static_condition(cond)? {
            return Ok(true);
        }
        if let Some(layer) = self.layer {
            self.bind_as(name, Binding::Absent(AbsentMember { layer, name: name.to_string() }));
        }
        Ok(false)
    }

    fn let_member(
        &mut self,
        member: &'db ast::Member,
        binding: &'db ast::Let,
        path: &[Step],
    ) -> Walk<Option<MemberInfo<'db>>> {
        let Pattern::Name(name) = &binding.pattern else {
            let message = "a member of a layer has one name";
            return Err(self.error(code::E0012, message, member.span, "a tuple of names"));
        };
        let name = name.name.clone();
        if !self.is_present(binding.cond, &name)? {
            return Ok(Some(MemberInfo { name, member, kind: MemberInfoKind::Absent, saved: None }));
        }
        let Some(init) = binding.init else {
            return Err(self.error(code::E0404, format!("`{name}` needs a value"), member.span, "no `= ...` here"));
        };
        let spec = match binding.ty {
            Some(ty) => self.resolve_type(ty)?,
            None => TypeSpec::Any,
        };
        let value = self.expr_as(init, &spec)?;
        self.refuse_open_member(&name, &value, member.span)?;
        if let Value::Tensor(tensor) = value {
            // A ternary tensor is a weight, as in existing programs; other tensors are constants.
            let is_weight = tensor.ty.elem.known().is_some_and(DType::is_storage);
            let (path, ty) = (dotted(path, &name), tensor.ty.clone());
            let full = StorageMember { path, ty, scheme: None, assignable: false, value: None };
            self.bind_as(&name, Binding::Storage(Box::new(full)));
            let kind = match is_weight {
                true => MemberInfoKind::Storage {
                    kind: StorageKind::Param,
                    transient: false,
                    ty: tensor.ty,
                    quantization: None,
                    init: Some(init),
                },
                false => MemberInfoKind::Constant { ty: tensor.ty, init },
            };
            let saved = self.saved_name(member, &kind)?;
            return Ok(Some(MemberInfo { name, member, kind, saved }));
        }
        let mut below = path.to_vec();
        below.push(Step::Field(name.clone()));
        let value = self.with_own_values(with_path(value, &below))?;
        self.bind(&name, value.clone());
        let kind = MemberInfoKind::Value(value);
        let saved = self.saved_name(member, &kind)?;
        Ok(Some(MemberInfo { name, member, kind, saved }))
    }

    /// `@quantize(scheme)`, `@quantize(weights=scheme, activations=scheme)`: `None` without one, `Some(None)` for the
    /// scheme `none`.
    pub fn quantize_attribute(&mut self, attributes: &'db [Attribute]) -> Walk<Option<Option<Quantization>>> {
        let Some(attribute) = attributes.iter().find(|a| a.name.name == "quantize") else { return Ok(None) };
        let is_for = |wanted: &str, arg: &ast::Arg| arg.name.as_ref().is_some_and(|name| name.name == wanted);
        let Some(arg) = attribute.args.iter().find(|arg| arg.name.is_none() || is_for("weights", arg)) else {
            let message = "`@quantize` needs a scheme";
            return Err(self.error(code::E0501, message, attribute.span, "for example `@quantize(ternary(axis=0))`"));
        };
        let value = self.expr(arg.value)?;
        let weights = self.scheme_of(value, arg.span)?;
        let activations = match attribute.args.iter().find(|arg| is_for("activations", arg)) {
            Some(arg) => self.activation_scheme(arg)?,
            None => None,
        };
        Ok(Some(weights.map(|weights| Quantization { weights, activations })))
    }

    fn activation_scheme(&mut self, arg: &'db ast::Arg) -> Walk<Option<Scheme>> {
        let value = self.expr(arg.value)?;
        let scheme = self.scheme_of(value, arg.span)?;
        match scheme.as_ref().and_then(Scheme::problem_for_activations) {
            Some(problem) => Err(self.error(code::E0501, problem, arg.span, "not for activations")),
            None => Ok(scheme),
        }
    }

    /// Checks what is before the layer and its sublayers: lowering hands it to the parameters within.
    pub fn quantize_attributes(&mut self, layer: LayerRef<'db>) -> Walk<()> {
        let lets = layer.decl.members.iter().filter(|member| matches!(member.kind, MemberKind::Let(_)));
        let all = std::iter::once(layer.attributes).chain(lets.map(|member| &member.attributes[..]));
        let mut result = Ok(());
        for attributes in all {
            result = self.quantize_attribute(attributes).map(|_| ()).and(result);
        }
        result
    }

    /// A member of another instance, over this scope's symbols.
    pub fn member_of(&mut self, instance: &Instance<'db>, name: &str, span: Span) -> Walk<Option<Binding<'db>>> {
        Ok(self.read_members(instance, span)?.members.get(name).cloned())
    }

    /// What lowering would know of the members of another instance; none where a definition leaves them open.
    pub(super) fn member_infos(&mut self, instance: &Instance<'db>, span: Span) -> Walk<Vec<MemberInfo<'db>>> {
        Ok(self.read_members(instance, span)?.infos.clone())
    }

    fn read_members(&mut self, instance: &Instance<'db>, span: Span) -> Walk<&ReadMembers<'db>> {
        let layer = self.seen_layer(instance.layer);
        let path = instance.path.clone().unwrap_or_default();
        for step in &path {
            // A part is named by its path, so a position in it must be known.
            if let Step::Index(dim) = step {
                self.known_int(dim)?;
            }
        }
        let known = self.read.iter().position(|read| read.instance == *instance && read.facts == self.facts);
        if let Some(known) = known {
            return Ok(&self.read[known]);
        }
        let reports = self.reports.len();
        let db = self.db;
        // Members are evaluated for their types alone: what they compute was computed at construction.
        let mut discard = Discard::like(self.world.specialises(), self.world.training());
        let mut inner = Elaborator::new(db, &mut discard, layer.item, layer.ast);
        inner.facts = self.facts.clone();
        inner.decisions = std::mem::take(&mut self.decisions);
        inner.expandable = self.expandable.clone();
        inner.depth = self.depth + 1;
        inner.fuel = self.fuel;
        inner.enter_layer(layer, instance.clone());
        let result = inner.assume_wheres(&layer.decl.wheres).and_then(|()| inner.members(layer, &path));
        let members = inner.scopes.pop().unwrap_or_default();
        self.decisions = std::mem::take(&mut inner.decisions);
        self.fuel = inner.fuel;
        let inner_reports = std::mem::take(&mut inner.reports);
        let infos = match result {
            Err(demand @ Abort::Demand(_)) => return Err(demand),
            Err(Abort::Reported) if self.world.specialises() => {
                self.reports.extend(inner_reports);
                self.blame_call(reports, span);
                return Err(Abort::Reported);
            }
            result => result.unwrap_or_default(),
        };
        self.read.push(ReadMembers { instance: instance.clone(), facts: self.facts.clone(), members, infos });
        Ok(&self.read[self.read.len() - 1])
    }

    /// Puts an instance's hyperparameters and type arguments in scope.
    pub fn enter_layer(&mut self, layer: LayerRef<'db>, instance: Instance<'db>) {
        self.bind_layer_elems(layer, &instance.elems);
        for (name, value) in &instance.hypers {
            self.bind(name, value.clone());
        }
        self.assume_sizes(layer);
        self.layer = Some(layer);
        self.instance = Some(instance);
    }

    /// Binds the members of a layer whose signatures name some of them (`const half = dim // 2`).
    pub fn members_of_types(&mut self, layer: LayerRef<'db>, instance: &Instance<'db>) -> Walk<()> {
        let names: Vec<&str> = layer
            .decl
            .members
            .iter()
            .filter(|member| {
                matches!(member.kind, MemberKind::Let(_) | MemberKind::Const { .. } | MemberKind::TypeAlias { .. })
            })
            .filter_map(member_name)
            .collect();
        let named = layer.ast.types.iter().any(|ty| match &ty.kind {
            ast::TypeKind::Tensor { dims, .. } => dims.iter().any(|dim| match dim {
                ast::DimItem::Expr(expr) => names_any(layer.ast, *expr, &names),
                _ => false,
            }),
            _ => false,
        });
        if !named {
            return Ok(());
        }
        let (reports, obligations) = (self.reports.len(), self.obligations.len());
        let path = instance.path.clone().unwrap_or_default();
        let result = self.members(layer, &path);
        // What is wrong with a member is reported where it is checked.
        self.obligations.truncate(obligations);
        match result {
            Err(demand @ Abort::Demand(_)) => Err(demand),
            _ => {
                self.reports.truncate(reports);
                Ok(())
            }
        }
    }

    /// A hyperparameter that stands as a dim of a type is a size: never negative.
    fn assume_sizes(&mut self, layer: LayerRef<'db>) {
        for ty in &layer.ast.types {
            let ast::TypeKind::Tensor { dims, .. } = &ty.kind else { continue };
            for dim in dims {
                let ast::DimItem::Expr(expr) = dim else { continue };
                if let ast::ExprKind::Name(name) = &layer.ast[*expr].kind
                    && let Some(Binding::Value(Value::Number(HostExpr::Int(size)))) = self.local(name)
                    && size.as_symbol().is_some()
                {
                    let size = size.clone();
                    self.facts.assume_at_least(&size, &Dim::zero());
                }
            }
        }
    }
}

/// A path in the spelling of weights files.
pub fn dotted(path: &[Step], name: &str) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Field(name) => text.push_str(name),
            Step::Index(dim) => text.push_str(&dim.to_string()),
        }
        text.push('.');
    }
    text.push_str(name);
    text
}

/// Whether a dim's expression mentions one of the names.
fn names_any(ast: &ast::Ast, expr: ExprId, names: &[&str]) -> bool {
    match &ast[expr].kind {
        ast::ExprKind::Name(name) => names.contains(&name.as_str()),
        ast::ExprKind::Binary { lhs, rhs, .. } => names_any(ast, *lhs, names) || names_any(ast, *rhs, names),
        ast::ExprKind::Unary { operand, .. } => names_any(ast, *operand, names),
        ast::ExprKind::Int(_) => false,
        // `len(blocks)`, `widths[0]`, `part.size`
        _ => true,
    }
}
