//! What the tools say of themselves, and what each saying tells.
//!
//! A saying is made of texts that only this tool writes together: its module's path, its
//! own wording, the source file that its logger names. Sources: the tools' format strings
//! in their repositories (ekzhang/bore, rapiz1/rathole, fatedier/frp, ehang-io/nps,
//! cloudflare/cloudflared, jpillora/chisel, nicocha30/ligolo-ng, go-gost/x, ginuerzh/gost,
//! erebe/wstunnel, tailscale/tailscale, netbirdio/netbird, openziti/zrok,
//! playit-cloud/playit-agent, `cli/` of microsoft/vscode), and logs in public issues.

use super::form::Form;
use crate::parse::lines::Words;

use Activity::{Configured, Connected, Exposed, Refused, Started, Visited};
use Part::{Name, NameBefore, Remote, Server, Target, Url};

/// What a line tells that the tool did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Activity {
    Started,
    /// To its server or service.
    Connected,
    /// It was told what to let out.
    Configured,
    /// Something can be reached from outside now.
    Exposed,
    /// Somebody came in.
    Visited,
    /// Somebody came, but what the tunnel leads to did not answer.
    Refused,
}

impl Activity {
    pub(super) fn as_str(self) -> &'static str {
        match self {
            Started => "started",
            Connected => "connected",
            Configured => "configured",
            Exposed => "exposed",
            Visited => "visited",
            Refused => "refused",
        }
    }
}

/// A detail of a line: the word after a text, or inside the bracket before it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Part {
    /// Where it can be reached from outside.
    Url,
    /// What the tunnel leads to.
    Target,
    /// What the tool is connected to.
    Server,
    /// Who came in.
    Remote,
    Name,
    NameBefore,
}

/// A saying of a tool: a line in which all of its texts stand.
pub(super) struct Saying {
    pub tool: &'static str,
    pub activity: Activity,
    /// What is said must begin with this: wording that others may quote.
    begins: &'static str,
    says: &'static [&'static str],
    pub tells: &'static [(Part, &'static str)],
}

impl Saying {
    /// The first of the sayings that this line is.
    pub(super) fn of(line: &Form) -> Option<&'static Self> {
        if !may_say(&line.whole) {
            return None;
        }
        let said = line.said();
        SAYINGS.iter().find(|saying| {
            said.starts_with(saying.begins) && saying.says.iter().all(|t| line.whole.contains(t))
        })
    }
}

/// Whether a text may be a saying: a quick look.
pub(in crate::parse) fn may_say(text: &str) -> bool {
    WORDS.stand_in(text.as_bytes())
}

/// One of these stands in every saying.
pub(super) static WORDS: Words = Words::new(&[
    "bore_cli::",
    "rathole::",
    "wstunnel::",
    "playit_agent_core::",
    "login to server",
    "try to connect to server",
    "start proxy success",
    "to local service [",
    "join connections, localConn",
    "a user connection [",
    "start visitor success",
    "client login info",
    "frpc service for",
    "frps started",
    "client/control.go:",
    "graceful shutdown due to",
    "connection with server ",
    "with the goal of ",
    "the version of client is",
    ": [rtcp] ",
    "connIndex",
    "originService",
    "new configuration",
    "trycloudflare.com",
    "Starting tunnel",
    "quick Tunnel has",
    "Connector ID: ",
    "with the edge",
    "ha-connections:",
    "client: Conn",
    "client: tun: ",
    "server: session#",
    "Reverse tunnelling",
    "certificate validation",
    ":11601",
    "\"kind\":\"",
    "Switching ipn state",
    "relay_tunnel_host]",
    "vscode.dev/tunnel/",
    "Creating tunnel with",
    ".devtunnels.ms",
    "connections for tunnel",
    "Netbird engine",
    "your zrok share",
    "connections from serveo",
    "traffic from https://",
    "with tls termination",
    "tunnel will expire in",
    "your url is: ",
]);

const fn row(
    tool: &'static str,
    activity: Activity,
    says: &'static [&'static str],
    tells: &'static [(Part, &'static str)],
) -> Saying {
    Saying { tool, activity, begins: "", says, tells }
}

const fn begins(
    tool: &'static str,
    activity: Activity,
    begins: &'static str,
    says: &'static [&'static str],
    tells: &'static [(Part, &'static str)],
) -> Saying {
    Saying { tool, activity, begins, says, tells }
}

