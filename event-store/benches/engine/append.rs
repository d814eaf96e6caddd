use std::fs::File;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::time::Instant;

use daybook_event_store::{EventStore, Expected, StreamId};

use super::measured::{Measured, Rate, probe, run_time};
use super::{events, open};

/// Where a segment's first frame begins, and what a frame has before and after its records, by
/// the format's document.
const FIRST_FRAME: usize = 32;
const FRAME_HEADER: usize = 24;
const ALIGNMENT: usize = 8;

/// Appends by so many writers in batches of so many events, and what the disk does with the very
/// same frames.
pub(crate) async fn all(dir: &Path) {
    for (writers, batch) in [(1, 1), (8, 1), (64, 1), (1, 100), (8, 100)] {
        let dir = dir.join(format!("append-{writers}-{batch}"));
        let engine = append(&dir, writers, batch).await;
        let raw = raw_loop(&dir, engine.1);
        println!("  {:.2} of the raw loop", engine.0.rate / raw.rate);
        if (writers, batch) == (1, 1) {
            println!("  {:.2} of the probe", engine.0.rate / probe(&dir).rate);
        }
        std::fs::remove_dir_all(dir).unwrap();
    }
}

/// So many writers, each with streams of its own.
async fn append(dir: &Path, writers: usize, batch: usize) -> (Rate, usize) {
    let store = open(dir, 1 << 20);
    let run = Measured::start();
    let start = run.start;
    let write = |writer: usize| {
        let store = store.clone();
        async move {
            let mut times = Vec::new();
            while start.elapsed() < run_time() {
                let stream = StreamId::new("bench", writer * 1_000_000 + times.len() / 50).unwrap();
                let (events, before) = (events(batch), Instant::now());
                store.append(&stream, Expected::Any, events).await.unwrap();
                times.push(before.elapsed());
            }
            times
        }
    };
    let writers: Vec<_> = (0..writers).map(|writer| tokio::spawn(write(writer))).collect();
    let (mut times, number) = (Vec::new(), writers.len());
    for writer in writers {
        times.extend(writer.await.unwrap());
    }
    times.sort_unstable();
    let (count, median) = (times.len() * batch, times[times.len() / 2]);
    let what = format!("append, {number} writers, batches of {batch}, median {median:?}");
    let rate = run.report(&what, count);
    store.close();
    (rate, count)
}

/// Writes and syncs the frames that the engine wrote, the same bytes one frame after another, as
/// one thread can that does nothing else.
fn raw_loop(dir: &Path, events: usize) -> Rate {
    let segments = segments(dir);
    let frames: Vec<Vec<&[u8]>> = segments.iter().map(|bytes| frames(bytes)).collect();
    let count: usize = frames.iter().map(Vec::len).sum();
    let (run, mut times) = (Measured::start(), Vec::with_capacity(count));
    for (n, frames) in frames.iter().enumerate() {
        let file = File::create(dir.join(format!("raw-{n}"))).unwrap();
        file.write_all_at(&[7; FIRST_FRAME], 0).unwrap();
        file.sync_data().unwrap();
        let mut offset = FIRST_FRAME as u64;
        for frame in frames {
            let before = Instant::now();
            file.write_all_at(frame, offset).unwrap();
            file.sync_data().unwrap();
            times.push(before.elapsed());
            offset += frame.len() as u64;
        }
    }
    times.sort_unstable();
    let median = times[times.len() / 2];
    run.report(&format!("  raw loop over its {count} frames, median {median:?}, events"), events)
}

fn segments(dir: &Path) -> Vec<Vec<u8>> {
    let mut paths: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "log"));
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// A segment's frames, without the empty one that closed the store.
fn frames(segment: &[u8]) -> Vec<&[u8]> {
    let (mut frames, mut rest) = (Vec::new(), &segment[FIRST_FRAME..]);
    // After the last one there may be zeros that were prepared.
    while rest.first().is_some_and(|&byte| byte != 0) {
        let body = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (frame, after) = rest.split_at((FRAME_HEADER + body).next_multiple_of(ALIGNMENT));
        frames.extend((body > 0).then_some(frame));
        rest = after;
    }
    frames
}
