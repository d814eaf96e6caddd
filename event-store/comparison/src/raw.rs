//! The disk alone with the same writers: what group commit could reach at most.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;

use daybook_event_store::{
    AppendError, Appended, Expected, NewEvent, Position, Revision, StreamId,
};

use crate::engine::Appends;
use crate::group::{Commit, Group, Request};

/// Bytes of the engine's frame around a group.
const FRAME: usize = 24;
/// Bytes of the engine's record around an event.
const RECORD: usize = 48;

/// A file that as many bytes are written to as the engine would write for the same appends, with
/// one sync for each group. It checks nothing, keeps no order and can be read by nobody.
#[derive(Debug)]
pub struct Raw(Group);

impl Raw {
    /// Makes the file in a folder.
    pub fn open(dir: &Path) -> anyhow::Result<Self> {
        std::fs::create_dir_all(dir)?;
        let file = File::create(dir.join("raw"))?;
        Ok(Self(Group::start("raw", Bytes { file, offset: 0, buffer: Vec::new(), events: 0 })?))
    }
}

impl Appends for Raw {
    async fn append(
        &self,
        stream: &StreamId,
        expected: Expected,
        events: Vec<NewEvent>,
    ) -> Result<Appended, AppendError> {
        self.0.append(stream, expected, events).await
    }
}

struct Bytes {
    file: File,
    offset: u64,
    buffer: Vec<u8>,
    events: u64,
}

impl Commit for Bytes {
    fn commit(&mut self, group: &[Request]) -> anyhow::Result<Vec<Result<Appended, AppendError>>> {
        self.buffer.clear();
        self.buffer.resize(FRAME, 0);
        let mut answers = Vec::with_capacity(group.len());
        for Request { stream, events, .. } in group {
            for event in events {
                self.buffer.extend([0; RECORD]);
                self.buffer.extend(stream.as_str().as_bytes());
                self.buffer.extend(event.kind.as_bytes());
                self.buffer.extend(&event.metadata);
                self.buffer.extend(&event.data);
                self.events += 1;
            }
            let place = self.events - 1;
            answers.push(Ok(Appended { revision: Revision(place), position: Position(place) }));
        }
        self.buffer.resize(self.buffer.len().next_multiple_of(8), 0);
        self.file.write_all_at(&self.buffer, self.offset)?;
        self.file.sync_data()?;
        self.offset += self.buffer.len() as u64;
        Ok(answers)
    }
}
