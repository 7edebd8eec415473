//! Statements on a connection.

use futures_util::stream::{BoxStream, StreamExt as _};
use serde_json::Value;
use sqlx::postgres::PgArguments;
use sqlx::sqlite::SqliteArguments;
use sqlx::{Arguments as _, AssertSqlSafe, Either, Executor as _, SqlSafeStr as _, Statement as _};

use super::parameter::{BadValue, Kind, Wire};
use super::row;
use super::server::{Link, Live};
use super::statement::Statement;
use crate::failure::Failure;
use slatest_core::model::Outcome;

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
    /// The first row as an object, where it was asked for.
    pub first: Option<Value>,
}

impl From<BadValue> for Failure {
    fn from(bad: BadValue) -> Self {
        Self::new(Outcome::Rejected, bad.to_string())
    }
}

impl Live {
    /// Prepares a statement, where this connection prepares at all.
    ///
    /// # Errors
    /// What the server has against it.
    pub async fn prepare(&mut self, index: usize, script: &Script) -> Result<(), Failure> {
        if let Link::Postgres(connection, true) = &mut self.link
            && self.wires.get(index).is_some_and(Option::is_none)
        {
            let types: Vec<_> = script.kinds.iter().map(|kind| kind.declared()).collect();
            let text = AssertSqlSafe(script.statement.text.clone()).into_sql_str();
            let prepared = connection.prepare_with(text, &types).await?;
            let wires = match prepared.parameters() {
                Some(Either::Left(types)) => types.iter().map(Wire::of).collect(),
                _ => Vec::new(),
            };
            self.wires[index] = Some(wires.into());
        }
        Ok(())
    }

    /// Executes one statement with its values.
    ///
    /// # Errors
    /// A value that doesn't fit, or what the server has against it.
    pub async fn run(
        &mut self,
        index: usize,
        script: &Script,
        values: &[String],
        first_wanted: bool,
    ) -> Result<Answer, Failure> {
        self.prepare(index, script).await?;
        let wires = self.wires.get(index).cloned().flatten();
        let mut answer = match &mut self.link {
            Link::Postgres(connection, true) => {
                let wires = wires.as_deref().unwrap_or_default();
                let mut arguments = PgArguments::default();
                for (wire, value) in wires.iter().zip(values) {
                    arguments.add(wire.encode(value)?).map_err(|_| BadValue("short enough"))?;
                }
                let text = AssertSqlSafe(script.statement.text.clone());
                let results = connection.fetch_many(sqlx::query_with(text, arguments));
                collect(results, |r| r.rows_affected(), first_wanted.then_some(row::postgres)).await
            }
            Link::Postgres(connection, false) => {
                let literals = script.kinds.iter().zip(values).map(|(kind, value)| kind.literal(value));
                let text = script.statement.with_literals(&literals.collect::<Result<Vec<_>, _>>()?);
                let results = sqlx::raw_sql(AssertSqlSafe(text)).fetch_many(&mut **connection);
                collect(results, |r| r.rows_affected(), first_wanted.then_some(row::postgres)).await
            }
            Link::Sqlite(_, connection) => {
                let mut arguments = SqliteArguments::default();
                for (kind, value) in script.kinds.iter().zip(values) {
                    kind.add_sqlite(value, &mut arguments)?;
                }
                let text = AssertSqlSafe(script.statement.text.clone());
                let results = connection.fetch_many(sqlx::query_with(text, arguments));
                collect(results, |r| r.rows_affected(), first_wanted.then_some(row::sqlite)).await
            }
        }?;
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
            Link::Postgres(connection, _) => sqlx::raw_sql(word).execute(&mut **connection).await.map(|_| ())?,
            Link::Sqlite(_, connection) => sqlx::raw_sql(word).execute(&mut **connection).await.map(|_| ())?,
        }
        Ok(())
    }
}

/// Counts what comes and keeps nothing but the first row.
async fn collect<Q, R>(
    mut results: BoxStream<'_, Result<Either<Q, R>, sqlx::Error>>,
    affected: fn(&Q) -> u64,
    first: Option<fn(&R) -> Value>,
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
