//! Makes instances: hyperparameters, conditions, initial values, sublayers.

use crate::base::code::{E0310, E0402, E0405, E0409};
use crate::interp::instance::{Held, Node, Slot, join};
use crate::interp::value::{apply_one, concrete_shape, shape_attr};
use crate::interp::{Env, Instance, Machine, RunError, RunOptions, broken, eval_dim, eval_expr, seed};
use crate::ir::{FuncId, Init, LayerId, Member, MemberKind, Origin, Role, SavedName, Storage, Sub, Verified};
use crate::ops::{Attr, Attrs};
use crate::types::{DType, HostExpr, HostValue, Symbol, Tensor};

/// A repetition of sublayers longer than this is taken for a mistake.
const MAX_REPEAT: i64 = 1 << 20;

impl Instance {
    /// The module's entry, with initial values under a seed.
    pub fn entry(module: &Verified, seed: u64) -> Result<Instance, RunError> {
        let entry = module.entry.as_ref().ok_or_else(|| RunError::new(E0405, "the program has no entry"))?;
        Instance::new(module, entry.layer, &entry.args, seed)
    }

    /// An instance of any layer. Hyperparameters left out take their defaults.
    pub fn new(
        module: &Verified,
        layer: LayerId,
        args: &[(Symbol, HostValue)],
        seed: u64,
    ) -> Result<Instance, RunError> {
        Builder { module, seed }.instance(layer, args.iter().cloned().collect(), Paths::default())
    }
}

/// Where an instance or tensor stands.
#[derive(Clone, Default)]
struct Paths {
    /// In the source.
    own: String,
    /// In weights files.
    saved: String,
}

impl Paths {
    fn element(&self, position: i64) -> Paths {
        Paths { own: format!("{}.{position}", self.own), saved: format!("{}.{position}", self.saved) }
    }
}

/// The elements of a list whose names are given: `None` for the position's own.
type ElementNames<'a> = Option<(&'a str, &'a SavedName)>;

struct Builder<'m> {
    module: &'m Verified,
    seed: u64,
}

