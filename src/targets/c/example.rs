//! The part of `example.c` that knows the model: a function for each method, which brings inputs from files into the
//! struct and gives the outputs out.

use crate::ir::HostKind;
use crate::targets::c::entry::{Input, Method, linear};
use crate::targets::c::lines::Lines;
use crate::targets::c::model::Kept;
use crate::targets::c::numbers;
use crate::targets::c::public::{Gradient, type_prefix};
use crate::targets::c::text;
use crate::targets::c::unit::Unit;
use crate::targets::held::Held;
use crate::types::{DType, Dim, Symbol};

/// The kind of an element type in .npy files, and its bytes there.
fn in_files(dtype: DType) -> (char, i64) {
    let kind = match dtype {
        DType::Bool => 'b',
        DType::BFloat16 => return ('f', 4),
        _ if dtype.is_float() => 'f',
        _ if dtype.is_unsigned() => 'u',
        _ => 'i',
    };
    (kind, numbers::element_bytes(dtype))
}

pub struct Example<'a, 'm> {
    pub unit: &'a Unit<'m>,
    pub method: &'a Method,
    pub has_state: bool,
    /// Of the backward function.
    pub gradients: Option<&'a [Gradient]>,
}

impl Example<'_, '_> {
    pub fn function(&self) -> String {
        let (unit, method) = (self.unit, self.method);
        let (prefix, types) = (&unit.prefix, type_prefix(&unit.prefix, method));
        let name = if self.gradients.is_some() { "backward" } else { method.name.as_str() };
        let mut lines = Lines::new(1);
        lines.line(format!("{types}inputs inputs = {{0}};"));
        lines.line(format!("{types}outputs outputs = {{0}};"));
        for (index, input) in method.inputs.iter().enumerate() {
            self.read(&mut lines, &format!("input_{index}"), &input.name, input.dtype(), input.ty.shape.dims.len());
            let ty = text::memory(input.dtype());
            lines.line(format!("inputs.{} = (const {ty} *)input_{index}.data;", input.field));
        }
        for number in &method.numbers {
            self.number(&mut lines, number);
        }
        if !method.seed.is_empty() {
            lines.line(format!("inputs.{} = given->seed;", method.seed));
        }
        for (index, input) in method.inputs.iter().enumerate() {
            for (axis, dim) in input.ty.shape.dims.iter().enumerate() {
                let size = self.dim(dim);
                lines.line(format!("expect({}, &input_{index}, {axis}, {size});", text::string(&input.name)));
            }
        }
        for (index, output) in method.outputs.iter().enumerate() {
            self.room(&mut lines, &format!("output_{index}"), &output.ty.shape.dims, output.dtype(), true);
            lines.line(format!("outputs.{} = ({} *)output_{index}.data;", output.field, text::memory(output.dtype())));
        }
        let call = match self.gradients {
            None => format!("{prefix}_{name}(weights, &inputs, &outputs, arena)"),
            Some(gradients) => {
                self.gradient_room(&mut lines, gradients);
                format!("{prefix}_backward(weights, &inputs, &output_grads, &outputs, &grads, arena)")
            }
        };
        lines.line(format!("check({call});"));
        for (index, output) in method.outputs.iter().enumerate() {
            // Sizes that only the run tells are known now.
            for (axis, dim) in output.ty.shape.dims.iter().enumerate() {
                if dim.symbols().iter().any(|symbol| method.fresh.iter().any(|(own, _)| own == symbol)) {
                    lines.line(format!("output_{index}.shape[{axis}] = {};", self.dim(dim)));
                }
            }
            self.give(&mut lines, &format!("output_{index}"), &output.name, output.dtype());
        }
        for (index, gradient) in self.gradients.unwrap_or_default().iter().enumerate() {
            let of = gradient.input().filter(|index| method.inputs[*index].is_optional);
            if let Some(index) = of {
                lines.open(&format!("if (input_{index}.data != NULL)"));
            }
            self.give(&mut lines, &format!("grad_{index}"), &format!("gradient.{}", gradient.name), gradient.dtype);
            if of.is_some() {
                lines.close();
            }
        }
        self.state(&mut lines);
        if !lines.mentions("given") {
            lines.line("(void)given;");
        }
        if method.inputs.is_empty() && method.numbers.is_empty() && method.seed.is_empty() {
            lines.line("(void)inputs;");
        }
        let head =
            format!("static void run_{name}(const arguments *given, const {prefix}_weights *weights, void *arena)");
        format!("{head}\n{{\n{}}}", lines.finish().text())
    }

