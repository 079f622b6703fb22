//! What is said before a running machine is read: rights, volumes, space, an estimate.

use crate::run::Job;
use crate::source::live::{self, Preflight, VolumeFacts};

/// Names that are looked at in a second, of a disk that is nobody's first choice.
const NAMES_PER_SECOND: u64 = 15_000;
/// Bytes of a usual file, for want of their number.
const USUAL_FILE_BYTES: u64 = 48 << 10;
/// Bytes that a bundle takes, as a rule: logs of a well-used machine, packed.
const USUAL_BUNDLE_BYTES: u64 = 512 << 20;

/// Says it on stderr; the target's lack of space first of all.
pub fn tell(preflight: &Preflight, job: &Job) {
    let size = |bytes: u64| format!("{:.1} GiB", (bytes >> 20) as f64 / 1024.0);
    eprintln!("adit: rights: {}", preflight.rights);
    for volume in &preflight.volumes {
        let VolumeFacts { name, kind, remark, .. } = volume;
        let used = match volume.size {
            0 => String::new(),
            all => format!("  {} of {} used", size(volume.used), size(all)),
        };
        let remark = if remark.is_empty() { String::new() } else { format!("  ({remark})") };
        eprintln!("adit: volume {name}  {kind}{used}{remark}");
    }
    let Some(free) = live::free_space(&job.output) else { return };
    eprintln!("adit: results go to {}, {} free", job.output.display(), size(free));
    if free < USUAL_BUNDLE_BYTES && job.export.bundle {
        eprintln!(
            "adit: WARNING: that may be too little: a bundle takes {} as a rule; \
             --collect hits or --max-bytes make it smaller",
            size(USUAL_BUNDLE_BYTES)
        );
    }
    if let Some(minutes) = minutes(&preflight.volumes) {
        eprintln!("adit: this takes about {minutes} min (an estimate by the volumes' contents)");
    }
}

/// Minutes, from what the volumes that are read hold; none where they tell no sizes.
fn minutes(volumes: &[VolumeFacts]) -> Option<u64> {
    let read = volumes.iter().filter(|volume| !volume.remark.contains("not read"));
    let used = read.fold(0_u64, |sum, volume| sum.saturating_add(volume.used));
    let seconds = used / USUAL_FILE_BYTES / NAMES_PER_SECOND;
    (used > 0).then(|| seconds.div_ceil(60).max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_read_takes_no_time() {
        let volume = |used: u64, remark: &str| VolumeFacts {
            used,
            remark: remark.into(),
            ..VolumeFacts::default()
        };
        assert_eq!(minutes(&[]), None);
        assert_eq!(minutes(&[volume(1 << 20, "")]), Some(1));
        let far = volume(1 << 40, "of another machine; not read");
        assert_eq!(minutes(&[volume(100 << 30, ""), far]), Some(3));
    }
}
