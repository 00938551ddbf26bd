//! How operations are called: for each parameter of an operation something that may stand there.
//!
//! The registry says which parameters there are and, by its rule, what is right. So whatever is drawn here is tried, and
//! what the rule refuses is drawn again; an operation that is new in the registry needs no line, only luck. The plans
//! of this file make luck likelier, or see to what no rule tells: that an index lies within its axis.

use super::generate::Generator;
use super::ranges::range;
use super::scope::{Scope, Var};
use super::tree::Expr;
use tritonc::base::F64;
use tritonc::ops::{Attr, Attrs, OpId, Param, ParamKind};
use tritonc::quant::{Scheme, SchemeKind, TernaryRule};
use tritonc::types::{DType, Dim, HostExpr, Shape, TensorType};

pub const FLOATS: &[DType] =
    &[DType::Float32, DType::Float32, DType::Float32, DType::Float64, DType::Float16, DType::BFloat16];
pub const INTEGERS: &[DType] = &[DType::Int64, DType::Int32, DType::Int8, DType::UInt8, DType::Int16];

/// What an operation is applied to.
pub struct Plan {
    pub operands: Vec<Var>,
    pub attrs: Attrs,
}

type Planned = Option<Plan>;

/// A use of an operation, right or not.
pub fn plan(g: &mut Generator, scope: &mut Scope, op: OpId, first: Option<Var>) -> Planned {
    match op.name() {
        "matmul" => matmul(g, scope, first),
        "routed_matmul" => routed_matmul(g, scope, first),
        "conv1d" | "conv_transpose1d" => convolution(g, scope, op, 1, first),
        "conv2d" | "conv_transpose2d" => convolution(g, scope, op, 2, first),
        "conv3d" | "conv_transpose3d" => convolution(g, scope, op, 3, first),
        "take" => take(g, scope, first),
        "gather" => gather(g, scope, first),
        "scatter" => scatter(g, scope, first),
        "one_hot" => one_hot(g, scope),
        "dynamic_slice" | "dynamic_update" => dynamic(g, scope, op, first),
        "reshape" => reshape(g, scope, first),
        "where" => choice(g, scope, first),
        "quantize_with" | "dequantize" | "pack" | "unpack" => codes(g, scope, op),
        "categorical" => {
            let logits = first.or_else(|| g.float(scope))?;
            Some(Plan { operands: vec![logits, seed(g)], attrs: Attrs::new() })
        }
        _ => generic(g, scope, op, first),
    }
}

/// By kinds of parameters alone.
fn generic(g: &mut Generator, scope: &mut Scope, op: OpId, first: Option<Var>) -> Planned {
    let mut operands: Vec<Var> = first.into_iter().collect();
    let wanted_rank = rank_of(op.name());
    if let Some(rank) = wanted_rank {
        let x = operands.pop().or_else(|| g.float(scope))?;
        operands.push(g.with_rank(scope, x, rank)?);
    }
    for (index, param) in op.get().params.iter().filter(|param| param.is_operand()).enumerate() {
        match param.kind {
            ParamKind::Tensor if param.name == "seed" => operands.push(seed(g)),
            ParamKind::Tensor if index < operands.len() => {}
            ParamKind::Tensor if index == 0 => operands.push(g.any(scope)?),
            ParamKind::Tensor => {
                let beside = partner(g, scope, &operands[0].clone())?;
                operands.push(beside);
            }
            ParamKind::OptionalTensor => {}
            ParamKind::Tensors => {
                let x = operands.pop().or_else(|| g.any(scope))?;
                let others = g.draw.between(0, 2);
                let others: Vec<Var> = (0..others).filter_map(|_| g.like(scope, &x.ty)).collect();
                operands.extend(std::iter::once(x).chain(others));
            }
            _ => return None,
        }
    }
    let types: Vec<TensorType> = operands.iter().map(|var| var.ty.clone()).collect();
    let mut attrs = Attrs::new();
    for param in op.get().params.iter().filter(|param| !param.is_operand()) {
        let has_default = !matches!(param.default, tritonc::ops::Default::Required);
        if has_default && g.draw.percent(50) {
            continue;
        }
        if let Some(attr) = attr(g, scope, param, &types) {
            attrs.set(param.name, attr);
        }
    }
    if let (Some(rank), Some(x)) = (wanted_rank, operands.first()) {
        windows_within(scope, &mut attrs, &x.ty, rank);
    }
    Some(Plan { operands, attrs })
}

