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
