//! Globs over trees of folders, matched one name at a time so that whole folders can be passed by.

use std::ffi::OsStr;
use std::path::Path;

use globset::{GlobBuilder, GlobMatcher};

use crate::error::{Error, Result};

/// A folder, and what to take of the tree below it.
///
/// What a pattern matches is taken: a file, or everything below a folder, as if a shell had
/// expanded the pattern into arguments. One that ends in `/` takes only what is in folders.
#[derive(Clone, Debug)]
pub(in crate::source) struct Pattern {
    /// A literal path without wildcards, as typed, perhaps empty, without a slash at its end
    /// unless it is the root.
    pub(in crate::source) base: String,
    steps: Vec<Step>,
    folders_only: bool,
    /// Leave out what is called `.x` or `_x` unless the pattern names it so.
    hide: bool,
}

#[derive(Clone, Debug)]
enum Step {
    Literal(String),
    Glob(String, GlobMatcher),
    /// `**`: any number of folders.
    AnyFolders,
}

/// The part of a pattern that the path to a folder has matched: the steps that may come next.
///
/// The bit after the last step stands for "matched, take everything below".
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Progress(u64);

impl Pattern {
    /// Everything at or below a path without wildcards.
    pub(in crate::source) fn literal(path: &str, hide: bool) -> Self {
        let base = match path.trim_end_matches('/') {
            "" if path.starts_with('/') => "/",
            trimmed => trimmed,
        };
        Self {
            base: base.to_owned(),
            steps: Vec::new(),
            folders_only: path.ends_with('/'),
            hide,
        }
    }

    /// The patterns that `text` stands for: one for each way to choose from its `{a,b}`.
    ///
    /// # Errors
    /// Config, for brackets and braces that do not close.
    pub(in crate::source) fn parse(text: &str, hide: bool) -> Result<Vec<Self>> {
        let mut expanded = Vec::new();
        expand(text, &mut expanded)?;
        expanded
            .iter()
            .map(|text| Self::parse_one(text, hide))
            .collect()
    }

    fn parse_one(text: &str, hide: bool) -> Result<Self> {
        let trimmed = text.trim_end_matches('/');
        let mut segments: Vec<&str> = trimmed.split('/').collect();
        let wild = segments.iter().position(|segment| is_glob(segment));
        // The last segment is a step even if it is literal: what it names may not exist.
        let first = wild.unwrap_or_else(|| segments.len().saturating_sub(1));
        let tail = segments.split_off(first);
        let base = match segments.as_slice() {
            [""] => "/".to_owned(),
            segments => unescaped(&segments.join("/")),
        };
        let steps = tail
            .iter()
            .filter(|segment| !segment.is_empty())
            .map(|segment| Step::parse(segment))
            .collect::<Result<Vec<_>>>()?;
        if steps.len() > MAX_STEPS {
            return Err(Error::config(format!(
                "`{text}` has more than {MAX_STEPS} folders with wildcards"
            )));
        }
        Ok(Self {
            base,
            steps,
            folders_only: text.ends_with('/'),
            hide,
        })
    }

    /// The text that all names begin with that it takes, perhaps with `/` at its end.
    pub(in crate::source) fn literal_prefix(&self) -> String {
        let is_folder = self.folders_only || !self.steps.is_empty();
        match is_folder && !self.base.is_empty() {
            true => format!("{}/", self.base),
            false => self.base.clone(),
        }
    }

    /// Returns whether this is a path without wildcards.
    pub(in crate::source) fn is_literal(&self) -> bool {
        self.steps.is_empty()
    }

    /// Returns whether a wildcard is for names that begin with `prefix`.
    pub(in crate::source) fn names_hidden(&self, prefix: char) -> bool {
        let mut steps = self.steps.iter();
        steps.any(|step| matches!(step, Step::Glob(text, _) if text.starts_with(prefix)))
    }

    /// Returns whether only a folder can be meant.
    pub(super) fn is_folder(&self) -> bool {
        self.folders_only
    }

    /// Returns the progress in the base, where matching starts.
    pub(super) fn start(&self) -> Progress {
        self.skipping_any_folders(Progress(1))
    }

