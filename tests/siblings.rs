//! A host with several tunnel tools: each is judged by itself.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lab;

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

/// What is put on a host that is clean otherwise.
const PLANTED: [(&str, &str); 4] = [
    ("ngrok_config/v3.yml", "Users/lin/AppData/Local/ngrok/ngrok.yml"),
    ("tunnel_config/frpc.toml", "ProgramData/x/svc.dat"),
    ("tunnel_config/cloudflared.yml", "Users/lin/.cloudflared/config.yml"),
    ("srum/SRUDB.dat", "Windows/System32/sru/SRUDB.dat"),
];

fn testdata(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata").join(path)
}

fn write(path: &Path, bytes: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, bytes).unwrap();
}

/// A copy of the clean host, without its links.
fn clean_host(to: &Path) {
    let from = testdata("hosts/DEV-WS-11");
    for entry in walkdir::WalkDir::new(&from).into_iter().flatten() {
        if entry.file_type().is_file() {
            let below = entry.path().strip_prefix(&from).unwrap();
            write(&to.join(below), &fs::read(entry.path()).unwrap());
        }
    }
}

#[test]
fn three_tools_on_a_host_get_three_ladders() {
    let place = TempDir::new().unwrap();
    let host = place.path().join("DEV-WS-11");
    clean_host(&host);
    for (from, to) in PLANTED {
        write(&host.join(to), &fs::read(testdata("parse").join(from)).unwrap());
    }
    write(&host.join("Tools/frpc.exe"), b"MZ");
    let ran = lab::scan(&host, Duration::from_secs(300));
    let verdict: Value = serde_json::from_str(&ran.files["DEV-WS-11/verdict.json"]).unwrap();
    let tools = verdict["tools"].as_array().unwrap();
    let answers = |rung: &str| -> Vec<&str> {
        let yes = tools.iter().filter(|tool| tool["rungs"][rung]["answer"] == "yes");
        yes.map(|tool| tool["tool"].as_str().unwrap()).collect()
    };
    assert_eq!(answers("configured"), ["cloudflared", "frp", "ngrok"]);
    assert_eq!(answers("delivered"), ["frp"]);
    assert_eq!(answers("executed"), ["ngrok"]);
    let ngrok = tools.iter().find(|of| of["tool"] == "ngrok").unwrap();
    let traffic = &ngrok["traffic"];
    assert_eq!((&traffic["sent"], &traffic["received"]), (&8103.into(), &43723.into()));
    assert_eq!(traffic["rows"].as_array().unwrap().len(), 3);
    assert!(tools.iter().all(|of| of["tool"] == "ngrok" || of["traffic"].is_null()));
    let exposed = |tool: &str| {
        let of = tools.iter().find(|of| of["tool"] == tool).unwrap();
        of["exposed"].to_string()
    };
    assert!(exposed("frp").contains("10.0.0.7:22"), "{}", exposed("frp"));
    assert!(exposed("cloudflared").contains("localhost:3389"), "{}", exposed("cloudflared"));
    assert!(!exposed("ngrok").contains("10.0.0.7"), "{}", exposed("ngrok"));
}

/// The answer of a tool's rung, and the levels of the rows that bear its name.
fn told(host: &Path, tool: &str, rung: &str) -> (String, Vec<String>) {
    let ran = lab::scan(host, Duration::from_secs(300));
    let verdict: Value = serde_json::from_str(&ran.files["DEV-WS-11/verdict.json"]).unwrap();
    let tools = verdict["tools"].as_array().unwrap().iter();
    let of = tools.clone().find(|of| of["tool"] == tool).unwrap();
    let rows = ran.rows("timeline.csv").into_iter().chain(ran.rows("notime.csv"));
    let mut levels: Vec<String> =
        rows.filter(|row| row["tool"] == tool).map(|row| row["level"].clone()).collect();
    levels.sort();
    levels.dedup();
    (of["rungs"][rung]["answer"].as_str().unwrap().to_owned(), levels)
}

