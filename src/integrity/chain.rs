//! The walk along a chain of digest files, from the newest one backwards.
//!
//! A link of a valid digest file leads to the one before. After one that is missing or wrong, the next
//! older one of the listing is taken: nothing that it says can be trusted.

use std::collections::{BTreeMap, HashSet};

use chrono::{DateTime, Duration, Utc};
use futures::stream::{self, StreamExt, TryStreamExt};

use super::Context;
use super::digest::{Digest, LogFile, ObjectName};
use super::extra::{Covered, remembered};
use super::find::{FileKind, find};
use super::key::{DigestKey, TrailId};
use super::log_file::{LogContent, LogHasher};
use super::report::{Finding, Report, Subject, Tally, Verdict, time};
use super::signature::is_signed;
use super::store::{Chunks, StoredDigest};
use crate::error::{Error, Result};
use crate::source::PublicKey;

/// A digest file of the listing. Its order is that of time.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Listed {
    /// The end of the time that it covers, by its name.
    pub end: DateTime<Utc>,
    /// Its address.
    pub url: String,
}

/// The outcome of walking along chains.
#[derive(Default)]
pub struct Outcome {
    /// Counts and findings.
    pub report: Report,
    /// The times that valid digest files cover, by the folder of their log files.
    pub covered: Covered,
    /// The log files that digest files name, as [`remembered`] gives them.
    pub named: HashSet<String>,
}

impl Outcome {
    /// Adds the outcome of another chain.
    pub fn append(&mut self, other: Self) {
        self.report.append(other.report);
        for (folder, spans) in other.covered {
            self.covered.entry(folder).or_default().extend(spans);
        }
        self.named.extend(other.named);
    }
}

/// A link to the digest file before.
#[derive(Clone, Debug)]
struct Link {
    object: ObjectName,
    hash: Option<String>,
    /// The start of the digest file that has the link.
    start: DateTime<Utc>,
}

/// The place where the walk goes on.
struct Next {
    url: String,
    link: Option<Link>,
}

/// The reason why a digest file is not valid.
struct Fault(Verdict, String);

impl Fault {
    fn new(verdict: Verdict) -> Self {
        Self(verdict, String::new())
    }
}

/// A digest file that can be gone on from.
struct Checked {
    digest: Digest,
    /// Whether it has a signature, which is right then.
    is_signed: bool,
}

/// One chain and the state of the walk along it.
pub struct Chain<'a> {
    context: Context<'a>,
    trail: TrailId,
    /// The digest files that are listed and older than those visited, oldest first.
    listed: Vec<Listed>,
    /// The address before `/AWSLogs/` of the listings.
    bases: HashSet<String>,
    visited: HashSet<String>,
    /// The start of the last valid digest file; at first the end of the newest one.
    reached: DateTime<Utc>,
    keys: BTreeMap<String, PublicKey>,
    outcome: Outcome,
}

impl<'a> Chain<'a> {
    /// A chain of the digest files that are listed, oldest first.
    pub fn new(context: Context<'a>, trail: TrailId, listed: Vec<Listed>) -> Self {
        let newest = listed.last().map(|newest| newest.end);
        let keys = listed.iter().filter_map(|it| DigestKey::parse(&it.url));
        Self {
            context,
            trail,
            bases: keys.map(|key| key.base).collect(),
            listed,
            visited: HashSet::new(),
            reached: newest.unwrap_or(context.request.until),
            keys: BTreeMap::new(),
            outcome: Outcome::default(),
        }
    }

    /// Walks along the chain, and looks at the log files of each digest file.
    ///
    /// # Errors
    /// Those of services that do not answer, of keys that cannot be asked for and of listings.
    pub async fn walk(mut self) -> Result<Outcome> {
        if !self.trail.is_backfill {
            self.load_keys().await?;
        }
        let all = self.listed.clone();
        let mut next = self.older(None);
        while let Some(at) = next.take_if(|_| self.is_wanted(self.reached)) {
            next = self.step(at).await?;
        }
        // Those that the links passed by.
        let left = all.into_iter().filter(|it| self.is_wanted(it.end));
        let left: Vec<Listed> = left.filter(|it| !self.visited.contains(&it.url)).collect();
        for Listed { url, .. } in left {
            self.unlinked(url).await?;
        }
        Ok(self.outcome)
    }

