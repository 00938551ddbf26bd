//! Functions and layers, made where they are called: what is given says what they take.
//!
//! The sizes of the arguments become dim variables or hyperparameters, equal ones the same, some stay numbers. The body is
//! then written for all sizes, with the caller's as the ones that are tried.

use super::generate::Generator;
use super::ranges::{Range, range};
use super::scope::{Scope, Var};
use super::tree::{Argument, Expr, Function, Hyper, Layer, Member, Param, Program, Statement};
use std::collections::BTreeMap;
use tritonc::base::F64;
use tritonc::base::philox;
use tritonc::types::{DType, Dim, HostValue, Shape, Symbol, Tensor, TensorType};

/// A function that can be called again.
#[derive(Clone)]
pub struct Callable {
    pub name: String,
    pub params: Vec<(String, TensorType, Range)>,
    pub results: Vec<(TensorType, Range)>,
}

/// Names for the sizes of what is given.
struct Generalised {
    types: Vec<TensorType>,
    /// What each name stands for where the call is.
    meaning: BTreeMap<Symbol, Dim>,
}

impl Generator {
    /// A program whose entry is its last layer.
    pub fn program(mut self) -> (Program, std::collections::BTreeSet<&'static str>) {
        self.entry();
        (self.program.tidied(), self.used)
    }

    fn entry(&mut self) {
        let mut scope = Scope::new(Some(vec![]));
        let mut hypers = vec![];
        for name in ["n", "m"].into_iter().take(self.draw.below(3)) {
            let size = self.draw.between(2, 7);
            scope.add_symbol(name, size);
            hypers.push(Hyper { name: name.to_string(), kind: "int", value: size.to_string() });
        }
        for name in ["B", "S"].into_iter().take(self.draw.below(3)) {
            let size = self.draw.pick(&[1, 2, 3, 5]);
            scope.add_symbol(name, size);
        }
        let mut params = vec![];
        let count = self.draw.between(1, 3);
        for position in 0..count {
            self.input(&mut scope, &mut params, position == 0);
        }
        self.host_values(&mut scope, &mut hypers);
        if self.draw.percent(20) {
            self.number_input(&mut scope, &mut params);
        }
        // A size that no input has is none.
        let is_known = |symbol: &Symbol| {
            symbol.as_str().starts_with(char::is_lowercase)
                || scope.vars.iter().any(|var| var.ty.shape.dims.iter().any(|dim| dim.symbols().contains(symbol)))
        };
        let unknown: Vec<Symbol> = scope.sizes.keys().filter(|symbol| !is_known(symbol)).cloned().collect();
        unknown.iter().for_each(|symbol| {
            scope.sizes.remove(symbol);
        });
        if self.draw.percent(20) {
            self.optional_input(&mut scope, &mut params);
        }
        let statements = self.draw.between(2, 14);
        self.statements(&mut scope, statements);
        let results = self.results(&mut scope, 8);
        let mut methods = vec![Function {
            name: "forward".to_string(),
            attributes: vec![],
            params,
            facts: vec![],
            result: None,
            body: std::mem::take(&mut scope.body),
            results: results.into_iter().map(|var| var.expr).collect(),
        }];
        methods.append(&mut scope.methods);
        let members = scope.members.take().unwrap_or_default();
        let name = "Net".to_string();
        let layer = Layer { name, hypers, facts: vec![], members, methods };
        self.program.layers.push(layer);
    }

    /// Hyperparameters that are no sizes.
    fn host_values(&mut self, scope: &mut Scope, hypers: &mut Vec<Hyper>) {
        if self.draw.percent(20) {
            let (name, value) = (self.name("flag"), self.draw.percent(50).to_string());
            scope.flags.push(name.clone());
            hypers.push(Hyper { name, kind: "bool", value });
        }
        if self.draw.percent(20) {
            let (name, value) = (self.name("rate"), self.draw.float(0.25, 1.5));
            scope.numbers.push((name.clone(), value));
            hypers.push(Hyper { name, kind: "float", value: format!("{value:?}") });
        }
    }

