//! What export writes, down to the byte, and what verify says of it.
#![allow(clippy::unwrap_used, clippy::indexing_slicing)]

mod bundle;
mod sample;

use std::fs;
use std::path::PathBuf;

use adit::export::{
    ExportError, ExportOptions, HostSummary, start_bodyfile, summary_text, write_host, write_hosts,
};
use adit::model::{Answer, HostReport, RungName};

use sample::{options, read, report, run, rung, write};

#[test]
fn the_tables_are_these_to_the_byte() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &ExportOptions { bundle: false, ..options() });
    let timeline = read(&output, "timeline.csv");
    let lines: Vec<&str> = timeline.split('\n').collect();
    assert_eq!(lines.len(), 4, "header, two rows, final line feed");
    assert_eq!(
        lines[0],
        "datetime,timestamp_desc,message,host,level,stage,tool,rule,technique,score,chain,user,\
         process,pid,parent,command_line,path,sha256,service,remote_host,remote_port,local_port,\
         logon_id,session_id,event_id,channel,artifact,source_path,locator,source,time_precision,\
         datetime_raw,row_id,tag"
    );
    assert_eq!(
        lines[1],
        "2024-03-13T09:33:10.000000+00:00,Process Start,\"ngrok was started:\\u0009tcp \
         3389\\u000aby \"\"alice\"\", twice\",WS-01,critical,executed,ngrok,ngrok_start S000.7,\
         T1572,85,ngrok-1,CORP\\alice,C:\\ngrok\\ngrok.exe,4711,C:\\Windows\\System32\\cmd.exe,\
         =cmd|' ngrok tcp 3389,C:\\ngrok\\ngrok.exe,,,,,,,,1,Microsoft-Windows-Sysmon/Operational,\
         windows.evtx.sysmon,C:\\Windows\\System32\\winevt\\Logs\\Sysmon.evtx,record:1234,\
         image.E01,exact,2024-03-13T09:33:10.0000001Z,a1,recovered agent"
    );
    assert!(lines[2].ends_with(",a2,-"), "{}", lines[2]);
    let notime = read(&output, "notime.csv");
    assert_eq!(notime.lines().next(), Some(lines[0]));
    assert!(notime.lines().nth(1).unwrap().starts_with(",Process Start,"));
    assert_eq!(
        read(&output, "findings.csv"),
        "chain,host,tool,level,score,stage,first,last,summary,user,path,remote_host,local_port,\
         rules,techniques,rows\n\
         ngrok-1,WS-01,ngrok,critical,85,used,2024-03-13T09:33:10.000000+00:00,,\
         \"ngrok opened 3389, somebody came in\",,,,3389,,,a1 a2\n"
    );
    assert_eq!(
        read(&output, "coverage.csv"),
        "host,source,path,state,first,last,records,gaps,why\n\
         WS-01,windows.evtx.security,C:\\Windows\\System32\\winevt\\Logs\\Security.evtx,cleared,\
         2024-03-13T09:00:00.000000+00:00,,12,17-23 40-41,event 1102 at record 1\n"
    );
    assert_eq!(
        read(&output, "problems.csv"),
        "host,stage,path,locator,message\n\
         WS-01,parse,C:\\pagefile.sys,offset:0x1f000,\
         \"chunk cut short:\\u000aexpected 65536 bytes, found 512\"\n"
    );
}

#[test]
fn groups_count_records_and_split_answers() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &options());
    assert_eq!(
        read(&output, "summary.csv"),
        "dest,user,parent_process_name,process_name,original_file_name,process,process_id,\
         parent_process_id,count,firstTime,lastTime\n\
         WS-01,CORP\\alice,cmd.exe,ngrok.exe,ngrok.exe,=cmd|' ngrok tcp 3389,4711,99,2,\
         2024-03-13T09:33:10.000000+00:00,2024-03-13T09:33:10.000000+00:00\n"
    );
    let time = "2024-03-13T09:33:11.000000+00:00";
    assert_eq!(
        read(&output, "dns.csv"),
        format!(
            "answer,answer_count,query,query_count,reply_code_id,src,vendor_product,count,\
             firstTime,lastTime\n\
             3.1.2.3,2,tunnel.us.ngrok.com,1,0,WS-01,Sysmon,1,{time},{time}\n\
             3.1.2.4,2,tunnel.us.ngrok.com,1,0,WS-01,Sysmon,1,{time},{time}\n"
        )
    );
}

