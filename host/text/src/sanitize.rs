//! Makes text safe to print on a terminal and in a text log.
//!
//! Names, errors and documents often contain text from strangers. Escape sequences in it could control the terminal,
//! and characters that end a line or change its direction could forge the host's messages. JSON output needs none of
//! this and stays exact.

use std::borrow::Cow;
use std::fmt::Write;

/// Returns whether a character does more than occupy its place in a line: control characters, line separators,
/// direction marks and overrides, and invisible characters.
fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{180e}'
                | '\u{200b}'
                | '\u{200e}'
                | '\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Returns the text on one line, with unsafe characters escaped as in JSON: `\n`, `\u001b`.
pub fn line(text: &str) -> Cow<'_, str> {
    escaped(text, |_| false)
}

/// Returns the text with unsafe characters escaped, except line breaks.
pub fn lines(text: &str) -> Cow<'_, str> {
    escaped(text, |character| character == '\n')
}

/// Returns the text with every line but the first indented by `spaces`, so that no line looks like one of the host's.
pub fn indented(text: &str, spaces: usize) -> String {
    lines(text).replace('\n', &format!("\n{:spaces$}", ""))
}

/// Returns a count with its noun: `1 dead letter`, `2 retries`. `one` is the noun's singular.
pub fn counted(count: u64, one: &str) -> String {
    let ends_with = |ends: &[&str]| ends.iter().any(|end| one.ends_with(end));
    match one.strip_suffix('y') {
        _ if count == 1 => format!("1 {one}"),
        Some(stem) if !ends_with(&["ay", "ey", "oy"]) => format!("{count} {stem}ies"),
        _ if ends_with(&["s", "x", "ch", "sh"]) => format!("{count} {one}es"),
        _ => format!("{count} {one}s"),
    }
}

/// The singular and the plural of a name that consists of several words.
pub type SingularPlural = (&'static str, &'static str);

/// Returns a list of counts with their names: `1 entry of a migration, 2 no-ops`.
pub fn listed(counts: impl Iterator<Item = (SingularPlural, u64)>) -> String {
    let words = |((one, several), count)| format!("{count} {}", if count == 1 { one } else { several });
    counts.map(words).collect::<Vec<_>>().join(", ")
}

/// Returns a size in bytes, written in the largest unit that divides it: `64 KiB`, but `65537 B` for one byte more.
pub fn size(bytes: u64) -> String {
    let units = [(30, "GiB"), (20, "MiB"), (10, "KiB")];
    let whole = units.into_iter().find(|(shift, _)| bytes > 0 && bytes.trailing_zeros() >= *shift);
    let (shift, unit) = whole.unwrap_or((0, "B"));
    format!("{} {unit}", bytes >> shift)
}

/// Returns a size in memory, in bytes, written as [`size`] writes it.
pub fn size_in_memory(bytes: usize) -> String {
    size(u64::try_from(bytes).unwrap_or(u64::MAX))
}

/// Returns the text quoted so that a shell reads it as one word.
pub fn quoted(text: &str) -> Cow<'_, str> {
    let is_plain = |character: char| character.is_ascii_alphanumeric() || "-_./=:,+@%".contains(character);
    if !text.is_empty() && text.chars().all(is_plain) {
        return Cow::Borrowed(text);
    }
    Cow::Owned(format!("'{}'", text.replace('\'', r"'\''")))
}

