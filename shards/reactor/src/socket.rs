//! TCP sockets, through the shard's ring.

use std::io;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};

use bytes::{BufMut, Bytes, BytesMut};
use io_uring::{opcode, types};

use crate::buffer::Slice;
use crate::executor::stand_back;
use crate::ring;

/// Pieces in one system call (`UIO_MAXIOV`).
const PIECES_MAX: usize = 1024;
/// Parts sent at once after a wait that did not end by itself: with one every 0.5 ms, readers would fall behind those who keep a
/// shard busy without a pause.
const LATE_PARTS: usize = 8;
/// Connections that may wait to be accepted.
const BACKLOG: i32 = 4096;

/// A listening socket.
#[derive(Debug)]
pub struct Listener {
    socket: TcpListener,
}

impl Listener {
    /// Listens on `address`; port 0 picks one.
    ///
    /// # Errors
    /// The operating system's, such as an address in use.
    pub fn bind(address: SocketAddr) -> io::Result<Listener> {
        let socket = TcpListener::bind(address)?;
        // SAFETY: a call on a descriptor that `socket` owns; listening again only sets the backlog.
        if unsafe { libc::listen(socket.as_raw_fd(), BACKLOG) } != 0 {
            return Err(io::Error::last_os_error());
        }
        Ok(Listener { socket })
    }

    /// The address it listens on.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.socket.local_addr()
    }

    /// The next connection. It is not bound to a shard yet.
    ///
    /// # Errors
    /// The operating system's, such as too many open files.
    pub async fn accept(&self) -> io::Result<Accepted> {
        let fd = types::Fd(self.socket.as_raw_fd());
        let entry =
            opcode::Accept::new(fd, std::ptr::null_mut(), std::ptr::null_mut()).flags(libc::SOCK_CLOEXEC).build();
        let (result, ()) = ring::current().submit(entry, ()).await;
        let fd = i32::try_from(result?).map_err(io::Error::other)?;
        // SAFETY: the kernel just gave us this descriptor.
        let stream = TcpStream::from(unsafe { OwnedFd::from_raw_fd(fd) });
        let peer = stream.peer_addr()?;
        stream.set_nodelay(true)?;
        Ok(Accepted { stream, peer })
    }
}

/// A connection that may still go to any shard.
#[derive(Debug)]
pub struct Accepted {
    stream: TcpStream,
    peer: SocketAddr,
}

impl Accepted {
    /// Who connected.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// Sizes of the kernel's buffers, in bytes, where the kernel is not to choose.
    ///
    /// # Errors
    /// The operating system's.
    pub fn set_buffers(&self, send: Option<u32>, receive: Option<u32>) -> io::Result<()> {
        for (option, bytes) in [(libc::SO_SNDBUF, send), (libc::SO_RCVBUF, receive)] {
            let Some(bytes) = bytes else { continue };
            let value = i32::try_from(bytes).unwrap_or(i32::MAX);
            // SAFETY: the kernel reads one `int`, which `value` is.
            let result = unsafe {
                libc::setsockopt(
                    self.stream.as_raw_fd(),
                    libc::SOL_SOCKET,
                    option,
                    (&raw const value).cast(),
                    size_of::<i32>() as libc::socklen_t,
                )
            };
            if result != 0 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    /// Takes the connection onto this shard.
    pub fn into_socket(self) -> Socket {
        Socket { stream: self.stream, peer: self.peer }
    }
}

/// Bytes to send: a client's records stay where they are.
#[derive(Clone, Debug)]
pub enum Piece {
    /// Encoded by us.
    Bytes(Bytes),
    /// Part of a log.
    Slice(Slice),
}

impl AsRef<[u8]> for Piece {
    fn as_ref(&self) -> &[u8] {
        match self {
            Piece::Bytes(bytes) => bytes,
            Piece::Slice(slice) => slice,
        }
    }
}

/// Pieces under way, with the structures that the kernel reads.
struct Sending {
    pieces: Vec<Piece>,
    vectors: Vec<libc::iovec>,
    header: Box<libc::msghdr>,
}

/// A connected socket.
///
/// *Lives on:* the shard that took it.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    peer: SocketAddr,
}

impl Socket {
    /// Who is at the other end.
    pub fn peer(&self) -> SocketAddr {
        self.peer
    }

    /// The same connection, for another shard to go on with. Nothing may be under way on it.
    ///
    /// # Errors
    /// The operating system's, such as too many open files.
    pub fn duplicate(&self) -> io::Result<Accepted> {
        Ok(Accepted { stream: self.stream.try_clone()?, peer: self.peer })
    }

