//! What package managers of Linux know to be installed, and from where.
//!
//! ```text
//! dpkg, opkg  Package: name    Version: 1.2      paragraphs parted by empty lines
//! apk         P:name           V:1.2
//! pacman      %NAME%           the value in the next line
//! ```
//!
//! Sources of packages are lines of apt (`deb https://…`), keys of deb822 (`URIs:`) and of
//! yum (`baseurl=`), and bare addresses (apk). Sources: deb(5), sources.list(5), yum.conf(5).

use std::ops::ControlFlow;

use crate::model::{Input, Locator, Record, Sink};
use crate::parse::lines::{Encoding, Lines};
use crate::parse::offer::offer;
use crate::parse::{ParseError, Parser, address};

/// Longest text that is kept of one key.
const MAX_TEXT_BYTES: usize = 2 << 10;
/// Addresses of one line that are told.
const MAX_ADDRESSES: usize = 16;

/// Reads lists of installed packages; a `package` record for each that matters.
pub struct PackageDatabase;

/// Reads lists of a package's files; a `package` record for each that matters.
pub struct PackageFiles;

/// Reads where packages come from; a `package_source` record for each address.
pub struct PackageSource;

/// Keys and the fields they become.
const KEYS: [(&str, &str); 17] = [
    ("Package", "Name"),
    ("Version", "Version"),
    ("Status", "Status"),
    ("Maintainer", "Author"),
    ("Homepage", "Homepage"),
    ("Architecture", "Architecture"),
    ("P", "Name"),
    ("V", "Version"),
    ("U", "Homepage"),
    ("m", "Author"),
    ("A", "Architecture"),
    ("%NAME%", "Name"),
    ("%VERSION%", "Version"),
    ("%URL%", "Homepage"),
    ("%PACKAGER%", "Author"),
    ("%ARCH%", "Architecture"),
    ("%REASON%", "Reason"),
];

fn lines_of<'a>(input: &Input<'a>, format: &'static str) -> Result<Lines<'a>, ParseError> {
    let lines = Lines::new(input.bytes)?;
    if lines.encoding() == Encoding::Binary {
        return Err(ParseError::Foreign { format, found: "binary".to_owned() });
    }
    Ok(lines)
}

impl Parser for PackageDatabase {
    fn name(&self) -> &'static str {
        "package_database"
    }

    fn tells_of_others(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        const FORMAT: &str = "list of packages";
        let mut lines = lines_of(input, FORMAT)?;
        let (mut packages, mut others) = (0u64, false);
        let mut open: Option<Record> = None;
        let mut tell = |open: &mut Option<Record>, sink: &mut dyn Sink| {
            let named = open.take().filter(|record| record.text("Name").is_some());
            packages = packages.saturating_add(u64::from(named.is_some()));
            named.map_or(ControlFlow::Continue(()), |record| offer(record, input, sink))
        };
        let pacman = input.name == "desc";
        let mut waiting = String::new();
        while let Some(line) = lines.next()? {
            let text = line.text.trim_end();
            if text.is_empty() && !pacman {
                if tell(&mut open, sink).is_break() {
                    return Ok(());
                }
                continue;
            }
            let (key, value) = if pacman {
                let key = std::mem::take(&mut waiting);
                if text.starts_with('%') {
                    text.clone_into(&mut waiting);
                }
                (key, text)
            } else {
                let Some((key, value)) = text.split_once(':') else {
                    others |= !text.starts_with(' ');
                    continue;
                };
                (key.to_owned(), value.trim())
            };
            let record = open.get_or_insert_with(|| {
                let mut record = Record::new("package", Locator::Line(line.number));
                record.push(
                    "Source",
                    if pacman {
                        "pacman"
                    } else if key.len() == 1 {
                        "apk"
                    } else {
                        "dpkg"
                    },
                );
                record
            });
            if let Some((_, field)) = KEYS.iter().find(|(name, _)| *name == key)
                && value.len() <= MAX_TEXT_BYTES
                && record.text(field).is_none()
            {
                record.push(*field, value);
            }
        }
        let _ = tell(&mut open, sink);
        if packages == 0 && others {
            let found = "lines of another form".to_owned();
            return Err(ParseError::Foreign { format: FORMAT, found });
        }
        Ok(())
    }

    fn is_store(&self) -> bool {
        false
    }
}

impl Parser for PackageFiles {
    fn name(&self) -> &'static str {
        "package_files"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        /// Folders whose files run.
        const PROGRAMS: [&str; 4] = ["/bin/", "/sbin/", "/opt/", "/libexec/"];
        let mut lines = lines_of(input, "list of a package's files")?;
        let name = input.name.strip_suffix(".list").unwrap_or(input.name);
        let name = name.split(':').next().unwrap_or_default();
        while let Some(line) = lines.next()? {
            let path = line.text.trim();
            if !path.starts_with('/') || !PROGRAMS.iter().any(|folder| path.contains(folder)) {
                continue;
            }
            let mut record = Record::new("package", Locator::Line(line.number));
            record.push("Name", name);
            record.push("Image", path);
            record.push("Source", "dpkg");
            if offer(record, input, sink).is_break() {
                break;
            }
        }
        Ok(())
    }
}

impl Parser for PackageSource {
    fn name(&self) -> &'static str {
        "package_source"
    }

    fn is_store(&self) -> bool {
        false
    }

    fn parse(&self, input: &Input<'_>, sink: &mut dyn Sink) -> Result<(), ParseError> {
        let mut lines = lines_of(input, "source of packages")?;
        while let Some(line) = lines.next()? {
            let text = line.text.trim();
            if text.starts_with(['#', ';']) {
                continue;
            }
            for url in address::addresses(text, MAX_ADDRESSES) {
                let mut record = Record::new("package_source", Locator::Line(line.number));
                record.push("Url", url);
                record.push("HostName", address::host(url).unwrap_or_default());
                record.push("Details", text);
                if offer(record, input, sink).is_break() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}
