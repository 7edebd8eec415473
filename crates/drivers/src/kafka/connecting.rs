//! How librdkafka's clients get their connections: every name is looked up and every socket connected here, behind
//! the guard. Brokers advertise hosts at any time, and librdkafka follows them by itself.

use std::cell::RefCell;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsRawFd;
use std::os::unix::net::UnixStream;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use nix::libc::{self, EAI_FAIL, EAI_NONAME, EAI_SYSTEM, addrinfo, sockaddr, sockaddr_in, sockaddr_in6};
use rdkafka::ClientConfig;
use rdkafka::bindings::{rd_kafka_brokers_add, rd_kafka_conf, rd_kafka_conf_set_connect_cb, rd_kafka_conf_t};
use rdkafka::config::FromClientConfigAndContext;
use rdkafka::error::{KafkaError, KafkaResult};
use rdkafka::types::RDKafka;

use super::context::Context;
use super::filter;
use crate::dial::{Dial, DialError};

/// Longest that a broker's thread waits for a connection; librdkafka then tries again.
const WITHIN: Duration = Duration::from_secs(3);

type ResolveCallback = unsafe extern "C" fn(
    node: *const c_char,
    service: *const c_char,
    hints: *const addrinfo,
    found: *mut *mut addrinfo,
    opaque: *mut c_void,
) -> c_int;

unsafe extern "C" {
    /// Declared in librdkafka's header, but not among the bindings.
    fn rd_kafka_conf_set_resolve_cb(conf: *mut rd_kafka_conf_t, callback: Option<ResolveCallback>);
}

thread_local! {
    /// What was connected while the name was looked up. librdkafka looks a broker's name up and connects to it on
    /// the same thread, one right after the other.
    static CONNECTED: RefCell<Option<Connected>> = const { RefCell::new(None) };
}

struct Connected {
    address: SocketAddr,
    /// Our end of the connection that librdkafka gets, or the system's number for why there is none.
    stream: Result<UnixStream, c_int>,
}

/// A client of one kind.
pub(super) trait Native {
    /// librdkafka's own.
    fn native(&self) -> *mut RDKafka;
}

/// Makes a client that connects through here. It knows no broker until both callbacks are in place.
///
/// # Errors
/// A configuration that librdkafka refuses.
pub(super) fn create<R, C>(config: &ClientConfig, context: Context<R>) -> KafkaResult<C>
where
    R: Send + Sync + 'static,
    C: FromClientConfigAndContext<Context<R>> + Native,
    Context<R>: rdkafka::ClientContext,
{
    let mut config = config.clone();
    let brokers = config.get("bootstrap.servers").unwrap_or_default().to_owned();
    config.remove("bootstrap.servers");
    // Each connection looks its name up: what was looked up is kept by the dial.
    config.set("broker.address.ttl", "0");
    let client: C = config.create_with_context(context)?;
    let brokers = CString::new(brokers)?;
    let native = client.native();
    // SAFETY: `native` is a live client. Its threads read these two callbacks only to connect to a broker, and it
    // knows none yet. Its opaque pointer is the `Context<R>` that it was made with, which lives as long.
    let known = unsafe {
        let conf = rd_kafka_conf(native).cast_mut();
        rd_kafka_conf_set_resolve_cb(conf, Some(resolve::<R>));
        rd_kafka_conf_set_connect_cb(conf, Some(connect::<R>));
        rd_kafka_brokers_add(native, brokers.as_ptr())
    };
    if known < 1 {
        return Err(KafkaError::ClientCreation("no bootstrap broker can be used".into()));
    }
    Ok(client)
}

/// Looks a name up and connects; gives librdkafka the one address to which there is a connection.
unsafe extern "C" fn resolve<R>(
    node: *const c_char,
    service: *const c_char,
    _hints: *const addrinfo,
    found: *mut *mut addrinfo,
    opaque: *mut c_void,
) -> c_int {
    if node.is_null() {
        // SAFETY: without a name, what was given before is to be freed.
        unsafe { free(*found) };
        return 0;
    }
    // SAFETY: librdkafka gives two texts, and its opaque pointer is the context.
    let (host, port, context) =
        unsafe { (CStr::from_ptr(node), CStr::from_ptr(service), &*opaque.cast_const().cast::<Context<R>>()) };
    let (Ok(host), Some(port)) = (host.to_str(), port.to_str().ok().and_then(|port| port.parse().ok())) else {
        return EAI_NONAME;
    };
    match dial(context, host, port) {
        Ok(connected) => {
            // SAFETY: librdkafka gives the place for the answer.
            unsafe { *found = entry(connected.address) };
            CONNECTED.set(Some(connected));
            0
        }
        Err(DialError::NotAllowed(reason)) => {
            context.troubles.refuse(host, reason);
            nix::errno::Errno::set(nix::errno::Errno::EACCES);
            EAI_SYSTEM
        }
        Err(DialError::Lookup { .. }) => EAI_NONAME,
        Err(_) => EAI_FAIL,
    }
}

/// Hands over the connection that was made for this address.
unsafe extern "C" fn connect<R>(
    socket: c_int,
    address: *const sockaddr,
    length: c_int,
    id: *const c_char,
    opaque: *mut c_void,
) -> c_int {
    // SAFETY: librdkafka gives a socket's address of this length.
    let wanted = unsafe { read(address, length) };
    match CONNECTED.take() {
        Some(Connected { address, stream }) if wanted == Some(address) => match stream {
            // SAFETY: both are open; the stream's own number is closed with it.
            Ok(stream) => match unsafe { libc::dup3(stream.as_raw_fd(), socket, libc::O_CLOEXEC) } {
                -1 => nix::errno::Errno::last_raw(),
                _ => 0,
            },
            Err(code) => code,
        },
        _ => {
            // SAFETY: as above.
            let (id, context) = unsafe { (CStr::from_ptr(id), &*opaque.cast_const().cast::<Context<R>>()) };
            tracing::debug!(target: "librdkafka", ?id, "a connection that wasn't looked up is tried again");
            context.troubles.answered();
            libc::EAGAIN
        }
    }
}

