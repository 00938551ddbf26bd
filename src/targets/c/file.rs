//! The files: what stands in each, in which order.

use crate::base::code::E0602;
use crate::ir::{Init, InstKind, LayerId, MemberKind, Part, Role, Verified};
use crate::targets::c::entry::{Form, Method, methods};
use crate::targets::c::example::Example;
use crate::targets::c::layout::{self, Layout};
use crate::targets::c::lines::Lines;
use crate::targets::c::model::{Kept, Model};
use crate::targets::c::numbers;
use crate::targets::c::public::{Arena, Gradient, Public, gradients, type_prefix};
use crate::targets::c::specialise::{Number, Numbers, ProcId, Specialiser};
use crate::targets::c::text;
use crate::targets::c::unit::Unit;
use crate::targets::held::{self, Contents, Held, Instance};
use crate::targets::table::Table;
use crate::targets::templates::Skeletons;
use crate::targets::{Artifact, Contents as FileContents, EmitOptions, TargetError, WeightsForm, names};
use crate::types::{DType, HostValue, Tensor};
use minijinja::context;
use std::collections::BTreeMap;

/// Weights up to this are compiled in, unless the user says otherwise.
const ARRAY_LIMIT: usize = 1 << 20;
const ALIGNMENT: usize = 64;

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

/// A member that is computed once, of one instance.
struct Computed {
    /// `w->rotary.table`, from the weights.
    access: String,
    part: String,
    procedure: ProcId,
    dtype: DType,
    /// In the pack.
    offset: usize,
}

pub fn write(
    module: &Verified,
    options: &EmitOptions,
    skeletons: &Skeletons,
    table: &Table,
) -> Result<Vec<Artifact>, Vec<TargetError>> {
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
    let mut unit = Unit::new(model, table, procedures, &prefix, options);
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
    let file = File { options, skeletons, methods, layout, computed, initial, name };
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

struct File<'a> {
    options: &'a EmitOptions,
    skeletons: &'a Skeletons,
    methods: Vec<Method>,
    layout: Layout,
    computed: Members,
    initial: BTreeMap<usize, ProcId>,
    /// What files are called after.
    name: String,
}

/// State in the arena.
struct State<'u> {
    held: &'u Held<'u>,
    index: usize,
    access: String,
    kept: Kept,
    offset: usize,
}

