//! timer/: Sleeps that are kept and reset, woken through a waker that only counts: less than any
//! task of tokio's would do.  Without the cooperative budget, for a thousand are armed in one poll.

use crate::{run, Drivers, B};
use std::cell::Cell;
use std::future::Future;
use std::pin::Pin;
use std::task::{Context, RawWaker, RawWakerVTable, Waker};
use std::time::Duration;
use tokio::task::{unconstrained, yield_now};
use tokio::time::{sleep_until, Instant, Sleep};

static COUNTS: RawWakerVTable =
    RawWakerVTable::new(|at| RawWaker::new(at, &COUNTS), count, count, |_| ());

unsafe fn count(at: *const ()) {
    let fired = &*(at as *const Cell<u64>);
    fired.set(fired.get() + 1);
}

/// A waker that counts in `fired`: on this thread only, and while `fired` lives.
fn counting(fired: &Cell<u64>) -> Waker {
    unsafe { Waker::from_raw(RawWaker::new(fired as *const _ as *const (), &COUNTS)) }
}

/// Timers that are never moved once they are armed.
struct Crowd(Vec<Sleep>);

impl Crowd {
    fn new(count: usize) -> Crowd {
        let never = Instant::now() + Duration::from_secs(36000);
        Crowd((0..count).map(|_| sleep_until(never)).collect())
    }
    fn at(&mut self, i: usize) -> Pin<&mut Sleep> {
        unsafe { Pin::new_unchecked(&mut self.0[i]) }
    }
    /// False where the timer was due already.
    fn arm(&mut self, i: usize, deadline: Instant, context: &mut Context) -> bool {
        self.at(i).reset(deadline);
        self.at(i).poll(context).is_pending()
    }
}

fn delays<'a>(delays_ns: *const i64, count: usize) -> &'a [i64] {
    unsafe { std::slice::from_raw_parts(delays_ns, count) }
}

fn ns(delay: i64) -> Duration {
    Duration::from_nanos(delay as u64)
}

/// `far` timers, armed one to ten hours ahead as the others have theirs.
fn far_crowd(far: &[i64], context: &mut Context) -> Crowd {
    let mut crowd = Crowd::new(far.len());
    let now = Instant::now();
    for (i, delay) in far.iter().enumerate() {
        crowd.arm(i, now + ns(*delay), context);
    }
    crowd
}

#[no_mangle]
pub extern "C" fn tokio_arm_disarm(
    b: B,
    far: *const i64,
    far_count: usize,
    near: *const i64,
    near_count: usize,
) {
    let (far, near) = (delays(far, far_count), delays(near, near_count));
    run(Drivers::Time, unconstrained(async move {
        let fired = Cell::new(0);
        let waker = counting(&fired);
        let mut context = Context::from_waker(&waker);
        let _far = far_crowd(far, &mut context);

        while b.more() {
            let now = Instant::now();
            for i in 0..b.batch() as usize {
                let sleep = sleep_until(now + ns(near[i % near.len()]));
                tokio::pin!(sleep);
                if sleep.as_mut().poll(&mut context).is_ready() {
                    b.fail("a timer was due at once");
                }
            } // dropped here: disarmed
            b.sample(b.batch());
        }
        if fired.get() != 0 {
            b.fail("a timer that was dropped has fired");
        }
    }))
}

/// Later than every deadline that is up to a millisecond after `now`: tokio rounds up to the next.
fn wait_due(now: Instant) {
    while now.elapsed() < Duration::from_micros(2200) {}
}

async fn fire(b: B, fired: &Cell<u64>, want: u64) {
    let late = Instant::now() + Duration::from_secs(10);
    yield_now().await;
    while fired.get() < want && Instant::now() < late {
        yield_now().await;
    }
    if fired.get() != want {
        b.fail("tokio fired fewer timers than were armed, or more");
    }
}

#[no_mangle]
pub extern "C" fn tokio_arm_fire(
    b: B,
    far: *const i64,
    far_count: usize,
    soon: *const i64,
    soon_count: usize,
) {
    let (far, soon) = (delays(far, far_count), delays(soon, soon_count));
    run(Drivers::Time, unconstrained(async move {
        let fired = Cell::new(0);
        let waker = counting(&fired);
        let mut context = Context::from_waker(&waker);
        let _far = far_crowd(far, &mut context);
        let mut crowd = Crowd::new(soon.len());

        while b.more() {
            let (now, before) = (Instant::now(), fired.get());
            for (i, delay) in soon.iter().enumerate() {
                crowd.arm(i, now + ns(*delay), &mut context);
            }
            b.pause();
            wait_due(now);
            if fired.get() != before {
                b.fail("a timer has fired before the runtime had a turn");
            }
            b.resume();
            fire(b, &fired, before + soon.len() as u64).await;
            b.sample(soon.len() as u32);
        }
    }))
}

/// All of them on one instant: the turn of the driver that fires them.
#[no_mangle]
pub extern "C" fn tokio_worst_turn(b: B, count: usize) {
    run(Drivers::Time, unconstrained(async move {
        let fired = Cell::new(0);
        let waker = counting(&fired);
        let mut context = Context::from_waker(&waker);
        let mut crowd = Crowd::new(count);

        while !b.stopping() {
            let (now, before) = (Instant::now(), fired.get());
            for i in 0..count {
                crowd.arm(i, now + Duration::from_millis(1), &mut context);
            }
            wait_due(now);
            if fired.get() != before {
                b.fail("a timer has fired before the runtime had a turn");
            }
            b.more();
            fire(b, &fired, before + count as u64).await;
            b.sample(1);
        }
    }))
}
