//! What is called from outside: `forward(inputs, params)` and its like, which unpack dictionaries, call the method and
//! pack its results.

use crate::ir::{FuncId, Function, Module};
use crate::targets::functional::{Library, backward};
use crate::targets::held::Held;
use crate::targets::names::{self, Namer};
use crate::targets::pycode::numbers;
use crate::targets::pycode::program::Program;
use crate::targets::pytext::{Lines, Py};
use crate::types::{DType, HostValue, Symbol};

/// Names that the functions below have already.
const OWN: &[&str] = &["inputs", "params", "output_grads", "outputs", "grads", "seed", "p", "rng"];

/// Whether each optional input of a form is there; of a tuple, its first part.
fn given(form: &Function) -> impl Iterator<Item = Py> {
    let names = form.input_names();
    form.given().map(move |name| {
        let shared = form.params.iter().position(|value| form[*value].name.as_deref() == Some(name));
        let own = shared.and_then(|at| names.get(at).cloned()).unwrap_or_else(|| name.to_string());
        Py::binary(Py::string(&own), "in", Py::name("inputs"))
    })
}

/// Writes the functions for the exported methods of the entry.
pub struct Entries<'a, 'm> {
    pub library: &'static dyn Library,
    pub program: &'a mut Program<'m>,
    pub held: &'a [Held<'m>],
    /// Quantised weights are stored as codes.
    pub packs: bool,
    /// Paths of lists that are there without an element.
    pub empty_lists: &'a [String],
}

/// The results of a method in the order in which it gives them, by their names for the outside.
pub fn output_names(count: usize) -> Vec<String> {
    match count {
        1 => vec!["output".to_string()],
        _ => (0..count).map(|index| format!("output.{index}")).collect(),
    }
}

