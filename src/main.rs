//! The `auroratrail` command.

fn main() {}
