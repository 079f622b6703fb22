//! `adit verify`: checks bundles.

use std::path::PathBuf;

use super::Exit;
use crate::verify::{BundleState, verify_bundle};

/// Prints the state of every bundle and what is wrong with it.
pub fn run(bundles: &[PathBuf]) -> Exit {
    let mut exit = Exit::Complete;
    for path in bundles {
        match verify_bundle(path) {
            Ok(report) => {
                println!(
                    "{}: {}, {} members checked",
                    path.display(),
                    report.state.as_str(),
                    report.checked
                );
                report.failures.iter().for_each(|failure| println!("  {failure}"));
                report.remarks.iter().for_each(|remark| println!("  {remark}"));
                if report.state != BundleState::Complete && exit == Exit::Complete {
                    exit = Exit::Incomplete;
                }
            }
            Err(error) => {
                eprintln!("adit: {error}");
                exit = Exit::NoSource;
            }
        }
    }
    exit
}
