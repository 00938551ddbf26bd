//! Methods of the entry, which are called from outside: their parameters are open, and each set of optional inputs
//! gives a function.

use crate::analysis::db::{Place, Report};
use crate::analysis::elaborate::function::Callee;
use crate::analysis::elaborate::names::full_layer;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::elaborate::{DeclareAs, Declared, Declaring, Elaborator};
use crate::analysis::value::{FnRef, Instance, TensorValue, Value, ValueRef};
use crate::analysis::world::{Abort, Discard};
use crate::base::code;
use crate::ir::{self, FuncId, HostKind, LayerId};
use crate::lower::entry::{DEMAND_NOTE, EntryRequest, demand_message};
use crate::lower::{Failure, Lowering};
use crate::syntax::ast::{ExprKind, Param};
use crate::types::{Dim, HostExpr, Pack, Shape, Symbol};

/// A method of the entry is lowered for each set of its optional inputs, of which there may be this many.
const MAX_OPTIONAL_SETS: usize = 16;

/// A signature with open parameters.
struct OpenSignature<'db> {
    /// With the value of the default, where that is what the function takes.
    params: Vec<(String, TypeSpec<'db>, Value<'db>)>,
    declared: Vec<Declared>,
    /// The optional inputs, and whether this function takes them.
    optional: Vec<(String, bool)>,
    /// Those about which there is a choice.
    choices: Vec<String>,
}

