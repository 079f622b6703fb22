//! Good, damaged and foreign files of Defender.

use super::*;
use crate::model::Everything;
use crate::parse::testing::{Words, expect, parse, parse_with, sample, torment};

#[test]
fn a_real_detection() {
    let bytes = sample("defender/DetectionHistory-6AFE33A0");
    assert!(DetectionHistory.recognizes(&bytes));
    let kept = parse(&DetectionHistory, &bytes).unwrap();
    expect("defender/DetectionHistory-6AFE33A0", &kept.shown());
}

#[test]
fn lines_of_every_shape() {
    let bytes = sample("defender/MPLog-20231017-224350.log");
    assert!(Mplog.recognizes(&bytes));
    let kept = parse_with(&Mplog, &bytes, &Everything).unwrap();
    expect("defender/MPLog-20231017-224350.log", &kept.shown());
    let some = parse_with(&Mplog, &bytes, &Words(&["cactus"])).unwrap();
    assert!(some.records.len() < kept.records.len());
    assert_eq!(some.extents, kept.extents);
}

#[test]
fn detections_alone_under_each_name_of_the_product() {
    let log = |product: &str| {
        let text = format!(
            "\u{feff}2021-02-13T19:56:35.990Z Service started - {product} (77BDAF73-B396-481F-9042-AD358843EC24)\r\n\
             2021-02-13T20:00:00.000Z DETECTION_CLEANEVENT MPSOURCE_REALTIME \
             MP_THREAT_ACTION_QUARANTINE 0x80508023 HackTool:Win32/Ngrok file:C:\\t\\n.exe\r\n\
             2021-02-13T20:00:01.000Z DETECTION 0xBad:Win32/A file:C:\\t\\b.exe\r\n"
        );
        text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()
    };
    for product in
        ["Microsoft Defender Antivirus", "Windows Defender Antivirus", "Windows Defender"]
    {
        let bytes = log(product);
        assert!(Mplog.recognizes(&bytes), "{product}");
        let kept = parse_with(&Mplog, &bytes, &Words(&["file:"])).unwrap();
        let told = |field| kept.records.iter().map(|r| r.text(field)).collect::<Vec<_>>();
        assert_eq!(told("ThreatName"), [Some("HackTool:Win32/Ngrok"), Some("0xBad:Win32/A")]);
        assert_eq!(told("Image"), [Some("C:\\t\\n.exe"), Some("C:\\t\\b.exe")]);
        assert_eq!(told("ActionName"), [Some("quarantine"), None]);
        assert_eq!(told("ErrorCode"), [Some("0x80508023"), None]);
    }
    assert!(!Mplog.recognizes(&log("Another Antivirus")));
    let system = b"2020-08-02T00:46:38.337Z ProcessImageName: , Pid: 4, TotalTime: 0, Count: 8, \
                   MaxTime: 0, MaxTimeFile: \\Device\\HarddiskVolume2\\n.exe, EstimatedImpact: 0%\r\n";
    let kept = parse(&Mplog, system).unwrap();
    assert_eq!(kept.records[0].text("Path"), Some(r"\Device\HarddiskVolume2\n.exe"));
    let none = parse(&Mplog, &[0xff, 0xfe]).unwrap();
    assert!(none.records.is_empty() && none.damage.is_empty());
}

#[test]
fn an_entry_of_the_quarantine() {
    let bytes = sample("defender/quarantine_entry");
    expect("defender/quarantine_entry", &parse(&Quarantine, &bytes).unwrap().shown());
    assert!(parse(&Quarantine, b"").is_err());
    assert!(parse(&Quarantine, &[7; 500]).is_err());
    assert_eq!(parse(&Quarantine, &bytes[..bytes.len() - 60]).unwrap().damage.len(), 1);
    torment(&Quarantine, &bytes, 300);
}

#[test]
fn damaged_and_foreign() {
    let detection = sample("defender/DetectionHistory-6AFE33A0");
    let kept = parse(&DetectionHistory, &detection[..1000]).unwrap();
    assert_eq!(kept.records[0].text("ThreatName"), Some("Virus:DOS/EICAR_Test_File"));
    assert_eq!(kept.damage.len(), 1);
    for foreign in [&b""[..], b"hello\n", &[0, 1, 2, 3, 0, 0, 0, 9]] {
        assert!(parse(&DetectionHistory, foreign).is_err());
        assert!(parse(&Mplog, foreign).is_err());
    }
    torment(&DetectionHistory, &detection, 300);
    torment(&Mplog, &sample("defender/MPLog-20231017-224350.log"), 100);
}
