//! channel/: tokio has one bounded channel, from many to one and between threads.

use crate::{run, Drivers, B};
use tokio::sync::mpsc;
use tokio::task::spawn_local;

#[no_mangle]
pub extern "C" fn tokio_try(b: B, capacity: u32) {
    let (to, mut from) = mpsc::channel(capacity as usize);

    while b.more() {
        for message in 0..b.batch() as u64 {
            if to.try_send(message).is_err() || from.try_recv().ok() != Some(message) {
                b.fail("a message was refused or lost");
            }
        }
        b.sample(b.batch());
    }
}

#[no_mangle]
pub extern "C" fn tokio_await(b: B, capacity: u32) {
    run(Drivers::None, async move {
        let (to, mut from) = mpsc::channel(capacity as usize);
        let producer = spawn_local(async move {
            let mut next = 0u64;
            while to.send(next).await.is_ok() {
                next += 1;
            }
        });
        let mut want = 0u64;
        while b.more() {
            for _ in 0..b.batch() {
                if from.recv().await != Some(want) {
                    b.fail("a message was lost");
                }
                want += 1;
            }
            b.sample(b.batch());
        }
        drop(from);
        let _ = producer.await;
    })
}