impl<'db> Lowering<'_, 'db> {
    /// A method, once for each set of its optional inputs; the one without any comes first.
    pub(super) fn entry_methods(
        &mut self,
        layer: LayerId,
        instance: &Instance<'db>,
        method: FnRef<'db>,
        request: &EntryRequest,
    ) -> Result<(), Failure<'db>> {
        let is_forward = method.decl.name.name == "forward";
        let mut sets = 1;
        let mut set = 0;
        while set < sets {
            let given = |position: usize| set >> position & 1 == 1;
            let (id, choices) = self.entry_method(layer, instance, method, request, &given)?;
            sets = 1usize.checked_shl(choices.len() as u32).unwrap_or(usize::MAX);
            if sets > MAX_OPTIONAL_SETS {
                return Err(too_many_optional(method, &choices));
            }
            let methods = &mut self.module.layers[layer.0 as usize].methods;
            if is_forward {
                methods.insert(set, id)
            } else {
                methods.push(id)
            }
            set += 1;
        }
        Ok(())
    }

    /// A method with its parameters open: dims are symbols of its own. `given` tells of each optional input that there
    /// is a choice about whether the method takes it; their names come back.
    fn entry_method(
        &mut self,
        layer: LayerId,
        instance: &Instance<'db>,
        method: FnRef<'db>,
        request: &EntryRequest,
        given: &dyn Fn(usize) -> bool,
    ) -> Result<(FuncId, Vec<String>), Failure<'db>> {
        let own = self.own_view(instance)?;
        let OpenSignature { params, declared, optional, choices } =
            self.open_signature(&own, method, request, given)?;
        let mut symbols = vec![];
        let mut sizes = vec![];
        for declared in declared {
            let size = match declared.is_pack {
                false => Shape::new(vec![Dim::symbol(declared.symbol.as_str())]),
                true => pack_shape(&declared.symbol, &params, request, &mut symbols),
            };
            if !declared.is_pack {
                symbols.push((declared.symbol.clone(), HostKind::Int));
            }
            sizes.push((declared.name, size));
        }
        let positive = symbols.iter().map(|(symbol, _)| symbol.clone()).collect();
        let mut arguments = vec![];
        for (name, spec, default) in params {
            let value = self.open_argument(&name, &spec, default, &mut symbols, method)?;
            arguments.push((name, value));
        }
        let instance_view = Some(own);
        let callee =
            Callee { function: method, instance: instance_view, elems: vec![], declared: sizes, arguments, positive };
        let mut function = self.blank(method, Some(layer));
        function.symbols = symbols;
        function.exported = true;
        let taken: Vec<&str> = optional.iter().filter(|(_, given)| *given).map(|(name, _)| name.as_str()).collect();
        if !taken.is_empty() {
            let name = format!("{}.{}_with_{}", self.module[layer].name, function.source_name, taken.join("_and_"));
            function.name = self.unique_function(&name);
        }
        function.optional = optional;
        Ok((self.walk_function(function, &callee, method, layer, instance)?, choices))
    }

    /// What the signature of a method asks for, seen from outside.
    fn open_signature(
        &self,
        own: &Instance<'db>,
        method: FnRef<'db>,
        request: &EntryRequest,
        given: &dyn Fn(usize) -> bool,
    ) -> Result<OpenSignature<'db>, Failure<'db>> {
        let mut discard = Discard::like(true, Some(self.training));
        let mut walk = Elaborator::new(self.db, &mut discard, method.item, method.ast);
        let full = full_layer(self.db, own.layer);
        walk.enter_layer(full, own.clone());
        let members = walk.assume_wheres(&full.decl.wheres).and_then(|()| walk.members(full, &[]));
        members.map_err(|abort| (abort, std::mem::take(&mut walk.reports)))?;
        walk.declaring = Some(Declaring::new(DeclareAs::Own));
        for param in &method.decl.params {
            let open = Value::dim(Dim::symbol(&param.name.name));
            walk.bind_early(param, Some(&open));
        }
        let mut specs = vec![];
        for param in &method.decl.params {
            let spec = match param.ty {
                Some(ty) => walk.resolve_type(ty),
                None => Ok(TypeSpec::Any),
            };
            specs.push(spec.map_err(|abort| (abort, std::mem::take(&mut walk.reports)))?);
        }
        let signature: Vec<(&Param, &TypeSpec<'db>)> = method.decl.params.iter().zip(&specs).collect();
        let optional: Vec<&str> = optional_inputs(method, &signature);
        let choices: Vec<&str> =
            optional.iter().copied().filter(|name| has_rank(name, &signature, &optional, request)).collect();
        let is_given = |name: &str| choices.iter().position(|choice| *choice == name).is_some_and(given);
        let mut params: Vec<(String, TypeSpec<'db>, Value<'db>)> = vec![];
        for (param, spec) in &signature {
            let name = &param.name.name;
            let is_open = if optional.contains(&name.as_str()) { is_given(name) } else { request.given.contains(name) };
            let default = match param.default {
                Some(default) if !is_open => walk.expr(default).unwrap_or(Value::Error),
                _ => Value::Error,
            };
            params.push((name.clone(), (*spec).clone(), default));
        }
        let declared = walk.declaring.take().map(|declaring| declaring.declared).unwrap_or_default();
        let optional = optional.iter().map(|name| (name.to_string(), is_given(name))).collect();
        let choices = choices.into_iter().map(String::from).collect();
        Ok(OpenSignature { params, declared, optional, choices })
    }

    fn open_argument(
        &mut self,
        name: &str,
        spec: &TypeSpec<'db>,
        default: Value<'db>,
        symbols: &mut Vec<(Symbol, HostKind)>,
        method: FnRef<'db>,
    ) -> Result<Value<'db>, Failure<'db>> {
        let place = Place { item: method.item, span: method.decl.name.span };
        Ok(match spec {
            _ if default == Value::None => Value::None,
            TypeSpec::Tensor(ty) => Value::Tensor(TensorValue { ty: ty.clone(), value: ValueRef(0) }),
            TypeSpec::Tuple(items) => {
                let mut values = vec![];
                for item in items {
                    values.push(self.open_argument(name, item, Value::Error, symbols, method)?);
                }
                Value::Tuple(values)
            }
            _ if default != Value::Error => default,
            TypeSpec::Int => {
                symbols.push((Symbol::new(name), HostKind::Int));
                Value::dim(Dim::symbol(name))
            }
            TypeSpec::Float => {
                symbols.push((Symbol::new(name), HostKind::Float));
                Value::Number(HostExpr::FloatSymbol(Symbol::new(name)))
            }
            _ => {
                let message = format!("`{name}` of `{}` has no value", method.decl.name.name);
                let report = Report::new(code::E0407, message)
                    .at(place, format!("an entry's parameter must be a tensor or a number, not {}", spec.describe()));
                return Err((Abort::Reported, vec![report]));
            }
        })
    }

    fn walk_function(
        &mut self,
        function: ir::Function,
        callee: &Callee<'db>,
        method: FnRef<'db>,
        layer: LayerId,
        instance: &Instance<'db>,
    ) -> Result<FuncId, Failure<'db>> {
        match self.body(function, callee) {
            Ok(body) => Ok(body.id),
            Err((Abort::Demand(symbols), reports)) => {
                // The entry's own hyperparameters have values: fix those that are asked for.
                let owner = super::layer_owner(self.db, &instance.layer);
                let hypers: Vec<Symbol> = self.module[layer].hypers.iter().map(|h| h.name.clone()).collect();
                for symbol in symbols.iter().filter(|symbol| hypers.contains(symbol)) {
                    self.restart |= self.fixed.insert(&owner, symbol.clone());
                }
                if self.restart {
                    return Err((Abort::Demand(symbols), reports));
                }
                let place = Place { item: method.item, span: method.decl.name.span };
                let report = Report::new(code::E0401, demand_message(&symbols)).at(place, "needed in here");
                Err((Abort::Reported, vec![report.note(DEMAND_NOTE)]))
            }
            Err(failure) => Err(self.fix_whole(Some(instance), Some(layer), failure)),
        }
    }
}

