//! `daybook store`: serves the event store, and looks after its files.

mod backup;
mod check;
mod copy;
mod load;
mod salvage;
mod scavenge;
mod serve;
mod stats;
mod stream;

use std::fmt;
use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use chrono::{DateTime, SecondsFormat};
use daybook_event_store::{EmbeddedOptions, Finding, Limits, Store as Adapter, StoreFolder};
use serde::Serialize;

use crate::cli::{AnyStoreArg, Output, Store, StoreArg};
use crate::config::{Config, StoreAddress};
use crate::platform::Layout;
use crate::progress::Progress;

/// What any store may hold, however it is served.
const MOST: Limits = Limits { event_bytes: Limits::DEFAULT.append_bytes, ..Limits::DEFAULT };
/// Fewer bytes than this are done before anybody wonders how far it is.
const LONG: u64 = 64 << 20;

pub(crate) async fn run(command: Store, config: &Config) -> anyhow::Result<ExitCode> {
    match command {
        Store::Backup { dir, store, output } => {
            backup::take(&folder(store, config)?, &dir, output.output)
        }
        Store::Check { store, output } => check::run(&folder(store, config)?, output.output),
        Store::Copy { from, to, output } => copy::run(&from, &to, config, output.output).await,
        Store::Load { file, gaps, store, output } => {
            load::run(&file, gaps, &address(store, config), config, output.output).await
        }
        Store::Salvage { to, store, output } => {
            salvage::run(&folder(store, config)?, &to, output.output)
        }
        Store::Scavenge { least_percent, store, output } => {
            let compress = config.store_compress;
            scavenge::run(&folder(store, config)?, least_percent, compress, output.output).await
        }
        Store::Serve { store, wire } => {
            serve::run(folder(store, config)?.path(), &wire, config).await
        }
        Store::Stats { store, output } => stats::run(&folder(store, config)?, output.output),
        Store::Stream(command) => stream::run(command, config).await,
        Store::Restore { backup, dir, output } => backup::put_back(&backup, &dir, output.output),
    }
}

fn folder(StoreArg { store }: StoreArg, config: &Config) -> anyhow::Result<StoreFolder> {
    let Some(store) = store else { return Ok(StoreFolder::new(Layout(config).events())) };
    let folder = store.folder().context(
        "this command is about a store in a folder of this machine: name it with --store DIR",
    )?;
    Ok(StoreFolder::new(folder))
}

/// The store that a command is about, which may be served elsewhere.
fn address(AnyStoreArg { store }: AnyStoreArg, config: &Config) -> StoreAddress {
    let given = store.or_else(|| config.store.clone());
    given.unwrap_or_else(|| StoreAddress::of_folder(&Layout(config).events()))
}

/// A store to read from; one in a folder may be in use meanwhile.
fn to_read(address: &StoreAddress) -> anyhow::Result<Adapter> {
    let open = |folder| Adapter::embedded_read_only(folder, &EmbeddedOptions::default());
    match address.folder() {
        Some(folder) => open(folder).with_context(|| format!("cannot read {address}")),
        None => Ok(Adapter::eventstoredb(address.reveal())?),
    }
}

/// A store to write to; one in a folder is made where there is none.
fn to_write(address: &StoreAddress, config: &Config) -> anyhow::Result<Adapter> {
    let compress = config.store_compress;
    let options = EmbeddedOptions { compress, limits: MOST, ..EmbeddedOptions::default() };
    match address.folder() {
        Some(folder) => Adapter::embedded(folder, &options)
            .with_context(|| format!("cannot write to {address}")),
        None => Ok(Adapter::eventstoredb(address.reveal())?),
    }
}

/// A finding, for people and programs.
#[derive(Serialize)]
struct Told {
    file: String,
    offset: u64,
    bytes: u64,
    #[serde(skip_serializing_if = "Option::is_none")]
    positions: Option<Positions>,
    #[serde(skip_serializing_if = "Option::is_none")]
    stream: Option<String>,
    reason: String,
}

/// The positions of the first and the last event of a stretch.
#[derive(Serialize)]
struct Positions {
    first: u64,
    last: u64,
}

impl From<&Finding> for Told {
    fn from(finding: &Finding) -> Self {
        let Finding { file, bytes, positions, stream, reason } = finding;
        let (first, end) = (positions.start, positions.end);
        Self {
            file: file.clone(),
            offset: bytes.start,
            bytes: bytes.end - bytes.start,
            positions: (first < end).then(|| Positions { first, last: end - 1 }),
            stream: stream.as_ref().map(ToString::to_string),
            reason: reason.clone(),
        }
    }
}

impl fmt::Display for Told {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, offset {}", self.file, self.offset)?;
        match &self.positions {
            Some(Positions { first, last }) if first == last => write!(f, ", position {first}")?,
            Some(Positions { first, last }) => write!(f, ", positions {first} to {last}")?,
            None => {}
        }
        if let Some(stream) = &self.stream {
            write!(f, ", stream {stream}")?;
        }
        write!(f, ": {}", self.reason)
    }
}

/// Tells how far work on bytes is, as mebibytes.
struct Bytes {
    what: &'static str,
    progress: Option<Progress>,
}

impl Bytes {
    fn new(what: &'static str) -> Self {
        Self { what, progress: None }
    }

    fn reach(&mut self, done: u64, total: u64) {
        if total >= LONG {
            let begin = || Progress::new(self.what, total >> 20);
            self.progress.get_or_insert_with(begin).reach(done >> 20);
        }
    }

    fn finish(self) {
        if let Some(progress) = self.progress {
            progress.finish();
        }
    }
}

/// Writes a result: as JSON on one line, or as text.
fn print(result: &impl Serialize, text: &str, output: Output) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    match output {
        Output::Text => writeln!(out, "{text}")?,
        Output::Json | Output::Jsonl => writeln!(out, "{}", serde_json::to_string(result)?)?,
    }
    Ok(())
}

/// An instant as people and programs read it.
fn instant(micros: i64) -> String {
    let instant = DateTime::from_timestamp_micros(micros).unwrap_or_default();
    instant.to_rfc3339_opts(SecondsFormat::Micros, true)
}

/// A number of bytes for people.
#[expect(clippy::cast_precision_loss, reason = "for people")]
fn size(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    let mut value = bytes as f64 / 1_024.0;
    let mut unit = 0;
    while value >= 1_024.0 && unit + 1 < UNITS.len() {
        (value, unit) = (value / 1_024.0, unit + 1);
    }
    if bytes < 1_024 { format!("{bytes} bytes") } else { format!("{value:.1} {}", UNITS[unit]) }
}

#[cfg(test)]
mod tests {
    use super::size;

    #[test]
    fn sizes_are_told_in_the_unit_that_fits() {
        let told = [0, 1_023, 1_024, 1_536, 5 << 20, 3 << 30, 7 << 40, 2_000 << 40].map(size);
        let expected = [
            "0 bytes",
            "1023 bytes",
            "1.0 KiB",
            "1.5 KiB",
            "5.0 MiB",
            "3.0 GiB",
            "7.0 TiB",
            "2000.0 TiB",
        ];
        assert_eq!(told, expected);
    }
}
