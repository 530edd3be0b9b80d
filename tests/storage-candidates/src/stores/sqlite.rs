use crate::store::{Batch, Op, Store, Table};
use anyhow::Result;
use rusqlite::{Connection, OptionalExtension};
use std::path::Path;

/// `WITHOUT_ROWID`: objects sit in the primary key's tree, as messages always do.
pub struct Sqlite<const WITHOUT_ROWID: bool> {
    db: Connection,
}

fn name(table: Table) -> &'static str {
    match table {
        Table::Objects => "objects",
        Table::Messages => "messages",
    }
}

impl<const WITHOUT_ROWID: bool> Store for Sqlite<WITHOUT_ROWID> {
    fn open(dir: &Path) -> Result<Self> {
        let db = Connection::open(dir.join("store.sqlite"))?;
        let objects = if WITHOUT_ROWID { "WITHOUT ROWID" } else { "" };
        db.execute_batch(&format!(
            "PRAGMA page_size = 4096;
             PRAGMA locking_mode = EXCLUSIVE;
             PRAGMA journal_mode = WAL;
             PRAGMA synchronous = FULL;
             PRAGMA cache_size = -8192;
             PRAGMA wal_autocheckpoint = 2000;
             CREATE TABLE IF NOT EXISTS objects (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) {objects};
             CREATE TABLE IF NOT EXISTS messages (key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID;"
        ))?;
        Ok(Self { db })
    }

    fn commit(&mut self, batch: &Batch) -> Result<()> {
        let write = self.db.transaction()?;
        {
            let put = |table| {
                write.prepare_cached(&format!(
                    "INSERT INTO {0} (key, value) VALUES (?1, ?2)
                     ON CONFLICT (key) DO UPDATE SET value = excluded.value",
                    name(table)
                ))
            };
            let delete = |table| write.prepare_cached(&format!("DELETE FROM {} WHERE key = ?1", name(table)));
            let mut puts = [put(Table::Objects)?, put(Table::Messages)?];
            let mut deletes = [delete(Table::Objects)?, delete(Table::Messages)?];
            for op in batch {
                match op {
                    Op::Put { table, key, value } => puts[*table as usize].execute((key, value))?,
                    Op::Delete { table, key } => deletes[*table as usize].execute([key])?,
                };
            }
        }
        Ok(write.commit()?)
    }

    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        let sql = format!("SELECT value FROM {} WHERE key = ?1", name(table));
        Ok(self.db.prepare_cached(&sql)?.query_row([key], |row| row.get(0)).optional()?)
    }

    fn keys(&self, table: Table) -> Result<Vec<String>> {
        let sql = format!("SELECT key FROM {} ORDER BY key", name(table));
        let mut statement = self.db.prepare(&sql)?;
        let keys = statement.query_map([], |row| row.get(0))?.collect::<Result<_, _>>()?;
        Ok(keys)
    }
}
