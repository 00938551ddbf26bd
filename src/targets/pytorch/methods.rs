//! The functions of a file, once each, and the two behaviours of those that depend on `training`.
//!
//! A file for training is written from two programs: one with `training` true, one with it false. What both
//! have alike is written once. A method that differs asks `self.training`, as PyTorch's own modules do; a free
//! function that differs gets a second one beside it, which only such methods call.

use crate::ir::{FuncId, LayerId};
use crate::targets::python::{Lines, Py};
use crate::targets::pytorch::function::{self, Written};
use crate::targets::pytorch::program::Program;
use std::sync::Arc;

/// A function as it was written.
#[derive(Clone, Debug)]
pub struct Method {
    pub layer: Option<LayerId>,
    /// The name of its class.
    class: Option<String>,
    pub name: String,
    source_name: String,
    pub written: Written,
    id: FuncId,
}

impl Method {
    fn is_like(&self, other: &Method) -> bool {
        self.class == other.class && self.source_name == other.source_name && self.written == other.written
    }
}

/// Writes the functions of a program, equal ones once.
pub fn functions(program: &mut Program) -> Vec<Method> {
    let mut methods: Vec<Method> = vec![];
    for id in program.functions.clone() {
        let Some(method) = method(program, id) else { continue };
        // Ranks and dims that made several functions in the IR often leave no trace in Python.
        match methods.iter().find(|other| other.is_like(&method)) {
            Some(first) => call_instead(program, id, first.id),
            None => methods.push(method),
        }
    }
    methods
}

fn method(program: &mut Program, id: FuncId) -> Option<Method> {
    let function = &program.module[id];
    let depth = if function.layer.is_some() { 2 } else { 1 };
    match function::write(program, id, depth) {
        Ok(written) => Some(Method {
            layer: function.layer,
            class: function.layer.and_then(|layer| program.classes.get(&layer)).map(|names| names.class.clone()),
            name: program.function_name(id),
            source_name: function.source_name.clone(),
            written,
            id,
        }),
        Err(error) => {
            program.error(error);
            None
        }
    }
}

/// Calls of `id` become calls of `first`.
fn call_instead(program: &mut Program, id: FuncId, first: FuncId) {
    if let Some(callee) = program.callees.get(&first).cloned() {
        program.callees.insert(id, callee);
    }
}

/// Adds what the program does with `training` false to what was written of the one with it true.
pub fn add_evaluation(methods: &mut Vec<Method>, program: &mut Program, evaluation: &mut Program) {
    for id in evaluation.functions.clone() {
        let Some(mut method) = method(evaluation, id) else { continue };
        // Where it stands, a method belongs to the training program's layer.
        method.layer = program.layers.iter().copied().find(|layer| {
            program.classes.get(layer).map(|names| &names.class) == method.class.as_ref() && method.class.is_some()
        });
        if let Some(like) = methods.iter().find(|other| other.is_like(&method)) {
            rename(evaluation, id, &like.name.clone());
            continue;
        }
        let rival = methods.iter_mut().find(|other| other.class == method.class && other.name == method.name);
        match rival {
            Some(rival) if rival.class.is_some() && rival.written.parameters == method.written.parameters => {
                let training = Bodies::write(program, rival.id, &rival.written.body);
                let evaluation = Bodies::write(evaluation, id, &method.written.body);
                rival.written.body = either(&training, &evaluation);
            }
            Some(_) => {
                method.name = format!("{}_in_evaluation", method.name);
                rename(evaluation, id, &method.name);
                methods.push(method);
            }
            None => methods.push(method),
        }
    }
    program.used.extend(evaluation.used.iter().cloned());
    Arc::make_mut(&mut program.globals).own.extend(evaluation.globals.own.iter().cloned());
    for (layer, symbols) in &evaluation.stored {
        let class = evaluation.classes.get(layer).map(|names| &names.class);
        let own = program.layers.iter().find(|own| program.classes.get(own).map(|names| &names.class) == class);
        if let Some(own) = own {
            program.stored.entry(*own).or_default().extend(symbols.iter().cloned());
        }
    }
}

fn rename(program: &mut Program, id: FuncId, name: &str) {
    program.rename_function(id, name.to_string());
    if let Some(callee) = program.callees.get_mut(&id) {
        callee.name = name.to_string();
    }
}

/// The bodies of one method, and those that are written deeper, for a branch.
struct Bodies {
    flat: Lines,
    deep: Lines,
}

impl Bodies {
    fn write(program: &mut Program, id: FuncId, flat: &Lines) -> Bodies {
        let deep = function::write(program, id, 3).map(|written| written.body).unwrap_or_default();
        Bodies { flat: flat.clone(), deep }
    }

    /// The statements from this one on.
    fn after(&self, start: usize) -> (Lines, Lines) {
        let rest = |lines: &Lines, depth: usize| {
            let mut rest = Lines::new(depth);
            lines.statements().into_iter().skip(start).for_each(|statement| rest.append(statement));
            rest
        };
        (rest(&self.flat, 2), rest(&self.deep, 3))
    }
}

/// What both begin with, then `if self.training:` the one body, else the other.
fn either(training: &Bodies, evaluation: &Bodies) -> Lines {
    let (first, second) = (training.flat.statements(), evaluation.flat.statements());
    let mut common = first.iter().zip(&second).take_while(|(a, b)| a == b).count();
    let same = |deep: &Lines| deep.statements().iter().zip(&first).take(common).all(|(a, b)| a.says_the_same(b));
    if !same(&training.deep) || !same(&evaluation.deep) {
        common = 0;
    }
    let mut lines = Lines::new(2);
    first.into_iter().take(common).for_each(|statement| lines.append(statement));
    let (training, evaluation) = (training.after(common), evaluation.after(common));
    let is_training = Py::name("self").attr("training");
    if training.0.code_lines() == 0 {
        lines.statement("if ", &Py::Unary("not", Box::new(is_training)), ":");
        lines.append(evaluation.1);
        return lines;
    }
    let leaves = training.1.ends_with_return();
    lines.statement("if ", &is_training, ":");
    lines.append(training.1);
    if evaluation.0.code_lines() == 0 {
        return lines;
    }
    if leaves {
        lines.append(evaluation.0);
    } else {
        lines.line("else:");
        lines.append(evaluation.1);
    }
    lines
}
