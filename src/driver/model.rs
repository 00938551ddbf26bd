//! What an entry needs from outside: the inputs of a method, and the tensors of a weights file. Both are
//! read off the IR, with the entry's hyperparameters put in.

use crate::base::code::{E0109, E0310, E0407};
use crate::base::{Diagnostic, closest};
use crate::driver::bind::Expected;
use crate::driver::inputs::InputSpec;
use crate::ir::{FuncId, Function, HostKind, LayerId, MemberKind, Module, Role, SavedName, Storage, Sub};
use crate::quant::Quantization;
use crate::types::{DType, HostValue, Symbol};
use std::collections::{BTreeMap, HashSet};

/// A model with more tensors than this is taken for a mistake in a hyperparameter.
const MAX_TENSORS: usize = 1 << 20;

/// Values of the symbols of one layer.
type Values = BTreeMap<Symbol, HostValue>;

/// What a method of the entry takes.
#[derive(Clone, Debug)]
pub struct Signature {
    pub method: FuncId,
    pub tensors: Vec<InputSpec>,
    /// Inputs that it could take as well.
    pub left_out: Vec<String>,
    /// Numbers that no shape tells.
    pub numbers: Vec<(Symbol, HostKind)>,
    /// The values of the int hyperparameters that dims may use.
    pub known: BTreeMap<Symbol, i64>,
}

/// The parameters of a method of the entry (`forward` if `None`) with these of its optional inputs.
pub fn signature(module: &Module, method: Option<&str>, given: &dyn Fn(&str) -> bool) -> Result<Signature, Diagnostic> {
    let name = method.unwrap_or("forward");
    let Some(entry) = &module.entry else {
        return Err(Diagnostic::new(E0407, format!("there is no entry whose `{name}` could be run")));
    };
    let method = find_method(module, entry.layer, name, given)?;
    let function = &module[method];
    let spec = |(index, value): (usize, &crate::ir::ValueId)| {
        let value = &function[*value];
        InputSpec { name: value.name.clone().unwrap_or(format!("x{index}")), ty: value.ty.clone() }
    };
    let known = entry.args.iter().filter_map(|(symbol, value)| Some((symbol.clone(), value.as_int()?)));
    let tensors: Vec<InputSpec> = function.params.iter().enumerate().map(spec).collect();
    let in_shape =
        |symbol: &Symbol| tensors.iter().any(|spec| spec.ty.shape.dims.iter().any(|d| d.symbols().contains(symbol)));
    let numbers = function.symbols.iter().filter(|(symbol, _)| !in_shape(symbol)).cloned().collect();
    let left_out = function.optional.iter().filter(|(_, given)| !given).map(|(name, _)| name.clone()).collect();
    Ok(Signature { method, tensors, left_out, numbers, known: known.collect() })
}

fn find_method(
    module: &Module,
    layer: LayerId,
    name: &str,
    given: &dyn Fn(&str) -> bool,
) -> Result<FuncId, Diagnostic> {
    let found = module.method(layer, name, given);
    let layer = &module[layer];
    let methods: Vec<&Function> = layer.methods.iter().map(|id| &module[*id]).collect();
    // Only the entry's forward and what is exported can be called from outside.
    let callable = || methods.iter().copied().filter(|f| f.exported || f.source_name == "forward");
    found.filter(|id| module[*id].exported || name == "forward").ok_or_else(|| {
        let message = format!("layer `{}` has no method `{name}` that can be run", layer.source_name);
        let diagnostic = Diagnostic::new(E0407, message);
        if let Some(near) = closest(name, callable().map(|function| function.source_name.as_str())) {
            return diagnostic.note(format!("help: did you mean `{near}`?"));
        }
        if methods.iter().any(|function| function.source_name == name) {
            return diagnostic.note("help: write `@export` before it");
        }
        let mut names: Vec<&str> = callable().map(|function| function.source_name.as_str()).collect();
        names.dedup();
        diagnostic.note(format!("help: its methods are {}", names.join(", ")))
    })
}

