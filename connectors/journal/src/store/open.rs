use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::schema::{self, Found};
use super::{PAGE_BYTES, Settings};

/// The database's file in the directory.
const DATABASE: &str = "journal.db";

/// How long a statement waits for another process.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// The page cache, in KiB: the file's hot end is small.
const CACHE_KIB: i64 = 2048;

/// An open database that this process owns.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) connection: Connection,
    pub(super) wal: PathBuf,
    /// Held as long as the store is open; the kernel gives it back at a kill -9.
    pub(super) lock: File,
}

/// Why a store could not be opened; each says what to do about it.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The directory is not there and cannot be made, or is none.
    #[error(
        "{path} cannot be used as a directory: create it, give its parent to this user, or set \
         journal.path to another"
    )]
    Directory {
        /// The directory.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Nothing can be written into the directory.
    #[error(
        "{path} cannot be written: give it to this user, mount it writable, free its disk, or set \
         journal.path to another"
    )]
    Unwritable {
        /// The file that was tried.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// Another process has the store open.
    #[error(
        "{path} belongs to another running bridge: end that one, or set journal.path to another"
    )]
    Locked {
        /// The directory.
        path: PathBuf,
    },
    /// There is no journal here to read.
    #[error(
        "there is no journal in {path}: run the bridge first, or set journal.path to where it is"
    )]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// The file was written by a later version of the program.
    #[error("{path} has schema {found}, this program reads up to {known}: run the newer version")]
    Newer {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: i64,
        /// The last version known.
        known: i64,
    },
    /// The file is some other program's.
    #[error(
        "{path} is the database of another program: move it away, or set journal.path to another"
    )]
    Foreign {
        /// The file.
        path: PathBuf,
    },
    /// The file is damaged, or the disk fails.
    #[error(
        "{path} cannot be opened: check the disk; if the file is damaged, move it away and start \
         with a new one (the sqlite3 program's .recover reads what can be read)"
    )]
    Database {
        /// The file.
        path: PathBuf,
        /// What SQLite says.
        #[source]
        source: rusqlite::Error,
    },
    /// The system gives no thread.
    #[error("the journal's writer cannot be started")]
    Thread(#[source] io::Error),
}

/// Makes the directory, locks it, and takes the database to the current schema.
pub(super) fn open(settings: &Settings) -> Result<Opened, OpenError> {
    let path = &settings.path;
    make_directory(path)?;
    let lock = lock(path)?;
    let database = path.join(DATABASE);
    let failed = |source| OpenError::Database { path: database.clone(), source };
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE
        | OpenFlags::SQLITE_OPEN_CREATE
        | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let mut connection = Connection::open_with_flags(&database, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    let from = match look(&connection, &database)? {
        Found::Empty | Found::Foreign => 0,
        Found::Journal(version) => version,
    };
    prepare(&connection, settings).map_err(failed)?;
    schema::migrate(&mut connection, from).map_err(failed)?;
    let wal = path.join(format!("{DATABASE}-wal"));
    Ok(Opened { connection, wal, lock })
}

/// Opens the database beside whoever owns it, to read.
pub(super) fn open_to_read(path: &Path) -> Result<Connection, OpenError> {
    let database = path.join(DATABASE);
    if !database.is_file() {
        return Err(OpenError::Missing { path: path.to_owned() });
    }
    let failed = |source| OpenError::Database { path: database.clone(), source };
    // Readers of a write-ahead log write into its shared memory, so read-only would not do.
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(&database, flags).map_err(failed)?;
    connection.busy_timeout(BUSY_TIMEOUT).map_err(failed)?;
    connection.pragma_update(None, "query_only", true).map_err(failed)?;
    match look(&connection, &database)? {
        Found::Journal(_) => Ok(connection),
        Found::Empty | Found::Foreign => Err(OpenError::Missing { path: path.to_owned() }),
    }
}

fn make_directory(path: &Path) -> Result<(), OpenError> {
    // Payloads are nobody else's business.
    match DirBuilder::new().mode(0o700).create(path) {
        Err(source) if source.kind() != io::ErrorKind::AlreadyExists => {
            Err(OpenError::Directory { path: path.to_owned(), source })
        }
        Ok(()) | Err(_) if path.is_dir() => Ok(()),
        Ok(()) | Err(_) => {
            let source = io::Error::from(io::ErrorKind::NotADirectory);
            Err(OpenError::Directory { path: path.to_owned(), source })
        }
    }
}

fn lock(path: &Path) -> Result<File, OpenError> {
    let file = path.join("lock");
    let unwritable = |source| OpenError::Unwritable { path: file.clone(), source };
    let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&file);
    let lock = lock.map_err(unwritable)?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            return Err(OpenError::Locked { path: path.to_owned() });
        }
        Err(TryLockError::Error(source)) => return Err(unwritable(source)),
    }
    // A disk without a single free block says so here, with a sentence, and not in the middle of
    // making a schema.
    let probe = path.join("probe");
    let written = fs::write(&probe, [0; 4096]);
    fs::remove_file(&probe).ok();
    written.map_err(|source| OpenError::Unwritable { path: probe, source })?;
    Ok(lock)
}

fn look(connection: &Connection, database: &Path) -> Result<Found, OpenError> {
    let path = database.to_owned();
    match schema::look(connection) {
        Ok(Found::Foreign) => Err(OpenError::Foreign { path }),
        Ok(Found::Journal(found)) if found > schema::VERSION => {
            Err(OpenError::Newer { path, found, known: schema::VERSION })
        }
        Ok(found) => Ok(found),
        Err(source) => Err(OpenError::Database { path, source }),
    }
}

/// Measured: other settings only raised the slowest commits.
fn prepare(connection: &Connection, settings: &Settings) -> rusqlite::Result<()> {
    let signed = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    connection.pragma_update(None, "page_size", signed(PAGE_BYTES))?;
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    connection.pragma_update(None, "wal_autocheckpoint", 1000)?;
    connection.pragma_update(None, "journal_size_limit", signed(settings.wal_max_bytes / 4))?;
    let pages = settings.size_max_bytes / PAGE_BYTES;
    connection.pragma_update(None, "max_page_count", signed(pages))
}
