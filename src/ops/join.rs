//! Putting tensors together and taking them apart: concat, stack, unbind, split, chunk.

use crate::base::code;
use crate::ops::cost::Cost;
use crate::ops::precision::Precision;
use crate::ops::shape::{insert_axis, new_axis};
use crate::ops::simplify;
use crate::ops::storage::{View, around, from_runs};
use crate::ops::traits::{Joining, Movement, Role, Traits};
use crate::ops::{Attr, Default, EvalCx, EvalError, Gradient, Op, OpError, Param, ParamKind, RuleCx, Stop, gradient};
use crate::types::{Dim, Shape, Tensor, TensorType, Verdict};

const LIST_PARAMS: &[Param] =
    &[Param::required("tensors", ParamKind::Tensors), Param::with("axis", ParamKind::Axis, Default::Int(0))];

const JOIN: Traits = Traits {
    role: Role::Read,
    movement: Movement::Rearranges,
    cost: Cost::Nothing,
    precision: Precision::Moves,
    ..Traits::CAUTIOUS
};
const SPLIT: Traits = Traits { role: Role::Alone, gives_list: true, ..JOIN };

pub static OPS: &[Op] = &[
    Op {
        name: "concat",
        params: LIST_PARAMS,
        rule: concat_rule,
        eval: concat_eval,
        gradient: Gradient::Rule(gradient::join::concat),
        traits: Traits { joining: Some(Joining::OwnAxis), laws: &[simplify::only_one], ..JOIN },
        doc: "Joins tensors along an axis they have.\n\n\
              All other sizes must be provably equal (E0303), and so the element types (E0202); the sizes of the axis \
              add up. PyTorch calls it `cat`.",
    },
    Op {
        name: "stack",
        params: LIST_PARAMS,
        rule: stack_rule,
        eval: stack_eval,
        gradient: Gradient::Rule(gradient::join::stack),
        traits: Traits { joining: Some(Joining::NewAxis), ..JOIN },
        doc: "Joins tensors of one shape along a new axis, whose size is their number.\n\n\
              The shapes must be provably equal (E0303), and so the element types (E0202).",
    },
    Op {
        name: "unbind",
        params: &[Param::tensor("x"), Param::with("axis", ParamKind::Axis, Default::Int(0))],
        rule: unbind_rule,
        eval: unbind_eval,
        gradient: Gradient::Rule(gradient::join::unbind),
        traits: SPLIT,
        doc: "The slices of an axis, each without that axis.\n\nThe axis must have a size known when compiling.",
    },
    Op {
        name: "split",
        params: &[
            Param::tensor("x"),
            Param::required("sizes", ParamKind::Ints),
            Param::with("axis", ParamKind::Axis, Default::Int(0)),
        ],
        rule: split_rule,
        eval: split_eval,
        gradient: Gradient::Rule(gradient::join::pieces),
        traits: SPLIT,
        doc: "Cuts an axis into pieces of the given sizes, which must add up to it (E0303).\n\n\
              One number stands for as many pieces of that size as there are; with sizes known when compiling, the \
              last piece may be smaller.",
    },
    Op {
        name: "chunk",
        params: &[
            Param::tensor("x"),
            Param::required("n", ParamKind::Int),
            Param::with("axis", ParamKind::Axis, Default::Int(0)),
        ],
        rule: chunk_rule,
        eval: chunk_eval,
        gradient: Gradient::Rule(gradient::join::pieces),
        traits: SPLIT,
        doc: "Cuts an axis into `n` equal pieces.\n\n\
              Its size must provably be a multiple of `n` (E0303). A size known when compiling need not be: then, as \
              in PyTorch, every piece has the size of the quotient rounded up, the last one is smaller, and there may \
              be fewer than `n`.",
    },
];

/// Checks that there are tensors, all of one element type. Expects a result of any shape.
fn begin(cx: &mut RuleCx<'_>) -> Result<(), Stop> {
    let Some(first) = cx.operands.first() else {
        return Err(OpError::new(code::E0203, format!("`{}` needs at least one tensor", cx.op.name)).into());
    };
    cx.expect(vec![first.with_shape(Shape::unknown())]);
    for operand in 1..cx.operands.len() {
        cx.same_elem(0, operand)?;
    }
    Ok(())
}

