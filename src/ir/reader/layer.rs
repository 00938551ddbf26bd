//! The entry and the layers.

use crate::base::Loc;
use crate::ir::reader::lexer::Kind;
use crate::ir::reader::{Read, Reader};
use crate::ir::{Entry, Hyper, Init, Layer, Member, MemberKind, Origin, Role, Storage, Sub};
use crate::quant::Quantization;
use crate::types::HostExpr;
use crate::types::saved::{SavedName, SavedPiece};

impl Reader {
    /// `entry model = MLP(dim = 256)`
    pub(super) fn entry(&mut self) -> Read<()> {
        self.expect_word("entry")?;
        let name = self.name()?;
        self.expect("=")?;
        let layer = self.layer_id()?;
        self.expect("(")?;
        let args = self.list(")", |reader| {
            let name = reader.symbol()?;
            reader.expect("=")?;
            Ok((name, reader.host_value()?))
        })?;
        self.module.entry = Some(Entry { name, layer, args });
        Ok(())
    }

    /// `layer Name(hyperparameters) { members }`
    pub(super) fn layer(&mut self) -> Read<()> {
        let loc = self.loc_here();
        self.expect_word("layer")?;
        let name = self.name()?;
        self.kinds.clear();
        self.expect("(")?;
        let hypers = self.list(")", Self::hyper)?;
        let mut layer = Layer {
            source_name: name.clone(),
            name,
            doc: None,
            loc,
            quantize: None,
            hypers,
            choices: vec![],
            members: vec![],
            methods: vec![],
            obligations: vec![],
        };
        self.expect("{")?;
        while !self.eat("}") {
            self.layer_line(&mut layer)?;
        }
        self.module.layers.push(layer);
        Ok(())
    }

    fn hyper(&mut self) -> Read<Hyper> {
        let name = self.symbol()?;
        self.expect(":")?;
        let kind = self.host_kind()?;
        self.kinds.insert(name.clone(), kind);
        let default = if self.eat("=") { Some(self.expr()?) } else { None };
        Ok(Hyper { name, kind, default, doc: self.doc()? })
    }

    /// `doc "..."`, where it stands.
    pub(super) fn doc(&mut self) -> Read<Option<String>> {
        if self.eat_word("doc") { Ok(Some(self.string()?)) } else { Ok(None) }
    }

    fn layer_line(&mut self, layer: &mut Layer) -> Read<()> {
        let loc = self.loc_here();
        let Kind::Word(word) = self.peek().clone() else { return self.expected("a member") };
        match word.as_str() {
            "doc" => layer.doc = self.doc()?,
            "source" => {
                self.next();
                layer.source_name = self.string()?;
            }
            "quantize" => layer.quantize = self.quantize()?,
            "choice" => {
                self.next();
                let name = self.name()?;
                self.expect("=")?;
                layer.choices.push((name, self.string()?));
            }
            "require" => {
                self.next();
                layer.obligations.push(self.obligation()?);
            }
            "method" => {
                self.next();
                layer.methods.push(self.function_id()?);
            }
            _ => {
                let member = self.member(&word, loc)?;
                layer.members.push(member);
            }
        }
        Ok(())
    }

