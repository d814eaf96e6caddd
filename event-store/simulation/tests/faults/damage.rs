use std::path::Path;
use std::sync::Arc;

use daybook_event_store::{
    AppendError, Direction, EmbeddedOptions, EmbeddedStore, EventStore, Expected, Filter,
    OpenError, ReadError, Revision,
};
use futures::TryStreamExt;

use crate::given::{DIR, event, history, holds, open, stream, try_open, written};
use daybook_event_store_simulation::Disk;

/// A closed store of so many events.
async fn closed(count: usize) -> Disk {
    let sim = Disk::default();
    history(&open(&sim), 0..count).await;
    sim
}

fn flip(sim: &Disk, path: &Path, bit: usize) -> Disk {
    let copy = sim.copy();
    let mut bytes = copy.contents(path);
    bytes[bit / 8] ^= 1 << (bit % 8);
    copy.overwrite(path, bytes);
    copy
}

async fn read_everything(store: &EmbeddedStore) -> Result<usize, ReadError> {
    let mut count = 0;
    for n in 0..3 {
        let events = store.read(&stream(n), Revision::START, Direction::Forward);
        count += events.try_collect::<Vec<_>>().await?.len();
    }
    let all: Vec<_> = store.read_all(None, Filter::all()).try_collect().await?;
    assert_eq!(all.len(), count);
    Ok(count)
}

#[tokio::test]
async fn every_flipped_bit_of_the_last_segment_is_reported() {
    let sim = closed(6).await;
    let segment = &sim.files("log")[0];
    let bits = sim.contents(segment).len() * 8;
    assert_eq!(sim.files("log").len(), 1);
    // The last frame only says that the store was closed.
    let last_frame = bits - 24 * 8;

    for bit in 0..bits {
        match try_open(&flip(&sim, segment, bit)) {
            Err(OpenError::Damaged { segment: reported, offset, .. }) => {
                assert_eq!(&reported, segment);
                let at = (bit / 8) as u64;
                assert!(offset <= at && at - offset < 500, "byte {at} reported at {offset}");
            }
            Ok(store) if bit >= last_frame => holds(&store, 6).await,
            other => panic!("bit {bit} gave {other:?}"),
        }
    }
}

#[tokio::test]
async fn every_flipped_bit_of_a_record_in_a_sealed_segment_is_reported() {
    let sim = closed(40).await;
    let segment = &sim.files("log")[1];
    let bytes = sim.contents(segment).len();

    let mut reported = 0;
    for byte in 0..bytes {
        match try_open(&flip(&sim, segment, byte * 8 + byte % 8)) {
            Err(error) => {
                assert!(byte < 32, "byte {byte}: {error}");
                reported += 1;
            }
            Ok(store) => match read_everything(&store).await {
                Err(ReadError::Damaged { place, .. }) => {
                    let name = segment.file_name().unwrap().to_str().unwrap();
                    assert!(place.starts_with(name), "{place}");
                    reported += 1;
                }
                // Frames' headers and padding hold nothing that a reader needs.
                other => assert_eq!(other, Ok(40)),
            },
        }
    }
    assert!(reported * 10 > bytes * 8, "{reported} of {bytes} bytes");
}

#[tokio::test]
async fn an_unfinished_write_is_cut_off_and_nothing_else() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..4).await;
    let segment = &sim.files("log")[0];
    let whole = sim.contents(segment);
    let before = {
        let crashed = sim.crashed(1);
        history(&open(&crashed), 4..5).await;
        whole.len()
    };
    history(&store, 4..5).await;
    let whole = sim.contents(segment);

    for length in before..whole.len() {
        let torn = sim.copy();
        torn.overwrite(segment, whole[..length].to_vec());
        holds(&open(&torn), 4).await;
    }
}

#[tokio::test]
async fn zeros_and_rubbish_after_the_last_frame_are_cut_off() {
    let sim = closed(4).await;
    let segment = &sim.files("log")[0];
    for rubbish in [vec![0; 5_000], vec![0xab; 777], b"\x4e\x0f\xb0\xda".repeat(9)] {
        let dirty = sim.copy();
        dirty.overwrite(segment, [sim.contents(segment), rubbish].concat());
        let store = open(&dirty);
        holds(&store, 4).await;
        // Until the segment is closed as it is.
        history(&store, 4..40).await;
        drop(store);
        dirty.files("idx").iter().for_each(|index| dirty.delete(index));
        holds(&open(&dirty), 40).await;
    }
}

