//! `map.toml`: a name map in a file.
//!
//! ```toml
//! [names]                                     # plain renaming
//! "model.embed.weight" = "embed.weight"
//!
//! [[rule]]
//! from = "model.layers.{n}.experts.{e}.weight"
//! to = "blocks.{n}.experts.weight"
//! stack = 0
//! ```

use super::map::{Action, Axes, NameMap, Rule};
use super::view::Join;
use crate::base::Pattern;
use serde::Deserialize;

/// A longer file is refused.
pub const MAX_FILE: u64 = 16 << 20;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MapFile {
    #[serde(default)]
    names: toml::Table,
    #[serde(default, rename = "rule")]
    rules: Vec<FileRule>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FileRule {
    from: Option<OneOrMore>,
    to: Option<OneOrMore>,
    drop: Option<OneOrMore>,
    transpose: Option<FileAxes>,
    stack: Option<i64>,
    concat: Option<i64>,
    split: Option<i64>,
    sizes: Option<Vec<usize>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMore {
    One(String),
    More(Vec<String>),
}

#[derive(Deserialize)]
#[serde(untagged)]
enum FileAxes {
    Swap(bool),
    Order(Vec<usize>),
}

/// Reads the text of a map file.
pub fn parse(text: &str) -> Result<NameMap, String> {
    let file: MapFile = toml::from_str(text).map_err(|error| one_line(&error))?;
    let mut map = NameMap::default();
    for (from, to) in &file.names {
        let to = to.as_str().ok_or_else(|| format!("`names`: the value of {from:?} is no text"))?;
        let action = match to {
            "" => Action::Drop,
            to => Action::Move { to: pattern(to)?, transpose: None, join: None },
        };
        map.rules.push(Rule::new(vec![pattern(from)?], action)?);
    }
    for (index, rule) in file.rules.into_iter().enumerate() {
        map.rules.push(read_rule(rule).map_err(|problem| format!("rule {}: {problem}", index + 1))?);
    }
    Ok(map)
}

fn read_rule(rule: FileRule) -> Result<Rule, String> {
    let options = [("stack", rule.stack.is_some()), ("concat", rule.concat.is_some()), ("split", rule.split.is_some())];
    let given: Vec<&str> = options.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
    if let [first, second, ..] = given[..] {
        return Err(format!("`{first}` and `{second}` do not go together"));
    }
    if let Some(dropped) = rule.drop {
        if rule.from.is_some() || rule.to.is_some() || rule.transpose.is_some() || !given.is_empty() {
            return Err("`drop` stands alone".to_string());
        }
        return Rule::new(dropped.patterns()?, Action::Drop);
    }
    let (Some(from), Some(to)) = (rule.from, rule.to) else {
        return Err("a rule has `from` and `to`, or `drop`".to_string());
    };
    let transpose = match rule.transpose {
        None | Some(FileAxes::Swap(false)) => None,
        Some(FileAxes::Swap(true)) => Some(Axes::Swap),
        Some(FileAxes::Order(order)) => Some(Axes::Order(order)),
    };
    let mut to = to.patterns()?;
    if let Some(axis) = rule.split {
        return Rule::new(from.patterns()?, Action::Split { to, transpose, axis, sizes: rule.sizes });
    }
    if rule.sizes.is_some() {
        return Err("`sizes` goes with `split`".to_string());
    }
    let join = rule.stack.map(Join::Stack).or(rule.concat.map(Join::Concat));
    let (Some(own), true) = (to.pop(), to.is_empty()) else {
        return Err("`to` is one name, but with `split`".to_string());
    };
    Rule::new(from.patterns()?, Action::Move { to: own, transpose, join })
}

impl OneOrMore {
    fn patterns(self) -> Result<Vec<Pattern>, String> {
        match self {
            OneOrMore::One(text) => Ok(vec![pattern(&text)?]),
            OneOrMore::More(texts) => texts.iter().map(|text| pattern(text)).collect(),
        }
    }
}

fn pattern(text: &str) -> Result<Pattern, String> {
    Pattern::parse(text).map_err(|problem| format!("`{text}` {problem}"))
}

/// What is wrong, with the line of the file.
fn one_line(error: &toml::de::Error) -> String {
    let text = error.to_string();
    let place = text.lines().next().and_then(|line| line.strip_prefix("TOML parse error at "));
    let message = error.message().replace('\n', ", ");
    place.map_or(message.clone(), |place| format!("{place}: {message}"))
}
