//! Makes a failing program small: changes it blindly, and keeps what is smaller and fails in the same way.
//!
//! No change has to know whether it makes sense. What is no program any more fails in the checker, which is another
//! failure, and so is not kept.

use super::tree::{Expr, Function, Kind, Layer, Param, Program, Statement};
use std::time::{Duration, Instant};
use tritonc::base::philox;
use tritonc::types::{DType, Dim, Shape, Tensor, TensorType};

/// A program that is smaller than another, perhaps wrong.
type Edit = Box<dyn Fn(&mut Program) -> bool>;

/// The smallest program that was found in the time given for which `fails` still holds.
pub fn shrink(program: &Program, limit: Duration, fails: &mut dyn FnMut(&Program) -> bool) -> Program {
    let end = Instant::now() + limit;
    let mut best = program.clone();
    loop {
        let before = best.size();
        // Where an edit is kept, the same position often has another one.
        for edits in [promotions, statements, expressions, signatures, sizes] {
            let mut at = 0;
            loop {
                let all = edits(&best);
                let Some(edit) = all.get(at) else { break };
                let mut candidate = best.clone();
                let changed = edit(&mut candidate);
                let candidate = candidate.tidied();
                if changed && candidate.size() < best.size() && fails(&candidate) {
                    best = candidate;
                } else {
                    at += 1;
                }
                if Instant::now() > end {
                    return best;
                }
            }
        }
        if best.size() == before {
            return best;
        }
    }
}

// ---- the entry ----

/// Makes another layer, or a function, the entry: it is given numbers of the sizes with which it was made.
fn promotions(program: &Program) -> Vec<Edit> {
    let mut edits: Vec<Edit> = vec![];
    for layer in (0..program.layers.len().saturating_sub(1)).rev() {
        edits.push(Box::new(move |program| {
            program.layers.truncate(layer + 1);
            let forward = program.layers.last().and_then(|layer| layer.methods.first()).cloned();
            forward.is_some_and(|forward| give(program, &forward))
        }));
    }
    for function in (0..program.functions.len()).rev() {
        edits.push(Box::new(move |program| {
            let Some(function) = program.functions.get(function).cloned() else { return false };
            let given = give(program, &function);
            let forward = Function { name: "forward".to_string(), ..function };
            let (hypers, facts, members) = (vec![], vec![], vec![]);
            program.layers = vec![Layer { name: "Net".to_string(), hypers, facts, members, methods: vec![forward] }];
            given
        }));
    }
    edits
}

/// Inputs for a function; none if a parameter is no tensor.
fn give(program: &mut Program, function: &Function) -> bool {
    let input = |(position, param): (usize, &Param)| {
        let (dtype, sizes) = param.sample.clone()?;
        let count = sizes.iter().product();
        let numbers = philox::normals(position as i64).take(count);
        let value = |number: f64| if dtype.is_float() { number } else { (number.abs() * 2.0).floor() };
        let value = |number: f64| if dtype == DType::Bool { f64::from(number > 0.0) } else { value(number) };
        Some((param.name.clone(), Tensor::from_f64(dtype, sizes, numbers.map(value))))
    };
    let inputs: Option<Vec<(String, Tensor)>> = function.params.iter().enumerate().map(input).collect();
    inputs.is_some_and(|inputs| {
        program.inputs = inputs;
        program.numbers.clear();
        true
    })
}

// ---- statements ----

fn blocks(program: &mut Program) -> Vec<&mut Vec<Statement>> {
    program.bodies_mut().into_iter().map(|function| &mut function.body).collect()
}

/// Applies a change to the block at a position, outer ones first.
fn change_block(program: &mut Program, at: usize, change: &dyn Fn(&mut Vec<Statement>) -> bool) -> bool {
    fn walk(
        block: &mut Vec<Statement>,
        left: &mut usize,
        change: &dyn Fn(&mut Vec<Statement>) -> bool,
    ) -> Option<bool> {
        if *left == 0 {
            return Some(change(block));
        }
        *left -= 1;
        block.iter_mut().flat_map(Statement::blocks_mut).find_map(|inner| walk(inner, left, change))
    }
    let mut left = at;
    blocks(program).into_iter().find_map(|block| walk(block, &mut left, change)).unwrap_or(false)
}

