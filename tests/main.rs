//! Tests of the whole, in one binary: each that links DataFusion has some 240 MB.

mod corpus;
