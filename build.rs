//! The files that are built into the binary are read at compile time, so a new one must compile anew; the
//! protocol of the agents becomes code.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    for folder in ["profiles", "workloads", "targets"] {
        println!("cargo:rerun-if-changed={folder}");
    }
    let protocol = "src/cluster/wire.proto";
    println!("cargo:rerun-if-changed={protocol}");
    // Read by a compiler in Rust: no protoc to install.
    let descriptors = protox::compile([protocol], ["src/cluster"])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
