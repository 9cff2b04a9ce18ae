//! `auroratrail verify-trail`: are the log files those that CloudTrail delivered, and all of them?

use std::fmt::Write as _;
use std::path::PathBuf;
use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Args;
use serde_json::json;

use super::logs::{self, Level};
use super::report::{count, why};
use super::{Interruption, Opened, ScanFormat};
use crate::error::{Error, Result};
use crate::integrity::place::{Place, start};
use crate::integrity::report::{Report, Tally, Verdict, time};
use crate::integrity::signature::{KeyFile, KeyStore};
use crate::integrity::{Request, verify};
use crate::source::parse_moment;

/// Check that a trail is whole: no log file changed, removed or added
///
/// Does what `aws cloudtrail validate-logs` does, for all trails, accounts and regions below the sources, in
/// S3 and in copies of a bucket. A line is printed for each thing that is wrong and for each time without
/// digest files, then counts.
#[derive(Debug, Args)]
#[command(after_long_help = EXAMPLES)]
pub(super) struct VerifyTrailArguments {
    /// s3://bucket/prefix, or a folder that is a copy of a bucket: it holds AWSLogs/, or is below it
    #[arg(value_name = "SOURCE", required = true)]
    sources: Vec<String>,

    /// The beginning of the time of delivery: a span before now (7d) or a time (2026-11-05T10:00:00Z); by
    /// default that of the oldest digest file
    #[arg(long, value_name = "TIME")]
    since: Option<String>,

    /// The end of the time of delivery; by default now
    #[arg(long, value_name = "TIME")]
    until: Option<String>,

    /// CloudTrail's public keys, as `aws cloudtrail list-public-keys` prints them; by default it is asked
    /// for them
    #[arg(long, value_name = "FILE")]
    public_keys: Option<PathBuf>,

    /// Check the links by hash too, and that digest files cover the time without a break
    #[arg(long)]
    strict: bool,

    /// The bucket that the sources are a copy of; by default what a digest file in a folder says, which
    /// is signed
    #[arg(long, value_name = "NAME")]
    bucket: Option<String>,

    /// How to write it
    #[arg(long, value_enum, default_value_t = ScanFormat::Text)]
    format: ScanFormat,
}

impl VerifyTrailArguments {
    /// The path that is read.
    pub(super) fn paths(&mut self) -> impl Iterator<Item = &mut PathBuf> {
        self.public_keys.iter_mut()
    }
}

const EXAMPLES: &str = "\
Examples:
  auroratrail verify-trail s3://bucket/prefix --since 7d
  auroratrail verify-trail ./copy --public-keys keys.json

A signature is metadata of the object in S3, which a copy loses. Keep it in a file beside each digest file:
  aws s3 sync s3://bucket ./copy
  find ./copy -path '*/CloudTrail-Digest/*' -name '*.json.gz' | while read -r f; do
    aws s3api head-object --bucket bucket --key \"${f#./copy/}\" > \"$f.head.json\"; done
  aws cloudtrail list-public-keys --start-time 2026-11-01 --end-time 2026-12-01 > keys.json

Log files that no digest file names are told as EXTRA, which validate-logs does not look for. They may be those
of a second trail with the same bucket and prefix and without validation.

Exit status: 0 all is well; 1 anything is wrong, or there was no digest file; 2 could not;
130 interrupted.";

pub(super) async fn run(
    arguments: VerifyTrailArguments,
    interruption: &Interruption,
) -> Result<ExitCode> {
    let request = request(&arguments, Utc::now())?;
    let opened = Opened::parse(&arguments.sources)?;
    let mut places = Vec::new();
    for location in &opened.locations {
        places.push(start(&opened.sources, &location.to_string()).await?);
    }
    let file = arguments.public_keys.as_ref().map(read_keys).transpose()?;
    let keys: &dyn KeyStore = match &file {
        Some(file) => file,
        None => &opened.sources,
    };
    let store = Place::new(opened.sources.clone(), arguments.bucket.clone());
    let work = Box::pin(verify(&store, keys, &places, request));
    let report = interruption.stop.run_until_cancelled(work).await;
    let report = report.unwrap_or_else(|| Err(Error::stopped()))?;
    match arguments.format {
        ScanFormat::Text => print(&as_text(&request, &report)),
        ScanFormat::Json => print(&format!("{:#}\n", as_json(&request, &report))),
    }
    if report.found_nothing() {
        let message = nothing_found(&places, &request);
        logs::say(Level::Error, &message);
    }
    Ok(ExitCode::from(u8::from(report.is_fault())))
}

