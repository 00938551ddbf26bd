//! The tensors of a layer's instance, by path.

use crate::base::Code;
use crate::base::code::{E0409, E0503, E0701};
use crate::interp::value::{apply, apply_one};
use crate::interp::{Env, RunError, eval_dim};
use crate::ir::{FuncId, LayerId, Part, PathSegment, Storage, Window, member_path};
use crate::ops::{Attr, Attrs};
use crate::quant::pack::{Format, unpack};
use crate::types::{DType, Tensor};

/// A layer with concrete hyperparameters and the tensors that it holds.
#[derive(Clone, Debug)]
pub struct Instance {
    pub layer: LayerId,
    /// From the root: `blocks.0.attn`; empty for the root itself.
    pub path: String,
    /// The same in weights files.
    pub saved: String,
    pub hypers: Env,
    pub(super) members: Vec<(String, Held)>,
}

#[derive(Clone, Debug)]
pub(super) enum Held {
    Storage(Box<Slot>),
    Constant(Tensor),
    /// The result of a function on the weights, once somebody has asked for it.
    Derived {
        func: FuncId,
        value: Option<Tensor>,
    },
    Sub(Node),
}

#[derive(Clone, Debug)]
pub(super) enum Node {
    Instance(Box<Instance>),
    List(Vec<Node>),
    Function,
}

/// A `param`, `buffer` or `state` with its values. A quantised one has them as a float master, as codes
/// with scales, or as both; what is missing is computed from what is there.
#[derive(Clone, Debug)]
pub struct Slot {
    pub storage: Storage,
    /// The full path in weights files.
    pub saved: String,
    pub shape: Vec<usize>,
    value: Option<Tensor>,
    codes: Option<Tensor>,
    scale: Option<Tensor>,
    zero_point: Option<Tensor>,
    /// Whether the value is the source of the codes, not computed from them.
    has_master: bool,
}

/// A tensor of an instance, as [`Instance::parameters`] lists it.
#[derive(Clone, Debug)]
pub struct ParameterRef<'a> {
    /// In weights files: `blocks.0.attn.q.weight`.
    pub path: String,
    pub storage: &'a Storage,
    /// The sizes of `storage.ty`.
    pub shape: &'a [usize],
    pub slot: &'a Slot,
}

impl Slot {
    pub(super) fn new(storage: Storage, saved: String, shape: Vec<usize>, value: Tensor) -> Slot {
        Slot { storage, saved, shape, value: Some(value), codes: None, scale: None, zero_point: None, has_master: true }
    }

    /// Whether there are float values that the codes, if any, come from.
    pub fn has_master(&self) -> bool {
        self.has_master
    }

    fn part_mut(&mut self, part: Part) -> &mut Option<Tensor> {
        match part {
            Part::Value => &mut self.value,
            Part::Codes => &mut self.codes,
            Part::Scale => &mut self.scale,
            Part::ZeroPoint => &mut self.zero_point,
        }
    }

    /// A part, computed from the others if it is not there.
    pub fn read(&mut self, part: Part) -> Result<Tensor, RunError> {
        if let Some(tensor) = self.part_mut(part) {
            return Ok(tensor.clone());
        }
        if part == Part::Value {
            self.value = Some(self.dequantised()?);
        } else if let Some(value) = self.value.clone() {
            self.quantise(value)?;
        }
        self.part_mut(part).clone().ok_or_else(|| RunError::new(E0701, format!("{part:?} has no value")))
    }

    fn scheme_attrs(&self) -> Result<Attrs, RunError> {
        let scheme = self.storage.scheme.clone().ok_or_else(|| RunError::new(E0701, "it is not quantised"))?;
        Ok(Attrs::new().with("scheme", Attr::Scheme(scheme)))
    }

    fn quantise(&mut self, value: Tensor) -> Result<(), RunError> {
        let mut parts = apply("quantize", &[value], &self.scheme_attrs()?)?.into_iter();
        (self.codes, self.scale, self.zero_point) = (parts.next(), parts.next(), parts.next());
        Ok(())
    }

