use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::broker::{self, Broker};
use crate::shell::{Failure, Step, heading, is_there, program, root, target};
use crate::tally::Tally;

/// How long one client may take for its scenario.
const LIMIT: Duration = Duration::from_secs(240);
/// What the broker is started with: groups that start at once.
const SETTINGS: [&str; 1] = ["group.initial.rebalance.delay.ms=0"];

/// One client: its programs are in tests/clients, what it fetches goes below target/clients.
struct Client {
    name: &'static str,
    /// Programs that it needs, and the package that has each on Debian.
    needs: &'static [(&'static str, &'static str)],
    /// Fetches it and says how its scenario is run.
    prepare: fn(&Places) -> Result<Step, Failure>,
}

const CLIENTS: [Client; 5] = [
    Client { name: "Java kafka-clients", needs: &[("java", "default-jdk-headless"), ("mvn", "maven")], prepare: java },
    Client {
        name: "librdkafka",
        needs: &[("python3", "python3-venv")],
        prepare: |places| python(places, "librdkafka.py"),
    },
    Client {
        name: "kafka-python",
        needs: &[("python3", "python3-venv")],
        prepare: |places| python(places, "kafka_python.py"),
    },
    Client { name: "franz-go", needs: &[("go", "golang")], prepare: go },
    Client { name: "kafkajs", needs: &[("node", "nodejs"), ("npm", "npm")], prepare: node },
];

/// Where a client's sources are and where what it fetches goes.
struct Places {
    sources: PathBuf,
    fetched: PathBuf,
}

/// Runs every client's scenario against one broker.
pub(crate) fn run(tally: &mut Tally, release: bool) -> Result<(), Failure> {
    // A broker that is there already can be tested too.
    let given = std::env::var("OTTLA_TEST_BOOTSTRAP").ok();
    let broker = match &given {
        Some(_) => None,
        None => Some(Broker::start(&broker::build(release)?, "clients", &SETTINGS)?),
    };
    let address = given.as_deref().or(broker.as_ref().map(|broker| &*broker.address)).unwrap_or_default();
    for client in &CLIENTS {
        play(client, address, tally);
    }
    match broker {
        Some(broker) => stop(broker, tally),
        None => Ok(()),
    }
}

fn play(client: &Client, address: &str, tally: &mut Tally) {
    heading(client.name);
    if let Some((missing, package)) = client.needs.iter().find(|(program, _)| !is_there(program)) {
        return tally.skip(client.name, &format!("{missing} is not on the PATH (apt install {package})"));
    }
    let places = Places { sources: root().join("tests/clients"), fetched: target().join("clients") };
    let step = match (client.prepare)(&places) {
        Ok(step) => step,
        Err(failure) => return tally.skip(client.name, &format!("cannot be fetched: {failure}")),
    };
    let mut steps = 0;
    let ended = step.args([address]).lines(client.name, LIMIT, |line| {
        steps += u64::from(told(client.name, line, tally));
    });
    match ended {
        Ok(status) if status.success() && steps > 0 => {}
        Ok(status) => tally.fail(format!("{}: {status} after {steps} steps", client.name)),
        Err(failure) => tally.fail(failure.to_string()),
    }
}

/// Counts a line `ok WHAT` or `not ok WHAT: WHY`; shows any other.
fn told(client: &str, line: &str, tally: &mut Tally) -> bool {
    if let Some(what) = line.strip_prefix("ok ") {
        println!("   ok {what}");
        tally.pass();
        return true;
    }
    if let Some(why) = line.strip_prefix("not ok ") {
        tally.fail(format!("{client}: {why}"));
        return true;
    }
    println!("   | {line}");
    false
}

fn stop(broker: Broker, tally: &mut Tally) -> Result<(), Failure> {
    let log = broker.log.clone();
    match broker.stop()? {
        status if status.success() => tally.pass(),
        status => tally.fail(format!("the broker ended with {status} after SIGTERM; its log: {}", log.display())),
    }
    Ok(())
}

/// Runs `fetch` unless that was done before with the same file of versions.
fn once(folder: &Path, versions: &Path, fetch: impl FnOnce() -> Result<(), Failure>) -> Result<(), Failure> {
    let mark = folder.join(".fetched");
    let wanted = std::fs::read(versions)?;
    if std::fs::read(&mark).is_ok_and(|fetched| fetched == wanted) {
        return Ok(());
    }
    std::fs::create_dir_all(folder)?;
    fetch()?;
    Ok(std::fs::write(&mark, wanted)?)
}

fn java(places: &Places) -> Result<Step, Failure> {
    let (sources, jars) = (places.sources.join("java"), places.fetched.join("java"));
    let versions = sources.join("pom.xml");
    once(&jars, &versions, || {
        let fetch = program("mvn").args(["-B", "-q", "dependency:copy-dependencies", "-f"]).args([&versions]);
        fetch.args([format!("-DoutputDirectory={}", jars.display())]).quietly("mvn").map(drop)
    })?;
    let quiet = "-Dorg.slf4j.simpleLogger.defaultLogLevel=error";
    Ok(program("java")
        .args(["-Xmx256m", quiet, "-cp", &format!("{}/*", jars.display())])
        .args([sources.join("Scenario.java")]))
}

fn python(places: &Places, scenario: &str) -> Result<Step, Failure> {
    let (sources, venv) = (places.sources.join("python"), places.fetched.join("python"));
    let versions = sources.join("requirements.txt");
    once(&venv, &versions, || {
        program("python3").args(["-m", "venv"]).args([&venv]).quietly("python3 -m venv")?;
        let pip = program(venv.join("bin/pip")).args(["install", "--quiet", "--disable-pip-version-check", "-r"]);
        pip.args([&versions]).quietly("pip").map(drop)
    })?;
    let step = program(venv.join("bin/python")).env("PYTHONDONTWRITEBYTECODE", "1");
    Ok(step.args([sources.join(scenario)]))
}

fn go(places: &Places) -> Result<Step, Failure> {
    let binary = places.fetched.join("go").join("scenario");
    program("go")
        .args(["build", "-o"])
        .args([&binary])
        .args(["."])
        .within(places.sources.join("go"))
        .quietly("go build")?;
    Ok(program(binary))
}

fn node(places: &Places) -> Result<Step, Failure> {
    let (sources, fetched) = (places.sources.join("node"), places.fetched.join("node"));
    let versions = sources.join("package.json");
    once(&fetched, &versions, || {
        std::fs::copy(&versions, fetched.join("package.json"))?;
        let npm = program("npm").args(["install", "--no-audit", "--no-fund", "--silent", "--prefix"]);
        npm.args([&fetched]).quietly("npm").map(drop)
    })?;
    let step =
        program("node").env("NODE_PATH", fetched.join("node_modules")).env("KAFKAJS_NO_PARTITIONER_WARNING", "1");
    Ok(step.args([sources.join("scenario.js")]))
}
