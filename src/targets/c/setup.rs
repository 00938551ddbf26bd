//! What is there before the first call: places in the pack and the arena, pointers into the weights, first values of state.

use crate::base::code::E0602;
use crate::ir::{Init, MemberKind, Part};
use crate::quant::pack::Format;
use crate::targets::TargetError;
use crate::targets::c::file::{ALIGNMENT, File};
use crate::targets::c::kernel::Packing;
use crate::targets::c::lines::Lines;
use crate::targets::c::model::Kept;
use crate::targets::c::numbers;
use crate::targets::c::public::{Arena, Public};
use crate::targets::c::specialise::ProcId;
use crate::targets::c::text;
use crate::targets::c::unit::{Unit, Written, element};
use crate::targets::held::Held;
use crate::types::{DType, HostValue, Tensor};

/// A member that is computed once, of one instance.
pub(super) struct Computed {
    /// `w->rotary.table`, from the weights.
    access: String,
    part: String,
    procedure: ProcId,
    dtype: DType,
    /// In the pack.
    offset: usize,
}

/// A weight in the layout of tiles.
pub(super) struct Packed {
    /// `weights->fc1.weight`
    access: String,
    packing: Packing,
    /// In the pack.
    offset: usize,
}

/// What `weights_init` fills the pack with.
pub(super) struct Pack {
    packed: Vec<Packed>,
    computed: Vec<Computed>,
    /// Where memory begins that is only needed meanwhile.
    frame: usize,
    pub bytes: usize,
}

/// State in the arena.
pub(super) struct State<'u> {
    held: &'u Held<'u>,
    index: usize,
    access: String,
    kept: Kept,
    offset: usize,
}

impl File<'_> {
    /// What `weights_init` computes, in an order in which each finds what it reads.
    pub(super) fn pack(&self, unit: &Unit<'_>) -> Result<Pack, Vec<TargetError>> {
        let packed = packed_weights(unit);
        let mut found = vec![];
        let ends = packed.iter().map(|one| one.offset + usize::try_from(one.packing.bytes()).unwrap_or(0));
        let (mut offset, mut frame) = (ends.max().unwrap_or(0).next_multiple_of(ALIGNMENT), 0);
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
        Ok(Pack { packed, computed: found, frame: offset, bytes: offset + frame })
    }

    /// The states of the arena, after its first word.
    pub(super) fn states<'u>(&self, unit: &'u Unit<'_>) -> Vec<State<'u>> {
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

    pub(super) fn arena(&self, unit: &Unit<'_>, states: &[State<'_>]) -> Arena {
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
    pub(super) fn reset(
        &self,
        unit: &Unit<'_>,
        states: &[State<'_>],
        arena: &Arena,
    ) -> Result<String, Vec<TargetError>> {
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
                    let one = element(&one, 0);
                    lines.open(&format!("for (int64_t i = 0; i < {count}; i++)"));
                    lines.line(format!("(({ty} *)({place}))[i] = {one};"));
                    lines.close();
                }
                None => {
                    if let Init::Values(tensor) = &held.storage.init {
                        let ty = text::memory(dtype);
                        for index in 0..tensor.len() {
                            let value = element(tensor, index);
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
    pub(super) fn initialise(&self, unit: &Unit<'_>, pack: &Pack, states: &[State<'_>]) -> String {
        let mut lines = Lines::new(1);
        for stored in &self.layout.tensors {
            let held = &unit.model.contents.tensors[stored.tensor];
            let member = held.path.rsplit('.').next().unwrap_or_default();
            let Some(access) = unit.member_access(&held.path, "weights") else { continue };
            let (field, ty) = match unit.model.kept(held.layer, member, held.storage) {
                Kept::Quantised => {
                    let scheme = held.storage.scheme.as_ref();
                    let is_plain = scheme.map(Format::of_scheme) == Some(Format::Int8);
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
        for Packed { access, packing, offset } in &pack.packed {
            let (ty, field) = (packing.element(), packing.field(access));
            let bytes = if *offset == 0 { "pack".to_string() } else { format!("((uint8_t *)pack + {offset})") };
            let place = format!("({ty} *){bytes}");
            let (call, checks) = packing.call(access, &place);
            if checks {
                lines.open(&format!("if (!{call})"));
                lines.line(format!("return {}_ERROR_VALUE;", unit.upper()));
                lines.close();
            } else {
                lines.line(format!("{call};"));
            }
            lines.line(format!("{field} = {place};"));
        }
        for Computed { access, part, procedure, dtype, offset } in &pack.computed {
            let written = &unit.written[procedure.0];
            let ty = text::memory(*dtype);
            let place = format!("({ty} *)((uint8_t *)pack + {offset})");
            let scratch = format!("(uint8_t *)pack + {}", pack.frame);
            call_once(&mut lines, written, part, &scratch, &place);
            lines.line(format!("{access} = {place};"));
        }
        lines.finish().text()
    }
}

/// The weights of all instances that kernels want in another layout.
fn packed_weights(unit: &Unit<'_>) -> Vec<Packed> {
    let (mut found, mut offset) = (vec![], 0);
    for held in &unit.model.contents.tensors {
        let member = held.path.rsplit('.').next().unwrap_or_default();
        let Some(access) = unit.member_access(&held.path, "weights") else { continue };
        let own = unit.model.packings.iter().filter(|(layer, name, _)| *layer == held.layer && name == member);
        for (_, _, packing) in own.filter(|(_, _, packing)| packing.fits(&held.shape)) {
            found.push(Packed { access: access.clone(), packing: *packing, offset });
            offset += usize::try_from(packing.bytes()).unwrap_or(0).next_multiple_of(ALIGNMENT);
        }
    }
    found
}

/// A call of a procedure without operands, whose result goes to a place.
fn call_once(lines: &mut Lines, written: &Written, part: &str, frame: &str, place: &str) {
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
