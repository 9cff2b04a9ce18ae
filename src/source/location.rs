//! Locations: the paths and URLs that name sources.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::objects::{Pattern, is_escaped, is_glob};
use crate::error::{Error, Result};

/// A path or URL to read from, as it was named.
#[derive(Clone, Debug)]
pub enum Location {
    /// A file, folder or glob on this machine.
    Local(Local),
    /// `s3://bucket/…`: an object, everything below a prefix, or a glob.
    S3(S3),
    /// The URL of any other source: `-` for standard input, `sample:?events=N`.
    Url(Arc<str>),
}

/// A file, folder or glob on this machine.
#[derive(Clone, Debug)]
pub struct Local {
    pub(super) typed: Arc<str>,
    pub(super) patterns: Vec<Arc<Pattern>>,
}

/// Objects of one bucket.
#[derive(Clone, Debug)]
pub struct S3 {
    pub(super) typed: Arc<str>,
    pub(super) bucket: Arc<str>,
    pub(super) patterns: Vec<Arc<Pattern>>,
}

impl Location {
    /// Parses a path or URL of a source that this crate has.
    ///
    /// A local path that exists is taken as it is; else `*`, `?`, `[a-z]`, `{a,b}` and `**` are
    /// wildcards, and `\` before one makes it literal. Below a local folder, names that begin with `.` or `_` are left out unless named.
    ///
    /// ```
    /// use auroratrail::source::Location;
    ///
    /// let location = Location::parse("s3://trails/AWSLogs/*/CloudTrail/").unwrap();
    /// assert_eq!(location.to_string(), "s3://trails/AWSLogs/*/CloudTrail/");
    /// assert!(Location::parse("ftp://host/x").is_err());
    /// ```
    ///
    /// # Errors
    /// Config, for schemes that are unknown and patterns that do not parse.
    pub fn parse(text: &str) -> Result<Self> {
        Self::parse_with(text, |scheme| {
            matches!(scheme, "-" | "cloudtrail" | "kinesis" | "logs" | "sample")
        })
    }

    /// Parses a path or URL, with the schemes of other sources than objects.
    pub(super) fn parse_with(text: &str, is_known: impl Fn(&str) -> bool) -> Result<Self> {
        if is_known(scheme_of(text)) {
            return Ok(Self::Url(text.into()));
        }
        match scheme(text) {
            Some(("s3", rest)) => S3::parse(text, rest).map(Self::S3),
            Some((other, _)) => Err(Error::config(format!(
                "`{text}` cannot be read: `{other}://` is unknown; \
                 give a path, s3://bucket/prefix/, kinesis://stream, logs://log-group, cloudtrail:// (event history), \
                 sample: or - for standard input"
            ))),
            None => Local::parse(text).map(Self::Local),
        }
    }

    /// Returns whether this is standard input.
    pub fn is_stdin(&self) -> bool {
        matches!(self, Self::Url(url) if &**url == "-")
    }

    /// Returns whether a wildcard names local files that begin with `prefix`, `.` or `_`, which are
    /// left out otherwise.
    pub fn names_hidden(&self, prefix: char) -> bool {
        match self {
            Self::Local(local) => local.patterns.iter().any(|it| it.names_hidden(prefix)),
            Self::S3(_) | Self::Url(_) => false,
        }
    }

    /// Returns whether files that are written to `target` would be read here: a file of this path or
    /// URL, or with `/` at its end all files in a folder.
    pub fn would_read(&self, target: &str) -> bool {
        let is_folder = target.ends_with('/');
        match (self, target.strip_prefix("s3://")) {
            (Self::S3(s3), Some(target)) => {
                let (bucket, key) = target.split_once('/').unwrap_or((target, ""));
                *s3.bucket == *bucket
                    && may_take(&s3.patterns, Path::new(key), is_folder, Path::to_owned)
            }
            (Self::Local(local), None) => may_take(
                &local.patterns,
                &real_path(Path::new(target)),
                is_folder,
                real_path,
            ),
            _ => false,
        }
    }

    /// Returns whether files or objects are listed here.
    pub fn is_objects(&self) -> bool {
        !matches!(self, Self::Url(_))
    }

    /// The scheme of its URL; `-` for standard input.
    pub(super) fn scheme(&self) -> &str {
        match self {
            Self::Local(_) => "file",
            Self::S3(_) => "s3",
            Self::Url(url) => scheme_of(url),
        }
    }
}

/// The text before the first colon; `-` for standard input, nothing for other paths.
fn scheme_of(text: &str) -> &str {
    match text.split_once(':') {
        Some((scheme, _)) if scheme != "-" => scheme,
        None if text == "-" => text,
        _ => "",
    }
}

impl std::fmt::Display for Location {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Local(local) => &local.typed,
            Self::S3(s3) => &s3.typed,
            Self::Url(url) => url,
        })
    }
}

impl Local {
    fn parse(text: &str) -> Result<Self> {
        if text.is_empty() {
            return Err(Error::config("the path is empty; use . for this folder"));
        }
        let exists = std::fs::symlink_metadata(text).is_ok();
        Ok(Self {
            typed: text.into(),
            patterns: patterns(text, !exists, true)?,
        })
    }

    /// Returns whether it names one file or folder, and there is none.
    pub(super) fn is_absent(&self) -> bool {
        self.patterns.iter().all(|pattern| pattern.is_literal())
            && std::fs::symlink_metadata(&*self.typed).is_err()
    }
}

