//! Calls of procedures, seeds and printing.

use crate::ir::{Inst, InstId, PathSegment, PrintPiece};
use crate::targets::c::body::{Body, at_frame};
use crate::targets::c::specialise::Called;
use crate::targets::c::text;
use crate::targets::c::unit::{Step, steps};
use crate::types::{DType, Symbol};

impl Body<'_, '_> {
    pub(super) fn seed(&mut self, inst: &Inst, site: u32, part: &str) {
        let [result] = inst.results.as_slice() else { return };
        self.unit.helpers.insert("draw");
        let place = match part.is_empty() {
            true => "place".to_string(),
            false => format!("draw_place(place, {})", text::string(part)),
        };
        self.assign(*result, &format!("draw_seed(draws, {site}, {place})"), "seed");
    }

    pub(super) fn call(&mut self, id: InstId, path: Option<&[PathSegment]>, fresh: &[Symbol]) {
        let inst = &self.function[id];
        let Some(Called { procedure, arguments: numbers }) = self.procedure.calls.get(&id).cloned() else { return };
        let Some(callee) = self.unit.written.get(procedure.0).cloned() else { return };
        for result in &inst.results {
            self.declare(*result, &callee.name);
        }
        let mut arguments = vec![];
        if callee.takes.instance {
            let path = path.unwrap_or_default();
            let part = self.function.layer.and_then(|layer| {
                self.unit.model.part(layer, path, &|symbol| self.symbol(symbol)).map(|(part, _)| part)
            });
            let part = part.unwrap_or_else(|| "w".to_string());
            arguments.push(if part == "w" { part } else { format!("&{part}") });
        }
        if callee.takes.state {
            arguments.push("state".to_string());
        }
        if callee.takes.frame {
            let offset = self.plan.scratch(id).unwrap_or(0);
            arguments.push(at_frame(offset));
        }
        if callee.takes.draws {
            arguments.push("draws".to_string());
            arguments.push(self.part_place(path.unwrap_or_default()));
        }
        arguments.extend(inst.operands.iter().map(|operand| self.value(*operand)));
        arguments.extend(self.destinations(inst));
        for number in &numbers {
            arguments.push(self.host(number));
        }
        for symbol in fresh {
            let name = self.fresh(symbol.spoken());
            self.lines.line(format!("int64_t {name};"));
            arguments.push(format!("&{name}"));
            self.symbols.insert(symbol.clone(), name);
        }
        self.invoke(&callee.name, &arguments, callee.can_fail);
        for symbol in fresh {
            self.check_bound(symbol);
        }
    }

    /// What the place of a part is called in seeds.
    fn part_place(&mut self, path: &[PathSegment]) -> String {
        self.unit.helpers.insert("draw");
        steps(path).into_iter().fold("place".to_string(), |place, step| match step {
            Step::Name(name) => format!("draw_place({place}, {})", text::string(&name)),
            Step::Position(index) => format!("draw_position({place}, {})", self.dim(&index)),
        })
    }

    /// What the caller is told of sizes that only this body knows.
    pub(super) fn give_sizes(&mut self) {
        for symbol in &self.function.fresh {
            let name = self.symbol(symbol);
            self.lines.line(format!("*{}_out = {name};", symbol.spoken()));
        }
    }

    pub(super) fn print(&mut self, inst: &Inst, pieces: &[PrintPiece]) {
        self.unit.helpers.insert("show");
        let mut operands = inst.operands.iter();
        for (index, piece) in pieces.iter().enumerate() {
            if index > 0 {
                self.lines.line("show_text(\" \");");
            }
            match piece {
                PrintPiece::Text(text) => self.lines.line(format!("show_text({});", text::string(text))),
                PrintPiece::Operand => {
                    let Some(&operand) = operands.next() else { continue };
                    let value = self.value(operand);
                    let dtype = self.function.dtype(operand);
                    let shown = if self.is_scalar(operand) { format!("&{value}") } else { value.clone() };
                    let shown = match (self.is_scalar(operand), value.starts_with(|c: char| c.is_ascii_alphabetic())) {
                        (true, false) => format!("&({}){{{value}}}", text::memory(dtype)),
                        _ => shown,
                    };
                    let ty = self.function[operand].ty.clone();
                    let count = self.count(&ty);
                    let rank = ty.shape.dims.len();
                    let word = match dtype {
                        // Codes are held as bytes.
                        DType::Trit | DType::Int4 => "int8",
                        dtype => dtype.name(),
                    };
                    match dtype {
                        DType::Float16 => drop(self.unit.helpers.insert("show_float16")),
                        DType::BFloat16 => drop(self.unit.helpers.insert("show_bfloat16")),
                        _ => {}
                    }
                    self.lines.line(format!("show_{word}({shown}, {count}, {rank});"));
                }
            }
        }
        self.lines.line("show_text(\"\\n\");");
    }
}
