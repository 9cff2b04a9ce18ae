//! Made-up events.
