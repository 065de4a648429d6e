//! What clients do to a broker. Each attack ends by itself; the caller looks at what became of the broker.

use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::ops::Range;
use std::time::{Duration, Instant};

use bytes::{BufMut, BytesMut};
use ottla_batch::{Builder, Codec};
use ottla_units::{Offset, PartitionIndex, Timestamp, TopicId};
use ottla_wire::fetch::{self, Fetch, FetchPartition, Fetched};
use ottla_wire::messages::join_group_request::JoinGroupRequestProtocol;
use ottla_wire::messages::{GroupId, JoinGroupRequest, StrBytes};
use ottla_wire::{ApiKey, TopicRef, apis};

use crate::broker::{Broker, REQUEST_BYTES_MAX, connect};
use crate::client::{Client, asked, batch, fetch_request, framed, produce_request, receive};
use crate::mutation::{Random, Shot};
use crate::wait::{PATIENCE, let_pass, until};

/// How long the answer to a damaged request is waited for. Joins and fetches may be held back: then the connection is left.
const GLANCE: Duration = Duration::from_millis(20);

/// Sends shots one by one; says which were the last before anything went wrong.
pub(crate) fn shoot(broker: &mut Broker, shots: impl IntoIterator<Item = Shot>) {
    const REMEMBERED: usize = 32;
    let mut last: VecDeque<Shot> = VecDeque::new();
    let mut connection = broker.connect();
    for shot in shots {
        if last.len() == REMEMBERED {
            last.pop_front();
        }
        last.push_back(shot.clone());
        connection.set_read_timeout(Some(GLANCE)).unwrap();
        let sent = connection.write_all(&shot.frame);
        if sent.and_then(|()| receive(&mut connection)).is_err() {
            connection = broker.connect();
        }
    }
    let shots: String = last.iter().map(|shot| format!("{shot}\n")).collect();
    broker.is_well(&format!("one of these, the last most likely:\n{shots}"));
}

/// Noise, some of it behind a length that fits.
pub(crate) fn random_bytes(broker: &mut Broker) {
    let mut random = Random::new(1);
    for round in 0..300 {
        let mut connection = broker.connect();
        let count = 1 + random.below(5000);
        let mut noise = random.bytes(count);
        if round % 2 == 0 {
            noise.splice(0..0, (count as u32).to_be_bytes());
        }
        // The broker may close before all is sent.
        let _ = connection.write_all(&noise);
        connection.set_read_timeout(Some(GLANCE)).unwrap();
        let _ = connection.read(&mut [0; 64]);
    }
    broker.is_well("random bytes");
}

/// Beginnings of frames on connections that stay open, closed for writing or not; and frames that come byte by byte.
pub(crate) fn half_open_and_slow(broker: &mut Broker) {
    let whole = framed(ApiKey::ApiVersions, 0, 1, b"");
    let mut open = Vec::new();
    for round in 0..600 {
        let mut connection = broker.connect();
        connection.write_all(&whole[..round % whole.len()]).unwrap();
        if round % 3 == 0 {
            connection.shutdown(std::net::Shutdown::Write).unwrap();
        }
        open.push(connection);
    }
    let mut slow: Vec<TcpStream> = (0..50).map(|_| broker.connect()).collect();
    for byte in &whole {
        for connection in &mut slow {
            connection.write_all(&[*byte]).unwrap();
        }
        let_pass(Duration::from_millis(100));
    }
    for connection in &mut slow {
        assert_eq!(receive(connection).unwrap()[..4], [0, 0, 0, 1], "a slow client is answered all the same");
    }
}

/// Frames as long as they may be, a part of each sent and then nothing: they hold memory until others need it.
pub(crate) fn announced_frames(broker: &mut Broker) {
    let mut open = Vec::new();
    let part = vec![0; 256 << 10];
    for _ in 0..200 {
        let mut connection = broker.connect();
        connection.write_all(&(REQUEST_BYTES_MAX as u32).to_be_bytes()).unwrap();
        connection.set_nonblocking(true).unwrap();
        // As much as is taken.
        let _ = connection.write(&part);
        open.push(connection);
    }
    broker.wait_for("memory is short: closed a connection");
    let mut client = Client::new(&broker.address);
    client.round("good", b"while frames are announced").unwrap();
}

/// Fills a topic's partitions with `mib` MiB that do not compress.
pub(crate) fn fill(broker: &Broker, topic: &str, partitions: i32, mib: usize) {
    let mut client = Client::new(&broker.address);
    client.create(topic, partitions);
    let mut random = Random::new(2);
    let value = random.bytes(900 << 10);
    let records = batch(Codec::None, &value);
    for round in 0..mib {
        let (code, _) = client.produce(topic, round as i32 % partitions, &records).unwrap();
        assert_eq!(code, 0);
    }
}

