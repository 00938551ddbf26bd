//! Template files: those in the binary, overlaid by the ones in a user's directory.
//!
//! Files are known by `<target>/<name>`. A user's file takes the place of the built-in one of that name;
//! only `ops.toml` adds up, entry by entry, later ones first.

use crate::base::code;
use crate::targets::TargetError;
use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use std::collections::BTreeMap;
use std::path::Path;

/// The built-in files: name and text of each file in `templates/`, which `build.rs` lists.
static BUILTIN: &[(&str, &str)] = include!(concat!(env!("OUT_DIR"), "/templates.rs"));

/// One file and where it is, for messages.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TemplateFile {
    pub shown: String,
    pub text: String,
}

#[derive(Clone, Debug)]
pub struct Templates {
    /// Versions of each file, the built-in one first.
    files: BTreeMap<String, Vec<TemplateFile>>,
}

impl Default for Templates {
    fn default() -> Self {
        Templates::builtin()
    }
}

impl Templates {
    pub fn builtin() -> Templates {
        let file = |name: &str, text: &str| TemplateFile { shown: format!("templates/{name}"), text: text.into() };
        Templates { files: BUILTIN.iter().map(|(name, text)| (name.to_string(), vec![file(name, text)])).collect() }
    }

    /// Lays the files of a directory (`DIR/pytorch/ops.toml`, ...) over these. `read` gives a file's text,
    /// or `None` where there is no such file.
    pub fn overlay(mut self, directory: &Path, read: &dyn Fn(&Path) -> Option<String>) -> Templates {
        for (name, versions) in &mut self.files {
            let path = directory.join(name);
            if let Some(text) = read(&path) {
                versions.push(TemplateFile { shown: path.display().to_string(), text });
            }
        }
        self
    }

    /// The built-in files under those of a directory on disk.
    pub fn with_directory(directory: &Path) -> Templates {
        Templates::builtin().overlay(directory, &|path| std::fs::read_to_string(path).ok())
    }

    /// Lays one text over the file of that name.
    pub fn with_text(mut self, name: &str, shown: &str, text: &str) -> Templates {
        let file = TemplateFile { shown: shown.into(), text: text.into() };
        self.files.entry(name.to_string()).or_default().push(file);
        self
    }

    /// All versions of a file, the built-in one first.
    pub fn versions(&self, name: &str) -> &[TemplateFile] {
        self.files.get(name).map_or(&[], Vec::as_slice)
    }

    /// The version that counts.
    pub fn get(&self, name: &str) -> Result<&TemplateFile, TargetError> {
        let file = self.versions(name).last();
        file.ok_or_else(|| TargetError::new(code::E0604, format!("there is no template `{name}`")))
    }

    /// The names of the files under a folder, in order.
    pub fn names<'a>(&'a self, folder: &'a str) -> impl Iterator<Item = &'a str> {
        self.files.keys().map(String::as_str).filter(move |name| name.starts_with(folder))
    }

    /// Parses the skeletons and helpers under some folders.
    pub fn skeletons(&self, folders: &[&str]) -> Result<Skeletons, Vec<TargetError>> {
        let mut environment = Environment::new();
        environment.set_auto_escape_callback(|_| AutoEscape::None);
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        let syntax = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).keep_trailing_newline(true).build();
        let syntax = syntax.map_err(|error| vec![TargetError::new(code::E0604, error.to_string())])?;
        environment.set_syntax(syntax);
        let mut skeletons = Skeletons { environment, files: BTreeMap::new() };
        let mut errors = vec![];
        let names = folders.iter().flat_map(|folder| self.names(folder));
        for name in names.filter(|name| !name.ends_with(".toml")) {
            let Ok(file) = self.get(name) else { continue };
            let added = skeletons.environment.add_template_owned(name.to_string(), file.text.clone());
            errors.extend(added.err().map(|error| broken(&file.shown, &error)));
            skeletons.files.insert(name.to_string(), file.shown.clone());
        }
        if errors.is_empty() { Ok(skeletons) } else { Err(errors) }
    }
}

/// Skeletons and helpers of a target, parsed.
pub struct Skeletons {
    environment: Environment<'static>,
    /// Where each is, for messages.
    files: BTreeMap<String, String>,
}

impl Skeletons {
    /// The names of the helpers, in order.
    pub fn helpers(&self) -> impl Iterator<Item = &str> {
        self.files.keys().map(String::as_str).filter(|name| name.contains("/helpers/"))
    }

    /// Renders a skeleton. Values are put in as they are: nothing in them is read as template text.
    pub fn render(&self, name: &str, context: minijinja::Value) -> Result<String, TargetError> {
        let shown = self.files.get(name).map_or(name, String::as_str);
        let rendered = self.environment.get_template(name).and_then(|template| template.render(context));
        rendered.map_err(|error| broken(shown, &error))
    }
}

fn broken(shown: &str, error: &minijinja::Error) -> TargetError {
    let line = error.line().unwrap_or(1);
    let what = error.detail().map_or_else(|| error.kind().to_string(), str::to_string);
    TargetError::new(code::E0604, format!("{shown}:{line}: {what}"))
}
