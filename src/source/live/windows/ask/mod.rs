//! Questions to Windows that Rust's library does not ask: the only code of the crate
//! outside the compiler's protection.
//!
//! Each function asks one thing, read-only, and gives ordinary values back. Nothing
//! here goes out to the network: no name is looked up and no account translated, which
//! might ask a domain controller. Every function used is there since Windows 7 or
//! longer; `tests/windows/imports.txt` holds the list.
#![allow(unsafe_code)]

mod names;
mod network;
mod process;
mod program;
mod service;
mod session;
mod volume;

use std::io;

pub(in super::super) use names::cached_names;
pub(in super::super) use network::{Endpoint, endpoints};
pub(in super::super) use process::{Process, processes, started};
pub(in super::super) use program::{
    be_gentle, is_elevated, keep_quiet, memory_used, sole_process_of_console, take_privileges,
};
pub(in super::super) use service::{Service, services};
pub(in super::super) use session::{Session, sessions};
pub(in super::super) use volume::{
    Drive, drives, file_system, is_external, length, places_of, space, volumes_without_letter,
};

/// What a function of Windows gets as text: UTF-16 with a zero at the end.
fn wide(text: &str) -> Vec<u16> {
    text.encode_utf16().chain([0]).collect()
}

/// Text up to the first zero.
fn text(wide: &[u16]) -> String {
    let end = wide.iter().position(|unit| *unit == 0).unwrap_or(wide.len());
    String::from_utf16_lossy(wide.get(..end).unwrap_or_default())
}

/// Bytes of a value as Windows counts them.
fn bytes_of<T>() -> u32 {
    u32::try_from(size_of::<T>()).unwrap_or_default()
}

/// The error of a function that failed just now.
fn last_error() -> io::Error {
    io::Error::last_os_error()
}
