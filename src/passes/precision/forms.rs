//! Which values of a program are of the low type: a walk forward through each function, in every version that
//! calls ask for, until nothing changes.

use super::kept::{After, kept};
use crate::ir::{
    FuncId, Function, Init, Inst, InstId, InstKind, MemberKind, Module, Region, Role as StorageRole, Storage, ValueId,
};
use crate::ops::OpId;
use crate::ops::precision::Precision;
use crate::types::tensor::round_f64;
use crate::types::{DType, Tensor, TensorType};
use rustc_hash::FxHashMap;
use std::collections::BTreeSet;

/// What becomes of a value that is float32 in the source. Values of other types have a form that means nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// A literal or a host number: as good in the low type.
    Literal,
    /// Stays float32.
    Wide,
    /// Stays float32, and so does what is computed with it: state, in which small changes add up, and literals that
    /// the low type cannot hold.
    Pinned,
    /// Stays float32, but was made from what is low: what is computed with it, element by element, is low again.
    Back,
    /// Is of the low type.
    Low,
}

impl Form {
    /// Low, or to be so where it is computed with.
    fn is_low_again(self) -> bool {
        matches!(self, Form::Low | Form::Back)
    }
}

/// A function with certain parameters low.
pub(super) type Key = (FuncId, Vec<bool>);

/// What a call runs.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Callee {
    /// The function as it is: float32 in and out.
    Original(FuncId),
    Version(Key),
}

/// Who decides about the types of a function.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Role {
    /// It stays float32: it makes members of an instance, or stands in the list ([`kept`]), which says of what is
    /// made from low values whether it becomes low again.
    Kept(After),
    /// Called from outside: parameters and results keep their types.
    Declared,
    /// May have a native form on a target, with one element type: all float32 parameters and results are low, or none.
    Uniform,
    /// Each call, one by one.
    Free,
    /// A method, of which there is one version: low is what any call gives in the low type.
    Method,
}

/// One version, analysed.
#[derive(Clone, Debug)]
pub(super) struct Version {
    pub forms: Vec<Form>,
    pub results: Vec<Form>,
}

/// The forms of all versions.
pub(super) struct Forms<'m> {
    pub module: &'m Module,
    low: DType,
    roles: Vec<Role>,
    /// Functions that run when an instance is made.
    pub makers: BTreeSet<FuncId>,
    /// What calls have given each method so far.
    methods: FxHashMap<FuncId, Vec<bool>>,
    versions: FxHashMap<Key, Version>,
    changed: bool,
}

