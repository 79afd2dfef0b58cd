//! net/: streams and datagrams, read and written by tasks.

use crate::{run, status, Drivers, B};
use std::io::Result;
use std::os::raw::c_int;
use std::os::unix::io::{BorrowedFd, OwnedFd};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpStream, UdpSocket};
use tokio::task::{spawn_local, yield_now};

const BYTES: usize = 64; // ECHO_BYTES

/// The pair keeps its descriptor; tokio closes its own.
fn own(fd: c_int) -> Result<OwnedFd> {
    unsafe { BorrowedFd::borrow_raw(fd) }.try_clone_to_owned()
}

fn tcp(fd: c_int) -> Result<TcpStream> {
    TcpStream::from_std(own(fd)?.into())
}

fn udp(fd: c_int) -> Result<UdpSocket> {
    UdpSocket::from_std(own(fd)?.into())
}

fn failed(b: B, result: Result<()>) {
    if let Err(err) = result {
        b.fail(&format!("an echo of 64 bytes broke: {}", err));
    }
}

/// Until the end of the stream.
async fn tcp_serve(mut stream: TcpStream) -> Result<()> {
    let mut buf = [0u8; 2 * BYTES];
    loop {
        let got = stream.read(&mut buf).await?;
        if got == 0 {
            return Ok(());
        }
        stream.write_all(&buf[..got]).await?;
    }
}

async fn tcp_ask(b: B, mut stream: TcpStream) -> Result<()> {
    let mut buf = [b'a'; 2 * BYTES];
    while b.more() {
        stream.write_all(&buf[..BYTES]).await?;
        if stream.read(&mut buf).await? != BYTES {
            b.fail("an echo of 64 bytes broke: not all of it");
        }
        b.sample(1);
    }
    Ok(())
}

#[no_mangle]
pub extern "C" fn tokio_tcp_echo(b: B, client: c_int, server: c_int) {
    let result = run(Drivers::Io, async move {
        let serving = spawn_local(tcp_serve(tcp(server)?));
        tcp_ask(b, tcp(client)?).await?;
        serving.abort();
        Ok(())
    });
    failed(b, result);
}

async fn udp_serve(socket: UdpSocket) -> Result<()> {
    let mut buf = [0u8; 2 * BYTES];
    loop {
        let got = socket.recv(&mut buf).await?;
        socket.send(&buf[..got]).await?;
    }
}

async fn udp_ask(b: B, socket: UdpSocket) -> Result<()> {
    let mut buf = [b'a'; 2 * BYTES];
    while b.more() {
        socket.send(&buf[..BYTES]).await?;
        if socket.recv(&mut buf).await? != BYTES {
            b.fail("an echo of 64 bytes broke: not all of it");
        }
        b.sample(1);
    }
    Ok(())
}

#[no_mangle]
pub extern "C" fn tokio_udp_echo(b: B, client: c_int, server: c_int) {
    let result = run(Drivers::Io, async move {
        let serving = spawn_local(udp_serve(udp(server)?));
        udp_ask(b, udp(client)?).await?;
        serving.abort();
        Ok(())
    });
    failed(b, result);
}

/// The server of tcp_echo_2t.  `spin`: a task that yields beside it, so that each turn asks the
/// kernel and none waits for it.
#[no_mangle]
pub extern "C" fn tokio_serve(fd: c_int, spin: bool) -> c_int {
    let result: Result<()> = run(Drivers::Io, async move {
        let spinning = spin.then(|| {
            spawn_local(async {
                loop {
                    yield_now().await;
                }
            })
        });
        let result = match tcp(fd) {
            Ok(stream) => tcp_serve(stream).await,
            Err(err) => Err(err),
        };
        if let Some(spinning) = spinning {
            spinning.abort();
        }
        result
    });
    status(result.is_ok())
}