#[test]
fn jsonl_is_exact_and_in_column_order() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &options());
    let text = read(&output, "timeline.jsonl");
    assert_eq!(text.lines().count(), 2);
    let row: serde_json::Map<String, serde_json::Value> =
        serde_json::from_str(text.lines().next().unwrap()).unwrap();
    assert_eq!(row["message"], "ngrok was started:\ttcp 3389\nby \"alice\", twice");
    assert_eq!(row["pid"], 4711);
    assert_eq!(row["score"], 85);
    assert!(!row.contains_key("sha256"));
    let mut order = adit::export::TIMELINE_COLUMNS.iter();
    assert!(row.keys().all(|key| order.any(|column| column == key)));
}

#[test]
fn the_verdict_has_its_shape() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &options());
    let text = read(&output, "verdict.json");
    let verdict: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!(verdict["schema"], "adit-verdict/1");
    let tool = &verdict["tools"][0];
    let rungs: Vec<&String> = tool["rungs"].as_object().unwrap().keys().collect();
    assert_eq!(rungs, RungName::ALL.map(|name| name.as_str()).iter().collect::<Vec<_>>());
    assert_eq!(tool["rungs"]["executed"]["first"], "2024-03-13T09:33:10.000000+00:00");
    assert!(tool["rungs"]["delivered"]["first"].is_null());
    assert_eq!(tool["sessions"][0]["local_port"], 49271);
    assert!(tool["sessions"][0]["until"].is_null());
    assert!(tool["credentials"][0]["minted"].is_null());
}

#[test]
fn excel_safe_has_bom_crlf_and_no_formula() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &ExportOptions { csv_excel_safe: true, ..options() });
    let text = read(&output, "timeline.csv");
    assert!(text.starts_with("\u{feff}datetime,"));
    assert!(text.contains(",'=cmd|' ngrok"));
    assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
}

#[test]
fn same_report_same_bytes() {
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = write(one.path(), &options());
    write(two.path(), &options());
    let second = write(two.path(), &options());
    for (a, b) in first.files.iter().zip(&second.files) {
        assert_eq!(fs::read(a).unwrap(), fs::read(b).unwrap(), "{}", a.display());
    }
    assert_eq!(first.bundle.unwrap().sha256, second.bundle.unwrap().sha256);
    let left = fs::read_dir(&second.folder).unwrap();
    assert!(left.flatten().all(|file| !file.file_name().to_string_lossy().contains("partial")));
}

#[cfg(unix)]
#[test]
fn links_in_the_output_are_refused() {
    use std::os::unix::fs::symlink;
    let dir = tempfile::tempdir().unwrap();
    let victim = dir.path().join("victim");
    fs::write(&victim, "evidence").unwrap();
    fs::create_dir(dir.path().join("WS-01")).unwrap();
    symlink(&victim, dir.path().join("WS-01/timeline.csv")).unwrap();
    let result = write_host(dir.path(), &report(), &run(), &[], &options());
    assert!(matches!(result, Err(ExportError::Link { .. })), "{result:?}");
    fs::remove_dir_all(dir.path().join("WS-01")).unwrap();
    symlink(dir.path(), dir.path().join("WS-01")).unwrap();
    let result = write_host(dir.path(), &report(), &run(), &[], &options());
    assert!(result.unwrap_err().is_refusal());
    assert_eq!(fs::read_to_string(&victim).unwrap(), "evidence");
}

#[test]
fn a_host_name_cannot_leave_the_folder() {
    let dir = tempfile::tempdir().unwrap();
    for host in ["..", "", "a/b", "C:x", "."] {
        let report = HostReport { host: host.into(), ..report() };
        assert!(write_host(dir.path(), &report, &run(), &[], &options()).is_err(), "{host}");
    }
}

