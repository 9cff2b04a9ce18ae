//! The habits of the code that no lint knows: who may use whom, and what is not written.

use std::fs;
use std::path::{Path, PathBuf};

/// What each top-level module may use of the others, in the order in which bytes pass through.
const MAY_USE: &[(&str, &[&str])] = &[
    ("input_location", &[]),
    ("json", &[]),
    ("payload", &[]),
    ("error", &["input_location"]),
    ("stats", &["input_location"]),
    ("sample", &["error", "payload"]),
    (
        "source",
        &["error", "input_location", "payload", "sample", "stats"],
    ),
    // Takes a payload, and knows no source.
    ("envelope", &["input_location", "json", "payload", "stats"]),
    // Takes a record of `envelope`, and says where one is whose value does not fit.
    ("events", &["envelope", "input_location", "json"]),
    (
        "query",
        &["envelope", "error", "events", "json", "source", "stats"],
    ),
    (
        "cli",
        &[
            "envelope",
            "error",
            "events",
            "input_location",
            "json",
            "query",
            "sample",
            "source",
            "stats",
        ],
    ),
    ("main", &["cli"]),
    ("lib", &[]),
];

/// What is not written outside tests, and the modules where it is.
const FORBIDDEN: &[(&str, &[&str])] = &[
    // `expect("why it holds")` where it cannot fail, an error where it can.
    (".unwrap()", &[]),
    // What people are told goes through the command line.
    ("print!(", &["cli", "main"]),
    ("println!(", &["cli", "main"]),
    ("dbg!(", &[]),
    ("todo!(", &[]),
    // A task outlives whoever forgets it: `source` has a type that stops its tasks.
    ("tokio::spawn(", &["cli", "source"]),
];

/// Lines that a file may have before its tests.
const LONGEST: usize = 600;

/// Files that are longer, and why.
const LONGER: &[(&str, &str)] = &[];

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

/// The code of each file of the package, without comments and tests.
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

/// Lines that are comments are empty, so that the others keep their numbers.
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

/// `src/source/s3/list.rs` and `src/source.rs` belong to `source`.
fn module(path: &Path) -> String {
    let below = path.strip_prefix("src").unwrap();
    let first = below.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The `x` of each `crate::x` in a line.
fn crate_paths(line: &str) -> impl Iterator<Item = &str> {
    line.split("crate::").skip(1).map(|rest| {
        let end = rest.find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'));
        &rest[..end.unwrap_or(rest.len())]
    })
}
