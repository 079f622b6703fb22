//! adit.exe itself: what it imports, what it holds, and a live run under Wine.
//!
//! `.ci/windows` builds it; `ADIT_EXE` says where it lies. Without that, or without Wine,
//! the tests say what they left out.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing)]

mod kills;
mod lab;
#[path = "windows/wine.rs"]
mod wine;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use aho_corasick::AhoCorasick;
use object::LittleEndian;
use object::pe::ImageNtHeaders64;
use object::read::pe::{ImageNtHeaders, Import, PeFile64};

/// Bytes that it may have.
const MAX_SIZE: usize = 15 << 20;
/// Versions of Windows, and their numbers in the headers.
const VERSIONS: [(&str, u32); 4] = [
    ("Windows 2000", 0x0500),
    ("Windows XP", 0x0501),
    ("Windows Vista", 0x0600),
    ("Windows 7", 0x0601),
];
/// Shorter lines of a rule may stand in any program.
const TELLING: usize = 32;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The program for Windows, if there is one to test.
fn exe() -> Option<PathBuf> {
    let named = std::env::var_os("ADIT_EXE").map(PathBuf::from);
    if named.is_none() {
        eprintln!("ADIT_EXE is not set: adit.exe is not tested");
    }
    named.map(|at| root().join(at))
}

/// Every function it imports, as `library.dll function`, in order.
fn imports(exe: &[u8]) -> BTreeSet<String> {
    let file = PeFile64::parse(exe).unwrap();
    let table = file.import_table().unwrap().expect("imports");
    let mut found = BTreeSet::new();
    let mut libraries = table.descriptors().unwrap();
    while let Some(library) = libraries.next().unwrap() {
        let name = table.name(library.name.get(LittleEndian)).unwrap();
        let name = String::from_utf8_lossy(name).to_lowercase();
        let mut functions = table.thunks(library.original_first_thunk.get(LittleEndian)).unwrap();
        while let Some(thunk) = functions.next::<ImageNtHeaders64>().unwrap() {
            let function = match table.import::<ImageNtHeaders64>(thunk).unwrap() {
                Import::Ordinal(number) => format!("#{number}"),
                Import::Name(_, function) => String::from_utf8_lossy(function).into_owned(),
            };
            found.insert(format!("{name} {function}"));
        }
    }
    found
}

/// Library, function and the first Windows that has it, of every line of the list.
fn listed() -> Vec<(String, String, String)> {
    let list = fs::read_to_string(root().join("tests/windows/imports.txt")).unwrap();
    let lines = list.lines().filter(|line| !line.starts_with('#'));
    let parts = lines.map(|line| match line.splitn(3, ' ').collect::<Vec<_>>()[..] {
        [library, function, since] => (library.into(), function.into(), since.into()),
        _ => panic!("{line}: expected a library, a function and the first Windows that has it"),
    });
    parts.collect()
}

#[test]
fn every_imported_function_is_there_since_windows_7() {
    let mut known = BTreeSet::new();
    for (library, function, since) in listed() {
        let version = VERSIONS.iter().find(|(name, _)| *name == since);
        assert!(version.is_some(), "{function}: {since} is none of {VERSIONS:?}");
        assert!(known.insert(format!("{library} {function}")), "{function}: listed twice");
    }
    let Some(exe) = exe() else { return };
    let found = imports(&fs::read(exe).unwrap());
    let unknown: Vec<_> = found.difference(&known).collect();
    assert!(found.len() > 100 && unknown.is_empty(), "not listed: {unknown:#?}");
}

