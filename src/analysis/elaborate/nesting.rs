//! Names of a layer that has another inside: the inner one sees nothing of the outer, and who is outside sees
//! nothing of the inner. Where such a name is unknown, the message says whose it is and what to do, which
//! depends on what it stands for.

use crate::analysis::db::Report;
use crate::analysis::elaborate::Elaborator;
use crate::analysis::elaborate::layer::member_name;
use crate::analysis::elaborate::names::{full_layer, nested_layers};
use crate::analysis::value::LayerRef;
use crate::analysis::world::Abort;
use crate::base::code;
use crate::syntax::ast::{Ident, ItemKind, LayerDecl, MemberKind};

/// What the outer layer's name stands for, as far as it matters for what to do.
enum Outer<'a> {
    /// With its bound.
    TypeVariable(Option<&'a str>),
    /// A value known where the inner layer is made.
    Value,
    /// A tensor, which can only be given to a method.
    Tensor,
    /// A `layer`, `fn` or `type`.
    Declaration,
}

impl<'db> Elaborator<'_, 'db> {
    /// The report with what is known of an unknown name that a layer around this one has.
    pub fn outer_name(&self, report: &Report<'db>, name: &str) -> Option<Report<'db>> {
        let inner = self.layer?.decl;
        let ItemKind::Layer(top) = &self.ast.item.kind else { return None };
        let (outer, what) =
            enclosing(top, inner)?.into_iter().find_map(|outer| Some((outer, meaning(outer, name)?)))?;
        let (inner, outer) = (&inner.name.name, &outer.name.name);
        let advice = match what {
            Outer::TypeVariable(bound) => {
                let bound = bound.map(|bound| format!(": {bound}")).unwrap_or_default();
                format!(
                    "give `{inner}` its own, `layer {inner}[{name}{bound}](...)`, and make it with `{inner}[{name}](...)`"
                )
            }
            Outer::Value => {
                format!("give `{inner}` a hyperparameter `{name}`, and pass it on with `{inner}({name})`")
            }
            Outer::Tensor => format!("give it to a method of `{inner}` as an argument"),
            Outer::Declaration => format!("declare `{name}` beside `{outer}`, where both see it"),
        };
        let note =
            format!("`{name}` belongs to `{outer}`, and the layer `{inner}` inside it does not see it: {advice}");
        Some(report.clone().note(note))
    }

    /// What `Outer.name` is told: a layer has no members before an instance is made.
    pub fn refuse_layer_field(&mut self, layer: LayerRef<'db>, name: &Ident) -> Abort {
        // Its members are for the message alone.
        let layer = full_layer(self.db, layer);
        let (owner, member) = (&layer.decl.name.name, &name.name);
        let message = format!("the layer {owner} has no `{member}`");
        let report = Report::new(code::E0107, message).at(self.place(name.span), "not found");
        let report = if nested_layers(layer).any(|inner| inner.decl.name.name == *member) {
            report.note(format!(
                "`{member}` is declared inside `{owner}` and known there only, as `{member}`: to use it elsewhere, \
                 declare it beside `{owner}`"
            ))
        } else if meaning(layer.decl, member).is_some() {
            report.note(format!("instances have it: make one with `{owner}(...)`"))
        } else {
            report
        };
        self.fail(report)
    }
}

/// The layers around one, the nearest first.
fn enclosing<'a>(top: &'a LayerDecl, inner: &LayerDecl) -> Option<Vec<&'a LayerDecl>> {
    if std::ptr::eq(top, inner) {
        return Some(vec![]);
    }
    top.members.iter().find_map(|member| match &member.kind {
        MemberKind::Layer(nested) => {
            let mut around = enclosing(nested, inner)?;
            around.push(top);
            Some(around)
        }
        _ => None,
    })
}

fn meaning<'a>(layer: &'a LayerDecl, name: &str) -> Option<Outer<'a>> {
    if let Some(param) = layer.type_params.iter().find(|param| param.name.name == name) {
        return Some(Outer::TypeVariable(param.bound.as_ref().map(|bound| bound.name.as_str())));
    }
    if layer.params.iter().any(|param| param.name.name == name) {
        return Some(Outer::Value);
    }
    let member = layer.members.iter().find(|member| member_name(member) == Some(name))?;
    Some(match &member.kind {
        MemberKind::Storage(_) => Outer::Tensor,
        MemberKind::Fn(_) | MemberKind::Layer(_) | MemberKind::TypeAlias { .. } => Outer::Declaration,
        MemberKind::Let(_) | MemberKind::Const { .. } | MemberKind::Stmt(_) | MemberKind::Error => Outer::Value,
    })
}
