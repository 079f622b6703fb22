//! What export writes, down to the byte, and what verify says of it.

use std::collections::BTreeMap;
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;

use adit::export::{
    Collect, Collected, Custody, ExportError, ExportOptions, HostOutput, HostSummary, RunFacts,
    start_bodyfile, summary_text, write_host, write_hosts,
};
use adit::model::{
    Answer, Chain, Coverage, CoverageState, Credential, DnsFacts, EvidencePath, HostReport, Level,
    Locator, Precision, Problem, Row, RowStage, Rung, RungName, Session, Stage, SystemFacts, Tag,
    ToolVerdict, Verdict,
};
use adit::verify::{BundleState, verify_bundle};
use jiff::Timestamp;

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

fn execution() -> Row {
    Row {
        datetime: Some(at("2024-03-13T09:33:10.0000001Z")),
        timestamp_desc: "Process Start".into(),
        message: "ngrok was started:\ttcp 3389\nby \"alice\", twice".into(),
        host: "WS-01".into(),
        level: Level::Critical,
        stage: RowStage::Executed,
        tool: "ngrok".into(),
        rule: vec!["ngrok_start".into(), "S000.7".into()],
        technique: vec!["T1572".into()],
        score: 85,
        chain: "ngrok-1".into(),
        user: "CORP\\alice".into(),
        process: "C:\\ngrok\\ngrok.exe".into(),
        pid: Some(4711),
        parent: "C:\\Windows\\System32\\cmd.exe".into(),
        command_line: "=cmd|' ngrok tcp 3389".into(),
        path: "C:\\ngrok\\ngrok.exe".into(),
        event_id: Some(1),
        channel: "Microsoft-Windows-Sysmon/Operational".into(),
        artifact: "windows.evtx.sysmon".into(),
        source_path: "C:\\Windows\\System32\\winevt\\Logs\\Sysmon.evtx".into(),
        locator: "record:1234".into(),
        source: "image.E01".into(),
        time_precision: Some(Precision::Exact),
        datetime_raw: "2024-03-13T09:33:10.0000001Z".into(),
        row_id: "a1".into(),
        tag: vec![Tag::Agent, Tag::Recovered],
        original_file_name: "ngrok.exe".into(),
        parent_pid: Some(99),
        ..Row::default()
    }
}

fn look_up() -> Row {
    Row {
        datetime: Some(at("2024-03-13T09:33:11Z")),
        timestamp_desc: "DNS Query".into(),
        message: "tunnel.us.ngrok.com was looked up".into(),
        level: Level::High,
        stage: RowStage::Connected,
        score: 60,
        event_id: Some(22),
        locator: "record:1235".into(),
        row_id: "a2".into(),
        tag: vec![],
        remote_host: "tunnel.us.ngrok.com".into(),
        dns: Some(DnsFacts {
            query: "tunnel.us.ngrok.com".into(),
            answers: vec!["3.1.2.3".into(), "3.1.2.4".into()],
            reply_code: "0".into(),
            vendor_product: "Sysmon".into(),
        }),
        ..execution()
    }
}

fn rung(answer: Answer, why: &str) -> Rung {
    let yes = answer == Answer::Yes;
    Rung {
        answer,
        first: yes.then(|| at("2024-03-13T09:33:10Z")),
        last: yes.then(|| at("2024-03-13T10:00:00Z")),
        confidence: if yes { 90 } else { 0 },
        rows: if yes { vec!["a1".into()] } else { vec![] },
        why: why.into(),
    }
}