/// A connection to `host`, filtered; made where the client's connections live.
fn dial<R>(context: &Context<R>, host: &str, port: u16) -> Result<Connected, DialError> {
    let dial: &Dial = &context.dial;
    let name = format!("{host}:{port}");
    // The address to which librdkafka is told to connect, where there is no connection to it.
    let any = async || {
        let address = dial.addresses(host, port).await?.first().copied();
        address.ok_or_else(|| DialError::from(std::io::Error::from(std::io::ErrorKind::ConnectionRefused)))
    };
    let dialled = context.filter.wait(async {
        let stream = match dial.connect(host, port, WITHIN).await {
            Ok(stream) => stream,
            Err(error @ (DialError::NotAllowed(_) | DialError::Lookup { .. })) => return Err(error),
            // The connection fails, not the name: librdkafka says so by itself.
            Err(error) => {
                let code = match &error {
                    DialError::Connect(error) => error.raw_os_error().unwrap_or(libc::ECONNREFUSED),
                    _ => libc::ETIMEDOUT,
                };
                let address = any().await.map_err(|_| error)?;
                return Ok(Connected { address, stream: Err(code) });
            }
        };
        let address = stream.peer_addr()?;
        socket2::SockRef::from(&stream).set_keepalive(true)?;
        let troubles = Arc::clone(&context.troubles);
        let Some(tls) = context.security.tls() else {
            return Ok(Connected { address, stream: Ok(filter::begin(stream, name, troubles)?) });
        };
        match tokio::time::timeout(WITHIN, tls.connect(host, stream)).await {
            Ok(Ok(stream)) => Ok(Connected { address, stream: Ok(filter::begin(stream, name, troubles)?) }),
            Ok(Err(reason)) => {
                context.troubles.refuse_tls(format!("{name}: {reason}"));
                Ok(Connected { address, stream: Err(libc::EPROTO) })
            }
            Err(_) => Ok(Connected { address, stream: Err(libc::ETIMEDOUT) }),
        }
    });
    dialled.unwrap_or_else(|| Err(std::io::Error::from(std::io::ErrorKind::NotConnected).into()))
}

/// An address as a list of one.
fn entry(address: SocketAddr) -> *mut addrinfo {
    let (family, length, socket) = match address {
        SocketAddr::V4(v4) => {
            let socket = Box::new(sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            });
            (libc::AF_INET, size_of::<sockaddr_in>(), Box::into_raw(socket).cast::<sockaddr>())
        }
        SocketAddr::V6(v6) => {
            let socket = Box::new(sockaddr_in6 {
                sin6_family: libc::AF_INET6 as libc::sa_family_t,
                sin6_port: v6.port().to_be(),
                sin6_flowinfo: v6.flowinfo(),
                sin6_addr: libc::in6_addr { s6_addr: v6.ip().octets() },
                sin6_scope_id: v6.scope_id(),
            });
            (libc::AF_INET6, size_of::<sockaddr_in6>(), Box::into_raw(socket).cast::<sockaddr>())
        }
    };
    Box::into_raw(Box::new(addrinfo {
        ai_flags: 0,
        ai_family: family,
        ai_socktype: libc::SOCK_STREAM,
        ai_protocol: libc::IPPROTO_TCP,
        ai_addrlen: length as libc::socklen_t,
        ai_addr: socket,
        ai_canonname: ptr::null_mut(),
        ai_next: ptr::null_mut(),
    }))
}

/// Frees what [`entry`] made.
unsafe fn free(list: *mut addrinfo) {
    if list.is_null() {
        return;
    }
    // SAFETY: both were boxed by `entry`, and the family says as what.
    unsafe {
        let list = Box::from_raw(list);
        if list.ai_family == libc::AF_INET {
            drop(Box::from_raw(list.ai_addr.cast::<sockaddr_in>()));
        } else {
            drop(Box::from_raw(list.ai_addr.cast::<sockaddr_in6>()));
        }
    }
}

/// The address in a socket's address.
unsafe fn read(address: *const sockaddr, length: c_int) -> Option<SocketAddr> {
    let length = usize::try_from(length).ok()?;
    // SAFETY: the family says which of both it is, and the length that it is whole.
    unsafe {
        match c_int::from((*address).sa_family) {
            libc::AF_INET if length >= size_of::<sockaddr_in>() => {
                let v4 = &*address.cast::<sockaddr_in>();
                let ip = IpAddr::from(v4.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddr::new(ip, u16::from_be(v4.sin_port)))
            }
            libc::AF_INET6 if length >= size_of::<sockaddr_in6>() => {
                let v6 = &*address.cast::<sockaddr_in6>();
                let (port, scope) = (u16::from_be(v6.sin6_port), v6.sin6_scope_id);
                let ip = v6.sin6_addr.s6_addr.into();
                Some(std::net::SocketAddrV6::new(ip, port, v6.sin6_flowinfo, scope).into())
            }
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_the_same_in_both_directions() {
        for text in ["127.0.0.2:9092", "[::1]:65535", "[fe80::1]:1"] {
            let address: SocketAddr = text.parse().unwrap();
            let list = entry(address);
            // SAFETY: it was just made.
            unsafe {
                assert_eq!(read((*list).ai_addr, (*list).ai_addrlen as c_int), Some(address));
                assert_eq!(read((*list).ai_addr, 3), None);
                free(list);
            }
        }
    }
}
