//! A reader beside a writer that changes a file between two of its steps.

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use daybook_event_store::{EmbeddedStore, LockGuard, OpenMode, Vfs, VfsFile};
use daybook_event_store_simulation::Disk;
use futures::executor::block_on;

use crate::given::{DIR, history, holds, open, options};

type Act = Box<dyn FnOnce() + Send>;

/// What happens once, right after a file was measured.
#[derive(Clone, Default)]
struct Meanwhile(Arc<Mutex<Option<Act>>>);

impl Meanwhile {
    fn set(&self, what: impl FnOnce() + Send + 'static) {
        *self.0.lock().unwrap() = Some(Box::new(what));
    }

    fn has_happened(&self) -> bool {
        self.0.lock().unwrap().is_none()
    }
}

impl fmt::Debug for Meanwhile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Meanwhile").field(&self.has_happened()).finish()
    }
}

/// The disk, as the reader has it.
#[derive(Debug)]
struct Shared(Disk, Meanwhile);

#[derive(Debug)]
struct SharedFile(Arc<dyn VfsFile>, Meanwhile);

impl Vfs for Shared {
    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.0.create_dir_all(path)
    }

    fn list(&self, dir: &Path) -> io::Result<Vec<String>> {
        self.0.list(dir)
    }

    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn VfsFile>> {
        Ok(Arc::new(SharedFile(self.0.open(path, mode)?, self.1.clone())))
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.0.rename(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.0.remove(path)
    }

    fn sync_dir(&self, dir: &Path) -> io::Result<()> {
        self.0.sync_dir(dir)
    }

    fn lock(&self, path: &Path) -> io::Result<Box<dyn LockGuard>> {
        self.0.lock(path)
    }

    fn now(&self) -> i64 {
        self.0.now()
    }
}

impl VfsFile for SharedFile {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        self.0.read_at(buffer, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.write_at(bytes, offset)
    }

    fn set_len(&self, length: u64) -> io::Result<()> {
        self.0.set_len(length)
    }

    fn length(&self) -> io::Result<u64> {
        let length = self.0.length();
        let meanwhile = self.1.0.lock().unwrap().take();
        if let Some(meanwhile) = meanwhile {
            meanwhile();
        }
        length
    }

    fn sync(&self) -> io::Result<()> {
        self.0.sync()
    }
}

/// A writer with so many events, and a reader that knows them.
async fn given(count: usize) -> (EmbeddedStore, EmbeddedStore, Meanwhile) {
    let (sim, meanwhile) = (Disk::default(), Meanwhile::default());
    let writer = open(&sim);
    history(&writer, 0..count).await;
    let shared = Arc::new(Shared(sim, meanwhile.clone()));
    let reader = EmbeddedStore::open_read_only_with(shared, DIR, &options()).unwrap();
    (writer, reader, meanwhile)
}

#[tokio::test]
async fn the_end_of_a_segment_is_cut_off_while_it_is_read() {
    for count in 1..30 {
        let (writer, reader, meanwhile) = given(count).await;
        // Segments are closed, and what was prepared after their events is cut off.
        meanwhile.set(move || block_on(history(&writer, count..count + 60)));

        reader.refresh().unwrap();

        assert!(meanwhile.has_happened());
        reader.refresh().unwrap();
        holds(&reader, count + 60).await;
    }
}
