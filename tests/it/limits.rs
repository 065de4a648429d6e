//! docs/limits.md says what the code does.

use std::path::Path;

use ottla_cluster::config::broker_key;
use ottla_coordinator::limits as groups;
use ottla_units::limits;

fn page() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/limits.md")).expect("docs/limits.md")
}

/// The rows of all tables: what is limited, the figure, what happens, the metric.
fn rows(page: &str) -> Vec<[&str; 4]> {
    let cells = page.lines().filter(|line| line.starts_with("| ")).map(|line| {
        let mut cells = line.trim_matches('|').split(" | ").map(|cell| cell.trim().trim_matches('|').trim());
        [(); 4].map(|()| cells.next().unwrap_or_else(|| panic!("a row of four cells: {line}")))
    });
    cells.filter(|row| !row[0].starts_with("limit")).collect()
}

#[test]
fn settings_have_the_defaults_that_the_page_says() {
    let page = page();
    let mut compared = 0;
    for [what, figure, ..] in rows(&page) {
        let Some(name) = what.split('`').nth(1) else { continue };
        if let (Some(key), Ok(_)) = (broker_key(name), figure.parse::<i64>()) {
            assert_eq!(key.default, Some(figure), "{name}");
            compared += 1;
        }
    }
    assert!(compared >= 12, "only {compared} settings were found on the page");
}

#[test]
fn constants_are_what_the_page_says() {
    let page = page();
    let grouped = |number: usize| {
        let digits = number.to_string();
        let from_end = digits.char_indices().map(|(at, digit)| {
            let comma = at > 0 && (digits.len() - at).is_multiple_of(3);
            if comma { format!(",{digit}") } else { digit.to_string() }
        });
        from_end.collect::<String>()
    };
    let constants = [
        ("elements of all arrays", grouped(limits::ARRAY_ELEMENTS_MAX)),
        ("tagged fields", grouped(limits::TAGGED_FIELDS_MAX)),
        ("a string in a request", grouped(limits::STRING_BYTES_MAX)),
        ("a topic's name", grouped(limits::TOPIC_NAME_BYTES_MAX)),
        ("commands to the controller", grouped(ottla_broker::LETTERS_MAX / 2)),
        ("what a compressed batch may unpack to", grouped(limits::UNPACKED_BYTES_PER_BYTE_MAX)),
        ("what a compressed batch may unpack to", format!("{} ×", limits::UNPACKED_BYTES_PER_ALLOWED_BYTE_MAX)),
        ("what a compressed batch may unpack to", format!("{} MiB", limits::UNPACKED_BYTES_ALLOWED >> 20)),
        ("unpacked at once", format!("{} MiB", limits::UNPACKED_AT_ONCE_BYTES_MAX >> 20)),
        ("partitions in one request", grouped(ottla_cluster::decide::PARTITIONS_PER_REQUEST_MAX)),
        ("records of one decision", format!("{} MiB", ottla_cluster::frame::DECISION_BYTES_MAX >> 20)),
        ("groups on one partition", grouped(groups::GROUPS_PER_PARTITION_MAX)),
        ("committed offsets of one group", grouped(groups::OFFSETS_PER_GROUP_MAX)),
        ("ids given to members", grouped(groups::PENDING_MEMBERS_PER_GROUP_MAX)),
        ("producers remembered", grouped(ottla_partition::PRODUCERS_MAX)),
    ];
    for (what, figure) in constants {
        let row = rows(&page).into_iter().find(|row| row[0].starts_with(what));
        let row = row.unwrap_or_else(|| panic!("no row begins with '{what}'"));
        assert!(row[1].contains(&figure), "{what}: {figure} in the code, '{}' on the page", row[1]);
    }
}

#[test]
fn metrics_on_the_page_are_served() {
    let page = page();
    for [what, _, _, metric] in rows(&page) {
        let Some(name) = metric.split('`').nth(1) else { continue };
        let name = name.split('{').next().unwrap_or(name);
        let known = ottla::admin::catalogue::METRICS.iter().any(|metric| metric.name == name);
        assert!(known, "{what}: there is no metric {name}");
    }
}