/// How many statements each block has.
fn lengths(program: &Program) -> Vec<usize> {
    fn walk(block: &mut [Statement], found: &mut Vec<usize>) {
        found.push(block.len());
        block.iter_mut().flat_map(Statement::blocks_mut).for_each(|inner| walk(inner, found));
    }
    let (mut program, mut found) = (program.clone(), vec![]);
    blocks(&mut program).into_iter().for_each(|block| walk(block, &mut found));
    found
}

fn statements(program: &Program) -> Vec<Edit> {
    let mut edits: Vec<Edit> = vec![];
    for (at, length) in lengths(program).into_iter().enumerate() {
        for statement in (0..length).rev() {
            edits.push(Box::new(move |program| {
                change_block(program, at, &|block| {
                    let exists = statement < block.len();
                    if exists {
                        block.remove(statement);
                    }
                    exists
                })
            }));
            for keeps in [true, false] {
                edits
                    .push(Box::new(move |program| change_block(program, at, &|block| unpack(block, statement, keeps))));
            }
            for branch in 0..2 {
                edits.push(Box::new(move |program| {
                    change_block(program, at, &|block| flatten(block, statement, branch))
                }));
            }
        }
    }
    edits
}

/// Puts what stands in a statement in its place.
fn flatten(block: &mut Vec<Statement>, statement: usize, branch: usize) -> bool {
    let inner = block
        .get_mut(statement)
        .and_then(|statement| statement.blocks_mut().into_iter().nth(branch).map(std::mem::take));
    let Some(inner) = inner else { return false };
    block.splice(statement..=statement, inner);
    true
}

/// Makes constants of the parts of a tuple, or what stands in the expression that gives it.
fn unpack(block: &mut Vec<Statement>, statement: usize, keeps: bool) -> bool {
    let Some(Statement::Let { names, types, value }) = block.get(statement) else { return false };
    if names.len() < 2 || names.len() != types.len() {
        return false;
    }
    let named = names.iter().zip(types).filter(|(name, _)| *name != "_");
    let part = |ty: &TensorType| match keeps {
        true => value.children().into_iter().find(|child| child.ty.as_ref() == Some(ty)).cloned(),
        false => constant(ty),
    };
    let constants: Option<Vec<Statement>> = named
        .map(|(name, ty)| Some(Statement::Let { names: vec![name.clone()], types: vec![], value: part(ty)? }))
        .collect();
    constants.is_some_and(|constants| {
        block.splice(statement..=statement, constants);
        true
    })
}

// ---- expressions ----

/// What looks at an expression, and at the parameters of its function.
type Visit<'a> = dyn FnMut(&mut Expr, &[Param]) + 'a;

/// Every expression: those of statements, then the results, function by function.
fn each_expr(program: &mut Program, visit: &mut Visit<'_>) {
    fn in_expr(expr: &mut Expr, names: &[Param], visit: &mut Visit<'_>) {
        visit(expr, names);
        expr.children_mut().into_iter().for_each(|child| in_expr(child, names, visit));
    }
    fn in_block(block: &mut [Statement], names: &[Param], visit: &mut Visit<'_>) {
        for statement in block {
            if let Some(expr) = statement.expr_mut() {
                in_expr(expr, names, visit);
            }
            statement.blocks_mut().into_iter().for_each(|inner| in_block(inner, names, visit));
        }
    }
    for function in program.bodies_mut() {
        let names = function.params.clone();
        in_block(&mut function.body, &names, visit);
        function.results.iter_mut().for_each(|result| in_expr(result, &names, visit));
    }
}

