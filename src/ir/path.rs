//! The way from an instance to its parts: as steps, and as the dotted names of weights files.

use crate::ir::substitute::{Substitution, symbol_expr};
use crate::ir::{InstKind, LayerId, MemberKind, Module, Origin, Role, Storage, Sub};
use crate::types::{Dim, HostExpr};

/// A step from an instance to a part of it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum PathSegment {
    Field(String),
    /// A position in a list, possibly over symbols and loop indices.
    Index(Dim),
}

/// The sublayer in `blocks.0.weight` and the member of it; `None` if the name is one of the own members.
pub fn member_path(name: &str) -> Option<(Vec<PathSegment>, &str)> {
    name.rsplit_once('.').map(|(path, own)| (part_path(path), own))
}

/// The way to the part `blocks.0` of an instance.
pub fn part_path(part: &str) -> Vec<PathSegment> {
    let segment = |segment: &str| match segment.parse::<i64>() {
        Ok(index) => PathSegment::Index(Dim::constant(index)),
        Err(_) => PathSegment::Field(segment.to_string()),
    };
    part.split('.').map(segment).collect()
}

/// The dotted name of the part at a path; `None` where only a run tells which one it is, or no name says it.
pub fn part_name(path: &[PathSegment]) -> Option<String> {
    let segment = |segment: &PathSegment| match segment {
        PathSegment::Field(name) if !name.contains('.') && name.parse::<i64>().is_err() => Some(name.clone()),
        PathSegment::Field(_) => None,
        PathSegment::Index(index) => index.as_const().map(|index| index.to_string()),
    };
    path.iter().map(segment).collect::<Option<Vec<String>>>().map(|segments| segments.join("."))
}

impl Module {
    /// A stored member of a layer or, by a dotted name, of a sublayer; `None` for what is not stored.
    pub fn stored(&self, layer: LayerId, name: &str) -> Option<&Storage> {
        let (path, own) = member_path(name).unwrap_or((vec![], name));
        let (layer, _) = self.instance_at(layer, &path).ok()?;
        match &self[layer].member(own)?.kind {
            MemberKind::Storage(storage) => Some(storage),
            MemberKind::Sub(_) | MemberKind::Constant { .. } => None,
        }
    }

    /// The layer that a member belongs to, possibly that of a sublayer, and the member's own name.
    /// A function of no layer has none.
    pub fn member_of(&self, layer: Option<LayerId>, name: &str) -> Option<(LayerId, String)> {
        let (path, own) = member_path(name).unwrap_or((vec![], name));
        let (layer, _) = self.instance_at(layer?, &path).ok()?;
        Some((layer, own.to_string()))
    }

    /// Whether a member, possibly one of a sublayer, is a tensor that stays as it is once weights were loaded: no
    /// function of the module assigns it. What is computed of weights itself does not count.
    pub fn is_settled(&self, layer: LayerId, name: &str) -> bool {
        let (path, own) = member_path(name).unwrap_or((vec![], name));
        let Ok((layer, _)) = self.instance_at(layer, &path) else { return false };
        match self[layer].member(own).map(|member| &member.kind) {
            Some(MemberKind::Storage(storage)) => match storage.role {
                Role::Param | Role::Buffer => true,
                Role::State => !self.assigns(layer, own),
                Role::Transient => false,
            },
            Some(MemberKind::Constant { of, .. }) => *of == Origin::Construction,
            Some(MemberKind::Sub(_)) | None => false,
        }
    }

    /// Whether a function assigns a state of a layer.
    fn assigns(&self, layer: LayerId, state: &str) -> bool {
        self.functions.iter().any(|function| {
            function.insts.iter().any(|inst| match &inst.kind {
                InstKind::SetState { name } | InstKind::SetSlice { name, .. } => {
                    let (path, own) = member_path(name).unwrap_or((vec![], name));
                    let holder = function.layer.and_then(|from| self.instance_at(from, &path).ok());
                    own == state && holder.is_none_or(|(holder, _)| holder == layer)
                }
                _ => false,
            })
        })
    }

    /// The layer of the instance at `path` from an instance of `layer`, and its hyperparameters as
    /// expressions over those of `layer` and the symbols in the path.
    pub fn instance_at(&self, layer: LayerId, path: &[PathSegment]) -> Result<(LayerId, Substitution), String> {
        let hypers = self[layer].hypers.iter();
        let mut scope = Substitution::new(hypers.map(|h| (h.name.clone(), symbol_expr(&h.name, h.kind))));
        let mut layer = layer;
        let mut segments = path.iter().peekable();
        while let Some(segment) = segments.next() {
            let PathSegment::Field(name) = segment else {
                return Err(format!("an instance of `{}` is no list", self[layer].name));
            };
            let Some(MemberKind::Sub(mut sub)) = self[layer].member(name).map(|member| member.kind.clone()) else {
                return Err(format!("`{}` has no sublayer `{name}`", self[layer].name));
            };
            while let Some(PathSegment::Index(index)) = segments.peek() {
                segments.next();
                sub = element_of(sub, index, &mut scope)?;
            }
            match sub {
                Sub::Instance { layer: next, args } => {
                    scope = Substitution::new(args.into_iter().map(|(name, value)| (name, scope.expr(&value))));
                    layer = next;
                }
                Sub::List(_) | Sub::Repeat { .. } => return Err(format!("`{name}` is a list, not an instance")),
                Sub::Function { name } => return Err(format!("`{name}` is a function, not an instance")),
            }
        }
        Ok((layer, scope))
    }
}

fn element_of(sub: Sub, at: &Dim, scope: &mut Substitution) -> Result<Sub, String> {
    match sub {
        Sub::List(mut elements) => {
            let position = at.as_const().and_then(|index| usize::try_from(index).ok());
            match position.filter(|position| *position < elements.len()) {
                Some(position) => Ok(elements.swap_remove(position)),
                None => Err(format!("`{at}` is no position in a list of {}", elements.len())),
            }
        }
        Sub::Repeat { index, count, element } => {
            if let (Some(at), Some(count)) = (at.as_const(), scope.dim(&count).as_const())
                && !(0..count).contains(&at)
            {
                return Err(format!("`{at}` is no position in a list of {count}"));
            }
            scope.set(index, HostExpr::Int(at.clone()));
            Ok(*element)
        }
        Sub::Instance { .. } | Sub::Function { .. } => Err(format!("`[{at}]` of something that is no list")),
    }
}
