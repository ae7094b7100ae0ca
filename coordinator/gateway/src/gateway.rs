//! The gateway as a whole: what it is made of, how it opens, what it tells others.

use std::collections::VecDeque;
use std::fmt;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use acceptor::Terms;
use attestation::codec::Malformed;
use attestation::committee::{CreationRecord, RecordError};
use attestation::group::GroupKeyError;
use attestation::ids::{
    CommitteeId, Digest, Epoch, GroupKey, RequestId, Seq, StateRoot, TraceRoot,
};
use attestation::request::Request;
use attestation::step_attestation::StepAttestation;
use runtime::apart::Start;
use state::State;
use state::entry::EntryWrite;
use tokio::sync::{Notify, RwLock, Semaphore, broadcast};
use tokio::task::JoinError;

use crate::build::Foreseen;
use crate::chain::Sighted;
use crate::epochs::EpochView;
use crate::ledger::StepRecord;
use crate::metrics::Metrics;
use crate::modules::Compile;
use crate::observations::Observations;
use crate::queue::Queue;
use crate::rows::{Closed, StoreError, Write};
use crate::runs::Engines;
use crate::status::StatusSource;
use crate::store::Store;
use crate::told::Told;
use crate::watch::Watches;
use crate::workers::Workers;

/// What a gateway needs to open.
pub struct Options {
    /// Directory of the store; created if absent.
    pub dir: PathBuf,
    /// The committee.
    pub record: CreationRecord,
    /// The committee's group key, once there is one; later [`Gateway::set_key`].
    pub key: Option<GroupKey>,
    /// Compiles modules: the node does it in a child with memory and time caps.
    pub compiler: Arc<dyn Compile>,
    /// Starts the engine processes that run zApps: no module runs in this one.
    pub engines: Arc<dyn Start>,
    /// The node's own status.
    pub status: Arc<dyn StatusSource>,
    /// The clock: Unix milliseconds.
    pub now_ms: fn() -> u64,
}

/// Why a gateway does not open.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The creation record is refused.
    #[error("creation record: {0}")]
    Record(#[from] RecordError),
    /// The group key is refused.
    #[error("group key: {0}")]
    Key(#[from] GroupKeyError),
    /// The directory cannot be made, or no thread started.
    #[error("the system refuses: {0}")]
    System(#[from] std::io::Error),
    /// The store does not open.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The stored head is not an attestation.
    #[error("the store is damaged: its head is unreadable ({0}); delete it and catch up")]
    Head(Malformed),
    /// The stored entries are no state.
    #[error("the store is damaged: its entries are no state; delete it and catch up")]
    Entries,
    /// The stored entries are not the state that the head attests.
    #[error(
        "the store is damaged: its entries have root {actual}, the head of step {seq} attests \
             {attested}; delete it and catch up"
    )]
    State {
        /// The head.
        seq: Seq,
        /// Root of the stored entries.
        actual: StateRoot,
        /// Root that the head attests.
        attested: StateRoot,
    },
}

/// What happens in a gateway, for the node that runs it.
#[derive(Clone, Debug)]
pub enum Event {
    /// A request waits; it is durable here, or at the node that has passed it on (rule A10).
    RequestPending {
        /// Its id.
        id: RequestId,
        /// The request.
        request: Arc<Request>,
        /// Whether another node has passed it on, to all others.
        from_peer: bool,
    },
    /// A request left the queue without a step.
    RequestClosed {
        /// Its id.
        id: RequestId,
        /// Why.
        why: Closed,
    },
    /// A request with sources may run now: enough members have observed for it, or its deadline
    /// has passed.
    Observed {
        /// Its id.
        id: RequestId,
        /// The request.
        request: Arc<Request>,
    },
    /// A step is accepted and durable.
    StepAccepted(Arc<StepRecord>),
    /// A module is stored.
    ModuleStored(attestation::ids::ModuleDigest),
}

