//! The files: what stands in each, in which order.

use crate::base::code::E0602;
use crate::ir::{Init, InstKind, LayerId, MemberKind, Role, Verified};
use crate::targets::c::CWriter;
use crate::targets::c::entry::{Form, Method, methods};
use crate::targets::c::example::Example;
use crate::targets::c::layout::{self, Layout};
use crate::targets::c::model::Model;
use crate::targets::c::public::{Gradient, Public, gradients, type_prefix};
use crate::targets::c::simd::{self, Builds};
use crate::targets::c::specialise::{Number, Numbers, ProcId, Specialiser};
use crate::targets::c::text;
use crate::targets::c::unit::Unit;
use crate::targets::c::used::used;
use crate::targets::held::{self, Contents, Instance};
use crate::targets::{Artifact, Contents as FileContents, EmitOptions, TargetError, WeightsForm, names};
use crate::types::DType;
use minijinja::context;
use std::collections::BTreeMap;

/// Weights up to this are compiled in, unless the user says otherwise.
const ARRAY_LIMIT: usize = 1 << 20;
pub(super) const ALIGNMENT: usize = 64;

/// What `NAME_strerror` says of the codes that every model has.
const ERRORS: &[(&str, i64, &str)] = &[
    ("NULL", -1, "a pointer is NULL"),
    ("ALIGNMENT", -2, "memory does not begin at a multiple of 64"),
    ("SIZE", -3, "a size is out of its bounds"),
    ("INDEX", -4, "an index is out of range"),
    ("NO_WEIGHTS", -5, "the bytes are no weights"),
    ("VERSION", -6, "the weights are in another version of the format"),
    ("MODEL", -7, "the weights are those of another model"),
    ("TRUNCATED", -8, "the weights have another size"),
    ("CHECKSUM", -9, "the weights are damaged: their checksum is another"),
    ("RESET", -10, "the state has no first values: reset comes before the first call"),
    ("VALUE", -11, "a value is none that the operation is defined for"),
];
const FIRST_CHECK: i64 = -100;

pub fn write(module: &Verified, options: &EmitOptions, parts: &CWriter) -> Result<Vec<Artifact>, Vec<TargetError>> {
    let internal = |message: String| vec![TargetError::new(E0602, message)];
    let contents = held::held(module).map_err(internal)?;
    let mut specialiser = Specialiser::new(module, options.bound);
    let methods = methods(&mut specialiser, options)?;
    let computed = computed_members(&mut specialiser, &contents).map_err(|error| vec![error])?;
    let initial = initial_states(&mut specialiser, &contents).map_err(|error| vec![error])?;
    let name = names::snake_case(module.entry.as_ref().map_or("model", |entry| &entry.name));
    let prefix = text::identifier(&name);
    let layout = Layout::new(&contents, options.mode);
    let members = computed.iter().map(|(layer, member, _)| (*layer, member.clone())).collect();
    let procedures = specialiser.procedures;
    let model = Model::new(module, contents, &procedures, members, options.mode, &prefix);
    let mut unit = Unit::new(model, &parts.table, procedures, &prefix, options, &parts.names);
    unit.write()?;
    let mut methods = methods;
    for method in &mut methods {
        let draws = |form: &Form| {
            let joint = form.backward.iter().map(|(joint, _)| *joint);
            joint.chain([form.procedure]).any(|id| unit.written[id.0].takes.draws)
        };
        if !method.forms.iter().any(draws) {
            method.seed.clear();
        }
    }
    let file = File { options, parts, methods, layout, computed, initial, name };
    file.artifacts(&mut unit)
}

/// The constant and derived members that procedures read, and what computes each; also for what reads others.
type Members = Vec<(LayerId, String, BTreeMap<usize, ProcId>)>;

