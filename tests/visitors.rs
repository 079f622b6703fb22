//! Who came in through a tunnel to something else than a desktop or a shell.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod lab;

use std::fs;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

const AGENTS_LOG: &str = "\
t=2024-09-02T21:17:00+0200 lvl=info msg=\"started tunnel\" obj=tunnels name=db addr=//localhost:1433 url=tcp://4.tcp.eu.ngrok.io:17233
t=2024-09-02T21:17:29+0200 lvl=info msg=\"join connections\" obj=join id=3d8f3f2a1c11 l=127.0.0.1:1433 r=203.0.113.77:51120
t=2024-09-02T21:17:36+0200 lvl=info msg=\"join connections\" obj=join id=3d8f3f2a1c12 l=127.0.0.1:1433 r=203.0.113.77:51122
";

#[test]
fn who_logs_in_to_a_database_right_after_a_connection_came_in() {
    let place = TempDir::new().unwrap();
    let host = place.path().join("DB-01");
    let put = |below: &str, bytes: &[u8]| {
        let at = host.join(below);
        fs::create_dir_all(at.parent().unwrap()).unwrap();
        fs::write(at, bytes).unwrap();
    };
    let log = Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/parse/sql_server/ERRORLOG");
    let instance = "Program Files/Microsoft SQL Server/MSSQL15.MSSQLSERVER";
    put(&format!("{instance}/MSSQL/Log/ERRORLOG"), &fs::read(log).unwrap());
    put("PerfLogs/n.log", AGENTS_LOG.as_bytes());
    put("Windows/win.ini", b"");
    let ran = lab::scan(&host, Duration::from_secs(300));
    let verdict: Value = serde_json::from_str(&ran.files["DB-01/verdict.json"]).unwrap();
    let ngrok = verdict["tools"].as_array().unwrap().iter().find(|of| of["tool"] == "ngrok");
    let sessions = ngrok.unwrap()["sessions"].as_array().unwrap();
    let told: Vec<_> = sessions
        .iter()
        .map(|one| ["kind", "user", "remote_address"].map(|key| one[key].as_str().unwrap()))
        .collect();
    assert_eq!(told, [["mssql", "sa", "203.0.113.77"]]);
    assert_eq!(sessions[0]["rows"].as_array().unwrap().len(), 3);
    let rows = ran.rows("timeline.csv");
    let mut logins = rows.iter().filter(|row| row["artifact"] == "windows.network.sql_error_log");
    let failed = logins.next().unwrap();
    assert_eq!((&*failed["level"], &*failed["stage"]), ("informational", "context"));
    assert_eq!(failed["datetime"], "2024-09-02T19:17:30.400000+00:00");
    let came_in = logins.next().unwrap();
    assert_eq!((&*came_in["tool"], &*came_in["stage"]), ("ngrok", "used"));
    assert_eq!(logins.next(), None);
}
