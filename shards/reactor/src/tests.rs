use std::cell::{Cell, RefCell};
use std::future::pending;
use std::net::TcpStream;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Bytes, BytesMut};

use crate::file::{self, File, Open};
use crate::mesh::{self, Doorbell};
use crate::socket::{Listener, Piece};
use crate::*;

#[test]
fn chunk_shares_what_was_appended() {
    let mut chunk = Chunk::new(10);
    assert_eq!(chunk.capacity(), BLOCK);
    chunk.append(b"hello ");
    let hello = chunk.slice(0..5);
    chunk.append(b"world");
    assert_eq!(&*hello, b"hello");
    assert_eq!(&*chunk.slice(6..11).slice(1..3), b"or");
    let blocks = chunk.blocks(3..11);
    assert_eq!(blocks.len(), BLOCK);
    drop(chunk);
    assert_eq!(&*hello, b"hello");
}

#[test]
#[should_panic(expected = "do not fit")]
fn chunk_refuses_what_does_not_fit() {
    let mut chunk = Chunk::new(BLOCK);
    chunk.append(&vec![0; BLOCK + 1]);
}

#[test]
fn semaphore_serves_in_turn() {
    block_on(async {
        let budget = Semaphore::new(2);
        let order = Rc::new(RefCell::new(Vec::new()));
        let started = Rc::new(Cell::new(0));
        let first = budget.acquire(2).await;
        let tasks: Vec<_> = [(1, 2), (2, 1), (3, 1)]
            .into_iter()
            .map(|(name, count)| {
                let (budget, order, started) = (budget.clone(), Rc::clone(&order), Rc::clone(&started));
                spawn(Class::Data, async move {
                    started.set(started.get() + 1);
                    let _permit = budget.acquire(count).await;
                    order.borrow_mut().push(name);
                })
            })
            .collect();
        while started.get() < 3 {
            yield_now().await;
        }
        assert!(budget.try_acquire(1).is_none());
        drop(first);
        for task in tasks {
            task.await;
        }
        assert_eq!(*order.borrow(), [1, 2, 3]);
        assert_eq!(budget.free(), 2);
    })
    .unwrap();
}

#[test]
fn signal_wakes_all_who_wait() {
    block_on(async {
        let signal = Rc::new(Signal::new());
        let woken = Rc::new(Cell::new(0));
        let started = Rc::new(Cell::new(0));
        let tasks: Vec<_> = (0..3)
            .map(|_| {
                let (signal, woken, started) = (Rc::clone(&signal), Rc::clone(&woken), Rc::clone(&started));
                spawn(Class::Data, async move {
                    started.set(started.get() + 1);
                    signal.wait().await;
                    woken.set(woken.get() + 1);
                })
            })
            .collect();
        while started.get() < 3 {
            yield_now().await;
        }
        assert_eq!(woken.get(), 0);
        signal.notify();
        for task in tasks {
            task.await;
        }
        assert_eq!(woken.get(), 3);
    })
    .unwrap();
}

#[test]
fn long_work_lets_others_go_first_and_takes_turns() {
    block_on(async {
        let parts = Rc::new(RefCell::new(Vec::new()));
        let long = |name: char| {
            let parts = Rc::clone(&parts);
            async move {
                for _ in 0..1000 {
                    parts.borrow_mut().push(name);
                    stand_back().await;
                }
            }
        };
        let (one, other) = (spawn(Class::Data, long('a')), spawn(Class::Data, long('b')));
        let steps = spawn(Class::Data, async {
            for _ in 0..1000 {
                yield_now().await;
            }
        });
        steps.await;
        // Were it as good as the others, it would have had a part for each of their steps.
        let meanwhile = parts.borrow().len();
        assert!(meanwhile < 500, "{meanwhile} parts");
        one.await;
        other.await;
        assert!(parts.borrow().chunks(2).all(|pair| pair == ['a', 'b']), "{:?}", parts.borrow());
    })
    .unwrap();
}

#[test]
fn long_work_goes_on_beside_work_without_end() {
    for class in [Class::Data, Class::Background] {
        block_on(async {
            let hog = spawn(class, async {
                loop {
                    yield_now().await;
                }
            });
            for _ in 0..3 {
                assert!(!stand_back().await, "beside {class:?} nobody ever rests");
            }
            drop(hog);
            assert!(stand_back().await, "now it is alone");
        })
        .unwrap();
    }
}

