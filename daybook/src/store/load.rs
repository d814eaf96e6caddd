//! `daybook store load`: puts what was salvaged into a store.

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use daybook_event_store::{
    CopyError, Gaps, Loaded, Loading, Position, RecordedEvent, Revision, Store, StreamId,
};
use serde::de::IgnoredAny;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Bytes, print, to_write};
use crate::cli;
use crate::cli::Output;
use crate::config::{Config, StoreAddress};

/// The longest line: 16 MiB in Base64, and what is said of them.
const MOST_LINE: u64 = 24 << 20;

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: String,
    to: String,
    /// Events that the store has now.
    events: u64,
    /// Of these, events that it had before.
    known: u64,
    /// Placeholders in the places of missing events.
    gaps: u64,
    /// Events that come after missing ones, and are left out for that.
    left_out: u64,
    /// Events that scavenging had dropped.
    scavenged: u64,
    /// Events that may never have been acknowledged.
    unfinished: u64,
    /// Stretches that could not be salvaged.
    lost: u64,
}

/// A line of a salvaged file, as [`super::salvage`] writes it.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Line<'a> {
    position: u64,
    #[expect(dead_code, reason = "a store says itself when it records")]
    recorded_at: IgnoredAny,
    stream: String,
    revision: u64,
    id: Uuid,
    #[serde(rename = "type")]
    kind: String,
    /// Not in files of earlier builds: then it was what could be written as JSON.
    is_json: Option<bool>,
    #[serde(borrow, default, deserialize_with = "some_json")]
    data: Option<&'a RawValue>,
    data_base64: Option<String>,
    #[serde(borrow, default, deserialize_with = "some_json")]
    metadata: Option<&'a RawValue>,
    metadata_base64: Option<String>,
    #[serde(default)]
    scavenged: bool,
    #[serde(default)]
    unfinished: bool,
}

/// JSON that is there, also where it is `null`.
fn some_json<'a, D: Deserializer<'a>>(from: D) -> Result<Option<&'a RawValue>, D::Error> {
    <&RawValue>::deserialize(from).map(Some)
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Lost {
    #[expect(dead_code, reason = "that it is there says enough")]
    lost: IgnoredAny,
}

/// What was read so far.
#[derive(Default)]
struct Seen {
    lines: u64,
    position: Option<u64>,
    scavenged: u64,
    unfinished: u64,
    lost: u64,
}

/// An event of a file, and whether scavenging had dropped it.
type Salvaged = (RecordedEvent, bool);

pub(super) async fn run(
    path: &Path,
    gaps: cli::Gaps,
    to: &StoreAddress,
    config: &Config,
    output: Output,
) -> anyhow::Result<ExitCode> {
    let file = File::open(path).with_context(|| format!("cannot open {}", path.display()))?;
    let total = file.metadata().map_or(0, |metadata| metadata.len());
    let store = to_write(to, config)?;
    let mut seen = Seen::default();
    let loaded = load(BufReader::new(file), total, &store, gaps, &mut seen).await;
    store.close();
    let Loaded { events, known, gaps, left_out } = loaded.with_context(|| {
        let lines = seen.lines;
        format!("{} is not loaded whole: it ended at line {lines}", path.display())
    })?;
    let Seen { scavenged, unfinished, lost, .. } = seen;
    let (file, to) = (path.display().to_string(), to.to_string());
    let report = Report { file, to, events, known, gaps, left_out, scavenged, unfinished, lost };
    print(&report, &text(&report), output)?;
    Ok(ExitCode::SUCCESS)
}

fn text(report: &Report) -> String {
    let Report { file, to, events, known, .. } = report;
    let mut parts = vec![format!("loaded {events} events from {file} into {to}")];
    let others = [
        (*known, "of them were there before"),
        (report.gaps, "placeholders stand for events that are missing"),
        (report.left_out, "events after missing ones are left out"),
        (report.scavenged, "had been dropped by scavenging, and are placeholders"),
        (report.unfinished, "may never have been acknowledged"),
        (report.lost, "stretches could not be salvaged"),
    ];
    parts.extend(others.iter().filter(|(n, _)| *n > 0).map(|(n, what)| format!("{n} {what}")));
    parts.join("; ")
}

async fn load(
    mut lines: impl BufRead,
    total: u64,
    store: &Store,
    gaps: cli::Gaps,
    seen: &mut Seen,
) -> anyhow::Result<Loaded> {
    let gaps = match gaps {
        cli::Gaps::Refuse => Gaps::Refuse,
        cli::Gaps::Fill => Gaps::Fill,
        cli::Gaps::LeaveOut => Gaps::LeaveOut,
    };
    let mut loading = Loading::begin(store, gaps).await?;
    let (mut progress, mut done, mut line) = (Bytes::new("MiB loaded"), 0, Vec::new());
    loop {
        line.clear();
        done += (&mut lines).take(MOST_LINE + 1).read_until(b'\n', &mut line)? as u64;
        if line.is_empty() {
            break;
        }
        seen.lines += 1;
        let event = seen.take(&line).with_context(|| format!("line {}", seen.lines))?;
        if let Some((event, scavenged)) = event {
            loading.push(event, scavenged).await.map_err(advise)?;
        }
        progress.reach(done, total);
    }
    let loaded = loading.finish().await.map_err(advise)?;
    progress.finish();
    Ok(loaded)
}

/// Says what to do about a gap.
fn advise(error: CopyError) -> anyhow::Error {
    let gap = matches!(error, CopyError::Gap { .. });
    let error = anyhow::Error::from(error);
    if gap {
        error.context(
            "events are missing: load into a restored backup that has them, or choose --gaps fill or leave-out",
        )
    } else {
        error
    }
}