    /// A number that comes with each call.
    fn number_input(&mut self, scope: &mut Scope, params: &mut Vec<Param>) {
        let name = self.name("k");
        let (kind, value) = match self.draw.percent(50) {
            true => {
                let value = self.draw.between(1, 3);
                scope.numbers.push((format!("float({name})"), value as f64));
                ("int", HostValue::Int(value))
            }
            false => {
                let value = self.draw.float(0.25, 1.5);
                scope.numbers.push((name.clone(), value));
                ("float", HostValue::Float(F64(value)))
            }
        };
        self.program.numbers.push((name.clone(), value));
        params.push(Param { name, ty: kind.to_string(), default: None, sample: None });
    }

    /// An input that may be left out, and what is done where it is not.
    fn optional_input(&mut self, scope: &mut Scope, params: &mut Vec<Param>) {
        let Some(x) = self.float(scope).filter(|x| x.ty.shape.rank() > Some(0)) else { return };
        let own = self.bind(scope, x);
        let is_mask = self.draw.percent(50);
        let ty = if is_mask { own.ty.with_elem(DType::Bool) } else { own.ty.clone() };
        let (name, variable) = (self.name("x"), own.expr.clone());
        let param = scope.param(&name, &ty);
        if let (Some((dtype, sizes)), true) = (param.sample.clone(), self.draw.percent(60)) {
            let (tensor, _) = self.values(dtype, sizes);
            self.program.inputs.push((name.clone(), tensor));
        }
        params.push(Param { default: Some("None".to_string()), ..param });
        let given = Expr::named(&name, &ty);
        let value = match is_mask {
            true => {
                self.used.insert("where");
                let arguments = vec![Argument::of(given), Argument::of(variable), Argument::text("0.0")];
                Expr::call("where", arguments, Some(own.ty.clone()))
            }
            false => Expr::infix("+", variable, Expr::infix("*", given, Expr::text("0.25"), ty), own.ty.clone()),
        };
        let then = vec![Statement::Assign { name: own.expr.to_string(), sign: "=", value }];
        let condition = Expr::text(format!("{name} != None"));
        scope.body.push(Statement::If { condition, then, otherwise: vec![] });
        let widened = range(own.range.low - 1.0, own.range.high + 1.0);
        scope.vars.retain(|var| var.expr.to_string() != own.expr.to_string());
        scope.vars.push(Var { range: widened, ..own });
    }

    /// An input of the entry, and what it is given.
    fn input(&mut self, scope: &mut Scope, params: &mut Vec<Param>, is_first: bool) {
        let dtype = match self.draw.weighted(&[8, 2, 1]) {
            _ if is_first => self.float,
            0 => self.float,
            1 => self.draw.pick(&[DType::Int64, DType::Int32, DType::Int8, DType::UInt8]),
            _ => DType::Bool,
        };
        let mut shape = self.shape(scope);
        // Alone, `bool` is a host value.
        if shape.dims.is_empty() && (is_first || dtype == DType::Bool) {
            shape = Shape::new(vec![self.size(scope), self.size(scope)]);
        }
        let name = self.name("x");
        let ty = TensorType::new(dtype, shape);
        let sizes: Option<Vec<usize>> =
            ty.shape.dims.iter().map(|dim| scope.size(dim).and_then(|size| usize::try_from(size).ok())).collect();
        let Some(sizes) = sizes else { return };
        let (tensor, range) = self.values(dtype, sizes);
        self.program.inputs.push((name.clone(), tensor));
        params.push(scope.param(&name, &ty));
        scope.vars.push(Var { expr: Expr::named(&name, &ty), ty, range });
    }

