use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use ottla_cluster::decide::Rules;
use ottla_cluster::{Alteration, Broker, Listener, NewTopic, Overrides};
use ottla_units::BrokerId;

use super::*;

/// Takes every setting as it is.
struct AnySetting;

impl Settings for AnySetting {
    fn new_topic(&self, _: &Image, given: &[(String, Option<String>)]) -> Result<Overrides, Refusal> {
        Ok(given.iter().filter_map(|(key, value)| Some((key.clone(), value.clone()?))).collect())
    }

    fn altered(&self, image: &Image, alteration: &Alteration) -> Result<Overrides, Refusal> {
        Ok((**image.overrides(&alteration.resource)).clone())
    }
}

fn open(folder: &std::path::Path) -> Result<Controller, ControllerError> {
    let options = Options {
        folder: folder.join("metadata"),
        cluster_id: "cluster".to_owned(),
        rules: Rules { partitions_max: usize::MAX, ..Rules::default() },
        settings: Box::new(AnySetting),
    };
    let mut controller = Controller::open(options)?;
    let listener = Listener { name: Arc::from("PLAINTEXT"), host: Arc::from("localhost"), port: 9092 };
    let broker = Broker { id: BrokerId::new(1), listeners: vec![listener], rack: None, fenced: false };
    controller.handle(Command::RegisterBroker(broker));
    Ok(controller)
}

fn create(controller: &mut Controller, name: &str, partitions: i32) {
    let topics = vec![NewTopic { partitions, ..NewTopic::with_defaults(name) }];
    let (answer, image) = controller.handle(Command::CreateTopics { topics, validate_only: false });
    let Answer::TopicsCreated(outcomes) = answer else { panic!("{answer:?}") };
    assert!(outcomes[0].1.is_ok(), "{outcomes:?}");
    assert!(image.unwrap().topic_named(name).is_some());
}

fn files(folder: &std::path::Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = fs::read_dir(folder.join("metadata")).unwrap().map(|e| e.unwrap().path()).collect();
    files.sort();
    files
}

fn the_log(folder: &std::path::Path) -> PathBuf {
    files(folder).into_iter().find(|path| path.extension().unwrap() == "log").unwrap()
}

#[test]
fn state_survives_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = open(folder.path()).unwrap();
    create(&mut controller, "a", 3);
    create(&mut controller, "b", 1);
    assert_eq!(controller.handle(Command::AllocateProducerIds).0, Answer::ProducerIds(0..1000));
    let before = controller.image().clone();
    drop(controller);
    let mut again = open(folder.path()).unwrap();
    assert_eq!(again.image(), &before);
    assert_eq!(again.handle(Command::AllocateProducerIds).0, Answer::ProducerIds(1000..2000));
}

#[test]
fn an_unfinished_frame_is_cut_off_and_written_over() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = open(folder.path()).unwrap();
    create(&mut controller, "a", 3);
    let (before, log) = (controller.image().clone(), the_log(folder.path()));
    let whole = fs::metadata(&log).unwrap().len();
    create(&mut controller, "b", 1);
    drop(controller);
    let bytes = fs::read(&log).unwrap();
    for length in (usize::try_from(whole).unwrap()..bytes.len()).step_by(7) {
        fs::write(&log, &bytes[..length]).unwrap();
        let mut controller = open(folder.path()).unwrap();
        assert_eq!(controller.image(), &before, "cut at {length}");
        create(&mut controller, "c", 1);
        assert!(open(folder.path()).unwrap().image().topic_named("c").is_some());
    }
}

#[test]
fn a_header_cut_short_is_begun_again() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let log = the_log(folder.path());
    for damaged in [fs::read(&log).unwrap()[..9].to_vec(), vec![0; 40], Vec::new()] {
        fs::write(&log, damaged).unwrap();
        create(&mut open(folder.path()).unwrap(), "a", 1);
        assert!(open(folder.path()).unwrap().image().topic_named("a").is_some());
    }
}

#[test]
fn damage_before_the_end_is_refused_with_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = open(folder.path()).unwrap();
    let log = the_log(folder.path());
    let at = usize::try_from(fs::metadata(&log).unwrap().len()).unwrap();
    create(&mut controller, "a", 1);
    create(&mut controller, "b", 1);
    drop(controller);
    let mut bytes = fs::read(&log).unwrap();
    bytes[at + 30] ^= 1;
    fs::write(&log, bytes).unwrap();
    let error = open(folder.path()).err().unwrap().to_string();
    assert!(error.contains(&format!("damaged frame at byte {at}")), "{error}");
    assert!(error.contains(log.to_str().unwrap()), "{error}");
}

