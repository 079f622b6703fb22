//! Who is logged on, at the console and from afar.

use std::ffi::c_void;
use std::io;
use std::ptr;

use windows_sys::Win32::System::RemoteDesktop::{
    WTS_CURRENT_SERVER_HANDLE, WTS_INFO_CLASS, WTS_SESSION_INFOW, WTSClientAddress, WTSClientName,
    WTSEnumerateSessionsW, WTSFreeMemory, WTSINFOW, WTSQuerySessionInformationW, WTSSessionInfo,
};

use super::{last_error, text};

/// Names of the states of a session, from 0 (`WTS_CONNECTSTATE_CLASS`).
const STATES: [&str; 10] = [
    "active",
    "connected",
    "connect query",
    "shadow",
    "disconnected",
    "idle",
    "listening",
    "reset",
    "down",
    "init",
];
/// Sessions that are asked for.
const MAX_SESSIONS: usize = 4096;

/// A session.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Session {
    pub id: u32,
    pub state: &'static str,
    /// `Console`, `RDP-Tcp#12`
    pub station: String,
    /// `DOMAIN\name`; empty where nobody is logged on.
    pub user: String,
    /// 100 ns since 1601.
    pub logon: Option<u64>,
    pub connected: Option<u64>,
    /// The machine that somebody came in from, as it calls itself.
    pub client_name: String,
    pub client_address: Option<String>,
}

/// What the system gave away and wants back.
struct Lent(*mut c_void);

impl Drop for Lent {
    fn drop(&mut self) {
        // SAFETY: given by the terminal services for this, and given back only here.
        unsafe { WTSFreeMemory(self.0) };
    }
}

/// The sessions of this machine, in the system's order.
///
/// # Errors
///
/// When the system gives no list.
pub fn sessions() -> io::Result<Vec<Session>> {
    let mut list: *mut WTS_SESSION_INFOW = ptr::null_mut();
    let mut count = 0;
    // SAFETY: this machine; the pointer and the number outlive the call.
    let done =
        unsafe { WTSEnumerateSessionsW(WTS_CURRENT_SERVER_HANDLE, 0, 1, &mut list, &mut count) };
    if done == 0 {
        return Err(last_error());
    }
    if list.is_null() {
        return Ok(Vec::new());
    }
    let _lent = Lent(list.cast());
    let count = usize::try_from(count).unwrap_or_default().min(MAX_SESSIONS);
    // SAFETY: the call succeeded, so `count` rows lie there until they are given back.
    let rows = unsafe { std::slice::from_raw_parts(list, count) };
    Ok(rows.iter().map(|row| session(row.SessionId)).collect())
}

fn session(id: u32) -> Session {
    let mut session = Session { id, ..Session::default() };
    if let Some(bytes) = query(id, WTSSessionInfo)
        && bytes.len() >= size_of::<WTSINFOW>()
    {
        // SAFETY: as many bytes as the value has, all patterns of which are values.
        let info: WTSINFOW = unsafe { ptr::read_unaligned(bytes.as_ptr().cast()) };
        let state = usize::try_from(info.State).ok().and_then(|state| STATES.get(state));
        session.state = state.copied().unwrap_or_default();
        session.station = text(&info.WinStationName);
        let (domain, user) = (text(&info.Domain), text(&info.UserName));
        session.user = match (domain.is_empty(), user.is_empty()) {
            (_, true) => String::new(),
            (true, false) => user,
            (false, false) => format!("{domain}\\{user}"),
        };
        session.logon = time(info.LogonTime);
        session.connected = time(info.ConnectTime);
    }
    if let Some(bytes) = query(id, WTSClientName) {
        let units: Vec<u16> =
            bytes.as_chunks().0.iter().map(|pair: &[u8; 2]| u16::from_le_bytes(*pair)).collect();
        session.client_name = text(&units);
    }
    session.client_address = query(id, WTSClientAddress).and_then(|bytes| address(&bytes));
    session
}

/// The address: its family, and from the third byte of the room for it four bytes of
/// IPv4; others stand there as sixteen.
fn address(bytes: &[u8]) -> Option<String> {
    let family = u32::from_le_bytes(*bytes.first_chunk()?);
    let room = bytes.get(6..)?;
    match family {
        2 => Some(std::net::Ipv4Addr::from(*room.first_chunk::<4>()?).to_string()),
        23 => Some(std::net::Ipv6Addr::from(*room.first_chunk::<16>()?).to_string()),
        _ => None,
    }
}

fn time(at: i64) -> Option<u64> {
    u64::try_from(at).ok().filter(|at| *at > 0)
}

fn query(session: u32, what: WTS_INFO_CLASS) -> Option<Vec<u8>> {
    let mut place: *mut u16 = ptr::null_mut();
    let mut bytes = 0;
    // SAFETY: this machine; the pointer and the number outlive the call.
    let done = unsafe {
        WTSQuerySessionInformationW(
            WTS_CURRENT_SERVER_HANDLE,
            session,
            what,
            &mut place,
            &mut bytes,
        )
    };
    if done == 0 || place.is_null() {
        return None;
    }
    let _lent = Lent(place.cast());
    let bytes = usize::try_from(bytes).unwrap_or_default();
    // SAFETY: the call succeeded, so that many bytes lie there until they are given back.
    Some(unsafe { std::slice::from_raw_parts(place.cast::<u8>(), bytes) }.to_vec())
}
