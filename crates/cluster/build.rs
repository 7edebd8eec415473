//! The protocol of the agents becomes code.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let protocol = "src/wire.proto";
    println!("cargo:rerun-if-changed={protocol}");
    // Read by a compiler in Rust: no protoc to install.
    let descriptors = protox::compile([protocol], ["src"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