/// Requests whose answers are long, sent without reading any.
pub(crate) fn unread_answers(broker: &mut Broker) {
    fill(broker, "unread", 4, 16);
    let mut open = Vec::new();
    for _ in 0..100 {
        let mut connection = broker.connect();
        let mut requests = BytesMut::new();
        for id in 0..50 {
            requests.put(fetch_request(id, "unread", 4, 0, 50 << 20));
            requests.put(framed(ApiKey::Metadata, 1, id, &(-1i32).to_be_bytes()));
        }
        connection.set_nonblocking(true).unwrap();
        // The broker stops reading at some point: that is right.
        let _ = connection.write(&requests);
        open.push(connection);
    }
    let mut client = Client::new(&broker.address);
    let deadline = Instant::now() + Duration::from_secs(8);
    while Instant::now() < deadline {
        client.round("good", b"while answers are not read").unwrap();
    }
}

/// The same with records of the topic `old` that are not in memory any more.
pub(crate) fn unread_old_records(broker: &mut Broker) {
    let mut open = Vec::new();
    for id in 0..50 {
        let mut connection = broker.connect();
        connection.write_all(&fetch_request(id, "old", 8, 0, 50 << 20)).unwrap();
        open.push(connection);
    }
    // Somebody else reads old ones too.
    read_old_records(broker, Duration::from_secs(8));
}

/// Reads old records as fast as it can, and produces between.
pub(crate) fn read_old_records(broker: &mut Broker, lasts: Duration) {
    let mut client = Client::new(&broker.address);
    let deadline = Instant::now() + lasts;
    while Instant::now() < deadline {
        client.round("good", b"while old records are read").unwrap();
        assert!(!client.fetch("old", 0).unwrap().is_empty());
    }
}

/// How many connections this process may have open: 20,000, or what its limit of descriptors allows.
pub(crate) fn idle_connections_max() -> usize {
    const WANTED: usize = 20_000;
    let limits = std::fs::read_to_string("/proc/self/limits").unwrap();
    let line = limits.lines().find(|line| line.starts_with("Max open files")).unwrap();
    let soft: usize = line.split_whitespace().nth(3).unwrap().parse().unwrap_or(usize::MAX);
    let count = WANTED.min(soft.saturating_sub(600));
    println!("{count} idle connections of {WANTED} (this process may have {soft} descriptors)");
    count
}

/// Connections on which nothing happens; the last of them is served as well as the first.
pub(crate) fn idle_connections(broker: &mut Broker, count: usize) {
    let mut open = Vec::with_capacity(count);
    for _ in 0..count {
        match TcpStream::connect(&broker.address) {
            Ok(connection) => open.push(connection),
            // Ports of this host run out before descriptors do.
            Err(error) if error.kind() == ErrorKind::AddrNotAvailable && open.len() > 1000 => break,
            Err(error) => panic!("connection {}: {error}", open.len()),
        }
    }
    println!("{} connections open", open.len());
    let probe = framed(ApiKey::ApiVersions, 0, 5, b"");
    let some = [0, open.len() / 2, open.len() - 1];
    for place in some {
        open[place].set_read_timeout(Some(PATIENCE)).unwrap();
        open[place].write_all(&probe).unwrap();
        assert_eq!(receive(&mut open[place]).unwrap()[..4], [0, 0, 0, 5], "connection {place}");
    }
}

/// Connections that ask once, or not at all, and go.
pub(crate) fn churn(broker: &mut Broker) {
    let address = &broker.address;
    std::thread::scope(|scope| {
        for thread in 0..4 {
            scope.spawn(move || {
                for round in 0..500 {
                    let mut connection = connect(address);
                    match (round + thread) % 4 {
                        0 => {}
                        1 => connection.write_all(&framed(ApiKey::ApiVersions, 0, 1, b"")).unwrap(),
                        2 => connection.write_all(&fetch_request(1, "good", 1, i64::MAX, 1)).unwrap(),
                        _ => {
                            connection.write_all(&framed(ApiKey::ApiVersions, 0, 1, b"")).unwrap();
                            assert_eq!(receive(&mut connection).unwrap()[..4], [0, 0, 0, 1]);
                        }
                    }
                }
            });
        }
    });
}

/// Thousands of requests at once on one connection: every answer comes, in order.
pub(crate) fn pipeline(broker: &mut Broker) {
    const COUNT: i32 = 6000;
    let records = batch(Codec::None, b"one of many");
    let mut connection = broker.connect();
    let mut writing = connection.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for id in 0..COUNT {
                let request = match id % 3 {
                    0 => produce_request(id, "good", 0, -1, &records),
                    1 => framed(ApiKey::Metadata, 1, id, &(-1i32).to_be_bytes()),
                    _ => framed(ApiKey::ApiVersions, 0, id, b""),
                };
                writing.write_all(&request).unwrap();
            }
        });
        for id in 0..COUNT {
            let answer = receive(&mut connection).unwrap_or_else(|error| panic!("answer {id}: {error}"));
            assert_eq!(answer[..4], id.to_be_bytes());
        }
    });
}