/// Whether operand `other` has its dims in the same places as operand 0. An error when the ranks differ.
fn check_structure(cx: &RuleCx<'_>, other: usize) -> Result<(), Stop> {
    let (a, b) = (&cx.operand(0).shape, &cx.operand(other).shape);
    match (a.rank(), b.rank()) {
        (Some(x), Some(y)) if x != y => {
            let message = format!(
                "`{}` takes tensors of one rank, but these are [{a}], of rank {x}, and [{b}], of rank {y}",
                cx.op.name
            );
            Err(OpError::new(code::E0304, message).label(0, format!("[{a}]")).label(other, format!("[{b}]")).into())
        }
        _ if a.pack != b.pack || a.dims.len() != b.dims.len() || a.is_unknown() => Err(cx.unknown()),
        _ => Ok(()),
    }
}

/// Requires all dims of operand `other` but one to be those of operand 0.
fn check_dims(cx: &mut RuleCx<'_>, other: usize, except: Option<usize>) -> Result<(), Stop> {
    check_repeat(cx, other, except)?;
    let (a, b) = (&cx.operand(0).shape, &cx.operand(other).shape);
    let op = cx.op.name;
    for index in (0..a.dims.len()).filter(|index| Some(*index) != except) {
        let (x, y) = (&a.dims[index], &b.dims[index]);
        cx.require_equal(x, y, || {
            let message = match except {
                Some(axis) => format!(
                    "`{op}` along axis {axis} takes tensors that agree on all other axes, but axis {index} of [{a}] and \
                     [{b}] has {x} and {y}"
                ),
                None => format!(
                    "`{op}` takes tensors of one shape, but axis {index} of [{a}] and [{b}] has {x} and {y}"
                ),
            };
            OpError::new(code::E0303, message).label(0, format!("[{a}]")).label(other, format!("[{b}]"))
        })?;
    }
    Ok(())
}

/// Requires the same dims of all that an operand stands for, but one.
fn check_repeat(cx: &RuleCx<'_>, operand: usize, except: Option<usize>) -> Result<(), Stop> {
    let (Some(repeat), shape) = (cx.repeat(operand), &cx.operand(operand).shape) else { return Ok(()) };
    let differs = |(axis, dim): (usize, &Dim)| Some(axis) != except && dim.symbols().contains(&repeat.index);
    match shape.dims.iter().enumerate().any(differs) {
        true => {
            let beside = if except.is_some() { " beside the axis" } else { "" };
            let op = cx.op.name;
            let message = format!("`{op}`: the elements of a list, each [{shape}], differ{beside}");
            Err(OpError::new(code::E0303, message).label(operand, format!("[{shape}]")).into())
        }
        false => Ok(()),
    }
}

fn concat_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    begin(cx)?;
    let first = cx.operand(0);
    let axis = cx.axis("axis", 0)?;
    let mut sum = Dim::zero();
    for operand in 0..cx.operands.len() {
        check_structure(cx, operand)?;
        check_dims(cx, operand, Some(axis))?;
        let size = &cx.operand(operand).shape.dims[axis];
        let total = match cx.repeat(operand) {
            Some(repeat) => size.sum_over(&repeat.index, &Dim::zero(), &repeat.count),
            None => Some(size.clone()),
        };
        sum = sum.add(&total.unwrap_or_else(|| cx.fresh_dim()));
    }
    Ok(vec![first.with_shape(first.shape.with_dim(axis, sum))])
}

fn concat_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let tensors: Vec<&Tensor> = cx.operands.iter().collect();
    let Some(first) = tensors.first() else { return Err(EvalError::new("concat: no tensors")) };
    let axis = cx.axis("axis", first.rank())?;
    let fits = |t: &&Tensor| {
        t.dtype() == first.dtype()
            && t.rank() == first.rank()
            && (0..t.rank()).all(|a| a == axis || t.shape()[a] == first.shape()[a])
    };
    if let Some(other) = tensors.iter().find(|t| !fits(t)) {
        return Err(EvalError(format!("concat: {:?} and {:?} do not fit", first.shape(), other.shape())));
    }
    let mut shape = first.shape().to_vec();
    shape[axis] = tensors.iter().map(|t| t.shape()[axis]).sum();
    let (outer, _, inner) = around(first.shape(), axis);
    let runs: Vec<usize> = tensors.iter().map(|t| t.shape()[axis] * inner).collect();
    let runs = &runs;
    let plan = (0..outer).flat_map(|o| runs.iter().enumerate().map(move |(source, run)| (source, o * run, *run)));
    Ok(vec![from_runs(&tensors, first.dtype(), shape, plan)?])
}