/// Keeps to windows that PyTorch knows what to do with: with gaps, a window may lie beside the input altogether, and the
/// gradient of its maximum then writes anywhere; and a mean over three axes wants the input to be as large as the window.
fn windows_within(scope: &Scope, attrs: &mut Attrs, x: &TensorType, rank: usize) {
    let has_gaps = attrs.const_ints("dilation").is_some_and(|gaps| gaps.iter().any(|gap| *gap > 1));
    if has_gaps {
        *attrs = attrs.clone().with("padding", Attr::int(0)).with("ceil_mode", Attr::Bool(false));
    }
    let smallest = x.shape.dims.iter().skip(2).filter_map(|dim| scope.size(dim)).min().unwrap_or(1);
    let largest = attrs.const_ints("kernel_size").and_then(|sizes| sizes.into_iter().max()).unwrap_or(1);
    if rank == 5 && largest > smallest {
        attrs.set("kernel_size", Attr::int(smallest));
    }
}

/// How many axes an operation on windows needs.
fn rank_of(op: &str) -> Option<usize> {
    match op {
        "max_pool1d" | "avg_pool1d" => Some(3),
        "max_pool2d" | "avg_pool2d" => Some(4),
        "max_pool3d" | "avg_pool3d" => Some(5),
        "tril" | "triu" => Some(2),
        "upsample" => Some(4),
        _ => None,
    }
}

fn seed(g: &mut Generator) -> Var {
    let number = g.draw.between(0, 1000);
    Var { expr: Expr::text(number.to_string()), ty: TensorType::scalar(DType::Int64), range: range(0.0, 1000.0) }
}

/// A second operand: of the same type, or one that broadcasts.
fn partner(g: &mut Generator, scope: &mut Scope, x: &Var) -> Option<Var> {
    let elem = x.ty.elem.clone();
    if g.draw.percent(15) && x.ty.dtype().is_some_and(|dtype| dtype.is_float()) {
        let number = g.draw.choose(&scope.numbers).cloned().filter(|_| g.draw.percent(60));
        let Some((text, value)) = number else { return Some(g.literal(&x.ty)) };
        let ty = TensorType::scalar(x.ty.elem.clone());
        return Some(Var { expr: Expr::text(text), ty, range: range(value, value) });
    }
    if g.draw.percent(40) {
        let found = scope.find(&mut g.draw, |var| var.ty.elem == elem);
        if found.is_some() {
            return found;
        }
    }
    let mut dims = x.ty.shape.known()?.to_vec();
    if g.draw.percent(30) && !dims.is_empty() {
        let axis = g.draw.below(dims.len());
        dims[axis] = Dim::constant(1);
    }
    if g.draw.percent(25) && !dims.is_empty() {
        dims.remove(0);
    }
    let ty = x.ty.with_shape(Shape::new(dims));
    g.like(scope, &ty)
}

