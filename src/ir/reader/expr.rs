//! Dims, host expressions, types, attributes and tensor literals.

use crate::base::{Code, code};
use crate::ir::reader::lexer::Kind;
use crate::ir::reader::{Read, Reader};
use crate::ir::{HostKind, PathSegment};
use crate::ops::{Attr, Obligation, ObligationKind, ParamKind};
use crate::quant::{Scheme, SchemeKind, Ste, TernaryRule};
use crate::types::tensor::{Data, round_f32};
use crate::types::{DType, Dim, Elem, HostExpr, HostFn, HostOp, HostValue, Pack, Shape, Symbol, Tensor, TensorType};

/// Bounds that keep polynomials from exploding; far above what programs have.
const MAX_TERMS: usize = 512;
/// Bound on the elements of a tensor that is written as one number.
const MAX_SPLAT: usize = 1 << 24;

impl Reader {
    pub(super) fn dim(&mut self) -> Read<Dim> {
        let position = self.at;
        match self.expr()? {
            HostExpr::Int(dim) => Ok(dim),
            _ => {
                self.at = position;
                self.error("expected an int")
            }
        }
    }

    /// An int or float expression.
    pub(super) fn expr(&mut self) -> Read<HostExpr> {
        self.deeper(|reader| {
            let mut left = reader.product()?;
            loop {
                let op = match reader.peek() {
                    Kind::Punct("+") => HostOp::Add,
                    Kind::Punct("-") => HostOp::Sub,
                    _ => return Ok(left),
                };
                reader.next();
                let right = reader.product()?;
                left = reader.binary(op, left, right)?;
            }
        })
    }

    fn product(&mut self) -> Read<HostExpr> {
        let mut left = self.signed()?;
        loop {
            let op = match self.peek() {
                Kind::Punct(op @ ("*" | "/" | "//" | "%")) => *op,
                _ => return Ok(left),
            };
            self.next();
            let right = self.signed()?;
            left = match (op, &left, &right) {
                ("*", ..) => self.binary(HostOp::Mul, left, right)?,
                ("/", ..) => HostExpr::binary(HostOp::Div, left, right),
                ("//", HostExpr::Int(a), HostExpr::Int(n)) => self.small(a.floor_div(n))?,
                (_, HostExpr::Int(a), HostExpr::Int(n)) => self.small(a.modulo(n))?,
                _ => return self.error(format!("`{op}` takes ints")),
            };
        }
    }

    fn signed(&mut self) -> Read<HostExpr> {
        if !self.eat("-") {
            return self.power();
        }
        if let Kind::Int(value) = self.peek().clone()
            && !matches!(self.peek_at(1), Kind::Punct("**"))
        {
            self.next();
            return match i64::try_from(-i128::from(value)) {
                Ok(value) => Ok(HostExpr::int(value)),
                Err(_) => self.error("number too large"),
            };
        }
        let operand = self.deeper(Self::signed)?;
        Ok(HostExpr::unary(HostFn::Neg, operand))
    }

    fn power(&mut self) -> Read<HostExpr> {
        let base = self.atom()?;
        if !self.eat("**") {
            return Ok(base);
        }
        let exponent = self.deeper(Self::signed)?;
        if let (HostExpr::Int(base), HostExpr::Int(exponent)) = (&base, &exponent) {
            let terms = base.terms().count().max(1);
            let times = exponent.as_const().filter(|e| (0..=8).contains(e)).unwrap_or(1) as u32;
            if terms.saturating_pow(times) > 8 * MAX_TERMS {
                return self.error("expression too large");
            }
            if base.pow(exponent).is_some() {
                return self.small(base.pow(exponent));
            }
        }
        Ok(HostExpr::binary(HostOp::Pow, base, exponent))
    }

