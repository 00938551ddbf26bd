//! The end of a kernel: its head, and which results may lie where an operand does.

use super::Maker;
use crate::targets::c::kernel::requests::{SCRATCH, THREADS};
use crate::targets::c::kernel::{Held, Kernel};
use crate::targets::c::text::{Statement, drop_unused, lines, memory, print};
use crate::types::{Dim, HostExpr, Symbol};

impl Maker<'_> {
    pub fn finish(mut self, wish: String) -> Kernel {
        while self.scopes.len() > 1 {
            self.close();
        }
        let sizes: Vec<Symbol> = self.sizes.iter().cloned().collect();
        let mut statements = std::mem::take(&mut self.scope().statements);
        drop_unused(&mut statements);
        let in_place = self.in_place(&statements);
        if self.can_fail {
            statements.push(Statement::Line("return {{NAME}}_OK;".into()));
        }
        let mut body = print(&statements, 1);
        if self.can_fail {
            // Nothing can be returned out of the middle of a loop that threads share.
            body = body.lines().filter(|line| line.trim() != THREADS).map(|line| format!("{line}\n")).collect();
        }
        let mut parameters = vec![];
        let mut unused = String::new();
        let (mut operands, mut packs) = (vec![], vec![]);
        for (index, operand) in self.operands.iter().enumerate() {
            let restrict = if in_place.iter().any(|(_, own)| *own == index) { "" } else { "restrict " };
            let (name, ty) = (&operand.name, memory(operand.dtype));
            if !mentions(&body, name) {
                continue;
            }
            operands.push(index);
            packs.extend(operand.packing.map(|packing| (index, packing)));
            parameters.push(match (operand.held, operand.packing) {
                (_, Some(packing)) => format!("const {} *{restrict}{name}", packing.element()),
                (Held::Scalar, None) => format!("{ty} {name}"),
                (Held::Plain, None) => format!("const {ty} *{restrict}{name}"),
                (Held::Packed(_), None) => format!("const uint8_t *{restrict}{name}"),
            });
        }
        for (index, result) in self.results.iter().enumerate() {
            let restrict = if in_place.iter().any(|(own, _)| *own == index) { "" } else { "restrict " };
            parameters.push(format!("{} *{restrict}{}", memory(result.dtype), result.name));
            if !mentions(&body, &result.name) {
                unused.push_str(&format!("    (void){};\n", result.name));
            }
        }
        if !self.scratch.is_const(0) {
            parameters.push(format!("uint8_t *restrict {SCRATCH}"));
        }
        let names = sizes.iter().filter_map(|symbol| self.names.get(symbol));
        parameters.extend(names.map(|name| format!("int64_t {name}")));
        let numbers: Vec<(HostExpr, String)> =
            self.numbers.into_iter().filter(|(_, name)| mentions(&body, name)).collect();
        parameters.extend(numbers.iter().map(|(_, name)| format!("double {name}")));
        let numbers = numbers.into_iter().map(|(expr, _)| expr).collect();
        let ty = if self.can_fail { "int" } else { "void" };
        let definition = format!("{}\n{{\n{unused}{body}}}\n", signature(ty, &parameters));
        let Maker { helpers, tiles, scratch, can_fail, .. } = self;
        Kernel { wish, definition, operands, packs, scratch, sizes, numbers, helpers, tiles, can_fail, in_place }
    }

    /// Results that may take the memory of an operand: each element of that is read where it is written only, and no
    /// more once it is written.
    fn in_place(&self, statements: &[Statement]) -> Vec<(usize, usize)> {
        let mut pairs = vec![];
        if self.nests > 1 {
            return pairs;
        }
        let lines = lines(statements);
        let is_read_later = |result: &str, operand: &str| {
            let written = lines.iter().position(|line| mentions(line, result)).unwrap_or(lines.len());
            lines.iter().skip(written + 1).any(|line| mentions(line, operand))
        };
        for (index, result) in self.results.iter().enumerate() {
            let mut places = self.writes.iter().filter(|(value, _)| *value == result.value).map(|(_, place)| place);
            let Some(place) = places.next().filter(|_| !result.shape.is_empty()) else { continue };
            if places.any(|other| other != place) {
                continue;
            }
            let count = |shape: &[Dim]| shape.iter().fold(Dim::constant(1), |product, dim| product.mul(dim));
            for (own, operand) in self.operands.iter().enumerate() {
                let fits = operand.held == Held::Plain
                    && memory(operand.dtype) == memory(result.dtype)
                    && count(&operand.shape) == count(&result.shape);
                let mut read = self.reads.iter().filter(|(value, _)| *value == operand.value).peekable();
                let is_there = fits && read.peek().is_some() && read.all(|(_, other)| other == place);
                if is_there && !is_read_later(&result.name, &operand.name) {
                    pairs.push((index, own));
                }
            }
        }
        pairs
    }
}

/// Whether a name occurs in a text.
fn mentions(text: &str, name: &str) -> bool {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').any(|word| word == name)
}

/// The head of a function, over several lines where it is long.
fn signature(ty: &str, parameters: &[String]) -> String {
    const WIDTH: usize = 110;
    let mut text = format!("static {ty} {{{{name}}}}(");
    let mut column = text.len();
    for (index, parameter) in parameters.iter().enumerate() {
        if index > 0 {
            text.push(',');
            if column + parameter.len() > WIDTH {
                text.push_str("\n   ");
                column = 4;
            }
            text.push(' ');
        }
        text.push_str(parameter);
        column += parameter.len() + 2;
    }
    text + ")"
}
