//! Names in value position.

use crate::analysis::db::{Item, Report, interface, parse_item};
use crate::analysis::elaborate::{Binding, Elaborator, builtins};
use crate::analysis::modules::{self, Named};
use crate::analysis::value::{FnRef, Function, LayerRef, TensorValue, Value};
use crate::analysis::world::{Abort, Leaf, Walk};
use crate::base::{Span, code, suggest};
use crate::ops;
use crate::quant::Part;
use crate::syntax::ast::{Ast, FnDecl, ItemKind, LayerDecl, MemberKind, StorageKind};
use crate::types::{DType, TensorType};

impl<'db> Elaborator<'_, 'db> {
    /// The value of a name: locals and members, the file's names, what it uses, the implicit modules,
    /// operations, the language's own functions.
    pub fn name(&mut self, name: &str, span: Span) -> Walk<Value<'db>> {
        match self.local(name).cloned() {
            Some(Binding::Value(value)) => return Ok(value),
            Some(Binding::Storage(member)) => return self.read_storage(&member, span),
            Some(Binding::Absent(member)) => {
                let condition = member.condition(self.db);
                let message = format!("`{name}` exists only if {condition}");
                let place = self.place(span);
                let report = Report::new(code::E0403, message)
                    .at(place, "used where that is not known to hold")
                    .note(format!("use it inside `if {condition} {{ ... }}`"));
                return Err(self.fail(report));
            }
            None => {}
        }
        if let Some(elem) = self.elems.get(name) {
            return Ok(Value::DType(elem.clone()));
        }
        let db = self.db;
        match modules::lookup(db, self.file, name) {
            Some(Named::Item(item)) => return self.item_value(item, name, span),
            Some(Named::Module(file)) => return Ok(Value::Module(file)),
            Some(Named::Missing) => return Ok(Value::Error),
            None => {}
        }
        if let Some(item) = modules::implicit(db, name) {
            return self.item_value(item, name, span);
        }
        if let Some(value) = builtins::lookup(name, self.world.training()) {
            return Ok(value);
        }
        if let Some(op) = ops::find(name) {
            return Ok(Value::Function(Function::Op(op)));
        }
        if name == "rng" {
            return Ok(self.rng(span));
        }
        Err(self.unknown_name(name, span))
    }

    /// A seed of this call site.
    pub fn rng(&mut self, span: Span) -> Value<'db> {
        let ty = TensorType::scalar(DType::Int64);
        let place = self.place(span);
        let values = self.world.leaf(Leaf::Rng, &[], std::slice::from_ref(&ty), place);
        Value::Tensor(TensorValue { ty, value: values[0] })
    }

    pub fn unknown_name(&mut self, name: &str, span: Span) -> Abort {
        let db = self.db;
        if self.misspelt_import(name) {
            return Abort::Reported;
        }
        let mut candidates: Vec<String> = self.scopes.iter().flat_map(|s| s.keys().cloned()).collect();
        candidates.extend(modules::scope(db, self.file).keys().cloned());
        candidates.extend(modules::implicit_names(db).into_iter().map(String::from));
        candidates.extend(ops::all().map(|op| op.name().to_string()));
        candidates.extend(builtins::NAMES.iter().map(|n| n.to_string()));
        candidates.extend(["true", "false", "None"].map(String::from));
        candidates.extend(DType::ALL.iter().map(|dtype| dtype.name().to_string()));
        let place = self.place(span);
        let report = Report::new(code::E0101, format!("unknown name `{name}`")).at(place, "not found here");
        if let Some(told) = self.outer_name(&report, name).or_else(|| self.foreign_name(&report, name, span)) {
            return self.fail(told);
        }
        let mut report = report;
        if let Some(module) = modules::library_module_with(db, name) {
            report = self.import_it(report.note("the standard library has it"), module, name, span);
        } else if let Some(near) = suggest::nearest(name, candidates.iter().map(String::as_str)) {
            report = self.rename(report, span, name, near);
        }
        // One mistake, one message: further uses in this body are of a name that is known to be missing.
        if let Some(scope) = self.scopes.first_mut() {
            scope.insert(name.to_string(), Binding::Value(Value::Error));
        }
        self.fail(report)
    }

    /// Whether an import that was not found was meant to bring this name in; it is reported where it stands.
    pub fn misspelt_import(&self, name: &str) -> bool {
        let scope = modules::scope(self.db, self.file);
        let missing = scope.iter().filter(|(_, named)| **named == Named::Missing);
        suggest::closest(name, missing.map(|(missing, _)| missing.as_str())).is_some()
    }

    /// Reads a stored member. Where it is quantised, the value is what the codes stand for.
    pub fn read_storage(&mut self, member: &crate::analysis::elaborate::StorageMember, span: Span) -> Walk<Value<'db>> {
        let Some(scheme) = &member.scheme else { return Ok(self.master(member, span)) };
        let scheme = scheme.clone();
        let quantize = ops::builtin("quantize");
        let attrs = ops::Attrs::new().with("scheme", ops::Attr::Scheme(scheme.clone()));
        let parts = if self.world.training() == Some(false) {
            // The types of the parts are those of quantising the declared type.
            let types = self.rule(quantize, std::slice::from_ref(&member.ty), &attrs, &[span], span)?;
            let parts = types.iter().zip(Part::QUANTISED);
            parts.map(|(ty, part)| self.read_part(&member.path, part, ty, span)).collect()
        } else {
            let master = self.master(member, span);
            let Value::Tensor(master) = master else { return Ok(Value::Error) };
            let mut operands = vec![master];
            if scheme.is_stochastic()
                && let Value::Tensor(seed) = self.rng(span)
            {
                operands.push(seed);
            }
            self.emit(quantize, operands, attrs, &[span, span], span)?
        };
        let operands: Vec<TensorValue> = parts.iter().filter_map(|v| v.as_tensor().cloned()).collect();
        let spans = vec![span; operands.len()];
        let attrs = ops::Attrs::new()
            .with("scheme", ops::Attr::Scheme(scheme))
            .with("dtype", ops::Attr::DType(member.ty.elem.clone()));
        let values = self.emit(ops::builtin("dequantize"), operands, attrs, &spans, span)?;
        Ok(values.into_iter().next().unwrap_or(Value::Error))
    }

    /// The value of a stored member itself, or what stands in its place.
    pub(super) fn master(&mut self, member: &crate::analysis::elaborate::StorageMember, span: Span) -> Value<'db> {
        match &member.value {
            Some(value) => Value::Tensor(value.clone()),
            None => self.read_part(&member.path, Part::Value, &member.ty, span),
        }
    }

    fn read_part(&mut self, path: &str, part: Part, ty: &TensorType, span: Span) -> Value<'db> {
        let place = self.place(span);
        let leaf = Leaf::Param { name: path.to_string(), part };
        let values = self.world.leaf(leaf, &[], std::slice::from_ref(ty), place);
        Value::Tensor(TensorValue { ty: ty.clone(), value: values[0] })
    }

    /// What an item is as a value.
    pub fn item_value(&mut self, item: Item<'db>, name: &str, span: Span) -> Walk<Value<'db>> {
        // Inside the item itself its own tree is at hand, spans included.
        let ast = if item == self.item { self.ast } else { interface(self.db, item) };
        match &ast.item.kind {
            ItemKind::Fn(decl) => Ok(Value::Function(Function::User(fn_ref(item, ast, decl)))),
            ItemKind::Layer(decl) => Ok(Value::Layer(layer_ref(item, ast, decl), vec![])),
            ItemKind::Const { .. } | ItemKind::Let(_) => self.constant_item(item, name, span),
            ItemKind::TypeAlias { .. } => {
                Err(self.error(code::E0201, format!("`{name}` is a type, not a value"), span, "used as a value"))
            }
            ItemKind::Use(_) | ItemKind::Test { .. } | ItemKind::Stmt(_) | ItemKind::Error => Ok(Value::Error),
        }
    }

    /// The value of a top-level `const` or `let`, walked where it stands.
    fn constant_item(&mut self, item: Item<'db>, name: &str, span: Span) -> Walk<Value<'db>> {
        if self.pending.contains(&item) || item == self.item {
            self.cyclic = true;
            let message = format!("`{name}` is defined in terms of itself");
            return Err(self.error(code::E0404, message, span, "used in its own definition"));
        }
        // What is wrong with it is told there, so a check needs no places in it.
        let ast = match self.world.specialises() {
            true => &parse_item(self.db, item).ast,
            false => interface(self.db, item),
        };
        let (ty, value) = match &ast.item.kind {
            ItemKind::Const { ty, value, .. } => (*ty, Some(*value)),
            ItemKind::Let(binding) => (binding.ty, binding.init),
            _ => (None, None),
        };
        let Some(expr) = value else { return Ok(Value::Error) };
        let adopts = self.adopts;
        let reports_before = self.reports.len();
        let mut pending = self.pending.clone();
        pending.push(item);
        pending.push(self.item);
        let result = self.nested(item, ast, span, |inner| {
            inner.pending = pending;
            inner.makes_layers = true;
            let value = match ty {
                Some(ty) => {
                    let spec = inner.resolve_type(ty)?;
                    inner.expr_as(expr, &spec)?
                }
                None => inner.expr(expr)?,
            };
            match adopts && value.has_instance() {
                true => inner.adopt(name, value, span),
                false => Ok(value),
            }
        });
        // What is wrong there is reported there.
        match result {
            Err(crate::analysis::world::Abort::Reported) if !self.world.specialises() => {
                self.reports.truncate(reports_before);
                Ok(Value::Error)
            }
            other => other,
        }
    }

    /// Gives the instances in a value a place in the program being run.
    pub fn adopt(&mut self, hint: &str, value: Value<'db>, span: Span) -> Walk<Value<'db>> {
        let place = self.place(span);
        match self.world.adopt(hint, &value, place) {
            Ok(path) => Ok(with_path(value, &path)),
            Err((abort, reports)) => {
                self.reports.extend(reports.into_iter().map(|report| report.also(place, "made here")));
                Err(abort)
            }
        }
    }

    /// A layer as this walk may see it: of another item, checking sees the interface only.
    pub fn seen_layer(&self, layer: LayerRef<'db>) -> LayerRef<'db> {
        match self.world.specialises() || layer.item == self.item {
            true => full_layer(self.db, layer),
            false => layer_in(layer, interface(self.db, layer.item)),
        }
    }

    /// The full tree of a function whose reference may come from an interface.
    pub fn full_fn(&self, function: FnRef<'db>) -> FnRef<'db> {
        full_fn(self.db, function)
    }
}

/// A function whose tree has bodies and spans.
pub fn full_fn<'db>(db: &'db dyn salsa::Database, function: FnRef<'db>) -> FnRef<'db> {
    let ast = &parse_item(db, function.item).ast;
    match (function.layer, &ast.item.kind) {
        (None, ItemKind::Fn(decl)) => fn_ref(function.item, ast, decl),
        (Some(layer), _) => {
            let layer = full_layer(db, layer);
            methods(layer).find(|m| m.decl.name.name == function.decl.name.name).unwrap_or(function)
        }
        _ => function,
    }
}

/// A layer whose tree has bodies and spans.
pub fn full_layer<'db>(db: &'db dyn salsa::Database, layer: LayerRef<'db>) -> LayerRef<'db> {
    layer_in(layer, &parse_item(db, layer.item).ast)
}

/// The same layer in another tree of its item.
fn layer_in<'db>(layer: LayerRef<'db>, ast: &'db Ast) -> LayerRef<'db> {
    let ItemKind::Layer(top) = &ast.item.kind else { return layer };
    find_layer(layer_ref(layer.item, ast, top), &layer.decl.name.name).unwrap_or(layer)
}

fn find_layer<'db>(top: LayerRef<'db>, name: &str) -> Option<LayerRef<'db>> {
    if top.decl.name.name == name {
        return Some(top);
    }
    nested_layers(top).find_map(|inner| find_layer(inner, name))
}

/// Layers declared inside a layer.
pub fn nested_layers<'db>(layer: LayerRef<'db>) -> impl Iterator<Item = LayerRef<'db>> {
    layer.decl.members.iter().filter_map(move |member| match &member.kind {
        MemberKind::Layer(decl) => {
            Some(LayerRef { decl, attributes: &member.attributes, doc: member.doc.as_deref(), ..layer })
        }
        _ => None,
    })
}