fn computed_members(specialiser: &mut Specialiser<'_>, contents: &Contents<'_>) -> Result<Members, TargetError> {
    let module = specialiser.module;
    let mut found: Members = vec![];
    let mut seen = 0;
    while seen < specialiser.procedures.len() {
        let procedure = specialiser.procedures[seen].clone();
        seen += 1;
        for inst in &procedure.function.insts {
            let InstKind::Param { name, .. } = &inst.kind else { continue };
            let Some((layer, own)) = module.member_of(procedure.function.layer, name) else { continue };
            let Some(MemberKind::Constant { func, .. }) = module[layer].member(&own).map(|member| &member.kind) else {
                continue;
            };
            if found.iter().any(|(known, name, _)| *known == layer && *name == own) {
                continue;
            }
            let mut of_instance = BTreeMap::new();
            for (index, instance) in contents.instances.iter().enumerate().filter(|(_, one)| one.layer == layer) {
                of_instance.insert(index, specialiser.procedure(*func, numbers_of(instance))?);
            }
            found.push((layer, own, of_instance));
        }
    }
    Ok(found)
}

fn numbers_of(instance: &Instance) -> Numbers {
    instance.values.iter().map(|(symbol, value)| (symbol.clone(), Number::Known(value.clone()))).collect()
}

/// What makes the first values of transient states that have a function for it, by position among the tensors.
fn initial_states(
    specialiser: &mut Specialiser<'_>,
    contents: &Contents<'_>,
) -> Result<BTreeMap<usize, ProcId>, TargetError> {
    let mut found = BTreeMap::new();
    for (index, held) in contents.tensors.iter().enumerate() {
        if let (Init::Func(func), Role::Transient) = (&held.storage.init, held.storage.role) {
            let numbers = held.values.iter().map(|(symbol, value)| (symbol.clone(), Number::Known(value.clone())));
            found.insert(index, specialiser.procedure(*func, numbers.collect())?);
        }
    }
    Ok(found)
}

/// The method that has gradients, and which.
type Differentiated<'a> = Option<(&'a Method, &'a [Gradient])>;

pub(super) struct File<'a> {
    options: &'a EmitOptions,
    parts: &'a CWriter,
    pub methods: Vec<Method>,
    pub layout: Layout,
    pub computed: Members,
    pub initial: BTreeMap<usize, ProcId>,
    /// What files are called after.
    name: String,
}

