//! Functions, regions and instructions.

use crate::base::Loc;
use crate::ir::reader::lexer::Kind;
use crate::ir::reader::{Read, Reader, value_name};
use crate::ir::words::{implied_layer, implied_source_name};
use crate::ir::{Function, Inst, InstId, InstKind, Part, PrintPiece, Region, Value, ValueId, Window};
use crate::ops::{self, Attrs, ParamKind};
use crate::types::{Symbol, TensorType};
use std::collections::{BTreeMap, HashMap};

/// The function being read, and its values by their names in the text.
struct Body {
    function: Function,
    values: HashMap<String, ValueId>,
}

impl Reader {
    /// `func @name(%x: type, ...) -> types { head; instructions }`
    pub(super) fn function(&mut self) -> Read<()> {
        let loc = self.loc_here();
        self.expect_word("func")?;
        let Kind::Function(name) = self.next() else { return self.expected("a function") };
        let function = Function {
            source_name: implied_source_name(&name).to_string(),
            layer: implied_layer(&name, |layer| self.layers.get(layer).copied()),
            name,
            doc: None,
            loc,
            symbols: vec![],
            fresh: vec![],
            host_args: Attrs::new(),
            params: vec![],
            results: vec![],
            values: vec![],
            insts: vec![],
            body: Region::default(),
            maps: BTreeMap::new(),
            std_path: None,
            exported: false,
            optional: vec![],
            obligations: vec![],
        };
        let mut body = Body { function, values: HashMap::new() };
        self.kinds.clear();
        body.function.params = self.params(&mut body)?;
        if self.eat("->") {
            body.function.results = if self.eat("(") { self.list(")", Self::ty)? } else { vec![self.ty()?] };
        }
        self.expect("{")?;
        self.head(&mut body.function)?;
        body.function.body = self.region(&mut body, vec![])?;
        self.module.functions.push(body.function);
        Ok(())
    }

    fn head(&mut self, function: &mut Function) -> Read<()> {
        self.declare_hypers(function);
        loop {
            let loc = self.loc_here();
            let Kind::Word(word) = self.peek().clone() else { return Ok(()) };
            match word.as_str() {
                "source" | "std" | "doc" => {
                    self.next();
                    let text = self.string()?;
                    match word.as_str() {
                        "source" => function.source_name = text,
                        "std" => function.std_path = Some(text),
                        _ => function.doc = Some(text),
                    }
                }
                "layer" => {
                    self.next();
                    function.layer = Some(self.layer_id()?);
                    self.declare_hypers(function);
                }
                "free" => {
                    self.next();
                    function.layer = None;
                    self.declare_hypers(function);
                }
                "exported" => {
                    self.next();
                    function.exported = true;
                }
                "optional" => {
                    self.next();
                    self.optional(function)?;
                }
                "symbols" => {
                    self.next();
                    self.symbols(function)?;
                }
                "fresh" => {
                    self.next();
                    function.fresh = self.symbol_list()?;
                }
                "argument" => {
                    self.next();
                    let name = self.name()?;
                    self.expect("=")?;
                    let value = self.attr(None)?;
                    function.host_args.set(&name, value);
                }
                "map" => {
                    self.next();
                    let target = self.name()?;
                    self.expect("=")?;
                    function.maps.insert(target, self.string()?);
                }
                "require" => {
                    self.next();
                    function.obligations.push((self.obligation()?, loc));
                }
                _ => return Ok(()),
            }
        }
    }

    fn declare_hypers(&mut self, function: &Function) {
        self.kinds.clear();
        if let Some(layer) = function.layer.and_then(|id| self.module.layers.get(id.0 as usize)) {
            self.kinds.extend(layer.hypers.iter().map(|hyper| (hyper.name.clone(), hyper.kind)));
        }
        self.kinds.extend(function.symbols.iter().cloned());
    }

    /// `mask = given, bias = absent`
    fn optional(&mut self, function: &mut Function) -> Read<()> {
        loop {
            let name = self.name()?;
            self.expect("=")?;
            let given = self.eat_word("given");
            if !given && !self.eat_word("absent") {
                return self.expected("`given` or `absent`");
            }
            function.optional.push((name, given));
            if !self.eat(",") {
                return Ok(());
            }
        }
    }

    fn symbols(&mut self, function: &mut Function) -> Read<()> {
        loop {
            let name = self.symbol()?;
            self.expect(":")?;
            let kind = self.host_kind()?;
            self.kinds.insert(name.clone(), kind);
            function.symbols.push((name, kind));
            if !self.eat(",") {
                return Ok(());
            }
        }
    }