/// No queue has glommio's preemption: a task that never waits must not keep those of other queues waiting.
#[test]
fn queues_give_way_to_each_other() {
    let spin = |over: &Rc<Cell<bool>>| {
        let over = Rc::clone(over);
        async move {
            while !over.get() {
                yield_now().await;
            }
        }
    };
    for (hog, other) in [(Class::Background, Class::Data), (Class::Data, Class::Background), (Class::Cold, Class::Data)]
    {
        block_on(async {
            let over = Rc::new(Cell::new(false));
            let hog = spawn(hog, spin(&over));
            for _ in 0..3 {
                spawn(other, timeout(Duration::from_millis(1), pending::<()>())).await;
            }
            over.set(true);
            hog.await;
        })
        .unwrap();
    }
}

#[test]
fn sleep_is_not_work() {
    let (asleep, awake) = block_on(async {
        let began = busy();
        timeout(Duration::from_millis(60), pending::<()>()).await;
        let asleep = busy() - began;
        let spin = monotonic();
        while spin.elapsed() < Duration::from_millis(20) {}
        (asleep, busy() - began - asleep)
    })
    .unwrap();
    assert!(asleep < Duration::from_millis(50), "{asleep:?} of work while asleep");
    assert!(awake >= Duration::from_millis(20), "{awake:?} of work while awake");
}

#[test]
fn file_keeps_what_was_written() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a/b/file");
    block_on(async {
        file::create_dir_all(path.parent().unwrap()).await.unwrap();
        let how = Open { read: true, write: true, create: true, direct: true, ..Open::default() };
        let opened = File::open(&path, how).await.unwrap();
        let mut buffer = AlignedBuffer::registered(3 << 20);
        for (i, byte) in buffer.iter_mut().enumerate() {
            *byte = (i / 4096) as u8;
        }
        let len = buffer.len();
        let (result, buffer) = opened.write_at(buffer, 0..len, 4096).await;
        result.unwrap();
        opened.sync_data().await.unwrap();
        assert_eq!(opened.size().unwrap(), len as u64 + 4096);
        let (count, read) = opened.read_at(AlignedBuffer::new(len), len, 4096).await;
        assert_eq!(count.unwrap(), len);
        assert_eq!(read[..], buffer[..]);

        let mut chunk = Chunk::new(8192);
        chunk.append(&[7; 5000]);
        opened.write_row(vec![chunk.blocks(0..5000)], 0).await.unwrap();
        let (count, read) = opened.read_at(AlignedBuffer::new(8192), 8192, 0).await;
        assert_eq!(count.unwrap(), 8192);
        assert_eq!((read[4999], read[5000]), (7, 0));
        opened.truncate(5000).await.unwrap();
        assert_eq!(opened.size().unwrap(), 5000);
        opened.allocate_keep_size(0, 1 << 20).await.unwrap();
        assert_eq!(opened.size().unwrap(), 5000);
        opened.close().await.unwrap();
        assert_eq!(file::read(&path).await.unwrap().len(), 5000);
    })
    .unwrap();
}

#[test]
fn folders_and_names() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().to_path_buf();
    block_on(async {
        file::write_atomically(&root.join("one"), b"1").await.unwrap();
        file::write_atomically(&root.join("one"), b"23").await.unwrap();
        file::create_dir_all(&root.join("deep/er")).await.unwrap();
        file::write_atomically(&root.join("deep/er/two"), b"").await.unwrap();
        let found = file::list(&root).await.unwrap();
        let names: Vec<_> = found.iter().map(|e| (e.name.as_str(), e.is_dir, e.len)).collect();
        assert_eq!(names, [("deep", true, 0), ("one", false, 2)]);
        file::rename(&root.join("one"), &root.join("uno")).await.unwrap();
        assert!(!file::exists(&root.join("one")));
        file::remove_dir_all(&root.join("deep")).await.unwrap();
        assert!(!file::exists(&root.join("deep")));
        assert!(file::free_space(&root).unwrap() > 0);
        let missing = File::open(&root.join("none"), Open { read: true, ..Open::default() }).await;
        assert_eq!(missing.unwrap_err().kind(), std::io::ErrorKind::NotFound);
    })
    .unwrap();
}

