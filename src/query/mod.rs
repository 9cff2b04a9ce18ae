//! SQL over batches of events.

pub mod json_path;
pub mod names;
