//! The upkeep of a lake: files are packed, days that are too old go, and what no reader needs is deleted.
//!
//! ```text
//! compact   small files of a day ──> few large ones         one commit takes out and puts in
//! expire    days before one      ──> out of the lake        one commit
//! vacuum    files that are in no version any more, and what writers left that died ──> deleted
//! ```
//!
//! The first two delete nothing: a reader of an earlier version, and a writer at work, find the files that
//! they know of until `vacuum` has found that they are older than anybody needs. Each commit is whole or
//! not there, so the events that a reader sees are the same before, during and after packing, wherever
//! it ends.

pub mod compact;
pub mod expire;
pub mod plan;
pub mod vacuum;