/// A clean host with these files, of `testdata/parse`.
fn host_with(files: &[(&str, &str)]) -> TempDir {
    let place = TempDir::new().unwrap();
    let host = place.path().join("DEV-WS-11");
    clean_host(&host);
    for (from, to) in files {
        write(&host.join(to), &fs::read(testdata("parse").join(from)).unwrap());
    }
    place
}

#[test]
fn a_configuration_alone_counts_by_where_it_lies() {
    const FRP: &str = "tunnel_config/frpc.toml";
    const CLOUDFLARED: &str = "tunnel_config/cloudflared.yml";
    for (tool, from, to, answer, levels) in [
        ("cloudflared", CLOUDFLARED, "Users/lin/src/cf/config.yml", "unknown", &["informational"]),
        ("frp", FRP, "Users/lin/go/pkg/mod/frp/frpc.toml", "unknown", &["informational"]),
        ("frp", FRP, "Users/lin/src/frp/frpc.toml", "yes", &["low"]),
        // What is left where nobody keeps work, all else cleaned away, stands.
        ("frp", FRP, "ProgramData/x/svc.dat", "yes", &["high"]),
        ("cloudflared", CLOUDFLARED, "Users/lin/.cloudflared/config.yml", "yes", &["high"]),
    ] {
        let place = host_with(&[(from, to)]);
        let (said, of) = told(&place.path().join("DEV-WS-11"), tool, "configured");
        assert_eq!(
            (said.as_str(), of.as_slice()),
            (answer, levels.map(str::to_owned).as_slice()),
            "{to}"
        );
    }
}

#[test]
fn a_configuration_in_company_keeps_its_level() {
    let place = host_with(&[("tunnel_config/frpc.toml", "Users/lin/src/frp/frpc.toml")]);
    write(&place.path().join("DEV-WS-11/Tools/frpc.exe"), b"MZ");
    let (said, levels) = told(&place.path().join("DEV-WS-11"), "frp", "configured");
    assert_eq!(said, "yes");
    assert!(levels.contains(&"high".to_owned()), "{levels:?}");
}

#[test]
fn a_described_container_is_no_trace_but_one_that_kubernetes_starts_is() {
    let place = TempDir::new().unwrap();
    let host = place.path().join("NODE-1");
    let put = |name: &str, to: &str| {
        write(&host.join(to), &fs::read(testdata("parse/container_plan").join(name)).unwrap());
    };
    put("docker-compose.yml", "home/lin/project/docker-compose.yml");
    put("tunnel.yaml", "etc/kubernetes/manifests/tunnel.yaml");
    write(&host.join("etc/hostname"), b"NODE-1\n");
    let ran = lab::scan(&host, Duration::from_secs(300));
    let verdict: Value = serde_json::from_str(&ran.files["NODE-1/verdict.json"]).unwrap();
    let of = |tool: &str| verdict["tools"].as_array().unwrap().iter().find(|of| of["tool"] == tool);
    for rung in ["configured", "persisted"] {
        assert_eq!(of("cloudflared").unwrap()["rungs"][rung]["answer"], "yes", "{rung}");
    }
    assert!(of("ngrok").is_none_or(|ngrok| ngrok["rungs"]["configured"]["answer"] == "no"));
    let rows = ran.rows("timeline.csv");
    let told: Vec<_> = rows.iter().map(|row| (&*row["tool"], &*row["level"])).collect();
    assert!(
        told.contains(&("ngrok", "low")) && told.contains(&("cloudflared", "medium")),
        "{told:?}"
    );
}

#[test]
fn what_a_tool_logged_is_told_wherever_it_lies() {
    for (from, to, tool, rung, says) in [
        ("sibling_log/frpc.log", "Tools/a.log", "frp", "used", true),
        ("sibling_log/cloudflared.json", "ProgramData/x/out.txt", "cloudflared", "connected", true),
        ("sibling_log/cloudflared.log", "ProgramData/x/out.txt", "cloudflared", "configured", true),
        (
            "sibling_log/tunnel-service.log",
            "Users/lin/.vscode/cli/tunnel-service.log",
            "devtunnels",
            "used",
            true,
        ),
        ("sibling_log/no-guide.md", "Users/lin/notes/guide.md", "frp", "connected", false),
        ("sibling_log/no-other.log", "Tools/a.log", "cloudflared", "executed", false),
    ] {
        let place = host_with(&[(from, to)]);
        let (answer, _) = told(&place.path().join("DEV-WS-11"), tool, rung);
        assert_eq!(answer == "yes", says, "{from}: {answer}");
    }
}

