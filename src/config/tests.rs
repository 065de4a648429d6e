use super::*;
use ottla_units::BrokerId;

fn set(pairs: &[&str]) -> Given {
    Given { set: pairs.iter().map(|pair| (*pair).to_owned()).collect(), ..Given::default() }
}

fn file(text: &str) -> (tempfile::TempDir, Given) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("server.properties");
    std::fs::write(&path, text).unwrap();
    (folder, Given { file: Some(path), ..Given::default() })
}

fn pairs(text: &str) -> Vec<(String, String)> {
    parse(text.as_bytes()).unwrap().into_iter().map(|property| (property.key, property.value)).collect()
}

fn pair(key: &str, value: &str) -> Vec<(String, String)> {
    vec![(key.to_owned(), value.to_owned())]
}

#[test]
fn reads_what_java_writes() {
    for text in ["a=b", "a:b", "a b", "  a = b", "a\t:\tb", "\n# c\n! d\na=b\n", "a=b\r\n", "a=b\r", "\u{feff}a=b"] {
        assert_eq!(pairs(text), pair("a", "b"), "{text:?}");
    }
    assert_eq!(pairs("a=b=c"), pair("a", "b=c"));
    assert_eq!(pairs("a = = b"), pair("a", "= b"));
    assert_eq!(pairs("a"), pair("a", ""));
    assert_eq!(pairs("a="), pair("a", ""));
    assert_eq!(pairs("=b"), pair("", "b"));
    assert_eq!(pairs("a=b  "), pair("a", "b  "));
    assert_eq!(pairs("a=#b"), pair("a", "#b"));
    assert_eq!(pairs(r"a\ b\=c\:d=e"), pair("a b=c:d", "e"));
    assert_eq!(pairs(r"a=C:\\x\ty\q"), pair("a", "C:\\x\tyq"));
    assert_eq!(pairs(r"a=\u00e9\ud83d\ude00z"), pair("a", "é😀z"));
}

#[test]
fn a_backslash_goes_on_with_the_next_line() {
    assert_eq!(
        pairs("a=b,\\\n   c,\\\r\n\td\ne=f"),
        [("a", "b,c,d"), ("e", "f")].map(|(k, v)| (k.to_owned(), v.to_owned()))
    );
    assert_eq!(pairs("a=b\\\\\nc=d").len(), 2, "an escaped backslash ends the line");
    assert_eq!(pairs("# no \\\na=b"), pair("a", "b"), "a comment does not go on");
    assert_eq!(pairs("a=b\\\n\nc=d").len(), 2, "an empty line ends it");
    assert_eq!(pairs("a=b\\"), pair("a", "b"), "nothing follows");
    assert_eq!(pairs("a=b\\\n# c"), pair("a", "b# c"));
}

#[test]
fn refuses_what_is_not_text() {
    assert_eq!(parse(b"a=b\n\xff=c"), Err(MalformedProperties::NotText { line: 2 }));
    for text in [r"a=\u12", r"a=\u12g4", r"a=\ud800", r"a=\ud800\n", r"a=\ud800\u0041", r"a=\u+123", "a=\\u12é4"] {
        assert_eq!(parse(text.as_bytes()), Err(MalformedProperties::BadUnicodeEscape { line: 1 }), "{text}");
    }
}

#[test]
fn hostile_bytes_never_panic() {
    let alphabet = ["\\", "\n", "\r", "u", "d", "8", "0", "=", ":", " ", "#", "é", "\u{0}", "😀"];
    let mut seed = 1_u64;
    for _ in 0..20_000 {
        let mut text = String::new();
        for _ in 0..12 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            text.push_str(alphabet[usize::try_from(seed >> 33).unwrap() % alphabet.len()]);
        }
        let _ = parse(text.as_bytes());
    }
}

#[test]
fn a_node_has_a_number_a_listener_and_a_folder_though_nobody_said_so() {
    let loaded = load(&Given::default()).unwrap();
    assert_eq!(loaded.settings.node.id, BrokerId::new(1));
    assert_eq!(loaded.settings.node.listeners[0].to_string(), LISTEN_DEFAULT);
    assert_eq!(loaded.settings.node.data, PathBuf::from(DATA_DEFAULT));
    assert_eq!(loaded.started_with["broker.id"], "1");
    assert_eq!(loaded.notes, []);
}

#[test]
fn flags_beat_set_beats_the_environment_beats_the_file() {
    let (_folder, mut given) =
        file("num.partitions=2\nfetch.max.bytes=5000\nlog.dirs=/a\nlisteners=PLAINTEXT://:1\nbroker.rack=r\n");
    given.environment = vec![
        ("OTTLA_NUM_PARTITIONS".to_owned(), "3".to_owned()),
        ("OTTLA_FETCH_MAX_BYTES".to_owned(), "6000".to_owned()),
        ("OTTLA_SHARDS".to_owned(), "7".to_owned()),
        ("OTTLA_DATA".to_owned(), "/elsewhere".to_owned()),
        ("PATH".to_owned(), "/bin".to_owned()),
    ];
    given.set = vec!["num.partitions=4".to_owned(), "log.dirs=/b".to_owned()];
    given.data = Some(PathBuf::from("/c"));
    given.listen = Some("127.0.0.1:0".to_owned());
    let loaded = load(&given).unwrap();
    let settings = loaded.settings;
    assert_eq!(settings.creation.partitions, 4);
    assert_eq!(settings.network.fetch_bytes_max, 6000);
    assert_eq!(settings.own.shards, Some(7));
    assert_eq!(settings.node.data, PathBuf::from("/c"));
    assert_eq!(settings.node.listeners[0].to_string(), "PLAINTEXT://127.0.0.1:0");
    assert_eq!(settings.node.rack.as_deref(), Some("r"));
    assert_eq!(loaded.notes, []);
}

