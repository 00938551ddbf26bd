//! Names in weights files that are not those of the attributes.
//!
//! An attribute is called as it is saved where it can be (`pycode::classes`); what is left is mapped:
//!
//! ```text
//! keep_names(self, {f"layers.{i}": f"denselayer{i + 1}" for i in range(depth)})
//! ```

use crate::ir::{Member, MemberKind, Role, Sub};
use crate::targets::names::python_string;
use crate::targets::pycode::numbers;
use crate::targets::pytext::Lines;
use crate::targets::pytorch::layer::Constructor;
use crate::types::Dim;
use crate::types::saved::{POSITION, SavedName, SavedPiece};

impl Constructor<'_, '_> {
    /// Members whose attribute has not the name that is saved: Python uses the name, or the source gives another.
    pub(super) fn keep_names(&mut self, lines: &mut Lines) {
        let (mut plain, mut lists) = (vec![], vec![]);
        for member in self.layer.members.iter().filter(|member| is_saved(member)) {
            let own = self.attribute(&member.name);
            match (&member.saved, length(member)) {
                (Some(saved), Some(count)) if saved.has_position() => {
                    lists.push(self.element_names(&own, saved, &count))
                }
                (Some(saved), _) if saved.as_text() == Some(&own) => {}
                (Some(saved), _) => plain.push(format!("{}: {}", python_string(&own), self.formatted(saved))),
                (None, _) if own != member.name => {
                    plain.push(format!("{}: {}", python_string(&own), python_string(&member.name)));
                }
                (None, _) => {}
            }
        }
        if !plain.is_empty() {
            lists.insert(0, format!("{{{}}}", plain.join(", ")));
        }
        if lists.is_empty() {
            return;
        }
        self.program.used.insert("keep_names".into());
        let flat = format!("keep_names(self, {})", lists.join(" | "));
        if flat.chars().count() <= lines.width() {
            lines.line(&flat);
            return;
        }
        lines.line("names = {");
        lines.indent();
        plain.iter().for_each(|entry| lines.line(&format!("{entry},")));
        for list in &lists[usize::from(!plain.is_empty())..] {
            lines.line(&format!("**{list},"));
        }
        lines.dedent();
        lines.line("}");
        lines.line("keep_names(self, names)");
    }

    /// `{f"layers.{i}": f"layer{i + 1}" for i in range(depth)}`
    fn element_names(&self, own: &str, saved: &SavedName, count: &Dim) -> String {
        let count = numbers::dim(count, &mut |symbol| self.argument(symbol)).text();
        let name = self.formatted(saved);
        format!("{{f\"{own}.{{{POSITION}}}\": {name} for {POSITION} in range({count})}}")
    }

    /// A string, with `f` before it where it has numbers.
    fn formatted(&self, saved: &SavedName) -> String {
        let mut text = String::new();
        let mut numbers_in_it = false;
        for piece in &saved.pieces {
            match piece {
                SavedPiece::Text(fixed) => text.push_str(fixed),
                SavedPiece::Number(dim) => {
                    let number = numbers::dim(dim, &mut |symbol| match symbol.as_str() {
                        POSITION => crate::targets::pytext::Py::name(POSITION),
                        _ => self.argument(symbol),
                    });
                    numbers_in_it = true;
                    text.push_str(&format!("{{{}}}", number.text()));
                }
            }
        }
        if numbers_in_it { format!("f\"{text}\"") } else { python_string(&text) }
    }
}

fn is_saved(member: &Member) -> bool {
    match &member.kind {
        MemberKind::Storage(storage) => storage.role != Role::Transient,
        MemberKind::Sub(_) => true,
        MemberKind::Constant { .. } => false,
    }
}

/// How many elements a list of sublayers has.
fn length(member: &Member) -> Option<Dim> {
    match &member.kind {
        MemberKind::Sub(Sub::List(elements)) => Some(Dim::constant(elements.len() as i64)),
        MemberKind::Sub(Sub::Repeat { count, .. }) => Some(count.clone()),
        _ => None,
    }
}