/// Of a tool's, the more telling first.
#[rustfmt::skip]
static SAYINGS: &[Saying] = &[
    row("bore", Connected, &["bore_cli::client: listening at "], &[(Url, "listening at ")]),
    row("bore", Connected, &["bore_cli::client: connected to server"], &[]),
    row("bore", Visited, &["bore_cli::client: new connection"], &[]),
    row("bore", Visited, &["bore_cli::server: new connection"], &[(Remote, " addr=")]),
    row("bore", Connected, &["bore_cli::server: new client"], &[]),
    row("bore", Started, &["bore_cli::server: server listening"], &[]),
    row("rathole", Connected, &["rathole::client: Control channel established"], &[(Name, "service=")]),
    row("rathole", Visited, &["rathole::client: New data channel starts forwarding"], &[]),
    row("rathole", Started, &["rathole::client: Starting "], &[(Name, "service=")]),
    row("rathole", Started, &["rathole::client: Control channel shutdown"], &[(Name, "service=")]),
    row("rathole", Connected, &["rathole::server: Control channel established"], &[(Name, "service=")]),
    row("rathole", Started, &["rathole::server: Listening at "], &[]),
    row("wstunnel", Connected, &["wstunnel::", "Opening TCP connection to "], &[]),
    row("wstunnel", Started, &["wstunnel::", "Starting wstunnel "], &[]),
    row("playit", Visited, &["playit_agent_core::", "New TCP Client"], &[]),
    row("playit", Started, &["playit_agent_core::"], &[]),
    row("frp", Connected, &[".go:", "login to server success, get run id ["], &[]),
    row("frp", Exposed, &[".go:", "] start proxy success"], &[(NameBefore, "] start proxy success")]),
    row("frp", Refused, &[".go:", "connect to local service ["], &[(Target, "connect to local service [")]),
    row("frp", Visited, &[".go:", "join connections, localConn(l["], &[(Target, " r[")]),
    row("frp", Visited, &[".go:", "get a user connection ["], &[(Remote, "get a user connection [")]),
    row("frp", Connected, &[".go:", "start visitor success"], &[]),
    row("frp", Connected, &[".go:", "client login info: ip ["], &[]),
    row("frp", Started, &[".go:", "start frpc service for config file ["], &[]),
    row("frp", Started, &["service.go:", "try to connect to server..."], &[]),
    row("frp", Started, &["client/control.go:", "] heartbeat timeout"], &[]),
    row("frp", Started, &[".go:", "frps started successfully"], &[]),
    row("nps", Connected, &[".go:", "Successful connection with server "], &[(Server, "with server ")]),
    row("nps", Visited, &[".go:", " connection with the goal of ", ", remote address:"],
        &[(Target, "with the goal of "), (Remote, "remote address:")]),
    row("nps", Started, &[".go:", "the version of client is ", "the core version of client is "], &[]),
    begins("cloudflared", Connected, "Registered tunnel connection", &["connIndex"],
        &[(Server, " ip="), (Server, "\"ip\":\"")]),
    begins("cloudflared", Connected, "Connection ", &["registered connIndex=", "location="], &[(Server, " ip=")]),
    begins("cloudflared", Configured, "Updated to new configuration", &["ingress"], &[]),
    begins("cloudflared", Configured, "Settings: map[", &["ha-connections:", "url:"], &[(Target, "url:")]),
    row("cloudflared", Refused, &["originService", "dial tcp "], &[(Target, "dial tcp ")]),
    begins("cloudflared", Exposed, "|  https://", &[".trycloudflare.com"], &[(Url, "|  ")]),
    begins("cloudflared", Started, "Requesting new quick Tunnel on trycloudflare.com", &[], &[]),
    begins("cloudflared", Started, "|  Your quick Tunnel has been created", &[], &[]),
    begins("cloudflared", Started, "Starting tunnel", &["tunnelID"],
        &[(Name, "tunnelID="), (Name, "\"tunnelID\":\"")]),
    begins("cloudflared", Started, "Generated Connector ID: ", &[], &[]),
    begins("cloudflared", Started, "Unregistered tunnel connection", &["connIndex"], &[]),
    begins("cloudflared", Started, "Lost connection with the edge", &[], &[]),
    begins("cloudflared", Started, "Initiating graceful shutdown due to signal ", &[], &[]),
    begins("chisel", Connected, "client: Connected (Latency ", &[], &[]),
    begins("chisel", Started, "client: Connecting to ws", &[], &[(Server, "Connecting to ")]),
    begins("chisel", Visited, "client: tun: conn#", &[": Open"], &[]),
    begins("chisel", Connected, "client: tun: proxy#", &[": Listening"], &[]),
    begins("chisel", Visited, "server: session#", &[": tun: conn#", ": Open"], &[]),
    begins("chisel", Connected, "server: session#", &[": tun: "], &[]),
    begins("chisel", Started, "server: Reverse tunnelling enabled", &[], &[]),
    begins("ligolo", Connected, "Connection established", &["addr=", ":11601"],
        &[(Server, "addr=\""), (Server, "addr=")]),
    begins("ligolo", Started, "warning, certificate validation disabled", &[], &[]),
    row("gost", Visited, &["\"kind\":\"handler\"", "\"service\":\"", " <-> "],
        &[(Target, " <-> "), (Remote, "\"remote\":\"")]),
    row("gost", Started, &["\"kind\":\"service\"", "\"handler\":\"", "\"listener\":\"", "listening on "], &[]),
    row("gost", Visited, &[".go:", ": [rtcp] ", " <-> "], &[(Target, " <-> ")]),
    row("gost", Connected, &[".go:", ": [rtcp] BIND ON "], &[]),
    row("tailscale", Connected, &["Switching ipn state ", "-> Running (WantRunning=true"], &[]),
    row("devtunnels", Visited, &["relay_tunnel_host] Opened new client on channel"], &[]),
    begins("devtunnels", Connected, "Open this link in your browser https://vscode.dev/tunnel/", &[],
        &[(Url, "browser ")]),
    begins("devtunnels", Started, "Creating tunnel with the name: ", &["] info Creating"], &[(Name, "with the name: ")]),
    begins("devtunnels", Exposed, "Connect via browser: https://", &[".devtunnels.ms"], &[(Url, "browser: ")]),
    begins("devtunnels", Connected, "Ready to accept connections for tunnel: ", &[],
        &[(Name, "for tunnel: ")]),
    row("netbird", Connected, &["Netbird engine started, the IP is: "], &[]),
    row("zrok", Exposed, &["access your zrok share at the following endpoints:"], &[(Url, "endpoints:\\n ")]),
    begins("serveo", Exposed, "Forwarding TCP connections from serveo.net:", &[], &[(Url, "connections from ")]),
    begins("serveo", Exposed, "Forwarding HTTP traffic from https://", &[".serveo"], &[(Url, "traffic from ")]),
    row("localhostrun", Exposed, &[" tunneled with tls termination, https://"], &[(Url, "termination, ")]),
    begins("pinggy", Connected, "Your tunnel will expire in 60 minutes", &[], &[]),
    begins("localtunnel", Exposed, "your url is: https://", &[".loca.lt"], &[(Url, "url is: ")]),
];