#[test]
fn lock_names_its_holder() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(".lock");
    let held = file::lock(&path).unwrap();
    let refused = file::lock(&path).unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::WouldBlock);
    assert_eq!(refused.to_string(), std::process::id().to_string());
    drop(held);
    file::lock(&path).unwrap();
}

#[test]
fn socket_receives_and_sends() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let address = listener.local_address().unwrap();
    let client = std::thread::spawn(move || {
        use std::io::{Read, Write};
        let mut stream = TcpStream::connect(address).unwrap();
        stream.write_all(b"ping").unwrap();
        let mut answer = vec![0; 2 * 3_000_004];
        stream.read_exact(&mut answer).unwrap();
        stream.write_all(&[9; 100_000]).unwrap();
        answer
    });
    block_on(async {
        let socket = listener.accept().await.unwrap().into_socket();
        let (count, buffer) = socket.receive(BytesMut::with_capacity(100)).await;
        assert_eq!((count.unwrap(), &buffer[..]), (4, &b"ping"[..]));
        let mut chunk = Chunk::new(3_000_000);
        chunk.append(&vec![5; 3_000_000]);
        let pieces = vec![Piece::Bytes(Bytes::from_static(b"pong")), Piece::Slice(chunk.slice(0..3_000_000))];
        let again = pieces.clone();
        let (sent, pieces) = socket.send(pieces).await;
        sent.unwrap();
        assert!(pieces.is_empty());
        let (sent, pieces) = socket.send_by(again, || 70_000).await;
        sent.unwrap();
        assert!(pieces.is_empty());
        let (count, buffer) = socket.receive_all(BytesMut::with_capacity(100_000), 100_000).await;
        assert_eq!((count.unwrap(), buffer.len()), (100_000, 100_000));
        let (count, _) = socket.receive(BytesMut::with_capacity(10)).await;
        assert_eq!(count.unwrap(), 0);
    })
    .unwrap();
    let answer = client.join().unwrap();
    let (whole, in_parts) = answer.split_at(3_000_004);
    assert_eq!((&whole[..4], whole[3_000_003]), (&b"pong"[..], 5));
    assert!(whole == in_parts, "sent in parts, it is the same");
}

#[test]
fn a_shard_asks_for_short_turns_and_nobody_else_does() {
    let before = executor::scheduling().unwrap();
    let bell = Arc::new(Doorbell::new().unwrap());
    let shards = start(vec![(None, bell)], |_| async { executor::scheduling().unwrap() }).unwrap();
    let shard = shards.join().unwrap().remove(0);
    assert_eq!((shard.sched_policy, shard.sched_nice), (before.sched_policy, before.sched_nice));
    // Kernels before 6.12 say 0.
    let turn = shard.sched_runtime;
    assert!(turn == 0 || turn == 100_000, "{turn} ns");
    assert_eq!(executor::scheduling().unwrap().sched_runtime, before.sched_runtime);
}

#[test]
fn a_window_is_used_again_only_when_nobody_looks_at_it() {
    let mut first = AlignedBuffer::window(100_000);
    assert_eq!(first.len(), 128 << 10);
    first.fill(1);
    let held = Slice::from(first, 10..20);
    for round in 2..20 {
        let mut next = AlignedBuffer::window(100_000);
        next.fill(round);
        assert_eq!(&*held, [1; 10], "somebody looks at it still");
        std::thread::spawn(move || drop(next)).join().unwrap();
    }
    assert_eq!(AlignedBuffer::window(70 << 20).len(), 70 << 20, "larger than all that is kept");
}

#[test]
fn dropping_a_receive_cancels_it() {
    let listener = Listener::bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let _client = TcpStream::connect(listener.local_address().unwrap()).unwrap();
    block_on(async {
        let socket = listener.accept().await.unwrap().into_socket();
        let waited = timeout(Duration::from_millis(5), socket.receive(BytesMut::with_capacity(10))).await;
        assert!(waited.is_none());
    })
    .unwrap();
}

