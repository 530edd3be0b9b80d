use crate::store::{Batch, Op, Store, Table};
use anyhow::Result;
use redb::{Builder, Database, Durability, ReadableDatabase, ReadableTable, TableDefinition};
use std::path::Path;

const OBJECTS: TableDefinition<&str, &[u8]> = TableDefinition::new("objects");
const MESSAGES: TableDefinition<&str, &[u8]> = TableDefinition::new("messages");

/// `QUICK`: the allocator's state is saved with each commit, so that opening
/// after a crash walks no tree.
pub struct Redb<const QUICK: bool> {
    db: Database,
}

fn definition(table: Table) -> TableDefinition<'static, &'static str, &'static [u8]> {
    match table {
        Table::Objects => OBJECTS,
        Table::Messages => MESSAGES,
    }
}

impl<const QUICK: bool> Store for Redb<QUICK> {
    fn open(dir: &Path) -> Result<Self> {
        let db = Builder::new().set_cache_size(8 << 20).create(dir.join("store.redb"))?;
        let setup = db.begin_write()?;
        setup.open_table(OBJECTS)?;
        setup.open_table(MESSAGES)?;
        setup.commit()?;
        Ok(Self { db })
    }

    fn commit(&mut self, batch: &Batch) -> Result<()> {
        let mut write = self.db.begin_write()?;
        write.set_durability(Durability::Immediate)?;
        write.set_quick_repair(QUICK);
        {
            let mut objects = write.open_table(OBJECTS)?;
            let mut messages = write.open_table(MESSAGES)?;
            for op in batch {
                match op {
                    Op::Put { table: Table::Objects, key, value } => {
                        objects.insert(key.as_str(), value.as_slice())?;
                    }
                    Op::Put { table: Table::Messages, key, value } => {
                        messages.insert(key.as_str(), value.as_slice())?;
                    }
                    Op::Delete { table: Table::Objects, key } => {
                        objects.remove(key.as_str())?;
                    }
                    Op::Delete { table: Table::Messages, key } => {
                        messages.remove(key.as_str())?;
                    }
                }
            }
        }
        Ok(write.commit()?)
    }

    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>> {
        let read = self.db.begin_read()?.open_table(definition(table))?;
        let value = read.get(key)?.map(|value| value.value().to_vec());
        Ok(value)
    }

    fn keys(&self, table: Table) -> Result<Vec<String>> {
        let read = self.db.begin_read()?.open_table(definition(table))?;
        let mut keys = Vec::new();
        for entry in read.iter()? {
            keys.push(entry?.0.value().to_owned());
        }
        Ok(keys)
    }
}