impl File<'_> {
    fn artifacts(&self, unit: &mut Unit<'_>) -> Result<Vec<Artifact>, Vec<TargetError>> {
        let (pack, pack_bytes) = self.pack(unit)?;
        let states = self.states(unit);
        let has_state = !states.is_empty();
        let arena = self.arena(unit, &states);
        let reset = self.reset(unit, &states, &arena)?;
        let initialise = self.initialise(unit, &pack, &states);
        drop(states);
        let public = Public { unit, arena, has_state };
        let form = self.options.weights_form.unwrap_or(match self.layout.bytes <= ARRAY_LIMIT {
            true => WeightsForm::Array,
            false => WeightsForm::File,
        });
        let weights = match &self.options.weights {
            Some(tensors) => {
                Some(self.layout.encode(tensors).map_err(|message| vec![TargetError::new(E0602, message)])?)
            }
            None => None,
        };
        let has_array = weights.is_some() && form == WeightsForm::Array;
        let forward = self.methods.iter().find(|method| method.forms.iter().any(|form| form.backward.is_some()));
        let backward = forward.map(|method| (method, gradients(public.unit, method, self.options.mode)));
        let mut definitions = vec![];
        let mut heads = vec![];
        for method in &self.methods {
            heads.push(self.documented(&public, method));
            definitions.push(public.function(method, None));
        }
        if let Some((method, gradients)) = &backward {
            let doc = "/* The same with gradients: of what output_grads are the gradients of the outputs. All fields of grads\n   are pointers to room for one, which is filled. */\n";
            heads.push(format!("{doc}{};", public.head(method, true)));
            definitions.push(public.function(method, Some(gradients)));
        }
        let mut structs = public.unit.model.structs();
        for method in &self.methods {
            structs.extend(self.io(&public, method));
        }
        if let Some((method, gradients)) = &backward {
            structs.extend(self.gradient_structs(&public, method, gradients));
        }
        let mut runners = vec![];
        for method in &self.methods {
            runners.push(Example { unit: public.unit, method, has_state, gradients: None }.function());
        }
        let entry = |source: &str, name: &str| context! { source => text::string(source), name => name };
        let mut known: Vec<_> = self.methods.iter().map(|method| entry(&method.source, &method.name)).collect();
        if let Some((method, gradients)) = &backward {
            runners.push(Example { unit: public.unit, method, has_state, gradients: Some(gradients) }.function());
            known.push(entry("backward", "backward"));
        }
        let helpers = self.helpers(public.unit)?;
        let uses = |function: &str| runners.iter().any(|runner| runner.contains(&format!("{function}(")));
        let (uses_input, uses_number, uses_whole) = (uses("input"), uses("number"), uses("whole"));
        let first = self.methods.first().map_or("\"\"".to_string(), |method| text::string(&method.source));
        let sizes = self.skeletons.render("c/helpers/size.h", context! {}).map_err(|error| vec![error])?;
        let counts = ["floor_divide", "power", "minimum", "maximum"].iter().any(|name| uses(&format!("size_{name}")));
        let context = context! {
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
            uses_input => uses_input,
            uses_number => uses_number,
            uses_whole => uses_whole,
            size_helper => if counts { sizes.trim_end().to_string() } else { String::new() },
            uses_find => uses_input || uses_number || uses_whole,
            uses_expect => uses("expect"),
            uses_narrowed => uses("narrowed"),
            uses_widened => uses("widened"),
            errors => self.errors(public.unit),
            structs => structs,
            functions => heads,
            items => &public.unit.items,
            helpers => helpers,
            shows => public.unit.helpers.contains("show"),
            initialise => initialise,
            reset => reset,
            runners => runners,
            methods => known,
            first => first,
        };
        let definitions = context! { functions => definitions, ..context.clone() };
        let mut artifacts = vec![
            self.text(".h", "c/model.h.jinja", &context)?,
            self.text(".c", "c/model.c.jinja", &definitions)?,
            self.text("_kernels.h", "c/kernels.h.jinja", &context)?,
        ];
        if let Some(bytes) = weights {
            artifacts.push(match has_array {
                true => Artifact {
                    path: format!("{}_weights.c", self.name),
                    contents: text_of(self.array(&public.unit.prefix, &public.unit.upper(), &bytes)),
                },
                false => Artifact { path: format!("{}.weights", self.name), contents: FileContents::Bytes(bytes) },
            });
        }
        let makefile = self.text("Makefile", "c/Makefile.jinja", &context)?;
        artifacts.push(Artifact { path: "Makefile".to_string(), ..makefile });
        let example = self.text("example.c", "c/example.c.jinja", &context)?;
        artifacts.push(Artifact { path: "example.c".to_string(), ..example });
        Ok(artifacts)
    }

    fn text(&self, ending: &str, skeleton: &str, context: &minijinja::Value) -> Result<Artifact, Vec<TargetError>> {
        let text = self.skeletons.render(skeleton, context.clone()).map_err(|error| vec![error])?;
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
    fn helpers(&self, unit: &Unit<'_>) -> Result<Vec<String>, Vec<TargetError>> {
        let mut texts = vec![];
        for name in helpers::closed(self.skeletons, &unit.helpers) {
            let path = format!("c/helpers/{name}.h");
            let context = context! { NAME => unit.upper(), name => &unit.prefix };
            let text = self.skeletons.render(&path, context).map_err(|error| vec![error])?;
            texts.push(text.trim_end().to_string());
        }
        Ok(texts)
    }

    /// What `weights_init` computes, in an order in which each finds what it reads; and the bytes of the pack.
    fn pack(&self, unit: &Unit<'_>) -> Result<(Vec<Computed>, usize), Vec<TargetError>> {
        let mut found = vec![];
        let (mut offset, mut frame) = (0, 0);
        // Parts come after the whole in the list, and are computed first.
        for (index, instance) in unit.model.contents.instances.iter().enumerate().rev() {
            for member in &unit.module[instance.layer].members {
                let own =
                    self.computed.iter().find(|(layer, name, _)| *layer == instance.layer && *name == member.name);
                let Some(procedure) = own.and_then(|(_, _, of)| of.get(&index)) else { continue };
                let MemberKind::Constant { ty, .. } = &member.kind else { continue };
                let written = &unit.written[procedure.0];
                if written.takes.state || written.takes.draws {
                    let message = format!("c cannot compute `{}` once: it draws, or reads state", member.name);
                    return Err(vec![TargetError::new(E0602, message).at(member.loc)]);
                }
                let path = if instance.path.is_empty() {
                    member.name.clone()
                } else {
                    format!("{}.{}", instance.path, member.name)
                };
                let Some(access) = unit.member_access(&path, "weights") else { continue };
                let dtype = ty.dtype().unwrap_or(DType::Float32);
                let sizes =
                    ty.shape.dims.iter().map(|dim| dim.eval(&|s| instance.values.get(s)?.as_int()).unwrap_or(0));
                let bytes = sizes.product::<i64>() * numbers::element_bytes(dtype);
                let part = unit.instance_access(&instance.path, "weights").unwrap_or_default();
                found.push(Computed { access, part, procedure: *procedure, dtype, offset });
                offset = (offset + usize::try_from(bytes).unwrap_or(0)).next_multiple_of(ALIGNMENT);
                frame = frame.max(written.frame_bytes);
            }
        }
        Ok((found, offset + frame))
    }

    /// The states of the arena, after its first word.
    fn states<'u>(&self, unit: &'u Unit<'_>) -> Vec<State<'u>> {
        let mut offset = ALIGNMENT;
        let mut found = vec![];
        for (index, held) in unit.model.contents.tensors.iter().enumerate() {
            let member = held.path.rsplit('.').next().unwrap_or_default();
            let kept = unit.model.kept(held.layer, member, held.storage);
            if !matches!(kept, Kept::State | Kept::Transient) {
                continue;
            }
            let Some(access) = unit.member_access(&held.path, "weights") else { continue };
            let dtype = held.storage.ty.dtype().unwrap_or(DType::Float32);
            let bytes = held.shape.iter().product::<i64>() * numbers::element_bytes(dtype);
            found.push(State { held, index, access, kept, offset });
            offset = (offset + usize::try_from(bytes).unwrap_or(0)).next_multiple_of(ALIGNMENT);
        }
        found
    }

    fn arena(&self, unit: &Unit<'_>, states: &[State<'_>]) -> Arena {
        let mut arena = Arena { draws: 0, draw_capacity: 0, frame: 0, total: 0 };
        if let Some(last) = states.last() {
            let dtype = last.held.storage.ty.dtype().unwrap_or(DType::Float32);
            let bytes = last.held.shape.iter().product::<i64>() * numbers::element_bytes(dtype);
            arena.draws = (last.offset + usize::try_from(bytes).unwrap_or(0)).next_multiple_of(ALIGNMENT);
        }
        arena.frame = arena.draws;
        if unit.written.iter().any(|written| written.takes.draws) {
            // Half of it stays empty, so that a free one is near.
            arena.draw_capacity = (2 * unit.drawn()).max(4);
            arena.frame = (arena.draws + 16 * arena.draw_capacity).next_multiple_of(ALIGNMENT);
        }
        let mut frame = 0;
        for method in &self.methods {
            for form in &method.forms {
                frame = frame.max(unit.written[form.procedure.0].frame_bytes);
                if let Some((joint, _)) = &form.backward {
                    let stacked = Public::stacked_bytes(unit, *joint, method.outputs.len());
                    frame = frame.max(unit.written[joint.0].frame_bytes + stacked);
                }
            }
        }
        for procedure in self.initial.values() {
            frame = frame.max(unit.written[procedure.0].frame_bytes);
        }
        arena.total = (arena.frame + frame).max(ALIGNMENT);
        arena
    }

    /// The body of `reset`.
    fn reset(&self, unit: &Unit<'_>, states: &[State<'_>], arena: &Arena) -> Result<String, Vec<TargetError>> {
        let mut lines = Lines::new(1);
        for State { held, index, access, kept, offset } in states {
            let dtype = held.storage.ty.dtype().unwrap_or(DType::Float32);
            let count: i64 = held.shape.iter().product();
            let bytes = count * numbers::element_bytes(dtype);
            let place = format!("state + {offset}");
            if *kept == Kept::State {
                lines.line(format!("memcpy({place}, {access}.initial, {bytes});"));
                continue;
            }
            if let Some(procedure) = self.initial.get(index) {
                self.computed_state(unit, &mut lines, held, *procedure, &place, arena)?;
                continue;
            }
            match held.initial() {
                Some(HostValue::Int(0)) => lines.line(format!("memset({place}, 0, {bytes});")),
                Some(value) => {
                    let ty = text::memory(dtype);
                    let one = Tensor::from_f64(dtype, vec![], [value.as_float().unwrap_or(0.0)]);
                    let one = super::unit::element(&one, 0);
                    lines.open(&format!("for (int64_t i = 0; i < {count}; i++)"));
                    lines.line(format!("(({ty} *)({place}))[i] = {one};"));
                    lines.close();
                }
                None => {
                    if let Init::Values(tensor) = &held.storage.init {
                        let ty = text::memory(dtype);
                        for index in 0..tensor.len() {
                            let value = super::unit::element(tensor, index);
                            lines.line(format!("(({ty} *)({place}))[{index}] = {value};"));
                        }
                        continue;
                    }
                    let message = format!("c cannot make the first value of the state `{}`", held.path);
                    let note = "give it a number: `= zeros()`, `= constant(1.0)`";
                    return Err(vec![TargetError::new(E0602, message).note(note)]);
                }
            }
        }
        Ok(lines.finish().text())
    }

    fn computed_state(
        &self,
        unit: &Unit<'_>,
        lines: &mut Lines,
        held: &Held<'_>,
        procedure: ProcId,
        place: &str,
        arena: &Arena,
    ) -> Result<(), Vec<TargetError>> {
        let written = &unit.written[procedure.0];
        if written.takes.state || written.takes.draws {
            let message =
                format!("c cannot make the first value of the state `{}`: it draws, or reads state", held.path);
            return Err(vec![TargetError::new(E0602, message)]);
        }
        let dtype = held.storage.ty.dtype().unwrap_or(DType::Float32);
        let path = held.path.rsplit_once('.').map_or("", |(path, _)| path);
        let part = unit.instance_access(path, "weights").unwrap_or_default();
        let frame = format!("(uint8_t *)arena + {}", arena.frame);
        call_once(lines, written, &part, &frame, &format!("({} *)({place})", text::memory(dtype)));
        Ok(())
    }

    /// The body of `weights_init` after its checks.
    fn initialise(&self, unit: &Unit<'_>, pack: &[Computed], states: &[State<'_>]) -> String {
        let mut lines = Lines::new(1);
        for stored in &self.layout.tensors {
            let held = &unit.model.contents.tensors[stored.tensor];
            let member = held.path.rsplit('.').next().unwrap_or_default();
            let Some(access) = unit.member_access(&held.path, "weights") else { continue };
            let (field, ty) = match unit.model.kept(held.layer, member, held.storage) {
                Kept::Quantised => {
                    let scheme = held.storage.scheme.as_ref();
                    let is_plain =
                        scheme.map(crate::quant::pack::Format::of_scheme) == Some(crate::quant::pack::Format::Int8);
                    let ty = match (stored.part, scheme) {
                        (Part::Codes, Some(scheme)) if is_plain => scheme.code_dtype(),
                        _ => stored.dtype,
                    };
                    (format!("{access}.{}", stored.part.word().unwrap_or("codes")), ty)
                }
                Kept::State => (format!("{access}.initial"), stored.dtype),
                Kept::Plain | Kept::Transient | Kept::Computed => (access, stored.dtype),
            };
            lines.line(format!("{field} = (const {} *)(data + {});", text::memory(ty), stored.offset));
        }
        for state in states {
            lines.line(format!("{}.offset = {};", state.access, state.offset));
        }
        let frame = pack.iter().map(|one| one.offset).max();
        let frame = frame.map(|_| pack_frame(unit, pack));
        for Computed { access, part, procedure, dtype, offset } in pack {
            let written = &unit.written[procedure.0];
            let ty = text::memory(*dtype);
            let place = format!("({ty} *)((uint8_t *)pack + {offset})");
            let scratch = format!("(uint8_t *)pack + {}", frame.unwrap_or(0));
            call_once(&mut lines, written, part, &scratch, &place);
            lines.line(format!("{access} = {place};"));
        }
        lines.finish().text()
    }
}

