//! Makes programs: a tree grows statement by statement, and the registry's rules say what each value is.
//!
//! ```text
//! Generator::new(seed).program()
//!     entry            items.rs        layers and functions are made where somebody calls them
//!     statements       statements.rs   lets, branches, loops, state
//!     an operation     calls.rs        operands and attributes; write.rs prints, ranges.rs keeps values tame
//!     of the library   library.rs      functions and layers of stdlib/
//! ```
//!
//! What a place needs and does not have is conjured up: a weight becomes a parameter of the layer, or of the function
//! and then a matter for its caller.

use super::calls::{self, Plan};
use super::draw::Draw;
use super::items::Callable;
use super::ranges::{self, MODERATE, Range, WILD, range};
use super::scope::{Scope, Var};
use super::tree::{Argument, Expr, Kind, Member, Program, Statement, Value};
use super::write::write;
use std::collections::BTreeSet;
use tritonc::ops::{Attr, Attrs, OpId};
use tritonc::types::{DType, Dim, Shape, TensorType};

/// How often something is drawn anew when it does not fit.
const ATTEMPTS: usize = 10;

pub struct Generator {
    pub draw: Draw,
    pub program: Program,
    pub functions: Vec<Callable>,
    /// Names that are taken.
    next: usize,
    /// Operations that the program has.
    pub used: BTreeSet<&'static str>,
    /// The element type that most floats of the program have.
    pub float: DType,
    pub operations: Vec<OpId>,
}

impl Generator {
    pub fn new(seed: u64) -> Generator {
        let mut draw = Draw::new(seed);
        let float = if draw.percent(80) { DType::Float32 } else { draw.pick(calls::FLOATS) };
        Generator {
            draw,
            program: Program { functions: vec![], layers: vec![], inputs: vec![], numbers: vec![] },
            functions: vec![],
            next: 0,
            used: BTreeSet::new(),
            float,
            operations: tritonc::ops::all().collect(),
        }
    }

    /// A name that nothing else has.
    pub fn name(&mut self, stem: &str) -> String {
        self.next += 1;
        format!("{stem}{}", self.next)
    }

    /// A size: of the scope, or a number. Odd ones, and 1, find more.
    pub fn size(&mut self, scope: &Scope) -> Dim {
        let symbols: Vec<&str> = scope.sizes.keys().map(|symbol| symbol.as_str()).collect();
        match self.draw.choose(&symbols) {
            Some(symbol) if self.draw.percent(30) => Dim::symbol(symbol),
            _ => Dim::constant(self.draw.pick(&[1, 2, 3, 4, 5, 6, 7])),
        }
    }

    pub fn shape(&mut self, scope: &Scope) -> Shape {
        let rank = self.draw.weighted(&[1, 4, 6, 2]);
        Shape::new((0..rank).map(|_| self.size(scope)).collect())
    }

    // ---- values that are there ----

    pub fn any(&mut self, scope: &Scope) -> Option<Var> {
        scope.find(&mut self.draw, |var| var.ty.dtype().is_some_and(|dtype| !dtype.is_storage()))
    }

    pub fn float(&mut self, scope: &Scope) -> Option<Var> {
        scope.find_dtype(&mut self.draw, DType::is_float)
    }

    /// A value of this type: one that is there, one made from it, or a new one.
    pub fn like(&mut self, scope: &mut Scope, ty: &TensorType) -> Option<Var> {
        let found = scope.find(&mut self.draw, |var| var.ty == *ty);
        match found {
            Some(found) if self.draw.percent(75) => Some(found),
            _ if ty.dtype() == Some(DType::Bool) => {
                let float = ty.with_elem(self.float);
                let x = scope.find(&mut self.draw, |var| {
                    var.ty.shape == ty.shape && var.ty.dtype().is_some_and(|d| d.is_float() || d.is_int())
                });
                let x = x.or_else(|| self.weight(scope, &float))?;
                let bound = Expr::text(if x.ty.dtype()?.is_float() { self.number(-1.0, 1.0) } else { "2".into() });
                let sign = if x.ty.dtype()?.is_float() {
                    self.draw.pick(&["<", ">"])
                } else {
                    self.draw.pick(&["<", ">=", "==", "!="])
                };
                Some(Var { expr: Expr::infix(sign, x.expr, bound, ty.clone()), ty: ty.clone(), range: range(0.0, 1.0) })
            }
            _ => self.weight(scope, ty),
        }
    }

