//! Amcache.hve: program files, programs, shortcuts and drivers that the compatibility
//! inventory has met.
//!
//! An entry shows that the file was on the machine, and its SHA-1. The key's time is
//! when the inventory wrote it, not a run. The SHA-1 covers the first 31,457,280 bytes
//! at most, so that a larger file's is no hash of the file.
//!
//! * `Root\InventoryApplicationFile` and kin: Windows 10 1607 on, and 8 on by updates.
//! * `Root\File\<volume>\<id>`, `Root\Programs`: Windows 8 to 10 1511; values have
//!   numbers for names.
//!
//! Sources: ANSSI, "Analysis of the AmCache" (2019); three real hives (`tests/compare`).

use std::ops::ControlFlow;

use crate::model::{Moment, Precision, Record, Value, from_unix};

use super::place::{Extractor, Root, at};
use super::{Data, Key, Output, record_of, ticks};

pub const EXTRACTOR: Extractor = Extractor {
    places: &[
        at(Root::Hive, r"Root\InventoryApplicationFile\*"),
        at(Root::Hive, r"Root\InventoryApplication\*"),
        at(Root::Hive, r"Root\InventoryApplicationShortcut\*"),
        at(Root::Hive, r"Root\InventoryDriverBinary\*"),
        at(Root::Hive, r"Root\File\*\*"),
        at(Root::Hive, r"Root\Programs\*"),
    ],
    read,
    live: None,
};

/// Bytes of a file that its SHA-1 covers at most.
const HASHED_BYTES: i64 = 31_457_280;

/// A value and the field that it becomes.
type Named = (&'static str, &'static str);

const FILE: &[Named] = &[
    ("LowerCaseLongPath", "Image"),
    ("Name", "Name"),
    ("OriginalFileName", "OriginalFileName"),
    ("ProductName", "Product"),
    ("Publisher", "Company"),
    ("Version", "FileVersion"),
    ("ProductVersion", "ProductVersion"),
    ("BinaryType", "BinaryType"),
    ("LinkDate", "LinkDate"),
    ("Size", "Size"),
    ("ProgramId", "ProgramId"),
    ("AppxPackageFullName", "Package"),
];
const PROGRAM: &[Named] = &[
    ("Name", "Product"),
    ("Publisher", "Company"),
    ("Version", "ProductVersion"),
    ("RootDirPath", "InstallLocation"),
    ("UninstallString", "UninstallString"),
    ("InstallDate", "InstallDate"),
    ("Source", "Source"),
    ("PackageFullName", "Package"),
    ("ProgramId", "ProgramId"),
];
const SHORTCUT: &[Named] = &[
    ("ShortcutTargetPath", "Image"),
    ("ShortcutPath", "ShortcutPath"),
    ("ShortcutAumid", "AppId"),
    ("ShortcutProgramId", "ProgramId"),
];
const DRIVER: &[Named] = &[
    ("DriverName", "Name"),
    ("Product", "Product"),
    ("DriverCompany", "Company"),
    ("DriverVersion", "FileVersion"),
    ("ProductVersion", "ProductVersion"),
    ("Service", "ServiceName"),
    ("DriverLastWriteTime", "DriverLastWriteTime"),
    ("ImageSize", "ImageSize"),
];
const OLD_FILE: &[Named] = &[
    ("15", "Image"),
    ("0", "Product"),
    ("1", "Company"),
    ("5", "FileVersion"),
    ("c", "Description"),
    ("6", "Size"),
    ("100", "ProgramId"),
];
const OLD_PROGRAM: &[Named] =
    &[("0", "Product"), ("2", "Company"), ("1", "ProductVersion"), ("d", "Paths")];

fn read(key: &Key, output: &mut Output<'_>) -> ControlFlow<()> {
    let above = key.path.rsplit('\\').nth(1).unwrap_or_default().to_ascii_lowercase();
    let record = match above.as_str() {
        "inventoryapplicationfile" => {
            let mut record = named(key, FILE);
            add_hash(&mut record, key.text("FileId"), key.number("Size"));
            record
        }
        "inventoryapplication" => named(key, PROGRAM),
        "inventoryapplicationshortcut" => named(key, SHORTCUT),
        "inventorydriverbinary" => {
            let mut record = named(key, DRIVER);
            // A key's name has no backslash.
            record.fields.insert(0, ("Image".into(), key.name.replace('/', "\\").into()));
            add_hash(&mut record, key.text("DriverId"), key.number("ImageSize"));
            record
        }
        "programs" => old_program(key),
        _ => old_file(key),
    };
    let tells = ["Image", "Product", "Name"].iter().any(|name| record.text(name).is_some());
    if tells { output.push(record) } else { ControlFlow::Continue(()) }
}

fn named(key: &Key, fields: &[Named]) -> Record {
    let mut record = record_of(key, "amcache", None);
    for (name, field) in fields {
        match key.data(name) {
            Some(Data::MultiText(all)) => record.push(*field, Value::List(all.clone())),
            Some(data) => match (data.text(), data.number()) {
                (Some(text), _) => record.push(*field, text),
                (None, Some(number)) => record.push(*field, number),
                (None, None) => {}
            },
            None => {}
        }
    }
    record
}

/// Adds the SHA-1 of an identifier `0000…`, as what it is.
fn add_hash(record: &mut Record, id: Option<String>, size: Option<i64>) {
    let Some(hash) = id.as_deref().and_then(|id| id.strip_prefix("0000")) else { return };
    if hash.len() != 40 || !hash.bytes().all(|b| b.is_ascii_hexdigit()) {
        return;
    }
    if size.is_some_and(|size| size > HASHED_BYTES) {
        record.push("Sha1First30MB", hash);
    } else {
        record.push("Hashes", format!("SHA1={}", hash.to_ascii_uppercase()));
    }
}

fn old_file(key: &Key) -> Record {
    let mut record = named(key, OLD_FILE);
    add_hash(&mut record, key.text("101"), key.number("6"));
    if let Some(link) = key.number("f").and_then(|at| from_unix(at, 0)) {
        record.push("LinkDate", link.to_string());
    }
    let modified: Vec<u64> = ["17", "11"].iter().filter_map(|n| ticks(key.data(n)?)).collect();
    record.times.extend(modified.first().and_then(|at| Moment::of_filetime(*at, "File Modified")));
    let created = key.data("12").and_then(ticks);
    record.times.extend(created.and_then(|at| Moment::of_filetime(at, "File Created")));
    record
}

fn old_program(key: &Key) -> Record {
    let mut record = named(key, OLD_PROGRAM);
    if let Some((seconds, at)) = key.number("a").and_then(|n| Some((n, from_unix(n, 0)?))) {
        record.times.push(Moment {
            at: Some(at),
            meaning: "Installed",
            precision: Precision::Second,
            raw: seconds.to_string(),
        });
    }
    record
}
