//! The processes that run, as far as the rights of this one reach.
//!
//! The command line comes from the kernel since Windows 8.1. Before that it stands only
//! in the process's own memory, which is read there for it, but never that of `lsass`:
//! a hand in it is what every guard of the machine waits for.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Wdk::System::Threading::{
    NtQueryInformationProcess, PROCESSINFOCLASS, ProcessBasicInformation,
    ProcessCommandLineInformation,
};
use windows_sys::Win32::Foundation::{FILETIME, HANDLE, INVALID_HANDLE_VALUE};
use windows_sys::Win32::Security::{GetTokenInformation, TOKEN_QUERY, TokenUser};
use windows_sys::Win32::System::Diagnostics::Debug::ReadProcessMemory;
use windows_sys::Win32::System::Diagnostics::ToolHelp::{
    CreateToolhelp32Snapshot, PROCESSENTRY32W, Process32FirstW, Process32NextW, TH32CS_SNAPPROCESS,
};
use windows_sys::Win32::System::RemoteDesktop::ProcessIdToSessionId;
use windows_sys::Win32::System::Threading::{
    GetProcessTimes, OpenProcess, OpenProcessToken, PROCESS_QUERY_INFORMATION,
    PROCESS_QUERY_LIMITED_INFORMATION, PROCESS_VM_READ, QueryFullProcessImageNameW,
};

use super::super::sid;
use super::{bytes_of, last_error, text};

/// Processes that are asked for; a machine with more is not one.
const MAX_PROCESSES: usize = 65_536;
/// Units of the longest path, with the zero.
const PATH_UNITS: usize = 32_768;
/// Bytes of the longest command line, with what stands before it.
const COMMAND_BYTES: usize = 2 * 32_768 + 16;
/// Bytes of the largest answer about a token's user.
const TOKEN_BYTES: usize = 256;
/// Whose memory is never looked into.
const UNTOUCHED: &str = "lsass.exe";
/// The process that is the kernel.
const SYSTEM_PROCESS: u32 = 4;
/// Bytes of the largest environment that is read.
const MAX_ENVIRONMENT: usize = 1 << 20;

/// A process that runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Process {
    pub id: u32,
    pub parent: u32,
    /// The file's name.
    pub name: String,
    /// The file, if this process may know.
    pub image: Option<String>,
    pub command_line: Option<String>,
    /// `S-1-5-18`
    pub user_sid: Option<String>,
    pub session: Option<u32>,
    /// 100 ns since 1601.
    pub started: Option<u64>,
    /// `NAME=value`; only of programs that are no part of Windows.
    pub environment: Vec<String>,
}

/// The processes that run now, in the system's order.
///
/// # Errors
///
/// When the system gives no list.
pub fn processes() -> io::Result<Vec<Process>> {
    // SAFETY: numbers in, a handle out.
    let snapshot = unsafe { CreateToolhelp32Snapshot(TH32CS_SNAPPROCESS, 0) };
    if snapshot == INVALID_HANDLE_VALUE {
        return Err(last_error());
    }
    // SAFETY: the call succeeded, so the handle is open and nobody else's.
    let snapshot = unsafe { OwnedHandle::from_raw_handle(snapshot) };
    let mut entry =
        PROCESSENTRY32W { dwSize: bytes_of::<PROCESSENTRY32W>(), ..PROCESSENTRY32W::default() };
    // SAFETY: an open handle; `entry` says its size and outlives the call.
    let mut more = unsafe { Process32FirstW(snapshot.as_raw_handle(), &mut entry) };
    let mut found = Vec::new();
    while more != 0 && found.len() < MAX_PROCESSES {
        found.push(describe(&entry));
        // SAFETY: as above.
        more = unsafe { Process32NextW(snapshot.as_raw_handle(), &mut entry) };
    }
    Ok(found)
}

