//! Programs as trees: small enough to be changed blindly, complete enough to be printed as Tri.
//!
//! The shrinker takes trees apart without knowing what they mean; the checker then says whether what is left is a
//! program. So a tree holds the type of an expression, by which another one may take its place, and no more.

use std::fmt::Write as _;
use tritonc::types::{DType, HostValue, Tensor, TensorType};

#[derive(Clone, Debug)]
pub struct Program {
    pub functions: Vec<Function>,
    /// The last one is the entry; its hyperparameters have defaults.
    pub layers: Vec<Layer>,
    /// What the entry's methods are called with, by name.
    pub inputs: Vec<(String, Tensor)>,
    /// The same for `int` and `float` parameters.
    pub numbers: Vec<(String, HostValue)>,
}

#[derive(Clone, Debug)]
pub struct Layer {
    pub name: String,
    pub hypers: Vec<Hyper>,
    pub facts: Vec<String>,
    pub members: Vec<Member>,
    pub methods: Vec<Function>,
}

#[derive(Clone, Debug)]
pub struct Hyper {
    pub name: String,
    /// `int`, `bool` or `float`.
    pub kind: &'static str,
    /// In Tri.
    pub value: String,
}

/// A `param`, `buffer`, `state` or `let`.
#[derive(Clone, Debug)]
pub struct Member {
    /// `@quantize(int8())`
    pub attributes: Vec<String>,
    pub name: String,
    /// `param w: float32[n]`, up to the `=`.
    pub head: String,
    pub value: String,
}

#[derive(Clone, Debug)]
pub struct Function {
    pub name: String,
    pub attributes: Vec<String>,
    pub params: Vec<Param>,
    pub facts: Vec<String>,
    /// The declared type; none leaves it out.
    pub result: Option<String>,
    pub body: Vec<Statement>,
    pub results: Vec<Expr>,
}

#[derive(Clone, Debug)]
pub struct Param {
    pub name: String,
    pub ty: String,
    /// In Tri.
    pub default: Option<String>,
    /// The element type and sizes with which it was tried; of a tensor.
    pub sample: Option<(DType, Vec<usize>)>,
}

#[derive(Clone, Debug)]
pub enum Statement {
    /// With several names, `types` has those of the parts.
    Let {
        names: Vec<String>,
        types: Vec<TensorType>,
        value: Expr,
    },
    /// `name = value`, or `name += value` with another sign.
    Assign {
        name: String,
        sign: &'static str,
        value: Expr,
    },
    If {
        condition: Expr,
        then: Vec<Statement>,
        otherwise: Vec<Statement>,
    },
    /// `for header { body }`
    For {
        header: String,
        body: Vec<Statement>,
    },
    While {
        condition: Expr,
        body: Vec<Statement>,
    },
}

#[derive(Clone, Debug)]
pub struct Expr {
    pub kind: Kind,
    /// Of one tensor whose type is known.
    pub ty: Option<TensorType>,
}

#[derive(Clone, Debug)]
pub enum Kind {
    /// A name or a literal.
    Text(String),
    Call {
        callee: String,
        arguments: Vec<Argument>,
    },
    /// `receiver.name(arguments)`
    Method {
        receiver: Box<Expr>,
        name: String,
        arguments: Vec<Argument>,
    },
    Infix {
        sign: &'static str,
        left: Box<Expr>,
        right: Box<Expr>,
    },
    Prefix {
        sign: &'static str,
        operand: Box<Expr>,
    },
    Index {
        base: Box<Expr>,
        subscript: Vec<Argument>,
    },
    /// `base.name`
    Member {
        base: Box<Expr>,
        name: &'static str,
    },
    /// `if c { a } else { b }`
    Choice {
        condition: Box<Expr>,
        then: Box<Expr>,
        otherwise: Box<Expr>,
    },
}

#[derive(Clone, Debug)]
pub struct Argument {
    pub name: Option<String>,
    pub value: Value,
}

#[derive(Clone, Debug)]
pub enum Value {
    One(Expr),
    List(Vec<Expr>),
}

impl Expr {
    pub fn text(text: impl Into<String>) -> Expr {
        Expr { kind: Kind::Text(text.into()), ty: None }
    }

    pub fn typed(kind: Kind, ty: TensorType) -> Expr {
        Expr { kind, ty: Some(ty) }
    }

    pub fn named(name: &str, ty: &TensorType) -> Expr {
        Expr::typed(Kind::Text(name.to_string()), ty.clone())
    }

    pub fn call(callee: impl Into<String>, arguments: Vec<Argument>, ty: Option<TensorType>) -> Expr {
        Expr { kind: Kind::Call { callee: callee.into(), arguments }, ty }
    }

    pub fn infix(sign: &'static str, left: Expr, right: Expr, ty: TensorType) -> Expr {
        Expr::typed(Kind::Infix { sign, left: Box::new(left), right: Box::new(right) }, ty)
    }

