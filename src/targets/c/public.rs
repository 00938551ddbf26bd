//! The functions that are called from outside: what they check, what they call.

use crate::ir::{Function, PathSegment, Role};
use crate::passes::autodiff::{self, Source, StorageGradient};
use crate::targets::Mode;
use crate::targets::c::bounds::Bounds;
use crate::targets::c::entry::{Form, Method, entry_values};
use crate::targets::c::lines::Lines;
use crate::targets::c::numbers;
use crate::targets::c::specialise::ProcId;
use crate::targets::c::text::{self, Words};
use crate::targets::c::unit::Unit;
use crate::targets::held::Held;
use crate::types::{DType, Dim, Symbol};

/// Where the parts of the arena begin.
#[derive(Clone, Copy, Debug, Default)]
pub struct Arena {
    /// The counts of seeds that were drawn.
    pub draws: usize,
    pub draw_capacity: usize,
    /// What procedures use while they run.
    pub frame: usize,
    pub total: usize,
}

/// A gradient that is given to the caller.
pub struct Gradient {
    /// As files have it.
    pub name: String,
    pub field: String,
    pub dtype: DType,
    /// Of a parameter its sizes, of an input over the method's symbols.
    pub shape: Vec<Dim>,
    /// Of a parameter its path, of an input its position.
    of: Of,
}

impl Gradient {
    /// The position of the input that it is the gradient of.
    pub fn input(&self) -> Option<usize> {
        match self.of {
            Of::Input(index) => Some(index),
            Of::Path(_) => None,
        }
    }
}

enum Of {
    Path(String),
    Input(usize),
}

/// Which parts the gradients of a method have: each float parameter, then each float input.
pub fn gradients(unit: &Unit<'_>, method: &Method, mode: Mode) -> Vec<Gradient> {
    let mut words = Words::default();
    let mut found: Vec<Gradient> = vec![];
    let has_gradient = |held: &&Held<'_>| {
        let is_float = held.storage.ty.dtype().is_some_and(DType::is_float);
        held.storage.role == Role::Param && is_float && !(mode == Mode::Infer && held.storage.scheme.is_some())
    };
    for held in unit.model.contents.tensors.iter().filter(has_gradient) {
        found.push(Gradient {
            name: held.saved.clone(),
            field: words.take(&held.saved.replace('.', "_")),
            dtype: held.storage.ty.dtype().unwrap_or(DType::Float32),
            shape: held.shape.iter().map(|size| Dim::constant(*size)).collect(),
            of: Of::Path(held.path.clone()),
        });
    }
    for (index, input) in method.inputs.iter().enumerate().filter(|(_, input)| input.dtype().is_float()) {
        let is_taken = found.iter().any(|known| known.name == input.name);
        let name = if is_taken { format!("input.{}", input.name) } else { input.name.clone() };
        found.push(Gradient {
            field: words.take(&name.replace('.', "_")),
            name,
            dtype: input.dtype(),
            shape: input.ty.shape.dims.clone(),
            of: Of::Input(index),
        });
    }
    found
}

pub struct Public<'a, 'm> {
    pub unit: &'a Unit<'m>,
    pub arena: Arena,
    /// Whether the arena holds state.
    pub has_state: bool,
}

/// What a public function writes beside results.
struct Differentiated<'g> {
    gradients: &'g [Gradient],
    sources: &'g [Source],
}

