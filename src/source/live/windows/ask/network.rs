//! TCP and UDP endpoints with the processes that own them.
//!
//! Rows of the tables (`MIB_TCPROW_OWNER_MODULE` and its kin), after a count in eight
//! bytes; ports are big-endian in the low half of their number, times are 100 ns since
//! 1601:
//!
//! | table | row | state | local | port | remote | port | process | since |
//! |---|---|---|---|---|---|---|---|---|
//! | TCP | 160 | 0 | 4 | 8 | 12 | 16 | 20 | 24 |
//! | TCP, IPv6 | 192 | 48 | 0 | 20 | 24 | 44 | 52 | 56 |
//! | UDP | 160 | | 0 | 4 | | | 8 | 16 |
//! | UDP, IPv6 | 176 | | 0 | 20 | | | 24 | 32 |
//!
//! Source: the headers of the Windows SDK (`tcpmib.h`, `udpmib.h`).

use std::ffi::c_void;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use windows_sys::Win32::Foundation::ERROR_INSUFFICIENT_BUFFER;
use windows_sys::Win32::NetworkManagement::IpHelper::{
    GetExtendedTcpTable, GetExtendedUdpTable, TCP_TABLE_OWNER_MODULE_ALL, UDP_TABLE_OWNER_MODULE,
};

/// Numbers of the address families.
const IPV4: u32 = 2;
const IPV6: u32 = 23;
/// Bytes of the largest table that is taken.
const MAX_TABLE: u32 = 64 << 20;
/// A table that grew between two questions is asked for again, so often.
const MAX_TRIES: usize = 8;
/// Names of the states, from 1 (`MIB_TCP_STATE`).
const STATES: [&str; 12] = [
    "CLOSED",
    "LISTEN",
    "SYN_SENT",
    "SYN_RCVD",
    "ESTABLISHED",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "CLOSE_WAIT",
    "CLOSING",
    "LAST_ACK",
    "TIME_WAIT",
    "DELETE_TCB",
];

/// An open port or a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint {
    /// `tcp` or `udp`
    pub protocol: &'static str,
    pub local: (IpAddr, u16),
    /// None where nobody is connected.
    pub remote: Option<(IpAddr, u16)>,
    /// `LISTEN`, `ESTABLISHED`; none for UDP.
    pub state: Option<&'static str>,
    pub process: u32,
    /// 100 ns since 1601.
    pub since: Option<u64>,
}

/// Where the columns of a table lie.
struct Columns {
    row: usize,
    state: Option<usize>,
    local: (usize, usize),
    remote: Option<(usize, usize)>,
    process: usize,
    since: usize,
}

const TCP4: Columns = Columns {
    row: 160,
    state: Some(0),
    local: (4, 8),
    remote: Some((12, 16)),
    process: 20,
    since: 24,
};
const TCP6: Columns = Columns {
    row: 192,
    state: Some(48),
    local: (0, 20),
    remote: Some((24, 44)),
    process: 52,
    since: 56,
};
const UDP4: Columns =
    Columns { row: 160, state: None, local: (0, 4), remote: None, process: 8, since: 16 };
const UDP6: Columns =
    Columns { row: 176, state: None, local: (0, 20), remote: None, process: 24, since: 32 };

/// Every endpoint, and the numbers of the errors of tables that could not be had.
pub fn endpoints() -> (Vec<Endpoint>, Vec<u32>) {
    let tables = [(true, IPV4, TCP4), (true, IPV6, TCP6), (false, IPV4, UDP4), (false, IPV6, UDP6)];
    let (mut found, mut errors) = (Vec::new(), Vec::new());
    for (is_tcp, family, columns) in tables {
        match table(is_tcp, family) {
            Ok(bytes) => found.extend(rows(&bytes, is_tcp, family, &columns)),
            Err(error) => errors.push(error),
        }
    }
    (found, errors)
}

fn table(is_tcp: bool, family: u32) -> Result<Vec<u8>, u32> {
    let mut size = 0_u32;
    for _ in 0..MAX_TRIES {
        // Eight bytes each, so that what the system puts there is aligned.
        let mut answer = vec![0_u64; usize::try_from(size.div_ceil(8)).unwrap_or_default()];
        let place: *mut c_void = answer.as_mut_ptr().cast();
        // SAFETY: the buffer has at least `size` bytes; with none nothing is written.
        let error = unsafe {
            if is_tcp {
                GetExtendedTcpTable(place, &mut size, 0, family, TCP_TABLE_OWNER_MODULE_ALL, 0)
            } else {
                GetExtendedUdpTable(place, &mut size, 0, family, UDP_TABLE_OWNER_MODULE, 0)
            }
        };
        match error {
            0 => return Ok(answer.iter().flat_map(|word| word.to_le_bytes()).collect()),
            ERROR_INSUFFICIENT_BUFFER if size <= MAX_TABLE => {}
            error => return Err(error),
        }
    }
    Err(ERROR_INSUFFICIENT_BUFFER)
}

fn rows(bytes: &[u8], is_tcp: bool, family: u32, columns: &Columns) -> Vec<Endpoint> {
    let count = bytes.first_chunk().map_or(0, |count| u32::from_le_bytes(*count));
    let rows = bytes.get(8..).unwrap_or_default().chunks_exact(columns.row);
    let rows = rows.take(usize::try_from(count).unwrap_or_default());
    rows.filter_map(|row| endpoint(row, is_tcp, family, columns)).collect()
}

fn endpoint(row: &[u8], is_tcp: bool, family: u32, columns: &Columns) -> Option<Endpoint> {
    let number = |at: usize| Some(u32::from_le_bytes(*row.get(at..)?.first_chunk()?));
    let address = |at: usize| -> Option<IpAddr> {
        let rest = row.get(at..)?;
        Some(if family == IPV4 {
            Ipv4Addr::from(*rest.first_chunk::<4>()?).into()
        } else {
            Ipv6Addr::from(*rest.first_chunk::<16>()?).into()
        })
    };
    let port = |at: usize| Some(u16::from_be_bytes(*row.get(at..)?.first_chunk()?));
    let side = |(at, port_at): (usize, usize)| Some((address(at)?, port(port_at)?));
    let state = match columns.state {
        Some(at) => STATES.get(usize::try_from(number(at)?).ok()?.checked_sub(1)?).copied(),
        None => None,
    };
    let since = u64::from_le_bytes(*row.get(columns.since..)?.first_chunk()?);
    let is_open = state != Some("LISTEN");
    Some(Endpoint {
        protocol: if is_tcp { "tcp" } else { "udp" },
        local: side(columns.local)?,
        remote: columns.remote.filter(|_| is_open).and_then(side),
        state,
        process: number(columns.process)?,
        since: Some(since).filter(|since| *since > 0),
    })
}