/// Tensor parameters with the default `None`.
fn optional_inputs<'db>(method: FnRef<'db>, signature: &[(&'db Param, &TypeSpec<'_>)]) -> Vec<&'db str> {
    let is_none =
        |param: &Param| param.default.is_some_and(|default| matches!(method.ast[default].kind, ExprKind::None));
    let optional = signature.iter().filter(|(param, spec)| is_none(param) && has_tensor(spec));
    optional.map(|(param, _)| param.name.name.as_str()).collect()
}

/// Whether the rank of an optional input is known: a `...` of its own may stand for anything, and the body of a method
/// fits few of its ranks.
fn has_rank(name: &str, signature: &[(&Param, &TypeSpec<'_>)], optional: &[&str], request: &EntryRequest) -> bool {
    let packs = |wanted: &dyn Fn(&str) -> bool| -> Vec<Symbol> {
        let chosen = signature.iter().filter(|(param, _)| wanted(&param.name.name));
        chosen.flat_map(|(_, spec)| packs_of(spec)).collect()
    };
    let known = packs(&|other| !optional.contains(&other) || request.shapes.iter().any(|(given, _)| given == other));
    packs(&|other| other == name).iter().all(|pack| known.contains(pack))
}

fn packs_of(spec: &TypeSpec<'_>) -> Vec<Symbol> {
    match spec {
        TypeSpec::Tensor(ty) => match &ty.shape.pack {
            Some((_, Pack::Named(symbol))) => vec![symbol.clone()],
            _ => vec![],
        },
        TypeSpec::Tuple(items) => items.iter().flat_map(packs_of).collect(),
        _ => vec![],
    }
}

/// Whether a parameter of this type is an input, not a number.
fn has_tensor(spec: &TypeSpec<'_>) -> bool {
    match spec {
        TypeSpec::Tensor(_) => true,
        TypeSpec::Tuple(items) => items.iter().any(has_tensor),
        _ => false,
    }
}

fn too_many_optional<'db>(method: FnRef<'db>, optional: &[String]) -> Failure<'db> {
    let name = &method.decl.name.name;
    let message = format!("`{name}` has {} optional inputs, more than an entry may have", optional.len());
    let names: Vec<String> = optional.iter().map(|name| format!("`{name}`")).collect();
    let report = Report::new(code::E0407, message)
        .at(Place { item: method.item, span: method.decl.name.span }, format!("these are {}", names.join(", ")))
        .note(format!("it is compiled for each set of them, and for {MAX_OPTIONAL_SETS} sets at most"))
        .note("help: make some of them required, or build a layer that calls this one with those it needs");
    (Abort::Reported, vec![report])
}

/// The dims of a pack in an entry's signature: from the shape given for the input, else one dim (two
/// where the pack is the whole shape).
fn pack_shape(
    pack: &Symbol,
    params: &[(String, TypeSpec<'_>, Value<'_>)],
    request: &EntryRequest,
    symbols: &mut Vec<(Symbol, HostKind)>,
) -> Shape {
    let mut length = 1;
    for (name, spec, _) in params {
        let TypeSpec::Tensor(ty) = spec else { continue };
        let own = matches!(&ty.shape.pack, Some((_, Pack::Named(symbol))) if symbol == pack);
        if !own {
            continue;
        }
        if let Some((_, sizes)) = request.shapes.iter().find(|(input, _)| input == name)
            && sizes.len() >= ty.shape.dims.len()
        {
            let at = ty.shape.head().len();
            let count = sizes.len() - ty.shape.dims.len();
            return Shape::of(&sizes[at..at + count]);
        }
        if ty.shape.dims.is_empty() {
            length = 2;
        }
    }
    let dims = (0..length).map(|_| {
        let symbol = Symbol::new(&format!("d{}", symbols.len()));
        symbols.push((symbol.clone(), HostKind::Int));
        Dim::symbol(symbol.as_str())
    });
    Shape::new(dims.collect())
}