/// What may stand for an expression: a part of it, a parameter, a constant.
fn replacements(expr: &Expr, names: &[Param]) -> Vec<Expr> {
    fn parts(expr: &Expr, ty: &TensorType, found: &mut Vec<Expr>) {
        for child in expr.children() {
            if child.ty.as_ref() == Some(ty) {
                found.push(child.clone());
            }
            parts(child, ty, found);
        }
    }
    let Some(ty) = &expr.ty else { return vec![] };
    let mut found = vec![];
    parts(expr, ty, &mut found);
    let text = ty.to_string();
    found.extend(names.iter().filter(|param| param.ty == text).map(|param| Expr::named(&param.name, ty)));
    found.extend(constant(ty));
    found
}

/// A tensor of equal numbers.
fn constant(ty: &TensorType) -> Option<Expr> {
    let dtype = ty.dtype().filter(|dtype| !dtype.is_storage())?;
    let value = if dtype.is_float() { "0.5" } else { "1" };
    let text = format!("full([{}], {value}, dtype={dtype})", ty.shape);
    Some(Expr { kind: Kind::Text(text), ty: Some(ty.clone()) })
}

fn expressions(program: &Program) -> Vec<Edit> {
    let (mut copy, mut position, mut edits) = (program.clone(), 0, Vec::<Edit>::new());
    each_expr(&mut copy, &mut |expr, names| {
        let at = position;
        position += 1;
        for replacement in replacements(expr, names) {
            edits.push(Box::new(move |program| {
                let (mut seen, mut changed) = (0, false);
                each_expr(program, &mut |expr, _| {
                    if seen == at && !changed {
                        *expr = replacement.clone();
                        changed = true;
                    }
                    seen += 1;
                });
                changed
            }));
        }
    });
    edits
}

// ---- signatures ----

fn signatures(program: &Program) -> Vec<Edit> {
    let mut edits: Vec<Edit> = vec![];
    let mut copy = program.clone();
    for (at, function) in copy.bodies_mut().into_iter().enumerate() {
        let mut add = |change: Box<dyn Fn(&mut Function) -> bool>| {
            edits.push(Box::new(move |program: &mut Program| {
                program.bodies_mut().into_iter().nth(at).is_some_and(&change)
            }));
        };
        for result in 0..function.results.len() {
            add(Box::new(move |function| {
                let more = function.results.len() > 1 && result < function.results.len();
                if more {
                    function.results.remove(result);
                    function.result = None;
                }
                more
            }));
        }
        add(Box::new(|function| std::mem::take(&mut function.result).is_some()));
        for fact in 0..function.facts.len() {
            add(Box::new(move |function| fact < function.facts.len() && !function.facts.remove(fact).is_empty()));
        }
        for param in 0..function.params.len() {
            let name = function.name.clone();
            edits.push(Box::new(move |program| drop_param(program, at, &name, param)));
        }
    }
    for layer in 0..program.layers.len() {
        for member in 0..program.layers[layer].members.len() {
            edits.push(Box::new(move |program| {
                let member = program.layers.get_mut(layer).and_then(|layer| layer.members.get_mut(member));
                member.is_some_and(|member| !std::mem::take(&mut member.attributes).is_empty())
            }));
        }
        edits.push(Box::new(move |program| {
            program.layers.get_mut(layer).is_some_and(|layer| !std::mem::take(&mut layer.facts).is_empty())
        }));
    }
    edits
}

/// A parameter, and what it is given.
fn drop_param(program: &mut Program, function: usize, name: &str, param: usize) -> bool {
    let Some(own) = program.bodies_mut().into_iter().nth(function) else { return false };
    if param >= own.params.len() {
        return false;
    }
    let removed = own.params.remove(param);
    if own.name == "forward" {
        program.inputs.retain(|(name, _)| *name != removed.name);
        program.numbers.retain(|(name, _)| *name != removed.name);
        return true;
    }
    each_expr(program, &mut |expr, _| {
        if let Kind::Call { callee, arguments } = &mut expr.kind
            && callee == name
            && param < arguments.len()
        {
            arguments.remove(param);
        }
    });
    true
}

