//! Damaged programs: every valid program of the tree with a token deleted, doubled or swapped, or a name
//! changed. Checking ends, does not panic, says no more than a handful, and never calls a wrong program clean.
//!
//! Two things show that a program is wrong, whatever the checker says: a name in it that nothing declares,
//! and that it cannot be lowered. `TRITONC_MUTATIONS=1000 cargo test --release --test mutation` asks for more
//! mutants of each program than the few that every run makes.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};
use support::{files_below, root, with_deep_stack};
use tritonc::analysis::Project;
use tritonc::analysis::project::NoFiles;
use tritonc::base::{Diagnostic, FileId, Source, code};
use tritonc::syntax::ast::{Ast, ExprKind, TypeKind};
use tritonc::syntax::token::{Lexer, TokenKind};
use tritonc::{ir, lower};

/// Mutants of each program.
const ROUNDS: usize = 40;
/// More than this is a cascade.
const HANDFUL: usize = 10;
/// Far above what any of these takes, even in an unoptimised build on a busy machine.
const LIMIT: Duration = Duration::from_secs(20);
/// A name that no program has.
const FRESH: &str = "zqx";
/// A project is used for this many mutants: each lowering of an entry leaves a text behind.
const REUSES: usize = 50;

/// xorshift; the tests are the same every time.
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit.max(1) as u64) as usize
    }
}

/// A changed program, and why it must be wrong if that is known.
struct Mutant {
    text: String,
    what: String,
    must_fail: bool,
}

/// A valid program and what can be changed in it.
struct Program {
    path: PathBuf,
    /// What is said about the program as it stands: warnings.
    told: usize,
    /// Whether the program can be lowered as it stands, without a choice of entry or shapes.
    lowers: bool,
    text: String,
    /// Byte ranges of the tokens.
    tokens: Vec<(usize, usize)>,
    /// Indices into `tokens` of names, and for each whether it must be declared elsewhere.
    names: Vec<(usize, bool)>,
}

impl Program {
    fn new(path: PathBuf, text: String, told: usize, lowers: bool) -> Program {
        let mut lexer = Lexer::new(&text);
        let mut tokens = vec![];
        let mut names = vec![];
        let uses = uses(&text);
        while let Some(token) = lexer.next_token() {
            let range = (token.start as usize, token.end as usize);
            if token.kind == TokenKind::Name {
                names.push((tokens.len(), uses.contains_key(&range.0)));
            }
            tokens.push(range);
        }
        Program { path, told, lowers, text, tokens, names }
    }

    fn slice(&self, token: usize) -> &str {
        let (start, end) = self.tokens[token];
        &self.text[start..end]
    }

    /// The text with some tokens replaced.
    fn replaced(&self, edits: &BTreeMap<usize, String>) -> String {
        let mut text = String::with_capacity(self.text.len() + 64);
        let mut at = 0;
        for (token, new) in edits {
            let (start, end) = self.tokens[*token];
            text.push_str(&self.text[at..start]);
            text.push_str(new);
            at = end;
        }
        text.push_str(&self.text[at..]);
        text
    }

    fn mutant(&self, random: &mut Random) -> Mutant {
        let token = random.below(self.tokens.len());
        let name = self.names.get(random.below(self.names.len()));
        let (edits, what, must_fail) = match (random.below(6), name) {
            (0, _) => (vec![(token, String::new())], format!("without `{}`", self.slice(token)), false),
            (1, _) => {
                let double = format!("{0} {0}", self.slice(token));
                (vec![(token, double)], format!("`{}` twice", self.slice(token)), false)
            }
            (2, _) | (_, None) => {
                let other = (token + 1 + random.below(3)).min(self.tokens.len() - 1);
                let edits = vec![(token, self.slice(other).to_string()), (other, self.slice(token).to_string())];
                (edits, format!("`{}` and `{}` swapped", self.slice(token), self.slice(other)), false)
            }
            (3, Some((name, _))) => {
                let (other, _) = self.names[random.below(self.names.len())];
                let what = format!("`{}` renamed to `{}`", self.slice(*name), self.slice(other));
                (vec![(*name, self.slice(other).to_string())], what, false)
            }
            (_, Some((name, is_use))) => {
                let what = format!("`{}` renamed to `{FRESH}`", self.slice(*name));
                (vec![(*name, FRESH.to_string())], what, *is_use)
            }
        };
        let line = |token: usize| self.text[..self.tokens[token].0].matches('\n').count() + 1;
        let what = format!("line {}: {what}", line(edits[0].0));
        Mutant { text: self.replaced(&edits.into_iter().collect()), what, must_fail }
    }
}

/// Where names stand that must be declared elsewhere, by offset.
fn uses(text: &str) -> BTreeMap<usize, String> {
    let mut found = BTreeMap::new();
    for item in tritonc::syntax::split(text) {
        let start = item.span.start as usize;
        let parsed = tritonc::syntax::parse_item(&text[start..item.span.end as usize]);
        in_tree(&parsed.ast, |offset, name| {
            found.insert(start + offset as usize, name.to_string());
        });
    }
    found
}

