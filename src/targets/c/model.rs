//! What the model holds, as nested structs: `w->blocks[i].attn.q.weight.codes`.
//!
//! | in the IR | in the struct of its layer |
//! | --- | --- |
//! | parameter, buffer, state that no function assigns | a pointer to its elements, into the weights |
//! | the same with a scheme, compiled for inference | a struct of `codes` (packed bytes), `scale` and `zero_point` |
//! | either, as a weight of a product | also `packed` or `NAME_packed`, a pointer into the pack, which `NAME_weights_init` fills |
//! | state that is assigned | `initial`, a pointer to its first values, and `offset`, its place in the arena |
//! | transient state | `offset` alone |
//! | constant or derived member | a pointer to its elements, which `NAME_weights_init` computes into the pack |
//! | sublayer | a struct; a list of one kind an array, another a struct with the fields `_0`, `_1`, ... |
//!
//! Layers that hold nothing have no struct, and no field in others.

use crate::ir::{InstKind, LayerId, MemberKind, Module, Part, PathSegment, Role, Storage, Sub};
use crate::quant::pack::Format;
use crate::targets::Mode;
use crate::targets::c::entry::RESERVED;
use crate::targets::c::kernel::Packing;
use crate::targets::c::numbers::{self, SymbolNames};
use crate::targets::c::specialise::Procedure;
use crate::targets::c::text::{self, Words};
use crate::targets::held::Contents;
use crate::targets::names;
use crate::types::{DType, Dim, HostValue, Symbol};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::rc::Rc;

/// How a member is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    Plain,
    /// In parts.
    Quantised,
    /// In the arena, with first values in the weights.
    State,
    /// In the arena, with first values that the program knows.
    Transient,
    /// Made by a function of the program.
    Computed,
}

pub struct Model<'m> {
    pub module: &'m Module,
    pub contents: Contents<'m>,
    /// Quantised weights are codes.
    packs: bool,
    assigned: BTreeSet<(LayerId, String)>,
    /// Constant and derived members that something reads.
    pub computed: BTreeSet<(LayerId, String)>,
    /// Weights that kernels want in another layout, which is noted while procedures are written.
    pub packings: BTreeSet<(LayerId, String, Packing)>,
    /// Names of fields, by layer and member.
    fields: HashMap<(LayerId, String), String>,
    /// Names of struct types of the layers that hold something.
    types: BTreeMap<LayerId, String>,
}