    fn read(&self, lines: &mut Lines, variable: &str, name: &str, dtype: DType, rank: usize) {
        let (kind, width) = in_files(dtype);
        let read = format!("input(given, {}, '{kind}', {width}, {rank})", text::string(name));
        let read = if dtype == DType::BFloat16 { format!("narrowed({read})") } else { read };
        lines.line(format!("array {variable} = {read};"));
    }

    /// A size is told by the first input that has it, if it is given; a number by an argument.
    fn number(&self, lines: &mut Lines, number: &crate::targets::c::entry::Given) {
        let name = text::string(number.symbol.spoken());
        let field = &number.field;
        if number.kind == HostKind::Float {
            lines.line(format!("inputs.{field} = number(given, {name}, 0.0);"));
            return;
        }
        let otherwise = if number.is_size { "1" } else { "0" };
        let ty = if number.is_size { "(size_t)" } else { "" };
        lines.line(format!("inputs.{field} = {ty}whole(given, {name}, {otherwise});"));
        // Required inputs say more than optional ones, so they come last.
        let mut tellers: Vec<(usize, usize, &Input, (i64, i64))> = vec![];
        for (index, input) in self.method.inputs.iter().enumerate() {
            for (axis, dim) in input.ty.shape.dims.iter().enumerate() {
                tellers.extend(linear(dim, &number.symbol).map(|found| (index, axis, input, found)));
            }
        }
        tellers.sort_by_key(|(index, axis, input, _)| (!input.is_optional, std::cmp::Reverse((*index, *axis))));
        for (index, axis, _, (factor, rest)) in tellers {
            let size = format!("input_{index}.shape[{axis}]");
            let value = match (factor, rest) {
                (1, 0) => size,
                (factor, rest) => format!("({size} - ({rest})) / {factor}"),
            };
            lines.open(&format!("if (input_{index}.data != NULL)"));
            lines.line(format!("inputs.{field} = {ty}({value});"));
            lines.close();
        }
    }

    /// A size over the fields of inputs, or, after the call, of outputs.
    fn dim(&self, dim: &Dim) -> String {
        let names = |symbol: &Symbol| match self.method.field_of(symbol) {
            Some(number) => format!("(int64_t)inputs.{}", number.field),
            None => {
                let fresh = self.method.fresh.iter().find(|(own, _)| own == symbol);
                fresh.map_or("1".to_string(), |(_, field)| format!("(int64_t)outputs.{field}"))
            }
        };
        numbers::dim(dim, &names)
    }

    /// An array with room for a result.
    fn room(&self, lines: &mut Lines, variable: &str, dims: &[Dim], dtype: DType, at_most: bool) {
        let (kind, _) = in_files(dtype);
        let width = numbers::element_bytes(dtype);
        lines.line(format!("array {variable} = {{'{kind}', {width}, {}, {{0}}, 1, NULL}};", dims.len()));
        let is_fresh = |dim: &Dim| {
            at_most && dim.symbols().iter().any(|symbol| self.method.fresh.iter().any(|(own, _)| own == symbol))
        };
        let mut most = 1;
        for (axis, dim) in dims.iter().enumerate() {
            if is_fresh(dim) {
                let form = self.method.forms.first();
                let procedure = form.and_then(|form| self.unit.procedures.get(form.procedure.0));
                most *= procedure.and_then(|procedure| procedure.bounds_of(dim).high).unwrap_or(1).max(1);
                continue;
            }
            lines.line(format!("{variable}.shape[{axis}] = {};", self.dim(dim)));
            lines.line(format!("{variable}.count *= {variable}.shape[{axis}];"));
        }
        let factor = if most == 1 { String::new() } else { format!(" * {most}") };
        lines.line(format!("{variable}.data = allocate((size_t){variable}.count * {width}{factor});"));
    }

