//! adit answers one question: did someone dig a tunnel out of this machine, and
//! did anyone come in through it?

pub mod correlate;
pub mod model;
pub mod parse;
pub mod screen;
pub mod artifact;
pub mod builtin;
pub mod model;
pub mod parse;
pub mod source;
pub mod export;
pub mod model;
pub mod parse;
pub mod verify;
