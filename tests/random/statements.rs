//! Statements: values with names, branches and loops, state that a layer keeps.

use super::generate::Generator;
use super::ranges::{Range, WILD, range};
use super::scope::{Scope, Var};
use super::tree::{Argument, Expr, Kind, Member, Statement};
use tritonc::types::{DType, Dim, Shape, TensorType};

/// No block stands deeper.
const DEEPEST: usize = 2;

impl Generator {
    /// Some statements more.
    pub fn statements(&mut self, scope: &mut Scope, count: i64) {
        for _ in 0..count {
            self.statement(scope);
        }
    }

    fn statement(&mut self, scope: &mut Scope) {
        let blocks = if scope.depth < DEEPEST { 1 } else { 0 };
        let members = if scope.is_method() && scope.depth == 0 { 1 } else { 0 };
        let top = if scope.depth == 0 { 1 } else { 0 };
        let made = match self.draw.weighted(&[
            60,
            14,
            3 * top,
            3,
            6 * members,
            8 * members,
            4 * blocks,
            4 * blocks,
            3 * blocks,
            3 * members,
            3 * members,
            2 * blocks,
        ]) {
            0 => self.some_operation(scope),
            1 => self.library_function(scope),
            2 => self.new_function(scope),
            3 => self.old_function(scope),
            4 => self.new_layer(scope),
            5 => self.library_layer(scope),
            6 => self.branch(scope),
            7 => self.counted_loop(scope),
            8 => self.while_loop(scope),
            9 => self.state(scope),
            10 => self.new_method(scope),
            _ => self.collected(scope),
        };
        for var in made.into_iter().flatten() {
            // Names that stand already only have to be known.
            match &var.expr.kind {
                Kind::Text(name) if name.starts_with(char::is_alphabetic) => {
                    let settled = self.settled(var.clone());
                    if settled.expr.to_string() == *name {
                        scope.vars.retain(|other| other.expr.to_string() != *name);
                        scope.vars.push(settled);
                    } else {
                        self.bind(scope, settled);
                    }
                }
                _ => {
                    // Now and then it is used where it stands.
                    if self.draw.percent(20)
                        && scope.depth == 0
                        && matches!(var.expr.kind, Kind::Infix { .. } | Kind::Call { .. } | Kind::Method { .. })
                        && var.range.is_tame()
                    {
                        scope.vars.push(var);
                    } else {
                        self.bind(scope, var);
                    }
                }
            }
        }
    }

    fn some_operation(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let operations = self.operations.clone();
        for _ in 0..20 {
            let op = *self.draw.choose(&operations)?;
            if let Some(made) = self.operation(scope, op, None) {
                return Some(made);
            }
        }
        None
    }

    /// A variable that statements of a block may assign, with a name of its own.
    fn variable(&mut self, scope: &mut Scope) -> Option<Var> {
        let var = self.float(scope)?;
        let var = Var { range: var.range, ..var };
        Some(self.bind(scope, var))
    }

    /// The body of a block, which assigns one variable; what it names stays inside.
    fn block(&mut self, scope: &mut Scope, own: &Var, count: i64) -> Option<Vec<Statement>> {
        let (body, vars) = (std::mem::take(&mut scope.body), scope.vars.clone());
        scope.depth += 1;
        self.statements(scope, count);
        let value = self.next_value(scope, own);
        scope.depth -= 1;
        scope.vars = vars;
        let mut block = std::mem::replace(&mut scope.body, body);
        let value = value?;
        let name = own.expr.to_string();
        block.push(Statement::Assign { name, sign: "=", value: value.expr });
        Some(block)
    }

    /// Something of the type and range of a variable that is made from it.
    fn next_value(&mut self, scope: &mut Scope, own: &Var) -> Option<Var> {
        let operations = self.operations.clone();
        for _ in 0..40 {
            let op = *self.draw.choose(&operations)?;
            let body = scope.body.len();
            let made = self.operation(scope, op, Some(own));
            if let Some([one]) = made.as_deref()
                && one.ty == own.ty
                && one.expr.to_string() != own.expr.to_string()
            {
                let one = if one.range.is_tame() { one.clone() } else { Var { range: WILD, ..one.clone() } };
                return Some(self.tamed(one, own.range));
            }
            scope.body.truncate(body);
        }
        self.returned(scope, own)
    }