    fn member(&mut self, word: &str, loc: Loc) -> Read<Member> {
        let role = match word {
            "param" => Some(Role::Param),
            "buffer" => Some(Role::Buffer),
            "state" => Some(Role::State),
            "transient" => Some(Role::Transient),
            "let" | "constant" | "derived" => None,
            _ => return self.expected("a member"),
        };
        self.next();
        let name = self.name()?;
        let mut quantize = None;
        let kind = match role {
            None if word == "let" => {
                self.expect("=")?;
                let sub = self.sub()?;
                quantize = self.quantize()?;
                MemberKind::Sub(sub)
            }
            None => {
                self.expect(":")?;
                let ty = self.ty()?;
                self.expect("=")?;
                let of = if word == "derived" { Origin::Weights } else { Origin::Construction };
                MemberKind::Constant { ty, func: self.function_id()?, of }
            }
            Some(role) => {
                self.expect(":")?;
                let ty = self.ty()?;
                let own = self.quantize()?;
                // Without a scheme the word says that none reaches it.
                quantize = own.clone().filter(Option::is_none);
                let (scheme, activations) = match own.flatten() {
                    Some(Quantization { weights, activations }) => (Some(weights), activations),
                    None => (None, None),
                };
                let init = if self.eat("=") { self.init()? } else { Init::Default };
                MemberKind::Storage(Storage { role, ty, scheme, activations, init })
            }
        };
        let checkpoint = self.eat_word("checkpoint");
        let saved = if self.eat_word("saved") { Some(self.saved()?) } else { None };
        Ok(Member { name, doc: self.doc()?, loc, saved, checkpoint, quantize, kind })
    }

    /// `quantize int8()`, `quantize int8() activations int8(dynamic=true)`, `quantize none`, or nothing.
    fn quantize(&mut self) -> Read<Option<Option<Quantization>>> {
        if !self.eat_word("quantize") {
            return Ok(None);
        }
        if self.eat_word("none") {
            return Ok(Some(None));
        }
        let weights = self.scheme()?;
        let activations = if self.eat_word("activations") { Some(self.scheme()?) } else { None };
        Ok(Some(Some(Quantization { weights, activations })))
    }

    /// `["denselayer", i + 1]`
    fn saved(&mut self) -> Read<SavedName> {
        self.expect("[")?;
        let pieces = self.list("]", |reader| match reader.peek() {
            Kind::Str(_) => Ok(SavedPiece::Text(reader.string()?)),
            _ => Ok(SavedPiece::Number(reader.dim()?)),
        })?;
        Ok(SavedName { pieces })
    }

    fn init(&mut self) -> Read<Init> {
        if let Kind::Function(_) = self.peek() {
            return Ok(Init::Func(self.function_id()?));
        }
        if self.eat_word("values") {
            return Ok(Init::Values(self.tensor()?));
        }
        let position = self.at;
        let name = self.name()?;
        self.expect("(")?;
        let mut args = self.list(")", Self::expr)?.into_iter();
        let mut next = || args.next().unwrap_or(HostExpr::int(0));
        let (init, count) = match name.as_str() {
            "zeros" => (Init::Zeros, 0),
            "ones" => (Init::Ones, 0),
            "constant" => (Init::Constant(next()), 1),
            "normal" => (Init::Normal { mean: next(), std: next() }, 2),
            "uniform" => (Init::Uniform { low: next(), high: next() }, 2),
            "kaiming_uniform" => (Init::KaimingUniform, 0),
            "xavier_uniform" => (Init::XavierUniform { gain: next() }, 1),
            "random_ternary" => (Init::RandomTernary, 0),
            _ => {
                self.at = position;
                return self.expected("an initialiser");
            }
        };
        if args.next().is_some() {
            return self.error(format!("`{name}` takes {count} numbers"));
        }
        Ok(init)
    }

    fn sub(&mut self) -> Read<Sub> {
        self.deeper(|reader| {
            if reader.eat("[") {
                return Ok(Sub::List(reader.list("]", Self::sub)?));
            }
            // A layer may be called `repeat` or `fn`; then a parenthesis follows.
            let called = matches!(reader.peek_at(1), Kind::Punct("("));
            if !called && reader.eat_word("fn") {
                return Ok(Sub::Function { name: reader.name()? });
            }
            if !called && reader.eat_word("repeat") {
                let index = reader.symbol()?;
                reader.expect("<")?;
                let count = reader.dim()?;
                reader.expect(":")?;
                return Ok(Sub::Repeat { index, count, element: Box::new(reader.sub()?) });
            }
            let layer = reader.layer_id()?;
            reader.expect("(")?;
            Ok(Sub::Instance { layer, args: reader.bindings(")")? })
        })
    }
}