fn stack_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    begin(cx)?;
    let mut count = Dim::zero();
    for operand in 0..cx.operands.len() {
        check_structure(cx, operand)?;
        check_dims(cx, operand, None)?;
        let several = cx.repeat(operand).map(|repeat| repeat.count.clone());
        count = count.add(&several.unwrap_or_else(|| Dim::constant(1)));
    }
    let first = cx.operand(0);
    let shape = insert_axis(cx, &first.shape, cx.int("axis")?, count)?;
    Ok(vec![first.with_shape(shape)])
}

fn stack_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let tensors: Vec<&Tensor> = cx.operands.iter().collect();
    let Some(first) = tensors.first() else { return Err(EvalError::new("stack: no tensors")) };
    if let Some(other) = tensors.iter().find(|t| t.shape() != first.shape() || t.dtype() != first.dtype()) {
        return Err(EvalError(format!("stack: {:?} and {:?} differ", first.shape(), other.shape())));
    }
    let axis = new_axis(cx, first.rank())?;
    let run: usize = first.shape()[axis..].iter().product();
    let outer: usize = first.shape()[..axis].iter().product();
    let mut shape = first.shape().to_vec();
    shape.insert(axis, tensors.len());
    let count = tensors.len();
    let plan = (0..outer).flat_map(|o| (0..count).map(move |source| (source, o * run, run)));
    Ok(vec![from_runs(&tensors, first.dtype(), shape, plan)?])
}

fn unbind_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", 0)?;
    let size = &x.shape.dims[axis];
    let count = cx.facts.normal(size).as_const().ok_or_else(|| cx.unknown_size(size))?;
    let part = x.with_shape(x.shape.without_dim(axis));
    Ok(vec![part; result_count(cx, count)?])
}

/// More results than this are a mistake, and would only fill memory.
const MAX_RESULTS: i64 = 65_536;

fn result_count(cx: &RuleCx<'_>, count: i64) -> Result<usize, Stop> {
    let too_many = || OpError::new(code::E0310, format!("`{}` would give {count} tensors", cx.op.name));
    usize::try_from(count).ok().filter(|_| count <= MAX_RESULTS).ok_or_else(|| too_many().into())
}

fn unbind_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", x.rank())?;
    let mut shape = x.shape().to_vec();
    let count = shape.remove(axis);
    Ok((0..count).map(|i| View::of(x).slice(axis, i, 1, 1).copy(x).reshaped(shape.clone())).collect())
}

/// Pieces of a constant size, the last one smaller if need be; an empty axis is one empty piece.
fn pieces(size: i64, piece: i64) -> Vec<i64> {
    if size == 0 {
        return vec![0];
    }
    (0..size).step_by(usize::try_from(piece).unwrap_or(1).max(1)).map(|start| piece.min(size - start)).collect()
}

/// The size of each of `n` chunks, rounded up, as PyTorch has it.
fn chunk_size(size: i64, n: i64) -> i64 {
    if n > 0 { (size / n + i64::from(size % n != 0)).max(1) } else { 1 }
}

fn split_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", 0)?;
    let size = &x.shape.dims[axis];
    let shape = &x.shape;
    let sizes = match cx.attrs.get("sizes") {
        Some(Attr::Ints(sizes)) => sizes.clone(),
        Some(Attr::Int(piece)) => equal_pieces(cx, size, piece)?,
        _ => return Err(cx.unknown()),
    };
    for piece in &sizes {
        cx.require_at_least(piece, &Dim::zero(), || {
            OpError::new(code::E0310, format!("`split`: a size cannot be negative, but this one is {piece}"))
        })?;
    }
    let sum = sizes.iter().fold(Dim::zero(), |sum, piece| sum.add(piece));
    cx.require_equal(&sum, size, || {
        let message = format!("`split`: the sizes add up to {sum}, but axis {axis} of [{shape}] has {size}");
        OpError::new(code::E0303, message).label(0, format!("[{shape}]"))
    })?;
    Ok(sizes.into_iter().map(|piece| x.with_shape(shape.with_dim(axis, piece))).collect())
}

/// The sizes that one number for all stands for.
fn equal_pieces(cx: &mut RuleCx<'_>, size: &Dim, piece: &Dim) -> Result<Vec<Dim>, Stop> {
    cx.require_at_least(piece, &Dim::constant(1), || {
        OpError::new(code::E0310, format!("`split`: a size must be at least 1, not {piece}"))
    })?;
    let (size, normal) = (cx.facts.normal(size), cx.facts.normal(piece));
    if let (Some(size), Some(piece)) = (size.as_const(), normal.as_const()) {
        result_count(cx, size / piece.max(1))?;
        return Ok(pieces(size, piece).into_iter().map(Dim::constant).collect());
    }
    let count = size.floor_div(&normal).and_then(|count| count.as_const()).ok_or_else(|| cx.unknown_size(&size))?;
    Ok(vec![piece.clone(); result_count(cx, count)?])
}