#[tokio::test]
async fn a_payload_that_looks_like_the_log_does_not_mislead() {
    let sim = Disk::default();
    let options = EmbeddedOptions::default();
    let open = |sim: &Disk| EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options).unwrap();
    let store = open(&sim);
    history(&store, 0..4).await;
    let segment = &sim.files("log")[0];
    let log = sim.contents(segment);
    // Copies of the log at every alignment.
    let copies = (0..8).map(|shift| [log.clone(), vec![0; 8 + shift - log.len() % 8]].concat());
    let mut hostile = event(4);
    hostile.data = copies.collect::<Vec<_>>().concat().into();
    hostile.metadata = hostile.data.clone();
    store.append(&stream(1), Expected::Any, vec![hostile]).await.unwrap();
    let whole = sim.contents(segment);
    assert!(whole.len() > log.len() * 17, "in the same segment");

    for length in (log.len()..written(&whole) - 8).step_by(61) {
        let zeros = vec![0; whole.len() - length];
        for torn_off in [whole[..length].to_vec(), [&whole[..length], &zeros].concat()] {
            let torn = sim.copy();
            torn.overwrite(segment, torn_off);
            holds(&open(&torn), 4).await;
        }
    }
}

#[tokio::test]
async fn a_missing_segment_is_reported() {
    let sim = closed(60).await;
    let segments = sim.files("log");
    assert!(segments.len() > 3, "{segments:?}");
    for missing in &segments[..segments.len() - 1] {
        let copy = sim.copy();
        copy.delete(missing);
        let refused = try_open(&copy);
        assert!(matches!(refused, Err(OpenError::Damaged { .. })), "{refused:?}");
    }
}

#[tokio::test]
async fn a_missing_index_is_made_again() {
    let sim = closed(60).await;
    let indexes = sim.files("idx");
    assert!(indexes.len() > 2, "{indexes:?}");
    for index in &indexes {
        sim.delete(index);
    }

    holds(&open(&sim), 60).await;

    assert_eq!(sim.files("idx"), indexes);
    holds(&open(&sim), 60).await;
}

#[tokio::test]
async fn an_index_of_another_segment_is_not_used() {
    let sim = closed(60).await;
    let indexes = sim.files("idx");
    sim.overwrite(&indexes[0], sim.contents(&indexes[1]));

    holds(&open(&sim), 60).await;

    assert_ne!(sim.contents(&indexes[0]), sim.contents(&indexes[1]), "made again");
}

#[tokio::test]
async fn a_flipped_bit_in_an_index_is_repaired_or_reported() {
    let sim = closed(60).await;
    let index = &sim.files("idx")[1];
    let bytes = sim.contents(index).len();

    for byte in 0..bytes {
        let store = open(&flip(&sim, index, byte * 8 + byte % 8));
        match read_everything(&store).await {
            Ok(count) => assert_eq!(count, 60),
            Err(ReadError::Damaged { place, .. }) => assert!(place.contains(".idx"), "{place}"),
            Err(error) => panic!("byte {byte}: {error}"),
        }
        let repeated = store.append(&stream(20 % 3), Expected::Any, vec![event(20)]).await;
        match repeated {
            Ok(appended) => assert_eq!(appended.position.0, 20),
            Err(error) => assert!(matches!(error, AppendError::Unavailable { .. }), "{error}"),
        }
    }
}

#[tokio::test]
async fn damage_before_a_segment_that_was_only_begun_is_reported() {
    let sim = Disk::default();
    let store = open(&sim);
    history(&store, 0..4).await;
    let segment = sim.files("log")[0].clone();
    let last_frame = sim.contents(&segment).len();
    history(&store, 4..5).await;
    let mut n = 5;
    while sim.files("log").len() == 1 {
        // The next segment is begun, and its first frame does not fit.
        sim.set_space(Some(100));
        let large = vec![event(n)];
        drop(store.append(&stream(n % 3), Expected::Any, large).await);
        sim.set_space(None);
        if sim.files("log").len() == 1 {
            history(&store, n..n + 1).await;
            n += 1;
        }
    }
    let crashed = sim.crashed(1);
    let end = crashed.contents(&segment).len();

    for byte in last_frame..end {
        let refused = try_open(&flip(&crashed, &segment, byte * 8));
        assert!(matches!(refused, Err(OpenError::Damaged { .. })), "byte {byte}: {refused:?}");
    }
    holds(&open(&crashed), n).await;
}
