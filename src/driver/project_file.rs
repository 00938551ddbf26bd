//! `tritonc.toml`: options that a project always has. docs/project_file.md describes it.
//!
//! ```toml
//! mode = "infer"
//! quantize = ["blocks.*=int4(group=64)"]
//!
//! [file."llama.tri"]                     # for this one alone
//! entry = "Llama(depth=2)"
//! weights = "weights/llama.safetensors"  # from the folder of the project file
//! ```
//!
//! A key is the name of an option, and what the command line says comes before it.

use crate::base::code::{E0801, E0805};
use crate::base::{Diagnostic, FileId, Source, Span, closest};
use crate::driver::calibrate::Method;
use crate::driver::options::{self, OptLevel, Selection};
use crate::driver::{Failed, Mode, Session, read};
use crate::types::DType;
use std::path::{Path, PathBuf};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// Its name.
pub const NAME: &str = "tritonc.toml";
/// The table with a table for each file.
const FILE: &str = "file";

/// What a project file says for one program, paths joined to its folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Settings {
    /// The project file, if there is one.
    pub source: Option<PathBuf>,
    pub entry: Option<String>,
    pub sets: Vec<(String, String)>,
    pub mode: Option<Mode>,
    /// Those for one file come after those for all.
    pub quantize: Vec<String>,
    pub precision: Option<DType>,
    pub shapes: Vec<(String, Vec<usize>)>,
    pub weights: Option<PathBuf>,
    pub maps: Option<Vec<String>>,
    pub cast: Option<bool>,
    pub seed: Option<u64>,
    /// Of `build`.
    pub target: Option<Vec<String>>,
    pub output: Option<PathBuf>,
    pub templates: Option<PathBuf>,
    pub opt_level: Option<OptLevel>,
    pub passes: Option<Vec<String>>,
    pub disabled: Vec<String>,
    /// Of `verify`.
    pub targets: Option<Vec<String>>,
    pub grad: Option<bool>,
    /// Of `quantize`.
    pub calibrate: Option<PathBuf>,
    pub observer: Option<Method>,
    pub gptq: Option<bool>,
    pub damping: Option<f64>,
    pub act_order: Option<bool>,
    pub batch: Option<usize>,
}

impl Settings {
    /// These, and the others where these say nothing.
    fn over(self, other: Settings) -> Settings {
        // A level of one and a list of the other would contradict each other.
        let has_passes = self.opt_level.is_some() || self.passes.is_some();
        let below = if has_passes { (None, None) } else { (other.opt_level, other.passes) };
        Settings {
            source: self.source.or(other.source),
            entry: self.entry.or(other.entry),
            sets: over_by_name(self.sets, other.sets),
            mode: self.mode.or(other.mode),
            quantize: [other.quantize, self.quantize].concat(),
            precision: self.precision.or(other.precision),
            shapes: over_by_name(self.shapes, other.shapes),
            weights: self.weights.or(other.weights),
            maps: self.maps.or(other.maps),
            cast: self.cast.or(other.cast),
            seed: self.seed.or(other.seed),
            target: self.target.or(other.target),
            output: self.output.or(other.output),
            templates: self.templates.or(other.templates),
            opt_level: self.opt_level.or(below.0),
            passes: self.passes.or(below.1),
            disabled: [other.disabled, self.disabled].concat(),
            targets: self.targets.or(other.targets),
            grad: self.grad.or(other.grad),
            calibrate: self.calibrate.or(other.calibrate),
            observer: self.observer.or(other.observer),
            gptq: self.gptq.or(other.gptq),
            damping: self.damping.or(other.damping),
            act_order: self.act_order.or(other.act_order),
            batch: self.batch.or(other.batch),
        }
    }

    /// Which passes run, of which the command line says nothing.
    pub fn selection(&self) -> Selection {
        Selection {
            float_model: false,
            level: self.opt_level.unwrap_or_default(),
            only: self.passes.clone(),
            disabled: self.disabled.clone(),
        }
    }
}

/// The options that somebody gave, then those of others that have another name.
pub fn over_by_name<T>(given: Vec<(String, T)>, others: Vec<(String, T)>) -> Vec<(String, T)> {
    let more: Vec<(String, T)> =
        others.into_iter().filter(|(name, _)| given.iter().all(|(known, _)| known != name)).collect();
    given.into_iter().chain(more).collect()
}