fn chunk_rule(cx: &mut RuleCx<'_>) -> Result<Vec<TensorType>, Stop> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", 0)?;
    let (n, size) = (cx.int("n")?, &x.shape.dims[axis]);
    if n < 1 {
        return Err(OpError::new(code::E0310, format!("`chunk` makes at least 1 piece, not {n}")).into());
    }
    let count = result_count(cx, n)?;
    let part = |piece: Dim| x.with_shape(x.shape.with_dim(axis, piece));
    if let Some(size) = cx.facts.normal(size).as_const() {
        return Ok(chunks(size, n).into_iter().map(|piece| part(Dim::constant(piece))).collect());
    }
    let divisor = Dim::constant(n);
    let (Some(rest), Some(piece)) = (size.modulo(&divisor), size.floor_div(&divisor)) else {
        return Err(cx.unknown());
    };
    // Only now is it clear that the pieces are equal.
    let shape = &x.shape;
    if cx.facts.compare(&rest, &Dim::zero()) == Verdict::Unknown {
        cx.expect(vec![part(piece.clone()); count]);
    }
    cx.require_equal(&rest, &Dim::zero(), || {
        let message = format!("`chunk`: {size}, the size of axis {axis}, is not known to be a multiple of {n}");
        OpError::new(code::E0303, message).label(0, format!("[{shape}]"))
    })?;
    Ok(vec![part(piece); count])
}

/// The sizes of `n` chunks; as many empty ones as asked for of an empty axis.
fn chunks(size: i64, n: i64) -> Vec<i64> {
    if size == 0 {
        return vec![0; usize::try_from(n).unwrap_or(0)];
    }
    pieces(size, chunk_size(size, n))
}

fn split_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", x.rank())?;
    let size = x.shape()[axis] as i64;
    let sizes = match cx.attrs.get("sizes") {
        Some(Attr::Int(_)) => pieces(size, cx.int("sizes")?),
        _ => cx.ints("sizes")?,
    };
    cut(cx, axis, &sizes)
}

fn chunk_eval(cx: &EvalCx<'_>) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let axis = cx.axis("axis", x.rank())?;
    cut(cx, axis, &chunks(x.shape()[axis] as i64, cx.int("n")?))
}

