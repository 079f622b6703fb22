//! The `evtx` crate, wrapped: a chunk's records as JSON, one by one.
//!
//! The crate gives up a hostile record by a budget of its own; a panic inside it is
//! caught here and told as an unreadable place.

use std::error::Error;
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use evtx::err::EvtxError;
use evtx::{EvtxChunk, EvtxChunkHeader, EvtxRecord, ParserSettings};

use super::layout::RECORD_HEADER_BYTES;

/// How records are rendered; shared by all threads.
#[derive(Clone)]
pub(super) struct Renderer {
    carving: Arc<ParserSettings>,
    plain: Arc<ParserSettings>,
}

/// One record of a chunk, or the place of one that cannot be read.
pub(super) enum Rendered {
    Record {
        id: u64,
        /// Offset in the chunk.
        at: usize,
        /// Carved from slack.
        recovered: bool,
        json: Vec<u8>,
    },
    Unreadable {
        id: Option<u64>,
        /// Offset in the chunk, if the crate tells it.
        at: Option<usize>,
        why: String,
    },
    /// Nothing more of this chunk can be read.
    Stopped { why: String },
}

impl Renderer {
    pub fn new() -> Self {
        let settings = || ParserSettings::default().indent(false);
        let carving = Arc::new(settings().recover_records(true));
        Self { carving, plain: Arc::new(settings()) }
    }

    /// Hands every record of the chunk to `take`, live ones in their order and
    /// carved ones between and after them, until it breaks.
    pub fn each(
        &self,
        bytes: &[u8],
        take: &mut dyn FnMut(Rendered) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        each(bytes, &self.carving, take)
    }

    /// The same without carved ones.
    pub fn each_live(
        &self,
        bytes: &[u8],
        take: &mut dyn FnMut(Rendered) -> ControlFlow<()>,
    ) -> ControlFlow<()> {
        each(bytes, &self.plain, take)
    }
}

fn each(
    bytes: &[u8],
    settings: &Arc<ParserSettings>,
    take: &mut dyn FnMut(Rendered) -> ControlFlow<()>,
) -> ControlFlow<()> {
    let header = match guarded(|| EvtxChunkHeader::from_bytes(bytes)) {
        Ok(Ok(header)) => header,
        Ok(Err(error)) => return take(Rendered::Stopped { why: reason(&error) }),
        Err(why) => return take(Rendered::Stopped { why }),
    };
    let mut chunk = match guarded(|| EvtxChunk::new(bytes, &header, Arc::clone(settings))) {
        Ok(Ok(chunk)) => chunk,
        Ok(Err(error)) => return take(Rendered::Stopped { why: reason(&error) }),
        Err(why) => return take(Rendered::Stopped { why }),
    };
    let mut records = chunk.iter();
    loop {
        match guarded(|| records.next().map(render)) {
            Ok(Some(rendered)) => take(rendered)?,
            Ok(None) => return ControlFlow::Continue(()),
            Err(why) => return take(Rendered::Stopped { why }),
        }
    }
}

/// Runs the crate's code; its panic becomes the reason.
fn guarded<T>(run: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(run)).map_err(|panic| {
        let text = panic.downcast_ref::<&str>().map(|text| (*text).to_owned());
        let text = text.or_else(|| panic.downcast_ref::<String>().cloned());
        format!("the reader of BinXML gave up: {}", text.unwrap_or_default())
    })
}

fn render(record: Result<EvtxRecord<'_>, EvtxError>) -> Rendered {
    let record = match record {
        Ok(record) => record,
        Err(EvtxError::FailedToReadRecordAt { offset, source, .. }) => {
            return Rendered::Unreadable {
                id: None,
                at: usize::try_from(offset).ok(),
                why: reason(&source),
            };
        }
        Err(EvtxError::FailedToParseRecord { record_id, source }) => {
            return Rendered::Unreadable { id: Some(record_id), at: None, why: reason(&source) };
        }
        Err(error) => return Rendered::Unreadable { id: None, at: None, why: reason(&error) },
    };
    let (id, recovered) = (record.event_record_id, record.recovered);
    let at = usize::try_from(record.binxml_offset).unwrap_or(usize::MAX);
    let at = at.saturating_sub(RECORD_HEADER_BYTES);
    match record.into_json_bytes() {
        Ok(rendered) => Rendered::Record { id, at, recovered, json: rendered.data },
        Err(EvtxError::FailedToParseRecord { source, .. }) => {
            Rendered::Unreadable { id: Some(id), at: Some(at), why: reason(&source) }
        }
        Err(error) => Rendered::Unreadable { id: Some(id), at: Some(at), why: reason(&error) },
    }
}

/// The error and what lies behind it, in one line.
fn reason(error: &dyn Error) -> String {
    const MAX_CAUSES: usize = 8;
    let mut text = error.to_string();
    let mut cause = error.source();
    for _ in 0..MAX_CAUSES {
        let Some(inner) = cause else { break };
        text = format!("{text}: {inner}");
        cause = inner.source();
    }
    text
}
