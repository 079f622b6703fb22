//! Collections in memory: what their hosts look like.

use std::sync::Arc;

use super::archive::testing::{Made, gzip, tar, zip};
use super::*;

fn opened(bytes: Vec<u8>) -> Vec<HostEvidence> {
    let archive = Opened::of(Arc::new(bytes)).unwrap().expect("an archive");
    let given =
        Given { label: "x.zip".into(), name: "x".into(), wanted: Wanted::Anything, nested: false };
    hosts(&given, &archive).expect("hosts")
}

fn made(files: &[(&str, &[u8])]) -> Vec<HostEvidence> {
    let members: Vec<Made> = files.iter().map(|(name, bytes)| Made::new(name, bytes)).collect();
    opened(zip(&members))
}

/// Files by path, and what was said.
fn shown(host: &HostEvidence) -> (Vec<String>, String) {
    let (entries, problems) = walk(&*host.filesystem);
    let files = entries.iter().filter(|entry| entry.is_file());
    let said = problems.iter().map(|p| format!("{:?} {}\n", p.path, p.message)).collect();
    (files.map(|entry| entry.path.to_string()).collect(), said)
}

fn content(host: &HostEvidence, path: &str) -> Vec<u8> {
    let entry = host.filesystem.entry(&EvidencePath::new(path)).expect("an entry");
    small(&*host.filesystem, &entry, 1 << 20).expect("content")
}

#[test]
fn a_file_with_holes_gets_them_back() {
    let index = br#"{"ranges":[{"original_offset":0,"length":4096,"file_length":0},
        {"file_offset":0,"original_offset":4096,"file_length":3,"length":3}]}"#;
    let hosts = made(&[
        ("client_info.json", br#"{"Hostname":"ws01.corp.example"}"#),
        ("uploads/ntfs/%5C%5C.%5CC%3A/$Extend/$UsnJrnl%3A$J", b"abc"),
        ("uploads/ntfs/%5C%5C.%5CC%3A/$Extend/$UsnJrnl%3A$J.idx", index),
        ("uploads/ntfs/%5C%5C.%5CC%3A/Windows/x", b"1"),
        ("uploads/ntfs/%5C%5C.%5CC%3A/Windows/x.idx", b"not an index"),
    ]);
    let [host] = hosts.as_slice() else { panic!("{} hosts", hosts.len()) };
    assert_eq!((host.name.as_str(), host.layout), ("ws01", Layout::Collection));
    let (files, said) = shown(host);
    let journal = r"C:\$Extend\$UsnJrnl:$J";
    let expected = [journal, r"C:\Windows\x", r"C:\Windows\x.idx", "client_info.json"];
    assert_eq!(files, expected);
    assert!(said.contains("no index of a file with holes"), "{said}");
    let bytes = content(host, journal);
    assert!(bytes.len() == 4099 && bytes.starts_with(&[0; 4096]) && bytes.ends_with(b"abc"));
}

#[test]
fn copies_are_read_once_and_differing_ones_twice() {
    let hosts = made(&[
        ("uploads/auto/C%3A/Windows/a", b"same"),
        ("uploads/ntfs/%5C%5C.%5CC%3A/Windows/a", b"same"),
        ("uploads/auto/C%3A/Windows/b", b"auto"),
        ("uploads/ntfs/%5C%5C.%5CC%3A/Windows/b", b"ntfs"),
        ("uploads/auto/C%3A/windows/C", b"1"),
        ("uploads/ntfs/%5C%5C.%5CC%3A/Windows/c", b"2"),
    ]);
    let (files, said) = shown(&hosts[0]);
    let expected =
        [r"C:\Windows\a", r"C:\Windows\b", r"C:\Windows\b~2", r"C:\Windows\c", r"C:\windows\C"];
    assert_eq!(files, expected);
    assert_eq!(content(&hosts[0], r"C:\Windows\b"), b"ntfs", "the raw reading comes first");
    assert!(said.contains("stored more than once"), "{said}");
    assert!(said.contains("letter case"), "{said}");
    assert_eq!(content(&hosts[0], r"c:\WINDOWS\A"), b"same");
}

#[test]
fn many_hosts_and_the_rest_in_one_archive() {
    let hosts = made(&[
        ("hosts/WS01/C/Windows/a", b"1"),
        ("hosts/WS02/uploads/auto/C%3A/Users/b", b"2"),
        ("hosts/notes.txt", b"3"),
    ]);
    let seen: Vec<(&str, &str, Layout)> =
        hosts.iter().map(|h| (h.label.as_str(), h.name.as_str(), h.layout)).collect();
    let expected = [
        ("x.zip/hosts/WS01", "WS01", Layout::Collection),
        ("x.zip/hosts/WS02", "WS02", Layout::Collection),
        ("x.zip", "x", Layout::Loose),
    ];
    assert_eq!(seen, expected);
    assert_eq!(shown(&hosts[1]).0, [r"C:\Users\b"]);
    assert_eq!(shown(&hosts[2]).0, ["hosts/notes.txt"]);
}

#[test]
fn what_lies_beside_one_host_is_shown_with_it() {
    let hosts = made(&[("WS01/C/Windows/a", b"1"), ("2024_ConsoleLog.txt", b"2")]);
    assert_eq!(hosts.len(), 1);
    assert_eq!(shown(&hosts[0]).0, [r"C:\Windows\a", "2024_ConsoleLog.txt"]);
}

#[test]
fn collections_in_an_archive_are_hosts() {
    let inner = zip(&[Made::new("C/Windows/a", b"1")]);
    let unix =
        gzip(&tar(&[("[root]/etc/passwd", b'0', "", b"2"), ("uac.log", b'0', "", b"")], 1), 1);
    let deep = zip(&[Made::new("Y.zip", &inner)]);
    let hosts = made(&[
        ("WS01.zip", &inner),
        ("uac-web1-linux-20240905070809.tar.gz", &unix),
        ("deeper.zip", &deep),
    ]);
    let seen: Vec<(&str, Layout)> = hosts.iter().map(|h| (h.name.as_str(), h.layout)).collect();
    let expected =
        [("web1", Layout::LinuxCollection), ("WS01", Layout::Collection), ("x", Layout::Loose)];
    assert_eq!(seen, expected);
    assert_eq!(content(&hosts[0], "/etc/passwd"), b"2");
    assert_eq!(content(&hosts[1], r"C:\Windows\a"), b"1");
    assert_eq!(shown(&hosts[2]).0, ["deeper.zip"], "one archive in another, not more");
}

#[test]
fn late_problems_bear_the_hosts_paths() {
    let wrong = Made { crc: Some(1), ..Made::new("C/Windows/a", b"1") };
    let hosts = opened(zip(&[wrong]));
    assert_eq!(content(&hosts[0], r"C:\Windows\a"), b"1");
    let late = hosts[0].filesystem.late_problems();
    assert_eq!(late.len(), 1);
    assert_eq!(late[0].path, Some(EvidencePath::new(r"C:\Windows\a")));
}

#[test]
fn a_mac_is_one_without_its_applications() {
    for (files, layout) in [
        (
            &["Library/a.plist", "System/Library/b.plist", "Users/zoe/.zsh_history", "var/log/c"][..],
            Layout::MacCollection,
        ),
        (&["etc/passwd", "usr/lib/a", "home/zoe/.bash_history"], Layout::LinuxCollection),
    ] {
        let files: Vec<(&str, &[u8])> = files.iter().map(|name| (*name, &b"1"[..])).collect();
        assert_eq!(made(&files)[0].layout, layout, "{files:?}");
    }
}