/// A tensor that an instance of the entry holds.
#[derive(Clone, Debug, PartialEq)]
pub struct Stored {
    /// As a weights file has it.
    pub expected: Expected,
    /// Its path in Tri, whatever it is saved as.
    pub path: String,
    /// The `@quantize` that reaches it from around it, unless it has one of its own.
    pub inherited: Option<Option<Quantization>>,
    /// Its own.
    pub own: Option<Quantization>,
    pub role: Role,
    /// Where it is declared.
    pub layer: LayerId,
    pub member: String,
}

/// Every tensor that a weights file for the entry holds, by name there and in order of declaration:
/// parameters, buffers and state, but nothing transient.
pub fn storage(module: &Module) -> Result<Vec<Expected>, Diagnostic> {
    Ok(stored(module)?.into_iter().map(|stored| stored.expected).collect())
}

/// The same, with where they come from.
pub fn stored(module: &Module) -> Result<Vec<Stored>, Diagnostic> {
    let mut walk = Walk { module, found: vec![] };
    if let Some(entry) = &module.entry {
        walk.layer(entry.layer, Place::default(), &entry.args.iter().cloned().collect())?;
    }
    let mut seen = HashSet::new();
    match walk.found.iter().find(|stored| !seen.insert(stored.expected.name.as_str())) {
        Some(twice) => {
            let message = format!("two tensors would be saved as `{}`", twice.expected.name);
            Err(Diagnostic::new(E0109, message).note("help: give them different names with `@saved`"))
        }
        None => Ok(walk.found),
    }
}

/// Where an instance or member is, in Tri and in weights files, and what reaches it from around it.
#[derive(Clone, Copy, Default)]
struct Place<'a> {
    path: &'a str,
    saved: &'a str,
    quantize: Option<&'a Option<Quantization>>,
}

struct Walk<'a> {
    module: &'a Module,
    found: Vec<Stored>,
}