/// The methods of a layer.
pub fn methods<'db>(layer: LayerRef<'db>) -> impl Iterator<Item = FnRef<'db>> {
    layer.decl.members.iter().filter_map(move |member| match &member.kind {
        MemberKind::Fn(decl) => Some(FnRef {
            item: layer.item,
            ast: layer.ast,
            decl,
            layer: Some(layer),
            attributes: &member.attributes,
            doc: member.doc.as_deref(),
        }),
        _ => None,
    })
}

pub fn fn_ref<'db>(item: Item<'db>, ast: &'db Ast, decl: &'db FnDecl) -> FnRef<'db> {
    let (attributes, doc) = (&ast.item.attributes, ast.item.doc.as_deref());
    FnRef { item, ast, decl, layer: None, attributes, doc }
}

pub fn layer_ref<'db>(item: Item<'db>, ast: &'db Ast, decl: &'db LayerDecl) -> LayerRef<'db> {
    LayerRef { item, ast, decl, attributes: &ast.item.attributes, doc: ast.item.doc.as_deref() }
}

/// How many elements a list has.
pub fn list_length(value: &Value<'_>) -> Option<crate::types::Dim> {
    use crate::analysis::value::List;
    use crate::types::Dim;
    match value {
        Value::List(List::Items(items)) => Some(Dim::constant(items.len() as i64)),
        Value::List(List::Repeat { count, .. }) => Some(count.clone()),
        Value::List(List::Stacked(stack)) => stack.ty.shape.dims.first().cloned(),
        Value::List(List::Joined(parts)) => {
            parts.iter().try_fold(Dim::zero(), |sum, part| Some(sum.add(&list_length(part)?)))
        }
        _ => None,
    }
}