fn verdict() -> Verdict {
    let rungs = RungName::ALL.map(|name| {
        let rung = match name {
            RungName::Executed | RungName::Connected | RungName::Used => {
                rung(Answer::Yes, "Sysmon saw it")
            }
            RungName::CleanedUp => rung(Answer::Unknown, "the Security log was cleared"),
            _ => rung(Answer::No, "nothing in the $MFT"),
        };
        (name, rung)
    });
    let session = Session {
        kind: "rdp".into(),
        from: Some(at("2024-03-13T09:40:00Z")),
        user: "CORP\\Administrator".into(),
        local_port: Some(49271),
        workstation: "kali".into(),
        rows: vec!["a3".into()],
        ..Session::default()
    };
    let tool = ToolVerdict {
        tool: "ngrok".into(),
        level: Level::Critical,
        rungs: BTreeMap::from(rungs),
        sessions: vec![session],
        credentials: vec![Credential {
            id: "cr_2ab".into(),
            minted: None,
            rows: vec!["a4".into()],
        }],
        agent_version: Default::default(),
        exposed: vec![],
    };
    Verdict {
        host: "WS-01".into(),
        level: Level::Critical,
        tools: vec![tool],
        unattributed: vec![],
    }
}

fn report() -> HostReport {
    let impossible = Row {
        datetime: Some(at("1601-01-01T00:00:00Z")),
        datetime_raw: "0".into(),
        locator: "record:1236".into(),
        row_id: "a5".into(),
        ..execution()
    };
    HostReport {
        host: "WS-01".into(),
        system: SystemFacts { os: Some("Windows 10 Pro 22H2".into()), ..SystemFacts::default() },
        source: "image.E01".into(),
        rows: vec![execution(), look_up(), impossible],
        chains: vec![Chain {
            id: "ngrok-1".into(),
            tool: "ngrok".into(),
            score: 85,
            stage: RowStage::Used,
            first: Some(at("2024-03-13T09:33:10Z")),
            summary: "ngrok opened 3389, somebody came in".into(),
            local_port: Some(3389),
            rows: vec!["a1".into(), "a2".into()],
            ..Chain::default()
        }],
        verdict: verdict(),
        coverage: vec![Coverage {
            source: "windows.evtx.security".into(),
            path: "C:\\Windows\\System32\\winevt\\Logs\\Security.evtx".into(),
            state: CoverageState::Cleared,
            first: Some(at("2024-03-13T09:00:00Z")),
            last: None,
            records: 12,
            gaps: vec!["17-23".into(), "40-41".into()],
            why: "event 1102 at record 1".into(),
        }],
        problems: vec![Problem {
            path: Some(EvidencePath::new("C:\\pagefile.sys")),
            locator: Some(Locator::Offset(0x1f000)),
            stage: Stage::Parse,
            message: "chunk cut short:\nexpected 65536 bytes, found 512".into(),
        }],
    }
}

fn run() -> RunFacts {
    RunFacts {
        version: "0.1.0".into(),
        arguments: vec!["scan".into(), "image.E01".into()],
        started: at("2026-11-22T02:00:00Z"),
        finished: at("2026-11-22T02:01:02.5Z"),
        profiles: vec![("ngrok".into(), "00ff".into())],
        threads: 2,
        sources: vec!["image.E01".into()],
        ..RunFacts::default()
    }
}

fn options() -> ExportOptions {
    ExportOptions {
        bundle: true,
        collect: Collect::All,
        custody: Custody {
            case: "C-7\nx".into(),
            examiner: "É. Dupont".into(),
            ..Custody::default()
        },
        ..ExportOptions::default()
    }
}

/// Files that try to leave the bundle, collide, and compress badly.
fn evidence() -> Vec<(&'static str, Vec<u8>)> {
    let noise = (0_u32..200_000).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    vec![
        ("C:\\Windows\\System32\\winevt\\Logs\\Sysmon.evtx", noise),
        ("C:\\Users\\a\\ngrok.yml", b"version: 3\n".to_vec()),
        ("C:\\USERS\\a\\ngrok.yml", b"version: 2\n".to_vec()),
        ("C:\\a.txt:cfg", b"stream".to_vec()),
        ("C:\\..\\..\\etc\\cron.d\\x", b"no".to_vec()),
        ("C:\\NUL", Vec::new()),
        ("/tmp/100%0A\\ü", b"linux".to_vec()),
    ]
}