#[test]
fn a_grown_log_becomes_a_snapshot() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = open(folder.path()).unwrap();
    for topic in 0..12 {
        create(&mut controller, &format!("t{topic}"), 200);
    }
    let names: Vec<_> = files(folder.path()).iter().map(|p| p.extension().unwrap().to_owned()).collect();
    assert_eq!(names, ["snapshot", "log"]);
    let before = controller.image().clone();
    drop(controller);
    assert_eq!(open(folder.path()).unwrap().image(), &before);
    // A crash between the snapshot and the new log leaves the old log, which then no longer counts.
    let log = the_log(folder.path());
    let old = log.with_file_name(format!("{:020}.log", 0));
    fs::write(&old, b"whatever").unwrap();
    assert_eq!(open(folder.path()).unwrap().image(), &before);
    assert!(!old.exists());
    let snapshot = files(folder.path()).remove(0);
    let bytes = fs::read(&snapshot).unwrap();
    fs::write(&snapshot, &bytes[..bytes.len() - 24]).unwrap();
    assert!(open(folder.path()).err().unwrap().to_string().contains("ends early"));
    fs::remove_file(&snapshot).unwrap();
    assert!(open(folder.path()).err().unwrap().to_string().contains("is missing"));
}

#[test]
fn another_clusters_log_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    drop(open(folder.path()).unwrap());
    let options = Options {
        folder: folder.path().join("metadata"),
        cluster_id: "other".to_owned(),
        rules: Rules::default(),
        settings: Box::new(AnySetting),
    };
    assert!(matches!(Controller::open(options), Err(ControllerError::OtherCluster { .. })));
}

#[tokio::test]
async fn answers_come_after_every_shard_has_the_image() {
    let folder = tempfile::tempdir().unwrap();
    let controller = open(folder.path()).unwrap();
    let (commands, requests) = mpsc::channel(COMMANDS_WAITING_MAX);
    let applied = Arc::new(AtomicUsize::new(0));
    let seen = applied.clone();
    let serving = tokio::spawn(run(controller, requests, move |image| {
        let applied = seen.clone();
        async move {
            tokio::task::yield_now().await;
            applied.store(image.topic_count(), Ordering::SeqCst);
        }
    }));
    for topic in 1..5 {
        let (answer, told) = tokio::sync::oneshot::channel();
        let topics = vec![NewTopic::with_defaults(format!("t{topic}"))];
        let command = Command::CreateTopics { topics, validate_only: false };
        let answer: Done<Answer> = Box::new(move |said| answer.send(said).unwrap());
        commands.send(Request { command, answer }).await.unwrap();
        assert!(matches!(told.await, Ok(Answer::TopicsCreated(_))));
        assert_eq!(applied.load(Ordering::SeqCst), topic);
    }
    drop(commands);
    serving.await.unwrap().unwrap();
}

#[test]
fn a_folder_keeps_its_identity() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("meta.properties");
    let made = Identity::load_or_create(&path, BrokerId::new(3)).unwrap();
    assert_eq!(made.cluster_id.len(), 22);
    assert_eq!(Identity::load_or_create(&path, BrokerId::new(3)).unwrap(), made);
    let error = Identity::load_or_create(&path, BrokerId::new(4)).unwrap_err().to_string();
    assert!(error.contains("belongs to node 3, and node.id is 4"), "{error}");
    let newer = fs::read_to_string(&path).unwrap().replace("format.version=1", "format.version=9");
    fs::write(&path, newer).unwrap();
    let error = Identity::load_or_create(&path, BrokerId::new(3)).unwrap_err().to_string();
    assert!(error.contains("format 9"), "{error}");
    fs::write(&path, "node.id=3\n").unwrap();
    assert!(matches!(Identity::load_or_create(&path, BrokerId::new(3)), Err(IdentityError::Malformed { .. })));
}

#[test]
fn commands_that_come_together_are_written_as_one() {
    let folder = tempfile::tempdir().unwrap();
    let mut controller = open(folder.path()).unwrap();
    let create =
        |name: &str| Command::CreateTopics { topics: vec![NewTopic::with_defaults(name)], validate_only: false };
    let commands = vec![create("a"), create("a"), Command::AllocateProducerIds, create("b")];
    let (answers, image) = controller.handle_all(commands);
    let ok = |at: usize| matches!(&answers[at], Answer::TopicsCreated(outcomes) if outcomes[0].1.is_ok());
    assert_eq!([ok(0), ok(1), ok(3)], [true, false, true]);
    assert_eq!(image.unwrap().topic_count(), 2);
    let refused = controller.handle_all([create("a")]);
    assert_eq!(refused.1, None);
    let huge =
        NewTopic { settings: vec![("k".to_owned(), Some("v".repeat(20 << 20)))], ..NewTopic::with_defaults("c") };
    let huge = Command::CreateTopics { topics: vec![huge], validate_only: false };
    let (answers, image) = controller.handle_all([huge, create("d")]);
    assert!(matches!(&answers[0], Answer::Failed(refusal) if refusal.code == ErrorCode::PolicyViolation));
    assert!(image.unwrap().topic_named("d").is_some());
    let before = controller.image().clone();
    drop(controller);
    assert_eq!(open(folder.path()).unwrap().image(), &before);
}