fn request(arguments: &VerifyTrailArguments, now: DateTime<Utc>) -> Result<Request> {
    let moment = |text: &Option<String>| {
        let moment = text.as_deref().map(|text| parse_moment(text, now));
        moment.transpose()
    };
    let from = moment(&arguments.since)?;
    let until = moment(&arguments.until)?.unwrap_or(now);
    if from.is_some_and(|from| from > until) {
        return Err(Error::config(format!(
            "--since is after --until, {}; expected it before",
            time(until)
        )));
    }
    Ok(Request {
        from,
        until,
        strict: arguments.strict,
    })
}

fn read_keys(path: &PathBuf) -> Result<KeyFile> {
    let text = std::fs::read(path).map_err(|error| {
        Error::config(format!("{}: {}", path.display(), why(&error))).caused_by(error)
    })?;
    KeyFile::parse(&text)
}

fn print(text: &str) {
    use std::io::Write;
    // Nobody is there to be told that nobody reads it.
    let _ = std::io::stdout().lock().write_all(text.as_bytes());
}

fn nothing_found(places: &[String], request: &Request) -> String {
    format!(
        "no digest file found: looked below {} for AWSLogs/ACCOUNT/CloudTrail-Digest/REGION/YYYY/MM/DD/*.json.gz \
         of {}; they are there if log file validation is enabled for the trail",
        places.join(", "),
        range(request)
    )
}

fn range(request: &Request) -> String {
    let until = time(request.until);
    match request.from {
        Some(from) => format!("{} to {until}", time(from)),
        None => format!("any time to {until}"),
    }
}

fn as_text(request: &Request, report: &Report) -> String {
    let mut text = String::new();
    for finding in &report.findings {
        let _ = writeln!(text, "{finding}");
    }
    if report.found_nothing() {
        return text;
    }
    if !report.findings.is_empty() {
        text.push('\n');
    }
    let covered = report.covered.map_or_else(
        || "no valid digest file".to_owned(),
        |(from, until)| format!("digest files cover {} to {}", time(from), time(until)),
    );
    let _ = writeln!(text, "{}: {covered}", range(request));
    text += &ratio("digest", &report.digests);
    text += &ratio("backfill digest", &report.backfill_digests);
    text += &ratio("log", &report.log_files);
    for (verdict, what) in [
        (Verdict::Extra, "log files in no digest file"),
        (Verdict::Gap, "times without digest files"),
    ] {
        match report.count(verdict) {
            0 => {}
            number => text += &format!("{} {what}\n", count(number)),
        }
    }
    text
}

fn ratio(what: &str, tally: &Tally) -> String {
    let total = count(tally.total());
    if tally.total() == 0 {
        return String::new();
    }
    let part = |number: u64, verdict: &str| match number {
        0 => String::new(),
        number => format!(", {}/{total} {what} files {verdict}", count(number)),
    };
    format!(
        "{}/{total} {what} files valid{}{}\n",
        count(tally.valid),
        part(tally.invalid, "INVALID"),
        part(tally.not_checked, "with their signature not checked")
    )
}

fn as_json(request: &Request, report: &Report) -> serde_json::Value {
    let tally = |it: &Tally| json!({"valid": it.valid, "invalid": it.invalid, "not_checked": it.not_checked});
    let findings = report.findings.iter().map(|it| {
        json!({
            "subject": it.subject.code(), "name": it.url, "verdict": it.verdict.code(),
            "detail": it.detail,
        })
    });
    json!({
        "from": request.from.map(time),
        "until": time(request.until),
        "is_whole": !report.is_fault(),
        "chains": report.trails,
        "covered_from": report.covered.map(|it| time(it.0)),
        "covered_until": report.covered.map(|it| time(it.1)),
        "digests": tally(&report.digests),
        "backfill_digests": tally(&report.backfill_digests),
        "logs": tally(&report.log_files),
        "extra": report.count(Verdict::Extra),
        "gaps": report.count(Verdict::Gap),
        "findings": findings.collect::<Vec<_>>(),
    })
}
