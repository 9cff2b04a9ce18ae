//! The outcome of a verification: findings and counts.

use chrono::{DateTime, SecondsFormat, Utc};

/// The outcome of a verification.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// The number of chains.
    pub trails: u64,
    /// The ordinary digest files.
    pub digests: Tally,
    /// The digest files that were made later.
    pub backfill_digests: Tally,
    /// The log files that valid digest files name.
    pub log_files: Tally,
    /// The time that valid digest files cover, of all trails.
    pub covered: Option<(DateTime<Utc>, DateTime<Utc>)>,
    /// All that is wrong, and gaps.
    pub findings: Vec<Finding>,
}

/// Counts of files by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Files that are as they were delivered.
    pub valid: u64,
    /// Files that are not, or not there.
    pub invalid: u64,
    /// Digest files without a signature to check: copies without the object's metadata.
    pub not_checked: u64,
}

/// Something that is wrong, or a gap.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// The kind of file.
    pub subject: Subject,
    /// The address of the file; the trail for what is about no file.
    pub url: String,
    /// The verdict.
    pub verdict: Verdict,
    /// More about it; may be empty.
    pub detail: String,
}

/// A kind of file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A digest file.
    Digest,
    /// A digest file that was made later.
    BackfillDigest,
    /// A log file.
    LogFile,
    /// A chain of digest files.
    Trail,
}

/// A verdict that is not `valid`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A digest file whose signature is not CloudTrail's.
    SignatureWrong,
    /// A digest file with another hash than the newer one says.
    HashWrong,
    /// A digest file at another place than it names.
    Moved,
    /// A digest file that is no digest.
    Malformed,
    /// A file that is not there.
    Missing,
    /// A digest file signed with a key that CloudTrail does not list.
    KeyUnknown,
    /// A digest file without a signature to check.
    NotChecked,
    /// A digest file that no newer one leads to.
    Unlinked,
    /// A file that cannot be read.
    Unreadable,
    /// A log file with another content.
    Changed,
    /// A file with bytes after the end of its gzip stream.
    TrailingBytes,
    /// A log file that cannot be decompressed.
    NotGzip,
    /// A log file that no digest file names.
    Extra,
    /// A time between linked digest files that neither covers.
    NotCovered,
    /// A time without log files: nothing was delivered, or validation was off.
    Gap,
}

impl Verdict {
    /// The name for machines.
    pub fn code(self) -> &'static str {
        self.texts().0
    }

    /// The verdict in words.
    pub fn words(self) -> &'static str {
        self.texts().1
    }

    /// Returns whether something is wrong. Gaps are told, as trails may be stopped.
    pub fn is_fault(self) -> bool {
        self != Self::Gap
    }

    fn texts(self) -> (&'static str, &'static str) {
        match self {
            Self::SignatureWrong => ("signature_wrong", "signature verification failed"),
            Self::HashWrong => ("hash_wrong", "another hash than the next digest file names"),
            Self::Moved => ("moved", "moved from its original location"),
            Self::Malformed => ("malformed", "invalid format"),
            Self::Missing => ("missing", "not found"),
            Self::KeyUnknown => ("key_unknown", "public key not found"),
            Self::NotChecked => ("not_checked", "signature not checked"),
            Self::Unlinked => ("unlinked", "no newer digest file leads to it"),
            Self::Unreadable => ("unreadable", "cannot be read"),
            Self::Changed => ("changed", "hash value does not match"),
            Self::TrailingBytes => ("trailing_bytes", "bytes after the end of the gzip stream"),
            Self::NotGzip => ("not_gzip", "it is no whole gzip file"),
            Self::Extra => ("extra", "in no digest file"),
            Self::NotCovered => ("not_covered", "no digest file covers this time"),
            Self::Gap => ("gap", "no log files were delivered, or validation was off"),
        }
    }
}

impl Subject {
    /// The name for machines.
    pub fn code(self) -> &'static str {
        match self {
            Self::Digest => "digest",
            Self::BackfillDigest => "backfill_digest",
            Self::LogFile => "log",
            Self::Trail => "trail",
        }
    }

    /// The name in words.
    pub fn words(self) -> &'static str {
        match self {
            Self::Digest => "digest file",
            Self::BackfillDigest => "backfill digest file",
            Self::LogFile => "log file",
            Self::Trail => "trail",
        }
    }
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            subject,
            url,
            verdict,
            detail,
        } = self;
        let mark = match verdict {
            Verdict::NotChecked => "UNKNOWN",
            Verdict::Gap => "gap",
            Verdict::Extra => "EXTRA",
            _ => "INVALID",
        };
        let (what, words) = (subject.words(), verdict.words());
        match (subject, detail.as_str()) {
            (_, "") => write!(f, "{mark:<8} {what} {url}: {words}"),
            // The detail is a time here.
            (Subject::Trail, detail) => write!(f, "{mark:<8} {what} {url}: {detail}: {words}"),
            (_, detail) => write!(f, "{mark:<8} {what} {url}: {words}: {detail}"),
        }
    }
}

impl Tally {
    /// The number of all files.
    pub fn total(&self) -> u64 {
        self.valid + self.invalid + self.not_checked
    }

    fn add(&mut self, other: Self) {
        self.valid += other.valid;
        self.invalid += other.invalid;
        self.not_checked += other.not_checked;
    }
}

impl Report {
    /// Returns whether anything is wrong, or there was nothing to verify.
    pub fn is_fault(&self) -> bool {
        self.found_nothing() || self.findings.iter().any(|it| it.verdict.is_fault())
    }

    /// Returns whether there was no digest file at all.
    pub fn found_nothing(&self) -> bool {
        self.digests.total() + self.backfill_digests.total() == 0
    }

    /// Returns the number of findings with a verdict.
    pub fn count(&self, verdict: Verdict) -> u64 {
        let findings = self.findings.iter();
        findings.filter(|it| it.verdict == verdict).count() as u64
    }

    /// Adds the outcome of another chain.
    pub fn append(&mut self, other: Self) {
        self.trails += other.trails;
        self.digests.add(other.digests);
        self.backfill_digests.add(other.backfill_digests);
        self.log_files.add(other.log_files);
        if let Some((start, end)) = other.covered {
            self.cover(start, end);
        }
        self.findings.extend(other.findings);
    }

    /// Notes that a valid digest file covers a time.
    pub fn cover(&mut self, start: DateTime<Utc>, end: DateTime<Utc>) {
        let (first, last) = self.covered.unwrap_or((start, end));
        self.covered = Some((first.min(start), last.max(end)));
    }
}

/// Returns a time as AWS writes it.
pub fn time(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
