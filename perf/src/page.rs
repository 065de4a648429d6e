//! One page that links what a session left in its folder.

use std::fs;
use std::path::{Path, PathBuf};

use crate::PerfError;

/// Something that the page leads to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Link {
    /// The file, from the page's folder.
    pub file: String,
    /// What it is called.
    pub name: String,
    /// What it tells, in a few words.
    pub tells: String,
}

/// What is on the page.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Page {
    /// Its heading.
    pub title: String,
    /// Facts: name and value.
    pub facts: Vec<(String, String)>,
    /// Groups of links under a heading each.
    pub groups: Vec<(String, Vec<Link>)>,
    /// Text as it is, under a heading each.
    pub texts: Vec<(String, String)>,
}

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#222;background:#fff}\
h1{font-size:1.4rem}h2{font-size:1.1rem;margin-top:2rem}table{border-collapse:collapse}td{padding:.1rem 1rem .1rem 0;vertical-align:top}\
pre{background:#f4f4f4;padding:.8rem;overflow-x:auto}a{color:#0b57d0}\
@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}pre{background:#242424}a{color:#8ab4f8}}";

/// Writes `index.html` into a folder: needs nothing but itself and the files that it links.
///
/// # Errors
/// The operating system's.
pub fn write_page(page: &Page, folder: &Path) -> Result<PathBuf, PerfError> {
    let mut html = format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>{STYLE}</style></head>\n<body><h1>{title}</h1>\n",
        title = escaped(&page.title)
    );
    html.push_str("<table>\n");
    for (name, value) in &page.facts {
        html.push_str(&format!("<tr><td>{}</td><td>{}</td></tr>\n", escaped(name), escaped(value)));
    }
    html.push_str("</table>\n");
    for (heading, links) in &page.groups {
        html.push_str(&format!("<h2>{}</h2>\n<table>\n", escaped(heading)));
        for Link { file, name, tells } in links {
            let (file, name, tells) = (escaped(file), escaped(name), escaped(tells));
            html.push_str(&format!("<tr><td><a href=\"{file}\">{name}</a></td><td>{tells}</td></tr>\n"));
        }
        html.push_str("</table>\n");
    }
    for (heading, text) in &page.texts {
        html.push_str(&format!("<h2>{}</h2>\n<pre>{}</pre>\n", escaped(heading), escaped(text)));
    }
    html.push_str("</body></html>\n");
    let path = folder.join("index.html");
    fs::write(&path, html).map_err(PerfError::io("write", &path))?;
    Ok(path)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}
