//! Statements that give no value: errors, prints, and the `return`.

use crate::ir::{InstId, PrintPiece};
use crate::targets::pycode::function::Writer;
use crate::targets::pytext::Py;

impl Writer<'_, '_> {
    pub fn raise_unless(&mut self, condition: Py, error: &str, message: &str) {
        let negated = match condition {
            Py::Unary("not" | "~", inner) => *inner,
            other => Py::Unary("not", Box::new(other)),
        };
        self.raise_if(negated, error, message);
    }

    pub fn raise_if(&mut self, condition: Py, error: &str, message: &str) {
        self.statement("if ", &condition, ":");
        self.lines.indent();
        self.statement("raise ", &Py::name(error).call(vec![Py::string(message)]), "");
        self.lines.dedent();
    }

    pub(super) fn print(&mut self, inst: InstId, pieces: &[PrintPiece]) {
        let data = &self.function[inst];
        let mut operands = data.operands.iter();
        let mut arguments = vec![];
        for piece in pieces {
            match piece {
                PrintPiece::Text(text) => arguments.push(Py::string(text)),
                PrintPiece::Operand => {
                    if let Some(&value) = operands.next() {
                        let number = self.numbers.contains(&value);
                        let tensor = self.number_or_tensor(value);
                        arguments.push(if number { tensor } else { self.program.dialect.shown(tensor) });
                    }
                }
            }
        }
        self.comment(data.loc);
        self.statement("", &Py::name("print").call(arguments), "");
    }

    pub(super) fn write_return(&mut self, inst: InstId) {
        let data = &self.function[inst];
        let values: Vec<Py> = data.operands.iter().map(|v| self.lasting(*v)).collect();
        // The line that made the value says more than the one that the function begins on.
        let made = data.operands.iter().zip(&values).filter(|(_, v)| v.operations() > 0);
        let made = made.filter_map(|(operand, _)| self.definitions.get(operand)).next();
        if let Some(&inst) = made {
            self.comment(self.function[inst].loc);
        }
        match values.as_slice() {
            [] => {}
            [only] => self.statement("return ", only, ""),
            _ => {
                let tuple = Py::Tuple(values.clone());
                let flat = tuple.text();
                if flat.chars().count() + 5 <= self.lines.width() {
                    self.program.note(&tuple);
                    self.lines.line(&format!("return {}", &flat[1..flat.len() - 1]));
                } else {
                    self.statement("return ", &tuple, "");
                }
            }
        }
    }
}