impl S3 {
    /// Returns whether it has no wildcards.
    pub fn is_literal(&self) -> bool {
        self.patterns.iter().all(|pattern| pattern.is_literal())
    }

    /// The bucket.
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// The prefix that all of its objects have, up to the first wildcard.
    pub fn prefix(&self) -> String {
        let first = self.patterns.first();
        first
            .map(|pattern| pattern.literal_prefix())
            .unwrap_or_default()
    }

    fn parse(text: &str, rest: &str) -> Result<Self> {
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
        if bucket.is_empty() || !bucket.bytes().all(is_name) {
            return Err(Error::config(format!(
                "`{text}` names no bucket: write s3://bucket/prefix/, wildcards only after the bucket"
            )));
        }
        Ok(Self {
            typed: text.into(),
            bucket: bucket.into(),
            // Objects appear whole: nothing is in progress, so nothing is hidden.
            patterns: patterns(key, true, false)?,
        })
    }
}

fn may_take(
    patterns: &[Arc<Pattern>],
    target: &Path,
    is_folder: bool,
    resolve: fn(&Path) -> PathBuf,
) -> bool {
    patterns.iter().any(|pattern| {
        let below = target.strip_prefix(resolve(Path::new(&pattern.base)));
        below.is_ok_and(|below| pattern.may_take(below, is_folder))
    })
}

/// Returns the path without links, as far as it exists.
fn real_path(path: &Path) -> PathBuf {
    let path = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    for folder in path.ancestors() {
        if let (Ok(real), Ok(below)) = (folder.canonicalize(), path.strip_prefix(folder)) {
            return real.join(below);
        }
    }
    path
}

fn patterns(text: &str, may_glob: bool, hide: bool) -> Result<Vec<Arc<Pattern>>> {
    let patterns = if may_glob && (is_glob(text) || is_escaped(text)) {
        Pattern::parse(text, hide)?
    } else {
        vec![Pattern::literal(text, hide)]
    };
    Ok(patterns.into_iter().map(Arc::new).collect())
}

/// Splits `scheme://rest`.
fn scheme(text: &str) -> Option<(&str, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let is_scheme = scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'));
    is_scheme.then_some((scheme, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Location::parse(text).unwrap_err().to_string()
    }

    #[test]
    fn each_kind_of_place_is_told_by_how_it_is_written() {
        let parse = |text| Location::parse(text).unwrap();
        assert!(parse("-").is_stdin());
        assert!(matches!(parse("sample:"), Location::Url(url) if &*url == "sample:"));
        assert!(matches!(parse("sample:?events=9"), Location::Url(_)));
        assert!(matches!(parse("s3://b"), Location::S3(s3) if &*s3.bucket == "b"));
        assert!(matches!(parse("a/b c%20ü.json"), Location::Local(_)));
        for path in ["./-", "sample", "./sample:", "-:x"] {
            assert!(matches!(parse(path), Location::Local(_)), "{path}");
        }
        for text in [
            "-",
            "sample:",
            "sample:?events=9",
            "s3://b/*/x",
            "a/**",
            "kinesis://stream?from=-1h",
        ] {
            assert_eq!(parse(text).to_string(), text);
        }
    }

    #[test]
    fn what_cannot_be_read_says_so() {
        assert!(error("https://host/x").contains("`https://` is unknown"));
        assert!(error("s3://").contains("names no bucket"));
        assert!(error("s3://my*/x").contains("names no bucket"));
        assert!(error("").contains("empty"));
    }

    #[test]
    fn a_target_that_would_be_read_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let logs = folder.path().join("logs");
        std::fs::create_dir(&logs).unwrap();
        let below = |name: &str| format!("{}/{name}", folder.path().display());
        for (source, target, expected) in [
            ("logs", "logs/x/", true),
            ("logs/", "logs/a/b.csv", true),
            ("logs", "logs/", true),
            ("logs", "logs/../logs/x.csv", true),
            ("logs", "logs2/", false),
            ("logs", "logs/.hidden/", false),
            ("logs/*.gz", "logs/x.parquet", false),
            ("logs/*.gz", "logs/x.gz", true),
            ("logs/**/*.gz", "logs/x/", true),
            ("logs/a.json", "logs/b.json", false),
        ] {
            let source = Location::parse(&below(source)).unwrap();
            assert_eq!(
                source.would_read(&below(target)),
                expected,
                "{source} {target}"
            );
        }
        for (source, target, expected) in [
            ("s3://b/logs", "s3://b/logs/x/", true),
            ("s3://b", "s3://b/x.csv", true),
            ("s3://b/logs/", "s3://b/logs2/", false),
            ("s3://b/logs/", "s3://c/logs/", false),
            ("s3://b/logs/", "b/logs/", false),
            ("sample:", "x/", false),
        ] {
            let source = Location::parse(source).unwrap();
            assert_eq!(source.would_read(target), expected, "{source} {target}");
        }
    }

    #[test]
    fn a_path_that_exists_is_no_glob() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a[1]*.json");
        std::fs::write(&path, "{}").unwrap();
        let Location::Local(local) = Location::parse(path.to_str().unwrap()).unwrap() else {
            panic!("not local");
        };
        assert!(local.patterns[0].is_literal());
        let glob = folder.path().join("b[1]*.json");
        let Location::Local(local) = Location::parse(glob.to_str().unwrap()).unwrap() else {
            panic!("not local");
        };
        assert!(!local.patterns[0].is_literal());
    }
}
