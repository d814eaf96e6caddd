//! Generates the protocol's messages and services, without `protoc`.

use std::error::Error;
use std::path::Path;

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
    let mut config = prost_build::Config::new();
    config
        // Some of them link to what is not there.
        .disable_comments(["."])
        .enable_type_names()
        .type_name_domain(["."], "type.googleapis.com")
        .bytes(["."])
        .include_file("protocol.rs")
        .type_attribute(
            "event_store.client.InvalidTransaction",
            "#[expect(dead_code, reason = \"no append is refused for this\")]",
        );
    tonic_prost_build::configure()
        .build_client(false)
        .compile_fds_with_config(descriptors, config)?;
    Ok(())
}
