//! The floor: the bytes of a batch in one write, then fdatasync. No reads.

use crate::store::{Batch, Op, Store, Table};
use anyhow::Result;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;

const PREALLOCATED: u64 = 64 << 20;

/// `OVERWRITE`: the file is filled with zeros first and reused from its start,
/// so that a sync carries no change of the file's metadata.
pub struct File<const OVERWRITE: bool> {
    file: std::fs::File,
    at: u64,
}

impl<const OVERWRITE: bool> Store for File<OVERWRITE> {
    fn open(dir: &Path) -> Result<Self> {
        let mut file = std::fs::File::create(dir.join("log"))?;
        if OVERWRITE {
            let zeros = vec![0; 1 << 20];
            for _ in 0..PREALLOCATED >> 20 {
                file.write_all(&zeros)?;
            }
            file.seek(SeekFrom::Start(0))?;
        }
        file.sync_all()?;
        Ok(Self { file, at: 0 })
    }

    fn commit(&mut self, batch: &Batch) -> Result<()> {
        let mut bytes = Vec::new();
        for op in batch {
            match op {
                Op::Put { key, value, .. } => {
                    bytes.extend_from_slice(key.as_bytes());
                    bytes.extend_from_slice(value);
                }
                Op::Delete { key, .. } => bytes.extend_from_slice(key.as_bytes()),
            }
        }
        if OVERWRITE && self.at + bytes.len() as u64 > PREALLOCATED {
            self.file.seek(SeekFrom::Start(0))?;
            self.at = 0;
        }
        self.file.write_all(&bytes)?;
        self.at += bytes.len() as u64;
        Ok(self.file.sync_data()?)
    }

    fn get(&self, _: Table, _: &str) -> Result<Option<Vec<u8>>> {
        Ok(None)
    }

    fn keys(&self, _: Table) -> Result<Vec<String>> {
        Ok(Vec::new())
    }
}
