use super::*;

/// Changes a store behind its program's back.
pub(crate) async fn execute(path: &Path, statement: &str) -> Result<(), sqlx::Error> {
    let options = SqliteConnectOptions::new().filename(path);
    let mut connection = SqliteConnection::connect_with(&options).await?;
    sqlx::raw_sql(statement).execute(&mut connection).await?;
    Ok(())
}

async fn open(dir: &tempfile::TempDir) -> Result<Store, StoreError> {
    Store::open(&dir.path().join("s.sqlite"), Digest::from_bytes([1; 32])).await
}

fn request(id: u8) -> Write {
    Write::Request {
        id: RequestId::from_bytes([id; 32]),
        bytes: vec![id; 10],
        received_ms: 5,
    }
}

fn step(seq: u64, requests: &[u8]) -> Write {
    let byte = u8::try_from(seq).unwrap();
    Write::Step(Box::new(StepWrite {
        seq: Seq(seq),
        statement: StatementId::from_bytes([byte; 32]),
        attestation: vec![byte],
        body: vec![byte; 3],
        job: None,
        entries: vec![EntryWrite {
            zapp: ZappId::SYSTEM,
            key: vec![byte],
            value: Some(vec![byte; 2]),
        }],
        requests: requests
            .iter()
            .map(|id| RequestId::from_bytes([*id; 32]))
            .collect(),
    }))
}

#[tokio::test]
async fn what_was_acknowledged_is_there_when_opened_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await.unwrap();
    for id in 1..=3 {
        store.write(request(id)).await.unwrap();
    }
    let job = Write::Job {
        statement: StatementId::from_bytes([1; 32]),
        seq: Seq(1),
        bytes: vec![42],
    };
    store.write(job).await.unwrap();
    store.write(step(1, &[2])).await.unwrap();
    let closed = vec![(RequestId::from_bytes([3; 32]), Closed::Expired)];
    store
        .write(Write::Close { requests: closed })
        .await
        .unwrap();
    drop(store);

    let store = open(&dir).await.unwrap();
    assert_eq!(store.pending().await.unwrap(), [(5, vec![1; 10])]);
    let place = |id: u8| {
        let store = store.clone();
        async move {
            store
                .request(&RequestId::from_bytes([id; 32]))
                .await
                .unwrap()
        }
    };
    assert_eq!(place(1).await, Some(RequestRow::Pending));
    let accepted = RequestRow::Accepted {
        seq: Seq(1),
        place: 0,
    };
    assert_eq!(place(2).await, Some(accepted));
    assert_eq!(place(3).await, Some(RequestRow::Closed(Closed::Expired)));
    assert_eq!(place(4).await, None);
    assert_eq!(store.head().await.unwrap(), Some((Seq(1), vec![1])));
    let statement = StatementId::from_bytes([1; 32]);
    assert_eq!(
        store.job(&statement).await.unwrap(),
        Some(vec![42]),
        "kept with its step"
    );
    assert_eq!(
        store.entries().await.unwrap(),
        [(ZappId::SYSTEM, vec![1], vec![1, 1])]
    );
}

#[tokio::test]
async fn a_closed_request_that_is_sent_again_waits_again() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await.unwrap();
    store.write(request(1)).await.unwrap();
    let requests = vec![(RequestId::from_bytes([1; 32]), Closed::Overtaken)];
    store.write(Write::Close { requests }).await.unwrap();
    assert_eq!(store.pending().await.unwrap(), []);
    store.write(request(1)).await.unwrap();
    store.write(request(1)).await.unwrap();
    assert_eq!(store.pending().await.unwrap(), [(5, vec![1; 10])]);
}

#[tokio::test]
async fn a_request_whose_step_is_stored_does_not_wait() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await.unwrap();
    store.write(step(1, &[2])).await.unwrap();
    for id in 1..=2 {
        store.write(request(id)).await.unwrap();
    }
    assert_eq!(store.pending().await.unwrap(), [(5, vec![1; 10])]);
}

#[tokio::test]
async fn a_refused_write_leaves_nothing_and_spares_its_neighbours() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await.unwrap();
    store.write(step(1, &[])).await.unwrap();
    let mut twice = step(1, &[9]);
    if let Write::Step(step) = &mut twice {
        step.entries[0].value = Some(vec![7]);
    }
    let (first, refused, second) = tokio::join!(
        store.write(request(1)),
        store.write(twice),
        store.write(request(2))
    );
    assert!(first.is_ok() && second.is_ok());
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(store.pending().await.unwrap().len(), 2);
    assert_eq!(store.entries().await.unwrap()[0].2, [1, 1]);
    assert_eq!(
        store
            .request(&RequestId::from_bytes([9; 32]))
            .await
            .unwrap(),
        None
    );
}

#[tokio::test]
async fn a_full_disk_refuses_and_recovers() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(&dir).await.unwrap();
    store.write(request(1)).await.unwrap();
    // The page count cannot grow any more: what SQLite answers is what a full disk gives.
    store.write(Write::PagesMax(1)).await.unwrap();
    let large = Write::Module {
        digest: ModuleDigest::from_bytes([1; 32]),
        bytes: vec![0; 1 << 20],
    };
    let refused = store.write(large).await;
    assert!(
        matches!(refused, Err(StoreError::Unavailable(_))),
        "{refused:?}"
    );
    assert_eq!(store.pending().await.unwrap().len(), 1);
    store.write(Write::PagesMax(1 << 30)).await.unwrap();
    store.write(request(2)).await.unwrap();
    assert_eq!(store.pending().await.unwrap().len(), 2);
}

#[tokio::test]
async fn another_committees_store_and_a_newer_schema_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(&dir).await.unwrap());
    let path = dir.path().join("s.sqlite");
    let other = Store::open(&path, Digest::from_bytes([2; 32])).await;
    assert!(
        matches!(other, Err(StoreError::OtherCommittee(_))),
        "{other:?}"
    );
    execute(&path, "PRAGMA user_version = 99").await.unwrap();
    let newer = open(&dir).await;
    assert!(
        matches!(newer, Err(StoreError::Newer { found: 99, .. })),
        "{newer:?}"
    );
}