/// Who ends a program took it to run, perhaps in vain; the tool's own word is a run of it.
#[test]
fn a_command_that_ends_a_tool_is_no_proof_that_it_ran() {
    const HISTORY: &str =
        "Users/lin/AppData/Roaming/Microsoft/Windows/PowerShell/PSReadLine/ConsoleHost_history.txt";
    for (typed, ran) in [
        ("Stop-Process -Name frpc -Force", "unknown"),
        ("Get-Date; taskkill /f /im frpc.exe", "unknown"),
        (r"C:\Tools\frpc.exe -c C:\Tools\frpc.toml", "yes"),
        (r"C:\Tools\frpc.exe stop -c C:\Tools\frpc.toml", "yes"),
    ] {
        let place = host_with(&[("tunnel_config/frpc.toml", "ProgramData/x/svc.dat")]);
        let host = place.path().join("DEV-WS-11");
        write(&host.join(HISTORY), format!("{typed}\r\n").as_bytes());
        let (answer, levels) = told(&host, "frp", "executed");
        assert_eq!(answer, ran, "{typed}");
        assert!(levels.contains(&"medium".to_owned()) || ran == "yes", "{typed}: {levels:?}");
    }
}

/// The side to which others' agents come is told apart, and is not told of a release that
/// has both sides in it.
#[test]
fn a_server_is_told_apart_from_an_agent() {
    const UNIT: &str = "Windows/System32/Tasks/Relay";
    let task = |command: &str, arguments: &str| {
        let text = format!(
            "<?xml version=\"1.0\"?>\n<Task version=\"1.2\" xmlns=\"http://schemas.microsoft.com/windows/2004/02/mit/task\">\
             <Triggers><BootTrigger/></Triggers><Actions><Exec><Command>{command}</Command><Arguments>{arguments}</Arguments></Exec></Actions></Task>"
        );
        text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    for (command, arguments, tool, serves) in [
        (r"C:\frp\frps.exe", r"-c C:\frp\frps.toml", "frp", true),
        (r"C:\frp\frpc.exe", r"-c C:\frp\frpc.toml", "frp", false),
        (r"C:\x\svc.exe", "server -p 8000 --reverse", "chisel", true),
        (r"C:\x\svc.exe", "client 203.0.113.5:8000 R:3389:127.0.0.1:3389", "chisel", false),
        (r"C:\x\ligolo-proxy.exe", "-selfcert -laddr 0.0.0.0:11601", "ligolo", true),
        (r"C:\x\a.exe", "-connect 203.0.113.5:11601 -ignore-cert", "ligolo", false),
    ] {
        let place = TempDir::new().unwrap();
        let host = place.path().join("DEV-WS-11");
        clean_host(&host);
        let mark: &[u8] = &[0xff, 0xfe];
        write(&host.join(UNIT), &[mark, &task(command, arguments)].concat());
        for name in ["frpc.exe", "frps.exe", "frpc.toml", "frps.toml"] {
            write(&host.join("frp").join(name), b"bindPort = 7000\nserverPort = 7000\n");
        }
        let ran = lab::scan(&host, Duration::from_secs(300));
        let verdict: Value = serde_json::from_str(&ran.files["DEV-WS-11/verdict.json"]).unwrap();
        let of = verdict["tools"].as_array().unwrap().iter().find(|of| of["tool"] == tool).unwrap();
        assert_eq!(of["rungs"]["persisted"]["answer"], "yes", "{command} {arguments}");
        assert_eq!(of["serves"].is_array(), serves, "{command} {arguments}: {}", of["serves"]);
    }
}
