use std::fs::{self, File};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};
use smol_str::SmolStr;

use super::ballast::{Ballast, finds_no_room, is_full};
use super::lock::Lock;
use super::room::Room;
use super::schema::{self, Found, VERSION};
use super::settings::{PAGE_BYTES, SIZE_MAX_LEAST_BYTES};
use super::{Settings, spool};

/// The database's name in the directory; `-wal` and `-shm` lie beside it.
const DATABASE: &str = "journal.db";
/// How long one process waits for another's transaction. Both keep theirs short.
pub(crate) const BUSY_TIMEOUT: Duration = Duration::from_secs(5);
/// What is kept of the write-ahead log once it is folded into the file.
const WAL_KEPT_BYTES: i64 = 8 << 20;
/// Pages in memory: rows are appended and read in order, so a few suffice.
const CACHE_KIB: i64 = 2048;

/// Why a journal does not open, each with the way out. Nothing was deleted or overwritten.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Nothing could ever be stored.
    #[error(
        "journal.size_max of {bytes} bytes is too small; give it at least {SIZE_MAX_LEAST_BYTES}"
    )]
    TooSmall {
        /// What was asked for.
        bytes: u64,
    },
    /// The directory is to be created, and what it lies in is not there.
    #[error(
        "the journal's directory {0:?} cannot be created, because what it lies in does not exist; create that, or set journal.path"
    )]
    NoParent(PathBuf),
    /// The path is something else.
    #[error("the journal's path {0:?} is not a directory; set journal.path to one")]
    NotADirectory(PathBuf),
    /// There is nothing to read.
    #[error(
        "there is no journal in {0:?}; run the bridge first, or set journal.path to where its journal is"
    )]
    NoJournal(PathBuf),
    /// Another process works there.
    #[error(
        "the journal in {0:?} belongs to another running bridge; stop that one, or give this one a journal.path of its own"
    )]
    Locked(PathBuf),
    /// No right to write.
    #[error(
        "the journal's directory {path:?} cannot be written; mount it writable and give it to the user that the bridge runs as, or set journal.path"
    )]
    NotWritable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// No room even to begin.
    #[error(
        "the disk under the journal's directory {path:?} is full; free space on it, or set journal.path"
    )]
    DiskFull {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A later version has written it.
    #[error(
        "the journal in {path:?} was written by a newer version (schema {found}, this one knows {VERSION}); run that version, or give this one a journal.path of its own"
    )]
    Newer {
        /// The directory.
        path: PathBuf,
        /// The schema found.
        found: i64,
    },
    /// A reader finds an earlier version.
    #[error(
        "the journal in {path:?} was written by an older version (schema {found}, this one knows {VERSION}); start the bridge of this version once"
    )]
    Older {
        /// The directory.
        path: PathBuf,
        /// The schema found.
        found: i64,
    },
    /// Some other program's database.
    #[error(
        "{0:?} is a database of another program; set journal.path to a directory of the journal's own"
    )]
    Foreign(PathBuf),
    /// The file is damaged.
    #[error(
        "the journal {path:?} is damaged; move the directory away (`sqlite3 journal.db .recover` may save what is in it) and start with an empty one"
    )]
    Damaged {
        /// The database file.
        path: PathBuf,
        /// What the engine said.
        source: rusqlite::Error,
    },
    /// Something else in the file system.
    #[error("the journal's directory {path:?} cannot be opened")]
    Io {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Something else in the engine.
    #[error("the journal {path:?} cannot be opened")]
    Engine {
        /// The database file.
        path: PathBuf,
        /// What the engine said.
        source: rusqlite::Error,
    },
}

/// A journal that is ours.
pub(crate) struct Opened {
    pub(crate) connection: Connection,
    pub(crate) ballast: Ballast,
    pub(crate) room: Room,
    /// Rows of the spool by their applications.
    pub(crate) waiting: Vec<(SmolStr, u64)>,
    pub(crate) wal: PathBuf,
    pub(crate) lock: Lock,
}

/// Takes the directory and opens the journal for writing, creating what is not there.
pub(crate) fn open(settings: &Settings) -> Result<Opened, OpenError> {
    if settings.size_max_bytes < SIZE_MAX_LEAST_BYTES {
        return Err(OpenError::TooSmall { bytes: settings.size_max_bytes });
    }
    let directory = &settings.path;
    let io = |source| io_error(directory, source);
    create_directory(directory)?;
    let lock = Lock::take(directory).map_err(|error| io_error(directory, error))?;
    let lock = lock.ok_or_else(|| OpenError::Locked(directory.to_owned()))?;
    let path = directory.join(DATABASE);
    let is_new = !path.try_exists().map_err(io)?;
    let mut ballast = Ballast::open(directory, settings.ballast_bytes).map_err(io)?;
    if is_new && !ballast.is_aboard() {
        return Err(io(ErrorKind::StorageFull.into()));
    }
    let mut connected = connect(&path, settings);
    if connected.is_err() && ballast.is_aboard() && finds_no_room(directory) {
        // Even opening writes: to the index of the log, and to the log.
        ballast.give_up();
        connected = connect(&path, settings);
    }
    let engine = |source| engine_error(directory, &path, source);
    let connection = connected.map_err(engine)??;
    let waiting = spool::applications(&connection).map_err(engine)?;
    let room = Room::load(&connection, settings).map_err(engine)?;
    // The names of new files are in the directory, which is written like a file.
    File::open(directory).and_then(|d| d.sync_all()).map_err(io)?;
    Ok(Opened { connection, ballast, room, waiting, wal: directory.join("journal.db-wal"), lock })
}

