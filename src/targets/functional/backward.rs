//! `forward_backward(inputs, params, output_grads)`. For libraries without gradients it is written from the method that
//! autodiff has put beside each form of `forward`; for others it asks the library, for every exported method.

use crate::ir::{FuncId, PathSegment, Role};
use crate::passes::autodiff::{self, Source, StorageGradient};
use crate::targets::functional::entry::{Entries, output_names};
use crate::targets::held::Held;
use crate::targets::pytext::{Lines, Py};
use crate::targets::{Backward, names};
use crate::types::{DType, Dim, HostValue, Symbol};
use std::collections::{BTreeMap, HashMap};

/// The name of the method that autodiff adds.
pub const NAME: &str = "forward_backward";

/// The prefix of an input's gradient where a parameter has the input's name.
const INPUT: &str = "input.";

impl Entries<'_, '_> {
    /// `def forward_backward(inputs, params, output_grads):`; `None` if there are no gradients.
    pub fn backward(&mut self, backward: &[Backward]) -> Option<String> {
        let module = self.module();
        let pairs = backward.iter().filter_map(|one| {
            let forward = module.function_named(&one.forward)?;
            Some((forward, (module.function_named(&one.function)?, one.gradients.as_slice())))
        });
        let joint: HashMap<FuncId, (FuncId, &[Source])> = pairs.collect();
        let groups = self.methods();
        let forms = groups.into_iter().find(|group| group.iter().any(|form| joint.contains_key(form)))?;
        let functions: Vec<FuncId> = joint.values().map(|(function, _)| *function).collect();
        let mut lines = Lines::new(0);
        self.head(&mut lines, NAME, &forms, &["inputs", "params", "output_grads"]);
        self.begin(&mut lines, &functions);
        self.by_form(&mut lines, &forms, &mut |entries, lines, form| {
            if let Some((function, gradients)) = joint.get(&form) {
                entries.differentiated(lines, form, *function, gradients);
            }
        });
        Some(lines.text().trim_end().to_string())
    }

    fn differentiated(&mut self, lines: &mut Lines, form: FuncId, joint: FuncId, sources: &[Source]) {
        let module = self.module();
        let mut scope = self.scope();
        let inputs = self.arguments(lines, form, &mut scope);
        let mut arguments = inputs.clone();
        let names = output_names(module[form].results.len());
        for (name, ty) in names.iter().zip(&module[form].results) {
            let Some(dtype) = ty.dtype().filter(|dtype| dtype.is_float()) else { continue };
            let given = Py::name("output_grads").index(vec![Py::string(name)]);
            let variable = scope.fresh(&format!("grad_{}", name.replace('.', "_")));
            arguments.push(self.receive(lines, name, &variable, given, dtype));
        }
        let mut wishes: Vec<String> = names.iter().map(|name| name.replace('.', "_")).collect();
        wishes.extend(sources.iter().map(|source| self.wish(form, source)));
        let results = self.call(lines, joint, arguments, &wishes, &mut scope);
        let (outputs, found) = results.split_at(names.len().min(results.len()));
        self.give(lines, "outputs = ", joint, outputs, "");
        let gradients = self.named(form, &inputs, sources, found);
        for (_, value) in &gradients {
            self.program.note(value);
        }
        lines.dictionary("grads = ", &gradients, "");
        lines.line("return outputs, grads");
    }

    /// `forward_backward` for each method with float results, by the helper `differentiated` of the library's templates.
    pub fn by_library(&mut self) -> Vec<String> {
        let module = self.module();
        let groups = self.methods();
        let taken: Vec<String> = groups.iter().map(|forms| self.public_name(&module[forms[0]].source_name)).collect();
        let is_wanted = |form: FuncId, name: &String| {
            let has_floats = module[form].results.iter().any(|ty| ty.dtype().is_some_and(DType::is_float));
            has_floats && !taken.contains(name)
        };
        let named = groups.iter().map(|forms| (forms, names::backward(&module[forms[0]].source_name)));
        let wanted: Vec<_> = named.filter(|(forms, name)| is_wanted(forms[0], name)).collect();
        wanted.into_iter().map(|(forms, name)| self.asked_of_library(&name, forms)).collect()
    }

