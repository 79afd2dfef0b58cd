//! tokio's entrants, for ../tokio.c, which registers them and says what they leave out.
//!
//! Used as its documentation says is fastest: one thread (`current_thread`), tasks that stay on it
//! (`LocalSet`), of which the measured ones are spawned too, so that a wake between tasks is a push
//! to a queue; and only the drivers that a row needs.  Its cooperative budget stays: it is what keeps
//! tokio's turns bounded, as ours are.

mod channel;
mod cross;
mod file;
mod net;
mod task;
mod timer;

use std::ffi::CString;
use std::future::Future;
use std::os::raw::{c_char, c_int, c_void};
use tokio::runtime::Builder;
use tokio::task::{spawn_local, LocalSet};

#[repr(C)]
pub struct Bench {
    _theirs: [u8; 0],
}

extern "C" {
    fn rival_more(b: *mut Bench) -> bool;
    fn rival_stopping(b: *mut Bench) -> bool;
    fn rival_sample(b: *mut Bench, ops: u32);
    fn rival_pause(b: *mut Bench);
    fn rival_resume(b: *mut Bench);
    fn rival_batch(b: *const Bench) -> u32;
    fn rival_fail(b: *mut Bench, what: *const c_char);
    fn rival_start(
        b: *mut Bench,
        run: extern "C" fn(*mut c_void) -> *mut c_void,
        arg: *mut c_void,
    ) -> *mut c_void;
    fn rival_join(thread: *mut c_void);
    fn rival_elsewhere(b: *const Bench);
}

/// bench.h, as the entrants see it.  A handle: the harness's struct outlives every entrant.
#[repr(transparent)]
#[derive(Clone, Copy)]
pub struct B(*mut Bench);

// Its other threads ask it only where they are to live, which nothing changes.
unsafe impl Send for B {}
unsafe impl Sync for B {}

impl B {
    pub fn more(self) -> bool {
        unsafe { rival_more(self.0) }
    }
    pub fn stopping(self) -> bool {
        unsafe { rival_stopping(self.0) }
    }
    pub fn sample(self, ops: u32) {
        unsafe { rival_sample(self.0, ops) }
    }
    pub fn pause(self) {
        unsafe { rival_pause(self.0) }
    }
    pub fn resume(self) {
        unsafe { rival_resume(self.0) }
    }
    pub fn batch(self) -> u32 {
        unsafe { rival_batch(self.0) }
    }
    pub fn fail(self, what: &str) {
        let what = CString::new(what).unwrap_or_default();
        unsafe { rival_fail(self.0, what.as_ptr()) }
    }
    /// Moves a thread that tokio has started to another processor.
    fn elsewhere(self) {
        unsafe { rival_elsewhere(self.0) }
    }
    /// A thread on another processor; None after a skip.
    fn thread(
        self,
        run: extern "C" fn(*mut c_void) -> *mut c_void,
        arg: *mut c_void,
    ) -> Option<Thread> {
        let thread = unsafe { rival_start(self.0, run, arg) };
        if thread.is_null() {
            None
        } else {
            Some(Thread(thread))
        }
    }
}

struct Thread(*mut c_void);

impl Thread {
    fn join(self) {
        unsafe { rival_join(self.0) }
    }
}

/// What a runtime waits for beside its tasks.
#[derive(Clone, Copy, PartialEq)]
pub enum Drivers {
    None,
    Time,
    Io,
}

/// Runs `future` as a task of a LocalSet on a runtime of its own.
pub fn run<F>(drivers: Drivers, future: F) -> F::Output
where
    F: Future + 'static,
    F::Output: 'static,
{
    let mut builder = Builder::new_current_thread();
    match drivers {
        Drivers::None => &mut builder,
        Drivers::Time => builder.enable_time(),
        Drivers::Io => builder.enable_io(),
    };
    run_on(&mut builder, future)
}

fn run_on<F>(builder: &mut Builder, future: F) -> F::Output
where
    F: Future + 'static,
    F::Output: 'static,
{
    let runtime = builder.build().expect("tokio built no runtime");
    let tasks = LocalSet::new();
    tasks.block_on(&runtime, async {
        spawn_local(future).await.expect("a task of tokio's ended early")
    })
}

/// The same for all rows: 0, or -1.
pub fn status(ok: bool) -> c_int {
    if ok {
        0
    } else {
        -1
    }
}
