//! The command line: what was typed in, what is shown out.

pub mod output;