/// A value for an attribute, by its kind; the name helps where sizes matter.
pub fn attr(g: &mut Generator, scope: &Scope, param: &Param, operands: &[TensorType]) -> Option<Attr> {
    let dims: Vec<Dim> = operands.first().and_then(|ty| ty.shape.known()).unwrap_or_default().to_vec();
    let rank = dims.len() as i64;
    let axis = |g: &mut Generator| g.draw.between(-rank, (rank - 1).max(0));
    Some(match param.kind {
        ParamKind::Axis => Attr::int(axis(g)),
        ParamKind::Axes if param.name == "axes" => {
            let mut axes: Vec<i64> = (0..rank).collect();
            g.draw.shuffle(&mut axes);
            // A permutation names all, others some.
            if g.draw.percent(40) {
                axes.truncate(1 + g.draw.below(axes.len()));
            }
            Attr::ints(&axes)
        }
        ParamKind::Axes if g.draw.percent(60) || rank < 2 => Attr::int(axis(g)),
        ParamKind::Axes => Attr::ints(&[0, rank - 1]),
        ParamKind::Int => match param.name {
            "k" | "n" | "m" | "num" | "size" => Attr::int(g.draw.between(1, 4)),
            "start" => Attr::int(g.draw.between(0, 2)),
            "stop" => match dims.last() {
                Some(last) if g.draw.percent(30) => Attr::Int(last.clone()),
                _ => Attr::int(g.draw.between(2, 6)),
            },
            "low" => Attr::int(g.draw.between(-5, 0)),
            "high" => Attr::int(g.draw.between(1, 9)),
            _ => Attr::int(g.draw.between(-1, 3)),
        },
        ParamKind::Ints => ints(g, scope, param, &dims),
        ParamKind::Shape => Attr::Shape(match operands.first() {
            Some(ty) if g.draw.percent(60) => spread(g, ty),
            _ => g.shape(scope),
        }),
        ParamKind::Pads => {
            let pairs = 1 + g.draw.below(dims.len().min(2));
            Attr::ints(&(0..2 * pairs).map(|_| g.draw.between(0, 2)).collect::<Vec<_>>())
        }
        ParamKind::Float => {
            let (low, high) = match param.name {
                "min" | "low" => (-2.0, 0.0),
                "max" | "high" | "std" => (0.25, 3.0),
                _ => (-2.0, 2.0),
            };
            Attr::Float(HostExpr::float(g.draw.float(low, high)))
        }
        ParamKind::Bool => Attr::Bool(g.draw.percent(50)),
        ParamKind::Str => match param.name {
            "mode" => {
                Attr::Str(g.draw.pick(&["constant", "reflect", "edge", "wrap", "nearest", "bilinear"]).to_string())
            }
            _ => return None,
        },
        ParamKind::DType => Attr::DType(
            match g.draw.weighted(&[5, 3, 1]) {
                0 => g.draw.pick(FLOATS),
                1 => g.draw.pick(INTEGERS),
                _ => DType::Bool,
            }
            .into(),
        ),
        ParamKind::Scheme => Attr::Scheme(scheme(g, &dims)),
        ParamKind::Tensor | ParamKind::OptionalTensor | ParamKind::Tensors => return None,
    })
}

fn ints(g: &mut Generator, scope: &Scope, param: &Param, dims: &[Dim]) -> Attr {
    let windows = dims.len().saturating_sub(2).max(1);
    match param.name {
        "sizes" => {
            let total = dims.first().and_then(|dim| scope.size(dim)).unwrap_or(1);
            let first = g.draw.between(1, (total - 1).max(1));
            let rest = dims.first().map_or(Dim::constant(1), |dim| dim.sub(&Dim::constant(first)));
            Attr::Ints(vec![Dim::constant(first), rest])
        }
        "repeats" => Attr::ints(&dims.iter().map(|_| g.draw.between(1, 2)).collect::<Vec<_>>()),
        "shifts" => Attr::ints(&[g.draw.between(-2, 3)]),
        "scale_factor" => Attr::ints(&(0..windows).map(|_| g.draw.between(1, 3)).collect::<Vec<_>>()),
        _ if g.draw.percent(30) => Attr::ints(&(0..windows).map(|_| g.draw.between(0, 3)).collect::<Vec<_>>()),
        _ => Attr::int(g.draw.between(0, 3)),
    }
}

/// A shape to which one of this type broadcasts.
fn spread(g: &mut Generator, ty: &TensorType) -> Shape {
    let mut dims = ty.shape.dims.clone();
    for dim in dims.iter_mut().filter(|dim| dim.is_const(1)) {
        if g.draw.percent(70) {
            *dim = Dim::constant(g.draw.between(2, 5));
        }
    }
    if g.draw.percent(50) {
        dims.insert(0, Dim::constant(g.draw.between(1, 3)));
    }
    Shape::new(dims)
}