/// The value with its instances placed under `path`.
pub fn with_path<'db>(value: Value<'db>, path: &[crate::analysis::value::Step]) -> Value<'db> {
    use crate::analysis::value::{List, Step};
    use crate::types::Dim;
    let below = |step: Step| {
        let mut path = path.to_vec();
        path.push(step);
        path
    };
    match value {
        Value::Instance(mut instance) => {
            // One that has a place already is shared, not moved.
            instance.path.get_or_insert_with(|| path.to_vec());
            Value::Instance(instance)
        }
        Value::List(List::Items(items)) => Value::list(
            items
                .into_iter()
                .enumerate()
                .map(|(i, item)| with_path(item, &below(Step::Index(Dim::constant(i as i64)))))
                .collect(),
        ),
        Value::Tuple(items) => Value::Tuple(
            items
                .into_iter()
                .enumerate()
                .map(|(i, item)| with_path(item, &below(Step::Index(Dim::constant(i as i64)))))
                .collect(),
        ),
        Value::List(List::Repeat { index, count, element }) => {
            let element = with_path(*element, &below(Step::Index(Dim::symbol(index.as_str()))));
            Value::List(List::Repeat { index, count, element: Box::new(element) })
        }
        Value::List(List::Joined(parts)) => {
            let mut offset = Dim::zero();
            let mut placed = vec![];
            for part in parts {
                let length = list_length(&part).unwrap_or_default();
                placed.push(match part {
                    Value::List(List::Items(items)) => Value::list(
                        items
                            .into_iter()
                            .enumerate()
                            .map(|(i, item)| with_path(item, &below(Step::Index(offset.add(&Dim::constant(i as i64))))))
                            .collect(),
                    ),
                    Value::List(List::Repeat { index, count, element }) => {
                        let position = offset.add(&Dim::symbol(index.as_str()));
                        let element = Box::new(with_path(*element, &below(Step::Index(position))));
                        Value::List(List::Repeat { index, count, element })
                    }
                    other => other,
                });
                offset = offset.add(&length);
            }
            Value::List(List::Joined(placed))
        }
        other => other,
    }
}

/// How a storage declaration can be used.
pub fn is_assignable(kind: StorageKind) -> bool {
    kind == StorageKind::State
}