    /// The address it was reached at.
    ///
    /// # Errors
    /// The operating system's.
    pub fn local_address(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    fn fd(&self) -> types::Fd {
        types::Fd(self.stream.as_raw_fd())
    }

    /// Appends what arrives to `buffer`, as much as its spare capacity takes. 0 means that the other end has closed.
    ///
    /// # Errors
    /// The operating system's; the buffer comes back in any case.
    pub async fn receive(&self, buffer: BytesMut) -> (io::Result<usize>, BytesMut) {
        self.receive_flagged(buffer, usize::MAX, 0).await
    }

    /// As [`Socket::receive`], but comes back only with all `len` bytes, or fewer when the other end closes.
    ///
    /// # Errors
    /// The operating system's; the buffer comes back in any case.
    pub async fn receive_all(&self, mut buffer: BytesMut, len: usize) -> (io::Result<usize>, BytesMut) {
        let mut done = 0;
        while done < len {
            let (result, back) = self.receive_flagged(buffer, len - done, libc::MSG_WAITALL).await;
            buffer = back;
            match result {
                Ok(0) => break,
                Ok(count) => done += count,
                Err(error) => return (Err(error), buffer),
            }
        }
        (Ok(done), buffer)
    }

    async fn receive_flagged(&self, mut buffer: BytesMut, len_max: usize, flags: i32) -> (io::Result<usize>, BytesMut) {
        let spare = buffer.spare_capacity_mut();
        let len = spare.len().min(len_max).min(i32::MAX as usize);
        let entry = opcode::Recv::new(self.fd(), spare.as_mut_ptr().cast(), len as u32).flags(flags).build();
        let (result, mut buffer) = ring::current().submit(entry, buffer).await;
        if let Ok(count) = result {
            // SAFETY: the kernel has filled `count` bytes of the spare capacity, which it was told the size of.
            unsafe { buffer.advance_mut(count) };
        }
        (result, buffer)
    }

    /// Sends all pieces in order, in one operation where the socket takes them. The emptied vector comes back for reuse.
    ///
    /// # Errors
    /// The operating system's, such as a broken pipe.
    pub async fn send(&self, pieces: Vec<Piece>) -> (io::Result<()>, Vec<Piece>) {
        self.send_by(pieces, || usize::MAX).await
    }

    /// As [`Socket::send`], but with at most `at_once()` bytes in one operation, asked before each, and everybody else in between: the
    /// kernel copies them all before the shard can do anything else. On a shard that never rests it is eight times as many.
    ///
    /// # Errors
    /// As there.
    pub async fn send_by(&self, pieces: Vec<Piece>, at_once: impl Fn() -> usize) -> (io::Result<()>, Vec<Piece>) {
        let total = pieces.iter().map(|piece| piece.as_ref().len()).sum();
        // SAFETY: a `msghdr` of zeros is valid: no address, no pieces, no control data.
        let header = Box::new(unsafe { std::mem::zeroed::<libc::msghdr>() });
        let mut sending = Sending { vectors: Vec::with_capacity(pieces.len().min(PIECES_MAX)), pieces, header };
        let (mut done, mut parts) = (0, 1);
        while done < total {
            let room = at_once().saturating_mul(parts);
            sending.fill(done, room);
            let entry = opcode::SendMsg::new(self.fd(), &raw const *sending.header)
                .flags((libc::MSG_NOSIGNAL | libc::MSG_WAITALL) as u32)
                .build();
            let (result, back) = ring::current().submit(entry, sending).await;
            sending = back;
            match result {
                Ok(count) => done += count,
                Err(error) => {
                    sending.pieces.clear();
                    return (Err(error), sending.pieces);
                }
            }
            if done < total && room < usize::MAX {
                parts = if stand_back().await { 1 } else { LATE_PARTS };
            }
        }
        sending.pieces.clear();
        (Ok(()), sending.pieces)
    }

    /// Bytes that the other end has sent to us and taken from us so far, as the kernel counts them; 0 where it does not tell.
    pub fn moved_bytes(&self) -> u64 {
        // `tcp_info` of Linux 4.1 and later (include/uapi/linux/tcp.h); libc has only its older part.
        const BYTES_ACKED_AT: usize = 120;
        const BYTES_RECEIVED_AT: usize = 128;
        let mut info = [0u8; 136];
        let mut length = info.len() as libc::socklen_t;
        // SAFETY: the kernel writes at most `length` bytes into `info`, which has as many.
        let result = unsafe {
            libc::getsockopt(
                self.stream.as_raw_fd(),
                libc::IPPROTO_TCP,
                libc::TCP_INFO,
                info.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        if result != 0 || (length as usize) < info.len() {
            return 0;
        }
        let field = |at: usize| info[at..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes));
        field(BYTES_ACKED_AT).wrapping_add(field(BYTES_RECEIVED_AT))
    }

    /// Ends both directions; the other end sees a close, and a pending receive here ends.
    pub fn shut_down(&self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
    }
}

impl Sending {
    /// Points the header at what is left after `skip` bytes, up to `room` bytes of it.
    fn fill(&mut self, mut skip: usize, mut room: usize) {
        self.vectors.clear();
        for piece in &self.pieces {
            let bytes: &[u8] = piece.as_ref();
            if skip >= bytes.len() {
                skip -= bytes.len();
                continue;
            }
            let rest = &bytes[skip..];
            let rest = &rest[..rest.len().min(room)];
            (skip, room) = (0, room - rest.len());
            self.vectors.push(libc::iovec { iov_base: rest.as_ptr().cast_mut().cast(), iov_len: rest.len() });
            if self.vectors.len() == PIECES_MAX || room == 0 {
                break;
            }
        }
        self.header.msg_iov = self.vectors.as_mut_ptr();
        self.header.msg_iovlen = self.vectors.len();
    }
}