fn describe(entry: &PROCESSENTRY32W) -> Process {
    let id = entry.th32ProcessID;
    let name = text(&entry.szExeFile);
    let mut process = Process { id, parent: entry.th32ParentProcessID, name, ..Process::default() };
    let mut session = 0;
    // SAFETY: a number in; the number for the answer outlives the call.
    if unsafe { ProcessIdToSessionId(id, &mut session) } != 0 {
        process.session = Some(session);
    }
    let Some(handle) = open(id, PROCESS_QUERY_LIMITED_INFORMATION) else { return process };
    process.image = image(&handle);
    process.started = started_at(&handle);
    process.user_sid = user(&handle);
    process.command_line = command_line(&handle).or_else(|| {
        let may_look = !process.name.eq_ignore_ascii_case(UNTOUCHED);
        may_look.then(|| command_line_in_memory(id)).flatten()
    });
    if process.image.as_deref().is_some_and(is_foreign) {
        process.environment = environment(id).unwrap_or_default();
    }
    process
}

/// Whether a program is no part of Windows, but for the SSH that comes with it.
fn is_foreign(image: &str) -> bool {
    let folder = std::env::var("SystemRoot").unwrap_or_default().to_lowercase();
    let image = image.to_lowercase();
    folder.is_empty() || !image.starts_with(&folder) || image.contains("\\openssh\\")
}

/// The time of the first process, which is that of the system: 100 ns since 1601.
pub fn started() -> Option<u64> {
    let system = open(SYSTEM_PROCESS, PROCESS_QUERY_LIMITED_INFORMATION)?;
    started_at(&system)
}

fn open(id: u32, rights: u32) -> Option<OwnedHandle> {
    // SAFETY: numbers in, a handle or null out.
    let handle = unsafe { OpenProcess(rights, 0, id) };
    // SAFETY: not null, so the handle is open and nobody else's.
    (!handle.is_null()).then(|| unsafe { OwnedHandle::from_raw_handle(handle) })
}

fn image(process: &OwnedHandle) -> Option<String> {
    let mut path = vec![0_u16; PATH_UNITS];
    let mut units = PATH_UNITS as u32;
    // SAFETY: an open handle; the buffer has as many places as `units` says.
    let done = unsafe {
        QueryFullProcessImageNameW(process.as_raw_handle(), 0, path.as_mut_ptr(), &mut units)
    };
    (done != 0).then(|| text(&path))
}

fn started_at(process: &OwnedHandle) -> Option<u64> {
    let mut times = [FILETIME::default(); 4];
    let [created, ended, kernel, user] = &mut times;
    // SAFETY: an open handle; the four times outlive the call.
    let done = unsafe { GetProcessTimes(process.as_raw_handle(), created, ended, kernel, user) };
    let at = u64::from(created.dwHighDateTime) << 32 | u64::from(created.dwLowDateTime);
    (done != 0 && at != 0).then_some(at)
}

fn user(process: &OwnedHandle) -> Option<String> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: an open handle; `token` outlives the call.
    if unsafe { OpenProcessToken(process.as_raw_handle(), TOKEN_QUERY, &mut token) } == 0 {
        return None;
    }
    // SAFETY: the call succeeded, so the handle is open and nobody else's.
    let token = unsafe { OwnedHandle::from_raw_handle(token) };
    // Eight bytes each, so that what the system puts there is aligned.
    let mut answer = [0_u64; TOKEN_BYTES / 8];
    let mut length = 0;
    // SAFETY: an open handle; the buffer has as many bytes as is said.
    let done = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenUser,
            answer.as_mut_ptr().cast(),
            TOKEN_BYTES as u32,
            &mut length,
        )
    };
    if done == 0 {
        return None;
    }
    // A pointer into the buffer stands first; the identifier lies where it points.
    let base = answer.as_ptr().addr() as u64;
    let bytes: Vec<u8> = answer.iter().flat_map(|word| word.to_le_bytes()).collect();
    let at = usize::try_from(answer.first()?.checked_sub(base)?).ok()?;
    sid::text(bytes.get(at..)?)
}