fn cut(cx: &EvalCx<'_>, axis: usize, sizes: &[i64]) -> Result<Vec<Tensor>, EvalError> {
    let x = cx.operand(0);
    let sizes: Option<Vec<usize>> = sizes.iter().map(|size| usize::try_from(*size).ok()).collect();
    let sizes = sizes
        .filter(|sizes| sizes.iter().sum::<usize>() == x.shape()[axis])
        .ok_or_else(|| EvalError(format!("{}: the sizes do not add up to {}", cx.op.name, x.shape()[axis])))?;
    let mut start = 0;
    let mut out = vec![];
    for size in sizes {
        out.push(View::of(x).slice(axis, start, 1, size).copy(x));
        start += size;
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ops::Attrs;
    use crate::ops::testkit::{dim, error, eval, ints, iota, open_rule, rule, rule_under, try_eval};
    use crate::types::Facts;

    fn axis(value: i64) -> Attrs {
        Attrs::new().with("axis", Attr::int(value))
    }

    fn values(results: Vec<Tensor>) -> Vec<Vec<f64>> {
        results.iter().map(Tensor::to_f64).collect()
    }

    #[test]
    fn concat_adds_sizes() {
        assert_eq!(rule("concat", &["float32[B, a, n]", "float32[B, b, n]"], axis(1)), "float32[B, a + b, n]");
        assert_eq!(rule("concat", &["trit[...S, a]", "trit[...S, 3]"], axis(-1)), "trit[...S, a + 3]");
        assert_eq!(open_rule("concat", &["float32[...S, a]", "float32[B, a]"], axis(-1)).0, "~float32[...]");
        assert_eq!(open_rule("concat", &["float32[?, a]", "float32[B, b]"], axis(1)), ("float32[?, a + b]".into(), 1));
        let code_of = |operands: &[&str], attrs| error("concat", operands, attrs).code;
        assert_eq!(code_of(&["float32[B, a]", "float32[C, b]"], axis(1)), code::E0303);
        assert_eq!(code_of(&["float32[B, a]", "float32[B]"], axis(0)), code::E0304);
        assert_eq!(code_of(&["float32[B]", "float16[B]"], axis(0)), code::E0202);
        assert_eq!(code_of(&["float32[B]"], axis(1)), code::E0305);
        assert_eq!(code_of(&[], axis(0)), code::E0203);
    }

    #[test]
    fn stack_makes_an_axis() {
        assert_eq!(rule("stack", &["float32[B, n]", "float32[B, n]"], axis(1)), "float32[B, 2, n]");
        assert_eq!(rule("stack", &["float32[...S]", "float32[...S]"], axis(-1)), "float32[...S, 2]");
        assert_eq!(error("stack", &["float32[B, n]", "float32[B, m]"], axis(0)).code, code::E0303);
        assert_eq!(error("stack", &["float32[B]"], axis(-3)).code, code::E0305);
    }

    #[test]
    fn joined_values() {
        let (a, b) = (ints(&[2, 1], &[1, 2]), ints(&[2, 2], &[3, 4, 5, 6]));
        assert_eq!(eval("concat", &[a.clone(), b], axis(1)).as_i64(), Some(&[1, 3, 4, 2, 5, 6][..]));
        let c = ints(&[2, 1], &[3, 4]);
        assert_eq!(eval("concat", &[a.clone(), c.clone()], axis(0)).as_i64(), Some(&[1, 2, 3, 4][..]));
        let stacked = eval("stack", &[a, c], axis(-1));
        assert_eq!((stacked.shape(), stacked.as_i64()), (&[2, 1, 2][..], Some(&[1, 3, 2, 4][..])));
    }

    #[test]
    fn unbind_needs_a_known_size() {
        assert_eq!(rule("unbind", &["float32[2, ...S, n]"], axis(0)), "float32[...S, n], float32[...S, n]");
        assert_eq!(open_rule("unbind", &["float32[B]"], axis(0)).0, "~");
        assert_eq!(error("unbind", &["float32[1000000000]"], axis(0)).code, code::E0310);
        let parts = try_eval("unbind", &[iota(&[2, 2])], axis(1)).map(values);
        assert_eq!(parts, Ok(vec![vec![0.0, 2.0], vec![1.0, 3.0]]));
    }

    #[test]
    fn split_sizes_add_up() {
        let sizes = |parts: &[&str]| axis(-1).with("sizes", Attr::Ints(parts.iter().map(|p| dim(p)).collect()));
        assert_eq!(
            rule("split", &["float32[...S, a + 2*b]"], sizes(&["a", "b", "b"])),
            "float32[...S, a], float32[...S, b], float32[...S, b]"
        );
        assert_eq!(error("split", &["float32[B, 7]"], sizes(&["3", "3"])).code, code::E0303);
        assert_eq!(error("split", &["float32[B, 2]"], sizes(&["3", "- 1"])).code, code::E0310);
        let one = |text: &str| axis(-1).with("sizes", Attr::Int(dim(text)));
        assert_eq!(rule("split", &["float32[3*n]"], one("n")), "float32[n], float32[n], float32[n]");
        let parts = try_eval("split", &[iota(&[5])], one("2")).map(values);
        assert_eq!(parts, Ok(vec![vec![0.0, 1.0], vec![2.0, 3.0], vec![4.0]]));
        let parts = try_eval("split", &[iota(&[2, 3])], sizes(&["1", "0", "2"])).map(values);
        assert_eq!(parts, Ok(vec![vec![0.0, 3.0], vec![], vec![1.0, 2.0, 4.0, 5.0]]));
    }

    #[test]
    fn chunks_are_equal_where_sizes_are_symbols() {
        let n = |count: i64| axis(-1).with("n", Attr::int(count));
        assert_eq!(rule("chunk", &["float32[B, 4*h]"], n(2)), "float32[B, 2 * h], float32[B, 2 * h]");
        assert_eq!(error("chunk", &["float32[B, h]"], n(2)).code, code::E0303);
        assert_eq!(error("chunk", &["float32[B, h]"], n(0)).code, code::E0310);
        let mut facts = Facts::default();
        facts.assume_modulo(&dim("h"), &dim("2"), &Dim::zero());
        let (types, _) = rule_under(&facts, "chunk", &["float32[h]"], n(2)).unwrap_or_default();
        assert_eq!(types[1].to_string(), "float32[h // 2]");
        let parts = try_eval("chunk", &[iota(&[6])], n(4)).map(values);
        assert_eq!(parts, Ok(vec![vec![0.0, 1.0], vec![2.0, 3.0], vec![4.0, 5.0]]));
    }
}
