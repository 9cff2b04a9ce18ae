//! What tests of a lake share.

pub mod store;