/// What the project file of a source file says for it; nothing where there is none.
pub fn find(session: &mut Session, source: &str) -> Result<Settings, Failed> {
    let Some(path) = nearest(source) else { return Ok(Settings::default()) };
    let text = read_text(&path).map_err(|error| session.fail(vec![error]))?;
    let reader = Reader { folder: path.parent().unwrap_or(Path::new(".")) };
    let found = reader.settings(&text, source).map(|settings| Settings { source: Some(path.clone()), ..settings });
    found.map_err(|mut errors| {
        // Only where there is something to show is it one of the sources.
        let file = session.project.add_source(Source::new(path.display().to_string(), text));
        errors.iter_mut().flat_map(|error| &mut error.labels).for_each(|label| label.file = file);
        session.fail(errors)
    })
}

/// The project file in the folder of a source file, or in the nearest folder above it. A repository's own folder is the
/// last that is looked into.
fn nearest(source: &str) -> Option<PathBuf> {
    // Standard input lies nowhere.
    let source = Path::new(source).canonicalize().ok().filter(|_| source != "-")?;
    Some(as_typed(root(source.parent()?)?).join(NAME))
}

/// The root of the project that a folder belongs to: the nearest folder with a project file, this one among them. The
/// path is one without links.
pub(super) fn root(folder: &Path) -> Option<&Path> {
    for folder in folder.ancestors() {
        if folder.join(NAME).is_file() {
            return Some(folder);
        }
        if folder.join(".git").exists() {
            return None;
        }
    }
    None
}

/// A path from the folder of the call, where it leads below that: messages show what was typed, not where the disk has it.
pub(super) fn as_typed(path: &Path) -> PathBuf {
    let here = std::env::current_dir().ok().and_then(|here| here.canonicalize().ok());
    let below = here.and_then(|here| path.strip_prefix(here).ok().map(Path::to_path_buf));
    below.unwrap_or_else(|| path.to_path_buf())
}

fn read_text(path: &Path) -> Result<String, Diagnostic> {
    let found = path.to_str().map(read::read_source);
    match found {
        Some(Ok(source)) => Ok(source.text.to_string()),
        Some(Err(error)) => {
            let mut diagnostic = (error.diagnose)(FileId::default());
            // Its text is not among the sources.
            diagnostic.labels.clear();
            Err(diagnostic)
        }
        None => Err(Diagnostic::new(E0801, format!("`{}` has a name that is no text", path.display()))),
    }
}

type Value<'t> = Spanned<DeValue<'t>>;
type Read = fn(&Reader<'_>, &Value<'_>, &mut Settings) -> Result<(), Diagnostic>;

/// Every key, and what reads its value.
const KEYS: &[(&str, Read)] = &[
    ("entry", |reader, value, settings| reader.text(value).map(|text| settings.entry = Some(text))),
    ("set", |reader, value, settings| reader.sets(value).map(|sets| settings.sets = sets)),
    ("mode", |reader, value, settings| {
        let mode = reader.one_of(value, &[("train", Mode::Train), ("infer", Mode::Infer)])?;
        settings.mode = Some(mode);
        Ok(())
    }),
    ("quantize", |reader, value, settings| reader.rules(value).map(|rules| settings.quantize = rules)),
    ("precision", |reader, value, settings| {
        let known = options::LOW_TYPES.map(|dtype| (dtype.name(), dtype));
        settings.precision = Some(reader.one_of(value, &known)?);
        Ok(())
    }),
    ("shape", |reader, value, settings| reader.shapes(value).map(|shapes| settings.shapes = shapes)),
    ("weights", |reader, value, settings| reader.path(value).map(|path| settings.weights = Some(path))),
    ("map", |reader, value, settings| reader.maps(value).map(|maps| settings.maps = Some(maps))),
    ("cast", |reader, value, settings| reader.bool(value).map(|cast| settings.cast = Some(cast))),
    ("seed", |reader, value, settings| reader.whole(value).map(|seed| settings.seed = Some(seed))),
    ("target", |reader, value, settings| reader.texts(value).map(|names| settings.target = Some(names))),
    ("output", |reader, value, settings| reader.path(value).map(|path| settings.output = Some(path))),
    ("templates", |reader, value, settings| reader.path(value).map(|path| settings.templates = Some(path))),
    ("opt-level", |reader, value, settings| {
        let level = reader.whole(value)?;
        let found = OptLevel::ALL.into_iter().find(|known| *known as u64 == level);
        settings.opt_level = Some(found.ok_or_else(|| reader.refuse(value, "a level from 0 to 3 is expected"))?);
        Ok(())
    }),
    ("passes", |reader, value, settings| reader.texts(value).map(|names| settings.passes = Some(names))),
    ("disable-pass", |reader, value, settings| reader.texts(value).map(|names| settings.disabled = names)),
    ("targets", |reader, value, settings| reader.texts(value).map(|names| settings.targets = Some(names))),
    ("grad", |reader, value, settings| reader.bool(value).map(|grad| settings.grad = Some(grad))),
    ("calibrate", |reader, value, settings| reader.path(value).map(|path| settings.calibrate = Some(path))),
    ("observer", |reader, value, settings| {
        let found = Method::parse(&reader.text(value)?);
        settings.observer = Some(found.ok_or_else(|| reader.refuse(value, Method::EXPECTED))?);
        Ok(())
    }),
    ("method", |reader, value, settings| {
        settings.gptq = Some(reader.one_of(value, &[("round", false), ("gptq", true)])?);
        Ok(())
    }),
    ("damping", |reader, value, settings| reader.share(value).map(|share| settings.damping = Some(share))),
    ("act-order", |reader, value, settings| reader.bool(value).map(|order| settings.act_order = Some(order))),
    ("batch", |reader, value, settings| {
        let batch = usize::try_from(reader.whole(value)?).ok().filter(|batch| *batch > 0);
        settings.batch = Some(batch.ok_or_else(|| reader.refuse(value, "a number from 1 on is expected"))?);
        Ok(())
    }),
];

