//! Where bytes come from. Knows no JSON: what is inside a payload is the envelope's business.

mod fetch;
pub mod key;
mod listing;
mod local;
mod location;
mod pattern;
mod queue;
mod reader;
mod s3;
mod task;
#[cfg(test)]
mod tests;

pub use self::location::{Local, Location, S3};
pub use self::reader::{Reads, Scan, Sources};
pub use self::s3::S3Settings;
