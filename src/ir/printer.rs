//! Writes a module as text that [`read`](crate::ir::reader::read) takes back.
//!
//! The grammar, by example; what stands in the order shown may be missing where it has nothing to say:
//!
//! ```text
//! files "mlp.tri", "nn.tri"
//! entry model = MLP(dim = 256)
//!
//! layer Linear_2(in_features: int, out_features: int = 4 * in_features doc "Outputs.") {   # nn.tri:4
//!   source "Linear"
//!   doc "A linear map."
//!   choice bias = "true"
//!   require in_features % 2 == 0 : "in_features must be even"
//!   param weight : float32[out_features, in_features] quantize ternary(axis=0) = kaiming_uniform()
//!   constant table : float32[in_features] = @Linear_2.table
//!   let norm = RMSNorm(dim = in_features)
//!   let blocks = repeat i < depth : [Block(width = i + 1), fn relu] saved ["block", i + 1]
//!   method @Linear_2.forward
//! }
//!
//! func @Linear_2.forward(%x: float32[d0, in_features]) -> float32[d0, out_features] {
//!   symbols d0: int, eps: float
//!   fresh turns
//!   argument axis = -1
//!   map pytorch = "F.linear({x})"
//!   std "nn.linear"
//!   exported
//!   optional mask = given, bias = absent
//!   require d0 >= 2 : E0310 "too few rows"
//!   %seed = rng 4 "blocks.0.drop" : int64
//!   %0 = param "weight" codes : trit[out_features, in_features]   # nn.tri:6
//!   %1 = call @scale(%0) at self.blocks[i].norm {S = d0} : float32[d0]
//!   %2 = const float32[2] [1.0, 2.0] : float32[2]
//!   %y = for i (%i: int64, %acc: float32) in %start, %stop, %x {
//!     yield %acc
//!   } : float32
//!   %z, %zs = while turns (%z1: float32) in %y {
//!     yield %go
//!   } do (%z2: float32) {
//!     yield %z2, %z2
//!   } : float32, float32[turns]
//!   %3 = call @pick(%zs) {N = turns} binds n : float32[n]
//!   %4 = fused (%a: float32[n]) in %3 {
//!     %5 = exp %a : float32[n]
//!     yield %5
//!   } : float32[n]
//!   ensure turns >= n + 1 : "too few turns"
//!   set_slice "cache" [1 : T, 2] %new, %at, %row
//!   return %y
//! }
//! ```
//!
//! A condition without a diagnostic code is a stated fact, whose code is E0403.
//!
//! A function belongs to the layer that its name begins with; `layer NAME` or `free` says otherwise. Its
//! source name is the last part of its name unless `source` gives another.

mod names;

use crate::base::{Loc, code};
use crate::ir::{
    Entry, Function, HostKind, Init, Inst, InstKind, Layer, LayerId, Member, MemberKind, Module, Origin, Part,
    PathSegment, PrintPiece, Region, Role, SavedName, Storage, Sub, ValueId, Window,
};
use crate::ops::{Attrs, Obligation, ObligationKind};
use crate::quant::Quantization;
use crate::types::saved::SavedPiece;
use crate::types::tensor::Data;
use crate::types::{DType, HostExpr, Symbol, Tensor};
use names::ValueNames;
use std::collections::BTreeSet;

/// The module as text: the same text for equal modules.
pub fn print(module: &Module) -> String {
    let mut printer = Printer::new(module);
    printer.write_module();
    printer.text_with_files()
}

/// One function as text, for messages.
pub fn print_function(module: &Module, function: &Function) -> String {
    let mut printer = Printer::new(module);
    printer.write_function(function);
    printer.out
}

/// A name that needs no quotes, or the name in quotes.
pub(crate) fn quoted(name: &str) -> String {
    let plain = !name.is_empty() && name.split('.').all(is_identifier);
    if plain { name.to_string() } else { format!("{name:?}") }
}

/// What the reader takes as one word.
pub(crate) fn is_identifier(word: &str) -> bool {
    let mut chars = word.chars();
    chars.next().is_some_and(starts_identifier) && chars.all(continues_identifier)
}

/// Hidden symbols have a `'` in them.
pub(crate) fn starts_identifier(c: char) -> bool {
    c.is_alphabetic() || c == '_' || c == '\''
}

pub(crate) fn continues_identifier(c: char) -> bool {
    c.is_alphanumeric() || c == '_' || c == '\''
}