    fn asked_of_library(&mut self, name: &str, forms: &[FuncId]) -> String {
        // The form with every optional input knows all names.
        let function = &self.module()[forms[0]];
        let mut lines = Lines::new(0);
        self.head(&mut lines, name, forms, &["inputs", "params", "output_grads"]);
        let types = function.params.iter().map(|value| function.dtype(*value));
        let inputs: Vec<(String, DType)> = function.input_names().into_iter().zip(types).collect();
        let weights = self.held.iter().filter(|held| self.has_gradient(held));
        let weights: Vec<(String, DType)> =
            weights.filter_map(|held| Some((held.saved.clone(), held.storage.ty.dtype()?))).collect();
        for (prefix, typed) in [("floats = ", inputs), ("weights = ", weights)] {
            let floats = typed.into_iter().filter(|(_, dtype)| dtype.is_float());
            let entries: Vec<(Py, Py)> =
                floats.map(|(name, dtype)| (Py::string(&name), self.library.dtype(dtype))).collect();
            entries.iter().for_each(|(_, dtype)| self.program.note(dtype));
            lines.dictionary(prefix, &entries, "");
        }
        let mut given = vec![Py::name("inputs"), Py::name("params")];
        given.extend(self.draws(forms).then(|| Py::name("seed")));
        let method = Py::name(self.public_name(&function.source_name));
        let arguments =
            [method, Py::Tuple(given)].into_iter().chain(["output_grads", "floats", "weights"].map(Py::name));
        self.statement(&mut lines, "return ", &Py::name("differentiated").call(arguments.collect()));
        lines.text().trim_end().to_string()
    }

    /// `grad_x`, `grad_fc1_weight`
    fn wish(&self, form: FuncId, source: &Source) -> String {
        let function = &self.module()[form];
        let of = match source {
            Source::Input(index) => function[function.params[*index]].name.clone().unwrap_or_default(),
            Source::Storage(StorageGradient { path, name, .. }) => {
                let fields = path.iter().filter_map(|segment| match segment {
                    PathSegment::Field(field) => Some(field.as_str()),
                    PathSegment::Index(_) => None,
                });
                fields.chain([name.as_str()]).collect::<Vec<_>>().join("_")
            }
        };
        format!("grad_{}", of.replace('.', "_"))
    }

    /// A gradient for each float parameter, in the order in which they are held, and for each float input.
    fn named(&self, form: FuncId, inputs: &[Py], sources: &[Source], found: &[Py]) -> Vec<(Py, Py)> {
        let function = &self.module()[form];
        let mut of_path: BTreeMap<String, Py> = BTreeMap::new();
        let mut of_input: HashMap<usize, Py> = HashMap::new();
        for (source, gradient) in sources.iter().zip(found) {
            match source {
                Source::Input(index) => drop(of_input.insert(*index, gradient.clone())),
                Source::Storage(storage) => self.apart(storage, &mut vec![], gradient.clone(), &mut of_path),
            }
        }
        let mut entries = vec![];
        for held in self.held.iter().filter(|held| self.has_gradient(held)) {
            let dtype = held.storage.ty.dtype().unwrap_or(DType::Float32);
            let sizes = || Py::Tuple(held.shape.iter().map(|size| Py::int(*size)).collect());
            let gradient = of_path.remove(&held.path).unwrap_or_else(|| self.library.zeros(sizes(), dtype, None));
            entries.push((Py::string(&held.saved), gradient));
        }
        let names = function.input_names();
        for (index, (&value, input)) in function.params.iter().zip(inputs).enumerate() {
            let dtype = function.dtype(value);
            if !dtype.is_float() {
                continue;
            }
            let name = names[index].clone();
            let is_taken = self.held.iter().any(|held| self.has_gradient(held) && held.saved == name);
            let name = if is_taken { format!("{INPUT}{name}") } else { name };
            let none = || self.library.zeros(input.clone().attr("shape"), dtype, None);
            entries.push((Py::string(&name), of_input.remove(&index).unwrap_or_else(none)));
        }
        entries
    }

    /// Float parameters that are there as floats.
    fn has_gradient(&self, held: &Held) -> bool {
        let is_float = held.storage.ty.dtype().is_some_and(DType::is_float);
        held.storage.role == Role::Param && is_float && !(self.packs && held.storage.scheme.is_some())
    }

    /// Each member's part of a stack over the turns of loops.
    fn apart(&self, of: &StorageGradient, turns: &mut Vec<i64>, gradient: Py, found: &mut BTreeMap<String, Py>) {
        let value = |symbol: &Symbol| {
            let turn = turns.iter().enumerate().find(|(axis, _)| autodiff::turn(*axis) == *symbol);
            turn.map(|(_, turn)| *turn).or_else(|| self.hyper(symbol).and_then(HostValue::as_int))
        };
        let number = |dim: &Dim| dim.eval(&value);
        if let Some(count) = of.counts.get(turns.len()) {
            for turn in 0..number(count).unwrap_or(0) {
                turns.push(turn);
                self.apart(of, turns, gradient.clone().index(vec![Py::int(turn)]), found);
                turns.pop();
            }
            return;
        }
        let segments = of.path.iter().map(|segment| match segment {
            PathSegment::Field(field) => field.clone(),
            PathSegment::Index(dim) => number(dim).unwrap_or(0).to_string(),
        });
        let path = segments.chain([of.name.clone()]).collect::<Vec<_>>().join(".");
        let sum = match found.remove(&path) {
            Some(other) => Py::binary(other, "+", gradient),
            None => gradient,
        };
        found.insert(path, sum);
    }
}