    /// The expressions right below.
    pub fn children(&self) -> Vec<&Expr> {
        fn of(arguments: &[Argument]) -> Vec<&Expr> {
            arguments
                .iter()
                .flat_map(|argument| match &argument.value {
                    Value::One(expr) => std::slice::from_ref(expr).iter(),
                    Value::List(list) => list.iter(),
                })
                .collect()
        }
        match &self.kind {
            Kind::Text(_) => vec![],
            Kind::Call { arguments, .. } => of(arguments),
            Kind::Method { receiver, arguments, .. } => [vec![receiver.as_ref()], of(arguments)].concat(),
            Kind::Infix { left, right, .. } => vec![left, right],
            Kind::Prefix { operand, .. } => vec![operand],
            Kind::Index { base, subscript } => [vec![base.as_ref()], of(subscript)].concat(),
            Kind::Member { base, .. } => vec![base],
            Kind::Choice { condition, then, otherwise } => vec![condition, then, otherwise],
        }
    }

    /// The same, to be changed.
    pub fn children_mut(&mut self) -> Vec<&mut Expr> {
        fn of(arguments: &mut [Argument]) -> impl Iterator<Item = &mut Expr> {
            arguments.iter_mut().flat_map(|argument| match &mut argument.value {
                Value::One(expr) => std::slice::from_mut(expr).iter_mut(),
                Value::List(list) => list.iter_mut(),
            })
        }
        match &mut self.kind {
            Kind::Text(_) => vec![],
            Kind::Call { arguments, .. } => of(arguments).collect(),
            Kind::Method { receiver, arguments, .. } => {
                std::iter::once(receiver.as_mut()).chain(of(arguments)).collect()
            }
            Kind::Infix { left, right, .. } => vec![left, right],
            Kind::Prefix { operand, .. } => vec![operand],
            Kind::Index { base, subscript } => std::iter::once(base.as_mut()).chain(of(subscript)).collect(),
            Kind::Member { base, .. } => vec![base],
            Kind::Choice { condition, then, otherwise } => vec![condition, then, otherwise],
        }
    }
}

impl Argument {
    pub fn of(expr: Expr) -> Argument {
        Argument { name: None, value: Value::One(expr) }
    }

    pub fn text(text: impl Into<String>) -> Argument {
        Argument::of(Expr::text(text))
    }

    pub fn named(name: &str, text: impl Into<String>) -> Argument {
        Argument { name: Some(name.to_string()), value: Value::One(Expr::text(text)) }
    }
}

impl Statement {
    /// The blocks inside.
    pub fn blocks_mut(&mut self) -> Vec<&mut Vec<Statement>> {
        match self {
            Statement::Let { .. } | Statement::Assign { .. } => vec![],
            Statement::If { then, otherwise, .. } => vec![then, otherwise],
            Statement::For { body, .. } | Statement::While { body, .. } => vec![body],
        }
    }

    /// The expression of its own.
    pub fn expr_mut(&mut self) -> Option<&mut Expr> {
        match self {
            Statement::Let { value, .. } | Statement::Assign { value, .. } => Some(value),
            Statement::If { condition, .. } | Statement::While { condition, .. } => Some(condition),
            Statement::For { .. } => None,
        }
    }
}

impl Program {
    /// Every function and method.
    pub fn bodies_mut(&mut self) -> Vec<&mut Function> {
        let methods = self.layers.iter_mut().flat_map(|layer| layer.methods.iter_mut());
        self.functions.iter_mut().chain(methods).collect()
    }

    /// The text of the program.
    pub fn print(&self) -> String {
        let mut out = "use nn\nuse recurrent\n".to_string();
        for function in &self.functions {
            out.push('\n');
            write_function(&mut out, function, 0);
        }
        for layer in &self.layers {
            out.push('\n');
            write_layer(&mut out, layer);
        }
        if let Some(entry) = self.layers.last() {
            let _ = writeln!(out, "\nlet net = {}()", entry.name);
        }
        for module in ["nn", "recurrent"] {
            if !out.contains(&format!("{module}.")) {
                out = out.replacen(&format!("use {module}\n"), "", 1);
            }
        }
        out.trim_start().to_string()
    }

    /// How many lines it has, by which programs are compared when one is made smaller.
    pub fn size(&self) -> usize {
        let text = self.print();
        text.len() + self.inputs.iter().map(|(_, tensor)| tensor.len()).sum::<usize>()
    }
}