impl<'m> Forms<'m> {
    pub fn of(module: &'m Module, low: DType) -> Forms<'m> {
        let makers = makers(module);
        let mut forms = Forms {
            module,
            low,
            roles: roles(module, &makers),
            makers,
            methods: FxHashMap::default(),
            versions: FxHashMap::default(),
            changed: true,
        };
        // Parameters of methods only ever become low, so this ends.
        while std::mem::take(&mut forms.changed) {
            forms.versions.clear();
            for root in forms.roots() {
                forms.version(&root);
            }
        }
        forms
    }

    /// The functions that are called from outside.
    pub fn roots(&self) -> Vec<Key> {
        let ids = (0..self.module.functions.len() as u32).map(FuncId);
        ids.filter(|id| self.role(*id) == Role::Declared).map(|id| (id, self.none(id))).collect()
    }

    fn none(&self, id: FuncId) -> Vec<bool> {
        vec![false; self.module[id].params.len()]
    }

    fn role(&self, id: FuncId) -> Role {
        self.roles[id.0 as usize]
    }

    pub fn is_declared(&self, id: FuncId) -> bool {
        self.role(id) == Role::Declared
    }

    /// What a call with operands of these forms runs.
    pub fn callee(&mut self, func: FuncId, operands: &[Form]) -> Callee {
        let function = &self.module[func];
        let floats = function.params.iter().map(|param| is_float32(function, *param));
        let given: Vec<bool> = floats.clone().zip(operands).map(|(float, form)| float && form.is_low_again()).collect();
        let key = match self.role(func) {
            Role::Kept(_) => return Callee::Original(func),
            Role::Declared => (func, self.none(func)),
            Role::Free => (func, given),
            Role::Method => {
                let known = self.methods.entry(func).or_insert_with(|| vec![false; given.len()]);
                for (known, given) in known.iter_mut().zip(&given) {
                    self.changed |= *given && !*known;
                    *known |= given;
                }
                (func, known.clone())
            }
            Role::Uniform => {
                let none = (func, self.none(func));
                let wide = !given.contains(&true) && !self.version(&none).results.contains(&Form::Low);
                if wide { none } else { (func, floats.collect()) }
            }
        };
        let version = self.version(&key);
        let same = !version.forms.contains(&Form::Low);
        if same { Callee::Original(func) } else { Callee::Version(key) }
    }

    pub fn version(&mut self, key: &Key) -> Version {
        if let Some(version) = self.versions.get(key) {
            return version.clone();
        }
        let function = &self.module[key.0];
        let mut forms = vec![Form::Wide; function.values.len()];
        for (param, low) in function.params.iter().zip(&key.1) {
            forms[param.0 as usize] = if *low { Form::Low } else { Form::Wide };
        }
        let returned = Walk { function, forms: &mut forms, outer: self }.region(&function.body);
        let uniform = self.role(key.0) == Role::Uniform && key.1.contains(&true);
        let result = |(form, ty): (Form, &TensorType)| match form {
            _ if self.is_declared(key.0) || !ty.elem.is(DType::Float32) => Form::Wide,
            _ if uniform => Form::Low,
            Form::Low | Form::Back => form,
            Form::Literal | Form::Wide | Form::Pinned => Form::Wide,
        };
        let results = returned.into_iter().zip(&function.results).map(result).collect();
        let version = Version { forms, results };
        self.versions.insert(key.clone(), version.clone());
        version
    }

    /// The form of a literal.
    fn literal(&self, value: &Tensor) -> Form {
        let fits = (0..value.len()).all(|index| self.holds(value.get_f64(index)));
        if fits { Form::Literal } else { Form::Pinned }
    }

    /// Whether a number neither becomes infinite nor 0.
    fn holds(&self, value: f64) -> bool {
        let rounded = round_f64(self.low, value);
        rounded.is_finite() == value.is_finite() && (rounded == 0.0) == (value == 0.0)
    }
}

/// The functions that a function calls.
pub(super) fn callees(function: &Function) -> impl Iterator<Item = FuncId> {
    function.insts.iter().filter_map(|inst| match &inst.kind {
        InstKind::Call { func, .. } => Some(*func),
        _ => None,
    })
}

/// Functions that run when an instance is made, with the methods that they call.
fn makers(module: &Module) -> BTreeSet<FuncId> {
    let maker = |kind: &MemberKind| match kind {
        MemberKind::Constant { func, .. } => Some(*func),
        MemberKind::Storage(Storage { init: Init::Func(func), .. }) => Some(*func),
        MemberKind::Storage(_) | MemberKind::Sub(_) => None,
    };
    let members = module.layers.iter().flat_map(|layer| &layer.members);
    let mut open: Vec<FuncId> = members.filter_map(|member| maker(&member.kind)).collect();
    let mut found = BTreeSet::new();
    while let Some(id) = open.pop() {
        if found.insert(id) {
            open.extend(callees(&module[id]).filter(|callee| module[*callee].layer.is_some()));
        }
    }
    found
}

fn roles(module: &Module, makers: &BTreeSet<FuncId>) -> Vec<Role> {
    let called: BTreeSet<FuncId> = module.functions.iter().flat_map(callees).collect();
    let role = |id: FuncId| {
        let function = &module[id];
        let layer = function.layer.and_then(|layer| module.library_path(layer));
        if makers.contains(&id) {
            Role::Kept(After::Wide)
        } else if let Some(after) = function.std_path.as_ref().or(layer.as_ref()).and_then(|path| kept(path)) {
            Role::Kept(after)
        } else if function.exported || !called.contains(&id) {
            Role::Declared
        } else if function.layer.is_some() {
            Role::Method
        } else if function.std_path.is_some() || !function.maps.is_empty() {
            Role::Uniform
        } else {
            Role::Free
        }
    };
    (0..module.functions.len() as u32).map(|index| role(FuncId(index))).collect()
}

pub(super) fn is_float32(function: &Function, value: ValueId) -> bool {
    function[value].ty.elem.is(DType::Float32)
}

/// The form that the result of an operation has, from those of its float32 operands.
fn result_form(op: OpId, operands: &[Form]) -> Form {
    let has = |form: Form| operands.contains(&form);
    match op.precision() {
        Precision::Low | Precision::Unpacks => Form::Low,
        Precision::Follows if has(Form::Pinned) => Form::Pinned,
        Precision::Moves if has(Form::Pinned) => Form::Pinned,
        Precision::Follows | Precision::Moves => {
            if has(Form::Low) || has(Form::Back) && op.precision() == Precision::Follows {
                Form::Low
            } else if has(Form::Back) {
                Form::Back
            } else if has(Form::Wide) || operands.is_empty() {
                Form::Wide
            } else {
                Form::Literal
            }
        }
        Precision::Compares | Precision::Wide(_) | Precision::Any => Form::Wide,
    }
}

/// What an operation wants of its float32 operands: to be low, or not; `None` for either.
pub(super) fn wants_low(op: OpId, operands: &[Form], result: Form) -> Option<bool> {
    match op.precision() {
        Precision::Low => Some(true),
        Precision::Follows | Precision::Moves => Some(result == Form::Low),
        Precision::Compares => {
            let low = operands.contains(&Form::Low);
            Some(low && operands.iter().all(|form| matches!(form, Form::Low | Form::Literal)))
        }
        Precision::Unpacks | Precision::Wide(_) => Some(false),
        Precision::Any => None,
    }
}

/// Walks one function.
struct Walk<'w, 'm> {
    function: &'m Function,
    forms: &'w mut Vec<Form>,
    outer: &'w mut Forms<'m>,
}

impl Walk<'_, '_> {
    fn form(&self, value: ValueId) -> Form {
        self.forms[value.0 as usize]
    }