impl<'m> Model<'m> {
    /// Of what these procedures do with it. `prefix` begins the names of types.
    pub fn new(
        module: &'m Module,
        contents: Contents<'m>,
        procedures: &[Rc<Procedure>],
        computed: BTreeSet<(LayerId, String)>,
        mode: Mode,
        prefix: &str,
    ) -> Model<'m> {
        let mut assigned = BTreeSet::new();
        for procedure in procedures {
            for inst in &procedure.function.insts {
                if let InstKind::SetState { name } | InstKind::SetSlice { name, .. } = &inst.kind
                    && let Some(member) = module.member_of(procedure.function.layer, name)
                {
                    assigned.insert(member);
                }
            }
        }
        let packs = mode == Mode::Infer;
        let (packings, fields, types) = (BTreeSet::new(), HashMap::new(), BTreeMap::new());
        let mut model = Model { module, contents, packs, assigned, computed, packings, fields, types };
        model.name(prefix);
        model
    }

    fn name(&mut self, prefix: &str) {
        let mut types = Words::default();
        // Also those of lists without an element.
        let layers: Vec<LayerId> = (0..self.module.layers.len() as u32).map(LayerId).collect();
        let entry = self.module.entry.as_ref().map(|entry| entry.layer);
        for &layer in &layers {
            let mut names = Words::default();
            for member in &self.module[layer].members {
                self.fields.insert((layer, member.name.clone()), names.take(&member.name));
            }
        }
        RESERVED.iter().for_each(|word| drop(types.take(&format!("{prefix}_{word}"))));
        let methods = entry.map_or(&[][..], |entry| &self.module[entry].methods);
        for method in methods {
            let name = text::identifier(&self.module[*method].source_name);
            for ending in ["", "_", "_inputs", "_outputs", "__inputs", "__outputs"] {
                types.take(&format!("{prefix}_{name}{ending}"));
            }
        }
        for layer in layers {
            if entry == Some(layer) {
                self.types.insert(layer, format!("{prefix}_weights"));
            } else if self.holds(layer) {
                let own = names::snake_case(&self.module[layer].name);
                let name = types.take(&format!("{prefix}_{own}"));
                self.types.insert(layer, name);
            }
        }
    }

    /// Whether an instance of the layer has anything in its struct.
    pub fn holds(&self, layer: LayerId) -> bool {
        self.module[layer].members.iter().any(|member| match &member.kind {
            MemberKind::Storage(_) => true,
            MemberKind::Constant { .. } => self.computed.contains(&(layer, member.name.clone())),
            MemberKind::Sub(sub) => self.sub_holds(sub),
        })
    }

    fn sub_holds(&self, sub: &Sub) -> bool {
        match sub {
            Sub::Instance { layer, .. } => self.holds(*layer),
            Sub::List(elements) => elements.iter().any(|element| self.sub_holds(element)),
            Sub::Repeat { element, .. } => self.sub_holds(element),
            Sub::Function { .. } => false,
        }
    }

    /// The type of a layer's struct, if it has one.
    pub fn type_of(&self, layer: LayerId) -> Option<&str> {
        self.types.get(&layer).map(String::as_str)
    }

    pub fn kept(&self, layer: LayerId, member: &str, storage: &Storage) -> Kept {
        match storage.role {
            Role::Transient => Kept::Transient,
            Role::State if self.assigned.contains(&(layer, member.to_string())) => Kept::State,
            _ if self.packs && storage.scheme.is_some() => Kept::Quantised,
            Role::Param | Role::Buffer | Role::State => Kept::Plain,
        }
    }

    /// How a member of a layer is kept, and its storage; `None` for a sublayer.
    pub fn member(&self, layer: LayerId, name: &str) -> Option<(Kept, Option<&'m Storage>)> {
        match &self.module[layer].member(name)?.kind {
            MemberKind::Storage(storage) => Some((self.kept(layer, name, storage), Some(storage))),
            MemberKind::Constant { .. } => Some((Kept::Computed, None)),
            MemberKind::Sub(_) => None,
        }
    }

    /// The layouts that a member is wanted in; those of different sizes are of different instances.
    pub fn packings_of<'s>(&'s self, layer: LayerId, member: &'s str) -> impl Iterator<Item = Packing> + 's {
        let own = self.packings.iter().filter(move |(own, name, _)| *own == layer && name == member);
        let mut seen = BTreeSet::new();
        own.map(|(_, _, packing)| *packing).filter(move |packing| seen.insert(packing.field("")))
    }

    /// The struct of a part, from a pointer to that of an instance: `w->blocks[i].attn`, to which a `.` is added. `None`
    /// for the instance itself.
    pub fn part(&self, layer: LayerId, path: &[PathSegment], names: SymbolNames<'_>) -> Option<(String, LayerId)> {
        let mut at = layer;
        let mut text = String::from("w");
        let mut segments = path.iter().peekable();
        while let Some(segment) = segments.next() {
            let PathSegment::Field(name) = segment else { return None };
            let MemberKind::Sub(sub) = &self.module[at].member(name)?.kind else { return None };
            text.push_str(if text == "w" { "->" } else { "." });
            text.push_str(self.field(at, name));
            let mut sub = sub;
            while let Some(PathSegment::Index(index)) = segments.peek() {
                segments.next();
                sub = match sub {
                    Sub::Repeat { element, .. } => {
                        text.push_str(&format!("[{}]", numbers::dim(index, names)));
                        element
                    }
                    Sub::List(elements) => {
                        let position = index.as_const().and_then(|index| usize::try_from(index).ok())?;
                        let is_array = same_layer(elements).is_some();
                        text.push_str(&if is_array { format!("[{position}]") } else { format!("._{position}") });
                        elements.get(position)?
                    }
                    Sub::Instance { .. } | Sub::Function { .. } => return None,
                };
            }
            let Sub::Instance { layer, .. } = sub else { return None };
            at = *layer;
        }
        Some((text, at))
    }

    /// A member by its dotted name, from a pointer to the instance: `w->fc1.weight`.
    pub fn access(&self, layer: LayerId, path: &[PathSegment], name: &str, names: SymbolNames<'_>) -> Option<String> {
        let (part, at) = self.part(layer, path, names)?;
        let dot = if part == "w" { "->" } else { "." };
        Some(format!("{part}{dot}{}", self.field(at, name)))
    }

    pub fn field(&self, layer: LayerId, member: &str) -> &str {
        self.fields.get(&(layer, member.to_string())).map_or("", String::as_str)
    }

    /// The definitions of all structs, parts before wholes.
    pub fn structs(&self) -> Vec<String> {
        let mut done = BTreeSet::new();
        let mut texts = vec![];
        if let Some(entry) = &self.module.entry {
            self.write_struct(entry.layer, &mut done, &mut texts);
        }
        texts
    }

    fn write_struct(&self, layer: LayerId, done: &mut BTreeSet<LayerId>, texts: &mut Vec<String>) {
        if !done.insert(layer) {
            return;
        }
        let Some(name) = self.type_of(layer) else { return };
        let mut body = String::new();
        for member in &self.module[layer].members {
            if let MemberKind::Sub(sub) = &member.kind {
                self.write_parts(sub, done, texts);
            }
            for line in self.member_lines(layer, member) {
                body.push_str(&format!("    {line}\n"));
            }
        }
        if body.is_empty() {
            body.push_str("    /* C has no empty struct. */\n    char nothing;\n");
        }
        let doc = self.module[layer].doc.as_deref();
        texts.push(format!("{}typedef struct {{\n{body}}} {name};", doc.map(comment).unwrap_or_default()));
    }

    fn write_parts(&self, sub: &Sub, done: &mut BTreeSet<LayerId>, texts: &mut Vec<String>) {
        match sub {
            Sub::Instance { layer, .. } => self.write_struct(*layer, done, texts),
            Sub::List(elements) => elements.iter().for_each(|element| self.write_parts(element, done, texts)),
            Sub::Repeat { element, .. } => self.write_parts(element, done, texts),
            Sub::Function { .. } => {}
        }
    }

    fn member_lines(&self, layer: LayerId, member: &crate::ir::Member) -> Vec<String> {
        let field = self.field(layer, &member.name);
        let pointer = |dtype: Option<DType>| format!("const {} *", text::memory(dtype.unwrap_or(DType::Float32)));
        let mut lines: Vec<String> = match &member.kind {
            MemberKind::Storage(storage) => {
                let own = pointer(storage.ty.dtype());
                match self.kept(layer, &member.name, storage) {
                    Kept::Plain | Kept::Computed => {
                        let mut lines = vec![format!("{own}{field}; /* {} */", storage.ty)];
                        let packings = self.packings_of(layer, &member.name);
                        lines.extend(
                            packings.map(|packing| format!("{own}{}; /* for products */", packing.field(field))),
                        );
                        lines
                    }
                    Kept::Quantised => {
                        let scheme = storage.scheme.as_ref();
                        let mut lines = vec![format!("struct {{ /* {}: {} */", storage.ty, shown(scheme))];
                        let scale = scheme.map(|scheme| scheme.scale_dtype);
                        let codes = scheme.map(|scheme| scheme.code_dtype());
                        for part in scheme.into_iter().flat_map(Part::of_scheme) {
                            lines.push(match part {
                                Part::Value | Part::Codes => {
                                    let format = scheme.map(Format::of_scheme);
                                    let packed = if format == Some(Format::Int8) {
                                        pointer(codes)
                                    } else {
                                        "const uint8_t *".into()
                                    };
                                    format!("    {packed}codes;")
                                }
                                Part::Scale => format!("    {}scale;", pointer(scale)),
                                Part::ZeroPoint => format!("    {}zero_point;", pointer(codes)),
                            });
                        }
                        let packings = self.packings_of(layer, &member.name);
                        lines.extend(packings.map(|packing| {
                            let (element, own) = (packing.element(), packing.field(""));
                            format!("    const {element} *{}; /* for products */", own.trim_start_matches('.'))
                        }));
                        lines.push(format!("}} {field};"));
                        lines
                    }
                    Kept::State => vec![
                        format!("struct {{ /* {}: state */", storage.ty),
                        format!("    {own}initial;"),
                        "    size_t offset; /* in the arena */".to_string(),
                        format!("}} {field};"),
                    ],
                    Kept::Transient => vec![
                        format!("struct {{ /* {}: state */", storage.ty),
                        "    size_t offset; /* in the arena */".to_string(),
                        format!("}} {field};"),
                    ],
                }
            }
            MemberKind::Constant { .. } if !self.computed.contains(&(layer, member.name.clone())) => vec![],
            MemberKind::Constant { ty, .. } => {
                vec![format!("{}{field}; /* {ty}, computed once */", pointer(ty.dtype()))]
            }
            MemberKind::Sub(sub) if !self.sub_holds(sub) => vec![],
            MemberKind::Sub(sub) => {
                let (base, sizes) = self.declared(sub, &|values| values, layer);
                let mut lines = base;
                if let Some(last) = lines.last_mut() {
                    last.push_str(&format!(" {field}{sizes};"));
                }
                lines
            }
        };
        if let (Some(doc), false) = (&member.doc, lines.is_empty()) {
            lines.splice(0..0, comment(doc).lines().map(str::to_string));
        }
        lines
    }

    /// The type of a sublayer as lines, the last without its end, and the sizes of the array that it is.
    fn declared(
        &self,
        sub: &Sub,
        within: &dyn Fn(BTreeMap<Symbol, HostValue>) -> BTreeMap<Symbol, HostValue>,
        owner: LayerId,
    ) -> (Vec<String>, String) {
        match sub {
            Sub::Instance { layer, .. } => (vec![self.type_of(*layer).unwrap_or("char").to_string()], String::new()),
            Sub::Repeat { index, count, element } => {
                let count = self.largest(owner, count, within);
                let highest = HostValue::Int((count - 1).max(0));
                let inner = |values: BTreeMap<Symbol, HostValue>| {
                    let mut values = within(values);
                    values.insert(index.clone(), highest.clone());
                    values
                };
                let (base, sizes) = self.declared(element, &inner, owner);
                (base, format!("[{}]{sizes}", count.max(1)))
            }
            Sub::List(elements) => {
                if let Some(first) = same_layer(elements) {
                    let (base, sizes) = self.declared(first, within, owner);
                    return (base, format!("[{}]{sizes}", elements.len()));
                }
                let mut lines = vec!["struct {".to_string()];
                for (position, element) in elements.iter().enumerate() {
                    if !self.sub_holds(element) {
                        continue;
                    }
                    let (base, sizes) = self.declared(element, within, owner);
                    lines.extend(base.into_iter().map(|line| format!("    {line}")));
                    if let Some(last) = lines.last_mut() {
                        last.push_str(&format!(" _{position}{sizes};"));
                    }
                }
                lines.push("}".to_string());
                (lines, String::new())
            }
            Sub::Function { .. } => (vec![], String::new()),
        }
    }

    /// The largest count among the instances of the layer that holds the list.
    fn largest(
        &self,
        owner: LayerId,
        count: &Dim,
        within: &dyn Fn(BTreeMap<Symbol, HostValue>) -> BTreeMap<Symbol, HostValue>,
    ) -> i64 {
        let instances = self.contents.instances.iter().filter(|instance| instance.layer == owner);
        let counts = instances.filter_map(|instance| {
            let values = within(instance.values.clone());
            count.eval(&|symbol| values.get(symbol)?.as_int())
        });
        counts.max().unwrap_or(0)
    }
}

fn shown(scheme: Option<&crate::quant::Scheme>) -> String {
    scheme.map(ToString::to_string).unwrap_or_default()
}

/// The first of a list whose elements are instances of one layer.
fn same_layer(elements: &[Sub]) -> Option<&Sub> {
    let layer = |sub: &Sub| match sub {
        Sub::Instance { layer, .. } => Some(*layer),
        Sub::List(_) | Sub::Repeat { .. } | Sub::Function { .. } => None,
    };
    let first = elements.first()?;
    let own = layer(first)?;
    elements.iter().all(|element| layer(element) == Some(own)).then_some(first)
}

/// Documentation of the source as a comment of its own, which nothing in it can end.
pub fn comment(text: &str) -> String {
    names::c_comment(text).map(|lines| lines.join("\n") + "\n").unwrap_or_default()
}
