//! Connections that the users of one worker share.

use std::cell::RefCell;
use std::rc::{Rc, Weak};
use std::sync::Arc;

use super::connection::Connection;
use super::plan::Http;

thread_local! {
    /// The pools of this worker, each with the workload that it belongs to.
    static POOLS: RefCell<Vec<(usize, Weak<Pool>)>> = const { RefCell::new(Vec::new()) };
}

/// Idle connections of one workload on one worker, the one used last on top. There are never more than there were
/// operations under way at once.
#[derive(Debug, Default)]
pub(super) struct Pool {
    idle: RefCell<Vec<Connection>>,
}

impl Pool {
    /// The pool of a workload on this thread.
    pub(super) fn of(http: &Arc<Http>) -> Rc<Self> {
        let key = Arc::as_ptr(http) as usize;
        POOLS.with_borrow_mut(|pools| {
            pools.retain(|(_, pool)| pool.strong_count() > 0);
            if let Some(pool) = pools.iter().find(|(k, _)| *k == key).and_then(|(_, pool)| pool.upgrade()) {
                return pool;
            }
            let pool = Rc::new(Self::default());
            pools.push((key, Rc::downgrade(&pool)));
            pool
        })
    }

    /// An idle connection that takes a request at once. Those that the server closed meanwhile go.
    pub(super) fn take(&self) -> Option<Connection> {
        let mut idle = self.idle.borrow_mut();
        while let Some(mut connection) = idle.pop() {
            if connection.is_ready_now() {
                return Some(connection);
            }
        }
        None
    }

    /// Gives a connection back.
    pub(super) fn put(&self, connection: Connection) {
        self.idle.borrow_mut().push(connection);
    }
}
