//! Layers: making instances, and what an instance holds.

use crate::analysis::db::Report;
use crate::analysis::elaborate::arguments::CallArg;
use crate::analysis::elaborate::names::{full_layer, nested_layers, with_path};
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{Binding, Elaborator, StorageMember};
use crate::analysis::value::{Cond, Function, Instance, LayerRef, Opaque, OpaqueKind, Step, Value};
use crate::analysis::world::{Abort, Discard, Walk};
use crate::base::{Span, code};
use crate::quant::Scheme;
use crate::syntax::ast::{self, Attribute, ExprId, MemberKind, Pattern, StorageKind};
use crate::types::{DType, Dim, Elem, HostExpr, Symbol, TensorType};

/// A member of an instance, as lowering needs it.
#[derive(Clone, Debug)]
pub struct MemberInfo<'db> {
    pub name: String,
    pub member: &'db ast::Member,
    pub kind: MemberInfoKind<'db>,
}

#[derive(Clone, Debug)]
pub enum MemberInfoKind<'db> {
    Storage {
        kind: StorageKind,
        transient: bool,
        ty: TensorType,
        scheme: Option<Scheme>,
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

impl<'db> Elaborator<'_, 'db> {
    /// Calls a layer: an instance with these hyperparameters.
    pub fn make_instance(
        &mut self,
        layer: LayerRef<'db>,
        elems: Vec<Elem>,
        args: Vec<CallArg<'db>>,
        passes_hypers: bool,
        span: Span,
    ) -> Walk<Value<'db>> {
        let name = &layer.decl.name.name;
        if !self.makes_layers {
            let place = self.place(span);
            let report = Report::new(code::E0401, format!("an instance of `{name}` cannot be made here"))
                .at(place, "inside code that runs with each call")
                .note("make it in a `let` of the layer, so that its parameters belong to it");
            return Err(self.fail(report));
        }
        let mut bound = self.bind_arguments(name, &layer.decl.params, args)?;
        if passes_hypers && let Some(own) = self.instance.clone() {
            for (slot, param) in bound.iter_mut().zip(&layer.decl.params) {
                if slot.is_none()
                    && let Some(value) = own.hyper(&param.name.name)
                {
                    *slot = Some(CallArg::positional(value.clone(), span));
                }
            }
        }
        let elems = self.layer_elems(layer, elems, span)?;
        let reports = self.reports.len();
        let caller = (self.item, span);
        let result = self.nested(layer.item, layer.ast, |inner| {
            inner.bind_layer_elems(layer, &elems);
            inner.makes_layers = true;
            let mut hypers = vec![];
            for (param, arg) in layer.decl.params.iter().zip(bound) {
                let value = inner.hyper_value(layer, param, arg, caller)?;
                inner.bind(&param.name.name, value.clone());
                hypers.push((param.name.name.clone(), value));
            }
            inner.check_wheres(layer, caller)?;
            Ok(hypers)
        });
        let hypers = result.inspect_err(|_| self.blame_call(reports, span))?;
        Ok(Value::Instance(Box::new(Instance { layer, elems, hypers, path: None })))
    }

    /// Reports that came out of a callee's signature point at the call.
    pub fn blame_call(&mut self, from: usize, span: Span) {
        let place = self.place(span);
        for report in &mut self.reports[from..] {
            // Interfaces have no spans of their own: whatever points into one is shown at the call.
            let mut here = false;
            report.labels.retain(|label| label.place.item == place.item || label.place.span != Span::default());
            for label in &report.labels {
                here |= label.primary;
            }
            if !here {
                report.labels.push(crate::analysis::db::ReportLabel { place, text: String::new(), primary: true });
            }
        }
    }

    fn layer_elems(&mut self, layer: LayerRef<'db>, given: Vec<Elem>, span: Span) -> Walk<Vec<Elem>> {
        let params = &layer.decl.type_params;
        if given.len() > params.len() {
            let message = format!("`{}` takes {} type arguments", layer.decl.name.name, params.len());
            return Err(self.error(code::E0203, message, span, format!("{} are given", given.len())));
        }
        let mut elems = given;
        while elems.len() < params.len() {
            elems.push(Elem::Known(DType::Float32));
        }
        for (elem, param) in elems.iter().zip(params) {
            let bound = param.bound.as_ref().and_then(|b| crate::types::Bound::parse(&b.name));
            let bound = bound.unwrap_or(crate::types::Bound::Any);
            let fits = match elem {
                Elem::Known(dtype) => bound.admits(*dtype),
                Elem::Var(_, own) => bound.includes(*own),
            };
            if !fits {
                let message =
                    format!("`{}` of `{}` must be {bound}, not {elem}", param.name.name, layer.decl.name.name);
                return Err(self.error(code::E0201, message, span, ""));
            }
        }
        Ok(elems)
    }

    pub fn bind_layer_elems(&mut self, layer: LayerRef<'db>, elems: &[Elem]) {
        for (param, elem) in layer.decl.type_params.iter().zip(elems) {
            self.elems.insert(param.name.name.clone(), elem.clone());
        }
    }

    fn hyper_value(
        &mut self,
        layer: LayerRef<'db>,
        param: &'db ast::Param,
        arg: Option<CallArg<'db>>,
        caller: (crate::analysis::db::Item<'db>, Span),
    ) -> Walk<Value<'db>> {
        let name = &param.name.name;
        let spec = match param.ty {
            Some(ty) => self.resolve_type(ty)?,
            None => TypeSpec::Any,
        };
        let Some(arg) = arg else {
            return match param.default {
                Some(default) => self.expr_as(default, &spec),
                None => {
                    let place = crate::analysis::db::Place { item: caller.0, span: caller.1 };
                    let message = format!("`{}` needs `{name}`", layer.decl.name.name);
                    let report = Report::new(code::E0402, message).at(place, format!("`{name}` is missing"));
                    Err(self.fail(report))
                }
            };
        };
        let spec = match (&spec, param.default) {
            // Without a type it takes its default's.
            (TypeSpec::Any, Some(default)) => spec_like(&self.expr(default)?),
            _ => spec,
        };
        let place = crate::analysis::db::Place { item: caller.0, span: arg.span };
        if !fits_host(&spec, &arg.value) {
            let message = format!(
                "`{name}` of `{}` must be {}, not {}",
                layer.decl.name.name,
                spec.describe(),
                arg.value.describe()
            );
            let report = Report::new(code::E0201, message).at(place, format!("this is {}", arg.value.describe()));
            return Err(self.fail(report));
        }
        self.conform(arg.value, &spec, arg.span)
    }

    /// `where` facts of a layer at a call: proved, refused, or left for when sizes are known.
    fn check_wheres(&mut self, layer: LayerRef<'db>, caller: (crate::analysis::db::Item<'db>, Span)) -> Walk<()> {
        for (index, expr) in layer.decl.wheres.iter().enumerate() {
            let Value::Bool(cond) = self.expr(*expr)? else { continue };
            let place = crate::analysis::db::Place { item: caller.0, span: caller.1 };
            let name = &layer.decl.name.name;
            let reports = self.reports.len();
            let checked = self.check_where(name, &cond, place, |db| {
                let full = full_layer(db, layer);
                source_of(db, full.item, full.ast, full.decl.wheres.get(index).copied())
            });
            if checked.is_err() {
                let values: Vec<String> =
                    layer.decl.params.iter().filter_map(|p| self.known_value(&p.name.name)).collect();
                for report in &mut self.reports[reports..] {
                    report.notes.push(format!("here {}", values.join(", ")));
                }
            }
            checked?;
        }
        Ok(())
    }

    /// `dim = 64`, for a name that stands for a number.
    fn known_value(&self, name: &str) -> Option<String> {
        match self.local(name)? {
            Binding::Value(Value::Number(number)) => Some(format!("{name} = {number}")),
            _ => None,
        }
    }

    /// One `where` fact at a call; `text` gives it as it is written.
    pub fn check_where(
        &mut self,
        callee: &str,
        cond: &Cond,
        place: crate::analysis::db::Place<'db>,
        text: impl FnOnce(&'db dyn salsa::Database) -> String,
    ) -> Walk<()> {
        match self.truth(cond) {
            Some(true) => Ok(()),
            Some(false) => {
                let message = format!("`{callee}` needs `{}`, which does not hold here", text(self.db));
                let report = Report::new(code::E0403, message).at(place, "required by this call");
                Err(self.fail(report))
            }
            None => {
                let message = format!("`{callee}` needs {cond}");
                if let Some(obligation) = super::function::obligation_of(cond, message) {
                    self.obligations.push((obligation, place));
                }
                Ok(())
            }
        }
    }

    /// A hyperparameter of a definition that is walked on its own: a symbol, or something opaque.
    pub fn open_hyper(&mut self, param: &'db ast::Param) -> Walk<Value<'db>> {
        let name = &param.name.name;
        let spec = match param.ty {
            Some(ty) => self.resolve_type(ty)?,
            None => TypeSpec::Any,
        };
        let spec = match (spec, param.default) {
            (TypeSpec::Any, Some(default)) => {
                let value = self.expr(default)?;
                match spec_like(&value) {
                    // A callable: any of its signature fits, so its default speaks for all.
                    TypeSpec::Any => return Ok(value),
                    spec => spec,
                }
            }
            (TypeSpec::Any, None) => {
                let message = format!("`{name}` needs a type or a default");
                return Err(self.error(code::E0208, message, param.name.span, "nothing says what it is"));
            }
            (spec, _) => spec,
        };
        let place = self.place(param.name.span);
        let opaque = |kind| Value::Opaque(Opaque { name: name.clone(), kind });
        Ok(match spec {
            TypeSpec::Int => {
                let symbol = Symbol::new(name);
                self.origins.insert(symbol.clone(), place);
                Value::dim(Dim::symbol(name))
            }
            TypeSpec::Float => Value::Number(HostExpr::FloatSymbol(Symbol::new(name))),
            TypeSpec::Bool => Value::Bool(Cond::Opaque(name.clone())),
            TypeSpec::Str => opaque(OpaqueKind::Str),
            TypeSpec::DType => Value::DType(Elem::Var(Symbol::new(name), crate::types::Bound::Any)),
            TypeSpec::Scheme => match param.default {
                Some(default) => self.expr(default)?,
                None => opaque(OpaqueKind::Scheme),
            },
            TypeSpec::Init => opaque(OpaqueKind::Init),
            TypeSpec::List(_) | TypeSpec::Tuple(_) => opaque(OpaqueKind::List),
            TypeSpec::Layer(layer) => {
                // An instance given from outside: its own hyperparameters are not known here.
                let hypers = layer.decl.params.iter().map(|p| (p.name.name.clone(), Value::Error)).collect();
                let elems = vec![Elem::Known(DType::Float32); layer.decl.type_params.len()];
                Value::Instance(Box::new(Instance { layer, elems, hypers, path: None }))
            }
            TypeSpec::Tensor(ty) => {
                let message = format!("a hyperparameter is a host value, not a tensor {ty}");
                return Err(self.error(code::E0201, message, param.name.span, "a tensor type"));
            }
            TypeSpec::Any => Value::Error,
        })
    }

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
                Ok(Some(MemberInfo { name: name.name.clone(), member, kind }))
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
            return Ok(MemberInfo { name, member, kind: MemberInfoKind::Absent });
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
        let scheme = self.quantize_attribute(&member.attributes)?;
        if let Some(scheme) = &scheme {
            self.check_scheme(scheme, &ty, storage.name.span, &member.attributes)?;
        }
        let assignable = storage.kind == StorageKind::State;
        let full = StorageMember { path: dotted(path, &name), ty: ty.clone(), scheme: scheme.clone(), assignable };
        self.bind_as(&name, Binding::Storage(Box::new(full)));
        let transient = member.attributes.iter().any(|a| a.name.name == "transient");
        let init = storage.init;
        let kind = MemberInfoKind::Storage { kind: storage.kind, transient, ty, scheme, init };
        Ok(MemberInfo { name, member, kind })
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
            value => self.conform_tensor(value, ty, span).map(|_| ()),
        }
    }

    fn is_present(&mut self, cond: Option<ExprId>, name: &str) -> Walk<bool> {
        let Some(cond) = cond else { return Ok(true) };
        if self.static_condition(cond)? {
            return Ok(true);
        }
        let span = self.span(cond);
        let condition = self.item.text(self.db).get(span.start as usize..span.end as usize).unwrap_or("").to_string();
        self.bind_as(name, Binding::Absent { condition });
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
            return Ok(Some(MemberInfo { name, member, kind: MemberInfoKind::Absent }));
        }
        let Some(init) = binding.init else {
            return Err(self.error(code::E0404, format!("`{name}` needs a value"), member.span, "no `= ...` here"));
        };
        let spec = match binding.ty {
            Some(ty) => self.resolve_type(ty)?,
            None => TypeSpec::Any,
        };
        let value = self.expr_as(init, &spec)?;
        if let Value::Tensor(tensor) = value {
            // A ternary tensor is a weight, as in existing programs; other tensors are constants.
            let is_weight = tensor.ty.elem.known().is_some_and(DType::is_storage);
            let full =
                StorageMember { path: dotted(path, &name), ty: tensor.ty.clone(), scheme: None, assignable: false };
            self.bind_as(&name, Binding::Storage(Box::new(full)));
            let kind = match is_weight {
                true => MemberInfoKind::Storage {
                    kind: StorageKind::Param,
                    transient: false,
                    ty: tensor.ty,
                    scheme: None,
                    init: Some(init),
                },
                false => MemberInfoKind::Constant { ty: tensor.ty, init },
            };
            return Ok(Some(MemberInfo { name, member, kind }));
        }
        let mut below = path.to_vec();
        below.push(Step::Field(name.clone()));
        let value = with_path(value, &below);
        self.bind(&name, value.clone());
        Ok(Some(MemberInfo { name, member, kind: MemberInfoKind::Value(value) }))
    }

    /// `@quantize(scheme)` of a parameter.
    fn quantize_attribute(&mut self, attributes: &'db [Attribute]) -> Walk<Option<Scheme>> {
        let Some(attribute) = attributes.iter().find(|a| a.name.name == "quantize") else { return Ok(None) };
        let weights = attribute.args.iter().find(|arg| match &arg.name {
            None => true,
            Some(name) => name.name == "weights",
        });
        let Some(arg) = weights else {
            let message = "`@quantize` of a parameter needs a scheme";
            return Err(self.error(code::E0501, message, attribute.span, "for example `@quantize(ternary(axis=0))`"));
        };
        let span = arg.span;
        match self.expr(arg.value)? {
            Value::Scheme(scheme) => Ok(Some(scheme)),
            Value::None => Ok(None),
            Value::DType(Elem::Known(DType::Int8)) => Ok(Some(Scheme::int(8))),
            Value::DType(Elem::Known(DType::Int4)) => Ok(Some(Scheme::int(4))),
            Value::Function(Function::Builtin("ternary")) => Ok(Some(Scheme::ternary())),
            Value::Opaque(_) | Value::Error => Ok(None),
            other => {
                let message = format!("a quantisation scheme is needed here, not {}", other.describe());
                Err(self.error(code::E0501, message, span, "not a scheme"))
            }
        }
    }

    /// A member of another instance, over this scope's symbols.
    pub fn member_of(&mut self, instance: &Instance<'db>, name: &str, span: Span) -> Walk<Option<Binding<'db>>> {
        let layer = full_layer(self.db, instance.layer);
        let path = instance.path.clone().unwrap_or_default();
        for step in &path {
            // A part is named by its path, so a position in it must be known.
            if let Step::Index(dim) = step {
                self.known_int(dim)?;
            }
        }
        let reports = self.reports.len();
        let own = instance.clone();
        let db = self.db;
        // Members are evaluated for their types alone: what they compute was computed at construction.
        let mut discard = Discard::like(self.world.specialises(), self.world.training());
        let mut inner = Elaborator::new(db, &mut discard, layer.item, layer.ast);
        inner.facts = self.facts.clone();
        inner.decisions = std::mem::take(&mut self.decisions);
        inner.expandable = self.expandable.clone();
        inner.depth = self.depth + 1;
        inner.fuel = self.fuel;
        inner.enter_layer(layer, own);
        let result = inner.members(layer, &path);
        let found = inner.local(name).cloned();
        self.decisions = std::mem::take(&mut inner.decisions);
        self.fuel = inner.fuel;
        let inner_reports = std::mem::take(&mut inner.reports);
        match result {
            Err(demand @ Abort::Demand(_)) => Err(demand),
            Err(Abort::Reported) if self.world.specialises() => {
                self.reports.extend(inner_reports);
                self.blame_call(reports, span);
                Err(Abort::Reported)
            }
            _ => Ok(found),
        }
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

/// An expression as it is written.
pub fn source_of<'db>(
    db: &'db dyn salsa::Database,
    item: crate::analysis::db::Item<'db>,
    ast: &ast::Ast,
    expr: Option<ExprId>,
) -> String {
    let span = expr.map(|expr| ast[expr].span).unwrap_or_default();
    item.text(db).get(span.start as usize..span.end as usize).unwrap_or("").to_string()
}

/// The type that a default gives to an untyped hyperparameter; `Any` for callables.
fn spec_like<'db>(value: &Value<'db>) -> TypeSpec<'db> {
    match value {
        Value::Number(number) if number.is_int() => TypeSpec::Int,
        Value::Number(_) => TypeSpec::Float,
        Value::Bool(_) => TypeSpec::Bool,
        Value::Str(_) => TypeSpec::Str,
        Value::DType(_) => TypeSpec::DType,
        Value::Scheme(_) => TypeSpec::Scheme,
        Value::Init(_) => TypeSpec::Init,
        _ => TypeSpec::Any,
    }
}

/// Whether a host value can be given for a hyperparameter of this type.
fn fits_host(spec: &TypeSpec<'_>, value: &Value<'_>) -> bool {
    match (spec, value) {
        (_, Value::Error | Value::Opaque(_)) | (TypeSpec::Any, _) => true,
        (TypeSpec::Int, Value::Number(number)) => number.is_int(),
        (TypeSpec::Float, Value::Number(_))
        | (TypeSpec::Bool, Value::Bool(_))
        | (TypeSpec::Str, Value::Str(_))
        | (TypeSpec::DType, Value::DType(_))
        | (TypeSpec::Scheme, Value::Scheme(_))
        | (TypeSpec::Init, Value::Init(_) | Value::Number(_))
        | (TypeSpec::List(_), Value::List(_) | Value::Shape(_))
        | (TypeSpec::Tuple(_), Value::Tuple(_))
        | (TypeSpec::Layer(_), Value::Instance(_)) => true,
        _ => false,
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