    /// What an input is given: numbers of unit variance, sometimes round ones, so that there are ties.
    fn values(&mut self, dtype: DType, sizes: Vec<usize>) -> (Tensor, Range) {
        let count: usize = sizes.iter().product();
        let seed = self.draw.between(0, 1 << 40);
        if dtype.is_float() {
            let is_round = self.draw.percent(15);
            let values = philox::normals(seed).take(count).map(|value: f64| value.clamp(-4.0, 4.0));
            let values: Vec<f64> =
                values.map(|value| if is_round { (value * 2.0).round() / 2.0 } else { value }).collect();
            return (Tensor::from_f64(dtype, sizes, values), range(-4.0, 4.0));
        }
        let low = if dtype.is_unsigned() || dtype == DType::Bool { 0 } else { self.draw.pick(&[0, -3]) };
        let width = if dtype == DType::Bool { 2 } else { 7 };
        let values = philox::words(seed).take(count).map(|word| f64::from(low + (word % width) as i32));
        (
            Tensor::from_f64(dtype, sizes, values.collect::<Vec<f64>>()),
            range(f64::from(low), f64::from(low + width as i32)),
        )
    }

    /// What a body gives back: what nothing has used, and the newest float.
    fn results(&mut self, scope: &mut Scope, most: usize) -> Vec<Var> {
        let own = Function {
            name: String::new(),
            attributes: vec![],
            params: vec![],
            facts: vec![],
            result: None,
            body: scope.body.clone(),
            results: vec![],
        };
        let text = Program { functions: vec![own], layers: vec![], inputs: vec![], numbers: vec![] }.print();
        let is_word = |c: char| c.is_alphanumeric() || c == '_';
        let uses = |name: &str| text.split(|c| !is_word(c)).filter(|word| *word == name).count();
        let mut results: Vec<Var> = self.float(scope).into_iter().collect();
        for var in scope.vars.iter().rev() {
            let name = var.expr.to_string();
            let is_new = results.iter().all(|other| other.expr.to_string() != name);
            if is_new && results.len() < most && name.chars().all(is_word) && uses(&name) == 1 {
                results.push(var.clone());
            }
        }
        results
    }

    /// Names for sizes: `is_free` tells which of them may be hyperparameters, the others are dim variables.
    fn generalised(
        &mut self,
        scope: &Scope,
        types: &[TensorType],
        inner: &mut Scope,
        as_hypers: bool,
    ) -> Option<Generalised> {
        let mut meaning: BTreeMap<Symbol, Dim> = BTreeMap::new();
        let mut known: Vec<(Dim, Option<Dim>)> = vec![];
        let mut found = vec![];
        for ty in types {
            let mut dims = vec![];
            for dim in ty.shape.known()? {
                let at = match known.iter().position(|(own, _)| own == dim) {
                    Some(at) => at,
                    None => {
                        let stays = dim.is_const(1) || dim.as_const().is_some() && self.draw.percent(30);
                        let of_call =
                            dim.symbols().iter().any(|symbol| symbol.as_str().starts_with(char::is_uppercase));
                        let name = match as_hypers && !of_call {
                            true => self.name("d"),
                            false => self.name("N"),
                        };
                        let new = (!stays).then(|| inner.add_symbol(&name, scope.size(dim).unwrap_or(1)));
                        if new.is_some() {
                            meaning.insert(Symbol::new(&name), dim.clone());
                        }
                        known.push((dim.clone(), new));
                        known.len() - 1
                    }
                };
                let (own, new) = &known[at];
                dims.push(new.clone().unwrap_or_else(|| own.clone()));
            }
            found.push(ty.with_shape(Shape::new(dims)));
        }
        Some(Generalised { types: found, meaning })
    }

    /// Facts about the sizes that hold for those that are tried.
    fn facts(&mut self, scope: &mut Scope) -> Vec<String> {
        let mut facts = vec![];
        let sizes: Vec<(Symbol, i64)> = scope.sizes.iter().map(|(symbol, size)| (symbol.clone(), *size)).collect();
        for (symbol, size) in sizes {
            let dim = Dim::symbol(symbol.as_str());
            if size > 1 && self.draw.percent(20) {
                let divisor = if size % 2 == 0 { 2 } else { size };
                facts.push(format!("{symbol} % {divisor} == 0"));
                scope.facts.assume_modulo(&dim, &Dim::constant(divisor), &Dim::zero());
            } else if size > 1 && self.draw.percent(20) {
                facts.push(format!("{symbol} >= {}", size - 1));
                scope.facts.assume_at_least(&dim, &Dim::constant(size - 1));
            }
        }
        facts
    }

