//! Packs the artifact definitions and profiles into the program.
//!
//! Writes `builtin.bin`: every file below `artifacts/` and `profiles/`, by path, in
//! the form that `src/builtin.rs` describes.

#[path = "builtin/scramble.rs"]
mod scramble;

use std::fs;
use std::io;
use std::path::Path;

use miniz_oxide::deflate::compress_to_vec_zlib;

use scramble::scramble;

/// How hard to pack, of 10.
const LEVEL: u8 = 9;

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for folder in ["artifacts", "profiles"] {
        println!("cargo::rerun-if-changed={folder}");
        if Path::new(folder).is_dir() {
            list(folder, &mut files)?;
        }
    }
    files.sort();
    let mut bytes = Vec::new();
    for file in &files {
        append(&mut bytes, file.as_bytes())?;
        append(&mut bytes, &fs::read(file)?)?;
    }
    let mut packed = compress_to_vec_zlib(&bytes, LEVEL);
    scramble(&mut packed);
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    fs::write(Path::new(&out).join("builtin.bin"), packed)
}

/// Appends a length and as many bytes.
fn append(to: &mut Vec<u8>, bytes: &[u8]) -> io::Result<()> {
    let length = u32::try_from(bytes.len()).map_err(io::Error::other)?;
    to.extend(length.to_le_bytes());
    to.extend(bytes);
    Ok(())
}

/// Appends every file below `folder` that takes part: all of a profile, the YAML of artifacts.
fn list(folder: &str, files: &mut Vec<String>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let Some(name) = name.to_str().filter(|name| !name.starts_with('.')) else { continue };
        let path = format!("{folder}/{name}");
        if entry.file_type()?.is_dir() {
            println!("cargo::rerun-if-changed={path}");
            list(&path, files)?;
        } else if path.starts_with("profiles/") || name.ends_with(".yaml") {
            files.push(path);
        }
    }
    Ok(())
}
