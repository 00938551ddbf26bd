//! Instances of top-level `let`s and of tests, checked with the values they were made with.
//!
//! A definition is checked with its hyperparameters open, which leaves some questions: whether an `assert`
//! on them holds, whether a slice ends inside its tensor. `let net = Net(dim=3)` answers them. The layer and
//! its sublayers are walked again with the values given; what is wrong is shown with the `let`.

use crate::analysis::check::{Checked, cases, has_errors, reports};
use crate::analysis::db::{Item, Place, Report, parse_item};
use crate::analysis::elaborate::host::element_at;
use crate::analysis::elaborate::layer::MemberInfoKind;
use crate::analysis::elaborate::names::{full_layer, methods};
use crate::analysis::elaborate::{Binding, Elaborator};
use crate::analysis::value::{FnRef, Instance, List, Step, Value};
use crate::analysis::world::{Discard, Walk};
use crate::syntax::ast::{Block, ItemKind, Let, Pattern};
use crate::types::Dim;

/// Instances walked for one item at most.
const MAX_INSTANCES: usize = 200;

/// What is wrong with the instances that a `let` or a test makes.
#[salsa::tracked]
pub fn check_instances<'db>(db: &'db dyn salsa::Database, item: Item<'db>) -> Vec<Report<'db>> {
    let mut pass = Pass { db, seen: vec![], reports: vec![] };
    if has_errors(reports(db, item)) {
        return pass.reports;
    }
    match &parse_item(db, item).ast.item.kind {
        ItemKind::Let(binding) => pass.item(item, binding),
        ItemKind::Test { body, .. } => pass.test(item, body),
        _ => {}
    }
    pass.reports
}

struct Pass<'db> {
    db: &'db dyn salsa::Database,
    seen: Vec<Instance<'db>>,
    reports: Vec<Report<'db>>,
}

impl<'db> Pass<'db> {
    fn item(&mut self, item: Item<'db>, binding: &'db Let) {
        let Pattern::Name(name) = &binding.pattern else { return };
        let mut world = Discard::default();
        let mut walk = Elaborator::new(self.db, &mut world, item, &parse_item(self.db, item).ast);
        walk.makes_layers = true;
        walk.adopts = true;
        if walk.let_stmt(binding).is_err() {
            return;
        }
        let mut found = vec![];
        if let Some(Binding::Value(value)) = walk.local(&name.name) {
            instances(value, &mut found);
        }
        for instance in found {
            self.instance(instance, Place { item, span: name.span });
        }
    }

    fn test(&mut self, item: Item<'db>, body: &'db Block) {
        let mut world = Discard::default();
        let mut walk = Elaborator::new(self.db, &mut world, item, &parse_item(self.db, item).ast);
        walk.makes_layers = true;
        walk.adopts = true;
        // What is wrong with the test itself was told.
        let _ = walk.block(body, None);
        for (instance, span) in std::mem::take(&mut walk.made) {
            self.instance(instance, Place { item, span });
        }
    }

    fn instance(&mut self, mut instance: Instance<'db>, place: Place<'db>) {
        instance.path = Some(Vec::<Step>::new());
        let known = instance.hypers.iter().all(|(_, value)| is_known(value));
        if !known || self.seen.contains(&instance) || self.seen.len() >= MAX_INSTANCES {
            return;
        }
        self.seen.push(instance.clone());
        let db = self.db;
        let layer = full_layer(db, instance.layer);
        // What is wrong with the definition itself is told there.
        if has_errors(reports(db, layer.item)) {
            return;
        }
        let mut checked = Checked::default();
        let mut parts = vec![];
        // The members are walked on the way to the first method. Where they are wrong, methods would repeat it.
        let (first, others) = match &*methods(layer).collect::<Vec<_>>() {
            [] => (None, vec![]),
            [first, others @ ..] => (Some(*first), others.to_vec()),
        };
        let mut members_are_fine = true;
        cases(db, layer.item, layer.ast, &mut checked, |walk| {
            let members = enter(walk, &instance);
            members_are_fine &= members.is_ok() && !has_errors(&walk.reports);
            for info in members? {
                if let MemberInfoKind::Value(value) = info {
                    instances(&value, &mut parts);
                }
            }
            match first.filter(|_| members_are_fine) {
                Some(method) => walk.definition(method).map(|_| ()),
                None => Ok(()),
            }
        });
        for method in others.into_iter().filter(|_| members_are_fine) {
            cases(db, layer.item, layer.ast, &mut checked, |walk| run(walk, &instance, method));
        }
        for report in checked.reports.into_iter().filter(|report| !report.code.is_warning()) {
            let report = report.also(place, "in an instance that is made here");
            if !self.reports.iter().any(|known| known.code == report.code && known.message == report.message) {
                self.reports.push(report);
            }
        }
        for part in parts {
            self.instance(part, place);
        }
    }
}

fn enter<'db>(walk: &mut Elaborator<'_, 'db>, instance: &Instance<'db>) -> Walk<Vec<MemberInfoKind<'db>>> {
    let layer = full_layer(walk.db, instance.layer);
    walk.enter_layer(layer, instance.clone());
    walk.assume_wheres(&layer.decl.wheres)?;
    Ok(walk.members(layer, &[])?.into_iter().map(|info| info.kind).collect())
}

fn run<'db>(walk: &mut Elaborator<'_, 'db>, instance: &Instance<'db>, method: FnRef<'db>) -> Walk<()> {
    enter(walk, instance)?;
    walk.definition(method).map(|_| ())
}

/// The instances in a value.
fn instances<'db>(value: &Value<'db>, found: &mut Vec<Instance<'db>>) {
    match value {
        Value::Instance(instance) => found.push((**instance).clone()),
        Value::Tuple(items) | Value::List(List::Items(items)) => {
            items.iter().for_each(|item| instances(item, found));
        }
        Value::List(List::Repeat { index, count, element }) => match count.as_const() {
            Some(count) => {
                for position in 0..count.min(MAX_INSTANCES as i64) {
                    instances(&element_at(index, element, &Dim::constant(position)), found);
                }
            }
            None => instances(element, found),
        },
        Value::List(List::Joined(parts)) => parts.iter().for_each(|part| instances(part, found)),
        _ => {}
    }
}

/// Whether nothing in it is open.
fn is_known(value: &Value<'_>) -> bool {
    match value {
        Value::Error | Value::Opaque(_) | Value::Tensor(_) => false,
        Value::Bool(cond) => matches!(cond, crate::analysis::value::Cond::Known(_)),
        Value::Tuple(items) | Value::List(List::Items(items)) => items.iter().all(is_known),
        value => value.symbols().is_empty(),
    }
}