impl File<'_> {
    fn artifacts(&self, unit: &mut Unit<'_>) -> Result<Vec<Artifact>, Vec<TargetError>> {
        let pack = self.pack(unit)?;
        let pack_bytes = pack.bytes;
        let states = self.states(unit);
        let has_state = !states.is_empty();
        let arena = self.arena(unit, &states);
        let reset = self.reset(unit, &states, &arena)?;
        let initialise = self.initialise(unit, &pack, &states);
        drop(states);
        let public = Public { unit, arena, has_state };
        let forward = self.methods.iter().find(|method| method.forms.iter().any(|form| form.backward.is_some()));
        let backward = forward.map(|method| (method, gradients(public.unit, method, self.options.mode)));
        let backward = backward.as_ref().map(|(method, gradients)| (*method, gradients.as_slice()));
        let (weights, has_array) = self.weights(public.unit)?;
        let (functions, definitions) = self.functions(&public, backward);
        let tiles = simd::texts(&self.parts.tiles, &public.unit.tiles, self.options.simd);
        let dispatched = self.dispatched(&public, backward);
        let builds = Builds::new(self.options.simd, &public.unit.tiles);
        let helpers = self.helpers(public.unit, backward.map_or(&[], |(_, gradients)| gradients))?;
        let model = context! {
            header => self.header(),
            header_line => self.header_line(),
            name => &public.unit.prefix,
            NAME => public.unit.upper(),
            arena_bytes => arena.total,
            pack_bytes => pack_bytes,
            weights_bytes => self.layout.bytes,
            tensors => !self.layout.tensors.is_empty(),
            version => layout::VERSION,
            hash => self.layout.hash,
            state_word => self.layout.hash ^ 0x5452_4957,
            has_state => has_state,
            has_array => has_array,
            errors => self.errors(public.unit),
            structs => self.structs(&public, backward),
            functions => functions,
            definitions => definitions,
            items => &public.unit.items,
            builds => builds.list(),
            many => builds.are_many(),
            machines => builds.machines(),
            only => builds.only(),
            threads => self.options.threads,
            dispatched => dispatched,
            shows => public.unit.helpers.contains("show"),
            initialise => initialise,
            reset => reset,
        };
        let source = self.text(".c", "c/model.c.jinja", &model)?;
        let kernels = match &source.contents {
            FileContents::Text(text) => used([tiles, helpers].concat().join("\n\n").as_str(), text),
            FileContents::Bytes(_) => String::new(),
        };
        let mut artifacts = vec![
            self.text(".h", "c/model.h.jinja", &model)?,
            source,
            self.text("_kernels.h", "c/kernels.h.jinja", &context! { kernels => kernels, ..model.clone() })?,
        ];
        if builds.are_many() {
            artifacts.push(self.text("_dispatch.c", "c/dispatch.c.jinja", &model)?);
        }
        artifacts.extend(weights);
        let example = context! { ..self.example(&public, backward)?, ..model };
        for (path, skeleton) in [("Makefile", "c/Makefile.jinja"), ("example.c", "c/example.c.jinja")] {
            artifacts.push(Artifact { path: path.to_string(), ..self.text("", skeleton, &example)? });
        }
        Ok(artifacts)
    }

    /// The file of weights, and whether it is an array.
    fn weights(&self, unit: &Unit<'_>) -> Result<(Option<Artifact>, bool), Vec<TargetError>> {
        let Some(tensors) = &self.options.weights else { return Ok((None, false)) };
        let bytes = self.layout.encode(tensors).map_err(|message| vec![TargetError::new(E0602, message)])?;
        let fits = if self.layout.bytes <= ARRAY_LIMIT { WeightsForm::Array } else { WeightsForm::File };
        let artifact = match self.options.weights_form.unwrap_or(fits) {
            WeightsForm::Array => Artifact {
                path: format!("{}_weights.c", self.name),
                contents: text_of(self.array(&unit.prefix, &unit.upper(), &bytes)),
            },
            WeightsForm::File => {
                let path = format!("{}.weights", self.name);
                return Ok((Some(Artifact { path, contents: FileContents::Bytes(bytes) }), false));
            }
        };
        Ok((Some(artifact), true))
    }

    /// The public functions: declarations and definitions.
    fn functions(&self, public: &Public<'_, '_>, backward: Differentiated<'_>) -> (Vec<String>, Vec<String>) {
        let mut heads: Vec<String> = self.methods.iter().map(|method| self.documented(public, method)).collect();
        let mut definitions: Vec<String> = self.methods.iter().map(|method| public.function(method, None)).collect();
        if let Some((method, gradients)) = backward {
            let doc = "/* The same with gradients, which output_grads are of the outputs. Every field of grads points to room for one. */";
            heads.push(format!("{doc}\n{};", public.head(method, true)));
            definitions.push(public.function(method, Some(gradients)));
        }
        (heads, definitions)
    }

    /// The public functions as `NAME_dispatch.c` calls them.
    fn dispatched(&self, public: &Public<'_, '_>, backward: Differentiated<'_>) -> Vec<minijinja::Value> {
        let prefix = &public.unit.prefix;
        let weights = format!("const {prefix}_weights *weights");
        let mut heads = vec![format!(
            "int {prefix}_weights_init({prefix}_weights *weights, const void *bytes, size_t count, void *pack)"
        )];
        heads.extend(public.has_state.then(|| format!("int {prefix}_reset({weights}, void *arena)")));
        heads.extend(self.methods.iter().map(|method| public.head(method, false)));
        heads.extend(backward.map(|(method, _)| public.head(method, true)));
        heads.push(format!("const char *{prefix}_strerror(int code)"));
        heads.iter().filter_map(|head| simd::dispatched(prefix, head)).collect()
    }

    fn structs(&self, public: &Public<'_, '_>, backward: Differentiated<'_>) -> Vec<String> {
        let mut structs = public.unit.model.structs();
        structs.extend(self.methods.iter().flat_map(|method| self.io(public, method)));
        if let Some((method, gradients)) = backward {
            structs.extend(self.gradient_structs(public, method, gradients));
        }
        structs
    }

    /// What `example.c` has of its own.
    fn example(
        &self,
        public: &Public<'_, '_>,
        backward: Differentiated<'_>,
    ) -> Result<minijinja::Value, Vec<TargetError>> {
        let (unit, has_state) = (public.unit, public.has_state);
        let run = |method| Example { unit, method, has_state, gradients: None }.function();
        let mut runners: Vec<String> = self.methods.iter().map(run).collect();
        let entry = |source: &str, name: &str| context! { source => text::string(source), name => name };
        let mut methods: Vec<_> = self.methods.iter().map(|method| entry(&method.source, &method.name)).collect();
        if let Some((method, gradients)) = backward {
            runners.push(Example { unit, method, has_state, gradients: Some(gradients) }.function());
            methods.push(entry("backward", "backward"));
        }
        let uses = |function: &str| runners.iter().any(|runner| runner.contains(&format!("{function}(")));
        let counts = ["floor_divide", "power", "minimum", "maximum"].iter().any(|name| uses(&format!("size_{name}")));
        let sizes = self.parts.skeletons.render("c/helpers/size.h", context! {}).map_err(|error| vec![error])?;
        let first = self.methods.first().map_or("\"\"".to_string(), |method| text::string(&method.source));
        Ok(context! {
            uses_input => uses("input"),
            uses_number => uses("number"),
            uses_whole => uses("whole"),
            uses_find => uses("input") || uses("number") || uses("whole"),
            uses_expect => uses("expect"),
            uses_narrowed => uses("narrowed"),
            uses_widened => uses("widened"),
            size_helper => if counts { sizes.trim_end().to_string() } else { String::new() },
            runners => runners,
            methods => methods,
            first => first,
        })
    }

    fn text(&self, ending: &str, skeleton: &str, context: &minijinja::Value) -> Result<Artifact, Vec<TargetError>> {
        let text = self.parts.skeletons.render(skeleton, context.clone()).map_err(|error| vec![error])?;
        // Parts that are left out leave no more than one empty line.
        let mut tidy = String::with_capacity(text.len());
        let mut empty = 0;
        for line in text.trim_end().lines() {
            empty = if line.trim().is_empty() { empty + 1 } else { 0 };
            if empty < 2 {
                tidy.push_str(line.trim_end());
                tidy.push('\n');
            }
        }
        Ok(Artifact { path: format!("{}{ending}", self.name), contents: text_of(tidy) })
    }

    fn header_line(&self) -> String {
        let EmitOptions { version, source_name, entry_expr, .. } = self.options;
        names::c_text(&format!("Generated by tritonc {version} from {source_name}: {entry_expr}."))
    }

    fn header(&self) -> String {
        format!("/* {} */", self.header_line())
    }

    fn errors(&self, unit: &Unit<'_>) -> Vec<minijinja::Value> {
        let own = ERRORS
            .iter()
            .map(|(name, code, said)| context! { name => *name, code => *code, text => text::string(said) });
        let checks = unit.failures.iter().enumerate().map(|(index, message)| {
            let (name, code) = (format!("CHECK_{}", index + 1), FIRST_CHECK - index as i64);
            context! { name, code, text => text::string(message) }
        });
        own.chain(checks).collect()
    }

    /// The head of a public function with what the source says of it.
    fn documented(&self, public: &Public<'_, '_>, method: &Method) -> String {
        let doc = method.doc.as_deref().map(super::model::comment).unwrap_or_default();
        format!("{doc}{};", public.head(method, false))
    }

    /// The structs of inputs and outputs.
    fn io(&self, public: &Public<'_, '_>, method: &Method) -> Vec<String> {
        let types = type_prefix(&public.unit.prefix, method);
        let mut inputs = String::new();
        for input in &method.inputs {
            let note = if input.is_optional { ", NULL to leave it out" } else { "" };
            let ty = text::memory(input.dtype());
            inputs.push_str(&format!(
                "    const {ty} *{}; /* {}{note} */\n",
                input.field,
                names::c_text(&input.ty.to_string())
            ));
        }
        for number in &method.numbers {
            let most = number.bounds.high.map(|high| format!(", at most {high}")).unwrap_or_default();
            inputs.push_str(&match (number.kind, number.is_size) {
                (crate::ir::HostKind::Float, _) => format!("    double {};\n", number.field),
                (_, true) => format!("    size_t {}; /* a size{most} */\n", number.field),
                (_, false) => format!("    int64_t {}; /* a number{most} */\n", number.field),
            });
        }
        if !method.seed.is_empty() {
            inputs.push_str(&format!("    uint64_t {}; /* of what is drawn at random */\n", method.seed));
        }
        let mut outputs = String::new();
        for output in &method.outputs {
            let ty = text::memory(output.dtype());
            outputs.push_str(&format!("    {ty} *{}; /* {} */\n", output.field, names::c_text(&output.ty.to_string())));
        }
        for (_, field) in &method.fresh {
            outputs.push_str(&format!("    size_t {field}; /* how much there is, which the call tells */\n"));
        }
        let or_nothing = |body: String| if body.is_empty() { "    char nothing;\n".to_string() } else { body };
        vec![
            format!("typedef struct {{\n{}}} {types}inputs;", or_nothing(inputs)),
            format!("typedef struct {{\n{}}} {types}outputs;", or_nothing(outputs)),
        ]
    }

    fn gradient_structs(&self, public: &Public<'_, '_>, method: &Method, gradients: &[Gradient]) -> Vec<String> {
        let prefix = &public.unit.prefix;
        let floats = method.outputs.iter().filter(|output| output.dtype().is_float());
        let given: String =
            floats.map(|output| format!("    const {} *{};\n", text::memory(output.dtype()), output.field)).collect();
        let found: String = gradients
            .iter()
            .map(|gradient| format!("    {} *{};\n", text::memory(gradient.dtype), gradient.field))
            .collect();
        let or_nothing = |body: String| if body.is_empty() { "    char nothing;\n".to_string() } else { body };
        vec![
            format!("typedef struct {{\n{}}} {prefix}_output_grads;", or_nothing(given)),
            format!("typedef struct {{\n{}}} {prefix}_grads;", or_nothing(found)),
        ]
    }

    /// The weights as an array.
    fn array(&self, prefix: &str, upper: &str, bytes: &[u8]) -> String {
        let mut text = format!("{}\n\n#include \"{}.h\"\n\n", self.header(), self.name);
        text.push_str(&format!(
            "_Alignas(64) const unsigned char {prefix}_default_weights[{upper}_DEFAULT_WEIGHTS_BYTES] = {{\n"
        ));
        for row in bytes.chunks(24) {
            let row: Vec<String> = row.iter().map(u8::to_string).collect();
            text.push_str(&format!("    {},\n", row.join(",")));
        }
        text.push_str("};\n");
        text
    }

    /// The helpers that are needed, in order.
    fn helpers(&self, unit: &Unit<'_>, gradients: &[Gradient]) -> Result<Vec<String>, Vec<TargetError>> {
        let mut wanted = unit.helpers.clone();
        for gradient in gradients {
            match gradient.dtype {
                DType::Float16 => drop(wanted.insert("float16")),
                DType::BFloat16 => drop(wanted.insert("bfloat16")),
                _ => {}
            }
        }
        let mut texts = vec![];
        for name in helpers::closed(&self.parts.skeletons, &wanted) {
            let path = format!("c/helpers/{name}.h");
            let context = context! { NAME => unit.upper(), name => &unit.prefix };
            let text = self.parts.skeletons.render(&path, context).map_err(|error| vec![error])?;
            texts.push(text.trim_end().to_string());
        }
        Ok(texts)
    }
}