// ---- sizes ----

fn sizes(program: &Program) -> Vec<Edit> {
    let text = program.print();
    let mut numbers: Vec<i64> = text
        .split(|c: char| !c.is_alphanumeric() && c != '_' && c != '.')
        .filter_map(|word| word.parse().ok())
        .collect();
    numbers.extend(program.inputs.iter().flat_map(|(_, tensor)| tensor.shape().iter().map(|size| *size as i64)));
    numbers.sort_unstable();
    numbers.dedup();
    let mut edits: Vec<Edit> = vec![];
    for from in numbers.into_iter().rev().filter(|number| *number > 1) {
        for to in [1, 2, 3].into_iter().filter(|to| *to < from) {
            edits.push(Box::new(move |program| {
                resize_inputs(program, from, to);
                renumber(program, from, to);
                true
            }));
            edits.push(Box::new(move |program| {
                resize_inputs(program, from, to);
                true
            }));
        }
    }
    edits
}

fn resize_inputs(program: &mut Program, from: i64, to: i64) {
    for (_, tensor) in &mut program.inputs {
        let shape: Vec<usize> =
            tensor.shape().iter().map(|size| if *size as i64 == from { to as usize } else { *size }).collect();
        let values: Vec<f64> = tensor.to_f64().into_iter().take(shape.iter().product()).collect();
        *tensor = Tensor::from_f64(tensor.dtype(), shape, values);
    }
}

/// Another number wherever one stands.
fn renumber(program: &mut Program, from: i64, to: i64) {
    let text = |text: &mut String| {
        let mut out = String::new();
        let mut word = String::new();
        for c in text.chars().chain(['\0']) {
            if c.is_alphanumeric() || c == '_' || c == '.' && !word.is_empty() {
                word.push(c);
                continue;
            }
            out += if word == from.to_string() { to.to_string() } else { word.clone() }.as_str();
            word.clear();
            if c != '\0' {
                out.push(c);
            }
        }
        *text = out;
    };
    let ty = |ty: &mut TensorType| {
        let dims = ty.shape.dims.iter().map(|dim| if dim.is_const(from) { Dim::constant(to) } else { dim.clone() });
        *ty = ty.with_shape(Shape::new(dims.collect()));
    };
    each_expr(program, &mut |expr, _| {
        expr.ty.as_mut().into_iter().for_each(ty);
        if let Kind::Text(own) = &mut expr.kind {
            text(own);
        }
    });
    for function in program.bodies_mut() {
        for param in &mut function.params {
            text(&mut param.ty);
            let sizes = param.sample.iter_mut().flat_map(|(_, sizes)| sizes);
            sizes.filter(|size| **size as i64 == from).for_each(|size| *size = to as usize);
        }
        function.result.as_mut().into_iter().for_each(text);
        function.facts.iter_mut().for_each(text);
        renumber_block(&mut function.body, &text, &ty);
    }
    for layer in &mut program.layers {
        layer.hypers.iter_mut().for_each(|hyper| text(&mut hyper.value));
        layer.facts.iter_mut().for_each(text);
        for member in &mut layer.members {
            text(&mut member.head);
            text(&mut member.value);
            member.attributes.iter_mut().for_each(text);
        }
    }
}

fn renumber_block(block: &mut [Statement], text: &dyn Fn(&mut String), ty: &dyn Fn(&mut TensorType)) {
    for statement in block {
        match statement {
            Statement::For { header, .. } => text(header),
            Statement::Let { types, .. } => types.iter_mut().for_each(ty),
            Statement::Assign { .. } | Statement::If { .. } | Statement::While { .. } => {}
        }
        statement.blocks_mut().into_iter().for_each(|inner| renumber_block(inner, text, ty));
    }
}
