//! The embedded store: the only file that names the database.
//!
//! Invariant: a write that was acknowledged survives a power cut (SQLite in WAL mode with
//! `synchronous=FULL`: one fsync per transaction). One task owns the writing connection and takes
//! everything that waits into one transaction, so that the fsync is shared under load.

mod cosign;
mod reports;

use std::path::Path;
use std::sync::Arc;

use attestation::ids::{Digest, ModuleDigest, RequestId, RuntimeProfile, Seq, StatementId, ZappId};
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteRow,
    SqliteSynchronous,
};
use sqlx::{Connection as _, QueryBuilder, Row as _, Sqlite, SqliteConnection};
use state::entry::EntryWrite;
use tokio::sync::{mpsc, oneshot};

use crate::rows::{Closed, RequestRow, StepRow, StepWrite, StoreError, StoredArtifact, Write};

#[cfg(test)]
pub(crate) use reports::{REPORTS_MAX, REPORTS_WITH_JOB_MAX};

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self::Unavailable(Arc::new(error))
    }
}

/// The store: reads go to a pool, writes to the one writing task.
#[derive(Clone, Debug)]
pub struct Store {
    readers: SqlitePool,
    writes: mpsc::Sender<Queued>,
}

#[derive(Debug)]
struct Queued {
    write: Write,
    done: oneshot::Sender<Result<(), StoreError>>,
}

impl Store {
    /// Opens or creates the store of `committee` in the file `path`.
    ///
    /// # Errors
    /// [`StoreError`] if the file cannot be opened or is not this committee's.
    pub async fn open(path: &Path, committee: Digest) -> Result<Self, StoreError> {
        let options = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(true)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(std::time::Duration::from_secs(5));
        let mut writer = SqliteConnection::connect_with(&options).await?;
        migrate(&mut writer).await?;
        claim(&mut writer, committee).await?;
        let readers = SqlitePoolOptions::new()
            .max_connections(READERS_MAX)
            .connect_with(options.read_only(true).create_if_missing(false))
            .await?;
        let (writes, queue) = mpsc::channel(WRITES_MAX);
        tokio::spawn(write_loop(writer, queue));
        Ok(Self { readers, writes })
    }

    /// Makes `write` durable; when this returns `Ok` it is.
    ///
    /// # Errors
    /// [`StoreError`] if it is not; nothing of it remains then.
    pub async fn write(&self, write: Write) -> Result<(), StoreError> {
        let (done, answer) = oneshot::channel();
        let queued = Queued { write, done };
        self.writes
            .send(queued)
            .await
            .map_err(|_| StoreError::Closed)?;
        answer.await.map_err(|_| StoreError::Closed)?
    }

    /// Every entry of the state, in key order per zApp.
    pub async fn entries(&self) -> Result<Vec<(ZappId, Vec<u8>, Vec<u8>)>, StoreError> {
        let rows = sqlx::query("SELECT zapp, key, value FROM entries ORDER BY zapp, key")
            .fetch_all(&self.readers)
            .await?;
        rows.iter()
            .map(|row| {
                let zapp = ZappId::from_bytes(fixed(row, 0, "entries")?);
                Ok((zapp, row.try_get(1)?, row.try_get(2)?))
            })
            .collect()
    }

