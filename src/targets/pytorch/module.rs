//! The file: header, imports, the helpers that the code uses, functions, classes, `Model` and `load`.

use crate::ir::{LayerId, MemberKind, Module};
use crate::targets::pycode::helpers::{self, Helpers};
use crate::targets::pycode::methods::{self, Method};
use crate::targets::pycode::program::Program;
use crate::targets::pytorch::dialect::Torch;
use crate::targets::pytorch::layer;
use crate::targets::table::Table;
use crate::targets::templates::Skeletons;
use crate::targets::{Artifact, Contents, EmitOptions, Mode, TargetError, names};
use minijinja::context;

pub fn write(
    module: &Module,
    options: &EmitOptions,
    templates: &Skeletons,
    table: &Table,
    helpers: &Helpers,
) -> Result<Artifact, Vec<TargetError>> {
    let mut program = Program::new(&Torch, module, options, table, helpers);
    let mut functions = methods::functions(&mut program);
    if let (Mode::Train, Some(evaluation)) = (options.mode, &options.evaluation) {
        let mut evaluation = Program::new(&Torch, evaluation, options, table, helpers);
        evaluation.evaluates = true;
        methods::add_evaluation(&mut functions, &mut program, &mut evaluation);
        functions = methods::join(functions, &mut program, Some(&mut evaluation));
        evaluation.errors.into_iter().for_each(|error| program.error(error));
    } else {
        functions = methods::join(functions, &mut program, None);
    }
    let text = |method: &Method, depth: usize| method.written.text(&method.name, depth);
    let mut items: Vec<String> = vec![];
    items.extend(functions.iter().filter(|method| method.layer.is_none()).map(|method| text(method, 0)));
    for id in program.layers.clone() {
        let methods = functions.iter().filter(|method| method.layer == Some(id)).map(|m| text(m, 1)).collect();
        let class = layer::write(&mut program, id, methods).and_then(|class| {
            program.used.insert("nn".into());
            let layer = context! {
                name => class.name,
                docstring => class.docstring,
                constructor => class.constructor,
                methods => class.methods,
            };
            templates.render("pytorch/layer.py.jinja", context! { layer => layer })
        });
        match class {
            Ok(text) => items.push(text.trim_end().to_string()),
            Err(error) => program.error(error),
        }
    }
    if let Some(entry) = &module.entry {
        match model(&mut program, templates, entry.layer) {
            Ok(text) if program.is_model(entry.layer) => {
                let Some(class) = items.last_mut() else { return Err(program.errors) };
                class.push_str("\n\n");
                class.push_str(&text);
            }
            Ok(text) => items.push(text),
            Err(error) => program.error(error),
        }
    }
    if !program.errors.is_empty() {
        return Err(program.errors);
    }
    let used = helpers::close_over(&helpers.list, program.used);
    let mut all: Vec<String> = helpers.list.iter().filter(|h| used.contains(&h.name)).map(|h| h.text.clone()).collect();
    all.extend(items);
    let imports: Vec<&str> = ["copy", "json", "math"].into_iter().filter(|name| used.contains(*name)).collect();
    let context = context! {
        header => helpers::header(options),
        imports => imports,
        functional => used.contains("F"),
        modules => used.contains("nn"),
        items => all,
    };
    let text = templates.render("pytorch/module.py.jinja", context).map_err(|error| vec![error])?;
    let name = module.entry.as_ref().map_or("model", |entry| &entry.name);
    let path = format!("{}.py", names::snake_case(name));
    Ok(Artifact { path, contents: Contents::Text(format!("{}\n", text.trim_end())) })
}

impl Program<'_> {
    /// Whether the entry's own class is the one called `Model`.
    fn is_model(&self, layer: LayerId) -> bool {
        self.classes.get(&layer).is_some_and(|names| names.class == "Model")
    }

    pub(super) fn has_quantised_weights(&self) -> bool {
        self.layers
            .iter()
            .flat_map(|id| &self.module[*id].members)
            .any(|member| matches!(&member.kind, MemberKind::Storage(storage) if storage.scheme.is_some()))
    }
}

/// `Model` and `load`.
fn model(program: &mut Program, templates: &Skeletons, id: LayerId) -> Result<String, TargetError> {
    let module = program.module;
    let args = module.entry.as_ref().map_or(&[][..], |entry| &entry.args);
    let quantized = program.has_quantised_weights();
    let pack = program.options.mode == Mode::Train;
    let base = program.classes.get(&id).map(|names| names.class.clone()).unwrap_or_default();
    let subclass = !program.is_model(id);
    let shown = match program.options.entry_expr.is_empty() {
        true => base.clone(),
        false => program.options.entry_expr.clone(),
    };
    let docstring = names::python_docstring(&format!("`{shown}`, as it was compiled.")).unwrap_or_default();
    let docstring: Vec<String> = docstring.iter().map(|line| format!("    {line}")).collect();
    let constructor = layer::model_constructor(program, id, args);
    for name in ["read_safetensors", "load_weights"] {
        program.used.insert(name.into());
    }
    if quantized {
        program.used.insert("adopt_packed".into());
    }
    if pack {
        program.used.insert("copy".into());
        if quantized {
            program.used.insert("pack_weights".into());
        }
    }
    let context = context! {
        subclass => subclass,
        base => base,
        docstring => docstring.join("\n"),
        constructor => constructor,
        pack => pack,
        quantized => quantized,
    };
    let text = templates.render("pytorch/model.py.jinja", context! { model => context })?;
    Ok(text.trim_end().trim_start_matches('\n').to_string())
}