    fn is_wanted(&self, time: DateTime<Utc>) -> bool {
        self.context.request.from.is_none_or(|from| from <= time)
    }

    /// Checks one digest file, and returns where to go on.
    async fn step(&mut self, at: Next) -> Result<Option<Next>> {
        let Next { url, link } = at;
        self.visited.insert(url.clone());
        self.list_if_elsewhere(&url).await?;
        let checked = match self.check(&url, link.as_ref()).await? {
            Ok(checked) => checked,
            Err(fault) => {
                self.invalid(&url, fault);
                return Ok(self.older(Some(&url)));
            }
        };
        self.check_time(link.as_ref(), &checked.digest);
        self.reached = checked.digest.start;
        self.accept(&url, &checked).await?;
        let digest = checked.digest;
        let Some(object) = digest.previous else {
            return Ok(self.gap(&url));
        };
        let base = DigestKey::parse(&url).map(|key| key.base);
        let previous = self
            .context
            .store
            .locate(&base.unwrap_or_default(), &object);
        if self.visited.contains(&previous) {
            return Ok(self.older(Some(&url)));
        }
        let link = Link {
            object,
            hash: digest.previous_hash,
            start: digest.start,
        };
        Ok(Some(Next {
            url: previous,
            link: Some(link),
        }))
    }

    /// Returns the newest one of the listing that is older than `url`.
    fn older(&mut self, url: Option<&str>) -> Option<Next> {
        let before = url.map(|url| DigestKey::parse(url).map_or(self.reached, |key| key.end));
        while let Some(listed) = self.listed.pop() {
            if before.is_none_or(|before| listed.end < before) {
                let url = listed.url;
                return Some(Next { url, link: None });
            }
        }
        None
    }

    /// Lists the folder that a link leads to, if it is of another bucket or prefix.
    async fn list_if_elsewhere(&mut self, url: &str) -> Result<()> {
        let Some(key) = DigestKey::parse(url).filter(|key| !self.bases.contains(&key.base)) else {
            return Ok(());
        };
        let Context { store, request, .. } = self.context;
        let folder = key.folder(FileKind::Digest.folder());
        let found = find(store, &folder, FileKind::Digest, &request.days()).await?;
        self.bases.insert(key.base);
        self.listed.extend(found.into_iter().filter_map(|url| {
            let key = DigestKey::parse(&url)?;
            let is_ours = key.trail == self.trail && request.lists(key.end);
            is_ours.then_some(Listed { end: key.end, url })
        }));
        self.listed.sort();
        Ok(())
    }

    /// Tells of the gap before a digest file that names none before it.
    fn gap(&mut self, url: &str) -> Option<Next> {
        let next = self.older(Some(url))?;
        let end = DigestKey::parse(&next.url).map_or(self.reached, |key| key.end);
        let between = format!("between {} and {}", time(end), time(self.reached));
        self.tell(
            Subject::Trail,
            self.trail.to_string(),
            Fault(Verdict::Gap, between),
        );
        Some(next)
    }

    /// Tells of a time between two linked digest files.
    fn check_time(&mut self, link: Option<&Link>, digest: &Digest) {
        let Some(link) = link.filter(|_| self.context.request.strict) else {
            return;
        };
        if !self.trail.is_backfill && digest.end != link.start {
            let between = format!("between {} and {}", time(digest.end), time(link.start));
            let fault = Fault(Verdict::NotCovered, between);
            self.tell(Subject::Trail, self.trail.to_string(), fault);
        }
    }

    /// Checks a digest file that no link leads to.
    async fn unlinked(&mut self, url: String) -> Result<()> {
        match self.check(&url, None).await? {
            Ok(_) if self.context.request.strict => {
                self.invalid(&url, Fault::new(Verdict::Unlinked));
            }
            Ok(checked) => self.accept(&url, &checked).await?,
            Err(fault) => self.invalid(&url, fault),
        }
        Ok(())
    }

