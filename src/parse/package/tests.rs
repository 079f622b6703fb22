use super::*;
use crate::model::{Everything, Input, Zone};
use crate::parse::Parser;
use crate::parse::testing::{Kept, expect, parse, sample, torment};

fn log(name: &str) -> Kept {
    let bytes = sample(&format!("package/{name}"));
    let zone = Zone::of_posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap();
    let input = Input {
        bytes: &bytes,
        sidecars: Vec::new(),
        name,
        modified: None,
        filter: &Everything,
        paths: None,
        zone: Some(&zone),
    };
    let mut kept = Kept::default();
    PackageLog.parse(&input, &mut kept).unwrap();
    kept
}

#[test]
fn logs_of_chocolatey_and_winget() {
    for name in ["chocolatey.log", "WinGet-2024-03-18-10-41-00.000.log"] {
        expect(&format!("package/{name}"), &log(name).shown());
    }
}

#[test]
fn descriptions_of_packages() {
    for name in ["ngrok.nuspec", "manifest.json", "install.json", "package.json", "METADATA"] {
        let kept = parse(&PackageManifest, &sample(&format!("package/{name}"))).unwrap();
        expect(&format!("package/{name}"), &kept.shown());
    }
}

#[test]
fn damaged_and_foreign() {
    for foreign in [&b"{}"[..], b"<html>", b"a text", b"{\"version\"", &[0, 1, 2, 3, 0, 0, 0, 9]] {
        assert!(parse(&PackageManifest, foreign).is_err());
        assert!(parse(&PackageLog, foreign).is_err());
    }
    for name in ["ngrok.nuspec", "manifest.json", "METADATA"] {
        torment(&PackageManifest, &sample(&format!("package/{name}")), 200);
    }
    torment(&PackageLog, &sample("package/chocolatey.log"), 200);
}
