//! The interactive prompt.

#[cfg_attr(not(test), expect(dead_code, reason = "the prompt is to use it"))]
mod completion;