/// The layer that a function belongs to by its name: the longest name before a dot.
pub(crate) fn implied_layer(name: &str, layer_named: impl Fn(&str) -> Option<LayerId>) -> Option<LayerId> {
    name.rmatch_indices('.').find_map(|(dot, _)| layer_named(&name[..dot]))
}

/// The source name that a function has unless it says otherwise.
pub(crate) fn implied_source_name(name: &str) -> &str {
    name.rsplit('.').next().unwrap_or(name)
}

struct Printer<'m> {
    module: &'m Module,
    out: String,
    indent: usize,
    /// Files that the comments name. Others are not listed, so that a module's text does not change when the
    /// program around it gets a file.
    named_files: BTreeSet<u32>,
}

impl<'m> Printer<'m> {
    fn new(module: &'m Module) -> Self {
        Printer { module, out: String::new(), indent: 0, named_files: BTreeSet::new() }
    }

    /// What was written, below the list of the files that it names.
    fn text_with_files(self) -> String {
        let named = self.named_files.iter().filter_map(|index| self.module.files.get(*index as usize));
        let files: Vec<String> = named.map(|file| format!("{file:?}")).collect();
        match files.is_empty() {
            true => self.out,
            // An entry follows its files at once, other things after an empty line.
            false if self.module.entry.is_some() => format!("files {}\n{}", files.join(", "), self.out),
            false => format!("files {}\n\n{}", files.join(", "), self.out),
        }
    }

    /// One line at the current depth, with the place in the source as a comment.
    fn line(&mut self, text: &str, loc: Loc) {
        self.out.push_str(&"  ".repeat(self.indent));
        self.out.push_str(text);
        let file = self.module.files.get(loc.file.0 as usize);
        if let (Some(file), true) = (file, loc.line > 0) {
            // A name with a line break in it would end the comment.
            if !file.contains(['\n', '\r']) {
                self.out.push_str(&format!("  # {file}:{}", loc.line));
                self.named_files.insert(loc.file.0);
            }
        }
        self.out.push('\n');
    }

    fn plain(&mut self, text: &str) {
        self.line(text, Loc::default());
    }

    fn write_module(&mut self) {
        if let Some(entry) = &self.module.entry {
            self.write_entry(entry);
        }
        let (layers, functions) = (&self.module.layers, &self.module.functions);
        for layer in layers {
            self.separate();
            self.write_layer(layer);
        }
        for function in functions {
            self.separate();
            self.write_function(function);
        }
    }

    fn separate(&mut self) {
        if !self.out.is_empty() {
            self.out.push('\n');
        }
    }

    fn layer_name(&self, id: LayerId) -> String {
        self.module.layers.get(id.0 as usize).map_or_else(|| format!("\"?{}\"", id.0), |layer| quoted(&layer.name))
    }

    fn function_name(&self, id: crate::ir::FuncId) -> String {
        let function = self.module.functions.get(id.0 as usize);
        function.map_or_else(|| format!("@\"?{}\"", id.0), |function| format!("@{}", quoted(&function.name)))
    }

    fn write_entry(&mut self, entry: &Entry) {
        let args: Vec<String> =
            entry.args.iter().map(|(name, value)| format!("{} = {value}", quoted(name.as_str()))).collect();
        let layer = self.layer_name(entry.layer);
        self.plain(&format!("entry {} = {layer}({})", quoted(&entry.name), args.join(", ")));
    }

    fn write_layer(&mut self, layer: &Layer) {
        let hypers: Vec<String> = layer
            .hypers
            .iter()
            .map(|hyper| {
                let default = hyper.default.as_ref().map_or(String::new(), |default| format!(" = {default}"));
                let kind = kind_name(hyper.kind);
                format!("{}: {kind}{default}{}", quoted(hyper.name.as_str()), doc_suffix(&hyper.doc))
            })
            .collect();
        self.line(&format!("layer {}({}) {{", quoted(&layer.name), hypers.join(", ")), layer.loc);
        self.indent += 1;
        if layer.source_name != layer.name {
            self.plain(&format!("source {:?}", layer.source_name));
        }
        if let Some(doc) = &layer.doc {
            self.plain(&format!("doc {doc:?}"));
        }
        if layer.quantize.is_some() {
            self.plain(quantize_suffix(&layer.quantize).trim_start());
        }
        for (name, choice) in &layer.choices {
            self.plain(&format!("choice {} = {choice:?}", quoted(name)));
        }
        for obligation in &layer.obligations {
            self.plain(&obligation_text(obligation));
        }
        for member in &layer.members {
            self.write_member(member);
        }
        for method in &layer.methods {
            let name = self.function_name(*method);
            self.plain(&format!("method {name}"));
        }
        self.indent -= 1;
        self.plain("}");
    }