/// Reads a project file.
struct Reader<'a> {
    /// Paths in it are from here.
    folder: &'a Path,
}

impl Reader<'_> {
    /// What the text says for a source file.
    fn settings(&self, text: &str, source: &str) -> Result<Settings, Vec<Diagnostic>> {
        let table = DeTable::parse(text).map_err(|error| {
            let span = error.span().map_or(Span::new(0, 0), |span| Span::new(span.start as u32, span.end as u32));
            let message = error.message().replace('\n', ", ");
            vec![Diagnostic::new(E0805, format!("`{NAME}` is no TOML: {message}")).primary(
                FileId::default(),
                span,
                "here",
            )]
        })?;
        let mut errors = vec![];
        let mut own = Settings::default();
        let all = self.table(table.get_ref(), true, &mut errors);
        if let Some(files) = table.get_ref().get(FILE) {
            for (name, value) in self.entries(files, &mut errors) {
                let Some(table) = value.get_ref().as_table() else {
                    errors.push(self.refuse(value, "a table with the options of a file is expected"));
                    continue;
                };
                let settings = self.table(table, false, &mut errors);
                match same_file(&self.folder.join(name.get_ref().as_ref()), source) {
                    Some(true) => own = settings,
                    Some(false) => {}
                    None => {
                        let path = self.folder.join(name.get_ref().as_ref());
                        let message = format!("`{}` does not exist", path.display());
                        errors.push(self.error(&name.span(), message, "there is no such file"));
                    }
                }
            }
        }
        if errors.is_empty() { Ok(own.over(all)) } else { Err(errors) }
    }

    /// The keys of one table, with all that is wrong with them.
    fn table(&self, table: &DeTable<'_>, is_whole: bool, errors: &mut Vec<Diagnostic>) -> Settings {
        let mut settings = Settings::default();
        for (key, value) in table {
            let name = key.get_ref().as_ref();
            match KEYS.iter().find(|(known, _)| *known == name) {
                Some((_, read)) => errors.extend(read(self, value, &mut settings).err()),
                None if is_whole && name == FILE => {}
                None => errors.push(self.unknown(&key.span(), name)),
            }
        }
        if let (Some(_), Some(_)) = (settings.opt_level, &settings.passes)
            && let Some((key, _)) = table.iter().find(|(key, _)| key.get_ref().as_ref() == "passes")
        {
            errors.push(self.error(&key.span(), "`passes` stands beside `opt-level`".into(), "leave one of them out"));
        }
        settings
    }

    fn unknown(&self, span: &std::ops::Range<usize>, name: &str) -> Diagnostic {
        let known = || KEYS.iter().map(|(known, _)| *known).chain([FILE]);
        let diagnostic = self.error(span, format!("`{NAME}` has no key `{name}`"), "this key is not known");
        match closest(name, known()) {
            Some(near) => diagnostic.note(format!("help: did you mean `{near}`?")),
            None => diagnostic.note(format!("help: keys are {}", known().collect::<Vec<_>>().join(", "))),
        }
    }

    fn error(&self, span: &std::ops::Range<usize>, message: String, label: &str) -> Diagnostic {
        let span = Span::new(span.start as u32, span.end as u32);
        Diagnostic::new(E0805, message).primary(FileId::default(), span, label)
    }

    fn refuse(&self, value: &Value<'_>, expected: &str) -> Diagnostic {
        let found = value.get_ref().type_str();
        self.error(&value.span(), expected.to_string(), &format!("this {found} is not one"))
    }

    fn text(&self, value: &Value<'_>) -> Result<String, Diagnostic> {
        value.get_ref().as_str().map(str::to_string).ok_or_else(|| self.refuse(value, "a text is expected"))
    }

    fn bool(&self, value: &Value<'_>) -> Result<bool, Diagnostic> {
        value.get_ref().as_bool().ok_or_else(|| self.refuse(value, "`true` or `false` is expected"))
    }

    fn whole(&self, value: &Value<'_>) -> Result<u64, Diagnostic> {
        let number = value.get_ref().as_integer();
        let number = number.and_then(|number| u64::from_str_radix(number.as_str(), number.radix()).ok());
        number.ok_or_else(|| self.refuse(value, "a whole number from 0 on is expected"))
    }

    fn share(&self, value: &Value<'_>) -> Result<f64, Diagnostic> {
        let number = match value.get_ref() {
            DeValue::Integer(number) => options::parse_share(number.as_str()),
            DeValue::Float(number) => options::parse_share(number.as_str()),
            _ => None,
        };
        number.ok_or_else(|| self.refuse(value, "a number of at least 0 is expected"))
    }

    fn one_of<T: Copy>(&self, value: &Value<'_>, known: &[(&str, T)]) -> Result<T, Diagnostic> {
        let found = value.get_ref().as_str().and_then(|text| known.iter().find(|(name, _)| *name == text));
        found.map(|(_, meaning)| *meaning).ok_or_else(|| {
            let names: Vec<String> = known.iter().map(|(name, _)| format!("\"{name}\"")).collect();
            self.refuse(value, &format!("{} is expected", names.join(" or ")))
        })
    }

    fn path(&self, value: &Value<'_>) -> Result<PathBuf, Diagnostic> {
        self.text(value).map(|text| self.folder.join(text))
    }

    /// A text, or a list of them.
    fn texts(&self, value: &Value<'_>) -> Result<Vec<String>, Diagnostic> {
        match value.get_ref() {
            DeValue::String(text) => Ok(vec![text.to_string()]),
            DeValue::Array(values) => values.iter().map(|value| self.text(value)).collect(),
            _ => Err(self.refuse(value, "a text or a list of texts is expected")),
        }
    }

    /// Files of rules lie beside the project file.
    fn maps(&self, value: &Value<'_>) -> Result<Vec<String>, Diagnostic> {
        let joined = |text: String| match text.contains('=') {
            true => text,
            false => self.folder.join(text).to_string_lossy().into_owned(),
        };
        Ok(self.texts(value)?.into_iter().map(joined).collect())
    }

    /// `["PATTERN=SCHEME"]`, or a table of patterns.
    fn rules(&self, value: &Value<'_>) -> Result<Vec<String>, Diagnostic> {
        match value.get_ref().as_table() {
            Some(table) => table
                .iter()
                .map(|(pattern, scheme)| Ok(format!("{}={}", pattern.get_ref(), self.text(scheme)?)))
                .collect(),
            None => self.texts(value),
        }
    }

    /// Numbers and bools as they are; texts are Tri.
    fn sets(&self, value: &Value<'_>) -> Result<Vec<(String, String)>, Diagnostic> {
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| self.refuse(value, "a table of hyperparameters is expected"))?;
        let set = |value: &Value<'_>| match value.get_ref() {
            DeValue::String(text) => Ok(text.to_string()),
            DeValue::Integer(number) => Ok(number.to_string()),
            DeValue::Float(number) => Ok(number.as_str().to_string()),
            DeValue::Boolean(bool) => Ok(bool.to_string()),
            _ => Err(self.refuse(value, "a number, a bool or a text in Tri is expected")),
        };
        table.iter().map(|(name, value)| Ok((name.get_ref().to_string(), set(value)?))).collect()
    }

    /// A size, or a list of them, by the name of an input or dim.
    fn shapes(&self, value: &Value<'_>) -> Result<Vec<(String, Vec<usize>)>, Diagnostic> {
        let table = value.get_ref().as_table();
        let table = table.ok_or_else(|| self.refuse(value, "a table of shapes is expected"))?;
        let size = |value: &Value<'_>| self.whole(value).map(|size| usize::try_from(size).unwrap_or(usize::MAX));
        let shape = |value: &Value<'_>| match value.get_ref() {
            DeValue::Array(sizes) => sizes.iter().map(size).collect(),
            _ => Ok(vec![size(value)?]),
        };
        table.iter().map(|(name, value)| Ok((name.get_ref().to_string(), shape(value)?))).collect()
    }

    /// The entries of a table; of anything else, an error and none.
    fn entries<'v, 't>(
        &self,
        value: &'v Value<'t>,
        errors: &mut Vec<Diagnostic>,
    ) -> Vec<(&'v Spanned<std::borrow::Cow<'t, str>>, &'v Value<'t>)> {
        match value.get_ref().as_table() {
            Some(table) => table.iter().collect(),
            None => {
                errors.push(self.refuse(value, "a table of files is expected"));
                vec![]
            }
        }
    }
}