fn write(dir: &Path, options: &ExportOptions) -> HostOutput {
    let files = evidence();
    let collected: Vec<Collected<'_>> = files
        .iter()
        .map(|(path, bytes)| Collected {
            path: EvidencePath::new(*path),
            bytes,
            method: "image",
            times: vec![("File Created".into(), at("2024-03-13T09:33:10.1234567Z"))],
            volume: "C:".into(),
        })
        .collect();
    write_host(dir, &report(), &run(), &collected, options).unwrap()
}

fn read(output: &HostOutput, name: &str) -> String {
    fs::read_to_string(output.folder.join(name)).unwrap()
}

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

#[test]
fn hits_collects_what_rows_rest_on() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &ExportOptions { collect: Collect::Hits, ..options() });
    let names = members(&output.bundle.unwrap().path);
    let evidence: Vec<&String> =
        names.iter().filter(|name| name.starts_with("data/evidence")).collect();
    assert_eq!(evidence, ["data/evidence/C/Windows/System32/winevt/Logs/Sysmon.evtx"]);
}

fn members(bundle: &Path) -> Vec<String> {
    let archive = zip::ZipArchive::new(fs::File::open(bundle).unwrap()).unwrap();
    archive.file_names().map(|name| name.unwrap().into_owned()).collect()
}

fn unpack(bundle: &Path, to: &Path) {
    zip::ZipArchive::new(fs::File::open(bundle).unwrap()).unwrap().extract(to).unwrap();
}

#[test]
fn the_bundle_is_a_bag() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &options());
    let bundle = output.bundle.unwrap();
    assert_eq!(bundle.name(), "adit_WS-01_20261122T020102Z.zip");
    let names = members(&bundle.path);
    for name in [
        "data/evidence/C/USERS/a/ngrok.yml",
        "data/evidence/C/Users~2/a/ngrok.yml",
        "data/evidence/C/a.txt_cfg",
        "data/evidence/C/._/._/etc/cron.d/x",
        "data/evidence/C/_NUL",
        "data/evidence/tmp/100_0A_ü",
        "data/manifest.json",
        "data/results/run.json",
    ] {
        assert!(names.iter().any(|found| found == name), "{name} in {names:#?}");
    }
    let report = verify_bundle(&bundle.path).unwrap();
    assert_eq!((report.state, report.failures), (BundleState::Complete, vec![]));
    assert_eq!(report.checked, names.len());
    let open = dir.path().join("open");
    unpack(&bundle.path, &open);
    let info = fs::read_to_string(open.join("bag-info.txt")).unwrap();
    assert!(info.contains("Case-Identifier: C-7\\u000ax\n"), "{info}");
    // The standard tools agree, where they are at hand.
    for tool in [
        vec!["sha256sum", "--quiet", "-c", "manifest-sha256.txt"],
        vec!["sha256sum", "--quiet", "-c", "tagmanifest-sha256.txt"],
        vec!["bagit.py", "--validate", "."],
    ] {
        if let Ok(done) = Command::new(tool[0]).args(&tool[1..]).current_dir(&open).output() {
            assert!(done.status.success(), "{tool:?}: {}", String::from_utf8_lossy(&done.stderr));
        }
    }
}

#[test]
fn every_flipped_byte_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let output = write(dir.path(), &ExportOptions { collect: Collect::None, ..options() });
    let good = fs::read(output.bundle.unwrap().path).unwrap();
    let copy = dir.path().join("copy.zip");
    let mut unseen = Vec::new();
    for index in (0..good.len()).step_by(17) {
        let mut bad = good.clone();
        bad[index] ^= 0x10;
        fs::write(&copy, bad).unwrap();
        if verify_bundle(&copy).unwrap().state != BundleState::Damaged {
            unseen.push(index);
        }
    }
    // What remains is zip's own bookkeeping in the directory, never content.
    assert!(unseen.len() < 12, "{} of {}: {unseen:?}", unseen.len(), good.len());
}