/// Which of these functions the headers of MinGW do not declare for that Windows.
fn undeclared(functions: &[String], version: u32) -> BTreeSet<String> {
    const HEADERS: [&str; 11] = [
        "winsock2", "ws2tcpip", "windows", "iphlpapi", "wtsapi32", "userenv", "sddl", "psapi",
        "ntsecapi", "shellapi", "tlhelp32",
    ];
    let place = tempfile::tempdir().unwrap();
    let source = place.path().join("functions.c");
    let mut text: String = HEADERS.iter().map(|name| format!("#include <{name}.h>\n")).collect();
    let uses = functions.iter().enumerate();
    text.extend(uses.map(|(n, name)| format!("void *p{n} = (void *)&{name};\n")));
    fs::write(&source, text).unwrap();
    let output = Command::new("x86_64-w64-mingw32-gcc")
        .args(["-fsyntax-only", "-fmax-errors=0", "-w"])
        .args(["_WIN32_WINNT", "WINVER"].map(|name| format!("-D{name}={version:#06x}")))
        .arg(&source)
        .env("LC_ALL", "C")
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let undeclared = |name: &&String| said.contains(&format!("'{name}' undeclared"));
    functions.iter().filter(undeclared).cloned().collect()
}

/// The headers know from which Windows on a function may be used: each must be there in
/// the one that the list names. Those of the C library and of the kernel have no such mark.
#[test]
fn the_headers_declare_every_listed_function_for_its_windows() {
    if !lab::has("x86_64-w64-mingw32-gcc") {
        eprintln!("MinGW is not installed: the list of imports is not compared with its headers");
        return;
    }
    let mut newer = 0;
    for (name, version) in VERSIONS {
        let functions: Vec<String> = listed()
            .into_iter()
            .filter(|(library, ..)| !["msvcrt.dll", "ntdll.dll"].contains(&library.as_str()))
            .filter(|(.., since)| since == name)
            .map(|(_, function, _)| function)
            .collect();
        assert_eq!(undeclared(&functions, version), BTreeSet::new(), "{name}");
        newer += undeclared(&functions, 0x0501).len();
    }
    assert!(newer > 10, "for Windows XP only {newer} are missing: nothing was compared");
}

#[test]
fn it_is_small_and_says_what_it_is() {
    let Some(exe) = exe() else { return };
    let bytes = fs::read(exe).unwrap();
    assert!(bytes.len() <= MAX_SIZE, "{} bytes, {MAX_SIZE} are the limit", bytes.len());
    let file = PeFile64::parse(&*bytes).unwrap();
    let version = file.nt_headers().optional_header();
    let floor = (
        version.major_subsystem_version.get(LittleEndian),
        version.minor_subsystem_version.get(LittleEndian),
    );
    assert!(floor <= (6, 1), "its header asks for Windows {floor:?}");
    let wide = |text: &str| text.encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
    let holds = |needle: &[u8]| bytes.windows(needle.len()).any(|window| window == needle);
    for text in ["asInvoker", "longPathAware", "activeCodePage", "UTF-8</activeCodePage>"] {
        assert!(holds(text.as_bytes()), "{text}");
    }
    for text in ["VS_VERSION_INFO", "adit.exe", env!("CARGO_PKG_VERSION")] {
        assert!(holds(&wide(text)), "{text}");
    }
}

#[test]
fn no_line_of_a_rule_stands_in_the_program() {
    let mut lines = BTreeSet::new();
    for folder in ["artifacts", "profiles"] {
        for entry in walkdir::WalkDir::new(root().join(folder)).into_iter().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let telling = |line: &&str| line.len() >= TELLING;
            lines.extend(text.lines().map(str::trim).filter(telling).map(str::to_owned));
        }
    }
    assert!(lines.len() > 500, "{}", lines.len());
    let lines: Vec<String> = lines.into_iter().collect();
    let search = AhoCorasick::new(&lines).unwrap();
    let program = exe().unwrap_or_else(|| PathBuf::from(env!("CARGO_BIN_EXE_adit")));
    let bytes = fs::read(&program).unwrap();
    let found = search.find_iter(&bytes).map(|found| &lines[found.pattern()]);
    let found: BTreeSet<_> = found.collect();
    assert!(found.is_empty(), "{}: {found:#?}", program.display());
}