    fn write_member(&mut self, member: &Member) {
        let name = quoted(&member.name);
        let text = match &member.kind {
            MemberKind::Storage(storage) => self.storage_text(&name, storage, &member.quantize),
            MemberKind::Sub(sub) => format!("let {name} = {}{}", self.sub_text(sub), quantize_suffix(&member.quantize)),
            MemberKind::Constant { ty, func, of } => {
                let word = match of {
                    Origin::Construction => "constant",
                    Origin::Weights => "derived",
                };
                format!("{word} {name} : {ty} = {}", self.function_name(*func))
            }
        };
        let checkpoint = if member.checkpoint { " checkpoint" } else { "" };
        let text = text + checkpoint + &saved_suffix(&member.saved) + &doc_suffix(&member.doc);
        self.line(&text, member.loc);
    }

    fn storage_text(&self, name: &str, storage: &Storage, quantize: &Option<Option<Quantization>>) -> String {
        let mut text = format!("{} {name} : {}", role_name(storage.role), storage.ty);
        let own = storage.quantization().map(Some);
        text += &quantize_suffix(&own.or_else(|| quantize.clone()));
        let init = match &storage.init {
            Init::Default => return text,
            Init::Zeros => "zeros()".to_string(),
            Init::Ones => "ones()".to_string(),
            Init::Constant(value) => format!("constant({value})"),
            Init::Normal { mean, std } => format!("normal({mean}, {std})"),
            Init::Uniform { low, high } => format!("uniform({low}, {high})"),
            Init::KaimingUniform => "kaiming_uniform()".to_string(),
            Init::XavierUniform { gain } => format!("xavier_uniform({gain})"),
            Init::RandomTernary => "random_ternary()".to_string(),
            Init::Values(tensor) => format!("values {}", tensor_text(tensor)),
            Init::Func(func) => self.function_name(*func),
        };
        text + " = " + &init
    }

    fn sub_text(&self, sub: &Sub) -> String {
        match sub {
            Sub::Instance { layer, args } => format!("{}({})", self.layer_name(*layer), bindings_text(args)),
            Sub::List(elements) => {
                let parts: Vec<String> = elements.iter().map(|element| self.sub_text(element)).collect();
                format!("[{}]", parts.join(", "))
            }
            Sub::Repeat { index, count, element } => {
                format!("repeat {} < {count} : {}", quoted(index.as_str()), self.sub_text(element))
            }
            Sub::Function { name } => format!("fn {}", quoted(name)),
        }
    }

    fn write_function(&mut self, function: &Function) {
        let names = ValueNames::new(function);
        let params = params_text(function, &names, &function.params);
        let results = match function.results.as_slice() {
            [] => String::new(),
            [one] => format!(" -> {one}"),
            many => format!(" -> ({})", joined(many)),
        };
        self.line(&format!("func @{}{params}{results} {{", quoted(&function.name)), function.loc);
        self.indent += 1;
        self.write_head(function);
        self.write_region(function, &names, &function.body);
        self.indent -= 1;
        self.plain("}");
    }

    fn write_head(&mut self, function: &Function) {
        if function.source_name != implied_source_name(&function.name) {
            self.plain(&format!("source {:?}", function.source_name));
        }
        if let Some(doc) = &function.doc {
            self.plain(&format!("doc {doc:?}"));
        }
        match (function.layer, implied_layer(&function.name, |name| self.module.layer_named(name))) {
            (own, implied) if own == implied => {}
            (Some(own), _) => self.plain(&format!("layer {}", self.layer_name(own))),
            (None, _) => self.plain("free"),
        }
        if !function.symbols.is_empty() {
            let symbols: Vec<String> = function
                .symbols
                .iter()
                .map(|(name, kind)| format!("{}: {}", quoted(name.as_str()), kind_name(*kind)))
                .collect();
            self.plain(&format!("symbols {}", symbols.join(", ")));
        }
        if !function.fresh.is_empty() {
            self.plain(&format!("fresh {}", symbols_text(&function.fresh)));
        }
        for (name, value) in function.host_args.iter() {
            self.plain(&format!("argument {} = {value}", quoted(name)));
        }
        for (target, text) in &function.maps {
            self.plain(&format!("map {} = {text:?}", quoted(target)));
        }
        if let Some(path) = &function.std_path {
            self.plain(&format!("std {path:?}"));
        }
        if function.exported {
            self.plain("exported");
        }
        if !function.optional.is_empty() {
            let state = |given: bool| if given { "given" } else { "absent" };
            let inputs: Vec<String> =
                function.optional.iter().map(|(name, given)| format!("{} = {}", quoted(name), state(*given))).collect();
            self.plain(&format!("optional {}", inputs.join(", ")));
        }
        for (obligation, loc) in &function.obligations {
            self.line(&obligation_text(obligation), *loc);
        }
    }