impl Builder<'_> {
    fn instance(&self, id: LayerId, given: Env, paths: Paths) -> Result<Instance, RunError> {
        let layer = &self.module[id];
        let Paths { own: path, saved } = paths;
        let mut hypers = Env::new();
        for hyper in &layer.hypers {
            let default = || eval_expr(hyper.default.as_ref()?, &hypers);
            let Some(value) = given.get(&hyper.name).cloned().or_else(default) else {
                let message = format!("`{}` needs a value for `{}`", layer.source_name, hyper.name);
                return Err(RunError::new(E0402, message).or_at(layer.loc));
            };
            hypers.insert(hyper.name.clone(), value);
        }
        if let Some(error) = layer.obligations.iter().find_map(|obligation| broken(obligation, &hypers)) {
            let owner = match path.is_empty() {
                true => format!("`{}`", layer.source_name),
                false => format!("`{}` at `{path}`", layer.source_name),
            };
            return Err(error.of(&owner).or_at(layer.loc));
        }
        let mut instance = Instance { layer: id, path, saved, hypers, members: vec![] };
        for member in &layer.members {
            let held = match &member.kind {
                MemberKind::Storage(storage) => {
                    self.storage(&mut instance, member, storage).map(|slot| Held::Storage(Box::new(slot)))
                }
                MemberKind::Constant { func, of: Origin::Construction, .. } => {
                    self.evaluate(&mut instance, *func).map(Held::Constant)
                }
                MemberKind::Constant { func, of: Origin::Weights, .. } => {
                    Ok(Held::Derived { func: *func, value: None })
                }
                MemberKind::Sub(sub) => {
                    let env = instance.hypers.clone();
                    let own = join(&instance.path, &member.name);
                    let names = member.saved.as_ref().filter(|saved| saved.has_position());
                    self.saved_path(&instance, member).and_then(|saved| {
                        let names = names.map(|names| (instance.saved.as_str(), names));
                        self.sub(sub, env, Paths { own, saved }, names).map(Held::Sub)
                    })
                }
            };
            let held = held.map_err(|error| error.or_at(member.loc))?;
            instance.members.push((member.name.clone(), held));
        }
        Ok(instance)
    }

    /// The path of a member in weights files; of a list, that of elements without names of their own.
    fn saved_path(&self, instance: &Instance, member: &Member) -> Result<String, RunError> {
        let name = match member.saved.as_ref().filter(|saved| !saved.has_position()) {
            Some(saved) => saved_name(saved, None, &instance.hypers)?,
            None => member.name.clone(),
        };
        Ok(join(&instance.saved, &name))
    }

    fn sub(&self, sub: &Sub, env: Env, paths: Paths, names: ElementNames<'_>) -> Result<Node, RunError> {
        let path = &paths.own;
        let element_paths = |position: i64| {
            let mut below = paths.element(position);
            if let Some((parent, name)) = names {
                below.saved = join(parent, &saved_name(name, Some(position), &env)?);
            }
            Ok(below)
        };
        Ok(match sub {
            Sub::Instance { layer, args } => {
                let value = |(name, expr): &(Symbol, HostExpr)| {
                    let value = eval_expr(expr, &env);
                    let message = || format!("`{path}`: `{name} = {expr}` has no value");
                    Ok((name.clone(), value.ok_or_else(|| RunError::new(E0310, message()))?))
                };
                let given = args.iter().map(value).collect::<Result<Env, RunError>>()?;
                Node::Instance(Box::new(self.instance(*layer, given, paths)?))
            }
            Sub::List(elements) => {
                let nodes = elements.iter().zip(0..);
                let nodes = nodes.map(|(element, index)| self.sub(element, env.clone(), element_paths(index)?, None));
                Node::List(nodes.collect::<Result<_, _>>()?)
            }
            Sub::Repeat { index, count, element } => {
                let total = eval_dim(count, &env).filter(|total| (0..=MAX_REPEAT).contains(total));
                let total =
                    total.ok_or_else(|| RunError::new(E0310, format!("`{path}` cannot have {count} elements")))?;
                let node = |position: i64| {
                    let mut env = env.clone();
                    env.insert(index.clone(), HostValue::Int(position));
                    self.sub(element, env, element_paths(position)?, None)
                };
                Node::List((0..total).map(node).collect::<Result<_, _>>()?)
            }
            Sub::Function { .. } => Node::Function,
        })
    }

    fn storage(&self, instance: &mut Instance, member: &Member, storage: &Storage) -> Result<Slot, RunError> {
        let name = &member.name;
        let shape = concrete_shape(&storage.ty, &instance.hypers)?;
        let value = match &storage.init {
            Init::Func(func) => self.evaluate(instance, *func)?,
            init => {
                let path = join(&instance.path, name);
                let draw = Draw {
                    dtype: storage.ty.dtype().unwrap_or(DType::Float32),
                    shape: &shape,
                    seed: seed::of_parameter(self.seed, &path),
                    hypers: &instance.hypers,
                };
                draw.values(init, storage.role)?
            }
        };
        if value.shape() != shape {
            let message = format!("the initial value of `{name}` has shape {:?}, not {shape:?}", value.shape());
            return Err(RunError::new(E0409, message));
        }
        Ok(Slot::new(storage.clone(), self.saved_path(instance, member)?, shape, value))
    }

    /// The result of a function without parameters, on what there is of the instance.
    fn evaluate(&self, instance: &mut Instance, func: FuncId) -> Result<Tensor, RunError> {
        let bindings: Vec<(Symbol, HostValue)> =
            instance.hypers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
        let mut machine = Machine::new(self.module, RunOptions { seed: self.seed, ..RunOptions::default() });
        let results = machine.run_with(Some(instance), func, &bindings, &[])?;
        results.into_iter().next().ok_or_else(|| RunError::new(E0409, "the initial value is missing"))
    }
}

fn saved_name(saved: &SavedName, position: Option<i64>, env: &Env) -> Result<String, RunError> {
    let name = saved.at(position, &|symbol| env.get(symbol)?.as_int());
    name.ok_or_else(|| RunError::new(E0310, format!("the name `{saved}` has a number without a value")))
}

