//! The kernel's tables of TCP and UDP endpoints (proc_net(5)).
//!
//! ```text
//! sl  local_address rem_address   st tx_queue:rx_queue tr:tm->when retrnsmt uid timeout inode …
//!  0: 0100007F:0FC8 00000000:0000 0A 00000000:00000000 00:00000000 00000000 0   0       21345 …
//! ```
//!
//! An address is 32-bit words in the machine's byte order, a port is a number.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Most endpoints of one table.
const MAX_ENDPOINTS: usize = 262_144;

/// States as numbers (include/net/tcp_states.h), from 1.
const STATES: [&str; 12] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
    "NEW_SYN_RECV",
];

/// The tables and the protocols in them.
pub(super) const TABLES: [(&str, &str); 4] =
    [("tcp", "tcp"), ("tcp6", "tcp"), ("udp", "udp"), ("udp6", "udp")];

/// One end of a connection, or a port that waits.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Endpoint {
    pub(super) protocol: &'static str,
    pub(super) local: (IpAddr, u16),
    pub(super) remote: (IpAddr, u16),
    pub(super) state: &'static str,
    pub(super) user: u64,
    /// 0 when no process holds it any more.
    pub(super) inode: u64,
}

impl Endpoint {
    /// Whether it has another end.
    pub(super) fn is_connected(&self) -> bool {
        !self.remote.0.is_unspecified()
    }

    /// Whether it waits for others: a listening TCP port, or a UDP port without another end.
    pub(super) fn is_waiting(&self) -> bool {
        self.state == "LISTEN" || self.protocol == "udp" && !self.is_connected()
    }
}

/// The endpoints of a table; lines of another form are left out.
pub(super) fn parse(table: &str, protocol: &'static str) -> Vec<Endpoint> {
    let lines = table.lines().skip(1).take(MAX_ENDPOINTS);
    lines.filter_map(|line| endpoint(line, protocol)).collect()
}

fn endpoint(line: &str, protocol: &'static str) -> Option<Endpoint> {
    let mut fields = line.split_ascii_whitespace().skip(1);
    let local = address(fields.next()?)?;
    let remote = address(fields.next()?)?;
    let state = usize::from_str_radix(fields.next()?, 16).ok()?;
    let mut fields = fields.skip(3);
    let user = fields.next()?.parse().ok()?;
    let inode = fields.nth(1)?.parse().ok()?;
    let state = STATES.get(state.checked_sub(1)?).copied().unwrap_or("UNKNOWN");
    Some(Endpoint { protocol, local, remote, state, user, inode })
}

/// `0100007F:0FC8`, or 32 digits before the colon.
fn address(text: &str) -> Option<(IpAddr, u16)> {
    let (address, port) = text.split_once(':')?;
    let port = u16::from_str_radix(port, 16).ok()?;
    let word = |at: usize| {
        let digits = address.get(at.checked_mul(8)?..at.checked_add(1)?.checked_mul(8)?)?;
        Some(u32::from_str_radix(digits, 16).ok()?.to_ne_bytes())
    };
    let address = match address.len() {
        8 => IpAddr::V4(Ipv4Addr::from(word(0)?)),
        32 => {
            let words = [word(0)?, word(1)?, word(2)?, word(3)?].concat();
            let bytes: [u8; 16] = words.try_into().ok()?;
            Ipv6Addr::from(bytes).to_canonical()
        }
        _ => return None,
    };
    Some((address, port))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = "  sl  local_address rem_address   st\n";

    #[test]
    #[cfg(target_endian = "little")]
    fn both_families_are_read() {
        let four = "   0: 0100007F:0FC8 00000000:0000 0A 00000000:00000000 00:00000000 00000000  1000        0 21345 1 0\n";
        let found = parse(&format!("{HEAD}{four}"), "tcp");
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].local, ("127.0.0.1".parse().unwrap(), 4040));
        assert_eq!((found[0].state, found[0].user, found[0].inode), ("LISTEN", 1000, 21345));
        assert!(found[0].is_waiting() && !found[0].is_connected());
        let six = "   1: 0000000000000000FFFF00000502000A:D903 0000000000000000FFFF0000FD1F1F12:01BB 01 0:0 00:0 0  0 0 77 1\n";
        let found = parse(&format!("{HEAD}{six}"), "tcp");
        assert_eq!(found[0].local, ("10.0.2.5".parse().unwrap(), 55555));
        assert_eq!(found[0].remote, ("18.31.31.253".parse().unwrap(), 443));
        assert!(found[0].is_connected());
    }

    #[test]
    fn what_is_no_endpoint_is_left_out() {
        let damaged = [
            "",
            "0:",
            "0: 0100007F 0: 0A",
            "0: 01:1 02:2 01 0 0 0 0 0 0",
            "0: 0100007F:0FC8 00000000:0000 FFFFFFFFFFFFFFFFF 0:0 0:0 0 0 0 0",
            "0: é100007F:0FC8 00000000:0000 0A 0:0 0:0 0 0 0 0",
        ];
        for line in damaged {
            assert_eq!(parse(&format!("{HEAD}{line}\n"), "tcp"), [], "{line}");
        }
    }
}
