//! Generates the protocol's messages and services, without `protoc`.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

use prost_types::DescriptorProto;
use prost_types::field_descriptor_proto::{Label, Type};

/// The message that is written from the store's events, and by what.
const RECORDED_EVENT: &str = ".ReadResp.ReadEvent.RecordedEvent";
const WIRE_EVENT: &str = "crate::streams::WireEvent";

fn main() -> Result<(), Box<dyn Error>> {
    let folder = Path::new("proto");
    println!("cargo::rerun-if-changed={}", folder.display());
    let mut files = Vec::new();
    for entry in folder.read_dir()? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "proto") {
            files.push(path);
        }
    }
    files.sort();
    let descriptors = protox::compile(files, [folder])?;
    let mut growing = BTreeMap::new();
    for file in &descriptors.file {
        note_growing(file.package(), &file.message_type, &mut growing);
    }
    let place = |inner: &String| growing.keys().position(|message| message == inner);
    let growing = growing.iter().map(|(message, fields)| {
        let fields = fields.iter().map(|(tag, inner)| (tag, place(inner)));
        format!("({message:?}, &{:?}), ", fields.collect::<Vec<_>>())
    });
    let growing = format!("&[{}]", growing.collect::<String>());
    fs::write(PathBuf::from(env::var("OUT_DIR")?).join("growing.rs"), growing)?;
    let mut config = prost_build::Config::new();
    config
        // Some of them link to what is not there.
        .disable_comments(["."])
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .bytes(["."])
        // Of a few entries each: to compare their names costs less than to hash them.
        .btree_map(["."])
        .include_file("protocol.rs")
        .extern_path(format!(".event_store.client.streams{RECORDED_EVENT}"), WIRE_EVENT)
        .extern_path(
            format!(".event_store.client.persistent_subscriptions{RECORDED_EVENT}"),
            WIRE_EVENT,
        )
        .type_attribute(
            "event_store.client.InvalidTransaction",
            "#[expect(dead_code, reason = \"no append is refused for this\")]",
        );
    tonic_prost_build::configure()
        .build_client(false)
        .codec_path("crate::codec::CountingCodec")
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}

/// Of each message the fields with which it grows in memory: those of messages, with the name of
/// what they are, and lists.
fn note_growing(
    scope: &str,
    messages: &[DescriptorProto],
    growing: &mut BTreeMap<String, Vec<(i32, String)>>,
) {
    for message in messages {
        let name = format!("{scope}.{}", message.name());
        let fields = message.field.iter().filter_map(|field| {
            let inner = match field.r#type() {
                Type::Message => field.type_name().trim_start_matches('.'),
                _ if field.label() == Label::Repeated => "",
                _ => return None,
            };
            Some((field.number(), inner.to_owned()))
        });
        let fields: Vec<_> = fields.collect();
        note_growing(&name, &message.nested_type, growing);
        growing.insert(name, fields);
    }
}
