use std::path::Path;

use bytes::Bytes;
use rusqlite::{Connection, OptionalExtension};
use smol_str::SmolStr;
use vodbridge_core::{Event, Timestamp};

use super::reader::{ReadError, blob, columns};
use super::row::{Letter, Places};
use super::spool::Done;
use super::{OpenError, Seq, open};

/// The spool opened for reading, beside its one writer.
///
/// Every look is a transaction of its own, so that none holds the writer up.
#[derive(Debug)]
pub struct Spooled(Connection);

/// An event in the spool, without its body.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Waiting {
    /// Its row.
    pub seq: Seq,
    /// When it was written.
    pub stored: Timestamp,
    /// The event, without message and data.
    pub event: Event,
    /// How many bytes those have.
    pub bytes: usize,
    /// That it is to become a dead letter, if it is.
    pub letter: Option<Letter>,
    /// What was done for it so far.
    pub done: Done,
    places: Places,
}

/// What was found from one row on.
#[derive(Debug)]
pub struct Found {
    /// Oldest first.
    pub waiting: Vec<Waiting>,
    /// Rows that hold no event.
    pub damaged: Vec<Seq>,
    /// The last row that was looked at.
    pub last: Option<Seq>,
}

const SELECT_HEADS: &str = "
    SELECT seq, stored, time, event_type, application, file, task, id, head, length(body),
           reason, detail, panics, acknowledged, lettered
    FROM spool LEFT JOIN spool_progress USING (seq)
    WHERE seq > ?1 AND application = ?3 ORDER BY seq LIMIT ?2";

// === impl Spooled ===

impl Spooled {
    /// Opens the spool of the journal in the directory `path`.
    ///
    /// # Errors
    ///
    /// Each says the way out; see [`OpenError`].
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        open::open_to_read(path).map(Self)
    }

    /// The next events of an application behind the row `after`, at most `limit`, without reading
    /// any body. Blocks on the disk.
    ///
    /// # Errors
    ///
    /// The engine's.
    pub fn after(
        &mut self,
        application: &str,
        after: Seq,
        limit: usize,
    ) -> Result<Found, ReadError> {
        let mut found = Found { waiting: Vec::new(), damaged: Vec::new(), last: None };
        let mut select = self.0.prepare_cached(SELECT_HEADS)?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let mut rows = select.query((after.0, limit, application))?;
        while let Some(row) = rows.next()? {
            let seq = Seq(row.get(0)?);
            found.last = Some(seq);
            match waiting(row, seq)? {
                Some(waiting) => found.waiting.push(waiting),
                None => found.damaged.push(seq),
            }
        }
        Ok(found)
    }

    /// Gives an event its message and data; nothing if the row is gone or does not hold them.
    ///
    /// # Errors
    ///
    /// The engine's.
    pub fn complete(&mut self, waiting: Waiting) -> Result<Option<Event>, ReadError> {
        let mut select = self.0.prepare_cached("SELECT body FROM spool WHERE seq = ?1")?;
        let body = select
            .query_row([waiting.seq.0], |row| Ok(Bytes::copy_from_slice(blob(row, 0)?)))
            .optional()?;
        Ok(body.and_then(|body| waiting.places.fill(waiting.event, body)))
    }

    /// When the oldest event of an application was received, and when it was written.
    ///
    /// # Errors
    ///
    /// The engine's.
    pub fn oldest(&mut self, application: &str) -> Result<Option<Timestamp>, ReadError> {
        let found = self.after(application, Seq::default(), 1)?;
        Ok(found.waiting.first().map(|waiting| waiting.event.time))
    }
}

fn waiting(row: &rusqlite::Row<'_>, seq: Seq) -> Result<Option<Waiting>, ReadError> {
    let mut kept = columns(row, seq)?;
    kept.head = blob(row, 8)?;
    let Some((_, event, places)) = kept.event() else { return Ok(None) };
    let text = |column| row.get_ref(column).and_then(|v| Ok(v.as_str_or_null()?));
    let letter = text(10)?.map(|reason| -> rusqlite::Result<_> {
        let detail = text(11)?.unwrap_or_default().to_owned();
        Ok(Letter { reason: SmolStr::new(reason), detail })
    });
    let done = match row.get::<_, Option<u32>>(12)? {
        None => Done::default(),
        Some(panics) => {
            Done::read(panics, text(13)?.unwrap_or_default(), text(14)?.unwrap_or_default())
        }
    };
    let bytes = usize::try_from(row.get::<_, i64>(9)?).unwrap_or_default();
    let (letter, stored) = (letter.transpose()?, kept.stored);
    Ok(Some(Waiting { seq, stored, event, bytes, letter, done, places }))
}
