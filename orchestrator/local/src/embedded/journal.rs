//! The storage crate, and nothing else of it anywhere: SQLite with a write-ahead log.
//!
//! What holds: [`Journal::apply`] writes a batch whole or not at all, and when it returns `Ok` the batch survives a
//! power cut (`synchronous = FULL`). [`Reader`] reads at any time without waiting for a write.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use millrace_core::Timestamp;
use millrace_engine::ports::QueueName;
use rusqlite::{Connection, ErrorCode, OptionalExtension as _, Row, params};

use super::batch::{Batch, MessageChange, Object};
use super::error::OpenError;
use super::private;
use crate::state::Message;

/// The layout below. A change of it is a new number and a migration.
const FORMAT: u32 = 1;
const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS object (
        key TEXT PRIMARY KEY NOT NULL, version INTEGER NOT NULL, written_at INTEGER NOT NULL, body BLOB NOT NULL);
    CREATE TABLE IF NOT EXISTS message (
        seq INTEGER PRIMARY KEY NOT NULL, id INTEGER NOT NULL, queue TEXT NOT NULL, sent_at INTEGER NOT NULL,
        arrived_at INTEGER NOT NULL, visible_at INTEGER NOT NULL, receive_count INTEGER NOT NULL, error TEXT,
        body TEXT NOT NULL);
    CREATE TABLE IF NOT EXISTS opening (one INTEGER PRIMARY KEY NOT NULL, count INTEGER NOT NULL);";
const PUT_OBJECT: &str = "
    INSERT INTO object (key, version, written_at, body) VALUES (?1, ?2, ?3, ?4) ON CONFLICT (key) DO UPDATE
    SET version = excluded.version, written_at = excluded.written_at, body = excluded.body";
const PUT_MESSAGE: &str = "
    INSERT OR REPLACE INTO message (seq, id, queue, sent_at, arrived_at, visible_at, receive_count, error, body)
    VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
const MOVE_MESSAGE: &str = "
    UPDATE message SET queue = ?2, arrived_at = ?3, visible_at = ?4, receive_count = ?5, error = ?6 WHERE seq = ?1";

/// Why a read or a write did not work, as the storage says it.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct JournalError(String);

impl From<rusqlite::Error> for JournalError {
    fn from(error: rusqlite::Error) -> Self {
        match error.sqlite_error_code() {
            Some(ErrorCode::DiskFull) => Self("the disk is full".into()),
            _ => Self(error.to_string()),
        }
    }
}

type Result<T> = std::result::Result<T, JournalError>;

/// Writes batches. Owned by the writer thread.
pub(super) struct Journal {
    file: PathBuf,
    write: Option<Connection>,
}

impl Journal {
    /// Opens or creates the storage, and counts the opening: sequence numbers of different openings never meet.
    pub(super) fn open(dir: &Path) -> std::result::Result<(Self, Reader, u64), OpenError> {
        let file = dir.join("store.sqlite");
        // SQLite gives its log and its index the mode that the file has.
        private::open(&file).map_err(|source| OpenError::NotWritable { dir: dir.to_owned(), source })?;
        let failed = |error| open_error(dir, error);
        let write = connect(&file, 4).map_err(failed)?;
        let found: u32 = write.query_row("PRAGMA user_version", [], |row| row.get(0)).map_err(failed)?;
        if found > FORMAT {
            return Err(OpenError::Newer { dir: dir.to_owned(), found, known: FORMAT });
        }
        write.execute_batch(SCHEMA).map_err(failed)?;
        write.pragma_update(None, "user_version", FORMAT).map_err(failed)?;
        let count = "INSERT INTO opening (one, count) VALUES (1, 1) ON CONFLICT (one) DO UPDATE
                     SET count = count + 1 RETURNING count";
        let opening: i64 = write.query_row(count, [], |row| row.get(0)).map_err(failed)?;
        let reader = Reader { read: Mutex::new(connect(&file, 2).map_err(failed)?) };
        Ok((Self { file, write: Some(write) }, reader, opening.unsigned_abs()))
    }

    /// Writes the whole batch or nothing. After an error the storage is opened anew.
    pub(super) fn apply(&mut self, batch: &Batch) -> Result<()> {
        let mut write = match self.write.take() {
            Some(write) => write,
            None => connect(&self.file, 4)?,
        };
        write_batch(&mut write, batch)?;
        self.write = Some(write);
        Ok(())
    }
}

fn connect(file: &Path, cache_mib: i64) -> rusqlite::Result<Connection> {
    let connection = Connection::open(file)?;
    connection.busy_timeout(Duration::from_secs(5))?;
    connection.execute_batch(&format!(
        "PRAGMA page_size = 4096; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA temp_store = MEMORY;
         PRAGMA wal_autocheckpoint = 2000; PRAGMA journal_size_limit = 16777216;
         PRAGMA cache_size = -{}",
        cache_mib * 1024
    ))?;
    Ok(connection)
}

fn open_error(dir: &Path, error: rusqlite::Error) -> OpenError {
    let dir = dir.to_owned();
    match error.sqlite_error_code() {
        Some(ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase) => {
            OpenError::Corrupt { dir, reason: error.to_string() }
        }
        Some(ErrorCode::ReadOnly | ErrorCode::PermissionDenied) => {
            OpenError::NotWritable { dir, source: std::io::Error::other(error.to_string()) }
        }
        _ => OpenError::Storage { dir, reason: JournalError::from(error).to_string() },
    }
}

