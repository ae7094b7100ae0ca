//! Reports in the store: the newest are kept, and those that keep a job alive are fewer.

use attestation::ids::Digest;
use sqlx::sqlite::SqliteRow;
use sqlx::{Row as _, SqliteConnection};

use super::{Store, fixed, integer, number};
use crate::rows::{ReportRow, ReportWrite, StoreError};

/// Most reports kept.
pub(crate) const REPORTS_MAX: i64 = 1_024;
/// Most reports that keep a job which no accepted step keeps: jobs may have megabytes.
pub(crate) const REPORTS_WITH_JOB_MAX: i64 = 64;

/// A report's job: its own, or that of the step which its statement became.
const JOB: &str = "COALESCE(reports.job, \
     (SELECT job FROM steps WHERE steps.statement = reports.statement), \
     (SELECT bytes FROM jobs WHERE jobs.statement = reports.statement))";

impl Store {
    /// The newest reports, newest first.
    pub(crate) async fn reports(&self, limit: u64) -> Result<Vec<ReportRow>, StoreError> {
        let query = format!(
            "SELECT id, first_ms, last_ms, times, body, {JOB} IS NOT NULL FROM reports \
             ORDER BY last_ms DESC, rowid DESC LIMIT ?"
        );
        let rows = sqlx::query(&query)
            .bind(integer(limit)?)
            .fetch_all(&self.readers)
            .await?;
        rows.iter().map(report).collect()
    }

    /// One report.
    pub(crate) async fn report(&self, id: &Digest) -> Result<Option<ReportRow>, StoreError> {
        let query = format!(
            "SELECT id, first_ms, last_ms, times, body, {JOB} IS NOT NULL FROM reports \
             WHERE id = ?"
        );
        let row = sqlx::query(&query)
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await?;
        row.as_ref().map(report).transpose()
    }

    /// The encoded job of a report, if this node has ever had it.
    pub(crate) async fn report_job(&self, id: &Digest) -> Result<Option<Vec<u8>>, StoreError> {
        let query = format!("SELECT {JOB} FROM reports WHERE id = ?");
        let row = sqlx::query(&query)
            .bind(id.as_bytes().as_slice())
            .fetch_optional(&self.readers)
            .await?;
        Ok(row
            .map(|row| row.try_get::<Option<Vec<u8>>, _>(0))
            .transpose()?
            .flatten())
    }

    /// How many reports are kept.
    pub(crate) async fn reports_count(&self) -> Result<u64, StoreError> {
        let row = sqlx::query("SELECT count(*) FROM reports")
            .fetch_one(&self.readers)
            .await?;
        number(&row, 0, "reports")
    }
}

fn report(row: &SqliteRow) -> Result<ReportRow, StoreError> {
    Ok(ReportRow {
        id: Digest::from_bytes(fixed(row, 0, "reports")?),
        first_ms: number(row, 1, "reports")?,
        last_ms: number(row, 2, "reports")?,
        times: number(row, 3, "reports")?,
        body: row.try_get(4)?,
        has_job: row.try_get(5)?,
    })
}

/// Writes a report, or counts it again, and drops what is beyond the bounds.
pub(super) async fn put(
    connection: &mut SqliteConnection,
    report: &ReportWrite,
) -> Result<(), StoreError> {
    let own = report.own.as_ref().map(|own| own.as_bytes().as_slice());
    let statement = report.statement.as_ref();
    sqlx::query(
        "INSERT INTO reports (id, first_ms, last_ms, times, body, statement, job) \
         VALUES (?1, ?2, ?2, 1, ?3, ?4, \
             COALESCE(?5, (SELECT bytes FROM jobs WHERE statement = ?6))) \
         ON CONFLICT (id) DO UPDATE SET last_ms = excluded.last_ms, times = times + 1, \
             body = excluded.body, statement = excluded.statement, \
             job = COALESCE(excluded.job, job)",
    )
    .bind(report.id.as_bytes().as_slice())
    .bind(integer(report.at_ms)?)
    .bind(report.body.as_slice())
    .bind(statement.map(|statement| statement.as_bytes().as_slice()))
    .bind(report.job.as_deref())
    .bind(own)
    .execute(&mut *connection)
    .await?;
    let newest = "ORDER BY last_ms DESC, rowid DESC LIMIT -1 OFFSET";
    for (among, max) in [
        ("", REPORTS_MAX),
        ("WHERE job IS NOT NULL", REPORTS_WITH_JOB_MAX),
    ] {
        let delete = format!(
            "DELETE FROM reports WHERE rowid IN (SELECT rowid FROM reports {among} {newest} ?)"
        );
        sqlx::query(&delete)
            .bind(max)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}