    fn dequantised(&self) -> Result<Tensor, RunError> {
        let (Some(codes), Some(scale)) = (self.codes.clone(), self.scale.clone()) else {
            return Err(RunError::new(E0701, "codes or scales are missing"));
        };
        let dtype = self.storage.ty.elem.clone();
        let attrs = self.scheme_attrs()?.with("dtype", Attr::DType(dtype));
        let operands: Vec<Tensor> = [codes, scale].into_iter().chain(self.zero_point.clone()).collect();
        apply_one("dequantize", &operands, &attrs)
    }

    /// Replaces a part; setting the value drops the codes, and the other way round.
    fn set(&mut self, part: Part, tensor: Tensor) -> Result<(), (Code, String)> {
        self.has_master = part == Part::Value;
        match part {
            Part::Value => {
                let dtype = self.storage.ty.dtype().unwrap_or(DType::Float32);
                if tensor.dtype() != dtype || tensor.shape() != self.shape {
                    let found = describe(&tensor);
                    return Err((E0701, format!("is {found}, not {dtype}{:?}", self.shape)));
                }
                (self.codes, self.scale, self.zero_point) = (None, None, None);
                self.value = Some(tensor);
            }
            Part::Codes => {
                self.codes = Some(self.unpacked(tensor)?);
                self.value = None;
            }
            Part::Scale => {
                self.scale = Some(tensor);
                self.value = None;
            }
            Part::ZeroPoint => {
                self.zero_point = Some(tensor);
                self.value = None;
            }
        }
        Ok(())
    }

    /// Codes one by one; they may come packed into bytes, as weights files have them.
    fn unpacked(&self, codes: Tensor) -> Result<Tensor, (Code, String)> {
        let scheme = self.storage.scheme.as_ref().ok_or((E0701, "is not quantised".to_string()))?;
        let dtype = scheme.code_dtype();
        let codes = match (codes.dtype(), self.shape.last()) {
            (DType::UInt8, Some(size)) if codes.shape() != self.shape || dtype != DType::UInt8 => {
                let unpacked = unpack(&codes, Format::of_scheme(scheme), *size, dtype);
                unpacked.map_err(|error| (E0503, format!("has invalid codes: {error}")))?
            }
            _ => codes,
        };
        if codes.dtype() != dtype || codes.shape() != self.shape {
            return Err((E0701, format!("has codes {}, not {dtype}{:?}", describe(&codes), self.shape)));
        }
        Ok(codes)
    }
}

/// `float32[2, 3]`
pub(super) fn describe(tensor: &Tensor) -> String {
    format!("{}{:?}", tensor.dtype(), tensor.shape())
}

