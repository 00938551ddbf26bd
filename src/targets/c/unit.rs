//! The file that is being written: what its procedures share.

use crate::base::Loc;
use crate::ir::{Function, InstKind, Module, PathSegment, Storage, member_path, part_path};
use crate::passes::effects::Effects;
use crate::passes::plan_memory::Strategy;
use crate::targets::c::body;
use crate::targets::c::kernel::Kernel;
use crate::targets::c::model::{Kept, Model};
use crate::targets::c::specialise::{ProcId, Procedure};
use crate::targets::c::text::{self, Words};
use crate::targets::names;
use crate::targets::table::Table;
use crate::targets::{EmitOptions, TargetError};
use crate::types::{DType, Tensor};
use std::collections::{BTreeSet, HashMap, HashSet};
use std::rc::Rc;

/// What a procedure takes before its operands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Takes {
    /// `w`, the struct of its instance.
    pub instance: bool,
    /// `state`, the beginning of the arena.
    pub state: bool,
    /// `frame`, its own part of the arena.
    pub frame: bool,
    /// `draws` and `place`: what seeds are derived from.
    pub draws: bool,
}

/// A procedure that was written.
#[derive(Clone, Debug)]
pub struct Written {
    pub name: String,
    pub takes: Takes,
    pub frame_bytes: usize,
    /// Whether it returns a code, not nothing.
    pub can_fail: bool,
}

pub struct Unit<'m> {
    pub module: &'m Module,
    pub model: Model<'m>,
    pub table: &'m Table,
    pub effects: Effects,
    pub procedures: Vec<Rc<Procedure>>,
    /// By procedure, as far as they are written.
    pub written: Vec<Written>,
    /// Names of functions and constants.
    words: Words,
    /// Those that were given out.
    functions: HashSet<String>,
    /// Definitions, in order.
    pub items: Vec<String>,
    /// Files of `templates/c/helpers/` that are needed.
    pub helpers: BTreeSet<&'static str>,
    /// Families of files of `templates/c/kernels/` that are needed.
    pub tiles: BTreeSet<&'static str>,
    /// What the checks of the program say, each with an error code of its own.
    pub failures: Vec<String>,
    /// Of public names: `mlp`.
    pub prefix: String,
    pub strategy: Strategy,
    /// Whether kernels share their work among threads.
    pub has_threads: bool,
    /// The most bytes that a method may take.
    pub max_memory: Option<u64>,
    kernels: HashMap<String, String>,
    constants: HashMap<String, String>,
}

