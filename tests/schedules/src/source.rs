//! Who brings events: a caller, the queue, or somebody who keeps what is deferred.

use std::time::Duration;

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout_at};
use vodbridge::delivery::{Outcome, Purpose};
use vodbridge::duplicates::{Receipt, Repeat};
use vodbridge::outlet::{Admitted, Arrival};
use vodbridge::route::Progress;

use crate::life::Running;
use crate::pool::place;
use crate::schedule::{Coming, Way, is_unrecognized};
use crate::world::{World, name_of};

/// VOD's patience with a callback; after it, the event may come again.
const VOD_TIMEOUT: Duration = Duration::from_secs(5);

/// How soon a pulled event comes again, at most.
const COMES_AGAIN_WITHIN: Duration = Duration::from_secs(60);

/// How long what was deferred is kept before it is resumed.
const RESUMED_AFTER: Duration = Duration::from_millis(700);

/// How long a settled weather may leave an event unsettled: what hangs ends with
/// `publish_timeout`, breakers are probed every 5 s, and a queue of those stands before the event.
pub(crate) const SETTLES_WITHIN: Duration = Duration::from_secs(600);

/// A receipt that is held, which the ledger knows.
struct Held<'a> {
    world: &'a World,
    place: usize,
    delivery: u32,
    receipt: Receipt,
}

/// How long a source waits.
#[derive(Clone, Copy)]
enum Until {
    /// This moment.
    Moment(Instant),
    /// The stop.
    Stop,
}

/// An event that was kept when the bridge stopped.
#[derive(Clone, Copy)]
pub(crate) struct Kept {
    pub(crate) coming: Coming,
    pub(crate) progress: Progress,
}

impl Running {
    /// One coming, from the first byte to the end of its source's patience.
    pub(crate) async fn come(&self, coming: Coming) {
        let began = Instant::now();
        let patience = Duration::from_millis(coming.patience_ms);
        match coming.way {
            Way::Kept => self.keep(coming, None).await,
            Way::Callback | Way::Pull => {
                let until = Until::Moment(began + patience);
                let Some((told, repeat)) = self.bring(coming, None, until).await else { return };
                let is_settled = told.is_some_and(|(outcome, _)| outcome < Outcome::Deferred);
                // By the parity of its patience: the caller has hung up, a confirmation failed.
                let went_badly = coming.patience_ms.is_multiple_of(2);
                match coming.way {
                    Way::Callback => {
                        if began.elapsed() >= VOD_TIMEOUT || (!is_settled && went_badly) {
                            self.expect(coming, &repeat, None);
                        }
                    }
                    Way::Pull | Way::Kept => {
                        if !is_settled || went_badly {
                            self.expect(coming, &repeat, Some(COMES_AGAIN_WITHIN));
                        }
                    }
                }
            }
        }
    }

    /// Keeps an event until it is settled or the bridge stops.
    pub(crate) async fn keep(&self, coming: Coming, mut progress: Option<Progress>) {
        loop {
            let Some((told, _)) = self.bring(coming, progress, Until::Stop).await else {
                return self
                    .kept
                    .borrow_mut()
                    .push(Kept { coming, progress: progress.unwrap_or_default() });
            };
            match told {
                Some((Outcome::Delivered | Outcome::Rejected, _)) => return,
                Some((Outcome::Deferred, done)) => progress = Some(done),
                None => {}
            }
            if told.is_none() || self.stop.run_until_cancelled(sleep(RESUMED_AFTER)).await.is_none()
            {
                let done = progress.unwrap_or_default();
                return self.kept.borrow_mut().push(Kept { coming, progress: done });
            }
        }
    }

    /// Brings an event again and again until it is settled.
    pub(crate) async fn settle(&self, coming: Coming, mut progress: Option<Progress>) {
        let by = Instant::now() + SETTLES_WITHIN;
        let place = place(coming.application, coming.kind);
        while Instant::now() < by {
            let told = self.bring(coming, progress, Until::Moment(by)).await;
            let Some((Some((outcome, done)), _)) = told else { break };
            if outcome < Outcome::Deferred {
                return;
            }
            progress = progress.map(|_| done);
            sleep(Duration::from_secs(1)).await;
        }
        self.world.wrong(format!("{} never settles in fine weather", name_of(place)));
    }