/// The gateway. Cheap to clone; all clones are the same gateway.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) record: CreationRecord,
    pub(crate) committee: CommitteeId,
    pub(crate) store: Store,
    pub(crate) chain: Arc<RwLock<Chain>>,
    pub(crate) compiler: Arc<dyn Compile>,
    pub(crate) status: Arc<dyn StatusSource>,
    pub(crate) now_ms: fn() -> u64,
    pub(crate) watches: Watches,
    pub(crate) events: broadcast::Sender<Event>,
    /// Held while a step is accepted: one at a time.
    pub(crate) accepting: tokio::sync::Mutex<()>,
    /// Held while a module is compiled: one at a time.
    pub(crate) compiling: tokio::sync::Mutex<()>,
    /// Runs steps, one at a time.
    pub(crate) steps: Workers,
    /// Runs views and the gatekeeper.
    pub(crate) views: Workers,
    pub(crate) engines: Arc<Engines>,
    pub(crate) metrics: Metrics,
    /// Places for event streams, which may last for ever.
    pub(crate) streams: Arc<Semaphore>,
    pub(crate) sighted: Mutex<Sighted>,
    queue: Mutex<Queue>,
    told: Mutex<Told>,
    observations: Mutex<Observations>,
    pub(crate) pulls_new: Notify,
    pub(crate) told_new: Notify,
    terms: Mutex<Option<Terms>>,
    pub(crate) epochs: Mutex<Option<Arc<EpochView>>>,
    recent: Mutex<VecDeque<Arc<StepRecord>>>,
    foreseen: Mutex<VecDeque<Foreseen>>,
    traces: Mutex<VecDeque<TraceRoot>>,
}

impl Inner {
    pub(crate) fn traces(&self) -> MutexGuard<'_, VecDeque<TraceRoot>> {
        lock(&self.traces)
    }

    pub(crate) fn foreseen(&self) -> MutexGuard<'_, VecDeque<Foreseen>> {
        lock(&self.foreseen)
    }
}

/// Head and state: they change together, under one lock.
#[derive(Debug)]
pub(crate) struct Chain {
    /// The last accepted step.
    pub(crate) head: Option<StepAttestation>,
    /// The whole state after it.
    pub(crate) state: State,
}

impl Gateway {
    /// Does to the end what disk and memory must agree on, even if whoever waits for it goes away
    /// half-way: a guest's connection ends, a caller hangs up.
    pub(crate) async fn to_the_end<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> T {
        match tokio::spawn(work).await.map_err(JoinError::try_into_panic) {
            Ok(done) => done,
            Err(Ok(panic)) => std::panic::resume_unwind(panic),
            // The runtime is ending, and this task with it.
            Err(Err(_)) => std::future::pending().await,
        }
    }

    /// Opens the store in `options.dir`, checks that its entries are what its head attests, and
    /// takes up the waiting requests.
    ///
    /// # Errors
    /// [`OpenError`] says what is wrong and what to do.
    pub async fn open(options: Options) -> Result<Self, OpenError> {
        options.record.check()?;
        std::fs::create_dir_all(&options.dir)?;
        let committee = options.record.id();
        let path = options.dir.join(STORE_FILE);
        let store = Store::open(&path, Digest::from_bytes(*committee.as_bytes())).await?;
        let chain = load_chain(&store, &options.record).await?;
        let head = chain.head.as_ref();
        let mut observations = Observations::default();
        observations.reach(head.map_or(Seq(0), |head| head.commit.seq));
        let events = broadcast::channel(EVENTS_MAX).0;
        let metrics = Metrics::new(options.status.as_ref(), events.subscribe());
        let gateway = Self {
            inner: Arc::new(Inner {
                record: options.record,
                committee,
                store,
                chain: Arc::new(RwLock::new(chain)),
                compiler: options.compiler,
                status: options.status,
                now_ms: options.now_ms,
                watches: Watches::default(),
                events,
                accepting: tokio::sync::Mutex::default(),
                compiling: tokio::sync::Mutex::default(),
                steps: Workers::start("steps", 1, STEP_RUNS_MAX)?,
                views: Workers::start("views", VIEW_THREADS, VIEWS_MAX)?,
                engines: Arc::new(Engines::new(&options.engines, VIEW_THREADS)),
                metrics,
                streams: Arc::new(Semaphore::new(STREAMS_MAX)),
                sighted: Mutex::default(),
                queue: Mutex::default(),
                told: Mutex::default(),
                observations: Mutex::new(observations),
                pulls_new: Notify::new(),
                told_new: Notify::new(),
                terms: Mutex::default(),
                epochs: Mutex::default(),
                recent: Mutex::default(),
                foreseen: Mutex::default(),
                traces: Mutex::default(),
            }),
        };
        if let Some(key) = options.key {
            gateway.set_key(key)?;
        }
        gateway.reload_queue().await?;
        Ok(gateway)
    }

