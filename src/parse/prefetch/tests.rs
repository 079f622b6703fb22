//! Every version, damage, and a renamed agent.

use super::*;
use crate::parse::testing::{
    Words, all_shown, expect, parse, parse_with, sample, samples, torment,
};

#[test]
fn every_sample() {
    expect("prefetch", &all_shown("prefetch", |_| &Prefetch));
}

#[test]
fn a_renamed_agent_is_betrayed_by_what_it_loaded() {
    let renamed = sample("prefetch/SVCHOST_.EXE-237932D7.pf");
    let kept = parse_with(&Prefetch, &renamed, &Words(&["ngrok.yml"])).unwrap();
    let [record] = kept.records.as_slice() else { panic!("one record") };
    let image = record.text("Image").unwrap();
    assert!(image.ends_with(r"\PROGRAMDATA\INTEL\SVCHOST_.EXE"), "{image}");
    let Some(Value::List(files)) = record.value("LoadedFiles") else { panic!("no files") };
    assert!(files.iter().any(|file| file.ends_with(r"\NGROK.YML")));
    assert!(parse_with(&Prefetch, &renamed, &Words(&["chisel"])).unwrap().records.is_empty());
}

#[test]
fn a_cut_file_tells_what_is_left() {
    let packed = sample("prefetch/GOOGLEUPDATESETUP.EXE-10FFB208.pf");
    let kept = parse(&Prefetch, &packed[..packed.len() / 2]).unwrap();
    assert_eq!(kept.records[0].text("ProgramName"), Some("GOOGLEUPDATESETUP.EXE"));
    assert_eq!(kept.records[0].number("RunCount"), Some(1));
    assert!(kept.damage.iter().all(|damage| damage.lost) && !kept.damage.is_empty());
    let plain = sample("prefetch/CMD.EXE-087B4001.pf");
    let kept = parse(&Prefetch, &plain[..140]).unwrap();
    assert_eq!(kept.records[0].times.len(), 1);
    assert!(kept.damage.iter().any(|damage| damage.message.contains("run count")));
}

#[test]
fn a_name_that_the_content_denies_is_told() {
    let said = |name| called_otherwise(name, "CMD.EXE", "087B4001");
    assert_eq!(said("cmd.exe-087B4001.pf"), None);
    assert_eq!(said("copy.pf"), None);
    assert!(said("NOTEPAD.EXE-087B4001.pf").is_some());
    assert!(said("CMD.EXE-087B4002.pf").is_some());
}

#[test]
fn other_formats_are_refused() {
    for other in [&b""[..], b"MZ", b"MAM\x04\xff\xff\xff\x7f0000", b"MAM\x02\x10\0\0\0x"] {
        assert!(parse(&Prefetch, other).is_err());
    }
    assert!(!Prefetch.recognizes(b"MAM\x02"));
    let mut unknown = sample("prefetch/CMD.EXE-087B4001.pf");
    unknown[0] = 99;
    assert!(matches!(parse(&Prefetch, &unknown), Err(ParseError::Foreign { .. })));
}

#[test]
fn damage_never_stops_it() {
    for name in samples("prefetch") {
        torment(&Prefetch, &sample(&name), 60);
    }
}
