//! Messages of each program, and those that only look like them.

use super::*;
use crate::model::Precision;

fn said(program: &str, text: &str) -> String {
    let at = "2024-03-07T03:14:02Z".parse().ok();
    let moment = Moment { at, meaning: "Log Line", precision: Precision::Second, raw: "r".into() };
    let message = Message {
        program,
        pid: Some(7),
        text,
        moment,
        locator: Locator::Line(1),
        otherwise: "syslog",
    };
    let record = message.into_record();
    let mut out = record.category.to_owned();
    for (name, value) in &record.fields {
        if name != "Message" && name != "Program" && name != "ProcessId" {
            out.push_str(&format!(" {name}={value}"));
        }
    }
    out
}

#[test]
fn logins_over_ssh() {
    for (text, expected) in [
        (
            "Accepted publickey for root from 127.0.0.1 port 49812 ssh2: ED25519 SHA256:x",
            "ssh_login User=root IpAddress=127.0.0.1 IpPort=49812 Outcome=accepted Method=publickey",
        ),
        (
            "Failed password for invalid user a from b from ::1 port 5 ssh2",
            "ssh_login User=a from b IpAddress=::1 IpPort=5 Outcome=failed Method=password",
        ),
        (
            "Invalid user test from 203.0.113.7 port 40022",
            "ssh_login User=test IpAddress=203.0.113.7 IpPort=40022 Outcome=failed",
        ),
        (
            "Disconnected from user jane 127.0.0.1 port 49812",
            "ssh_logout User=jane IpAddress=127.0.0.1 IpPort=49812",
        ),
        (
            "Received disconnect from ::1 port 51544:11: disconnected by user",
            "ssh_logout IpAddress=::1 IpPort=51544",
        ),
        ("pam_unix(sshd:session): session closed for user jane", "ssh_logout User=jane"),
        ("Connection closed by authenticating user root 127.0.0.1 port 4 [preauth]", "syslog"),
        ("Server listening on 0.0.0.0 port 22.", "syslog"),
        ("Accepted the terms", "syslog"),
    ] {
        assert_eq!(said("sshd", text), expected);
    }
}

#[test]
fn lines_of_other_tunnel_tools() {
    let bore = "2024-03-07T03:14:02.1Z  INFO bore_cli::client: listening at bore.pub:38412";
    let expected = "agent_log Tool=bore Activity=connected Url=bore.pub:38412";
    assert_eq!(said("dbus-helper", bore), expected);
    assert_eq!(said("/usr/lib/dbus-helper", bore), expected);
    // Who looks for such a line did not write it.
    assert!(said("sudo", &format!("root : COMMAND=/bin/grep {bore}")).starts_with("sudo "));
    assert_eq!(said("sshd", bore), "syslog");
    assert_eq!(said("x", "bore_cli: listening at bore.pub:38412"), "syslog");
}

#[test]
fn commands_of_sudo_and_cron() {
    assert_eq!(
        said(
            "sudo",
            "  deploy : TTY=pts/0 ; PWD=/tmp/.x ; USER=root ; COMMAND=/bin/sh -c a ; b#012c #1"
        ),
        "sudo User=deploy CommandLine=/bin/sh -c a ; b\nc #1 Tty=pts/0 CurrentDirectory=/tmp/.x TargetUser=root Outcome=accepted"
    );
    assert_eq!(
        said(
            "sudo",
            "jane : user NOT in sudoers ; TTY=pts/1 ; PWD=/ ; USER=root ; COMMAND=/bin/id"
        ),
        "sudo User=jane CommandLine=/bin/id Tty=pts/1 CurrentDirectory=/ TargetUser=root Outcome=refused: user NOT in sudoers"
    );
    assert_eq!(said("sudo", "pam_unix(sudo:session): session opened"), "syslog");
    assert_eq!(
        said("CRON", "(root) CMD (   cd / && run-parts (x))"),
        "cron_run CommandLine=cd / && run-parts (x) User=root"
    );
    assert_eq!(said("CRON", "pam_unix(cron:session): session opened"), "syslog");
}

#[test]
fn the_agents_own_lines() {
    let line = "t=2024-03-06T21:14:02-0600 lvl=info msg=\"started tunnel\" obj=tunnels name=ssh addr=localhost:22 url=tcp://0.tcp.ngrok.io:1";
    assert!(said("x", line).starts_with("agent_log LogLevel=info Object=tunnels Name=ssh"));
    let other = "t=2024-03-06T21:14:02-0600 lvl=info msg=\"HTTP Server Listen\" address=:3000";
    assert_eq!(said("grafana", other), "syslog");
    assert!(said("ngrok", other).starts_with("agent_log"));
}
