//! Conventions that no lint checks: dependencies between modules, forbidden calls, sizes, and
//! prose.

use std::fs;
use std::path::{Path, PathBuf};

/// Modules that each top-level module may use, in the order of the data flow.
const MAY_USE: &[(&str, &[&str])] = &[
    ("decoding", &[]),
    ("input_location", &[]),
    ("json", &[]),
    ("payload", &[]),
    ("private_folder", &[]),
    ("error", &["input_location"]),
    ("reject", &["input_location"]),
    ("stats", &["input_location"]),
    ("checkpoint", &["error"]),
    ("execution", &["error", "reject", "stats"]),
    ("sample", &["error", "payload"]),
    (
        "source",
        &[
            "checkpoint",
            "error",
            "execution",
            "input_location",
            "payload",
            "reject",
            "sample",
        ],
    ),
    // Takes whole files of a trail.
    ("integrity", &["error", "reject", "source"]),
    // Takes a payload, and knows no source.
    (
        "envelope",
        &[
            "decoding",
            "input_location",
            "json",
            "payload",
            "reject",
            "stats",
        ],
    ),
    // Takes a record of `envelope`; type mismatches are counted by the caller.
    ("events", &["envelope", "input_location", "json"]),
    (
        "pipeline",
        &[
            "checkpoint",
            "envelope",
            "error",
            "events",
            "execution",
            "input_location",
            "payload",
            "reject",
            "source",
        ],
    ),
    // Takes batches and checkpoints.
    (
        "lake",
        &[
            "checkpoint",
            "decoding",
            "error",
            "events",
            "execution",
            "json",
            "pipeline",
            "private_folder",
            "source",
        ],
    ),
    // Takes batches, and knows neither envelopes nor payloads.
    (
        "query",
        &[
            "decoding",
            "error",
            "events",
            "execution",
            "json",
            "lake",
            "pipeline",
            "source",
        ],
    ),
    // Takes batches and checkpoints, and a query that is planned.
    (
        "stream",
        &[
            "checkpoint",
            "error",
            "execution",
            "pipeline",
            "query",
            "reject",
            "source",
        ],
    ),
    (
        "cli",
        &[
            // For people: how far the sources of a lake were read.
            "checkpoint",
            "envelope",
            "decoding",
            "error",
            "events",
            "execution",
            "integrity",
            "json",
            "lake",
            "pipeline",
            "private_folder",
            "query",
            "reject",
            "sample",
            "source",
            "stats",
            "stream",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// Forbidden code outside tests, and the modules exempt from each.
const FORBIDDEN: &[(&str, &[&str])] = &[
    // Use `expect("why it holds")` for an invariant, an error otherwise.
    (".unwrap()", &[]),
    // Messages go through the command line.
    ("print!(", &["cli", "main"]),
    ("println!(", &["cli", "main"]),
    ("dbg!(", &[]),
    ("todo!(", &[]),
    // A task outlives whoever forgets it: `source` has a type that stops its tasks.
    ("tokio::spawn(", &["cli", "pipeline", "source"]),
];

/// Most lines of a file before its tests.
const LONGEST: usize = 600;

/// Longer files, with a reason.
const LONGER: &[(&str, &str)] = &[];

/// First words of doc comments without a noun or a main verb. "Whether" is one too, except on a
/// bool.
const HEADLESS: &[&str] = &[
    "As",
    "How",
    "If",
    "No",
    "Nobody",
    "Nothing",
    "Of",
    "So",
    "Than",
    "Those",
    "What",
    "Whatever",
    "When",
    "Where",
    "Which",
    "Whichever",
    "Who",
    "Whoever",
    "Why",
];

/// Limit for the share of such doc comments, in percent.
const HEADLESS_PERCENT: f64 = 5.0;

/// Most parameters of a function; more need a struct.
const MOST_PARAMETERS: usize = 5;

/// Limit for the share of functions with more parameters, in percent.
const CROWDED_PERCENT: f64 = 0.5;

/// Most lines of a function's body.
const LONGEST_BODY: usize = 100;

#[test]
fn modules_use_only_those_before_them() {
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let module = module(&path);
        let Some((_, may_use)) = MAY_USE.iter().find(|(name, _)| *name == module) else {
            wrong.push(format!(
                "{}: `{module}` is not in the table",
                path.display()
            ));
            continue;
        };
        for (number, line) in code.lines().enumerate() {
            for used in crate_paths(line) {
                if used != module && !may_use.contains(&used) {
                    let number = number + 1;
                    let path = path.display();
                    wrong.push(format!("{path}:{number}: `{module}` may not use `{used}`"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn what_is_forbidden_is_not_written() {
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let module = module(&path);
        for (forbidden, but_in) in FORBIDDEN {
            if but_in.contains(&&*module) {
                continue;
            }
            let lines = code.lines().enumerate();
            for (number, _) in lines.filter(|(_, line)| line.contains(forbidden)) {
                let number = number + 1;
                wrong.push(format!("{}:{number}: `{forbidden}`", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn every_file_says_what_it_is_for() {
    let mut wrong = Vec::new();
    for folder in ["src", "tests", "benches"] {
        for path in rust_files(Path::new(folder)) {
            let text = fs::read_to_string(&path).unwrap();
            if !text.trim().is_empty() && !text.starts_with("//! ") {
                wrong.push(format!("{}: no `//!` at its head", path.display()));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn no_file_is_too_long_to_be_read() {
    let mut wrong = Vec::new();
    for (path, code) in sources() {
        let lines = code.lines().count();
        let excused = LONGER.iter().any(|(file, _)| path == Path::new(file));
        if lines > LONGEST && !excused {
            wrong.push(format!(
                "{}: {lines} lines before its tests",
                path.display()
            ));
        }
        if lines <= LONGEST && excused {
            wrong.push(format!("{}: needs no excuse any more", path.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn docs_open_with_a_verb_or_a_noun() {
    let mut headless = Vec::new();
    let mut count = 0;
    for path in rust_files(Path::new("src")) {
        let text = fs::read_to_string(&path).unwrap();
        for doc in docs(&text) {
            count += 1;
            if doc.is_headless() {
                let Doc { line, opening, .. } = doc;
                headless.push(format!("{}:{line}: {opening}", path.display()));
            }
        }
    }
    let percent = 100.0 * headless.len() as f64 / f64::from(count);
    assert!(
        percent <= HEADLESS_PERCENT,
        "{percent:.1} % of {count} doc comments open without a head, above {HEADLESS_PERCENT} %:\n{}",
        headless.join("\n")
    );
}

#[test]
fn functions_are_short_and_take_few_arguments() {
    let mut crowded = Vec::new();
    let mut long = Vec::new();
    let mut count = 0;
    for (path, code) in sources() {
        for function in functions(&code) {
            count += 1;
            let Function {
                name,
                line,
                parameters,
                body_lines,
            } = function;
            let place = format!("{}:{line}: {name}", path.display());
            if parameters > MOST_PARAMETERS {
                crowded.push(format!("{place}: {parameters} parameters"));
            }
            if body_lines > LONGEST_BODY {
                long.push(format!("{place}: {body_lines} lines"));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
    let percent = 100.0 * crowded.len() as f64 / f64::from(count);
    assert!(
        percent <= CROWDED_PERCENT,
        "{percent:.2} % of {count} functions, above {CROWDED_PERCENT} %:\n{}",
        crowded.join("\n")
    );
}

#[test]
fn docs_and_functions_are_found() {
    let text = "//! Where it is.\n//! Who.\n\nstruct X {\n    /// Whether it is.\n    #[a]\n    \
                b: bool,\n    /// Whether: a\n    b: u8,\n    /// No more\n    /// A\n    c: u8,\n}\n\
                /// A b\nfn f(\n) -> bool {}\n";
    let docs: Vec<_> = docs(text)
        .into_iter()
        .map(|doc| (doc.line, doc.opening, doc.is_headless()))
        .collect();
    assert_eq!(
        docs,
        [
            (1, "Where it is.", true),
            (5, "Whether it is.", false),
            (8, "Whether: a", true),
            (10, "No more", true),
            (14, "A b", false),
        ]
    );
    let code = "impl A {\n  fn a<'a, F: Fn(u8) -> u8>(&'a self, (b, c): (u8, HashMap<u8, u8>), f: F,)\n  \
                where F: X,\n  {\n    let x = '{'; let y = \"}\\\"{\"; // {\n    r#\"\"{\"#;\n  }\n  \
                fn b();\n}\nconst F: fn(u8) = f;\n";
    let functions: Vec<_> = functions(code)
        .into_iter()
        .map(|it| (it.name, it.line, it.parameters, it.body_lines))
        .collect();
    assert_eq!(
        functions,
        [("a".to_owned(), 2, 4, 2), ("b".to_owned(), 8, 0, 0)]
    );
}

#[test]
fn the_checks_see_what_they_look_for() {
    assert_eq!(
        crate_paths("use crate::json::{Span}; let x = crate::events::time::parse(crate::x);")
            .collect::<Vec<_>>(),
        ["json", "events", "x"]
    );
    let text = "a\n// b.unwrap()\nlet s = \"//\"; c\n#[cfg(test)]\nmod tests {\n    d\n}\n";
    assert_eq!(without_tests(text), "a\n\nlet s = \"//\"; c\n");
    assert!(sources().len() > 50);
}

/// Reads the code of each source file, without comments and tests.
fn sources() -> Vec<(PathBuf, String)> {
    rust_files(Path::new("src"))
        .into_iter()
        .filter(|path| {
            !path
                .iter()
                .any(|part| part == "tests" || part == "tests.rs")
        })
        .map(|path| {
            let text = fs::read_to_string(&path).unwrap();
            (path, without_tests(&text))
        })
        .collect()
}

/// Blanks comment lines, preserving the numbers of the others, and cuts the tests.
fn without_tests(text: &str) -> String {
    let end = text.find("#[cfg(test)]\nmod tests {");
    let is_comment = |line: &&str| line.trim_start().starts_with("//");
    text[..end.unwrap_or(text.len())]
        .lines()
        .map(|line| {
            if is_comment(&line) { "\n" } else { line }
                .trim_end()
                .to_owned()
                + "\n"
        })
        .collect()
}

fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(folder) else {
        return Vec::new();
    };
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(rust_files(&path));
        } else if path.extension().is_some_and(|ending| ending == "rs") {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// Returns the top-level module of a file: `source` for `src/source/s3/list.rs` and
/// `src/source.rs`.
fn module(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap();
    let first = below.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// Returns the `x` of each `crate::x` in a line.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        &rest[..end.unwrap_or(rest.len())]
    })
}

/// A doc comment: consecutive lines of `///` or `//!`.
struct Doc<'a> {
    /// Number of its first line, from 1.
    line: usize,
    opening: &'a str,
    /// The item below the comment, up to its body or its end.
    item: String,
}

impl Doc<'_> {
    /// Returns whether the first sentence opens without a noun or a main verb.
    fn is_headless(&self) -> bool {
        let word = self.opening.split(|c: char| !c.is_alphanumeric()).next();
        match word.unwrap_or_default() {
            "Whether" => !self.item.to_lowercase().contains("bool"),
            word => HEADLESS.contains(&word) || self.opening.starts_with("The one "),
        }
    }
}

fn docs(text: &str) -> Vec<Doc<'_>> {
    let lines: Vec<&str> = text.lines().map(str::trim).collect();
    let mut docs = Vec::new();
    let mut inside = false;
    for (at, line) in lines.iter().enumerate() {
        let opening = doc_line(line);
        if let (Some(opening), false) = (opening, inside) {
            docs.push(Doc {
                line: at + 1,
                opening,
                item: match line.starts_with("///") {
                    true => item_below(&lines[at..]),
                    false => String::new(),
                },
            });
        }
        inside = opening.is_some();
    }
    docs
}

fn doc_line(line: &str) -> Option<&str> {
    let outer = line.strip_prefix("///");
    let rest = outer.or_else(|| line.strip_prefix("//!"))?;
    (!rest.starts_with('/')).then(|| rest.trim())
}

/// Returns the item below comments and attributes, up to its body or its end.
fn item_below(lines: &[&str]) -> String {
    let is_item = |line: &&&str| !line.starts_with("//") && !line.starts_with("#[");
    let mut item = String::new();
    for line in lines.iter().skip_while(|line| !is_item(line)) {
        item.push_str(line);
        if line.ends_with(['{', '}', ';']) || (line.ends_with(',') && !item.contains("fn ")) {
            break;
        }
    }
    item
}

struct Function {
    name: String,
    /// Number of the line of its name, from 1.
    line: usize,
    /// Number of parameters, including `self` and each name in a tuple pattern.
    parameters: usize,
    /// Number of lines between the braces of its body.
    body_lines: usize,
}

fn functions(code: &str) -> Vec<Function> {
    let code = without_text(code);
    let mut functions = Vec::new();
    for (at, _) in code.match_indices("fn ") {
        let starts_word = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let rest = &code[at + 3..];
        let name = rest.split(|c: char| !(c.is_alphanumeric() || c == '_'));
        let name = name.into_iter().next().unwrap_or_default();
        if !starts_word || name.is_empty() {
            continue;
        }
        let after_name = &rest[name.len()..];
        let generics = match after_name.starts_with('<') {
            true => enclosed(after_name),
            false => 0,
        };
        let list = &after_name[generics..];
        let end = enclosed(list);
        let below = &list[end..];
        let body = below.find(['{', ';']).map(|start| &below[start..]);
        let body = body.filter(|body| body.starts_with('{'));
        functions.push(Function {
            name: name.to_owned(),
            line: code[..at].matches('\n').count() + 1,
            parameters: parameters(&list[1..end - 1]),
            body_lines: body.map_or(0, |body| {
                let breaks = body[..enclosed(body)].matches('\n').count();
                breaks.saturating_sub(1)
            }),
        });
    }
    functions
}

/// Counts the names in a parameter list or a tuple pattern.
fn parameters(list: &str) -> usize {
    let count = |parameter: &str| match parameter.trim() {
        "" => 0,
        tuple if tuple.starts_with('(') => parameters(&tuple[1..enclosed(tuple) - 1]),
        _ => 1,
    };
    let mut total = 0;
    let mut depth = 0;
    let mut start = 0;
    for (at, step) in nesting(list) {
        depth += step;
        if depth == 0 && list[at..].starts_with(',') {
            total += count(&list[start..at]);
            start = at + 1;
        }
    }
    total + count(&list[start..])
}

/// Returns the length of the bracketed text at the start of `code`.
fn enclosed(code: &str) -> usize {
    let mut depth = 0;
    for (at, step) in nesting(code) {
        depth += step;
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("unclosed: {code}");
}

/// Returns each byte's position and its step into or out of brackets. A comparison such as `a < b`
/// would leave a bracket open, so bodies count only braces.
fn nesting(code: &str) -> impl Iterator<Item = (usize, i32)> {
    let in_body = code.starts_with('{');
    let bytes = code.as_bytes();
    bytes.iter().enumerate().map(move |(at, byte)| {
        let step = match byte {
            b'{' => 1,
            b'}' => -1,
            _ if in_body => 0,
            b'(' | b'[' | b'<' => 1,
            b'>' if at > 0 && bytes[at - 1] == b'-' => 0,
            b')' | b']' | b'>' => -1,
            _ => 0,
        };
        (at, step)
    })
}

/// Removes the contents of strings, characters and comments, preserving line breaks.
fn without_text(code: &str) -> String {
    let mut left = String::with_capacity(code.len());
    let mut rest = code;
    while let Some(c) = rest.chars().next() {
        let after_word = left.ends_with(|c: char| c.is_alphanumeric() || c == '_');
        let raw = rest.trim_start_matches('b').strip_prefix('r');
        let hashes = raw.map(|raw| raw.len() - raw.trim_start_matches('#').len());
        let skipped = match (c, raw, hashes) {
            ('b' | 'r', Some(raw), Some(hashes))
                if !after_word && raw[hashes..].starts_with('"') =>
            {
                let end = format!("\"{}", "#".repeat(hashes));
                let start = rest.len() - raw.len() + hashes + 1;
                start + rest[start..].find(&end).unwrap() + end.len()
            }
            ('"', ..) => quoted(rest, '"'),
            // A lifetime has no quote after one character.
            ('\'', ..) if rest[1..].starts_with('\\') => quoted(rest, '\''),
            ('\'', ..) if rest.chars().nth(2) == Some('\'') => {
                2 + rest.chars().nth(1).unwrap().len_utf8()
            }
            ('/', ..) if rest.starts_with("//") => rest.find('\n').unwrap_or(rest.len()),
            _ => {
                left.push(c);
                rest = &rest[c.len_utf8()..];
                continue;
            }
        };
        left.extend(rest[..skipped].chars().filter(|c| *c == '\n'));
        rest = &rest[skipped..];
    }
    left
}

/// Returns the length of the literal at the start of `code`, quotes included.
fn quoted(code: &str, quote: char) -> usize {
    let mut escaped = false;
    let end = code.char_indices().skip(1).find(|&(_, c)| {
        let ends = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        ends
    });
    end.unwrap().0 + 1
}
