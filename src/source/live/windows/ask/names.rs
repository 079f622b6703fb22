//! Names that were looked up lately: the resolver's cache.
//!
//! The function that gives it is exported by `dnsapi.dll` since Windows 2000 and
//! documented nowhere, so it is asked for by name, from the system's own folder, and its
//! absence is no error. An entry, as `ipconfig /displaydns` has it:
//!
//! | offset | bytes | |
//! |---|---|---|
//! | 0 | 8 | next entry |
//! | 8 | 8 | name, UTF-16 with a zero at the end |
//! | 16 | 2 | type of the records: 1 is A, 28 is AAAA |

use std::ptr;

use windows_sys::Win32::System::LibraryLoader::{GetProcAddress, LoadLibraryExW};
use windows_sys::Win32::System::SystemInformation::GetSystemDirectoryW;

use super::{text, wide};

/// Units of the longest path of the system's folder.
const PATH_UNITS: usize = 260;
/// Entries that are taken.
const MAX_ENTRIES: usize = 65_536;
/// Units of the longest name that is taken; DNS has none above 255.
const MAX_NAME: usize = 1024;

/// An entry, and the first one of the list, which is a place for the answer.
#[repr(C)]
struct Entry {
    next: *const Entry,
    name: *const u16,
    kind: u16,
    length: u16,
    flags: u32,
}

type Ask = unsafe extern "system" fn(*mut Entry) -> i32;

/// Names and types of what the resolver keeps, in its order; none where it does not say.
pub fn cached_names() -> Option<Vec<(String, u16)>> {
    let mut folder = [0_u16; PATH_UNITS];
    // SAFETY: the buffer has as many places as is said.
    let units = unsafe { GetSystemDirectoryW(folder.as_mut_ptr(), PATH_UNITS as u32) };
    let folder = folder.get(..usize::try_from(units).ok()?).map(text)?;
    let library = wide(&format!("{folder}\\dnsapi.dll"));
    // SAFETY: a path that ends with zero; a library of the system, never unloaded.
    let library = unsafe { LoadLibraryExW(library.as_ptr(), ptr::null_mut(), 0) };
    if library.is_null() {
        return None;
    }
    // SAFETY: an open library and a name that ends with zero.
    let found = unsafe { GetProcAddress(library, c"DnsGetCacheDataTable".as_ptr().cast()) }?;
    // SAFETY: what the system exports under that name takes a place for the first entry.
    let ask: Ask = unsafe { std::mem::transmute(found) };
    let mut first = Entry { next: ptr::null(), name: ptr::null(), kind: 0, length: 0, flags: 0 };
    // SAFETY: the place outlives the call.
    if unsafe { ask(&mut first) } == 0 {
        return None;
    }
    let (mut names, mut at) = (Vec::new(), first.next);
    while !at.is_null() && names.len() < MAX_ENTRIES {
        // SAFETY: entries lead to entries, the last to null; they are this process's own
        // copy, which nobody changes.
        let entry = unsafe { &*at };
        names.extend(name(entry.name).map(|name| (name, entry.kind)));
        at = entry.next;
    }
    // The copy stays until the process ends: how to give it back differs by version.
    Some(names)
}

fn name(at: *const u16) -> Option<String> {
    if at.is_null() {
        return None;
    }
    let mut units = Vec::new();
    while units.len() < MAX_NAME {
        // SAFETY: a text of the system that ends with zero, read no further than that.
        match unsafe { *at.add(units.len()) } {
            0 => break,
            unit => units.push(unit),
        }
    }
    Some(String::from_utf16_lossy(&units))
}
