//! What was meant by a name that is not known: the nearest one that is.

/// The nearest of the known words, if one is near enough to be meant.
pub fn nearest<'a>(unknown: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let most = 2.max(unknown.len() / 3);
    known
        .into_iter()
        .map(|word| (distance(unknown, word), word))
        .min()
        .filter(|(distance, _)| *distance <= most)
        .map(|(_, word)| word)
}

/// `unknown` in a sentence: what is known, and which of it was probably meant.
#[must_use]
pub fn did_you_mean(unknown: &str, known: &[&str]) -> String {
    match nearest(unknown, known.iter().copied()) {
        Some(word) => format!("did you mean {word}? Known are: {}", known.join(", ")),
        None if known.is_empty() => "nothing is known here".to_owned(),
        None => format!("known are: {}", known.join(", ")),
    }
}

/// Levenshtein's distance, of the first 100 characters.
#[must_use]
pub fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().take(100).collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, left) in a.chars().take(100).enumerate() {
        let mut diagonal = i;
        let mut before = i.saturating_add(1);
        for (slot, right) in row.iter_mut().skip(1).zip(&b) {
            let cost = usize::from(left != *right);
            let value =
                (diagonal.saturating_add(cost)).min(before.saturating_add(1)).min(slot.saturating_add(1));
            diagonal = *slot;
            *slot = value;
            before = value;
        }
        if let Some(first) = row.first_mut() {
            *first = i.saturating_add(1);
        }
    }
    row.last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_named_and_far_ones_are_not() {
        assert_eq!(nearest("ulr", ["url", "states"]), Some("url"));
        assert_eq!(nearest("provider", ["providers", "url"]), Some("providers"));
        assert_eq!(nearest("zzzzzz", ["providers", "url"]), None);
        assert_eq!(did_you_mean("ulr", &["url"]), "did you mean url? Known are: url");
    }
}