    /// Calls a function that is made for these arguments.
    pub fn new_function(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let count = self.draw.between(1, 2);
        let is_tensor = |var: &Var| var.ty != TensorType::scalar(DType::Bool);
        let arguments: Vec<Var> = (0..count).filter_map(|_| self.any(scope).filter(is_tensor)).collect();
        let types: Vec<TensorType> = arguments.iter().map(|var| var.ty.clone()).collect();
        let mut inner = Scope::new(None);
        let Generalised { types, meaning } = self.generalised(scope, &types, &mut inner, false)?;
        let facts = self.facts(&mut inner);
        let mut params = vec![];
        for (argument, ty) in arguments.iter().zip(&types) {
            let name = self.name("a");
            params.push((name.clone(), ty.clone(), argument.range));
            inner.vars.push(Var { expr: Expr::named(&name, ty), ty: ty.clone(), range: argument.range });
        }
        let statements = self.draw.between(1, 4);
        self.statements(&mut inner, statements);
        let results = self.results(&mut inner, 3);
        if results.is_empty() {
            return None;
        }
        params.extend(inner.wanted.drain(..).map(|(param, ty, range)| (param.name, ty, range)));
        let name = self.name("f");
        self.program.functions.push(Function {
            name: name.clone(),
            attributes: vec![],
            params: params.iter().map(|(name, ty, _)| inner.param(name, ty)).collect(),
            facts,
            result: self.draw.percent(60).then(|| declared(&results)),
            body: std::mem::take(&mut inner.body),
            results: results.iter().map(|var| var.expr.clone()).collect(),
        });
        let results: Vec<(TensorType, Range)> = results.into_iter().map(|var| (var.ty, var.range)).collect();
        let mut given = arguments;
        for (_, ty, _) in &params[given.len()..] {
            let ty = substituted(ty, &meaning);
            given.push(self.weight(scope, &ty)?);
        }
        let results: Vec<(TensorType, Range)> =
            results.iter().map(|(ty, range)| (substituted(ty, &meaning), *range)).collect();
        self.functions.push(Callable {
            name: name.clone(),
            params: params
                .iter()
                .zip(&given)
                .map(|((name, _, range), var)| (name.clone(), var.ty.clone(), *range))
                .collect(),
            results: results.clone(),
        });
        let arguments = given.into_iter().map(|var| Argument::of(var.expr)).collect();
        self.called(scope, &name, arguments, &results)
    }

    /// Calls a function again, with other values of the same types.
    pub fn old_function(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let function = self.draw.choose(&self.functions.clone())?.clone();
        let mut arguments = vec![];
        for (_, ty, range) in &function.params {
            let found = scope.find(&mut self.draw, |var| var.ty == *ty)?;
            arguments.push(Argument::of(self.tamed(found, *range).expr));
        }
        self.called(scope, &function.name, arguments, &function.results)
    }

    /// The results of a call as values of the scope.
    pub fn called(
        &mut self,
        scope: &mut Scope,
        callee: &str,
        arguments: Vec<Argument>,
        results: &[(TensorType, Range)],
    ) -> Option<Vec<Var>> {
        if !results.iter().all(|(ty, _)| scope.fits(ty)) {
            return None;
        }
        if let [(ty, range)] = results {
            let expr = Expr::call(callee, arguments, Some(ty.clone()));
            return Some(vec![Var { expr, ty: ty.clone(), range: *range }]);
        }
        let names: Vec<String> = results.iter().map(|_| self.name("v")).collect();
        let types = results.iter().map(|(ty, _)| ty.clone()).collect();
        scope.body.push(Statement::Let { names: names.clone(), types, value: Expr::call(callee, arguments, None) });
        let var = |(name, (ty, range)): (&String, &(TensorType, Range))| Var {
            expr: Expr::named(name, ty),
            ty: ty.clone(),
            range: *range,
        };
        Some(names.iter().zip(results).map(var).collect())
    }

