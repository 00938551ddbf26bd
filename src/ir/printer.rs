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

mod inst;
mod names;
mod text;

use crate::base::Loc;
use crate::ir::words::{implied_layer, implied_source_name, quoted};
use crate::ir::{Entry, Function, Init, Layer, LayerId, Member, MemberKind, Module, Origin, Storage, Sub, ValueId};
use crate::quant::Quantization;
use names::ValueNames;
use std::collections::{BTreeSet, HashMap};
use text::*;

/// The module as text: the same text for equal modules.
pub fn print(module: &Module) -> String {
    let mut printer = Printer::new(module);
    printer.write_module();
    printer.text_with_files()
}

/// The names that values of a function have in its text.
pub fn value_names(function: &Function) -> HashMap<ValueId, String> {
    ValueNames::new(function).into_map()
}

/// One function as text, for messages.
pub fn print_function(module: &Module, function: &Function) -> String {
    let mut printer = Printer::new(module);
    printer.write_function(function);
    printer.out
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
}