/// Whether two paths lead to one file; `None` if the first leads nowhere.
fn same_file(path: &Path, source: &str) -> Option<bool> {
    let path = path.canonicalize().ok()?;
    Some(Path::new(source).canonicalize().is_ok_and(|source| source == path))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(text: &str) -> Result<Settings, String> {
        let reader = Reader { folder: Path::new("/project") };
        let told = |errors: Vec<Diagnostic>| {
            let one = |error: &Diagnostic| {
                let label = &error.labels[0];
                let place = text.get(label.span.start as usize..label.span.end as usize).unwrap_or("?");
                format!("{} at `{place}`", error.message)
            };
            errors.iter().map(one).collect::<Vec<_>>().join("; ")
        };
        reader.settings(text, "net.tri").map_err(told)
    }

    #[test]
    fn keys_are_those_of_options() {
        let text = "entry = 'Net(2)'\nset = { dim = 0x10, act = 'relu', bias = true, eps = 1e-5 }\nmode = 'train'\n\
                    weights = 'w.safetensors'\nmap = ['a=b', 'map.toml']\ntarget = 'pytorch'\nopt-level = 1\n\
                    shape = { x = [1, 784], B = 4 }\nseed = 7\n[quantize]\n'*' = 'int8'\n'head.*' = 'none'\n";
        let found = settings(text).unwrap();
        let sets = [("dim", "0x10"), ("act", "relu"), ("bias", "true"), ("eps", "1e-5")];
        assert_eq!(found.sets, sets.map(|(name, value)| (name.to_string(), value.to_string())));
        assert_eq!((found.mode, found.seed), (Some(Mode::Train), Some(7)));
        assert_eq!(found.weights, Some(PathBuf::from("/project/w.safetensors")));
        assert_eq!(found.maps, Some(vec!["a=b".to_string(), "/project/map.toml".to_string()]));
        assert_eq!(found.shapes, [("x".to_string(), vec![1, 784]), ("B".to_string(), vec![4])]);
        assert_eq!(found.quantize, ["*=int8", "head.*=none"]);
        assert_eq!(found.selection().level, OptLevel::O1);
        assert_eq!(settings("").unwrap(), Settings::default());
    }

    #[test]
    fn mistakes_are_told_where_they_are() {
        let error = |text: &str| settings(text).unwrap_err();
        assert_eq!(error("entri = 'a'\n"), "`tritonc.toml` has no key `entri` at `entri`");
        assert_eq!(error("mode = 'fast'\n"), "\"train\" or \"infer\" is expected at `'fast'`");
        assert_eq!(
            error("seed = -1\ncast = 1\n"),
            "a whole number from 0 on is expected at `-1`; `true` or `false` is expected at `1`"
        );
        assert_eq!(error("quantize = [1]\n"), "a text is expected at `1`");
        assert_eq!(error("opt-level = 4\n"), "a level from 0 to 3 is expected at `4`");
        assert_eq!(error("opt-level = 1\npasses = ['dce']\n"), "`passes` stands beside `opt-level` at `passes`");
        assert_eq!(error("[set]\ndim = [1]\n"), "a number, a bool or a text in Tri is expected at `[1]`");
        assert_eq!(
            error("[file.'x.tri']\nmodes = 1\n").split(';').next(),
            Some("`tritonc.toml` has no key `modes` at `modes`")
        );
        assert_eq!(error("file = 1\n"), "a table of files is expected at `1`");
        assert!(error("entry = \n").starts_with("`tritonc.toml` is no TOML: "));
    }

    #[test]
    fn nearer_settings_come_first() {
        let own = settings("quantize = ['b=int4()']\npasses = ['dce']\nset = { n = 1 }\n").unwrap();
        let all = settings("quantize = ['a=int8()']\nopt-level = 3\nset = { n = 2, m = 3 }\nseed = 1\n").unwrap();
        let both = own.over(all);
        assert_eq!(both.quantize, ["a=int8()", "b=int4()"]);
        assert_eq!((both.opt_level, both.passes, both.seed), (None, Some(vec!["dce".to_string()]), Some(1)));
        let sets = [("n", "1"), ("m", "3")].map(|(name, value)| (name.to_string(), value.to_string()));
        assert_eq!(both.sets, sets);
    }
}