    /// Calls a method that is made for these arguments, beside the one that is written.
    pub fn new_method(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let x = self.float(scope).filter(|x| x.ty.shape.rank() > Some(0))?;
        let mut inner = Scope::new(scope.members.take());
        (inner.sizes, inner.facts) = (scope.sizes.clone(), scope.facts.clone());
        (inner.stated, inner.flags) = (scope.stated.clone(), scope.flags.clone());
        let name = self.name("x");
        inner.vars.push(Var { expr: Expr::named(&name, &x.ty), ty: x.ty.clone(), range: x.range });
        // A dim variable means what the method's own input has.
        let is_bound = |symbol: &Symbol| {
            symbol.as_str().starts_with(char::is_lowercase)
                || x.ty.shape.dims.iter().any(|dim| dim.as_symbol() == Some(symbol))
        };
        inner.sizes.retain(|symbol, _| is_bound(symbol));
        let statements = self.draw.between(1, 3);
        self.statements(&mut inner, statements);
        let results = self.results(&mut inner, 2);
        scope.members = inner.members.take();
        scope.methods.append(&mut inner.methods);
        if results.is_empty() || x.ty.shape.dims.iter().any(|dim| !dim.symbols().iter().all(is_bound)) {
            return None;
        }
        let method = self.name("step");
        let mentions = |fact: &String| inner.sizes.keys().any(|symbol| fact.starts_with(&format!("{symbol} ")));
        scope.methods.push(Function {
            name: method.clone(),
            attributes: vec![],
            params: vec![inner.param(&name, &x.ty)],
            facts: scope.stated.iter().filter(|fact| mentions(fact)).cloned().collect(),
            result: self.draw.percent(60).then(|| declared(&results)),
            body: std::mem::take(&mut inner.body),
            results: results.iter().map(|var| var.expr.clone()).collect(),
        });
        let results: Vec<(TensorType, Range)> = results.into_iter().map(|var| (var.ty, var.range)).collect();
        self.called(scope, &method, vec![Argument::of(x.expr)], &results)
    }

    /// Calls an instance of a layer that is made for these arguments.
    pub fn new_layer(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        if self.program.layers.len() > 4 || !scope.is_method() {
            return None;
        }
        let x = self.float(scope).filter(|x| x.ty.shape.rank() > Some(0))?;
        let mut inner = Scope::new(Some(vec![]));
        let generalised = self.generalised(scope, std::slice::from_ref(&x.ty), &mut inner, true)?;
        let Generalised { types, meaning } = generalised;
        let facts = self.facts(&mut inner);
        let (of_hypers, of_dims): (Vec<String>, Vec<String>) =
            facts.into_iter().partition(|fact| fact.starts_with(char::is_lowercase));
        inner.stated.clone_from(&of_dims);
        let mut own_hypers = vec![];
        self.host_values(&mut inner, &mut own_hypers);
        let name = self.name("x");
        let own = Var { expr: Expr::named(&name, &types[0]), ty: types[0].clone(), range: x.range };
        inner.vars.push(own.clone());
        let statements = self.draw.between(1, 5);
        self.statements(&mut inner, statements);
        let stays = self.draw.percent(50);
        let results = if stays { vec![self.returned(&mut inner, &own)?] } else { self.results(&mut inner, 3) };
        if results.is_empty() {
            return None;
        }
        let hypers: Vec<Symbol> = meaning.keys().filter(|name| name.as_str().starts_with('d')).cloned().collect();
        let layer = self.name("Layer");
        let hyper = |symbol: &Symbol| Hyper {
            name: symbol.to_string(),
            kind: "int",
            value: inner.sizes.get(symbol).copied().unwrap_or(1).to_string(),
        };
        let result = self.draw.percent(60).then(|| declared(&results));
        self.program.layers.push(Layer {
            name: layer.clone(),
            hypers: hypers.iter().map(hyper).chain(own_hypers).collect(),
            facts: of_hypers,
            members: inner.members.take().unwrap_or_default(),
            methods: std::iter::once(Function {
                name: "forward".to_string(),
                attributes: vec![],
                params: vec![inner.param(&name, &types[0])],
                facts: of_dims,
                result,
                body: std::mem::take(&mut inner.body),
                results: results.iter().map(|var| var.expr.clone()).collect(),
            })
            .chain(inner.methods.drain(..))
            .collect(),
        });
        let given: Vec<String> = hypers.iter().map(|hyper| meaning[hyper].to_string()).collect();
        let constructor = format!("{layer}({})", given.join(", "));
        let results: Vec<(TensorType, Range)> =
            results.iter().map(|var| (substituted(&var.ty, &meaning), var.range)).collect();
        if stays && self.draw.percent(50) {
            return self.tower(scope, &constructor, x);
        }
        let instance = self.member(scope, &constructor);
        self.called(scope, &instance, vec![Argument::of(x.expr)], &results)
    }

