//! The nouns every stage shares: what a parser yields, what a rule says of it,
//! and what an investigator reads in the end. No stage's types live here.

mod evidence;
mod finding;
mod limits;
mod os;
mod problem;
mod record;
mod reference;
mod row;
mod screen;
mod stop;
mod time;
mod volatile;
mod zone;

pub use evidence::{EvidencePath, Input, MAX_INLINE_BYTES, ReadAt, without_snapshot};
pub use finding::{
    Answer, Chain, Coverage, CoverageState, Credential, Exposed, HostReport, NO_TOOL, Rung,
    RungName, Session, SystemFacts, ToolVerdict, Traffic, Verdict, VersionBracket,
};
pub use limits::{Asked, Limits, Reached};
pub use os::Os;
pub use problem::{Problem, Stage};
pub use record::{COMMAND_FIELDS, Category, Damage, Extent, Locator, Record, Sink, Value};
pub use reference::{FileReference, PathResolver};
pub use row::{DnsFacts, Event, Hit, Level, Row, RowStage, Tag};
pub use screen::{Cut, Everything, Filter, Requirement};
pub use stop::Stop;
pub use time::{Moment, Precision, from_filetime, from_unix, to_iso};
pub use volatile::{Action, Actions, Saved, Volatile};
pub use zone::Zone;
