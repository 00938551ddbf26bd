//! Pieces of lines.

use super::names::ValueNames;
use crate::base::code;
use crate::ir::words::{is_identifier, quoted};
use crate::ir::{Function, HostKind, Part, PathSegment, Role, SavedName, ValueId, Window};
use crate::ops::{Attrs, Obligation, ObligationKind};
use crate::quant::Quantization;
use crate::types::saved::SavedPiece;
use crate::types::tensor::Data;
use crate::types::{DType, HostExpr, Symbol, Tensor};

/// A place inside an instance: `.blocks[i].norm`.
pub(super) fn path_text(path: &[PathSegment]) -> String {
    path.iter()
        .map(|segment| match segment {
            PathSegment::Field(name) if is_identifier(name) => format!(".{name}"),
            PathSegment::Field(name) => format!(".{name:?}"),
            PathSegment::Index(dim) => format!("[{dim}]"),
        })
        .collect()
}

pub(super) fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

pub(super) fn params_text(function: &Function, names: &ValueNames, params: &[ValueId]) -> String {
    let parts: Vec<String> = params
        .iter()
        .map(|param| {
            let ty = function.values.get(param.0 as usize).map_or("?".to_string(), |value| value.ty.to_string());
            format!("{}: {ty}", names.list(&[*param]))
        })
        .collect();
    format!("({})", parts.join(", "))
}

pub(super) fn attrs_text(attrs: &Attrs) -> String {
    if attrs.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = attrs.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!(" {{{}}}", parts.join(", "))
}

pub(super) fn bindings_text(bindings: &[(Symbol, HostExpr)]) -> String {
    let parts: Vec<String> =
        bindings.iter().map(|(name, value)| format!("{} = {value}", quoted(name.as_str()))).collect();
    parts.join(", ")
}

pub(super) fn saved_suffix(saved: &Option<SavedName>) -> String {
    let Some(saved) = saved else { return String::new() };
    let piece = |piece: &SavedPiece| match piece {
        SavedPiece::Text(text) => format!("{text:?}"),
        SavedPiece::Number(dim) => dim.to_string(),
    };
    format!(" saved [{}]", saved.pieces.iter().map(piece).collect::<Vec<_>>().join(", "))
}

/// The axis, and how much of it unless it is one position: `1 : T, 2`.
pub(super) fn windows_text(windows: &[Window]) -> String {
    let window = |window: &Window| match &window.size {
        Some(size) => format!("{} : {size}", window.axis),
        None => window.axis.to_string(),
    };
    windows.iter().map(window).collect::<Vec<_>>().join(", ")
}

pub(super) fn doc_suffix(doc: &Option<String>) -> String {
    doc.as_ref().map_or(String::new(), |doc| format!(" doc {doc:?}"))
}

pub(super) fn symbols_text(symbols: &[Symbol]) -> String {
    joined(&symbols.iter().map(|symbol| quoted(symbol.as_str())).collect::<Vec<_>>())
}

pub(super) fn obligation_text(obligation: &Obligation) -> String {
    format!("require {}", condition_text(obligation))
}

pub(super) fn condition_text(obligation: &Obligation) -> String {
    let condition = match &obligation.kind {
        ObligationKind::Equal(a, b) => format!("{a} == {b}"),
        ObligationKind::Broadcast(a, b) => format!("{a} ~ {b}"),
        ObligationKind::AtLeast(a, b) => format!("{a} >= {b}"),
    };
    let code = match obligation.code {
        code::E0403 => String::new(),
        code => format!("{code} "),
    };
    format!("{condition} : {code}{:?}", obligation.message)
}

/// ` quantize int8()`, ` quantize int8() activations int8(dynamic=true)`, ` quantize none`
pub(super) fn quantize_suffix(quantize: &Option<Option<Quantization>>) -> String {
    match quantize {
        None => String::new(),
        Some(None) => " quantize none".to_string(),
        Some(Some(Quantization { weights, activations: None })) => format!(" quantize {weights}"),
        Some(Some(Quantization { weights, activations: Some(activations) })) => {
            format!(" quantize {weights} activations {activations}")
        }
    }
}

pub(super) fn kind_name(kind: HostKind) -> &'static str {
    match kind {
        HostKind::Int => "int",
        HostKind::Float => "float",
    }
}

pub(super) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Param => "param",
        Role::Buffer => "buffer",
        Role::State => "state",
        Role::Transient => "transient",
    }
}

pub(super) fn part_suffix(part: Part) -> String {
    part.word().map_or(String::new(), |word| format!(" {word}"))
}

/// `float32[2, 2] [1.0, 2.0, 3.0, 4.0]`, or `float32[2, 2] splat 0.0`.
pub(super) fn tensor_text(tensor: &Tensor) -> String {
    let shape = if tensor.rank() == 0 { String::new() } else { format!("[{}]", joined(tensor.shape())) };
    let elements: Vec<String> = match tensor.data() {
        Data::F32(values) => values.iter().map(|v| format!("{v:?}")).collect(),
        Data::F64(values) => values.iter().map(|v| format!("{v:?}")).collect(),
        Data::I64(values) if tensor.dtype() == DType::UInt64 => {
            values.iter().map(|v| (*v as u64).to_string()).collect()
        }
        Data::I64(values) => values.iter().map(i64::to_string).collect(),
    };
    match elements.as_slice() {
        [first, _, ..] if elements.iter().all(|e| e == first) => format!("{}{shape} splat {first}", tensor.dtype()),
        _ => format!("{}{shape} [{}]", tensor.dtype(), elements.join(", ")),
    }
}
