//! What a candidate must do: one atomic, durable batch at a time, and reads.

use anyhow::Result;
use std::path::Path;

/// The two tables that share one write-ahead log.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Table {
    Objects,
    Messages,
}

pub enum Op {
    Put { table: Table, key: String, value: Vec<u8> },
    Delete { table: Table, key: String },
}

pub type Batch = Vec<Op>;

pub trait Store {
    fn open(dir: &Path) -> Result<Self>
    where
        Self: Sized;

    /// Applies the whole batch or nothing; on return it survives a power cut.
    fn commit(&mut self, batch: &Batch) -> Result<()>;

    fn get(&self, table: Table, key: &str) -> Result<Option<Vec<u8>>>;

    /// All keys of a table, in order.
    fn keys(&self, table: Table) -> Result<Vec<String>>;
}

pub const ENGINES: [&str; 10] = [
    "fjall",
    "fjall-2-workers",
    "fjall-blob",
    "fjall-blob-2-workers",
    "redb",
    "redb-quick",
    "sqlite-rowid",
    "sqlite-without-rowid",
    "floor-append",
    "floor-overwrite",
];

pub fn open(engine: &str, dir: &Path) -> Result<Box<dyn Store>> {
    use crate::stores::{file, fjall, redb, sqlite};
    std::fs::create_dir_all(dir)?;
    Ok(match engine {
        "fjall" => Box::new(fjall::Fjall::<false, 1>::open(dir)?),
        "fjall-blob" => Box::new(fjall::Fjall::<true, 1>::open(dir)?),
        "fjall-2-workers" => Box::new(fjall::Fjall::<false, 2>::open(dir)?),
        "fjall-blob-2-workers" => Box::new(fjall::Fjall::<true, 2>::open(dir)?),
        "redb" => Box::new(redb::Redb::<false>::open(dir)?),
        "redb-quick" => Box::new(redb::Redb::<true>::open(dir)?),
        "sqlite-rowid" => Box::new(sqlite::Sqlite::<false>::open(dir)?),
        "sqlite-without-rowid" => Box::new(sqlite::Sqlite::<true>::open(dir)?),
        "floor-append" => Box::new(file::File::<false>::open(dir)?),
        "floor-overwrite" => Box::new(file::File::<true>::open(dir)?),
        _ => anyhow::bail!("unknown engine {engine}; one of {ENGINES:?}"),
    })
}