    /// Returns the progress in the folder `name`; empty if nothing below can match.
    pub(super) fn enter(&self, progress: Progress, name: &OsStr) -> Progress {
        let hidden = self.hide && is_hidden(name);
        let mut next = 0;
        for (at, step) in self.steps.iter().enumerate() {
            if progress.0 & (1 << at) == 0 {
                continue;
            }
            match step {
                Step::AnyFolders if !hidden => next |= 1 << at,
                Step::AnyFolders => {}
                step => {
                    if step.matches(name, hidden) {
                        next |= 1 << (at + 1);
                    }
                }
            }
        }
        if self.takes_all(progress) && !hidden {
            next |= self.end();
        }
        self.skipping_any_folders(Progress(next))
    }

    /// Returns whether `name` is left out of this folder only because it is hidden.
    pub(super) fn hides(&self, progress: Progress, name: &OsStr) -> bool {
        let name_bytes = name.as_encoded_bytes();
        let is_ours = TEMPORARY
            .iter()
            .any(|prefix| name_bytes.starts_with(prefix));
        self.hide
            && is_hidden(name)
            && !is_ours
            && self.takes_all(progress)
            && self.enter(progress, name).is_empty()
    }

    /// Returns whether a file called `name` is taken.
    pub(super) fn takes_file(&self, progress: Progress, name: &OsStr) -> bool {
        let matched = self.takes_all(self.enter(progress, name));
        matched && (!self.folders_only || self.takes_all(progress))
    }

    /// Returns whether a file would be taken that is `below` the base, or, if `is_folder`, files in a
    /// folder there, which may have any names.
    pub(in crate::source) fn may_take(&self, below: &Path, is_folder: bool) -> bool {
        let names: Vec<&OsStr> = below.iter().collect();
        let Some((last, folders)) = names.split_last() else {
            return true;
        };
        let enter = |progress, name: &&OsStr| self.enter(progress, name);
        let progress = folders.iter().fold(self.start(), enter);
        match is_folder {
            true => !self.enter(progress, last).is_empty(),
            false => self.takes_file(progress, last),
        }
    }

    /// Returns whether everything in this folder is taken.
    pub(super) fn takes_all(&self, progress: Progress) -> bool {
        progress.0 & self.end() != 0
    }

    /// Returns whether a match may lie any number of folders down.
    pub(super) fn is_deep(&self, progress: Progress) -> bool {
        self.takes_all(progress)
            || self
                .steps
                .iter()
                .enumerate()
                .any(|(at, step)| matches!(step, Step::AnyFolders) && progress.0 & (1 << at) != 0)
    }

    /// The only folder in this one that can lead on, if the pattern names it.
    pub(super) fn only_folder(&self, progress: Progress) -> Option<&str> {
        let at = progress.0.trailing_zeros() as usize;
        match self.steps.get(at) {
            Some(Step::Literal(name)) if progress.0 == 1 << at => {
                (self.folders_only || at + 1 < self.steps.len()).then_some(name)
            }
            _ => None,
        }
    }

    fn end(&self) -> u64 {
        1 << self.steps.len()
    }

    fn skipping_any_folders(&self, progress: Progress) -> Progress {
        let mut bits = progress.0;
        for (at, step) in self.steps.iter().enumerate() {
            if matches!(step, Step::AnyFolders) && bits & (1 << at) != 0 {
                bits |= 1 << (at + 1);
            }
        }
        Progress(bits)
    }
}

impl Progress {
    /// Returns whether nothing below can match.
    pub(super) fn is_empty(self) -> bool {
        self.0 == 0
    }
}

impl Step {
    fn parse(segment: &str) -> Result<Self> {
        if segment == "**" {
            return Ok(Self::AnyFolders);
        }
        if !is_glob(segment) {
            return Ok(Self::Literal(unescaped(segment)));
        }
        let glob = GlobBuilder::new(segment)
            .literal_separator(true)
            .backslash_escape(true)
            .build()
            .map_err(|error| {
                Error::config(format!(
                    "`{segment}` is not a pattern: {}; put \\ before a literal bracket",
                    error.kind()
                ))
            })?;
        Ok(Self::Glob(segment.to_owned(), glob.compile_matcher()))
    }