    /// Brings an event once. `None` if it never got in; `None` inside if the patience ended
    /// before the outcome came. What was kept is resumed.
    async fn bring(
        &self,
        coming: Coming,
        resumed: Option<Progress>,
        until: Until,
    ) -> Option<(Option<(Outcome, Progress)>, Repeat)> {
        let Coming { application, kind, form, .. } = coming;
        let (world, place) = (&*self.world, place(application, kind));
        let what = self.world.pool.kind(application, kind);
        let event = what.forms[form].clone();
        let room = self.bridge.process_room(event.message.len());
        let bytes = Some(self.within(until, room).await?);
        let way = &self.bridge.applications[application];
        let purpose = if is_unrecognized(what.slot) {
            Purpose::DeadLetter { reason: "unrecognized".into(), detail: "no\nJSON".to_owned() }
        } else {
            Purpose::Publish
        };
        let arrival = Arrival { event, purpose, obligation: way.intake.begin(0), bytes, row: None };
        let admitted = match resumed {
            None => way.outlet.admit(arrival),
            Some(progress) => {
                let resumed = way.outlet.resume(arrival, progress);
                resumed.expect("without a row it waits for nobody")
            }
        };
        self.came(place);
        let (held, repeat) = match admitted {
            Admitted::New(departure, receipt) => {
                world.tell(|| format!("{} is new", name_of(place)));
                let remembers = world.schedule.remembers();
                let delivery = world.judge(place, |e| e.begins(form, resumed, remembers));
                let delivery = delivery.unwrap_or_default();
                let held = Held { world, place, delivery, receipt };
                let repeat = departure.repeat();
                let went = match until {
                    // Its caller has gone before there was room.
                    Until::Moment(by) if by <= Instant::now() => None,
                    Until::Moment(_) | Until::Stop => self.within(until, departure.depart()).await,
                };
                if went.is_none() {
                    return Some((None, repeat));
                }
                (held, repeat)
            }
            Admitted::Joined(receipt, repeat) => {
                world.tell(|| format!("{} joins", name_of(place)));
                let delivery = world.judge(place, |e| e.joins()).unwrap_or_default();
                (Held { world, place, delivery, receipt }, repeat)
            }
            Admitted::Duplicate(repeat) => {
                world.tell(|| format!("{} is suppressed", name_of(place)));
                if resumed.is_some() {
                    world.wrong(format!("{}: what was kept is suppressed", name_of(place)));
                }
                world.judge(place, |e| e.suppressed());
                return Some((Some((Outcome::Delivered, Progress::default())), repeat));
            }
        };
        let told = self.within(until, held.receipt.outcome()).await;
        let told = told.map(|outcome| {
            let progress = held.receipt.progress();
            world.tell(|| format!("{} is told {outcome:?}", name_of(place)));
            world.judge(place, |e| e.told(held.delivery, outcome, progress));
            (outcome, progress)
        });
        self.look();
        if told.is_none() {
            world.judge(place, |e| e.was_not_told(held.delivery));
        }
        if told.is_none() && matches!(until, Until::Stop) {
            // What is done at the moment of the stop is written down.
            return Some((Some((Outcome::Deferred, held.receipt.progress())), repeat));
        }
        Some((told, repeat))
    }

    /// What was expected by a source: that VOD repeats its event.
    fn expect(&self, coming: Coming, repeat: &Repeat, within: Option<Duration>) {
        match within {
            None => repeat.expect(),
            Some(time) => repeat.expect_within(time),
        }
        let place = place(coming.application, coming.kind);
        self.world.judge(place, |e| {
            e.expects();
            Ok(())
        });
    }

    fn came(&self, place: usize) {
        self.world.judge(place, |e| {
            e.came = true;
            Ok(())
        });
        self.arrivals.set(self.arrivals.get() + 1);
        self.look();
    }

    async fn within<T>(&self, until: Until, what: impl Future<Output = T>) -> Option<T> {
        match until {
            Until::Moment(by) => timeout_at(by, what).await.ok(),
            Until::Stop => self.stop.run_until_cancelled(what).await,
        }
    }

    /// Whether an event finds room at once. Its source goes away.
    pub(crate) fn finds_room(&self, application: usize, number: usize, bytes: usize) -> bool {
        let way = &self.bridge.applications[application];
        let mut event = self.world.pool.kind(application, 0).forms[0].clone();
        event.id = format!("fresh {bytes} {number}").into();
        event.message = vec![b' '; bytes].into();
        let obligation = way.intake.begin(0);
        let arrival =
            Arrival { event, purpose: Purpose::Publish, obligation, bytes: None, row: None };
        match way.outlet.admit(arrival) {
            Admitted::New(departure, _) => departure.depart().now_or_never().is_some(),
            Admitted::Joined(..) | Admitted::Duplicate(_) => false,
        }
    }
}

impl Drop for Held<'_> {
    fn drop(&mut self) {
        self.world.judge(self.place, |e| {
            e.leaves(self.delivery);
            Ok(())
        });
    }
}