    /// Counts a digest file, and looks at its log files.
    async fn accept(&mut self, url: &str, checked: &Checked) -> Result<()> {
        let Checked { digest, is_signed } = checked;
        if *is_signed {
            self.tally().valid += 1;
        } else {
            self.tally().not_checked += 1;
            let advice = "a copy needs the object's metadata beside it, see --help";
            let fault = Fault(Verdict::NotChecked, advice.to_owned());
            self.tell(self.subject(), url.to_owned(), fault);
        }
        self.outcome.report.cover(digest.start, digest.end);
        let Some(key) = DigestKey::parse(url) else {
            return Ok(());
        };
        if !self.trail.is_backfill {
            let folder = key.folder(FileKind::Log.folder());
            let spans = self.outcome.covered.entry(folder).or_default();
            spans.push((digest.start, digest.end));
        }
        self.log_files(&key.base, &digest.log_files).await
    }

    async fn log_files(&mut self, base: &str, files: &[LogFile]) -> Result<()> {
        let context = self.context;
        let checks = files.iter().map(|file| {
            let url = context.store.locate(base, &file.object);
            async move {
                let fault = check_log(&context, &url, &file.hash).await?;
                Ok::<_, Error>((url, fault))
            }
        });
        let checks: Vec<_> = checks.collect();
        let mut checks = stream::iter(checks).buffered(super::LOG_FILES_AT_ONCE);
        while let Some((url, fault)) = checks.try_next().await? {
            self.outcome.named.insert(remembered(&url));
            let tally = &mut self.outcome.report.log_files;
            match fault {
                None => tally.valid += 1,
                Some(fault) => {
                    tally.invalid += 1;
                    self.tell(Subject::LogFile, url, fault);
                }
            }
        }
        Ok(())
    }

    fn invalid(&mut self, url: &str, fault: Fault) {
        self.tally().invalid += 1;
        self.tell(self.subject(), url.to_owned(), fault);
    }

    fn tell(&mut self, subject: Subject, url: String, fault: Fault) {
        let Fault(verdict, detail) = fault;
        self.outcome.report.findings.push(Finding {
            subject,
            url,
            verdict,
            detail,
        });
    }

    fn subject(&self) -> Subject {
        match self.trail.is_backfill {
            true => Subject::BackfillDigest,
            false => Subject::Digest,
        }
    }

    fn tally(&mut self) -> &mut Tally {
        let report = &mut self.outcome.report;
        match self.trail.is_backfill {
            true => &mut report.backfill_digests,
            false => &mut report.digests,
        }
    }

    /// Reads and checks a digest file.
    async fn check(&mut self, url: &str, link: Option<&Link>) -> Result<Result<Checked, Fault>> {
        let stored = match self.context.store.digest(url).await {
            Ok(Some(stored)) => stored,
            Ok(None) => return Ok(Err(Fault::new(Verdict::Missing))),
            Err(error) => return unreadable(error).map(Err),
        };
        let digest = match Digest::parse(&stored.bytes) {
            Ok(digest) => digest,
            Err(fault) => return Ok(Err(Fault(Verdict::Malformed, fault.to_string()))),
        };
        // Named in a digest file, though a wrong one: not added by somebody.
        if let Some(key) = DigestKey::parse(url) {
            let located = |file: &LogFile| self.context.store.locate(&key.base, &file.object);
            let named = digest.log_files.iter().map(|it| remembered(&located(it)));
            self.outcome.named.extend(named);
        }
        if let Some(fault) = self.place_fault(url, link, &digest) {
            return Ok(Err(fault));
        }
        let fault = self.signature_fault(&stored, &digest).await?;
        let is_signed = match fault {
            Some(Fault(Verdict::NotChecked, _)) => false,
            Some(fault) => return Ok(Err(fault)),
            None => true,
        };
        let expected = link.and_then(|link| link.hash.as_deref());
        if self.context.request.strict && expected.is_some_and(|hash| hash != digest.hash) {
            return Ok(Err(Fault::new(Verdict::HashWrong)));
        }
        Ok(Ok(Checked { digest, is_signed }))
    }

    fn place_fault(&self, url: &str, link: Option<&Link>, digest: &Digest) -> Option<Fault> {
        let object = &digest.object;
        let is_linked = link.is_none_or(|link| link.object == *object);
        let is_original = is_linked && self.context.store.is_original(url, object);
        let detail = format!("it was delivered as s3://{}/{}", object.bucket, object.key);
        (!is_original).then_some(Fault(Verdict::Moved, detail))
    }