#[test]
fn run_json_holds_the_hash_of_the_whole_file() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(dir.path(), &options()).bundle.unwrap();
    let mut bytes = fs::read(&bundle.path).unwrap();
    bytes[10] ^= 1; // the time of the first member, which no manifest knows
    fs::write(&bundle.path, bytes).unwrap();
    assert_eq!(verify_bundle(&bundle.path).unwrap().state, BundleState::Damaged);
}

#[test]
fn a_bundle_cut_anywhere_is_never_complete_and_never_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(dir.path(), &options()).bundle.unwrap();
    let good = fs::read(&bundle.path).unwrap();
    let copy = dir.path().join("copy.zip.partial");
    for length in (0..good.len()).step_by(997).chain(good.len() - 300..good.len()) {
        fs::write(&copy, &good[..length]).unwrap();
        let report = verify_bundle(&copy).unwrap();
        assert_eq!(report.state, BundleState::IncompleteConsistent, "{length}: {report:?}");
    }
    // Damage in what is left is still seen.
    let mut bad = good[..good.len() - 500].to_vec();
    bad[60] ^= 0xff;
    fs::write(&copy, bad).unwrap();
    assert_eq!(verify_bundle(&copy).unwrap().state, BundleState::Damaged);
}

#[test]
fn a_missing_or_added_member_is_seen() {
    let dir = tempfile::tempdir().unwrap();
    let bundle = write(dir.path(), &options()).bundle.unwrap();
    let rebuilt = dir.path().join("rebuilt.zip");
    let rebuild = |drop: &str, add: Option<&str>| {
        let mut from = zip::ZipArchive::new(fs::File::open(&bundle.path).unwrap()).unwrap();
        let mut to = zip::ZipWriter::new(fs::File::create(&rebuilt).unwrap());
        for index in 0..from.len() {
            let member = from.by_index_raw(index).unwrap();
            if String::from_utf8_lossy(member.name_raw()) != drop {
                to.raw_copy_file(member).unwrap();
            }
        }
        if let Some(name) = add {
            to.start_file(name, zip::write::SimpleFileOptions::default()).unwrap();
            to.write_all(b"more").unwrap();
        }
        to.finish().unwrap();
        verify_bundle(&rebuilt).unwrap()
    };
    assert_eq!(rebuild("", None).state, BundleState::Complete);
    let missing = rebuild("data/results/findings.csv", None);
    assert_eq!(missing.state, BundleState::Damaged);
    assert!(missing.failures[0].starts_with("data/results/findings.csv: missing"), "{missing:?}");
    assert_eq!(rebuild("", Some("data/evidence/planted")).state, BundleState::Damaged);
    assert_eq!(rebuild("manifest-sha256.txt", None).state, BundleState::Damaged);
}

#[test]
fn what_is_no_bundle_is_damaged() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("x.zip");
    fs::write(&path, b"not a zip file at all, but long enough to look at").unwrap();
    assert_eq!(verify_bundle(&path).unwrap().state, BundleState::Damaged);
    assert!(verify_bundle(&dir.path().join("absent.zip")).is_err());
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
         cr_2ab(2),,tunnel.us.ngrok.com(2),kali(2),1"
    );
    let unknown = ["unknown"; 7].join(",");
    assert_eq!(
        fs::read_to_string(path).unwrap(),
        format!(
            "host,os,source,level,delivered,configured,executed,persisted,connected,used,\
             cleaned_up,first,last,sessions,credentials,hashes,domains,workstations,problems\n\
             WS-00,{rest}\nWS-01,{rest}\nAA,,,informational,{unknown},,,0,,,,,0\n"
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
        "\nUNKNOWN: no trace of a tunnel tool, but not all could be read (Security.evtx ?is missing)"
    ));
}