impl Seen {
    /// Takes the next line in; its event, if it has one.
    fn take(&mut self, line: &[u8]) -> anyhow::Result<Option<Salvaged>> {
        ensure!(line.len() as u64 <= MOST_LINE, "it is longer than {} MiB", MOST_LINE >> 20);
        if line.starts_with(b"{\"lost\"") {
            serde_json::from_slice::<Lost>(line).context("it is malformed")?;
            self.lost += 1;
            return Ok(None);
        }
        let line: Line<'_> = serde_json::from_slice(line).context("it is malformed")?;
        let Line { position, scavenged, unfinished, .. } = line;
        if let Some(last) = self.position.filter(|last| *last >= position) {
            let what = if last == position { "double" } else { "out of order" };
            bail!("it is {what}: its position {position} comes after position {last}");
        }
        self.position = Some(position);
        self.scavenged += u64::from(scavenged);
        self.unfinished += u64::from(unfinished);
        Ok(Some((line.event()?, scavenged)))
    }
}

impl Line<'_> {
    fn event(self) -> anyhow::Result<RecordedEvent> {
        let stream: StreamId = self.stream.parse()?;
        let is_json = self.is_json.unwrap_or(self.data.is_some());
        Ok(RecordedEvent {
            stream,
            revision: Revision(self.revision),
            position: Position(self.position),
            recorded_at: 0,
            id: self.id,
            kind: self.kind.into(),
            data: bytes("data", self.data, self.data_base64)?.into(),
            metadata: bytes("metadata", self.metadata, self.metadata_base64)?.into(),
            is_json,
        })
    }
}

fn bytes(what: &str, json: Option<&RawValue>, base64: Option<String>) -> anyhow::Result<Vec<u8>> {
    match (json, base64) {
        (Some(json), None) => Ok(json.get().as_bytes().to_vec()),
        (None, Some(base64)) => BASE64_STANDARD
            .decode(base64)
            .with_context(|| format!("it is malformed: {what}Base64 is not Base64")),
        _ => bail!("it is malformed: it must have either {what} or {what}Base64"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A line with something else in place of some of its text.
    fn line(position: u64, with: (&str, &str)) -> String {
        let line = format!(
            r#"{{"position":{position},"recordedAt":"2026-01-31T12:00:00Z","stream":"order-1","revision":0,"id":"0198c1f6-5a3e-7c55-9d9e-0d6f2b1c7e11","type":"Placed","isJson":true,"data":{{"a": 1.50}},"metadataBase64":"/w=="}}"#
        );
        assert!(line.contains(with.0), "{line}");
        line.replace(with.0, with.1)
    }

    fn taken(line: &str) -> anyhow::Result<Option<Salvaged>> {
        Seen::default().take(line.as_bytes())
    }

    #[test]
    fn an_event_is_what_it_was_to_the_byte() {
        let (event, scavenged) = taken(&line(7, ("", ""))).unwrap().unwrap();
        assert_eq!((&event.data[..], &event.metadata[..]), (&br#"{"a": 1.50}"#[..], &[0xff][..]));
        assert_eq!((event.position, event.is_json, scavenged), (Position(7), true, false));

        for (with, data, is_json) in [
            (("\"data\":{\"a\": 1.50}", "\"data\":null"), "null", true),
            (("\"isJson\":true,", ""), r#"{"a": 1.50}"#, true),
            (("\"isJson\":true", "\"isJson\":false"), r#"{"a": 1.50}"#, false),
            (("\"isJson\":true,\"data\":{\"a\": 1.50}", "\"dataBase64\":\"e30=\""), "{}", false),
        ] {
            let (event, _) = taken(&line(0, with)).unwrap().unwrap();
            assert_eq!((&event.data[..], event.is_json), (data.as_bytes(), is_json), "{with:?}");
        }
    }

    #[test]
    fn a_malformed_line_is_refused() {
        for with in [
            ("{\"position", "\"position"),
            ("\"position\":0", "\"position\":-1"),
            ("\"revision\":0,", ""),
            ("0198c1f6", "rubbish"),
            ("\"type\"", "\"kind\""),
            ("order-1", ""),
            ("\"data\":{\"a\": 1.50},", ""),
            ("/w==", "/w="),
            ("\"metadataBase64\"", "\"metadata\":1,\"metadataBase64\""),
            ("}", ""),
            ("}", "} {}"),
        ] {
            assert!(taken(&line(0, with)).is_err(), "{with:?}");
        }
        assert!(taken("\n").is_err() && taken("{\"lost\":").is_err());
        assert!(taken("{\"lost\":{\"file\":\"x\"}}").unwrap().is_none());
    }

    #[test]
    fn lines_come_once_and_in_order() {
        let mut seen = Seen::default();
        let mut take = |position| seen.take(line(position, ("", "")).as_bytes());
        assert!(take(3).is_ok() && take(5).is_ok());
        assert!(take(5).unwrap_err().to_string().contains("double"));
        assert!(take(4).unwrap_err().to_string().contains("out of order"));
        assert!(take(6).is_ok());
    }

    #[test]
    fn an_oversized_line_is_refused_before_it_is_understood() {
        let long = vec![b' '; usize::try_from(MOST_LINE).unwrap() + 1];
        let told = Seen::default().take(&long).unwrap_err().to_string();
        assert!(told.contains("24 MiB"), "{told}");
    }
}