/// Opens a journal for reading, beside its owner or without one.
pub(crate) fn open_to_read(directory: &Path) -> Result<Connection, OpenError> {
    connect_beside(directory, OpenFlags::SQLITE_OPEN_READ_ONLY)
}

/// Opens a journal for removing rows, beside its owner or without one.
pub(crate) fn open_to_remove(directory: &Path) -> Result<Connection, OpenError> {
    connect_beside(directory, OpenFlags::SQLITE_OPEN_READ_WRITE)
}

fn create_directory(directory: &Path) -> Result<(), OpenError> {
    match fs::metadata(directory) {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => return Err(OpenError::NotADirectory(directory.to_owned())),
        Err(error) if error.kind() == ErrorKind::NotFound => {}
        Err(error) => return Err(io_error(directory, error)),
    }
    fs::create_dir(directory).map_err(|error| {
        if error.kind() == ErrorKind::NotFound {
            return OpenError::NoParent(directory.to_owned());
        }
        io_error(directory, error)
    })?;
    // The parent of a single relative name is the working directory.
    let parent = directory.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))
        .and_then(|d| d.sync_all())
        .map_err(|error| io_error(directory, error))
}

/// The inner error is a file that is not ours to write.
fn connect(path: &Path, settings: &Settings) -> rusqlite::Result<Result<Connection, OpenError>> {
    let mut connection = Connection::open_with_flags(
        path,
        OpenFlags::SQLITE_OPEN_READ_WRITE
            | OpenFlags::SQLITE_OPEN_CREATE
            | OpenFlags::SQLITE_OPEN_NO_MUTEX,
    )?;
    connection.busy_timeout(BUSY_TIMEOUT)?;
    // Looked at before anything is set, because setting writes.
    let version = match (schema::look(&connection)?, directory_of(path)) {
        (Found::Empty, _) => 0,
        (Found::Journal(found), path) if found > VERSION => {
            return Ok(Err(OpenError::Newer { path, found }));
        }
        (Found::Journal(found), _) => found,
        (Found::Foreign, _) => return Ok(Err(OpenError::Foreign(path.to_owned()))),
    };
    connection.pragma_update(None, "page_size", PAGE_BYTES as i64)?;
    connection.pragma_update(None, "journal_mode", "wal")?;
    // A commit returns once the log is on the disk.
    connection.pragma_update(None, "synchronous", "full")?;
    connection.pragma_update(None, "journal_size_limit", WAL_KEPT_BYTES)?;
    connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
    // Not kept in the file: it counts for the connection that set it.
    let pages = i64::try_from(settings.size_max_bytes / PAGE_BYTES).unwrap_or(i64::MAX);
    connection.pragma_update(None, "max_page_count", pages)?;
    schema::migrate(&mut connection, version)?;
    Ok(Ok(connection))
}

fn connect_beside(directory: &Path, access: OpenFlags) -> Result<Connection, OpenError> {
    let path = directory.join(DATABASE);
    match fs::metadata(&path) {
        Ok(_) => {}
        Err(error) if error.kind() == ErrorKind::NotFound => {
            return Err(OpenError::NoJournal(directory.to_owned()));
        }
        Err(error) => return Err(io_error(directory, error)),
    }
    let connect = || {
        let connection =
            Connection::open_with_flags(&path, access | OpenFlags::SQLITE_OPEN_NO_MUTEX)?;
        connection.busy_timeout(BUSY_TIMEOUT)?;
        connection.pragma_update(None, "cache_size", -CACHE_KIB)?;
        Ok((schema::look(&connection)?, connection))
    };
    let (found, connection) = connect().map_err(|source| engine_error(directory, &path, source))?;
    match (found, directory.to_owned()) {
        (Found::Journal(VERSION), _) => Ok(connection),
        (Found::Journal(found), path) if found > VERSION => Err(OpenError::Newer { path, found }),
        (Found::Journal(found), path) => Err(OpenError::Older { path, found }),
        (Found::Empty, path) => Err(OpenError::NoJournal(path)),
        (Found::Foreign, _) => Err(OpenError::Foreign(path)),
    }
}

fn directory_of(database: &Path) -> PathBuf {
    database.parent().unwrap_or(database).to_owned()
}

fn io_error(directory: &Path, source: io::Error) -> OpenError {
    use ErrorKind::{NotADirectory, PermissionDenied, ReadOnlyFilesystem};
    let (path, kind) = (directory.to_owned(), source.kind());
    if is_full(&source) {
        OpenError::DiskFull { path, source }
    } else if kind == NotADirectory {
        OpenError::NotADirectory(path)
    } else if matches!(kind, PermissionDenied | ReadOnlyFilesystem) {
        OpenError::NotWritable { path, source }
    } else {
        OpenError::Io { path, source }
    }
}

fn engine_error(directory: &Path, database: &Path, source: rusqlite::Error) -> OpenError {
    use rusqlite::ErrorCode::{DatabaseCorrupt, DiskFull, NotADatabase, ReadOnly};
    let (file, path) = (database.to_owned(), directory.to_owned());
    match source.sqlite_error_code() {
        Some(DatabaseCorrupt | NotADatabase) => OpenError::Damaged { path: file, source },
        Some(ReadOnly) => {
            let source = io::Error::new(ErrorKind::ReadOnlyFilesystem, source);
            OpenError::NotWritable { path, source }
        }
        Some(code) if code == DiskFull || finds_no_room(directory) => {
            OpenError::DiskFull { path, source: io::Error::new(ErrorKind::StorageFull, source) }
        }
        Some(_) | None => OpenError::Engine { path: file, source },
    }
}