    /// A bool that the program decides when it runs.
    fn condition(&mut self, scope: &mut Scope) -> Option<Expr> {
        let x = self.float(scope)?;
        let how = self.draw.pick(&["mean", "sum", "max"]);
        self.used.insert(how);
        let scalar = TensorType::scalar(x.ty.elem.clone());
        let call = Kind::Method { receiver: Box::new(x.expr), name: how.to_string(), arguments: vec![] };
        let bound = Expr::text(self.number(-1.0, 1.0));
        let sign = self.draw.pick(&["<", ">"]);
        Some(Expr::infix(sign, Expr::typed(call, scalar.clone()), bound, scalar.with_elem(DType::Bool)))
    }

    fn branch(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let own = self.variable(scope)?;
        let condition = match self.draw.below(4) {
            0 => self.host_condition(scope),
            _ => self.condition(scope)?,
        };
        if self.draw.percent(20) {
            let other = self.next_value(scope, &own)?;
            let (then, otherwise) = (Box::new(other.expr), Box::new(own.expr.clone()));
            let kind = Kind::Choice { condition: Box::new(condition), then, otherwise };
            return Some(vec![self.bind(scope, Var { expr: Expr::typed(kind, own.ty.clone()), ..own })]);
        }
        let (first, second) = (self.draw.between(0, 2), self.draw.between(0, 2));
        let then = self.block(scope, &own, first)?;
        let otherwise = if self.draw.percent(60) { self.block(scope, &own, second)? } else { vec![] };
        scope.body.push(Statement::If { condition, then, otherwise });
        Some(vec![own])
    }

    /// A condition on hyperparameters, or on the mode. Sizes of inputs decide no branch.
    fn host_condition(&mut self, scope: &Scope) -> Expr {
        let is_hyper = |name: &String| name.starts_with(char::is_lowercase);
        let sizes = scope.sizes.iter().map(|(symbol, size)| (symbol.to_string(), *size));
        let sizes: Vec<(String, i64)> = sizes.filter(|(name, _)| is_hyper(name)).collect();
        if let Some(flag) = self.draw.choose(&scope.flags)
            && self.draw.percent(60)
        {
            return Expr::text(flag.clone());
        }
        match self.draw.choose(&sizes).cloned() {
            Some((symbol, size)) if self.draw.percent(60) => {
                // Both ways are checked: with a size below its own, what follows may be wrong.
                let bound = size + self.draw.between(1, 4);
                Expr::text(format!("{symbol} {} {bound}", self.draw.pick(&["<", ">", "==", ">="])))
            }
            _ => Expr::text(self.draw.pick(&["training", "not training"])),
        }
    }

    /// How often a loop turns, in Tri.
    fn turns(&mut self, scope: &Scope) -> String {
        let symbols: Vec<String> = scope.sizes.keys().map(ToString::to_string).collect();
        match self.draw.choose(&symbols).cloned() {
            Some(symbol) if self.draw.percent(30) => symbol,
            _ => self.draw.between(1, 4).to_string(),
        }
    }

    fn counted_loop(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let own = self.variable(scope)?;
        let (index, turns) = (self.name("i"), self.turns(scope));
        let vars = scope.vars.len();
        if self.draw.percent(50) {
            // The index as a number of the running program.
            let number = Expr::text(format!("float({index})"));
            let scaled = Expr::infix("*", own.expr.clone(), number, own.ty.clone());
            scope.vars.push(Var { expr: scaled, ty: own.ty.clone(), range: WILD });
        }
        let count = self.draw.between(0, 2);
        let body = self.block(scope, &own, count);
        scope.vars.truncate(vars);
        scope.body.push(Statement::For { header: format!("{index} in 0..{turns}"), body: body? });
        Some(vec![own])
    }

