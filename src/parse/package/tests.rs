//! Logs, manifests and lists of packages, whole and damaged.

use super::*;
use crate::model::{Everything, Input, Zone};
use crate::parse::Parser;
use crate::parse::testing::{Kept, expect, parse, parse_named, sample, torment};

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

/// `action name version source time` of every record.
fn packages(parser: &dyn crate::parse::Parser, name: &str, bytes: &[u8]) -> Vec<String> {
    let bytes = bytes.to_vec();
    let kept = parse_named(parser, name, &bytes, &Everything).unwrap();
    let one = |record: &crate::model::Record| {
        let text = |field: &str| record.text(field).unwrap_or("-").to_owned();
        let at = record.times.first().and_then(|moment| moment.at);
        let at = at.map(|at| at.to_string()).unwrap_or_default();
        format!("{} {} {} {} {at}", text("Action"), text("Name"), text("Version"), text("Source"))
    };
    kept.records.iter().map(one).collect()
}

#[test]
fn logs_of_linux() {
    for (name, log, expected) in [
        (
            "dpkg.log",
            "2024-06-03 10:10:32 startup archives unpack\n2024-06-03 10:10:32 install ngrok:amd64 <none> 3.10.0\n",
            "install ngrok 3.10.0 dpkg 2024-06-03T10:10:32Z",
        ),
        (
            "history.log",
            "\nStart-Date: 2024-06-03  10:10:31\nCommandline: apt install ngrok\nInstall: ngrok:amd64 (3.10.0)\nEnd-Date: 2024-06-03  10:10:34\n",
            "install ngrok 3.10.0 apt 2024-06-03T10:10:31Z",
        ),
        (
            "dnf.rpm.log",
            "2024-06-03T08:10:31+0200 SUBDEBUG Installed: ngrok-3.10.0-1.x86_64\n",
            "Installed ngrok 3.10.0-1.x86_64 rpm 2024-06-03T06:10:31Z",
        ),
        (
            "yum.log",
            "Jun 03 10:10:31 Installed: 1:ngrok-3.10.0-1.x86_64\n",
            "Installed ngrok 3.10.0-1.x86_64 rpm 2023-06-03T10:10:31Z",
        ),
        (
            "history",
            "2024-06-03 10:10:31|install|ngrok|3.10.0-1|x86_64|root@host|repo|\n",
            "install ngrok 3.10.0-1 zypper 2024-06-03T10:10:31Z",
        ),
        (
            "pacman.log",
            "[2024-06-03T10:10:31+0200] [ALPM] installed ngrok (3.10.0-1)\n",
            "installed ngrok 3.10.0-1 pacman 2024-06-03T08:10:31Z",
        ),
    ] {
        assert_eq!(packages(&UnixPackageLog, name, log.as_bytes()), [expected], "{name}");
        torment(&UnixPackageLog, log.as_bytes(), 100);
    }
    assert!(parse(&UnixPackageLog, b"<html>\n").is_err());
}

#[test]
fn lists_of_packages() {
    let dpkg = b"Package: ngrok\nStatus: install ok installed\nVersion: 3.10.0\n\nPackage: jq\n";
    let expected = ["- ngrok 3.10.0 dpkg ", "- jq - dpkg "];
    assert_eq!(packages(&PackageDatabase, "status", dpkg), expected);
    assert_eq!(packages(&PackageDatabase, "installed", b"P:ngrok\nV:3\n"), ["- ngrok 3 apk "]);
    let pacman = b"%NAME%\nngrok\n\n%VERSION%\n3-1\n";
    assert_eq!(packages(&PackageDatabase, "desc", pacman), ["- ngrok 3-1 pacman "]);
    assert!(parse(&PackageDatabase, b"a text\n").is_err());
    let files = packages(&PackageFiles, "ngrok:amd64.list", b"/.\n/usr\n/usr/bin/ngrok\n");
    assert_eq!(files, ["- ngrok - dpkg "]);
    let source = parse(&PackageSource, b"# deb https://x.y\ndeb [a=b] https://a.example/x b c\n");
    assert_eq!(source.unwrap().records[0].text("HostName"), Some("a.example"));
    torment(&PackageDatabase, dpkg, 200);
}

#[test]
fn receipts() {
    let receipt = br#"{"homebrew_version":"4","time":1711996210,"source":{"version":"3.8"}}"#;
    let brewed = packages(&HomebrewReceipt, "x", receipt);
    assert_eq!(brewed, ["- - 3.8 homebrew 2024-04-01T18:30:10Z"]);
    let state = br#"{"data":{"snaps":{"ngrok":{"current":"12","active":true}}}}"#;
    assert_eq!(packages(&SnapState, "state.json", state), ["- ngrok - snap "]);
    for foreign in [&b"{}"[..], b"<html>", b"{\"data\":"] {
        assert!(parse(&HomebrewReceipt, foreign).is_err());
        assert!(parse(&SnapState, foreign).is_err());
    }
    torment(&HomebrewReceipt, receipt, 200);
    torment(&SnapState, state, 200);
}
