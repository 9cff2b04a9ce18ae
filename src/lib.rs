//! SQL over the CloudTrail events of Amazon Aurora.

pub mod cli;
pub mod error;
pub mod position;
pub mod source;
pub mod stats;