    /// `turns, n`
    fn symbol_list(&mut self) -> Read<Vec<Symbol>> {
        let mut symbols = vec![self.symbol()?];
        while self.eat(",") {
            symbols.push(self.symbol()?);
        }
        Ok(symbols)
    }

    /// `(%x: type, ...)`, each a new value.
    fn params(&mut self, body: &mut Body) -> Read<Vec<ValueId>> {
        self.expect("(")?;
        self.list(")", |reader| {
            let Kind::Value(name) = reader.peek().clone() else { return reader.expected("a value") };
            reader.next();
            reader.expect(":")?;
            let ty = reader.ty()?;
            reader.define(body, &name, ty)
        })
    }

    fn define(&self, body: &mut Body, name: &str, ty: TensorType) -> Read<ValueId> {
        let id = ValueId(body.function.values.len() as u32);
        body.function.values.push(Value { ty, name: value_name(name) });
        match body.values.insert(name.to_string(), id) {
            None => Ok(id),
            Some(_) => self.error(format!("`%{name}` is defined twice")),
        }
    }

    /// Instructions up to and with the closing brace.
    fn region(&mut self, body: &mut Body, params: Vec<ValueId>) -> Read<Region> {
        self.deeper(|reader| {
            let mut insts = vec![];
            while !reader.eat("}") {
                let inst = reader.inst(body)?;
                insts.push(InstId(body.function.insts.len() as u32));
                body.function.insts.push(inst);
            }
            Ok(Region { params, insts })
        })
    }

    fn inst(&mut self, body: &mut Body) -> Read<Inst> {
        let loc = self.loc_here();
        let names = self.result_names()?;
        let Kind::Word(word) = self.peek().clone() else { return self.expected("an instruction") };
        self.next();
        let (kind, operands) = self.inst_kind(body, &word)?;
        self.finish_inst(body, kind, operands, names, loc)
    }

    /// `%a, %b =`
    fn result_names(&mut self) -> Read<Vec<String>> {
        let mut names = vec![];
        while let Kind::Value(name) = self.peek().clone() {
            self.next();
            names.push(name);
            if !self.eat(",") {
                break;
            }
        }
        if !names.is_empty() {
            self.expect("=")?;
        }
        Ok(names)
    }

    fn finish_inst(
        &mut self,
        body: &mut Body,
        kind: InstKind,
        operands: Vec<ValueId>,
        names: Vec<String>,
        loc: Loc,
    ) -> Read<Inst> {
        let mut results = vec![];
        for (index, name) in names.iter().enumerate() {
            self.expect(if index == 0 { ":" } else { "," })?;
            let ty = self.ty()?;
            results.push(self.define(body, name, ty)?);
        }
        Ok(Inst { kind, operands, results, loc })
    }

    fn inst_kind(&mut self, body: &mut Body, word: &str) -> Read<(InstKind, Vec<ValueId>)> {
        Ok(match word {
            "param" => {
                let name = self.string()?;
                (InstKind::Param { name, part: self.part() }, vec![])
            }
            "const" => (InstKind::Const(self.tensor()?), vec![]),
            "host" => (InstKind::Host(self.expr()?), vec![]),
            "rng" => {
                let Kind::Int(site) = self.next() else { return self.error("expected a number") };
                let part = if matches!(self.peek(), Kind::Str(_)) { self.string()? } else { String::new() };
                (InstKind::Rng { site: u32::try_from(site).unwrap_or(u32::MAX), part }, vec![])
            }
            "call" => self.call(body)?,
            "if" => {
                let operands = self.operands(body)?;
                self.expect("{")?;
                let then = self.region(body, vec![])?;
                self.expect_word("else")?;
                self.expect("{")?;
                let otherwise = self.region(body, vec![])?;
                (InstKind::If { then, otherwise }, operands)
            }
            "for" => self.for_loop(body)?,
            "while" => self.while_loop(body)?,
            "gradient" => {
                let (body, operands) = self.with_params(body)?;
                (InstKind::Gradient { body }, operands)
            }
            "fused" => {
                let (body, operands) = self.with_params(body)?;
                (InstKind::Fused { body }, operands)
            }
            "set_state" => {
                let name = self.string()?;
                (InstKind::SetState { name }, self.operands(body)?)
            }
            "set_slice" => {
                let name = self.string()?;
                self.expect("[")?;
                let windows = self.list("]", Self::window)?;
                (InstKind::SetSlice { name, windows }, self.operands(body)?)
            }
            "assert" => {
                let message = self.string()?;
                (InstKind::Assert { message }, self.operands(body)?)
            }
            "ensure" => (InstKind::Ensure(self.obligation()?), vec![]),
            "print" => self.print(body)?,
            "yield" => (InstKind::Yield, self.operands(body)?),
            "return" => (InstKind::Return, self.operands(body)?),
            _ => self.op(body, word)?,
        })
    }