/// The word of a line that a text announces: up to a blank or what closes it.
pub(super) fn word<'a>(line: &'a str, part: Part, text: &str) -> Option<&'a str> {
    let (before, after) = line.split_once(text)?;
    if part == NameBefore {
        return before.rsplit_once('[').map(|(_, name)| name).filter(|name| !name.is_empty());
    }
    // An address in brackets has its port behind them.
    let inner = if after.starts_with('[') { after.find(']')? } else { 0 };
    let is_end = |c: char| c.is_whitespace() || "\"'])},|\\".contains(c);
    let open = if inner > 0 { inner.checked_add(1)? } else { 0 };
    let end =
        after.get(open..)?.find(is_end).map_or(Some(after.len()), |at| open.checked_add(at))?;
    let word = after.get(..end)?.trim_end_matches([':', ',', '.', ';']);
    Some(word).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quick_look_overlooks_no_saying() {
        for saying in SAYINGS {
            assert!(may_say(saying.begins) || may_say(&saying.says.concat()), "{:?}", saying.says);
        }
    }

    #[test]
    fn words_end_where_they_are_closed() {
        for (line, part, text, expected) in [
            ("listening at bore.pub:38412", Url, "listening at ", Some("bore.pub:38412")),
            (
                "error=\"dial tcp 127.0.0.1:22: connect: refused\"",
                Target,
                "dial tcp ",
                Some("127.0.0.1:22"),
            ),
            ("dial tcp [::1]:22: connect", Target, "dial tcp ", Some("[::1]:22")),
            ("a [ssh] start proxy success", NameBefore, "] start proxy success", Some("ssh")),
            ("{service=ssh}: x", Name, "service=", Some("ssh")),
            (
                "|  https://a-b.trycloudflare.com  |",
                Url,
                "|  ",
                Some("https://a-b.trycloudflare.com"),
            ),
            ("goal of ", Target, "goal of ", None),
            ("goal of [", Target, "goal of ", None),
            ("x", Target, "goal of ", None),
        ] {
            assert_eq!(word(line, part, text), expected, "{line}");
        }
    }
}