impl Walk<'_> {
    fn layer(&mut self, id: LayerId, at: Place<'_>, values: &Values) -> Result<(), Diagnostic> {
        let module = self.module;
        let quantize = module[id].quantize.as_ref().or(at.quantize);
        for member in &module[id].members {
            let own = match &member.saved {
                Some(saved) if !saved.has_position() => saved_name(saved, None, values)?,
                _ => member.name.clone(),
            };
            let (path, saved) = (join(at.path, &member.name), join(at.saved, &own));
            let here = Place { path: &path, saved: &saved, quantize: member.quantize.as_ref().or(quantize) };
            match &member.kind {
                MemberKind::Storage(storage) => {
                    if let Some(expected) = self.tensor(storage, here, values)? {
                        let has_own = storage.scheme.is_some() || member.quantize.is_some();
                        let inherited = quantize.filter(|_| !has_own).cloned();
                        let (role, member) = (storage.role, member.name.clone());
                        let own = storage.quantization();
                        self.found.push(Stored { expected, path, inherited, own, role, layer: id, member });
                    }
                }
                MemberKind::Sub(sub) => {
                    let names = member.saved.as_ref().filter(|saved| saved.has_position());
                    self.sub(sub, here, names.map(|names| (at.saved, names)), values)?;
                }
                // Computed at construction, so never saved.
                MemberKind::Constant { .. } => {}
            }
        }
        Ok(())
    }

    /// What a weights file has of a storage; nothing of what is transient.
    fn tensor(&self, storage: &Storage, at: Place<'_>, values: &Values) -> Result<Option<Expected>, Diagnostic> {
        let path = at.saved;
        match storage.role {
            Role::Param | Role::Buffer | Role::State => {}
            Role::Transient => return Ok(None),
        }
        if self.found.len() >= MAX_TENSORS {
            return Err(Diagnostic::new(E0310, format!("the model has more than {MAX_TENSORS} tensors")));
        }
        let size = |dim: &crate::types::Dim| {
            let size = dim.eval(&|symbol| values.get(symbol)?.as_int()).and_then(|size| usize::try_from(size).ok());
            size.ok_or_else(|| Diagnostic::new(E0310, format!("`{path}` has no size for `{dim}` in {}", storage.ty)))
        };
        let shape = storage.ty.shape.dims.iter().map(size).collect::<Result<Vec<usize>, _>>()?;
        let dtype = storage.ty.dtype().unwrap_or(DType::Float32);
        Ok(Some(Expected { name: path.to_string(), dtype, shape, scheme: storage.scheme.clone() }))
    }

    /// `names` are those of a list's elements, below a path, where they are not positions.
    fn sub(
        &mut self,
        sub: &Sub,
        at: Place<'_>,
        names: Option<(&str, &SavedName)>,
        values: &Values,
    ) -> Result<(), Diagnostic> {
        let element = |position: i64| {
            let saved = match names {
                Some((parent, name)) => join(parent, &saved_name(name, Some(position), values)?),
                None => join(at.saved, &position.to_string()),
            };
            Ok((join(at.path, &position.to_string()), saved))
        };
        let path = at.saved;
        match sub {
            Sub::Instance { layer, args } => {
                let mut inner = Values::new();
                for (symbol, expr) in args {
                    let value = expr.eval_value(&|symbol| values.get(symbol).cloned());
                    let unknown = || Diagnostic::new(E0310, format!("`{path}` has no value for `{symbol}`"));
                    inner.insert(symbol.clone(), value.ok_or_else(unknown)?);
                }
                self.layer(*layer, at, &inner)
            }
            Sub::List(elements) => {
                for (sub, position) in elements.iter().zip(0..) {
                    let (path, saved) = element(position)?;
                    self.sub(sub, Place { path: &path, saved: &saved, ..at }, None, values)?;
                }
                Ok(())
            }
            Sub::Repeat { index, count, element: repeated } => {
                let count = count.eval(&|symbol| values.get(symbol)?.as_int());
                let count = count.ok_or_else(|| Diagnostic::new(E0310, format!("`{path}` has no known length")))?;
                if usize::try_from(count).is_ok_and(|count| count > MAX_TENSORS) {
                    return Err(Diagnostic::new(E0310, format!("`{path}` has {count} elements")));
                }
                let mut inner = values.clone();
                for position in 0..count {
                    inner.insert(index.clone(), HostValue::Int(position));
                    let (path, saved) = element(position)?;
                    self.sub(repeated, Place { path: &path, saved: &saved, ..at }, None, &inner)?;
                }
                Ok(())
            }
            Sub::Function { .. } => Ok(()),
        }
    }
}