    /// `1 : T`, or `1` for one position.
    fn window(&mut self) -> Read<Window> {
        let Kind::Int(axis) = self.peek().clone() else { return self.expected("an axis") };
        self.next();
        let Ok(axis) = usize::try_from(axis) else { return self.error("no axis has this number") };
        let size = if self.eat(":") { Some(self.dim()?) } else { None };
        Ok(Window { axis, size })
    }

    fn part(&mut self) -> Part {
        let mut words = Part::QUANTISED.into_iter().filter_map(|part| Some((part, part.word()?)));
        words.find(|(_, word)| self.eat_word(word)).map_or(Part::Value, |(part, _)| part)
    }

    /// `NAME %a, %b {attributes}`
    fn op(&mut self, body: &mut Body, word: &str) -> Read<(InstKind, Vec<ValueId>)> {
        let Some(op) = ops::find(word) else { return self.error(format!("there is no operation `{word}`")) };
        let operands = self.operands(body)?;
        let mut attrs = Attrs::new();
        if self.eat("{") {
            let pairs = self.list("}", |reader| {
                let name = reader.name()?;
                reader.expect("=")?;
                let kind: Option<ParamKind> = op.get().params.iter().find(|p| p.name == name).map(|p| p.kind);
                Ok((name, reader.attr(kind)?))
            })?;
            pairs.into_iter().for_each(|(name, value)| attrs.set(&name, value));
        }
        Ok((InstKind::Op { op, attrs }, operands))
    }

    fn call(&mut self, body: &mut Body) -> Read<(InstKind, Vec<ValueId>)> {
        let func = self.function_id()?;
        self.expect("(")?;
        let operands = self.list(")", |reader| reader.value(body))?;
        let path = if self.eat_word("at") {
            self.expect_word("self")?;
            Some(self.path()?)
        } else {
            None
        };
        let bindings = if self.eat("{") { self.bindings("}")? } else { vec![] };
        let fresh = if self.eat_word("binds") { self.symbol_list()? } else { vec![] };
        Ok((InstKind::Call { func, bindings, path, fresh }, operands))
    }

    fn for_loop(&mut self, body: &mut Body) -> Read<(InstKind, Vec<ValueId>)> {
        let index = self.symbol()?;
        let params = self.params(body)?;
        self.expect_word("in")?;
        let operands = self.operands(body)?;
        self.expect("{")?;
        let body = self.region(body, params)?;
        Ok((InstKind::For { index, body }, operands))
    }

    fn while_loop(&mut self, body: &mut Body) -> Read<(InstKind, Vec<ValueId>)> {
        let turns = if self.is("(") { None } else { Some(self.symbol()?) };
        let params = self.params(body)?;
        self.expect_word("in")?;
        let operands = self.operands(body)?;
        self.expect("{")?;
        let cond = self.region(body, params)?;
        self.expect_word("do")?;
        let params = self.params(body)?;
        self.expect("{")?;
        let body = self.region(body, params)?;
        Ok((InstKind::While { turns, cond, body }, operands))
    }

    /// `(%a: type, ...) in %x, ... { instructions }`
    fn with_params(&mut self, body: &mut Body) -> Read<(Region, Vec<ValueId>)> {
        let params = self.params(body)?;
        self.expect_word("in")?;
        let operands = self.operands(body)?;
        self.expect("{")?;
        Ok((self.region(body, params)?, operands))
    }

    fn print(&mut self, body: &Body) -> Read<(InstKind, Vec<ValueId>)> {
        let (mut pieces, mut operands) = (vec![], vec![]);
        while !self.token().leads && !self.is("}") {
            if let Kind::Str(text) = self.peek().clone() {
                self.next();
                pieces.push(PrintPiece::Text(text));
            } else {
                operands.push(self.value(body)?);
                pieces.push(PrintPiece::Operand);
            }
            if !self.eat(",") {
                break;
            }
        }
        Ok((InstKind::Print { pieces }, operands))
    }

    /// Values up to the end of the line or whatever follows them there.
    fn operands(&mut self, body: &Body) -> Read<Vec<ValueId>> {
        let mut operands = vec![];
        while matches!(self.peek(), Kind::Value(_)) && !self.token().leads {
            operands.push(self.value(body)?);
            if !self.eat(",") {
                break;
            }
        }
        Ok(operands)
    }

    fn value(&mut self, body: &Body) -> Read<ValueId> {
        let Kind::Value(name) = self.peek().clone() else { return self.expected("a value") };
        match body.values.get(&name) {
            Some(id) => {
                self.next();
                Ok(*id)
            }
            None => self.error(format!("nothing before this defines `%{name}`")),
        }
    }
}
