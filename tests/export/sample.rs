//! One small host with everything in it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::Path;

use adit::export::{Collect, Collected, Custody, ExportOptions, HostOutput, RunFacts, write_host};
use adit::model::{
    Answer, Chain, Coverage, CoverageState, Credential, DnsFacts, EvidencePath, HostReport, Level,
    Locator, Precision, Problem, ReadAt, Row, RowStage, Rung, RungName, Session, Stage,
    SystemFacts, Tag, ToolVerdict, Verdict,
};
use jiff::Timestamp;

pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

pub fn execution() -> Row {
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
        hashes: vec!["sha1:5f2d".into()],
        ..Row::default()
    }
}

pub fn look_up() -> Row {
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

pub fn rung(answer: Answer, why: &str) -> Rung {
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

pub fn verdict() -> Verdict {
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
        traffic: None,
        serves: vec![],
    };
    Verdict {
        host: "WS-01".into(),
        level: Level::Critical,
        tools: vec![tool],
        unattributed: vec![],
    }
}

pub fn report() -> HostReport {
    let impossible = Row {
        datetime: Some(at("1601-01-01T00:00:00Z")),
        datetime_raw: "0".into(),
        locator: "record:1236".into(),
        row_id: "a5".into(),
        ..execution()
    };
    HostReport {
        sidecars: BTreeMap::new(),
        volatile: None,
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

pub fn run() -> RunFacts {
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

pub fn options() -> ExportOptions {
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
pub fn evidence() -> Vec<(&'static str, Vec<u8>)> {
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

pub fn write(dir: &Path, options: &ExportOptions) -> HostOutput {
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

pub fn read(output: &HostOutput, name: &str) -> String {
    fs::read_to_string(output.folder.join(name)).unwrap()
}

/// A file that cannot be read at some places.
pub struct Failing {
    pub size: u64,
    pub bad: std::ops::Range<u64>,
}

impl ReadAt for Failing {
    fn size(&self) -> u64 {
        self.size
    }

    fn read_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<usize> {
        let end = offset + buf.len() as u64;
        if offset < self.bad.end && end > self.bad.start {
            return Err(io::Error::other("bad sector"));
        }
        let n = buf.len().min(usize::try_from(self.size - offset).unwrap());
        buf[..n].fill(b'x');
        Ok(n)
    }
}
