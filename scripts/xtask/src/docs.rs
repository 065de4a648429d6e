use crate::broker;
use crate::shell::{Failure, heading, program, root};

/// Each page, and what prints it.
const PAGES: [(&str, [&str; 4]); 2] = [
    ("docs/configuration.md", ["config", "list", "--format", "markdown"]),
    ("docs/metrics.md", ["metrics", "list", "--format", "markdown"]),
];

/// Writes the pages that derive from tables, or says whether they are current.
pub(crate) fn run(check: bool) -> Result<(), Failure> {
    let binary = broker::build(false)?;
    heading("pages written from tables");
    for (page, arguments) in PAGES {
        let text = program(&binary).args(arguments).quietly(page)?;
        let path = root().join(page);
        let current = std::fs::read_to_string(&path).is_ok_and(|old| old == text);
        match (current, check) {
            (true, _) => println!("   {page} is current"),
            (false, true) => return Err(Failure(format!("{page} is not current: run `cargo xtask docs`"))),
            (false, false) => {
                std::fs::write(&path, text)?;
                println!("   {page} written");
            }
        }
    }
    Ok(())
}