pub fn scheme(g: &mut Generator, dims: &[Dim]) -> Scheme {
    let ternary = |rule, kept_scale| SchemeKind::Ternary { rule, kept_scale, stochastic: false };
    let max = TernaryRule::Max { ratio: F64(0.3) };
    let fixed = TernaryRule::Fixed { threshold: F64(0.33) };
    let kind = match g.draw.below(10) {
        0 | 1 => ternary(TernaryRule::AbsMean, false),
        2 => ternary(max, g.draw.percent(50)),
        3 => ternary(fixed, g.draw.percent(50)),
        4 | 5 => SchemeKind::Int { bits: 8, symmetric: true },
        6 => SchemeKind::Int { bits: 8, symmetric: false },
        7 | 8 => SchemeKind::Int { bits: 4, symmetric: true },
        _ => SchemeKind::Int { bits: 4, symmetric: false },
    };
    let mut scheme = Scheme { kind, ..Scheme::ternary() };
    let last = dims.last().and_then(Dim::as_const);
    match g.draw.below(4) {
        0 | 1 if !dims.is_empty() => scheme.axis = Some(g.draw.below(dims.len()) as i64),
        2 => scheme.group = last.and_then(|last| (2..=8).rev().find(|group| last % group == 0)),
        _ => {}
    }
    let eight = matches!(scheme.kind, SchemeKind::Int { bits: 8, symmetric: true });
    if eight && scheme.axis.is_none() && scheme.group.is_none() && g.draw.percent(50) {
        scheme.dynamic = true;
    }
    if g.draw.percent(15) {
        scheme.ste = tritonc::quant::Ste::Clipped;
    }
    scheme
}

fn matmul(g: &mut Generator, scope: &mut Scope, first: Option<Var>) -> Planned {
    let a = match first {
        Some(first) => first,
        None => scope.find(&mut g.draw, |var| {
            let dtype = var.ty.dtype();
            var.ty.shape.rank() > Some(0) && dtype.is_some_and(|d| d.is_float() || d == DType::Int8)
        })?,
    };
    let inner = a.ty.shape.known()?.last()?.clone();
    let beside = scope.find(&mut g.draw, |var| {
        let dims = &var.ty.shape.dims;
        var.ty.elem == a.ty.elem && dims.len() >= 2 && dims[dims.len() - 2] == inner
    });
    if let (Some(b), true) = (beside, g.draw.percent(50)) {
        return Some(Plan { operands: vec![a, b], attrs: Attrs::new() });
    }
    let outer = g.size(scope);
    let flip = g.draw.percent(50);
    let dims = if flip { vec![outer, inner] } else { vec![inner, outer] };
    let b = g.weight(scope, &a.ty.with_shape(Shape::new(dims)))?;
    if flip && g.draw.percent(60) {
        let b = g.transposed(b)?;
        return Some(Plan { operands: vec![a, b], attrs: Attrs::new() });
    }
    Some(Plan { operands: vec![a, b], attrs: Attrs::new().with_flag("transpose_b", flip) })
}

fn routed_matmul(g: &mut Generator, scope: &mut Scope, first: Option<Var>) -> Planned {
    let x = first.or_else(|| g.float(scope))?;
    let (inner, outer) = (x.ty.shape.known()?.last()?.clone(), g.size(scope));
    let experts = Dim::constant(g.draw.between(1, 3));
    let rows = Shape::new(x.ty.shape.dims[..x.ty.shape.dims.len() - 1].to_vec());
    let w = g.weight(scope, &x.ty.with_shape(Shape::new(vec![experts.clone(), outer, inner])))?;
    let index = g.index(scope, &rows, &experts)?;
    Some(Plan { operands: vec![x, w, index], attrs: Attrs::new() })
}

fn convolution(g: &mut Generator, scope: &mut Scope, op: OpId, axes: usize, first: Option<Var>) -> Planned {
    let transposed = op.name().contains("transpose");
    let x = first.or_else(|| g.float(scope))?;
    let x = g.with_rank(scope, x, axes + 2)?;
    let channels = x.ty.shape.dims[1].clone();
    let divides = |n: i64| channels.as_const().is_some_and(|channels| channels % n == 0);
    let groups = [2, 3, 5].into_iter().find(|n| divides(*n)).filter(|_| g.draw.percent(40)).unwrap_or(1);
    let outputs = Dim::constant(groups * g.draw.between(1, 3));
    let (a, b) = match transposed {
        true => (channels, Dim::constant(outputs.as_const()? / groups)),
        false => (outputs.clone(), channels.floor_div(&Dim::constant(groups))?),
    };
    let mut dims = vec![a, b];
    for axis in 0..axes {
        let limit = scope.size(&x.ty.shape.dims[axis + 2])?.min(3);
        dims.push(Dim::constant(g.draw.between(1, limit)));
    }
    let weight = g.weight(scope, &x.ty.with_shape(Shape::new(dims)))?;
    let mut operands = vec![x.clone(), weight];
    if g.draw.percent(50) {
        operands.push(g.weight(scope, &x.ty.with_shape(Shape::new(vec![outputs])))?);
    }
    let mut attrs = Attrs::new();
    for (name, low, high) in [("stride", 1, 3), ("padding", 0, 2), ("dilation", 1, 2)] {
        if g.draw.percent(40) {
            let several = g.draw.percent(30);
            let values: Vec<i64> = (0..axes).map(|_| g.draw.between(low, high)).collect();
            attrs.set(name, if several { Attr::ints(&values) } else { Attr::int(values[0]) });
        }
    }
    if groups > 1 {
        attrs.set("groups", Attr::int(groups));
    }
    Some(Plan { operands, attrs })
}