#[test]
fn mesh_carries_messages_in_order_and_holds_back() {
    let bells = [Arc::new(Doorbell::new().unwrap()), Arc::new(Doorbell::new().unwrap())];
    let (there, arriving) = mesh::channel::<u64>(4, &bells[0], &bells[1]);
    let (back, returning) = mesh::channel::<u64>(4, &bells[1], &bells[0]);
    let ends = std::sync::Mutex::new((Some((there, returning)), Some((back, arriving))));
    let seats = bells.iter().map(|bell| (None, Arc::clone(bell))).collect();
    let shards = start(seats, move |id| {
        let mut ends = ends.lock().unwrap();
        let (asker, answerer) = if id.index() == 0 { (ends.0.take(), None) } else { (None, ends.1.take()) };
        async move {
            if let Some((there, returning)) = asker {
                let (there, returning) = (there.bind(), returning.bind());
                let sender = spawn(Class::Data, async move {
                    for i in 0..10_000 {
                        assert!(there.send(i).await);
                    }
                });
                for i in 0..10_000 {
                    assert_eq!(returning.recv().await, Some(i * 2));
                }
                sender.await;
            }
            if let Some((back, arriving)) = answerer {
                let (back, arriving) = (back.bind(), arriving.bind());
                let mut count = 0_u64;
                while let Some(i) = arriving.recv().await {
                    assert_eq!(i, count);
                    count += 1;
                    assert!(back.send(i * 2).await);
                }
                assert_eq!(count, 10_000);
            }
        }
    })
    .unwrap();
    shards.join().unwrap();
}

#[test]
fn inbox_takes_messages_from_any_thread() {
    let bell = Arc::new(Doorbell::new().unwrap());
    let (letterbox, inbox) = mesh::inbox::<u32>(100, &bell);
    let inbox = std::sync::Mutex::new(Some(inbox));
    let shards = start(vec![(None, bell)], move |_| {
        let letters = inbox.lock().unwrap().take();
        async move {
            let letters = letters.unwrap().bind();
            let mut sum = 0;
            for _ in 0..50 {
                sum += letters.recv().await;
            }
            sum
        }
    })
    .unwrap();
    for i in 0..50 {
        letterbox.post(i).unwrap();
        std::thread::yield_now();
    }
    assert_eq!(shards.join().unwrap(), [1225]);
}

#[test]
fn refusals_say_what_to_do() {
    let forbidden = probe::explain(&std::io::Error::from_raw_os_error(1));
    assert!(forbidden.contains("seccomp") || forbidden.contains("sysctl"), "{forbidden}");
    assert!(probe::explain(&std::io::Error::from_raw_os_error(24)).contains("ulimit -n"));
    let kernel = probe::kernel().unwrap();
    assert!(!kernel.release.is_empty());
}

#[test]
fn copies_are_whole_at_every_distance() {
    let from: Vec<u8> = (0..10_000u32).map(|byte| (byte % 251) as u8).collect();
    for shift in [0, 1, 7, 64, 127, 128, 4095] {
        for len in [0, 1, 63, 1023, 1024, 1025, 5000, 9000] {
            let mut to = vec![0; 20_000];
            // The target's place in its page: `shift` bytes behind the source's.
            let start = (from.as_ptr() as usize + shift).wrapping_sub(to.as_ptr() as usize) % BLOCK;
            stream(&from[..len], &mut to[start..]);
            assert_eq!(&to[start..start + len], &from[..len], "shift {shift}, {len} bytes");
            assert!(to[..start].iter().chain(&to[start + len..]).all(|byte| *byte == 0), "shift {shift}, {len} bytes");
            let mut chunk = Chunk::new(20_000);
            let start = (from.as_ptr() as usize + shift) % BLOCK;
            chunk.append(&vec![9; start]);
            chunk.append(&from[..len]);
            assert_eq!(&*chunk.slice(start..start + len), &from[..len], "chunk, shift {shift}, {len} bytes");
        }
    }
}

#[test]
fn tasks_that_never_began_do_not_begin_when_all_ends() {
    let began = Rc::new(Cell::new(0));
    let seen = Rc::clone(&began);
    block_on(async move {
        for class in [Class::Background, Class::Cold, Class::Data].into_iter().cycle().take(30) {
            let began = Rc::clone(&began);
            spawn(class, async move {
                timeout(Duration::ZERO, pending::<()>()).await;
                began.set(began.get() + 1);
            })
            .detach();
        }
    })
    .unwrap();
    assert_eq!(seen.get(), 0, "they had no turn while there was a reactor");
}