    fn binary(&mut self, op: HostOp, left: HostExpr, right: HostExpr) -> Read<HostExpr> {
        let (HostExpr::Int(a), HostExpr::Int(b)) = (&left, &right) else {
            return Ok(HostExpr::binary(op, left, right));
        };
        match op {
            HostOp::Add => self.small(Some(a.add(b))),
            HostOp::Sub => self.small(Some(a.sub(b))),
            HostOp::Mul => self.small(Some(a.mul(b))),
            HostOp::Min => self.small(Some(a.minimum(b))),
            HostOp::Max => self.small(Some(a.maximum(b))),
            HostOp::Div | HostOp::Pow => Ok(HostExpr::binary(op, left, right)),
        }
    }

    /// A dim that exists and has not grown out of hand.
    fn small(&self, dim: Option<Dim>) -> Read<HostExpr> {
        match dim {
            None => self.error("division by something that is not positive"),
            Some(dim) if dim.terms().count() > MAX_TERMS => self.error("expression too large"),
            Some(dim) => Ok(HostExpr::Int(dim)),
        }
    }

    fn atom(&mut self) -> Read<HostExpr> {
        match self.peek().clone() {
            Kind::Int(value) => match i64::try_from(value) {
                Ok(value) => {
                    self.next();
                    Ok(HostExpr::int(value))
                }
                Err(_) => self.error("number too large"),
            },
            Kind::Float(text) => match text.parse() {
                Ok(value) => {
                    self.next();
                    Ok(HostExpr::float(value))
                }
                Err(_) => self.error("malformed number"),
            },
            Kind::Punct("?") => {
                self.next();
                self.unknowns += 1;
                Ok(HostExpr::Int(Dim::unknown(self.unknowns - 1)))
            }
            Kind::Punct("(") => {
                self.next();
                let inner = self.expr()?;
                self.expect(")")?;
                Ok(inner)
            }
            Kind::Word(word) => {
                self.next();
                if self.is("(") { self.application(&word) } else { Ok(self.variable(&word)) }
            }
            _ => self.expected("a number or a name"),
        }
    }

    fn variable(&self, word: &str) -> HostExpr {
        let symbol = Symbol::new(word);
        match (self.kinds.get(&symbol), word) {
            (Some(HostKind::Float), _) => HostExpr::FloatSymbol(symbol),
            (None, "inf") => HostExpr::float(f64::INFINITY),
            (None, "nan" | "NaN") => HostExpr::float(f64::NAN),
            _ => HostExpr::Int(Dim::symbol(word)),
        }
    }

    fn application(&mut self, function: &str) -> Read<HostExpr> {
        let unary = [HostFn::Sqrt, HostFn::Log, HostFn::Exp, HostFn::Abs].into_iter().find(|f| f.name() == function);
        let binary = [HostOp::Min, HostOp::Max].into_iter().find(|op| op.symbol() == function);
        if unary.is_none() && binary.is_none() {
            return self.error(format!("`{function}` is no function of host numbers"));
        }
        self.expect("(")?;
        let args = self.list(")", Self::expr)?;
        match (unary, binary, args.as_slice()) {
            (Some(function), _, [x]) => Ok(HostExpr::unary(function, x.clone())),
            (_, Some(op), [a, b]) => self.binary(op, a.clone(), b.clone()),
            _ => self.error(format!("wrong number of arguments for `{function}`")),
        }
    }

    /// `float32[B, T]`
    pub(super) fn ty(&mut self) -> Read<TensorType> {
        let dtype = self.dtype()?;
        if !self.eat("[") {
            return Ok(TensorType::scalar(dtype));
        }
        Ok(TensorType::new(dtype, self.shape()?))
    }

    pub(super) fn dtype(&mut self) -> Read<DType> {
        let dtype = match self.peek() {
            Kind::Word(word) => DType::parse(word),
            _ => None,
        };
        match dtype {
            Some(dtype) => {
                self.next();
                Ok(dtype)
            }
            None => self.expected("an element type"),
        }
    }

