use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use daybook_event_store::{
    BackupError, Copied, EmbeddedOptions, EmbeddedStore, EventStore, Expected, OpenError,
    StoreFolder,
};

use crate::given::{DIR, event, history, holds, open, options, stream};
use daybook_event_store_simulation::Disk;

const BACKUP: &str = "/backup";
const RESTORED: &str = "/restored";

fn back_up(sim: &Disk) -> Result<Copied, BackupError> {
    StoreFolder::with(Arc::new(sim.clone()), DIR).backup(BACKUP, &mut |_, _| {})
}

fn restore(sim: &Disk) -> Result<Copied, BackupError> {
    StoreFolder::with(Arc::new(sim.clone()), BACKUP).restore(RESTORED, &mut |_, _| {})
}

fn events(copied: &Copied) -> usize {
    usize::try_from(copied.backup.events).unwrap()
}

fn try_open_in(sim: &Disk, dir: &str) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open_with(Arc::new(sim.clone()), dir, &options())
}

fn look_in(sim: &Disk, dir: &str) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open_read_only_with(Arc::new(sim.clone()), dir, &options())
}

async fn then_in(sim: &Disk, dir: &str, count: usize) {
    holds(&try_open_in(&sim.copy(), dir).unwrap(), count).await;
}

#[tokio::test]
async fn a_backup_beside_the_writer_is_a_store_that_opens() {
    let sim = Disk::default();
    let writer = open(&sim);
    for count in [0, 1, 30, 31, 70] {
        let before = usize::try_from(writer.stats().events).unwrap();
        history(&writer, before..count).await;

        let copied = back_up(&sim).unwrap();

        assert_eq!((copied.backup.events, copied.backup.complete), (count as u64, true));
        then_in(&sim, BACKUP, count).await;
    }
    history(&writer, 70..71).await;
}

#[tokio::test]
async fn what_is_in_the_backup_already_is_not_copied_again() {
    let sim = Disk::default();
    let writer = open(&sim);
    history(&writer, 0..60).await;
    let first = back_up(&sim).unwrap();
    assert_eq!(first.bytes, first.backup.bytes);

    assert_eq!(back_up(&sim).unwrap().bytes, 0);
    history(&writer, 60..61).await;
    let next = back_up(&sim).unwrap();

    assert!(next.bytes > 0 && next.bytes <= 2 * 4_096, "{} bytes", next.bytes);
    then_in(&sim, BACKUP, 61).await;
}

#[tokio::test]
async fn progress_is_told_up_to_the_end() {
    let sim = Disk::default();
    history(&open(&sim), 0..60).await;
    let mut told = Vec::new();
    let folder = StoreFolder::with(Arc::new(sim.clone()), DIR);

    let copied = folder.backup(BACKUP, &mut |done, total| told.push((done, total))).unwrap();

    assert_eq!(told.last(), Some(&(copied.bytes, copied.bytes)));
    assert!(told.windows(2).all(|pair| pair[0] < pair[1]), "{told:?}");
}

#[tokio::test]
async fn a_backup_interrupted_anywhere_says_so_and_is_finished_by_the_next() {
    let given = Disk::default();
    let writer = open(&given);
    history(&writer, 0..25).await;
    for earlier in [false, true] {
        if earlier {
            back_up(&given).unwrap();
            history(&writer, 25..45).await;
        }
        let count = if earlier { 45 } else { 25 };
        let needed = {
            let sim = given.copy();
            let before = sim.changes();
            back_up(&sim).unwrap();
            sim.changes() - before
        };
        for change in 0..needed {
            let sim = given.copy();
            sim.power_off_at(sim.changes() + change);
            assert!(back_up(&sim).is_err());
            let sim = sim.crashed(change as u64);

            match restore(&sim) {
                Ok(copied) => {
                    assert!(earlier || change + 1 >= needed, "finished at {change}");
                    holds(&look_in(&sim, RESTORED).unwrap(), events(&copied)).await;
                }
                Err(BackupError::Unfinished { .. } | BackupError::Missing { .. }) => {
                    // A first one can be opened once all of it is there.
                    if let Ok(store) = look_in(&sim, BACKUP)
                        && !earlier
                    {
                        holds(&store, count).await;
                    }
                }
                Err(error) => panic!("change {change}: {error}"),
            }
            back_up(&sim).unwrap();
            then_in(&sim, BACKUP, count).await;
        }
    }
}