fn write_batch(connection: &mut Connection, batch: &Batch) -> Result<()> {
    let write = connection.transaction()?;
    {
        let mut put = write.prepare_cached(PUT_OBJECT)?;
        let mut delete = write.prepare_cached("DELETE FROM object WHERE key = ?1")?;
        for (key, object) in &batch.objects {
            match object {
                Some(object) => {
                    let written_at = object.written_at.as_millis();
                    put.execute(params![&**key, number(object.version), written_at, &object.body[..]])?;
                }
                None => _ = delete.execute([&**key])?,
            }
        }
        let mut put = write.prepare_cached(PUT_MESSAGE)?;
        let mut relocate = write.prepare_cached(MOVE_MESSAGE)?;
        let mut receive = write.prepare_cached("UPDATE message SET receive_count = ?2 WHERE seq = ?1")?;
        let mut remove = write.prepare_cached("DELETE FROM message WHERE seq = ?1")?;
        for (seq, change) in &batch.messages {
            let seq = number(*seq);
            match change {
                MessageChange::Put(queue, message) => put.execute(params![
                    seq,
                    number(message.id),
                    queue.as_str(),
                    message.sent_at.as_millis(),
                    message.arrived_at.as_millis(),
                    message.visible_at.as_millis(),
                    message.receive_count,
                    message.error.as_deref(),
                    message.body.as_deref().unwrap_or_default(),
                ])?,
                MessageChange::Moved(queue, message) => relocate.execute(params![
                    seq,
                    queue.as_str(),
                    message.arrived_at.as_millis(),
                    message.visible_at.as_millis(),
                    message.receive_count,
                    message.error.as_deref(),
                ])?,
                MessageChange::Received(count) => receive.execute(params![seq, count])?,
                MessageChange::Removed => remove.execute([seq])?,
            };
        }
    }
    Ok(write.commit()?)
}

/// Reads what has been written. Shared by all callers, one at a time.
pub(super) struct Reader {
    read: Mutex<Connection>,
}

impl Reader {
    pub(super) fn object(&self, key: &str) -> Result<Option<Object>> {
        let read = self.lock();
        let mut select =
            read.prepare_cached("SELECT version, written_at, body FROM object WHERE key = ?1")?;
        let object = |row: &Row<'_>| {
            let written_at = Timestamp::from_millis(row.get(1)?);
            Ok(Object { version: unsigned(row.get(0)?), written_at, body: row.get::<_, Vec<u8>>(2)?.into() })
        };
        Ok(select.query_row([key], object).optional()?)
    }

    pub(super) fn version(&self, key: &str) -> Result<Option<u64>> {
        let read = self.lock();
        let mut select = read.prepare_cached("SELECT version FROM object WHERE key = ?1")?;
        Ok(select.query_row([key], |row| row.get(0)).optional()?.map(unsigned))
    }

    /// Up to `limit` keys from `start` on and before `before`, in order; only those that begin with `prefix`.
    pub(super) fn keys(
        &self,
        prefix: &str,
        start: &str,
        before: Option<&str>,
        limit: usize,
    ) -> Result<Vec<String>> {
        let read = self.lock();
        let mut select =
            read.prepare_cached("SELECT key FROM object WHERE key >= ?1 ORDER BY key LIMIT ?2")?;
        let mut rows = select.query(params![start, i64::try_from(limit).unwrap_or(i64::MAX)])?;
        let mut keys = Vec::new();
        while let Some(row) = rows.next()? {
            let key: String = row.get(0)?;
            if !key.starts_with(prefix) || before.is_some_and(|before| key.as_str() >= before) {
                break;
            }
            keys.push(key);
        }
        Ok(keys)
    }

    pub(super) fn body(&self, seq: u64) -> Result<Option<String>> {
        let read = self.lock();
        let mut select = read.prepare_cached("SELECT body FROM message WHERE seq = ?1")?;
        Ok(select.query_row([number(seq)], |row| row.get(0)).optional()?)
    }

    /// Visits every message in order. The bodies of the first `bodies_bytes` are read, the others stay on disk.
    pub(super) fn messages(
        &self,
        mut bodies_bytes: usize,
        mut visit: impl FnMut(QueueName, u64, Message),
    ) -> Result<()> {
        let read = self.lock();
        let mut select = read.prepare(
            "SELECT seq, id, queue, sent_at, arrived_at, visible_at, receive_count, error, octet_length(body), body
             FROM message ORDER BY seq",
        )?;
        let mut rows = select.query([])?;
        while let Some(row) = rows.next()? {
            let size = usize::try_from(row.get::<_, i64>(8)?).unwrap_or(usize::MAX);
            let fits = size <= bodies_bytes;
            bodies_bytes = bodies_bytes.saturating_sub(size);
            let queue = QueueName::from(row.get_ref(2)?.as_str().map_err(rusqlite::Error::from)?);
            visit(queue, unsigned(row.get(0)?), message(row, size, fits)?);
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Connection> {
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn message(row: &Row<'_>, size_bytes: usize, with_body: bool) -> rusqlite::Result<Message> {
    let body = if with_body { Some(row.get_ref(9)?.as_str()?.into()) } else { None };
    Ok(Message {
        id: unsigned(row.get(1)?),
        body,
        size_bytes,
        error: row.get::<_, Option<String>>(7)?.map(Into::into),
        sent_at: Timestamp::from_millis(row.get(3)?),
        arrived_at: Timestamp::from_millis(row.get(4)?),
        visible_at: Timestamp::from_millis(row.get(5)?),
        receive_count: row.get(6)?,
        held_by: None,
    })
}

/// SQLite's integers are signed; sequence numbers stay below 2^63.
fn number(n: u64) -> i64 {
    n.cast_signed()
}

fn unsigned(n: i64) -> u64 {
    n.cast_unsigned()
}
