//! What a kernel asks for beside its operands: functions of files that are written once, memory to work in, weights in another
//! layout, threads.

use super::Packing;
use super::maker::{Maker, Parameter};
use crate::ir::ValueId;
use crate::types::Dim;

/// The parameter that is memory to work in.
pub(super) const SCRATCH: &str = "scratch";
/// Before a loop that threads share.
pub(super) const THREADS: &str = "{{NAME}}_THREADS";

impl Maker<'_> {
    /// Asks for a file of `templates/c/helpers/`.
    pub fn helper(&mut self, name: &'static str) {
        self.helpers.insert(name);
    }

    /// Asks for a file of `templates/c/kernels/`.
    pub fn family(&mut self, name: &'static str) {
        self.tiles.insert(name);
    }

    /// Asks for an operand in another layout; gives its name.
    pub fn packed(&mut self, value: ValueId, packing: Packing) -> String {
        self.family(packing.family());
        let Some(operand) = self.operands.iter_mut().find(|operand| operand.value == value) else {
            return String::new();
        };
        operand.packing = Some(packing);
        operand.name.clone()
    }

    /// Notes that an operand is read element by element.
    pub fn note_read(&mut self, operand: &Parameter) {
        self.is_torn |= operand.packing.is_some();
    }

    /// Asks for memory to work in; gives the name of a pointer to it.
    pub fn scratch(&mut self, ty: &'static str, wish: &str, bytes: &Dim) -> String {
        let name = self.at_top(|maker| {
            let name = maker.name(wish);
            let place = match maker.scratch.is_const(0) {
                true => SCRATCH.to_string(),
                false => format!("({SCRATCH} + {})", maker.index(&maker.scratch.clone()).text()),
            };
            maker.line(format!("{ty} *const {name} = ({ty} *){place};"));
            Ok(name)
        });
        let lines = bytes.ceil_div(&Dim::constant(64)).unwrap_or_else(|| bytes.clone());
        self.scratch = self.scratch.add(&lines.scale(64));
        name.unwrap_or_default()
    }

    /// Says of the loop that follows that its turns are independent of each other, so that threads may share them.
    pub fn shared_loop(&mut self) {
        if self.cx.has_threads {
            self.line(THREADS);
        }
    }
}
