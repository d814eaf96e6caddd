//! One round of each kind of work, on any engine.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use daybook_event_store::{Expected, StreamId};
use futures::future::try_join_all;
use tokio::sync::Barrier;

use crate::contender::Reading;
use crate::engine::{Appends, Engine, Reader, Select, View};
use crate::load::{CATEGORIES, LENGTH, Payloads, Seeds};
use crate::stats::{Sample, Stretch};

/// Who appends how much at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Writers {
    pub(crate) writers: u64,
    /// Events of one append.
    pub(crate) batch: u64,
}

/// Whether a reader has read before what it is to read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Warmth {
    /// No; and nothing is read twice.
    Cold,
    /// All of it.
    Warm,
}

/// Writers that append one after another, each to streams of its own, and expect each time what
/// is there; how many events that made. The number of the round tells this round's streams from
/// those of others.
pub(crate) async fn append<A: Appends>(
    engine: &Arc<A>,
    load: Writers,
    payloads: &Arc<Payloads>,
    (round, time): (usize, Duration),
) -> anyhow::Result<(u64, Sample)> {
    let stretch = Stretch::with(engine.server());
    let write = |writer: u64| {
        let (engine, payloads) = (Arc::clone(engine), Arc::clone(payloads));
        tokio::spawn(async move {
            let (mut times, mut expected) = (Vec::new(), Expected::NoStream);
            for turn in 0_u64.. {
                if turn > 0 && stretch.began.elapsed() >= time {
                    break;
                }
                if turn.is_multiple_of(LENGTH) {
                    expected = Expected::NoStream;
                }
                let id = format!("{round}.{writer}.{}", turn / LENGTH);
                let (stream, events) =
                    (StreamId::new("writer", id)?, payloads.events(turn, load.batch));
                let before = Instant::now();
                let appended = engine.append(&stream, expected, events).await?;
                times.push(before.elapsed());
                expected = Expected::At(appended.revision);
            }
            anyhow::Ok(times)
        })
    };
    let writers = try_join_all((0..load.writers).map(write)).await?;
    let times = writers.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    let events = times.len() as u64 * load.batch;
    Ok((events, stretch.end(events, times)))
}

/// Reads for so long.
pub(crate) async fn read<E: Engine>(
    engine: &Arc<E>,
    reading: Reading,
    seeds: Seeds,
    at: (usize, Duration),
) -> anyhow::Result<Sample> {
    match reading {
        Reading::First => {
            let stretch = Stretch::with(engine.server());
            let names = seeds.names()?;
            expect(&mut engine.reader()?, Select::Stream(&names[0]), LENGTH).await?;
            Ok(stretch.end(1, Vec::new()))
        }
        Reading::All => again_and_again(engine, Select::All, seeds.events(), at.1).await,
        Reading::Category => {
            let streams = (0..seeds.streams).filter(|n| n % CATEGORIES == 3).count() as u64;
            again_and_again(engine, Select::Category("c3"), streams * LENGTH, at.1).await
        }
        Reading::Streams(warmth, readers) => streams(engine, seeds, (warmth, readers), at).await,
    }
}

/// One reader reads the same again and again, the first time to warm up.
async fn again_and_again<E: Engine>(
    engine: &Arc<E>,
    select: Select<'static>,
    length: u64,
    time: Duration,
) -> anyhow::Result<Sample> {
    let (mut reader, server) = (engine.reader()?, engine.server());
    // On a worker of the runtime, as a server's tasks are.
    let reads = tokio::spawn(async move {
        expect(&mut reader, select, length).await?;
        let (stretch, mut reads) = (Stretch::with(server), 0);
        while reads == 0 || stretch.began.elapsed() < time {
            expect(&mut reader, select, length).await?;
            reads += 1;
        }
        anyhow::Ok(stretch.end(reads * length, Vec::new()))
    });
    reads.await?
}

/// Some readers read streams, in no order that the disk knows, each its share of them.
async fn streams<E: Engine>(
    engine: &Arc<E>,
    seeds: Seeds,
    (warmth, readers): (Warmth, usize),
    (round, time): (usize, Duration),
) -> anyhow::Result<Sample> {
    let mut order = seeds.names()?;
    fastrand::Rng::with_seed(round as u64).shuffle(&mut order);
    let ready = Arc::new(Barrier::new(readers + 1));
    let task = |share: &[StreamId]| {
        let (engine, share, ready) = (Arc::clone(engine), share.to_vec(), Arc::clone(&ready));
        tokio::spawn(async move {
            let warmed = warm_up(&*engine, &share, warmth).await;
            ready.wait().await;
            let (mut reader, began, mut times) = (warmed?, Instant::now(), Vec::new());
            let laps = if warmth == Warmth::Cold { 1 } else { usize::MAX };
            for stream in (0..laps).flat_map(|_| &share) {
                let before = Instant::now();
                expect(&mut reader, Select::Stream(stream), LENGTH).await?;
                times.push(before.elapsed());
                if began.elapsed() >= time {
                    break;
                }
            }
            anyhow::Ok(times)
        })
    };
    let tasks: Vec<_> = order.chunks(order.len().div_ceil(readers)).map(task).collect();
    ready.wait().await;
    let stretch = Stretch::with(engine.server());
    let times = try_join_all(tasks).await?.into_iter().collect::<Result<Vec<_>, _>>()?.concat();
    Ok(stretch.end(times.len() as u64, times))
}

/// A reader, which has read all of its share where it is to be warm.
async fn warm_up<E: Engine>(
    engine: &E,
    share: &[StreamId],
    warmth: Warmth,
) -> anyhow::Result<E::Reader> {
    let mut reader = engine.reader()?;
    for stream in share.iter().filter(|_| warmth == Warmth::Warm) {
        expect(&mut reader, Select::Stream(stream), LENGTH).await?;
    }
    Ok(reader)
}

/// Reads so many events, no more and no less, and looks at each.
async fn expect(reader: &mut impl Reader, select: Select<'_>, length: u64) -> anyhow::Result<()> {
    let mut count = 0;
    let look = |view: View<'_>| {
        std::hint::black_box(view);
        count += 1;
    };
    reader.read(select, look).await.with_context(|| format!("cannot read {select:?}"))?;
    ensure!(count == length, "{select:?} has {count} events instead of {length}");
    Ok(())
}
