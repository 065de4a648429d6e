//! Telling: figures, a run in words, tables, one page with plots.

// A run in a few lines, and tables.
mod text;
pub(crate) use text::trouble;
pub use text::{figure, quiet_line, summary, thousands};

// One self-contained page.
mod html;
mod overview;
mod svg;
pub use html::{comparison_page, page};

// What moves while it runs.
mod live;
pub use live::Live;
