//! Patterns of `let` and `for`.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::value::Value;
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::syntax::ast::Pattern;
use crate::types::{Dim, Symbol};

impl<'db> Elaborator<'_, 'db> {
    pub fn bind_pattern(&mut self, pattern: &'db Pattern, value: Value<'db>) -> Walk<()> {
        match pattern {
            Pattern::Ignore(_) => Ok(()),
            Pattern::Name(name) => {
                let value = match self.adopts && !self.owns_layers() && value.has_instance() {
                    true => self.adopt(&name.name, value, name.span)?,
                    false => value,
                };
                if let Value::Tensor(tensor) = &value {
                    self.world.name(tensor.value, &name.name);
                }
                self.note_inferred(name.span, &value);
                self.bind(&name.name, value);
                Ok(())
            }
            Pattern::Tuple(parts, pattern_span) => {
                if matches!(value, Value::Error | Value::Opaque(_)) {
                    for part in parts {
                        self.bind_pattern(part, Value::Error)?;
                    }
                    return Ok(());
                }
                let Some(items) = self.as_items(&value) else {
                    let message = format!("{} cannot be taken apart into {} parts", value.describe(), parts.len());
                    return Err(self.error(code::E0201, message, *pattern_span, ""));
                };
                if items.len() != parts.len() {
                    let message = format!("{} names for {} values", parts.len(), items.len());
                    return Err(self.error(code::E0203, message, *pattern_span, "these do not match"));
                }
                for (part, item) in parts.iter().zip(items) {
                    self.bind_pattern(part, item)?;
                }
                Ok(())
            }
        }
    }

    /// Remembers the type of a value, for the editor; nothing where it is not known.
    pub fn note_inferred(&mut self, span: Span, value: &Value<'db>) {
        match value {
            Value::Tensor(tensor) => {
                let spoken =
                    |symbol: &Symbol| (symbol.spoken() != symbol.as_str()).then(|| Dim::symbol(symbol.spoken()));
                let shape = tensor.ty.shape.map_dims(|dim| dim.substitute_symbols(&spoken));
                self.inferred.push((span, Some(tensor.ty.with_shape(shape))));
            }
            Value::Error => self.inferred.push((span, None)),
            Value::Tuple(items) => items.iter().for_each(|item| self.note_inferred(span, item)),
            _ => {}
        }
    }

    /// Binds every name of a pattern to an unknown, after an error.
    pub fn poison_pattern(&mut self, pattern: &Pattern) {
        match pattern {
            Pattern::Ignore(_) => {}
            Pattern::Name(name) => self.bind(&name.name, Value::Error),
            Pattern::Tuple(parts, _) => parts.iter().for_each(|part| self.poison_pattern(part)),
        }
    }

    /// Whether a `let` here makes members (in a layer's constructor) rather than parts of a script.
    pub fn owns_layers(&self) -> bool {
        self.layer.is_some()
    }
}