    /// A `let` of the layer.
    pub fn member(&mut self, scope: &mut Scope, value: &str) -> String {
        let name = self.name("l");
        let mut attributes = vec![];
        if self.draw.percent(8) {
            let scheme =
                self.draw.pick(&["ternary(axis=0)", "int8()", "weights=int8(axis=0), activations=int8(dynamic=true)"]);
            attributes.push(format!("@quantize({scheme})"));
        }
        if self.draw.percent(5) {
            attributes.push("@checkpoint".to_string());
        }
        let member = Member { attributes, name: name.clone(), head: format!("let {name}"), value: value.to_string() };
        scope.members.get_or_insert_default().push(member);
        name
    }

    /// A list of equal layers, walked by a loop or called as a whole.
    fn tower(&mut self, scope: &mut Scope, constructor: &str, x: Var) -> Option<Vec<Var>> {
        let count = self.draw.between(1, 3);
        let list = match self.draw.below(3) {
            0 => format!("[{constructor}, {}, {constructor}]", self.draw.pick(&["relu", "tanh", "silu"])),
            1 => format!("[{constructor} for _ in 0..{count}] + [{constructor}]"),
            _ => format!("[{constructor} for _ in 0..{count}]"),
        };
        let blocks = self.member(scope, &list);
        if self.draw.percent(40) {
            return self.called(scope, &blocks, vec![Argument::of(x.expr)], &[(x.ty, x.range)]);
        }
        let own = self.bind(scope, x);
        let (block, name) = (self.name("b"), own.expr.to_string());
        let call = Expr::call(block.clone(), vec![Argument::of(own.expr.clone())], Some(own.ty.clone()));
        let body = vec![Statement::Assign { name, sign: "=", value: call }];
        scope.body.push(Statement::For { header: format!("{block} in {blocks}"), body });
        Some(vec![own])
    }

    /// A value of the type of `like`, which has something to do with what was computed.
    pub fn returned(&mut self, scope: &mut Scope, like: &Var) -> Option<Var> {
        let found =
            scope.find(&mut self.draw, |var| var.ty == like.ty && var.expr.to_string() != like.expr.to_string());
        if let Some(found) = found {
            return Some(self.tamed(found, like.range));
        }
        let x = scope.find(&mut self.draw, |var| var.ty.elem == like.ty.elem)?;
        self.used.insert("mean");
        let mean = Expr::call("mean", vec![Argument::of(x.expr)], Some(TensorType::scalar(like.ty.elem.clone())));
        let sum = Expr::infix("+", like.expr.clone(), mean, like.ty.clone());
        let sum = Var { expr: sum, ty: like.ty.clone(), range: super::ranges::WILD };
        Some(self.tamed(sum, like.range))
    }
}

/// `float32[N]` or `(float32[N], int64)`.
fn declared(results: &[Var]) -> String {
    let types: Vec<String> = results.iter().map(|var| var.ty.to_string()).collect();
    if types.len() == 1 { types[0].clone() } else { format!("({})", types.join(", ")) }
}

fn substituted(ty: &TensorType, meaning: &BTreeMap<Symbol, Dim>) -> TensorType {
    ty.with_shape(ty.shape.map_dims(|dim| dim.substitute_symbols(&|symbol| meaning.get(symbol).cloned())))
}