    /// The dims after `[`, and the `]`.
    fn shape(&mut self) -> Read<Shape> {
        let mut pack = None;
        let mut dims = vec![];
        let mut packs = 0;
        self.list("]", |reader| {
            if reader.eat("...") {
                let name = match reader.peek().clone() {
                    Kind::Word(word) => {
                        reader.next();
                        Pack::Named(Symbol::new(&word))
                    }
                    _ => Pack::Unknown,
                };
                packs += 1;
                pack = Some((dims.len(), name));
            } else {
                dims.push(reader.dim()?);
            }
            Ok(())
        })?;
        if packs > 1 {
            return self.error("a shape has one pack at most");
        }
        Ok(Shape { dims, pack })
    }

    /// An attribute. The parameter's kind settles what the text alone leaves open.
    pub(super) fn attr(&mut self, kind: Option<ParamKind>) -> Read<Attr> {
        match self.peek().clone() {
            Kind::Str(text) => {
                self.next();
                return Ok(Attr::Str(text));
            }
            Kind::Punct("[") => {
                self.next();
                return Ok(Attr::Shape(self.shape()?));
            }
            Kind::Punct("?") if matches!(self.peek_at(1), Kind::Punct("," | "}")) || self.tokens[self.at + 1].leads => {
                self.next();
                return Ok(Attr::Unknown);
            }
            Kind::Punct("(") => {
                if let Some(list) = self.int_list() {
                    return Ok(Attr::Ints(list));
                }
            }
            Kind::Word(word) => {
                if let Some(attr) = self.word_attr(&word, kind)? {
                    return Ok(attr);
                }
            }
            _ => {}
        }
        Ok(match (self.expr()?, kind) {
            (expr, Some(ParamKind::Float)) => Attr::Float(expr),
            (HostExpr::Int(dim), _) => Attr::Int(dim),
            (expr, _) => Attr::Float(expr),
        })
    }

    fn word_attr(&mut self, word: &str, kind: Option<ParamKind>) -> Read<Option<Attr>> {
        let called = matches!(self.peek_at(1), Kind::Punct("("));
        if called && matches!(word, "ternary" | "int4" | "int8") {
            return Ok(Some(Attr::Scheme(self.scheme()?)));
        }
        let attr = match word {
            "none" => Some(Attr::None),
            "true" => Some(Attr::Bool(true)),
            "false" => Some(Attr::Bool(false)),
            _ if matches!(kind, None | Some(ParamKind::DType)) => {
                DType::parse(word).map(|dtype| Attr::DType(Elem::Known(dtype)))
            }
            _ => None,
        };
        if attr.is_some() {
            self.next();
        }
        Ok(attr)
    }

    /// `(1, n)` where nothing follows that would make it the start of an expression.
    fn int_list(&mut self) -> Option<Vec<Dim>> {
        let start = self.at;
        let unknowns = self.unknowns;
        self.next();
        let list = self.list(")", Self::dim).ok();
        let ends = self.is(",") || self.is("}") || self.token().leads;
        let list = list.filter(|_| ends);
        if list.is_none() {
            self.at = start;
            self.unknowns = unknowns;
        }
        list
    }

    /// `ternary(axis=0)`
    pub(super) fn scheme(&mut self) -> Read<Scheme> {
        let name = self.name()?;
        let mut scheme = match name.as_str() {
            "ternary" => Scheme::ternary(),
            "int4" => Scheme::int(4),
            "int8" => Scheme::int(8),
            _ => return self.error(format!("there is no scheme `{name}`")),
        };
        self.expect("(")?;
        let options = self.list(")", |reader| {
            let key = reader.name()?;
            reader.expect("=")?;
            Ok((key, reader.host_value()?))
        })?;
        let rule = options.iter().find_map(|(key, value)| match value {
            HostValue::Str(rule) if key == "rule" => Some(rule.clone()),
            _ => None,
        });
        for (key, value) in &options {
            if apply_option(&mut scheme, rule.as_deref(), key, value).is_none() {
                return self.error(format!("`{key} = {value}` is no option of `{name}`"));
            }
        }
        Ok(scheme)
    }