fn take(g: &mut Generator, scope: &mut Scope, first: Option<Var>) -> Planned {
    let x = first.or_else(|| g.any(scope))?;
    let rank = x.ty.shape.rank().filter(|rank| *rank > 0)?;
    let axis = if g.draw.percent(50) { 0 } else { g.draw.below(rank) };
    let size = x.ty.shape.dims[axis].clone();
    let rows = match g.draw.below(4) {
        0 => Shape::scalar(),
        1 => Shape::new(vec![Dim::constant(2), Dim::constant(3)]),
        _ => Shape::new(vec![g.size(scope)]),
    };
    let index = g.index(scope, &rows, &size)?;
    Some(Plan { operands: vec![x, index], attrs: Attrs::new().with("axis", Attr::int(axis as i64)) })
}

fn gather(g: &mut Generator, scope: &mut Scope, first: Option<Var>) -> Planned {
    let x = first.or_else(|| g.any(scope))?;
    let rank = x.ty.shape.rank().filter(|rank| *rank > 0)?;
    let axis = g.draw.below(rank);
    let size = x.ty.shape.dims[axis].clone();
    let rows = x.ty.shape.with_dim(axis, Dim::constant(g.draw.between(1, 4)));
    let index = g.index(scope, &rows, &size)?;
    Some(Plan { operands: vec![x, index], attrs: Attrs::new().with("axis", Attr::int(axis as i64)) })
}

fn scatter(g: &mut Generator, scope: &mut Scope, first: Option<Var>) -> Planned {
    let x = match first {
        Some(first) => first,
        None => scope.find(&mut g.draw, |var| {
            var.ty.shape.rank() > Some(0) && var.ty.dtype().is_some_and(|d| d.is_float() || d.is_int())
        })?,
    };
    let rank = x.ty.shape.rank().filter(|rank| *rank > 0)?;
    let axis = g.draw.below(rank);
    let size = x.ty.shape.dims[axis].clone();
    let mut attrs = Attrs::new().with("axis", Attr::int(axis as i64));
    let count = g.draw.between(1, scope.size(&size)?.min(4));
    let rows = x.ty.shape.with_dim(axis, Dim::constant(count));
    let updates = g.like(scope, &x.ty.with_shape(rows.clone()))?;
    let index = match g.draw.below(4) {
        // Several updates of one place have no order, so here each has its own.
        0 => g.positions(&rows, axis, count),
        which => {
            attrs.set("reduce", Attr::Str(["add", "max", "min"][which - 1].to_string()));
            g.index(scope, &rows, &size)?
        }
    };
    Some(Plan { operands: vec![x, index, updates], attrs })
}

fn one_hot(g: &mut Generator, scope: &mut Scope) -> Planned {
    let classes = g.draw.between(1, 5);
    let rows = g.shape(scope);
    let index = g.index(scope, &rows, &Dim::constant(classes))?;
    Some(Plan { operands: vec![index], attrs: Attrs::new().with("num_classes", Attr::int(classes)) })
}