    // ---- values that are made ----

    /// A float in few digits, in Tri.
    pub fn number(&mut self, low: f64, high: f64) -> String {
        format!("{:?}", self.draw.float(low, high))
    }

    /// A literal that takes the type of what it meets.
    pub fn literal(&mut self, ty: &TensorType) -> Var {
        let value = self.draw.float(-2.0, 2.0);
        let value = if value == 0.0 { 0.5 } else { value };
        Var {
            expr: Expr::text(format!("{value:?}")),
            ty: TensorType::scalar(ty.elem.clone()),
            range: range(value, value),
        }
    }

    /// A new tensor: a parameter of the layer, one of the function, or a constant.
    pub fn weight(&mut self, scope: &mut Scope, ty: &TensorType) -> Option<Var> {
        let dtype = ty.dtype()?;
        if !scope.fits(ty) {
            return None;
        }
        let symbolic = ty
            .shape
            .dims
            .iter()
            .any(|dim| dim.symbols().iter().any(|symbol| symbol.as_str().starts_with(char::is_uppercase)));
        if dtype.is_float() && !symbolic && scope.is_method() && self.draw.percent(85) {
            return Some(self.param(scope, ty));
        }
        if dtype.is_float() && scope.depth == 0 && !scope.is_method() && self.draw.percent(60) {
            let name = self.name("p");
            let param = scope.param(&name, ty);
            scope.wanted.push((param, ty.clone(), MODERATE));
            return Some(Var { expr: Expr::named(&name, ty), ty: ty.clone(), range: MODERATE });
        }
        self.constant(ty)
    }

    /// A parameter of the layer, quantised perhaps.
    fn param(&mut self, scope: &mut Scope, ty: &TensorType) -> Var {
        let (name, rank) = (self.name("w"), ty.shape.dims.len());
        let mut attributes = vec![];
        if rank >= 2 && ty.dtype() == Some(DType::Float32) && self.draw.percent(30) {
            let mut scheme = calls::scheme(self, &ty.shape.dims);
            scheme.dynamic = false;
            attributes.push(format!("@quantize({scheme})"));
        }
        let value = match self.draw.below(5) {
            0 => format!("uniform(-{0}, {0})", self.number(0.25, 1.5)),
            1 if rank >= 2 => "kaiming_uniform()".to_string(),
            2 if rank < 2 => self.draw.pick(&["ones()", "zeros()", "constant(0.75)"]).to_string(),
            _ => format!("normal({}, {})", self.number(-0.5, 0.5), self.number(0.25, 0.75)),
        };
        let word = if attributes.is_empty() && self.draw.percent(15) { "buffer" } else { "param" };
        let member = Member { attributes, name: name.clone(), head: format!("{word} {name}: {ty}"), value };
        scope.members.get_or_insert_default().push(member);
        Var { expr: Expr::named(&name, ty), ty: ty.clone(), range: range(-2.5, 2.5) }
    }

