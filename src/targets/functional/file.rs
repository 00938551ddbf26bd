//! The file: header, imports, helpers, functions, and what is called from outside.

use crate::base::{Loc, code};
use crate::ir::{FuncId, Init, InstKind, Module, Part, Storage};
use crate::quant::pack::Format;
use crate::targets::functional::Library;
use crate::targets::functional::close::closed;
use crate::targets::functional::entry::Entries;
use crate::targets::held::{self, Held};
use crate::targets::pycode::helpers::{self, Helpers};
use crate::targets::pycode::program::Program;
use crate::targets::pycode::{methods, numbers, special};
use crate::targets::pytext::{Lines, Py};
use crate::targets::table::Table;
use crate::targets::templates::Skeletons;
use crate::targets::{Artifact, Contents, EmitOptions, Mode, TargetError, names};
use crate::types::{DType, Dim, Facts, HostValue, Shape};
use minijinja::context;

pub fn write(
    library: &'static dyn Library,
    module: &Module,
    options: &EmitOptions,
    skeletons: &Skeletons,
    table: &Table,
    helpers: &Helpers,
) -> Result<Artifact, Vec<TargetError>> {
    let internal = |message: String| vec![TargetError::new(code::E0602, message)];
    let module = &closed(module);
    let mut program = Program::new(library, module, options, table, helpers);
    let functions = methods::functions(&mut program);
    let mut items: Vec<String> = functions.iter().map(|method| method.written.text(&method.name, 0)).collect();
    let held::Contents { tensors: held, empty_lists, .. } = held::held(module).map_err(internal)?;
    program.errors.extend(missing_types(library, module, &held));
    let packs = options.mode == Mode::Infer;
    let mut file = File { library, program: &mut program, held: &held, packs };
    let mut tables = vec![];
    if !held.is_empty() || !empty_lists.is_empty() {
        tables.push(file.parameters());
        library.offered().iter().for_each(|name| file.program.note(&Py::name(*name)));
    }
    tables.extend(file.initial_state().map_err(|error| vec![error])?);
    tables.extend(file.pack());
    let mut entries = Entries { library, program: &mut program, held: &held, packs, empty_lists: &empty_lists };
    for forms in entries.methods() {
        items.push(entries.function(&forms));
    }
    items.extend(entries.backward(&options.backward));
    if options.grad {
        items.extend(entries.by_library());
    }
    items.extend(tables);
    let reached = std::mem::take(&mut program.functions);
    if !program.errors.is_empty() {
        return Err(program.errors);
    }
    let mut used = helpers::close_over(&helpers.list, program.used);
    let written = helpers.list.iter().filter(|helper| used.contains(&helper.name)).map(|helper| helper.text.clone());
    let items: Vec<String> = written.chain(items).collect();
    let preamble = library.preamble(&items.join("\n"), &result_types(module, &reached));
    used.extend(preamble.map(|(_, word)| word.to_string()));
    let imports = |standard: bool| -> Vec<&str> {
        let lines = library.import_lines().iter();
        lines.filter(|i| i.is_standard == standard && used.contains(i.word)).map(|i| i.line).collect()
    };
    let context = context! {
        header => helpers::header(options),
        standard => imports(true),
        imports => imports(false),
        preamble => preamble.map(|(line, _)| line),
        items => items,
    };
    let text = skeletons.render("functional/module.py.jinja", context).map_err(|error| vec![error])?;
    let name = module.entry.as_ref().map_or("model", |entry| &entry.name);
    let path = format!("{}.py", names::snake_case(name));
    Ok(Artifact { path, contents: Contents::Text(format!("{}\n", text.trim_end())) })
}

/// What operations of these functions give.
fn result_types(module: &Module, functions: &[FuncId]) -> Vec<DType> {
    let mut types: Vec<DType> = vec![];
    for function in functions.iter().map(|id| &module[*id]) {
        function.visit(&function.body, &mut |inst| {
            if let InstKind::Op { .. } = function[inst].kind {
                types.extend(function[inst].results.iter().map(|value| function.dtype(*value)));
            }
        });
    }
    types.sort_unstable();
    types.dedup();
    types
}

/// Inputs and tensors of the instance whose element types the library does not have.
fn missing_types(library: &dyn Library, module: &Module, held: &[Held]) -> Vec<TargetError> {
    let entry = module.entry.iter().flat_map(|entry| &module[entry.layer].methods);
    let methods = entry.map(|method| &module[*method]).filter(|method| method.exported);
    let inputs = methods.flat_map(|method| method.params.iter().map(|value| (method.dtype(*value), Some(method.loc))));
    let held = held.iter().flat_map(|held| {
        let scale = held.storage.scheme.as_ref().map(|scheme| scheme.scale_dtype);
        held.storage.ty.dtype().into_iter().chain(scale).map(|dtype| (dtype, None))
    });
    let missing = inputs.chain(held).filter(|(dtype, _)| !library.dtypes().contains(dtype));
    let error = |(dtype, loc): (DType, Option<Loc>)| {
        let error = TargetError::new(code::E0603, format!("{} has no {dtype}", library.target())).note("use float32");
        loc.map_or(error.clone(), |loc| error.at(loc))
    };
    let mut errors: Vec<TargetError> = vec![];
    for error in missing.map(error) {
        if !errors.contains(&error) {
            errors.push(error);
        }
    }
    errors
}

