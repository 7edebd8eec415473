//! Statements on a connection.

use futures_util::stream::{BoxStream, StreamExt as _};
use sqlx::sqlite::SqliteArguments;
use sqlx::{AssertSqlSafe, Either, Executor as _};

use super::parameter::{BadValue, Kind};
use super::row::{self, First};
use super::server::{Link, Live};
use super::statement::Statement;
use crate::failure::Failure;
use crate::workload::Captures;
use slatest_core::model::{Outcome, WORKLOAD_FAULT};

/// A statement and what was said of the types of its values.
#[derive(Clone, Debug)]
pub struct Script {
    /// The statement.
    pub statement: Statement,
    /// One per value.
    pub kinds: Vec<Kind>,
}

/// What came back.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Answer {
    /// Rows that came back.
    pub rows: u64,
    /// Rows that were written.
    pub affected: u64,
    /// The first row, where it was asked for.
    pub first: Option<First>,
}

impl From<BadValue> for Failure {
    fn from(bad: BadValue) -> Self {
        Self::new(Outcome::Rejected, format!("{WORKLOAD_FAULT}{bad}"))
    }
}

impl Script {
    /// The numbers of the types that the server is told; 0 lets it choose.
    pub fn types(&self) -> Vec<u32> {
        self.kinds.iter().map(|kind| kind.oid()).collect()
    }
}

impl Live {
    /// Prepares a statement, where this connection prepares at all.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn prepare(&mut self, index: usize, script: &Script) -> Result<(), Failure> {
        if let Link::Postgres(connection, true) = &mut self.link
            && let Some(prepared) = self.prepared.get_mut(index)
            && prepared.is_none()
        {
            *prepared = Some(connection.prepare(&name(index), &script.statement.text, &script.types()).await?);
        }
        Ok(())
    }

    /// Executes one statement with its values. The first row is read where something is captured.
    ///
    /// # Errors
    /// A value that doesn't fit, or what the server has against it.
    pub async fn run(
        &mut self,
        index: usize,
        script: &Script,
        values: &[String],
        captures: &Captures,
    ) -> Result<Answer, Failure> {
        self.prepare(index, script).await?;
        let wanted = !captures.is_empty();
        let text = &script.statement.text;
        let mut answer = match &mut self.link {
            Link::Postgres(connection, _) => {
                let kept = usize::from(wanted);
                let reply = match self.prepared.get(index).cloned().flatten() {
                    Some(columns) => connection.execute(&name(index), columns, values, kept).await?,
                    None => connection.execute_once(text, &script.types(), values, kept).await?,
                };
                let first = reply.kept.into_iter().next().map(|row| First::Postgres(reply.columns, row));
                Answer { rows: reply.rows, affected: reply.affected, first }
            }
            Link::Sqlite(_, connection) => {
                let mut arguments = SqliteArguments::default();
                for (kind, value) in script.kinds.iter().zip(values) {
                    kind.add_sqlite(value, &mut arguments)?;
                }
                let results = connection.fetch_many(sqlx::query_with(AssertSqlSafe(text.clone()), arguments));
                collect(results, |r| r.rows_affected(), wanted.then_some(row::sqlite)).await?
            }
        };
        if !script.statement.counts_written {
            answer.affected = 0;
        }
        Ok(answer)
    }

    /// Executes a word of transaction control.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn control(&mut self, word: &'static str) -> Result<(), Failure> {
        match &mut self.link {
            Link::Postgres(connection, _) => connection.execute_once(word, &[], &[], 0).await.map(|_| ()),
            Link::Sqlite(_, connection) => Ok(sqlx::raw_sql(word).execute(&mut **connection).await.map(|_| ())?),
        }
    }
}

/// What a statement is prepared as.
fn name(index: usize) -> String {
    format!("slatest_{index}")
}

/// Counts what comes and keeps nothing but the first row.
async fn collect<Q, R>(
    mut results: BoxStream<'_, Result<Either<Q, R>, sqlx::Error>>,
    affected: fn(&Q) -> u64,
    first: Option<fn(&R) -> First>,
) -> Result<Answer, Failure> {
    let mut answer = Answer::default();
    while let Some(result) = results.next().await {
        match result? {
            Either::Left(done) => answer.affected += affected(&done),
            Either::Right(row) => {
                answer.rows += 1;
                if answer.first.is_none() {
                    answer.first = first.map(|to_json| to_json(&row));
                }
            }
        }
    }
    Ok(answer)
}
