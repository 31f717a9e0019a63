use rusqlite::{Connection, TransactionBehavior};

/// "vodb": marks the file as a journal (`PRAGMA application_id`).
const APPLICATION_ID: i64 = 0x766f_6462;

/// Each step leads to the version that is its place in the list, counted from 1.
///
/// The tables grow, so they have no index but the row number: a random one costs two thirds of
/// the appends. Columns that a listing filters by stand before the long ones, so that passing a
/// row over does not read its body. What changes in a row of the spool has a table of its own: an
/// update would write the body once more.
const STEPS: &[&str] = &[
    "
    CREATE TABLE counters (
        number INTEGER PRIMARY KEY,
        rows INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        next_seq INTEGER NOT NULL
    );
    INSERT INTO counters VALUES (1, 0, 0, 1), (2, 0, 0, 1);
    CREATE TABLE events (
        seq INTEGER PRIMARY KEY,
        stored INTEGER NOT NULL,
        time INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        event_type TEXT,
        application TEXT,
        file TEXT,
        task TEXT,
        id TEXT NOT NULL,
        head BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE dead_letters (
        seq INTEGER PRIMARY KEY,
        stored INTEGER NOT NULL,
        time INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        event_type TEXT,
        application TEXT,
        file TEXT,
        task TEXT,
        id TEXT NOT NULL,
        head BLOB NOT NULL,
        body BLOB NOT NULL
    );
",
    "
    INSERT INTO counters VALUES (3, 0, 0, 1);
    CREATE TABLE spool (
        seq INTEGER PRIMARY KEY,
        stored INTEGER NOT NULL,
        time INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        event_type TEXT,
        application TEXT,
        file TEXT,
        task TEXT,
        id TEXT NOT NULL,
        reason TEXT,
        detail TEXT,
        head BLOB NOT NULL,
        body BLOB NOT NULL
    );
    CREATE TABLE spool_progress (
        seq INTEGER PRIMARY KEY,
        panics INTEGER NOT NULL,
        acknowledged TEXT NOT NULL,
        lettered TEXT NOT NULL
    );
    CREATE TABLE spool_applications (
        application TEXT PRIMARY KEY,
        rows INTEGER NOT NULL
    ) WITHOUT ROWID;
",
    "
    INSERT INTO counters VALUES (4, 0, 0, 1);
    CREATE TABLE history (
        seq INTEGER PRIMARY KEY,
        stored INTEGER NOT NULL,
        time INTEGER NOT NULL,
        bytes INTEGER NOT NULL,
        event_type TEXT,
        application TEXT,
        file TEXT,
        task TEXT,
        id TEXT NOT NULL,
        route TEXT NOT NULL,
        acknowledged TEXT NOT NULL,
        head BLOB NOT NULL,
        body BLOB NOT NULL
    );
",
];

/// The version that this program reads and writes (`PRAGMA user_version`).
pub(crate) const VERSION: i64 = STEPS.len() as i64;

/// What a file turns out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Found {
    /// Nothing has been written yet.
    Empty,
    /// A journal of this version.
    Journal(i64),
    /// A database of some other program.
    Foreign,
}

/// Looks without writing.
pub(crate) fn look(connection: &Connection) -> rusqlite::Result<Found> {
    let application: i64 = connection.pragma_query_value(None, "application_id", |r| r.get(0))?;
    let version: i64 = connection.pragma_query_value(None, "user_version", |r| r.get(0))?;
    if application == APPLICATION_ID {
        return Ok(Found::Journal(version));
    }
    let tables: i64 =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    Ok(if application == 0 && version == 0 && tables == 0 { Found::Empty } else { Found::Foreign })
}

/// Takes an empty file or an older journal to [`VERSION`], each step in a transaction of its own.
pub(crate) fn migrate(connection: &mut Connection, from: i64) -> rusqlite::Result<()> {
    let done = usize::try_from(from).unwrap_or_default();
    for (version, step) in (1_i64..).zip(STEPS).skip(done) {
        let step_taken = connection.transaction_with_behavior(TransactionBehavior::Immediate)?;
        step_taken.execute_batch(step)?;
        step_taken.pragma_update(None, "application_id", APPLICATION_ID)?;
        step_taken.pragma_update(None, "user_version", version)?;
        step_taken.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_file_becomes_a_journal_and_is_left_alone_afterwards() {
        let mut connection = Connection::open_in_memory().unwrap();
        assert_eq!(look(&connection).unwrap(), Found::Empty);
        migrate(&mut connection, 0).unwrap();
        assert_eq!(look(&connection).unwrap(), Found::Journal(VERSION));
        migrate(&mut connection, VERSION).unwrap();
        assert_eq!(look(&connection).unwrap(), Found::Journal(VERSION));
    }

    #[test]
    fn a_database_of_another_program_is_not_taken_for_an_empty_one() {
        let connection = Connection::open_in_memory().unwrap();
        connection.execute_batch("CREATE TABLE theirs (x)").unwrap();
        assert_eq!(look(&connection).unwrap(), Found::Foreign);
    }
}