    fn set(&mut self, value: ValueId, form: Form) {
        if is_float32(self.function, value) {
            self.forms[value.0 as usize] = form;
        }
    }

    /// Forms of what the region ends with.
    fn region(&mut self, region: &Region) -> Vec<Form> {
        let mut last = vec![];
        for id in &region.insts {
            last = self.inst(*id);
        }
        last
    }

    /// Sets the forms of results; gives those of operands.
    fn inst(&mut self, id: InstId) -> Vec<Form> {
        let function = self.function;
        let inst = &function[id];
        let operands: Vec<Form> = inst.operands.iter().map(|operand| self.form(*operand)).collect();
        match &inst.kind {
            InstKind::Op { op, .. } => {
                let floats = inst.operands.iter().zip(&operands).filter(|(value, _)| is_float32(function, **value));
                let floats: Vec<Form> = floats.map(|(_, form)| *form).collect();
                let form = result_form(*op, &floats);
                inst.results.iter().for_each(|result| self.set(*result, form));
            }
            InstKind::Const(value) => {
                let form = self.outer.literal(value);
                self.set_all(&inst.results, &[form]);
            }
            InstKind::Host(expr) => {
                let holds = expr.as_const().is_none_or(|value| self.outer.holds(value));
                self.set_all(&inst.results, &[if holds { Form::Literal } else { Form::Pinned }]);
            }
            InstKind::Call { func, .. } => self.call(inst, *func, &operands),
            InstKind::If { then, otherwise } => {
                let (a, b) = (self.region(then), self.region(otherwise));
                let joined = joined(&a, &b);
                self.set_all(&inst.results, &joined);
            }
            InstKind::For { body, .. } => self.carry(&inst.results, &[], body, operands.get(2..).unwrap_or_default()),
            InstKind::While { cond, body, .. } => self.carry(&inst.results, &[cond], body, &operands),
            InstKind::Gradient { body } | InstKind::Fused { body } => {
                // Operands and results stay float32.
                drop(self.region(body));
            }
            InstKind::Param { name, .. } => {
                let layer = function.layer;
                let role = layer.and_then(|layer| Some(self.outer.module.stored(layer, name)?.role));
                if matches!(role, Some(StorageRole::State | StorageRole::Transient)) {
                    self.set_all(&inst.results, &[Form::Pinned]);
                }
            }
            InstKind::Rng { .. }
            | InstKind::SetState { .. }
            | InstKind::SetSlice { .. }
            | InstKind::Assert { .. }
            | InstKind::Ensure(_)
            | InstKind::Print { .. }
            | InstKind::Yield
            | InstKind::Return => {}
        }
        operands
    }

    fn call(&mut self, inst: &Inst, func: FuncId, operands: &[Form]) {
        let made_from_low = operands.iter().any(|form| form.is_low_again());
        match (self.outer.callee(func, operands), self.outer.role(func)) {
            (Callee::Version(key), _) => {
                let results = self.outer.version(&key).results;
                self.set_all(&inst.results, &results);
            }
            (Callee::Original(_), Role::Kept(After::Back)) if made_from_low => {
                self.set_all(&inst.results, &vec![Form::Back; inst.results.len()]);
            }
            (Callee::Original(_), _) => {}
        }
    }

    fn set_all(&mut self, values: &[ValueId], forms: &[Form]) {
        values.iter().zip(forms).for_each(|(value, form)| self.set(*value, *form));
    }

    /// A carried value is low if it begins so or becomes so in a turn.
    fn carry(&mut self, results: &[ValueId], before: &[&Region], body: &Region, initial: &[Form]) {
        let mut carried = joined(initial, initial);
        loop {
            for region in before.iter().copied().chain([body]) {
                let params = &region.params[region.params.len() - carried.len()..];
                self.set_all(params, &carried);
            }
            before.iter().for_each(|region| drop(self.region(region)));
            let yielded = self.region(body);
            let next = joined(&carried, &yielded);
            if next == carried {
                // What is collected comes after what is carried.
                let collected = joined(&yielded, &yielded).into_iter().skip(carried.len());
                carried.extend(collected);
                return self.set_all(results, &carried);
            }
            carried = next;
        }
    }
}

/// Low where one of the two is; else float32, for these are no literals any more.
fn joined(a: &[Form], b: &[Form]) -> Vec<Form> {
    let low = |(a, b): (&Form, &Form)| a.is_low_again() || b.is_low_again();
    a.iter().zip(b).map(|pair| if low(pair) { Form::Low } else { Form::Wide }).collect()
}