impl<'m> Entries<'_, 'm> {
    pub fn module(&self) -> &'m Module {
        self.program.module
    }

    /// The exported methods of the entry, the forms of one together, the one with most optional inputs first.
    pub fn methods(&self) -> Vec<Vec<FuncId>> {
        let module = self.module();
        let Some(entry) = &module.entry else { return vec![] };
        let mut groups: Vec<Vec<FuncId>> = vec![];
        let is_public = |method: &&FuncId| module[**method].exported && module[**method].source_name != backward::NAME;
        for &method in module[entry.layer].methods.iter().filter(is_public) {
            let name = &module[method].source_name;
            match groups.iter_mut().find(|group| module[group[0]].source_name == *name) {
                Some(group) => group.push(method),
                None => groups.push(vec![method]),
            }
        }
        for group in &mut groups {
            group.sort_by_key(|method| std::cmp::Reverse(module[*method].given().count()));
        }
        groups
    }

    /// `def forward(inputs, params):`
    pub fn function(&mut self, forms: &[FuncId]) -> String {
        let module = self.module();
        let name = self.public_name(&module[forms[0]].source_name);
        let mut lines = Lines::new(0);
        self.head(&mut lines, &name, forms, &["inputs", "params"]);
        let scope = self.scope();
        self.begin(&mut lines, forms);
        self.by_form(&mut lines, forms, &mut |entries, lines, method| {
            let mut scope = scope.clone();
            let arguments = entries.arguments(lines, method, &mut scope);
            let wishes = output_names(entries.module()[method].results.len());
            let wishes: Vec<String> = wishes.into_iter().map(|name| name.replace('.', "_")).collect();
            let results = entries.call(lines, method, arguments, &wishes, &mut scope);
            entries.give(lines, "return ", method, &results, "");
        });
        lines.text().trim_end().to_string()
    }

    /// The name of a function of the file for a method of the source.
    pub fn public_name(&self, source: &str) -> String {
        names::identifier(source)
    }

    pub fn scope(&self) -> Namer {
        let mut scope = Namer::among(self.program.globals.clone());
        OWN.iter().for_each(|name| scope.take(name));
        scope
    }

    pub fn head(&self, lines: &mut Lines, name: &str, forms: &[FuncId], parameters: &[&str]) {
        let mut parameters: Vec<Py> = parameters.iter().map(|name| Py::name(*name)).collect();
        if self.draws(forms) {
            parameters.push(Py::keyword("seed", Py::int(0)));
        }
        lines.definition(name, &parameters);
        lines.indent();
        for line in names::python_docstring(&self.description(forms[0])).unwrap_or_default() {
            lines.line(&line);
        }
    }

    /// Sizes and types of what goes in and comes out.
    fn description(&self, method: FuncId) -> String {
        let function = &self.module()[method];
        let own = function.input_names();
        let mut text = function.doc.clone().unwrap_or_default().trim_end().to_string();
        if !text.is_empty() {
            text.push_str("\n\n");
        }
        let optional = |name: &str| function.given().any(|given| given == name);
        let mut inputs: Vec<String> = vec![];
        for (&value, own) in function.params.iter().zip(&own) {
            let name = function[value].name.clone().unwrap_or_default();
            let note = if optional(&name) { " (may be left out)" } else { "" };
            inputs.push(format!("    {own}: {}{note}", function[value].ty));
        }
        inputs.extend(self.numbers(method).iter().map(|symbol| format!("    {symbol}: a number")));
        if !inputs.is_empty() {
            text.push_str(&format!("inputs:\n{}\n", inputs.join("\n")));
        }
        let names = output_names(function.results.len());
        let outputs = names.iter().zip(&function.results).map(|(name, ty)| format!("    {name}: {ty}"));
        let outputs: Vec<String> = outputs.collect();
        if !outputs.is_empty() {
            text.push_str(&format!("outputs:\n{}\n", outputs.join("\n")));
        }
        text
    }

    pub fn draws(&self, forms: &[FuncId]) -> bool {
        forms.iter().any(|form| self.program.generator(*form).is_some())
    }

    /// The dict of what the instance holds, and the source of seeds.
    pub fn begin(&mut self, lines: &mut Lines, forms: &[FuncId]) {
        if forms.iter().any(|form| self.program.takes_instance(*form)) {
            let mut given = Py::name("params");
            if self.held.iter().any(Held::is_state) {
                given = Py::binary(Py::name("initial_state").call(vec![]), "|", given);
            }
            let mut arguments = vec![given, Py::name("PARAMETERS")];
            if !self.empty_lists.is_empty() {
                arguments.push(Py::List(self.empty_lists.iter().map(|path| Py::string(path)).collect()));
            }
            self.statement(lines, "p = ", &Py::name("nest").call(arguments));
        }
        if self.draws(forms) {
            lines.line("rng = {\"seed\": seed, \"count\": 0}");
        }
    }

    /// Writes one body for each form, which optional inputs choose among.
    pub fn by_form(
        &mut self,
        lines: &mut Lines,
        forms: &[FuncId],
        write: &mut dyn FnMut(&mut Self, &mut Lines, FuncId),
    ) {
        let module = self.module();
        for &form in forms {
            let condition = given(&module[form]).reduce(|all, one| Py::binary(all, "and", one));
            match condition {
                Some(condition) if forms.len() > 1 => {
                    // Each form ends in `return`.
                    lines.statement("if ", &condition, ":");
                    lines.indent();
                    write(self, lines, form);
                    lines.dedent();
                }
                _ => write(self, lines, form),
            }
        }
    }

    pub fn statement(&mut self, lines: &mut Lines, prefix: &str, value: &Py) {
        self.program.note(value);
        lines.statement(prefix, value, "");
    }

    /// Brings the inputs into variables; what the method is called with.
    pub fn arguments(&mut self, lines: &mut Lines, method: FuncId, scope: &mut Namer) -> Vec<Py> {
        let function = &self.module()[method];
        let mut arguments = vec![];
        for (&value, name) in function.params.iter().zip(function.input_names()) {
            let given = Py::name("inputs").index(vec![Py::string(&name)]);
            let variable = scope.fresh(&name.replace('.', "_"));
            arguments.push(self.receive(lines, &name, &variable, given, function.dtype(value)));
        }
        arguments
    }

    /// Brings what is given under a name into a variable.
    pub fn receive(&mut self, lines: &mut Lines, name: &str, variable: &str, given: Py, dtype: DType) -> Py {
        let received = self.library.received(name, given, dtype);
        self.statement(lines, &format!("{variable} = "), &received);
        Py::name(variable)
    }

    /// The numbers that a method takes from outside.
    fn numbers(&self, method: FuncId) -> Vec<Symbol> {
        let Some(callee) = self.program.callees.get(&method) else { return vec![] };
        callee.extra.iter().filter(|symbol| self.hyper(symbol).is_none()).cloned().collect()
    }

    /// The entry's value for a hyperparameter.
    pub fn hyper(&self, symbol: &Symbol) -> Option<&'m HostValue> {
        let entry = self.module().entry.as_ref()?;
        entry.args.iter().find(|(own, _)| own == symbol).map(|(_, value)| value)
    }

    /// Calls the method; the variables of its results, which are called like this if they can be.
    pub fn call(
        &mut self,
        lines: &mut Lines,
        method: FuncId,
        tensors: Vec<Py>,
        wishes: &[String],
        scope: &mut Namer,
    ) -> Vec<Py> {
        let Some(callee) = self.program.callees.get(&method).cloned() else { return vec![] };
        let mut arguments = vec![];
        if self.program.takes_instance(method) {
            arguments.push(Py::name("p"));
        }
        arguments.extend(tensors);
        for symbol in &callee.extra {
            arguments.push(match self.hyper(symbol) {
                Some(value) => numbers::host_value(value),
                None => Py::name("inputs").index(vec![Py::string(symbol.as_str())]),
            });
        }
        arguments.extend(self.program.generator(method).map(Py::name));
        let call = Py::name(callee.name).call(arguments);
        let variables: Vec<String> = wishes.iter().map(|wish| scope.fresh(wish)).collect();
        let prefix = match variables.as_slice() {
            [] => String::new(),
            all => format!("{} = ", all.join(", ")),
        };
        self.statement(lines, &prefix, &call);
        variables.into_iter().map(Py::name).collect()
    }

    /// `{"output": output, "state": ...}` of these results.
    pub fn give(&mut self, lines: &mut Lines, prefix: &str, method: FuncId, results: &[Py], suffix: &str) {
        let names = output_names(results.len());
        let mut entries: Vec<(Py, Py)> =
            names.iter().map(|name| Py::string(name)).zip(results.iter().cloned()).collect();
        if self.program.has_effect(method) {
            let state = Py::name("state_of").call(vec![
                Py::name("p"),
                Py::name("PARAMETERS"),
                Py::name("initial_state").call(vec![]),
            ]);
            self.program.note(&state);
            entries.push((Py::string("state"), state));
        }
        lines.dictionary(prefix, &entries, suffix);
    }
}
