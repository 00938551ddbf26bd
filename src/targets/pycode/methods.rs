//! The functions of a file, once each, and the behaviours of those that depend on `training` or on optional inputs.
//!
//! A method of the entry is in the IR once for each set of its optional inputs. In the file it is one method, whose
//! optional parameters are `None` by default, and which asks for them where they make a difference.
//!
//! A file for training is written from two programs: one with `training` true, one with it false. What both
//! have alike is written once. A method that differs asks `self.training`, as PyTorch's own modules do; a free
//! function that differs gets a second one beside it, which only such methods call.

use crate::ir::{FuncId, LayerId};
use crate::targets::pycode::branches::{Body, Condition, choice};
use crate::targets::pycode::function::{self, Parameter, Written};
use crate::targets::pycode::program::Program;
use crate::targets::pytext::Lines;
use std::collections::BTreeMap;
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
    /// The optional inputs of the entry's methods, and whether this is for a call with them.
    optional: Vec<(String, bool)>,
    tree: Tree,
}

/// Where the body comes from.
#[derive(Clone, Debug)]
enum Tree {
    Training(FuncId),
    Evaluation(FuncId),
    Either { condition: Condition, holds: Box<Tree>, fails: Box<Tree> },
}

impl Method {
    fn is_like(&self, other: &Method) -> bool {
        self.is_beside(other) && self.written == other.written
    }

    /// Whether both are made of one method of the source.
    fn is_beside(&self, other: &Method) -> bool {
        self.class == other.class && self.source_name == other.source_name
    }

    fn is_variant(&self) -> bool {
        !self.optional.is_empty()
    }
}

/// Writes the functions of a program, equal ones once.
pub fn functions(program: &mut Program) -> Vec<Method> {
    let mut methods: Vec<Method> = vec![];
    for id in program.functions.clone() {
        let Some(method) = method(program, id, Tree::Training(id)) else { continue };
        // Ranks and dims that made several functions in the IR often leave no trace in Python.
        match methods.iter().find(|other| other.is_like(&method) && can_be_called(other, &methods)) {
            Some(first) if !method.is_variant() => call_instead(program, id, first.id),
            _ => methods.push(method),
        }
    }
    methods
}

fn method(program: &mut Program, id: FuncId, tree: Tree) -> Option<Method> {
    let function = &program.module[id];
    let in_class = function.layer.is_some() && program.dialect.attributes().is_some();
    let depth = if in_class { 2 } else { 1 };
    match function::write(program, id, depth) {
        Ok(written) => Some(Method {
            layer: function.layer,
            class: function.layer.and_then(|layer| program.classes.get(&layer)).map(|names| names.class.clone()),
            name: program.function_name(id),
            source_name: function.source_name.clone(),
            written,
            id,
            optional: function.optional.clone(),
            tree,
        }),
        Err(error) => {
            program.error(error);
            None
        }
    }
}

