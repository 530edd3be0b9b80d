use crate::store::{Batch, Op, Store, Table};
use anyhow::Result;
use fjall::{CompressionType, Database, Keyspace, KeyspaceCreateOptions, KvSeparationOptions, PersistMode};
use std::path::Path;

/// `BLOB`: objects of 1 KiB and more live in blob files, out of the tree.
/// `WORKERS`: threads that flush and compact.
pub struct Fjall<const BLOB: bool, const WORKERS: usize> {
    db: Database,
    objects: Keyspace,
    messages: Keyspace,
}

impl<const BLOB: bool, const WORKERS: usize> Fjall<BLOB, WORKERS> {
    fn keyspace(&self, table: Table) -> &Keyspace {
        match table {
            Table::Objects => &self.objects,
            Table::Messages => &self.messages,
        }
    }
}

impl<const BLOB: bool, const WORKERS: usize> Store for Fjall<BLOB, WORKERS> {
    fn open(dir: &Path) -> Result<Self> {
        let db = Database::builder(dir)
            .cache_size(4 << 20)
            .worker_threads(WORKERS)
            .max_journaling_size(64 << 20)
            .journal_compression(CompressionType::None)
            .open()?;
        let options = || KeyspaceCreateOptions::default().max_memtable_size(3 << 20);
        let objects = db.keyspace("objects", || {
            options().with_kv_separation(BLOB.then(|| {
                KvSeparationOptions::default().separation_threshold(1 << 10).file_target_size(16 << 20)
            }))
        })?;
        let messages = db.keyspace("messages", || options().max_memtable_size(2 << 20))?;
        Ok(Self { db, objects, messages })
    }

    fn commit(&mut self, batch: &Batch) -> Result<()> {
        let mut write = fjall::OwnedWriteBatch::with_capacity(self.db.clone(), batch.len())
            .durability(Some(PersistMode::SyncData));
        for op in batch {
            match op {
                Op::Put { table, key, value } => {
                    write.insert(self.keyspace(*table), key.as_str(), value.as_slice())
                }
                Op::Delete { table, key } => write.remove(self.keyspace(*table), key.as_str()),
            }
        }
        Ok(write.commit()?)
    }

    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        Ok(self.keyspace(table).get(key)?.map(|value| value.to_vec()))
    }

    fn keys(&self, table: Table) -> Result<Vec<String>> {
        let mut keys = Vec::new();
        for entry in self.keyspace(table).iter() {
            keys.push(String::from_utf8(entry.key()?.to_vec())?);
        }
        Ok(keys)
    }
}