fn text_of(text: String) -> FileContents {
    FileContents::Text(text)
}

mod helpers {
    //! Which helper files belong to a file.

    use crate::targets::templates::Skeletons;
    use std::collections::BTreeSet;

    /// The helpers that are asked for and those that these are written with, which come first: a file says so in its first
    /// line, `/* needs: half, round */`.
    pub fn closed(skeletons: &Skeletons, wanted: &BTreeSet<&'static str>) -> Vec<String> {
        let mut found: Vec<String> = vec![];
        for name in wanted {
            add(skeletons, name, &mut found, 0);
        }
        found
    }

    fn add(skeletons: &Skeletons, name: &str, found: &mut Vec<String>, depth: usize) {
        // What needs itself is a mistake in a template, which the compiler of C tells of.
        if found.iter().any(|known| known == name) || depth > 16 {
            return;
        }
        let text = skeletons.render(&format!("c/helpers/{name}.h"), minijinja::context! { NAME => "", name => "" });
        let first = text.ok().and_then(|text| text.lines().next().map(str::to_string)).unwrap_or_default();
        if let Some(needs) = first.strip_prefix("/* needs: ").and_then(|rest| rest.strip_suffix(" */")) {
            needs.split(", ").for_each(|need| add(skeletons, need, found, depth + 1));
        }
        found.push(name.to_string());
    }
}
