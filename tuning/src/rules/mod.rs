//! All rules, one file for each area. One table is the truth: command line, report and documentation follow from it.

mod clock;
mod cpu;
mod limits;
mod memory;
mod network;
mod stack;
mod storage;

use std::sync::LazyLock;

use crate::Fact;
use crate::rule::{Change, Opinion, Rule};

/// All rules, in the order of areas.
pub static RULES: LazyLock<Vec<&'static Rule>> = LazyLock::new(|| {
    [storage::RULES, memory::RULES, cpu::RULES, network::RULES, stack::RULES, limits::RULES, clock::RULES]
        .into_iter()
        .flatten()
        .collect()
});

/// The rule of that name.
pub fn find_rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().copied().find(|rule| rule.id == id)
}

/// The opinion of a known fact, or that it is not known.
fn know<T>(fact: &Fact<T>, opinion: impl FnOnce(&T) -> Opinion) -> Opinion {
    match fact {
        Fact::Known(value) => opinion(value),
        Fact::Unknown { unknown } => Opinion::unknown(unknown),
    }
}

/// A number in a file that should be at least so much.
fn at_least(fact: &Fact<u64>, wanted: u64, file: &str) -> Vec<Opinion> {
    vec![know(fact, |&current| {
        if current >= wanted {
            Opinion::good(current)
        } else {
            Opinion::improve(current, format!("at least {wanted}")).change(Change::new(file, wanted))
        }
    })]
}

/// A number in a file that should be 0.
fn zero(fact: &Fact<u64>, file: &str) -> Vec<Opinion> {
    vec![know(fact, |&current| {
        if current == 0 { Opinion::good(0) } else { Opinion::improve(current, 0).change(Change::new(file, 0)) }
    })]
}

/// The chosen word and all words of `none [mq-deadline] kyber`. A file with one word and no brackets offers only that.
fn choice(text: &str) -> (&str, Vec<&str>) {
    let plain = |word| str::trim_matches(word, ['[', ']']);
    let words: Vec<&str> = text.split_whitespace().collect();
    let chosen = words.iter().find(|word| word.starts_with('[')).or(words.first()).map_or("", |word| plain(word));
    (chosen, words.into_iter().map(plain).collect())
}

#[cfg(test)]
mod tests;