#[tokio::test]
async fn what_a_lost_renaming_left_is_not_written_to() {
    let given = Disk::default();
    let writer = open(&given);
    history(&writer, 0..25).await;
    let first = given.changes();
    let needed = {
        let sim = given.copy();
        back_up(&sim).unwrap();
        sim.changes() - first
    };
    for change in 0..needed {
        for seed in 0..12 {
            // A file may have its old name beside the new one after this.
            let sim = given.copy();
            sim.power_off_at(first + change);
            back_up(&sim).unwrap_err();
            let crashed = sim.crashed(seed);

            for next in 0..6 {
                let sim = crashed.copy();
                sim.power_off_at(sim.changes() + next);
                drop(back_up(&sim));

                let sim = sim.killed();
                let copied = back_up(&sim);
                assert!(copied.is_ok(), "change {change}, seed {seed}, {next}: {copied:?}");
                then_in(&sim, BACKUP, 25).await;
            }
        }
    }
}

#[tokio::test]
async fn a_backup_is_put_back_into_a_new_folder() {
    let sim = Disk::default();
    let writer = open(&sim);
    history(&writer, 0..60).await;
    back_up(&sim).unwrap();

    let copied = restore(&sim).unwrap();

    assert_eq!(copied.backup.events, 60);
    let restored = try_open_in(&sim, RESTORED).unwrap();
    holds(&restored, 60).await;
    history(&restored, 60..70).await;
    holds(&restored, 70).await;
    assert!(!sim.exists(&Path::new(RESTORED).join("BACKUP")));
}

#[tokio::test]
async fn a_restoration_interrupted_anywhere_leaves_no_store_or_all_of_it() {
    let given = Disk::default();
    history(&open(&given), 0..25).await;
    back_up(&given).unwrap();
    let needed = {
        let sim = given.copy();
        let before = sim.changes();
        restore(&sim).unwrap();
        sim.changes() - before
    };
    for change in 0..needed {
        let sim = given.copy();
        sim.power_off_at(sim.changes() + change);
        assert!(restore(&sim).is_err());
        let sim = sim.crashed(change as u64);

        match look_in(&sim, RESTORED) {
            Err(OpenError::NotAStore { .. }) => {}
            store => holds(&store.unwrap(), 25).await,
        }
    }
}

#[tokio::test]
async fn a_backup_is_not_put_where_something_is() {
    let sim = Disk::default();
    history(&open(&sim), 0..9).await;
    back_up(&sim).unwrap();
    sim.overwrite(&Path::new(RESTORED).join("notes"), "theirs".into());

    assert!(matches!(restore(&sim), Err(BackupError::NotEmpty { .. })));
    let itself = StoreFolder::with(Arc::new(sim.clone()), DIR).backup(DIR, &mut |_, _| {});
    assert!(matches!(itself, Err(BackupError::NotABackup { .. })));
    let no_backup = StoreFolder::with(Arc::new(sim.clone()), DIR).restore("/new", &mut |_, _| {});
    assert!(matches!(no_backup, Err(BackupError::Missing { .. })));
}

#[tokio::test]
async fn a_backup_of_another_store_is_left_alone() {
    let sim = Disk::default();
    history(&open(&sim), 0..9).await;
    back_up(&sim).unwrap();
    let other = Disk::default();
    let store = open(&other);
    for n in [7, 1, 2, 3, 4, 5, 6, 0, 9, 10, 11] {
        store.append(&stream(n % 3), Expected::Any, vec![event(n)]).await.unwrap();
    }
    for path in sim.files("log").into_iter().chain([Path::new(BACKUP).join("BACKUP")]) {
        if path.starts_with(BACKUP) {
            other.overwrite(&path, sim.contents(&path));
        }
    }

    assert!(matches!(back_up(&other), Err(BackupError::Foreign { .. })));
}

#[tokio::test]
async fn a_backup_with_events_that_the_store_lost_is_left_alone() {
    let sim = Disk::default();
    let writer = open(&sim);
    history(&writer, 0..9).await;
    let earlier = sim.copy();
    history(&writer, 9..12).await;
    back_up(&sim).unwrap();
    for path in sim.files("log") {
        if path.starts_with(DIR) {
            sim.overwrite(&path, earlier.contents(&path));
        }
    }

    assert!(matches!(back_up(&sim), Err(BackupError::Foreign { .. })));
    then_in(&sim, BACKUP, 12).await;
}

