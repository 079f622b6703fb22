//! Packs the artifact definitions and profiles into the program.
//!
//! Writes `builtin.rs`: every file below `artifacts/` and `profiles/`, by path.

use std::fs;
use std::io;
use std::path::Path;

fn main() -> io::Result<()> {
    let mut files = Vec::new();
    for folder in ["artifacts", "profiles"] {
        println!("cargo::rerun-if-changed={folder}");
        if Path::new(folder).is_dir() {
            list(folder, &mut files)?;
        }
    }
    files.sort();
    let mut code = String::from(
        "/// Path and content of every built-in file, by path.\npub static FILES: &[(&str, &[u8])] = &[\n",
    );
    for file in &files {
        code += &format!(
            "    ({file:?}, include_bytes!(concat!(env!(\"CARGO_MANIFEST_DIR\"), {:?}))),\n",
            format!("/{file}")
        );
    }
    code += "];\n";
    let out = std::env::var_os("OUT_DIR").ok_or_else(|| io::Error::other("no OUT_DIR"))?;
    fs::write(Path::new(&out).join("builtin.rs"), code)
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
