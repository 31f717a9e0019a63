use std::sync::Arc;
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use vodbridge::delivery::Outcome;
use vodbridge::duplicates::Receipt;
use vodbridge::ingest::spool::{Resender, Spool, keep_and_depart};
use vodbridge::outlet::Admitted;
use vodbridge::telemetry::traces::Traces;
use vodbridge_core::{Event, Timestamp};
use vodbridge_journal::{Settings, Store};

use super::{Bridge, Setup};

/// How long a test waits for anything. The store writes by the real clock, so nothing is paused.
const PATIENCE: Duration = Duration::from_secs(20);

/// A bridge that keeps what comes in a real store, and sends it on.
pub(crate) struct Spooled {
    pub(crate) bridge: Bridge,
    store: Store,
    spool: Arc<Spool>,
    home: TempDir,
    stop: CancellationToken,
    tasks: JoinSet<()>,
}

/// How long the caller has.
const A_MOMENT: Duration = Duration::from_millis(30);

impl Spooled {
    pub(crate) fn new(setup: Setup) -> Self {
        Self::over(tempfile::tempdir().unwrap(), setup)
    }

    /// Another process over what an earlier one left.
    pub(crate) fn over(home: TempDir, setup: Setup) -> Self {
        let quarter = (setup.room_events / 4).max(1);
        let bridge = setup.build();
        let store = Store::open(Settings::new(home.path().join("journal"))).unwrap();
        let now = Arc::new(|| Timestamp::from_millis(1_767_226_200_123));
        let names = bridge.targets.iter().map(|target| target.name().into()).collect();
        let spool = Spool::new(store.clone(), now, ["movies"], names);
        let (stop, mut tasks) = (CancellationToken::new(), JoinSet::new());
        for (_, rows) in &store.recovered().applications {
            bridge.intake.find(*rows);
        }
        let resender = Resender {
            application: "movies".into(),
            spool: Arc::clone(&spool),
            outlet: bridge.outlet.clone(),
            router: Arc::clone(&bridge.router),
            intake: Arc::clone(&bridge.intake),
            traces: Traces::default(),
            process_room: Arc::new(Semaphore::new(1 << 20)),
            process_bytes: 1 << 20,
            first: Arc::new(Semaphore::new(quarter)),
        };
        tasks.spawn(resender.run(stop.clone()));
        tasks.spawn(Arc::clone(&spool).write(stop.clone()));
        for target in bridge.targets.iter().chain(bridge.router.letters().targets()) {
            tasks.spawn(Arc::clone(target).probe(stop.clone()));
        }
        Self { bridge, store, spool, home, stop, tasks }
    }

    /// Keeps an event and sends it on; nobody need wait for the receipt.
    pub(crate) fn take(&self, event: Event) -> Receipt {
        self.keep(self.bridge.offer(event))
    }

    /// The same, while the event's message holds some of the process's bytes.
    pub(crate) fn take_counted(&self, event: Event, bytes: OwnedSemaphorePermit) -> Receipt {
        self.keep(self.bridge.offer_counted(event, bytes))
    }

    /// Lets the store write nothing until this is dropped; after five seconds it gives up.
    pub(crate) fn hang_disk(&self) -> rusqlite::Connection {
        let database = self.home.path().join("journal/journal.db");
        let other = rusqlite::Connection::open(database).unwrap();
        other.execute_batch("BEGIN IMMEDIATE").unwrap();
        other
    }

    fn keep(&self, admitted: Admitted) -> Receipt {
        match admitted {
            Admitted::New(departure, receipt) => {
                let deadline = Instant::now() + PATIENCE;
                let keeping = keep_and_depart(Arc::clone(&self.spool), departure, deadline);
                self.bridge.tracker.spawn(keeping);
                receipt
            }
            Admitted::Joined(receipt, _) => receipt,
            Admitted::Duplicate(_) => panic!("this event is suppressed"),
        }
    }

    /// Keeps an event and waits for it until it is kept and a moment longer, as a caller does
    /// who has little time.
    pub(crate) async fn outcome(&self, event: Event) -> (Outcome, bool) {
        let receipt = self.take(event);
        let give_up = Instant::now() + PATIENCE;
        loop {
            let settled = timeout(A_MOMENT, receipt.outcome()).await;
            if settled.is_ok() || receipt.is_kept() {
                return (settled.unwrap_or(Outcome::Deferred), receipt.is_kept());
            }
            assert!(Instant::now() < give_up, "it is not kept");
        }
    }

    /// Waits until a state is reached.
    pub(crate) async fn until(&self, mut is_so: impl FnMut(&Bridge) -> bool) {
        let give_up = Instant::now() + PATIENCE;
        while !is_so(&self.bridge) {
            assert!(Instant::now() < give_up, "not in time: {}", self.bridge.metrics.encode());
            sleep(Duration::from_millis(2)).await;
        }
    }

    /// Waits until nothing is in flight and nothing waits, and looks at the equation.
    pub(crate) async fn until_settled(&self) {
        self.until(|bridge| {
            let scrape = bridge.scrape();
            scrape.sum("in_flight", &[]) + scrape.sum("waiting", &[]) == 0
        })
        .await;
        assert_eq!(self.bridge.scrape().unaccounted(), 0);
    }

    /// Ends it as a stop does, or as a kill does: then what gathers to be written is forgotten.
    pub(crate) async fn end(mut self, in_order: bool) -> TempDir {
        self.stop.cancel();
        while self.tasks.join_next().await.is_some() {}
        if in_order {
            self.bridge.tracker.close();
            self.bridge.tracker.wait().await;
            self.spool.flush().await;
        }
        self.store.close().await;
        self.home
    }
}