impl<'m> Unit<'m> {
    pub fn new(
        model: Model<'m>,
        table: &'m Table,
        procedures: Vec<Rc<Procedure>>,
        prefix: &str,
        options: &EmitOptions,
        helpers: &[String],
    ) -> Unit<'m> {
        let module = model.module;
        // What every procedure may have as a parameter hides no function.
        let mut words = Words::default();
        let public =
            ["weights", "inputs", "outputs", "output_grads", "grads", "arena", "bytes", "count", "pack", "data"];
        let own = ["read_number", "checksum"];
        body::OWN.iter().chain(&public).chain(&own).for_each(|word| drop(words.take(word)));
        // A function that hid a helper could not call it.
        helpers.iter().for_each(|name| drop(words.take(name)));
        Unit {
            module,
            effects: Effects::of(module),
            model,
            table,
            procedures,
            written: vec![],
            words,
            functions: HashSet::new(),
            items: vec![],
            helpers: BTreeSet::new(),
            tiles: BTreeSet::new(),
            failures: vec![],
            prefix: prefix.to_string(),
            strategy: options.memory_plan,
            has_threads: options.threads > 1,
            max_memory: options.max_memory,
            kernels: HashMap::new(),
            constants: HashMap::new(),
        }
    }

    /// What public names of constants begin with: `MLP`.
    pub fn upper(&self) -> String {
        self.prefix.to_uppercase()
    }

    /// Writes every procedure.
    pub fn write(&mut self) -> Result<(), Vec<TargetError>> {
        let mut errors: Vec<TargetError> = vec![];
        for index in 0..self.procedures.len() {
            let written = match body::write(self, ProcId(index)) {
                Ok(written) => written,
                Err(found) => {
                    errors.extend(found.into_iter().filter(|error| !errors.contains(error)).collect::<Vec<_>>());
                    // Callers go on, for what else there is to say.
                    Written { name: String::new(), takes: Takes::default(), frame_bytes: 0, can_fail: false }
                }
            };
            self.written.push(written);
        }
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    /// A name for a function or constant, which is none of these variables.
    pub fn name(&mut self, wish: &str, variables: &HashSet<String>) -> String {
        let mut name = self.words.take(wish);
        while variables.contains(&name) {
            name = self.words.take(wish);
        }
        self.functions.insert(name.clone());
        name
    }

    /// Whether a function or constant is called so.
    pub fn is_taken(&self, name: &str) -> bool {
        self.functions.contains(name)
    }

    /// The function of a kernel; equal ones are one.
    pub fn kernel(&mut self, kernel: &Kernel, variables: &HashSet<String>) -> String {
        self.helpers.extend(&kernel.helpers);
        self.tiles.extend(&kernel.tiles);
        if let Some(known) = self.kernels.get(&kernel.definition) {
            return known.clone();
        }
        let name = self.name(&kernel.wish, variables);
        let text = kernel.definition.replace("{{name}}", &name).replace("{{NAME}}", &self.upper());
        self.items.push(text.trim_end().to_string());
        self.kernels.insert(kernel.definition.clone(), name.clone());
        name
    }

    /// The array of a literal tensor.
    pub fn constant(&mut self, wish: &str, tensor: &Tensor, variables: &HashSet<String>) -> String {
        let dtype = tensor.dtype();
        let values: Vec<String> = (0..tensor.len()).map(|index| element(tensor, index)).collect();
        let mut lines = vec![];
        for chunk in values.chunks(12) {
            lines.push(format!("    {},", chunk.join(", ")));
        }
        // An array has at least one element.
        let (count, body) = match values.is_empty() {
            true => (1, "    0".to_string()),
            false => (values.len(), lines.join("\n")),
        };
        let text = format!("[{count}] = {{\n{body}\n}};");
        let key = format!("{}{text}", text::memory(dtype));
        if let Some(known) = self.constants.get(&key) {
            return known.clone();
        }
        let name = self.name(wish, variables);
        self.items.push(format!("static const {} {name}{text}", text::memory(dtype)));
        self.constants.insert(key, name.clone());
        name
    }

    /// How the member is kept that a function names, perhaps one of a part.
    pub fn stored(&self, function: &Function, name: &str) -> Option<(Kept, Option<&'m Storage>)> {
        let (layer, own) = self.module.member_of(function.layer, name)?;
        self.model.member(layer, &own)
    }

    /// A member by its dotted name from the entry, through a pointer to the weights.
    pub fn member_access(&self, path: &str, pointer: &str) -> Option<String> {
        let layer = self.module.entry.as_ref()?.layer;
        let (path, own) = member_path(path).unwrap_or((vec![], path));
        let access = self.model.access(layer, &path, own, &|symbol| symbol.to_string())?;
        Some(format!("{pointer}{}", access.strip_prefix('w')?))
    }

    /// A pointer to the struct of an instance by its dotted path.
    pub fn instance_access(&self, path: &str, pointer: &str) -> Option<String> {
        if path.is_empty() {
            return Some(pointer.to_string());
        }
        let layer = self.module.entry.as_ref()?.layer;
        let (part, _) = self.model.part(layer, &part_path(path), &|symbol| symbol.to_string())?;
        Some(format!("&{pointer}{}", part.strip_prefix('w')?))
    }

    /// The error code of a check, by its message.
    pub fn failure(&mut self, message: &str) -> String {
        let position = self.failures.iter().position(|known| known == message).unwrap_or_else(|| {
            self.failures.push(message.to_string());
            self.failures.len() - 1
        });
        format!("{}_ERROR_CHECK_{}", self.upper(), position + 1)
    }

    /// `mlp.tri:7`
    pub fn place(&self, loc: Loc) -> Option<String> {
        let file = self.module.files.get(loc.file.0 as usize)?;
        (loc.line > 0).then(|| names::c_text(&format!("{file}:{}", loc.line)))
    }

    /// Seeds that one call can ask for, at most: the sites of each function, times the instances that it may stand in.
    pub fn drawn(&self) -> usize {
        let instances = &self.model.contents.instances;
        let in_function = |function: &Function| {
            let sites = function.insts.iter().filter(|inst| matches!(inst.kind, InstKind::Rng { .. })).count();
            let holders = match function.layer {
                Some(layer) => instances.iter().filter(|instance| instance.layer == layer).count(),
                None => instances.len(),
            };
            sites * holders.max(1)
        };
        self.procedures.iter().map(|procedure| in_function(&procedure.function)).sum()
    }
}

/// An element of a literal.
pub fn element(tensor: &Tensor, index: usize) -> String {
    let dtype = tensor.dtype();
    match (dtype, tensor.as_i64()) {
        (DType::Float16, _) => half::f16::from_f64(tensor.get_f64(index)).to_bits().to_string(),
        (DType::BFloat16, _) => half::bf16::from_f64(tensor.get_f64(index)).to_bits().to_string(),
        (DType::Bool, Some(values)) => (values[index] != 0).to_string(),
        (_, Some(values)) => {
            let value =
                if dtype == DType::UInt64 { i128::from(values[index] as u64) } else { i128::from(values[index]) };
            text::integer(dtype, value).text()
        }
        (_, None) => text::float(dtype, tensor.get_f64(index)).text(),
    }
}

/// The fixed part of a path, `blocks.3.attn`, cut where only a run tells the position.
pub enum Step {
    Name(String),
    Position(crate::types::Dim),
}

pub fn steps(path: &[PathSegment]) -> Vec<Step> {
    let mut steps: Vec<Step> = vec![];
    for segment in path {
        let word = match segment {
            PathSegment::Field(name) => name.clone(),
            PathSegment::Index(index) => match index.as_const() {
                Some(index) => index.to_string(),
                None => {
                    steps.push(Step::Position(index.clone()));
                    continue;
                }
            },
        };
        match steps.last_mut() {
            Some(Step::Name(name)) => *name = format!("{name}.{word}"),
            _ => steps.push(Step::Name(word)),
        }
    }
    steps
}
