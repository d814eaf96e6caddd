use std::io;
use std::sync::Arc;

use super::table::TableReader;
use super::writer::RunWriter;
use super::{Run, TABLES};
use crate::embedded::open::Folder;
use crate::planted::{self, Bug};

/// Entries written by one step.
const STEP: usize = 1 << 16;

/// Neighbouring runs becoming one, a piece at a time. It holds a few entries of each, and what
/// stays in memory of the new one.
#[derive(Debug)]
pub(crate) struct Merge {
    inputs: Vec<Arc<Run>>,
    writer: RunWriter,
    table: usize,
    readers: Vec<TableReader>,
}

impl Merge {
    /// Begins to merge runs, of which each begins where the one before it ends.
    pub(crate) fn new(folder: &Folder, inputs: Vec<Arc<Run>>) -> io::Result<Self> {
        let (first, end) = (inputs.first(), inputs.last());
        let start = first.map_or(0, |run| run.positions.start);
        let positions = start..end.map_or(start, |run| run.positions.end);
        let parts = inputs.iter().flat_map(|run| run.parts.iter().copied()).collect();
        let writer = RunWriter::new(folder, positions, parts)?;
        let mut merge = Self { inputs, writer, table: 0, readers: Vec::new() };
        merge.begin_table();
        Ok(merge)
    }

    /// What becomes one.
    pub(crate) fn inputs(&self) -> &[Arc<Run>] {
        &self.inputs
    }

    fn begin_table(&mut self) {
        let keys = self.inputs.iter().map(|run| run.tables[self.table].keys).sum();
        self.writer.begin_table(self.table, keys);
        self.readers = self.inputs.iter().map(|_| TableReader::default()).collect();
    }

    /// Does a piece of it; whether there is nothing left but to [`finish`](Self::finish).
    pub(crate) fn step(&mut self) -> io::Result<bool> {
        for _ in 0..STEP {
            let mut least = None;
            for (run, reader) in self.inputs.iter().zip(&mut self.readers) {
                let next = reader.peek(&run.tables[self.table], &run.blocks)?;
                if let Some(entry) = next
                    && least.as_ref().is_none_or(|(least, _)| entry < *least)
                {
                    least = Some((entry, reader));
                }
            }
            if let Some((entry, reader)) = least {
                reader.pass();
                if !planted::is(Bug::MergeLosesEntries) || entry % 3 != 0 {
                    self.writer.push(entry)?;
                }
                continue;
            }
            self.writer.end_table()?;
            self.table += 1;
            if self.table == TABLES {
                return Ok(true);
            }
            self.begin_table();
        }
        Ok(false)
    }

    /// Makes the merged run durable and opens it.
    pub(crate) fn finish(self, folder: &Folder) -> io::Result<Run> {
        self.writer.finish(folder)
    }
}