fn write_layer(out: &mut String, layer: &Layer) {
    let hypers = layer.hypers.iter().map(|hyper| format!("{}: {} = {}", hyper.name, hyper.kind, hyper.value));
    let hypers = hypers.collect::<Vec<_>>().join(", ");
    let hypers = if hypers.is_empty() { hypers } else { format!("({hypers})") };
    let _ = writeln!(out, "layer {}{hypers}{} {{", layer.name, facts(&layer.facts));
    for member in &layer.members {
        for attribute in &member.attributes {
            let _ = writeln!(out, "    {attribute}");
        }
        let _ = writeln!(out, "    {} = {}", member.head, member.value);
    }
    for (index, method) in layer.methods.iter().enumerate() {
        if index > 0 || !layer.members.is_empty() {
            out.push('\n');
        }
        write_function(out, method, 1);
    }
    out.push_str("}\n");
}

fn facts(facts: &[String]) -> String {
    if facts.is_empty() { String::new() } else { format!(" where {}", facts.join(", ")) }
}

fn write_function(out: &mut String, function: &Function, depth: usize) {
    let indent = "    ".repeat(depth);
    for attribute in &function.attributes {
        let _ = writeln!(out, "{indent}{attribute}");
    }
    let param = |param: &Param| {
        let default = param.default.as_ref().map_or(String::new(), |default| format!(" = {default}"));
        format!("{}: {}{default}", param.name, param.ty)
    };
    let params = function.params.iter().map(param).collect::<Vec<_>>().join(", ");
    let result = function.result.as_ref().map_or(String::new(), |result| format!(" -> {result}"));
    let _ = writeln!(out, "{indent}fn {}({params}){result}{} {{", function.name, facts(&function.facts));
    write_block(out, &function.body, depth + 1);
    let results: Vec<String> = function.results.iter().map(Expr::to_string).collect();
    let _ = writeln!(out, "{indent}    return {}", results.join(", "));
    let _ = writeln!(out, "{indent}}}");
}

fn write_block(out: &mut String, block: &[Statement], depth: usize) {
    let indent = "    ".repeat(depth);
    for statement in block {
        out.push_str(&indent);
        match statement {
            Statement::Let { names, value, .. } => {
                let names = if names.len() == 1 { names[0].clone() } else { format!("({})", names.join(", ")) };
                let _ = writeln!(out, "let {names} = {value}");
            }
            Statement::Assign { name, sign, value } => {
                let _ = writeln!(out, "{name} {sign} {value}");
            }
            Statement::If { condition, then, otherwise } => {
                let _ = writeln!(out, "if {condition} {{");
                write_block(out, then, depth + 1);
                if !otherwise.is_empty() {
                    let _ = writeln!(out, "{indent}}} else {{");
                    write_block(out, otherwise, depth + 1);
                }
                let _ = writeln!(out, "{indent}}}");
            }
            Statement::For { header, body } => {
                let _ = writeln!(out, "for {header} {{");
                write_block(out, body, depth + 1);
                let _ = writeln!(out, "{indent}}}");
            }
            Statement::While { condition, body } => {
                let _ = writeln!(out, "while {condition} {{");
                write_block(out, body, depth + 1);
                let _ = writeln!(out, "{indent}}}");
            }
        }
    }
}

impl std::fmt::Display for Expr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.kind {
            Kind::Text(text) => f.write_str(text),
            Kind::Call { callee, arguments } => write!(f, "{callee}({})", list(arguments)),
            Kind::Method { receiver, name, arguments } => {
                write!(f, "{}.{name}({})", Tight(receiver), list(arguments))
            }
            Kind::Infix { sign, left, right } => write!(f, "{} {sign} {}", Tight(left), Tight(right)),
            Kind::Prefix { sign, operand } => write!(f, "{sign}{}", Tight(operand)),
            Kind::Index { base, subscript } => write!(f, "{}[{}]", Tight(base), list(subscript)),
            Kind::Member { base, name } => write!(f, "{}.{name}", Tight(base)),
            Kind::Choice { condition, then, otherwise } => {
                write!(f, "if {condition} {{ {then} }} else {{ {otherwise} }}")
            }
        }
    }
}

/// In parentheses unless it is one word or a call.
struct Tight<'a>(&'a Expr);

impl std::fmt::Display for Tight<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0.kind {
            Kind::Text(text) if !text.starts_with('-') => f.write_str(text),
            Kind::Call { .. } | Kind::Method { .. } | Kind::Index { .. } | Kind::Member { .. } => self.0.fmt(f),
            _ => write!(f, "({})", self.0),
        }
    }
}

fn list(arguments: &[Argument]) -> String {
    let one = |argument: &Argument| {
        let value = match &argument.value {
            Value::One(expr) => expr.to_string(),
            Value::List(list) => {
                format!("[{}]", list.iter().map(Expr::to_string).collect::<Vec<_>>().join(", "))
            }
        };
        argument.name.as_ref().map_or(value.clone(), |name| format!("{name}={value}"))
    };
    arguments.iter().map(one).collect::<Vec<_>>().join(", ")
}
