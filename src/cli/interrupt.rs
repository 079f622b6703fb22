//! Ctrl-C: the first ends the run in good order, the second at once.

use super::Exit;
use crate::model::Stop;

/// What Ctrl-C, or the system's request to end, asks from now on.
pub fn watch() -> Stop {
    let stop = Stop::default();
    let asked = stop.clone();
    let handler = move || {
        if asked.ask() {
            std::process::exit(i32::from(Exit::Interrupted.number()));
        }
        eprintln!("adit: stopping; what is being written is finished (again: end at once)");
    };
    if let Err(error) = ctrlc::set_handler(handler) {
        eprintln!("adit: Ctrl-C will end the run at once: {error}");
    }
    stop
}