fn escaped(text: &str, is_kept: impl Fn(char) -> bool) -> Cow<'_, str> {
    let is_escaped = |character: char| is_unsafe(character) && !is_kept(character);
    if !text.contains(is_escaped) {
        return Cow::Borrowed(text);
    }
    let mut safe = String::with_capacity(text.len() + 16);
    for character in text.chars() {
        match character {
            character if !is_escaped(character) => safe.push(character),
            '\n' => safe.push_str("\\n"),
            '\r' => safe.push_str("\\r"),
            '\t' => safe.push_str("\\t"),
            _ => {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a string cannot fail.
                    let _ = write!(safe, "\\u{unit:04x}");
                }
            }
        }
    }
    Cow::Owned(safe)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_are_shown_escaped() {
        assert_eq!(line("\u{1b}[2Jx\r\ny\tz\u{7f}\u{9b}"), "\\u001b[2Jx\\r\\ny\\tz\\u007f\\u009b");
        assert_eq!(line("a\u{2028}b\u{202e}c\u{2066}\u{feff}"), "a\\u2028b\\u202ec\\u2066\\ufeff");
        assert_eq!(line("\u{e0041}"), "\\udb40\\udc41");
        assert_eq!(lines("a\nb\r"), "a\nb\\r");
        assert_eq!(indented("a\nb\n\u{1b}", 2), "a\n  b\n  \\u001b");
        for shown in ["", "plain", "Grüße, 你好, שלום, 👩\u{200d}🚀, é", r"\u001b"] {
            assert!(matches!(line(shown), Cow::Borrowed(same) if same == shown), "{shown}");
        }
    }

    #[test]
    fn a_count_has_the_right_noun() {
        for (one, several) in [
            ("checkpoint", "checkpoints"),
            ("no-op", "no-ops"),
            ("retry", "retries"),
            ("batch", "batches"),
            ("key", "keys"),
        ] {
            assert_eq!(counted(1, one), format!("1 {one}"));
            assert_eq!(counted(0, one), format!("0 {several}"));
            assert_eq!(counted(1000, one), format!("1000 {several}"));
        }
        let counts = [(("entry of a migration", "entries of migrations"), 1), (("no-op", "no-ops"), 2)];
        assert_eq!(listed(counts.into_iter()), "1 entry of a migration, 2 no-ops");
    }

    #[test]
    fn a_shell_reads_quoted_text_as_one_word() {
        for text in
            ["", "x=-1h 30m", r#"x={"_data":"82AB"}"#, "a'b", "$HOME", "*", "plain.wasm", "x=1.5", "a;b", "ü"]
        {
            let echo = format!("printf %s {}", quoted(text));
            let said = std::process::Command::new("sh").args(["-c", &echo]).output().unwrap();
            assert_eq!(String::from_utf8(said.stdout).unwrap(), text);
        }
        assert_eq!(quoted("x=2026-01-31T12:00:00Z"), "x=2026-01-31T12:00:00Z");
        assert_eq!(quoted("file:/var/lib/gtm-host"), "file:/var/lib/gtm-host");
        assert_eq!(quoted("my shop"), "'my shop'");
        assert_eq!(quoted("it's"), r"'it'\''s'");
    }

    /// Uses random texts in which every third character is an unsafe one.
    #[test]
    fn no_unsafe_character_remains() {
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut random = |below: u32| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            u32::try_from(state >> 33).unwrap() % below
        };
        let dangerous: Vec<char> =
            (0..=0x0010_ffff).filter_map(char::from_u32).filter(|c| is_unsafe(*c)).collect();
        for _ in 0..5000 {
            let length = random(40);
            let text: String = (0..length)
                .map(|_| match random(3) {
                    0 => dangerous[usize::try_from(random(u32::try_from(dangerous.len()).unwrap())).unwrap()],
                    1 => char::from_u32(random(0x0011_0000)).unwrap_or('x'),
                    _ => char::from_u32(0x20 + random(0x5f)).unwrap(),
                })
                .collect();
            let safe = line(&text);
            assert!(!safe.contains(is_unsafe), "{text:?} as {safe:?}");
            assert_eq!(line(&safe), safe, "what is safe stays so");
            let kept: String = text.chars().filter(|c| !is_unsafe(*c)).collect();
            let mut rest = safe.chars();
            assert!(
                kept.chars().all(|c| rest.any(|shown| shown == c)),
                "{text:?} as {safe:?}: nothing is lost"
            );
            let several = lines(&text);
            assert!(!several.contains(|c| is_unsafe(c) && c != '\n'), "{several:?}");
            assert_eq!(
                several.lines().count(),
                text.split('\n').count() - usize::from(text.ends_with('\n') || text.is_empty())
            );
            // A JSON string keeps its value.
            let json = serde_json::to_string(&text).unwrap();
            assert_eq!(serde_json::from_str::<String>(&lines(&json)).unwrap(), text);
        }
    }

    #[test]
    fn a_size_is_exact() {
        for (bytes, said) in [
            (0, "0 B"),
            (1023, "1023 B"),
            (64 << 10, "64 KiB"),
            ((64 << 10) + 1, "65537 B"),
            (3 << 19, "1536 KiB"),
            (256 << 20, "256 MiB"),
            (1 << 40, "1024 GiB"),
        ] {
            assert_eq!(size(bytes), said);
        }
    }
}