impl Instance {
    /// Every storage of the instance and of its parts, in order of declaration.
    pub fn parameters(&self) -> Vec<ParameterRef<'_>> {
        let mut found = vec![];
        self.collect(&mut found);
        found
    }

    fn collect<'a>(&'a self, found: &mut Vec<ParameterRef<'a>>) {
        for (_, held) in &self.members {
            match held {
                Held::Storage(slot) => found.push(ParameterRef {
                    path: slot.saved.clone(),
                    storage: &slot.storage,
                    shape: &slot.shape,
                    slot,
                }),
                Held::Sub(node) => node.collect(found),
                Held::Constant(_) | Held::Derived { .. } => {}
            }
        }
    }

    fn held_mut(&mut self, name: &str) -> Option<&mut Held> {
        self.members.iter_mut().find(|(own, _)| own == name).map(|(_, held)| held)
    }

    /// The storage with this path in weights files.
    pub fn slot_mut(&mut self, path: &str) -> Option<&mut Slot> {
        let below =
            path.strip_prefix(self.saved.as_str()).is_some_and(|rest| self.saved.is_empty() || rest.starts_with('.'));
        if !below {
            return None;
        }
        self.members.iter_mut().find_map(|(_, held)| match held {
            Held::Storage(slot) => (slot.saved == path).then_some(&mut **slot),
            Held::Sub(node) => node.slot_mut(path),
            Held::Constant(_) | Held::Derived { .. } => None,
        })
    }

    /// Gives a storage new values: the value itself, or a part of its quantised form as it is.
    pub fn set(&mut self, path: &str, part: Part, tensor: Tensor) -> Result<(), RunError> {
        let no_such = || RunError::new(E0701, format!("the model has no `{path}`"));
        let slot = self.slot_mut(path).ok_or_else(no_such)?;
        slot.set(part, tensor).map_err(|(code, fault)| RunError::new(code, format!("`{path}` {fault}")))?;
        self.forget_derived();
        Ok(())
    }

    /// What was computed of weights is computed again when it is asked for.
    fn forget_derived(&mut self) {
        for (_, held) in &mut self.members {
            match held {
                Held::Derived { value, .. } => *value = None,
                Held::Sub(node) => node.forget_derived(),
                Held::Storage(_) | Held::Constant(_) => {}
            }
        }
    }

    /// The instance that holds a member, and its function, if that has to be computed of weights before it is read.
    pub(super) fn underived(&mut self, name: &str) -> Result<Option<(&mut Instance, FuncId)>, RunError> {
        let (path, own) = member_path(name).unwrap_or((vec![], name));
        let holder = self.at(&path, &Env::default())?;
        match holder.held_mut(own) {
            Some(Held::Derived { func, value: None }) => {
                let func = *func;
                Ok(Some((holder, func)))
            }
            _ => Ok(None),
        }
    }

    /// Keeps what the function of a derived member gave.
    pub(super) fn keep_derived(&mut self, func: FuncId, tensor: &Tensor) {
        for (_, held) in &mut self.members {
            if let Held::Derived { func: own, value } = held
                && *own == func
            {
                *value = Some(tensor.clone());
            }
        }
    }

    /// The value of a storage, or a part of its quantised form.
    pub fn get(&mut self, path: &str, part: Part) -> Result<Tensor, RunError> {
        let no_such = || RunError::new(E0701, format!("the model has no `{path}`"));
        let slot = self.slot_mut(path).ok_or_else(no_such)?;
        slot.read(part).map_err(|error| RunError { message: format!("`{path}`: {}", error.message), ..error })
    }

    /// What `param` reads: a storage or constant, of this instance or of a part of it.
    pub(super) fn read_member(&mut self, name: &str, part: Part) -> Result<Tensor, RunError> {
        if let Some((path, own)) = member_path(name) {
            return self.at(&path, &Env::default())?.read_member(own, part);
        }
        let path = join(&self.path, name);
        match self.held_mut(name) {
            Some(Held::Storage(slot)) => {
                slot.read(part).map_err(|error| RunError { message: format!("`{path}`: {}", error.message), ..error })
            }
            Some(Held::Constant(tensor) | Held::Derived { value: Some(tensor), .. }) => Ok(tensor.clone()),
            Some(Held::Derived { value: None, .. } | Held::Sub(_)) | None => {
                Err(RunError::new(E0409, format!("`{path}` has no value yet")))
            }
        }
    }

    /// What `set_state` does; the verifier has seen to types.
    pub(super) fn write_member(&mut self, name: &str, tensor: Tensor) -> Result<(), RunError> {
        if let Some((path, own)) = member_path(name) {
            return self.at(&path, &Env::default())?.write_member(own, tensor);
        }
        if let Some(Held::Storage(slot)) = self.held_mut(name) {
            slot.value = Some(tensor);
        }
        Ok(())
    }

    /// What `set_slice` does: replaces the part of a state that begins at `starts`.
    pub(super) fn write_slice(
        &mut self,
        name: &str,
        value: &Tensor,
        windows: &[Window],
        starts: &[i64],
    ) -> Result<(), RunError> {
        if let Some((path, own)) = member_path(name) {
            return self.at(&path, &Env::default())?.write_slice(own, value, windows, starts);
        }
        let path = join(&self.path, name);
        let Some(Held::Storage(slot)) = self.held_mut(name) else { return Ok(()) };
        let Some(state) = &mut slot.value else { return Ok(()) };
        let mut first = vec![0; state.rank()];
        let mut sizes = state.shape().to_vec();
        let mut inner = value.shape().iter();
        for axis in 0..state.rank() {
            let window = windows.iter().position(|window| window.axis == axis);
            let is_position = window.is_some_and(|index| windows[index].size.is_none());
            sizes[axis] = if is_position { 1 } else { inner.next().copied().unwrap_or(1) };
            let Some(start) = window.and_then(|index| starts.get(index).copied()) else { continue };
            let length = state.shape()[axis];
            let resolved = if start < 0 { start.saturating_add(length as i64) } else { start };
            let fits = |at: &usize| at.checked_add(sizes[axis]).is_some_and(|end| end <= length);
            first[axis] = usize::try_from(resolved).ok().filter(fits).ok_or_else(|| {
                let count = sizes[axis];
                let message =
                    format!("`{path}`: {count} elements from {start} are out of range for an axis of {length}");
                RunError::new(E0409, message)
            })?;
        }
        state.write_block(&first, &sizes, value);
        Ok(())
    }

    /// The name in weights files of the storage at a path of the IR.
    pub(super) fn saved_name(&mut self, path: &[PathSegment], name: &str, env: &Env) -> Result<String, RunError> {
        match self.at(path, env)?.held_mut(name) {
            Some(Held::Storage(slot)) => Ok(slot.saved.clone()),
            Some(Held::Constant(_) | Held::Derived { .. } | Held::Sub(_)) | None => {
                Err(RunError::new(E0409, format!("there is no storage `{name}`")))
            }
        }
    }

    /// The instance at a path of the IR.
    pub(super) fn at(&mut self, path: &[PathSegment], env: &Env) -> Result<&mut Instance, RunError> {
        let mut instance = self;
        let mut segments = path.iter().peekable();
        while let Some(segment) = segments.next() {
            let own = instance.path.clone();
            let lost = |what: &str| RunError::new(E0409, format!("`{own}` has no part {what}"));
            let PathSegment::Field(name) = segment else { return Err(lost("by position")) };
            let Some(Held::Sub(node)) = instance.held_mut(name) else { return Err(lost(name)) };
            let mut node: &mut Node = node;
            while let Some(PathSegment::Index(dim)) = segments.peek() {
                segments.next();
                let index = eval_dim(dim, env).and_then(|index| usize::try_from(index).ok());
                let element = match (node, index) {
                    (Node::List(elements), Some(index)) => elements.get_mut(index),
                    _ => None,
                };
                node = element.ok_or_else(|| lost(&format!("{name}[{dim}]")))?;
            }
            instance = match node {
                Node::Instance(next) => next,
                Node::List(_) | Node::Function => return Err(lost(name)),
            };
        }
        Ok(instance)
    }
}

impl Node {
    fn collect<'a>(&'a self, found: &mut Vec<ParameterRef<'a>>) {
        match self {
            Node::Instance(instance) => instance.collect(found),
            Node::List(elements) => elements.iter().for_each(|element| element.collect(found)),
            Node::Function => {}
        }
    }

    fn forget_derived(&mut self) {
        match self {
            Node::Instance(instance) => instance.forget_derived(),
            Node::List(elements) => elements.iter_mut().for_each(Node::forget_derived),
            Node::Function => {}
        }
    }

    fn slot_mut(&mut self, path: &str) -> Option<&mut Slot> {
        match self {
            Node::Instance(instance) => instance.slot_mut(path),
            Node::List(elements) => elements.iter_mut().find_map(|element| element.slot_mut(path)),
            Node::Function => None,
        }
    }
}

pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}
