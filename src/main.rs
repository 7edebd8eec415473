//! The program: parse, run, exit code.

use std::process::ExitCode;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    // Huge pages make a small heap resident that is hardly used. The allocator doesn't ask for them;
    // this is for kernels that give them unasked. Where there are none there is nothing to turn off.
    let _ = nix::sys::prctl::set_thp_disable(true);
    slatest::commands::main()
}
