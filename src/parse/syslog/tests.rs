//! Logs of every form, packed and torn; years that turn; zones.

use std::io::Write;

use super::*;
use crate::model::{Everything, Filter};
use crate::parse::testing::{Kept, Words, expect, parse, parse_with, sample, torment};

fn read(text: &[u8], modified: &str, zone: Option<&Zone>, filter: &dyn Filter) -> Kept {
    let bytes = text.to_vec();
    let input = Input {
        bytes: &bytes,
        sidecars: Vec::new(),
        name: "syslog",
        modified: modified.parse().ok(),
        filter,
        paths: None,
        zone,
    };
    let mut kept = Kept::default();
    Syslog.parse(&input, &mut kept).unwrap();
    kept
}

#[test]
fn a_log_of_every_kind_of_line() {
    let zone = Zone::of_name("America/Chicago");
    let kept =
        read(&sample("syslog/classic.log"), "2024-03-12T00:00:00Z", zone.as_ref(), &Everything);
    assert!(Syslog.recognizes(&sample("syslog/classic.log")));
    let extent = format!("{:?}\n", kept.extents);
    expect("syslog", &(kept.shown() + &extent));
}

#[test]
fn the_year_turns_and_the_zone_is_the_hosts() {
    let text = "Dec 30 23:00:00 h a: 1\nDec 31 23:30:00 h a: 2\nJan  1 00:10:00 h a: 3\nJul  1 12:00:00 h a: 4\n";
    let zone = Zone::of_name("Europe/Berlin");
    let times = |modified: &str| -> Vec<String> {
        let kept = read(text.as_bytes(), modified, zone.as_ref(), &Everything);
        kept.records.iter().map(|r| r.first_time().unwrap().to_string()).collect()
    };
    let expected = [
        "2023-12-30T22:00:00Z",
        "2023-12-31T22:30:00Z",
        "2023-12-31T23:10:00Z",
        "2024-07-01T10:00:00Z",
    ];
    assert_eq!(times("2024-07-01T10:00:05Z"), expected);
    assert_eq!(times("2025-01-02T00:00:00Z"), expected);
    assert!(times("2024-06-01T00:00:00Z")[0].starts_with("2022-"));
}

#[test]
fn the_end_of_a_session_is_of_its_login() {
    let text = "Mar  6 21:00:00 h sshd[9]: Accepted password for a from 127.0.0.1 port 5000 ssh2\n\
                Mar  6 21:10:00 h sshd[9]: pam_unix(sshd:session): session closed for user a\n\
                Mar  6 22:00:00 h sshd[9]: Accepted password for a from 127.0.0.1 port 5001 ssh2\n\
                Mar  6 22:10:00 h sshd[8]: Received disconnect from 127.0.0.1 port 5001:11: x\n\
                Mar  6 22:10:00 h sshd[9]: pam_unix(sshd:session): session closed for user a\n";
    let kept = read(text.as_bytes(), "2024-03-07T00:00:00Z", None, &Everything);
    let ports: Vec<Option<i64>> = kept.records.iter().map(|r| r.number("IpPort")).collect();
    assert_eq!(ports, [Some(5000), Some(5000), Some(5001), Some(5001), None]);
}

#[test]
fn packed_copies_say_the_same() {
    let plain = sample("syslog/classic.log");
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    packer.write_all(&plain).unwrap();
    let packed = packer.finish().unwrap();
    assert!(Syslog.recognizes(&packed));
    assert_eq!(parse(&Syslog, &packed).unwrap().shown(), parse(&Syslog, &plain).unwrap().shown());
    let cut = parse(&Syslog, packed.get(..packed.len() / 2).unwrap()).unwrap();
    assert!(cut.damage.iter().any(|damage| damage.lost));
    assert!(!cut.records.is_empty());
}

#[test]
fn what_does_not_matter_is_left_out() {
    let plain = sample("syslog/classic.log");
    let kept = parse_with(&Syslog, &plain, &Words(&["no such word"])).unwrap();
    assert!(kept.records.iter().all(|record| record.category == "agent_log"), "{}", kept.shown());
}

#[test]
fn foreign_and_torn_files() {
    assert!(parse(&Syslog, b"just\nsome\ntext\n").is_err());
    assert!(!Syslog.recognizes(b"[2024-03-06 10:00] x\n[2024-03-06 10:01] y\n"));
    assert!(!Syslog.recognizes(&[0; 64]));
    assert!(parse(&Syslog, b"").is_ok());
    torment(&Syslog, &sample("syslog/classic.log"), 200);
}
