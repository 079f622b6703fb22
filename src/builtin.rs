//! The artifact definitions and profiles that are part of the program.
//!
//! `FILES` holds each file's path in the repository (with `/`) and its bytes,
//! sorted by path.

include!(concat!(env!("OUT_DIR"), "/builtin.rs"));