#[test]
fn hosts_are_sorted_and_what_they_share_is_marked() {
    let dir = tempfile::tempdir().unwrap();
    let quiet = HostReport { host: "AA".into(), ..HostReport::default() };
    let other = HostReport { host: "WS-00".into(), ..report() };
    let all: Vec<HostSummary> = [quiet, report(), other].iter().map(HostSummary::of).collect();
    let path = write_hosts(dir.path(), &all).unwrap();
    let time = "2024-03-13T09:33:10.000000+00:00,2024-03-13T10:00:00.000000+00:00";
    let rest = format!(
        "Windows 10 Pro 22H2,image.E01,critical,no,no,yes,no,yes,yes,unknown,{time},1,\
         cr_2ab(2),sha1:5f2d(2),tunnel.us.ngrok.com(2),kali(2),1"
    );
    let unknown = ["unknown"; 7].join(",");
    let links = "credentials,hashes,domains,workstations";
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        format!(
            "host,os,source,level,delivered,configured,executed,persisted,connected,used,\
             cleaned_up,first,last,sessions,credentials,hashes,domains,workstations,problems,\
             shared_with\n\
             WS-00,{rest},\"WS-01({links})\"\nWS-01,{rest},\"WS-00({links})\"\n\
             AA,,,informational,{unknown},,,0,,,,,0,\n"
        )
    );
}

#[test]
fn the_bodyfile_has_eleven_fields() {
    let dir = tempfile::tempdir().unwrap();
    let path: PathBuf = dir.path().join("body");
    start_bodyfile(&path).unwrap();
    write(dir.path(), &ExportOptions { bodyfile: Some(path.clone()), ..options() });
    let text = fs::read_to_string(path).unwrap();
    assert_eq!(text.lines().count(), 2);
    assert!(text.lines().all(|line| line.split('|').count() == 11), "{text}");
}

#[test]
fn the_summary_answers_first() {
    let text = summary_text(&report());
    assert!(text.lines().count() <= 25, "{text}");
    assert_eq!(
        text,
        "WS-01  Windows 10 Pro 22H2  from image.E01\n\
         YES (CRITICAL): ngrok was here: executed 2024-03-13, connected 2024-03-13; somebody came \
         in: 1 RDP session (first 2024-03-13 09:40:00 UTC by CORP\\Administrator from workstation \
         kali)\n  \
         delivered   no                              nothing in the $MFT\n  \
         configured  no                              nothing in the $MFT\n  \
         executed    yes     2024-03-13 09:33:10 UTC ngrok: Sysmon saw it\n  \
         persisted   no                              nothing in the $MFT\n  \
         connected   yes     2024-03-13 09:33:10 UTC ngrok: Sysmon saw it\n  \
         used        yes     2024-03-13 09:33:10 UTC ngrok: Sysmon saw it\n  \
         cleaned up  unknown                         the Security log was cleared\n\
         Read first:\n  \
         2024-03-13 09:33:10 UTC  ngrok was started:\\u0009tcp 3389\\u000aby \"alice\", twice\n    \
         C:\\Windows\\System32\\winevt\\Logs\\Sysmon.evtx  record:1234\n  \
         2024-03-13 09:33:11 UTC  tunnel.us.ngrok.com was looked up\n    \
         C:\\Windows\\System32\\winevt\\Logs\\Sysmon.evtx  record:1235\n\
         Not read: 1 problem (problems.csv), 1 source cleared, unreadable, disabled or partial \
         (coverage.csv)\n  \
         windows.evtx.security cleared: event 1102 at record 1\n\
         Files: WS-01/findings.csv, WS-01/timeline.csv, WS-01/verdict.json, WS-01/problems.csv\n"
    );
}

#[test]
fn the_summary_says_no_and_unknown_truthfully() {
    let mut report = report();
    report.rows.clear();
    for tool in &mut report.verdict.tools {
        tool.sessions.clear();
        for of in tool.rungs.values_mut() {
            *of = rung(Answer::No, "all read");
        }
    }
    assert!(summary_text(&report).contains("\nNO: every needed source"));
    report.verdict.tools[0]
        .rungs
        .insert(RungName::Used, rung(Answer::Unknown, "Security.evtx \u{202e}is missing"));
    assert!(summary_text(&report).contains(
        "\nUNKNOWN: no trace of a known tunnel tool, but not all could be read (Security.evtx ?is missing)"
    ));
}