    /// A tensor that is computed from nothing: numbers that go round.
    fn constant(&mut self, ty: &TensorType) -> Option<Var> {
        let dtype = ty.dtype()?;
        let dims = ty.shape.known()?.to_vec();
        let make = |kind| Expr::typed(kind, ty.clone());
        if dtype == DType::Bool {
            let numbers = self.constant(&ty.with_elem(DType::Int64))?;
            let expr = Expr::infix("<", numbers.expr, Expr::text("3"), ty.clone());
            return Some(Var { expr, ty: ty.clone(), range: range(0.0, 1.0) });
        }
        if self.draw.percent(25) {
            let value = if dtype.is_float() { self.number(-1.5, 1.5) } else { self.draw.between(0, 5).to_string() };
            let arguments = vec![
                Argument {
                    name: None,
                    value: Value::List(dims.iter().map(|dim| Expr::text(dim.to_string())).collect()),
                },
                Argument::text(value.clone()),
                Argument::named("dtype", dtype.to_string()),
            ];
            let value: f64 = value.parse().ok()?;
            self.used.insert("full");
            let expr = make(Kind::Call { callee: "full".to_string(), arguments });
            return Some(Var { expr, ty: ty.clone(), range: range(value, value) });
        }
        let count = dims.iter().fold(Dim::constant(1), |product, dim| product.mul(dim));
        let modulus = self.draw.pick(&[3, 5, 7]);
        let flat = Expr::call("arange", vec![Argument::text("0"), Argument::text(count.to_string())], None);
        let mut expr = Expr {
            kind: Kind::Infix { sign: "%", left: Box::new(flat), right: Box::new(Expr::text(modulus.to_string())) },
            ty: None,
        };
        self.used.extend(["arange", "mod", "reshape", "cast"]);
        if dims.len() != 1 {
            let shape = Value::List(dims.iter().map(|dim| Expr::text(dim.to_string())).collect());
            let arguments = vec![Argument::of(expr), Argument { name: None, value: shape }];
            expr = Expr::call("reshape", arguments, Some(ty.with_elem(DType::Int64)));
        }
        if dtype != DType::Int64 {
            let arguments = vec![Argument::text(dtype.to_string())];
            expr = make(Kind::Method { receiver: Box::new(expr), name: "to".to_string(), arguments });
        }
        let mut range = range(0.0, modulus as f64 - 1.0);
        if dtype.is_float() && self.draw.percent(60) {
            let middle = Expr::text(format!("{:?}", (modulus - 1) as f64 / 2.0));
            expr = Expr::infix("-", expr, middle, ty.clone());
            range = ranges::range(-3.0, 3.0);
        }
        expr.ty = Some(ty.clone());
        Some(Var { expr, ty: ty.clone(), range })
    }

    /// Integers below a bound: positions in an axis of that size.
    pub fn index(&mut self, scope: &mut Scope, shape: &Shape, bound: &Dim) -> Option<Var> {
        let ty = TensorType::new(DType::Int64, shape.clone());
        let found = scope.find(&mut self.draw, |var| {
            var.ty.shape == *shape && var.ty.dtype().is_some_and(|dtype| dtype == DType::Int64 || dtype == DType::Int32)
        });
        let numbers = match found {
            Some(found) if self.draw.percent(70) => found,
            _ => self.constant(&ty)?,
        };
        self.used.insert("mod");
        let ty = numbers.ty.clone();
        let expr = Expr::infix("%", numbers.expr, Expr::text(parenthesised(bound)), ty.clone());
        Some(Var { expr, ty, range: range(0.0, scope.size(bound)? as f64) })
    }

    /// 0, 1, 2, ... along an axis of a shape, the same everywhere else.
    pub fn positions(&mut self, shape: &Shape, axis: usize, count: i64) -> Var {
        let ty = TensorType::new(DType::Int64, shape.clone());
        let ones: Vec<Expr> = (0..shape.dims.len())
            .map(|at| Expr::text(if at == axis { count.to_string() } else { "1".into() }))
            .collect();
        let all: Vec<Expr> = shape.dims.iter().map(|dim| Expr::text(dim.to_string())).collect();
        let list = |list| Argument { name: None, value: Value::List(list) };
        let flat = Expr::call("arange", vec![Argument::text(count.to_string())], None);
        let column = Expr::call("reshape", vec![Argument::of(flat), list(ones)], None);
        let expr = Expr::call("broadcast_to", vec![Argument::of(column), list(all)], Some(ty.clone()));
        self.used.extend(["arange", "reshape", "broadcast_to"]);
        Var { expr, ty, range: range(0.0, count as f64) }
    }

