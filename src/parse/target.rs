//! What a tunnel leads to: addresses as agents write them, made comparable.

/// An address that a tunnel exposes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    /// `localhost:3389`; a file URL as it stands.
    pub text: String,
    pub port: Option<u16>,
    /// What makes exposing it a risk: `rdp`, `smb`, `files`, …
    pub risk: Option<&'static str>,
}

impl Target {
    /// The target of `3389`, `:3389`, `host:3389`, `//host:3389`, `http://host/path`
    /// or `file:///C:/Users`; `None` for an empty text.
    pub(crate) fn new(text: &str) -> Option<Self> {
        let text = text.trim();
        if text.get(..5).is_some_and(|start| start.eq_ignore_ascii_case("file:")) {
            return Some(Self { text: text.to_owned(), port: None, risk: Some("files") });
        }
        let (scheme, rest) = text.split_once("://").unwrap_or(("", text));
        let rest = rest.trim_start_matches('/');
        let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
        let authority = authority.rsplit('@').next().unwrap_or_default();
        if authority.is_empty() {
            return None;
        }
        let (host, port) = match authority.parse::<u16>() {
            Ok(port) => ("localhost", Some(port)),
            Err(_) => host_and_port(authority),
        };
        let host = if host.is_empty() { "localhost" } else { host };
        let port = port.or(match scheme.to_ascii_lowercase().as_str() {
            "http" => Some(80),
            "https" => Some(443),
            _ => None,
        });
        let text = port.map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"));
        Some(Self { text, port, risk: port.and_then(risk_of) })
    }
}

/// `host:port` apart; a host in brackets keeps them.
pub(crate) fn host_and_port(text: &str) -> (&str, Option<u16>) {
    match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => match port.parse() {
            Ok(port) => (host, Some(port)),
            Err(_) => (text, None),
        },
        _ => (text, None),
    }
}

/// The service that listens on this port by default, if letting it out is a risk.
fn risk_of(port: u16) -> Option<&'static str> {
    Some(match port {
        22 => "ssh",
        135 => "rpc",
        139 | 445 => "smb",
        1433 => "mssql",
        3306 => "mysql",
        3389 => "rdp",
        5900..=5903 => "vnc",
        5985 | 5986 => "winrm",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: &str, port: Option<u16>, risk: Option<&str>) {
        let target = Target::new(text).unwrap();
        assert_eq!((target.text.as_str(), target.port, target.risk), (expected, port, risk));
    }

    #[test]
    fn addresses_of_every_form() {
        check("3389", "localhost:3389", Some(3389), Some("rdp"));
        check(":445", "localhost:445", Some(445), Some("smb"));
        check("//localhost:3389", "localhost:3389", Some(3389), Some("rdp"));
        check("tcp://127.0.0.1:22", "127.0.0.1:22", Some(22), Some("ssh"));
        check("http://127.0.0.1:3000/x", "127.0.0.1:3000", Some(3000), None);
        check("https://intranet", "intranet:443", Some(443), None);
        check("[::1]:5985", "[::1]:5985", Some(5985), Some("winrm"));
        check("::1", "::1", None, None);
        check("fileserver", "fileserver", None, None);
        check("file:///C:/Users", "file:///C:/Users", None, Some("files"));
        assert_eq!(Target::new("tcp://"), None);
    }
}
