//! Looks at a place in a bucket without reading it.

use std::sync::Arc;

use futures::StreamExt;
use object_store::ObjectStoreExt;

use super::listing::{Handle, Listed, VisitedPaths, listing};
use super::s3::{Buckets, Operation, translate};
use super::{KeyFilter, nothing_at};
use crate::error::Error;
use crate::source::Location;
use crate::source::access::AccessCheck;

/// Looks at a place in a bucket: lists objects, and reads the beginning of one.
pub(in crate::source) async fn check(
    buckets: &Arc<Buckets>,
    location: &Location,
) -> Vec<AccessCheck> {
    let mut listed = listing(
        Arc::clone(buckets),
        vec![location.clone()],
        KeyFilter::default(),
        VisitedPaths::default(),
    );
    let (mut objects, mut bytes, mut first, mut failure) = (0_u64, 0_u64, None, None);
    while let Some((_, listed)) = listed.next().await {
        match listed {
            Listed::Object(object) => {
                objects += 1;
                bytes += object.size_bytes;
                if object.size_bytes > 0 {
                    first.get_or_insert(object);
                }
            }
            Listed::Unreadable { error, .. } => failure = Some(error),
            Listed::Hidden | Listed::Again | Listed::PrunedFolder => {}
        }
        if objects >= MOST_LISTED || failure.is_some() {
            break;
        }
    }
    let outcome = match failure {
        Some(error) => Err(error),
        None if objects == 0 => Err(Error::config(nothing_at(location))),
        None => {
            let more = if objects >= MOST_LISTED {
                " or more"
            } else {
                ""
            };
            Ok(format!("{objects}{more} objects, {} MiB", bytes >> 20))
        }
    };
    let mut checks = vec![AccessCheck::new(
        "s3:ListBucket",
        location.to_string(),
        outcome,
    )];
    if let Some(object) = first
        && let Handle::S3 { store, path, .. } = &object.handle
    {
        let read = store.get_range(path, 0..1).await;
        let read = read.map_err(|error| translate(error, Operation::Get, &object.origin));
        let outcome = read.map(|_| "can be read".to_owned());
        checks.push(AccessCheck::new(
            "s3:GetObject",
            object.origin.to_string(),
            outcome,
        ));
    }
    checks
}

/// The most objects that are counted to look at a place.
const MOST_LISTED: u64 = 1000;
