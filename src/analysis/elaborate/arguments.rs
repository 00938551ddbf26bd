//! Arguments of calls: evaluation, and binding to declared parameters.

use crate::analysis::elaborate::Elaborator;
use crate::analysis::value::Value;
use crate::analysis::world::Walk;
use crate::base::{Span, code};
use crate::syntax::ast::{Arg, ExprKind, Param};

/// An evaluated argument.
#[derive(Clone, Debug)]
pub struct CallArg<'db> {
    pub name: Option<String>,
    pub value: Value<'db>,
    pub span: Span,
    /// A list made of several positional arguments.
    pub gathered: bool,
}

impl<'db> CallArg<'db> {
    pub fn positional(value: Value<'db>, span: Span) -> Self {
        CallArg { name: None, value, span, gathered: false }
    }
}

/// Arguments as written; `None` for `_`.
pub struct Arguments<'db> {
    pub args: Vec<(CallArg<'db>, bool)>,
    /// `...` was among them.
    pub passes_hypers: bool,
}

impl<'db> Arguments<'db> {
    pub fn has_placeholder(&self) -> bool {
        self.args.iter().any(|(_, placeholder)| *placeholder)
    }

    pub fn into_args(self) -> Vec<CallArg<'db>> {
        self.args.into_iter().map(|(arg, _)| arg).collect()
    }
}

impl<'db> Elaborator<'_, 'db> {
    pub fn arguments(&mut self, args: &'db [Arg]) -> Walk<Arguments<'db>> {
        let ast = self.ast;
        let mut evaluated = Arguments { args: vec![], passes_hypers: false };
        // The context of the whole expression is not that of an argument.
        let context = self.context.take();
        for arg in args {
            let name = arg.name.as_ref().map(|ident| ident.name.clone());
            let (value, placeholder) = match &ast[arg.value].kind {
                ExprKind::Ellipsis if name.is_none() => {
                    evaluated.passes_hypers = true;
                    continue;
                }
                ExprKind::Placeholder => (Value::None, true),
                _ => match self.expr(arg.value) {
                    Ok(value) => (value, false),
                    Err(abort) => {
                        self.context = context;
                        return Err(abort);
                    }
                },
            };
            let arg = CallArg { name, value, span: arg.span, gathered: false };
            evaluated.args.push((arg, placeholder));
        }
        self.context = context;
        Ok(evaluated)
    }

    /// One slot for each declared parameter; `None` where nothing was given.
    pub fn bind_arguments(
        &mut self,
        callee: &str,
        params: &[Param],
        args: Vec<CallArg<'db>>,
    ) -> Walk<Vec<Option<CallArg<'db>>>> {
        let mut bound: Vec<Option<CallArg<'db>>> = params.iter().map(|_| None).collect();
        let mut position = 0;
        for arg in args {
            let index = match &arg.name {
                None => {
                    position += 1;
                    if position > params.len() {
                        let takes = match params.len() {
                            0 => "no arguments".to_string(),
                            1 => "1 argument".to_string(),
                            n => format!("{n} arguments"),
                        };
                        let message = format!("`{callee}` takes {takes}, but more are given");
                        return Err(self.error(code::E0203, message, arg.span, "one too many"));
                    }
                    position - 1
                }
                Some(name) => match params.iter().position(|param| param.name.name == *name) {
                    Some(index) => index,
                    None => {
                        let names: Vec<&str> = params.iter().map(|p| p.name.name.as_str()).collect();
                        return Err(self.unknown_argument(callee, &name.clone(), &names, arg.span));
                    }
                },
            };
            if bound[index].is_some() {
                let message = format!("`{}` of `{callee}` is given twice", params[index].name.name);
                return Err(self.error(code::E0206, message, arg.span, "given before"));
            }
            bound[index] = Some(arg);
        }
        Ok(bound)
    }
}