/// Requests with as many elements as fit: what is refused closes the connection, what is not is answered.
pub(crate) fn long_lists(broker: &mut Broker) {
    for api in apis::served() {
        for version in [api.accepted_min, api.max] {
            for element in [&[0u8; 1][..], &[1], &[0, 1, b'x'], &[2, b'x'], &[0, 0, 0, 1]] {
                for prefix in [0, 4] {
                    shoot_list(broker, api.key, version, prefix, element);
                }
            }
        }
        broker.is_well(&format!("long lists of {}", api.name));
    }
    // One that is valid, and as long as it can be.
    let names = 100_000;
    let mut body = BytesMut::new();
    body.put_i32(names);
    for name in 0..names {
        let name = format!("none-{name}");
        body.put_i16(name.len() as i16);
        body.put_slice(name.as_bytes());
    }
    let answer =
        Client::new(&broker.address).ask(ApiKey::Metadata, 1, |id| framed(ApiKey::Metadata, 1, id, &body)).unwrap();
    assert!(answer.len() > names as usize * 10, "{}", answer.len());
}

/// A count of a million behind `prefix` zeros, and what might be so many elements.
fn shoot_list(broker: &Broker, api: ApiKey, version: i16, prefix: usize, element: &[u8]) {
    let mut body = vec![0; prefix];
    if api.is_flexible(version) {
        body.extend_from_slice(&[0xc1, 0x84, 0x3d]);
    } else {
        body.extend_from_slice(&1_000_000u32.to_be_bytes());
    }
    // A few hundred KiB: enough to be believed in part.
    body.extend(element.iter().copied().cycle().take(300 << 10));
    let mut connection = broker.connect();
    connection.set_read_timeout(Some(GLANCE)).unwrap();
    let sent = connection.write_all(&framed(api, version, 1, &body));
    let _ = sent.and_then(|()| receive(&mut connection));
}

/// Batches that unpack to more than is allowed, and one that compresses well and is welcome.
pub(crate) fn bombs(broker: &mut Broker) {
    let zeros = |codec, mib: usize| {
        let value = vec![0; 1 << 20];
        let mut builder = Builder::new().codec(codec);
        let now = Timestamp::new(1_700_000_000_000);
        for _ in 0..mib {
            builder.push(now, None, Some(&value), &[]);
        }
        builder.build()
    };
    let mut client = Client::new(&broker.address);
    client.create("bombs", 4);
    const MESSAGE_TOO_LARGE: i16 = 10;
    for codec in [Codec::Gzip, Codec::Lz4, Codec::Zstd] {
        let bomb = zeros(codec, 200);
        for partition in 0..4 {
            let (code, _) = client.produce("bombs", partition, &bomb).unwrap();
            assert_eq!(code, MESSAGE_TOO_LARGE, "{codec}, {} bytes", bomb.len());
        }
    }
    for codec in [Codec::Gzip, Codec::Snappy, Codec::Lz4, Codec::Zstd] {
        let (code, _) = client.produce("bombs", 0, &zeros(codec, 14)).unwrap();
        assert_eq!(code, 0, "{codec}");
    }
}

fn join(group: &str, member: &str, metadata: usize) -> JoinGroupRequest {
    let text = |text: &str| StrBytes::from_string(text.to_owned());
    let protocol = JoinGroupRequestProtocol::default().with_name(text("range")).with_metadata(vec![0; metadata].into());
    JoinGroupRequest::default()
        .with_group_id(GroupId(text(group)))
        .with_member_id(text(member))
        .with_session_timeout_ms(30_000)
        .with_rebalance_timeout_ms(30_000)
        .with_protocol_type(text("consumer"))
        .with_protocols(vec![protocol])
}

/// Ten thousand that ask for a place in a group, and two thousand that take one and never come back.
pub(crate) fn members(broker: &mut Broker) {
    // So that the coordinator is there.
    let mut first = Client::new(&broker.address);
    until(|| {
        let body = [0, 1, b'g', 0];
        let answer = first.ask(ApiKey::FindCoordinator, 1, |id| framed(ApiKey::FindCoordinator, 1, id, &body)).unwrap();
        (answer[4..6] == [0, 0]).then_some(())
    })
    .expect("a coordinator");
    // Version 4 gives a name only, and answers at once (KIP-394).
    let mut connection = broker.connect();
    let mut writing = connection.try_clone().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(move || {
            for id in 0..10_000 {
                writing.write_all(&asked(4, id, &join("g", "", 100))).unwrap();
            }
        });
        for id in 0..10_000i32 {
            assert_eq!(receive(&mut connection).unwrap()[..4], id.to_be_bytes());
        }
    });
    let mut open = Vec::new();
    for _ in 0..2000 {
        let mut connection = broker.connect();
        connection.write_all(&asked(3, 1, &join("h", "", 4 << 10))).unwrap();
        open.push(connection);
    }
    drop(open);
    // Members whose metadata is as large as a request.
    for round in 0..20 {
        let mut connection = broker.connect();
        connection.set_read_timeout(Some(GLANCE)).unwrap();
        let request = asked(3, 1, &join(&format!("large-{round}"), "", (REQUEST_BYTES_MAX - (64 << 10)) as usize));
        let _ = connection.write_all(&request).and_then(|()| receive(&mut connection));
    }
}

