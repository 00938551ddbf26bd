//! What is quantised how: `--scheme 'blocks.*.mlp.*=int4(group=64)'`. The last rule that fits a name counts.

use crate::analysis::{Project, scheme_text};
use crate::base::Diagnostic;
use crate::base::code::{E0501, E0504};
use crate::base::pattern::{Pattern, assign};
use crate::quant::{Quantization, Scheme, SchemeKind};
use crate::weights::map::no_match;

/// Rules in the order in which they were given.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SchemeRules {
    patterns: Vec<Pattern>,
    schemes: Vec<Option<Quantization>>,
}

impl SchemeRules {
    /// Reads `PATTERN=SCHEME` texts of an option.
    pub fn parse(project: &mut Project, option: &str, texts: &[String]) -> Result<SchemeRules, Vec<Diagnostic>> {
        let (mut rules, mut errors) = (SchemeRules::default(), vec![]);
        for text in texts {
            let refuse = |why: String| {
                Diagnostic::new(E0501, format!("`{option} {text}`: {why}"))
                    .note(format!("help: write it like `{option} 'blocks.*.weight=int4(group=64)'`"))
            };
            let Some((pattern, scheme)) = text.split_once('=') else {
                errors.push(refuse("there is no `=`".to_string()));
                continue;
            };
            let pattern = Pattern::parse(pattern.trim()).map_err(|why| vec![refuse(format!("the pattern {why}"))]);
            let scheme = scheme_text::parse_quantization(project, scheme.trim()).and_then(|found| match found {
                Some(found) => match not_for_weights(&found.weights) {
                    Some(why) => Err(vec![refuse(why.to_string())]),
                    None => Ok(Some(found)),
                },
                None => Ok(None),
            });
            match (pattern, scheme) {
                (Ok(pattern), Ok(scheme)) => {
                    rules.patterns.push(pattern);
                    rules.schemes.push(scheme);
                }
                (pattern, scheme) => errors.extend(pattern.err().into_iter().chain(scheme.err()).flatten()),
            }
        }
        if errors.is_empty() { Ok(rules) } else { Err(errors) }
    }

    /// The rule's scheme for each name, `None` where no rule is about it. A pattern with placeholders is about those of
    /// the names that `meant` says, a name in full about itself; an error for each pattern that is about nothing.
    pub fn choose(
        &self,
        names: &[&str],
        meant: &dyn Fn(usize) -> bool,
    ) -> Result<Vec<Option<Option<&Quantization>>>, Vec<Diagnostic>> {
        let (mut chosen, mut errors) = (vec![None; names.len()], vec![]);
        for (pattern, scheme) in self.patterns.iter().zip(&self.schemes) {
            let fitting: Vec<usize> = (0..names.len()).filter(|index| pattern.matches(names[*index])).collect();
            let about: Vec<usize> =
                fitting.iter().copied().filter(|index| pattern.is_name() || meant(*index)).collect();
            match (about.first(), fitting.first()) {
                (Some(_), _) => about.into_iter().for_each(|index| chosen[index] = Some(scheme.as_ref())),
                (None, Some(first)) => {
                    let message = format!(
                        "`{}` matches no weights of a matrix product or convolution, only such as `{}`",
                        pattern.text(),
                        names[*first]
                    );
                    errors.push(
                        Diagnostic::new(E0504, message).note("help: write a name in full to quantise it all the same"),
                    );
                }
                (None, None) => errors.push(Diagnostic::new(E0504, no_match(pattern, names))),
            }
        }
        if errors.is_empty() { Ok(chosen) } else { Err(errors) }
    }

    /// The scheme of each name; an error for each pattern that no name fits.
    pub fn assign(&self, names: &[&str]) -> Result<Vec<Option<&Scheme>>, Vec<Diagnostic>> {
        let assignment = assign(&self.patterns, names);
        if !assignment.idle.is_empty() {
            let error = |index: &usize| Diagnostic::new(E0504, no_match(&self.patterns[*index], names));
            return Err(assignment.idle.iter().map(error).collect());
        }
        let weights = |chosen: &Option<usize>| Some(&self.schemes[(*chosen)?].as_ref()?.weights);
        Ok(assignment.chosen.iter().map(weights).collect())
    }

    /// Refuses rules that are about activations, where there is no model whose activations these could be.
    pub fn weights_only(&self) -> Result<(), Diagnostic> {
        let rules = self.patterns.iter().zip(&self.schemes);
        let mut about = rules.filter(|(_, found)| found.as_ref().is_some_and(|found| found.activations.is_some()));
        match about.next() {
            None => Ok(()),
            Some((pattern, _)) => {
                let message = format!("`{}`: a file of weights has no activations", pattern.text());
                Err(Diagnostic::new(E0501, message).note("help: give the model that has them: `--model FILE.tri`"))
            }
        }
    }
}

/// Why finished weights cannot have a scheme.
fn not_for_weights(scheme: &Scheme) -> Option<&'static str> {
    match scheme.kind {
        SchemeKind::Ternary { stochastic: true, .. } => Some("stochastic rounding is for training"),
        SchemeKind::Ternary { .. } | SchemeKind::Int { .. } => {
            scheme.dynamic.then_some("a dynamic scheme is for activations")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rules(texts: &[&str]) -> Result<SchemeRules, Vec<String>> {
        let texts: Vec<String> = texts.iter().map(|text| text.to_string()).collect();
        let read = SchemeRules::parse(&mut Project::new(), "--scheme", &texts);
        read.map_err(|errors| errors.iter().map(|error| format!("{}: {}", error.code, error.message)).collect())
    }

    #[test]
    fn the_last_rule_counts() {
        let rules = rules(&["*=int8", "blocks.*.weight = int4(group=2)", "*.head.*=none"]).unwrap();
        let chosen = rules.assign(&["blocks.0.weight", "blocks.0.head.weight", "a"]).unwrap();
        let shown: Vec<Option<String>> = chosen.iter().map(|scheme| scheme.map(Scheme::to_string)).collect();
        assert_eq!(shown, [Some("int4(group=2)".into()), None, Some("int8()".into())]);
        let errors = rules.assign(&["a"]).unwrap_err();
        assert_eq!(errors.iter().map(|error| error.code).collect::<Vec<_>>(), [E0504, E0504]);
    }

    #[test]
    fn every_mistake_is_told() {
        let errors = rules(&["a", "{=int8", "a=int9()", "a=ternary(stochastic=true)", "a=int8(dynamic=true)"]);
        expect_test::expect![[r#"
            [
                "E0501: `--scheme a`: there is no `=`",
                "E0501: `--scheme {=int8`: the pattern has a `{` that is not closed",
                "E0101: unknown name `int9`",
                "E0501: `--scheme a=ternary(stochastic=true)`: stochastic rounding is for training",
                "E0501: `--scheme a=int8(dynamic=true)`: a dynamic scheme is for activations",
            ]
        "#]]
        .assert_debug_eq(&errors.unwrap_err());
    }
}
