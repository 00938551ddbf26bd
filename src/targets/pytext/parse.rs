//! Reads the Python expressions of tables and of `@map` attributes: calls, indexing, operators, literals,
//! and the placeholders `{name}`, `{name?}`, `{*name}`.
//!
//! An expression is read, never pasted: what comes out is one expression, whatever the text was.

use crate::targets::pytext::expr::{Hole, Py, binary_operator};

/// Deeper nesting is refused, so that no text can exhaust the stack.
const MAX_DEPTH: usize = 64;

/// Reads one expression.
pub fn parse(text: &str) -> Result<Py, String> {
    let tokens = tokens(text)?;
    let mut parser = Parser { tokens, at: 0, depth: 0 };
    let value = parser.expression()?;
    match parser.peek() {
        None => Ok(value),
        Some(token) => Err(format!("unexpected {}", token.describe())),
    }
}

#[derive(Clone, Debug, PartialEq)]
enum Token {
    Name(String),
    /// A number or string, as written.
    Literal(String),
    Hole(Hole),
    Operator(&'static str),
}

impl Token {
    fn describe(&self) -> String {
        match self {
            Token::Name(text) | Token::Literal(text) => format!("`{text}`"),
            Token::Hole(hole) => format!("`{{{}}}`", hole.name),
            Token::Operator(text) => format!("`{text}`"),
        }
    }
}

/// Longest first.
const OPERATORS: &[&str] = &[
    "**", "//", "<<", ">>", "==", "!=", "<=", ">=", "+", "-", "*", "/", "%", "@", "<", ">", "&", "|", "^", "~", "(",
    ")", "[", "]", ",", ":", ".", "=",
];

fn tokens(text: &str) -> Result<Vec<Token>, String> {
    let mut tokens = vec![];
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        let length;
        if first.is_alphabetic() || first == '_' {
            length = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            tokens.push(Token::Name(rest[..length].to_string()));
        } else if first.is_ascii_digit() {
            length = number_length(rest);
            tokens.push(Token::Literal(rest[..length].to_string()));
        } else if first == '"' || first == '\'' {
            let (value, consumed) = string(rest, first)?;
            length = consumed;
            tokens.push(Token::Literal(crate::targets::names::python_string(&value)));
        } else if first == '{' {
            length = rest.find('}').ok_or("`{` without `}`")? + 1;
            tokens.push(Token::Hole(hole(&rest[1..length - 1])?));
        } else {
            let operator = OPERATORS.iter().find(|o| rest.starts_with(**o));
            let operator = operator.ok_or_else(|| format!("unexpected character {first:?}"))?;
            length = operator.len();
            tokens.push(Token::Operator(operator));
        }
        rest = rest[length..].trim_start();
    }
    Ok(tokens)
}

fn number_length(text: &str) -> usize {
    let mut previous = '0';
    text.find(|c: char| {
        let sign_of_exponent = (c == '-' || c == '+') && matches!(previous, 'e' | 'E');
        previous = c;
        !(c.is_ascii_alphanumeric() || c == '.' || c == '_' || sign_of_exponent)
    })
    .unwrap_or(text.len())
}

/// A string without escapes but `\\`, `\"`, `\'` and `\n`; its value and length in the text.
fn string(text: &str, quote: char) -> Result<(String, usize), String> {
    let mut value = String::new();
    let mut characters = text.char_indices().skip(1);
    while let Some((at, c)) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some((_, 'n')) => value.push('\n'),
                Some((_, c @ ('\\' | '"' | '\''))) => value.push(c),
                _ => return Err("unknown escape in a string".into()),
            },
            c if c == quote => return Ok((value, at + c.len_utf8())),
            c => value.push(c),
        }
    }
    Err("unterminated string".into())
}

fn hole(text: &str) -> Result<Hole, String> {
    let (text, spread) = text.strip_prefix('*').map_or((text, false), |rest| (rest, true));
    let (name, optional) = text.strip_suffix('?').map_or((text, false), |rest| (rest, true));
    let valid = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !valid {
        return Err(format!("`{{{text}}}` is no placeholder: write `{{name}}`, `{{name?}}` or `{{*name}}`"));
    }
    Ok(Hole { name: name.to_string(), optional, spread })
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
    depth: usize,
}

