//! SQL over the CloudTrail events of Amazon Aurora.

pub mod error;
pub mod position;
pub mod query;
pub mod source;
pub mod stats;
