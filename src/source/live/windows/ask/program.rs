//! This program itself: its rights, its priority, its memory, its window.

use std::io;
use std::os::windows::io::{AsRawHandle, FromRawHandle, OwnedHandle};
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_NOT_ALL_ASSIGNED, HANDLE, LUID};
use windows_sys::Win32::Security::{
    AdjustTokenPrivileges, GetTokenInformation, LUID_AND_ATTRIBUTES, LookupPrivilegeValueW,
    SE_PRIVILEGE_ENABLED, TOKEN_ADJUST_PRIVILEGES, TOKEN_ELEVATION, TOKEN_PRIVILEGES, TOKEN_QUERY,
    TokenElevation,
};
use windows_sys::Win32::System::Console::GetConsoleProcessList;
use windows_sys::Win32::System::Diagnostics::Debug::{
    SEM_FAILCRITICALERRORS, SEM_NOGPFAULTERRORBOX, SEM_NOOPENFILEERRORBOX, SetErrorMode,
};
use windows_sys::Win32::System::ProcessStatus::{K32GetProcessMemoryInfo, PROCESS_MEMORY_COUNTERS};
use windows_sys::Win32::System::Threading::{
    BELOW_NORMAL_PRIORITY_CLASS, GetCurrentProcess, OpenProcessToken, SetPriorityClass,
};

use super::{bytes_of, last_error, wide};

/// This process's token, with those rights to it.
fn token(rights: u32) -> io::Result<OwnedHandle> {
    let mut token: HANDLE = ptr::null_mut();
    // SAFETY: the handle of the process itself is always good; `token` outlives the call.
    if unsafe { OpenProcessToken(GetCurrentProcess(), rights, &mut token) } == 0 {
        return Err(last_error());
    }
    // SAFETY: the call succeeded, so the handle is open and nobody else's.
    Ok(unsafe { OwnedHandle::from_raw_handle(token) })
}

/// Whether this process has an administrator's full rights.
pub fn is_elevated() -> bool {
    let Ok(token) = token(TOKEN_QUERY) else { return false };
    let mut answer = TOKEN_ELEVATION::default();
    let mut returned = 0;
    // SAFETY: an open handle; the output is a value of the size that is said.
    let done = unsafe {
        GetTokenInformation(
            token.as_raw_handle(),
            TokenElevation,
            (&raw mut answer).cast(),
            bytes_of::<TOKEN_ELEVATION>(),
            &mut returned,
        )
    };
    done != 0 && answer.TokenIsElevated != 0
}

/// Switches privileges on in this process; those it could get.
///
/// They are the process's own and end with it; nothing on the machine changes.
pub fn take_privileges<'a>(names: &[&'a str]) -> Vec<&'a str> {
    let Ok(token) = token(TOKEN_QUERY | TOKEN_ADJUST_PRIVILEGES) else { return Vec::new() };
    names.iter().copied().filter(|name| take_privilege(&token, name)).collect()
}

fn take_privilege(token: &OwnedHandle, name: &str) -> bool {
    let name = wide(name);
    let mut luid = LUID::default();
    // SAFETY: `name` ends with zero, the machine is this one, `luid` outlives the call.
    if unsafe { LookupPrivilegeValueW(ptr::null(), name.as_ptr(), &mut luid) } == 0 {
        return false;
    }
    let wanted = TOKEN_PRIVILEGES {
        PrivilegeCount: 1,
        Privileges: [LUID_AND_ATTRIBUTES { Luid: luid, Attributes: SE_PRIVILEGE_ENABLED }],
    };
    let none = ptr::null_mut();
    // SAFETY: an open handle; `wanted` holds as many entries as it says; what was before
    // is not asked for.
    let done = unsafe {
        AdjustTokenPrivileges(token.as_raw_handle(), 0, &wanted, 0, none, ptr::null_mut())
    };
    // The function succeeds even when it gave nothing.
    done != 0 && last_error().raw_os_error() != Some(ERROR_NOT_ALL_ASSIGNED as i32)
}

/// Lets no window come up over a drive without a medium or a crash, which would wait
/// for an answer; a crash dump is not written either.
pub fn keep_quiet() {
    // SAFETY: a number in, a number out.
    unsafe {
        SetErrorMode(SEM_FAILCRITICALERRORS | SEM_NOGPFAULTERRORBOX | SEM_NOOPENFILEERRORBOX)
    };
}

/// Lets programs of ordinary priority go first.
///
/// The background mode of Windows Vista and later would also slow the disk, but holds
/// the working set to 32 MiB on some of them, and then the paging file is written.
///
/// # Errors
///
/// What the system says.
pub fn be_gentle() -> io::Result<()> {
    // SAFETY: the handle of the process itself is always good.
    match unsafe { SetPriorityClass(GetCurrentProcess(), BELOW_NORMAL_PRIORITY_CLASS) } {
        0 => Err(last_error()),
        _ => Ok(()),
    }
}

/// Bytes of memory that this process holds now.
pub fn memory_used() -> Option<u64> {
    let mut answer = PROCESS_MEMORY_COUNTERS::default();
    let size = bytes_of::<PROCESS_MEMORY_COUNTERS>();
    // SAFETY: the handle of the process itself; the output is a value of that size.
    let done = unsafe { K32GetProcessMemoryInfo(GetCurrentProcess(), &mut answer, size) };
    (done != 0).then_some(answer.WorkingSetSize as u64)
}

/// Whether the console window is this program's own and closes with it: it was
/// double-clicked, not started from a prompt.
pub fn sole_process_of_console() -> bool {
    let mut ids = [0_u32; 2];
    // SAFETY: the buffer has as many places as is said.
    unsafe { GetConsoleProcessList(ids.as_mut_ptr(), 2) == 1 }
}