    /// A literal: number, string, `true`, `false`, or an element type's name as a string.
    pub(super) fn host_value(&mut self) -> Read<HostValue> {
        match self.peek().clone() {
            Kind::Str(text) => {
                self.next();
                Ok(HostValue::Str(text))
            }
            Kind::Word(word) if word == "true" || word == "false" => {
                self.next();
                Ok(HostValue::Bool(word == "true"))
            }
            Kind::Word(word) if DType::parse(&word).is_some() => {
                self.next();
                Ok(HostValue::Str(word))
            }
            _ => match self.expr()?.eval_value(&|_| None) {
                Some(value) => Ok(value),
                None => self.error("expected a literal"),
            },
        }
    }

    /// `float32[2] [1.0, 2.0]` or `float32[2] splat 0.0`
    pub(super) fn tensor(&mut self) -> Read<Tensor> {
        let dtype = self.dtype()?;
        let mut sizes: Vec<usize> = vec![];
        // A scalar's values also stand in brackets: `float32 [1.0]`. Two brackets mean a shape.
        if self.is("[") && self.shape_follows() {
            self.next();
            sizes = self.list("]", |reader| match reader.next() {
                Kind::Int(size) => usize::try_from(size).or_else(|_| reader.error("number too large")),
                _ => reader.error("expected a size"),
            })?;
        }
        let count = sizes.iter().try_fold(1usize, |count, size| count.checked_mul(*size));
        let values = if self.eat_word("splat") {
            let value = self.element()?;
            match count.filter(|count| *count <= MAX_SPLAT) {
                Some(count) => vec![value; count],
                None => return self.error("tensor too large"),
            }
        } else {
            self.expect("[")?;
            self.list("]", Self::element)?
        };
        if count != Some(values.len()) {
            return self.error(format!("{} values do not fill the shape", values.len()));
        }
        match elements(dtype, &values) {
            Some(data) => Ok(Tensor::new(dtype, sizes, data)),
            None => self.error(format!("a value is no {dtype}")),
        }
    }

    /// Whether the bracket here closes before another bracket or `splat`.
    fn shape_follows(&self) -> bool {
        let mut ahead = 1;
        loop {
            match self.peek_at(ahead) {
                Kind::Punct("]") => {
                    let after = self.peek_at(ahead + 1);
                    return match after {
                        Kind::Punct("[") => true,
                        Kind::Word(word) => word == "splat",
                        _ => false,
                    };
                }
                Kind::Int(_) | Kind::Punct(",") => ahead += 1,
                _ => return false,
            }
        }
    }

    fn element(&mut self) -> Read<Element> {
        let negative = self.eat("-");
        let element = match self.next() {
            Kind::Int(value) if negative => Element::Int(-i128::from(value)),
            Kind::Int(value) => Element::Int(i128::from(value)),
            Kind::Float(text) if negative => Element::Float(format!("-{text}")),
            Kind::Float(text) => Element::Float(text),
            Kind::Word(word) if matches!(word.as_str(), "inf" | "nan" | "NaN") => {
                Element::Float(if negative { format!("-{word}") } else { word })
            }
            _ => return self.error("expected a number"),
        };
        Ok(element)
    }

    /// `require a == b : E0303 "message"`, after the keyword.
    pub(super) fn obligation(&mut self) -> Read<Obligation> {
        let a = self.dim()?;
        let make: fn(Dim, Dim) -> ObligationKind = match self.peek() {
            Kind::Punct("==") => ObligationKind::Equal,
            Kind::Punct("~") => ObligationKind::Broadcast,
            Kind::Punct(">=") => ObligationKind::AtLeast,
            _ => return self.expected("`==`, `>=` or `~`"),
        };
        self.next();
        let b = self.dim()?;
        self.expect(":")?;
        let code = match self.peek() {
            Kind::Word(word) => match Code::parse(word) {
                Some(code) => {
                    self.next();
                    code
                }
                None => return self.expected("a diagnostic code"),
            },
            _ => code::E0403,
        };
        Ok(Obligation { kind: make(a, b), code, message: self.string()? })
    }

