//! Layers: their hyperparameters, members and initial values.

use crate::analysis::db::{Place, Report};
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::layer::{MemberInfo, MemberInfoKind};
use crate::analysis::elaborate::names::full_layer;
use crate::analysis::elaborate::types::TypeSpec;
use crate::analysis::value::{Function, InitValue, Instance, LayerRef, List, Step, Value};
use crate::analysis::world::{Abort, Discard, Walk, visit_tensors};
use crate::base::{Loc, code};
use crate::ir::{self, FuncId, HostKind, Init, LayerId, Member, MemberKind, Origin, Role, Storage, Sub};
use crate::lower::body::empty_function;
use crate::lower::frame::Frame;
use crate::lower::{Failure, LayerMemo, Lowering, layer_owner, unique};
use crate::syntax::ast::{ExprId, ExprKind, Param, StorageKind};
use crate::types::{HostExpr, Symbol, TensorType};

/// Hyperparameters that the layer was specialised for, with their values as text.
type Choices = Vec<(String, String)>;

impl<'db> Lowering<'_, 'db> {
    /// The IR layer of an instance, made if it is new.
    pub(super) fn layer(&mut self, instance: &Instance<'db>) -> Result<LayerId, Failure<'db>> {
        let own = self.own_view(instance)?;
        let known =
            |memo: &&LayerMemo<'db>| memo.layer == own.layer && memo.elems == own.elems && memo.hypers == own.hypers;
        if let Some(memo) = self.layers.iter().find(known) {
            return Ok(memo.id);
        }
        let layer = full_layer(self.db, own.layer);
        let id = LayerId(self.module.layers.len() as u32);
        let source_name = layer.decl.name.name.clone();
        let name = unique(&source_name, |name| self.module.layers.iter().any(|layer| layer.name == name));
        let (hypers, choices) = self.hypers(layer, &own)?;
        self.module.layers.push(ir::Layer {
            name,
            source_name,
            doc: layer.doc.map(String::from),
            loc: self.loc(Place { item: layer.item, span: layer.decl.name.span }),
            quantize: None,
            hypers,
            choices,
            members: vec![],
            methods: vec![],
            obligations: vec![],
        });
        let memo = LayerMemo { layer: own.layer, elems: own.elems.clone(), hypers: own.hypers.clone(), id };
        self.layers.push(memo);
        self.fill_layer(id, layer, own)?;
        Ok(id)
    }

    /// Hyperparameters that stay constructor arguments, and the choices made for the others.
    fn hypers(&mut self, layer: LayerRef<'db>, own: &Instance<'db>) -> Result<(Vec<ir::Hyper>, Choices), Failure<'db>> {
        let (mut hypers, mut choices) = (vec![], vec![]);
        for (param, elem) in layer.decl.type_params.iter().zip(&own.elems) {
            choices.push((param.name.name.clone(), elem.to_string()));
        }
        let defaults = self.hyper_defaults(layer, own);
        for ((param, default), (name, value)) in layer.decl.params.iter().zip(defaults).zip(&own.hypers) {
            let symbol = Symbol::new(name);
            let is_open = match value {
                Value::Number(HostExpr::Int(dim)) => dim.as_symbol() == Some(&symbol),
                Value::Number(HostExpr::FloatSymbol(own)) => *own == symbol,
                _ => false,
            };
            if !is_open {
                choices.push((name.clone(), describe(value)));
                continue;
            }
            let kind = if value.as_dim().is_some() { HostKind::Int } else { HostKind::Float };
            hypers.push(ir::Hyper { name: symbol, kind, default, doc: param.doc.clone() });
        }
        Ok((hypers, choices))
    }

    /// The defaults of numbers, each over the hyperparameters before it.
    fn hyper_defaults(&mut self, layer: LayerRef<'db>, own: &Instance<'db>) -> Vec<Option<HostExpr>> {
        if layer.decl.params.iter().all(|param| param.default.is_none()) {
            return vec![None; layer.decl.params.len()];
        }
        let mut discard = Discard::like(true, Some(self.training));
        let mut walk = Elaborator::new(self.db, &mut discard, layer.item, layer.ast);
        walk.enter_layer(layer, own.clone());
        let default = |param: &Param| match walk.expr(param.default?) {
            Ok(Value::Number(number)) => Some(number),
            _ => None,
        };
        layer.decl.params.iter().map(default).collect()
    }

    fn fill_layer(&mut self, id: LayerId, layer: LayerRef<'db>, own: Instance<'db>) -> Result<(), Failure<'db>> {
        let mut discard = Discard::like(true, Some(self.training));
        let mut walk = Elaborator::new(self.db, &mut discard, layer.item, layer.ast);
        walk.enter_layer(layer, own.clone());
        let result = walk.assume_wheres(&layer.decl.wheres).and_then(|()| walk.members(layer, &[]));
        let reports = std::mem::take(&mut walk.reports);
        let obligations: Vec<_> = walk.obligations.iter().map(|(obligation, _)| obligation.clone()).collect();
        let wheres = self.where_obligations(layer, &own);
        let members = match result {
            Ok(members) => members,
            Err(Abort::Demand(symbols)) => return Err(self.fix_layer(layer, symbols)),
            Err(abort) => return Err(self.fix_whole(Some(&own), Some(id), (abort, reports))),
        };
        self.module.layers[id.0 as usize].obligations = wheres.into_iter().chain(obligations).collect();
        let inherited = walk.quantize_attribute(layer.attributes);
        self.module.layers[id.0 as usize].quantize = self.settled(&mut walk, layer, id, &own, inherited)?;
        for info in members {
            let quantize = walk.quantize_attribute(&info.member.attributes);
            let quantize = self.settled(&mut walk, layer, id, &own, quantize)?;
            let kind = match self.member_kind(id, layer, &mut walk, &info) {
                Ok(Some(kind)) => kind,
                Ok(None) => continue,
                // A part needs numbers that this layer gives it.
                Err((Abort::Demand(symbols), _)) if !self.restart => return Err(self.fix_layer(layer, symbols)),
                Err(failure) => return Err(failure),
            };
            let member = Member {
                name: info.name,
                doc: info.member.doc.clone(),
                loc: self.loc(Place { item: layer.item, span: info.member.span }),
                saved: info.saved,
                checkpoint: info.member.attributes.iter().any(|attribute| attribute.name.name == "checkpoint"),
                quantize,
                kind,
            };
            self.module.layers[id.0 as usize].members.push(member);
        }
        Ok(())
    }

    /// What was evaluated in the scope of a layer; numbers that it needs are fixed.
    fn settled<T>(
        &mut self,
        walk: &mut Elaborator<'_, 'db>,
        layer: LayerRef<'db>,
        id: LayerId,
        own: &Instance<'db>,
        result: Walk<T>,
    ) -> Result<T, Failure<'db>> {
        result.map_err(|abort| match abort {
            Abort::Demand(symbols) => self.fix_layer(layer, symbols),
            abort => self.fix_whole(Some(own), Some(id), (abort, std::mem::take(&mut walk.reports))),
        })
    }

    /// A layer needs numbers of its own fixed: note them and begin again.
    fn fix_layer(&mut self, layer: LayerRef<'db>, symbols: Vec<Symbol>) -> Failure<'db> {
        let owner = layer_owner(self.db, &layer);
        for symbol in &symbols {
            self.restart |= self.fixed.insert(&owner, symbol.clone());
        }
        (Abort::Demand(symbols), vec![])
    }

    fn where_obligations(&mut self, layer: LayerRef<'db>, own: &Instance<'db>) -> Vec<crate::ops::Obligation> {
        let mut obligations = vec![];
        if layer.decl.wheres.is_empty() {
            return obligations;
        }
        let mut discard = Discard::like(true, Some(self.training));
        let mut walk = Elaborator::new(self.db, &mut discard, layer.item, layer.ast);
        walk.enter_layer(layer, own.clone());
        for expr in &layer.decl.wheres {
            if let Ok(Value::Bool(cond)) = walk.expr(*expr) {
                let message = format!("`{}` needs {cond}", layer.decl.name.name);
                obligations.extend(crate::analysis::elaborate::function::obligation_of(&cond, message));
            }
        }
        obligations
    }

    /// What a member is; `walk` has evaluated all of them.
    fn member_kind(
        &mut self,
        id: LayerId,
        layer: LayerRef<'db>,
        walk: &mut Elaborator<'_, 'db>,
        info: &MemberInfo<'db>,
    ) -> Result<Option<MemberKind>, Failure<'db>> {
        Ok(match &info.kind {
            MemberInfoKind::Absent => None,
            MemberInfoKind::Storage { kind, transient, ty, quantization, init } => {
                let role = match (kind, transient) {
                    (_, true) => Role::Transient,
                    (StorageKind::Param, false) => Role::Param,
                    (StorageKind::Buffer, false) => Role::Buffer,
                    (StorageKind::State, false) => Role::State,
                };
                let init = self.init(id, layer, walk, &info.name, ty, *init)?;
                let scheme = quantization.as_ref().map(|quantization| quantization.weights.clone());
                let activations = quantization.as_ref().and_then(|quantization| quantization.activations.clone());
                Some(MemberKind::Storage(Storage { role, ty: ty.clone(), scheme, activations, init }))
            }
            MemberInfoKind::Constant { ty, init } => {
                let func = self.constant_function(id, layer, walk, &info.name, ty, *init)?;
                Some(MemberKind::Constant { ty: ty.clone(), func, of: Origin::Construction })
            }
            MemberInfoKind::Value(value) => self.sub(value, &[Step::Field(info.name.clone())])?.map(MemberKind::Sub),
        })
    }

    /// Sublayers in a member's value; `None` if there are none, or they live elsewhere.
    pub(super) fn sub(&mut self, value: &Value<'db>, path: &[Step]) -> Result<Option<Sub>, Failure<'db>> {
        Ok(match value {
            Value::Instance(instance) if instance.path.as_deref() == Some(path) => {
                let layer = self.layer(instance)?;
                let mut args = vec![];
                for hyper in self.module[layer].hypers.clone() {
                    if let Some(Value::Number(number)) = instance.hyper(hyper.name.as_str()) {
                        args.push((hyper.name.clone(), number.clone()));
                    }
                }
                Some(Sub::Instance { layer, args })
            }
            Value::List(List::Items(items)) | Value::Tuple(items) if value.has_instance() => {
                let mut elements = vec![];
                for (index, item) in items.iter().enumerate() {
                    let mut below = path.to_vec();
                    below.push(Step::Index(crate::types::Dim::constant(index as i64)));
                    elements.push(match self.sub(item, &below)? {
                        Some(sub) => sub,
                        None => Sub::Function { name: function_name(item) },
                    });
                }
                Some(Sub::List(elements))
            }
            Value::List(List::Repeat { index, count, element }) if element.has_instance() => {
                let mut below = path.to_vec();
                below.push(Step::Index(crate::types::Dim::symbol(index.as_str())));
                let element = self.sub(element, &below)?;
                element.map(|element| Sub::Repeat {
                    index: index.clone(),
                    count: count.clone(),
                    element: Box::new(element),
                })
            }
            _ => None,
        })
    }

    fn init(
        &mut self,
        id: LayerId,
        layer: LayerRef<'db>,
        walk: &mut Elaborator<'_, 'db>,
        name: &str,
        ty: &TensorType,
        init: Option<ExprId>,
    ) -> Result<Init, Failure<'db>> {
        let Some(expr) = init else { return Ok(Init::Default) };
        if matches!(layer.ast[expr].kind, ExprKind::Ellipsis) {
            return Ok(Init::Default);
        }
        walk.context = Some(ty.elem.clone());
        let value = walk.expr(expr);
        let reports = std::mem::take(&mut walk.reports);
        let value = match value {
            Ok(value) => value,
            Err(Abort::Demand(symbols)) => return Err(self.fix_layer(layer, symbols)),
            Err(abort) => return Err((abort, reports)),
        };
        Ok(match value {
            Value::Init(init) => match init {
                InitValue::Zeros => Init::Zeros,
                InitValue::Ones => Init::Ones,
                InitValue::Constant(value) => Init::Constant(value),
                InitValue::Normal { mean, std } => Init::Normal { mean, std },
                InitValue::Uniform { low, high } => Init::Uniform { low, high },
                InitValue::KaimingUniform => Init::KaimingUniform,
                InitValue::XavierUniform { gain } => Init::XavierUniform { gain },
                InitValue::RandomTernary => Init::RandomTernary,
            },
            Value::Number(number) => Init::Constant(number),
            Value::Tensor(_) | Value::List(_) | Value::Shape(_) | Value::Bool(_) => {
                Init::Func(self.constant_function(id, layer, walk, name, ty, expr)?)
            }
            other => {
                let place = Place { item: layer.item, span: layer.ast[expr].span };
                let message = format!("`{name}` cannot be initialised with {}", other.describe());
                let report = Report::new(code::E0201, message).at(place, "not an initial value");
                return Err((Abort::Reported, vec![report]));
            }
        })
    }

    /// A function without parameters that computes a member at construction.
    fn constant_function(
        &mut self,
        id: LayerId,
        layer: LayerRef<'db>,
        members: &Elaborator<'_, 'db>,
        name: &str,
        ty: &TensorType,
        expr: ExprId,
    ) -> Result<FuncId, Failure<'db>> {
        let full_name = format!("{}.{name}", self.module[id].name);
        let place = Place { item: layer.item, span: layer.ast[expr].span };
        let function = ir::Function {
            name: self.unique_function(&full_name),
            source_name: name.to_string(),
            loc: self.loc(place),
            ..empty_function(Some(id))
        };
        self.frames.push(Frame::new(function));
        let db = self.db;
        let mut walk = Elaborator::new(db, self, layer.item, layer.ast);
        if let Some(own) = &members.instance {
            walk.enter_layer(layer, own.clone());
        }
        walk.scopes = members.scopes.clone();
        let result =
            walk.assume_wheres(&layer.decl.wheres).and_then(|()| walk.expr_as(expr, &TypeSpec::Tensor(ty.clone())));
        let reports = std::mem::take(&mut walk.reports);
        let Some(frame) = self.frames.pop() else { return Err((Abort::Reported, reports)) };
        let value = match result {
            Ok(value) => value,
            Err(Abort::Demand(symbols)) => return Err(self.fix_layer(layer, symbols)),
            Err(abort) => return Err((abort, reports)),
        };
        let mut returns = vec![];
        visit_tensors(&value, &mut |tensor| returns.push(ir::ValueId(tensor.value.0)));
        let function = frame.finish(returns, Loc::default());
        self.module.functions.push(function);
        Ok(FuncId(self.module.functions.len() as u32 - 1))
    }

    /// Makes an instance of a test or script a member of the root layer.
    pub(super) fn adopt_member(
        &mut self,
        hint: &str,
        value: &Value<'db>,
        at: Place<'db>,
    ) -> Result<String, Failure<'db>> {
        let same = |(item, name, known, _): &&(_, String, Value<'db>, String)| {
            *item == at.item && name == hint && known == value
        };
        if let Some((_, _, _, member)) = self.adopted.iter().find(same) {
            return Ok(member.clone());
        }
        let Some(root) = self.root else { return Err((Abort::Reported, vec![])) };
        let name = unique(hint, |name| self.module[root].member(name).is_some());
        let path = [Step::Field(name.clone())];
        let placed = crate::analysis::elaborate::names::with_path(value.clone(), &path);
        let sub = self.sub(&placed, &path)?;
        if let Some(sub) = sub {
            let kind = MemberKind::Sub(sub);
            let member = Member {
                name: name.clone(),
                doc: None,
                loc: self.loc(at),
                saved: None,
                checkpoint: false,
                quantize: None,
                kind,
            };
            self.module.layers[root.0 as usize].members.push(member);
        }
        self.adopted.push((at.item, hint.to_string(), value.clone(), name.clone()));
        Ok(name)
    }
}

fn function_name(value: &Value<'_>) -> String {
    match value {
        Value::Function(Function::User(function)) => function.decl.name.name.clone(),
        Value::Function(Function::Op(op)) => op.name().to_string(),
        Value::Function(Function::Builtin(name)) => (*name).to_string(),
        Value::Function(Function::Partial { function, .. } | Function::Gradient(function)) => function_name(function),
        _ => "value".to_string(),
    }
}

/// A choice, as Tri writes it.
fn describe(value: &Value<'_>) -> String {
    use crate::analysis::value::Cond;
    match value {
        Value::Number(number) => number.to_string(),
        Value::Bool(Cond::Known(b)) => b.to_string(),
        Value::Str(text) => format!("{text:?}"),
        Value::None => "None".into(),
        Value::DType(elem) => elem.to_string(),
        Value::Scheme(scheme) => scheme.to_string(),
        Value::Function(_) => function_name(value),
        Value::Layer(layer, _) => layer.decl.name.name.clone(),
        Value::List(List::Items(items)) | Value::Tuple(items) => {
            let items: Vec<String> = items.iter().map(describe).collect();
            format!("[{}]", items.join(", "))
        }
        Value::Shape(shape) => format!("[{shape}]"),
        other => other.describe(),
    }
}