    fn write_region(&mut self, function: &Function, names: &ValueNames, region: &Region) {
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

/// A place inside an instance: `.blocks[i].norm`.
pub(crate) fn path_text(path: &[PathSegment]) -> String {
    path.iter()
        .map(|segment| match segment {
            PathSegment::Field(name) if is_identifier(name) => format!(".{name}"),
            PathSegment::Field(name) => format!(".{name:?}"),
            PathSegment::Index(dim) => format!("[{dim}]"),
        })
        .collect()
}

fn joined<T: ToString>(items: &[T]) -> String {
    items.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

fn params_text(function: &Function, names: &ValueNames, params: &[ValueId]) -> String {
    let parts: Vec<String> = params
        .iter()
        .map(|param| {
            let ty = function.values.get(param.0 as usize).map_or("?".to_string(), |value| value.ty.to_string());
            format!("{}: {ty}", names.list(&[*param]))
        })
        .collect();
    format!("({})", parts.join(", "))
}

fn attrs_text(attrs: &Attrs) -> String {
    if attrs.is_empty() {
        return String::new();
    }
    let parts: Vec<String> = attrs.iter().map(|(name, value)| format!("{name} = {value}")).collect();
    format!(" {{{}}}", parts.join(", "))
}

fn bindings_text(bindings: &[(Symbol, HostExpr)]) -> String {
    let parts: Vec<String> =
        bindings.iter().map(|(name, value)| format!("{} = {value}", quoted(name.as_str()))).collect();
    parts.join(", ")
}

fn saved_suffix(saved: &Option<SavedName>) -> String {
    let Some(saved) = saved else { return String::new() };
    let piece = |piece: &SavedPiece| match piece {
        SavedPiece::Text(text) => format!("{text:?}"),
        SavedPiece::Number(dim) => dim.to_string(),
    };
    format!(" saved [{}]", saved.pieces.iter().map(piece).collect::<Vec<_>>().join(", "))
}

/// The axis, and how much of it unless it is one position: `1 : T, 2`.
fn windows_text(windows: &[Window]) -> String {
    let window = |window: &Window| match &window.size {
        Some(size) => format!("{} : {size}", window.axis),
        None => window.axis.to_string(),
    };
    windows.iter().map(window).collect::<Vec<_>>().join(", ")
}

fn doc_suffix(doc: &Option<String>) -> String {
    doc.as_ref().map_or(String::new(), |doc| format!(" doc {doc:?}"))
}

fn symbols_text(symbols: &[Symbol]) -> String {
    joined(&symbols.iter().map(|symbol| quoted(symbol.as_str())).collect::<Vec<_>>())
}

fn obligation_text(obligation: &Obligation) -> String {
    format!("require {}", condition_text(obligation))
}

fn condition_text(obligation: &Obligation) -> String {
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
fn quantize_suffix(quantize: &Option<Option<Quantization>>) -> String {
    match quantize {
        None => String::new(),
        Some(None) => " quantize none".to_string(),
        Some(Some(Quantization { weights, activations: None })) => format!(" quantize {weights}"),
        Some(Some(Quantization { weights, activations: Some(activations) })) => {
            format!(" quantize {weights} activations {activations}")
        }
    }
}

pub(crate) fn kind_name(kind: HostKind) -> &'static str {
    match kind {
        HostKind::Int => "int",
        HostKind::Float => "float",
    }
}

pub(crate) fn role_name(role: Role) -> &'static str {
    match role {
        Role::Param => "param",
        Role::Buffer => "buffer",
        Role::State => "state",
        Role::Transient => "transient",
    }
}

fn part_suffix(part: Part) -> &'static str {
    match part {
        Part::Value => "",
        Part::Codes => " codes",
        Part::Scale => " scale",
        Part::ZeroPoint => " zero_point",
    }
}

/// `float32[2, 2] [1.0, 2.0, 3.0, 4.0]`, or `float32[2, 2] splat 0.0`.
fn tensor_text(tensor: &Tensor) -> String {
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
