//! Exports by COPY: the files of a statement, put in place and told of.

use std::path::Path;
use std::sync::Arc;

use super::output::TemporaryFiles;
use super::overwrite::NamedFiles;
use super::{Opened, report};
use crate::error::Result;
use crate::query::{Export, Exports, Plan};

/// Returns the permission to write files, for statements of this command's own user.
pub(super) fn exports(opened: &Opened, temporary: &TemporaryFiles, raw_csv: bool) -> Exports {
    let temporary = temporary.clone();
    Exports {
        sources: opened.sources.clone(),
        make_folder: Arc::new(move |parent| temporary.create_folder(parent)),
        raw_csv,
    }
}

/// Checks that no export goes to a file that the command writes otherwise.
///
/// # Errors
/// Config, naming both.
pub(super) fn check_exports(plans: &[Plan<'_>], files: &NamedFiles<'_>) -> Result<()> {
    let targets = plans.iter().filter_map(Plan::export_target);
    let mut local = targets.filter(|target| !target.contains("://"));
    local.try_for_each(|target| {
        let path = Path::new(target.trim_end_matches('/'));
        files.check_unwritten(path, target)
    })
}

/// Puts the files of an export in place, and tells their number. What is about nothing is given up.
pub(super) async fn finish_export(export: Export, is_all_unreadable: bool) -> Result<()> {
    if is_all_unreadable {
        export.abandon().await;
        return Ok(());
    }
    let exported = export.commit().await?;
    let counted = |number, unit: &str| match number {
        1 => format!("1 {unit}"),
        _ => format!("{} {unit}s", report::count(number)),
    };
    eprintln!(
        "auroratrail: {} to {} in {}",
        counted(exported.rows, "row"),
        exported.target,
        counted(exported.files, "file")
    );
    Ok(())
}
