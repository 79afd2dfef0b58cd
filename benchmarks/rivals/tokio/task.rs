//! task/: no driver at all, so that a turn asks the kernel for nothing.

use crate::{run, Drivers, B};
use std::cell::Cell;
use std::rc::Rc;
use tokio::task::{spawn_local, yield_now};

#[no_mangle]
pub extern "C" fn tokio_spawn_join(b: B) {
    run(Drivers::None, async move {
        while b.more() {
            for _ in 0..b.batch() {
                if spawn_local(async { 1u64 }).await.ok() != Some(1) {
                    b.fail("a task gave what it was not asked for");
                }
            }
            b.sample(b.batch());
        }
    })
}

#[no_mangle]
pub extern "C" fn tokio_spawn_batch(b: B) {
    run(Drivers::None, async move {
        let mut joins = Vec::with_capacity(b.batch() as usize);
        while b.more() {
            for _ in 0..b.batch() {
                joins.push(spawn_local(async { 1u64 }));
            }
            for join in joins.drain(..) {
                if join.await.ok() != Some(1) {
                    b.fail("a task gave what it was not asked for");
                }
            }
            b.sample(b.batch());
        }
    })
}

/// The first of `crowd` keeps the time; each counts its turns.
#[no_mangle]
pub extern "C" fn tokio_yields(b: B, crowd: u32) {
    run(Drivers::None, async move {
        let turns: Rc<Vec<Cell<u64>>> = Rc::new((0..crowd).map(|_| Cell::new(0)).collect());
        let over = Rc::new(Cell::new(false));
        let others: Vec<_> = (1..crowd as usize)
            .map(|i| {
                let (turns, over) = (turns.clone(), over.clone());
                spawn_local(async move {
                    while !over.get() {
                        turns[i].set(turns[i].get() + 1);
                        yield_now().await;
                    }
                })
            })
            .collect();
        let rounds = b.batch() / crowd;
        while b.more() {
            for _ in 0..rounds {
                turns[0].set(turns[0].get() + 1);
                yield_now().await;
            }
            b.sample(rounds * crowd);
        }
        over.set(true);
        for other in others {
            let _ = other.await;
        }
        let (least, most) = turns.iter().fold((u64::MAX, 0), |(least, most), turns| {
            (least.min(turns.get()), most.max(turns.get()))
        });
        if least == 0 || most - least > 2 {
            b.fail("some tasks had more turns than others");
        }
    })
}
