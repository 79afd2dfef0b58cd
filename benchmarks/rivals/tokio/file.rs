//! file/: reads on the pool of threads for what blocks, as tokio's own files are read; four of them,
//! on other processors than the runtime.

use crate::{run_on, B};
use std::fs::File;
use std::io;
use std::os::raw::c_int;
use std::os::unix::fs::FileExt;
use std::os::unix::io::BorrowedFd;
use std::sync::Arc;
use tokio::runtime::Builder;
use tokio::task::{spawn_blocking, JoinHandle};

const BLOCK: usize = 4096; // FILE_BLOCK

extern "C" {
    fn rival_offset(random: *mut u64) -> u64;
}

type Read = JoinHandle<(io::Result<usize>, Vec<u8>)>;

fn begin(file: &Arc<File>, mut block: Vec<u8>, offset: u64) -> Read {
    let file = file.clone();
    spawn_blocking(move || (file.read_at(&mut block, offset), block))
}

async fn rounds(b: B, file: Arc<File>, depth: usize) {
    let mut random = 0x9e37_79b9_7f4a_7c15u64; // BENCH_SEED
    let mut blocks: Vec<Vec<u8>> = (0..depth).map(|_| vec![0; BLOCK]).collect();
    let mut reads: Vec<(u64, Read)> = Vec::with_capacity(depth);

    while b.more() {
        for _ in 0..b.batch() as usize / depth {
            for block in blocks.drain(..) {
                let offset = unsafe { rival_offset(&mut random) };
                reads.push((offset, begin(&file, block, offset)));
            }
            for (offset, read) in reads.drain(..) {
                let (got, block) = read.await.expect("a read of tokio's ended early");
                if got.ok() != Some(BLOCK) || block[..8] != offset.to_ne_bytes() {
                    b.fail("a block was not read, or is another");
                }
                blocks.push(block);
            }
        }
        b.sample(b.batch());
    }
}

#[no_mangle]
pub extern "C" fn tokio_file(b: B, fd: c_int, depth: u32) {
    let file = match unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned() {
        Ok(own) => Arc::new(File::from(own)),
        Err(err) => return b.fail(&err.to_string()),
    };
    let mut builder = Builder::new_current_thread();
    builder.max_blocking_threads(4).on_thread_start(move || b.elsewhere());
    run_on(&mut builder, rounds(b, file, depth as usize))
}