    /// A loop that ends: it counts.
    fn while_loop(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let own = self.variable(scope)?;
        let counter = self.name("c");
        let limit = self.draw.between(1, 4);
        let count = self.draw.between(0, 1);
        let mut body = self.block(scope, &own, count)?;
        scope.body.push(Statement::Let { names: vec![counter.clone()], types: vec![], value: Expr::text("0") });
        body.push(Statement::Assign { name: counter.clone(), sign: "+=", value: Expr::text("1") });
        let mut condition = Expr::text(format!("{counter} < {limit}"));
        if self.draw.percent(40) {
            let more = self.condition(scope)?;
            let ty = TensorType::scalar(DType::Bool);
            condition = Expr::infix("and", condition, more, ty);
        }
        scope.body.push(Statement::While { condition, body });
        Some(vec![own])
    }

    /// One tensor a turn, stacked.
    fn collected(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let own = self.variable(scope)?;
        let (list, index) = (self.name("parts"), self.name("i"));
        let turns = self.draw.between(1, 3);
        let count = self.draw.between(0, 1);
        let mut body = self.block(scope, &own, count)?;
        scope.body.push(Statement::Let { names: vec![list.clone()], types: vec![], value: Expr::text("[]") });
        body.push(Statement::Assign { name: list.clone(), sign: "+=", value: Expr::text(format!("[{}]", own.expr)) });
        scope.body.push(Statement::For { header: format!("{index} in 0..{turns}"), body });
        let axis = self.draw.below(own.ty.shape.rank()? + 1);
        let shape = own.ty.shape.insert_dim(axis, Dim::constant(turns));
        let ty = own.ty.with_shape(shape);
        self.used.insert("stack");
        let arguments = vec![Argument::text(list), Argument::named("axis", axis.to_string())];
        let stacked = Expr::call("stack", arguments, Some(ty.clone()));
        if !scope.fits(&ty) {
            return Some(vec![own]);
        }
        Some(vec![own.clone(), Var { expr: stacked, ty, range: own.range }])
    }

    /// State that each call reads and changes.
    fn state(&mut self, scope: &mut Scope) -> Option<Vec<Var>> {
        let x = self.float(scope)?;
        let name = self.name("s");
        let scalar = self.draw.percent(50);
        let shape = if scalar { Shape::scalar() } else { Shape::new(vec![x.ty.shape.known()?.last()?.clone()]) };
        let is_fixed =
            shape.dims.iter().all(|dim| !dim.symbols().iter().any(|s| s.as_str().starts_with(char::is_uppercase)));
        if !is_fixed {
            return None;
        }
        let ty = x.ty.with_shape(shape);
        let attributes = if self.draw.percent(20) { vec!["@transient".to_string()] } else { vec![] };
        let value = self.draw.pick(&["zeros()", "ones()", "constant(0.5)"]).to_string();
        let member = Member { attributes, name: name.clone(), head: format!("state {name}: {ty}"), value };
        scope.members.get_or_insert_default().push(member);
        let span = Range { low: x.range.low.min(0.0), high: x.range.high.max(1.0) };
        let rank = x.ty.shape.rank()?;
        let axes: Vec<Expr> = (0..rank.saturating_sub(1)).map(|axis| Expr::text(axis.to_string())).collect();
        let mut arguments = vec![Argument::of(x.expr)];
        if !scalar {
            if axes.is_empty() {
                return Some(vec![Var { expr: Expr::named(&name, &ty), ty, range: range(0.0, 1.0) }]);
            }
            arguments.push(Argument { name: Some("axis".into()), value: super::tree::Value::List(axes) });
        }
        self.used.insert("mean");
        let mean = Expr::call("mean", arguments, Some(ty.clone()));
        let part = Expr::infix("*", mean, Expr::text("0.25"), ty.clone());
        let kept = Expr::infix("*", Expr::named(&name, &ty), Expr::text("0.75"), ty.clone());
        let value = Expr::infix("+", kept, part, ty.clone());
        let update = Statement::Assign { name: name.clone(), sign: "=", value };
        scope.body.push(match self.draw.percent(50) {
            true => Statement::If { condition: Expr::text("training"), then: vec![update], otherwise: vec![] },
            false => update,
        });
        Some(vec![Var { expr: Expr::named(&name, &ty), ty, range: span }])
    }
}
