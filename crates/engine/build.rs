//! The files that are built into the program are read at compile time, so a new one must compile anew.

fn main() {
    for folder in ["profiles", "workloads", "targets"] {
        println!("cargo:rerun-if-changed=../../{folder}");
    }
}