    /// The pending requests in order of arrival: arrival time and encoding.
    pub async fn pending(&self) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
        let rows = sqlx::query(
            "SELECT received_ms, bytes FROM requests WHERE closed IS NULL ORDER BY rowid",
        )
        .fetch_all(&self.readers)
        .await?;
        rows.iter()
            .map(|row| Ok((number(row, 0, "requests")?, row.try_get(1)?)))
            .collect()
    }

    /// Where a request stands, if it is known.
    pub async fn request(&self, id: &RequestId) -> Result<Option<RequestRow>, StoreError> {
        let accepted = sqlx::query("SELECT seq, place FROM receipts WHERE id = ?")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await?;
        if let Some(row) = accepted {
            let place = usize::try_from(number(&row, 1, "receipts")?)
                .map_err(|_| StoreError::Damaged { table: "receipts" })?;
            let seq = Seq(number(&row, 0, "receipts")?);
            return Ok(Some(RequestRow::Accepted { seq, place }));
        }
        let waiting = sqlx::query("SELECT closed FROM requests WHERE id = ?")
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await?;
        waiting
            .map(|row| match row.try_get::<Option<i64>, _>(0)? {
                None => Ok(RequestRow::Pending),
                Some(code) => Closed::from_code(code)
                    .map(RequestRow::Closed)
                    .ok_or(StoreError::Damaged { table: "requests" }),
            })
            .transpose()
    }

    /// The last accepted step: its seq and encoded attestation.
    pub async fn head(&self) -> Result<Option<(Seq, Vec<u8>)>, StoreError> {
        let row = sqlx::query("SELECT seq, attestation FROM steps ORDER BY seq DESC LIMIT 1")
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok((Seq(number(&row, 0, "steps")?), row.try_get(1)?)))
            .transpose()
    }

    /// An accepted step.
    pub async fn step(&self, seq: Seq) -> Result<Option<StepRow>, StoreError> {
        let row = sqlx::query("SELECT attestation, body, job FROM steps WHERE seq = ?")
            .bind(integer(seq.0)?)
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| {
            Ok(StepRow {
                attestation: row.try_get(0)?,
                body: row.try_get(1)?,
                job: row.try_get(2)?,
            })
        })
        .transpose()
    }

    /// A job stored before its vote, or that of an accepted step.
    pub async fn job(&self, statement: &StatementId) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query(
            "SELECT bytes FROM jobs WHERE statement = ?1 \
             UNION ALL SELECT job FROM steps WHERE statement = ?1 AND job IS NOT NULL LIMIT 1",
        )
        .bind(statement.as_bytes().as_slice())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// A module by digest.
    pub async fn module(&self, digest: &ModuleDigest) -> Result<Option<Vec<u8>>, StoreError> {
        let row = sqlx::query("SELECT bytes FROM modules WHERE digest = ?")
            .bind(digest.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await?;
        row.map(|row| Ok(row.try_get(0)?)).transpose()
    }

    /// How many modules are stored.
    pub async fn modules_count(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT count(*) FROM modules")
            .fetch_one(&self.readers)
            .await?;
        number(&row, 0, "modules")
    }

    /// A compiled module, if it was compiled under `profile`.
    pub async fn artifact(
        &self,
        module: &ModuleDigest,
        profile: &RuntimeProfile,
    ) -> Result<Option<StoredArtifact>, StoreError> {
        let row = sqlx::query(
            "SELECT metered, digest, bytes FROM artifacts WHERE module = ? AND profile = ?",
        )
        .bind(module.as_bytes().as_slice())
        .bind(profile.as_bytes().as_slice())
        .fetch_optional(&self.readers)
        .await?;
        row.map(|row| {
            Ok(StoredArtifact {
                metered: Digest::from_bytes(fixed(&row, 0, "artifacts")?),
                digest: Digest::from_bytes(fixed(&row, 1, "artifacts")?),
                bytes: row.try_get(2)?,
            })
        })
        .transpose()
    }
}

/// Brings an older schema up to date, one version per transaction.
async fn migrate(connection: &mut SqliteConnection) -> Result<(), StoreError> {
    let row = sqlx::query("PRAGMA user_version")
        .fetch_one(&mut *connection)
        .await?;
    let found = usize::try_from(number(&row, 0, "schema")?)
        .map_err(|_| StoreError::Damaged { table: "schema" })?;
    if found > MIGRATIONS.len() {
        let known = MIGRATIONS.len();
        return Err(StoreError::Newer { found, known });
    }
    for (version, statements) in (1u32..).zip(MIGRATIONS).skip(found) {
        let mut transaction = connection.begin().await?;
        sqlx::raw_sql(statements).execute(&mut *transaction).await?;
        // PRAGMA takes no bound values; a number cannot inject.
        let set_version = format!("PRAGMA user_version = {version}");
        sqlx::raw_sql(&set_version)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
    }
    Ok(())
}

/// Writes the committee into a new store, compares it in an old one.
async fn claim(connection: &mut SqliteConnection, committee: Digest) -> Result<(), StoreError> {
    sqlx::query("INSERT OR IGNORE INTO meta (name, value) VALUES ('committee', ?)")
        .bind(committee.as_bytes().as_slice())
        .execute(&mut *connection)
        .await?;
    let row = sqlx::query("SELECT value FROM meta WHERE name = 'committee'")
        .fetch_one(&mut *connection)
        .await?;
    let owner = Digest::from_bytes(fixed(&row, 0, "meta")?);
    if owner == committee {
        Ok(())
    } else {
        Err(StoreError::OtherCommittee(owner))
    }
}

/// Takes what waits, commits it in one transaction, acknowledges it.
async fn write_loop(mut connection: SqliteConnection, mut queue: mpsc::Receiver<Queued>) {
    let mut batch = Vec::new();
    while queue.recv_many(&mut batch, BATCH_MAX).await > 0 {
        let (writes, waiting): (Vec<_>, Vec<_>) = batch
            .drain(..)
            .map(|queued| (queued.write, queued.done))
            .unzip();
        let result = commit(&mut connection, &writes).await;
        if result.is_ok() || writes.len() == 1 {
            for done in waiting {
                // A caller that stopped waiting loses nothing.
                let _ = done.send(result.clone());
            }
            continue;
        }
        // One bad write must not refuse its neighbours: each on its own.
        for (write, done) in writes.iter().zip(waiting) {
            let result = commit(&mut connection, std::slice::from_ref(write)).await;
            let _ = done.send(result);
        }
    }
}

