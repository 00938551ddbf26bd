//! Which layer a target first goes wrong in: both sides tell what each layer was given and what it gave back, and the
//! first of these that differs, in the order in which the interpreter got there, says whose mistake it is. What a layer
//! gives back is its own doing, since what it was given agreed; what it is given is its caller's.

use super::compare::compare;
use super::tolerance::{Scope, tolerance};
use crate::interp::{CallEvent, LayerCall, Trace};
use crate::ir::Module;
use crate::types::Tensor;
use std::collections::HashMap;

/// A layer that goes wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Culprit {
    /// `blocks.0.attn`; empty for the entry itself.
    pub path: String,
    /// `CausalAttention`
    pub layer: String,
    /// Where its method stands: `net.tri`, 17.
    pub file: String,
    pub line: u32,
    /// What differs there, in a sentence; empty for the entry, whose results are the ones that differ.
    pub what: String,
}

/// The layer in which a method of the entry first differs; `want` is the interpreter's trace.
pub fn locate(module: &Module, method: &str, want: &Trace, have: &Trace, scope: Scope) -> Option<Culprit> {
    let pairs = pair(want, have);
    for event in &want.events {
        let (CallEvent::Enters(at) | CallEvent::Returns(at)) = *event;
        let (Some(call), Some(other)) = (want.calls.get(at), pairs.get(&at).and_then(|other| have.calls.get(*other)))
        else {
            continue;
        };
        match event {
            CallEvent::Enters(_) => {
                if let Some(what) = difference("input", &call.inputs, &other.inputs, scope) {
                    let caller = call.caller.and_then(|caller| want.calls.get(caller));
                    return culprit(module, method, caller, format!("what it gives `{}` differs: {what}", call.path));
                }
            }
            CallEvent::Returns(_) => {
                if let Some(what) = difference("result", &call.outputs, &other.outputs, scope) {
                    return culprit(
                        module,
                        method,
                        Some(call),
                        format!("its inputs agree, its results do not: {what}"),
                    );
                }
            }
        }
    }
    culprit(module, method, None, String::new())
}

/// Calls that are the same one, by position. A path that one side calls more often than the other is left out.
fn pair(want: &Trace, have: &Trace) -> HashMap<usize, usize> {
    fn by_name(trace: &Trace) -> HashMap<(&str, &str), Vec<usize>> {
        let mut found: HashMap<(&str, &str), Vec<usize>> = HashMap::new();
        for (at, call) in trace.calls.iter().enumerate() {
            found.entry((&call.path, &call.method)).or_default().push(at);
        }
        found
    }
    let have = by_name(have);
    let mut pairs = HashMap::new();
    for (name, calls) in by_name(want) {
        if let Some(others) = have.get(&name).filter(|others| others.len() == calls.len()) {
            pairs.extend(calls.into_iter().zip(others.iter().copied()));
        }
    }
    pairs
}

/// How two lists of tensors differ. Where one has more of them, they say nothing: a target may hand over less.
fn difference(kind: &str, want: &[Tensor], have: &[Tensor], scope: Scope) -> Option<String> {
    if want.len() != have.len() {
        return None;
    }
    want.iter().zip(have).enumerate().find_map(|(index, (want, have))| {
        let name = if have.len() == 1 && kind == "result" { "the result".into() } else { format!("{kind} {index}") };
        match compare(&name, have, want, tolerance(want.dtype(), scope)) {
            Ok(found) => found.worst.filter(|_| found.fails),
            // The same numbers may travel in another type; whether they agree cannot be told.
            Err(_) => None,
        }
    })
}

/// `None` for the entry itself.
fn culprit(module: &Module, method: &str, call: Option<&LayerCall>, what: String) -> Option<Culprit> {
    let layer = call.map_or_else(|| module.entry.as_ref().map(|entry| entry.layer), |call| Some(call.layer))?;
    let method = call.map_or(method, |call| call.method.as_str());
    let methods = || module[layer].methods.iter().map(|id| &module[*id]);
    let loc = methods().find(|function| function.source_name == method).map_or(module[layer].loc, |found| found.loc);
    Some(Culprit {
        path: call.map_or(String::new(), |call| call.path.clone()),
        layer: module[layer].source_name.clone(),
        file: module.files.get(loc.file.0 as usize).cloned().unwrap_or_default(),
        line: loc.line,
        what,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ir::LayerId;

    fn value(number: f32) -> Vec<Tensor> {
        vec![Tensor::from_f32(vec![1], vec![number])]
    }

    /// The root calls `a`, which calls `a.b`; then `c`.
    fn trace(numbers: [f32; 6]) -> Trace {
        let [a_in, b_in, b_out, a_out, c_in, c_out] = numbers.map(value);
        let mut trace = Trace::default();
        trace.enter("a", LayerId(1), "forward", &a_in);
        trace.enter("a.b", LayerId(2), "forward", &b_in);
        trace.leave(&b_out);
        trace.leave(&a_out);
        trace.enter("c", LayerId(2), "forward", &c_in);
        trace.leave(&c_out);
        trace
    }

    fn module() -> Module {
        let text = "files \"net.tri\"\nentry net = Net()\nlayer Net() {\n  let a = A()\n  let c = B()\n}\nlayer A() {\n  \
                    let b = B()\n}\nlayer B() {\n}\n";
        crate::ir::reader::read(text).unwrap()
    }

    #[test]
    fn the_first_to_differ_is_named() {
        let right = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0];
        let found = |place: usize| {
            let mut wrong = right;
            wrong[place..].iter_mut().for_each(|number| *number += 0.5);
            let found = locate(&module(), "forward", &trace(right), &trace(wrong), Scope::Model).unwrap();
            (found.path, found.layer, found.what.split(':').next().unwrap_or_default().to_string())
        };
        let of = |path: &str, layer: &str, what: &str| (path.to_string(), layer.to_string(), what.to_string());
        assert_eq!(found(0), of("", "Net", "what it gives `a` differs"));
        assert_eq!(found(1), of("a", "A", "what it gives `a.b` differs"));
        assert_eq!(found(2), of("a.b", "B", "its inputs agree, its results do not"));
        assert_eq!(found(3), of("a", "A", "its inputs agree, its results do not"));
        assert_eq!(found(4), of("", "Net", "what it gives `c` differs"));
        assert_eq!(found(5), of("c", "B", "its inputs agree, its results do not"));
        assert_eq!(found(6), of("", "Net", ""));
    }

    #[test]
    fn what_cannot_be_paired_is_left_out() {
        let (want, mut have) = (trace([1.0; 6]), trace([2.0; 6]));
        have.enter("c", LayerId(0), "forward", &value(9.0));
        have.leave(&value(9.0));
        let pairs = pair(&want, &have);
        assert_eq!((pairs.get(&0), pairs.get(&1), pairs.get(&2)), (Some(&0), Some(&1), None));
    }
}