    /// Registers the committee's group key; the checks that every later verification relies on
    /// are made here.
    ///
    /// # Errors
    /// [`GroupKeyError`] if verifiers could differ on the key.
    pub fn set_key(&self, key: GroupKey) -> Result<(), GroupKeyError> {
        let record = &self.inner.record;
        let terms = Terms::register(
            record.network,
            self.inner.committee,
            Epoch(1),
            record.profile,
            key,
            State::genesis(record).root(),
        )?;
        *lock(&self.inner.terms) = Some(terms);
        Ok(())
    }

    /// The committee's group key, once there is one.
    #[must_use]
    pub fn key(&self) -> Option<GroupKey> {
        self.terms().map(|terms| *terms.key.key())
    }

    /// What the ledger knows of the committee, once it has a key.
    pub(crate) fn terms(&self) -> Option<Terms> {
        *lock(&self.inner.terms)
    }

    /// The committee.
    #[must_use]
    pub fn record(&self) -> &CreationRecord {
        &self.inner.record
    }

    /// The last accepted step.
    pub async fn head(&self) -> Option<StepAttestation> {
        self.inner.chain.read().await.head
    }

    /// Events from now on. A receiver that lags by more than 16,384 events loses the oldest.
    #[must_use]
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.inner.events.subscribe()
    }

    /// An accepted step.
    ///
    /// # Errors
    /// [`StoreError`] if the store cannot be read.
    pub async fn step(&self, seq: Seq) -> Result<Option<Arc<StepRecord>>, StoreError> {
        if let Some(step) = self.recent(seq) {
            return Ok(Some(step));
        }
        let Some(row) = self.inner.store.step(seq).await? else {
            return Ok(None);
        };
        let record =
            StepRecord::from_row(&row).map_err(|_| StoreError::Damaged { table: "steps" })?;
        Ok(Some(Arc::new(record)))
    }

    /// Puts a step among those that are answered from memory.
    pub(crate) fn remember(&self, step: Arc<StepRecord>) {
        let mut recent = lock(&self.inner.recent);
        if recent.len() == RECENT_STEPS {
            recent.pop_front();
        }
        recent.push_back(step);
    }

    pub(crate) fn queue(&self) -> MutexGuard<'_, Queue> {
        lock(&self.inner.queue)
    }

    pub(crate) fn told(&self) -> MutexGuard<'_, Told> {
        lock(&self.inner.told)
    }

    pub(crate) fn observations(&self) -> MutexGuard<'_, Observations> {
        lock(&self.inner.observations)
    }

    pub(crate) fn emit(&self, event: Event) {
        // Nobody listening is no error.
        let _ = self.inner.events.send(event);
    }

    pub(crate) fn now_ms(&self) -> u64 {
        (self.inner.now_ms)()
    }

    fn recent(&self, seq: Seq) -> Option<Arc<StepRecord>> {
        let recent = lock(&self.inner.recent);
        recent.iter().find(|step| step.seq() == seq).map(Arc::clone)
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("committee", &self.inner.committee)
            .finish_non_exhaustive()
    }
}

/// A panic under one of these locks leaves whole values: every change is one call.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Head and entries, if they are one.
async fn load_chain(store: &Store, record: &CreationRecord) -> Result<Chain, OpenError> {
    let Some((seq, bytes)) = store.head().await? else {
        let state = State::genesis(record);
        let entries = state.entries().map(|(zapp, key, entry)| EntryWrite {
            zapp: *zapp,
            key: key.to_vec(),
            value: Some(entry.value.clone()),
        });
        let entries = entries.collect();
        store.write(Write::Genesis { entries }).await?;
        return Ok(Chain { head: None, state });
    };
    let head = StepAttestation::from_bytes(&bytes).map_err(OpenError::Head)?;
    let attested = head.commit.state;
    let entries = store.entries().await?;
    let state = State::from_entries(entries).map_err(|_| OpenError::Entries)?;
    let actual = state.root();
    if actual != attested {
        return Err(OpenError::State {
            seq,
            actual,
            attested,
        });
    }
    let head = Some(head);
    Ok(Chain { head, state })
}

const STORE_FILE: &str = "gateway.sqlite";
/// As many as requests may wait: whoever passes them on misses none in a burst.
const EVENTS_MAX: usize = crate::queue::PENDING_MAX;
/// Step runs that may wait.
const STEP_RUNS_MAX: usize = 8;
const VIEW_THREADS: usize = 2;
/// Event streams at once: half of the connections remain for everybody else.
const STREAMS_MAX: usize = crate::serve::CONNECTIONS_MAX / 2;
/// Views that may wait.
const VIEWS_MAX: usize = 64;
/// Steps that are answered from memory.
const RECENT_STEPS: usize = 16;
