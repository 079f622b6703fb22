//! Events in the words that rules use: one record per event, its category, its
//! moment, and beside the log's own names the names that Sigma gives the same facts.
//!
//! What an event id means is data ([`rules::RULES`]); the few facts that must be
//! computed are in [`derive`]. Rules go by the channel and provider in the record,
//! never by the file's name.

mod derive;
mod event;
mod rules;

pub(crate) use event::{LoggedEvent, system_time, whole_number};
pub(crate) use rules::categories;