fn saved_name(saved: &SavedName, position: Option<i64>, values: &Values) -> Result<String, Diagnostic> {
    let name = saved.at(position, &|symbol| values.get(symbol)?.as_int());
    name.ok_or_else(|| Diagnostic::new(E0310, format!("the name `{saved}` has a number without a value")))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::base::Loc;
    use crate::ir::{Entry, Init, Layer, Member, Region, Value, ValueId};
    use crate::types::{Dim, HostExpr, Shape, TensorType};

    fn member(name: &str, kind: MemberKind) -> Member {
        Member {
            name: name.into(),
            doc: None,
            loc: Loc::default(),
            saved: None,
            checkpoint: false,
            quantize: None,
            kind,
        }
    }

    fn tensor(name: &str, role: Role, dims: Vec<Dim>) -> Member {
        let ty = TensorType::new(DType::Float32, Shape::new(dims));
        let scheme = (name == "weight").then(crate::quant::Scheme::ternary);
        member(name, MemberKind::Storage(Storage { role, ty, scheme, activations: None, init: Init::Default }))
    }

    fn layer(name: &str, members: Vec<Member>, methods: Vec<FuncId>) -> Layer {
        Layer {
            name: name.into(),
            source_name: name.into(),
            doc: None,
            loc: Loc::default(),
            quantize: None,
            hypers: vec![],
            choices: vec![],
            members,
            methods,
            obligations: vec![],
        }
    }

    fn method(name: &str, exported: bool) -> Function {
        let ty = TensorType::new(DType::Float32, Shape::new(vec![Dim::symbol("B"), Dim::symbol("dim")]));
        Function {
            name: format!("Net.{name}"),
            source_name: name.into(),
            doc: None,
            loc: Loc::default(),
            layer: Some(LayerId(0)),
            symbols: vec![],
            fresh: vec![],
            host_args: Default::default(),
            params: vec![ValueId(0)],
            results: vec![],
            values: vec![Value { ty, name: Some("x".into()) }],
            insts: vec![],
            body: Region::default(),
            maps: BTreeMap::new(),
            std_path: None,
            exported,
            optional: vec![],
            obligations: vec![],
        }
    }

    /// A net of `depth` blocks of growing width, and a list with a function in it.
    fn net() -> Module {
        let n = Dim::symbol("n");
        let instance = |n: Dim| Sub::Instance { layer: LayerId(1), args: vec![(Symbol::new("n"), HostExpr::Int(n))] };
        let growing = instance(Dim::symbol("i").add(&Dim::constant(1)).mul(&Dim::symbol("dim")));
        let blocks = Sub::Repeat { index: Symbol::new("i"), count: Dim::symbol("depth"), element: Box::new(growing) };
        let head = Sub::List(vec![Sub::Function { name: "relu".into() }, instance(Dim::constant(7))]);
        let members = vec![
            member("blocks", MemberKind::Sub(blocks)),
            member("head", MemberKind::Sub(head)),
            tensor("cache", Role::Transient, vec![Dim::symbol("dim")]),
            tensor("mean", Role::State, vec![]),
        ];
        let dense = vec![tensor("weight", Role::Param, vec![n.clone(), Dim::constant(3)])];
        Module {
            files: vec![],
            layers: vec![layer("Net", members, vec![FuncId(0), FuncId(1), FuncId(2)]), layer("Dense", dense, vec![])],
            functions: vec![method("forward", true), method("decode", true), method("helper", false)],
            entry: Some(Entry {
                name: "net".into(),
                layer: LayerId(0),
                args: vec![(Symbol::new("dim"), HostValue::Int(4)), (Symbol::new("depth"), HostValue::Int(2))],
            }),
        }
    }

    #[test]
    fn paths_and_shapes_follow_the_instances() {
        let found = storage(&net()).unwrap();
        let listed: Vec<_> = found.iter().map(|e| (e.name.as_str(), e.shape.as_slice())).collect();
        let expected: [(&str, &[usize]); 4] =
            [("blocks.0.weight", &[4, 3]), ("blocks.1.weight", &[8, 3]), ("head.1.weight", &[7, 3]), ("mean", &[])];
        assert_eq!(listed, expected);
        assert!(found[0].scheme.is_some() && found[3].scheme.is_none());
    }

    #[test]
    fn absurd_sizes_are_refused() {
        let mut module = net();
        let args = &mut module.entry.as_mut().unwrap().args;
        args[1].1 = HostValue::Int(1 << 40);
        assert!(storage(&module).unwrap_err().message.contains("1099511627776 elements"));
        let args = &mut module.entry.as_mut().unwrap().args;
        args[1].1 = HostValue::Int(1);
        args[0].1 = HostValue::Int(-1);
        assert!(storage(&module).unwrap_err().message.contains("`blocks.0.weight` has no size for `n`"));
    }

    #[test]
    fn methods_are_found_by_name() {
        let module = net();
        let Signature { tensors, known, .. } = signature(&module, None, &|_| false).unwrap();
        assert_eq!((tensors[0].name.as_str(), tensors[0].ty.to_string().as_str()), ("x", "float32[B, dim]"));
        assert_eq!(known[&Symbol::new("dim")], 4);
        assert!(signature(&module, Some("decode"), &|_| false).is_ok());
        assert_eq!(signature(&module, Some("decoed"), &|_| false).unwrap_err().notes, ["help: did you mean `decode`?"]);
        assert_eq!(
            signature(&module, Some("helper"), &|_| false).unwrap_err().notes,
            ["help: write `@export` before it"]
        );
    }
}