/// A version in which fetches name topics by id, and the partitions of its large ones.
const FETCH_BY_ID: i16 = 13;
const FETCHED: i32 = 50_000;

/// A fetch of partitions of a topic that nobody has, or that forgets them.
fn fetch_by_id(id: i32, session: (i32, i32), topic: u8, wanted: Range<i32>, forgotten: Range<i32>) -> BytesMut {
    let (session_id, session_epoch) = session;
    let limits = Fetch { max_wait_ms: 0, max_bytes: 1, session_id, session_epoch, ..Fetch::default() };
    let topic = TopicRef { name: "", id: TopicId::from_bytes([topic; 16]) };
    let mut body = BytesMut::new();
    let mut writer = fetch::RequestWriter::begin(&mut body, FETCH_BY_ID, &limits, 1);
    writer.topic(topic, wanted.len());
    for index in wanted {
        writer.partition(&FetchPartition::from_consumer(PartitionIndex::new(index), Offset::ZERO, 1));
    }
    let forgotten: Vec<PartitionIndex> = forgotten.map(PartitionIndex::new).collect();
    writer.finish(&[(topic, &forgotten)], "");
    framed(ApiKey::Fetch, FETCH_BY_ID, id, &body)
}

/// The session that an answer is of, and how many partitions it tells of.
fn fetched_by_id(answer: &[u8]) -> (i32, usize) {
    let mut fetched = Fetched::default();
    fetched.decode(answer, FETCH_BY_ID).unwrap();
    assert_eq!(fetched.code, 0);
    (fetched.session_id, fetched.partitions.len())
}

/// Two connections: each new one goes to the shard that has the fewest, so that with one alone the client that behaves
/// would not be on the shard that is attacked.
fn of_two_shards(broker: &Broker) -> [Client; 2] {
    std::array::from_fn(|_| Client::new(&broker.address))
}

/// Sessions with very many partitions, opened again and again.
pub(crate) fn fetch_sessions(broker: &mut Broker) {
    for round in 0..20u8 {
        for mut client in of_two_shards(broker) {
            let request = |id| fetch_by_id(id, (0, 0), round, 0..FETCHED, 0..0);
            client.ask(ApiKey::Fetch, FETCH_BY_ID, request).unwrap();
        }
    }
}

/// Sessions that get very many more partitions, and forget them.
pub(crate) fn growing_sessions(broker: &mut Broker) {
    for mut client in of_two_shards(broker) {
        let mut ask = |session, wanted: Range<i32>, forgotten: Range<i32>| {
            let request = |id| fetch_by_id(id, session, 1, wanted.clone(), forgotten.clone());
            fetched_by_id(&client.ask(ApiKey::Fetch, FETCH_BY_ID, request).unwrap())
        };
        let (session, told) = ask((0, 0), 0..1, 0..0);
        assert!(session > 0 && told == 1, "{session}, {told}");
        for round in 0..3 {
            let (grow, shrink) = ((session, round * 2 + 1), (session, round * 2 + 2));
            // Each is told, as nobody has its topic.
            assert_eq!(ask(grow, 1..FETCHED, 0..0), (session, FETCHED as usize));
            assert_eq!(ask(shrink, 0..0, 1..FETCHED), (session, 1));
        }
        ask((session, -1), 0..0, 0..0);
    }
}

/// Fetches that wait at a thousand partitions each.
pub(crate) fn waiting_fetches(broker: &mut Broker) {
    const PARTITIONS: i32 = 1000;
    Client::new(&broker.address).create("wide", PARTITIONS);
    for _ in 0..4 {
        let mut open: Vec<TcpStream> = (0..20).map(|_| broker.connect()).collect();
        for (id, connection) in open.iter_mut().enumerate() {
            connection.write_all(&fetch_request(id as i32, "wide", PARTITIONS, 0, 1 << 20)).unwrap();
        }
        for (id, connection) in open.iter_mut().enumerate() {
            assert_eq!(receive(connection).unwrap()[..4], (id as i32).to_be_bytes());
        }
    }
}
