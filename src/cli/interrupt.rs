//! Ctrl-C: the first ends the run in good order, the second at once.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use super::Exit;
use crate::model::Stop;

/// What Ctrl-C, or the system's request to end, asks from now on.
///
/// A terminal that goes away asks nothing: `nohup` keeps its meaning.
pub fn watch() -> Stop {
    let asked = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        // In this order: the second signal finds what the first one left.
        let code = i32::from(Exit::Interrupted.number());
        let registered = flag::register_conditional_shutdown(signal, code, asked.clone())
            .and_then(|_| flag::register(signal, asked.clone()));
        if let Err(error) = registered {
            eprintln!("adit: Ctrl-C will end the run at once: {error}");
        }
    }
    Stop::from(asked)
}