async fn commit(connection: &mut SqliteConnection, writes: &[Write]) -> Result<(), StoreError> {
    let mut transaction = connection.begin().await?;
    let mut requests = Vec::new();
    for write in writes {
        if let Write::Request { .. } = write {
            requests.push(write);
            continue;
        }
        insert_requests(&mut transaction, &mut requests).await?;
        apply(&mut transaction, write).await?;
    }
    insert_requests(&mut transaction, &mut requests).await?;
    transaction.commit().await?;
    Ok(())
}

/// Consecutive requests go in as one statement.
async fn insert_requests(
    connection: &mut SqliteConnection,
    writes: &mut Vec<&Write>,
) -> Result<(), StoreError> {
    let mut rows = Vec::with_capacity(writes.len());
    for write in writes.drain(..) {
        if let Write::Request {
            id,
            bytes,
            received_ms,
        } = write
        {
            rows.push((id, bytes, integer(*received_ms)?));
        }
    }
    for chunk in rows.chunks(ROWS_MAX) {
        let mut insert = QueryBuilder::<Sqlite>::new(
            "INSERT INTO requests (id, bytes, received_ms) SELECT * FROM (",
        );
        insert.push_values(chunk, |mut row, (id, bytes, received_ms)| {
            row.push_bind(id.as_bytes().as_slice())
                .push_bind(bytes.as_slice())
                .push_bind(received_ms);
        });
        // What a step has taken does not wait; one that was closed and is sent again does.
        insert.push(
            ") WHERE column1 NOT IN (SELECT id FROM receipts) \
             ON CONFLICT (id) DO UPDATE SET bytes = excluded.bytes, \
             received_ms = excluded.received_ms, closed = NULL WHERE closed IS NOT NULL",
        );
        execute_rows(connection, insert).await?;
    }
    Ok(())
}

async fn apply(connection: &mut SqliteConnection, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Request { .. } => Ok(()),
        Write::Close { requests } => close(connection, requests).await,
        Write::Genesis { entries } => write_entries(connection, entries).await,
        Write::Job {
            statement,
            seq,
            bytes,
        } => {
            sqlx::query("INSERT OR REPLACE INTO jobs (statement, seq, bytes) VALUES (?, ?, ?)")
                .bind(statement.as_bytes().as_slice())
                .bind(integer(seq.0)?)
                .bind(bytes.as_slice())
                .execute(connection)
                .await?;
            Ok(())
        }
        Write::Step(step) => insert_step(connection, step).await,
        Write::Report(report) => reports::put(connection, report).await,
        Write::EvmSignature { seq, signature } => cosign::put(connection, *seq, signature).await,
        #[cfg(test)]
        Write::PagesMax(pages) => {
            let limit = format!("PRAGMA max_page_count = {pages}");
            sqlx::query(&limit).execute(connection).await?;
            Ok(())
        }
        Write::Module { digest, bytes } => {
            sqlx::query("INSERT OR IGNORE INTO modules (digest, bytes) VALUES (?, ?)")
                .bind(digest.as_bytes().as_slice())
                .bind(bytes.as_slice())
                .execute(connection)
                .await?;
            Ok(())
        }
        Write::Artifact {
            module,
            profile,
            artifact,
        } => {
            sqlx::query(
                "INSERT OR REPLACE INTO artifacts (module, profile, metered, digest, bytes) \
                 VALUES (?, ?, ?, ?, ?)",
            )
            .bind(module.as_bytes().as_slice())
            .bind(profile.as_bytes().as_slice())
            .bind(artifact.metered.as_bytes().as_slice())
            .bind(artifact.digest.as_bytes().as_slice())
            .bind(artifact.bytes.as_slice())
            .execute(connection)
            .await?;
            Ok(())
        }
    }
}

async fn close(
    connection: &mut SqliteConnection,
    requests: &[(RequestId, Closed)],
) -> Result<(), StoreError> {
    for (id, closed) in requests {
        sqlx::query("UPDATE requests SET closed = ?, bytes = x'' WHERE id = ?")
            .bind(closed.code())
            .bind(id.as_bytes().as_slice())
            .execute(&mut *connection)
            .await?;
    }
    // Reasons are kept for the newest only; an attacker must not grow this table.
    sqlx::query(
        "DELETE FROM requests WHERE closed IS NOT NULL AND rowid <= \
         (SELECT rowid FROM requests WHERE closed IS NOT NULL ORDER BY rowid DESC LIMIT 1 OFFSET ?)",
    )
    .bind(CLOSED_MAX)
    .execute(&mut *connection)
    .await?;
    Ok(())
}