    /// `.blocks[i].norm`
    pub(super) fn path(&mut self) -> Read<Vec<PathSegment>> {
        let mut path = vec![];
        loop {
            if self.eat(".") {
                let name = match self.next() {
                    Kind::Word(text) | Kind::Str(text) => text,
                    _ => return self.error("expected a name"),
                };
                path.push(PathSegment::Field(name));
            } else if self.eat("[") {
                path.push(PathSegment::Index(self.dim()?));
                self.expect("]")?;
            } else {
                return Ok(path);
            }
        }
    }

    /// `name = expr, ...` up to `close`.
    pub(super) fn bindings(&mut self, close: &str) -> Read<Vec<(Symbol, HostExpr)>> {
        self.list(close, |reader| {
            let name = reader.symbol()?;
            reader.expect("=")?;
            Ok((name, reader.expr()?))
        })
    }
}

#[derive(Clone)]
enum Element {
    Int(i128),
    Float(String),
}

/// The values in the storage class of `dtype`; `None` if one does not fit.
fn elements(dtype: DType, values: &[Element]) -> Option<Data> {
    let float = |value: &Element| -> Option<f64> {
        match value {
            Element::Int(value) => Some(*value as f64),
            Element::Float(text) => text.parse().ok(),
        }
    };
    Some(match dtype {
        DType::Float64 => Data::F64(values.iter().map(float).collect::<Option<_>>()?),
        _ if dtype.is_float() => {
            let single = |value: &Element| match value {
                // Parsed as single precision, so that what was printed is read back exactly.
                Element::Float(text) => text.parse::<f32>().ok(),
                Element::Int(value) => Some(*value as f32),
            };
            let rounded = |value: &Element| Some(round_f32(dtype, single(value)?));
            Data::F32(values.iter().map(rounded).collect::<Option<_>>()?)
        }
        _ => {
            let (low, high) = dtype.int_range()?;
            let int = |value: &Element| match value {
                // The interpreter keeps uint64 by its bits.
                Element::Int(value) if (low..=high).contains(value) => Some(*value as i64),
                _ => None,
            };
            Data::I64(values.iter().map(int).collect::<Option<_>>()?)
        }
    })
}

/// Sets one option of a scheme; `None` if it does not have it.
fn apply_option(scheme: &mut Scheme, rule: Option<&str>, key: &str, value: &HostValue) -> Option<()> {
    match (key, value, &mut scheme.kind) {
        ("rule", HostValue::Str(_), SchemeKind::Ternary { .. }) => {}
        ("ratio", value, SchemeKind::Ternary { rule: slot, .. }) if rule == Some("max") => {
            *slot = TernaryRule::Max { ratio: value.as_float()?.into() };
        }
        ("threshold", value, SchemeKind::Ternary { rule: slot, .. }) if rule == Some("fixed") => {
            *slot = TernaryRule::Fixed { threshold: value.as_float()?.into() };
        }
        ("scale", HostValue::Str(text), SchemeKind::Ternary { kept_scale, .. }) if text == "kept" => *kept_scale = true,
        ("stochastic", HostValue::Bool(on), SchemeKind::Ternary { stochastic, .. }) => *stochastic = *on,
        ("symmetric", HostValue::Bool(on), SchemeKind::Int { symmetric, .. }) => *symmetric = *on,
        ("axis", HostValue::Int(axis), _) => scheme.axis = Some(*axis),
        ("group", HostValue::Int(group), _) => scheme.group = Some(*group),
        ("scale_dtype", HostValue::Str(name), _) => scheme.scale_dtype = DType::parse(name)?,
        ("dynamic", HostValue::Bool(on), _) => scheme.dynamic = *on,
        ("ste", HostValue::Str(text), _) if text == "clipped" => scheme.ste = Ste::Clipped,
        _ => return None,
    }
    Some(())
}