    fn matches(&self, name: &OsStr, hidden: bool) -> bool {
        match self {
            Self::Literal(literal) => name == OsStr::new(literal),
            Self::Glob(text, glob) => {
                let named = || name.as_encoded_bytes().first() == text.as_bytes().first();
                (!hidden || named()) && glob.is_match(Path::new(name))
            }
            Self::AnyFolders => false,
        }
    }
}

/// Returns whether the text has wildcards.
pub(in crate::source) fn is_glob(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '\\' => {
                chars.next();
            }
            '*' | '?' | '[' | '{' => return true,
            _ => {}
        }
    }
    false
}

/// Returns whether a backslash takes its meaning from a wildcard, so that the text is not to be taken as it is.
pub(in crate::source) fn is_escaped(text: &str) -> bool {
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' && chars.next().is_some_and(|c| r"*?[]{}\".contains(c)) {
            return true;
        }
    }
    false
}

/// Hidden, or in progress by the convention of everything that reads folders of data.
fn is_hidden(name: &OsStr) -> bool {
    matches!(name.as_encoded_bytes().first(), Some(b'.' | b'_'))
}

/// Beginnings of the names of files that this program has not finished writing.
const TEMPORARY: [&[u8]; 2] = [b".auroratrail-", b"_auroratrail-"];

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match c {
            '\\' => chars.next().unwrap_or('\\'),
            c => c,
        });
    }
    out
}

/// Writes out the choices of the first `{}`, and those of what follows.
fn expand(text: &str, out: &mut Vec<String>) -> Result<()> {
    let Some(braces) = Braces::first(text)? else {
        if out.len() == MAX_CHOICES {
            return Err(Error::config(format!(
                "the braces stand for more than {MAX_CHOICES} patterns; use wildcards"
            )));
        }
        out.push(text.to_owned());
        return Ok(());
    };
    for choice in &braces.choices {
        expand(&format!("{}{choice}{}", braces.before, braces.after), out)?;
    }
    Ok(())
}

struct Braces<'a> {
    before: &'a str,
    choices: Vec<&'a str>,
    after: &'a str,
}

impl<'a> Braces<'a> {
    fn first(text: &'a str) -> Result<Option<Self>> {
        let (mut depth, mut start, mut choices) = (0, 0, Vec::new());
        let mut before = "";
        let (mut escaped, mut in_class) = (false, false);
        for (at, c) in text.char_indices() {
            if escaped {
                escaped = false;
                continue;
            }
            match c {
                '\\' => escaped = true,
                ']' if in_class => in_class = false,
                _ if in_class => {}
                '[' => in_class = text[at..].contains(']'),
                '{' => {
                    if depth == 0 {
                        (before, start) = (&text[..at], at + 1);
                    }
                    depth += 1;
                }
                ',' if depth == 1 => {
                    choices.push(&text[start..at]);
                    start = at + 1;
                }
                '}' if depth == 1 => {
                    choices.push(&text[start..at]);
                    let after = &text[at + 1..];
                    return Ok(Some(Self {
                        before,
                        choices,
                        after,
                    }));
                }
                '}' if depth > 1 => depth -= 1,
                _ => {}
            }
        }
        if depth > 0 {
            return Err(Error::config(format!(
                "`{text}` is not a pattern: a brace is not closed; put \\ before a literal brace"
            )));
        }
        Ok(None)
    }
}

