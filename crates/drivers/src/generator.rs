//! Faults of the generator's own machine, told apart from those of the target.

use std::io;

use nix::errno::Errno;

use slatest_core::model::GENERATOR_FAULT;

/// What this machine ran out of, where that is what an error of a socket means; the whole kind of
/// error, as in [`slatest_core::model::Completion::error`]. `None` for what the network or the target did.
///
/// No address being available means that every local port towards the target is taken: addresses
/// are never chosen by slatest.
pub fn generator_fault(error: &io::Error) -> Option<&'static str> {
    let kind = match Errno::from_raw(error.raw_os_error()?) {
        Errno::EMFILE | Errno::ENFILE => "generator: out of file descriptors",
        Errno::EADDRNOTAVAIL => "generator: out of local ports",
        Errno::ENOBUFS | Errno::ENOMEM => "generator: out of memory for sockets",
        _ => return None,
    };
    debug_assert!(kind.starts_with(GENERATOR_FAULT), "all of them can be counted by their prefix");
    Some(kind)
}

/// The kind of an error of a socket, met in a step: `connect: connection refused`, or what this
/// machine ran out of.
#[cfg(any(feature = "http", feature = "websocket", feature = "redis", feature = "sql", feature = "amqp"))]
pub(crate) fn io_kind(step: &str, error: &io::Error) -> String {
    generator_fault(error).map_or_else(|| format!("{step}: {}", error.kind()), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_this_machine_lacks_is_its_fault() {
        for code in [Errno::EMFILE, Errno::ENFILE, Errno::EADDRNOTAVAIL, Errno::ENOBUFS, Errno::ENOMEM] {
            let kind = generator_fault(&io::Error::from(code)).unwrap_or_default();
            assert!(kind.starts_with(GENERATOR_FAULT), "{code}: {kind}");
        }
        for code in [Errno::ECONNREFUSED, Errno::ECONNRESET, Errno::EHOSTUNREACH, Errno::ETIMEDOUT, Errno::EPIPE] {
            assert_eq!(generator_fault(&io::Error::from(code)), None, "{code}");
        }
        assert_eq!(io_kind("connect", &Errno::ECONNREFUSED.into()), "connect: connection refused");
        assert_eq!(io_kind("connect", &Errno::EMFILE.into()), "generator: out of file descriptors");
    }
}
