//! The right name nearest to a wrong one.

/// Changes of one character after which two names still count as near, for a name of `length` characters.
fn near(length: usize) -> usize {
    (length / 3).clamp(1, 4)
}

/// Of `names`, the one that `wrong` was most likely meant to be.
pub(crate) fn nearest<'a>(wrong: &str, names: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let ranked = names.into_iter().map(|name| (distance(wrong, name), name));
    let (distance, name) = ranked.min_by_key(|(distance, _)| *distance)?;
    (distance <= near(wrong.chars().count())).then_some(name)
}

/// How many insertions, removals, replacements and swaps of neighbours lead from one to the other.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![vec![0; b.len() + 1]; a.len() + 1];
    for i in 0..=a.len() {
        for j in 0..=b.len() {
            rows[i][j] = match (i, j) {
                (0, _) => j,
                (_, 0) => i,
                _ => {
                    let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
                    let mut least = replaced.min(rows[i - 1][j] + 1).min(rows[i][j - 1] + 1);
                    if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                        least = least.min(rows[i - 2][j - 2] + 1);
                    }
                    least
                }
            };
        }
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_was_meant_and_nothing_far_away() {
        let names = ["retention.ms", "retention.bytes", "cleanup.policy"];
        assert_eq!(nearest("retenton.ms", names), Some("retention.ms"));
        assert_eq!(nearest("cleanup.polciy", names), Some("cleanup.policy"));
        assert_eq!(nearest("xyz", names), None);
        assert_eq!(nearest("", []), None);
    }
}
