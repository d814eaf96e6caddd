//! Generates the messages of the peers on the wire, without `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let descriptors = protox::compile(["echo.proto", "umadb.proto"], ["proto"])?;
    let mut config = prost_build::Config::new();
    config.bytes(["."]).include_file("peers.rs");
    tonic_prost_build::configure().compile_fds_with_config(descriptors, config)?;
    Ok(())
}
