//! Reading writes back: the identifiers of a scenario lie side by side, so each table is read page by page along the
//! index of its column, on the primary and on every replica.

use futures_util::TryStreamExt as _;
use sqlx::{AssertSqlSafe, Executor as _, Row as _, ValueRef as _};
use tokio::time::timeout;

use super::file::SqlLedger;
use super::plan::Plan;
use super::server::{Link, Live, Server};
use crate::failure::Failure;
use crate::{ReadBack, ReadBackError};
use slatest_core::model::{Problem, WriteId};
use slatest_core::source::{Located, Source};
use slatest_core::writes::Found;

/// Rows of one page.
const PAGE: usize = 5_000;

/// A table that holds writes.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Table {
    /// Quoted, with its schema.
    table: String,
    /// Quoted.
    id: String,
}

impl Table {
    /// From what a workload file says; `key` is where it stands.
    ///
    /// # Errors
    /// A name that is empty or too long for any server.
    pub fn compile(source: &Source, ledger: &SqlLedger, key: &str) -> Result<Self, Problem> {
        let quoted = |written: &Located<String>, name: &str, parts_max: usize| {
            let parts: Vec<&str> = written.split('.').collect();
            let fits = |part: &&str| (1..=128).contains(&part.len()) && !part.contains('\0');
            if parts.len() > parts_max || !parts.iter().all(fits) {
                let message = format!("`{written}` can't be the name of a {name}");
                return Err(source.problem_at(written, format!("{key}.{name}"), message));
            }
            Ok(parts.iter().map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join("."))
        };
        Ok(Self { table: quoted(&ledger.table, "table", 3)?, id: quoted(&ledger.id, "id", 1)? })
    }

    /// The next page: what lies in (after, to]. Identifiers are hexadecimal digits, so they stand in the text as they
    /// are; and a table may hold one twice, so a page that ends within copies is not told from one that doesn't:
    /// copies are counted instead.
    fn page(&self, after: Option<WriteId>, (from, to): (WriteId, WriteId)) -> String {
        let Self { table, id } = self;
        let lower = match after {
            None => format!("{id} >= '{from}'"),
            Some(after) => format!("{id} > '{after}'"),
        };
        format!(
            "SELECT CAST({id} AS text), count(*) FROM {table} WHERE {lower} AND {id} <= '{to}' \
             GROUP BY {id} ORDER BY {id} LIMIT {PAGE}"
        )
    }
}

/// Reads every table of the workload's ledgered operations, on every server.
///
/// # Errors
/// A server that doesn't answer within the patience, or refuses.
pub async fn read_back(plan: &Plan, reading: &mut ReadBack<'_>) -> Result<(), ReadBackError> {
    reading.set_readers(1 + plan.replicas.len());
    for (server, reader) in std::iter::once(&plan.primary).chain(&plan.replicas).zip(0_u8..) {
        let failed = |failure: Failure| {
            let words = if failure.detail.is_empty() { failure.kind.clone() } else { failure.detail.clone() };
            ReadBackError::Store(format!("{}: {}", server.address(), server.redact(&words)))
        };
        let mut live = server.connect(&[], reading.deadline()).await.map_err(failed)?;
        for table in &plan.ledger_tables {
            read_table(server, &mut live, table, reader, reading).await?;
        }
        live.close().await;
    }
    Ok(())
}

async fn read_table(
    server: &Server,
    live: &mut Live,
    table: &Table,
    reader: u8,
    reading: &mut ReadBack<'_>,
) -> Result<(), ReadBackError> {
    let range = reading.scope().range();
    let mut after = None;
    loop {
        let page = timeout(reading.patience().as_duration(), page(live, table.page(after, range))).await;
        let rows = match page {
            Ok(Ok(rows)) => rows,
            Ok(Err(error)) => {
                let words = server.redact(&error.detail);
                return Err(ReadBackError::Store(format!("{}: {}: {words}", server.address(), table.table)));
            }
            Err(_) => {
                let seconds = reading.patience();
                let words = format!("{}: {}: no answer within {seconds}", server.address(), table.table);
                return Err(ReadBackError::Store(words));
            }
        };
        for (text, copies) in &rows {
            // Between the identifiers of a scenario there may be texts that are none.
            let Ok(id) = text.parse::<WriteId>() else { continue };
            for _ in 0..*copies {
                reading.found(&Found { reader, ..Found::present(id) })?;
            }
        }
        let last = rows.iter().rev().find_map(|(text, _)| text.parse().ok());
        if rows.len() < PAGE || last.is_none() {
            return Ok(());
        }
        after = last;
    }
}

/// One page: texts and how often each is there. In one piece, which goes through every pooler.
async fn page(live: &mut Live, statement: String) -> Result<Vec<(String, u64)>, Failure> {
    let mut found = Vec::with_capacity(PAGE);
    match &mut live.link {
        Link::Postgres(connection, _) => {
            for row in connection.execute_once(&statement, &[], &[], PAGE).await?.kept {
                let mut texts = row.into_iter();
                let (Some(Some(id)), Some(Some(copies))) = (texts.next(), texts.next()) else { continue };
                found.push((id, copies.parse().unwrap_or(1)));
            }
        }
        Link::Sqlite(_, connection) => {
            let mut rows = connection.fetch(sqlx::raw_sql(AssertSqlSafe(statement)));
            while let Some(row) = rows.try_next().await? {
                if row.try_get_raw(0)?.is_null() {
                    continue;
                }
                let copies: i64 = row.try_get_unchecked(1)?;
                found.push((row.try_get_unchecked(0)?, u64::try_from(copies).unwrap_or(1)));
            }
        }
    }
    Ok(found)
}
