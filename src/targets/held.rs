//! What the entry's instance holds: every stored tensor, with its name in weights files and its sizes.

use crate::ir::{Init, Layer, LayerId, Member, MemberKind, Module, Role, Storage, Sub};
use crate::types::saved::SavedName;
use crate::types::{HostExpr, HostValue, Symbol};
use std::collections::BTreeMap;

/// Values of the hyperparameters of a layer.
pub type Values = BTreeMap<Symbol, HostValue>;

/// A stored tensor of the entry's instance.
pub struct Held<'m> {
    /// From the entry, in names of the source: `blocks.0.weight`.
    pub path: String,
    /// In weights files.
    pub saved: String,
    pub storage: &'m Storage,
    /// The layer that holds it.
    pub layer: LayerId,
    pub shape: Vec<i64>,
    /// The hyperparameters of the layer that holds it.
    pub values: Values,
}

impl Held<'_> {
    pub fn is_state(&self) -> bool {
        matches!(self.storage.role, Role::State | Role::Transient)
    }

    /// The number that all elements begin with, if there is one.
    pub fn initial(&self) -> Option<HostValue> {
        match &self.storage.init {
            Init::Default | Init::Zeros => Some(HostValue::Int(0)),
            Init::Ones => Some(HostValue::Int(1)),
            Init::Constant(value) => value.eval_value(&|symbol| self.values.get(symbol).cloned()),
            _ => None,
        }
    }
}

/// An instance of a layer, and its hyperparameters.
pub struct Instance {
    pub layer: LayerId,
    /// From the entry; empty for that.
    pub path: String,
    pub values: Values,
}

#[derive(Default)]
pub struct Contents<'m> {
    pub tensors: Vec<Held<'m>>,
    /// Paths of lists without an element, which no tensor tells of.
    pub empty_lists: Vec<String>,
    /// Every instance, before what it holds.
    pub instances: Vec<Instance>,
}

/// Everything that the entry holds; a message where a number has no value.
pub fn held(module: &Module) -> Result<Contents<'_>, String> {
    let Some(entry) = &module.entry else { return Ok(Contents::default()) };
    let mut walk = Walk { module, found: Contents::default() };
    walk.instance(entry.layer, entry.args.iter().cloned().collect(), &Paths::default())?;
    Ok(walk.found)
}

/// The way to a part, in names of the source and of files.
#[derive(Clone, Default)]
struct Paths {
    own: String,
    saved: String,
}

/// How the elements of a list are called in files, where the position alone does not say it.
struct ElementNames<'a> {
    /// The path of what holds the list.
    parent: &'a str,
    name: &'a SavedName,
    values: &'a Values,
}

struct Walk<'m> {
    module: &'m Module,
    found: Contents<'m>,
}

impl<'m> Walk<'m> {
    fn instance(&mut self, id: LayerId, given: Values, paths: &Paths) -> Result<(), String> {
        let layer = &self.module[id];
        let values = with_defaults(layer, given)?;
        self.found.instances.push(Instance { layer: id, path: paths.own.clone(), values: values.clone() });
        for member in &layer.members {
            let below = Paths { own: join(&paths.own, &member.name), saved: saved_path(member, &values, paths)? };
            match &member.kind {
                MemberKind::Storage(storage) => {
                    let sizes = storage.ty.shape.dims.iter().map(|dim| dim.eval(&|s| values.get(s)?.as_int()));
                    let sizes: Option<Vec<i64>> = sizes.collect();
                    let shape = sizes.ok_or_else(|| format!("the shape of `{}` has no value", below.own))?;
                    let Paths { own: path, saved } = below;
                    self.found.tensors.push(Held { path, saved, storage, layer: id, shape, values: values.clone() });
                }
                MemberKind::Sub(sub) => {
                    let name = member.saved.as_ref().filter(|name| name.has_position());
                    let names = name.map(|name| ElementNames { parent: &paths.saved, name, values: &values });
                    self.sub(sub, &values, &below, names.as_ref())?;
                }
                MemberKind::Constant { .. } => {}
            }
        }
        Ok(())
    }

    fn sub(
        &mut self,
        sub: &'m Sub,
        values: &Values,
        paths: &Paths,
        names: Option<&ElementNames<'_>>,
    ) -> Result<(), String> {
        match sub {
            Sub::Instance { layer, args } => {
                let given = args.iter().map(|(symbol, expr)| Ok((symbol.clone(), value(expr, values)?)));
                self.instance(*layer, given.collect::<Result<Values, String>>()?, paths)
            }
            Sub::List(elements) if elements.is_empty() => {
                self.found.empty_lists.push(paths.own.clone());
                Ok(())
            }
            Sub::List(elements) => elements.iter().enumerate().try_for_each(|(position, element)| {
                self.sub(element, values, &element_paths(paths, position as i64, names)?, None)
            }),
            Sub::Repeat { index, count, element } => {
                let count = count.eval(&|symbol| values.get(symbol)?.as_int());
                let count = count.ok_or_else(|| format!("the length of `{}` has no value", paths.own))?;
                if count == 0 {
                    self.found.empty_lists.push(paths.own.clone());
                }
                (0..count).try_for_each(|position| {
                    let mut inner = values.clone();
                    inner.insert(index.clone(), HostValue::Int(position));
                    self.sub(element, &inner, &element_paths(paths, position, names)?, None)
                })
            }
            Sub::Function { .. } => Ok(()),
        }
    }
}

fn with_defaults(layer: &Layer, mut values: Values) -> Result<Values, String> {
    for hyper in &layer.hypers {
        if !values.contains_key(&hyper.name)
            && let Some(default) = &hyper.default
        {
            values.insert(hyper.name.clone(), value(default, &values)?);
        }
    }
    Ok(values)
}

fn value(expr: &HostExpr, values: &Values) -> Result<HostValue, String> {
    expr.eval_value(&|symbol| values.get(symbol).cloned()).ok_or_else(|| format!("`{expr}` has no value"))
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_string() } else { format!("{path}.{name}") }
}

fn number(name: &SavedName, position: Option<i64>, values: &Values) -> Result<String, String> {
    let found = name.at(position, &|symbol| values.get(symbol)?.as_int());
    found.ok_or_else(|| format!("the name `{name}` has a number without a value"))
}

/// The path of a member in files; of a list, that of elements without names of their own.
fn saved_path(member: &Member, values: &Values, paths: &Paths) -> Result<String, String> {
    let own = member.saved.as_ref().filter(|name| !name.has_position());
    let name = own.map_or(Ok(member.name.clone()), |name| number(name, None, values))?;
    Ok(join(&paths.saved, &name))
}

fn element_paths(paths: &Paths, position: i64, names: Option<&ElementNames<'_>>) -> Result<Paths, String> {
    let saved = match names {
        Some(names) => join(names.parent, &number(names.name, Some(position), names.values)?),
        None => join(&paths.saved, &position.to_string()),
    };
    Ok(Paths { own: join(&paths.own, &position.to_string()), saved })
}
