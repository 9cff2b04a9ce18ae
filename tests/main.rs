//! Integration tests in one binary, because each binary that links DataFusion has some 240 MB.

mod cache;
mod cases;
mod cli;
mod columnar;
mod corpus;
mod damage;
mod envelopes;
mod feed;
mod formats;
mod fuzz;
mod lake;
mod lake_commands;
mod lake_readers;
mod large;
mod layering;
mod made;
mod moto_server;
mod partitioned;
mod pipeline;
mod prompt;
mod questions;
mod search;
mod sessions;
mod sql;
mod terminal;
mod wording;