    /// The same values with so many axes.
    pub fn with_rank(&mut self, scope: &mut Scope, x: Var, rank: usize) -> Option<Var> {
        let dims = x.ty.shape.known()?.to_vec();
        let dims = match dims.len() {
            own if own == rank => return Some(x),
            own if own < rank => {
                // New axes anywhere, so that channels and windows have sizes.
                let mut dims = dims;
                while dims.len() < rank {
                    dims.insert(self.draw.below(dims.len().min(2) + 1), Dim::constant(1));
                }
                dims
            }
            own => {
                let (front, back) = dims.split_at(own - rank + 1);
                let joined = front.iter().fold(Dim::constant(1), |product, dim| product.mul(dim));
                std::iter::once(joined).chain(back.iter().cloned()).collect()
            }
        };
        let attrs = Attrs::new().with("shape", Attr::Shape(Shape::new(dims)));
        let made = self.emit(scope, tritonc::ops::find("reshape")?, Plan { operands: vec![x], attrs })?;
        made.into_iter().next()
    }

    pub fn transposed(&mut self, x: Var) -> Option<Var> {
        let dims = x.ty.shape.known()?.iter().rev().cloned().collect();
        let ty = x.ty.with_shape(Shape::new(dims));
        self.used.insert("permute");
        let expr = Expr::typed(Kind::Member { base: Box::new(x.expr), name: "T" }, ty.clone());
        Some(Var { expr, ty, ..x })
    }

    /// Brings values to where an operation wants them.
    pub fn tamed(&mut self, x: Var, wanted: Range) -> Var {
        let Some(dtype) = x.ty.dtype() else { return x };
        if x.range.within(wanted) || !(dtype.is_float() || dtype.is_int()) || dtype.is_storage() {
            return x;
        }
        if matches!(&x.expr.kind, Kind::Text(text) if text.parse::<f64>().is_ok()) && dtype.is_float() {
            // A literal has no type of its own that a call could keep.
            let value = self.draw.float(wanted.low, wanted.high).clamp(wanted.low, wanted.high);
            return Var { expr: Expr::text(format!("{value:?}")), range: range(value, value), ..x };
        }
        let (ty, named) = (x.ty.clone(), |name: &str, value: String| Argument::named(name, value));
        let low = if dtype.is_unsigned() { wanted.low.max(0.0) } else { wanted.low };
        if dtype.is_int() {
            let arguments =
                vec![Argument::of(x.expr), named("min", format!("{low}")), named("max", format!("{}", wanted.high))];
            self.used.insert("clamp");
            return Var { expr: Expr::call("clamp", arguments, Some(ty.clone())), ty, range: range(low, wanted.high) };
        }
        let unary = |name: &str, x: Expr| Expr::call(name, vec![Argument::of(x)], Some(ty.clone()));
        let (width, is_even) = (wanted.high - wanted.low, wanted.low == -wanted.high);
        let expr = match self.draw.below(3) {
            0 => {
                self.used.insert("clamp");
                let arguments = vec![
                    Argument::of(x.expr),
                    named("min", format!("{low:?}")),
                    named("max", format!("{:?}", wanted.high)),
                ];
                Expr::call("clamp", arguments, Some(ty.clone()))
            }
            1 if is_even => {
                self.used.insert("tanh");
                let squashed = unary("tanh", x.expr);
                if wanted.high == 1.0 {
                    squashed
                } else {
                    Expr::infix("*", squashed, Expr::text(format!("{:?}", wanted.high)), ty.clone())
                }
            }
            _ => {
                let scaled = Expr::infix("*", unary("sigmoid", x.expr), Expr::text(format!("{width:?}")), ty.clone());
                Expr::infix("+", scaled, Expr::text(format!("({:?})", wanted.low)), ty.clone())
            }
        };
        Var { expr, ty, range: wanted }
    }

    // ---- operations ----

