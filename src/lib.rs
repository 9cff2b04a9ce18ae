//! SQL over the CloudTrail events of Amazon Aurora.

pub mod error;
pub mod json;
pub mod position;
pub mod source;
pub mod stats;