struct File<'a, 'm> {
    library: &'static dyn Library,
    program: &'a mut Program<'m>,
    held: &'a [Held<'m>],
    /// Quantised weights are stored as codes.
    packs: bool,
}

impl File<'_, '_> {
    /// `PARAMETERS`: each name in files with its type and sizes, and its path where that is another.
    fn parameters(&mut self) -> String {
        let mut entries = vec![];
        for held in self.held {
            match &held.storage.scheme {
                Some(_) if self.packs => entries.extend(self.parts(held)),
                _ => {
                    let dtype = held.storage.ty.dtype().unwrap_or(DType::Float32);
                    entries.push(self.parameter(&held.saved, &held.path, dtype, &held.shape));
                }
            }
        }
        let mut lines = Lines::new(0);
        lines.line("# What the model holds: element type and sizes of each tensor, by its name in files.");
        lines.dictionary("PARAMETERS = ", &entries, "");
        lines.text().trim_end().to_string()
    }

    fn parameter(&mut self, saved: &str, path: &str, dtype: DType, shape: &[i64]) -> (Py, Py) {
        let sizes = Py::Tuple(shape.iter().map(|size| Py::int(*size)).collect());
        let mut entry = vec![self.library.dtype(dtype), sizes];
        if saved != path {
            entry.push(Py::string(path));
        }
        let entry = Py::Tuple(entry);
        self.program.note(&entry);
        (Py::string(saved), entry)
    }

    /// The tensors of a packed weight.
    fn parts(&mut self, held: &Held) -> Vec<(Py, Py)> {
        let Some(scheme) = &held.storage.scheme else { return vec![] };
        // A group divides a size that is known, not one that is open.
        let sizes = held.shape.iter().map(|size| Dim::constant(*size)).collect();
        let storage = Storage { ty: held.storage.ty.with_shape(Shape::new(sizes)), ..held.storage.clone() };
        let facts = Facts::default();
        let mut entries = vec![];
        for (part, name) in [(Part::Codes, "codes"), (Part::Scale, "scale"), (Part::ZeroPoint, "zero_point")] {
            let Ok(ty) = storage.part_type(part, &facts) else { continue };
            let mut shape: Vec<i64> = ty.shape.dims.iter().filter_map(Dim::as_const).collect();
            let mut dtype = ty.dtype().unwrap_or(DType::Float32);
            if part == Part::Codes {
                dtype = DType::UInt8;
                if let Some(last) = shape.last_mut() {
                    *last = Format::of_scheme(scheme).row_bytes(usize::try_from(*last).unwrap_or(0)) as i64;
                }
            }
            let (saved, path) = (format!("{}.{name}", held.saved), format!("{}.{name}", held.path));
            entries.push(self.parameter(&saved, &path, dtype, &shape));
        }
        entries
    }

    /// `initial_state()`: what state begins with, by name.
    fn initial_state(&mut self) -> Result<Option<String>, TargetError> {
        let mut entries = vec![];
        for held in self.held.iter().filter(|held| held.is_state()) {
            let dtype = held.storage.ty.dtype().unwrap_or(DType::Float32);
            let sizes = Py::Tuple(held.shape.iter().map(|size| Py::int(*size)).collect());
            let value = match (&held.storage.init, held.initial()) {
                (Init::Values(tensor), _) => self.library.literal(tensor, None),
                (_, Some(HostValue::Int(0))) => self.library.zeros(sizes, dtype, None),
                (_, Some(number)) => self.library.full(sizes, numbers::host_value(&number), dtype),
                (_, None) => {
                    let target = self.program.dialect.target();
                    let message = format!("{target} cannot make the first value of the state `{}`", held.path);
                    let note = "give it a number: `= zeros()`, `= constant(1.0)`";
                    return Err(TargetError::new(code::E0602, message).note(note));
                }
            };
            self.program.note(&value);
            entries.push((Py::string(&held.saved), value));
        }
        if entries.is_empty() {
            return Ok(None);
        }
        let mut lines = Lines::new(0);
        lines.definition("initial_state", &[]);
        lines.indent();
        lines.line("\"\"\"State as it is before the first call, by name.\"\"\"");
        lines.dictionary("return ", &entries, "");
        Ok(Some(lines.text().trim_end().to_string()))
    }

    /// `pack(params)`: float masters as packed codes.
    fn pack(&mut self) -> Option<String> {
        let mut entries = vec![];
        for held in self.held.iter().filter(|_| self.packs) {
            if let Some(scheme) = &held.storage.scheme {
                let scheme = special::scheme(self.program.dialect, scheme);
                self.program.note(&scheme);
                entries.push((Py::string(&held.saved), scheme));
            }
        }
        if entries.is_empty() {
            return None;
        }
        self.program.note(&Py::name("packed"));
        let mut lines = Lines::new(0);
        lines.definition("pack", &[Py::name("params")]);
        lines.indent();
        lines.line("\"\"\"Parameters with the float masters of quantised weights packed; what is packed stays.\"\"\"");
        lines.dictionary("schemes = ", &entries, "");
        lines.line("return packed(params, schemes)");
        Some(lines.text().trim_end().to_string())
    }
}