#[test]
fn what_is_wrong_is_said_with_what_is_allowed() {
    let said = |given: &Given| load(given).unwrap_err().to_string();
    let wrong = said(&set(&["num.partitions=many"]));
    assert!(wrong.contains("num.partitions=many (--set): allowed is a whole number, at least 1"), "{wrong}");
    assert!(wrong.contains("Not a number of type INT"), "{wrong}");
    let (_folder, given) = file("a.b=c\nlog.segment.bytes=5\n");
    let wrong = said(&given);
    assert!(wrong.contains("line 2") && wrong.contains("at least 1048576"), "{wrong}");
    assert!(said(&set(&["ottla.log.format=runes"])).contains("one of text, json"));
    assert!(said(&set(&["ottla.log.level=loud"])).contains("error, warn, info"));
    assert!(said(&set(&["ottla.admin.listen=9644"])).contains("host:port, or nothing"));
    assert!(said(&set(&["noequals"])).contains("key=value"));
    assert!(said(&set(&["=x"])).contains("key=value"));
    assert!(said(&set(&["node.id=1", "broker.id=2"])).contains("two names of one number"));
    assert!(said(&set(&["log.retention.ms=0"])).contains("unlimited"));
    assert!(said(&set(&["listeners=nonsense"])).contains("NAME://host:port"));
    assert!(said(&set(&["listeners=SSL://:9093"])).contains("comes later"));
    assert!(said(&Given { file: Some(PathBuf::from("/no/such/file")), ..Given::default() }).contains("/no/such/file"));
}

#[test]
fn keys_without_effect_and_unknown_keys_are_told() {
    let loaded = load(&set(&[
        "num.partitons=4",
        "zookeeper.connect=localhost:2181",
        "num.io.threads=16",
        "num.network.threads=3",
        "log.cleaner.threads=2",
        "xyzzy=1",
    ]))
    .unwrap();
    let notes: Vec<String> = loaded.notes.iter().map(Note::to_string).collect();
    let has = |text: &str| assert!(notes.iter().any(|note| note.contains(text)), "{text}: {notes:?}");
    has("num.partitons is not a setting and is ignored; did you mean num.partitions?");
    has("zookeeper.connect is ignored: there is no ZooKeeper");
    has("num.io.threads is ignored: one shard per core");
    has("log.cleaner.threads is kept but has no effect yet");
    has("xyzzy is not a setting and is ignored; ottla config list shows all");
    assert!(!notes.iter().any(|note| note.starts_with("num.network.threads")), "its default is not worth a word");
    let mut notes = Vec::new();
    let variables = [("OTTLA_NUM_PARTITONS".to_owned(), "4".to_owned())];
    assert!(environment::settings(&variables, &mut notes).is_empty());
    assert!(notes[0].to_string().contains("did you mean OTTLA_NUM_PARTITIONS?"), "{}", notes[0]);
}

#[test]
fn a_kafka_file_of_a_combined_node_starts() {
    let (_folder, given) = file(
        "process.roles=broker,controller\nnode.id=7\ncontroller.quorum.voters=7@127.0.0.1:9093\n\
         listeners=PLAINTEXT://127.0.0.1:9092,CONTROLLER://127.0.0.1:9093\n\
         advertised.listeners=PLAINTEXT://broker.example:29092\ncontroller.listener.names=CONTROLLER\n\
         listener.security.protocol.map=PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT\nlog.dirs=/x,/y\n\
         super.users=User:ANONYMOUS\nauthorizer.class.name=org.apache.kafka.metadata.authorizer.StandardAuthorizer\n",
    );
    let loaded = load(&given).unwrap();
    let node = &loaded.settings.node;
    assert_eq!(node.id, BrokerId::new(7));
    assert_eq!(node.listeners.len(), 1, "the controller's listener is not for clients");
    assert_eq!(node.advertised[0].to_string(), "PLAINTEXT://broker.example:29092");
    let told = announced(node, &["127.0.0.1:9092".parse().unwrap()]);
    assert_eq!((&*told[0].host, told[0].port), ("broker.example", 29092));
    assert!(loaded.notes.iter().any(|note| note.kind == NoteKind::SeveralFolders));
}

#[test]
fn a_free_port_and_every_address_become_what_clients_can_reach() {
    let given = Given { listen: Some("0.0.0.0:0".to_owned()), ..Given::default() };
    let told = announced(&load(&given).unwrap().settings.node, &["0.0.0.0:4711".parse().unwrap()]);
    assert_eq!((&*told[0].host, told[0].port), (host_name().as_str(), 4711));
}