/// What the kernel keeps of the command line: a length, a pointer, and the text behind.
fn command_line(process: &OwnedHandle) -> Option<String> {
    let bytes = query(process, ProcessCommandLineInformation, COMMAND_BYTES)?;
    let length = usize::from(u16::from_le_bytes(*bytes.first_chunk()?));
    utf16(bytes.get(16..16_usize.checked_add(length)?)?)
}

/// What the process keeps of it: the block that its environment block points to.
///
/// Offsets of a 64-bit process, the same since Windows Vista: parameters at 0x20 of the
/// block, the command line's length at 0x70 of them and its place at 0x78.
fn command_line_in_memory(id: u32) -> Option<String> {
    let (process, parameters) = parameters(id)?;
    let length = number(&process, parameters.checked_add(0x70)?)? & 0xffff;
    let place = number(&process, parameters.checked_add(0x78)?)?;
    utf16(&memory(&process, place, usize::try_from(length).ok()?)?)
}

/// The variables of a process: their place stands at 0x80 of its parameters, their
/// bytes at 0x3f0.
fn environment(id: u32) -> Option<Vec<String>> {
    let (process, parameters) = parameters(id)?;
    let place = number(&process, parameters.checked_add(0x80)?)?;
    let length = usize::try_from(number(&process, parameters.checked_add(0x3f0)?)?).ok()?;
    let bytes = memory(&process, place, length.min(MAX_ENVIRONMENT))?;
    let units = units(&bytes);
    let variables = units.split(|unit| *unit == 0).take_while(|units| !units.is_empty());
    Some(variables.map(String::from_utf16_lossy).filter(|text| !text.starts_with('=')).collect())
}

/// A process opened to be looked into, and where the parameters it was started with are.
fn parameters(id: u32) -> Option<(OwnedHandle, u64)> {
    let process = open(id, PROCESS_QUERY_INFORMATION | PROCESS_VM_READ)?;
    let basic = query(&process, ProcessBasicInformation, 48)?;
    let block = u64::from_le_bytes(*basic.get(8..)?.first_chunk()?);
    let parameters = number(&process, block.checked_add(0x20)?)?;
    Some((process, parameters))
}

fn query(process: &OwnedHandle, what: PROCESSINFOCLASS, bytes: usize) -> Option<Vec<u8>> {
    let mut answer = vec![0_u64; bytes.div_ceil(8)];
    let mut length = 0;
    // SAFETY: an open handle; the buffer has at least as many bytes as is said.
    let status = unsafe {
        NtQueryInformationProcess(
            process.as_raw_handle(),
            what,
            answer.as_mut_ptr().cast(),
            u32::try_from(bytes).ok()?,
            &mut length,
        )
    };
    (status >= 0).then(|| answer.iter().flat_map(|word| word.to_le_bytes()).collect())
}

fn number(process: &OwnedHandle, at: u64) -> Option<u64> {
    memory(process, at, 8)?.first_chunk().copied().map(u64::from_le_bytes)
}

/// Bytes of another process's memory; none when there are fewer.
fn memory(process: &OwnedHandle, at: u64, length: usize) -> Option<Vec<u8>> {
    let mut bytes = vec![0; length];
    let mut read = 0;
    let place = ptr::without_provenance(usize::try_from(at).ok()?);
    // SAFETY: an open handle; the place is the other process's and checked by the system;
    // the buffer has as many bytes as is said.
    let done = unsafe {
        ReadProcessMemory(
            process.as_raw_handle(),
            place,
            bytes.as_mut_ptr().cast(),
            length,
            &mut read,
        )
    };
    (done != 0 && read == length).then_some(bytes)
}

fn utf16(bytes: &[u8]) -> Option<String> {
    Some(text(&units(bytes))).filter(|text| !text.is_empty())
}

fn units(bytes: &[u8]) -> Vec<u16> {
    bytes.as_chunks().0.iter().map(|pair: &[u8; 2]| u16::from_le_bytes(*pair)).collect()
}
