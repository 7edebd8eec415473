//! The program: parse, run, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Before there are threads, which inherit it. Huge pages make a small heap resident that is
    // hardly used: 15 MiB in a plain HTTP run. Where the kernel has none there is nothing to turn off.
    let _ = nix::sys::prctl::set_thp_disable(true);
    slatest::cli::main()
}