async fn insert_step(
    connection: &mut SqliteConnection,
    step: &StepWrite,
) -> Result<(), StoreError> {
    let seq = integer(step.seq.0)?;
    sqlx::query(
        "INSERT INTO steps (seq, statement, attestation, body, job) \
         VALUES (?1, ?2, ?3, ?4, COALESCE(?5, (SELECT bytes FROM jobs WHERE statement = ?2)))",
    )
    .bind(seq)
    .bind(step.statement.as_bytes().as_slice())
    .bind(step.attestation.as_slice())
    .bind(step.body.as_slice())
    .bind(step.job.as_deref())
    .execute(&mut *connection)
    .await?;
    write_entries(connection, &step.entries).await?;
    let places: Vec<(i64, &RequestId)> = (0i64..).zip(&step.requests).collect();
    for chunk in places.chunks(ROWS_MAX) {
        let mut insert =
            QueryBuilder::<Sqlite>::new("INSERT OR IGNORE INTO receipts (id, seq, place) ");
        insert.push_values(chunk, |mut row, (place, id)| {
            row.push_bind(id.as_bytes().as_slice())
                .push_bind(seq)
                .push_bind(*place);
        });
        execute_rows(connection, insert).await?;
        let mut delete = QueryBuilder::<Sqlite>::new("DELETE FROM requests WHERE id IN (");
        let mut ids = delete.separated(",");
        for (_, id) in chunk {
            ids.push_bind(id.as_bytes().as_slice());
        }
        delete.push(")");
        execute_rows(connection, delete).await?;
    }
    sqlx::query("DELETE FROM jobs WHERE seq <= ?")
        .bind(seq)
        .execute(connection)
        .await?;
    Ok(())
}

async fn write_entries(
    connection: &mut SqliteConnection,
    entries: &[EntryWrite],
) -> Result<(), StoreError> {
    let written: Vec<_> = entries
        .iter()
        .filter_map(|entry| entry.value.as_ref().map(|value| (entry, value)))
        .collect();
    for chunk in written.chunks(ROWS_MAX) {
        let mut insert =
            QueryBuilder::<Sqlite>::new("INSERT OR REPLACE INTO entries (zapp, key, value) ");
        insert.push_values(chunk, |mut row, (entry, value)| {
            row.push_bind(entry.zapp.as_bytes().as_slice())
                .push_bind(entry.key.as_slice())
                .push_bind(value.as_slice());
        });
        execute_rows(connection, insert).await?;
    }
    for entry in entries.iter().filter(|entry| entry.value.is_none()) {
        sqlx::query("DELETE FROM entries WHERE zapp = ? AND key = ?")
            .bind(entry.zapp.as_bytes().as_slice())
            .bind(entry.key.as_slice())
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// A statement over many rows; their number differs each time, so it is not worth remembering.
async fn execute_rows(
    connection: &mut SqliteConnection,
    mut statement: QueryBuilder<'_, Sqlite>,
) -> Result<(), StoreError> {
    let query = statement.build().persistent(false);
    query.execute(connection).await?;
    Ok(())
}

/// SQLite integers are signed; every number stored here is below 2^63.
fn integer(value: u64) -> Result<i64, StoreError> {
    i64::try_from(value).map_err(|_| StoreError::Damaged { table: "numbers" })
}

fn number(row: &SqliteRow, at: usize, table: &'static str) -> Result<u64, StoreError> {
    u64::try_from(row.try_get::<i64, _>(at)?).map_err(|_| StoreError::Damaged { table })
}

fn fixed<const N: usize>(
    row: &SqliteRow,
    at: usize,
    table: &'static str,
) -> Result<[u8; N], StoreError> {
    row.try_get::<&[u8], _>(at)?
        .try_into()
        .map_err(|_| StoreError::Damaged { table })
}

/// Schema versions; each is applied once, in order.
const MIGRATIONS: &[&str] = &[
    include_str!("schema-1.sql"),
    include_str!("schema-2.sql"),
    include_str!("schema-3.sql"),
];
const READERS_MAX: u32 = 4;
/// Writes that may wait; more make their senders wait.
const WRITES_MAX: usize = 4096;
/// Writes in one transaction.
const BATCH_MAX: usize = 1024;
/// Rows of one statement: four values each stay below SQLite's 32,766.
const ROWS_MAX: usize = 500;
/// Closed requests whose reason is remembered.
const CLOSED_MAX: i64 = 20_000;

#[cfg(test)]
#[path = "store_tests.rs"]
pub(crate) mod tests;
