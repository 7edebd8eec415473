//! The files that are built into the binary are read at compile time; a new one must compile anew.

fn main() {
    for folder in ["profiles", "workloads", "targets"] {
        println!("cargo:rerun-if-changed={folder}");
    }
}