    /// Applies an operation of the registry somehow; several results become names of the scope.
    pub fn operation(&mut self, scope: &mut Scope, op: OpId, first: Option<&Var>) -> Option<Vec<Var>> {
        for _ in 0..ATTEMPTS {
            let members = scope.members.as_ref().map_or(0, Vec::len);
            let (wanted, body) = (scope.wanted.len(), scope.body.len());
            let plan = calls::plan(self, scope, op, first.cloned());
            if let Some(results) = plan.and_then(|plan| self.emit(scope, op, plan)) {
                return Some(results);
            }
            // What was conjured up for it goes as well.
            scope.wanted.truncate(wanted);
            scope.body.truncate(body);
            if let Some(list) = &mut scope.members {
                list.truncate(members);
            }
        }
        None
    }

    /// Applies an operation to operands, if its rule lets it.
    pub fn emit(&mut self, scope: &mut Scope, op: OpId, plan: Plan) -> Option<Vec<Var>> {
        let Plan { operands, attrs } = plan;
        let operands: Vec<Var> = operands
            .into_iter()
            .enumerate()
            .map(|(at, var)| {
                let dtype = var.ty.dtype().unwrap_or(DType::Float32);
                // Gradients pass straight through codes, which are integers in most targets, and have none there unless
                // they are restored at once, as `fake_quantize` does.
                if at == 0 && matches!(op.name(), "quantize" | "quantize_with") {
                    let expr = Expr::call("stop_gradient", vec![Argument::of(var.expr)], Some(var.ty.clone()));
                    return Var { expr, ..var };
                }
                self.tamed(var, ranges::domain(op.name(), at, dtype))
            })
            .collect();
        let types: Vec<TensorType> = operands.iter().map(|var| var.ty.clone()).collect();
        let results = scope.apply(op, &types, &attrs)?;
        let parts: Vec<Range> = operands.iter().map(|var| var.range).collect();
        let most = types.iter().filter_map(|ty| scope.elements(ty)).max().unwrap_or(1);
        let least = results.iter().filter_map(|ty| scope.elements(ty)).min().unwrap_or(1).max(1);
        let count = match types.first().and_then(|ty| scope.size(ty.shape.dims.last()?)) {
            Some(inner) if types.len() > 1 => inner as f64,
            _ => (most / least).max(1) as f64,
        };
        let span = ranges::result(op.name(), &parts, count);
        let expr = write(&mut self.draw, op, &operands, &attrs, &results);
        self.used.insert(op.name());
        if let [ty] = results.as_slice() {
            let range = of_type(ty, span);
            return Some(vec![Var { expr, ty: ty.clone(), range }]);
        }
        let names: Vec<String> = results.iter().map(|_| self.name("v")).collect();
        scope.body.push(Statement::Let { names: names.clone(), types: results.clone(), value: expr });
        let vars = names.iter().zip(&results).map(|(name, ty)| Var {
            expr: Expr::named(name, ty),
            ty: ty.clone(),
            range: of_type(ty, span),
        });
        Some(vars.collect())
    }

    /// Gives a value a name, so that it can be used again. Wild floats are squashed first.
    pub fn bind(&mut self, scope: &mut Scope, var: Var) -> Var {
        let var = self.settled(var);
        let name = self.name("v");
        let bound = Var { expr: Expr::named(&name, &var.ty), ..var.clone() };
        scope.body.push(Statement::Let { names: vec![name], types: vec![], value: var.expr });
        scope.vars.push(bound.clone());
        bound
    }

    /// The value, squashed if it may be large.
    pub fn settled(&mut self, var: Var) -> Var {
        let is_float = var.ty.dtype().is_some_and(DType::is_float);
        if !is_float || var.range.is_tame() {
            return var;
        }
        let wanted = if self.draw.percent(50) { range(-1.0, 1.0) } else { range(-4.0, 4.0) };
        self.tamed(Var { range: WILD, ..var }, wanted)
    }
}

/// What a type allows.
fn of_type(ty: &TensorType, span: Range) -> Range {
    match ty.dtype() {
        Some(DType::Bool) => range(0.0, 1.0),
        Some(DType::Trit) => range(-1.0, 1.0),
        _ => span,
    }
}

/// A dim as an operand.
pub fn parenthesised(dim: &Dim) -> String {
    if dim.as_const().is_some() || dim.as_symbol().is_some() { dim.to_string() } else { format!("({dim})") }
}
