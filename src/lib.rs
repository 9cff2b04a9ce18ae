//! SQL over the CloudTrail events of Amazon Aurora.

pub mod cli;
pub mod envelope;
pub mod error;
pub mod events;
pub mod json;
pub mod position;
pub mod query;
pub mod source;
pub mod stats;