fn dynamic(g: &mut Generator, scope: &mut Scope, op: OpId, first: Option<Var>) -> Planned {
    let x = first.or_else(|| g.any(scope))?;
    let rank = x.ty.shape.rank().filter(|rank| *rank > 0)?;
    let axis = g.draw.below(rank);
    let size = scope.size(&x.ty.shape.dims[axis])?;
    let count = g.draw.between(1, size.min(3));
    let room = x.ty.shape.dims[axis].sub(&Dim::constant(count - 1));
    let start = g.index(scope, &Shape::scalar(), &room)?;
    let mut attrs = Attrs::new().with("axis", Attr::int(axis as i64));
    if op.name() == "dynamic_slice" {
        attrs.set("size", Attr::int(count));
        return Some(Plan { operands: vec![x, start], attrs });
    }
    let rows = x.ty.with_shape(x.ty.shape.with_dim(axis, Dim::constant(count)));
    let updates = g.like(scope, &rows)?;
    Some(Plan { operands: vec![x, updates, start], attrs })
}

fn reshape(g: &mut Generator, scope: &mut Scope, first: Option<Var>) -> Planned {
    let x = first.or_else(|| g.any(scope))?;
    let mut dims = x.ty.shape.known()?.to_vec();
    for _ in 0..1 + g.draw.below(2) {
        match g.draw.below(3) {
            // Two axes become one,
            0 if dims.len() > 1 => {
                let at = g.draw.below(dims.len() - 1);
                let next = dims.remove(at + 1);
                dims[at] = dims[at].mul(&next);
            }
            // one becomes two,
            1 if !dims.is_empty() => {
                let at = g.draw.below(dims.len());
                let Some(size) = dims[at].as_const() else { continue };
                let Some(factor) = (2..size).find(|factor| size % factor == 0) else { continue };
                dims[at] = Dim::constant(size / factor);
                dims.insert(at, Dim::constant(factor));
            }
            // or there is one more.
            _ => dims.insert(g.draw.below(dims.len() + 1), Dim::constant(1)),
        }
    }
    if g.draw.percent(25) && !dims.is_empty() {
        let at = g.draw.below(dims.len());
        dims[at] = Dim::constant(-1);
    }
    Some(Plan { operands: vec![x], attrs: Attrs::new().with("shape", Attr::Shape(Shape::new(dims))) })
}

fn choice(g: &mut Generator, scope: &mut Scope, first: Option<Var>) -> Planned {
    let a = first.or_else(|| g.any(scope))?;
    let b = partner(g, scope, &a)?;
    let mask = g.like(scope, &a.ty.with_elem(DType::Bool))?;
    Some(Plan { operands: vec![mask, a, b], attrs: Attrs::new() })
}

/// What begins with codes: they are made first.
fn codes(g: &mut Generator, scope: &mut Scope, op: OpId) -> Planned {
    let x = scope.find(&mut g.draw, |var| var.ty.dtype() == Some(DType::Float32))?;
    let mut scheme = scheme(g, x.ty.shape.known()?);
    match op.name() {
        "quantize_with" if matches!(scheme.kind, SchemeKind::Ternary { .. }) => {
            scheme.kind = SchemeKind::Int { bits: 8, symmetric: true };
        }
        "pack" | "unpack" => {
            (scheme.kind, scheme.dynamic) = (Scheme::ternary().kind, false);
        }
        _ => {}
    }
    let quantized =
        Plan { operands: vec![x.clone()], attrs: Attrs::new().with("scheme", Attr::Scheme(scheme.clone())) };
    let parts = g.emit(scope, tritonc::ops::find("quantize")?, quantized)?;
    let rest = parts[1..].to_vec();
    Some(match op.name() {
        "quantize_with" => {
            let attrs = Attrs::new().with("scheme", Attr::Scheme(scheme));
            Plan { operands: std::iter::once(x).chain(rest).collect(), attrs }
        }
        "dequantize" => {
            let attrs =
                Attrs::new().with("scheme", Attr::Scheme(scheme)).with("dtype", Attr::DType(DType::Float32.into()));
            Plan { operands: parts, attrs }
        }
        _ => {
            let format = Attr::Str(g.draw.pick(&["ternary2", "ternary5"]).to_string());
            let packing = Plan { operands: vec![parts[0].clone()], attrs: Attrs::new().with("format", format.clone()) };
            if op.name() == "pack" {
                return Some(packing);
            }
            let packed = g.emit(scope, tritonc::ops::find("pack")?, packing)?;
            let size = x.ty.shape.dims.last()?.clone();
            let attrs = Attrs::new().with("format", format).with("size", Attr::Int(size));
            Plan { operands: packed, attrs: attrs.with("dtype", Attr::DType(DType::Trit.into())) }
        }
    })
}
