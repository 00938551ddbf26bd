//! Leaves out what nothing uses, so that the checker has nothing to remark.
//!
//! All names that programs declare are different, so a name that stands once in the text is used nowhere.

use super::tree::{Program, Statement};
use std::collections::HashMap;

impl Program {
    /// The program without values, functions, layers and members that nothing uses.
    pub fn tidied(mut self) -> Program {
        loop {
            let text = self.print();
            let uses = uses(&text);
            // What is only given values, but never read, is not used either.
            let mut given: HashMap<String, usize> = HashMap::new();
            self.bodies_mut().into_iter().for_each(|function| count_given(&mut function.body, &mut given));
            let is_used = |name: &String| {
                uses.get(name.as_str()).is_some_and(|count| *count > given.get(name).copied().unwrap_or(1))
            };
            let mut changed = false;
            // A number that comes with each call is no input where nothing uses it.
            self.numbers.retain(|(name, _)| is_used(name));
            for function in self.bodies_mut() {
                function.params.retain(|param| param.sample.is_some() || is_used(&param.name));
                changed |= tidy_block(&mut function.body, &is_used);
            }
            let last = self.layers.len().saturating_sub(1);
            let before = self.count();
            self.functions.retain(|function| is_used(&function.name));
            let mut position = 0;
            self.layers.retain(|layer| {
                position += 1;
                position > last || is_used(&layer.name)
            });
            for layer in &mut self.layers {
                layer.methods.retain(|method| method.name == "forward" || is_used(&method.name));
                layer.members.retain(|member| is_used(&member.name));
            }
            if !changed && before == self.count() {
                return self;
            }
        }
    }

    fn count(&self) -> usize {
        self.functions.len()
            + self.layers.iter().map(|layer| 1 + layer.members.len() + layer.methods.len()).sum::<usize>()
    }
}

fn tidy_block(block: &mut Vec<Statement>, is_used: &impl Fn(&String) -> bool) -> bool {
    let mut changed = false;
    block.retain_mut(|statement| match statement {
        Statement::Let { names, .. } => {
            if names.iter().any(is_used) {
                for name in names.iter_mut().filter(|name| *name != "_" && !is_used(name)) {
                    *name = "_".to_string();
                    changed = true;
                }
                return true;
            }
            changed = true;
            false
        }
        // State is given values for the next call.
        Statement::Assign { name, .. } => {
            let stays = is_used(name);
            changed |= !stays;
            stays
        }
        Statement::If { then, otherwise, .. } if then.is_empty() && otherwise.is_empty() => {
            changed = true;
            false
        }
        Statement::For { body, .. } if body.is_empty() => {
            changed = true;
            false
        }
        Statement::If { .. } | Statement::For { .. } | Statement::While { .. } => true,
    });
    for statement in block {
        for inner in statement.blocks_mut() {
            changed |= tidy_block(inner, is_used);
        }
    }
    changed
}

/// How often each name is given a value.
fn count_given(block: &mut [Statement], given: &mut HashMap<String, usize>) {
    for statement in block {
        match statement {
            Statement::Let { names, .. } => names.iter().for_each(|name| *given.entry(name.clone()).or_insert(0) += 1),
            Statement::Assign { name, .. } => *given.entry(name.clone()).or_insert(0) += 1,
            Statement::If { .. } | Statement::For { .. } | Statement::While { .. } => {}
        }
        statement.blocks_mut().into_iter().for_each(|inner| count_given(inner, given));
    }
}

/// How often each word stands in a text.
fn uses(text: &str) -> HashMap<&str, usize> {
    let mut found = HashMap::new();
    for word in text.split(|c: char| !c.is_alphanumeric() && c != '_').filter(|word| !word.is_empty()) {
        *found.entry(word).or_insert(0) += 1;
    }
    found
}
