//! Instructions as lines.

use super::Printer;
use super::names::ValueNames;
use super::text::*;
use crate::ir::words::quoted;
use crate::ir::{Function, Inst, InstKind, PrintPiece, Region};

impl Printer<'_> {
    pub(super) fn write_region(&mut self, function: &Function, names: &ValueNames, region: &Region) {
        for id in &region.insts {
            if let Some(inst) = function.insts.get(id.0 as usize) {
                self.write_inst(function, names, inst);
            }
        }
    }

    fn write_inst(&mut self, function: &Function, names: &ValueNames, inst: &Inst) {
        let mut text = String::new();
        if !inst.results.is_empty() {
            text = names.list(&inst.results) + " = ";
        }
        let types: Vec<String> = inst
            .results
            .iter()
            .map(|r| function.values.get(r.0 as usize).map_or("?".into(), |v| v.ty.to_string()))
            .collect();
        let types = if types.is_empty() { String::new() } else { format!(" : {}", types.join(", ")) };
        let operands = names.list(&inst.operands);
        match &inst.kind {
            InstKind::If { then, otherwise } => {
                self.line(&format!("{text}if {operands} {{"), inst.loc);
                self.write_nested(function, names, then);
                self.plain("} else {");
                self.write_nested(function, names, otherwise);
                self.plain(&format!("}}{types}"));
            }
            InstKind::For { index, body } => {
                let params = params_text(function, names, &body.params);
                let index = quoted(index.as_str());
                self.line(&format!("{text}for {index} {params} in {operands} {{"), inst.loc);
                self.write_nested(function, names, body);
                self.plain(&format!("}}{types}"));
            }
            InstKind::While { turns, cond, body } => {
                let params = params_text(function, names, &cond.params);
                let turns = turns.as_ref().map_or(String::new(), |turns| format!("{} ", quoted(turns.as_str())));
                let carried = if operands.is_empty() { operands } else { format!("{operands} ") };
                self.line(&format!("{text}while {turns}{params} in {carried}{{"), inst.loc);
                self.write_nested(function, names, cond);
                self.plain(&format!("}} do {} {{", params_text(function, names, &body.params)));
                self.write_nested(function, names, body);
                self.plain(&format!("}}{types}"));
            }
            InstKind::Gradient { body } => {
                let params = params_text(function, names, &body.params);
                self.line(&format!("{text}gradient {params} in {operands} {{"), inst.loc);
                self.write_nested(function, names, body);
                self.plain(&format!("}}{types}"));
            }
            InstKind::Fused { body } => {
                let params = params_text(function, names, &body.params);
                let from = if operands.is_empty() { operands } else { format!("{operands} ") };
                self.line(&format!("{text}fused {params} in {from}{{"), inst.loc);
                self.write_nested(function, names, body);
                self.plain(&format!("}}{types}"));
            }
            kind => {
                text += &self.simple_text(kind, names, inst, &operands);
                self.line(&(text + &types), inst.loc);
            }
        }
    }

    fn write_nested(&mut self, function: &Function, names: &ValueNames, region: &Region) {
        self.indent += 1;
        self.write_region(function, names, region);
        self.indent -= 1;
    }

    /// An instruction without regions, from its keyword to before the types.
    fn simple_text(&self, kind: &InstKind, names: &ValueNames, inst: &Inst, operands: &str) -> String {
        let with = |head: String| if operands.is_empty() { head } else { format!("{head} {operands}") };
        match kind {
            InstKind::Op { op, attrs } => with(op.name().to_string()) + &attrs_text(attrs),
            InstKind::Param { name, part } => with(format!("param {name:?}{}", part_suffix(*part))),
            InstKind::Const(tensor) => format!("const {}", tensor_text(tensor)),
            InstKind::Host(expr) => format!("host {expr}"),
            InstKind::Rng { site, part } if part.is_empty() => format!("rng {site}"),
            InstKind::Rng { site, part } => format!("rng {site} {part:?}"),
            InstKind::Call { func, bindings, path, fresh } => {
                let mut text = format!("call {}({operands})", self.function_name(*func));
                if let Some(path) = path {
                    text += &format!(" at self{}", path_text(path));
                }
                if !bindings.is_empty() {
                    text += &format!(" {{{}}}", bindings_text(bindings));
                }
                if !fresh.is_empty() {
                    text += &format!(" binds {}", symbols_text(fresh));
                }
                text
            }
            InstKind::SetState { name } => with(format!("set_state {name:?}")),
            InstKind::SetSlice { name, windows } => with(format!("set_slice {name:?} [{}]", windows_text(windows))),
            InstKind::Assert { message } => with(format!("assert {message:?}")),
            InstKind::Ensure(obligation) => format!("ensure {}", condition_text(obligation)),
            InstKind::Print { pieces } => {
                let mut next = inst.operands.iter();
                let parts: Vec<String> = pieces
                    .iter()
                    .filter_map(|piece| match piece {
                        PrintPiece::Text(text) => Some(format!("{text:?}")),
                        PrintPiece::Operand => next.next().map(|value| names.list(&[*value])),
                    })
                    .collect();
                format!("print {}", parts.join(", ")).trim_end().to_string()
            }
            InstKind::Yield => with("yield".into()),
            InstKind::Return => with("return".into()),
            InstKind::If { .. }
            | InstKind::For { .. }
            | InstKind::While { .. }
            | InstKind::Gradient { .. }
            | InstKind::Fused { .. } => String::new(),
        }
    }
}
