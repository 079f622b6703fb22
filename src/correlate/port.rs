//! Ports of this host that commands let out.

use super::is_loopback;

/// Words of commands that a port of this host follows.
const TAKE_PORT: &[&str] = &[
    "--local-port",
    "--local_port",
    "-l",
    "-local_port",
    "http",
    "https",
    "local",
    "rdp",
    "ssh",
    "tcp",
    "tls",
];
/// Words of commands that the host follows which is let out.
const TAKE_HOST: &[&str] = &["--local-ip", "--local_ip", "-i", "-local_ip"];

/// The words of a command, options parted from values.
pub(super) fn words(command: &str) -> impl Iterator<Item = &str> {
    command.split([' ', '\t', '=', '"', '\'', ',']).filter(|word| !word.is_empty())
}

/// Whether a command lets that port of this host out.
pub(super) fn names_port(command: &str, port: i64) -> bool {
    own_ports(command).contains(&port)
}

/// The ports of this host that a command lets out.
pub(super) fn own_ports(command: &str) -> Vec<i64> {
    let mut before = "";
    let mut named = Vec::new();
    for word in words(command) {
        let elsewhere = word.parse::<std::net::IpAddr>().is_ok_and(|ip| !ip.is_loopback());
        if TAKE_HOST.contains(&before) && elsewhere {
            return Vec::new();
        }
        named.extend(match word.contains(':') {
            true => own_port(word),
            false => word.parse().ok().filter(|_| TAKE_PORT.contains(&before)),
        });
        before = word;
    }
    named
}

/// The same, and ports of which the command does not say whose they are.
pub(super) fn named_ports(command: &str) -> Vec<i64> {
    let all: Vec<&str> = words(command).collect();
    let further = all.windows(2).filter(|pair| matches!(pair, ["--port" | "-p" | "-port", _]));
    let further = further.filter_map(|pair| pair.last()?.parse().ok());
    own_ports(command).into_iter().chain(further).collect()
}

/// Whether an address ends with that port of this host.
pub(super) fn leads_to(address: &str, port: i64) -> bool {
    own_port(address) == Some(port)
}

/// The port of this host that an address ends with: `R:2222:localhost:22`, `tcp://[::1]:22`.
fn own_port(address: &str) -> Option<i64> {
    let (host, last) = address.trim_end_matches('/').rsplit_once(':')?;
    let number = last.split('/').next().unwrap_or_default();
    let own = match host.rfind('[') {
        Some(at) => host.get(at..).unwrap_or_default(),
        None => host.rsplit([':', '/']).next().unwrap_or_default(),
    };
    // `R:22` of chisel is the same port on both sides.
    let is_own = matches!(own, "" | "R" | "localhost" | "0.0.0.0" | "*") || is_loopback(own);
    number.parse().ok().filter(|_| is_own)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_of_this_host_alone() {
        for (command, expected) in [
            ("ngrok tcp 3389", &[3389][..]),
            ("chisel client https://c2:443 R:2222:127.0.0.1:22 R:5985", &[22, 5985]),
            ("chisel client https://c2:443 R:3389:10.0.0.9:3389", &[]),
            ("cloudflared tunnel --url ssh://localhost:22", &[22]),
            ("ssh -R 33389:[::1]:3389 u@h", &[3389]),
            ("frpc tcp -i 10.0.0.5 -l 3389", &[]),
            ("x -p 3389", &[]),
        ] {
            assert_eq!(own_ports(command), expected, "{command}");
        }
    }
}