/// Initial values of one storage.
struct Draw<'a> {
    dtype: DType,
    shape: &'a [usize],
    seed: u64,
    hypers: &'a Env,
}

impl Draw<'_> {
    fn values(&self, init: &Init, role: Role) -> Result<Tensor, RunError> {
        match init {
            Init::Default if role != Role::Param || self.shape.len() < 2 => Ok(self.filled(0.0)),
            Init::Default if self.dtype == DType::Trit => self.ternary(),
            Init::Default if self.dtype.is_float() => self.kaiming(),
            Init::Default | Init::Zeros => Ok(self.filled(0.0)),
            Init::Ones => Ok(self.filled(1.0)),
            Init::Constant(value) => Ok(self.filled(self.number(value)?)),
            Init::Normal { mean, std } => {
                self.random("random_normal", [("mean", self.number(mean)?), ("std", self.number(std)?)])
            }
            Init::Uniform { low, high } => self.uniform(self.number(low)?, self.number(high)?),
            Init::KaimingUniform => self.kaiming(),
            Init::XavierUniform { gain } => {
                let (fan_in, fan_out) = self.fans();
                let bound = self.number(gain)? * (6.0 / (fan_in + fan_out)).sqrt();
                self.uniform(-bound, bound)
            }
            Init::RandomTernary => self.ternary(),
            Init::Values(tensor) => Ok(tensor.clone()),
            // The builder runs these itself.
            Init::Func(_) => Ok(self.filled(0.0)),
        }
    }

    fn number(&self, expr: &HostExpr) -> Result<f64, RunError> {
        let value = eval_expr(expr, self.hypers).and_then(|value| value.as_float());
        value.ok_or_else(|| RunError::new(E0310, format!("`{expr}` has no value")))
    }

    fn filled(&self, value: f64) -> Tensor {
        Tensor::filled(self.dtype, self.shape.to_vec(), value)
    }

    /// The products of all sizes but the first, and of all but the second, as PyTorch counts them.
    fn fans(&self) -> (f64, f64) {
        let product = |sizes: &[usize]| sizes.iter().product::<usize>() as f64;
        match self.shape {
            [] | [_] => (product(self.shape), product(self.shape)),
            [first, second, rest @ ..] => (*second as f64 * product(rest), *first as f64 * product(rest)),
        }
    }

    fn kaiming(&self) -> Result<Tensor, RunError> {
        let bound = 1.0 / self.fans().0.max(1.0).sqrt();
        self.uniform(-bound, bound)
    }

    fn uniform(&self, low: f64, high: f64) -> Result<Tensor, RunError> {
        self.random("random_uniform", [("low", low), ("high", high)])
    }

    /// Numbers of the registry's generator, converted where the element type is no float.
    fn random(&self, op: &str, bounds: [(&str, f64); 2]) -> Result<Tensor, RunError> {
        let dtype = if self.dtype.is_float() { self.dtype } else { DType::Float32 };
        let mut attrs = Attrs::new().with("shape", shape_attr(self.shape)).with("dtype", Attr::DType(dtype.into()));
        for (name, value) in bounds {
            attrs.set(name, Attr::Float(HostExpr::float(value)));
        }
        self.cast(apply_one(op, &[self.seed_tensor()], &attrs)?)
    }

    fn ternary(&self) -> Result<Tensor, RunError> {
        let attrs = Attrs::new()
            .with("shape", shape_attr(self.shape))
            .with("low", Attr::int(-1))
            .with("high", Attr::int(2))
            .with("dtype", Attr::DType(DType::Int64.into()));
        self.cast(apply_one("random_int", &[self.seed_tensor()], &attrs)?)
    }

    fn cast(&self, tensor: Tensor) -> Result<Tensor, RunError> {
        if tensor.dtype() == self.dtype {
            return Ok(tensor);
        }
        Ok(Tensor::from_f64(self.dtype, self.shape.to_vec(), tensor.to_f64()))
    }

    fn seed_tensor(&self) -> Tensor {
        Tensor::scalar_i64(self.seed as i64)
    }
}