/// Whether other methods, which pass arguments by position, can call this one under the name that it will have.
fn can_be_called(method: &Method, methods: &[Method]) -> bool {
    let variants: Vec<&Method> = methods.iter().filter(|other| other.is_variant() && other.is_beside(method)).collect();
    !method.is_variant() || joined_parameters(&variants).starts_with(&method.written.parameters)
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
        let Some(mut method) = method(evaluation, id, Tree::Evaluation(id)) else { continue };
        // Where it stands, a method belongs to the training program's layer.
        method.layer = program.layers.iter().copied().find(|layer| {
            program.classes.get(layer).map(|names| &names.class) == method.class.as_ref() && method.class.is_some()
        });
        let like = methods.iter().find(|other| other.is_like(&method) && can_be_called(other, methods));
        if let Some(like) = like.filter(|like| like.optional == method.optional || !method.is_variant()) {
            rename(evaluation, id, &like.name.clone());
            continue;
        }
        let is_rival = |other: &&mut Method| {
            (&other.class, &other.name, &other.optional) == (&method.class, &method.name, &method.optional)
        };
        match methods.iter_mut().find(is_rival) {
            Some(rival) if rival.class.is_some() && rival.written.parameters == method.written.parameters => {
                let (holds, fails) = (Box::new(rival.tree.clone()), Box::new(method.tree));
                rival.tree = Tree::Either { condition: Condition::training(), holds, fails };
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

/// Makes one method of those that differ in their optional inputs, and writes what has branches now.
pub fn join<'m>(methods: Vec<Method>, program: &mut Program<'m>, evaluation: Option<&mut Program<'m>>) -> Vec<Method> {
    let mut joined: Vec<Method> = vec![];
    for method in &methods {
        let variants: Vec<&Method> = methods.iter().filter(|other| is_variant_of(other, method)).collect();
        let Some(first) = variants.first() else {
            joined.push(method.clone());
            continue;
        };
        if first.id != method.id {
            continue;
        }
        let parameters = joined_parameters(&variants);
        let Some(tree) = ask(&variants, method.optional.len(), &parameters) else { continue };
        let written = Written { parameters, ..method.written.clone() };
        joined.push(Method { tree, written, ..method.clone() });
    }
    let mut sources = Sources { program, evaluation, lines: BTreeMap::new() };
    for method in joined.iter_mut().filter(|method| matches!(method.tree, Tree::Either { .. })) {
        method.written.body = sources.write(&method.tree, 2);
    }
    joined
}

fn is_variant_of(other: &Method, method: &Method) -> bool {
    method.is_variant() && other.is_variant() && other.is_beside(method) && other.name == method.name
}

/// What a call always gives, in order, then what it may leave out.
fn joined_parameters(variants: &[&Method]) -> Vec<Parameter> {
    let mut parameters: Vec<Parameter> = vec![];
    let all = variants.iter().flat_map(|variant| &variant.written.parameters);
    for parameter in all.clone().filter(|parameter| parameter.optional.is_none()) {
        if !parameters.contains(parameter) {
            parameters.push(parameter.clone());
        }
    }
    let names = variants.first().map_or(&[][..], |variant| &variant.optional);
    for (name, _) in names {
        for parameter in all.clone().filter(|parameter| parameter.optional.as_ref() == Some(name)) {
            if !parameters.contains(parameter) {
                parameters.push(parameter.clone());
            }
        }
    }
    parameters
}

/// The variants as one body that asks for the first `count` optional inputs, for the last of them first.
fn ask(variants: &[&Method], count: usize, parameters: &[Parameter]) -> Option<Tree> {
    let Some(last) = count.checked_sub(1) else { return variants.first().map(|method| method.tree.clone()) };
    let (given, absent): (Vec<&Method>, Vec<&Method>) = variants.iter().partition(|variant| variant.optional[last].1);
    let (given_tree, absent_tree) = (ask(&given, last, parameters), ask(&absent, last, parameters));
    let (Some(fails), Some(holds)) = (&given_tree, &absent_tree) else { return given_tree.or(absent_tree) };
    let name = variants.first().map(|variant| &variant.optional[last].0);
    let variable = parameters.iter().find(|parameter| parameter.optional.as_ref() == name)?.name.text();
    let condition = Condition::is_absent(&variable);
    Some(Tree::Either { condition, holds: Box::new(holds.clone()), fails: Box::new(fails.clone()) })
}

/// Where bodies are written from.
struct Sources<'p, 'm> {
    program: &'p mut Program<'m>,
    evaluation: Option<&'p mut Program<'m>>,
    /// What was written: whether for evaluation, function and depth.
    lines: BTreeMap<(bool, u32, usize), Lines>,
}

impl Sources<'_, '_> {
    fn write(&mut self, tree: &Tree, depth: usize) -> Lines {
        match tree {
            Tree::Training(id) => self.leaf(false, *id, depth),
            Tree::Evaluation(id) => self.leaf(true, *id, depth),
            Tree::Either { condition, holds, fails } => {
                let body = Body { flat: self.write(holds, depth), deep: self.write(holds, depth + 1) };
                let other = Body { flat: self.write(fails, depth), deep: self.write(fails, depth + 1) };
                choice(condition, &body, &other)
            }
        }
    }

    fn leaf(&mut self, evaluation: bool, id: FuncId, depth: usize) -> Lines {
        let key = (evaluation, id.0, depth);
        if let Some(lines) = self.lines.get(&key) {
            return lines.clone();
        }
        let program = match &mut self.evaluation {
            Some(program) if evaluation => program,
            _ => &mut self.program,
        };
        // It was written before, without an error.
        let lines = function::write(program, id, depth).map(|written| written.body).unwrap_or_default();
        self.lines.insert(key, lines.clone());
        lines
    }
}
