//! adit answers one question: did someone dig a tunnel out of this machine, and
//! did anyone come in through it?
//!
//! # One picture
//!
//! ```text
//!          profiles (what to look for)          artifacts (where it lies, who reads it)
//!                   │ rules, literals                    │ paths, parser
//!                   ▼                                    ▼
//! evidence ─▶ source ─▶ locate ─▶ screen ─▶ parse ─▶ detect ─▶ correlate ─▶ export
//!             folder,   which     which     bytes →  rules →   sessions,    csv, jsonl,
//!             image →   files?    blocks?   Record   Event     chains,      json, zip
//!             hosts
//!                                    ▲                         verdict
//!                                    └──────── pivots ◀─────────┘
//!                          (paths, hashes, process ids, services, logons)
//! ```
//!
//! Read [`run`] next: it is the picture as code, and the only module that knows
//! every stage. Then any one stage.
//!
//! # Where things go
//!
//! | to add | write | touch |
//! |---|---|---|
//! | an artifact of a known format | `artifacts/<os>/<group>/<name>.yaml` | nothing |
//! | a tool to hunt for | `profiles/<tool>/` and its samples | nothing |
//! | a file format | `src/parse/<format>.rs`, good and damaged samples | two lines in `parse/mod.rs` |
//! | a disk image format | `src/source/container/<format>.rs`, samples | `open_one` in `container/mod.rs` |
//! | a file system | `src/source/filesystem/<name>`, samples | `recognize.rs`, `open` in `filesystem/mod.rs` |
//! | a collector's layout | `src/source/collection/<name>.rs` | `outline.rs` and `place.rs` beside it |
//! | a way of packing that several stages meet | `src/codec/<name>.rs` | one line in `codec/mod.rs` |
//! | an output | `src/export/<format>.rs` | two lines in `export/mod.rs` |
//!
//! # Invariants
//!
//! 1. Evidence is never written. Only [`export`] writes, and never onto the evidence.
//! 2. Parsing never panics and never stops at a bad record; what is lost is a
//!    [`model::Problem`] in every result.
//! 3. Same evidence and definitions, same bytes out, whatever the number of
//!    threads. Everything that reaches output has a total order; the clock stands
//!    in run.json alone.
//! 4. Stages do not know each other; [`run`] joins them. `tests/tidy.rs` holds
//!    the direction.
//! 5. A third-party crate's types never leave the module that wraps it.
//! 6. Every count, length and depth read from evidence has a named limit.
//! 7. The screen skips only what provably cannot match: with and without it the
//!    findings are the same, and a test holds that.

pub mod artifact;
pub mod builtin;
pub mod cli;
mod codec;
pub mod correlate;
pub mod detect;
pub mod export;
pub mod model;
pub mod parse;
pub mod run;
pub mod screen;
pub mod source;
pub mod verify;