#[tokio::test]
async fn a_backup_that_was_written_to_is_not_taken_for_one() {
    let sim = Disk::default();
    history(&open(&sim), 0..9).await;
    back_up(&sim).unwrap();
    history(&try_open_in(&sim, BACKUP).unwrap(), 9..10).await;

    assert!(matches!(back_up(&sim), Err(BackupError::Changed { .. })));
    assert!(matches!(restore(&sim), Err(BackupError::Changed { .. })));
}

#[tokio::test]
async fn a_flipped_bit_is_not_backed_up_and_not_put_back() {
    let given = Disk::default();
    history(&open(&given), 0..25).await;
    let whole = given.copy();
    back_up(&whole).unwrap();
    let flip = |sim: &Disk, path: &Path, byte: usize| {
        let mut bytes = sim.contents(path);
        bytes[byte] ^= 1 << (byte % 8);
        sim.overwrite(path, bytes);
    };
    let segment = &given.files("log")[0];
    let copy = Path::new(BACKUP).join(segment.file_name().unwrap());
    for byte in 0..given.contents(segment).len() {
        let (source, backup) = (given.copy(), whole.copy());
        flip(&source, segment, byte);
        flip(&backup, &copy, byte);

        let refused = back_up(&source).unwrap_err();
        let reported = matches!(&refused, BackupError::Store(OpenError::Damaged { .. }));
        assert!(reported, "byte {byte}: {refused}");
        assert!(matches!(
            restore(&source),
            Err(BackupError::Unfinished { .. } | BackupError::Missing { .. })
        ));
        let refused = restore(&backup).unwrap_err();
        let changed = matches!(&refused, BackupError::Changed { .. });
        let reported = matches!(&refused, BackupError::Store(OpenError::Damaged { .. }));
        assert!(reported || changed, "byte {byte}: {refused}");
        assert!(look_in(&backup, RESTORED).is_err());
    }
}

#[tokio::test]
async fn what_says_what_a_backup_holds_must_be_readable() {
    let sim = Disk::default();
    history(&open(&sim), 0..9).await;
    sim.overwrite(&Path::new(BACKUP).join("BACKUP"), "{\"format\": 2".into());

    assert!(matches!(back_up(&sim), Err(BackupError::Manifest { .. })));
    assert!(matches!(restore(&sim), Err(BackupError::Manifest { .. })));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_on_disk_beside_a_busy_writer_are_prefixes() {
    let dir = tempfile::tempdir().unwrap();
    let (source, backup) = (dir.path().join("events"), dir.path().join("backup"));
    let options = EmbeddedOptions { segment_bytes: 16_384, ..options() };
    let writer = EmbeddedStore::open(&source, &options).unwrap();
    let writing = tokio::spawn({
        let writer = writer.clone();
        async move { history(&writer, 0..400).await }
    });

    while !writing.is_finished() {
        let copied = StoreFolder::new(&source).backup(&backup, &mut |_, _| {}).unwrap();
        let reader = EmbeddedStore::open_read_only(&backup, &options).unwrap();
        holds(&reader, events(&copied)).await;
    }

    writing.await.unwrap();
    let restored = dir.path().join("a/new/folder");
    StoreFolder::new(&source).backup(&backup, &mut |_, _| {}).unwrap();
    StoreFolder::new(&backup).restore(&restored, &mut |_, _| {}).unwrap();
    holds(&EmbeddedStore::open(&restored, &options).unwrap(), 400).await;
}

#[tokio::test]
async fn compressed_segments_are_backed_up_as_they_are() {
    let sim = Disk::default();
    let with = |compress| EmbeddedOptions { segment_bytes: 40_000, compress, ..options() };
    let open = |options| EmbeddedStore::open_with(Arc::new(sim.clone()), DIR, &options).unwrap();
    history(&open(with(false)), 0..300).await;
    back_up(&sim).unwrap();
    let _writer = open(with(true));
    let first = sim.files("log").into_iter().find(|path| path.starts_with(DIR)).unwrap();
    let deadline = Instant::now() + Duration::from_mins(1);
    while !sim.contents(&first).starts_with(b"DAYBOOKZ") {
        assert!(Instant::now() < deadline, "nothing was compressed");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    back_up(&sim).unwrap();

    let copy = Path::new(BACKUP).join(first.file_name().unwrap());
    assert_eq!(sim.contents(&copy), sim.contents(&first));
    then_in(&sim, BACKUP, 300).await;
}
