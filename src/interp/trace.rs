//! Which layers a run went through: what each call of a sublayer's method was given, and what it gave back.

use crate::ir::LayerId;
use crate::types::Tensor;

/// A call of a method of a sublayer.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerCall {
    /// Of the instance: `blocks.0.attn`.
    pub path: String,
    pub layer: LayerId,
    /// As in the source: `forward`.
    pub method: String,
    /// The call that it was made in, by position; `None` for the method that was run.
    pub caller: Option<usize>,
    pub inputs: Vec<Tensor>,
    /// Empty until it returned.
    pub outputs: Vec<Tensor>,
}

/// One end of a call, by position.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallEvent {
    Enters(usize),
    Returns(usize),
}

/// The calls of a run in the order in which they began, and the order in which they began and ended.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trace {
    pub calls: Vec<LayerCall>,
    pub events: Vec<CallEvent>,
    open: Vec<usize>,
}

impl Trace {
    /// Notes that a call begins.
    pub fn enter(&mut self, path: &str, layer: LayerId, method: &str, inputs: &[Tensor]) {
        let at = self.calls.len();
        self.calls.push(LayerCall {
            path: path.to_string(),
            layer,
            method: method.to_string(),
            caller: self.open.last().copied(),
            inputs: inputs.to_vec(),
            outputs: vec![],
        });
        self.events.push(CallEvent::Enters(at));
        self.open.push(at);
    }

    /// Notes what the call that began last gives back.
    pub fn leave(&mut self, outputs: &[Tensor]) {
        let Some(at) = self.open.pop() else { return };
        self.events.push(CallEvent::Returns(at));
        if let Some(call) = self.calls.get_mut(at) {
            call.outputs = outputs.to_vec();
        }
    }
}
