//! Services as their manager sees them, which need not be what the registry says.

use std::io;
use std::ptr;

use windows_sys::Win32::Foundation::{ERROR_INSUFFICIENT_BUFFER, ERROR_MORE_DATA};
use windows_sys::Win32::System::Services::{
    CloseServiceHandle, EnumServicesStatusExW, OpenSCManagerW, OpenServiceW, QueryServiceConfigW,
    SC_ENUM_PROCESS_INFO, SC_HANDLE, SC_MANAGER_CONNECT, SC_MANAGER_ENUMERATE_SERVICE,
    SERVICE_DRIVER, SERVICE_QUERY_CONFIG, SERVICE_STATE_ALL, SERVICE_WIN32,
};

use super::{last_error, wide};

/// Bytes of one answer; the system refuses more.
const LIST_BYTES: usize = 256 << 10;
/// Bytes of the largest settings; the system gives no more.
const CONFIG_BYTES: usize = 8 << 10;
/// Bytes of a row: two pointers and nine numbers, filled up to eight.
const ROW_BYTES: usize = 56;
/// Lists that are asked for, one after the other.
const MAX_LISTS: usize = 256;

/// A service or driver.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Service {
    pub name: String,
    pub display_name: String,
    /// `SERVICE_RUNNING` is 4.
    pub state: u32,
    /// 0 when it does not run.
    pub process: u32,
    /// What it starts, who as, and when (2 automatic, 3 on demand, 4 never); none
    /// where the settings may not be read.
    pub settings: Option<Settings>,
}

/// The settings of a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    pub image_path: String,
    pub account: String,
    pub start: u32,
}

/// An open service or its manager.
struct Open(SC_HANDLE);

impl Open {
    fn of(handle: SC_HANDLE) -> io::Result<Self> {
        if handle.is_null() { Err(last_error()) } else { Ok(Self(handle)) }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        // SAFETY: open since this value was made, and closed only here.
        unsafe { CloseServiceHandle(self.0) };
    }
}

/// Every service and driver that the manager knows, in its order.
///
/// # Errors
///
/// When the manager gives no list.
pub fn services() -> io::Result<Vec<Service>> {
    let rights = SC_MANAGER_CONNECT | SC_MANAGER_ENUMERATE_SERVICE;
    // SAFETY: null means this machine and its active database.
    let manager = Open::of(unsafe { OpenSCManagerW(ptr::null(), ptr::null(), rights) })?;
    let (mut found, mut resume) = (Vec::new(), 0);
    for _ in 0..MAX_LISTS {
        let mut answer = vec![0_u64; LIST_BYTES / 8];
        let (mut needed, mut count) = (0, 0);
        // SAFETY: an open manager; the buffer has as many bytes as is said.
        let done = unsafe {
            EnumServicesStatusExW(
                manager.0,
                SC_ENUM_PROCESS_INFO,
                SERVICE_WIN32 | SERVICE_DRIVER,
                SERVICE_STATE_ALL,
                answer.as_mut_ptr().cast(),
                LIST_BYTES as u32,
                &mut needed,
                &mut count,
                &mut resume,
                ptr::null(),
            )
        };
        let error = last_error();
        if done == 0 && error.raw_os_error() != Some(ERROR_MORE_DATA as i32) {
            return Err(error);
        }
        let answer = Answer::of(&answer);
        found.extend((0..count as usize).filter_map(|row| service(&answer, row)));
        if done != 0 {
            break;
        }
    }
    for service in &mut found {
        service.settings = settings(&manager, &service.name);
    }
    Ok(found)
}

fn service(list: &Answer, row: usize) -> Option<Service> {
    let at = row.checked_mul(ROW_BYTES)?;
    Some(Service {
        name: list.text(at)?,
        display_name: list.text(at.checked_add(8)?).unwrap_or_default(),
        state: list.number(at.checked_add(20)?)?,
        process: list.number(at.checked_add(44)?)?,
        settings: None,
    })
}

fn settings(manager: &Open, name: &str) -> Option<Settings> {
    let name = wide(name);
    // SAFETY: an open manager and a name that ends with zero.
    let service =
        Open::of(unsafe { OpenServiceW(manager.0, name.as_ptr(), SERVICE_QUERY_CONFIG) }).ok()?;
    let mut answer = vec![0_u64; CONFIG_BYTES / 8];
    let mut needed = 0;
    // SAFETY: an open service; the buffer has as many bytes as is said.
    let done = unsafe {
        let place = answer.as_mut_ptr().cast();
        QueryServiceConfigW(service.0, place, CONFIG_BYTES as u32, &mut needed)
    };
    if done == 0 {
        debug_assert!(last_error().raw_os_error() != Some(ERROR_INSUFFICIENT_BUFFER as i32));
        return None;
    }
    let answer = Answer::of(&answer);
    Some(Settings {
        start: answer.number(4)?,
        image_path: answer.text(16).unwrap_or_default(),
        account: answer.text(48).unwrap_or_default(),
    })
}

/// An answer whose pointers lead into itself, read by offsets.
struct Answer {
    base: u64,
    bytes: Vec<u8>,
}

impl Answer {
    fn of(words: &[u64]) -> Self {
        let bytes = words.iter().flat_map(|word| word.to_le_bytes()).collect();
        Self { base: words.as_ptr().addr() as u64, bytes }
    }

    fn number(&self, at: usize) -> Option<u32> {
        Some(u32::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?))
    }

    /// The text that the pointer at `at` leads to.
    fn text(&self, at: usize) -> Option<String> {
        let pointer = u64::from_le_bytes(*self.bytes.get(at..)?.first_chunk()?);
        let from = usize::try_from(pointer.checked_sub(self.base)?).ok()?;
        let pairs = self.bytes.get(from..)?.as_chunks().0.iter();
        let units = pairs.map(|pair: &[u8; 2]| u16::from_le_bytes(*pair));
        let units: Vec<u16> = units.take_while(|unit| *unit != 0).collect();
        Some(String::from_utf16_lossy(&units))
    }
}