    fn gradient_room(&self, lines: &mut Lines, gradients: &[Gradient]) {
        let prefix = &self.unit.prefix;
        lines.line(format!("{prefix}_output_grads output_grads = {{0}};"));
        lines.line(format!("{prefix}_grads grads = {{0}};"));
        let floats = self.method.outputs.iter().enumerate().filter(|(_, output)| output.dtype().is_float());
        for (index, output) in floats {
            let dims = &output.ty.shape.dims;
            self.read(
                lines,
                &format!("output_grad_{index}"),
                &format!("grad.{}", output.name),
                output.dtype(),
                dims.len(),
            );
            for axis in 0..dims.len() {
                let name = text::string(&format!("grad.{}", output.name));
                lines.line(format!("expect({name}, &output_grad_{index}, {axis}, output_{index}.shape[{axis}]);"));
            }
            let ty = text::memory(output.dtype());
            lines.line(format!("output_grads.{} = (const {ty} *)output_grad_{index}.data;", output.field));
        }
        for (index, gradient) in gradients.iter().enumerate() {
            self.room(lines, &format!("grad_{index}"), &gradient.shape, gradient.dtype, false);
            lines.line(format!("grads.{} = ({} *)grad_{index}.data;", gradient.field, text::memory(gradient.dtype)));
        }
    }

    fn give(&self, lines: &mut Lines, variable: &str, name: &str, dtype: DType) {
        if dtype == DType::BFloat16 {
            lines.line(format!("{variable} = widened({variable});"));
        }
        let name = text::string(name);
        // Counted again: a run may have told sizes.
        lines.line(format!("{variable}.count = 1;"));
        lines.open(&format!("for (int axis = 0; axis < {variable}.rank; axis++)"));
        lines.line(format!("{variable}.count *= {variable}.shape[axis];"));
        lines.close();
        lines.line(format!("give(given, {name}, &{variable});"));
    }

    /// State is written beside the results, not printed.
    fn state(&self, lines: &mut Lines) {
        let is_state = |held: &&Held<'_>| {
            let member = held.path.rsplit('.').next().unwrap_or_default();
            matches!(self.unit.model.kept(held.layer, member, held.storage), Kept::State | Kept::Transient)
        };
        let states: Vec<&Held<'_>> = self.unit.model.contents.tensors.iter().filter(is_state).collect();
        if states.is_empty() || !self.has_state {
            return;
        }
        lines.open("if (given->folder != NULL)");
        for held in states {
            let dtype = held.storage.ty.dtype().unwrap_or(DType::Float32);
            let Some(access) = self.unit.member_access(&held.path, "weights") else { continue };
            let (kind, _) = in_files(dtype);
            let count: i64 = held.shape.iter().product();
            let shape: Vec<String> = held.shape.iter().map(ToString::to_string).collect();
            let shape = if shape.is_empty() { "0".to_string() } else { shape.join(", ") };
            let (width, rank) = (numbers::element_bytes(dtype), held.shape.len());
            lines.open("");
            lines.line(format!(
                "array state = {{'{kind}', {width}, {rank}, {{{shape}}}, {count}, (uint8_t *)arena + {access}.offset}};"
            ));
            self.give(lines, "state", &format!("state.{}", held.saved), dtype);
            lines.close();
        }
        lines.close();
    }
}