impl Parser {
    fn peek(&self) -> Option<&Token> {
        self.tokens.get(self.at)
    }

    fn eat(&mut self, operator: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Operator(o)) if *o == operator);
        self.at += usize::from(found);
        found
    }

    fn eat_word(&mut self, word: &str) -> bool {
        let found = matches!(self.peek(), Some(Token::Name(name)) if name == word);
        self.at += usize::from(found);
        found
    }

    fn expect(&mut self, operator: &str) -> Result<(), String> {
        if self.eat(operator) {
            return Ok(());
        }
        Err(match self.peek() {
            Some(token) => format!("expected `{operator}`, found {}", token.describe()),
            None => format!("expected `{operator}` at the end"),
        })
    }

    fn nested<T>(&mut self, parse: impl FnOnce(&mut Parser) -> Result<T, String>) -> Result<T, String> {
        self.depth += 1;
        if self.depth > MAX_DEPTH {
            return Err("nested too deeply".into());
        }
        let result = parse(self);
        self.depth -= 1;
        result
    }

    fn expression(&mut self) -> Result<Py, String> {
        self.nested(|parser| {
            let value = parser.binary(2)?;
            if !parser.eat_word("if") {
                return Ok(value);
            }
            let condition = parser.binary(2)?;
            if !parser.eat_word("else") {
                return Err("`if` without `else`".into());
            }
            let other = parser.expression()?;
            Ok(Py::Conditional { value: value.into(), condition: condition.into(), other: other.into() })
        })
    }

    /// The binary operator at this place, if it binds at least this strongly.
    fn operator(&mut self, least: u8) -> Option<(u8, &'static str)> {
        let next_is = |name: &str| matches!(self.tokens.get(self.at + 1), Some(Token::Name(n)) if n == name);
        let (text, length) = match self.peek()? {
            Token::Operator(o) => (o.to_string(), 1),
            Token::Name(n) if n == "is" && next_is("not") => ("is not".to_string(), 2),
            Token::Name(n) if n == "not" && next_is("in") => ("not in".to_string(), 2),
            Token::Name(n) => (n.clone(), 1),
            _ => return None,
        };
        let found = binary_operator(&text).filter(|(level, _)| *level >= least)?;
        self.at += length;
        Some(found)
    }

    fn binary(&mut self, least: u8) -> Result<Py, String> {
        let mut left = self.unary()?;
        while let Some((level, operator)) = self.operator(least) {
            // `**` groups to the right, all else to the left.
            let right = self.nested(|parser| parser.binary(if operator == "**" { level } else { level + 1 }))?;
            left = Py::Binary(left.into(), operator, right.into());
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Py, String> {
        for (operator, level) in [("-", 13), ("~", 13)] {
            if self.eat(operator) {
                let operand = self.nested(|parser| parser.binary(level))?;
                return Ok(Py::Unary(operator, operand.into()));
            }
        }
        if self.eat_word("not") {
            let operand = self.nested(|parser| parser.binary(5))?;
            return Ok(Py::Unary("not", operand.into()));
        }
        self.postfix()
    }

    fn postfix(&mut self) -> Result<Py, String> {
        let mut value = self.primary()?;
        loop {
            if self.eat(".") {
                match self.peek().cloned() {
                    Some(Token::Name(name)) => {
                        self.at += 1;
                        value = value.attr(&name);
                    }
                    _ => return Err("expected a name after `.`".into()),
                }
            } else if self.eat("(") {
                value = value.call(self.items(")", Parser::argument)?);
            } else if self.eat("[") {
                let items = self.items("]", Parser::subscript)?;
                if items.is_empty() {
                    return Err("nothing between `[` and `]`".into());
                }
                value = value.index(items);
            } else {
                return Ok(value);
            }
        }
    }

    fn primary(&mut self) -> Result<Py, String> {
        let token = self.peek().cloned().ok_or("the expression ends early")?;
        self.at += 1;
        match token {
            Token::Name(name) if is_reserved(&name) => Err(format!("unexpected `{name}`")),
            Token::Name(text) | Token::Literal(text) => Ok(Py::Atom(text)),
            Token::Hole(hole) => Ok(Py::Hole(hole)),
            Token::Operator("(") => self.parentheses(),
            Token::Operator("[") => Ok(Py::List(self.items("]", Parser::argument)?)),
            Token::Operator(text) => Err(format!("unexpected `{text}`")),
        }
    }

    fn parentheses(&mut self) -> Result<Py, String> {
        if self.eat(")") {
            return Ok(Py::Tuple(vec![]));
        }
        let first = self.argument()?;
        if self.eat(")") {
            return Ok(first);
        }
        self.expect(",")?;
        let mut items = vec![first];
        items.extend(self.items(")", Parser::argument)?);
        Ok(Py::Tuple(items))
    }

    fn items(&mut self, close: &str, item: fn(&mut Parser) -> Result<Py, String>) -> Result<Vec<Py>, String> {
        let mut items = vec![];
        while !self.eat(close) {
            items.push(item(self)?);
            if !self.eat(",") {
                self.expect(close)?;
                break;
            }
        }
        Ok(items)
    }

    fn argument(&mut self) -> Result<Py, String> {
        if self.eat("*") {
            return Ok(Py::Star(self.binary(6)?.into()));
        }
        if let (Some(Token::Name(name)), Some(Token::Operator("="))) = (self.peek(), self.tokens.get(self.at + 1)) {
            let name = name.clone();
            self.at += 2;
            return Ok(Py::Keyword(name, self.expression()?.into()));
        }
        self.expression()
    }

    fn subscript(&mut self) -> Result<Py, String> {
        let ends = |parser: &Parser| matches!(parser.peek(), Some(Token::Operator(":" | "]" | ",")) | None);
        let mut parts = [None, None, None];
        for (index, part) in parts.iter_mut().enumerate() {
            if !ends(self) {
                *part = Some(Box::new(self.expression()?));
            }
            if index == 2 || !self.eat(":") {
                return match (index, &mut parts) {
                    (0, [Some(value), ..]) => Ok((**value).clone()),
                    (0, _) => Err("nothing between `[` and `]`".into()),
                    _ => Ok(Py::Slice(parts)),
                };
            }
        }
        Ok(Py::Slice(parts))
    }
}

fn is_reserved(name: &str) -> bool {
    crate::targets::names::is_python_keyword(name) && !matches!(name, "None" | "True" | "False")
}

#[cfg(test)]
mod tests {
    use super::parse;

    fn same(text: &str) {
        assert_eq!(parse(text).map(|e| e.text()), Ok(text.to_string()));
    }

    #[test]
    fn expressions_print_as_they_were_written() {
        for text in [
            "torch.softmax(x, dim=-1)",
            "(a + b) * c - d",
            "-x**2",
            "(-x) ** 2",
            "x[:, 1:3, ..., None]".replace("...", "y").as_str(),
            "x[a + 1 :, :-n, ::2]",
            "not a and (b or c)",
            "x if a > 0 else -y",
            "[a, (b,), ()]",
            "f(*items, key=\"a\")",
            "a - (b - c)",
            "2 ** (3 + x)",
            "(a == b) == c",
        ] {
            same(text);
        }
    }

    #[test]
    fn redundant_parentheses_go() {
        assert_eq!(parse("((a) * (b)) + (c)").map(|e| e.text()), Ok("a * b + c".to_string()));
    }

    #[test]
    fn what_is_no_expression_is_refused() {
        for text in ["a; b", "import os", "a = b", "f(", "lambda: 0", "{", "{x.y}", "\"open", "x y", "a\nb", ""] {
            assert!(parse(text).is_err(), "{text}");
        }
        assert!(parse(&"(".repeat(10_000)).is_err());
    }
}
