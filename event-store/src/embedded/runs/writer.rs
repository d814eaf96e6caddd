use std::io;
use std::ops::Range;

use super::table::{Entry, TableWriter};
use super::{MAGIC, POSITION_BITS, Run, RunPart, VERSION, WIDTHS, id_entry, list_entry, seed};
use crate::embedded::index::{BlockWriter, key};
use crate::embedded::layout::{self, Draft};
use crate::embedded::open::Folder;

/// Writes a run's file from front to back: its tables, its parts, its trailer.
#[derive(Debug)]
pub(super) struct RunWriter {
    draft: Draft,
    positions: Range<u64>,
    parts: Vec<RunPart>,
    blocks: BlockWriter,
    table: Option<TableWriter>,
    summaries: Vec<u8>,
}

impl RunWriter {
    pub(super) fn new(
        folder: &Folder,
        positions: Range<u64>,
        parts: Vec<RunPart>,
    ) -> io::Result<Self> {
        let (draft, file) = Draft::create(folder, layout::run(&positions))?;
        let blocks = BlockWriter::new(file, seed(&positions));
        Ok(Self { draft, positions, parts, blocks, table: None, summaries: Vec::new() })
    }

    /// Begins a table, of at most so many different keys.
    pub(super) fn begin_table(&mut self, table: usize, keys: u64) {
        self.table = Some(TableWriter::new(&self.blocks, WIDTHS[table], keys));
    }

    pub(super) fn push(&mut self, entry: Entry) -> io::Result<()> {
        self.table.as_mut().map_or(Ok(()), |table| table.push(&mut self.blocks, entry))
    }

    pub(super) fn end_table(&mut self) -> io::Result<()> {
        if let Some(table) = self.table.take() {
            self.summaries.extend(table.finish(&mut self.blocks)?);
        }
        Ok(())
    }

    /// Makes the run durable and opens it.
    pub(super) fn finish(mut self, folder: &Folder) -> io::Result<Run> {
        for part in &self.parts {
            self.blocks.push(&part.first.to_le_bytes())?;
            self.blocks.push(&part.digest.to_le_bytes())?;
        }
        let Range { start, end } = self.positions;
        let numbers = [VERSION, start, end, self.parts.len() as u64];
        let numbers = numbers.into_iter().flat_map(u64::to_le_bytes).collect::<Vec<_>>();
        self.blocks.push(&[&self.summaries, &MAGIC[..], &numbers].concat())?;
        self.blocks.finish()?;
        self.draft.publish()?;
        Ok(Run::open(folder, self.positions)?)
    }
}

/// Writes the run of one segment: of the hashes of its events, which have these positions, and of
/// the keys of its lists and where their entries are.
pub(crate) fn write_segment(
    folder: &Folder,
    positions: Range<u64>,
    digest: u64,
    hashes: impl Iterator<Item = (u64, u32)>,
    lists: &[(u64, u32)],
) -> io::Result<Run> {
    let first = positions.start;
    if positions.end >= 1 << POSITION_BITS {
        return Err(io::Error::other("a store holds less than 2^40 events"));
    }
    let id = |(hash, number)| id_entry(key(hash), first + u64::from(number));
    let lists = lists.iter().map(|(key, at)| list_entry(*key, first, *at)).collect();
    let mut writer = RunWriter::new(folder, positions, vec![RunPart { first, digest }])?;
    for (table, mut entries) in [hashes.map(id).collect::<Vec<_>>(), lists].into_iter().enumerate()
    {
        entries.sort_unstable();
        writer.begin_table(table, entries.len() as u64);
        entries.into_iter().try_for_each(|entry| writer.push(entry))?;
        writer.end_table()?;
    }
    writer.finish(folder)
}
