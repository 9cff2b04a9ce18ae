//! Tests of the whole, in one binary: each that links DataFusion has some 240 MB.

mod cli;
mod corpus;
mod layering;
mod sql;
