//! A use of an operation as an expression: with a sign, as a call or a method, with a subscript.

use super::draw::Draw;
use super::scope::Var;
use super::tree::{Argument, Expr, Kind, Value};
use tritonc::ops::{Attr, Attrs, OpId, ParamKind};
use tritonc::types::{Dim, TensorType};

/// Operations that are written with a sign between their operands.
const SIGNS: &[(&str, &str)] = &[
    ("add", "+"),
    ("sub", "-"),
    ("mul", "*"),
    ("div", "/"),
    ("floor_div", "//"),
    ("mod", "%"),
    ("pow", "**"),
    ("eq", "=="),
    ("ne", "!="),
    ("lt", "<"),
    ("le", "<="),
    ("gt", ">"),
    ("ge", ">="),
    ("matmul", "@"),
    ("logical_and", "and"),
    ("logical_or", "or"),
];

/// The expression; of several results the type is left open.
pub fn write(draw: &mut Draw, op: OpId, operands: &[Var], attrs: &Attrs, results: &[TensorType]) -> Expr {
    let ty = match results {
        [one] => Some(one.clone()),
        _ => None,
    };
    let kind = shorthand(draw, op, operands, attrs).unwrap_or_else(|| call(draw, op, operands, attrs));
    Expr { kind, ty }
}

fn shorthand(draw: &mut Draw, op: OpId, operands: &[Var], attrs: &Attrs) -> Option<Kind> {
    let first = operands.first()?.expr.clone();
    let sign = SIGNS.iter().find(|(name, _)| *name == op.name()).map(|(_, sign)| *sign);
    if let (Some(sign), [_, second], true) = (sign, operands, attrs.is_empty() && draw.percent(85)) {
        return Some(Kind::Infix { sign, left: Box::new(first), right: Box::new(second.expr.clone()) });
    }
    if op.name() == "neg" && draw.percent(70) {
        return Some(Kind::Prefix { sign: "-", operand: Box::new(first) });
    }
    if let Some(Attr::DType(elem)) = attrs.get("dtype").filter(|_| op.name() == "cast") {
        let arguments = vec![Argument::text(elem.to_string())];
        return Some(Kind::Method { receiver: Box::new(first), name: "to".to_string(), arguments });
    }
    let axis = attrs.const_int("axis").filter(|axis| *axis >= 0).unwrap_or(-1);
    let before = || (0..axis).map(|_| Argument::text(":"));
    match op.name() {
        "slice" if axis >= 0 && draw.percent(60) => {
            let int = |name: &str| match attrs.get(name) {
                Some(Attr::Int(dim)) => Some(dim.to_string()),
                _ => None,
            };
            let step = int("step").map_or(String::new(), |step| format!(":{step}"));
            let cut = Argument::text(format!("{}:{}{step}", int("start")?, int("stop")?));
            Some(Kind::Index { base: Box::new(first), subscript: before().chain([cut]).collect() })
        }
        "take" if axis >= 0 && draw.percent(50) && operands[1].ty.shape.rank() > Some(0) => {
            let index = Argument::of(operands[1].expr.clone());
            Some(Kind::Index { base: Box::new(first), subscript: before().chain([index]).collect() })
        }
        _ => None,
    }
}

fn call(draw: &mut Draw, op: OpId, operands: &[Var], attrs: &Attrs) -> Kind {
    let mut left = operands.iter().map(|var| var.expr.clone());
    let mut arguments: Vec<Argument> = vec![];
    for param in op.get().params {
        let positional = arguments.iter().all(|argument| argument.name.is_none());
        let name = |by_position: bool| (!by_position).then(|| param.name.to_string());
        match param.kind {
            ParamKind::Tensor | ParamKind::OptionalTensor => {
                if let Some(expr) = left.next() {
                    let by_position = positional && (arguments.len() == position(op, param.name));
                    arguments.push(Argument { name: name(by_position), value: Value::One(expr) });
                }
            }
            ParamKind::Tensors => {
                arguments.push(Argument { name: None, value: Value::List(left.by_ref().collect()) });
            }
            _ => {
                if let Some(attr) = attrs.get(param.name) {
                    arguments
                        .push(Argument { name: name(false), value: Value::One(Expr::text(text(attr, param.kind))) });
                }
            }
        }
    }
    let first = arguments.first().filter(|argument| argument.name.is_none());
    if let (Some(Argument { value: Value::One(receiver), .. }), true) = (first.cloned(), draw.percent(40))
        && !matches!(&receiver.kind, Kind::Text(text) if text.starts_with(|c: char| c == '-' || c.is_ascii_digit()))
    {
        arguments.remove(0);
        return Kind::Method { receiver: Box::new(receiver), name: op.name().to_string(), arguments };
    }
    Kind::Call { callee: op.name().to_string(), arguments }
}

/// Where a parameter stands.
fn position(op: OpId, name: &str) -> usize {
    op.get().params.iter().position(|param| param.name == name).unwrap_or(usize::MAX)
}

/// An attribute in Tri.
fn text(attr: &Attr, kind: ParamKind) -> String {
    let list = |dims: &[Dim]| format!("[{}]", dims.iter().map(Dim::to_string).collect::<Vec<_>>().join(", "));
    match attr {
        Attr::None | Attr::Unknown => "None".to_string(),
        Attr::Ints(dims) if kind == ParamKind::Pads => {
            let pairs: Vec<String> = dims.chunks(2).map(|pair| format!("({}, {})", pair[0], pair[1])).collect();
            format!("[{}]", pairs.join(", "))
        }
        Attr::Ints(dims) => list(dims),
        Attr::Shape(shape) => list(&shape.dims),
        Attr::Float(_) | Attr::Int(_) | Attr::Bool(_) | Attr::Str(_) | Attr::DType(_) | Attr::Scheme(_) => {
            attr.to_string()
        }
    }
}