/// Where scratch memory begins in the pack: after everything that stays.
fn pack_frame(unit: &Unit<'_>, pack: &[Computed]) -> usize {
    let ends = pack.iter().map(|one| {
        let procedure = &unit.procedures[one.procedure.0];
        let bytes = procedure.function.results.iter().map(|ty| {
            let sizes = ty.shape.dims.iter().map(|dim| dim.as_const().unwrap_or(0));
            sizes.product::<i64>() * numbers::element_bytes(one.dtype)
        });
        (one.offset + usize::try_from(bytes.sum::<i64>()).unwrap_or(0)).next_multiple_of(ALIGNMENT)
    });
    ends.max().unwrap_or(0)
}

/// A call of a procedure without operands, whose result goes to a place.
fn call_once(lines: &mut Lines, written: &super::unit::Written, part: &str, frame: &str, place: &str) {
    let mut arguments = vec![];
    if written.takes.instance {
        arguments.push(part.to_string());
    }
    if written.takes.frame {
        arguments.push(frame.to_string());
    }
    arguments.push(place.to_string());
    let call = format!("{}({})", written.name, arguments.join(", "));
    if !written.can_fail {
        lines.line(format!("{call};"));
        return;
    }
    lines.open("");
    lines.line(format!("const int error = {call};"));
    lines.open("if (error != 0)");
    lines.line("return error;");
    lines.close();
    lines.close();
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