impl<'m> Public<'_, 'm> {
    fn code(&self, name: &str) -> String {
        format!("{}_ERROR_{name}", self.unit.upper())
    }

    /// `int mlp_forward(const mlp_weights *weights, ...)`, without its body.
    pub fn head(&self, method: &Method, backward: bool) -> String {
        let prefix = &self.unit.prefix;
        let types = type_prefix(prefix, method);
        match backward {
            false => format!(
                "int {prefix}_{}(const {prefix}_weights *weights, const {types}inputs *inputs, {types}outputs *outputs, void *arena)",
                method.name
            ),
            true => format!(
                "int {prefix}_backward(const {prefix}_weights *weights, const {types}inputs *inputs, const {prefix}_output_grads *output_grads, {types}outputs *outputs, {prefix}_grads *grads, void *arena)"
            ),
        }
    }

    /// The definition of a public function.
    pub fn function(&self, method: &Method, gradients: Option<&[Gradient]>) -> String {
        let mut lines = Lines::new(1);
        let mut pointers = vec!["weights", "inputs", "outputs", "arena"];
        if gradients.is_some() {
            pointers.extend(["output_grads", "grads"]);
        }
        let nulls: Vec<String> = pointers.iter().map(|name| format!("{name} == NULL")).collect();
        self.refuse(&mut lines, &nulls.join(" || "), "NULL");
        self.refuse(&mut lines, "(uintptr_t)arena % 64 != 0", "ALIGNMENT");
        if self.has_state {
            lines.declaration("state", "uint8_t *const state = (uint8_t *)arena;");
            self.refuse(&mut lines, &format!("*(const uint64_t *)arena != {}_STATE", self.unit.upper()), "RESET");
        }
        let frame = format!("uint8_t *const frame = (uint8_t *)arena{};", plus(self.arena.frame));
        lines.declaration("frame", frame);
        for form in &method.forms {
            let function = &self.unit.module[form.function];
            let differentiated = gradients.and_then(|gradients| {
                form.backward.as_ref().map(|(_, backward)| Differentiated { gradients, sources: &backward.gradients })
            });
            let procedure = match &differentiated {
                Some(_) => form.backward.as_ref().map_or(form.procedure, |(joint, _)| *joint),
                None => form.procedure,
            };
            let given: Vec<String> =
                method.given(function).iter().map(|input| format!("inputs->{} != NULL", input.field)).collect();
            match given.is_empty() {
                true => self.form(&mut lines, method, form, procedure, differentiated.as_ref()),
                false => {
                    lines.open(&format!("if ({})", given.join(" && ")));
                    self.form(&mut lines, method, form, procedure, differentiated.as_ref());
                    lines.close();
                }
            }
        }
        if method.forms.iter().all(|form| !method.given(&self.unit.module[form.function]).is_empty()) {
            lines.line(format!("return {};", self.code("NULL")));
        }
        let lines = lines.finish();
        format!("{}\n{{\n{}}}", self.head(method, gradients.is_some()), lines.text())
    }

    fn refuse(&self, lines: &mut Lines, wrong: &str, code: &str) {
        lines.open(&format!("if ({wrong})"));
        lines.line(format!("return {};", self.code(code)));
        lines.close();
    }

    /// Calls the procedure of one form, and returns.
    fn form(
        &self,
        lines: &mut Lines,
        method: &Method,
        form: &Form,
        id: ProcId,
        differentiated: Option<&Differentiated<'_>>,
    ) {
        self.pointers(lines, method, form, differentiated);
        self.sizes(lines, method, id);
        let procedure = &self.unit.procedures[id.0];
        let written = &self.unit.written[id.0];
        let mut arguments = vec![];
        if written.takes.instance {
            arguments.push("weights".to_string());
        }
        if written.takes.state {
            arguments.push("state".to_string());
        }
        if written.takes.frame {
            arguments.push("frame".to_string());
        }
        if written.takes.draws {
            let (at, capacity) = (self.arena.draws, self.arena.draw_capacity);
            lines.line(format!(
                "draw_counts draws = {{inputs->{}, (draw_count *)((uint8_t *)arena + {at}), {capacity}}};",
                method.seed
            ));
            lines.line("draw_begin(&draws);");
            arguments.push("&draws".to_string());
            arguments.push("DRAW_ENTRY".to_string());
        }
        let pointer = |field: String, ty: &crate::types::TensorType| match ty.shape.dims.is_empty() {
            true => format!("*{field}"),
            false => field,
        };
        let taken = method.taken(&self.unit.module[form.function]);
        arguments.extend(taken.iter().map(|input| pointer(format!("inputs->{}", input.field), &input.ty)));
        if differentiated.is_some() {
            let floats = method.outputs.iter().filter(|output| output.dtype().is_float());
            arguments.extend(floats.map(|output| pointer(format!("output_grads->{}", output.field), &output.ty)));
        }
        arguments.extend(method.outputs.iter().map(|output| format!("outputs->{}", output.field)));
        let mut after = Lines::new(0);
        if let Some(differentiated) = differentiated {
            arguments.extend(self.gradient_places(lines, &mut after, method, id, differentiated));
        }
        for (symbol, kind) in &procedure.arguments {
            let field = method.field_of(symbol).map_or("seed", |number| number.field.as_str());
            let ty = match kind {
                crate::ir::HostKind::Int => "(int64_t)",
                crate::ir::HostKind::Float => "",
            };
            arguments.push(format!("{ty}inputs->{field}"));
        }
        for (_, field) in &method.fresh {
            lines.line(format!("int64_t {field} = 0;"));
            arguments.push(format!("&{field}"));
        }
        let call = format!("{}({})", written.name, arguments.join(", "));
        let simple = method.fresh.is_empty() && after.is_empty();
        match (written.can_fail, simple) {
            (true, true) => {
                lines.line(format!("return {call};"));
                return;
            }
            (true, false) => {
                lines.line(format!("const int error = {call};"));
                lines.open("if (error != 0)");
                lines.line("return error;");
                lines.close();
            }
            (false, _) => lines.line(format!("{call};")),
        }
        for (_, field) in &method.fresh {
            lines.line(format!("outputs->{field} = (size_t){field};"));
        }
        lines.append(after);
        lines.line(format!("return {}_OK;", self.unit.upper()));
    }

    /// Refuses NULL where a form needs something.
    fn pointers(&self, lines: &mut Lines, method: &Method, form: &Form, differentiated: Option<&Differentiated<'_>>) {
        let function: &Function = &self.unit.module[form.function];
        let taken = method.taken(function);
        let mut pointers: Vec<String> =
            taken.iter().filter(|input| !input.is_optional).map(|input| format!("inputs->{}", input.field)).collect();
        pointers.extend(method.outputs.iter().map(|output| format!("outputs->{}", output.field)));
        if let Some(differentiated) = differentiated {
            let floats = method.outputs.iter().filter(|output| output.dtype().is_float());
            pointers.extend(floats.map(|output| format!("output_grads->{}", output.field)));
            pointers.extend(differentiated.gradients.iter().map(|gradient| format!("grads->{}", gradient.field)));
        }
        if !pointers.is_empty() {
            let nulls: Vec<String> = pointers.iter().map(|pointer| format!("{pointer} == NULL")).collect();
            self.refuse(lines, &nulls.join(" || "), "NULL");
        }
    }

    /// Compares sizes with what memory was planned for.
    fn sizes(&self, lines: &mut Lines, method: &Method, id: ProcId) {
        let procedure = &self.unit.procedures[id.0];
        let known = entry_values(self.unit.module);
        let mut wrong = vec![];
        for number in &method.numbers {
            if number.kind == crate::ir::HostKind::Float || known.contains_key(&number.symbol) {
                continue;
            }
            let field = format!("inputs->{}", number.field);
            let own = procedure.bounds.get(&number.symbol).copied();
            let constant = procedure.known.get(&number.symbol).and_then(|value| value.as_dim()?.as_const());
            let Bounds { low, high } = constant.map(Bounds::exactly).or(own).unwrap_or_default();
            match (low, high) {
                (Some(low), Some(high)) if low == high => wrong.push(format!("{field} != {}", numbers::integer(low))),
                (low, high) => {
                    // A size_t is not negative.
                    let low = low.filter(|low| !number.is_size || *low > 0);
                    wrong.extend(low.map(|low| format!("{field} < {}", numbers::integer(low))));
                    wrong.extend(high.map(|high| format!("{field} > {}", numbers::integer(high))));
                    if number.is_size && high.is_none() {
                        wrong.push(format!("{field} > INT64_MAX"));
                    }
                }
            }
        }
        if !wrong.is_empty() {
            self.refuse(lines, &wrong.join(" || "), "SIZE");
        }
    }

    /// Where the procedure puts each gradient; those of lists come stacked, and are given out afterwards.
    fn gradient_places(
        &self,
        lines: &mut Lines,
        after: &mut Lines,
        method: &Method,
        id: ProcId,
        differentiated: &Differentiated<'_>,
    ) -> Vec<String> {
        let Differentiated { gradients, sources } = differentiated;
        let procedure = &self.unit.procedures[id.0];
        let mut written: Vec<bool> = vec![false; gradients.len()];
        let mut places = vec![];
        let mut offset = self.arena.frame + self.unit.written[id.0].frame_bytes;
        let results = procedure.function.results.iter().skip(method.outputs.len());
        for (source, ty) in sources.iter().zip(results) {
            let direct = match source {
                Source::Input(index) => {
                    let taken = method.taken(&self.unit.module[procedure.source]);
                    let name = taken.get(*index).map(|input| input.name.clone());
                    gradients.iter().position(|gradient| match gradient.of {
                        Of::Input(at) => Some(&method.inputs[at].name) == name.as_ref(),
                        Of::Path(_) => false,
                    })
                }
                Source::Storage(storage) if storage.counts.is_empty() => self.target(gradients, storage, &[]),
                Source::Storage(_) => None,
            };
            match direct.filter(|index| !written[*index]) {
                Some(index) => {
                    written[index] = true;
                    places.push(format!("grads->{}", gradients[index].field));
                }
                None => {
                    let dtype = ty.dtype().unwrap_or(DType::Float32);
                    let c_type = text::memory(dtype);
                    let name = format!("stacked_{}", places.len());
                    lines.line(format!("{c_type} *{name} = ({c_type} *)((uint8_t *)arena + {offset});"));
                    let bytes = ty.shape.dims.iter().map(|dim| procedure.bounds_of(dim).high.unwrap_or(0).max(0));
                    let bytes = bytes.product::<i64>() * numbers::element_bytes(dtype);
                    offset = (offset + usize::try_from(bytes).unwrap_or(0)).next_multiple_of(64);
                    if let Source::Storage(storage) = source {
                        self.apart(after, gradients, storage, &mut vec![], &name, dtype);
                    }
                    places.push(name);
                }
            }
        }
        for (gradient, written) in gradients.iter().zip(&written) {
            if !written {
                let bytes = self.bytes(method, &gradient.shape, gradient.dtype);
                // What the results do not depend on, or what is summed up below.
                lines.line(format!("memset(grads->{}, 0, {bytes});", gradient.field));
            }
        }
        places
    }

    fn bytes(&self, method: &Method, shape: &[Dim], dtype: DType) -> String {
        let names = |symbol: &Symbol| {
            method.field_of(symbol).map_or("0".to_string(), |number| format!("inputs->{}", number.field))
        };
        format!("(size_t)({}) * sizeof({})", numbers::product(shape, &names), text::memory(dtype))
    }

    /// The gradient that a storage's belongs to, at these turns of the loops around it.
    fn target(&self, gradients: &[Gradient], of: &StorageGradient, turns: &[i64]) -> Option<usize> {
        let path = self.path(of, turns);
        gradients.iter().position(|gradient| matches!(&gradient.of, Of::Path(own) if *own == path))
    }

    fn path(&self, of: &StorageGradient, turns: &[i64]) -> String {
        let segments = of.path.iter().map(|segment| match segment {
            PathSegment::Field(field) => field.clone(),
            PathSegment::Index(dim) => self.number(dim, turns).to_string(),
        });
        segments.chain([of.name.clone()]).collect::<Vec<_>>().join(".")
    }

    fn number(&self, dim: &Dim, turns: &[i64]) -> i64 {
        let values = entry_values(self.unit.module);
        let value = |symbol: &Symbol| {
            let turn = turns.iter().enumerate().find(|(axis, _)| autodiff::turn(*axis) == *symbol);
            turn.map(|(_, turn)| *turn).or_else(|| values.get(symbol)?.as_int())
        };
        dim.eval(&value).unwrap_or(0)
    }

    /// Adds each part of a stack to the gradient that it is of.
    fn apart(
        &self,
        lines: &mut Lines,
        gradients: &[Gradient],
        of: &StorageGradient,
        turns: &mut Vec<i64>,
        stacked: &str,
        dtype: DType,
    ) {
        if let Some(count) = of.counts.get(turns.len()) {
            for turn in 0..self.number(count, turns) {
                turns.push(turn);
                self.apart(lines, gradients, of, turns, stacked, dtype);
                turns.pop();
            }
            return;
        }
        let Some(index) = self.target(gradients, of, turns) else { return };
        let gradient = &gradients[index];
        let count: i64 = gradient.shape.iter().filter_map(Dim::as_const).product();
        // Turns are axes of the stack, the first one outermost.
        let mut position = 0;
        for (axis, turn) in turns.iter().enumerate() {
            let size = of.counts.get(axis).map_or(1, |count| self.number(count, &turns[..axis]));
            position = position * size + turn;
        }
        let (field, start) = (&gradient.field, position * count);
        lines.open(&format!("for (int64_t i = 0; i < {count}; i++)"));
        let add = match dtype {
            DType::Float16 => {
                format!(
                    "double_to_float16(float16_to_float(grads->{field}[i]) + float16_to_float({stacked}[{start} + i]))"
                )
            }
            DType::BFloat16 => {
                format!(
                    "double_to_bfloat16(bfloat16_to_float(grads->{field}[i]) + bfloat16_to_float({stacked}[{start} + i]))"
                )
            }
            _ => format!("grads->{field}[i] + {stacked}[{start} + i]"),
        };
        lines.line(format!("grads->{field}[i] = {add};"));
        lines.close();
    }

    /// The most that gradients need beside the frame of their procedure.
    pub fn stacked_bytes(unit: &Unit<'_>, id: ProcId, outputs: usize) -> usize {
        let procedure = &unit.procedures[id.0];
        let bytes = procedure.function.results.iter().skip(outputs).map(|ty| {
            let sizes = ty.shape.dims.iter().map(|dim| procedure.bounds_of(dim).high.unwrap_or(0).max(0));
            let bytes = sizes.product::<i64>() * numbers::element_bytes(ty.dtype().unwrap_or(DType::Float32));
            usize::try_from(bytes).unwrap_or(0).next_multiple_of(64)
        });
        bytes.sum()
    }
}

/// ` + 64`
fn plus(offset: usize) -> String {
    if offset == 0 { String::new() } else { format!(" + {offset}") }
}

/// What the names of a method's structs begin with: `mlp_`, and `mlp_decode_` for another method than `forward`.
pub fn type_prefix(prefix: &str, method: &Method) -> String {
    match method.name.as_str() {
        "forward" => format!("{prefix}_"),
        name => format!("{prefix}_{name}_"),
    }
}
