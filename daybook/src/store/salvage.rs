//! `daybook store salvage`: what is left of a store, as lines of JSON.

use std::fs::OpenOptions;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;

use anyhow::Context;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use daybook_event_store::{RecordedEvent, Salvage, Salvaged, StoreFolder};
use serde::Serialize;
use serde_json::value::RawValue;
use uuid::Uuid;

use super::{Told, instant, print};
use crate::cli::Output;
use crate::progress::Progress;

/// An event, with bytes as the JSON that they are, or as Base64 where they are none.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Line<'a> {
    position: u64,
    recorded_at: String,
    stream: &'a str,
    revision: u64,
    id: Uuid,
    #[serde(rename = "type")]
    kind: &'a str,
    is_json: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    data: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    data_base64: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata: Option<&'a RawValue>,
    #[serde(skip_serializing_if = "Option::is_none")]
    metadata_base64: Option<String>,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    scavenged: bool,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    unfinished: bool,
}

#[derive(Serialize)]
struct Lost {
    lost: Told,
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    file: String,
    events: u64,
    unfinished: u64,
    lost: u64,
    lost_events: u64,
}

pub(super) fn run(store: &StoreFolder, to: &Path, output: Output) -> anyhow::Result<ExitCode> {
    let file = OpenOptions::new().write(true).create_new(true).open(to);
    let file = file.with_context(|| format!("cannot make the file {}", to.display()))?;
    let mut lines = BufWriter::new(file);
    let mut progress = None;
    let salvage =
        store.salvage(&mut |salvaged| write(&mut lines, &salvaged), &mut |done, total| {
            progress.get_or_insert_with(|| Progress::new("segments salvaged", total)).reach(done);
        })?;
    if let Some(progress) = progress {
        progress.finish();
    }
    let file = lines.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all().with_context(|| format!("cannot write {}", to.display()))?;
    let Salvage { events, unfinished, lost, lost_events } = salvage;
    let file = to.display().to_string();
    let mut parts = vec![format!("salvaged {events} events to {file}")];
    if lost > 0 {
        parts.push(format!("{lost_events} events are lost, in {lost} places"));
    }
    if unfinished > 0 {
        parts.push(format!("{unfinished} of those salvaged may never have been acknowledged"));
    }
    print(&Report { file, events, unfinished, lost, lost_events }, &parts.join("; "), output)?;
    Ok(ExitCode::SUCCESS)
}

fn write(out: &mut impl Write, salvaged: &Salvaged) -> io::Result<()> {
    match salvaged {
        Salvaged::Event { event, scavenged, unfinished } => {
            serde_json::to_writer(&mut *out, &Line::new(event, *scavenged, *unfinished))?;
        }
        Salvaged::Lost(finding) => {
            serde_json::to_writer(&mut *out, &Lost { lost: finding.into() })?;
        }
    }
    out.write_all(b"\n")
}

impl<'a> Line<'a> {
    fn new(event: &'a RecordedEvent, scavenged: bool, unfinished: bool) -> Self {
        let (data, metadata) = (json(&event.data), json(&event.metadata));
        let base64 = |bytes: &[u8]| Some(BASE64_STANDARD.encode(bytes));
        Self {
            position: event.position.0,
            recorded_at: instant(event.recorded_at),
            stream: event.stream.as_str(),
            revision: event.revision.0,
            id: event.id,
            kind: &event.kind,
            is_json: event.is_json,
            data,
            data_base64: if data.is_none() { base64(&event.data) } else { None },
            metadata,
            metadata_base64: if metadata.is_none() { base64(&event.metadata) } else { None },
            scavenged,
            unfinished,
        }
    }
}

/// Bytes as JSON, if it says them to the byte, and on one line.
fn json(bytes: &[u8]) -> Option<&RawValue> {
    let json: &RawValue = serde_json::from_slice(bytes).ok()?;
    let is_whole = json.get().len() == bytes.len();
    (is_whole && !bytes.iter().any(|byte| b"\n\r".contains(byte))).then_some(json)
}

#[cfg(test)]
mod tests {
    use daybook_event_store::{Position, Revision, StreamId};

    use super::*;

    fn line(data: &str, metadata: &[u8]) -> String {
        let event = RecordedEvent {
            stream: StreamId::new("order", 1).unwrap(),
            revision: Revision(2),
            position: Position(7),
            recorded_at: 1,
            id: Uuid::from_u128(9),
            kind: "Placed".into(),
            data: data.to_owned().into(),
            metadata: metadata.to_vec().into(),
            is_json: true,
        };
        let mut line = Vec::new();
        write(&mut line, &Salvaged::Event { event, scavenged: false, unfinished: false }).unwrap();
        let line = String::from_utf8(line).unwrap();
        assert_eq!(line.lines().count(), 1, "{line}");
        line
    }

    #[test]
    fn what_is_json_stays_json_and_the_rest_is_base64() {
        let json = line(r#"{"a": 1.50}"#, b"");
        let expected = r#""isJson":true,"data":{"a": 1.50},"metadataBase64":"""#;
        assert!(json.contains(expected), "{json}");
        for not_quite in [" {}", "{\n}", "{", "\u{0}"] {
            let line = line(not_quite, &[0xff]);
            let data = BASE64_STANDARD.encode(not_quite);
            let expected = format!(r#""dataBase64":"{data}","metadataBase64":"/w==""#);
            assert!(line.contains(&expected), "{line}");
        }
    }
}