    async fn signature_fault(
        &mut self,
        stored: &StoredDigest,
        digest: &Digest,
    ) -> Result<Option<Fault>> {
        let Some(metadata) = &stored.metadata else {
            return Ok(Some(Fault::new(Verdict::NotChecked)));
        };
        let (Some(signature), Some(_)) = (
            metadata.get("signature"),
            metadata.get("signature-algorithm"),
        ) else {
            let detail = "the object's metadata have no signature".to_owned();
            return Ok(Some(Fault(Verdict::SignatureWrong, detail)));
        };
        if self.trail.is_backfill {
            let made = metadata.get("backfill-generation-timestamp");
            let made = made.and_then(|text| DateTime::parse_from_rfc3339(text).ok());
            let Some(made) = made else {
                let detail = "the object's metadata have no backfill-generation-timestamp";
                return Ok(Some(Fault(Verdict::Malformed, detail.to_owned())));
            };
            if !self.keys.contains_key(&digest.fingerprint) {
                let (from, until) = (made - Duration::hours(1), made + Duration::hours(1));
                self.add_keys(from.to_utc(), until.to_utc()).await?;
            }
        }
        Ok(match self.keys.get(&digest.fingerprint) {
            None => {
                let (region, fingerprint) = (&self.trail.region, &digest.fingerprint);
                let detail = format!("fingerprint {fingerprint} in {region}");
                Some(Fault(Verdict::KeyUnknown, detail))
            }
            Some(key) if is_signed(digest, signature, key) => None,
            Some(_) => Some(Fault::new(Verdict::SignatureWrong)),
        })
    }

    /// Asks for the keys of the whole time.
    async fn load_keys(&mut self) -> Result<()> {
        let request = self.context.request;
        // A digest file's name has the end of its hour.
        let oldest = self.listed.first().map(|it| it.end - Duration::hours(1));
        let from = request.from.or(oldest).unwrap_or(request.until);
        self.add_keys(from, request.until + Duration::hours(2))
            .await
    }

    async fn add_keys(&mut self, from: DateTime<Utc>, until: DateTime<Utc>) -> Result<()> {
        let region = &self.trail.region;
        let keys = self.context.keys.keys(region, from, until).await?;
        let named = keys.into_iter().map(|key| (key.fingerprint.clone(), key));
        self.keys.extend(named);
        Ok(())
    }
}

/// Checks a log file against the hash of its digest file.
async fn check_log(context: &Context<'_>, url: &str, hash: &str) -> Result<Option<Fault>> {
    let permit = context.log_files.acquire().await;
    let _permit = permit.expect("the semaphore is never closed");
    let content = match context.store.log(url).await {
        Ok(Some(chunks)) => content(chunks).await,
        Ok(None) => return Ok(Some(Fault::new(Verdict::Missing))),
        Err(error) => Err(error),
    };
    Ok(match content {
        Ok(LogContent::Hash(found)) if found == hash => None,
        Ok(LogContent::Hash(_)) => Some(Fault::new(Verdict::Changed)),
        Ok(LogContent::NotGzip) => Some(Fault::new(Verdict::NotGzip)),
        Ok(LogContent::TrailingBytes) => Some(Fault::new(Verdict::TrailingBytes)),
        Err(error) => Some(unreadable(error)?),
    })
}

/// Hashes a log file, in pieces, on the threads for work that takes time.
async fn content(mut chunks: Chunks) -> Result<LogContent> {
    let mut hasher = LogHasher::default();
    loop {
        let mut piece = Vec::new();
        let mut is_end = true;
        while let Some(chunk) = chunks.try_next().await? {
            piece.extend_from_slice(&chunk);
            if piece.len() >= PIECE_BYTES {
                is_end = false;
                break;
            }
        }
        let work = move || {
            hasher.push(&piece);
            hasher
        };
        let hashed = tokio::task::spawn_blocking(work).await;
        hasher = hashed.map_err(|error| Error::bug(format!("a hash was not ended: {error}")))?;
        if is_end {
            return Ok(hasher.finish());
        }
    }
}

/// Returns the finding about a file that cannot be read; the error, if it may be readable later.
fn unreadable(error: Error) -> Result<Fault> {
    match error.is_retryable() {
        true => Err(error),
        false => Ok(Fault(Verdict::Unreadable, error.to_string())),
    }
}

/// Bytes of a log file that are decompressed at a time.
const PIECE_BYTES: usize = 256 << 10;
