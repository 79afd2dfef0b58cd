//! cross/: a plain thread, or a second runtime, on another processor.  `spin`: whoever finds
//! nothing yields and looks again, so that the runtime never parks and nobody has to wake it.

use crate::{run, status, Bench, Drivers, B};
use std::os::raw::{c_int, c_void};
use tokio::sync::mpsc::error::{TryRecvError, TrySendError};
use tokio::sync::mpsc::{channel, Receiver, Sender};
use tokio::sync::Notify;
use tokio::task::yield_now;

#[repr(C)]
pub struct Oneway {
    _theirs: [u8; 0],
}

#[repr(C)]
pub struct Waking {
    _theirs: [u8; 0],
}

extern "C" {
    fn rival_oneway_begin(way: *mut Oneway, to: *const c_void) -> bool;
    fn rival_oneway_saw(way: *mut Oneway, stamp: u64);
    fn rival_oneway_end(way: *mut Oneway);
    fn rival_wake_begin(waking: *mut Waking, b: *mut Bench, notify: *const c_void) -> bool;
    fn rival_wake_seen(waking: *mut Waking);
    fn rival_wake_end(waking: *mut Waking);
}

async fn recv<T>(from: &mut Receiver<T>, spin: bool) -> Option<T> {
    if !spin {
        return from.recv().await;
    }
    loop {
        match from.try_recv() {
            Ok(message) => return Some(message),
            Err(TryRecvError::Disconnected) => return None,
            Err(TryRecvError::Empty) => yield_now().await,
        }
    }
}

/* ---- many to one ------------------------------------------------------------------ */

extern "C" fn feed(arg: *mut c_void) -> *mut c_void {
    let to = unsafe { Box::from_raw(arg as *mut Sender<u64>) };
    let mut next = 0u64;
    loop {
        match to.try_send(next) {
            Ok(()) => next += 1,
            Err(TrySendError::Full(_)) => std::hint::spin_loop(),
            Err(TrySendError::Closed(_)) => return std::ptr::null_mut(),
        }
    }
}

#[no_mangle]
pub extern "C" fn tokio_mpsc_stream(b: B, capacity: u32, spin: bool) {
    let (to, mut from) = channel(capacity as usize);
    let arg = Box::into_raw(Box::new(to)) as *mut c_void;
    let thread = match b.thread(feed, arg) {
        Some(thread) => thread,
        None => return drop(unsafe { Box::from_raw(arg as *mut Sender<u64>) }),
    };
    run(Drivers::None, async move {
        let mut want = 0u64;
        while b.more() {
            for _ in 0..b.batch() {
                if recv(&mut from, spin).await != Some(want) {
                    b.fail("a message was lost");
                }
                want += 1;
            }
            b.sample(b.batch());
        }
    });
    thread.join();
}

/* ---- one way ------------------------------------------------------------------------ */

#[no_mangle]
pub extern "C" fn tokio_oneway_send(to: *const c_void, stamp: u64) -> c_int {
    let to = unsafe { &*(to as *const Sender<u64>) };
    status(to.try_send(stamp).is_ok())
}

#[no_mangle]
pub extern "C" fn tokio_oneway(b: B, way: *mut Oneway, capacity: u32, spin: bool) {
    let (to, mut from) = channel(capacity as usize);
    if !unsafe { rival_oneway_begin(way, &to as *const Sender<u64> as *const c_void) } {
        return;
    }
    run(Drivers::None, async move {
        while !b.stopping() {
            match recv(&mut from, spin).await {
                Some(stamp) => unsafe { rival_oneway_saw(way, stamp) },
                None => b.fail("the channel is closed"),
            }
        }
    });
    unsafe { rival_oneway_end(way) };
    drop(to); // the sender has ended
}

/* ---- there and back ------------------------------------------------------------------- */

struct Player {
    to: Sender<u64>,
    from: Receiver<u64>,
    spin: bool,
}

extern "C" fn returns(arg: *mut c_void) -> *mut c_void {
    let mut player = *unsafe { Box::from_raw(arg as *mut Player) };
    run(Drivers::None, async move {
        while let Some(ball) = recv(&mut player.from, player.spin).await {
            if player.to.send(ball).await.is_err() {
                break;
            }
        }
    });
    std::ptr::null_mut()
}

#[no_mangle]
pub extern "C" fn tokio_pingpong(b: B, capacity: u32, spin: bool) {
    let (there, from_here) = channel(capacity as usize);
    let (back, mut from_there) = channel(capacity as usize);
    let arg = Box::into_raw(Box::new(Player { to: back, from: from_here, spin })) as *mut c_void;
    let thread = match b.thread(returns, arg) {
        Some(thread) => thread,
        None => return drop(unsafe { Box::from_raw(arg as *mut Player) }),
    };
    run(Drivers::None, async move {
        let mut want = 0u64;
        while b.more() {
            for _ in 0..b.batch() {
                want += 1;
                if there.send(want).await.is_err()
                    || recv(&mut from_there, spin).await != Some(want)
                {
                    b.fail("a message was lost");
                }
            }
            b.sample(b.batch());
        }
    });
    thread.join();
}

/* ---- asleep ----------------------------------------------------------------------------- */

#[no_mangle]
pub extern "C" fn tokio_notify(notify: *const c_void) {
    unsafe { &*(notify as *const Notify) }.notify_one();
}

/// With the driver of descriptors: a loop that sleeps for those too.
#[no_mangle]
pub extern "C" fn tokio_wake(b: B, bench: *mut Bench, waking: *mut Waking) {
    let notify: &'static Notify = Box::leak(Box::new(Notify::new()));
    let at = notify as *const Notify as *mut Notify;
    if unsafe { rival_wake_begin(waking, bench, at as *const c_void) } {
        run(Drivers::Io, async move {
            while !b.stopping() {
                notify.notified().await;
                unsafe { rival_wake_seen(waking) };
            }
        });
        unsafe { rival_wake_end(waking) };
    }
    drop(unsafe { Box::from_raw(at) }); // nobody rings any more
}