/// [`Progress`] has a bit for each step and one for the end.
const MAX_STEPS: usize = 62;
const MAX_CHOICES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    fn takes(pattern: &str, path: &str) -> bool {
        Pattern::parse(pattern, true)
            .unwrap()
            .iter()
            .any(|pattern| {
                let base = match pattern.base.as_str() {
                    "" => path,
                    base => match path.strip_prefix(base) {
                        Some(rest) => rest.trim_start_matches('/'),
                        None => return false,
                    },
                };
                let (folders, name) = base.rsplit_once('/').unwrap_or(("", base));
                let mut progress = pattern.start();
                for folder in folders.split('/').filter(|f| !f.is_empty()) {
                    progress = pattern.enter(progress, OsStr::new(folder));
                }
                pattern.takes_file(progress, OsStr::new(name))
            })
    }

    #[test]
    fn a_star_does_not_cross_folders_and_two_do() {
        assert!(takes("logs/*.json", "logs/a.json"));
        assert!(!takes("logs/*.json", "logs/x/a.json"));
        assert!(takes("logs/**/*.json", "logs/a.json"));
        assert!(takes("logs/**/*.json", "logs/x/y/a.json"));
        assert!(!takes("logs/**/*.json", "logs/x/y/a.gz"));
        assert!(takes("**/CloudTrail/**/*.gz", "a/CloudTrail/b/c.gz"));
        assert!(!takes("**/CloudTrail/**/*.gz", "a/Config/b/c.gz"));
        assert!(takes("logs/**", "logs/x/a"));
        assert!(takes("a?[0-9].json", "ab7.json"));
        assert!(!takes("a?[!0-9].json", "ab7.json"));
    }

    #[test]
    fn a_pattern_that_matches_a_folder_takes_everything_below() {
        assert!(takes("logs/*/CloudTrail/", "logs/1/CloudTrail/x/y.gz"));
        assert!(takes("logs/*/CloudTrail", "logs/1/CloudTrail/x/y.gz"));
        assert!(!takes("logs/*/CloudTrail", "logs/1/CloudTrail-Digest/y.gz"));
        assert!(takes("logs/2*", "logs/2025/01/y.gz"));
        assert!(takes("logs/2*", "logs/2.gz"));
        assert!(!takes("logs/2*/", "logs/2.gz"));
    }

    #[test]
    fn braces_choose_across_folders_and_nest() {
        for path in ["x/a/1.gz", "x/b/c/1.gz", "x/b/d/1.gz"] {
            assert!(takes("x/{a,b/{c,d}}/*.gz", path), "{path}");
        }
        assert!(!takes("x/{a,b/{c,d}}/*.gz", "x/b/e/1.gz"));
        let folders = Pattern::parse("x/{a,b}/", true).unwrap();
        assert_eq!(folders.len(), 2);
        assert_eq!(folders[0].only_folder(folders[0].start()), Some("a"));
        assert!(takes("x[{]y/*", "x{y/1"));
        assert!(takes("x\\{y/*", "x{y/1"));
        let error = Pattern::parse("x/{a,b", true).unwrap_err().to_string();
        assert!(error.contains("not closed"), "{error}");
        let many = "{1,2,3,4,5,6,7,8}".repeat(5);
        assert!(Pattern::parse(&many, true).is_err());
    }

    #[test]
    fn hidden_names_are_taken_only_when_named() {
        assert!(!takes("logs/*", "logs/.a.json"));
        assert!(!takes("logs/*", "logs/_tmp/a.json"));
        assert!(!takes("logs/**/*.json", "logs/.git/a.json"));
        assert!(takes("logs/.*", "logs/.a.json"));
        assert!(takes("logs/_*", "logs/_tmp/a.json"));
        assert!(takes("logs/{_tmp,x}", "logs/_tmp/a.json"));
        let open = &Pattern::parse("logs/*", false).unwrap()[0];
        assert!(open.takes_file(open.start(), OsStr::new("_a")));
    }

    #[test]
    fn a_class_that_does_not_close_is_an_error_with_advice() {
        let error = Pattern::parse("logs/[a", true).unwrap_err().to_string();
        assert!(error.contains("logs") || error.contains("[a"), "{error}");
        assert!(error.contains('\\'), "{error}");
    }

    #[test]
    fn the_literal_part_is_the_base() {
        let base = |text| Pattern::parse(text, true).unwrap()[0].base.clone();
        assert_eq!(base("/a/b/*.gz"), "/a/b");
        assert_eq!(base("/*.gz"), "/");
        assert_eq!(base("*.gz"), "");
        assert_eq!(base("./x/*"), "./x");
        assert_eq!(base("a\\[1\\]/*.gz"), "a[1]");
        assert_eq!(Pattern::literal("a/b//", true).base, "a/b");
        assert_eq!(Pattern::literal("/", true).base, "/");
    }
}