fn in_tree(ast: &Ast, mut found: impl FnMut(u32, &str)) {
    for expr in &ast.exprs {
        match &expr.kind {
            ExprKind::Name(name) => found(expr.span.start, name),
            ExprKind::Field { name, .. } => found(name.span.start, &name.name),
            ExprKind::Call { args, .. } => {
                args.iter().filter_map(|arg| arg.name.as_ref()).for_each(|name| found(name.span.start, &name.name));
            }
            _ => {}
        }
    }
    for ty in &ast.types {
        match &ty.kind {
            TypeKind::Name(path) => path.iter().for_each(|name| found(name.span.start, &name.name)),
            TypeKind::Tensor { elem, .. } => found(elem.span.start, &elem.name),
            TypeKind::Tuple(_) | TypeKind::List(_) | TypeKind::Error => {}
        }
    }
}

fn open(text: &str) -> (Project, FileId) {
    let mut project = Project::new();
    let (file, _) = project.open("main", Source::new("main.tri", text), &mut NoFiles);
    (project, file)
}

/// The valid programs of the tree that need no other files.
fn programs() -> Vec<Program> {
    let mut programs = vec![];
    for folder in ["examples", "stdlib", "tests/cases"] {
        for path in files_below(&root().join(folder), ".tri").unwrap() {
            let text = std::fs::read_to_string(&path).unwrap();
            let (mut project, file) = open(&text);
            let found = project.check(file);
            if text.len() < 20_000 && !found.iter().any(Diagnostic::is_error) {
                let lowers = lowered(&mut project, file).is_empty();
                programs.push(Program::new(path, text, found.len(), lowers));
            }
        }
    }
    programs
}

/// What lowering says about a program that checks clean. Not to have found which instance is meant is no
/// mistake of the program; whether sizes and ranks (`...`) fit that only a call gives is asked at the call.
fn lowered(project: &mut Project, file: FileId) -> Vec<String> {
    let mut said = vec![];
    let mut tell = |diagnostics: Vec<Diagnostic>| {
        let open = [code::E0401, code::E0402, code::E0403, code::E0405, code::E0406, code::E0407, code::E0408];
        said.extend(
            diagnostics
                .iter()
                .filter(|d| !open.contains(&d.code) && !d.message.contains("..."))
                .map(|d| format!("{}: {}", d.code, d.message)),
        );
    };
    let mut modules = vec![];
    match lower::tests(project, file) {
        Ok((tests, module)) => {
            tests.into_iter().filter_map(|test| test.function.err()).for_each(&mut tell);
            modules.push(module);
        }
        Err(diagnostics) => tell(diagnostics),
    }
    let main = if lower::entry::is_script(project, file) {
        lower::script(project, file)
    } else {
        lower::entry(project, file, &lower::EntryRequest::default())
    };
    match main {
        Ok(module) => modules.push(module),
        Err(diagnostics) => tell(diagnostics),
    }
    for module in modules {
        let errors = ir::verify(module).err().into_iter().flatten();
        said.extend(errors.map(|error| format!("invalid IR: {}", error.message)));
    }
    said
}

/// What is wrong with how a mutant is treated.
fn judged(project: &mut Project, file: FileId, program: &Program, mutant: &Mutant) -> Option<String> {
    let start = Instant::now();
    project.edit(file, mutant.text.clone());
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        let found = project.check(file);
        let clean = !found.iter().any(Diagnostic::is_error);
        (found, if clean && program.lowers { lowered(project, file) } else { vec![] })
    }));
    let Ok((found, said)) = outcome else { return Some("panics".to_string()) };
    let clean = !found.iter().any(Diagnostic::is_error);
    if start.elapsed() > LIMIT {
        return Some(format!("takes {:?}", start.elapsed()));
    }
    if found.len() > program.told + HANDFUL {
        let messages: Vec<String> = found.iter().map(|d| format!("    {}: {}", d.code, d.message)).collect();
        return Some(format!("{} diagnostics\n{}", found.len(), messages.join("\n")));
    }
    if clean && mutant.must_fail {
        return Some("is called clean, and names what is not declared".to_string());
    }
    (!said.is_empty()).then(|| format!("is called clean, and cannot be lowered: {}", said.join("; ")))
}

#[test]
fn damaged_programs_are_found_out_in_a_handful_of_diagnostics() {
    let rounds = std::env::var("TRITONC_MUTATIONS").ok().and_then(|n| n.parse().ok()).unwrap_or(ROUNDS);
    let programs = programs();
    assert!(programs.len() > 100, "only {} valid programs", programs.len());
    let mut wrong = String::new();
    let mut count = 0;
    for program in &programs {
        let mut random = Random(0x9e37_79b9_7f4a_7c15);
        with_deep_stack(|| {
            let (mut project, file) = open(&program.text);
            for round in 0..rounds {
                if round % REUSES == REUSES - 1 {
                    project = open(&program.text).0;
                }
                let mutant = program.mutant(&mut random);
                if let Some(fault) = judged(&mut project, file, program, &mutant) {
                    count += 1;
                    let path = program.path.strip_prefix(root()).unwrap_or(&program.path).display();
                    let _ = writeln!(wrong, "{path}, {}: {fault}", mutant.what);
                    // A panic may have left anything behind.
                    project = open(&program.text).0;
                }
            }
        });
    }
    assert!(wrong.is_empty(), "{count} mutants of {} programs:\n{wrong}", programs.len());
}
